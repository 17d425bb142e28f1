"""What a transaction needs: gas, and what blocks ask for it; and what a refusal means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from tradefl.settlement.chains.answers import (
    ALWAYS_FAILING,
    RefusedError,
    RevertedAnswer,
    StateChangedError,
    UnexpectedAnswerError,
    data,
    quantity,
)
from tradefl.settlement.chains.base import GAS_LIMIT, KeySigner, NodeSigner, refusal
from tradefl.settlement.chains.fees import Ask, FeeCaps, offer
from tradefl.settlement.chains.logs import Logs
from tradefl.settlement.chains.messages import encoded
from tradefl.settlement.chains.polling import Poll
from tradefl.settlement.contract import ChainError

EMPTY_GAS = 21_000


class Estimates(Logs):
    """Gas and fees, from nodes that know more or less about the next block.

    Parameters
    ----------
    url, signers, patience
        As in :class:`~tradefl.settlement.chains.reading.Reading`.
    timeout
        How long to wait for the next block, seconds.
    caps
        What may be offered.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        signers: Iterable[KeySigner | NodeSigner],
        patience: float,
        timeout: float,
        caps: FeeCaps,
    ) -> None:
        self.timeout, self.caps = timeout, caps
        self.spending = caps.sentence
        super().__init__(url, signers, patience)
        self._estimates_pending = True
        self._pays_suggested = False

    def fee_of(self, gas: int) -> int:
        """Return what a transaction with so much gas is offered for now, wei."""
        return gas * offer(self.ask_fees(), self.caps, pay_suggested=self._pays_suggested).most

    def ask_fees(self) -> Ask:
        """Return what blocks ask now; what the node does not know counts as nothing."""
        base = self._latest().base_fee
        if base is None:
            return Ask(None, self._suggested("eth_gasPrice") or 0)
        tip = self._suggested("eth_maxPriorityFeePerGas")
        if tip is None:
            price = self._suggested("eth_gasPrice")
            tip = 0 if price is None else max(0, price - base)
        return Ask(base, tip)

    def _suggested(self, method: str) -> int | None:
        try:
            return self.node.ask(method, parse=quantity)
        except (RefusedError, UnexpectedAnswerError):
            return None

    def _gas(self, body: dict[str, Any], call: str, price: int) -> int:
        """Return how much gas to offer; a call that the contract refuses ends here."""
        try:
            needed = self._estimated_again(body, call)
        except RefusedError as error:
            self._require_funds(body, EMPTY_GAS * price, call)
            if any(words in str(error).lower() for words in ALWAYS_FAILING):
                self._refused(body, call, self._simulated(body, call))
            raise
        most = self.block_gas_limit()
        if needed > most:
            raise ChainError(
                self.place,
                f"{call} needs {needed:,} gas, but a block of this chain holds {most:,}; agree on "
                "smaller blocks (organizations_per_block, pairs_per_block), or raise the chain's "
                "block gas limit",
            )
        gas = min(needed + needed // 4, max(needed, GAS_LIMIT), most)
        self._require_funds(body, gas * price, call)
        return gas

    def _estimated_again(self, body: dict[str, Any], call: str) -> int:
        """Return an estimate; one that is refused though the call is accepted may be stale."""
        for _ in range(2):
            try:
                return self._estimated(body)
            except RevertedAnswer as error:
                if self._refuses_now(body):
                    self._refused(body, call, error.data)
        try:
            return self._estimated(body)
        except RevertedAnswer as error:
            self._refused(body, call, error.data)

    def _estimated(self, body: dict[str, Any]) -> int:
        """Return the gas of a call in the next block, at the time of that block."""
        asked = encoded(body)
        if self._estimates_pending:
            try:
                return self.node.ask("eth_estimateGas", asked, "pending", parse=quantity)
            except RevertedAnswer:
                raise
            except (RefusedError, UnexpectedAnswerError) as error:
                # Some nodes have no pending block, and old ones accept one argument only.
                found = self._estimated_plainly(asked, error)
                self._estimates_pending = False
                return found
        return self.node.ask("eth_estimateGas", asked, parse=quantity)

    def _estimated_plainly(self, asked: dict[str, Any], first: ChainError) -> int:
        try:
            return self.node.ask("eth_estimateGas", asked, parse=quantity)
        except RevertedAnswer:
            self._estimates_pending = False
            raise
        except RefusedError as error:
            if any(words in str(error).lower() for words in ALWAYS_FAILING):
                self._estimates_pending = False
                raise
            raise first from None

    def _simulated(self, body: dict[str, Any], call: str) -> bytes:
        """Return the error that a call ends with, where an estimate does not say it."""
        try:
            found = self.node.ask("eth_call", encoded(body), "latest", parse=data)
        except RevertedAnswer as error:
            return error.data
        # An old geth answers what a revert carries as if the call had returned it.
        return found if refusal(call, found).name != "revert" else b""

    def _refused(self, body: dict[str, Any], call: str, carried: bytes) -> NoReturn:
        """Raise what a refusal means: the contract's error, or that somebody was faster.

        The estimate was made on the pending block. If the call would be accepted now, and
        transactions wait for the next block, then one of them comes before ours. Only the next
        block can change what the state says.
        """
        error = refusal(call, carried)
        pending = self.header("pending") if self._estimates_pending else None
        if pending is not None and pending.transactions and not self._refuses_now(body):
            self._next_block()
            raise StateChangedError
        raise error

    def _refuses_now(self, body: dict[str, Any]) -> bool:
        try:
            self.node.ask("eth_call", encoded(body), hex(self.height()), parse=data)
        except RevertedAnswer:
            return True
        return False

    def _next_block(self) -> None:
        """Wait for the next block, as long as for a transaction."""
        height, poll = self.height(), Poll(self.timeout)
        while self.height() <= height and poll.wait():
            pass

    def _require_funds(self, body: dict[str, Any], fee: int, call: str) -> None:
        needed = body["value"] + fee
        has = self.balance(body["from"])
        if has < needed:
            raise ChainError(
                body["from"],
                f"{call} needs up to {needed:,} wei ({body['value']:,} and the fee), "
                f"the account has {has:,}",
            )
