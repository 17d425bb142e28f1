r"""What data costs an organization at the cheapest level, and the least concave function above.

In units of Omega, ``x = u d``, an organization that provides x chooses the slowest level that does
it in time, so what it costs runs straight along a level and jumps at its end
(docs/explanation/planner.md). With the cost counted negative, the upper hull of the levels' right
ends, and of the least data, is the least concave function above it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclasses.dataclass(frozen=True, eq=False)
class Menu:
    """The levels that are worth choosing, ascending; rows with fewer are padded at the end.

    Attributes
    ----------
    units
        Shape ``(N,)``: u.
    least
        Shape ``(N,)``: ``u D_min``.
    reach
        Shape ``(N, m)``: ``u h``, the most data at each level, strictly ascending; padding
        repeats the last.
    price
        Shape ``(N, m)``: the overhead of one unit of data at each level, ``c / u``.
    last
        Shape ``(N,)``: the index of the last level.
    level
        Shape ``(N, m)``: which of the game's levels each one is.
    """

    units: Array
    least: Array
    reach: Array
    price: Array
    last: Indices
    level: npt.NDArray[np.int32]

    @classmethod
    def of(cls, units: Array, least: Any, high: Array, cost: Array) -> Menu:
        """Return the levels worth choosing.

        Parameters
        ----------
        units
            ``u``, shape ``(N,)``.
        least
            ``D_min``: a number, or shape ``(N,)``.
        high
            ``h_il``, shape ``(N, m)``; NaN where there is no such level.
        cost
            The overhead of a full dataset at each level, shape ``(N, m)``, payoff units.
        """
        least = np.broadcast_to(least, units.shape)
        feasible = high >= least[:, None]  # false for padding, which is NaN
        # A level that reaches no further than a slower one is never the cheapest.
        before = np.maximum.accumulate(np.where(feasible, high, -np.inf), axis=1)
        useful = feasible.copy()
        useful[:, 1:] &= ~(before[:, :-1] >= high[:, 1:])
        last = useful.sum(axis=1) - 1
        width = int(last.max()) + 1
        level = np.broadcast_to(np.arange(high.shape[1], dtype=np.int32), high.shape)
        column = units[:, None]
        if useful.all():
            reach = np.ascontiguousarray(column * high)
            return cls(
                units, units * least, reach, np.ascontiguousarray(cost / column), last, level
            )
        packed = (useful == (np.arange(useful.shape[1]) <= last[:, None])).all()
        if packed:  # only the last ones are missing
            order = np.minimum(level[:, :width], last[:, None].astype(np.int32))
        else:
            order = _to_the_left(useful, last)[:, :width].astype(np.int32)
        high, cost = np.take_along_axis(high, order, 1), np.take_along_axis(cost, order, 1)
        high *= column
        cost /= column
        reach, price = np.ascontiguousarray(high), np.ascontiguousarray(cost)
        return cls(units, units * least, reach, price, last, order)

    def some(self, who: Indices) -> Menu:
        """Return the menus of some organizations."""
        return Menu(
            self.units[who],
            self.least[who],
            self.reach[who],
            self.price[who],
            self.last[who],
            self.level[who],
        )

    def cheapest_of(self, who: Indices, x: Array) -> Indices:
        """Return the slowest level at which each of ``who`` provides ``x``; shapes ``(R,)``."""
        below = (self.reach[who] < x[:, None]).sum(axis=1)
        return np.asarray(np.minimum(below, self.last[who]))


def _to_the_left(keep: npt.NDArray[np.bool_], last: Indices) -> Indices:
    """Return column indices of what is kept, in order, the last one repeated."""
    order = np.argsort(~keep, axis=1, kind="stable")
    filled = np.arange(keep.shape[1]) <= last[:, None]
    return np.asarray(np.where(filled, order, order[np.arange(last.size), last][:, None]))


def hull_of(
    least: float,
    reach: Array,
    price: Array,
    slowest: int,
    fastest: int,
    x: Array,
    worth: Array,
    slope: Array,
) -> int:
    """Write the hull of an organization's levels ``slowest`` to ``fastest``; return its last index.

    ``x`` and ``worth`` receive the vertices by ascending x, ``worth`` being minus the overhead, and
    ``slope`` those of the edges, which descend. ``reach`` and ``price`` are the organization's row
    of the :class:`Menu`.
    """
    x[0] = reach[slowest - 1] if slowest > 0 else least
    worth[0] = -price[slowest] * x[0]
    last = 0
    for level in range(slowest, fastest + 1):
        at = reach[level]
        if not at > x[last]:
            continue
        value = -price[level] * at
        steep = (value - worth[last]) / (at - x[last])
        # A vertex that is not above the line between its neighbours is on no hull.
        while last > 0 and slope[last - 1] <= steep:
            last -= 1
            steep = (value - worth[last]) / (at - x[last])
        slope[last] = steep
        last += 1
        x[last], worth[last] = at, value
    return last
