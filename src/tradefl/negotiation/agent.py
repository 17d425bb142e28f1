"""An organization's agent: it reads the board, answers in its turn, and keeps its figures.

What leaves it are proposals and in the end one contribution, each two integers: ``d`` in ppb and
``f`` in Hz. Everything that it needs is read from the board each time, so an agent that was killed
continues from the state of the board.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from tradefl.game import StrategyProfile, payoffs, potential
from tradefl.negotiation.knowledge import KnownGame, PrivateFigures, known_game
from tradefl.negotiation.protocol import BlockTimes, Proposal, Standing, replay
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.arithmetic import PPB
from tradefl.settlement.rules import Report
from tradefl.solvers.best_response import best_response

# As in DBR: a move must change Omega by more than this share of it.
TOLERANCE = 1e-12
SETTLING_SECONDS = 3.0  # after which what was sent is seen, or lost


@dataclasses.dataclass(frozen=True)
class View:
    """The content of a board.

    Attributes
    ----------
    opened
        When everybody had joined, chain time; ``None`` as long as somebody is missing.
    proposals
        All of them, in any order.
    now
        The chain's time, as the next proposal would have it.
    contributed
        Whether this organization has submitted its contribution, or nobody can any more.
    blocks
        The times of the chain's blocks, for agreements whose turns count blocks.
    """

    opened: int | None
    proposals: Sequence[Proposal]
    now: int
    contributed: bool
    blocks: BlockTimes | None = None

    def standing(self, agreement: Agreement) -> Standing | None:
        """Return the state of the negotiation; ``None`` before everybody has joined."""
        if self.opened is None:
            return None
        return replay(agreement, self.opened, self.proposals, now=self.now, blocks=self.blocks)


class Board(Protocol):
    """Where proposals are published: a contract on a chain, or a list in this process."""

    def look(self) -> View:
        """Return the present content."""

    def propose(self, report: Report) -> None:
        """Publish a proposal under this organization's account."""

    def contribute(self, report: Report) -> None:
        """Submit the contribution: what counts for the settlement."""


@runtime_checkable
class OnDemand(Protocol):
    """A board whose chain makes blocks only when there is a reason."""

    def await_block(self) -> None:
        """Give the chain a reason, if it has made no block for a while."""


@dataclasses.dataclass(frozen=True)
class Outlook:
    """What an agent sees, for the caller's ``watch``.

    Attributes
    ----------
    standing
        The state of the negotiation; ``None`` before everybody has joined.
    report
        The organization's own contribution at present.
    payoff
        Its payoff at the present contributions, Eq. (11); it is not published.
    gain
        What its last move added to the potential; 0 before the first.
    done
        Whether its contribution is submitted.
    """

    standing: Standing | None
    report: Report | None
    payoff: float
    gain: float
    done: bool


class OrganizationAgent:
    """One organization, with its private figures, at a board.

    Parameters
    ----------
    agreement
        The public agreement.
    private
        Its own figures.
    board
        Where it reads and publishes.
    place
        Where the private figures are from, for messages.

    Raises
    ------
    InputError
        The figures do not fit the agreement.
    """

    def __init__(
        self,
        agreement: Agreement,
        private: PrivateFigures,
        board: Board,
        *,
        place: object = "",
    ) -> None:
        self.agreement = agreement
        self.board = board
        self._game: KnownGame = known_game(agreement, private, place)
        self._answered = -1  # the turn of the last proposal, and when it was made, by no clock
        self._since = 0.0
        self._gain = 0.0

    @property
    def name(self) -> str:
        """The organization's name."""
        return self.agreement.names[self._game.me]

    def step(self) -> Outlook:
        """Look at the board once, and do what is due: nothing, a proposal, or the contribution."""
        view = self.board.look()
        standing = view.standing(self.agreement)
        if view.contributed:
            return self._outlook(standing, done=True)
        if standing is None:
            return Outlook(None, None, 0.0, 0.0, done=False)
        if standing.over:
            self.board.contribute(standing.reports[self._game.me])
            return self._outlook(standing, done=True)
        if standing.whose == self._game.me and not self._just_answered(standing):
            answer = self.answer(standing)
            self.board.propose(answer)
            self._answered, self._since = standing.turn, time.monotonic()
            self._gain = self._potential_gain(standing, answer)
            standing = self.board.look().standing(self.agreement)
        elif standing.lacks_blocks and isinstance(self.board, OnDemand):
            # Otherwise one that is silent would hold up the others for ever.
            self.board.await_block()
        return self._outlook(standing, done=False)

    def _just_answered(self, standing: Standing) -> bool:
        """Tell whether this turn is answered, as far as one can know.

        A read may be behind what was just sent. But a chain may also lose what it had: if the turn
        is still there after a while, it is answered again. Twice does no harm.
        """
        recent = time.monotonic() - self._since < SETTLING_SECONDS
        return standing.turn == self._answered and recent

    def answer(self, standing: Standing) -> Report:
        """Return the best response to the board; the present contribution if nothing is better.

        The same function as the library's, on the game as this organization knows it.
        """
        game, me = self._game, self._game.me
        mine = standing.reports[me]
        profile = profile_of(standing.reports)
        d, f = best_response(game, profile, me)
        answer = self.agreement.report(me, max(d, game.min_data_fraction), f)
        # A proposal has nine digits, and the last must not be beyond the deadline.
        levels = np.full(game.size, f)
        most = math.floor(float(game.max_data_fraction(levels)[me]) * PPB)
        if self.agreement.min_data_ppb <= most < answer.data_ppb:
            answer = dataclasses.replace(answer, data_ppb=most)
        step = abs(answer.data_ppb - mine.data_ppb) / PPB * float(game.data_units[me])
        if answer.cpu_hz == mine.cpu_hz and step <= TOLERANCE * game.omega(profile):
            return mine
        return answer

    def _potential_gain(self, standing: Standing, answer: Report) -> float:
        """Return what a move adds to the potential: the gain in payoff divided by ``z_i``."""
        after = list(standing.reports)
        after[self._game.me] = answer
        before = profile_of(standing.reports)
        # The others' own terms are stand-ins, but they do not change.
        return potential(self._game, profile_of(after)) - potential(self._game, before)

    def _outlook(self, standing: Standing | None, *, done: bool) -> Outlook:
        if standing is None:
            return Outlook(None, None, 0.0, self._gain, done)
        me = self._game.me
        payoff = float(payoffs(self._game, profile_of(standing.reports)).payoff[me])
        return Outlook(standing, standing.reports[me], payoff, self._gain, done)


def profile_of(reports: Sequence[Report]) -> StrategyProfile:
    """Return reports as the game has them."""
    return StrategyProfile(
        np.array([report.data_ppb / PPB for report in reports]),
        np.array([float(report.cpu_hz) for report in reports]),
    )
