r"""The planner: the profile with the highest social welfare, with a proven upper bound.

Redistribution cancels from welfare (THEORY.md, section 8). With ``z_j`` and ``w_j = sum_k rho_jk
p_k``,

    W(pi) = (sum_j z_j) P(Omega) + sum_j w_j P(Omega - u_j d_j) - sum_j overhead_j

and for given data the slowest feasible level is the cheapest. So organization i chooses among
segments: level l, for ``h_i,l-1 <= d_i <= h_il``, at a cost that is straight in ``d_i``. What is
not linear are N + 1 functions of one number each, concave from the onset of P on.

1. *Outer approximation.* Replace each of them by the tangents at the points visited so far, and
   hand the mixed-integer linear program to HiGHS. Its bound holds for W.
2. *Local search.* From its solution climb in the continuous variables, then let one
   organization at a time take the strategy that is best for all, until nobody can help.
3. Add the tangents at both solutions; stop when bound and incumbent meet.

Where little data leaves the model untrained, P is zero up to its onset and not concave across it
(erratum E10): a binary for each function that can get there says on which side it is.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.payoff import payoffs
from tradefl.game.strategy import StrategyProfile
from tradefl.game.welfare import deviation_welfare, social_welfare, welfare_gradient
from tradefl.solvers import exact
from tradefl.solvers.highs import milp
from tradefl.solvers.solution import Solution

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

TOLERANCE = 1e-9
MAX_ITERATIONS = 50
TIME_LIMIT = 600.0
# Tangents to begin with, spread over what Omega can be.
FIRST_TANGENTS = 8
# HiGHS works to absolute tolerances: P is counted in units of this share of its largest value.
UNIT = 1e-3
MAX_ROUNDS = 200


def solve(
    game: CoopetitionGame,
    *,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
    time_limit: float = TIME_LIMIT,
) -> Solution:
    """Return the profile with the highest social welfare, and a proven bound on it.

    The bound is the solution's ``welfare_bound``; ``optimal`` means that welfare is within the
    tolerance of it. The profile need not be an equilibrium: its regret says what the rule of the
    game leaves to be gained by leaving it.

    Parameters
    ----------
    game
        The game.
    tolerance
        Relative: optimal when ``welfare_bound - social_welfare <= tolerance |welfare_bound|``.
    max_iterations
        The most mixed-integer programs; beyond it the gap stays and the status says so.
    time_limit
        Seconds after which no further one is begun, and one that runs is cut off.

    Raises
    ------
    ValueError
        An option is out of range.
    """
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"tolerance: expected a number in (0, 1), got {tolerance!r}")
    if not isinstance(max_iterations, int) or max_iterations < 1:
        raise ValueError(f"max_iterations: expected an integer >= 1, got {max_iterations!r}")
    if not time_limit > 0.0:
        raise ValueError(f"time_limit: expected a number > 0, got {time_limit!r}")
    began = time.perf_counter()
    choices = _Choices.of(game)
    best = max(
        (
            _climb(game, choices, choices.cheapest(_equilibrium_data(game))),
            choices.cheapest(np.full(game.size, game.min_data_fraction)),
        ),
        key=lambda profile: social_welfare(game, profile),
    )
    best_value = social_welfare(game, best)
    bound, iterations, previous = _ceiling(game, choices), 0, np.inf
    master: _Master | None = None
    while iterations < max_iterations and bound - best_value > tolerance * abs(bound):
        left = time_limit - (time.perf_counter() - began)
        if left <= 0.0:
            break
        if master is None:
            master = _Master(game, choices)
            master.tangents_at(best)
        proposed, proven = master.propose(left)
        iterations += 1
        bound = min(bound, proven)
        if proposed is not None:
            for candidate in (proposed, _climb(game, choices, proposed)):
                value = social_welfare(game, candidate)
                if value > best_value:
                    best, best_value = candidate, value
                master.tangents_at(candidate)
        gap = bound - best_value
        if proposed is None:  # the time is over
            break
        # What does not shrink any more is HiGHS's own precision.
        if iterations > 3 and not gap < 0.999 * previous:
            if not master.sharpen(tolerance * abs(bound)):
                break
            gap = np.inf
        previous = gap
    # The sum of the payoffs rounds in its own way; nor does that pass the bound.
    bound = max(bound, best_value, payoffs(game, best).social_welfare)
    allowed = tolerance * abs(bound)
    remarks: tuple[str, ...] = ()
    if bound - best_value > allowed:
        remarks = (
            f"not proven optimal: welfare may be {bound - best_value:.3g} higher, after "
            f"{iterations} mixed-integer programs",
        )
    return Solution.certified(
        game,
        best,
        finished=True,
        method="planner",
        iterations=iterations,
        runtime_seconds=time.perf_counter() - began,
        welfare_bound=bound,
        gap=allowed,
        remarks=remarks,
    )


def _ceiling(game: CoopetitionGame, choices: _Choices) -> float:
    """Return what no profile is worth more than: all data for P, and the least of it to pay for.

    Where compute is free, or P is zero wherever they can get, it is the optimum.
    """
    value, u = game.accuracy.value, game.data_units
    most = u * choices.high[choices.first[1:] - 1]
    without = np.asarray(value(np.maximum(most.sum() - most, 0.0)), dtype=float)
    together = float(game.potential_weights.sum()) * float(value(most.sum()))
    gained = together + float(game.competitors_profitability @ without)
    return gained - choices.least_cost - _fixed_cost(game)


def _fixed_cost(game: CoopetitionGame) -> float:
    """Return the overhead of sending the model, which nobody can save."""
    joules = game.download_watts * game.download_seconds + game.upload_watts * game.upload_seconds
    return game.overhead_weight * float(joules.sum())


def _equilibrium_data(game: CoopetitionGame) -> Array:
    """Return what is contributed without compensation: where the local search begins."""
    return exact.solve(game.with_incentive_intensity(0.0)).profile.data_fraction


@dataclasses.dataclass(frozen=True, eq=False)
class _Choices:
    """The segments that are worth choosing, one row each, by organization and ascending.

    Attributes
    ----------
    who
        Shape ``(S,)``: whose segment it is.
    cpu_hz, low, high
        Shape ``(S,)``: the level, and the data from which to which it is the cheapest.
    cost
        Shape ``(S,)``: overhead for each unit of d.
    first
        Shape ``(N + 1,)``: where each organization's segments begin.
    """

    who: Indices
    cpu_hz: Array
    low: Array
    high: Array
    cost: Array
    first: Indices

    @classmethod
    def of(cls, game: CoopetitionGame) -> _Choices:
        high = game.max_data_fraction(game.cpu_levels_hz)
        feasible = high >= game.min_data_fraction  # false for padding, which is NaN
        # A level serves from where the next slower one ends.
        before = np.where(feasible, high, game.min_data_fraction)
        before = np.maximum.accumulate(before, axis=1)
        low = np.column_stack([np.full(game.size, game.min_data_fraction), before[:, :-1]])
        first_feasible = feasible & (np.cumsum(feasible, axis=1) == 1)
        who, level = np.nonzero(feasible & ((high > low) | first_feasible))
        f = game.cpu_levels_hz[who, level]
        joules = game.capacitance * f**2 * game.cycles_per_bit[who] * game.data_bits[who]
        return cls(
            who=who,
            cpu_hz=f,
            low=low[who, level],
            high=high[who, level],
            cost=game.overhead_weight * joules,
            first=np.searchsorted(who, np.arange(game.size + 1)),
        )

    @property
    def least_cost(self) -> float:
        """The overhead of everybody's least data at its slowest level."""
        return float((self.cost * self.low)[self.first[:-1]].sum())

    def cheapest(self, d: Array) -> StrategyProfile:
        """Return the profile with these data fractions, each at the slowest level that does it."""
        # The first segment of each organization whose end is not below d.
        enough = self.high >= d[self.who]
        enough[self.first[1:] - 1] = True  # the last one has to do
        at = np.flatnonzero(enough)
        chosen = at[np.searchsorted(self.who[at], np.arange(d.size))]
        inside = np.clip(d, self.low[self.first[:-1]], self.high[chosen])
        return StrategyProfile(inside, self.cpu_hz[chosen])


def _climb(game: CoopetitionGame, choices: _Choices, start: StrategyProfile) -> StrategyProfile:
    """Return a profile at least as good, which nobody can improve for all by moving alone."""
    from scipy.optimize import minimize

    best, best_value = start, social_welfare(game, start)
    for _ in range(MAX_ROUNDS):
        # Everybody within its segment: a concave program in the data alone.
        chosen = _segment_of(choices, best)
        bounds = np.column_stack([choices.low[chosen], choices.high[chosen]])
        scale = max(abs(best_value), np.finfo(float).tiny)

        def loss(d: Array, f: Array = best.cpu_hz, by: float = scale) -> tuple[float, Array]:
            profile = StrategyProfile(d, f)
            slope = welfare_gradient(game, profile)
            return -social_welfare(game, profile) / by, -slope / by

        found = minimize(
            loss,
            best.data_fraction,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"ftol": 1e-16, "gtol": 1e-14, "maxiter": 1000},
        )
        climbed = StrategyProfile(np.clip(found.x, *bounds.T), best.cpu_hz)
        moved = _one_by_one(game, choices, climbed)
        value = social_welfare(game, moved)
        if not value > best_value + 1e-15 * abs(best_value):
            return best
        best, best_value = moved, value
    return best


def _segment_of(choices: _Choices, profile: StrategyProfile) -> Indices:
    """Return the segment that everybody's level is."""
    same = choices.cpu_hz == profile.cpu_hz[choices.who]
    at = np.flatnonzero(same)
    return np.asarray(at[np.searchsorted(choices.who[at], np.arange(profile.cpu_hz.size))])


def _one_by_one(
    game: CoopetitionGame, choices: _Choices, start: StrategyProfile
) -> StrategyProfile:
    """Let each in turn take the strategy that is best for all, while the others stay."""
    profile = start
    for i in range(game.size):
        rows = slice(choices.first[i], choices.first[i + 1])
        value = deviation_welfare(game, profile, i)
        d_best, f_best, gain = 0.0, 0.0, 0.0
        for f, low, high in zip(
            choices.cpu_hz[rows], choices.low[rows], choices.high[rows], strict=True
        ):
            d, gained = _highest(value, float(f), float(low), float(high))
            if gained > gain:
                d_best, f_best, gain = d, float(f), gained
        if gain > 0.0:
            profile = profile.replaced(i, d_best, f_best)
    return profile


def _highest(value: Any, f: float, low: float, high: float) -> tuple[float, float]:
    """Return where a welfare that is concave in d is highest, and what it is there."""
    from scipy.optimize import minimize_scalar

    ends = [(d, float(value(d, f))) for d in (low, high)]
    if high > low:
        found = minimize_scalar(
            lambda d: -value(d, f), bounds=(low, high), method="bounded", options={"xatol": 1e-10}
        )
        ends.append((float(found.x), -float(found.fun)))
    return max(ends, key=lambda one: one[1])


class _Master:
    """The mixed-integer linear program: every function of W below its tangents.

    Variables: e_s in [0, y_s] and binaries y_s for each segment, ``d = low y + (high - low) e``;
    Omega; t_0 and t_j for P(Omega) and P(Omega - u_j d_j), in units of 1e-3 of the largest P; a
    binary b for each function that can fall below the onset.
    """

    def __init__(self, game: CoopetitionGame, choices: _Choices) -> None:
        from scipy.sparse import coo_array

        self.game, self.choices = game, choices
        n, s = game.size, choices.who.size
        u, self.weights = game.data_units, game.competitors_profitability
        reach = choices.high[choices.first[1:] - 1]
        self.least, self.most = game.min_data_fraction * float(u.sum()), float(u @ reach)
        self.total = max(self.most, np.finfo(float).tiny)
        onset = float(game.accuracy.onset)
        self.top = max(float(game.accuracy.value(self.most)), np.finfo(float).tiny)
        # Column of t_0 is 2 s + 1, that of t_j follows; who has no rivals has no t_j.
        self.functions = np.concatenate([[-1], np.flatnonzero(self.weights > 0.0)])
        lowest = np.where(
            self.functions < 0, self.least, self.least - game.min_data_fraction * u[self.functions]
        )
        highest = np.where(
            self.functions < 0, self.most, self.most - u[self.functions] * reach[self.functions]
        )
        self.lowest, self.highest = lowest, np.maximum(highest, lowest)
        self.unsure = np.flatnonzero(lowest < onset)
        self.t = 2 * s + 1 + np.arange(self.functions.size)
        self.b = 2 * s + 1 + self.functions.size + np.arange(self.unsure.size)
        self.columns = 2 * s + 1 + self.functions.size + self.unsure.size
        self.side = dict(zip(self.unsure.tolist(), self.b.tolist(), strict=True))

        factor = np.where(
            self.functions < 0, float(game.potential_weights.sum()), self.weights[self.functions]
        )
        span = choices.high - choices.low
        cost = np.zeros(self.columns)
        cost[:s] = choices.cost * span
        cost[s : 2 * s] = choices.cost * choices.low
        cost[self.t] = -factor * UNIT * self.top
        # The objective of order 1e4: the gap at which HiGHS stops, 1e-6, is then 1e-10 of it.
        self.largest = max(float(factor.sum()) * self.top, choices.least_cost)
        self.scale = 1e-4 * self.largest
        self.cost = cost

        at = np.arange(s)
        omega = 2 * s
        units = u[choices.who] / self.total
        rows = [
            # e <= y; one segment each; Omega is the sum of the data.
            (np.concatenate([at, at]), np.concatenate([at, s + at]), np.repeat([1.0, -1.0], s)),
            (s + choices.who, s + at, np.ones(s)),
            (
                np.full(2 * s + 1, s + n),
                np.concatenate([at, s + at, [omega]]),
                np.concatenate([units * span, units * choices.low, [-1.0]]),
            ),
        ]
        row, column, value = (np.concatenate(part) for part in zip(*rows, strict=True))
        low = np.concatenate([np.full(s, -np.inf), np.ones(n), [0.0]])
        high = np.concatenate([np.zeros(s), np.ones(n), [0.0]])
        matrix = coo_array((value, (row, column)), shape=(s + n + 1, self.columns)).tocsr()
        self.base = (matrix, low, high)
        self.cuts: list[tuple[list[int], list[float], float]] = []
        self.own_columns = [np.arange(choices.first[j], choices.first[j + 1]) for j in range(n)]
        for k in self.unsure.tolist():  # below the onset P is zero: t <= 0 where b = 0
            self.cuts.append(([int(self.t[k]), self.side[k]], [1.0, -1.0 / UNIT], 0.0))
        for share in np.linspace(0.0, 1.0, FIRST_TANGENTS):
            self._tangents(self.lowest + share * (self.highest - self.lowest))

    def sharpen(self, wanted: float) -> bool:
        """Count welfare in finer units, for a gap so small; return whether that is of use.

        Where the optimum is small against what P could be worth, the usual units are too coarse.
        Units finer still would ask for more digits than HiGHS has.
        """
        finer = max(1e5 * wanted, 1e-6 * self.largest)
        if finer >= self.scale:
            return False
        self.scale = finer
        return True

    def tangents_at(self, profile: StrategyProfile) -> None:
        """Add the tangents of all functions where a profile leads them."""
        omega = self.game.omega(profile)
        own = self.game.data_units * profile.data_fraction
        self._tangents(np.where(self.functions < 0, omega, omega - own[self.functions]))

    def _tangents(self, points: Array) -> None:
        game, choices, s = self.game, self.choices, self.choices.who.size
        accuracy, onset = game.accuracy, float(game.accuracy.onset)
        for k, point in enumerate(points.tolist()):
            a = max(point, onset)
            price, value = float(accuracy.derivative(a)), float(accuracy.value(a))
            # t <= value + price (Omega - u_j d_j - a), in units.
            unit = UNIT * self.top
            columns, values = [int(self.t[k]), 2 * s], [1.0, -price * self.total / unit]
            j = int(self.functions[k])
            if j >= 0:
                own = self.own_columns[j]
                u = price * game.data_units[j] / unit
                columns += [*own.tolist(), *(s + own).tolist()]
                values += [
                    *(u * (choices.high[own] - choices.low[own])).tolist(),
                    *(u * choices.low[own]).tolist(),
                ]
            bound = (value - price * a) / unit
            if k in self.side:  # where b = 0 the tangent is lifted to zero at least
                lift = max(0.0, -(value + price * (float(self.lowest[k]) - a)) / unit)
                columns.append(self.side[k])
                values.append(lift)
                bound += lift
            self.cuts.append((columns, values, bound))

    def propose(self, seconds: float) -> tuple[StrategyProfile | None, float]:
        """Return the master's profile and its proven bound on W."""
        from scipy.optimize import Bounds, LinearConstraint
        from scipy.sparse import coo_array, vstack

        s = self.choices.who.size
        counts = [len(columns) for columns, _, _ in self.cuts]
        tangents = coo_array(
            (
                np.concatenate([values for _, values, _ in self.cuts]),
                (
                    np.repeat(np.arange(len(self.cuts)), counts),
                    np.concatenate([columns for columns, _, _ in self.cuts]),
                ),
            ),
            shape=(len(self.cuts), self.columns),
        )
        matrix, low, high = self.base
        integrality = np.zeros(self.columns)
        integrality[s : 2 * s] = 1
        integrality[self.b] = 1
        least, most = np.zeros(self.columns), np.ones(self.columns)
        least[self.t], most[self.t] = -1.0 / UNIT, 1.0 / UNIT
        result = milp(
            self.cost / self.scale,
            integrality=integrality,
            bounds=Bounds(least, most),
            constraints=LinearConstraint(
                vstack([matrix, tangents]).tocsr(),
                np.concatenate([low, np.full(len(self.cuts), -np.inf)]),
                np.concatenate([high, [bound for _, _, bound in self.cuts]]),
            ),
            options={"mip_rel_gap": 1e-11, "time_limit": seconds},
        )
        proven = np.inf
        if result.mip_dual_bound is not None:
            proven = -self.scale * float(result.mip_dual_bound) - _fixed_cost(self.game)
        if result.x is None:
            if result.status == 1:  # the time is over
                return None, proven
            raise RuntimeError(f"HiGHS found no solution of the master: {result.message}")
        e, y = result.x[:s], result.x[s : 2 * s]
        data = self.choices.low * y + (self.choices.high - self.choices.low) * e
        d = np.bincount(self.choices.who, weights=data, minlength=self.game.size)
        return self.choices.cheapest(np.asarray(d, dtype=float)), proven
