r"""Branch and bound over the planner's relaxation, best bound first.

The relaxed solution is a profile, unless some organization is inside a hull edge between two
levels, or some argument of P is where its envelope lies above it. Then the node is split in two
(docs/explanation/planner.md, "Branching"):

* *Level.* At most k members of a group of equal organizations are on a level above a, or at least
  k + 1 are. Equal members are interchangeable, so each branch is a list of parts: so many
  members confined to the levels up to a, or above, and the others free.
* *Onset.* Omega, or some members' ``y = Omega - x``, is at or below the onset of P, where P is
  zero, or at or above it, where it is concave.

A node is kept as the split of its parent and which half of it: its parts are worked out again when
it is solved.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.solvers.best_response import accuracy_onset, accuracy_value
from tradefl.solvers.envelope import value_of
from tradefl.solvers.placing import (
    CONFINED,
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
from tradefl.solvers.relaxation import CHORD, CONTACT, HIGH, LOW, MEMBERS, WEIGHT, Rows
from tradefl.solvers.saddle import relax

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

# How a node is split: not at all, by Omega at the onset, by level, by the side of the onset.
WHOLE, BY_OMEGA, BY_LEVEL, BY_SIDE = 0, 1, 2, 3
# How :func:`grow` ended: proven, at the limit of nodes or time, or without room for more nodes.
DONE, LIMIT, FULL = 0, 1, 2


class Tree(NamedTuple):
    """The search tree: what is open, and the best placement so far.

    Attributes
    ----------
    split
        Shape ``(C, 8)``, for each node: its parent (-1 for the root), which half of the parent it
        is, how it is split itself, the part (-1: Omega), how many members either half confines,
        the level from which the second half begins, and which half is solved next (2: neither).
    prices
        Shape ``(C, 3)``: the bound of each node, Omega and M there.
    limits
        Shape ``(4,)``: what is proven of all that is neither open nor split further; what is proven
        of everything; the rounding of bounds; the relative tolerance.
    counts
        Shape ``(2,)``: nodes kept; relaxations solved.
    best
        The best placement.
    """

    split: Indices
    prices: Array
    limits: Array
    counts: Indices
    best: Placement


PARENT, HALF, KIND, PART, FEW, MANY, LEVEL, NEXT = range(8)
CLOSED, PROVEN, ROUNDING, TOLERANCE = range(4)


def new_tree(accuracy: Any, problem: Problem, tolerance: float, capacity: int) -> Tree:
    """Return a tree that has not grown, with room for so many nodes."""
    groups = problem.members.size
    # Each split adds a part at most, and rounding at most doubles the parts.
    tree = Tree(
        np.empty((capacity, 8), dtype=np.int64),
        np.empty((capacity, 3)),
        np.empty(4),
        np.empty(2, dtype=np.int64),
        new_placement(2 * (groups + capacity)),
    )
    limits, counts = tree.limits, tree.counts
    limits[CLOSED], limits[PROVEN], limits[ROUNDING] = -np.inf, np.inf, 0.0
    limits[TOLERANCE] = tolerance
    counts[0], counts[1] = 0, 0
    each = np.empty(groups, dtype=np.int64)
    for g in range(groups):
        each[g] = g
    offer(accuracy, problem, tree.best, each, problem.members, problem.least)
    return tree


def is_closed(tree: Tree, bound: float) -> bool:
    """Return whether a bound is as close to the best placement as is asked for."""
    # Half of what is asked: the sum of the payoffs rounds in its own way.
    allowed = max(0.5 * tree.limits[TOLERANCE] * abs(bound), tree.limits[ROUNDING])
    return bool(bound - tree.best.value[0] <= allowed)


def highest(tree: Tree) -> int:
    """Return the open node of the highest bound, the oldest of equals; -1 if all are closed."""
    found, bound = -1, -np.inf
    for node in range(tree.counts[0]):
        if tree.split[node, NEXT] < 2 and tree.prices[node, 0] > bound:
            found, bound = node, tree.prices[node, 0]
    return found


def bound_of(tree: Tree, top: int) -> float:
    """Return what no placement exceeds; ``top`` is the open node of the highest bound."""
    opened = tree.prices[top, 0] if top >= 0 else -np.inf
    if tree.counts[1] == 0:
        opened = np.inf
    within = min(max(opened, tree.limits[CLOSED]), tree.limits[PROVEN])
    return float(max(within, tree.best.value[0]))


def grow(accuracy: Any, problem: Problem, tree: Tree, node_limit: int, stop: Any) -> int:
    """Split nodes, best bound first, until the bound is proven or a limit comes; return which."""
    split, limits, counts = tree.split, tree.limits, tree.counts
    if counts[1] == 0:
        evaluate(accuracy, problem, tree, -1, 0, stop)
    while True:
        node = highest(tree)
        if node < 0 or is_closed(tree, bound_of(tree, node)):
            return DONE
        if counts[1] >= node_limit or stop[0]:
            return LIMIT
        if split[node, KIND] == WHOLE:
            # The relaxed solution is a profile: what is left is rounding, or no saddle.
            limits[CLOSED] = max(limits[CLOSED], tree.prices[node, 0])
            split[node, NEXT] = 2
            continue
        if counts[0] + 2 > split.shape[0]:
            return FULL
        while split[node, NEXT] < 2:
            if stop[0]:  # what is left of the node stays open
                return LIMIT
            evaluate(accuracy, problem, tree, node, split[node, NEXT], stop)
            split[node, NEXT] += 1


def evaluate(
    accuracy: Any, problem: Problem, tree: Tree, parent: int, half: int, stop: Any
) -> None:
    """Solve a half of a node, offer what is near it, and keep it if it stays open."""
    node, limits, best = tree.counts[0], tree.limits, tree.best
    tree.split[node, PARENT], tree.split[node, HALF] = parent, half
    parts, omega_low, omega_high = parts_of(accuracy, problem, tree, node)
    rows, feasible = rows_of(accuracy, problem, parts, omega_low, omega_high)
    if not feasible:
        return
    above, omega, price = np.inf, 0.0, 0.0
    if parent >= 0:
        known = tree.prices[parent]
        above, omega, price = known[0], known[1], known[2]
    found = relax(accuracy, rows, omega, price, parent >= 0, stop)
    tree.counts[1] += 1
    limits[ROUNDING] = max(limits[ROUNDING], found.rounding)
    bound = found.bound + found.rounding
    size = parts.size[0]
    offer(accuracy, problem, best, parts.of[GROUP, :size], parts.of[COUNT, :size], found.x[1:])
    if not is_closed(tree, bound) and not stop[0]:
        numbers = (found.omega, found.price, found.bound)
        round_off(accuracy, problem, parts, rows, found.x, numbers, best, stop)
    within = min(above, bound)
    if is_closed(tree, within):
        limits[CLOSED] = max(limits[CLOSED], within)
        return
    prices = tree.prices[node]
    prices[0], prices[1], prices[2] = within, found.omega, found.price
    tree.split[node, NEXT] = 0
    decide(accuracy, problem, parts, rows, found.omega, found.x, found.bound, tree.split[node])
    tree.counts[0] = node + 1


def parts_of(accuracy: Any, problem: Problem, tree: Tree, node: int) -> tuple[Parts, float, float]:
    """Return the parts of a node, and the interval of Omega."""
    depth, at = 0, node
    while tree.split[at, PARENT] >= 0:
        depth, at = depth + 1, tree.split[at, PARENT]
    path = np.empty(depth + 1, dtype=np.int64)
    at = node
    for k in range(depth, -1, -1):
        path[k], at = at, tree.split[at, PARENT]
    groups = problem.members.size
    parts = new_parts(groups + depth)
    for g in range(groups):
        add_part(parts, g, problem.members[g], 0, problem.last[g], 0)
    low, high, onset = -np.inf, np.inf, accuracy_onset(accuracy)
    for k in range(1, depth + 1):
        above, half = tree.split[path[k - 1]], tree.split[path[k], HALF]
        if above[KIND] == BY_OMEGA:
            if half == 0:
                high = min(high, onset)
            else:
                low = max(low, onset)
            continue
        p = above[PART]
        rest = parts.of[COUNT, p] - above[FEW + half]
        if rest > 0:
            add_part(
                parts,
                parts.of[GROUP, p],
                rest,
                parts.of[SLOWEST, p],
                parts.of[FASTEST, p],
                parts.of[CONFINED, p],
            )
        parts.of[COUNT, p] = above[FEW + half]
        if above[KIND] == BY_SIDE:
            parts.of[CONFINED, p] = 2 * half - 1
        elif half == 0:
            parts.of[FASTEST, p] = above[LEVEL] - 1
        else:
            parts.of[SLOWEST, p] = above[LEVEL]
    return parts, low, high


def decide(
    accuracy: Any,
    problem: Problem,
    parts: Parts,
    rows: Rows,
    omega: float,
    x: Array,
    bound: float,
    split: Indices,
) -> None:
    """Write how a node is split: where its relaxed solution promises most beyond a profile."""
    split[KIND] = WHOLE
    worst, k, share = 0.0, -1, 0.0
    for part in range(parts.size[0]):
        loss, _, along = loss_of(problem, parts, rows, part, x[part + 1])
        if loss > worst and parts.of[SLOWEST, part] < parts.of[FASTEST, part]:
            worst, k, share = loss, part, along
    lifted, j = most_lifted(accuracy, rows, omega, x)
    if max(worst, lifted) <= LOSS * abs(bound):
        return
    if lifted >= worst:
        if j == 0:
            split[KIND] = BY_OMEGA
            return
        y = min(max(omega - x[j], rows.own[LOW, j]), rows.own[HIGH, j])
        n, begin, end = (
            parts.of[COUNT, j - 1],
            rows.own[LOW, j],
            min(rows.own[CONTACT, j], rows.own[HIGH, j]),
        )
        few = min(int(n * (y - begin) / (end - begin)), n - 1)
        split[KIND], split[PART], split[FEW], split[MANY] = BY_SIDE, j - 1, n - few, few + 1
        return
    n, first, last = parts.of[COUNT, k], parts.of[SLOWEST, k], parts.of[FASTEST, k]
    level = min(max(cheapest_of(problem, parts.of[GROUP, k], x[k + 1]), first + 1), last)
    few = min(int(n * share), n - 1)
    split[KIND], split[PART], split[FEW], split[MANY] = BY_LEVEL, k, n - few, few + 1
    split[LEVEL] = level


def most_lifted(accuracy: Any, rows: Rows, omega: float, x: Array) -> tuple[float, int]:
    """Return by how much an envelope is above P at a relaxed solution at the most, and its row."""
    worst, row, onset = 0.0, 0, accuracy_onset(accuracy)
    for r in range(rows.own.shape[1]):
        low, high = rows.own[LOW, r], rows.own[HIGH, r]
        # An interval on one side of the onset is not split again.
        if rows.own[CONTACT, r] == -np.inf or high <= onset or low >= onset:
            continue
        y = min(max(omega - x[r], low), high)
        above = value_of(accuracy, low, rows.own[CONTACT, r], rows.own[CHORD, r], y)
        above -= accuracy_value(accuracy, y)
        above *= rows.own[MEMBERS, r] * rows.own[WEIGHT, r]
        if above > worst:
            worst, row = above, r
    return worst, row
