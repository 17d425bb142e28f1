"""A chain behind JSON-RPC nodes: anvil, geth, Besu, GoQuorum, providers."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any, NoReturn, TypeVar

from eth_account.signers.local import LocalAccount

from tradefl.errors import Parameter
from tradefl.settlement.chains.answers import (
    ALWAYS_FAILING,
    AskLessError,
    Block,
    DisagreementError,
    Log,
    MissingLogsError,
    NoAnswerError,
    RefusedError,
    RevertedAnswer,
    StateChangedError,
    UnexpectedAnswerError,
    accounts,
    address,
    block,
    data,
    log,
    logs,
    quantity,
    record,
    word,
)
from tradefl.settlement.chains.base import (
    GAS_LIMIT,
    Chain,
    KeySigner,
    NodeSigner,
    Receipt,
    decoded,
    in_seconds,
    refusal,
)
from tradefl.settlement.chains.fees import (
    Ask,
    FeeCapError,
    FeeCaps,
    Offer,
    ether,
    gwei,
    offer,
    replacement,
)
from tradefl.settlement.chains.journal import Book, Deposit, Journal, Sending, Signed
from tradefl.settlement.chains.nodes import BEHIND_SECONDS, Node
from tradefl.settlement.contract import ChainError, Event
from tradefl.settlement.ethereum import checksum

T = TypeVar("T")

FIRST_POLL, LAST_POLL = 0.02, 0.5
LAG_SECONDS = 5.0  # how long a node may lag behind a block that this process has seen
LOOK_SECONDS = 2.0  # between two looks at what blocks ask while a transaction waits
EMPTY_GAS = 21_000
FAR_BEHIND = 32  # blocks: a node further behind the others is not merely slow
REPEATS = 3  # how often a node may show a deposit's receipt and no deposit
INSTANT_SECONDS, INSTANT_TIMES = 0.25, 3  # a chain that is so fast so often mines on demand
OWN_LOGS = 100_000


@dataclasses.dataclass(frozen=True)
class _Used:
    """The last transaction of an account that this process has seen in a block."""

    nonce: int
    block: int
    block_hash: str


class RpcChain(Chain):
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
        self.confirmations, self.timeout, self.bump_after = confirmations, timeout, bump_after
        self.caps = FeeCaps() if caps is None else caps
        self.spending = self.caps.sentence
        self.journal = Journal() if journal is None else journal
        urls = [url] if isinstance(url, str) else list(dict.fromkeys(url))
        if not urls:
            raise ChainError(Parameter("rpc"), "expected the address of a node, got nothing")
        patience = timeout if patience is None else patience
        self.nodes = [Node(address_, patience) for address_ in urls]
        self.node = self.nodes[0]
        chain_ids = [node.ask("eth_chainId", parse=quantity) for node in self.nodes]
        super().__init__(chain_ids[0], signers, self.node.place)
        for node, chain_id in zip(self.nodes, chain_ids, strict=True):
            if chain_id != self.chain_id:
                raise DisagreementError(
                    node.place, f"is chain {chain_id}, but {self.node.place} is {self.chain_id}"
                )
        self.spent = 0  # wei: the most that this run's transactions can have cost
        self._used: dict[str, _Used] = {}
        self._floor: _Used | None = None  # the block that every node must have reached
        self._own: deque[Log] = deque(maxlen=OWN_LOGS)
        self._span = 1 << 62  # blocks of one search for events
        self._estimates_pending = True
        self._pays_suggested = False
        self._counted: Sending | None = None  # the last transaction whose cost is in it
        self._instant = 0  # how many own transactions in a row were in a block at once
        self._first_block: str | None = None
        self._repeats: dict[tuple[str, str], int] = {}

    @property
    def patience(self) -> float:
        """How long an outage of a node may last before it is an error, seconds."""
        return self.node.patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        for node in self.nodes:
            node.patience = seconds

    def unlocked(self) -> list[str]:
        """Return the accounts that the node signs for."""
        try:
            return self.node.ask("eth_accounts", parse=accounts)
        except RefusedError:
            return []  # a node that does not know the question signs for nobody

    # --- reading ---------------------------------------------------------------------------------

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Read everything at one block, which all nodes have, whatever happens meanwhile."""
        if self.block is not None:
            yield
            return
        self.block = self._common_block()
        try:
            yield
        finally:
            self.block = None

    def _common_block(self) -> int:
        """Return the latest block that all nodes have; with several, the same one."""
        until = time.monotonic() + min(self.patience, BEHIND_SECONDS)
        while True:
            height = self.height()
            if len(self.nodes) == 1:
                return height
            found = [_numbered(node, height) for node in self.nodes]
            hashes = [header and header.hash for header in found]
            if None not in hashes and len(set(hashes)) == 1:
                return height
            if time.monotonic() >= until:
                self._disagreed(f"the hash of block {height:,}", hashes)
            time.sleep(LAST_POLL)  # one of them is about to follow the other's fork

    def height(self) -> int:
        """Return the number of the block that is read: the pinned one, or the latest of all."""
        if self.block is not None:
            return self.block
        until = time.monotonic() + min(self.patience, BEHIND_SECONDS)
        while True:
            heights = [self._reached(node) for node in self.nodes]
            lowest, highest = min(heights), max(heights)
            if highest - lowest <= FAR_BEHIND:
                return lowest
            if time.monotonic() >= until:
                late = self.nodes[heights.index(lowest)]
                raise DisagreementError(
                    late.place,
                    f"is at block {lowest:,}, but another node is at {highest:,}; wait until it "
                    "has caught up, or leave it out",
                )
            time.sleep(LAST_POLL)

    def _reached(self, node: Node) -> int:
        """Return a node's latest block once it has the block of our last transaction."""
        poll = _Poll(LAG_SECONDS)
        while True:
            found = node.ask("eth_blockNumber", parse=quantity)
            if self._floor is None or found >= self._floor.block:
                return found
            if not poll.wait():
                self._floor = None  # the chain has lost the block, and what was in it
                self._used = {key: use for key, use in self._used.items() if use.block <= found}
                return found

    def header(self, tag: int | str) -> Block | None:
        """Return the header of a block; ``None``: there is no such block."""
        if isinstance(tag, int):
            if tag == self.block:  # it exists
                return self.node.ask("eth_getBlockByNumber", hex(tag), False, parse=block)
            return _numbered(self.node, tag)
        if tag == "latest":
            return self.node.ask("eth_getBlockByNumber", tag, False, parse=block)
        if tag == "pending":
            try:
                return self.node.ask_for("eth_getBlockByNumber", tag, False, parse=block)
            except (RefusedError, UnexpectedAnswerError):
                return None  # not every node knows a pending block
        return self.node.ask_for("eth_getBlockByHash", tag, False, parse=block)

    def _header(self) -> Block:
        return in_seconds(super()._header(), self.place)

    def now(self) -> int:
        """Return the time of the next block: some chains make one only when there is a reason."""
        latest = super().now()
        pending = self.header("pending")
        return latest if pending is None else max(latest, in_seconds(pending, self.place).seconds)

    def transaction_count(self, address: str) -> int:
        """Return how many transactions of an account are in blocks."""
        return self._count(checksum(address))

    def fee_of(self, gas: int) -> int:
        """Return what a transaction with so much gas is offered for now, wei."""
        return gas * offer(self.ask_fees(), self.caps, pay_suggested=self._pays_suggested).most

    def balance(self, address: str) -> int:
        """Return what an account has, wei."""
        with self.pinned():  # at a block that our last transaction is in
            return self.node.ask("eth_getBalance", checksum(address), self._tag, parse=quantity)

    def code(self, address: str) -> bytes:
        """Return the code at an address; empty where there is no contract. All nodes agree."""
        with self.pinned():
            return self._agreed(
                f"the code of {address}",
                lambda node: node.ask("eth_getCode", checksum(address), self._tag, parse=data),
            )

    def sent(self, hash_: str) -> tuple[str, bytes]:
        """Return who sent a transaction and its data; empty if a reorganization dropped it."""
        found = self.node.ask_for("eth_getTransactionByHash", hash_, parse=_transaction)
        return ("", b"") if found is None else found

    def receipt(self, hash_: str) -> Receipt | None:
        """Return a transaction's receipt; ``None`` while it is in no block. All nodes agree."""
        found = [node.ask_for(_RECEIPT, hash_, parse=_receipt) for node in self.nodes]
        known = [receipt_ for receipt_ in found if receipt_ is not None]
        if any(other != known[0] for other in known[1:]):
            self._disagreed(f"the receipt of {hash_}", found)
        return known[0] if known else None

    def events(
        self, contract: str | None, first_block: int = 0, topics: Sequence[bytes] = ()
    ) -> list[Event]:
        """Return the events of a contract; ranges that are too large for the node are halved.

        Raises
        ------
        MissingLogsError
            The node leaves out events that it has shown in the receipts of this process.
        """
        wanted: dict[str, Any] = {"topics": ["0x" + topic.hex() for topic in topics]}
        if contract is not None:
            wanted["address"] = checksum(contract)

        def is_wanted(one: Log) -> bool:
            return (contract is None or one.address == checksum(contract)) and (
                one.topics[: len(topics)] == tuple(topics)
            )

        with self.pinned():
            last = self.height()
            poll = _Poll(LAG_SECONDS)
            while True:
                found = self._agreed(
                    f"the events of {contract or 'all contracts'}",
                    lambda node: self._logs(node, wanted, is_wanted, first_block, last),
                )
                missing = self._missing(found, is_wanted, first_block, last)
                if missing is None:
                    return decoded(found)
                if not poll.wait():
                    raise MissingLogsError(
                        self.place,
                        f"this node does not keep these logs: it leaves out an event of "
                        f"{missing.address} in block {missing.block:,}, which its own receipt of "
                        f"{missing.transaction} holds; use a node that keeps all logs",
                    )

    def _logs(
        self,
        node: Node,
        wanted: dict[str, Any],
        is_wanted: Callable[[Log], bool],
        first: int,
        last: int,
    ) -> list[Log]:
        """Return the logs of a range of blocks, asked in parts that the node answers."""
        found: dict[tuple[int, int], Log] = {}
        start = first
        while start <= last:
            end = min(last, start + self._span - 1)
            span = wanted | {"fromBlock": hex(start), "toBlock": hex(end)}
            try:
                answered = node.ask("eth_getLogs", span, parse=logs)
            except AskLessError:
                if start == end:
                    raise
                self._span = (end - start + 1) // 2
                continue
            for entry in answered:
                # What was not asked for is dropped before anything is looked up about it.
                if start <= entry.block <= end and is_wanted(entry):
                    found[entry.block, entry.index] = entry
            start = end + 1
        return [found[key] for key in sorted(found)]

    def _missing(
        self, found: list[Log], is_wanted: Callable[[Log], bool], first: int, last: int
    ) -> Log | None:
        """Return a log of our own receipts that an answer leaves out."""
        have = {(log_.transaction, log_.index) for log_ in found}
        for entry in list(self._own):
            if not (first <= entry.block <= last and is_wanted(entry)):
                continue
            if (entry.transaction, entry.index) in have:
                continue
            header = self.header(entry.block)
            if header is not None and header.hash == entry.block_hash:
                return entry
            self._own.remove(entry)  # a reorganization dropped its block
        return None

    def _call(self, transaction: dict[str, Any], call: str) -> bytes:
        """Return what a call returns, without a transaction. All nodes agree."""
        asked = _encoded(transaction)

        def question(node: Node) -> tuple[bool, bytes]:
            try:
                return True, node.ask("eth_call", asked, self._tag, parse=data)
            except RevertedAnswer as error:
                return False, error.data

        with self.pinned():
            succeeded, found = self._agreed(f"{call} of {transaction.get('to')}", question)
        if not succeeded:
            raise refusal(call, found)
        return found

    @property
    def _tag(self) -> str:
        return "latest" if self.block is None else hex(self.block)

    def _agreed(self, what: str, question: Callable[[Node], T]) -> T:
        """Return what all nodes answer."""
        found = [question(node) for node in self.nodes]
        if any(other != found[0] for other in found[1:]):
            self._disagreed(what, found)
        return found[0]

    def _disagreed(self, what: str, found: Sequence[object]) -> NoReturn:
        counts = [found.count(answer) for answer in found]
        most = max(counts)
        if most * 2 > len(found):
            odd = counts.index(min(counts))
            others = "the other nodes"
        else:
            odd = next(i for i, answer in enumerate(found) if answer != found[0])
            others = self.nodes[0].place
        raise DisagreementError(
            self.nodes[odd].place,
            f"differs from {others} in {what}; one of them is wrong. Nothing more is sent; find "
            "out which, and leave it out",
        )

    # --- writing ---------------------------------------------------------------------------------

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
            before = self._require_idle(sender, book, _wanted(to, value, data, call))
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
                wanted = _wanted(to, value, data, call)
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

    # --- one transaction -------------------------------------------------------------------------

    def _prepared(
        self, sender: str, to: str | None, data: bytes, value: int, call: str, nonce: int
    ) -> tuple[Sending, Offer]:
        """Return a transaction that the contract would accept now, and what to offer for it."""
        body: dict[str, Any] = {"from": sender, "value": value, "data": data}
        if to is not None:
            body["to"] = checksum(to)
        first = offer(self.ask_fees(), self.caps, pay_suggested=self._pays_suggested)
        gas = self._gas(body, call, first.most)
        wanted = _wanted(to, value, data, call)
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
        poll, looked, replaced = _Poll(self.timeout), started, started
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
        self._used[sender] = _Used(sending.nonce + 1, confirmed.block, confirmed.block_hash)
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
            raw, hash_ = _signature(signer.key, sending, offered, self.chain_id)
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
        found = self.node.ask("eth_sendTransaction", _encoded(body), parse=word)
        sending.signed[-1] = dataclasses.replace(last, hash="0x" + found.hex())
        book.save()

    def _found(self, sending: Sending) -> Receipt | None:
        """Return the receipt of one of the signatures under a transaction."""
        for signed in sending.signed:
            if signed.hash:
                receipt = self.node.ask_for(_RECEIPT, signed.hash, parse=_receipt)
                if receipt is not None:
                    return receipt
        return None

    def _confirmed(self, receipt: Receipt) -> Receipt:
        """Wait for the confirmations; check that every node then has the transaction."""
        poll = _Poll(self.timeout)
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
        poll = _Poll(LAG_SECONDS)
        while True:
            found = node.ask_for(_RECEIPT, receipt.hash, parse=_receipt)
            if found == receipt:
                return
            header = _numbered(self.node, receipt.block)
            if header is None or header.hash != receipt.block_hash:
                raise StateChangedError
            if not poll.wait():
                if node is self.node:
                    raise StateChangedError
                self._disagreed(
                    f"the receipt of {receipt.hash}",
                    [found if other is node else receipt for other in self.nodes],
                )

    # --- what a transaction needs ----------------------------------------------------------------

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
        poll = _Poll(self.timeout)
        while self._pending_count(sender, latest) > self._count(sender):
            if not poll.wait():
                raise NoAnswerError(
                    self.place,
                    f"{sender} has transactions that no block takes, and they were not signed "
                    "here; wait, or replace them where they were signed",
                )
        raise StateChangedError

    def _count(self, sender: str) -> int:
        """Return how many transactions of an account are in blocks."""
        poll = _Poll(LAG_SECONDS)
        while True:
            found = self.node.ask("eth_getTransactionCount", sender, "latest", parse=quantity)
            used = self._used.get(sender)
            if used is None or found >= used.nonce:
                return found
            header = _numbered(self.node, used.block)
            reorganized = header is not None and header.hash != used.block_hash
            if reorganized or not poll.wait():
                del self._used[sender]  # the chain has lost the transaction
                return found

    def _agreed_count(self, sender: str) -> int:
        """Return the number of an account's transactions, by all nodes."""
        poll = _Poll(min(self.patience, BEHIND_SECONDS))
        while True:
            found = [self._count(sender)]
            for node in self.nodes[1:]:
                asked = node.ask("eth_getTransactionCount", sender, "latest", parse=quantity)
                found.append(asked)
            if len(set(found)) == 1:
                return found[0]
            if not poll.wait():
                self._disagreed(f"the number of transactions of {sender}", found)

    def _pending_count(self, sender: str, latest: int) -> int:
        try:
            return self.node.ask("eth_getTransactionCount", sender, "pending", parse=quantity)
        except (RefusedError, UnexpectedAnswerError):
            return latest  # not every node has a pending block

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

    def _latest(self) -> Block:
        return self.node.ask("eth_getBlockByNumber", "latest", False, parse=block)

    def block_gas_limit(self) -> int:
        """Return how much gas the transactions of one block may use together."""
        return self._latest().gas_limit

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
        asked = _encoded(body)
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
            found = self.node.ask("eth_call", _encoded(body), "latest", parse=data)
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
            self.node.ask("eth_call", _encoded(body), hex(self.height()), parse=data)
        except RevertedAnswer:
            return True
        return False

    def _next_block(self) -> None:
        """Wait for the next block, as long as for a transaction."""
        height, poll = self.height(), _Poll(self.timeout)
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

    # --- time and blocks -------------------------------------------------------------------------

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
        recent = [_numbered(self.node, n) for n in range(max(0, height - 3), height + 1)]
        times = [recent_block.seconds for recent_block in recent if recent_block is not None]
        # The shortest: an outage lies between two blocks of a chain with an interval, too.
        gap = min((b - a for a, b in pairwise(times)), default=1.0)
        poll = _Poll(min(max(2.0, 2.5 * gap), 30.0))
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


def _wanted(to: str | None, value: int, data: bytes, call: str) -> Sending:
    return Sending(0, "" if to is None else checksum(to), value, "0x" + data.hex(), 0, call)


_RECEIPT = "eth_getTransactionReceipt"


class _Poll:
    """Pauses that grow, until a time is over."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._pause = FIRST_POLL

    def wait(self) -> bool:
        """Pause, and return whether there is time left."""
        if time.monotonic() >= self._until:
            return False
        time.sleep(self._pause)
        self._pause = min(1.5 * self._pause, LAST_POLL)
        return True


def _numbered(node: Node, number: int) -> Block | None:
    return node.ask_for("eth_getBlockByNumber", hex(number), False, parse=block)


def _encoded(body: dict[str, Any]) -> dict[str, str]:
    """Return a transaction as JSON-RPC takes it."""
    return {
        key: hex(value)
        if isinstance(value, int)
        else "0x" + value.hex()
        if isinstance(value, bytes)
        else value
        for key, value in body.items()
    }


def _signature(
    key: LocalAccount, sending: Sending, offered: Offer, chain_id: int
) -> tuple[str, str]:
    """Return a signed transaction and its hash, both as ``0x...``."""
    body: dict[str, Any] = {
        "nonce": sending.nonce,
        "gas": sending.gas,
        "value": sending.value,
        "data": sending.data,
        "chainId": chain_id,
        **offered.fields,
    }
    if sending.to:
        body["to"] = sending.to
    signed = key.sign_transaction(body)
    return "0x" + bytes(signed.raw_transaction).hex(), "0x" + bytes(signed.hash).hex()


def _transaction(value: Any) -> tuple[str, bytes]:
    found = record(value)
    return address(found.get("from")), data(found.get("input", found.get("data")))


def _receipt(value: Any) -> Receipt | None:
    found = record(value)
    if found.get("blockNumber") is None:
        return None  # some old nodes have receipts of what waits
    gas = quantity(found.get("gasUsed"))
    price, contract = found.get("effectiveGasPrice"), found.get("contractAddress")
    succeeded = quantity(found.get("status")) == 1
    emitted = found.get("logs")
    if not isinstance(emitted, list):
        raise TypeError("a list of logs")
    return Receipt(
        hash="0x" + word(found.get("transactionHash")).hex(),
        gas=gas,
        block=quantity(found.get("blockNumber")),
        contract=None if contract is None or not succeeded else address(contract),
        succeeded=succeeded,
        block_hash="0x" + word(found.get("blockHash")).hex(),
        fee=0 if price is None else gas * quantity(price),
        logs=tuple(log(entry) for entry in emitted),
    )
