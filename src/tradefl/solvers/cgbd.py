r"""CGBD: generalized Benders decomposition that is what the paper claims.

Implements Algorithm 1 of [Yuan2023]_ with these deviations: the signs are those of erratum
E4 (LB and UB bound ``min -U``), and the cuts are valid (E5). A cut comes from the tangent of P
at ``Omega^(k)``, under which the Lagrangian separates:

    -U(d, f) >= -[ P(Omega^(k)) + P'(Omega^(k)) (Omega - Omega^(k)) ] - sum_i own_i(d_i, f_i)

1. Solve the primal (19) for ``f^(k-1)``; UB <- min{UB, -U}. If the deadline cannot be met,
   solve (21) and forbid the worst organization every level that cannot meet it.
2. Add the cut at ``Omega^(k)``.
3. Solve the master over f; LB <- its proven bound.
4. Stop when ``UB - LB <= epsilon |UB|``.

Two masters:

``milp``
    Keeps ``d_il`` and binaries ``y_il`` with ``D_min y_il <= d_il <= h_il y_il``
    and hands the mixed-integer linear program to HiGHS. Few
    iterations, hundreds of organizations. Its bound is as good as HiGHS's tolerances.
``traversal``
    The paper's enumeration of all ``m^N`` combinations, with the cuts projected on f by
    minimizing over d in closed form. For small N, and for comparison.

.. [Yuan2023] S. Yuan et al., "TradeFL: A Trading Mechanism for Cross-Silo Federated
   Learning", 2023.
"""

from __future__ import annotations

import time
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.potential import potential
from tradefl.game.strategy import StrategyProfile
from tradefl.solvers.best_response import players
from tradefl.solvers.highs import milp
from tradefl.solvers.levels import Infeasible, Levels, Primal, fastest_levels, primal
from tradefl.solvers.pricing import choose, chosen_profile
from tradefl.solvers.solution import BoundTrace, Solution
from tradefl.solvers.traversal import Lines, Traversal

Array = npt.NDArray[np.float64]
Master = Literal["milp", "traversal"]

EPSILON = 1e-8
MAX_ITERATIONS = 1000


class _Master(Protocol):
    """Proposes levels, given the cuts so far, and proves a lower bound on ``min -U``."""

    def forbid(self, i: int) -> None:
        """Exclude the levels at which organization i cannot meet the deadline."""

    def cut(self, levels: Levels, found: Primal) -> None:
        """Learn what the primal found for these levels."""

    def propose(self) -> tuple[Levels | None, float]:
        """Return the best levels and the bound; ``None`` if none can reach the onset."""


def solve(
    game: CoopetitionGame,
    *,
    master: Master = "milp",
    epsilon: float = EPSILON,
    max_iterations: int = MAX_ITERATIONS,
    initial_levels: Levels | None = None,
) -> Solution:
    """Return the global maximizer of the potential by generalized Benders decomposition.

    Parameters
    ----------
    game
        The game.
    master
        ``milp`` (HiGHS) or ``traversal`` (the paper's enumeration).
    epsilon
        Relative: stop when ``UB - LB <= epsilon * |UB|``.
    max_iterations
        ``K``: give up after so many iterations; the status then says so.
    initial_levels
        ``f^(0)`` as level indices, shape ``(N,)``; default the fastest. It may break the
        deadline.

    Raises
    ------
    ValueError
        An option is out of range, or the traversal would enumerate too many combinations.
    """
    if master not in ("milp", "traversal"):
        raise ValueError(f"master: expected one of milp, traversal, got {master!r}")
    if not 0.0 < epsilon < 1.0:
        raise ValueError(f"epsilon: expected a number in (0, 1), got {epsilon!r}")
    if not isinstance(max_iterations, int) or max_iterations < 1:
        raise ValueError(f"max_iterations: expected an integer >= 1, got {max_iterations!r}")
    levels = fastest_levels(game, initial_levels)
    began = time.perf_counter()
    best = _liked_at_no_price(game)
    chosen: _Master = _Milp(game) if master == "milp" else Traversal(game)
    bounds: list[tuple[float, float]] = []
    visited = {tuple(levels)}
    below_onset = game.min_data_fraction * float(game.data_units.sum()) < game.accuracy.onset
    lower, upper, finished = -np.inf, -potential(game, best), False
    while not finished and len(bounds) < max_iterations:
        found = primal(game, levels)
        if isinstance(found, Infeasible):
            chosen.forbid(found.worst)
        else:
            chosen.cut(levels, found)
            if -found.potential < upper:
                best, upper = found.profile, -found.potential
        proposed, proven = chosen.propose()
        if proposed is None:  # nobody can reach the onset: what was found first is best
            proven = upper
        if not below_onset and proven > upper + 1e-6 * max(1.0, abs(upper)):
            raise ArithmeticError(f"the master proved {proven!r}, above the feasible {upper!r}")
        # The cuts are valid, so LB passes UB by rounding only, or because no profile at or
        # above the onset is as good as one below it.
        lower = min(max(lower, proven), upper)
        bounds.append((lower, upper))
        finished = upper - lower <= epsilon * abs(upper)
        if proposed is None or tuple(proposed) in visited:
            break  # nothing new: what is left of the gap is the master's own precision
        visited.add(tuple(proposed))
        levels = proposed
    return Solution.certified(
        game,
        best,
        finished=finished,
        method="cgbd",
        iterations=len(bounds),
        runtime_seconds=time.perf_counter() - began,
        upper_bound=-lower,
        gap=epsilon * abs(upper),
        trace=BoundTrace(*np.array(bounds).T),
    )


def _liked_at_no_price(game: CoopetitionGame) -> StrategyProfile:
    """Return what everybody would choose if P did not matter.

    Feasible, so a first UB. And no profile below the onset, where P is zero, is worth more
    (E10), so the masters need to look at or above the onset only.
    """
    everyone = players(game)
    return chosen_profile(everyone, choose(everyone, 0.0))


class _Milp:
    """The master in disaggregated form: t, then e_il in [0, y_il], then binaries y_il.

    HiGHS works to absolute tolerances, so the program is brought to order 1 first. An
    organization's own term is counted from the best it can have, and data that would cost more
    than all of P is worth is cut off; ``d = low y + (high - low) e`` then spans what is left.
    """

    def __init__(self, game: CoopetitionGame) -> None:
        from scipy.sparse import coo_array

        self.lines = lines = Lines(game)
        # Each piece of each level is a choice of its own, (N, m K).
        feasible, alpha, beta, low, high = (
            part.reshape(game.size, -1)
            for part in (lines.feasible, lines.alpha, lines.beta, lines.low, lines.high)
        )
        self.shape = feasible.shape
        high = np.where(feasible, high, low)
        self.total = float((game.data_units[:, None] * high).max(axis=1).sum())
        self.top = max(float(lines.accuracy.value(self.total)), np.finfo(float).tiny)
        at_low, at_high = (alpha * d + beta for d in (low, high))
        own = np.where(feasible, np.maximum(at_low, at_high), -np.inf)
        best = own.max(axis=1, keepdims=True)
        self.offset = float(best.sum())
        # Where the own term has fallen by more than P can ever give, nobody goes.
        with np.errstate(divide="ignore", invalid="ignore"):
            turn = np.clip((best - 2.0 * self.top - beta) / alpha, low, high)
        low = np.where(alpha > 0.0, turn, low)
        high = np.where(alpha < 0.0, turn, high)
        worthwhile = feasible & (own >= best - 2.0 * self.top)
        self.who, self.choice = np.nonzero(worthwhile)
        k, at = self.who.size, np.arange(self.who.size)
        low, span = low[worthwhile], (high - low)[worthwhile]
        alpha, beta = alpha[worthwhile], beta[worthwhile]
        units = game.data_units[self.who] / self.total
        loss = (alpha * low + beta - best[self.who, 0]) / self.top
        gain = alpha * span / self.top
        # In units of 1e-4 P: the gap at which HiGHS stops, 1e-6, is then 1e-10 of P.
        self.scale = 1e-4 * self.top
        self.cost = -np.concatenate([[1.0], gain, loss]) * 1e4
        self.integrality = np.concatenate([np.zeros(1 + k), np.ones(k)])
        # e <= y, and one level each.
        rows = np.concatenate([at, at, k + self.who])
        columns = np.concatenate([1 + at, 1 + k + at, 1 + k + at])
        values = np.concatenate([np.ones(k), -np.ones(k), np.ones(k)])
        self.rows = coo_array((values, (rows, columns)), shape=(k + game.size, 1 + 2 * k)).tocsr()
        self.row_low = np.concatenate([np.full(k, -np.inf), np.ones(game.size)])
        self.row_high = np.concatenate([np.zeros(k), np.ones(game.size)])
        # Omega / total; at or above the onset only. t = P / top is bounded by tangents.
        self.omega_row = np.concatenate([[0.0], units * span, units * low])
        self.cuts = [(self.omega_row, lines.onset / self.total, np.inf)]

    def forbid(self, i: int) -> None:
        """Infeasible levels have no variables here."""

    def cut(self, levels: Levels, found: Primal) -> None:
        del levels  # a tangent holds for all
        if found.support is None:
            return
        omega, value, price = found.support
        row = -price * self.total / self.top * self.omega_row
        row[0] = 1.0
        self.cuts.append((row, -np.inf, (value - price * omega) / self.top))

    def propose(self) -> tuple[Levels | None, float]:
        from scipy.optimize import Bounds, LinearConstraint

        if self.total < self.lines.onset:
            return None, np.inf
        rows, lows, highs = zip(*self.cuts, strict=True)
        result = milp(
            self.cost,
            integrality=self.integrality,
            bounds=Bounds(0.0, 1.0),
            constraints=[
                LinearConstraint(self.rows, self.row_low, self.row_high),
                LinearConstraint(np.array(rows), np.array(lows), np.array(highs)),
            ],
            options={"mip_rel_gap": 1e-12},
        )
        if result.status == 2:  # nobody can reach the onset
            return None, np.inf
        if result.x is None or result.mip_dual_bound is None:
            raise RuntimeError(f"HiGHS found no solution of the master: {result.message}")
        y = np.zeros(self.shape)
        y[self.who, self.choice] = result.x[1 + self.who.size :]
        return np.argmax(y, axis=1) // self.lines.pieces, self.scale * float(
            result.mip_dual_bound
        ) - self.offset
