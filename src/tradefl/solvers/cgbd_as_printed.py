r"""CGBD as the paper prints it: Algorithm 1 with Eq. (19)-(23), kept to be compared with.

Implements Algorithm 1 of [Yuan2023]_ to the letter, but for two things without which it does
not run: the signs of erratum E4 (the primal is ``min -U``, so LB and UB bound that), and
``zeta`` is left out of the feasibility cut (22), which otherwise allows the very point that it
is to exclude. The potential is the corrected one (E1).

What is wrong with it is erratum E5. Its optimality cuts freeze d at ``d^(k)``:

    phi >= -U(d^(k), f) + sum_i u_i^(k) G_i(d^(k), f)

while a Benders cut must hold for the d that is best for each f. The "lower bound" may
therefore pass the upper one, at a point that is no optimum; the algorithm then stops and
calls it one. This solver reports that in its remarks, claims no bound, and its status rests on
the certificate alone. Use ``cgbd`` or ``exact``.

.. [Yuan2023] S. Yuan et al., "TradeFL: A Trading Mechanism for Cross-Silo Federated
   Learning", 2023.
"""

from __future__ import annotations

import time

import numpy as np

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.potential import own_term
from tradefl.solvers.levels import (
    Infeasible,
    Levels,
    Primal,
    fastest_levels,
    primal,
    seconds_late,
)
from tradefl.solvers.solution import BoundTrace, Solution
from tradefl.solvers.traversal import Traversal

EPSILON = 1e-8
MAX_ITERATIONS = 1000


def solve(
    game: CoopetitionGame,
    *,
    epsilon: float = EPSILON,
    max_iterations: int = MAX_ITERATIONS,
    initial_levels: Levels | None = None,
) -> Solution:
    """Return where Algorithm 1 stops, with what its bounds did on the way.

    Parameters
    ----------
    game
        The game; all combinations of levels are enumerated, so N must be small.
    epsilon
        Stop when ``UB - LB <= epsilon``, crossed bounds included, as line 1 says.
    max_iterations
        ``K``.
    initial_levels
        ``f^(0)`` as level indices, shape ``(N,)``; default the fastest.

    Raises
    ------
    ValueError
        An option is out of range, or there are too many combinations.
    """
    if not 0.0 <= epsilon < 1.0:
        raise ValueError(f"epsilon: expected a number in [0, 1), got {epsilon!r}")
    if not isinstance(max_iterations, int) or max_iterations < 1:
        raise ValueError(f"max_iterations: expected an integer >= 1, got {max_iterations!r}")
    levels = fastest_levels(game, initial_levels)
    began = time.perf_counter()
    master = Traversal(game, above_onset=False)
    best: Primal | None = None
    bounds: list[tuple[float, float]] = []
    lower, upper = -np.inf, np.inf
    while upper - lower > epsilon and len(bounds) < max_iterations:
        found = primal(game, levels)
        if isinstance(found, Infeasible):
            master.forbid(found.worst)
        else:
            _cut(game, master, found)
            if best is None or -found.potential < upper:
                best, upper = found, -found.potential
        proposed, lower = master.propose()
        bounds.append((lower, upper))
        if proposed is None:
            break
        levels = proposed
    if best is None:
        raise ValueError("max_iterations: no feasible levels within so few iterations")
    rounding = 1e-12 * max(1.0, abs(upper))
    crossed = next((k for k, (lb, ub) in enumerate(bounds, 1) if lb > ub + rounding), None)
    remarks: tuple[str, ...] = ("the cuts of Eq. (23) are not valid (erratum E5): no bound",)
    if crossed is not None:
        lb, ub = bounds[crossed - 1]
        remarks += (f"LB = {lb:.12g} passed UB = {ub:.12g} in iteration {crossed}",)
    return Solution.certified(
        game,
        best.profile,
        finished=upper - lower <= epsilon,
        method="cgbd-as-printed",
        iterations=len(bounds),
        runtime_seconds=time.perf_counter() - began,
        trace=BoundTrace(*np.array(bounds).T),
        remarks=remarks,
    )


def _cut(game: CoopetitionGame, master: Traversal, found: Primal) -> None:
    """Add ``phi >= -U(d^(k), f) + u^(k)' G(d^(k), f)``, separable in f for the frozen d."""
    f = game.cpu_levels_hz
    d = np.broadcast_to(found.profile.data_fraction[:, None], f.shape)
    late = seconds_late(game, d, f)
    own = own_term(game).at(d, f)
    performance = float(game.accuracy.value(game.omega(found.profile)))
    # Where the deadline does not bind there is no price on it, however far away it is.
    u = np.broadcast_to(found.multipliers[:, None], late.shape)
    master.raise_to(-performance, np.where(u > 0.0, u * np.where(u > 0.0, late, 0.0), 0.0) - own)
