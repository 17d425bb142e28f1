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

import numpy as np
import numpy.typing as npt

from tradefl.solvers.branching import LOSS, Layout, Node, Open, Part, Problem, Tree
from tradefl.solvers.hulls import Hulls
from tradefl.solvers.relaxation import EPS, ULPS, Relaxed, Rows, conjugate, relax, respond

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# All numbers of look-alikes agree to this.
WIDTH = 0.1
# Above so many organizations nothing is tried: an assignment costs the cube of a group.
MOST = 300
# Rounds of assigning and solving again; from the first on the bound is valid.
ROUNDS = 6


class Lookalikes(Tree):
    """The search tree over the parts of groups of look-alikes.

    A node's parts are those of these groups; which members they are is decided when it is solved.
    """

    def __init__(self, problem: Problem, tolerance: float, until: float, labels: Indices) -> None:
        super().__init__(problem, tolerance, until)
        self.labels = labels
        self.members = [np.flatnonzero(labels == g) for g in range(int(labels.max()) + 1)]
        root = self._layout(Node(-np.inf, np.inf, {}))
        if root is None:
            raise RuntimeError("the whole problem has a feasible profile")
        self.root = root.rows

    @classmethod
    def of(cls, tree: Tree) -> Lookalikes | None:
        """Return the tree over the same organizations, one by one; None without look-alikes."""
        problem = tree.problem
        each = np.repeat(np.arange(problem.count.size), problem.count)
        if each.size > MOST:
            return None
        single = Problem(
            problem.accuracy,
            problem.together,
            problem.weight[each],
            np.ones(each.size, dtype=np.intp),
            problem.menu.some(each),
        )
        labels = _labels(single)
        if np.bincount(labels).max() < 3:
            return None
        alike = cls(single, tree.tolerance, tree.until, labels)
        group, count, x = tree.placed
        order = np.argsort(group, kind="stable")
        alike.offer(np.arange(each.size), single.count, np.repeat(x[order], count[order]))
        return alike

    def evaluate(self, node: Node, guess: tuple[float, float] | None) -> Open | None:
        """Solve a node for one assignment after the other, and say how it is split."""
        problem = self.problem
        n = problem.weight.size
        part = node.part if isinstance(node, _Assigned) else np.zeros(n, dtype=np.intp)
        slowest, fastest = self.slowest.copy(), problem.menu.last.copy()
        side, bound = np.zeros(n, dtype=np.int8), np.inf
        for k in range(ROUNDS):
            for g, parts in node.parts.items():
                who = self.members[g]
                slowest[who] = np.array([one.slowest for one in parts])[part[who]]
                fastest[who] = np.array([one.fastest for one in parts])[part[who]]
            hulls = Hulls.of(problem.menu, slowest, fastest).below_omega()
            rows = self._rows(Node(-np.inf, np.inf, {}), hulls, problem.weight, np.ones(n), side)
            if rows is None:
                raise RuntimeError("an assignment without a feasible profile was tried")
            relaxed = relax(problem.accuracy, rows, guess, self.until)
            layout = Layout(np.arange(n), problem.count, slowest, fastest, side, rows)
            self.nodes += 1
            self.rounding = max(self.rounding, relaxed.rounding)
            guess = (relaxed.omega, relaxed.price)
            if not self.late():
                self._round(layout, relaxed)
            if not node.parts:
                bound = relaxed.bound
                break
            if relaxed.omega in (rows.low, rows.high):
                # All of them are at an end, which for another assignment is elsewhere.
                relaxed = relaxed._replace(price=float(relaxed.nu.sum()))
            proven, better, gain = self._assign(node, part, relaxed)
            bound = min(bound, proven)
            if gain <= self.rounding or k == ROUNDS - 1 or self.late():
                break
            part = better
        bound += self.rounding
        children = () if self._close(bound) else self._halves(node, part, layout, relaxed)
        return Open(bound, children, guess or (relaxed.omega, relaxed.price))

    def _assign(self, node: Node, part: Indices, relaxed: Relaxed) -> tuple[float, Indices, float]:
        """Return a bound for all assignments, the best one at these prices, and what it gains."""
        from scipy.optimize import linear_sum_assignment

        problem, price = self.problem, relaxed.price
        weight, menu = problem.weight, problem.menu
        nu = np.where(weight > 0.0, relaxed.nu[1:], 0.0)
        each = np.zeros(weight.size)
        better, gain, nu_sum = part.copy(), 0.0, 0.0
        free = np.ones(weight.size, dtype=bool)
        total = 0.0
        for g, parts in node.parts.items():
            who = self.members[g]
            free[who] = False
            at = np.arange(who.size)
            some = menu.some(who)
            hulls = [
                Hulls.of(some, np.full(who.size, one.slowest), np.full(who.size, one.fastest))
                for one in parts
            ]
            wanted = np.stack([self._nu(who, hull, relaxed) for hull in hulls], axis=1)
            wanted[at, part[who]] = nu[who]
            b = (wanted - wanted.mean(axis=1, keepdims=True)).mean(axis=0)
            a = wanted[at, part[who]] - b[part[who]]
            if not weight[who[0]] > 0.0:
                a, b = np.zeros_like(a), np.zeros_like(b)
            worth = np.stack(
                [self._worth(who, hull, price, a + b[k]) for k, hull in enumerate(hulls)], axis=1
            )
            places = np.repeat(np.arange(len(parts)), [one.count for one in parts])
            _, column = linear_sum_assignment(worth[:, places], maximize=True)
            better[who] = places[column]
            total += float(worth[at, better[who]].sum())
            gain += float((worth[at, better[who]] - worth[at, part[who]]).sum())
            nu_sum += float(a.sum()) + float(b[places].sum())
        others = np.flatnonzero(free)
        if others.size:
            hulls_of_others = self.root.hulls.some(others + 1)
            each = self._worth(others, hulls_of_others, price, nu[others])
            total += float(each.sum())
            nu_sum += float(nu[others].sum())
        together = self._conjugate(np.zeros(1, dtype=np.intp), np.array([price - nu_sum]))
        total += float(together[0])
        size = abs(price) * self.root.high + abs(total)
        return total + ULPS * EPS * size, better, gain

    def _part_of(self, who: Indices, hulls: Hulls) -> Rows:
        root = self.root.block(who + 1)
        return dataclasses.replace(root, hulls=hulls)

    def _nu(self, who: Indices, hulls: Hulls, relaxed: Relaxed) -> Array:
        """Return what the members' nu would be on these hulls, at the relaxation's prices."""
        rows = self._part_of(who, hulls)
        answer = respond(self.problem.accuracy, rows, relaxed.omega, relaxed.price)
        return np.where(rows.weight > 0.0, answer.nu, 0.0)

    def _worth(self, who: Indices, hulls: Hulls, price: float, nu: Array) -> Array:
        """Return ``V`` of members on these hulls."""
        own = (price - nu)[:, None] * hulls.x + hulls.worth
        return np.asarray(self._conjugate(who + 1, nu) + np.maximum.reduce(own, axis=1))

    def _conjugate(self, rows: Indices, nu: Array) -> Array:
        return conjugate(self.problem.accuracy, self.root.block(rows), nu)

    def _halves(
        self, node: Node, part: Indices, layout: Layout, relaxed: Relaxed
    ) -> tuple[Node, ...]:
        """Return the two halves of a node; nothing if its relaxed solution is a profile."""
        loss, _, share = self._losses(layout, relaxed.x)
        open_ = (loss > LOSS * abs(relaxed.bound)) & (layout.slowest < layout.fastest)
        if not open_.any():
            return ()
        worst = int(np.argmax(np.where(open_, loss, 0.0)))
        g, k = int(self.labels[worst]), int(part[worst])
        who = self.members[g]
        parts = node.parts.get(g) or (Part(who.size, 0, int(self.problem.menu.last[worst])),)
        first, last = parts[k].slowest, parts[k].fastest
        x, menu = relaxed.x[1:], self.problem.menu
        needed = np.minimum(np.maximum(menu.cheapest_of(np.arange(x.size), x), first), last)
        level = max(int(needed[worst]), first + 1)
        inside = who[part[who] == k]
        above = np.where(open_, share, 1.0)[inside] * (needed[inside] >= level)
        few = min(int(above.sum() + 1e-9), inside.size - 1)
        order = inside[np.argsort(above, kind="stable")]
        slow = dataclasses.replace(parts[k], count=inside.size - few, fastest=level - 1)
        fast = dataclasses.replace(parts[k], count=few + 1, slowest=level)
        return (
            _half(node, part, g, parts, k, slow, order[inside.size - few :]),
            _half(node, part, g, parts, k, fast, order[: inside.size - few - 1]),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class _Assigned(Node):
    """A node, and the part that each member is in to begin with."""

    part: Indices


def _half(
    node: Node,
    part: Indices,
    g: int,
    parts: tuple[Part, ...],
    k: int,
    confined: Part,
    free: Indices,
) -> _Assigned:
    """Return the node with part k confined, but for the members that stay free."""
    part = part.copy()
    part[free] = len(parts)
    split = (*parts[:k], confined, *parts[k + 1 :])
    if free.size:
        split = (*split, dataclasses.replace(parts[k], count=int(free.size)))
    return _Assigned(node.low, node.high, {**node.parts, g: split}, part)


def _labels(problem: Problem) -> Indices:
    """Return a label for each organization; look-alikes have the same."""
    menu = problem.menu
    # Rivalry may differ: it tells members apart, and the assignment takes it into account.
    rivals = (problem.weight > 0.0).astype(float)
    table = np.column_stack([menu.units, menu.least, rivals, menu.reach, menu.price])
    numbers = np.log(np.maximum(table, np.finfo(float).tiny))
    labels = np.full(table.shape[0], -1, dtype=np.intp)
    label = 0
    for i in range(labels.size):
        if labels[i] < 0:
            near = np.abs(numbers - numbers[i]).max(axis=1) <= WIDTH
            labels[(labels < 0) & near & (menu.last == menu.last[i])] = label
            label += 1
    return labels
