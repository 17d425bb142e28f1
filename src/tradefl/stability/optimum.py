r"""The exact value of a coalition, certified, thousands of times a second.

Branch and bound over the levels, like the planner's (:mod:`tradefl.solvers.branching`), in a form
that compiles as a whole. In a node each member is confined to a range of its levels, and its cost
is replaced by the greatest convex function below it (a hull, see docs/explanation/planner.md). The
relaxed problem is concave, and coordinate ascent solves it. Tangents of P at its solution give the
bound, a member inside a hull edge is branched on.

The bound is valid wherever it is taken, so an ascent that has not converged costs time, not truth.
Where a tangent of P might lie below P, which is zero below its onset, the bound is infinite; there
the planner decides (:mod:`tradefl.stability.values`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.solvers.best_response import (
    accuracy_derivative,
    accuracy_onset,
    accuracy_value,
)
from tradefl.stability.ascent import ascend, slope_for, value_at, weights

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

MAX_NODES = 200
SWEEPS = 60
BISECTIONS = 50
CLOSE = 1e-12
ROUNDING = 1e-14


def hull(terms: Any, i: int, first: int, last: int, corner: Array, cost: Array) -> int:
    """Fill in the corners of the convex hull of i's cost on some levels; return how many."""
    start = terms.least[i] if first == 0 else terms.reach[i, first - 1]
    corner[0], cost[0] = start, terms.price[i, first] * start
    count = 1
    for k in range(first, last + 1):
        x = terms.reach[i, k]
        c = terms.price[i, k] * x
        if x <= corner[count - 1]:
            continue
        while count >= 2:
            run = corner[count - 1] - corner[count - 2]
            rise = cost[count - 1] - cost[count - 2]
            # A corner above the line between its neighbours is on no lower hull.
            if (c - cost[count - 1]) * run > rise * (x - corner[count - 1]):
                break
            count -= 1
        corner[count], cost[count] = x, c
        count += 1
    return count


def hull_cost(corner: Array, cost: Array, count: int, x: float) -> float:
    """Return the hull at ``x``."""
    k = 1
    while k < count - 1 and corner[k] < x:
        k += 1
    if count == 1 or x <= corner[0]:
        return float(cost[0])
    share = (x - corner[k - 1]) / (corner[k] - corner[k - 1])
    return float(cost[k - 1] + share * (cost[k] - cost[k - 1]))


def relaxed_best(
    accuracy: Any,
    inside: Flags,
    x: Array,
    w: Array,
    together: float,
    i: int,
    others: float,
    corner: Array,
    cost: Array,
    count: int,
) -> float:
    """Return the best data of member i on its hull, given what the others provide."""
    at = count - 1
    while at > 0:
        price = (cost[at] - cost[at - 1]) / (corner[at] - corner[at - 1])
        if slope_for(accuracy, inside, x, w, together, i, others + corner[at]) >= price:
            return float(corner[at])
        if slope_for(accuracy, inside, x, w, together, i, others + corner[at - 1]) > price:
            low, high = corner[at - 1], corner[at]
            for _ in range(BISECTIONS):
                middle = 0.5 * (low + high)
                if slope_for(accuracy, inside, x, w, together, i, others + middle) >= price:
                    low = middle
                else:
                    high = middle
            return float(low)
        at -= 1
    return float(corner[0])


def tangent_bound(
    accuracy: Any,
    terms: Any,
    inside: Flags,
    x: Array,
    w: Array,
    together: float,
    corner: Array,
    cost: Array,
    count: Indices,
) -> float:
    """Return the separable upper bound of tangents at ``x``; infinite where they may not hold."""
    n = inside.size
    onset = accuracy_onset(accuracy)
    omega, least = 0.0, 0.0
    for j in range(n):
        if inside[j]:
            omega += x[j]
            least += corner[j, 0]
    steep = accuracy_derivative(accuracy, omega)
    value = accuracy_value(accuracy, omega)
    if least < onset and (omega < onset or value - steep * (omega - least) < 0.0):
        return np.inf
    bound = together * (value - steep * omega)
    price = together * steep
    size = together * value
    for j in range(n):
        if inside[j] and w[j] > 0.0:
            rest = max(omega - x[j], 0.0)
            value = accuracy_value(accuracy, rest)
            steep = accuracy_derivative(accuracy, rest)
            lowest = max(least - corner[j, 0], 0.0)
            if lowest < onset and (rest < onset or value - steep * (rest - lowest) < 0.0):
                return np.inf
            bound += w[j] * (value - steep * rest)
            price += w[j] * steep
            size += w[j] * value
    for j in range(n):
        if inside[j]:
            own = price
            if w[j] > 0.0:
                own -= w[j] * accuracy_derivative(accuracy, max(omega - x[j], 0.0))
            best = -np.inf
            for k in range(count[j]):
                best = max(best, own * corner[j, k] - cost[j, k])
            bound += best - terms.fixed[j]
            size += abs(best) + terms.fixed[j]
    return bound + ROUNDING * size


def optimum(
    accuracy: Any, terms: Any, inside: Flags, market: bool, x: Array
) -> tuple[float, float]:
    """Return the value of a coalition and an upper bound; ``x`` becomes its data.

    ``x`` is where the search starts.
    """
    n, m = terms.reach.shape
    w = np.empty(n)
    together = weights(terms, inside, market, w)
    best = ascend(accuracy, terms, inside, x, w, together)
    trial = x.copy()
    corner, cost = np.empty((n, m + 1)), np.empty((n, m + 1))
    count = np.zeros(n, dtype=np.intp)
    firsts, lasts = np.zeros((MAX_NODES + 2, n), np.intp), np.zeros((MAX_NODES + 2, n), np.intp)
    above = np.empty(MAX_NODES + 2)
    for i in range(n):
        lasts[0, i] = terms.last[i]
    above[0] = np.inf
    depth, nodes, closed = 1, 0, -np.inf
    while depth > 0:
        depth -= 1
        bound = above[depth]
        if bound <= best + CLOSE * abs(best):
            closed = max(closed, bound)
            continue
        if nodes >= MAX_NODES:
            closed = max(closed, bound)
            continue
        nodes += 1
        omega = 0.0
        for i in range(n):
            if inside[i]:
                count[i] = hull(terms, i, firsts[depth, i], lasts[depth, i], corner[i], cost[i])
                trial[i] = min(max(trial[i], corner[i, 0]), corner[i, count[i] - 1])
                omega += trial[i]
        for _ in range(SWEEPS):
            change = 0.0
            omega = 0.0
            for i in range(n):
                if inside[i]:
                    omega += trial[i]
            for i in range(n):
                if inside[i] and count[i] > 1:
                    others = omega - trial[i]
                    to = relaxed_best(
                        accuracy, inside, trial, w, together, i, others, corner[i], cost[i],
                        count[i],
                    )  # fmt: skip
                    change += abs(to - trial[i])
                    trial[i] = to
                    omega = others + to
            if change <= 1e-13 * omega:
                break
        bound = min(
            bound,
            tangent_bound(accuracy, terms, inside, trial, w, together, corner, cost, count),
        )
        # The relaxed data is feasible too, at the levels that provide it.
        value = value_at(accuracy, terms, inside, trial, w, together)
        if value > best:
            best = value
            for i in range(n):
                x[i] = trial[i]
        if nodes <= 4:
            start = trial.copy()
            value = ascend(accuracy, terms, inside, start, w, together)
            if value > best:
                best = value
                for i in range(n):
                    x[i] = start[i]
        if bound <= best + CLOSE * abs(best):
            closed = max(closed, bound)
            continue
        chosen, most, level = -1, 0.0, 0
        for i in range(n):
            if inside[i]:
                k = 0
                while k < lasts[depth, i] and terms.reach[i, k] < trial[i]:
                    k += 1
                k = max(k, firsts[depth, i])
                loss = terms.price[i, k] * trial[i] - hull_cost(
                    corner[i], cost[i], count[i], trial[i]
                )
                if loss > most and lasts[depth, i] > firsts[depth, i]:
                    chosen, most, level = i, loss, k
        if chosen < 0 or most <= 1e-15 * abs(best) or depth + 2 > MAX_NODES:
            closed = max(closed, bound)
            continue
        level = max(level, firsts[depth, chosen] + 1)
        for i in range(n):
            firsts[depth + 1, i], lasts[depth + 1, i] = firsts[depth, i], lasts[depth, i]
        lasts[depth, chosen] = level - 1
        firsts[depth + 1, chosen] = level
        above[depth] = above[depth + 1] = bound
        depth += 2
    return best, max(closed, best)


def many_optima(
    begin: int,
    end: int,
    accuracy: Any,
    terms: Any,
    members: Flags,
    market: bool,
    start: Array,
    value: Array,
    bound: Array,
    omega: Array,
) -> None:
    """Fill in each coalition's value, its bound and its data; ``members`` is ``(K, N)``."""
    x = np.empty(members.shape[1])
    for s in range(begin, end):
        for i in range(x.size):
            x[i] = start[i]
        value[s], bound[s] = optimum(accuracy, terms, members[s], market, x)
        omega[s] = 0.0
        for i in range(x.size):
            if members[s, i]:
                omega[s] += x[i]
