"""Reading a chain through its nodes, at one block that all of them have."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from tradefl.errors import Parameter
from tradefl.settlement.chains.answers import (
    Block,
    DisagreementError,
    RefusedError,
    RevertedAnswer,
    UnexpectedAnswerError,
    accounts,
    block,
    data,
    quantity,
)
from tradefl.settlement.chains.base import (
    Chain,
    KeySigner,
    NodeSigner,
    Receipt,
    in_seconds,
    refusal,
)
from tradefl.settlement.chains.messages import RECEIPT, encoded, numbered
from tradefl.settlement.chains.messages import receipt as parsed_receipt
from tradefl.settlement.chains.messages import transaction as parsed_transaction
from tradefl.settlement.chains.nodes import BEHIND_SECONDS, Node
from tradefl.settlement.chains.polling import LAST_POLL, Poll
from tradefl.settlement.contract import ChainError
from tradefl.settlement.ethereum import checksum

T = TypeVar("T")

LAG_SECONDS = 5.0  # how long a node may lag behind a block that this process has seen
FAR_BEHIND = 32  # blocks: a node further behind the others is not merely slow


@dataclasses.dataclass(frozen=True)
class Used:
    """The last transaction of an account that this process has seen in a block."""

    nonce: int
    block: int
    block_hash: str


class Reading(Chain):
    """A chain that is read through one node or several, which must give the same answers.

    Parameters
    ----------
    url, signers
        As in :class:`~tradefl.settlement.chains.rpc.RpcChain`.
    patience
        How long an outage of a node may last before it is an error, seconds.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        signers: Iterable[KeySigner | NodeSigner],
        patience: float,
    ) -> None:
        urls = [url] if isinstance(url, str) else list(dict.fromkeys(url))
        if not urls:
            raise ChainError(Parameter("rpc"), "expected the address of a node, got nothing")
        self.nodes = [Node(address, patience) for address in urls]
        self.node = self.nodes[0]
        chain_ids = [node.ask("eth_chainId", parse=quantity) for node in self.nodes]
        super().__init__(chain_ids[0], signers, self.node.place)
        for node, chain_id in zip(self.nodes, chain_ids, strict=True):
            if chain_id != self.chain_id:
                raise DisagreementError(
                    node.place, f"is chain {chain_id}, but {self.node.place} is {self.chain_id}"
                )
        self._used: dict[str, Used] = {}
        self._floor: Used | None = None  # the block that every node must have reached

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
            found = [numbered(node, height) for node in self.nodes]
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
        poll = Poll(LAG_SECONDS)
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
            return numbered(self.node, tag)
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
        found = self.node.ask_for("eth_getTransactionByHash", hash_, parse=parsed_transaction)
        return ("", b"") if found is None else found

    def receipt(self, hash_: str) -> Receipt | None:
        """Return a transaction's receipt; ``None`` while it is in no block. All nodes agree."""
        found = [node.ask_for(RECEIPT, hash_, parse=parsed_receipt) for node in self.nodes]
        known = [receipt_ for receipt_ in found if receipt_ is not None]
        if any(other != known[0] for other in known[1:]):
            self._disagreed(f"the receipt of {hash_}", found)
        return known[0] if known else None

    def _call(self, transaction: dict[str, Any], call: str) -> bytes:
        """Return what a call returns, without a transaction. All nodes agree."""
        asked = encoded(transaction)

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

    def _count(self, sender: str) -> int:
        """Return how many transactions of an account are in blocks."""
        poll = Poll(LAG_SECONDS)
        while True:
            found = self.node.ask("eth_getTransactionCount", sender, "latest", parse=quantity)
            used = self._used.get(sender)
            if used is None or found >= used.nonce:
                return found
            header = numbered(self.node, used.block)
            reorganized = header is not None and header.hash != used.block_hash
            if reorganized or not poll.wait():
                del self._used[sender]  # the chain has lost the transaction
                return found

    def _agreed_count(self, sender: str) -> int:
        """Return the number of an account's transactions, by all nodes."""
        poll = Poll(min(self.patience, BEHIND_SECONDS))
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

    def _latest(self) -> Block:
        return self.node.ask("eth_getBlockByNumber", "latest", False, parse=block)

    def block_gas_limit(self) -> int:
        """Return how much gas the transactions of one block may use together."""
        return self._latest().gas_limit
