"""The planner's search: groups of equal organizations, then those that look alike.

One problem at a time, by :class:`Search`; or many small ones in one loop, by :func:`plan_each`. The
functions are the same, in plain Python for any P or compiled for the built-in ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.accuracy import InvertibleAccuracyModel
from tradefl.solvers.accuracies import Accuracies, accuracy_of
from tradefl.solvers.best_response import StandIns
from tradefl.solvers.branching import (
    FULL,
    LIMIT,
    PROVEN,
    ROUNDING,
    Tree,
    bound_of,
    grow,
    highest,
    new_tree,
)
from tradefl.solvers.clock import Clock, alarm
from tradefl.solvers.compiled import compiled, kept
from tradefl.solvers.groups import group_equal, grouped, ungrouped
from tradefl.solvers.lookalikes import Lookalikes
from tradefl.solvers.placing import Problem, new_placement

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# Nodes after which nearly equal organizations are branched on together, and how many of these.
FIRST_NODES = 60
LOOKALIKE_NODES = 2000
# The plain loops take as long for so many strategies (organizations x levels), in one problem or
# several, as it takes to load machine code. From then on a process uses that.
COMPILE_FROM = 5_000
# It does so from this problem on where the code is on disk and need not be made first.
LOAD_FROM = 3
# A pass over so many strategies takes about a second at the most, compiled.
PASS = 5e7
# A search of so many strategies ends within a tenth of so many seconds, and needs no clock.
QUICK, SOON = 20_000, 60.0
# The search stops so many passes early: it still has to prove its bound and to offer what it has.
LATE = 3.0


@dataclasses.dataclass
class _Seen:
    """What a process has planned in plain Python so far, and which machine code it has."""

    problems: int = 0
    strategies: int = 0
    loaded: set[tuple[Any, ...]] = dataclasses.field(default_factory=set)


_seen = _Seen()


class Menus(NamedTuple):
    """The levels of organizations, as in :class:`tradefl.solvers.hulls.Menu`."""

    least: Array
    reach: Array
    price: Array
    last: Indices


@dataclasses.dataclass(frozen=True)
class Code:
    """P as the planner's functions want it, and how they are to be called.

    Without ``stand_ins`` they run as plain Python; ``accuracies`` is what :func:`plan_each` takes.
    """

    accuracy: Any
    stand_ins: StandIns | None
    accuracies: Any = None

    @classmethod
    def of(cls, accuracy: InvertibleAccuracyModel, strategies: int) -> Code:
        """Return the code for a problem of so many strategies."""
        built_in = Accuracies((accuracy,), np.zeros(1, dtype=np.intp)).compiled()
        if built_in is None or not _repays(strategies, built_in[1]):
            return cls(accuracy, None)
        accuracies, stand_ins = built_in
        read: Any = stand_ins.get(accuracy_of, accuracy_of)
        return cls(read(accuracies, 0), stand_ins, accuracies)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of the planner whose first argument is P, with P put in."""
        call = self.bare(function)
        return lambda *arguments: call(self.accuracy, *arguments)

    def bare(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of the planner as it is."""
        return function if self.stand_ins is None else compiled(function, self.stand_ins)

    def each(self, *arguments: Any) -> None:
        """Call :func:`plan_each` for one problem."""
        if self.stand_ins is None:
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
                plan_each([self.accuracy], *arguments)
        else:
            compiled(plan_each, self.stand_ins)(self.accuracies, *arguments)

    def loaded(self, *arguments: Any) -> float:
        """Load or make the machine code; return how long it took, which no time limit counts.

        ``arguments`` are those of :func:`plan_each` for no problem, but for its last four.
        """
        kind = tuple((self.stand_ins or {}).values())
        if kind in _seen.loaded:
            return 0.0
        began = time.perf_counter()
        nothing = np.zeros(1, dtype=np.bool_), np.empty((0, 1)), np.empty((0, 4))
        self.each(*arguments, *nothing, np.zeros(0, dtype=np.bool_))
        _seen.loaded.add(kind)
        return time.perf_counter() - began

    @contextlib.contextmanager
    def stop(self, until: float, strategies: int) -> Iterator[Any]:
        """Give what is to be looked at for whether the time is over."""
        if self.stand_ins is None:
            # Slopes of zero are inverted to infinity.
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
                yield Clock(until)
        else:
            with alarm(until - LATE * strategies / PASS) as over:
                yield over


def _repays(strategies: int, stand_ins: StandIns) -> bool:
    _seen.problems += 1
    _seen.strategies += strategies
    if _seen.strategies >= COMPILE_FROM:
        return True
    return _seen.problems >= LOAD_FROM and kept(plan_each, stand_ins)


class Planned(NamedTuple):
    """The best data, shape ``(N,)``; its value without the transfers; and a proven bound.

    ``rounding`` is what the bound was raised by for the sake of rounding.
    """

    x: Array
    value: float
    bound: float
    rounding: float
    nodes: int


def plan(
    accuracy: InvertibleAccuracyModel,
    together: float,
    weight: Array,
    menus: Menus,
    tolerance: float,
    node_limit: int,
    until: float,
) -> Planned:
    """Return the data with the highest welfare, and a bound within the tolerance of it.

    Where some nodes do not prove it, organizations that are nearly equal are branched on together
    (:mod:`tradefl.solvers.lookalikes`).

    Parameters
    ----------
    accuracy
        P.
    together, weight
        ``Z``, and ``w`` of shape ``(N,)``.
    menus
        Everybody's levels.
    tolerance
        Relative to the bound.
    node_limit
        The most relaxations of nodes.
    until
        The time of :func:`time.perf_counter` at which to stop.
    """
    strategies = menus.reach.size
    code = Code.of(accuracy, strategies)
    x, numbers = np.empty((1, weight.size)), np.zeros((1, 4))
    proven = np.zeros(1, dtype=np.bool_)
    rows = (np.array([together]), weight[None], *(column[None] for column in menus))
    arguments = (*rows, tolerance, min(FIRST_NODES, node_limit))

    if code.stand_ins is not None:
        until += code.loaded(*(row[:0] for row in rows), *arguments[len(rows) :])

    def planned() -> Planned:
        value, bound, rounding, nodes = numbers[0].tolist()
        return Planned(x[0], value, bound, rounding, int(nodes))

    if code.stand_ins is not None and strategies <= QUICK and until - time.perf_counter() > SOON:
        code.each(*arguments, np.zeros(1, dtype=np.bool_), x, numbers, proven)
        if proven[0] or node_limit <= FIRST_NODES:
            return planned()
    with code.stop(until, strategies) as stop:
        if not numbers[0, 3] > 0.0:
            code.each(*arguments, stop, x, numbers, proven)
        if proven[0] or node_limit <= FIRST_NODES or stop[0]:
            return planned()
        each = (weight, *menus)
        order, starts = code.bare(group_equal)(*each[:-1])
        problem = Problem(*code.bare(grouped)(together, *each, order, starts))
        search = Search(code, problem, tolerance, stop)
        search.run(node_limit)
        tree = search.tree
        ungrouped(tree.best, order, starts, x[0])
    value, rounding = float(tree.best.value[0]), float(tree.limits[ROUNDING])
    return Planned(x[0], value, proven_by(tree), rounding, int(tree.counts[1]))


class Search:
    """The search tree over groups of equal organizations, helped by that over look-alikes."""

    def __init__(self, code: Code, problem: Problem, tolerance: float, stop: Any) -> None:
        self.code, self.problem, self.tolerance, self.stop = code, problem, tolerance, stop
        self.tree = Tree(*code(new_tree)(problem, tolerance, FIRST_NODES + 2))

    def run(self, node_limit: int) -> None:
        """Grow the tree until the bound is proven or a limit comes."""
        ended = self._grow(min(FIRST_NODES, node_limit))
        if ended != LIMIT or self.tree.counts[1] >= node_limit or self.stop[0]:
            return
        best = self.tree.best
        alike = Lookalikes.of(self.code, self.problem, best, self.tolerance, self.stop)
        if alike is not None:
            alike.grow(min(node_limit - int(self.tree.counts[1]), LOOKALIKE_NODES))
            self._learn(alike)
        self._grow(node_limit)

    def _grow(self, node_limit: int) -> int:
        while True:
            ended = int(self.code(grow)(self.problem, self.tree, node_limit, self.stop))
            if ended != FULL:
                return ended
            self._enlarge()

    def _enlarge(self) -> None:
        """Double the room of the tree."""
        tree, best = self.tree, self.tree.best
        room = new_placement(best.x.size + 2 * tree.split.shape[0])
        for wide, narrow in zip(room, best, strict=True):
            wide[: narrow.size] = narrow
        self.tree = tree._replace(
            split=np.concatenate([tree.split, np.empty_like(tree.split)]),
            prices=np.concatenate([tree.prices, np.empty_like(tree.prices)]),
            best=room,
        )

    def _learn(self, alike: Lookalikes) -> None:
        """Take over what the other tree has proven and found."""
        tree = self.tree
        tree.counts[1] += alike.nodes
        tree.limits[PROVEN] = min(tree.limits[PROVEN], alike.bound)
        if not alike.best.value[0] > tree.best.value[0]:
            return
        # Its rows are organizations one by one, in the order of the groups.
        of = np.repeat(np.arange(self.problem.members.size), self.problem.members)
        size = int(alike.best.size[0])
        room = new_placement(max(tree.best.x.size, size))
        room.group[:size] = of[alike.best.group[:size]]
        room.members[:size], room.x[:size] = alike.best.members[:size], alike.best.x[:size]
        room.size[0], room.value[0] = size, alike.best.value[0]
        self.tree = tree._replace(best=room)


def proven_by(tree: Tree) -> float:
    """Return what no placement exceeds."""
    return bound_of(tree, highest(tree))


def plan_each(
    accuracies: Any,
    together: Array,
    weight: Array,
    least: Array,
    reach: Array,
    price: Array,
    last: Indices,
    tolerance: float,
    node_limit: int,
    stop: Any,
    x: Array,
    numbers: Array,
    proven: Flags,
) -> None:
    """Plan K problems of N organizations, one after the other.

    ``together`` has shape ``(K,)``, ``weight`` ``(K, N)``, :class:`Menus` a first axis of problems.
    ``x``, ``(K, N)``, receives everybody's data, ``numbers``, ``(K, 4)``, the value, the bound, its
    rounding and the nodes, ``proven`` whether ``node_limit`` nodes were enough.

    This is all that Python calls of the planner as a rule, with arrays one by one: whatever else it
    calls is compiled once more, and reading a tuple of arrays takes longer than a small problem.
    """
    for k in range(together.size):
        accuracy = accuracy_of(accuracies, k)
        order, starts = group_equal(weight[k], least[k], reach[k], price[k])
        problem = grouped(
            together[k], weight[k], least[k], reach[k], price[k], last[k], order, starts
        )
        tree = new_tree(accuracy, problem, tolerance, node_limit + 2)
        proven[k] = grow(accuracy, problem, tree, node_limit, stop) == 0
        ungrouped(tree.best, order, starts, x[k])
        numbers[k, 0], numbers[k, 1] = tree.best.value[0], proven_by(tree)
        numbers[k, 2], numbers[k, 3] = tree.limits[ROUNDING], tree.counts[1]
