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
    key = weight / largest(weight) + 0.7 * least / largest(least)
    for level in range(m):  # equal numbers give equal keys, to the last bit
        key = key * (1.0 + 1.0 / (level + 2.0)) + reach[:, level] / largest(reach[:, level])
        key = key + 0.3 * price[:, level] / largest(price[:, level])
    order = np.argsort(key, kind="mergesort")
    begins, alike = np.ones(n, dtype=np.bool_), False
    for k in range(1, n):
        i, j = order[k - 1], order[k]
        if key[i] != key[j] or weight[i] != weight[j] or least[i] != least[j]:
            continue
        same = True
        for level in range(m):
            if reach[i, level] != reach[j, level] or price[i, level] != price[j, level]:
                same = False
        if same:
            begins[k], alike = False, True
    if not alike:
        order = np.arange(n)
    return order, np.flatnonzero(begins)


def largest(column: Array) -> float:
    """Return the largest size of the numbers, or 1 if all are zero."""
    size = np.max(np.abs(column))
    return float(size) if size > 0.0 else 1.0


def grouped(
    together: float,
    weight: Array,
    menu: tuple[Array, Array, Array, Indices],
    order: Indices,
    starts: Indices,
) -> Problem:
    """Return the problem of groups; ``menu`` is least, reach, price and last of everybody."""
    least, reach, price, last = menu
    n, groups = weight.size, starts.size
    whole = np.full(1, together)
    if groups == n:
        return Problem(whole, weight, np.ones(n, dtype=np.int64), least, reach, price, last)
    first = order[starts]
    count = np.empty(groups, dtype=np.int64)
    for g in range(groups):
        count[g] = (starts[g + 1] if g + 1 < groups else n) - starts[g]
    return Problem(
        whole, weight[first], count, least[first], reach[first], price[first], last[first]
    )


def ungrouped(best: Placement, order: Indices, starts: Indices, x: Array) -> None:
    """Write everybody's data of a placement of groups, shape ``(N,)``."""
    taken = np.zeros(starts.size, dtype=np.int64)
    for k in range(best.size[0]):
        g = best.group[k]
        for _ in range(best.members[k]):
            x[order[starts[g] + taken[g]]] = best.x[k]
            taken[g] += 1
