r"""What a coalition can reach: coordinate ascent over its levels and data.

With ``x_j = u_j d_j``, ``Omega = sum_S x_j`` and the weights of a reading,

    v(S) = max over x of  Z P(Omega) + sum_S w_j P(Omega - x_j) - sum_S [ c_j(x_j) + fixed_j ]

where ``c_j`` is the cost at the slowest level that provides ``x_j`` in time: straight along a
level, with a jump at its end. In the literal reading ``w_j = sum_{i in S} rho_ij p_i`` and
``Z = sum_S (p_j - w_j)``; in the market reading Z is the same and ``w = 0``.

One organization after the other takes the best of its levels and data, until nobody improves: a
local optimum. :mod:`tradefl.stability.optimum` finds and proves the global one.

The functions run as plain Python for any P, and compiled for the built-in ones
(:mod:`tradefl.solvers.compiled`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.solvers.best_response import (
    accuracy_derivative,
    accuracy_value,
)
from tradefl.solvers.planner import Coalitions

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

MAX_SWEEPS = 400
# A sweep that improves by less than this share of the terms is the last.
STILL = 1e-15
BISECTIONS = 60


class Terms(NamedTuple):
    """What the kernels need of a game.

    ``profitability``, ``least`` (``u D_min``), ``fixed`` (transfers and joining) and ``last`` have
    shape ``(N,)``; ``reach`` (``u h``, strictly ascending, the last one repeated as padding) and
    ``price`` (cost of a unit of data) ``(N, m)``; ``rho`` ``(N, N)``.
    """

    profitability: Array
    rho: Array
    least: Array
    reach: Array
    price: Array
    last: Indices
    fixed: Array

    @classmethod
    def of(cls, game: CoopetitionGame, coalitions: Coalitions) -> Terms:
        """Return the terms of a game."""
        menu = coalitions.menu
        return cls(
            profitability=np.ascontiguousarray(game.profitability, dtype=float),
            rho=dense(game),
            least=np.ascontiguousarray(menu.least),
            reach=np.ascontiguousarray(menu.reach),
            price=np.ascontiguousarray(menu.price),
            last=np.ascontiguousarray(menu.last, dtype=np.intp),
            fixed=np.ascontiguousarray(np.broadcast_to(coalitions.fixed, game.size), dtype=float),
        )


def dense(game: CoopetitionGame) -> Array:
    """Return rho as an ``(N, N)`` array."""
    matrix = np.zeros((game.size, game.size))
    for i in range(game.size):
        rivals, rho = game.competition.row(i)
        matrix[i, rivals] = rho
    return matrix


def cost_of(terms: Any, i: int, x: float) -> float:
    """Return what providing ``x`` costs organization i at the slowest level that does it."""
    k = 0
    while k < terms.last[i] and terms.reach[i, k] < x:
        k += 1
    return float(terms.price[i, k] * x)


def weights(terms: Any, inside: Flags, market: bool, w: Array) -> float:
    """Fill in ``w`` of the members and return ``Z``."""
    n = inside.size
    together = 0.0
    for i in range(n):
        w[i] = 0.0
        if inside[i]:
            rivals = 0.0
            for j in range(n):
                if inside[j]:
                    rivals += terms.rho[i, j] * terms.profitability[j]
            together += terms.profitability[i] - rivals
            if not market:
                w[i] = rivals
    return together


def worth(accuracy: Any, inside: Flags, x: Array, w: Array, together: float, omega: float) -> float:
    """Return ``Z P(Omega) + sum_S w_j P(Omega - x_j)``."""
    total = together * accuracy_value(accuracy, omega)
    for j in range(inside.size):
        if inside[j] and w[j] > 0.0:
            total += w[j] * accuracy_value(accuracy, max(omega - x[j], 0.0))
    return total


def slope_for(
    accuracy: Any, inside: Flags, x: Array, w: Array, together: float, i: int, omega: float
) -> float:
    """Return what a unit of data of organization i adds to the worth of all."""
    total = together * accuracy_derivative(accuracy, omega)
    for j in range(inside.size):
        if inside[j] and j != i and w[j] > 0.0:
            total += w[j] * accuracy_derivative(accuracy, max(omega - x[j], 0.0))
    return total


def best_data(
    accuracy: Any, terms: Any, inside: Flags, x: Array, w: Array, together: float, i: int
) -> tuple[float, float]:
    """Return the best ``x_i`` given what the other members provide, and the value of it.

    The value is ``Z P(Omega) + sum_S w_j P(Omega - x_j) - c_i(x_i)``. ``x[i]`` is left as it was.
    """
    others = 0.0
    for j in range(inside.size):
        if inside[j] and j != i:
            others += x[j]
    before = x[i]
    best, at = -np.inf, before
    for k in range(terms.last[i] + 1):
        low = terms.least[i] if k == 0 else terms.reach[i, k - 1]
        high = terms.reach[i, k]
        price = terms.price[i, k]
        if high < low:
            low = high
        x[i] = high
        value = worth(accuracy, inside, x, w, together, others + high) - price * high
        if value > best:
            best, at = value, high
        if slope_for(accuracy, inside, x, w, together, i, others + high) >= price:
            continue
        if k == 0:  # elsewhere the level before provides it for less
            x[i] = low
            value = worth(accuracy, inside, x, w, together, others + low) - price * low
            if value > best:
                best, at = value, low
        if slope_for(accuracy, inside, x, w, together, i, others + low) <= price:
            continue
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            if middle <= low or middle >= high:
                break
            if slope_for(accuracy, inside, x, w, together, i, others + middle) >= price:
                low = middle
            else:
                high = middle
        x[i] = low
        value = worth(accuracy, inside, x, w, together, others + low) - price * low
        if value > best:
            best, at = value, low
        x[i] = high
        value = worth(accuracy, inside, x, w, together, others + high) - price * high
        if value > best:
            best, at = value, high
    x[i] = before
    return best, at


def value_at(
    accuracy: Any, terms: Any, inside: Flags, x: Array, w: Array, together: float
) -> float:
    """Return what the members have together."""
    omega = 0.0
    for j in range(inside.size):
        if inside[j]:
            omega += x[j]
    total = worth(accuracy, inside, x, w, together, omega)
    for j in range(inside.size):
        if inside[j]:
            total -= cost_of(terms, j, x[j]) + terms.fixed[j]
    return total


def ascend(accuracy: Any, terms: Any, inside: Flags, x: Array, w: Array, together: float) -> float:
    """Improve the members' data in place until nobody improves it alone; return the value."""
    value = value_at(accuracy, terms, inside, x, w, together)
    for _ in range(MAX_SWEEPS):
        size = 1e-300
        for i in range(inside.size):
            if inside[i]:
                now, to = best_data(accuracy, terms, inside, x, w, together, i)
                omega = 0.0
                for j in range(inside.size):
                    if inside[j]:
                        omega += x[j]
                held = worth(accuracy, inside, x, w, together, omega) - cost_of(terms, i, x[i])
                size = max(size, abs(held))
                if now > held:
                    x[i] = to
        after = value_at(accuracy, terms, inside, x, w, together)
        if after <= value + STILL * max(size, abs(value)):
            return max(after, value)
        value = after
    return value
