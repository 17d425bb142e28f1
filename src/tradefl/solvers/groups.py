"""Equal organizations: the planner decides only how many of them are on which level."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tradefl.solvers.placing import Placement, Problem

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def group_equal(weight: Array, least: Array, reach: Array, price: Array) -> tuple[Indices, Indices]:
    """Return an order in which equal organizations are neighbours, and where each group begins.

    Equal to the last bit in ``weight`` and ``least``, of shape ``(N,)``, and in ``reach`` and
    ``price``, ``(N, m)``. Without any the order is that given.
    """
    n, m = reach.shape
    key = np.empty(n)
    top, far = largest(weight), largest(least)
    for k in range(n):
        key[k] = weight[k] / top + 0.7 * least[k] / far
    for level in range(m):  # equal numbers give equal keys, to the last bit
        top, far = 0.0, 0.0
        for k in range(n):
            top, far = max(top, abs(price[k, level])), max(far, abs(reach[k, level]))
        top, far = (top if top > 0.0 else 1.0), (far if far > 0.0 else 1.0)
        turn = 1.0 + 1.0 / (level + 2.0)
        for k in range(n):
            key[k] = key[k] * turn + reach[k, level] / far + 0.3 * price[k, level] / top
    order = ascending(key)
    begins, groups = np.empty(n, dtype=np.int64), 0
    for k in range(n):
        i, j = order[k - 1], order[k]
        same = k > 0 and key[i] == key[j] and weight[i] == weight[j] and least[i] == least[j]
        level = 0
        while same and level < m:
            same = reach[i, level] == reach[j, level] and price[i, level] == price[j, level]
            level += 1
        if not same:
            begins[groups] = k
            groups += 1
    if groups == n:
        for k in range(n):
            order[k] = k
    return order, begins[:groups]


def ascending(key: Array) -> Indices:
    """Return the order of some numbers, equal ones as they are: a merge sort.

    NumPy's takes numba seconds to compile.
    """
    n, width = key.size, 1
    order, other = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    for k in range(n):
        order[k] = k
    while width < n:
        for first in range(0, n, 2 * width):
            middle, end = min(first + width, n), min(first + 2 * width, n)
            i, j = first, middle
            for k in range(first, end):
                if j == end or (i < middle and key[order[i]] <= key[order[j]]):
                    other[k] = order[i]
                    i += 1
                else:
                    other[k] = order[j]
                    j += 1
        order, other = other, order
        width *= 2
    return order


def largest(column: Array) -> float:
    """Return the largest size of the numbers, or 1 if all are zero."""
    size = 0.0
    for k in range(column.size):
        size = max(size, abs(column[k]))
    return float(size) if size > 0.0 else 1.0


def grouped(
    together: float,
    weight: Array,
    least: Array,
    reach: Array,
    price: Array,
    last: Indices,
    order: Indices,
    starts: Indices,
) -> Problem:
    """Return the problem of groups; with everybody's numbers before."""
    n, groups = weight.size, starts.size
    whole, count = np.empty(1), np.empty(groups, dtype=np.int64)
    whole[0] = together
    for g in range(groups):
        count[g] = (starts[g + 1] if g + 1 < groups else n) - starts[g]
    if groups == n:
        return Problem(whole, weight, count, least, reach, price, last)
    m = reach.shape[1]
    some_weight, some_least = np.empty(groups), np.empty(groups)
    some_reach, some_price = np.empty((groups, m)), np.empty((groups, m))
    some_last = np.empty(groups, dtype=np.int64)
    for g in range(groups):
        i = order[starts[g]]
        some_weight[g], some_least[g], some_last[g] = weight[i], least[i], last[i]
        for level in range(m):
            some_reach[g, level], some_price[g, level] = reach[i, level], price[i, level]
    return Problem(whole, some_weight, count, some_least, some_reach, some_price, some_last)


def ungrouped(best: Placement, order: Indices, starts: Indices, x: Array) -> None:
    """Write everybody's data of a placement of groups, shape ``(N,)``."""
    taken = np.empty(starts.size, dtype=np.int64)
    for g in range(starts.size):
        taken[g] = 0
    for k in range(best.size[0]):
        g = best.group[k]
        for _ in range(best.members[k]):
            x[order[starts[g] + taken[g]]] = best.x[k]
            taken[g] += 1
