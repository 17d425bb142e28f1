"""Chains: where a settlement lives. A new kind of chain is a new class here.

A chain sends transactions for the accounts whose keys it holds, one at a time, each until it
stands. What a process that was killed had sent is found on the chain by whoever continues, so
nothing is written to disk.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import requests
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import BlockNumber, ChecksumAddress
from web3 import EthereumTesterProvider, HTTPProvider, IPCProvider, Web3
from web3.exceptions import (
    BlockNotFound,
    ContractLogicError,
    TransactionNotFound,
    Web3Exception,
    Web3RPCError,
)
from web3.middleware import ExtraDataToPOAMiddleware
from web3.types import BlockIdentifier

from tradefl.settlement import recursion
from tradefl.settlement.agreement import checksum
from tradefl.settlement.contract import (
    ChainError,
    Event,
    RevertedError,
    decoded_event,
    decoded_result,
    encoded_call,
    reverted,
)
from tradefl.settlement.stand_ins import stand_in_key

recursion.restore()

T = TypeVar("T")

# The most gas that one transaction may use on Ethereum (EIP-7825); ours stay below it everywhere.
GAS_LIMIT = 16_777_216
POLL_SECONDS = 0.02
RICH = 10**33  # wei of an account on the embedded chain: more than any bond


class RefusedError(ChainError):
    """The node answered with an error."""

    @property
    def is_overtaken(self) -> bool:
        """Whether another transaction of the account, by another process, waits in its place."""
        return "underpriced" in str(self).lower()

    @property
    def is_known(self) -> bool:
        """Whether the node refuses because it has the transaction already, or another instead."""
        known = ("already known", "known transaction", "already imported", "nonce too low")
        return any(words in str(self).lower() for words in known)


class NoAnswerError(ChainError):
    """The node did not answer, or took no transaction; it may later."""


class StateChangedError(Exception):
    """What was read of the chain is out of date: read again, and go on from there."""


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
            raise NoAnswerError(self.place, f"no answer from the node: {_outage(error)}") from None
        except (TransactionNotFound, BlockNotFound, ContractLogicError):
            raise
        except Web3RPCError as error:
            raise RefusedError(self.place, f"the node refuses: {_reason(error)}") from None
        except (Web3Exception, ValueError, TypeError, AttributeError) as error:
            # What is no node answers anything.
            raise ChainError(self.place, f"unexpected answer: {_reason(error)}") from None

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

    def now(self) -> int:
        """Return the time of the latest block, seconds since 1970."""
        return int(self.ask(lambda: self.web3.eth.get_block(self._at))["timestamp"])

    def head(self) -> str:
        """Return the hash of the latest block."""
        return _hex(self.ask(lambda: self.web3.eth.get_block("latest"))["hash"])

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

    def balance(self, address: str) -> int:
        """Return what an account has, wei."""
        return int(self.ask(lambda: self.web3.eth.get_balance(_account(address), self._at)))

    def code(self, address: str) -> bytes:
        """Return the code at an address; empty where there is no contract."""
        return bytes(self.ask(lambda: self.web3.eth.get_code(_account(address))))

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

    def _call(self, transaction: dict[str, Any], call: str) -> bytes:
        """Return what a call returns, without a transaction."""
        asked: Any = {**self.reader, **transaction}
        try:
            return bytes(self.ask(lambda: self.web3.eth.call(asked, self._at)))
        except self.refusals as error:
            raise reverted(call, _revert_data(error)) from None

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


class EmbeddedChain(Chain):
    """An Ethereum in this process, gone with it: nothing to install, nothing to start.

    Its accounts are the stand-ins of the organizations, and two more: ``operator``, who deploys
    and does what anyone may do, and ``verifier``, for agreements that have one.
    """

    def __init__(self, size: int) -> None:
        from eth_tester import EthereumTester, PyEVMBackend
        from eth_tester.exceptions import TransactionFailed

        keys = [Account.from_key(stand_in_key(i)) for i in range(size + 2)]
        rich = {"balance": RICH, "nonce": 0, "code": b"", "storage": {}}
        backend = PyEVMBackend(
            genesis_parameters=PyEVMBackend.generate_genesis_params({"gas_limit": 2 * GAS_LIMIT}),
            genesis_state={bytes.fromhex(key.address[2:]): dict(rich) for key in keys},
        )
        self._tester = EthereumTester(backend)
        self._receipts: list[Any] = []
        self.refusals = (ContractLogicError, TransactionFailed)
        super().__init__(
            Web3(EthereumTesterProvider(self._tester)),
            [KeySigner(key) for key in keys],
            "the embedded chain",
        )
        self.operator, self.verifier = (str(key.address) for key in keys[size:])
        # This chain charges even for a view, and stops it at a block's gas.
        self.reader = {"from": self.operator, "gas": GAS_LIMIT}
        recursion.restore()

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Read as it is: nobody else is on this chain."""
        yield

    def events(
        self, contract: str | None, first_block: int = 0, topics: Sequence[bytes] = ()
    ) -> list[Event]:
        """Return the events of a contract, from the receipts: this chain is slow at searching."""
        logs = [
            log
            for receipt in self._receipts
            if receipt["blockNumber"] >= first_block
            for log in receipt["logs"]
            if (contract is None or checksum(log["address"]) == checksum(contract))
            and list(map(bytes, log["topics"]))[: len(topics)] == list(topics)
        ]
        return self._decoded(logs)

    def transact(
        self, sender: str, *, to: str | None, data: bytes, value: int = 0, call: str
    ) -> Receipt:
        """Send a transaction; it is in a block at once."""
        signer = self.signers[sender]
        assert isinstance(signer, KeySigner)  # noqa: S101  this chain has no others
        transaction = {
            "nonce": self.web3.eth.get_transaction_count(_account(sender)),
            "gas": GAS_LIMIT,  # not estimated: that would run it several times
            "maxFeePerGas": 10**12,
            "maxPriorityFeePerGas": 1,
            "value": value,
            "data": data,
            "chainId": self.chain_id,
        } | ({"to": to} if to is not None else {})
        signed = signer.key.sign_transaction(transaction)  # type: ignore[arg-type]
        hash_ = self.web3.eth.send_raw_transaction(signed.raw_transaction)
        found = self.web3.eth.get_transaction_receipt(hash_)
        if found["status"] != 1:
            self._call({"from": sender, "to": to, "data": data, "value": value}, call)  # says why
            raise RevertedError(call, "revert", {})
        self._receipts.append(found)
        return Receipt(
            hash="0x" + bytes(hash_).hex(),
            gas=int(found["gasUsed"]),
            block=int(found["blockNumber"]),
            contract=found.get("contractAddress"),
        )

    def pass_time(self, until: int) -> bool:
        """Move the clock to just after ``until``."""
        if self.now() <= until:
            self._tester.time_travel(until + 1)
            self._tester.mine_block()
        return True


class _PatientProvider(HTTPProvider):
    """HTTP that survives a node's hiccups: what failed on the way is asked again.

    Asking again is safe: every transaction carries its nonce, so it can stand once only.
    """

    patience = 0.0  # seconds

    def make_request(self, method: Any, params: Any) -> Any:
        """Ask the node; after a failure on the way, again and again with growing pauses."""
        started, pause = time.monotonic(), 0.05
        while True:
            try:
                return super().make_request(method, params)
            except requests.HTTPError as error:
                busy = error.response is not None and (
                    error.response.status_code >= 500 or error.response.status_code == 429
                )
                if not busy or time.monotonic() - started > self.patience:
                    raise
            except (requests.ConnectionError, requests.Timeout):
                if time.monotonic() - started > self.patience:
                    raise
            time.sleep(pause)
            pause = min(2.0 * pause, 2.0)


class RpcChain(Chain):
    """Any Ethereum JSON-RPC node: anvil, geth, Besu.

    Parameters
    ----------
    url
        ``http://...``, ``https://...``, or the path of an IPC socket.
    signers
        The accounts that this process may use.
    confirmations
        How many blocks must lie on top of a transaction before it counts.
    timeout
        How long to wait for the node and for a transaction, seconds.
    bump_after
        After how many seconds without a block a transaction is sent again with higher fees.
    patience
        How long an outage of the node may last before it is an error, seconds; default: timeout.
    """

    def __init__(
        self,
        url: str,
        signers: Iterable[KeySigner | NodeSigner] = (),
        *,
        confirmations: int = 0,
        timeout: float = 120.0,
        bump_after: float = 30.0,
        patience: float | None = None,
    ) -> None:
        self.confirmations, self.timeout, self.bump_after = confirmations, timeout, bump_after
        provider: HTTPProvider | IPCProvider
        if url.startswith(("http://", "https://")):
            provider = _PatientProvider(
                url, request_kwargs={"timeout": 30.0}, exception_retry_configuration=None
            )
        elif url and "://" not in url:
            provider = IPCProvider(url)
        else:
            raise ChainError(
                "--rpc", f"expected http://, https:// or an IPC path, got {_anonymous(url)}"
            )
        web3 = Web3(provider)
        # Clique and QBFT put signatures into a field that web3 would refuse as too long.
        web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        super().__init__(web3, signers, _anonymous(url))
        if isinstance(provider, _PatientProvider):
            provider.patience = (
                timeout if patience is None else patience
            )  # it answered: from now on an outage is temporary

    def unlocked(self) -> list[str]:
        """Return the accounts that the node signs for."""
        try:
            return self.ask(lambda: [checksum(one) for one in self.web3.eth.accounts])
        except RefusedError:
            return []  # a node that does not know the question signs for nobody

    def events(
        self, contract: str | None, first_block: int = 0, topics: Sequence[bytes] = ()
    ) -> list[Event]:
        """Return the events of a contract; ranges that are too large for the node are halved."""
        wanted: dict[str, Any] = {"topics": ["0x" + one.hex() for one in topics]}
        if contract is not None:
            wanted["address"] = _account(contract)
        last = self._height() if self.block is None else self.block
        return self._decoded(self._logs(wanted, first_block, last))

    def transact(
        self, sender: str, *, to: str | None, data: bytes, value: int = 0, call: str
    ) -> Receipt:
        """Send a transaction and wait until it stands under its confirmations."""
        self._require_idle(sender)
        body: dict[str, Any] = {"from": sender, "value": value, "data": "0x" + data.hex()}
        if to is not None:
            body["to"] = to
        fees = self._fees()
        body["gas"] = self._gas(body, call, fees)
        body["nonce"] = self.ask(lambda: int(self.web3.eth.get_transaction_count(_account(sender))))
        body["chainId"] = self.chain_id
        started = time.monotonic()
        sent: list[str] = []
        while True:
            sent.append(self._send(sender, body | fees))
            patience = min(self.bump_after, self.timeout - (time.monotonic() - started))
            receipt = self._wait(sent, patience)
            if receipt is not None:
                return self._confirmed(receipt)
            if time.monotonic() - started >= self.timeout:
                raise NoAnswerError(
                    self.place,
                    f"{call}: no block took the transaction {sent[-1]} within "
                    f"{self.timeout:g} s; run the command again, it continues",
                )
            # A quarter more: nodes replace a waiting transaction from a tenth on.
            fees = {key: fee + fee // 4 + 1 for key, fee in fees.items()}

    def now(self) -> int:
        """Return the time of the next block: some chains make one only when there is a reason."""
        latest = super().now()
        try:
            pending = self.ask(lambda: self.web3.eth.get_block("pending"))
        except (BlockNotFound, ChainError):
            return latest  # not every node knows a pending block
        return max(latest, int(pending.get("timestamp") or 0))

    def pass_time(self, until: int) -> bool:  # noqa: ARG002
        """Do nothing: real time passes by itself."""
        return False

    def _logs(self, wanted: dict[str, Any], first: int, last: int) -> list[Any]:
        if first > last:
            return []
        try:
            span: Any = wanted | {"fromBlock": first, "toBlock": last}
            return list(self.ask(lambda: self.web3.eth.get_logs(span)))
        except RefusedError:  # too many blocks, or too many logs, for this node
            if first == last:
                raise
            middle = (first + last) // 2
            return self._logs(wanted, first, middle) + self._logs(wanted, middle + 1, last)

    def _require_idle(self, sender: str) -> None:
        """Wait for what the account has sent before; then the state must be read again."""

        def count(block: Any) -> int:
            return int(
                self.ask(lambda: self.web3.eth.get_transaction_count(_account(sender), block))
            )

        if count("pending") <= count("latest"):
            return
        started = time.monotonic()
        while count("pending") > count("latest"):
            if time.monotonic() - started > self.timeout:
                raise NoAnswerError(
                    self.place,
                    f"{sender} has transactions that no block takes; wait, or replace them",
                )
            time.sleep(POLL_SECONDS)
        raise StateChangedError

    def _fees(self) -> dict[str, int]:
        block = self.ask(lambda: self.web3.eth.get_block("latest"))
        base = block.get("baseFeePerGas")
        if base is None:  # a chain from before London, or one without fees
            return {"gasPrice": int(self.ask(lambda: self.web3.eth.gas_price))}
        tip = int(self.ask(lambda: self.web3.eth.max_priority_fee))
        return {"maxFeePerGas": 2 * int(base) + tip, "maxPriorityFeePerGas": tip}

    def _gas(self, body: dict[str, Any], call: str, fees: dict[str, int]) -> int:
        """Return how much gas to offer; a call that the contract refuses ends here."""
        try:
            needed = self._estimated(body)
        except self.refusals as error:
            raise reverted(call, _revert_data(error)) from None
        except ChainError as error:
            self._require_funds(body, 21_000 * max(fees.values()), call)
            raise error from None
        gas = min(needed + needed // 4, max(needed, GAS_LIMIT))
        self._require_funds(body, gas * max(fees.values()), call)
        return gas

    def _estimated(self, body: Any) -> int:
        """Return the gas of a call in the next block, at the time of that block."""
        try:
            return int(self.ask(lambda: self.web3.eth.estimate_gas(body, "pending")))
        except RefusedError:  # not every node knows a pending block
            return int(self.ask(lambda: self.web3.eth.estimate_gas(body)))

    def _require_funds(self, body: dict[str, Any], fee: int, call: str) -> None:
        needed, has = body["value"] + fee, self.balance(body["from"])
        if has < needed:
            raise ChainError(
                body["from"],
                f"{call} needs up to {needed:,} wei ({body['value']:,} and the fee), "
                f"the account has {has:,}",
            )

    def _send(self, sender: str, body: dict[str, Any]) -> str:
        """Send a transaction and return its hash; one that the node has already is fine."""
        signer = self.signers[sender]
        if isinstance(signer, NodeSigner):
            try:
                return _hex(self.ask(lambda: self.web3.eth.send_transaction(body)))  # type: ignore[arg-type]
            except RefusedError as error:
                # Known: the answer got lost, and with it the hash.
                if error.is_known or error.is_overtaken:
                    raise StateChangedError from None
                raise
        unsigned = {key: value for key, value in body.items() if key != "from"}
        signed = signer.key.sign_transaction(unsigned)
        try:
            self.ask(lambda: self.web3.eth.send_raw_transaction(signed.raw_transaction))
        except RefusedError as error:
            if error.is_overtaken:
                raise StateChangedError from None
            if not error.is_known:
                raise
        return _hex(signed.hash)

    def _wait(self, sent: Sequence[str], patience: float) -> Receipt | None:
        """Return the receipt of the one of these transactions that stands, if one does in time."""
        until = time.monotonic() + patience
        while True:
            for hash_ in sent:
                receipt = self.receipt(hash_)
                if receipt is not None:
                    return receipt
            if time.monotonic() >= until:
                return None
            time.sleep(POLL_SECONDS)

    def _confirmed(self, receipt: Receipt) -> Receipt:
        """Wait for the confirmations, and look whether the transaction still stands then."""
        started = time.monotonic()
        while self._height() < receipt.block + self.confirmations:
            if time.monotonic() - started > self.timeout:
                raise NoAnswerError(
                    self.place,
                    f"no {self.confirmations} blocks on top of {receipt.hash} within "
                    f"{self.timeout:g} s; fewer --confirmations, or a longer --timeout",
                )
            time.sleep(POLL_SECONDS)
        found = self.receipt(receipt.hash)
        if found is None or found.block != receipt.block or not found.succeeded:
            raise StateChangedError
        return found


def _account(address: str) -> ChecksumAddress:
    return Web3.to_checksum_address(address)


def _hex(data: bytes) -> str:
    return "0x" + bytes(data).hex()


def _reason(error: BaseException) -> str:
    """Return an error in one line, without a password that an address might carry."""
    text = str(error).strip() or type(error).__name__
    return _anonymous(" ".join(text.split()))[:300]


def _outage(error: BaseException) -> str:
    """Return why a node did not answer, in a few words."""
    text = _reason(error)
    for words, meaning in (
        ("Connection refused", "connection refused; is it running?"),
        ("timed out", "timed out"),
        ("No such file", "no such socket; is it running?"),
        ("Name or service not known", "there is no such host"),
    ):
        if words in text:
            return meaning
    return text


def _anonymous(text: str) -> str:
    """Return text without the user and password of any URL in it."""
    return re.sub(r"//\S*@", "//", text)


def _revert_data(error: BaseException) -> bytes:
    """Return what a revert carried, from the error of whichever backend reports it."""
    candidates = [getattr(error, "data", None), *error.args]
    for one in candidates:
        if isinstance(one, bytes):
            return one
        if isinstance(one, str) and re.fullmatch(r"0x([0-9a-fA-F]{2})*", one):
            return bytes.fromhex(one[2:])
        # eth-tester puts the bytes into its sentence as Python would print them.
        if isinstance(one, str) and (printed := re.search(r"b(['\"]).*\1$", one, re.DOTALL)):
            return bytes(ast.literal_eval(printed[0]))
    return b""
