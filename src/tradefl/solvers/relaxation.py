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

# Sums of N rounded terms are trusted to this many units in the last place of their size.
ULPS = 64.0
EPS = float(np.finfo(float).eps)


# The rows of ``Rows.own``.
MEMBERS = 0  # how many equal organizations a row represents
WEIGHT = 1  # w; Z in row 0
LOW, HIGH, CONTACT, CHORD = 2, 3, 4, 5  # P on the interval of y = Omega - x
FLOOR = 6  # where P' is taken at the least
TOTAL = 7  # in row 0: the largest Omega that comes up
# Those of ``Rows.hull``: the vertices of G, their worth, and the slopes of the edges.
X, G, SLOPE = 0, 1, 2
# Those of ``Rows.kind``.
LAST, SIDE = 0, 1


class Rows(NamedTuple):
    """What the relaxation is over; row 0 is Omega.

    Few arrays of many numbers: each array that a function takes is compiled into each call of it.

    Attributes
    ----------
    own
        Shape ``(8, R)``: ``MEMBERS``; ``WEIGHT``; the envelope of P on the interval of each ``y_j =
        Omega - x_j`` (:mod:`tradefl.solvers.envelope`); ``FLOOR``, below which P goes on straight,
        so that a trial may pass the interval; and ``TOTAL``.
    hull
        Shape ``(3, R, V)``: the vertices of ``G`` by ascending x, ``G`` there, and the slopes of
        its edges, descending.
    kind
        Shape ``(2, R)``: the index of the ``LAST`` vertex; ``SIDE``, -1 or 1 where the upper or the
        lower end of y's interval is a constraint, not a consequence of the others', 0 elsewhere.
    """

    own: Array
    hull: Array
    kind: Indices


def new_rows(size: int, width: int) -> Rows:
    """Return rows to be filled in, with hulls of up to ``width`` vertices."""
    rows = Rows(
        np.empty((8, size)),
        np.empty((3, size, width)),
        np.empty((2, size), dtype=np.int64),
    )
    for r in range(size):
        rows.kind[SIDE, r] = 0
    return rows


def demand(accuracy: Any, rows: Rows, r: int, y: float) -> float:
    """Return ``w P'(y)`` of a row's envelope; below the row's floor P goes on straight."""
    weight = rows.own[WEIGHT, r]
    if weight == 0.0:
        return 0.0
    at = max(y, rows.own[FLOOR, r])
    return float(weight * slope_of(accuracy, rows.own[CONTACT, r], rows.own[CHORD, r], at))


def respond(
    accuracy: Any, rows: Rows, r: int, omega: float, price: float, guess: int
) -> tuple[float, int, float, float, bool]:
    """Return a row's best data at Omega and M: ``(x, passed, G(x), nu, corner)``.

    ``passed`` counts the edges that are walked to their right end; ``guess`` is that of an answer
    nearby. ``corner`` says that x is at a vertex. There ``nu`` is ``w P'``, elsewhere what the edge
    asks for.
    """
    last, k = rows.kind[LAST, r], guess
    own = demand(accuracy, rows, r, omega - rows.hull[X, r, k])
    # An edge is passed if even at its right end more data is worth while.
    while k < last:
        ahead = demand(accuracy, rows, r, omega - rows.hull[X, r, k + 1])
        if not price + rows.hull[SLOPE, r, k] > ahead:
            break
        k, own = k + 1, ahead
    while k > 0 and price + rows.hull[SLOPE, r, k - 1] <= own:
        k -= 1
        own = demand(accuracy, rows, r, omega - rows.hull[X, r, k])
    if rows.kind[SIDE, r] != 0:
        return _held(accuracy, rows, r, omega, price, k)
    if k == last or not price + rows.hull[SLOPE, r, k] > own:
        return rows.hull[X, r, k], k, rows.hull[G, r, k], own, True
    x = _inside(accuracy, rows, r, omega, price, k)
    left, right = rows.hull[X, r, k], rows.hull[X, r, k + 1]
    worth = rows.hull[G, r, k] + rows.hull[SLOPE, r, k] * (x - left)
    if left < x < right:
        return x, k, worth, price + rows.hull[SLOPE, r, k], False
    return x, k, worth, demand(accuracy, rows, r, omega - x), True


def _inside(accuracy: Any, rows: Rows, r: int, omega: float, price: float, k: int) -> float:
    """Return where on edge k, or at which of its ends, ``w P'(Omega - x)`` meets M + G'."""
    wanted = (price + rows.hull[SLOPE, r, k]) / rows.own[WEIGHT, r]
    # On trial y may pass its interval: P goes on beyond.
    y = where_slope(
        accuracy,
        rows.own[FLOOR, r],
        2.0 * rows.own[TOTAL, 0],
        rows.own[CONTACT, r],
        rows.own[CHORD, r],
        wanted,
    )
    return float(min(max(omega - y, rows.hull[X, r, k]), rows.hull[X, r, k + 1]))


def _held(
    accuracy: Any, rows: Rows, r: int, omega: float, price: float, k: int
) -> tuple[float, int, float, float, bool]:
    """Return :func:`respond` of a row whose y is confined to one side of the onset."""
    last, x = rows.kind[LAST, r], rows.hull[X, r, k]
    if k < last and price + rows.hull[SLOPE, r, k] > demand(accuracy, rows, r, omega - x):
        x = _inside(accuracy, rows, r, omega, price, k)
    x = (
        max(x, omega - rows.own[HIGH, r])
        if rows.kind[SIDE, r] < 0
        else min(x, omega - rows.own[LOW, r])
    )
    x = min(max(x, rows.hull[X, r, 0]), rows.hull[X, r, last])
    nu = demand(accuracy, rows, r, omega - x)
    if last == 0:
        return x, k, rows.hull[G, r, 0], nu, True
    edge = 0
    while edge < last - 1 and rows.hull[X, r, edge + 1] < x:
        edge += 1
    left, right = rows.hull[X, r, edge], rows.hull[X, r, edge + 1]
    turn = price + rows.hull[SLOPE, r, edge]
    worth = rows.hull[G, r, edge] + rows.hull[SLOPE, r, edge] * (x - left)
    if left < x < right:
        return x, k, worth, turn, False
    # What nu cannot pass where the constraint on y holds x at a vertex.
    if x <= left:
        nu = max(nu, turn)
    elif edge + 1 < last:
        nu = max(nu, price + rows.hull[SLOPE, r, edge + 1])
    if x >= right:
        nu = min(nu, turn)
    return x, k, worth, nu, True


def tangent_at(accuracy: Any, rows: Rows, r: int, nu: float) -> tuple[float, float]:
    """Return a tangent of ``w P`` on a row's interval, of slope nu if there is such a one.

    What it is at 0, and its slope. It must lie above P on both sides, so its slope is one that P
    has at that point. Without rivals it is 0.
    """
    weight = rows.own[WEIGHT, r]
    if not weight > 0.0:
        return 0.0, 0.0
    low, high, contact, chord = (
        rows.own[LOW, r],
        rows.own[HIGH, r],
        rows.own[CONTACT, r],
        rows.own[CHORD, r],
    )
    y = where_slope(accuracy, low, high, contact, chord, nu / weight)
    right, left = -np.inf, np.inf
    if y < high:
        after = min(y * (1.0 + 2.0 * EPS), high)
        right = weight * slope_of(accuracy, contact, chord, after)
    if y > low:
        before = max(y * (1.0 - 2.0 * EPS), rows.own[FLOOR, r])
        left = weight * slope_of(accuracy, contact, chord, before)
    tangent = min(max(nu, right), left)
    return weight * value_of(accuracy, low, contact, chord, y) - tangent * y, tangent


def conjugate(accuracy: Any, rows: Rows, r: int, nu: float) -> float:
    """Return what ``w P(y) - nu y`` does not exceed on a row's interval; 0 without rivals.

    It is the maximum where P has a tangent of that slope; otherwise the tangent nearest to it is
    taken, and what is left of the slope is paid for at the worse end.
    """
    if not rows.own[WEIGHT, r] > 0.0:
        return 0.0
    top, tangent = tangent_at(accuracy, rows, r, nu)
    rest = tangent - nu
    return float(top + max(rest * rows.own[LOW, r], rest * rows.own[HIGH, r]))


def best_end(rows: Rows, r: int, price: float) -> float:
    """Return the largest ``price x + G(x)`` of a row."""
    best = -np.inf
    for k in range(rows.kind[LAST, r] + 1):
        best = max(best, price * rows.hull[X, r, k] + rows.hull[G, r, k])
    return best


def dual_bound(accuracy: Any, rows: Rows, price: float, nu: Array) -> tuple[float, float]:
    """Return the bound on W at ``M = price`` and ``nu``, and what its rounding may be.

    ``nu[0]`` is not used: it is ``M - sum of the others``. The transfers' energy is not in W here.
    """
    size = rows.own.shape[1]
    bound, scale, others = 0.0, abs(price) * rows.own[HIGH, 0], 0.0
    for r in range(1, size):
        # Where P has no tangent of slope nu, the slope of the nearest one takes its place.
        top, near = tangent_at(accuracy, rows, r, nu[r])
        count = rows.own[MEMBERS, r]
        others += count * near
        bound += count * (top + best_end(rows, r, price - near))
        last = abs(rows.hull[G, r, rows.kind[LAST, r]])
        scale += count * (abs(top) + abs(near) * abs(rows.own[HIGH, r]) + last)
    rest = price - others
    top = conjugate(accuracy, rows, 0, rest)
    bound += top
    scale += abs(top) + abs(rest) * abs(rows.own[HIGH, 0])
    return bound, ULPS * EPS * scale
