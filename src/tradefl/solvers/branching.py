r"""Branch and bound over the planner's relaxation, best bound first.

The relaxed solution is a profile, unless some organization is inside a hull edge between two
levels, or some argument of P is where its envelope lies above it. Then the node is split in two
(docs/explanation/planner.md, "Branching"):

* *Level.* At most k members of a group of equal organizations are on a level above a, or at least
  k + 1 are. Equal members are interchangeable, so each branch is a list of parts: so many
  members confined to the levels up to a, or above, and the others free.
* *Onset.* Omega, or some members' ``y = Omega - x``, is at or below the onset of P, where P is
  zero, or at or above it, where it is concave.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.accuracy import InvertibleAccuracyModel
from tradefl.solvers.envelope import Envelope
from tradefl.solvers.hulls import Hulls, Menu
from tradefl.solvers.relaxation import Relaxed, Rows, relax

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# What a group loses at its relaxed point, as a share of the terms, before it counts as undecided.
LOSS = 1e-15
# Nodes after which nearly equal organizations are branched on together, and how many of these.
FIRST_NODES = 60
LOOKALIKE_NODES = 2000
# While prices are tried, P is followed down to this share of what y can be.
BELOW = 1e-3


@dataclasses.dataclass(frozen=True)
class Part:
    """Some members of a group, confined to some of its levels, or to one side of the onset."""

    count: int
    slowest: int
    fastest: int
    side: int = 0  # -1: y at or below the onset; 1: at or above


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """The welfare of groups of equal organizations.

    Attributes
    ----------
    accuracy
        P.
    together
        ``Z = sum_j z_j``.
    weight
        ``w``, shape ``(G,)``.
    count
        The members of each group.
    menu
        The levels of one member of each group.
    """

    accuracy: InvertibleAccuracyModel
    together: float
    weight: Array
    count: Indices
    menu: Menu

    def value(self, group: Indices, count: Array, x: Array) -> float:
        """Return W, without the transfers, where ``count`` members of each group provide x."""
        omega = float(count @ x)
        level = self.menu.cheapest_of(group, x)
        weight = self.weight[group]
        others = np.where(weight > 0.0, np.maximum(omega - x, 0.0), omega)
        without = np.asarray(self.accuracy.value(others), dtype=float)
        gained = self.together * float(self.accuracy.value(omega))
        return gained + float(count @ (weight * without - self.menu.price[group, level] * x))


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """A restriction of the problem: an interval of Omega, and the groups that are split."""

    low: float
    high: float
    parts: dict[int, tuple[Part, ...]]


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """The best placement: rows of ``count`` members of a group at x each; and a proven bound.

    ``rounding`` is what the bound was raised by for the sake of rounding.
    """

    value: float
    group: Indices
    count: Indices
    x: Array
    bound: float
    rounding: float
    nodes: int


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """The rows of a node: which group and which part each one is; row 0 is Omega."""

    group: Indices
    count: Indices
    slowest: Indices
    fastest: Indices
    side: npt.NDArray[np.int8]
    rows: Rows


def maximize(problem: Problem, tolerance: float, node_limit: int, until: float = math.inf) -> Found:
    """Return the best placement, and a bound within the relative tolerance unless a limit came.

    Where a few hundred nodes do not prove it, organizations that are nearly equal are branched on
    together (:mod:`tradefl.solvers.lookalikes`).

    Parameters
    ----------
    problem
        The problem.
    tolerance
        Relative to the bound.
    node_limit
        The most relaxations of nodes.
    until
        The time of :func:`time.perf_counter` at which to stop.
    """
    from tradefl.solvers.lookalikes import Lookalikes

    # Slopes of zero, and of padding, are inverted to infinity.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        tree = Tree(problem, tolerance, until)
        tree.grow(min(FIRST_NODES, node_limit))
        if tree.open and tree.nodes < node_limit and not tree.late():
            alike = Lookalikes.of(tree)
            if alike is not None:
                alike.grow(min(node_limit - tree.nodes, LOOKALIKE_NODES))
                tree.learn(alike)
            tree.grow(node_limit)
        return tree.found()


class Open(NamedTuple):
    """A node that is solved: its bound, and the nodes that it splits into."""

    bound: float
    children: tuple[Node, ...]
    guess: tuple[float, float]


class Tree:
    """The search tree: what is open, and the best placement so far."""

    def __init__(self, problem: Problem, tolerance: float, until: float) -> None:
        self.problem, self.tolerance, self.until = problem, tolerance, until
        groups = problem.count.size
        self.slowest = np.zeros(groups, dtype=np.intp)
        self.hulls = Hulls.of(problem.menu, self.slowest, problem.menu.last).below_omega()
        self.best, self.placed = -math.inf, (self.slowest, problem.count, problem.menu.least)
        self.rounding = 0.0
        self.nodes = 0
        self.heap: list[tuple[float, int, Open]] = []
        self.tickets = itertools.count()  # nodes of equal bounds: the oldest first
        # What is proven of all that is neither open nor split further, and of everything.
        self.closed, self.proven = -math.inf, math.inf
        self.offer(np.arange(groups), problem.count, problem.menu.least)

    def late(self) -> bool:
        """Whether the time is over."""
        return time.perf_counter() > self.until

    @property
    def bound(self) -> float:
        """What no placement exceeds."""
        opened = -self.heap[0][0] if self.heap else -math.inf
        return max(min(max(opened, self.closed), self.proven), self.best)

    @property
    def open(self) -> bool:
        """Whether there is more to do."""
        return not self._close(self.bound)

    def grow(self, node_limit: int) -> None:
        """Split nodes, best bound first, until the bound is proven or a limit comes."""
        if not self.nodes:
            self._push(Node(-math.inf, math.inf, {}), math.inf, None)
        while self.heap and self.open and self.nodes < node_limit and not self.late():
            negated, _, node = heapq.heappop(self.heap)
            children = node.children
            if not children:
                # The relaxed solution is a profile: what is left is rounding, or no saddle.
                self.closed = max(self.closed, -negated)
                continue
            for k, child in enumerate(children):
                if self.late():  # what is left of the node stays open
                    rest = node._replace(children=children[k:])
                    heapq.heappush(self.heap, (negated, next(self.tickets), rest))
                    return
                self._push(child, -negated, node.guess)

    def found(self) -> Found:
        """Return the best placement and the bound."""
        group, count, x = self.placed
        return Found(self.best, group, count, x, self.bound, self.rounding, self.nodes)

    def learn(self, other: Tree) -> None:
        """Take over what another tree over the same organizations has proven and found."""
        self.nodes += other.nodes
        self.proven = min(self.proven, other.bound)
        if other.best > self.best:
            self.best, self.placed = other.best, other.placed

    def _push(self, node: Node, above: float, guess: tuple[float, float] | None) -> None:
        found = self.evaluate(node, guess)
        if found is None:  # no profile is there
            return
        bound = min(above, found.bound)
        if self._close(bound):
            self.closed = max(self.closed, bound)
        else:
            heapq.heappush(self.heap, (-bound, next(self.tickets), found))

    def evaluate(self, node: Node, guess: tuple[float, float] | None) -> Open | None:
        """Solve a node's relaxation, offer what is near it, and say how it is split."""
        layout = self._layout(node)
        if layout is None:
            return None
        relaxed = relax(self.problem.accuracy, layout.rows, guess, self.until)
        self.nodes += 1
        self.rounding = max(self.rounding, relaxed.rounding)
        if not self.late():
            self._round(layout, relaxed)
        else:
            self.offer(layout.group, layout.count, relaxed.x[1:])
        bound = relaxed.bound + relaxed.rounding
        children = () if self._close(bound) else tuple(self._branches(node, layout, relaxed))
        return Open(bound, children, (relaxed.omega, relaxed.price))

    def _close(self, bound: float) -> bool:
        # Half of what is asked: the sum of the payoffs rounds in its own way.
        return bound - self.best <= max(0.5 * self.tolerance * abs(bound), self.rounding)

    def _layout(self, node: Node) -> Layout | None:
        """Return the rows of a node; None if nothing feasible is left of it."""
        problem = self.problem
        menu, hulls = problem.menu, self.hulls
        group = np.arange(problem.count.size)
        count, slowest, fastest = problem.count, self.slowest, menu.last
        side = np.zeros(group.size, dtype=np.int8)
        if node.parts:
            whole = np.ones(group.size, dtype=bool)
            whole[list(node.parts)] = False
            parts = [
                (g, *dataclasses.astuple(part)) for g, some in node.parts.items() for part in some
            ]
            table = np.array(parts, dtype=np.intp)
            own = Hulls.of(menu.some(table[:, 0]), table[:, 2], table[:, 3])
            hulls = own.below(hulls.some(np.concatenate([[True], whole])))
            group = np.concatenate([group[whole], table[:, 0]])
            count = np.concatenate([count[whole], table[:, 1]])
            slowest = np.concatenate([slowest[whole], table[:, 2]])
            fastest = np.concatenate([fastest[whole], table[:, 3]])
            side = np.concatenate([side[whole], table[:, 4].astype(np.int8)])
        rows = self._rows(node, hulls, problem.weight[group], count.astype(float), side)
        if rows is None:
            return None
        return Layout(group, count, slowest, fastest, side, rows)

    def _rows(
        self, node: Node, hulls: Hulls, weight: Array, count: Array, side: npt.NDArray[np.int8]
    ) -> Rows | None:
        onset = float(self.problem.accuracy.onset)
        first, last = hulls.x[1:, 0], hulls.x[1:, -1]
        least, most = float(count @ first), float(count @ last)
        omega_low, omega_high = max(least, node.low), min(most, node.high)
        low, high = np.maximum(least - first, 0.0), most - last
        if side.any():
            low = np.where(side > 0, np.maximum(low, onset), low)
            high = np.where(side < 0, np.minimum(high, onset), high)
            omega_low = max(omega_low, float((low + first)[side > 0].max(initial=-np.inf)))
            omega_high = min(omega_high, float((high + last)[side < 0].min(initial=np.inf)))
        if omega_low > omega_high:
            if omega_low > omega_high * (1.0 + 1e-12):
                return None
            omega_low = omega_high
        low = np.minimum(np.maximum(low, omega_low - last), omega_high)
        high = np.maximum(np.minimum(high, omega_high - first), low)
        # A group without rivals has no part in P but through Omega.
        rivals = weight > 0.0
        low, high = np.where(rivals, low, omega_high), np.where(rivals, high, omega_high)
        envelope = Envelope.of(
            self.problem.accuracy,
            np.concatenate([[omega_low], low]),
            np.concatenate([[omega_high], high]),
        )
        floor = np.maximum(onset, BELOW * envelope.low)
        return Rows(
            np.concatenate([[1.0], count]),
            np.concatenate([[self.problem.together], weight]),
            hulls,
            envelope,
            np.where(envelope.contact > -np.inf, envelope.low, floor),
            np.concatenate([[0], side]).astype(np.int8) if side.any() else None,
            omega_high,
        )

    def offer(self, group: Indices, count: Indices, x: Array) -> None:
        """Keep a placement if it is the best so far."""
        value = self.problem.value(group, count.astype(float), x)
        if value > self.best:
            self.best, self.placed = value, (group, count, x)

    def _losses(self, layout: Layout, x: Array) -> tuple[Array, Indices, Array]:
        """Return what each row's hull promises beyond its levels, its edge, and how far along."""
        hulls = layout.rows.hulls
        menu, group = self.problem.menu, layout.group
        x, corners = x[1:], hulls.x[1:]
        at = np.arange(x.size)
        edge = np.minimum((corners[:, 1:] < x[:, None]).sum(axis=1), corners.shape[1] - 2)
        left = corners[at, edge]
        slope = np.where(x > left, hulls.slope[1:][at, edge], 0.0)
        promised = hulls.worth[1:][at, edge] + slope * (x - left)
        level = np.minimum(np.maximum(menu.cheapest_of(group, x), layout.slowest), layout.fastest)
        loss = promised + menu.price[group, level] * x
        run = corners[at, edge + 1] - left
        share = np.divide(x - left, run, out=np.zeros_like(run), where=run > 0.0)
        return loss * layout.count, edge, share

    def _round(self, layout: Layout, relaxed: Relaxed) -> None:
        """Offer profiles near the relaxed one."""
        x = relaxed.x[1:]
        self.offer(layout.group, layout.count, x)
        loss, edge, share = self._losses(layout, relaxed.x)
        open_ = np.flatnonzero(loss > LOSS * abs(relaxed.bound))
        if not open_.size or self._close(relaxed.bound + relaxed.rounding):
            return
        corners = layout.rows.hulls.x[1:]
        for bias in (-0.499999, 0.499999):
            # Round one after the other; what one takes too much the next one takes less.
            group, count, at = [], [], []
            carry = 0.0
            for r in open_.tolist():
                left, right = corners[r, edge[r]], corners[r, edge[r] + 1]
                n = int(layout.count[r])
                wanted = share[r] * n + carry / (right - left)
                ahead = min(max(math.floor(wanted + 0.5 + bias), 0), n)
                carry = (wanted - ahead) * (right - left)
                bias = 0.0
                for members, corner in ((n - ahead, left), (ahead, right)):
                    if members:
                        group.append(layout.group[r])
                        count.append(members)
                        at.append(corner)
            whole = np.ones(x.size, dtype=bool)
            whole[open_] = False
            groups = np.concatenate([layout.group[whole], np.array(group, dtype=np.intp)])
            counts = np.concatenate([layout.count[whole], np.array(count, dtype=np.intp)])
            start = np.concatenate([x[whole], np.array(at)])
            self.offer(groups, counts, start)
            self._polish(groups, counts, start, (relaxed.omega, relaxed.price))

    def _polish(self, group: Indices, count: Indices, x: Array, guess: tuple[float, float]) -> None:
        """Offer the best data at the levels of a placement: one edge each, so it is concave."""
        level = self.problem.menu.cheapest_of(group, x)
        hulls = Hulls.at_levels(self.problem.menu.some(group), level).below_omega()
        rows = self._rows(
            Node(-math.inf, math.inf, {}),
            hulls,
            self.problem.weight[group],
            count.astype(float),
            np.zeros(group.size, dtype=np.int8),
        )
        if rows is None:
            raise RuntimeError("a placement that is not feasible was offered")
        found = relax(self.problem.accuracy, rows, guess, self.until)
        self.offer(group, count, found.x[1:])

    def _branches(self, node: Node, layout: Layout, relaxed: Relaxed) -> Iterator[Node]:
        """Yield the two halves of a node; nothing if its relaxed solution is a profile."""
        accuracy, rows = self.problem.accuracy, layout.rows
        loss, _, share = self._losses(layout, relaxed.x)
        onset = float(accuracy.onset)
        y = np.minimum(np.maximum(relaxed.omega - relaxed.x, rows.envelope.low), rows.envelope.high)
        lifted = np.zeros(y.size)
        if rows.envelope.straight:
            lifted = rows.envelope.value(accuracy, y) - np.asarray(accuracy.value(y), dtype=float)
            lifted *= rows.count * rows.weight
            # An interval on one side of the onset is not split again.
            lifted[(rows.envelope.high <= onset) | (rows.envelope.low >= onset)] = 0.0
        least = LOSS * abs(relaxed.bound)
        r, j = int(np.argmax(loss)), int(np.argmax(lifted))
        if max(loss[r], lifted[j]) <= least:
            return
        if lifted[j] >= loss[r]:
            if j == 0:
                yield dataclasses.replace(node, high=min(node.high, onset))
                yield dataclasses.replace(node, low=max(node.low, onset))
                return
            r = j - 1
            n = int(layout.count[r])
            begin, end = rows.envelope.low[j], min(rows.envelope.contact[j], rows.envelope.high[j])
            few = min(int(n * (y[j] - begin) / (end - begin)), n - 1)
            whole = Part(n, int(layout.slowest[r]), int(layout.fastest[r]), 0)
            yield self._split(node, layout, r, n - few, dataclasses.replace(whole, side=-1))
            yield self._split(node, layout, r, few + 1, dataclasses.replace(whole, side=1))
            return
        n = int(layout.count[r])
        x = float(relaxed.x[r + 1])
        side = int(layout.side[r])
        first, last = int(layout.slowest[r]), int(layout.fastest[r])
        group = np.array([layout.group[r]])
        level = int(min(max(self.problem.menu.cheapest_of(group, np.array([x]))[0], first), last))
        level = max(level, first + 1)
        few = min(int(n * share[r]), n - 1)
        yield self._split(node, layout, r, n - few, Part(n, first, level - 1, side))
        yield self._split(node, layout, r, few + 1, Part(n, level, last, side))

    def _split(self, node: Node, layout: Layout, r: int, confined: int, part: Part) -> Node:
        """Return the node in which so many members of row r are confined like that."""
        group = int(layout.group[r])
        n = int(layout.count[r])
        free = Part(n, int(layout.slowest[r]), int(layout.fastest[r]), int(layout.side[r]))
        mine = list(node.parts.get(group, (free,)))
        mine.remove(free)
        mine.append(dataclasses.replace(part, count=confined))
        if n > confined:
            mine.append(dataclasses.replace(free, count=n - confined))
        return dataclasses.replace(node, parts={**node.parts, group: tuple(mine)})
