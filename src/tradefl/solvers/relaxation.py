r"""The planner's relaxation: what each row does at two prices, and a bound that always holds.

With ``x_j = u_j d_j``, ``w_0 = Z = sum_j z_j`` and a row 0 that represents Omega itself (``x_0 =
0``), welfare is (docs/explanation/planner.md)

    W = sum_j w_j P(Omega - x_j) - sum_j overhead_j(x_j),        Omega = sum_j x_j.

*Relaxation.* Put the hull ``G_j`` of :mod:`tradefl.solvers.hulls` in place of the overhead, and the
envelopes of :mod:`tradefl.solvers.envelope` in place of P: a concave problem. Given Omega and the
value M of one more unit of data to all, each row solves for itself,

    M - w_j P'(Omega - x_j) + G_j'(x_j) = 0        or x_j is at an end,

so two equations are left: ``sum_j x_j = Omega``, and ``M = sum_j nu_j`` with ``nu_j = w_j P'(Omega
- x_j)``. :mod:`tradefl.solvers.saddle` solves them.

*Bound.* For any M and any ``nu``, with ``y_j`` in its interval ``[a_j, b_j]``,

    W <= sum_j max over y of [ w_j P(y) - nu_j y ] + sum_j max over x of [ (M - nu_j) x + G_j(x) ]

when ``sum_j nu_j = M``: weak duality for ``sum x = Omega`` and ``y_j = Omega - x_j``. It is
separable, costs O(N m), and at the saddle equals the relaxation's value.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.solvers.envelope import slope_of, value_of, where_slope

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Sides = npt.NDArray[np.int8]

# Sums of N rounded terms are trusted to this many units in the last place of their size.
ULPS = 64.0
EPS = float(np.finfo(float).eps)


class Rows(NamedTuple):
    """What the relaxation is over; row 0 is Omega. All ``(R,)`` but the hulls.

    Attributes
    ----------
    members
        How many equal organizations a row represents.
    weight
        ``w``; ``Z`` in row 0.
    x, worth
        Shape ``(R, V)``: the vertices of ``G`` by ascending x.
    slope
        Shape ``(R, V)``: the slopes of its edges, descending.
    last
        The index of the last vertex.
    low, high, contact, chord
        P on the interval of each ``y_j = Omega - x_j`` (:mod:`tradefl.solvers.envelope`).
    floor
        Where P' is taken at the least, so that a trial may pass the interval: below, P goes on
        straight.
    side
        -1 or 1 where the upper or the lower end of y's interval is a constraint, not a consequence
        of the others'; 0 elsewhere.
    total
        Shape ``(1,)``: the largest Omega that comes up.
    """

    members: Array
    weight: Array
    x: Array
    worth: Array
    slope: Array
    last: Indices
    low: Array
    high: Array
    contact: Array
    chord: Array
    floor: Array
    side: Sides
    total: Array


def new_rows(size: int, width: int) -> Rows:
    """Return rows to be filled in, with hulls of up to ``width`` vertices."""
    return Rows(
        np.empty(size),
        np.empty(size),
        np.empty((size, width)),
        np.empty((size, width)),
        np.empty((size, width)),
        np.empty(size, dtype=np.int64),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.zeros(size, dtype=np.int8),
        np.empty(1),
    )


def demand(accuracy: Any, rows: Rows, r: int, y: float) -> float:
    """Return ``w P'(y)`` of a row's envelope; below the row's floor P goes on straight."""
    weight = rows.weight[r]
    if weight == 0.0:
        return 0.0
    at = max(y, rows.floor[r])
    return float(weight * slope_of(accuracy, rows.contact[r], rows.chord[r], at))


def respond(
    accuracy: Any, rows: Rows, r: int, omega: float, price: float, guess: int
) -> tuple[float, int, float, float, bool]:
    """Return a row's best data at Omega and M: ``(x, passed, G(x), nu, corner)``.

    ``passed`` counts the edges that are walked to their right end; ``guess`` is that of an answer
    nearby. ``corner`` says that x is at a vertex. There ``nu`` is ``w P'``, elsewhere what the edge
    asks for.
    """
    last, k = rows.last[r], guess
    own = demand(accuracy, rows, r, omega - rows.x[r, k])
    # An edge is passed if even at its right end more data is worth while.
    while k < last:
        ahead = demand(accuracy, rows, r, omega - rows.x[r, k + 1])
        if not price + rows.slope[r, k] > ahead:
            break
        k, own = k + 1, ahead
    while k > 0 and price + rows.slope[r, k - 1] <= own:
        k -= 1
        own = demand(accuracy, rows, r, omega - rows.x[r, k])
    if rows.side[r] != 0:
        return _held(accuracy, rows, r, omega, price, k)
    if k == last or not price + rows.slope[r, k] > own:
        return rows.x[r, k], k, rows.worth[r, k], own, True
    x = _inside(accuracy, rows, r, omega, price, k)
    left, right = rows.x[r, k], rows.x[r, k + 1]
    worth = rows.worth[r, k] + rows.slope[r, k] * (x - left)
    if left < x < right:
        return x, k, worth, price + rows.slope[r, k], False
    return x, k, worth, demand(accuracy, rows, r, omega - x), True


def _inside(accuracy: Any, rows: Rows, r: int, omega: float, price: float, k: int) -> float:
    """Return where on edge k, or at which of its ends, ``w P'(Omega - x)`` meets M + G'."""
    wanted = (price + rows.slope[r, k]) / rows.weight[r]
    # On trial y may pass its interval: P goes on beyond.
    y = where_slope(
        accuracy, rows.floor[r], 2.0 * rows.total[0], rows.contact[r], rows.chord[r], wanted
    )
    return float(min(max(omega - y, rows.x[r, k]), rows.x[r, k + 1]))


def _held(
    accuracy: Any, rows: Rows, r: int, omega: float, price: float, k: int
) -> tuple[float, int, float, float, bool]:
    """Return :func:`respond` of a row whose y is confined to one side of the onset."""
    last, x = rows.last[r], rows.x[r, k]
    if k < last and price + rows.slope[r, k] > demand(accuracy, rows, r, omega - x):
        x = _inside(accuracy, rows, r, omega, price, k)
    x = max(x, omega - rows.high[r]) if rows.side[r] < 0 else min(x, omega - rows.low[r])
    x = min(max(x, rows.x[r, 0]), rows.x[r, last])
    nu = demand(accuracy, rows, r, omega - x)
    if last == 0:
        return x, k, rows.worth[r, 0], nu, True
    edge = 0
    while edge < last - 1 and rows.x[r, edge + 1] < x:
        edge += 1
    left, right = rows.x[r, edge], rows.x[r, edge + 1]
    turn = price + rows.slope[r, edge]
    worth = rows.worth[r, edge] + rows.slope[r, edge] * (x - left)
    if left < x < right:
        return x, k, worth, turn, False
    # What nu cannot pass where the constraint on y holds x at a vertex.
    if x <= left:
        nu = max(nu, turn)
    elif edge + 1 < last:
        nu = max(nu, price + rows.slope[r, edge + 1])
    if x >= right:
        nu = min(nu, turn)
    return x, k, worth, nu, True


def tangent_at(accuracy: Any, rows: Rows, r: int, nu: float) -> tuple[float, float]:
    """Return a tangent of ``w P`` on a row's interval, of slope nu if there is such a one.

    What it is at 0, and its slope. It must lie above P on both sides, so its slope is one that P
    has at that point. Without rivals it is 0.
    """
    weight = rows.weight[r]
    if not weight > 0.0:
        return 0.0, 0.0
    low, high, contact, chord = rows.low[r], rows.high[r], rows.contact[r], rows.chord[r]
    y = where_slope(accuracy, low, high, contact, chord, nu / weight)
    right, left = -np.inf, np.inf
    if y < high:
        after = min(y * (1.0 + 2.0 * EPS), high)
        right = weight * slope_of(accuracy, contact, chord, after)
    if y > low:
        before = max(y * (1.0 - 2.0 * EPS), rows.floor[r])
        left = weight * slope_of(accuracy, contact, chord, before)
    tangent = min(max(nu, right), left)
    return weight * value_of(accuracy, low, contact, chord, y) - tangent * y, tangent


def conjugate(accuracy: Any, rows: Rows, r: int, nu: float) -> float:
    """Return what ``w P(y) - nu y`` does not exceed on a row's interval; 0 without rivals.

    It is the maximum where P has a tangent of that slope; otherwise the tangent nearest to it is
    taken, and what is left of the slope is paid for at the worse end.
    """
    if not rows.weight[r] > 0.0:
        return 0.0
    top, tangent = tangent_at(accuracy, rows, r, nu)
    rest = tangent - nu
    return float(top + max(rest * rows.low[r], rest * rows.high[r]))


def best_end(rows: Rows, r: int, price: float) -> float:
    """Return the largest ``price x + G(x)`` of a row."""
    best = -np.inf
    for k in range(rows.last[r] + 1):
        best = max(best, price * rows.x[r, k] + rows.worth[r, k])
    return best


def dual_bound(accuracy: Any, rows: Rows, price: float, nu: Array) -> tuple[float, float]:
    """Return the bound on W at ``M = price`` and ``nu``, and what its rounding may be.

    ``nu[0]`` is not used: it is ``M - sum of the others``. The transfers' energy is not in W here.
    """
    size = rows.weight.size
    bound, scale, others = 0.0, abs(price) * rows.high[0], 0.0
    for r in range(1, size):
        # Where P has no tangent of slope nu, the slope of the nearest one takes its place.
        top, near = tangent_at(accuracy, rows, r, nu[r])
        count = rows.members[r]
        others += count * near
        bound += count * (top + best_end(rows, r, price - near))
        last = abs(rows.worth[r, rows.last[r]])
        scale += count * (abs(top) + abs(near) * abs(rows.high[r]) + last)
    rest = price - others
    top = conjugate(accuracy, rows, 0, rest)
    bound += top
    scale += abs(top) + abs(rest) * abs(rows.high[0])
    return bound, ULPS * EPS * scale
