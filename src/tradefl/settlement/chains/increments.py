"""Reading a contract's events again and again, each block once."""

from __future__ import annotations

from tradefl.settlement.chains.base import Chain
from tradefl.settlement.contract import Event

# The last blocks are read again every time: a node behind a load balancer may know a block and not
# yet its events.
OVERLAP = 8
CHECKPOINTS = 64


class EventReader:
    """The events of a contract, of which every reading fetches only the new ones.

    A reorganization is seen by the hashes of the blocks that were read before: what was in blocks
    that are gone is forgotten, and read again from the last block that is still there.

    Parameters
    ----------
    chain, contract
        Whose events.
    first_block
        Where they begin.
    """

    def __init__(self, chain: Chain, contract: str, first_block: int = 0) -> None:
        self.chain, self.contract, self.first_block = chain, contract, first_block
        self._events: dict[tuple[int, int], Event] = {}
        self._read: list[tuple[int, str]] = []  # blocks up to which all was read, and their hashes

    def read(self) -> list[Event]:
        """Return all events up to now, oldest first.

        Raises
        ------
        StateChangedError
            A block vanished while it was read: read again.
        ChainError
            The node does not answer.
        """
        with self.chain.pinned():
            head = self.chain.height()
            kept = self._kept(head)
            start = max(self.first_block, kept + 1 - OVERLAP)
            found = self.chain.events(self.contract, start)
            block = self.chain.header(head)
        events = {key: event for key, event in self._events.items() if event.block <= kept}
        events |= {(log.block, log.index): log for log in found}
        self._events = events
        if block is not None and block.hash:
            self._read = [*self._read[-CHECKPOINTS:], (head, block.hash)]
        return [events[key] for key in sorted(events)]

    def forget(self) -> None:
        """Read everything again the next time: something that was read is not complete."""
        self._events, self._read = {}, []

    def _kept(self, head: int) -> int:
        """Return the last block that was read and is still there; before the first: none is."""
        while self._read:
            number, hash_ = self._read[-1]
            if number <= head:
                block = self.chain.header(number)
                if block is not None and block.hash == hash_:
                    return number
            self._read.pop()
        return self.first_block - 1
