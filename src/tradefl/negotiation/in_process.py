"""A board in this process, for tests and simulations: a list, and a clock that one can turn."""

from __future__ import annotations

import dataclasses

from tradefl.consortium import Consortium
from tradefl.negotiation.agent import OrganizationAgent, View
from tradefl.negotiation.knowledge import PrivateFigures, private_figures
from tradefl.negotiation.protocol import BlockTimes, Proposal, Standing, replay
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.rules import Report

START = 1_000_000
LIMIT = 1_000_000


class InProcessBoard:
    """The proposals of everybody, in the order in which they came.

    Each is a block of its own. Its clock does not move unless somebody turns it: here an
    organization is silent because it is late by this clock, and never because a machine is slow.
    """

    def __init__(self) -> None:
        self.log: list[Proposal] = []
        self.contributions: dict[str, Report] = {}
        self.seconds = START
        self.times = [START]  # of each block; with the first, everybody has joined

    def publish(self, account: str, report: Report) -> None:
        """Append a proposal."""
        self.mine()
        self.log.append(Proposal(len(self.times) - 1, 0, self.seconds, account, report))

    def mine(self) -> None:
        """Append a block."""
        self.times.append(self.seconds)

    @property
    def blocks(self) -> BlockTimes:
        """The times of the blocks."""
        times = tuple(self.times)
        return BlockTimes(len(times) - 1, times.__getitem__)


@dataclasses.dataclass(frozen=True)
class Seat:
    """The board as one account may use it."""

    board: InProcessBoard
    account: str

    def look(self) -> View:
        """Return the log; everybody is there from the start."""
        contributed = self.account in self.board.contributions
        board = self.board
        return View(START, tuple(board.log), board.seconds, contributed, board.blocks)

    def await_block(self) -> None:
        """Append a block: nothing else makes one."""
        self.board.mine()

    def propose(self, report: Report) -> None:
        """Append to the log."""
        self.board.publish(self.account, report)

    def contribute(self, report: Report) -> None:
        """Record the contribution; the first one counts."""
        self.board.contributions.setdefault(self.account, report)


def agents_of(
    consortium: Consortium, agreement: Agreement, board: InProcessBoard
) -> list[OrganizationAgent]:
    """Return an agent for each organization of a file, each with its own figures only."""
    privates: list[PrivateFigures] = [
        private_figures(consortium, i) for i in range(len(consortium))
    ]
    return [
        OrganizationAgent(agreement, private, Seat(board, account))
        for private, account in zip(privates, agreement.addresses[: agreement.players], strict=True)
    ]


def negotiate(consortium: Consortium, agreement: Agreement) -> tuple[Standing, InProcessBoard]:
    """Let all agents negotiate in this process; return where it ended, and the board.

    Raises
    ------
    RuntimeError
        It did not end within a million steps.
    """
    board = InProcessBoard()
    agents = agents_of(consortium, agreement, board)
    for _ in range(LIMIT):
        outlooks = [agent.step() for agent in agents]
        if all(outlook.done for outlook in outlooks):
            standing = replay(agreement, START, board.log, now=board.seconds, blocks=board.blocks)
            return standing, board
    raise RuntimeError("the negotiation did not end")
