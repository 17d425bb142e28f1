r"""Could a coalition do better on its own? The largest excess over 2^N coalitions, proven.

``max over nonempty S != N of v(S) - x(S)`` in the literal reading, without enumeration: local
search finds strong coalitions (:mod:`tradefl.stability.climbing`), and branch and bound proves that
no coalition is stronger (:mod:`tradefl.stability.bounds`). The first outsider k, in the order of
``x/p``, splits the coalitions into N roots: all before k are in, k is out. A node is split on the
free organization nearest to indifference, or its interval of Omega is halved where its width
explains most of what is to be closed. In a node with few free organizations every coalition is
valued, certified: that ends it, while bounds of ever narrower intervals may come close to a margin
for a long time. Singles are tested separately.

Below the onset of P a coalition of members with ``x >= 0`` has no excess, so intervals begin there.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math

import numpy as np
import numpy.typing as npt

from tradefl.solvers.compiled import working_time
from tradefl.stability.bounds import FREE, IN, OUT
from tradefl.stability.values import Values

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# The tolerance, as a share of v(N), within which no excess counts.
TOLERANCE = 1e-9
# Nodes that are bounded together, for each thread to have some.
TOGETHER = 8
# Starts of the local search: all that leave one out, and as many prefixes at most.
PREFIXES = 24
# An interval of Omega is not halved below this share of it.
NARROW = 1e-3
# A node with at most so many free organizations is a list of coalitions.
LISTED = 3
NODE_LIMIT = 1_000_000


@dataclasses.dataclass(frozen=True, eq=False)
class Separation:
    """The strongest coalition found, and what no coalition exceeds.

    Attributes
    ----------
    members
        Shape ``(N,)``: who is in the strongest coalition found.
    value, excess
        ``v(S)`` and ``v(S) - x(S)`` of it: what it has for certain.
    bound
        An upper bound on the excess of every nonempty coalition but that of all.
    nodes
        How many nodes the search bounded.
    """

    members: Flags
    value: float
    excess: float
    bound: float
    nodes: int


def separate(
    values: Values,
    pay: Array,
    *,
    close_at: float = 0.0,
    tolerance: float,
    until: float = math.inf,
    first: bool = False,
    node_limit: int = NODE_LIMIT,
) -> Separation:
    """Return the coalition with the largest excess, and a bound on all.

    Parameters
    ----------
    values
        The coalitions' values, literal reading.
    pay
        ``x``, shape ``(N,)``: the split that is tested.
    close_at
        Excesses up to this need not be told apart: 0 proves stability, ``-eps`` a margin.
    tolerance
        Payoff units: excesses that differ by less are equal.
    until
        The time of :func:`tradefl.solvers.compiled.working_time` at which to stop with the bound at
        hand.
    first
        Whether to stop at the first coalition whose excess is above ``close_at``.
    node_limit
        The most nodes to bound.
    """
    search = _Search(values, np.asarray(pay, dtype=float), close_at, tolerance)
    search.singles()
    search.climb()
    if not (first and search.best > close_at + tolerance):
        search.branch(until, node_limit, first)
    return Separation(
        members=search.members,
        value=search.value,
        excess=search.best,
        bound=max(search.bound, search.best),
        nodes=search.nodes,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Node:
    states: npt.NDArray[np.int8]
    guess: Flags
    low: float
    high: float
    margin: Array
    bound: float
    by_width: float


class _Search:
    """The search tree, and the strongest coalition so far."""

    def __init__(self, values: Values, pay: Array, close_at: float, tolerance: float) -> None:
        self.values, self.pay = values, pay
        self.close_at, self.tolerance = close_at, tolerance
        self.best, self.value = -math.inf, 0.0
        self.members = np.zeros(values.size, dtype=bool)
        self.closed = -math.inf
        self.heap: list[tuple[float, int, _Node]] = []
        self.tickets = itertools.count()
        self.nodes = 0
        p = values.terms.profitability
        self.order = np.argsort(pay / p, kind="stable")
        self.onset = float(values.game.accuracy.onset)

    @property
    def bound(self) -> float:
        """What no coalition's excess passes."""
        return max(-self.heap[0][0] if self.heap else -math.inf, self.closed)

    def threshold(self) -> float:
        """Up to this bound a node is closed."""
        return max(self.close_at, self.best) + 0.5 * self.tolerance

    # --- what is found ---------------------------------------------------------------------------

    def offer(self, members: Flags) -> float:
        """Certify coalitions, one or a row each, keep the strongest, and return their bound."""
        rows = np.atleast_2d(members)
        value, bound = self.values.of(rows)
        paid = rows @ self.pay
        k = int(np.argmax(value - paid))
        if value[k] - paid[k] > self.best:
            self.best, self.value = float(value[k] - paid[k]), float(value[k])
            self.members = rows[k].copy()
        return float((bound - paid).max())

    def singles(self) -> None:
        """Test each organization by itself: exactly."""
        for i in range(self.values.size):
            alone = np.zeros(self.values.size, dtype=bool)
            alone[i] = True
            self.closed = max(self.closed, self.offer(alone))
        if self.values.outside == "nothing":
            return
        # On members' terms a single has no more than alone: what the tree says of it is no more.

    def climb(self) -> None:
        """Start the local search at all but one, and at prefixes of the order."""
        n = self.values.size
        value, _ = self.values.without_one
        excess = value - (self.pay.sum() - self.pay)
        k = int(np.argmax(excess))
        without = np.ones(n, dtype=bool)
        without[k] = False
        if n > 2 or self.values.outside == "nothing":
            self.offer(without)
        if n <= 2:
            return
        strongest = np.argsort(-excess, kind="stable")[: max(PREFIXES, 1)]
        starts = [~np.eye(n, dtype=bool)[strongest]]
        lengths = np.unique(np.linspace(2, n - 1, min(PREFIXES, n - 2)).astype(int))
        prefixes = np.zeros((lengths.size, n), dtype=bool)
        for row, length in zip(prefixes, lengths, strict=True):
            row[self.order[:length]] = True
        starts.append(prefixes)
        below = self.pay + self.values.terms.fixed < 0.0
        if 2 <= below.sum() < n:  # below the onset those that would be paid less than nothing
            starts.append(below[None, :])
        found, reached = self.values.climbs(self.pay, np.concatenate(starts))
        for row in np.argsort(-found, kind="stable")[:4]:
            self.offer(reached[row])

    # --- what is proven --------------------------------------------------------------------------

    def roots(self) -> list[_Node]:
        """Return a node for each first outsider."""
        n = self.values.size
        high = float(self.values.everything.sum())
        nodes = []
        for k in range(n):
            states = np.full(n, FREE, dtype=np.int8)
            states[self.order[:k]] = IN
            states[self.order[k]] = OUT
            guess = states != OUT
            nodes.append(_Node(states, guess, self.onset, high, np.zeros(n), math.inf, 0.0))
        return nodes

    def branch(self, until: float, node_limit: int, first: bool) -> None:
        """Bound and split nodes, best bound first, until all are closed or a limit comes."""
        if self.values.size == 2 or not math.isfinite(self.onset):
            self.below_onset()
            return
        self.below_onset()
        waiting = [(math.inf, node) for node in self.roots()]
        while waiting or self.heap:
            if not waiting:
                while self.heap and len(waiting) < 2 * TOGETHER:
                    negated, _, node = heapq.heappop(self.heap)
                    if -negated <= self.threshold():
                        self.closed = max(self.closed, -negated)
                        continue
                    waiting += [(-negated, child) for child in self.split(node)]
                if not waiting:
                    continue
            if self.nodes and (working_time() > until or self.nodes >= node_limit):
                for above, node in waiting:
                    heapq.heappush(self.heap, (-above, next(self.tickets), node))
                return
            self.evaluate(waiting)
            waiting = []
            if first and self.best > self.close_at + self.tolerance:
                return

    def below_onset(self) -> None:
        """Close the coalitions that stay below the onset: nothing is earned there."""
        terms = self.values.terms
        cheapest = terms.fixed + terms.price[:, 0] * terms.least
        self.closed = max(self.closed, float(np.maximum(-self.pay - cheapest, 0.0).sum()))
        least = np.sort(self.pay + cheapest)
        # At least two members: whatever they are, they cost no less than the two cheapest.
        if least[0] >= 0.0:
            self.closed = min(self.closed, max(self._singles_bound(), -float(least[:2].sum())))

    def _singles_bound(self) -> float:
        return float((self.values.singles - self.pay).max())

    def evaluate(self, waiting: list[tuple[float, _Node]]) -> None:
        """Bound some nodes, close those that can be, and keep the others."""
        found, inside, margin = self.values.bounds(
            self.pay,
            np.array([node.states for _, node in waiting]),
            np.array([node.guess for _, node in waiting]),
            np.array([[node.low, node.high] for _, node in waiting]),
        )
        self.nodes += len(waiting)
        for k, (above, node) in enumerate(waiting):
            bound, truth, by_width = (float(entry) for entry in found[k, :3])
            bound = min(bound, above)
            if truth > self.best + self.tolerance:
                # The relaxed solution may be far from the best near it.
                _, reached = self.values.climbs(self.pay, inside[k][None, :])
                self.offer(reached[0])
            if bound <= self.threshold():
                self.closed = max(self.closed, bound)
                continue
            if (node.states == FREE).sum() <= LISTED:
                listed = _listed(node.states)
                if listed.size:
                    self.closed = max(self.closed, min(bound, self.offer(listed)))
                continue
            low, high = self.clipped(node)
            kept = _Node(node.states, inside[k], low, high, margin[k], bound, by_width)
            heapq.heappush(self.heap, (-bound, next(self.tickets), kept))

    def clipped(self, node: _Node) -> tuple[float, float]:
        """Return the part of a node's interval that its coalitions can reach."""
        terms = self.values.terms
        low = float(terms.least[node.states == IN].sum())
        high = float(self.values.everything[node.states != OUT].sum())
        return max(node.low, low), min(node.high, high)

    def split(self, node: _Node) -> list[_Node]:
        """Return the two halves of a node."""
        width = node.high - node.low
        excess = node.bound - self.threshold()
        if node.by_width > 0.5 * excess and width > NARROW * node.high:
            middle = 0.5 * (node.low + node.high)
            return [
                dataclasses.replace(node, high=middle),
                dataclasses.replace(node, low=middle),
            ]
        free = np.flatnonzero(node.states == FREE)
        i = int(free[np.argmin(np.abs(node.margin[free]))])
        halves = []
        for state in (IN, OUT):
            states = node.states.copy()
            states[i] = state
            guess = node.guess.copy()
            guess[i] = state == IN
            halves.append(dataclasses.replace(node, states=states, guess=guess))
        return halves


def _listed(states: npt.NDArray[np.int8]) -> Flags:
    """Return the coalitions of at least two that a node allows, shape ``(K, N)``."""
    free = np.flatnonzero(states == FREE)
    members = np.repeat((states == IN)[None, :], 1 << free.size, axis=0)
    members[:, free] = (np.arange(1 << free.size)[:, None] >> np.arange(free.size)) & 1
    return np.asarray(members[members.sum(axis=1) >= 2])
