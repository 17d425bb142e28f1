"""A chain behind a JSON-RPC node."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import requests
from web3 import HTTPProvider, IPCProvider, Web3
from web3.exceptions import BlockNotFound
from web3.middleware import ExtraDataToPOAMiddleware

from tradefl.settlement.agreement import checksum
from tradefl.settlement.chains.answers import (
    NoAnswerError,
    RefusedError,
    StateChangedError,
    account_of,
    anonymous,
    hex_of,
    revert_data,
)
from tradefl.settlement.chains.base import GAS_LIMIT, Chain, KeySigner, NodeSigner, Receipt
from tradefl.settlement.contract import ChainError, Event, reverted

POLL_SECONDS = 0.02


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


ON_DEMAND_SECONDS, ON_DEMAND_INTERVAL = 0.5, 15


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
        self._on_demand = False
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
                "--rpc", f"expected http://, https:// or an IPC path, got {anonymous(url)}"
            )
        web3 = Web3(provider)
        # Clique and QBFT put signatures into a field that web3 would refuse as too long.
        web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        super().__init__(web3, signers, anonymous(url))
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
            wanted["address"] = account_of(contract)
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
        body["nonce"] = self.ask(
            lambda: int(self.web3.eth.get_transaction_count(account_of(sender)))
        )
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

    def fee_of(self, gas: int) -> int:
        """Return what a transaction with so much gas is offered for now, wei."""
        return gas * max(self._fees().values())

    def mine(self, blocks: int, sender: str) -> bool:
        """Send empty transactions to oneself if no block comes without them."""
        if not self._mines_on_demand():
            return False
        for _ in range(blocks):
            self.transact(sender, to=sender, data=b"", call="empty transaction")
        return True

    def _mines_on_demand(self) -> bool:
        """Look for a second whether blocks come by themselves; look again if one has."""
        if not self._on_demand:
            head, until = self.head(), time.monotonic() + ON_DEMAND_SECONDS
            while time.monotonic() < until:
                time.sleep(POLL_SECONDS)
                if self.head() != head:
                    return False
            latest, before = self._height(), 0
            if latest:
                times = [
                    int(self.ask(lambda n=n: self.web3.eth.get_block(n))["timestamp"])  # type: ignore[misc]
                    for n in (latest - 1, latest)
                ]
                before = times[1] - times[0]
            if 0 < before <= ON_DEMAND_INTERVAL:
                # Perhaps one every so many seconds: then the next one is still to come.
                until += 2.0 * before
                while time.monotonic() < until:
                    time.sleep(POLL_SECONDS)
                    if self.head() != head:
                        return False
            self._on_demand = True
        return self._on_demand

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
                self.ask(lambda: self.web3.eth.get_transaction_count(account_of(sender), block))
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
            raise reverted(call, revert_data(error)) from None
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
                return hex_of(self.ask(lambda: self.web3.eth.send_transaction(body)))  # type: ignore[arg-type]
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
        return hex_of(signed.hash)

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
