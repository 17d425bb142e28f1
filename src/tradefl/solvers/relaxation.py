r"""The planner's relaxation: two prices, and a bound that holds wherever it is taken.

With ``x_j = u_j d_j``, ``w_0 = Z = sum_j z_j`` and a row 0 that represents Omega itself (``x_0 =
0``), welfare is (docs/explanation/planner.md)

    W = sum_j w_j P(Omega - x_j) - sum_j overhead_j(x_j),        Omega = sum_j x_j.

*Relaxation.* Put the hull ``G_j`` of :mod:`tradefl.solvers.hulls` in place of the overhead, and the
envelopes of :mod:`tradefl.solvers.envelope` in place of P: a concave problem. Given Omega and the
value M of one more unit of data to all, each row solves for itself,

    M - w_j P'(Omega - x_j) + G_j'(x_j) = 0        or x_j is at an end,

so two equations are left: ``sum_j x_j = Omega``, and ``M = sum_j nu_j`` with ``nu_j = w_j P'(Omega
- x_j)``. They hold where the Lagrangian, concave in Omega and convex in M, has its saddle.

*Bound.* For any M and any ``nu``, with ``y_j`` in its interval ``[a_j, b_j]``,

    W <= sum_j max over y of [ w_j P(y) - nu_j y ] + sum_j max over x of [ (M - nu_j) x + G_j(x) ]

when ``sum_j nu_j = M``: weak duality for ``sum x = Omega`` and ``y_j = Omega - x_j``. It is
separable, costs O(N m), and at the saddle equals the relaxation's value.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.accuracy import InvertibleAccuracyModel
from tradefl.solvers.envelope import Envelope
from tradefl.solvers.hulls import Hulls, at_rows

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Counts = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

# Rows are taken in blocks of so many, which stay in the processor's cache.
BLOCK = 1 << 13
SEARCH_STEPS = 200
BALANCE_STEPS = 6
# The saddle is met when what is left to gain from either equation is this share of the terms.
MET = 1e-14
# ... and both equations hold to this relative precision.
NEAR = 1e-9
# Omega is best for all at a price when its equation holds to this relative precision.
CLOSE = 1e-10
# The relative step at which P'' is taken.
STEP = 1e-6
# Sums of N rounded terms are trusted to this many units in the last place of their size.
ULPS = 64.0
EPS = float(np.finfo(float).eps)


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """What the relaxation is over; row 0 is Omega. All ``(R,)`` but the hulls.

    Attributes
    ----------
    count
        How many equal organizations a row represents.
    weight
        ``w``; ``Z`` in row 0.
    hulls
        The vertices of ``G``.
    envelope
        P on the interval of each ``y_j = Omega - x_j``.
    floor
        Where P' is taken at the least, so that a trial may pass the interval: below, P goes on
        straight. Positive also for rows of weight zero, where P' has no part.
    side
        -1 or 1 where the upper or the lower end of y's interval is a constraint, not a consequence
        of the others'; ``None`` if it is so nowhere.
    total
        The largest Omega that comes up.
    """

    count: Array
    weight: Array
    hulls: Hulls
    envelope: Envelope
    floor: Array
    side: npt.NDArray[np.int8] | None
    total: float

    @property
    def low(self) -> float:
        """The least Omega."""
        return float(self.envelope.low[0])

    @property
    def high(self) -> float:
        """The largest Omega."""
        return float(self.envelope.high[0])

    @property
    def blocks(self) -> Iterator[slice]:
        """The rows in parts that stay in the processor's cache."""
        for begin in range(0, self.weight.size, BLOCK):
            yield slice(begin, begin + BLOCK)

    def block(self, rows: slice | Indices) -> Rows:
        """Return some of the rows."""
        return Rows(
            self.count[rows],
            self.weight[rows],
            self.hulls.some(rows),
            self.envelope.some(rows),
            self.floor[rows],
            None if self.side is None else self.side[rows],
            self.total,
        )


class Response(NamedTuple):
    """What rows do at given Omega and M; all ``(R,)``.

    ``passed`` counts the edges that are walked to their right end; ``worth`` is ``G(x)``;
    ``corner`` says that x is at a vertex. There ``nu`` is ``w P'``, elsewhere what the edge asks
    for.
    """

    x: Array
    passed: Counts
    worth: Array
    nu: Array
    corner: Flags


class Relaxed(NamedTuple):
    """The relaxation's solution: a point, the duals that prove the bound, and whether it is met."""

    omega: float
    price: float
    x: Array
    nu: Array
    bound: float
    rounding: float
    met: bool
    passes: int


def relax(
    accuracy: InvertibleAccuracyModel,
    rows: Rows,
    guess: tuple[float, float] | None = None,
    until: float = np.inf,
) -> Relaxed:
    """Solve the relaxation.

    Parameters
    ----------
    accuracy
        P.
    rows
        The rows.
    guess
        Omega and M to begin with.
    until
        The time of :func:`time.perf_counter` at which to stop where it is; the bound is valid.
    """
    # Slopes of zero, and of padding, are inverted to infinity.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        search = _Search(accuracy, rows, until)
        omega, price, x, nu, met = search.run(guess)
        bound, rounding = dual_bound(accuracy, rows, price, nu)
    return Relaxed(omega, price, x, nu, bound, rounding, met, search.passes)


def respond(
    accuracy: InvertibleAccuracyModel,
    rows: Rows,
    omega: float,
    price: float,
    guess: Counts | None = None,
) -> Response:
    """Return each row's best data, given Omega and M.

    ``guess`` is ``passed`` of an answer nearby: only rows where it has changed are searched again.
    """
    hulls, envelope, weight = rows.hulls, rows.envelope, rows.weight
    at, last = at_rows(weight), hulls.slope.shape[1] - 1
    if guess is None:
        passed = _passed(accuracy, rows, omega, price)
        edge = np.minimum(passed, last)
    else:
        passed = guess
        # An edge is passed if even at its right end more data is worth while.
        edge, before = np.minimum(passed, last), np.maximum(passed - 1, 0)
        left = np.maximum(omega - hulls.x[at, passed], rows.floor)
        fell = price + hulls.slope[at, before] <= weight * envelope.slope(accuracy, left)
        right = np.maximum(omega - hulls.x[at, edge + 1], rows.floor)
        rose = price + hulls.slope[at, edge] > weight * envelope.slope(accuracy, right)
        again = np.flatnonzero((fell & (passed > 0)) | (rose & (passed <= last)))
        if again.size:
            passed = passed.copy()
            passed[again] = _passed(accuracy, rows.block(again), omega, price)
            edge = np.minimum(passed, last)
    left, right = hulls.x[at, edge], hulls.x[at, edge + 1]
    steep = hulls.slope[at, edge]
    turn = price + steep
    x = np.where(passed > last, right, left)
    y = np.maximum(omega - left, rows.floor)
    inside = np.flatnonzero((turn > weight * envelope.slope(accuracy, y)) & (passed <= last))
    if inside.size:
        # On trial y may pass its interval: P goes on beyond.
        some, beyond = rows.floor[inside], np.full(inside.size, 2.0 * rows.total)
        trial = Envelope(
            some, beyond, envelope.contact[inside], envelope.chord[inside], envelope.straight
        )
        w = weight[inside]
        wanted = np.divide(turn[inside], w, out=np.full(w.shape, np.inf), where=w > 0.0)
        inner = omega - trial.where_slope(accuracy, wanted)
        inner = np.where(w > 0.0, inner, np.inf)
        x[inside] = np.minimum(np.maximum(inner, left[inside]), right[inside])
    if rows.side is not None:
        held = np.where(rows.side < 0, np.maximum(x, omega - envelope.high), x)
        held = np.where(rows.side > 0, np.minimum(held, omega - envelope.low), held)
        x = np.minimum(np.maximum(held, hulls.x[:, 0]), hulls.x[:, -1])
        edge = np.minimum((hulls.x[:, 1:] < x[:, None]).sum(axis=1), last)
        left, right = hulls.x[at, edge], hulls.x[at, edge + 1]
        steep = hulls.slope[at, edge]
        turn = price + steep
    corner = (x <= left) | (x >= right)
    y = np.maximum(omega - x, rows.floor)
    nu = np.where(corner, weight * envelope.slope(accuracy, y), turn)
    if rows.side is not None:
        # What nu cannot pass where the constraint on y holds x at a vertex.
        after = price + hulls.slope[at, np.minimum(edge + 1, last)]
        inner = (x >= right) & (edge < last)
        nu = np.maximum(nu, np.where(x <= left, turn, np.where(inner, after, -np.inf)))
        nu = np.minimum(nu, np.where((x >= right) & (turn > -np.inf), turn, np.inf))
    worth = hulls.worth[at, edge] + np.where(x > left, steep, 0.0) * (x - left)
    return Response(x, passed, worth, nu, corner)


def _passed(accuracy: InvertibleAccuracyModel, rows: Rows, omega: float, price: float) -> Counts:
    ends = np.maximum(omega - rows.hulls.x[:, 1:], rows.floor[:, None])
    value = rows.weight[:, None] * rows.envelope.slope(accuracy, ends)
    return np.asarray((price + rows.hulls.slope > value).sum(axis=1))


def dual_bound(
    accuracy: InvertibleAccuracyModel, rows: Rows, price: float, nu: Array
) -> tuple[float, float]:
    """Return the bound on W at ``M = price`` and ``nu``, and what its rounding may be.

    ``nu[0]`` is not used: it is ``M - sum of the others``. The transfers' energy is not in W here.
    """
    weight, hulls, count = rows.weight, rows.hulls, rows.count
    nu = np.where(weight > 0.0, nu, 0.0)
    _, nu = _tangents(accuracy, rows, nu)
    nu[0] = price - float(count[1:] @ nu[1:])
    tops = conjugate(accuracy, rows, nu)
    best = np.maximum.reduce((price - nu)[:, None] * hulls.x + hulls.worth, axis=1)
    bound = float(count @ (tops + best))
    size = float(count @ np.abs(tops)) + abs(price) * rows.high
    size += float(count @ (np.abs(nu) * np.abs(rows.envelope.high) + np.abs(hulls.worth[:, -1])))
    return bound, ULPS * EPS * size


def conjugate(accuracy: InvertibleAccuracyModel, rows: Rows, nu: Array) -> Array:
    """Return what ``w P(y) - nu y`` does not exceed on each row's interval.

    It is the maximum where P has a tangent of that slope; otherwise the tangent nearest to it is
    taken, and what is left of the slope is paid for at the worse end. Without rivals it is 0.
    """
    envelope, weight = rows.envelope, rows.weight
    y, tangent = _tangents(accuracy, rows, nu)
    rest = np.where(weight > 0.0, tangent - nu, 0.0)
    rest = np.maximum(rest * envelope.low, rest * envelope.high)
    return np.asarray(weight * envelope.value(accuracy, y) - tangent * y + rest)


def _tangents(accuracy: InvertibleAccuracyModel, rows: Rows, nu: Array) -> tuple[Array, Array]:
    """Return where to take the tangents of ``w P``, and their slopes: nu, if there is such a one.

    A tangent must lie above P on both sides, so its slope is one that P has at that point.
    """
    envelope, weight = rows.envelope, rows.weight
    slope = np.divide(nu, weight, out=np.zeros_like(nu), where=weight > 0.0)
    y = envelope.where_slope(accuracy, slope)
    y = np.where(weight > 0.0, y, rows.floor)
    after = np.minimum(y * (1.0 + 2.0 * EPS), envelope.high)
    before = np.maximum(y * (1.0 - 2.0 * EPS), rows.floor)
    right = np.where(y >= envelope.high, -np.inf, envelope.slope(accuracy, after))
    left = np.where(y <= envelope.low, np.inf, envelope.slope(accuracy, before))
    tangent = np.minimum(np.maximum(nu, weight * right), weight * left)
    return y, np.where(weight > 0.0, tangent, 0.0)


class _Point(NamedTuple):
    """Where the rows answer: both equations there, and their derivatives."""

    omega: float
    price: float
    x: Array
    nu: Array
    value: float  # of the Lagrangian
    short: float  # sum x - Omega: its slope in M, rising
    worth: float  # sum nu - M: its slope in Omega, falling
    inside: float  # how many are inside an edge: what both change by, plus one
    follows: float  # d short / dM at fixed Omega
    bends: float  # d worth / dOmega at fixed M
    corner: Flags


class _Search:
    """The search for the saddle: an outer bracket of M, an inner one of Omega.

    The Lagrangian is concave in Omega and convex in M. Both brackets shrink by Newton's method
    where P is smooth; where that does not help, by going to where the tangents at both ends meet,
    which ends after a few steps where P is straight in pieces.
    """

    def __init__(self, accuracy: InvertibleAccuracyModel, rows: Rows, until: float) -> None:
        self.accuracy, self.rows, self.until = accuracy, rows, until
        self.passes = 0
        self.passed: Counts | None = None
        self.took = 0.0  # seconds of the last pass
        top = float(rows.envelope.value(accuracy, rows.envelope.high)[0])
        scale = float(rows.count @ rows.weight) * top
        scale += float(rows.count @ np.abs(rows.hulls.worth[:, -1]))
        self.fine = MET * max(scale, float(np.finfo(float).tiny))

    @property
    def late(self) -> bool:
        """Whether the time is over, but for the bound, which costs about two passes."""
        return time.perf_counter() + 2.0 * self.took > self.until

    def run(self, guess: tuple[float, float] | None) -> tuple[float, float, Array, Array, bool]:
        """Return Omega, M, the rows' x and nu, and whether that is the saddle."""
        rows = self.rows
        low, high = rows.low, rows.high
        if guess is None:
            omega = 0.5 * (low + high)
            y = np.maximum(omega, rows.floor)
            slope = rows.weight * rows.envelope.slope(self.accuracy, y)
            price = float(rows.count @ slope)
        else:
            omega, price = min(max(guess[0], low), high), guess[1]
        step = (0.2 if guess is None else 0.02) * abs(price)
        step = max(step, 10.0 * self.fine / high)
        cheap: _Point | None = None
        dear: _Point | None = None
        model = -np.inf
        for k in range(SEARCH_STEPS):
            at = self.best_omega(omega, price)
            d_omega, d_price = _newton(at)
            if self._met(at, d_omega, d_price):
                return at.omega, at.price, at.x, at.nu, True
            if cheap is not None and dear is not None and at.value - model <= self.fine:
                return self._filled(at, cheap, dear)
            if self.late:
                break
            before = cheap if at.short < 0.0 else dear
            slow = before is not None and abs(at.short) > 0.5 * abs(before.short)
            if at.short < 0.0:
                cheap = at
            else:
                dear = at
            newton = price + d_price
            if cheap is None or dear is None:
                # Outwards, at least by the step.
                sign = 1.0 if dear is None else -1.0
                far = sign * d_price
                price += sign * (min(max(far, step), 10.0 * step) if np.isfinite(far) else step)
                step *= 4.0
                omega = self.balanced(at, price)
                continue
            meet = _meeting(
                cheap.price, cheap.value, cheap.short, dear.price, dear.value, dear.short
            )
            if not cheap.price < meet < dear.price:
                best = cheap if cheap.value <= dear.value else dear
                return self._filled(best, cheap, dear)
            model = cheap.value + cheap.short * (meet - cheap.price)
            if min(cheap.value, dear.value) - model <= self.fine:
                best = cheap if cheap.value <= dear.value else dear
                return self._filled(best, cheap, dear)
            price = meet
            if cheap.price < newton < dear.price and not slow:
                price, model = newton, -np.inf
                omega = min(max(at.omega + d_omega, low), high)
                continue
            if k % 4 == 3:
                price, model = 0.5 * (cheap.price + dear.price), -np.inf
            omega = self.balanced(at, price)
        return at.omega, at.price, at.x, at.nu, False

    def _met(self, at: _Point, d_omega: float, d_price: float) -> bool:
        if abs(at.short) > NEAR * at.omega:
            return False
        if at.omega in (self.rows.low, self.rows.high):
            return abs(at.short * d_price) <= self.fine
        near = abs(at.worth) <= NEAR * abs(at.price)
        return near and abs(at.short * d_price) + abs(at.worth * d_omega) <= self.fine

    def best_omega(self, omega: float, price: float) -> _Point:
        """Return the point at that price where Omega is best for all."""
        low, high = self.rows.low, self.rows.high
        less: _Point | None = None
        more: _Point | None = None
        model = np.inf
        at = self.point(omega, price)
        for k in range(SEARCH_STEPS):
            ends = (at.omega <= low and at.worth < 0.0) or (at.omega >= high and at.worth > 0.0)
            if ends or abs(at.worth) <= CLOSE * abs(price) or self.late:
                return at
            if less is not None and more is not None and model - at.value <= 0.01 * self.fine:
                return _mixed(at, less, more)
            before = less if at.worth > 0.0 else more
            slow = before is not None and abs(at.worth) > 0.5 * abs(before.worth)
            if at.worth > 0.0:
                less = at
            else:
                more = at
            newton = self.balanced(at, price) if at.bends < 0.0 else np.nan
            if less is None or more is None:
                end = high if more is None else low
                inner = min(max(newton, low), high) if np.isfinite(newton) else end
                omega, model = (end if slow else inner), np.inf
            else:
                meet = _meeting(
                    less.omega, less.value, less.worth, more.omega, more.value, more.worth
                )
                best = less if less.value >= more.value else more
                if not less.omega < meet < more.omega:
                    return _mixed(best, less, more)
                model = less.value + less.worth * (meet - less.omega)
                if model - best.value <= 0.01 * self.fine:
                    return _mixed(best, less, more)
                omega = meet
                if less.omega < newton < more.omega and not slow:
                    omega, model = newton, np.inf
                elif k % 4 == 3:
                    omega, model = 0.5 * (less.omega + more.omega), np.inf
            at = self.point(omega, price)
        return at

    def balanced(self, at: _Point, price: float) -> float:
        """Return the Omega that is best at a price if the rows stay where they are, or nearly."""
        if not at.bends < 0.0:
            return at.omega
        rows = self.rows
        low, high = rows.low, rows.high
        omega, bends = at.omega, at.bends
        worth = at.worth + (at.inside - 1.0) * (price - at.price)
        # What the rows inside an edge want follows the price, not Omega.
        inside = float(rows.count @ np.where(at.corner, 0.0, at.nu)) + at.inside * (
            price - at.price
        )
        count = np.where(at.corner, rows.count * rows.weight, 0.0)
        for _ in range(BALANCE_STEPS):
            moved = min(max(omega - worth / bends, low), high)
            if abs(moved - omega) <= 1e-7 * omega:
                return moved
            y = np.maximum(moved - at.x, rows.floor)
            now = inside + float(count @ rows.envelope.slope(self.accuracy, y)) - price
            if not abs(now) < 0.5 * abs(worth):
                return moved if abs(now) < abs(worth) else omega
            bends = (now - worth) / (moved - omega)
            omega, worth = moved, now
            if not bends < 0.0:
                break
        return omega

    def point(self, omega: float, price: float) -> _Point:
        """Return what the rows answer."""
        self.passes += 1
        began = time.perf_counter()
        rows = self.rows
        if rows.weight.size <= BLOCK:
            answer, sums = self._answer(rows, omega, price, None)
        else:
            guess = self.passed
            parts = [
                self._answer(rows.block(k), omega, price, None if guess is None else guess[k])
                for k in rows.blocks
            ]
            answer = Response(*map(np.concatenate, zip(*(part for part, _ in parts), strict=True)))
            sums = np.sum([part for _, part in parts], axis=0)
            self.passed = answer.passed
        short = float(sums[0]) - omega
        self.took = time.perf_counter() - began
        return _Point(
            omega,
            price,
            answer.x,
            answer.nu,
            value=float(sums[1]) + price * short,
            short=short,
            worth=float(sums[2]) - price,
            inside=float(sums[3]),
            follows=float(sums[4]),
            bends=float(sums[5]),
            corner=answer.corner,
        )

    def _answer(
        self, rows: Rows, omega: float, price: float, guess: Counts | None
    ) -> tuple[Response, Array]:
        """Return what some rows answer, and their sums of all that is summed."""
        accuracy, envelope, count = self.accuracy, rows.envelope, rows.count
        answer = respond(accuracy, rows, omega, price, guess)
        without = omega - answer.x
        y = np.maximum(without, rows.floor)
        slope = rows.weight * envelope.slope(accuracy, y)
        ahead = rows.weight * envelope.slope(accuracy, y * (1.0 + STEP))
        bend = np.where(without < rows.floor, 0.0, (ahead - slope) / (STEP * y))
        gained = rows.weight * envelope.value(accuracy, y) + answer.worth
        gained += slope * np.minimum(without - rows.floor, 0.0)
        sums = (
            count @ answer.x,
            count @ gained,
            count @ answer.nu,
            count @ ~answer.corner,
            count @ np.where(answer.corner, 0.0, -1.0 / bend),
            count @ np.where(answer.corner, bend, 0.0),
        )
        return answer, np.array(sums)

    def _filled(
        self, at: _Point, cheap: _Point, dear: _Point
    ) -> tuple[float, float, Array, Array, bool]:
        """Return the mixture of what the rows do on both sides of a price that meets Omega.

        Each mixture of two optimal answers is optimal. Rows without a part in P but through Omega
        turn one after the other instead: then one at most is left between two corners.
        """
        count = self.rows.count
        share = -cheap.short / (dear.short - cheap.short)
        omega = cheap.omega + share * (dear.omega - cheap.omega)
        x = cheap.x + share * (dear.x - cheap.x)
        room = np.where(self.rows.weight > 0.0, 0.0, count * (dear.x - cheap.x))
        if room.any():
            taken = np.minimum(np.maximum(share * room.sum() - (np.cumsum(room) - room), 0.0), room)
            turned = np.where(taken >= room, dear.x, cheap.x + taken / count)
            x = np.where(room > 0.0, turned, x)
        return omega, at.price, x, at.nu, True


def _meeting(
    first: float, value: float, slope: float, second: float, other: float, other_slope: float
) -> float:
    """Return where two tangents of different slopes meet."""
    rise = (other - value) - other_slope * (second - first)
    return first + rise / (slope - other_slope)


def _newton(at: _Point) -> tuple[float, float]:
    """Return Newton's step in Omega and M; NaN where it does not exist."""
    det = (at.inside - 1.0) ** 2 - at.follows * at.bends
    if not (np.isfinite(det) and det > 0.0):
        return np.nan, np.nan
    return (
        -((at.inside - 1.0) * at.short - at.follows * at.worth) / det,
        -((at.inside - 1.0) * at.worth - at.bends * at.short) / det,
    )


def _mixed(at: _Point, less: _Point, more: _Point) -> _Point:
    """Return a point at a corner, with the mixture of both sides' nu that balances worth."""
    share = less.worth / (less.worth - more.worth)
    nu = less.nu + share * (more.nu - less.nu)
    return at._replace(nu=nu, worth=0.0, follows=np.inf, bends=-np.inf)
