r"""Equilibria under mechanisms without a potential: best responses that are searched for.

1. If payoffs follow welfare (:meth:`Mechanism.welfare_shares`), the planner's optimum is an
   equilibrium: start there.
2. Otherwise start as DBR does, or where the user says.
3. Let every organization in turn move to its best response (:mod:`tradefl.game.search`), if that
   gains more than rounding. Stop after a round in which nobody moved.

Without a potential nothing says that this ends: some mechanisms have no equilibrium in pure
strategies. A profile that is played twice proves a cycle; then, and at the move limit, the solution
says ``iteration_limit`` and its regret.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.search import POINTS, Deviations, best_responses
from tradefl.game.strategy import StrategyProfile
from tradefl.solvers import planner
from tradefl.solvers.solution import Solution

# A move counts if it gains more than this share of the terms of a payoff.
TOLERANCE = 1e-11
# Contributions that agree to so many decimals are the same, where cycles are looked for.
SAME = 9


class Path(NamedTuple):
    """Where best responses led, in how many moves, and whether they ended or cycle."""

    profile: StrategyProfile
    moves: int
    settled: bool
    cycle: bool


def solve(
    game: CoopetitionGame,
    *,
    tolerance: float = TOLERANCE,
    max_moves: int | None = None,
    initial: StrategyProfile | None = None,
    points: int = POINTS,
) -> Solution:
    """Return the equilibrium that sequential best responses reach under any mechanism.

    Parameters
    ----------
    game
        The game; its mechanism may be any transfer function.
    tolerance
        Relative: a move must gain more than this share of the terms of the payoff.
    max_moves
        Give up after so many single moves; default ``200 N``.
    initial
        Where to start; default: the social optimum where payoffs follow welfare, otherwise
        :meth:`CoopetitionGame.initial_profile`.
    points
        Points of the first grid at each level, at least 5.

    Raises
    ------
    ValueError
        An option is out of range, or ``initial`` is infeasible.
    """
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"tolerance: expected a number in (0, 1), got {tolerance!r}")
    if max_moves is None:
        max_moves = 200 * game.size
    if not isinstance(max_moves, int) or max_moves < 0:
        raise ValueError(f"max_moves: expected an integer >= 0, got {max_moves!r}")
    if not isinstance(points, int) or points < 5:
        raise ValueError(f"points: expected an integer >= 5, got {points!r}")
    if initial is not None and initial.data_fraction.size != game.size:
        raise ValueError(
            f"initial: expected {game.size} strategies, got {initial.data_fraction.size}"
        )
    if initial is not None and not game.is_feasible(initial).all():
        raise ValueError("initial: expected a feasible profile, Eq. (13)")

    began = time.perf_counter()
    path = play(
        game,
        _start(game) if initial is None else initial,
        tolerance=tolerance,
        max_moves=max_moves,
        points=points,
    )
    remarks = ("best responses came back to where they were: they cycle",) if path.cycle else ()
    return Solution.certified(
        game,
        path.profile,
        finished=path.settled,
        method="search",
        iterations=path.moves,
        runtime_seconds=time.perf_counter() - began,
        remarks=remarks,
    )


def play(
    game: CoopetitionGame,
    start: StrategyProfile,
    *,
    tolerance: float = TOLERANCE,
    max_moves: int,
    points: int = POINTS,
) -> Path:
    """Let organizations move in turn from a profile; see :func:`solve`, which certifies the end."""
    profile, moves, settled, cycle = start, 0, False, False
    seen: set[bytes] = set()
    while not settled and not cycle and moves < max_moves:
        before = moves
        for i in range(game.size):
            if moves == max_moves:
                break
            deviations = Deviations(game, profile)
            found = best_responses(
                game, profile, np.array([i]), points=points, deviations=deviations
            )
            if found.gain[0] > tolerance * deviations.scale(np.array([i]))[0]:
                profile = profile.replaced(i, float(found.d[0]), float(found.f[0]))
                moves += 1
        settled = moves == before and (moves < max_moves or moves == 0)
        played = np.round(profile.data_fraction, SAME).tobytes() + profile.cpu_hz.tobytes()
        cycle = not settled and played in seen
        seen.add(played)
    return Path(profile, moves, settled, cycle)


def _start(game: CoopetitionGame) -> StrategyProfile:
    if game.mechanism.welfare_shares(game) is None:
        return game.initial_profile()
    return planner.solve(game.with_incentive_intensity(0.0)).profile
