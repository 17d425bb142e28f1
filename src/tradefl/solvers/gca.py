r"""GCA: DBR with greedy computation allocation, a baseline of Section VI.

The frequency follows the data: ``f_i`` is the smallest level that is at least ``k d_i``
(THEORY.md, section 6), with ``k = F_i^(m)`` by default, so that full data means full speed.
Organizations choose d alone; the deadline still holds. On the piece of d that belongs to one
level the payoff is as in DBR, so the best response is the best of m closed forms.

The certificate judges the profile by the whole game, in which f is free: regret is what
greed costs.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.potential import own_term
from tradefl.game.strategy import StrategyProfile
from tradefl.solvers.best_response import best_fraction
from tradefl.solvers.dynamics import Offer, check, play
from tradefl.solvers.solution import Solution

Array = npt.NDArray[np.float64]

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
    low, high = _pieces(game, greedy_hz)
    playable = low <= high
    stuck = np.flatnonzero(~playable.any(axis=1))
    if stuck.size:
        raise ValueError(
            f"greedy_hz: {game.name_of(int(stuck[0]))} has no data fraction whose greedy level "
            "meets the deadline"
        )
    own = own_term(game)

    def follow(i: int, others: float, _d: float, _f: float) -> Offer:
        u, best = float(game.data_units[i]), Offer(0.0, 0.0, -np.inf, 0.0)
        for level in np.flatnonzero(playable[i]):
            f = float(game.cpu_levels_hz[i, level])
            for piece in range(own.low.shape[1]):
                least = max(float(low[i, level]), float(own.low[i, piece]))
                most = min(float(high[i, level]), float(own.high[i, piece]))
                if not least <= most:
                    continue
                slope = float(own.data_gain[i, piece] - own.energy_cost[i] * f**2)
                d = best_fraction(game.accuracy, others, u, slope, least, most)
                term = slope * d + float(own.constant[i, piece]) + float(own.compute_gain[i]) * f
                value = float(game.accuracy.value(others + u * d)) + term
                if value > best.value:
                    best = Offer(d, f, value, term)
        return best

    # The least data that can be played, at the level that follows from it.
    first = np.argmax(playable, axis=1)
    at = np.arange(game.size)
    start = StrategyProfile(low[at, first], game.cpu_levels_hz[at, first])
    path = play(game, start, follow, tolerance, limit)
    return Solution.certified(
        game,
        path.profile,
        finished=path.finished,
        method="gca",
        iterations=len(path.trace),
        runtime_seconds=time.perf_counter() - began,
        trace=path.trace,
    )


def _pieces(game: CoopetitionGame, greedy_hz: float | None) -> tuple[Array, Array]:
    """Return, ``(N, m)`` each, the d at which each level is the greedy one, deadline included.

    Level l is played for ``F^(l-1)/k < d <= F^(l)/k``; the open end is the next double.
    A piece that is empty, or a padded level, has low > high or NaN.
    """
    levels = game.cpu_levels_hz
    fastest = np.fmax.reduce(levels, axis=1)
    k = fastest if greedy_hz is None else np.full(game.size, float(greedy_hz))
    ends = levels / k[:, None]
    starts = np.nextafter(ends[:, :-1], np.inf)
    low = np.maximum(np.column_stack([np.zeros(game.size), starts]), game.min_data_fraction)
    return low, np.minimum(ends, game.max_data_fraction(levels))
