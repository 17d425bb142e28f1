r"""What data costs an organization at the cheapest level, and the least concave function above.

In units of Omega, ``x = u d``, an organization that provides x chooses the slowest level that does
it in time, so what it costs runs straight along a level and jumps at its end
(docs/explanation/planner.md). With the cost counted negative, the upper hull of the levels' right
ends, and of the least data, is the least concave function above it.
"""

from __future__ import annotations

import dataclasses

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
    def of(cls, units: Array, least: float, high: Array, cost: Array) -> Menu:
        """Return the levels worth choosing.

        Parameters
        ----------
        units
            ``u``, shape ``(N,)``.
        least
            ``D_min``.
        high
            ``h_il``, shape ``(N, m)``; NaN where there is no such level.
        cost
            The overhead of a full dataset at each level, shape ``(N, m)``, payoff units.
        """
        feasible = high >= least  # false for padding, which is NaN
        # A level that reaches no further than a slower one is never the cheapest.
        before = np.maximum.accumulate(np.where(feasible, high, -np.inf), axis=1)
        useful = feasible.copy()
        useful[:, 1:] &= ~(before[:, :-1] >= high[:, 1:])
        last = useful.sum(axis=1) - 1
        width = int(last.max()) + 1
        level = np.broadcast_to(np.arange(high.shape[1], dtype=np.int32), high.shape)
        column = units[:, None]
        if useful.all():
            return cls(units, units * least, column * high, cost / column, last, level)
        packed = (useful == (np.arange(useful.shape[1]) <= last[:, None])).all()
        if packed:  # only the last ones are missing
            order = np.minimum(level[:, :width], last[:, None].astype(np.int32))
        else:
            order = _to_the_left(useful, last)[:, :width].astype(np.int32)
        high, cost = np.take_along_axis(high, order, 1), np.take_along_axis(cost, order, 1)
        high *= column
        cost /= column
        return cls(units, units * least, high, cost, last, order)

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


def at_rows(like: npt.NDArray[np.generic]) -> Indices:
    """Return the row indices of an array."""
    return np.arange(like.shape[0])


@dataclasses.dataclass(frozen=True, eq=False)
class Hulls:
    """Upper concave hulls; vertices by ascending x, the last one repeated as padding.

    Attributes
    ----------
    x, worth
        Shape ``(R, V)``: the vertices; ``worth`` is minus the overhead.
    slope
        Shape ``(R, V - 1)``: of the edges, descending; ``-inf`` for padding.
    """

    x: Array
    worth: Array
    slope: Array

    @classmethod
    def of(cls, menu: Menu, slowest: Indices, fastest: Indices) -> Hulls:
        """Return the hulls of ``[slowest, fastest]`` of each organization's levels."""
        rows, width = at_rows(slowest), menu.reach.shape[1]
        start = np.where(slowest > 0, menu.reach[rows, slowest - 1], menu.least)
        x = np.concatenate([start[:, None], menu.reach], axis=1)
        worth = np.empty_like(x)
        worth[:, 0] = -menu.price[rows, slowest] * start
        np.multiply(menu.reach, -menu.price, out=worth[:, 1:])
        if slowest.any() or np.any(fastest < menu.last) or np.any(menu.reach[:, 0] <= start):
            columns = np.arange(width)
            keep = np.ones(x.shape, dtype=bool)
            keep[:, 1:] = (columns >= slowest[:, None]) & (columns <= fastest[:, None])
            keep[:, 1:] &= menu.reach > start[:, None]
            x, worth = _packed(x, worth, keep)
        slope = _slopes(x, worth)
        # Whatever is below the line between its neighbours is on no hull.
        bent = np.flatnonzero(_bends(slope).any(axis=1))
        while bent.size:
            keep = np.ones((bent.size, x.shape[1]), dtype=bool)
            keep[:, 1:-1] = ~_bends(slope[bent])
            # Padding goes as well: it is put back behind what is kept.
            keep[:, 1:] &= x[bent, 1:] > x[bent, :-1]
            x[bent], worth[bent] = _packed(x[bent], worth[bent], keep)
            slope[bent] = _slopes(x[bent], worth[bent])
            bent = bent[_bends(slope[bent]).any(axis=1)]
        return cls(x, worth, slope)

    def below(self, first: Hulls) -> Hulls:
        """Return these hulls below others of the same width."""
        return Hulls(
            np.concatenate([first.x, self.x]),
            np.concatenate([first.worth, self.worth]),
            np.concatenate([first.slope, self.slope]),
        )

    def below_omega(self) -> Hulls:
        """Return these hulls below a row 0 that has no data of its own."""
        nothing = np.zeros((1, self.x.shape[1]))
        return self.below(Hulls(nothing, nothing, np.full((1, self.slope.shape[1]), -np.inf)))

    def some(self, rows: slice | Indices | npt.NDArray[np.bool_]) -> Hulls:
        """Return some of the rows."""
        return Hulls(self.x[rows], self.worth[rows], self.slope[rows])

    @classmethod
    def at_levels(cls, menu: Menu, level: Indices) -> Hulls:
        """Return the straight lines of one level each."""
        rows = at_rows(level)
        start = np.where(level > 0, menu.reach[rows, level - 1], menu.least)
        x = np.stack([start, np.maximum(menu.reach[rows, level], start)], axis=1)
        worth = -menu.price[rows, level][:, None] * x
        return cls(x, worth, _slopes(x, worth))


def _bends(slope: Array) -> npt.NDArray[np.bool_]:
    """Return which inner vertices do not lie above the line between their neighbours."""
    return (slope[:, :-1] <= slope[:, 1:]) & (slope[:, 1:] > -np.inf)


def _packed(x: Array, worth: Array, keep: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Move what is kept to the left of each row and repeat the last of it."""
    if keep.all():
        return x, worth
    order = _to_the_left(keep, keep.sum(axis=1) - 1)
    return np.take_along_axis(x, order, 1), np.take_along_axis(worth, order, 1)


def _to_the_left(keep: npt.NDArray[np.bool_], last: Indices) -> Indices:
    """Return column indices of what is kept, in order, the last one repeated."""
    order = np.argsort(~keep, axis=1, kind="stable")
    filled = np.arange(keep.shape[1]) <= last[:, None]
    return np.asarray(np.where(filled, order, order[at_rows(last), last][:, None]))


def _slopes(x: Array, worth: Array) -> Array:
    run = np.diff(x, axis=1)
    slope = np.full(run.shape, -np.inf)
    np.divide(np.diff(worth, axis=1), run, out=slope, where=run > 0.0)
    return slope
