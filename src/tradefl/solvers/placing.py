r"""The planner's rows and profiles: what a restriction leaves open, and what is near its optimum.

A *part* is some equal members of a group, confined to some of its levels, or to one side of the
onset. The rows of the relaxation are the parts, after row 0, which is Omega. A *placement* says how
many members of which group provide how much.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.solvers.best_response import accuracy_onset, accuracy_value
from tradefl.solvers.envelope import contact_of
from tradefl.solvers.hulls import hull_of
from tradefl.solvers.relaxation import (
    CHORD,
    CONTACT,
    FLOOR,
    HIGH,
    LAST,
    LOW,
    MEMBERS,
    SIDE,
    SLOPE,
    TOTAL,
    WEIGHT,
    G,
    Rows,
    X,
    new_rows,
)
from tradefl.solvers.saddle import relax

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

# What a group loses at its relaxed point, as a share of the terms, before it counts as undecided.
LOSS = 1e-15
# While prices are tried, P is followed down to this share of what y can be.
BELOW = 1e-3
# An interval that rounding has emptied by no more than this share is a point.
SAME = 1e-12
# The first fraction is rounded down, or up; then what one takes too much the next takes less.
BIAS = 0.499999


class Problem(NamedTuple):
    """The welfare of groups of equal organizations.

    Attributes
    ----------
    together
        ``Z = sum_j z_j``, shape ``(1,)``.
    weight
        ``w``, shape ``(G,)``.
    members
        The members of each group.
    least, reach, price, last
        The levels of one member of each group (:class:`tradefl.solvers.hulls.Menu`).
    """

    together: Array
    weight: Array
    members: Indices
    least: Array
    reach: Array
    price: Array
    last: Indices


# The rows of ``Parts.of``.
GROUP, COUNT, SLOWEST, FASTEST, CONFINED = 0, 1, 2, 3, 4


class Parts(NamedTuple):
    """The parts of a restriction.

    Attributes
    ----------
    of
        Shape ``(5, C)``: the group, how many members, their levels, and the side of the onset.
    size
        Shape ``(1,)``: how many of the C columns are used.
    """

    of: Indices
    size: Indices


class Placement(NamedTuple):
    """So many ``members`` of each ``group`` at ``x``; the first ``size[0]`` entries are used.

    ``value`` has shape ``(1,)``: welfare, without the transfers.
    """

    group: Indices
    members: Indices
    x: Array
    size: Indices
    value: Array


def new_parts(capacity: int) -> Parts:
    """Return room for so many parts."""
    size = np.empty(1, dtype=np.int64)
    size[0] = 0
    return Parts(np.empty((5, capacity), dtype=np.int64), size)


def new_placement(capacity: int) -> Placement:
    """Return room for a placement of so many rows, as good as none."""
    room = Placement(
        np.empty(capacity, dtype=np.int64),
        np.empty(capacity, dtype=np.int64),
        np.empty(capacity),
        np.empty(1, dtype=np.int64),
        np.empty(1),
    )
    room.size[0], room.value[0] = 0, -np.inf
    return room


def add_part(parts: Parts, group: int, count: int, slowest: int, fastest: int, side: int) -> None:
    """Add a part."""
    k = parts.size[0]
    parts.of[GROUP, k], parts.of[COUNT, k] = group, count
    parts.of[SLOWEST, k], parts.of[FASTEST, k], parts.of[CONFINED, k] = slowest, fastest, side
    parts.size[0] = k + 1


def rows_of(
    accuracy: Any, problem: Problem, parts: Parts, omega_low: float, omega_high: float
) -> tuple[Rows, bool]:
    """Return the rows of a restriction, and whether anything feasible is left of it.

    ``omega_low`` and ``omega_high`` confine Omega.
    """
    size = parts.size[0]
    width = 2
    for k in range(size):
        width = max(width, parts.of[FASTEST, k] - parts.of[SLOWEST, k] + 2)
    rows = new_rows(size + 1, width)
    rows.own[MEMBERS, 0], rows.own[WEIGHT, 0], rows.kind[LAST, 0] = 1.0, problem.together[0], 0
    rows.hull[X, 0, 0], rows.hull[G, 0, 0] = 0.0, 0.0
    least, most = 0.0, 0.0
    for k in range(size):
        r, g = k + 1, parts.of[GROUP, k]
        rows.own[MEMBERS, r], rows.own[WEIGHT, r] = parts.of[COUNT, k], problem.weight[g]
        rows.kind[SIDE, r] = parts.of[CONFINED, k]
        last = hull_of(
            problem.least[g],
            problem.reach[g],
            problem.price[g],
            parts.of[SLOWEST, k],
            parts.of[FASTEST, k],
            rows.hull[X, r],
            rows.hull[G, r],
            rows.hull[SLOPE, r],
        )
        rows.kind[LAST, r] = last
        least += rows.own[MEMBERS, r] * rows.hull[X, r, 0]
        most += rows.own[MEMBERS, r] * rows.hull[X, r, last]
    return rows, _intervals(
        accuracy, rows, max(least, omega_low), min(most, omega_high), least, most
    )


def _intervals(
    accuracy: Any, rows: Rows, omega_low: float, omega_high: float, least: float, most: float
) -> bool:
    """Write the intervals of Omega and of each y, with P's envelopes on them."""
    size, onset = rows.own.shape[1], accuracy_onset(accuracy)
    for r in range(1, size):
        first, last = rows.hull[X, r, 0], rows.hull[X, r, rows.kind[LAST, r]]
        rows.own[LOW, r], rows.own[HIGH, r] = max(least - first, 0.0), most - last
        if rows.kind[SIDE, r] > 0:
            rows.own[LOW, r] = max(rows.own[LOW, r], onset)
            omega_low = max(omega_low, rows.own[LOW, r] + first)
        if rows.kind[SIDE, r] < 0:
            rows.own[HIGH, r] = min(rows.own[HIGH, r], onset)
            omega_high = min(omega_high, rows.own[HIGH, r] + last)
    if omega_low > omega_high:
        if omega_low > omega_high * (1.0 + SAME):
            return False
        omega_low = omega_high
    rows.own[LOW, 0], rows.own[HIGH, 0], rows.own[TOTAL, 0] = omega_low, omega_high, omega_high
    for r in range(size):
        if r > 0:
            first, last = rows.hull[X, r, 0], rows.hull[X, r, rows.kind[LAST, r]]
            low = min(max(rows.own[LOW, r], omega_low - last), omega_high)
            high = max(min(rows.own[HIGH, r], omega_high - first), low)
            if not rows.own[WEIGHT, r] > 0.0:  # no part in P but through Omega
                low, high = omega_high, omega_high
            rows.own[LOW, r], rows.own[HIGH, r] = low, high
        low = rows.own[LOW, r]
        contact, chord = contact_of(accuracy, low, rows.own[HIGH, r])
        rows.own[CONTACT, r], rows.own[CHORD, r] = contact, chord
        rows.own[FLOOR, r] = low if contact > -np.inf else max(onset, BELOW * low)
    return True


def cheapest_of(problem: Problem, g: int, x: float) -> int:
    """Return the slowest level at which a member of a group provides x."""
    level = 0
    while level < problem.last[g] and problem.reach[g, level] < x:
        level += 1
    return level


def offer(
    accuracy: Any, problem: Problem, best: Placement, group: Indices, count: Indices, x: Array
) -> None:
    """Keep a placement if it is the best so far."""
    size, omega = x.size, 0.0
    for k in range(size):
        omega += count[k] * x[k]
    value = problem.together[0] * accuracy_value(accuracy, omega)
    for k in range(size):
        g = group[k]
        own = -problem.price[g, cheapest_of(problem, g, x[k])] * x[k]
        if problem.weight[g] > 0.0:
            own += problem.weight[g] * accuracy_value(accuracy, max(omega - x[k], 0.0))
        value += count[k] * own
    if value > best.value[0]:
        best.group[:size], best.members[:size], best.x[:size] = group, count, x
        best.size[0], best.value[0] = size, value


def loss_of(
    problem: Problem, parts: Parts, rows: Rows, k: int, x: float
) -> tuple[float, int, float]:
    """Return what part k's hull promises at x beyond its levels, the edge, and how far along.

    What it promises is that of all its members.
    """
    r, g = k + 1, parts.of[GROUP, k]
    last, edge = rows.kind[LAST, r], 0
    while edge < last - 1 and rows.hull[X, r, edge + 1] < x:
        edge += 1
    left, promised, share = rows.hull[X, r, edge], rows.hull[G, r, edge], 0.0
    if last > 0:
        share = (x - left) / (rows.hull[X, r, edge + 1] - left)
        if x > left:
            promised += rows.hull[SLOPE, r, edge] * (x - left)
    level = min(max(cheapest_of(problem, g, x), parts.of[SLOWEST, k]), parts.of[FASTEST, k])
    return parts.of[COUNT, k] * (promised + problem.price[g, level] * x), edge, share


def round_off(
    accuracy: Any,
    problem: Problem,
    parts: Parts,
    rows: Rows,
    x: Array,
    numbers: tuple[float, float, float],
    best: Placement,
    stop: Any,
) -> None:
    """Offer profiles near a relaxed one, ``x``, of shape ``(R,)``.

    ``numbers`` are Omega, M and the bound there.
    """
    omega, price, bound = numbers
    size = parts.size[0]
    open_, edge = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    share = np.empty(size)
    undecided = 0
    for k in range(size):
        loss, edge[k], share[k] = loss_of(problem, parts, rows, k, x[k + 1])
        open_[k] = 1 if loss > LOSS * abs(bound) else 0
        undecided += open_[k]
    if undecided == 0:
        return
    group = np.empty(size + undecided, dtype=np.int64)
    count, at = np.empty(size + undecided, dtype=np.int64), np.empty(size + undecided)
    for first in (-BIAS, BIAS):
        bias, carry, used = first, 0.0, 0
        for k in range(size):
            n, r = parts.of[COUNT, k], k + 1
            if open_[k] == 0:
                group[used], count[used], at[used] = parts.of[GROUP, k], n, x[r]
                used += 1
                continue
            left, right = rows.hull[X, r, edge[k]], rows.hull[X, r, edge[k] + 1]
            wanted = share[k] * n + carry / (right - left)
            ahead = min(max(math.floor(wanted + 0.5 + bias), 0), n)
            carry = (wanted - ahead) * (right - left)
            bias = 0.0
            if n > ahead:
                group[used], count[used], at[used] = parts.of[GROUP, k], n - ahead, left
                used += 1
            if ahead > 0:
                group[used], count[used], at[used] = parts.of[GROUP, k], ahead, right
                used += 1
        offer(accuracy, problem, best, group[:used], count[:used], at[:used])
        polish(accuracy, problem, group[:used], count[:used], at[:used], omega, price, best, stop)


def polish(
    accuracy: Any,
    problem: Problem,
    group: Indices,
    count: Indices,
    x: Array,
    omega: float,
    price: float,
    best: Placement,
    stop: Any,
) -> None:
    """Offer the best data at the levels of a placement: one edge each, so it is concave."""
    parts = new_parts(x.size)
    for k in range(x.size):
        level = cheapest_of(problem, group[k], x[k])
        add_part(parts, group[k], count[k], level, level, 0)
    rows, _ = rows_of(accuracy, problem, parts, -np.inf, np.inf)
    found = relax(accuracy, rows, omega, price, True, stop)
    offer(accuracy, problem, best, group, count, found.x[1:])
