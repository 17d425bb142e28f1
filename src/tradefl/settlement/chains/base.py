"""A chain, and the accounts that sign on it; a new kind of chain is a class of its own.

A chain sends transactions for the accounts whose keys it holds, one at a time, each until it
stands. What a process that was killed had sent is found on the chain by whoever continues, so
nothing is written to disk.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import requests
from eth_account.signers.local import LocalAccount
from eth_typing import BlockNumber
from web3 import Web3
from web3.exceptions import (
    BlockNotFound,
    ContractLogicError,
    TransactionNotFound,
    Web3Exception,
    Web3RPCError,
)
from web3.types import BlockIdentifier

from tradefl.settlement.agreement import checksum
from tradefl.settlement.chains.answers import (
    NoAnswerError,
    RefusedError,
    StateChangedError,
    account_of,
    hex_of,
    outage_of,
    reason_of,
    revert_data,
)
from tradefl.settlement.contract import (
    ChainError,
    Event,
    decoded_event,
    decoded_result,
    encoded_call,
    reverted,
)

T = TypeVar("T")

# The most gas that one transaction may use on Ethereum (EIP-7825); ours stay below it everywhere.
GAS_LIMIT = 16_777_216


class Signer(Protocol):
    """Who signs for an account: its key, or a node that holds it."""

    address: str


@dataclasses.dataclass(frozen=True)
class KeySigner:
    """An account whose private key is here."""

    key: LocalAccount = dataclasses.field(repr=False)

    @property
    def address(self) -> str:
        """The account."""
        return str(self.key.address)


@dataclasses.dataclass(frozen=True)
class NodeSigner:
    """An account that the node signs for: a development node's unlocked account."""

    address: str


@dataclasses.dataclass(frozen=True)
class Receipt:
    """A transaction that stands in a block."""

    hash: str
    gas: int
    block: int
    contract: str | None = None
    succeeded: bool = True


class Chain(ABC):
    """A chain, and the accounts that this process may use on it."""

    reader: Mapping[str, Any] = MappingProxyType({})  # what a view is called with besides
    alone = False  # whether nobody else is on this chain
    refusals: tuple[type[Exception], ...] = (ContractLogicError,)  # how a revert is reported

    def __init__(self, web3: Web3, signers: Iterable[KeySigner | NodeSigner], place: str) -> None:
        self.web3 = web3
        self.block: int | None = None  # what is read, is read at this block; None: the latest
        self.signers = {signer.address: signer for signer in signers}
        self.place = place
        self.chain_id = self.ask(lambda: int(web3.eth.chain_id))

    # --- reading ---------------------------------------------------------------------------------

    def ask(self, question: Callable[[], T]) -> T:
        """Return a node's answer.

        Raises
        ------
        ChainError
            The node does not answer, or with an error.
        """
        try:
            return question()
        except (requests.RequestException, OSError) as error:
            raise NoAnswerError(
                self.place, f"no answer from the node: {outage_of(error)}"
            ) from None
        except (TransactionNotFound, BlockNotFound, ContractLogicError):
            raise
        except Web3RPCError as error:
            raise RefusedError(self.place, f"the node refuses: {reason_of(error)}") from None
        except (Web3Exception, ValueError, TypeError, AttributeError) as error:
            # What is no node answers anything.
            raise ChainError(self.place, f"unexpected answer: {reason_of(error)}") from None

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Read at one block what belongs together, whatever happens on the chain meanwhile."""
        if self.block is not None:
            yield
            return
        self.block = self._height()
        try:
            yield
        finally:
            self.block = None

    @property
    def _at(self) -> BlockIdentifier:
        return "latest" if self.block is None else BlockNumber(self.block)

    def _height(self) -> int:
        return int(self.ask(lambda: self.web3.eth.block_number))

    def height(self) -> int:
        """Return the number of the block that is read: the latest, or the pinned one."""
        return self._height() if self.block is None else self.block

    def block_gas_limit(self) -> int:
        """Return how much gas the latest block could hold."""
        return int(self.ask(lambda: self.web3.eth.get_block("latest"))["gasLimit"])

    def now(self) -> int:
        """Return the time of the latest block, seconds since 1970."""
        return int(self.ask(lambda: self.web3.eth.get_block(self._at))["timestamp"])

    def head(self) -> str:
        """Return the hash of the latest block."""
        return hex_of(self.ask(lambda: self.web3.eth.get_block("latest"))["hash"])

    def block_time(self, block: str) -> int:
        """Return the time of the block of a hash, seconds since 1970.

        Raises
        ------
        StateChangedError
            There is no such block, or no more.
        """
        try:
            found = self.ask(lambda: self.web3.eth.get_block(block))  # type: ignore[arg-type]
        except BlockNotFound:
            raise StateChangedError from None
        return int(found["timestamp"])

    def transaction_count(self, address: str) -> int:
        """Return how many transactions of an account are in blocks."""
        return int(self.ask(lambda: self.web3.eth.get_transaction_count(account_of(address))))

    @abstractmethod
    def fee_of(self, gas: int) -> int:
        """Return what an account must have to send a transaction with so much gas, wei."""

    def balance(self, address: str) -> int:
        """Return what an account has, wei."""
        return int(self.ask(lambda: self.web3.eth.get_balance(account_of(address), self._at)))

    def code(self, address: str) -> bytes:
        """Return the code at an address; empty where there is no contract."""
        return bytes(self.ask(lambda: self.web3.eth.get_code(account_of(address))))

    def read(self, contract: str, call: str, *arguments: Any) -> Any:
        """Return what a view of the contract answers."""
        data = self._call({"to": contract, "data": encoded_call(call, *arguments)}, call)
        if not data:  # the answer of an address without code
            raise ChainError(contract, f"there is no contract at this address on {self.place}")
        return decoded_result(call, data)

    def sent(self, hash_: str) -> tuple[str, bytes]:
        """Return who sent a transaction and its data; empty if a reorganization dropped it."""
        try:
            found = self.ask(lambda: self.web3.eth.get_transaction(hash_))  # type: ignore[arg-type]
        except TransactionNotFound:
            return "", b""
        return str(found["from"]), bytes(found["input"])

    def receipt(self, hash_: str) -> Receipt | None:
        """Return a transaction's receipt; ``None`` while it is in no block."""
        try:
            found = self.ask(lambda: self.web3.eth.get_transaction_receipt(hash_))  # type: ignore[arg-type]
        except TransactionNotFound:
            return None
        return Receipt(
            hash=hash_,
            gas=int(found["gasUsed"]),
            block=int(found["blockNumber"]),
            contract=found.get("contractAddress"),
            succeeded=found["status"] == 1,
        )

    @abstractmethod
    def events(
        self, contract: str | None, first_block: int = 0, topics: Sequence[bytes] = ()
    ) -> list[Event]:
        """Return the events of a contract (of all contracts: ``None``), oldest first."""

    # --- writing ---------------------------------------------------------------------------------

    @abstractmethod
    def transact(
        self, sender: str, *, to: str | None, data: bytes, value: int = 0, call: str
    ) -> Receipt:
        """Send a transaction and return its receipt once it stands.

        Raises
        ------
        RevertedError
            The contract refuses; nothing was changed.
        StateChangedError
            Something else happened to the account meanwhile, or the block is gone.
        ChainError
            The node does not answer, or the account cannot pay.
        """

    @abstractmethod
    def pass_time(self, until: int) -> bool:
        """Let time pass to after ``until`` if this chain can; tell whether it did."""

    @abstractmethod
    def mine(self, blocks: int, sender: str) -> bool:
        """Let blocks pass if this chain makes them on demand only; tell whether it did.

        The sender pays for the empty transactions that make them.
        """

    def _call(self, transaction: dict[str, Any], call: str) -> bytes:
        """Return what a call returns, without a transaction."""
        asked: Any = {**self.reader, **transaction}
        try:
            return bytes(self.ask(lambda: self.web3.eth.call(asked, self._at)))
        except self.refusals as error:
            raise reverted(call, revert_data(error)) from None

    def _decoded(self, logs: Iterable[Any]) -> list[Event]:
        events = []
        for log in logs:
            found = decoded_event([bytes(one) for one in log["topics"]], bytes(log["data"]))
            if found is not None:
                name, arguments = found
                hash_ = "0x" + bytes(log["transactionHash"]).hex()
                arguments = arguments | {"address": checksum(log["address"])}
                block_hash = "0x" + bytes(log["blockHash"]).hex()
                place = int(log["blockNumber"]), int(log["logIndex"]), block_hash
                events.append(Event(name, arguments, hash_, *place))
        return events
