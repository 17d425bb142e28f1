r"""The planner: the profile with the highest social welfare, with a proven upper bound.

Redistribution cancels from welfare (docs/explanation/efficient-compensation.md). With ``z_j`` and
``w_j = sum_k rho_jk p_k``,

    W(pi) = (sum_j z_j) P(Omega) + sum_j w_j P(Omega - u_j d_j) - sum_j overhead_j

and for given data the slowest feasible level is the cheapest. Three parts, one file each:

1. :mod:`tradefl.solvers.hulls` replaces each organization's overhead by the least concave function
   above it.
2. :mod:`tradefl.solvers.relaxation` solves the concave problem that results by two prices, in some
   tens of passes over all organizations, and bounds W from above.
3. :mod:`tradefl.solvers.branching` splits on the level of the few organizations that the
   relaxation leaves between two levels, and on the side of the onset of P.

:func:`optimum` answers for any subset of the organizations without building a game of its own.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.payoff import communication_joules, payoffs
from tradefl.game.strategy import StrategyProfile
from tradefl.solvers.hulls import Menu
from tradefl.solvers.planning import Menus, plan
from tradefl.solvers.solution import Solution

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

TOLERANCE = 1e-9
MAX_ITERATIONS = 20_000
TIME_LIMIT = 600.0


def solve(
    game: CoopetitionGame,
    *,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
    time_limit: float = TIME_LIMIT,
) -> Solution:
    """Return the profile with the highest social welfare, and a proven bound on it.

    The bound is the solution's ``welfare_bound``; ``optimal`` means that welfare is within the
    tolerance of it. The profile need not be an equilibrium: its regret says what the rule of the
    game leaves to be gained by leaving it.

    Parameters
    ----------
    game
        The game.
    tolerance
        Relative: optimal when ``welfare_bound - social_welfare <= tolerance |welfare_bound|``, or
        when only rounding is left of the gap.
    max_iterations
        The most relaxations, one for each search node; beyond it the gap stays and the status
        says so.
    time_limit
        Seconds after which the search stops, with the best profile and the bound that it has. One
        pass over all organizations is always made.

    Raises
    ------
    ValueError
        An option is out of range.
    """
    began = time.perf_counter()
    _check(tolerance, max_iterations, time_limit)
    coalitions = Coalitions(game)
    left = max(time_limit - (time.perf_counter() - began), float(np.finfo(float).tiny))
    best = coalitions.optimum(tolerance=tolerance, max_iterations=max_iterations, time_limit=left)
    value = best.welfare
    # The sum of the payoffs rounds in its own way; nor does that pass the bound.
    bound = max(best.bound, payoffs(game, best.profile).social_welfare)
    remarks: tuple[str, ...] = ()
    if bound - value > best.allowed:
        remarks = (
            f"not proven optimal: welfare may be {bound - value:.3g} higher, after "
            f"{best.nodes:,} search node{'' if best.nodes == 1 else 's'}",
        )
    return Solution.certified(
        game,
        best.profile,
        finished=True,
        method="planner",
        iterations=best.nodes,
        runtime_seconds=time.perf_counter() - began,
        welfare_bound=bound,
        gap=best.allowed,
        remarks=remarks,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Optimum:
    """The welfare optimum of some organizations that train together, without the others.

    Attributes
    ----------
    members
        Shape ``(n,)``: who trains, ascending indices.
    welfare
        The sum of the members' payoffs, payoff units.
    bound
        What no profile of the members exceeds.
    allowed
        The gap that counts as closed: the tolerance times the bound, or rounding.
    data_fraction, cpu_hz
        Shape ``(n,)``: the members' strategies.
    nodes
        The search nodes that it took.
    """

    members: Indices
    welfare: float
    bound: float
    allowed: float
    data_fraction: Array
    cpu_hz: Array
    nodes: int

    @property
    def proven(self) -> bool:
        """Whether the bound proves the optimum."""
        return self.bound - self.welfare <= self.allowed

    @property
    def profile(self) -> StrategyProfile:
        """The members' strategies as a profile: of the whole game if all are members."""
        return StrategyProfile(self.data_fraction, self.cpu_hz)


def optimum(game: CoopetitionGame, members: Any = None, **options: Any) -> Optimum:
    """Return the highest welfare that some organizations of a game can reach by themselves.

    ``W`` with ``Z``, ``w`` and the transfers of the subset (docs/explanation/planner.md,
    "Subsets"): an organization that is not a member neither contributes nor competes. For many
    subsets of one game keep a :class:`Coalitions`.

    Parameters
    ----------
    game
        The game.
    members
        Their indices, or a mask of shape ``(N,)``; all when absent.
    **options
        As of :func:`solve`.
    """
    return Coalitions(game).optimum(members, **options)


class Coalitions:
    """The welfare optimum of any subset of a game's organizations.

    The levels that are worth choosing do not depend on who takes part: they are worked out once.

    Parameters
    ----------
    game
        The game.
    data_cost
        What preparing a full dataset costs each organization, payoff units: a number or shape
        ``(N,)``; default: the game's.
    joining_cost
        What taking part costs each member once, payoff units: likewise.
    """

    def __init__(
        self, game: CoopetitionGame, *, data_cost: Any = None, joining_cost: Any = None
    ) -> None:
        self.game = game
        joining_cost = game.joining_cost if joining_cost is None else joining_cost
        cost = data_overhead(game, data_cost)
        high = game.max_data_fraction(game.cpu_levels_hz)
        self.menu = Menu.of(game.data_units, game.min_data_fraction, high, cost)
        self.fixed = game.overhead_weight * communication_joules(game)
        self.fixed = self.fixed + np.broadcast_to(joining_cost, game.size)

    def optimum(
        self,
        members: Any = None,
        *,
        market: bool = False,
        tolerance: float = TOLERANCE,
        max_iterations: int = MAX_ITERATIONS,
        time_limit: float = TIME_LIMIT,
    ) -> Optimum:
        """Return the optimum of some organizations, of all when ``members`` is absent.

        With ``market``, of what they earn in the market: ``Z(S) P(Omega)`` minus their overheads
        (:mod:`tradefl.game.participation`), not of the sum of their payoffs of Eq. (11).

        Raises
        ------
        ValueError
            An option is out of range, or ``members`` are not distinct indices of organizations,
            at least one.
        """
        _check(tolerance, max_iterations, time_limit)
        until = time.perf_counter() + time_limit
        game = self.game
        who = _members(members, game.size)
        if who.size == game.size:
            menu, weight = self.menu, np.array(game.competitors_profitability)
            together = float(game.potential_weights.sum())
        else:
            menu = self.menu.some(who)
            inside = np.zeros(game.size)
            inside[who] = game.profitability[who]
            weight = np.asarray(game.competition.dot(inside))[who]
            together = float((game.profitability[who] - weight).sum())
        if market:
            weight = np.zeros(who.size)
        menus = Menus(menu.least, menu.reach, menu.price, menu.last)
        found = plan(game.accuracy, together, weight, menus, tolerance, max_iterations, until)
        x = found.x
        d, f = strategies(
            menu,
            x,
            game.min_data_fraction,
            game.data_fraction_per_hz[who],
            game.cpu_levels_hz[who],
        )
        fixed = float(self.fixed[who].sum())
        welfare, bound = found.value - fixed, found.bound - fixed
        return Optimum(
            members=who,
            welfare=welfare,
            bound=bound,
            allowed=max(tolerance * abs(bound), 2.0 * found.rounding),
            data_fraction=d,
            cpu_hz=f,
            nodes=found.nodes,
        )


def data_overhead(game: CoopetitionGame, data_cost: Any = None) -> Array:
    """Return what a full dataset costs at each level, shape ``(N, m)``, payoff units.

    ``data_cost`` takes the place of the game's.
    """
    per_hz = game.overhead_weight * game.capacitances
    cycles = np.asarray(per_hz * game.cycles_per_bit * game.data_bits)
    cost = np.asarray(cycles[..., None] * game.cpu_levels_hz**2)
    cost += np.broadcast_to(game.data_cost if data_cost is None else data_cost, cycles.shape)[
        ..., None
    ]
    return cost


def strategies(
    menu: Menu, x: Array, least: Any, fraction_per_hz: Array, cpu_levels_hz: Array
) -> tuple[Array, Array]:
    """Return the data fractions and frequencies with which organizations provide x; all ``(N,)``.

    ``cpu_levels_hz`` has shape ``(N, m)``; ``least`` is D_min, a number or ``(N,)``.
    """
    each = np.arange(x.size)
    level = menu.cheapest_of(each, x)
    f = cpu_levels_hz[each, menu.level[each, level]]
    most = np.minimum(1.0, fraction_per_hz * f)
    d = np.minimum(np.maximum(x / menu.units, least), most)
    # What the deadline caps is not to be rounded by way of x.
    return np.where(x >= menu.reach[each, level], most, d), f


def _check(tolerance: float, max_iterations: int, time_limit: float) -> None:
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"tolerance: expected a number in (0, 1), got {tolerance!r}")
    if not isinstance(max_iterations, int) or max_iterations < 1:
        raise ValueError(f"max_iterations: expected an integer >= 1, got {max_iterations!r}")
    if not time_limit > 0.0:
        raise ValueError(f"time_limit: expected a number > 0, got {time_limit!r}")


def _members(members: Any, size: int) -> Indices:
    if members is None:
        return np.arange(size)
    given = np.asarray(members)
    if given.dtype == bool:
        if given.shape != (size,):
            raise ValueError(f"members: expected a mask of shape ({size},), got {given.shape}")
        given = np.flatnonzero(given)
    who = np.unique(given)
    valid = given.ndim == 1 and given.dtype.kind in "iu" and 0 < who.size == given.size
    if not valid or who[0] < 0 or who[-1] >= size:
        raise ValueError(f"members: expected distinct indices of {size} organizations")
    return np.asarray(who, dtype=np.intp)
