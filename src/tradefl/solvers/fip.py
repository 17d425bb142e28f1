r"""FIP: a finite improvement path on a grid, a baseline of Section VI.

Organizations choose ``d`` from ``{e, 2e, ..., 1}`` and any level; in turn, each moves to its
best strategy on that grid if that is an improvement. The potential rises with each move
and the grid is finite, so the path ends, at an equilibrium of the grid. That is none of the
game itself unless the grid happens to contain one: the certificate tells how much is missed.
"""

from __future__ import annotations

import time

import numpy as np

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.potential import own_term
from tradefl.game.strategy import StrategyProfile
from tradefl.solvers.dynamics import Offer, check, play
from tradefl.solvers.levels import fastest_levels, frequencies
from tradefl.solvers.solution import Solution

STEP = 0.1
TOLERANCE = 1e-12


def solve(
    game: CoopetitionGame,
    *,
    step: float | None = None,
    tolerance: float = TOLERANCE,
    max_moves: int | None = None,
) -> Solution:
    """Return where the finite improvement path ends.

    Parameters
    ----------
    game
        The game.
    step
        ``e`` in [D_min, 1]: the grid is ``e, 2e, ...`` up to 1, and 1 itself. Default 0.1, or
        D_min where that is more.
    tolerance
        Relative: a move must raise the mover's part of the potential by more than this.
    max_moves
        Give up after so many moves; default ``50,000 + 100 N``.

    Raises
    ------
    ValueError
        An option is out of range, or ``step`` is more than an organization can train in time.
    """
    if step is None:
        step = max(STEP, game.min_data_fraction)
    if not game.min_data_fraction <= step <= 1.0:
        raise ValueError(
            f"step: expected a number in [{game.min_data_fraction:g}, 1], got {step!r}"
        )
    limit = check(tolerance, max_moves, game.size)
    began = time.perf_counter()
    grid = np.append(step * np.arange(1, int(np.floor(1.0 / step * (1.0 - 1e-12))) + 1), 1.0)
    reach = game.max_data_fraction(game.cpu_levels_hz)
    # (N, m, points): a padded level is NaN and reaches nothing.
    playable = grid[None, None, :] <= reach[:, :, None]
    stuck = np.flatnonzero(~playable.any(axis=(1, 2)))
    if stuck.size:
        raise ValueError(
            f"step: {game.name_of(int(stuck[0]))} cannot train {step:g} of its data before the "
            "deadline at any level"
        )
    own = own_term(game)
    # (N, m, points): what each strategy on the grid adds to the potential besides P.
    worth = np.stack(
        [
            own.at(np.broadcast_to(grid, (game.size, grid.size)), game.cpu_levels_hz[:, [level]])
            for level in range(game.cpu_levels_hz.shape[1])
        ],
        axis=1,
    )

    def best_on_grid(i: int, others: float, _d: float, _f: float) -> Offer:
        terms = worth[i]
        value = game.accuracy.value(others + game.data_units[i] * grid) + terms
        value = np.where(playable[i], value, -np.inf)
        level, point = np.unravel_index(np.argmax(value), value.shape)
        return Offer(
            float(grid[point]),
            float(game.cpu_levels_hz[i, level]),
            float(value[level, point]),
            float(terms[level, point]),
        )

    start = StrategyProfile(np.full(game.size, grid[0]), frequencies(game, fastest_levels(game)))
    path = play(game, start, best_on_grid, tolerance, limit)
    return Solution.certified(
        game,
        path.profile,
        finished=path.finished,
        method="fip",
        iterations=len(path.trace),
        runtime_seconds=time.perf_counter() - began,
        trace=path.trace,
    )
