r"""The incentive intensity that serves the consortium best.

Welfare at the equilibrium is a piecewise smooth function of gamma with jumps where somebody
changes its level, so no local method can be trusted. The search is global: a logarithmic grid
over every gamma that matters, then ever finer grids around the best cells, until they are
narrower than the wanted precision. Each grid is solved at once
(:func:`~tradefl.solvers.many.solve_many`); the equilibria that the answer rests on are confirmed by
the method that was asked for, because best responses may end in another one.

Redistribution cancels from welfare; gamma matters through what organizations contribute.
Where everybody is at a deadline or at all its data, gamma changes nothing for a while, so
welfare has plateaus. Of gammas that serve welfare equally, the smallest moves the least money;
the search goes on to the lower end of the plateau.

Participation is not automatic (erratum E6): by default only a gamma may win at which nobody would
earn more by training alone. ``participation="zero"`` is the paper's weaker demand, individual
rationality (Definition 3): nobody's payoff is negative.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from tradefl.arguments import POSITIVE, TRUTH, WITH_A_GAME, accepts, choice, optional, whole
from tradefl.game import CoopetitionGame, alone
from tradefl.game.participation import TOLERANCE as ALONE_TOLERANCE
from tradefl.notebook import Shown
from tradefl.solvers import METHODS, SEARCH, Solution, game_of, solve
from tradefl.solvers.games import Games
from tradefl.solvers.many import COMPILE_FROM, Method, solve_many

if TYPE_CHECKING:
    from tradefl.consortium import Consortium

if TYPE_CHECKING:
    from tradefl.documents.tuning import TuneDocument

Array = npt.NDArray[np.float64]

Participation = Literal["alone", "zero"]

PARTICIPATION: tuple[Participation, ...] = get_args(Participation)
GRID_POINTS = 161
# The grid spans so many powers of ten below the gamma from which nothing changes any more.
DECADES = 8
# Cells refined in each pass, points in each of them, and when they are narrow enough.
BEST_CELLS = 4
CELL_POINTS = 8
PRECISION = 1e-4
# These dynamics solve many games at once.
BATCHED = ("dbr", "gca", "fip")
# So many gammas a search tries, more or less.
USUAL_SOLVES = 300
# Welfare is equal to within this share of all payoffs' terms; less is the order of summation.
ROUNDING = 1e-12


@dataclasses.dataclass(frozen=True)
class Point:
    """The equilibrium at one incentive intensity."""

    incentive_intensity: float
    social_welfare: float
    total_data_fraction: float
    performance: float
    damage: float
    individually_rational: bool
    better_than_alone: bool
    status: str


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Tuning(Shown):
    """The best incentive intensity, the curve behind it, and what it means for each.

    Attributes
    ----------
    best
        The solution at gamma*, or ``None`` if no gamma satisfies the participation constraint.
    without
        The solution at ``gamma = 0``.
    curve
        Every gamma that was tried, ascending.
    largest_individually_rational
        The largest gamma at which nobody's payoff is negative, among those tried and to the
        search's precision; ``inf`` if the largest tried is one, ``None`` if no gamma is.
    individual_rationality
        Whether participation was demanded of gamma*.
    participation
        What an organization has if it does not take part: what it earns ``alone``, or ``zero``.
    """

    best: Solution | None
    without: Solution
    curve: tuple[Point, ...]
    largest_individually_rational: float | None
    individual_rationality: bool
    participation: Participation = "alone"

    @cached_property
    def gain(self) -> Array | None:
        """What each gains at gamma* against ``gamma = 0``, shape ``(N,)``."""
        return None if self.best is None else self.best.payoffs - self.without.payoffs

    def _title(self) -> str:
        return f"of {self.without.game.title}: {len(self.curve):,} gammas tried"

    def _facts(self) -> list[tuple[str, str]]:
        if self.best is None:
            return [("gamma*", "none is individually rational")]
        return [
            ("gamma*", f"{self.best.game.incentive_intensity:.6g}"),
            ("social welfare", f"{self.best.social_welfare:,.6g}"),
        ]

    def _records(self) -> list[dict[str, Any]]:
        return [dataclasses.asdict(point) for point in self.curve]

    def in_currency(self) -> Tuning:
        """Return the same with every amount in the game's currency, gamma too, to be shown."""
        game = self.without.game
        if game.currency is None or game.payoff_unit == 1.0:
            return self
        unit, largest = game.payoff_unit, self.largest_individually_rational
        return dataclasses.replace(
            self,
            best=None if self.best is None else self.best.in_currency(),
            without=self.without.in_currency(),
            curve=tuple(
                dataclasses.replace(
                    point,
                    incentive_intensity=point.incentive_intensity * unit,
                    social_welfare=point.social_welfare * unit,
                    damage=point.damage * unit,
                )
                for point in self.curve
            ),
            largest_individually_rational=None if largest is None else largest * unit,
        )

    def document(self) -> TuneDocument:
        """Return the JSON document ``tradefl/tune/1``."""
        from tradefl.documents.base import money_keys
        from tradefl.documents.tuning import CurvePoint, TuneDocument, TunedOrganization

        best, largest = self.best, self.largest_individually_rational
        organizations = None
        if best is not None and self.gain is not None:
            columns = (
                *(self.without.payoffs, best.payoffs, self.gain),
                *(best.alone, best.gain_over_alone),
            )
            organizations = [
                TunedOrganization(
                    name=best.game.name_of(i),
                    payoff_without_incentive=before,
                    payoff=after,
                    gain=gain,
                    alone=alone,
                    gain_over_alone=over_alone,
                )
                for i, (before, after, gain, alone, over_alone) in enumerate(
                    zip(*(column.tolist() for column in columns), strict=True)
                )
            ]
        return TuneDocument(
            document="tradefl/tune/1",
            consortium=self.without.game.title,
            method=self.without.method,
            individual_rationality=self.individual_rationality,
            participation=self.participation if self.individual_rationality else None,
            incentive_intensity=None if best is None else best.game.incentive_intensity,
            social_welfare=None if best is None else best.social_welfare,
            social_welfare_without_incentive=self.without.social_welfare,
            individually_rational=(
                None if best is None else best.certificate.individually_rational
            ),
            better_than_alone=None if best is None else best.better_than_alone,
            # Infinity is not JSON; null and the flag say it.
            largest_individually_rational=None if largest == np.inf else largest,
            individually_rational_throughout=largest == np.inf,
            organizations=organizations,
            curve=[CurvePoint.of(**dataclasses.asdict(point)) for point in self.curve],
            **money_keys(self.without.game),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()


@accepts(
    game=WITH_A_GAME,
    method=choice((*METHODS, SEARCH)),
    individual_rationality=TRUTH,
    participation=choice(PARTICIPATION),
    largest=optional(POSITIVE),
    points=whole(3),
)
def tune(
    game: CoopetitionGame | Consortium,
    *,
    method: str = "exact",
    individual_rationality: bool = True,
    participation: Participation = "alone",
    largest: float | None = None,
    points: int = GRID_POINTS,
) -> Tuning:
    """Find the incentive intensity with the highest social welfare at equilibrium.

    Parameters
    ----------
    game
        A game or a consortium; its own gamma does not matter.
    method
        The solver that finds the equilibrium. With ``exact`` best responses find the curve, and
        gamma* and the ends of the range in which nobody loses are confirmed by ``exact``.
    individual_rationality
        Whether everybody must want to take part at gamma*.
    participation
        What a payoff at gamma* must be at least: ``alone``, what the organization would earn by
        training alone; ``zero``, the paper's Definition 3.
    largest
        The largest gamma to try, payoff per bit; default :func:`saturation`.
    points
        Points of the first grid, at least 3.

    Raises
    ------
    ValueError
        An option is out of range, or the method is the planner.
    """
    game = game_of(game)
    if method == "planner":
        raise ValueError(
            "method: gamma changes nothing about the social optimum; take an equilibrium's method"
        )
    search = _Search(game, method, participation if individual_rationality else None)
    top = saturation(game) if largest is None else largest
    without = search.at(0.0)
    best: float | None = 0.0
    if top > 0.0:
        search.finest = PRECISION * top * 10.0**-DECADES
        search.try_all(top * np.logspace(-DECADES, 0.0, points))
        while True:
            while search.refine():
                pass
            tried = len(search.confirmed)
            search.sharpen_rational_end()
            best = search.best()
            if len(search.confirmed) == tried:
                break
    else:
        best = search.best()
    return Tuning(
        best=None if best is None else search.at(best),
        without=without,
        curve=tuple(search.points[gamma] for gamma in sorted(search.points)),
        largest_individually_rational=search.largest_rational(),
        individual_rationality=individual_rationality,
        participation=participation,
    )


def saturation(game: CoopetitionGame) -> float:
    """Return a gamma from which on everybody contributes all it can, whatever P is worth.

    At the fastest level data pays by itself from ``gamma rho_i. >= varpi_e kappa eta_i F^2 +
    data_cost_i / s_i`` on, and the fastest level pays against the next one when its lambda
    outweighs the energy. Zero if nobody competes: then gamma has no effect at all.
    """
    rivals = game.total_intensity > 0.0
    if not rivals.any():
        return 0.0
    levels = game.cpu_levels_hz[rivals]
    fastest = np.fmax.reduce(levels, axis=1)
    slower = np.where(levels < fastest[:, None], levels, 0.0)
    step = fastest - np.fmax.reduce(slower, axis=1)
    energy = game.overhead_weight * game.capacitances[rivals]
    energy = energy * game.cycles_per_bit[rivals] * fastest**2
    bits = game.data_bits[rivals]
    data_pays = (energy + game.data_cost[rivals] / bits) / game.total_intensity[rivals]
    speed_pays = energy / game.total_intensity[rivals] * bits / (game.compute_weight * step)
    top = float(np.maximum(data_pays, speed_pays).max())
    # Nothing to save energy for: any small gamma is beyond saturation.
    return top if top > 0.0 else float(1.0 / game.data_bits.max())


class _Search:
    """The gammas tried so far, and the finer ones that are worth trying.

    Gammas are solved in batches by the dynamics of ``quick``; those that the answer rests on are
    confirmed by the method itself, whose equilibrium may be another one.
    """

    def __init__(
        self, game: CoopetitionGame, method: str, participation: Participation | None
    ) -> None:
        self.game, self.method, self.participation = game, method, participation
        self.quick: Method | None = cast(Method, method) if method in BATCHED else None
        if method == "exact":
            self.quick = "dbr"
        # Of all batches together, so that each runs like the first.
        self.compiled = USUAL_SOLVES * game.cpu_levels_hz.size >= COMPILE_FROM
        self.points: dict[float, Point] = {}
        self.confirmed: dict[float, Solution] = {}
        self.finest = 0.0  # cells this narrow are not split, however near to zero
        self.scale = 0.0  # the largest sum of all payoffs' terms

    def at(self, gamma: float) -> Solution:
        """Return the method's own solution at a gamma, which then counts there."""
        if gamma not in self.confirmed:
            solution = solve(self.game.with_incentive_intensity(gamma), self.method)
            self.scale = max(self.scale, float(solution.certificate.payoff_scale.sum()))
            self.confirmed[gamma] = solution
            self.points[gamma] = Point(
                incentive_intensity=gamma,
                social_welfare=solution.social_welfare,
                total_data_fraction=float(solution.profile.data_fraction.sum()),
                performance=solution.terms.performance,
                damage=float(solution.terms.damage.sum()),
                individually_rational=solution.certificate.individually_rational,
                better_than_alone=solution.better_than_alone,
                status=solution.status,
            )
        return self.confirmed[gamma]

    def try_all(self, gammas: Sequence[float] | Array) -> None:
        """Solve at every gamma that is new."""
        new = sorted({float(gamma) for gamma in gammas} - self.points.keys())
        if self.quick is None:
            for gamma in new:
                self.at(gamma)
            return
        if not new:
            return
        one = Games.of([self.game.with_incentive_intensity(0.0)])
        found = solve_many(one.at_intensities(new), method=self.quick, compiled=self.compiled)
        self.scale = max(self.scale, float(found.payoff_scale.sum(axis=1).max()))
        apart = alone(self.game)
        for k, gamma in enumerate(new):
            status = "feasible" if found.settled[k] else "iteration_limit"
            self.points[gamma] = Point(
                incentive_intensity=gamma,
                social_welfare=float(found.social_welfare[k]),
                total_data_fraction=float(found.total_data_fraction[k]),
                performance=float(found.performance[k]),
                damage=float(found.damage[k].sum()),
                individually_rational=bool(found.individually_rational[k]),
                better_than_alone=bool(
                    (found.payoffs[k] >= apart - ALONE_TOLERANCE * found.payoff_scale[k]).all()
                ),
                status="equilibrium" if found.is_equilibrium[k] else status,
            )

    def wanted(self, point: Point) -> bool:
        """Return whether everybody would take part there, if that is demanded."""
        if self.participation is None:
            return True
        if self.participation == "zero":
            return point.individually_rational
        return point.better_than_alone

    def merits(self) -> dict[float, float]:
        """Return the welfare of each gamma, ascending; -inf for those that may not win.

        Values that differ by rounding are equal.
        """
        merits = {
            gamma: point.social_welfare if self.wanted(point) else -np.inf
            for gamma, point in sorted(self.points.items())
        }
        equal = max(merits.values()) - ROUNDING * self.scale
        return {gamma: min(merit, equal) for gamma, merit in merits.items()}

    def best(self) -> float | None:
        """Return the gamma with the highest welfare that may win; ties go to the smallest.

        The method itself has confirmed it: a gamma whose equilibrium turns out to be another one
        competes with the welfare of that.
        """
        while True:
            merits = self.merits()
            winner = max(merits, key=lambda gamma: merits[gamma])
            if merits[winner] == -np.inf:
                return None
            if winner in self.confirmed:
                return winner
            self.at(winner)

    def refine(self) -> bool:
        """Try finer grids in the best cells; return whether any was still wide."""
        value = self.merits()
        # A cell is as good as the better of its allowed ends; ties go to the lowest.
        cells = sorted(
            itertools.pairwise(value),
            key=lambda cell: max(value[cell[0]], value[cell[1]]),
            reverse=True,
        )
        wide = [
            (low, high)
            for low, high in cells[:BEST_CELLS]
            if high - low > max(PRECISION * high, self.finest)
            and max(value[low], value[high]) > -np.inf
        ]
        self.try_all([g for low, high in wide for g in np.linspace(low, high, CELL_POINTS)[1:-1]])
        return bool(wide)

    def largest_rational(self) -> float | None:
        rational = [gamma for gamma, p in self.points.items() if p.individually_rational]
        if not rational:
            return None
        return np.inf if max(rational) == max(self.points) else max(rational)

    def sharpen_rational_end(self) -> None:
        """Narrow the cell between the largest rational gamma and the next one tried."""
        while True:
            low = self.largest_rational()
            if low is None:
                return
            ends = [max(self.points)]
            if low != np.inf:
                ends = [low, min(gamma for gamma in self.points if gamma > low)]
            if ends[-1] - ends[0] > max(PRECISION * ends[-1], self.finest):
                points = CELL_POINTS if self.quick is not None else 3
                self.try_all(np.linspace(ends[0], ends[-1], points)[1:-1])
                continue
            open_ = [gamma for gamma in ends if gamma not in self.confirmed]
            if not open_:
                return
            for gamma in open_:
                self.at(gamma)
