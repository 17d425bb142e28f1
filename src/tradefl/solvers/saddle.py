r"""The saddle of the planner's relaxation: an outer bracket of M, an inner one of Omega.

The Lagrangian of ``sum x = Omega`` is concave in Omega and convex in M, the value of one more unit
of data to all (:mod:`tradefl.solvers.relaxation`). Both brackets shrink by Newton's method where P
is smooth; where that does not help, by going to where the tangents at both ends meet, which ends
after a few steps where P is straight in pieces.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.solvers.envelope import slope_of, value_of
from tradefl.solvers.relaxation import (
    CHORD,
    CONTACT,
    FLOOR,
    HIGH,
    LAST,
    LOW,
    MEMBERS,
    SIDE,
    WEIGHT,
    G,
    Rows,
    demand,
    dual_bound,
    respond,
)

Array = npt.NDArray[np.float64]

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
TINY = float(np.finfo(float).tiny)

# What is known at a point: the columns of ``Points.numbers``.
OMEGA, PRICE = 0, 1
VALUE = 2  # of the Lagrangian
SHORT = 3  # sum x - Omega: its slope in M, rising
WORTH = 4  # sum nu - M: its slope in Omega, falling
INSIDE = 5  # how many are inside an edge: what both change by, plus one
FOLLOWS = 6  # d short / dM at fixed Omega
BENDS = 7  # d worth / dOmega at fixed M
# As many points are kept at a time: two ends of each bracket, the present one and a mixture.
SLOTS = 6


class Points(NamedTuple):
    """Some points at which the rows have answered, and what the search remembers.

    Attributes
    ----------
    numbers
        Shape ``(SLOTS, 8)``.
    x, nu
        Shape ``(SLOTS, R)``: the rows' answers.
    corner
        Shape ``(SLOTS, R)``: whether x is at a vertex.
    passed
        Shape ``(R,)``: the edges that each row passed at the last point.
    """

    numbers: Array
    x: Array
    nu: Array
    corner: npt.NDArray[np.bool_]
    passed: npt.NDArray[np.int64]


class Relaxed(NamedTuple):
    """The relaxation's solution: a point, the duals that prove the bound, and whether it is met."""

    omega: float
    price: float
    x: Array
    nu: Array
    bound: float
    rounding: float
    met: bool


def relax(
    accuracy: Any, rows: Rows, omega: float, price: float, guessed: bool, stop: Any
) -> Relaxed:
    """Solve the relaxation.

    Parameters
    ----------
    accuracy
        P.
    rows
        The rows.
    omega, price, guessed
        Omega and M to begin with, if ``guessed``.
    stop
        When ``stop[0]`` is true the search stops where it is; the bound is valid.
    """
    size = rows.own.shape[1]
    points = Points(
        np.empty((SLOTS, 8)),
        np.empty((SLOTS, size)),
        np.empty((SLOTS, size)),
        np.empty((SLOTS, size), dtype=np.bool_),
        np.empty(size, dtype=np.int64),
    )
    for r in range(size):
        points.passed[r] = 0
    at, met = search(accuracy, rows, points, omega, price, guessed, stop)
    omega, price = points.numbers[at, OMEGA], points.numbers[at, PRICE]
    bound, rounding = dual_bound(accuracy, rows, price, points.nu[at])
    return Relaxed(omega, price, points.x[at], points.nu[at], bound, rounding, met)


def terms_size(accuracy: Any, rows: Rows) -> float:
    """Return the size of the terms of W."""
    top, weights, costs = (
        value_of(
            accuracy, rows.own[LOW, 0], rows.own[CONTACT, 0], rows.own[CHORD, 0], rows.own[HIGH, 0]
        ),
        0.0,
        0.0,
    )
    for r in range(rows.own.shape[1]):
        weights += rows.own[MEMBERS, r] * rows.own[WEIGHT, r]
        costs += rows.own[MEMBERS, r] * abs(rows.hull[G, r, rows.kind[LAST, r]])
    return max(weights * top + costs, TINY)


def search(
    accuracy: Any,
    rows: Rows,
    points: Points,
    omega: float,
    price: float,
    guessed: bool,
    stop: Any,
) -> tuple[int, bool]:
    """Find the saddle: the slot of the point, and whether that is it."""
    numbers = points.numbers
    low, high = rows.own[LOW, 0], rows.own[HIGH, 0]
    fine = MET * terms_size(accuracy, rows)
    if guessed:
        omega = min(max(omega, low), high)
    else:
        omega = 0.5 * (low + high)
        price = 0.0
        for r in range(rows.own.shape[1]):
            price += rows.own[MEMBERS, r] * demand(accuracy, rows, r, omega)
    step = max((0.02 if guessed else 0.2) * abs(price), 10.0 * fine / high)
    cheap, dear, at = -1, -1, 0
    model = -np.inf
    for k in range(SEARCH_STEPS):
        at = best_omega(accuracy, rows, points, omega, price, fine, cheap, dear, stop)
        short = numbers[at, SHORT]
        d_omega, d_price = newton(numbers[at])
        if is_met(rows, numbers[at], d_omega, d_price, fine):
            return at, True
        if cheap >= 0 and dear >= 0 and numbers[at, VALUE] - model <= fine:
            return filled(rows, points, at, cheap, dear), True
        if stop[0]:
            return at, False
        before = cheap if short < 0.0 else dear
        slow = before >= 0 and abs(short) > 0.5 * abs(numbers[before, SHORT])
        if short < 0.0:
            cheap = at
        else:
            dear = at
        newton_price = price + d_price
        if cheap < 0 or dear < 0:
            # Outwards, at least by the step.
            sign = 1.0 if dear < 0 else -1.0
            far = sign * d_price
            price += sign * (min(max(far, step), 10.0 * step) if math.isfinite(far) else step)
            step *= 4.0
            omega = balanced(accuracy, rows, points, at, price)
            continue
        best = cheap if numbers[cheap, VALUE] <= numbers[dear, VALUE] else dear
        meet = meeting(numbers[cheap], numbers[dear], PRICE, SHORT)
        if not numbers[cheap, PRICE] < meet < numbers[dear, PRICE]:
            return filled(rows, points, best, cheap, dear), True
        model = numbers[cheap, VALUE] + numbers[cheap, SHORT] * (meet - numbers[cheap, PRICE])
        if numbers[best, VALUE] - model <= fine:
            return filled(rows, points, best, cheap, dear), True
        price = meet
        if numbers[cheap, PRICE] < newton_price < numbers[dear, PRICE] and not slow:
            price, model = newton_price, -np.inf
            omega = min(max(numbers[at, OMEGA] + d_omega, low), high)
            continue
        if k % 4 == 3:
            price = 0.5 * (numbers[cheap, PRICE] + numbers[dear, PRICE])
            model = -np.inf
        omega = balanced(accuracy, rows, points, at, price)
    return at, False


def is_met(rows: Rows, point: Array, d_omega: float, d_price: float, fine: float) -> bool:
    """Return whether both equations hold, and nothing is left to gain."""
    omega, short = point[OMEGA], point[SHORT]
    if abs(short) > NEAR * omega:
        return False
    if omega in (rows.own[LOW, 0], rows.own[HIGH, 0]):
        return bool(abs(short * d_price) <= fine)
    near = abs(point[WORTH]) <= NEAR * abs(point[PRICE])
    return bool(near and abs(short * d_price) + abs(point[WORTH] * d_omega) <= fine)


def best_omega(
    accuracy: Any,
    rows: Rows,
    points: Points,
    omega: float,
    price: float,
    fine: float,
    cheap: int,
    dear: int,
    stop: Any,
) -> int:
    """Return the slot of the point at that price where Omega is best for all.

    Slots ``cheap`` and ``dear`` are kept.
    """
    numbers = points.numbers
    low, high = rows.own[LOW, 0], rows.own[HIGH, 0]
    less, more, model = -1, -1, np.inf
    at = answer(accuracy, rows, points, free_slot(cheap, dear, -1, -1), omega, price)
    for k in range(SEARCH_STEPS):
        now, worth = numbers[at, OMEGA], numbers[at, WORTH]
        ends = (now <= low and worth < 0.0) or (now >= high and worth > 0.0)
        if ends or abs(worth) <= CLOSE * abs(price) or stop[0]:
            return at
        if less >= 0 and more >= 0 and model - numbers[at, VALUE] <= 0.01 * fine:
            return mixed(points, at, less, more, free_slot(cheap, dear, at, less, more))
        before = less if worth > 0.0 else more
        slow = before >= 0 and abs(worth) > 0.5 * abs(numbers[before, WORTH])
        if worth > 0.0:
            less = at
        else:
            more = at
        newton_omega = np.nan
        if numbers[at, BENDS] < 0.0:
            newton_omega = balanced(accuracy, rows, points, at, price)
        if less < 0 or more < 0:
            end = high if more < 0 else low
            inner = min(max(newton_omega, low), high) if math.isfinite(newton_omega) else end
            omega, model = (end if slow else inner), np.inf
        else:
            best = less if numbers[less, VALUE] >= numbers[more, VALUE] else more
            meet = meeting(numbers[less], numbers[more], OMEGA, WORTH)
            spare = free_slot(cheap, dear, less, more)
            if not numbers[less, OMEGA] < meet < numbers[more, OMEGA]:
                return mixed(points, best, less, more, spare)
            model = numbers[less, VALUE] + numbers[less, WORTH] * (meet - numbers[less, OMEGA])
            if model - numbers[best, VALUE] <= 0.01 * fine:
                return mixed(points, best, less, more, spare)
            omega = meet
            if numbers[less, OMEGA] < newton_omega < numbers[more, OMEGA] and not slow:
                omega, model = newton_omega, np.inf
            elif k % 4 == 3:
                omega = 0.5 * (numbers[less, OMEGA] + numbers[more, OMEGA])
                model = np.inf
        at = answer(accuracy, rows, points, free_slot(cheap, dear, less, more), omega, price)
    return at


def balanced(accuracy: Any, rows: Rows, points: Points, at: int, price: float) -> float:
    """Return the Omega that is best at a price if the rows stay where they are, or nearly."""
    point = points.numbers[at]
    omega, bends = point[OMEGA], point[BENDS]
    if not bends < 0.0:
        return float(omega)
    low, high = rows.own[LOW, 0], rows.own[HIGH, 0]
    worth = point[WORTH] + (point[INSIDE] - 1.0) * (price - point[PRICE])
    # What the rows inside an edge want follows the price, not Omega.
    inside = point[INSIDE] * (price - point[PRICE])
    for r in range(rows.own.shape[1]):
        if not points.corner[at, r]:
            inside += rows.own[MEMBERS, r] * points.nu[at, r]
    for _ in range(BALANCE_STEPS):
        moved = min(max(omega - worth / bends, low), high)
        if abs(moved - omega) <= 1e-7 * omega:
            return float(moved)
        now = inside - price
        for r in range(rows.own.shape[1]):
            if points.corner[at, r]:
                now += rows.own[MEMBERS, r] * demand(accuracy, rows, r, moved - points.x[at, r])
        if not abs(now) < 0.5 * abs(worth):
            return float(moved if abs(now) < abs(worth) else omega)
        bends = (now - worth) / (moved - omega)
        omega, worth = moved, now
        if not bends < 0.0:
            break
    return float(omega)


def answer(accuracy: Any, rows: Rows, points: Points, slot: int, omega: float, price: float) -> int:
    """Write what the rows answer to a slot, with both equations and their derivatives."""
    short, worth, value = -omega, -price, -price * omega
    inside, follows, bends = 0.0, 0.0, 0.0
    for r in range(rows.own.shape[1]):
        x, passed, own, nu, corner = respond(accuracy, rows, r, omega, price, points.passed[r])
        points.passed[r] = passed
        points.x[slot, r], points.nu[slot, r], points.corner[slot, r] = x, nu, corner
        count, weight = rows.own[MEMBERS, r], rows.own[WEIGHT, r]
        short += count * x
        worth += count * nu
        value += count * (own + price * x)
        bend = 0.0
        if weight > 0.0:
            below = min(omega - x - rows.own[FLOOR, r], 0.0)
            y = max(omega - x, rows.own[FLOOR, r])
            contact, chord = rows.own[CONTACT, r], rows.own[CHORD, r]
            steep = nu  # what it is but where a constraint on y holds x
            if rows.kind[SIDE, r] != 0:
                steep = weight * slope_of(accuracy, contact, chord, y)
            reached = weight * value_of(accuracy, rows.own[LOW, r], contact, chord, y)
            value += count * (reached + steep * below)
            if below == 0.0:
                ahead = weight * slope_of(accuracy, contact, chord, y * (1.0 + STEP))
                bend = (ahead - steep) / (STEP * y)
        if corner:
            bends += count * bend
        else:
            inside += count
            follows += -count / bend if bend < 0.0 else np.inf
    point = points.numbers[slot]
    point[OMEGA], point[PRICE], point[VALUE] = omega, price, value
    point[SHORT], point[WORTH] = short, worth
    point[INSIDE], point[FOLLOWS], point[BENDS] = inside, follows, bends
    return slot


def filled(rows: Rows, points: Points, at: int, cheap: int, dear: int) -> int:
    """Mix what the rows do on both sides of a price so that it meets Omega; return the slot.

    Each mixture of two optimal answers is optimal. Rows without a part in P but through Omega turn
    one after the other instead: then one at most is left between two corners.
    """
    numbers, slot = points.numbers, free_slot(at, cheap, dear, -1)
    share = -numbers[cheap, SHORT] / (numbers[dear, SHORT] - numbers[cheap, SHORT])
    omega = numbers[cheap, OMEGA] + share * (numbers[dear, OMEGA] - numbers[cheap, OMEGA])
    room = 0.0
    for r in range(rows.own.shape[1]):
        step = points.x[dear, r] - points.x[cheap, r]
        points.x[slot, r] = points.x[cheap, r] + share * step
        points.nu[slot, r], points.corner[slot, r] = points.nu[at, r], points.corner[at, r]
        if not rows.own[WEIGHT, r] > 0.0:
            room += rows.own[MEMBERS, r] * step
    left = share * room
    for r in range(rows.own.shape[1]):
        if rows.own[WEIGHT, r] > 0.0 or points.x[dear, r] == points.x[cheap, r]:
            continue
        whole = rows.own[MEMBERS, r] * (points.x[dear, r] - points.x[cheap, r])
        taken = min(max(left, 0.0), whole)
        left -= whole
        points.x[slot, r] = points.x[cheap, r] + taken / rows.own[MEMBERS, r]
        if taken >= whole:
            points.x[slot, r] = points.x[dear, r]
    numbers[slot] = numbers[at]
    numbers[slot, OMEGA] = omega
    return slot


def mixed(points: Points, at: int, less: int, more: int, slot: int) -> int:
    """Write a point at a corner to a slot, with the mixture of both sides' nu that balances it."""
    numbers = points.numbers
    share = numbers[less, WORTH] / (numbers[less, WORTH] - numbers[more, WORTH])
    for r in range(points.passed.size):
        points.x[slot, r], points.corner[slot, r] = points.x[at, r], points.corner[at, r]
        nu = points.nu[less, r]
        points.nu[slot, r] = nu + share * (points.nu[more, r] - nu)
    numbers[slot] = numbers[at]
    numbers[slot, WORTH], numbers[slot, FOLLOWS], numbers[slot, BENDS] = 0.0, np.inf, -np.inf
    return slot


def free_slot(a: int, b: int, c: int, d: int, e: int = -1) -> int:
    """Return a slot other than these."""
    slot = 0
    while slot in (a, b, c, d, e):
        slot += 1
    return slot


def meeting(first: Array, second: Array, at: int, slope: int) -> float:
    """Return where the tangents at two points meet; their slopes differ."""
    run = second[at] - first[at]
    rise = second[VALUE] - first[VALUE] - second[slope] * run
    return float(first[at] + rise / (first[slope] - second[slope]))


def newton(point: Array) -> tuple[float, float]:
    """Return Newton's step in Omega and M; NaN where it does not exist."""
    off, follows, bends = point[INSIDE] - 1.0, point[FOLLOWS], point[BENDS]
    det = off * off - follows * bends
    if not (math.isfinite(det) and det > 0.0):
        return np.nan, np.nan
    return (
        -(off * point[SHORT] - follows * point[WORTH]) / det,
        -(off * point[WORTH] - bends * point[SHORT]) / det,
    )
