r"""A rule under which nobody gains by misreporting: menus, rents, rebates and a residual claimant.

Every organization but one, the claimant c, reports one private figure from a menu
``s_1 < ... < s_M`` that was agreed before. In place of a claimant a *payee*, an account that
contributes nothing, may receive what is left; then all organizations report. Everything else is
public or measured. For reports r the planner's optimum ``pi*(r)`` is carried out, and i receives
``T_i(r) + R_i(r_-i)``:

    U_i(s_m) = U_i(s_1) + steps up to m                       (the others' reports fixed)
    U_i(s_1) = max_m [ O_i(s_m) - (U_i(s_m) - U_i(s_1)) ]     O_i: payoff without compensation
    T_i(r)   = U_i(r) - payoff0_i(pi*(r); r)
    S(r)     = W(pi*(r); r) - sum_{i != c} U_i(r) - O_c(r)    what is left
    R_i      = min_m S(s_m, r_-i) / (N - 1)                   rebate, independent of i's report

The claimant receives ``- sum_{i != c} (T_i + R_i)``: the budget balances at every profile. With a
payee, S has no ``O_c``, the rebate divides by N, and the payee receives that sum.

*Profitability* (theorem B1). A step is ``(s_{l+1} - s_l) (a_l + a_{l+1}) / 2`` with
``a = P(Omega*)``. If every ``a_i`` is nondecreasing in i's own report, honest reporting is an
ex-post equilibrium: whatever the true figures in the menus, if the others are honest nobody gains
by any report. Where ``a_i`` falls, menu points are merged ("ironed").

*Pure costs* (theorem B3): ``data_cost``, own ``capacitance``, ``joining_cost``; and the
profitability of an organization that has no rival. A step is exactly ``W*(s_{l+1}) - W*(s_l)``, and
then no report followed by any contribution gains.

Rebates are not clipped: where S is negative somewhere, they are negative too, and the range is
refused (:func:`truthful`), because somebody would have to add money.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tradefl.design import Design, design
from tradefl.game import CoopetitionGame
from tradefl.incentives.optima import Optima, Outcomes, Reports
from tradefl.incentives.rounding import falls, rounding
from tradefl.solvers import solve

Array = npt.NDArray[np.float64]

PROFITABILITY = "profitability"
PURE_COSTS = ("data_cost", "capacitance", "joining_cost")
ASKED = (PROFITABILITY, *PURE_COSTS)
REFUSED = {
    "cycles_per_bit": "effort also moves the deadline, so the optimum need not be convex in it and "
    "no payment makes honesty the best report; have the server time a benchmark instead",
    "competition": "two organizations know each rho and want opposite things; let both state it, "
    "and settle a mismatch with data that others can check",
}
POINTS = 5
PROFILES_TRIED = 200
# Of the bisection for the widest range that needs no outside money.
HALVINGS = 7


@dataclasses.dataclass(frozen=True, eq=False)
class Menus:
    """What each organization may report.

    Attributes
    ----------
    claimant
        The index of the residual claimant, which is not asked; ``None`` where a payee takes its
        place.
    fields
        Which figure each reports; ``None`` for the claimant.
    points
        The menu of each, ascending; empty for the claimant.
    reports
        Shape ``(N,)``: what each reports now, an element of its menu; NaN for the claimant.
    origin
        ``agreed`` if they were fixed before anybody reported, ``from reports`` otherwise.
    """

    claimant: int | None
    fields: tuple[str | None, ...]
    points: tuple[Array, ...]
    reports: Array
    origin: Literal["agreed", "from reports"]

    @property
    def asked(self) -> list[int]:
        """Who is asked."""
        return [i for i, field in enumerate(self.fields) if field is not None]

    def without(self, i: int, point: float) -> Menus:
        """Return menus without a point of i's."""
        kept = tuple(
            points[points != point] if k == i else points for k, points in enumerate(self.points)
        )
        if kept[i].size < 2:
            raise ValueError(
                f"figure: P falls along the whole menu of {self.fields[i]}, so that no payment "
                "makes it truthful; ask for another figure"
            )
        return dataclasses.replace(self, points=kept)


@dataclasses.dataclass(frozen=True, eq=False)
class Axis:
    """What i gets for each of its reports while the others' are fixed; all of shape ``(M,)``."""

    welfare: Array
    performance: Array
    utility: Array


@dataclasses.dataclass(frozen=True, eq=False)
class Proof:
    """Why nobody gains by misreporting, and what that costs.

    Attributes
    ----------
    menus
        What may be reported, after ironing.
    range
        The half width of menus that were written around the reports, as a share; ``None`` for
        agreed ones.
    ironed
        ``(organization, point)`` of the menu points that were dropped.
    axes
        Of each organization that is asked, at the others' present reports.
    surplus_on_axes
        Of each that is asked, S along its own axis.
    rebates, redistribution
        ``R_i`` and ``T_i + R_i``, shape ``(N,)``, payoff; those of the claimant are 0 and minus the
        sum of the others'. A payee receives minus the sum of all.
    surplus
        S at the present reports.
    least_surplus, least_gain
        The least S, and the least gain of anybody over its payoff without compensation, of all
        profiles tried.
    to_share
        What everybody together gains over no compensation at the present reports, payoff units.
    profiles_tried
        How many profiles of the menu box were tried.
    """

    menus: Menus
    range: float | None
    ironed: tuple[tuple[int, float], ...]
    axes: Mapping[int, Axis]
    surplus_on_axes: Mapping[int, Array]
    rebates: Array
    redistribution: Array
    surplus: float
    least_surplus: float
    least_gain: float
    to_share: float
    profiles_tried: int

    @cached_property
    def rounding(self) -> float:
        """Below what a surplus is rounding, payoff units (:mod:`tradefl.incentives.rounding`)."""
        return rounding(
            (self.menus.fields[i], self.menus.points[i], axis.performance, axis.welfare)
            for i, axis in self.axes.items()
        )

    @property
    def needs_money(self) -> bool:
        """Whether some profile tried would need outside money."""
        return self.least_surplus < -self.rounding

    @property
    def nothing_to_share(self) -> bool:
        """Whether the optimum at the present reports is worth no more than no agreement."""
        return self.to_share <= self.rounding

    @property
    def rents(self) -> Array:
        """What each gains over the least that its menu promises, shape ``(N,)``."""
        rents = np.zeros(self.rebates.size)
        for i, axis in self.axes.items():
            m = int(np.flatnonzero(self.menus.points[i] == self.menus.reports[i])[0])
            rents[i] = axis.utility[m] - axis.utility.min()
        return rents


class NeedsMoneyError(ValueError):
    """The menus would need outside money; ``widest`` is the range that does not, or ``None``."""

    def __init__(self, message: str, widest: float | None, least: float) -> None:
        super().__init__(message)
        self.widest, self.least = widest, least


def exact_steps(game: CoopetitionGame, field: str | None, i: int) -> bool:
    """Return whether i's figure enters its own payoff only: pure costs; profitability of no rival.

    Then theorem B3 holds for it, and steps are those of the optimal welfare.
    """
    return field != PROFITABILITY or not game.total_intensity[i] > 0.0


class Mechanism:
    """The payments of a game for any reports from the menus.

    Parameters
    ----------
    game
        The game; of the reported figures only those of organizations that are not asked count.
    menus
        What may be reported.
    optima
        What is solved already.
    """

    def __init__(self, game: CoopetitionGame, menus: Menus, optima: Optima | None = None) -> None:
        self.game, self.menus = game, menus
        self.optima = Optima(Reports(game, menus.fields)) if optima is None else optima

    def prepare(self, reports: Array) -> None:
        """Solve everything that the utilities at reports of shape ``(K, N)`` need, at once."""
        self.optima(
            np.concatenate([self._axis(row, i) for row in reports for i in self.menus.asked])
        )

    def needed(self, reports: Array, axes: Sequence[int]) -> Array:
        """Return all reports, each once, that the surplus along some axes takes, ``(K, N)``."""
        rows = [
            self._axis(row, j)
            for i in axes
            for row in self._axis(reports, i)
            for j in self.menus.asked
        ]
        return np.unique(np.concatenate([reports[None, :], *rows]), axis=0)

    def utility(self, reports: Array, i: int) -> float:
        """Return ``U_i`` of an organization that is asked, before rebates, payoff units."""
        m = int(np.flatnonzero(self.menus.points[i] == reports[i])[0])
        return float(self.axis(reports, i).utility[m])

    def _axis(self, reports: Array, i: int) -> Array:
        """Return the reports in which i alone changes its own, ``(M, N)``."""
        rows = np.repeat(reports[None, :], self.menus.points[i].size, axis=0)
        rows[:, i] = self.menus.points[i]
        return rows

    def axis(self, reports: Array, i: int) -> Axis:
        """Return what i gets for each of its reports."""
        found: Outcomes = self.optima(self._axis(reports, i))
        steps = self._steps(i, found)
        ladder = np.concatenate([[0.0], np.cumsum(steps)])
        lowest = float((found.outside[:, i] - ladder).max())
        return Axis(found.welfare, found.performance, lowest + ladder)

    def _steps(self, i: int, found: Outcomes) -> Array:
        if exact_steps(self.game, self.menus.fields[i], i):
            return np.diff(found.welfare)
        slope = found.performance
        return np.asarray(np.diff(self.menus.points[i]) * (slope[:-1] + slope[1:]) / 2.0)

    def utilities(self, reports: Array) -> Array:
        """Return ``U_i`` before rebates, shape ``(N,)``; ``O_c`` for the claimant."""
        utilities = self.optima(reports[None, :]).outside[0].copy()
        for i in self.menus.asked:
            utilities[i] = self.utility(reports, i)
        return np.asarray(utilities)

    def surplus(self, reports: Array) -> float:
        """Return S, payoff units."""
        welfare = float(self.optima(reports[None, :]).welfare[0])
        return welfare - float(self.utilities(reports).sum())

    def surplus_on_axis(self, reports: Array, i: int) -> Array:
        """Return S along i's own axis, shape ``(M,)``."""
        rows = self._axis(reports, i)
        self.prepare(rows)
        return np.array([self.surplus(row) for row in rows])

    def rebate(self, reports: Array, i: int) -> float:
        """Return ``R_i``, payoff units."""
        return float(self.surplus_on_axis(reports, i).min()) / len(self.menus.asked)

    def redistribution(self, reports: Array) -> tuple[Array, Array]:
        """Return ``T_i + R_i`` and ``R_i``, shape ``(N,)`` each; they and nothing else are paid."""
        found = self.optima(reports[None, :])
        rebates = np.zeros(self.game.size)
        for i in self.menus.asked:
            rebates[i] = self.rebate(reports, i)
        paid = self.utilities(reports) - found.payoffs[0] + rebates
        if self.menus.claimant is not None:
            paid[self.menus.claimant] = 0.0
            paid[self.menus.claimant] = -paid.sum()
        return paid, rebates

    def falls(self, reports: Array) -> tuple[int, float] | None:
        """Return an organization and a menu point at which ``a_i`` falls; ``None``: nowhere."""
        for i in self.menus.asked:
            if exact_steps(self.game, self.menus.fields[i], i):
                continue
            down, points = falls(self.axis(reports, i).performance), self.menus.points[i]
            if down.size:
                after = float(points[down[0] + 1])
                return i, float(points[down[0]]) if after == self.menus.reports[i] else after
        return None


def menus_around(
    game: CoopetitionGame,
    claimant: int | None,
    width: float,
    fields: Mapping[int, str] | None = None,
    points: int = POINTS,
) -> Menus:
    """Return menus of evenly spaced points within a share of today's figures.

    Honesty holds only once these menus are agreed and figures are reported afresh: a menu that is
    centred on a report moves with it.

    Raises
    ------
    ValueError
        The range is not in (0, 1), or a figure cannot be asked.
    """
    if not 0.0 < width < 1.0:
        raise ValueError(f"truthful: expected a number in (0, 1), got {width!r}")
    asked = fields_of(game, claimant, fields or {})
    ladder = 1.0 + width * np.linspace(-1.0, 1.0, points)
    ladder[points // 2] = 1.0
    lists, reports = [], np.full(game.size, np.nan)
    for i, field in enumerate(asked):
        if field is None:
            lists.append(np.empty(0))
            continue
        reports[i] = np.broadcast_to(getattr(game, field), game.size)[i]
        if reports[i] == 0.0:
            raise ValueError(
                f"figure: {field} of {game.name_of(i)} is 0, and every share of 0 is 0; give it a "
                f"{field}_menu in the file, or ask for another figure"
            )
        lists.append(np.unique(reports[i] * ladder))
    return Menus(claimant, asked, tuple(lists), reports, "from reports")


def fields_of(
    game: CoopetitionGame, claimant: int | None, fields: Mapping[int, str]
) -> tuple[str | None, ...]:
    """Return which figure each organization is asked for.

    Raises
    ------
    ValueError
        One of them cannot be asked: the message says why.
    """
    for i, field in fields.items():
        if i == claimant:
            raise ValueError(
                f"figure: {game.name_of(i)} is the residual claimant, which is not asked; "
                "name another organization"
            )
        if field in REFUSED:
            raise ValueError(f"figure: {field} cannot be asked: {REFUSED[field]}")
        if field not in ASKED:
            raise ValueError(f"figure: expected one of {', '.join(ASKED)}, got {field!r}")
    return tuple(None if i == claimant else fields.get(i, PROFITABILITY) for i in range(game.size))


def require_playable(game: CoopetitionGame, menus: Menus) -> None:
    """Require that every profile of the menu box is a game.

    Raises
    ------
    ValueError
        Some ``z_i`` is not positive where i reports its least and its rivals their most.
    """
    low, high = game.profitability.copy(), game.profitability.copy()
    for i in menus.asked:
        if menus.fields[i] == PROFITABILITY:
            low[i], high[i] = menus.points[i].min(), menus.points[i].max()
    for i in range(game.size):
        rivals, rho = game.competition.row(i)
        least = low[i] - float(rho @ high[rivals])
        if not least > 0.0:
            z, scale = game.potential_weights, game.profitability + game.competitors_profitability
            limit = float((z / scale).min())
            raise ValueError(
                f"truthful: {game.name_of(i)}: z = {least:.6g} where it reports {low[i]:,.6g} and "
                "its rivals their most; z must be > 0 for all reports, which it is for menus "
                f"within less than {limit:.4g} of the figures"
            )


def tried_profiles(menus: Menus, count: int, seed: int) -> Array:
    """Return profiles of the menu box: the reports, all corners alike, and random ones."""
    rng = np.random.default_rng(seed)
    low, high = menus.reports.copy(), menus.reports.copy()
    rows = []
    for i in menus.asked:
        low[i], high[i] = menus.points[i].min(), menus.points[i].max()
    for k in range(max(count - 3, 0)):
        row = menus.reports.copy()
        for i in menus.asked:
            points = menus.points[i]
            # Half of them are corners of the box.
            row[i] = rng.choice(points[[0, -1]] if k % 2 else points)
        rows.append(row)
    return np.array([menus.reports, low, high, *rows])


def proven(
    game: CoopetitionGame,
    menus: Menus,
    *,
    width: float | None = None,
    tried: int = PROFILES_TRIED,
    seed: int = 0,
    optima: Optima | None = None,
    watch: Callable[[str], None] = lambda _: None,
) -> Proof:
    """Return the proof object of menus: payments at the reports, and what was tried in the box."""
    require_playable(game, menus)
    optima = Optima(Reports(game, menus.fields)) if optima is None else optima
    ironed: list[tuple[int, float]] = []
    while True:
        mechanism = Mechanism(game, menus, optima)
        watch("the menus at these reports")
        rows = [
            menus.reports,
            *(row for i in menus.asked for row in mechanism._axis(menus.reports, i)),
        ]
        mechanism.prepare(np.array(rows))
        profiles = tried_profiles(menus, tried, seed)
        watch(f"{len(profiles):,} profiles of the menus")
        mechanism.prepare(profiles)
        fall = next(
            (found for row in [*rows, *profiles] if (found := mechanism.falls(row)) is not None),
            None,
        )
        if fall is None:
            break
        ironed.append(fall)
        menus = menus.without(*fall)
    on_axes = {i: mechanism.surplus_on_axis(menus.reports, i) for i in menus.asked}
    paid, rebates = mechanism.redistribution(menus.reports)
    now = mechanism.optima(menus.reports[None, :])
    surpluses, gains = [], []
    for row in profiles:
        utilities = mechanism.utilities(row)
        solved = mechanism.optima(row[None, :])
        surpluses.append(float(solved.welfare[0] - utilities.sum()))
        gains.append(float((utilities - solved.outside[0]).min()))
    surpluses += [float(values.min()) for values in on_axes.values()]
    return Proof(
        menus=menus,
        range=width,
        ironed=tuple(ironed),
        axes={i: mechanism.axis(menus.reports, i) for i in menus.asked},
        surplus_on_axes=on_axes,
        rebates=rebates,
        redistribution=paid,
        surplus=mechanism.surplus(menus.reports),
        least_surplus=min(surpluses),
        least_gain=min(gains),
        to_share=float(now.welfare[0] - now.outside[0].sum()),
        profiles_tried=len(profiles) + sum(values.size for values in on_axes.values()),
    )


def truthful(
    game: CoopetitionGame,
    claimant: int | None,
    *,
    payee: str | None = None,
    width: float | None = None,
    fields: Mapping[int, str] | None = None,
    menus: Menus | None = None,
    tried: int = PROFILES_TRIED,
    seed: int = 0,
    watch: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> tuple[Design, Proof]:
    """Design the efficient rule under which no report from the menus gains.

    Parameters
    ----------
    game
        The game with today's figures; its own rule does not matter.
    claimant
        The index of the residual claimant: a member whose figures are audited, not reported. It
        receives what the others leave. ``None`` with a payee.
    payee
        The name of an account that contributes nothing and receives what is left, in place of a
        claimant.
    width
        Write menus within this share of today's figures, in (0, 1).
    fields
        What an organization reports if not its profitability: ``data_cost``, ``capacitance`` or
        ``joining_cost``, by index.
    menus
        Menus that were agreed before; instead of ``width`` and ``fields``.
    tried, seed
        At how many profiles of the menu box surplus and individual rationality are tried, and the
        seed of the random ones.
    watch
        Called with the name of each stage as it starts.
    **options
        Passed to :func:`~tradefl.design.design`.

    Raises
    ------
    NeedsMoneyError
        At some profile of the menu box the payments would need outside money. It has the widest
        range that does not.
    ValueError
        An option is out of range, a figure cannot be asked, or a profile of the menu box is no
        game.
    """
    if (claimant is None) == (payee is None):
        raise ValueError("residual: expected a residual claimant or a payee, and not both")
    if claimant is not None and not 0 <= claimant < game.size:
        raise ValueError(f"residual: expected an organization, got {claimant!r}")
    if claimant is not None and game.size < 3:
        raise ValueError(
            "residual: expected at least three organizations: two that report and a claimant; "
            "or a payee that contributes nothing"
        )
    if menus is None:
        if width is None:
            raise ValueError("truthful: expected a range, or agreed menus")
        menus = menus_around(game, claimant, width, fields)
    watch("the optimum")
    bare = game.with_incentive_intensity(0.0)
    best = solve(bare, "planner")
    optima = Optima(Reports(game, menus.fields))
    optima.pool.append(best.profile)  # what design carries out
    found = proven(
        game,
        menus,
        width=width if menus.origin == "from reports" else None,
        tried=tried,
        seed=seed,
        optima=optima,
        watch=watch,
    )
    if found.needs_money:
        why = (
            f"at some reports from these menus the payments would need {-found.least_surplus:.6g} "
            "of outside money, in units of payoff"
        )
        if found.nothing_to_share:
            why += (
                ": there is no gain to share, because without compensation everybody already "
                "contributes what is best for all"
            )
        widest = None
        if menus.origin == "from reports" and width is not None:
            widest = widest_range(
                game, claimant, width, fields or {}, optima, tried=tried, seed=seed, watch=watch
            )
        raise NeedsMoneyError(why, widest, found.least_surplus)
    designed = design(
        game,
        split=found.redistribution,
        payee=payee,
        optimum=best,
        without=solve(bare, "dbr"),  # as utilities are measured
        watch=watch,
        **options,
    )
    return designed, found


def widest_range(
    game: CoopetitionGame,
    claimant: int | None,
    width: float,
    fields: Mapping[int, str],
    optima: Optima,
    *,
    tried: int = PROFILES_TRIED,
    seed: int = 0,
    watch: Callable[[str], None] = lambda _: None,
) -> float | None:
    """Return the widest range below ``width`` that needs no outside money; ``None`` if none.

    Found by bisection, so it is a range that works; a wider one may. It is judged as
    :func:`truthful` judges it: at as many profiles, by the same tolerance.
    """
    low, high, works = 0.0, width, None
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        watch(f"whether {middle:.3g} works")
        menus = menus_around(game, claimant, middle, fields)
        fresh = Optima(Reports(game, menus.fields), tuple(optima.pool))
        found = proven(game, menus, width=middle, tried=tried, seed=seed, optima=fresh)
        if found.needs_money:
            high = middle
        else:
            low = works = middle
    return works
