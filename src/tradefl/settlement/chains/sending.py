"""One transaction: signed, recorded, sent, replaced by a dearer one while it waits, confirmed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from tradefl.settlement.chains.answers import (
    NoAnswerError,
    RefusedError,
    StateChangedError,
    UnexpectedAnswerError,
    quantity,
    word,
)
from tradefl.settlement.chains.base import KeySigner, NodeSigner, Receipt
from tradefl.settlement.chains.estimates import Estimates
from tradefl.settlement.chains.fees import (
    FeeCapError,
    FeeCaps,
    Offer,
    ether,
    gwei,
    offer,
    replacement,
)
from tradefl.settlement.chains.journal import Book, Sending, Signed
from tradefl.settlement.chains.messages import (
    RECEIPT,
    encoded,
    numbered,
    signature,
    wanted_sending,
)
from tradefl.settlement.chains.messages import receipt as parsed_receipt
from tradefl.settlement.chains.nodes import Node
from tradefl.settlement.chains.polling import Poll
from tradefl.settlement.chains.reading import LAG_SECONDS, Used
from tradefl.settlement.contract import ChainError
from tradefl.settlement.ethereum import checksum

LOOK_SECONDS = 2.0  # between two looks at what blocks ask while a transaction waits
REPEATS = 3  # how often a node may show a deposit's receipt and no deposit
INSTANT_SECONDS = 0.25  # a chain that is so fast so often mines on demand


class Transactions(Estimates):
    """Transactions that a chain carries out once, whatever becomes of single messages.

    Parameters
    ----------
    url, signers, patience, timeout, caps
        As in :class:`~tradefl.settlement.chains.estimates.Estimates`.
    confirmations
        How many blocks must follow a transaction's block before it counts.
    bump_after
        After how many seconds without a block a transaction is replaced.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        signers: Iterable[KeySigner | NodeSigner],
        patience: float,
        timeout: float,
        caps: FeeCaps,
        confirmations: int,
        bump_after: float,
    ) -> None:
        self.confirmations, self.bump_after = confirmations, bump_after
        super().__init__(url, signers, patience, timeout, caps)
        self.spent = 0  # wei: the most that this run's transactions can have cost
        self._counted: Sending | None = None  # the last transaction whose cost is in it
        self._instant = 0  # how many own transactions in a row were in a block at once

    def _prepared(
        self, sender: str, to: str | None, data: bytes, value: int, call: str, nonce: int
    ) -> tuple[Sending, Offer]:
        """Return a transaction that the contract would accept now, and what to offer for it."""
        body: dict[str, Any] = {"from": sender, "value": value, "data": data}
        if to is not None:
            body["to"] = checksum(to)
        first = offer(self.ask_fees(), self.caps, pay_suggested=self._pays_suggested)
        gas = self._gas(body, call, first.most)
        wanted = wanted_sending(to, value, data, call)
        return dataclasses.replace(wanted, nonce=nonce, gas=gas, signed=[]), first

    def _carried(
        self, sender: str, sending: Sending, book: Book, first: Offer | None = None
    ) -> Receipt:
        """Sign and send a transaction until it is in a block; replace it while it waits.

        Parameters
        ----------
        sender, sending
            The transaction.
        book
            Where it is recorded before it is sent.
        first
            What to offer for it; ``None``: it has been signed before.
        """
        started = time.monotonic()
        if first is not None:
            self._sign(sender, sending, first, book)
            self._send(sender, sending, book)
            stopped = ""
        elif (self.ask_fees().base_fee or 0) > sending.signed[-1].offer.most:
            stopped = self._replaced(sender, sending, book)
        else:
            self._send(sender, sending, book, again=True)
            stopped = ""
        poll, looked, replaced = Poll(self.timeout), started, started
        gone = 0
        while True:
            receipt = self._found(sending)
            if receipt is not None:
                break
            now = time.monotonic()
            if now - started >= self.timeout:
                raise NoAnswerError(self.place, self._waits(sending, stopped))
            if now - looked >= min(LOOK_SECONDS, self.bump_after):
                looked = now
                gone = gone + 1 if self._count(sender) > sending.nonce else 0
                if gone > REPEATS or (gone and not any(signed.hash for signed in sending.signed)):
                    self._require_lost(sending)
                    self._forget(sending, book)
                    raise StateChangedError  # another transaction has this nonce
                asked = self.ask_fees().base_fee or 0
                if now - replaced >= self.bump_after or asked > sending.signed[-1].offer.most:
                    replaced = now
                    stopped = self._replaced(sender, sending, book)
            poll.wait()
        at_once = time.monotonic() - started < INSTANT_SECONDS
        self._instant = self._instant + 1 if at_once else 0
        confirmed = self._confirmed(receipt)
        self._forget(sending, book)
        self._used[sender] = Used(sending.nonce + 1, confirmed.block, confirmed.block_hash)
        self._floor = self._used[sender]
        self._own.extend(confirmed.logs)
        return confirmed

    def _require_lost(self, sending: Sending) -> None:
        """Check that a transaction without a receipt, whose nonce is used, is not known at all."""
        for signed in sending.signed:
            if signed.hash and self.sent(signed.hash)[0]:
                raise NoAnswerError(
                    self.place,
                    f"{sending.call}: the node knows the transaction {signed.hash} and gives no "
                    "receipt of it; use a node that keeps receipts",
                )

    def _forget(self, sending: Sending, book: Book) -> None:
        """Forget a transaction that is done; a deposit stays recorded until it is back."""
        if book.waiting.pop(sending.nonce, None) is not None:
            book.save()

    def _waits(self, sending: Sending, stopped: str) -> str:
        """Say what a transaction that no block took offers, and what blocks ask."""
        last = next((signed.hash for signed in reversed(sending.signed) if signed.hash), "")
        offered = sending.signed[-1].offer
        cap = f"; `{stopped}` stops a higher offer" if stopped else ""
        try:
            asked = self.ask_fees().sentence
        except ChainError:
            asked = "what blocks ask is not known"
        return (
            f"{sending.call}: no block took the transaction {last} within {self.timeout:g} s; it "
            f"offers {gwei(offered.most)} gwei per gas, {asked}{cap}; run the command again, it "
            "continues with the same transaction"
        )

    def _replaced(self, sender: str, sending: Sending, book: Book) -> str:
        """Offer more for a waiting transaction; return the cap that stops it, if one does.

        Where nothing more may be offered the transaction is sent again as it is: the node may
        have lost it.
        """
        more, stopped = replacement(sending.signed[-1].offer, self.ask_fees(), self.caps)
        if more is not None:
            try:
                self._require_total(sender, sending, more)
                if self.balance(sender) < sending.value + sending.gas * more.most:
                    more = None
            except FeeCapError as error:
                more, stopped = None, error.parameter
        if more is not None:
            self._sign(sender, sending, more, book)
        self._send(sender, sending, book, again=True)
        return stopped

    def _require_total(self, sender: str, sending: Sending, offered: Offer) -> int:
        """Return what this run can have spent on fees at most with one signature more.

        Of the signatures under one transaction only one is paid for, the dearest at worst. What
        was signed by an earlier run counts as well.

        Raises
        ------
        FeeCapError
            It is more than a run may spend.
        """
        if isinstance(self.signers[sender], NodeSigner):
            return self.spent  # the node has the key: no cap of ours would stop it
        cost = sending.gas * offered.most
        before = max((sending.gas * signed.offer.most for signed in sending.signed), default=0)
        total = self.spent + (cost if sending is not self._counted else max(0, cost - before))
        if total > self.caps.max_total_fee:
            raise FeeCapError(
                "max_total_fee",
                sender,
                f"this transaction may cost {ether(cost)} ether in fees, those before it "
                f"{ether(self.spent)} ether, and `max_total_fee` is "
                f"{ether(self.caps.max_total_fee)} ether; raise it to continue",
            )
        return total

    def _sign(self, sender: str, sending: Sending, offered: Offer, book: Book) -> None:
        """Sign a transaction and record that before anything is sent."""
        self.spent = self._require_total(sender, sending, offered)
        signer = self.signers[sender]
        if isinstance(signer, NodeSigner):
            sending.signed.append(Signed("", "", offered))
        else:
            self._counted = sending
            raw, hash_ = signature(signer.key, sending, offered, self.chain_id)
            sending.signed.append(Signed(hash_, raw, offered))
        book.save()

    def _send(self, sender: str, sending: Sending, book: Book, *, again: bool = False) -> None:
        """Send the last signature under a transaction; one that the node has already is fine."""
        try:
            self._broadcast(sender, sending, book)
        except UnexpectedAnswerError:
            return  # it may have arrived: the receipt tells
        except RefusedError as error:
            if error.is_overtaken and not again:
                self._forget(sending, book)
                raise StateChangedError from None  # another process uses the account
            if error.is_known or error.is_overtaken:
                if not any(signed.hash for signed in sending.signed):
                    raise StateChangedError from None  # the answer got lost, and with it the hash
                return
            if error.is_underpriced:
                if not again:
                    self._send_suggested(sender, sending, book, error)
                return  # a cap keeps it where it is: it waits
            if not again:
                self._forget(sending, book)
            raise

    def _send_suggested(
        self, sender: str, sending: Sending, book: Book, error: RefusedError
    ) -> None:
        """Offer what the node suggests: it charges although its base fee is 0."""
        self._pays_suggested = True
        fresh = offer(self.ask_fees(), self.caps, pay_suggested=True)
        old = sending.signed[-1].offer
        if fresh.most <= old.most and (fresh.priority or 0) <= (old.priority or 0):
            self._forget(sending, book)
            raise RefusedError(
                self.place,
                f"{sending.call}: {error.problems[0].message}; it offers {gwei(old.most)} gwei per "
                f"gas and a priority fee of {gwei(old.priority or 0)}, `max_fee` is "
                f"{gwei(self.caps.max_fee)} and `max_priority_fee` "
                f"{gwei(self.caps.max_priority_fee)}",
            )
        body = {"from": sender, "value": sending.value}
        self._require_funds(body, sending.gas * fresh.most, sending.call)
        self._sign(sender, sending, fresh, book)
        self._send(sender, sending, book)

    def _broadcast(self, sender: str, sending: Sending, book: Book) -> None:
        last = sending.signed[-1]
        if last.raw:
            for node in self.nodes[1:]:
                with suppress(ChainError):  # the first one decides; this one only helps
                    node.ask("eth_sendRawTransaction", last.raw, parse=word, patience=0.0)
            self.node.ask("eth_sendRawTransaction", last.raw, parse=word)
            return
        body = {
            "from": sender,
            "value": sending.value,
            "data": sending.data,
            "gas": sending.gas,
            "nonce": sending.nonce,
            **last.offer.fields,
        } | ({"to": sending.to} if sending.to else {})
        found = self.node.ask("eth_sendTransaction", encoded(body), parse=word)
        sending.signed[-1] = dataclasses.replace(last, hash="0x" + found.hex())
        book.save()

    def _found(self, sending: Sending) -> Receipt | None:
        """Return the receipt of one of the signatures under a transaction."""
        for signed in sending.signed:
            if signed.hash:
                receipt = self.node.ask_for(RECEIPT, signed.hash, parse=parsed_receipt)
                if receipt is not None:
                    return receipt
        return None

    def _confirmed(self, receipt: Receipt) -> Receipt:
        """Wait for the confirmations; check that every node then has the transaction."""
        poll = Poll(self.timeout)
        while self.node.ask("eth_blockNumber", parse=quantity) < receipt.block + self.confirmations:
            if not poll.wait():
                raise NoAnswerError(
                    self.place,
                    f"no {self.confirmations} blocks on top of {receipt.hash} within "
                    f"{self.timeout:g} s; fewer `confirmations`, or a longer `timeout`",
                )
        for node in self.nodes:
            self._require_receipt(node, receipt)
        return receipt

    def _require_receipt(self, node: Node, receipt: Receipt) -> None:
        """Check that a node has a receipt, too, once it has caught up.

        Raises
        ------
        StateChangedError
            A reorganization has dropped it.
        DisagreementError
            The node has another one.
        """
        poll = Poll(LAG_SECONDS)
        while True:
            found = node.ask_for(RECEIPT, receipt.hash, parse=parsed_receipt)
            if found == receipt:
                return
            header = numbered(self.node, receipt.block)
            if header is None or header.hash != receipt.block_hash:
                raise StateChangedError
            if not poll.wait():
                if node is self.node:
                    raise StateChangedError
                self._disagreed(
                    f"the receipt of {receipt.hash}",
                    [found if other is node else receipt for other in self.nodes],
                )
