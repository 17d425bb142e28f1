r"""The residual problem of the exact solver: a few organizations, everybody else decided.

Maximize ``P(w_0 + sum w) + v_0 + sum v`` over groups of equal organizations, each member on a
segment of one of its levels (see :mod:`tradefl.solvers.pricing`). ``w_0, v_0`` is what the
decided organizations add; they stay decided for every data price in ``[price_low,
price_high]``.

*Relaxation.* Replace each member's segments by their concave hull. The relaxed problem is
the maximum of a concave function: walk along the hull edges in the order of the prices at
which they pay, until P' falls below the price. By duality its value, evaluated at a price
clipped to the interval in which the decided stay decided, bounds the whole problem.

*Branching.* If the walk stops within an edge between two levels a and b, a fraction of the
group's members would have to mix them. Either at most ``c`` members play b or at least
``c + 1`` do; equal members are interchangeable, so each branch splits the group in two.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Segment(NamedTuple):
    """One level: ``v`` runs straight from ``v_low`` to ``v_high`` as w does."""

    level: int
    w_low: float
    v_low: float
    w_high: float
    v_high: float


@dataclasses.dataclass(frozen=True)
class Group:
    """``count`` equal organizations with the levels that are open to them."""

    label: int
    count: int
    segments: tuple[Segment, ...]

    def with_levels(self, levels: Iterable[int], count: int) -> Group:
        """Return ``count`` of the members, restricted to some levels."""
        allowed = set(levels)
        return Group(
            self.label,
            count,
            tuple(segment for segment in self.segments if segment.level in allowed),
        )


class Vertex(NamedTuple):
    """A corner of a hull: an end of a level's segment."""

    w: float
    v: float
    level: int


@dataclasses.dataclass(frozen=True)
class Placement:
    """``count`` members of a group on one level, each contributing ``w``."""

    label: int
    count: int
    level: int
    w: float


@dataclasses.dataclass(frozen=True)
class Frame:
    """What surrounds the groups: P, the decided organizations, and the range of Omega."""

    accuracy: Any
    w: float
    v: float
    price_low: float
    price_high: float
    omega_low: float
    omega_high: float

    def data_wanted(self, price: float) -> float:
        """Return the Omega that maximizes ``P(Omega) - price Omega`` in its range."""
        wanted = float(self.accuracy.inverse_derivative(price))
        return min(max(wanted, self.omega_low), self.omega_high)

    def potential(self, w: float, v: float) -> float:
        """Return ``P(w_0 + w) + v_0 + v``."""
        return float(self.accuracy.value(self.w + w)) + (self.v + v)


@dataclasses.dataclass(frozen=True)
class Walk:
    """The relaxation's solution: where the walk along the hulls stopped."""

    bound: float
    price: float
    reached: tuple[int, ...]  # the vertex that each group's members have reached
    critical: int | None  # the group whose next edge is walked in part
    fraction: float  # how far, over all its members together


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The best placement found, its value without rounding care, and a proven bound."""

    value: float
    placements: tuple[Placement, ...]
    bound: float
    nodes: int
    complete: bool


def maximize(
    frame: Frame,
    groups: Sequence[Group],
    tolerances: tuple[float, float, int],
    node_limit: int,
    incumbent: float,
    until: float = math.inf,
) -> Outcome:
    """Return the maximum of the residual problem by branch and bound, best bound first.

    ``tolerances`` are how closely it is solved (absolute), what is close enough once some nodes
    have been tried, and how many nodes that are. Stops when the bound is so close to the best
    value, at ``node_limit`` nodes, at the time ``until`` of :func:`time.perf_counter`, or when a
    decided group cannot be solved within the prices for which the others stay decided; ``bound``
    is valid in each case, and ``complete`` says which.
    """
    close, enough, closer = tolerances
    best = incumbent
    placements: tuple[Placement, ...] = ()
    hulls = [_hull(group) for group in groups]
    root = _walk(frame, hulls, groups)
    heap = [(-root.bound, 0, tuple(groups), root, hulls)]
    # What is proven of all that is neither open nor split further.
    nodes, closed, complete = 1, -math.inf, True
    while heap:
        negated, _, open_groups, walk, corners = heapq.heappop(heap)
        # Best bound first: nothing that is open lies higher than this node.
        bound = max(-negated, closed)
        for value, found, _ in _feasible(frame, open_groups, corners, walk):
            if value > best:
                best, placements = value, found
        tolerance = close if nodes < closer else enough
        if -negated <= best + tolerance:
            return Outcome(best, placements, bound, nodes, complete)
        children = _branches(open_groups, corners, walk)
        if not children:
            # Solved but for prices at which the decided would not stay decided.
            closed, complete = bound, False
            continue
        for child in children:
            if nodes >= node_limit or time.perf_counter() > until:
                return Outcome(best, placements, bound, nodes, complete=False)
            hulls = [_hull(group) for group in child]
            below = _walk(frame, hulls, child)
            nodes += 1
            within = min(below.bound, -negated)
            if within > best + tolerance:
                heapq.heappush(heap, (-within, nodes, child, below, hulls))
            else:
                closed = max(closed, within)
    return Outcome(best, placements, max(best, closed), nodes, complete)


def _hull(group: Group) -> list[Vertex]:
    """Return the upper concave hull of the segments' ends, by ascending w."""
    ends = sorted(
        (
            Vertex(w, v, segment.level)
            for segment in group.segments
            for w, v in ((segment.w_low, segment.v_low), (segment.w_high, segment.v_high))
        ),
        key=lambda end: (end.w, end.v),
    )
    hull: list[Vertex] = []
    for end in ends:
        while hull and (
            hull[-1].w == end.w
            or (
                len(hull) > 1
                and (hull[-1].v - hull[-2].v) * (end.w - hull[-1].w)
                <= (end.v - hull[-1].v) * (hull[-1].w - hull[-2].w)
            )
        ):
            hull.pop()
        hull.append(end)
    return hull


def _pays_from(start: Vertex, end: Vertex) -> float:
    """Return the data price from which an edge is worth walking."""
    return (start.v - end.v) / (end.w - start.w)


def _walk(frame: Frame, hulls: list[list[Vertex]], groups: Sequence[Group]) -> Walk:
    """Maximize the relaxation by walking the hull edges in the order of their prices."""
    reached = [0] * len(groups)
    w = frame.w + math.fsum(
        group.count * hull[0].w for group, hull in zip(groups, hulls, strict=True)
    )
    edges = sorted(
        (_pays_from(hull[k], hull[k + 1]), k, g)
        for g, hull in enumerate(hulls)
        for k in range(len(hull) - 1)
    )
    price, critical, fraction = -math.inf, None, 0.0
    next_price = math.inf
    for pays_from, k, g in edges:
        length = groups[g].count * (hulls[g][k + 1].w - hulls[g][k].w)
        # Not clipped from above: all together cannot pass omega_high but by rounding.
        wanted = max(float(frame.accuracy.inverse_derivative(pays_from)), frame.omega_low)
        room = wanted - w
        if room < length:
            next_price = pays_from
            if room > 0.0:
                price, critical, fraction = pays_from, g, room / length
            break
        w += length
        reached[g] = k + 1
        price = pays_from
    if critical is None:
        # Between two edges any price from the last one's to the next one's is optimal for
        # the groups; P' picks the one that is optimal for Omega too.
        at = max(w, frame.omega_low)
        price = min(max(float(frame.accuracy.derivative(at)), price), next_price)
    price = min(max(price, frame.price_low, 0.0), frame.price_high)
    return Walk(_dual(frame, groups, hulls, price), price, tuple(reached), critical, fraction)


def _dual(frame: Frame, groups: Sequence[Group], hulls: list[list[Vertex]], price: float) -> float:
    """Return the Lagrangian bound at a price."""
    omega = frame.data_wanted(price)
    own = math.fsum(
        group.count * max(corner.v + price * corner.w for corner in hull)
        for group, hull in zip(groups, hulls, strict=True)
    )
    return (float(frame.accuracy.value(omega)) - price * (omega - frame.w)) + (frame.v + own)


def _feasible(
    frame: Frame, groups: Sequence[Group], hulls: list[list[Vertex]], walk: Walk
) -> list[Settled]:
    """Return feasible placements near the relaxation's solution, with their values.

    Each decides all levels, then lets everybody move within its own: with all levels fixed the
    hulls are the segments, and the walk is the exact optimum.
    """
    whole = [
        group.with_levels({hull[k].level}, group.count)
        for group, hull, k in zip(groups, hulls, walk.reached, strict=True)
    ]
    if walk.critical is None:
        return [settle(frame, whole)]
    g = walk.critical
    start, end = hulls[g][walk.reached[g]], hulls[g][walk.reached[g] + 1]
    count = groups[g].count
    if start.level == end.level:
        return [settle(frame, whole)]
    least = math.floor(walk.fraction * count)
    found = []
    for ahead in {least, min(least + 1, count)}:
        split = [
            groups[g].with_levels({start.level}, count - ahead),
            groups[g].with_levels({end.level}, ahead),
        ]
        rest = [group for k, group in enumerate(whole) if k != g]
        found.append(settle(frame, [*rest, *(part for part in split if part.count)]))
    return found


class Settled(NamedTuple):
    """The best placement of groups that have one level each."""

    value: float
    placements: tuple[Placement, ...]
    price: float


def settle(frame: Frame, groups: Sequence[Group]) -> Settled:
    """Return the best placement of groups that have one level each, with its data price."""
    hulls = [_hull(group) for group in groups]
    walk = _walk(frame, hulls, groups)
    placements = []
    w, v = [], []
    for g, (group, hull) in enumerate(zip(groups, hulls, strict=True)):
        here = hull[walk.reached[g]]
        counts = [(here, group.count)]
        if g == walk.critical:
            there = hull[walk.reached[g] + 1]
            walked = walk.fraction * group.count
            ahead = min(math.floor(walked), group.count - 1)
            part = min(walked - ahead, 1.0)
            between = Vertex(
                here.w + part * (there.w - here.w), here.v + part * (there.v - here.v), here.level
            )
            counts = [(there, ahead), (between, 1), (here, group.count - ahead - 1)]
        for vertex, count in counts:
            if count:
                placements.append(Placement(group.label, count, vertex.level, vertex.w))
                w.append(count * vertex.w)
                v.append(count * vertex.v)
    return Settled(frame.potential(math.fsum(w), math.fsum(v)), tuple(placements), walk.price)


def _branches(
    groups: tuple[Group, ...], hulls: list[list[Vertex]], walk: Walk
) -> list[tuple[Group, ...]]:
    """Split the node at the edge within which the walk stopped; nothing if it did not."""
    g = walk.critical
    if g is None:
        return []
    group = groups[g]
    start, end = hulls[g][walk.reached[g]], hulls[g][walk.reached[g] + 1]
    if start.level == end.level:
        return []
    levels = {segment.level for segment in group.segments}
    others = groups[:g] + groups[g + 1 :]
    at_most = min(math.floor(walk.fraction * group.count), group.count - 1)
    few: tuple[Group, ...] = (group.with_levels(levels - {end.level}, group.count - at_most),)
    many: tuple[Group, ...] = (group.with_levels({end.level}, at_most + 1),)
    if at_most:
        few += (group.with_levels(levels, at_most),)
    if group.count - at_most - 1:
        many += (group.with_levels(levels, group.count - at_most - 1),)
    return [others + few, others + many]
