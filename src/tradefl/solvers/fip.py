r"""FIP: a finite improvement path on a grid, a baseline of Section VI.

Organizations choose ``d`` from ``{e, 2e, ..., 1}`` and any level; in turn, each moves to its
best strategy on that grid if that is an improvement. The potential rises with each move
and the grid is finite, so the path ends, at an equilibrium of the grid. That is not one of the
game itself unless the grid happens to contain one: the certificate tells how much is missed.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.strategy import StrategyProfile
from tradefl.solvers.dynamics import check, play
from tradefl.solvers.levels import fastest_levels, frequencies
from tradefl.solvers.segments import grid_segments
from tradefl.solvers.solution import Solution

Array = npt.NDArray[np.float64]

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
    grid = grid_of(step)
    choices = grid_segments(game, grid)
    stuck = np.flatnonzero(~choices.playable())
    if stuck.size:
        raise ValueError(
            f"step: {game.name_of(int(stuck[0]))} cannot train {step:g} of its data before the "
            "deadline at any level"
        )
    start = StrategyProfile(np.full(game.size, grid[0]), frequencies(game, fastest_levels(game)))
    path = play(game, start, choices, tolerance, limit)
    return Solution.certified(
        game,
        path.profile,
        finished=path.finished,
        method="fip",
        iterations=len(path.trace),
        runtime_seconds=time.perf_counter() - began,
        trace=path.trace,
    )


def grid_of(step: float) -> Array:
    """Return ``e, 2e, ...`` up to 1, and 1 itself."""
    return np.append(step * np.arange(1, int(np.floor(1.0 / step * (1.0 - 1e-12))) + 1), 1.0)
