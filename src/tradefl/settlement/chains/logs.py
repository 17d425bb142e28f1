"""The events of contracts: asked in parts, and held against receipts of this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tradefl.settlement.chains.answers import AskLessError, Log, MissingLogsError, logs
from tradefl.settlement.chains.base import KeySigner, NodeSigner, decoded
from tradefl.settlement.chains.nodes import Node
from tradefl.settlement.chains.polling import Poll
from tradefl.settlement.chains.reading import LAG_SECONDS, Reading
from tradefl.settlement.contract import Event
from tradefl.settlement.ethereum import checksum

OWN_LOGS = 100_000


class Logs(Reading):
    """Events, from nodes that limit what they answer, and that may leave some out."""

    def __init__(
        self,
        url: str | Sequence[str],
        signers: Iterable[KeySigner | NodeSigner],
        patience: float,
    ) -> None:
        super().__init__(url, signers, patience)
        self._own: deque[Log] = deque(maxlen=OWN_LOGS)
        self._span = 1 << 62  # blocks of one search for events

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
            poll = Poll(LAG_SECONDS)
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
