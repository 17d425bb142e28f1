r"""The residual problem of the exact solver where organizations take each other's place.

:mod:`tradefl.solvers.residual` branches on how many of *equal* organizations are on a level. Those
that differ, be it by 1e-9, it decides one by one, and where many would do equally well it has as
many nodes as there are ways to choose them. Here a *cluster* of organizations with the same
feasible levels is split in parts of given sizes, each confined to some levels, and which member is
in which part is left open.

*Bound.* For any data price ``mu`` for which the decided organizations stay decided,

    max over Omega of [ P(Omega) - mu (Omega - w_0) ] + v_0
      + max over assignments of sum_j  max over segments of j's part of [ v + mu w ]

is at least the potential of every profile of the node: a linear assignment problem in each cluster.
It is convex in ``mu``; :meth:`Search._relax` minimizes it by the lines that its own assignments
draw.

*Branching.* The minimum mixes two assignments. Where they put different numbers of a part on a
level, the part is split in those that are on it and those that are not. Where they only differ in
*who* is where, one member is put into each part in turn.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.solvers.pricing import Ends
from tradefl.solvers.residual import Frame, Group, Outcome, Placement, Segment, settle

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# The most prices that one node tries; two or three are usual.
PRICES = 60
# A count so close to a whole number is one.
WHOLE = 1e-6
# What the model of the bound and the bound may differ by, in units in the last place.
ULPS = 8.0
EPS = float(np.finfo(float).eps)


class Part(NamedTuple):
    """So many members of a cluster, confined to some levels (a bit for each)."""

    members: int
    levels: int


class Cluster(NamedTuple):
    """Organizations with the same feasible segments, and the parts that they are split in."""

    members: tuple[int, ...]
    parts: tuple[Part, ...]


class Choice(NamedTuple):
    """What everybody does at a price: its part, segment and end, and the sums of w and v."""

    part: Indices
    segment: Indices
    high: npt.NDArray[np.bool_]
    w: float
    v: float


@dataclasses.dataclass(frozen=True, eq=False)
class Relaxed:
    """A node's bound, its price, and the two choices that are best there.

    ``share`` is how far from the first to the second Omega lies.
    """

    bound: float
    price: float
    choices: tuple[Choice, Choice]
    share: float


class Search:
    """Branch and bound, best bound first, over the parts of clusters.

    Parameters
    ----------
    frame
        P, the decided organizations, and the range of Omega.
    ends
        The segments of the others.
    tolerances
        As for :func:`tradefl.solvers.residual.maximize`.
    incumbent
        The best value known.
    """

    def __init__(
        self, frame: Frame, ends: Ends, tolerances: tuple[float, float, int], incumbent: float
    ) -> None:
        self.frame, self.ends = frame, ends
        self.close, self.enough, self.closer = tolerances
        self.best = incumbent
        self.placements: tuple[Placement, ...] = ()
        self.nodes = 0
        self.levels = int(ends.level.max()) + 1
        self.tickets = itertools.count()
        self.low = max(frame.price_low, 0.0)
        middle = 0.5 * (frame.omega_low + frame.omega_high)
        self.unit = max(float(frame.accuracy.derivative(middle)), float(np.finfo(float).tiny))

    def run(self, node_limit: int, until: float) -> Outcome:
        """Return the best placement, of individuals, with a valid bound."""
        every = (1 << self.levels) - 1
        root = tuple(Cluster(who, (Part(len(who), every),)) for who in self._clusters())
        heap: list[tuple[float, int, tuple[Cluster, ...], Relaxed]] = []
        closed, complete = self._push(heap, root, math.inf, self.unit), True
        while heap:
            negated, _, node, relaxed = heapq.heappop(heap)
            bound = max(-negated, closed)
            if -negated <= self.best + self._tolerance():
                return Outcome(self.best, self.placements, bound, self.nodes, complete)
            children = self._children(node, relaxed)
            if not children:
                closed, complete = bound, False
                continue
            for child in children:
                if self.nodes >= node_limit or time.perf_counter() > until:
                    return Outcome(self.best, self.placements, bound, self.nodes, False)
                closed = max(closed, self._push(heap, child, -negated, relaxed.price))
        return Outcome(self.best, self.placements, max(self.best, closed), self.nodes, complete)

    def _clusters(self) -> list[tuple[int, ...]]:
        """Return the organizations with the same feasible segments."""
        _, label = np.unique(np.isfinite(self.ends.v_low), axis=0, return_inverse=True)
        label = label.ravel()
        return [tuple(np.flatnonzero(label == k).tolist()) for k in range(int(label.max()) + 1)]

    def _tolerance(self) -> float:
        return self.close if self.nodes < self.closer else self.enough

    def _push(
        self,
        heap: list[tuple[float, int, tuple[Cluster, ...], Relaxed]],
        node: tuple[Cluster, ...],
        above: float,
        price: float,
    ) -> float:
        """Solve a node; keep it open, or return what is proven of it."""
        self.nodes += 1
        relaxed = self._relax(node, price)
        within = min(relaxed.bound, above)
        if within > self.best + self._tolerance():
            self._offer(relaxed)
        if within > self.best + self._tolerance():
            heapq.heappush(heap, (-within, next(self.tickets), node, relaxed))
            return -math.inf
        return within

    def _choose(self, node: tuple[Cluster, ...], price: float) -> Choice:
        """Return the best assignment at a price; of equal ends the one with less data."""
        from scipy.optimize import linear_sum_assignment

        ends = self.ends
        low, high = ends.v_low + price * ends.w_low, ends.v_high + price * ends.w_high
        up = high > low
        worth = np.where(up, high, low)
        n = worth.shape[0]
        part, segment = np.zeros(n, dtype=np.intp), np.zeros(n, dtype=np.intp)
        for members, parts in node:
            who = np.array(members)
            some = worth[who]
            within = [self._within(some, levels) for _, levels in parts]
            if len(parts) > 1:
                best = np.stack([values.max(axis=1) for values in within], axis=1)
                places = np.repeat(np.arange(len(parts)), [count for count, _ in parts])
                finite = np.where(np.isfinite(best), best, -1e300)
                _, column = linear_sum_assignment(finite[:, places], maximize=True)
                part[who] = places[column]
            for k, values in enumerate(within):
                mine = part[who] == k
                segment[who[mine]] = values[mine].argmax(axis=1)
        at = np.arange(n)
        ahead = up[at, segment]
        w = np.where(ahead, ends.w_high[at, segment], ends.w_low[at, segment])
        v = np.where(ahead, ends.v_high[at, segment], ends.v_low[at, segment])
        return Choice(part, segment, ahead, math.fsum(w), math.fsum(v))

    def _within(self, worth: Array, levels: int) -> Array:
        allowed = np.array([bool(levels >> int(level) & 1) for level in self.ends.level])
        return np.where(allowed, worth, -np.inf)

    def _bound(self, choice: Choice, price: float) -> float:
        frame = self.frame
        omega = frame.data_wanted(price)
        outer = float(frame.accuracy.value(omega)) - price * (omega - frame.w)
        return outer + (frame.v + (choice.v + price * choice.w))

    def _relax(self, node: tuple[Cluster, ...], guess: float) -> Relaxed:
        """Minimize the bound over the price."""
        frame, low, high = self.frame, self.low, self.frame.price_high
        price = min(max(guess, low), high)
        left: Choice | None = None
        right: Choice | None = None
        left_at, right_at, bound, best_price = low, high, math.inf, price
        for _ in range(PRICES):
            choice = self._choose(node, price)
            value = self._bound(choice, price)
            if value < bound:
                bound, best_price = value, price
            if value <= self.best + self._tolerance() or not math.isfinite(value):
                break  # nothing better is in this node
            if frame.w + choice.w < frame.data_wanted(price):
                left, left_at = choice, price
            else:
                right, right_at = choice, price
            after = self._next(left, left_at, right, right_at)
            if after is None or not low <= after <= high:
                break
            size = abs(bound) + abs(after) * (abs(frame.w) + abs(choice.w))
            if self._model(left, right, after) >= bound - ULPS * EPS * size:
                break
            price = after
        one, other = left or right or choice, right or left or choice
        if one is None or other is None:
            raise RuntimeError("no price was tried")
        share = 0.0
        if other.w > one.w:
            wanted = frame.data_wanted(best_price) - frame.w
            share = min(max((wanted - one.w) / (other.w - one.w), 0.0), 1.0)
        return Relaxed(bound, best_price, (one, other), share)

    def _next(
        self, left: Choice | None, left_at: float, right: Choice | None, right_at: float
    ) -> float | None:
        """Return where the bound's model by the two lines is least."""
        frame = self.frame
        slope = frame.accuracy.derivative
        if left is None:
            lower = 0.0 if right is None else float(slope(frame.w + right.w))
            return max(lower, self.low) if lower < right_at else self.low
        if right is None:
            further = float(slope(frame.w + left.w))
            if not left_at < further < math.inf:
                further = max(2.0 * left_at, self.unit)
            return min(further, frame.price_high) if left_at < frame.price_high else None
        if not right.w > left.w:
            return min(max(float(slope(frame.w + left.w)), left_at), right_at)
        cross = (left.v - right.v) / (right.w - left.w)
        cross = min(max(cross, left_at), right_at)
        wanted = frame.data_wanted(cross) - frame.w
        if wanted < left.w:
            return min(max(float(slope(frame.w + left.w)), left_at), cross)
        if wanted > right.w:
            return min(max(float(slope(frame.w + right.w)), cross), right_at)
        return cross

    def _model(self, left: Choice | None, right: Choice | None, price: float) -> float:
        known = [choice for choice in (left, right) if choice is not None]
        return max(self._bound(choice, price) for choice in known)

    def _offer(self, relaxed: Relaxed) -> None:
        """Try the levels of both choices, and of the mixtures of whole members between them."""
        one, other = relaxed.choices
        level = self.ends.level
        first, second = level[one.segment], level[other.segment]
        differ = np.flatnonzero(first != second)
        counts = {0, differ.size}
        ahead = relaxed.share * differ.size
        counts |= {math.floor(ahead), math.ceil(ahead)}
        for count in counts:
            levels = first.copy()
            levels[differ[:count]] = second[differ[:count]]
            groups = [self._alone(j, int(levels[j])) for j in range(levels.size)]
            settled = settle(self.frame, groups)
            if settled.value > self.best:
                self.best, self.placements = settled.value, settled.placements

    def _alone(self, j: int, level: int) -> Group:
        ends = self.ends
        found = [
            Segment(
                level,
                float(ends.w_low[j, s]),
                float(ends.v_low[j, s]),
                float(ends.w_high[j, s]),
                float(ends.v_high[j, s]),
            )
            for s in np.flatnonzero(ends.level == level)
            if np.isfinite(ends.v_low[j, s])
        ]
        return Group(j, 1, tuple(found))

    def _children(self, node: tuple[Cluster, ...], relaxed: Relaxed) -> list[tuple[Cluster, ...]]:
        """Split a node; nothing if its two choices have the same levels."""
        one, other = relaxed.choices
        level = self.ends.level
        first, second = level[one.segment], level[other.segment]
        worst: tuple[float, int, int, int, int] | None = None
        for g, (members, parts) in enumerate(node):
            who = np.array(members)
            for k in range(len(parts)):
                a = np.bincount(first[who][one.part[who] == k], minlength=self.levels)
                b = np.bincount(second[who][other.part[who] == k], minlength=self.levels)
                mixed = a + relaxed.share * (b - a)
                away = np.abs(mixed - np.rint(mixed))
                at = int(away.argmax())
                if away[at] > WHOLE and (worst is None or away[at] > worst[0]):
                    worst = (float(away[at]), g, k, at, math.floor(mixed[at]))
        if worst is not None:
            _, g, k, at, most = worst
            return self._by_count(node, g, k, at, most)
        return self._by_member(node, one, other)

    def _by_count(
        self, node: tuple[Cluster, ...], g: int, k: int, level: int, most: int
    ) -> list[tuple[Cluster, ...]]:
        """Return the node with at most so many of a part on a level, and with more."""
        members, parts = node[g]
        count, levels = parts[k]
        others, bit = parts[:k] + parts[k + 1 :], 1 << level
        few = (*others, Part(count - most, levels & ~bit), Part(most, levels))
        many = (*others, Part(most + 1, bit), Part(count - most - 1, levels))
        return [
            (*node[:g], Cluster(members, _merged(split)), *node[g + 1 :]) for split in (few, many)
        ]

    def _by_member(
        self, node: tuple[Cluster, ...], one: Choice, other: Choice
    ) -> list[tuple[Cluster, ...]]:
        """Return the node with one member in each of its cluster's parts in turn."""
        level = self.ends.level
        for g, (members, parts) in enumerate(node):
            if len(parts) < 2:
                continue
            for j in members:
                if (
                    one.part[j] == other.part[j]
                    and level[one.segment[j]] == level[other.segment[j]]
                ):
                    continue
                rest = tuple(k for k in members if k != j)
                found = []
                for k, (count, levels) in enumerate(parts):
                    fewer = (*parts[:k], Part(count - 1, levels), *parts[k + 1 :])
                    found.append(
                        (
                            *node[:g],
                            Cluster((j,), (Part(1, levels),)),
                            Cluster(rest, _merged(fewer)),
                            *node[g + 1 :],
                        )
                    )
                return found
        return []


def _merged(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return the parts without empty ones, those of the same levels as one."""
    counts: dict[int, int] = {}
    for count, levels in parts:
        if count:
            counts[levels] = counts.get(levels, 0) + count
    return tuple(Part(count, levels) for levels, count in counts.items())
