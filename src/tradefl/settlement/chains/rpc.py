"""A chain behind JSON-RPC nodes: anvil, geth, Besu, GoQuorum, providers.

Each file adds one subject: :mod:`~tradefl.settlement.chains.reading`, then
:mod:`~tradefl.settlement.chains.logs`, :mod:`~tradefl.settlement.chains.estimates` (what a
transaction needs) and :mod:`~tradefl.settlement.chains.sending`. Here is what the journal decides:
which transaction an account sends, and that a deposit is sent once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise

from tradefl.errors import Parameter
from tradefl.settlement.chains.answers import (
    NoAnswerError,
    RefusedError,
    StateChangedError,
    block,
)
from tradefl.settlement.chains.base import KeySigner, NodeSigner, Receipt
from tradefl.settlement.chains.estimates import EMPTY_GAS
from tradefl.settlement.chains.fees import FeeCaps, offer
from tradefl.settlement.chains.journal import Book, Deposit, Journal, Sending
from tradefl.settlement.chains.messages import numbered, wanted_sending
from tradefl.settlement.chains.polling import Poll
from tradefl.settlement.chains.sending import REPEATS, Transactions
from tradefl.settlement.contract import ChainError

INSTANT_TIMES = 3  # so many transactions in a row in a block at once: the chain mines on demand


class RpcChain(Transactions):
    """Any Ethereum chain, through one JSON-RPC node or several.

    Answers that matter (code, views and events at one block, receipts) are asked of every node
    and must agree. Transactions are sent to all nodes; fees and estimates come from the first.

    Parameters
    ----------
    url
        ``http://...``, ``https://...``, ``host:port`` or the path of an IPC socket; several for
        several nodes.
    signers
        The accounts that this process may use.
    confirmations
        How many blocks must follow a transaction's block before it counts.
    timeout
        How long to wait for the node and for a transaction, seconds.
    bump_after
        After how many seconds without a block a transaction is replaced by one with higher fees.
    patience
        How long an outage of a node may last before it is an error, seconds; default: timeout.
    caps
        What may be spent on fees.
    journal
        Where signed transactions are recorded; default: in the memory of this process.

    Raises
    ------
    ChainError
        A node does not answer or the nodes are of different chains.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        signers: Iterable[KeySigner | NodeSigner] = (),
        *,
        confirmations: int = 0,
        timeout: float = 120.0,
        bump_after: float = 30.0,
        patience: float | None = None,
        caps: FeeCaps | None = None,
        journal: Journal | None = None,
    ) -> None:
        if not 0.0 < timeout < float("inf"):
            raise ChainError(Parameter("timeout"), f"expected seconds above 0, got {timeout}")
        self.journal = Journal() if journal is None else journal
        super().__init__(
            url,
            signers,
            timeout if patience is None else patience,
            timeout,
            FeeCaps() if caps is None else caps,
            confirmations,
            bump_after,
        )
        self._first_block: str | None = None
        self._repeats: dict[tuple[str, str], int] = {}

    def transact(
        self, sender: str, *, to: str | None, data: bytes, value: int = 0, call: str
    ) -> Receipt:
        """Send a transaction and wait until it is in a block under its confirmations.

        A call that carries money is a deposit for exactly this call: it is sent once.
        """
        if value and to is not None and data:
            agreement = f"call 0x{data.hex()}"
            return self.deposit(
                sender, to=to, data=data, value=value, call=call, agreement=agreement
            )
        with self._book(sender) as book:
            before = self._require_idle(sender, book, wanted_sending(to, value, data, call))
            if before is not None:
                return before
            nonce = self._count(sender)
            sending, first = self._prepared(sender, to, data, value, call, nonce)
            book.waiting[nonce] = sending
            return self._carried(sender, sending, book, first)

    def deposit(
        self, sender: str, *, to: str, data: bytes, value: int, call: str, agreement: str
    ) -> Receipt:
        """Send the one deposit of an account for an agreement; sent again, it is the same one."""
        with self._book(sender) as book:
            entry = book.deposits.get(agreement)
            if entry is not None and not entry.returned:
                wanted = wanted_sending(to, value, data, call)
                receipt = self._deposited(sender, agreement, entry, wanted, book)
                if receipt is not None:
                    return receipt
            elif entry is not None and agreement in book.made_here and len(self.nodes) == 1:
                raise ChainError(
                    sender,
                    "has deposited once in this run, and one node alone says that the money is "
                    "back; check it, then run the command again, or give a second node to `rpc`",
                )
            self._require_idle(sender, book)
            if not self.code(to):
                raise ChainError(to, f"there is no contract at this address on {self.place}")
            nonce = self._agreed_count(sender)
            sending, first = self._prepared(sender, to, data, value, call, nonce)
            book.deposits[agreement] = Deposit(sending, first_block=self._genesis())
            book.made_here.add(agreement)
            try:
                return self._carried(sender, sending, book, first)
            except BaseException:
                if not sending.signed:
                    del book.deposits[agreement]
                raise

    def returned(self, account: str, agreement: str) -> None:
        """Note that a deposit is back on its account: a new one may be signed."""
        with self._book(account) as book:
            entry = book.deposits.get(agreement)
            if entry is not None and not entry.returned:
                entry.returned = True
                book.save()

    def _deposited(
        self, sender: str, agreement: str, entry: Deposit, wanted: Sending, book: Book
    ) -> Receipt | None:
        """Return the receipt of a deposit that was signed before; ``None``: it has failed.

        Raises
        ------
        StateChangedError
            It was sent again just now.
        ChainError
            It is another one than is wanted now, or nobody can tell what became of it.
        """
        sending = entry.sending
        signed = f"{sending.value:,} wei to {sending.to} with nonce {sending.nonce}"
        if not sending.does(wanted):
            raise ChainError(
                sender,
                f"has signed its deposit for this agreement already: {signed}. Another one, of "
                f"{wanted.value:,} wei to {wanted.to}, is not signed before that money is back",
            )
        if entry.first_block and entry.first_block != self._genesis():
            raise ChainError(
                self.place,
                f"shows another chain {self.chain_id} than when {sender} signed its deposit "
                f"({signed}): its first block differs. If the chain was restarted, choose "
                f"another folder as `state` or delete {book.place}",
            )
        before = self._require_idle(sender, book, wanted)
        if before is not None:
            return before
        count = self._count(sender)
        if count < sending.nonce:  # the chain has lost transactions before it
            self._send_empty(sender, book)
            raise StateChangedError
        receipt = self._found(sending)
        if receipt is None:
            raise ChainError(
                sender,
                f"has signed its deposit ({signed}), and the node has used that nonce but knows no "
                f"receipt of it. Ask another node; if the deposit was never made, delete "
                f"{book.place}",
            )
        if not receipt.succeeded:
            del book.deposits[agreement]
            book.save()
            return None
        key = (sender, agreement)
        self._repeats[key] = self._repeats.get(key, 0) + 1
        if self._repeats[key] > REPEATS:
            raise ChainError(
                self.place,
                f"shows that {sender} has deposited ({signed}) and also that it has not; use "
                "another node",
            )
        return self._confirmed(receipt)

    @contextmanager
    def _book(self, account: str) -> Iterator[Book]:
        with self.journal.book(self.chain_id, account, self._genesis(), self.timeout) as book:
            yield book

    def _genesis(self) -> str:
        """Return the hash of the chain's first block, where a journal outlives this process."""
        if self.journal.folder is None:
            return ""
        if self._first_block is None:
            found = self.node.ask("eth_getBlockByNumber", "0x0", False, parse=block)
            self._first_block = found.hash
        return self._first_block

    def _require_idle(
        self, sender: str, book: Book, wanted: Sending | None = None
    ) -> Receipt | None:
        """Finish what the account has sent before.

        Returns
        -------
        The receipt of what had been sent, if that is what is wanted now; ``None``: nothing waits.

        Raises
        ------
        StateChangedError
            Something else has been finished: the state must be read again.
        """
        latest = self._count(sender)
        done = [nonce for nonce in book.waiting if nonce < latest]
        for nonce in done:
            del book.waiting[nonce]
        if done:
            book.save()
        waiting = book.at(latest)
        pending = self._pending_count(sender, latest)
        if waiting is not None and (
            pending <= latest or any(signed.hash for signed in waiting.signed)
        ):
            try:
                receipt = self._carried(sender, waiting, book)
            except RefusedError:
                if book.waiting.pop(latest, None) is None:
                    raise
                book.save()  # the node would not take it again: it is not needed as it was
                raise StateChangedError from None
            if wanted is not None and waiting.does(wanted):
                return receipt
            raise StateChangedError
        if pending <= latest:
            return None
        poll = Poll(self.timeout)
        while self._pending_count(sender, latest) > self._count(sender):
            if not poll.wait():
                raise NoAnswerError(
                    self.place,
                    f"{sender} has transactions that no block takes, and they were not signed "
                    "here; wait, or replace them where they were signed",
                )
        raise StateChangedError

    def pass_time(self, until: int) -> bool:  # noqa: ARG002
        """Do nothing: real time passes by itself."""
        return False

    def pass_blocks(self, until: int, sender: str) -> bool:
        """Let blocks pass to ``until`` where nothing but a transaction makes this chain make them.

        On a chain that mines on demand the sender sends itself nothing, once a block: 21,000 gas
        each. On a chain that makes blocks by itself nothing is sent.
        """
        height = self.height()
        while height < until:
            if not self._mines_on_demand(height):
                return self.height() >= until
            try:
                with self._book(sender) as book:
                    self._send_empty(sender, book)
            except NoAnswerError:
                return False  # no block takes anything: the chain has halted
            height = self.height()
        return True

    def _mines_on_demand(self, height: int) -> bool:
        """Return whether this chain makes a block only for a transaction, as far as one can see.

        Transactions that were in a block at once, several times in a row, tell it. Otherwise the
        chain has some of its own intervals' time to make a block by itself.
        """
        if self._instant >= INSTANT_TIMES:
            return True
        recent = [numbered(self.node, n) for n in range(max(0, height - 3), height + 1)]
        times = [recent_block.seconds for recent_block in recent if recent_block is not None]
        # The shortest: an outage lies between two blocks of a chain with an interval, too.
        gap = min((b - a for a, b in pairwise(times)), default=1.0)
        poll = Poll(min(max(2.0, 2.5 * gap), 30.0))
        while poll.wait():
            if self.height() > height:
                return False
        return True

    def _send_empty(self, sender: str, book: Book) -> None:
        """Send an account nothing from itself, so that a block is made."""
        try:
            self._require_idle(sender, book)
        except StateChangedError:
            return  # what had waited made a block
        nonce = self._count(sender)
        first = offer(self.ask_fees(), self.caps, pay_suggested=self._pays_suggested)
        self._require_funds({"from": sender, "value": 0}, EMPTY_GAS * first.most, "an empty block")
        sending = Sending(nonce, sender, 0, "0x", EMPTY_GAS, "an empty block")
        book.waiting[nonce] = sending
        with suppress(StateChangedError):
            self._carried(sender, sending, book, first)
