r"""GCA: DBR with greedy computation allocation, a baseline of Section VI.

The frequency follows the data: ``f_i`` is the smallest level that is at least ``k d_i``,
with ``k = F_i^(m)`` by default, so that full data means full speed.
Organizations choose d alone; the deadline still holds. On the piece of d that belongs to one
level the payoff is as in DBR, so the best response is the best of m closed forms.

The certificate judges the profile by the whole game, in which f is free: regret is what
greed costs.
"""

from __future__ import annotations

import time

import numpy as np

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.strategy import StrategyProfile
from tradefl.solvers.dynamics import check, play
from tradefl.solvers.segments import greedy_segments
from tradefl.solvers.solution import Solution

TOLERANCE = 1e-12


def solve(
    game: CoopetitionGame,
    *,
    greedy_hz: float | None = None,
    tolerance: float = TOLERANCE,
    max_moves: int | None = None,
) -> Solution:
    """Return where best responses over d lead when f follows d.

    Parameters
    ----------
    game
        The game.
    greedy_hz
        ``k`` > 0, Hz per unit fraction of data; default each organization's fastest level.
    tolerance
        Relative: a move must raise the mover's part of the potential by more than this.
    max_moves
        Give up after so many moves; default ``50,000 + 100 N``.

    Raises
    ------
    ValueError
        An option is out of range, or some organization has no d whose level meets the deadline.
    """
    if greedy_hz is not None and not (np.isfinite(greedy_hz) and greedy_hz > 0.0):
        raise ValueError(f"greedy_hz: expected a number > 0, got {greedy_hz!r}")
    limit = check(tolerance, max_moves, game.size)
    began = time.perf_counter()
    k = np.fmax.reduce(game.cpu_levels_hz, axis=1)
    if greedy_hz is not None:
        k = np.full(game.size, float(greedy_hz))
    choices = greedy_segments(game, k)
    stuck = np.flatnonzero(~choices.playable())
    if stuck.size:
        raise ValueError(
            f"greedy_hz: {game.name_of(int(stuck[0]))} has no data fraction whose greedy level "
            "meets the deadline"
        )
    path = play(game, StrategyProfile(*choices.first()), choices, tolerance, limit)
    return Solution.certified(
        game,
        path.profile,
        finished=path.finished,
        method="gca",
        iterations=len(path.trace),
        runtime_seconds=time.perf_counter() - began,
        trace=path.trace,
    )
