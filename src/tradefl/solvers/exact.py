r"""The global maximum of the corrected potential, with a proven upper bound.

The paper enumerates ``m^N`` combinations of levels. Organizations meet only in the scalar
``Omega``, so the Lagrangian of that coupling separates
(docs/explanation/exact-algorithm.md):

1. *Price search.* Find the data price at which the data that organizations offer meets the
   data that ``P`` wants. Each step costs O(m) for each organization that is still undecided
   between the two prices in hand; their number falls geometrically.
2. *Bound.* The Lagrangian at that price bounds the potential from above. All but about one
   organization are decided by it.
3. *Branch and bound* on the few organizations near the price, everybody else decided
   (:mod:`tradefl.solvers.residual`). Where organizations take each other's place in it, the
   search branches on how many are on which level and leaves open who
   (:mod:`tradefl.solvers.assigning`). If the decision of the others is not proven for the
   prices that come up, more organizations are taken in.
4. *Below the onset.* P is zero below its onset and concave above (erratum E10). The steps
   above cover profiles at or above it. Any profile below it is worth no more than what all
   would choose at price zero, which is feasible and enters as a candidate.

The solution's ``upper_bound - potential`` is within the tolerance, or its status does not say
``optimal``.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.potential import potential
from tradefl.game.strategy import StrategyProfile
from tradefl.solvers import dbr
from tradefl.solvers.assigning import Search
from tradefl.solvers.best_response import Players, players
from tradefl.solvers.pricing import (
    Choices,
    Indices,
    choose,
    chosen_profile,
    margins,
    segment_ends,
    subset,
)
from tradefl.solvers.residual import Frame, Group, Outcome, Segment, maximize
from tradefl.solvers.solution import REGRET_TOLERANCE, BoundTrace, Solution

Array = npt.NDArray[np.float64]

TOLERANCE = 1e-9
NODE_LIMIT = 20_000
TIME_LIMIT = 600.0
# After so many nodes the residual problem is solved as closely as is asked for, and no closer.
CLOSER_NODES = 1_000
# Nodes after which the search by assignments takes over, and the most that it has.
FIRST_NODES = 200
ASSIGNED_NODES = 2_000
# Above so many organizations it is not tried: an assignment costs the cube of their number.
MOST = 1_000
# How many organizations on each side of the price enter the residual problem at first.
NEIGHBOURS = 16
# The price search hands over when so few are undecided.
FEW = 32
# Organizations whose numbers agree so closely are branched on together: what this adds to the
# bound is of the order of ALIKE times the potential, below every tolerance that is asked for.
ALIKE = 1e-11
# Sums of N rounded terms are trusted to this many units in the last place of their size.
ULPS = 64.0


def solve(
    game: CoopetitionGame,
    *,
    tolerance: float = TOLERANCE,
    node_limit: int = NODE_LIMIT,
    time_limit: float = TIME_LIMIT,
) -> Solution:
    """Return the global maximizer of the potential, a Nash equilibrium, with its bound.

    Parameters
    ----------
    game
        The game; any accuracy model whose P is concave from its onset on.
    tolerance
        Relative: optimal when ``upper_bound - potential <= tolerance * |upper_bound|``, or
        when only rounding is left of the gap.
    node_limit
        The most branch-and-bound nodes; beyond it the gap stays and the status says so.
    time_limit
        Seconds after which the search stops, with the best profile and the bound that it has. The
        price search over all organizations is always made.

    Raises
    ------
    ValueError
        An option is out of range.
    """
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"tolerance: expected a number in (0, 1), got {tolerance!r}")
    if node_limit < 1:
        raise ValueError(f"node_limit: expected an integer >= 1, got {node_limit!r}")
    if not time_limit > 0.0:
        raise ValueError(f"time_limit: expected a number > 0, got {time_limit!r}")
    began = time.perf_counter()
    everyone = players(game)
    optimum = _maximize(game, everyone, tolerance, node_limit, began + time_limit)
    profile = optimum.profile
    value = potential(game, profile)
    bound = max(optimum.bound, value)
    remarks: tuple[str, ...] = ()
    if bound - value > optimum.gap:
        remarks = (
            f"not proven optimal: a gap of {bound - value:.3g} is left after "
            f"{optimum.iterations:,} prices and search nodes",
        )
    solution = Solution.certified(
        game,
        profile,
        finished=True,
        method="exact",
        iterations=optimum.iterations,
        runtime_seconds=time.perf_counter() - began,
        upper_bound=bound,
        gap=optimum.gap,
        trace=optimum.trace,
        remarks=remarks,
    )
    if solution.certificate.is_equilibrium(REGRET_TOLERANCE):
        return solution
    # Within the tolerance of the maximum somebody may still gain a little: let them.
    settled = dbr.solve(game, initial=profile, trace=False)
    return Solution.certified(
        game,
        settled.profile,
        finished=True,
        method="exact",
        iterations=optimum.iterations + settled.iterations,
        runtime_seconds=time.perf_counter() - began,
        upper_bound=max(bound, potential(game, settled.profile)),
        gap=optimum.gap,
        trace=optimum.trace,
        remarks=remarks,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Optimum:
    profile: StrategyProfile
    bound: float
    gap: float  # what counts as none
    iterations: int
    trace: BoundTrace


def _maximize(
    game: CoopetitionGame, everyone: Players, tolerance: float, node_limit: int, until: float
) -> _Optimum:
    accuracy = game.accuracy
    generous = choose(everyone, 0.0)
    best = chosen_profile(everyone, generous)
    best_value = float(accuracy.value(generous.w.sum())) + float(generous.v.sum())
    # Choices at an unbounded price: everybody's most.
    reach = np.nanmax(np.minimum(1.0, everyone.fraction_per_hz[:, None] * everyone.cpu_hz), axis=1)
    most, least = everyone.data_units * reach, everyone.data_units * game.min_data_fraction
    low, high = max(float(accuracy.onset), float(least.sum())), float(most.sum())
    if not low <= high:  # P is zero wherever they can get: what all like best is the maximum
        rounding = ULPS * np.finfo(float).eps * float(np.abs(generous.v).sum())
        return _Optimum(best, best_value, rounding, 1, _trace([(best_value, best_value)]))

    found = _search(game, everyone, generous, low, high)
    chosen = choose(everyone, found.price)
    held = margins(everyone, found.price, chosen)
    size = abs(best_value) + float(np.abs(chosen.v).sum()) + abs(found.price) * (high + low)
    slack = ULPS * np.finfo(float).eps * size

    # The residual problem is solved closer than asked: what the tolerance leaves of a large
    # potential may be more than some organization's whole payoff.
    goal = max(slack, 0.01 * tolerance * min(abs(best_value), float(accuracy.value(high))))
    enough = max(slack, 0.99 * tolerance * abs(best_value))
    nodes, bound, gap = 0, np.inf, 0.0
    history: list[tuple[float, float]] = []
    for search, neighbours, most in _searches(game.size, node_limit):
        inside = _near(held.down, held.up, held.loss, found, neighbours, gap)
        outside = np.setdiff1d(np.arange(game.size), inside, assume_unique=True)
        frame = Frame(
            accuracy=accuracy,
            w=float(chosen.w[outside].sum()),
            v=float(chosen.v[outside].sum()),
            price_low=float(held.down[outside].max(initial=-np.inf)),
            price_high=float(held.up[outside].min(initial=np.inf)),
            omega_low=low,
            omega_high=high,
        )
        closer = max(CLOSER_NODES - nodes, 0)
        limits = _Limits((goal, enough, closer), min(most, node_limit - nodes), until)
        outcome, members = search(frame, subset(everyone, inside), limits, best_value)
        nodes += outcome.nodes
        bound = min(bound, outcome.bound + slack)
        if outcome.placements:
            candidate = _placed(everyone, chosen, outcome, [inside[who] for who in members])
            value = potential(game, candidate)
            if value > best_value:
                best, best_value = candidate, value
        # The residual problem speaks of profiles at or above the onset; the best value found
        # covers those below it.
        history.append((max(bound, best_value), best_value))
        gap = max(bound - best_value, 0.0)
        # Where the terms of U cancel, rounding leaves more than any share of U.
        allowed = max(tolerance * abs(bound), 2.0 * slack)
        over = nodes >= node_limit or time.perf_counter() > until
        if gap <= allowed or over or (inside.size == game.size and most == node_limit):
            break
    return _Optimum(best, max(bound, best_value), allowed, found.steps + nodes, _trace(history))


def _searches(size: int, node_limit: int) -> Iterator[tuple[_Search, int, int]]:
    """Yield searches of the residual problem, how many neighbours it has, and the most nodes."""
    if size <= MOST and node_limit > FIRST_NODES:
        yield _by_equal, NEIGHBOURS, FIRST_NODES
        yield _by_assignment, size, ASSIGNED_NODES
    neighbours = NEIGHBOURS
    while True:
        yield _by_equal, neighbours, node_limit
        neighbours *= 4


class _Limits(NamedTuple):
    """How closely a residual problem is solved, and when its search stops."""

    tolerances: tuple[float, float, int]
    nodes: int
    until: float


_Search = Callable[[Frame, Players, _Limits, float], tuple[Outcome, list[Indices]]]


def _by_equal(
    frame: Frame, some: Players, limits: _Limits, best: float
) -> tuple[Outcome, list[Indices]]:
    """Solve a residual problem by groups of equal organizations."""
    groups, members = _groups(some)
    return maximize(frame, groups, limits.tolerances, limits.nodes, best, limits.until), members


def _by_assignment(
    frame: Frame, some: Players, limits: _Limits, best: float
) -> tuple[Outcome, list[Indices]]:
    """Solve a residual problem by how many of all are on which level."""
    search = Search(frame, segment_ends(some), limits.tolerances, best)
    outcome = search.run(limits.nodes, limits.until)
    return outcome, [np.arange(k, k + 1) for k in range(some.data_units.size)]


def _trace(history: Sequence[tuple[float, float]]) -> BoundTrace:
    """Return the bounds on ``min -U`` after each residual problem."""
    bounds, values = np.array(history).T
    return BoundTrace(lower=-bounds, upper=-values)


@dataclasses.dataclass(frozen=True, eq=False)
class _Price:
    """Where offer meets demand, and who is undecided there."""

    price: float
    undecided: Indices
    steps: int


def _search(
    game: CoopetitionGame, everyone: Players, generous: Choices, low: float, high: float
) -> _Price:
    """Find the price at which the data offered crosses the data that P wants.

    Offered data rises with the price, wanted data falls. Both ends of a bracket are kept, and
    only those who choose differently at the two ends are asked again.
    """
    accuracy = game.accuracy

    def wanted(price: float) -> float:
        return min(max(float(accuracy.inverse_derivative(price)), low), high)

    cheap, dear, steps = 0.0, max(float(accuracy.derivative(low)), np.finfo(float).tiny), 1
    finest = np.finfo(float).eps * dear
    at_cheap, at_dear = generous, choose(everyone, dear)
    if at_cheap.w.sum() >= wanted(cheap):
        return _Price(0.0, np.empty(0, dtype=np.intp), steps)
    while at_dear.w.sum() < wanted(dear):
        cheap, at_cheap, dear = dear, at_dear, 4.0 * dear
        if not np.isfinite(dear):
            return _Price(cheap, np.empty(0, dtype=np.intp), steps)
        at_dear, steps = choose(everyone, dear), steps + 1

    who = np.flatnonzero(at_cheap.code != at_dear.code)
    settled = float(np.delete(at_cheap.w, who).sum())
    w_cheap, w_dear = at_cheap.w[who], at_dear.w[who]
    code_cheap, code_dear = at_cheap.code[who], at_dear.code[who]
    while who.size > FEW:
        # P' in the middle of what may be offered, or the middle of the bracket.
        guess = float(accuracy.derivative(settled + 0.5 * (w_cheap.sum() + w_dear.sum())))
        middle = 0.5 * (cheap + dear)
        price = guess if cheap < guess < dear and steps % 3 else middle
        if not cheap < price < dear or dear - cheap <= finest:
            break  # they all turn at the same price
        asked, steps = choose(everyone, price, who), steps + 1
        if settled + asked.w.sum() >= wanted(price):
            dear, w_dear, code_dear = price, asked.w, asked.code
        else:
            cheap, w_cheap, code_cheap = price, asked.w, asked.code
        differ = code_cheap != code_dear
        settled += float(w_cheap[~differ].sum())
        who, w_cheap, w_dear = who[differ], w_cheap[differ], w_dear[differ]
        code_cheap, code_dear = code_cheap[differ], code_dear[differ]
    guess = float(accuracy.derivative(settled + 0.5 * (w_cheap.sum() + w_dear.sum())))
    return _Price(min(max(guess, cheap), dear), who, steps)


def _near(
    down: Array, up: Array, loss: Array, found: _Price, neighbours: int, gap: float
) -> Indices:
    """Return the organizations of the residual problem: those that may turn near the price."""
    if 2 * neighbours >= down.size:
        return np.arange(down.size)
    near = [
        found.undecided,
        np.argpartition(up, neighbours)[:neighbours],
        np.argpartition(-down, neighbours)[:neighbours],
        np.flatnonzero(loss <= gap),
    ]
    return np.unique(np.concatenate(near))


def _groups(some: Players) -> tuple[list[Group], list[Indices]]:
    """Return the organizations as groups of (nearly) equal ones, and each group's members.

    A group's segments are the best that any member has at each end, so what is proven of the
    group holds for its members; for equal ones they are the members' own.
    """
    order, first = _alike(some)
    level, *ends = segment_ends(some)
    # The best of each group's members, (groups, m K); one that is not feasible has v = -inf.
    best = [np.maximum.reduceat(end[order], first, axis=0).tolist() for end in ends]
    groups, members = [], []
    for label, alike in enumerate(np.split(order, first[1:])):
        segments = tuple(
            Segment(int(level[at]), *(end[label][at] for end in best))
            for at in range(level.size)
            if best[1][label][at] > -np.inf
        )
        groups.append(Group(label, int(alike.size), segments))
        members.append(alike)
    return groups, members


def _alike(some: Players) -> tuple[Indices, Indices]:
    """Return an order in which nearly equal organizations are neighbours, and the runs' starts.

    Nearly equal: all numbers agree to :data:`ALIKE`, and the same levels are feasible.
    """
    numbers = np.column_stack(some)
    with np.errstate(divide="ignore"):  # log 0 = -inf is as good a label as any
        rounded = np.nan_to_num(np.rint(np.log(np.abs(numbers)) / ALIKE), nan=-1.0, neginf=-2.0)
    reach = some.fraction_per_hz[:, None] * some.cpu_hz
    feasible = reach[:, :, None] >= some.low[:, None, :]
    signs = np.nan_to_num(np.sign(numbers))
    rows = np.column_stack([rounded, signs, feasible.reshape(signs.shape[0], -1)])
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    new = np.any(ordered[1:] != ordered[:-1], axis=1)
    return order, np.flatnonzero(np.concatenate([[True], new]))


def _placed(
    everyone: Players, chosen: Choices, outcome: Outcome, members: Sequence[Indices]
) -> StrategyProfile:
    """Return everybody's strategy: as chosen, or as placed by the residual problem."""
    decided = chosen_profile(everyone, chosen)
    d, f = decided.data_fraction.copy(), decided.cpu_hz.copy()
    taken = [0] * len(members)
    for placement in outcome.placements:
        start = taken[placement.label]
        taken[placement.label] = start + placement.count
        who = members[placement.label][start : start + placement.count]
        f[who] = everyone.cpu_hz[who, placement.level]
        most = np.minimum(1.0, everyone.fraction_per_hz[who] * f[who])
        least = everyone.low[who].min(axis=1)
        d[who] = np.clip(placement.w / everyone.data_units[who], least, most)
    return StrategyProfile(d, f)
