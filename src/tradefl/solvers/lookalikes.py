r"""Branching on how many of nearly equal organizations are on which levels.

Equal members of a group are interchangeable, so :mod:`tradefl.solvers.branching` decides only how
many of them are above a level. Members that differ by 1e-9 to some percent are not, and deciding
them one by one would take as many nodes as there are ways to choose them. Here a group of
look-alikes is split in parts of given sizes, each confined to some of the levels, and *which*
member is in which part is left open: an assignment problem.

*Bound.* Give member j in part k the multiplier ``nu_jk = a_j + b_k``. Then ``sum_j nu_j`` does not
depend on the assignment, so for each M, all ``a`` and ``b``, and ``nu_0 = M - sum_j nu_j``,

    W <= max over Omega of [ Z P(Omega) - nu_0 Omega ] + max over assignments of sum_j V_j,k(j)

    V_jk = max over y of [ w_j P(y) - nu_jk y ]
           + max over x in the levels of part k of [ (M - nu_jk) x + G_jk(x) ]

by the weak duality of :mod:`tradefl.solvers.relaxation`, taken for each assignment. M, a and b are
those of the relaxation at the best assignment known; what they miss elsewhere is of second order
in how much the members differ.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.solvers.placing import (
    COUNT,
    FASTEST,
    GROUP,
    LOSS,
    SLOWEST,
    Parts,
    Placement,
    Problem,
    add_part,
    cheapest_of,
    loss_of,
    new_parts,
    new_placement,
    offer,
    round_off,
    rows_of,
)
from tradefl.solvers.relaxation import (
    EPS,
    HIGH,
    LOW,
    TOTAL,
    ULPS,
    WEIGHT,
    Rows,
    best_end,
    conjugate,
    respond,
)
from tradefl.solvers.saddle import Relaxed, relax

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

# All numbers of look-alikes agree to this.
WIDTH = 0.1
# Above so many organizations nothing is tried: an assignment costs the cube of a group.
MOST = 300
# Rounds of assigning and solving again; from the first on the bound is valid.
ROUNDS = 6


class Part(NamedTuple):
    """So many members, confined to some of the levels."""

    members: int
    slowest: int
    fastest: int


@dataclasses.dataclass(frozen=True)
class Node:
    """The parts of groups that are split, and the part that each member is in to begin with."""

    parts: dict[int, tuple[Part, ...]]
    part: Indices


class Open(NamedTuple):
    """A node that is solved: its bound, the nodes that it splits into, and Omega and M."""

    bound: float
    children: tuple[Node, ...]
    guess: tuple[float, float]


class Solved(NamedTuple):
    """A relaxation with its parts and rows; ``loss`` and ``share`` as of ``loss_of``."""

    parts: Parts
    rows: Rows
    relaxed: Relaxed
    needed: Indices
    loss: Array
    share: Array


class Lookalikes:
    """The search tree over the parts of groups of look-alikes.

    Which members are in which part is decided when a node is solved.

    Parameters
    ----------
    code
        The functions of the planner, plain or compiled, with P (:class:`~.planner.Code`).
    problem
        The organizations one by one.
    tolerance
        Relative to the bound.
    labels
        Shape ``(N,)``: which organizations look alike.
    stop
        ``stop[0]`` is whether the time is over.
    """

    def __init__(
        self, code: Any, problem: Problem, tolerance: float, labels: Indices, stop: Any
    ) -> None:
        self.code, self.problem, self.tolerance, self.stop = code, problem, tolerance, stop
        self.labels = labels
        self.members = [np.flatnonzero(labels == g) for g in range(int(labels.max()) + 1)]
        size = labels.size
        self.best = new_placement(2 * size)
        self.rounding, self.nodes, self.closed = 0.0, 0, -np.inf
        self.heap: list[tuple[float, int, Open]] = []
        self.tickets = itertools.count()  # nodes of equal bounds: the oldest first
        nothing = np.zeros(size, dtype=np.int64)
        parts = self._parts(nothing, problem.last)
        self.root, _ = code(rows_of)(problem, parts, -np.inf, np.inf)

    @classmethod
    def of(
        cls, code: Any, problem: Problem, best: Placement, tolerance: float, stop: Any
    ) -> Lookalikes | None:
        """Return the tree over the members of groups, one by one; None without look-alikes."""
        each = np.repeat(np.arange(problem.members.size), problem.members)
        if each.size > MOST:
            return None
        single = Problem(
            problem.together,
            problem.weight[each],
            np.ones(each.size, dtype=np.int64),
            problem.least[each],
            problem.reach[each],
            problem.price[each],
            problem.last[each],
        )
        labels = _labels(single)
        if np.bincount(labels).max() < 3:
            return None
        alike = cls(code, single, tolerance, labels, stop)
        used = int(best.size[0])
        order = np.argsort(best.group[:used], kind="stable")
        start = np.repeat(best.x[:used][order], best.members[:used][order])
        code(offer)(single, alike.best, np.arange(each.size), single.members, start)
        return alike

    @property
    def bound(self) -> float:
        """What no placement exceeds."""
        opened = -self.heap[0][0] if self.heap else -np.inf
        if not self.nodes:
            opened = np.inf
        return max(opened, self.closed, float(self.best.value[0]))

    def grow(self, node_limit: int) -> None:
        """Split nodes, best bound first, until the bound is proven or a limit comes."""
        root = Node({}, np.zeros(self.labels.size, dtype=np.int64))
        self._push(root, np.inf, (0.0, 0.0))
        while self.heap and not self._close(self.bound):
            if self.nodes >= node_limit or self.stop[0]:
                return
            negated, _, node = heapq.heappop(self.heap)
            if not node.children:
                # The relaxed solution is a profile: what is left is rounding, or no saddle.
                self.closed = max(self.closed, -negated)
            for k, child in enumerate(node.children):
                if self.stop[0]:  # what is left of the node stays open
                    rest = node._replace(children=node.children[k:])
                    heapq.heappush(self.heap, (negated, next(self.tickets), rest))
                    return
                self._push(child, -negated, node.guess)

    def _push(self, node: Node, above: float, guess: tuple[float, float]) -> None:
        found = self._evaluate(node, guess)
        bound = min(above, found.bound)
        if self._close(bound):
            self.closed = max(self.closed, bound)
        else:
            heapq.heappush(self.heap, (-bound, next(self.tickets), found))

    def _close(self, bound: float) -> bool:
        # Half of what is asked: the sum of the payoffs rounds in its own way.
        allowed = max(0.5 * self.tolerance * abs(bound), self.rounding)
        return bool(bound - self.best.value[0] <= allowed)

    def _parts(self, slowest: Indices, fastest: Indices) -> Parts:
        parts = new_parts(slowest.size)
        for i in range(slowest.size):
            add_part(parts, i, 1, slowest[i], fastest[i], 0)
        return parts

    def _solve(self, slowest: Indices, fastest: Indices, guess: tuple[float, float]) -> Solved:
        """Solve the relaxation of one assignment, and offer what is near it."""
        code, problem, stop = self.code, self.problem, self.stop
        parts = self._parts(slowest, fastest)
        rows, feasible = code(rows_of)(problem, parts, -np.inf, np.inf)
        if not feasible:
            raise RuntimeError("an assignment without a feasible profile was tried")
        relaxed = Relaxed(*code(relax)(rows, *guess, guess != (0.0, 0.0), stop))
        self.nodes += 1
        self.rounding = max(self.rounding, relaxed.rounding)
        code(offer)(problem, self.best, parts.of[GROUP], parts.of[COUNT], relaxed.x[1:])
        if not self._close(relaxed.bound + relaxed.rounding) and not stop[0]:
            numbers = (relaxed.omega, relaxed.price, relaxed.bound)
            code(round_off)(problem, parts, rows, relaxed.x, numbers, self.best, stop)
        size = slowest.size
        needed, loss, share = np.empty(size, dtype=np.int64), np.empty(size), np.empty(size)
        code.bare(losses)(problem, parts, rows, relaxed.x, needed, loss, share)
        return Solved(parts, rows, relaxed, needed, loss, share)

    def _evaluate(self, node: Node, guess: tuple[float, float]) -> Open:
        """Solve a node for one assignment after the other, and say how it is split."""
        problem, part = self.problem, node.part
        slowest, fastest = np.zeros(part.size, dtype=np.int64), problem.last.copy()
        bound = np.inf
        for k in range(ROUNDS):
            for g, parts in node.parts.items():
                who = self.members[g]
                slowest[who] = np.array([some.slowest for some in parts])[part[who]]
                fastest[who] = np.array([some.fastest for some in parts])[part[who]]
            solved = self._solve(slowest, fastest, guess)
            relaxed, rows = solved.relaxed, solved.rows
            guess = (relaxed.omega, relaxed.price)
            if not node.parts:
                bound = relaxed.bound
                break
            if relaxed.omega in (rows.own[LOW, 0], rows.own[HIGH, 0]):
                # All of them are at an end, which for another assignment is elsewhere.
                relaxed = relaxed._replace(price=float(relaxed.nu.sum()))
            proven, better, gain = self._assign(node, part, relaxed)
            bound = min(bound, proven)
            if gain <= self.rounding or k == ROUNDS - 1 or self.stop[0]:
                break
            part = better
        bound += self.rounding
        children = () if self._close(bound) else self._halves(node, part, solved)
        return Open(bound, children, guess)

    def _assign(self, node: Node, part: Indices, relaxed: Relaxed) -> tuple[float, Indices, float]:
        """Return a bound for all assignments, the best one at these prices, and what it gains."""
        from scipy.optimize import linear_sum_assignment

        weight, price = self.problem.weight, relaxed.price
        nu = np.where(weight > 0.0, relaxed.nu[1:], 0.0)
        better, gain, nu_sum, total = part.copy(), 0.0, 0.0, 0.0
        free = np.ones(weight.size, dtype=bool)
        for g, parts in node.parts.items():
            who = self.members[g]
            free[who] = False
            at = np.arange(who.size)
            rows = [self._rows_of_part(who, some) for some in parts]
            wanted = np.stack([self._nu(some, relaxed) for some in rows], axis=1)
            wanted[at, part[who]] = nu[who]
            b = (wanted - wanted.mean(axis=1, keepdims=True)).mean(axis=0)
            a = wanted[at, part[who]] - b[part[who]]
            if not weight[who[0]] > 0.0:
                a, b = np.zeros_like(a), np.zeros_like(b)
            worth = np.stack(
                [self._worth(some, price, a + b[k]) for k, some in enumerate(rows)], axis=1
            )
            places = np.repeat(np.arange(len(parts)), [some.members for some in parts])
            _, column = linear_sum_assignment(worth[:, places], maximize=True)
            better[who] = places[column]
            total += float(worth[at, better[who]].sum())
            gain += float((worth[at, better[who]] - worth[at, part[who]]).sum())
            nu_sum += float(a.sum()) + float(b[places].sum())
        others = np.flatnonzero(free)
        if others.size:
            total += float(self._worth(self._some(others), price, nu[others]).sum())
            nu_sum += float(nu[others].sum())
        total += float(self.code(conjugate)(self.root, 0, price - nu_sum))
        size = abs(price) * self.root.own[HIGH, 0] + abs(total)
        return total + ULPS * EPS * size, better, gain

    def _some(self, who: Indices) -> Rows:
        """Return the rows of some organizations, with all their levels."""
        root = self.root
        own = root.own[:, who + 1]
        own[TOTAL, 0] = root.own[TOTAL, 0]
        return Rows(own, np.ascontiguousarray(root.hull[:, who + 1]), root.kind[:, who + 1])

    def _rows_of_part(self, who: Indices, part: Part) -> Rows:
        """Return the rows of some organizations on the levels of a part."""
        rows = self._some(who)
        slowest, fastest = (
            np.full(who.size, level, dtype=np.int64) for level in (part.slowest, part.fastest)
        )
        parts = self._parts(slowest, fastest)
        parts.of[GROUP, :] = who
        hulls, _ = self.code(rows_of)(self.problem, parts, -np.inf, np.inf)
        hull = np.ascontiguousarray(hulls.hull[:, 1:])
        return rows._replace(hull=hull, kind=np.ascontiguousarray(hulls.kind[:, 1:]))

    def _nu(self, rows: Rows, relaxed: Relaxed) -> Array:
        """Return what the members' nu would be on these hulls, at the relaxation's prices."""
        nu = np.empty(rows.own.shape[1])
        self.code(wanted_nu)(rows, relaxed.omega, relaxed.price, nu)
        return np.where(rows.own[WEIGHT] > 0.0, nu, 0.0)

    def _worth(self, rows: Rows, price: float, nu: Array) -> Array:
        """Return ``V`` of members on these hulls."""
        worth = np.empty(rows.own.shape[1])
        self.code(worth_at)(rows, price, nu, worth)
        return worth

    def _halves(self, node: Node, part: Indices, solved: Solved) -> tuple[Node, ...]:
        """Return the two halves of a node; nothing if its relaxed solution is a profile."""
        slowest, fastest = solved.parts.of[SLOWEST], solved.parts.of[FASTEST]
        open_ = (solved.loss > LOSS * abs(solved.relaxed.bound)) & (slowest < fastest)
        if not open_.any():
            return ()
        worst = int(np.argmax(np.where(open_, solved.loss, 0.0)))
        g, k = int(self.labels[worst]), int(part[worst])
        who = self.members[g]
        parts = node.parts.get(g) or (Part(who.size, 0, int(self.problem.last[worst])),)
        first = parts[k].slowest
        level = max(int(solved.needed[worst]), first + 1)
        inside = who[part[who] == k]
        above = np.where(open_, solved.share, 1.0)[inside] * (solved.needed[inside] >= level)
        few = min(int(above.sum() + 1e-9), inside.size - 1)
        order = inside[np.argsort(above, kind="stable")]
        slow = parts[k]._replace(members=inside.size - few, fastest=level - 1)
        fast = parts[k]._replace(members=few + 1, slowest=level)
        return (
            _half(node, part, g, parts, k, slow, order[inside.size - few :]),
            _half(node, part, g, parts, k, fast, order[: inside.size - few - 1]),
        )


def losses(
    problem: Problem,
    parts: Parts,
    rows: Rows,
    x: Array,
    needed: Indices,
    loss: Array,
    share: Array,
) -> None:
    """Write each part's loss, how far along its edge it is, and the level that its x needs."""
    for k in range(loss.size):
        loss[k], _, share[k] = loss_of(problem, parts, rows, k, x[k + 1])
        level = cheapest_of(problem, parts.of[GROUP, k], x[k + 1])
        needed[k] = min(max(level, parts.of[SLOWEST, k]), parts.of[FASTEST, k])


def wanted_nu(accuracy: Any, rows: Rows, omega: float, price: float, nu: Array) -> None:
    """Write each row's nu at Omega and M."""
    for r in range(nu.size):
        _, _, _, nu[r], _ = respond(accuracy, rows, r, omega, price, 0)


def worth_at(accuracy: Any, rows: Rows, price: float, nu: Array, worth: Array) -> None:
    """Write what each row contributes to the bound at M and nu."""
    for r in range(nu.size):
        own = best_end(rows, r, price - nu[r])
        worth[r] = conjugate(accuracy, rows, r, nu[r]) + own


def _half(
    node: Node,
    part: Indices,
    g: int,
    parts: tuple[Part, ...],
    k: int,
    confined: Part,
    free: Indices,
) -> Node:
    """Return the node with part k confined, but for the members that stay free."""
    part = part.copy()
    part[free] = len(parts)
    split = (*parts[:k], confined, *parts[k + 1 :])
    if free.size:
        split = (*split, parts[k]._replace(members=int(free.size)))
    return Node({**node.parts, g: split}, part)


def _labels(problem: Problem) -> Indices:
    """Return a label for each organization; look-alikes have the same."""
    # Rivalry may differ: it tells members apart, and the assignment takes it into account.
    rivals = (problem.weight > 0.0).astype(float)
    table = np.column_stack([problem.least, rivals, problem.reach, problem.price])
    numbers = np.log(np.maximum(table, np.finfo(float).tiny))
    labels = np.full(table.shape[0], -1, dtype=np.int64)
    label = 0
    for i in range(labels.size):
        if labels[i] < 0:
            near = np.abs(numbers - numbers[i]).max(axis=1) <= WIDTH
            labels[(labels < 0) & near & (problem.last == problem.last[i])] = label
            label += 1
    return labels
