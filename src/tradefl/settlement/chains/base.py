"""A chain, and the accounts that sign on it; a new kind of chain is a class of its own.

A chain sends transactions for the accounts whose keys it holds, one at a time, each until it is
in a block.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from eth_abi.exceptions import DecodingError
from eth_account.signers.local import LocalAccount

from tradefl.settlement.chains.answers import (
    MAX_TIME,
    SHOWN,
    Block,
    Log,
    StateChangedError,
    cut,
)
from tradefl.settlement.contract import (
    ChainError,
    Event,
    RevertedError,
    decoded_event,
    decoded_result,
    encoded_call,
    reverted,
)

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
    """A transaction that is in a block.

    Attributes
    ----------
    hash
        The transaction's hash.
    gas
        How much gas it used.
    block
        The number of its block.
    contract
        The contract that it created.
    succeeded
        Whether it took effect; one that reverted changed nothing and still cost its fee.
    block_hash
        The hash of its block.
    fee
        What it cost, wei.
    logs
        The events that it emitted, as the node answers them.
    """

    hash: str
    gas: int
    block: int
    contract: str | None = None
    succeeded: bool = True
    block_hash: str = ""
    fee: int = 0
    logs: tuple[Log, ...] = dataclasses.field(default=(), repr=False)


class Chain(ABC):
    """A chain, and the accounts that this process may use on it.

    Attributes
    ----------
    chain_id
        The chain's number.
    signers
        The accounts that this process may use, by address.
    place
        Where the chain is, for messages.
    block
        The block at which everything is read; ``None``: the latest.
    """

    alone = False  # whether nobody else is on this chain
    spending: str | None = None  # what caps this process's fees, in words; None: nothing does

    def __init__(
        self, chain_id: int, signers: Iterable[KeySigner | NodeSigner], place: str
    ) -> None:
        self.chain_id = chain_id
        self.signers = {signer.address: signer for signer in signers}
        self.place = place
        self.block: int | None = None

    # --- reading ---------------------------------------------------------------------------------

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Read everything at one block, whatever happens on the chain meanwhile."""
        if self.block is not None:
            yield
            return
        self.block = self.height()
        try:
            yield
        finally:
            self.block = None

    @abstractmethod
    def height(self) -> int:
        """Return the number of the block that is read: the pinned one, or the latest."""

    @abstractmethod
    def header(self, tag: int | str) -> Block | None:
        """Return the header of a block; ``None``: there is no such block.

        Parameters
        ----------
        tag
            The block's number, its hash, ``latest`` or ``pending``.
        """

    @property
    def _at(self) -> int | str:
        return "latest" if self.block is None else self.block

    def _header(self) -> Block:
        found = self.header(self._at)
        if found is None:
            raise StateChangedError
        return found

    def now(self) -> int:
        """Return the time of the latest block, seconds since 1970."""
        return self._header().seconds

    def head(self) -> str:
        """Return the hash of the latest block."""
        found = self.header("latest")
        return "" if found is None else found.hash

    def block_gas_limit(self) -> int:
        """Return how much gas the transactions of one block may use together."""
        return self._header().gas_limit

    def block_time(self, block: str) -> int:
        """Return the time of the block of a hash, seconds since 1970.

        Raises
        ------
        StateChangedError
            There is no such block, or no longer.
        """
        found = self.header(block)
        if found is None:
            raise StateChangedError
        return found.seconds

    @abstractmethod
    def transaction_count(self, address: str) -> int:
        """Return how many transactions of an account are in blocks."""

    @abstractmethod
    def fee_of(self, gas: int) -> int:
        """Return what an account must have to send a transaction with so much gas, wei."""

    @abstractmethod
    def balance(self, address: str) -> int:
        """Return what an account has, wei."""

    @abstractmethod
    def code(self, address: str) -> bytes:
        """Return the code at an address; empty where there is no contract."""

    def read(self, contract: str, call: str, *arguments: Any) -> Any:
        """Return what a view of the contract answers.

        Raises
        ------
        RevertedError
            The contract refuses.
        ChainError
            There is no contract, or not one that has this view.
        """
        found = self._call({"to": contract, "data": encoded_call(call, *arguments)}, call)
        if not found:  # the answer of an address without code
            raise ChainError(contract, f"there is no contract at this address on {self.place}")
        try:
            return decoded_result(call, found)
        except (DecodingError, ValueError):
            raise ChainError(
                contract, f"{call}: {self.place} answers what this contract cannot return"
            ) from None

    def asked(self, contract: str, data: bytes, call: str) -> bytes:
        """Return the answer of another contract; empty where there is no contract.

        Raises
        ------
        RevertedError
            The contract refuses.
        """
        return self._call({"to": contract, "data": data}, call)

    @abstractmethod
    def sent(self, hash_: str) -> tuple[str, bytes]:
        """Return who sent a transaction and its data; empty if a reorganization dropped it."""

    @abstractmethod
    def receipt(self, hash_: str) -> Receipt | None:
        """Return a transaction's receipt; ``None`` while it is in no block."""

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
        """Send a transaction and return its receipt once it is in a block.

        A transaction that reverts in its block, because another one came first, is an outcome:
        its receipt has ``succeeded`` false.

        Raises
        ------
        RevertedError
            The contract refuses; nothing was sent.
        StateChangedError
            Something happened on the chain meanwhile: the state must be read again.
        ChainError
            The node does not answer, the account cannot pay, or a cap on fees is reached.
        """

    @abstractmethod
    def deposit(
        self, sender: str, *, to: str, data: bytes, value: int, call: str, agreement: str
    ) -> Receipt:
        """Send the one deposit of an account for an agreement; see :meth:`transact`.

        Whatever happens, at most one deposit leaves the account until :meth:`returned` is called.

        Parameters
        ----------
        sender, to, data, value, call
            The transaction, as in :meth:`transact`.
        agreement
            What the deposit is for: the agreement's hash.
        """

    @abstractmethod
    def returned(self, account: str, agreement: str) -> None:
        """Note that a deposit is back on its account: a new one may be signed."""

    @abstractmethod
    def pass_time(self, until: int) -> bool:
        """Let time pass to after ``until`` if this chain can; return whether it did."""

    @abstractmethod
    def pass_blocks(self, until: int, sender: str) -> bool:
        """Let blocks pass to ``until`` if nothing else makes this chain make them.

        Parameters
        ----------
        until
            The block's number; the next transaction is in a later one.
        sender
            The account that sends itself nothing, where a block needs a transaction.

        Returns
        -------
        Whether block ``until`` exists now; on a chain that makes blocks by itself the caller
        waits.
        """

    def mine(self, blocks: int, sender: str) -> bool:
        """Let so many blocks pass; see :meth:`pass_blocks`."""
        return self.pass_blocks(self.height() + blocks, sender)

    @abstractmethod
    def _call(self, transaction: dict[str, Any], call: str) -> bytes:
        """Return what a call returns, without a transaction."""


def decoded(logs: Iterable[Log]) -> list[Event]:
    """Return those of some logs that are events of ours."""
    events = []
    for log in logs:
        found = decoded_event(list(log.topics), log.data)
        if found is not None:
            name, arguments = found
            arguments = arguments | {"address": log.address}
            place = log.block, log.index, log.block_hash
            events.append(Event(name, arguments, log.transaction, *place))
    return events


def refusal(call: str, data: bytes) -> RevertedError:
    """Return the error that revert data encodes, whatever a node puts there."""
    try:
        found = reverted(call, data)
    except (DecodingError, ValueError):
        found = RevertedError(call, "revert", {"data": "0x" + data[:SHOWN].hex()})
    shown = {
        key: cut(value) if isinstance(value, str) else value
        for key, value in found.arguments.items()
    }
    return RevertedError(call, found.name, shown)


def in_seconds(block: Block, place: str) -> Block:
    """Return a block whose time is in seconds.

    Raises
    ------
    ChainError
        It is in nanoseconds, as on a chain with raft; no deadline in seconds works there.
    """
    if block.seconds >= MAX_TIME:
        raise ChainError(
            place,
            "the times of its blocks are not seconds since 1970 but probably nanoseconds, as with "
            "raft; the deadlines of a settlement need a chain that counts seconds (IBFT, QBFT, "
            "Clique)",
        )
    return block
