r"""What each organization could gain by misreporting a figure, while the others are honest.

Every figure that a file states about an organization can be misstated. Within a range around each,
this searches the report that gains most under a rule. What is reported decides what is agreed on;
what is earned follows from the truth.

*The paper's rule.* gamma is fixed, and profitability, effort, link times and costs are never
asked: everybody plays its own best response, so there is nothing to gain (certified). What is
asked are sizes, levels and rho: they set the payments, and the market stays as it is. The
equilibrium is that of the payments as reported and of everything else as it is. With gamma tuned
on reports, figures that are not paid for can move gamma too.

*The efficient rule.* Reports decide ``pi*(r)`` and the constants that split the gain. All carry
``pi*(r)`` out, and i earns its true payoff there with the payment of the reports. A report under
which i could not deliver in time is left out. ``then_deviates`` says whether contributing something
else afterwards adds to the gain.

The search is over a grid of reports, so a gain is a lower bound, labelled ``certified = False``
with the resolution; zero is certified where a figure is not asked, or where the file carries a
promise of honesty for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tradefl.consortium.schema import Truthful
from tradefl.design import TARGETS, Target, in_decimals, schedule_of, split_gain
from tradefl.errors import InputError, Parameter
from tradefl.game import (
    CoopetitionGame,
    DenseCompetition,
    EfficientRule,
    InvalidGameError,
    Schedule,
    StrategyProfile,
    regret,
)
from tradefl.game.externality import Externality
from tradefl.game.money import in_currency, unit_of
from tradefl.game.rules import MAX_BREAKPOINTS
from tradefl.game.welfare import payoffs_without_redistribution
from tradefl.incentives import sharing
from tradefl.incentives.promise import agreed_menus
from tradefl.incentives.under_menus import UnderMenus
from tradefl.solvers import Solution, solve
from tradefl.solvers.games import Games
from tradefl.solvers.many import solve_many
from tradefl.tuning import Tuning, tune

if TYPE_CHECKING:
    from tradefl.consortium import Consortium
    from tradefl.documents.incentives import IncentivesDocument

Array = npt.NDArray[np.float64]

POINTS = 10
# Under menus, of so many of the largest gains it is worked out who pays them.
PAYERS_OF = 10
GAMMAS = 22
TRUTH = (-1, "", 1.0)
# Gains below this share of an organization's payoff are rounding.
ROUNDING = 1e-9
# Who can check a figure, by the file's key.
CHECKED_BY = {
    "profitability": "nobody",
    "cycles_per_bit": "server",
    "cpu_levels_hz": "server",
    "download_seconds": "server",
    "upload_seconds": "server",
    "data_bits": "server",
    "samples": "server",
    "quality": "server",
    "data_cost": "invoice",
    "joining_cost": "invoice",
    "capacitance": "invoice",
    "competition": "market data",
}
# What the payments of the paper's rule are computed from.
PAID_FOR = ("data_bits", "cpu_levels_hz", "competition")


@dataclasses.dataclass(frozen=True)
class Misreport:
    """The best misreport of one figure that was found.

    Attributes
    ----------
    organization, figure
        Whose, and which: the file's key, ``competition`` for its row of rho.
    report
        The factor by which the figure is misstated, times the figure where it is one number.
    gain, gain_fraction
        In payoff units, and as a share of its honest payoff; ``None`` where that is not positive.
    certified
        Whether nothing more can be gained; otherwise a search found it.
    then_deviates
        Whether contributing something else afterwards adds to the gain.
    deviation_gain
        How much it adds, payoff units.
    paid_by
        Who loses most by it; ``None`` where nothing is gained, and under menus for all but the ten
        largest gains.
    reports_tried
        How many reports the search had, where these are fewer than asked for; otherwise ``None``.
    """

    organization: int
    figure: str
    report: float | None
    gain: float
    gain_fraction: float | None
    certified: bool
    then_deviates: bool
    deviation_gain: float
    paid_by: int | None
    reports_tried: int | None = None


@dataclasses.dataclass(frozen=True)
class OverReporting:
    """What claiming all data at the top level gains, and which spot audit deters it."""

    organization: int
    gain: float
    audit_probability: float | None


@dataclasses.dataclass(frozen=True, eq=False)
class Incentives:
    """What everybody could gain by misreporting.

    Attributes
    ----------
    game
        The game with the honest figures.
    range
        The half width of the range, as a share of each figure.
    points
        How many reports were tried for each figure.
    rules
        The misreports under each rule: the file's first.
    over_reporting
        Under the file's rule, by organization.
    """

    game: CoopetitionGame
    range: float
    points: int
    rules: dict[str, tuple[Misreport, ...]]
    over_reporting: tuple[OverReporting, ...]

    def in_currency(self) -> Incentives:
        """Return the same with every gain in the game's currency, to be shown."""
        unit = unit_of(self.game)
        if unit == 1.0:
            return self

        def shown(row: Misreport) -> Misreport:
            return dataclasses.replace(
                row, gain=row.gain * unit, deviation_gain=row.deviation_gain * unit
            )

        return dataclasses.replace(
            self,
            game=in_currency(self.game),
            rules={rule: tuple(map(shown, rows)) for rule, rows in self.rules.items()},
            over_reporting=tuple(
                dataclasses.replace(row, gain=row.gain * unit) for row in self.over_reporting
            ),
        )

    @cached_property
    def ranked(self) -> tuple[Misreport, ...]:
        """The misreports under the file's rule, the largest gain first."""
        first = next(iter(self.rules.values()))
        return tuple(sorted(first, key=lambda misreport: -misreport.gain))

    def document(self) -> IncentivesDocument:
        """Return the document ``tradefl/incentives/1``."""
        from tradefl.documents.incentives import (
            IncentivesDocument,
            IncentivesOrganization,
            OverReport,
            RuleIncentives,
        )

        def rows(found: Sequence[Misreport]) -> list[IncentivesOrganization]:
            return [
                IncentivesOrganization.of(
                    name=self.game.name_of(misreport.organization),
                    figure=misreport.figure,
                    report=misreport.report,
                    gain=misreport.gain,
                    gain_fraction=misreport.gain_fraction,
                    certified=misreport.certified,
                    then_deviates=misreport.then_deviates,
                    checked_by=CHECKED_BY[misreport.figure],
                    deviation_gain=misreport.deviation_gain,
                    paid_by=None
                    if misreport.paid_by is None
                    else self.game.name_of(misreport.paid_by),
                    **(
                        {}
                        if misreport.reports_tried is None
                        else {"reports_tried": misreport.reports_tried}
                    ),
                )
                for misreport in found
            ]

        names = list(self.rules)
        return IncentivesDocument.of(
            document=IncentivesDocument.NAME,
            consortium=self.game.title,
            range=self.range,
            points=self.points,
            rule=names[0],
            organizations=rows(self.ranked),
            over_reporting=[
                OverReport.of(
                    name=self.game.name_of(report.organization),
                    gain=report.gain,
                    audit_probability=report.audit_probability,
                )
                for report in self.over_reporting
            ],
            rules=[
                RuleIncentives.of(rule=name, organizations=rows(self.rules[name]))
                for name in names[1:]
            ],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()


def incentives(
    consortium: Consortium,
    range: float = 0.1,  # noqa: A002  the command's name for it
    *,
    figures: Sequence[str] = (),
    points: int = POINTS,
    all_rules: bool = True,
    tuning: Tuning | None = None,
    workers: int | None = None,
    ray: str | None = None,
    watch: Callable[[str], None] = lambda _: None,
) -> Incentives:
    """Return what each organization could gain by misreporting.

    Parameters
    ----------
    consortium
        The consortium; its figures are the truth.
    range
        How far a report may be from the truth, as a share, in (0, 1).
    figures
        Which figures, by the file's keys; default: all that the file states and that are not 0.
    points
        How many reports to try for each figure, evenly spaced, without the truth. Where each report
        takes a least core, or the menus of everybody (``design --truthful``), fewer are tried, the
        ends of the range among them: :attr:`Misreport.reports_tried`.
    all_rules
        Whether the rules that the file does not use are tried too: gamma* and the efficient rule
        with each target.
    tuning
        The gamma curve, where it is at hand: its best gamma is tried even without ``all_rules``.
    workers, ray
        Processes on this machine, or the address of a Ray cluster; default: this process alone.
        The result does not depend on them.
    watch
        Called with the name of each stage as it starts.

    Raises
    ------
    InputError
        The range is not in (0, 1), or a figure is unknown.
    """
    if not 0.0 < range < 1.0:
        raise InputError.at(Parameter("range"), f"expected a number in (0, 1), got {range!r}")
    if not isinstance(points, int) or points < 2:
        raise InputError.at(Parameter("points"), f"expected an integer >= 2, got {points!r}")
    for figure in figures:
        if figure not in CHECKED_BY:
            raise InputError.at(
                Parameter("figures"), f"expected one of {', '.join(CHECKED_BY)}, got {figure!r}"
            )
    game = consortium.game
    if sharing.shared(workers, ray):
        wanted = tuple(dict.fromkeys(figures)) or tuple(CHECKED_BY)
        elsewhere = sharing.misreports(
            *(misreports_of, consortium, wanted, range, points, all_rules),
            *(workers, ray, watch),
        )
        found_rules = {
            rule: tuple(Misreport(**row) for row in rows) for rule, rows in elsewhere.items()
        }
        return Incentives(game, range, points, found_rules, over_reporting(solve(game)))
    search = _Search(consortium, range, tuple(figures), points, watch)
    rules = _rules(search, tuning, all_rules=all_rules)
    return Incentives(game, range, points, rules, over_reporting(solve(game)))


def _rules(
    search: _Search, tuning: Tuning | None, *, all_rules: bool
) -> dict[str, tuple[Misreport, ...]]:
    """Return the misreports under each rule, the file's own first."""
    consortium, game = search.consortium, search.consortium.game
    rules: dict[str, tuple[Misreport, ...]] = {}
    efficient = game.compensation is not None
    target = consortium.compensation.target if consortium.compensation is not None else None
    if efficient:
        rules[f"efficient: {target or 'of the file'}"] = search.efficient(target, promise=True)
    else:
        rules["linear"] = search.linear(None)
    if all_rules and tuning is None:
        tuning = tune(game.with_incentive_intensity(game.incentive_intensity))
    if all_rules and efficient and game.incentive_intensity > 0.0:
        rules["linear"] = search.linear(None)
    if tuning is not None and tuning.best is not None:
        rules["tuned"] = search.linear(tuning.best.game.incentive_intensity)
    if all_rules:
        for other in TARGETS:
            if other != target:
                found = search.efficient(other)
                if found:
                    rules[f"efficient: {other}"] = found
    return rules


def misreports_of(
    files: Mapping[str, str],
    range: float,  # noqa: A002  the command's name for it
    figure: str,
    points: int,
    all_rules: bool,
) -> dict[str, list[dict[str, Any]]]:
    """Return the misreports of one figure under each rule, as plain values; a unit of work."""
    consortium = sharing.unpacked(files)
    search = _Search(consortium, range, (figure,), points, lambda _: None)
    found = _rules(search, None, all_rules=all_rules)
    return {rule: [dataclasses.asdict(row) for row in rows] for rule, rows in found.items()}


def over_reporting(agreed: Solution) -> tuple[OverReporting, ...]:
    """Return what claiming ``d = 1`` at the top level gains while the others report the truth."""
    game, profile = agreed.game, agreed.profile
    honest = game.rule.redistribution(game, profile)
    top = np.fmax.reduce(game.cpu_levels_hz, axis=1)
    rows = []
    for i in range(game.size):
        claimed = game.rule.redistribution(game, profile.replaced(i, 1.0, float(top[i])))[i]
        silent = game.rule.redistribution(game, profile.replaced(i, 0.0, 0.0))[i]
        gain = max(float(claimed - honest[i]), 0.0)
        lost = gain + float(honest[i] - silent)
        rows.append(OverReporting(i, gain, min(gain / lost, 1.0) if lost > 0.0 else None))
    return tuple(rows)


class _Search:
    """The reports of one consortium and what they bring."""

    def __init__(
        self,
        consortium: Consortium,
        width: float,
        figures: tuple[str, ...],
        points: int,
        watch: Callable[[str], None],
    ) -> None:
        self.consortium, self.width, self.watch = consortium, width, watch
        self.game = consortium.game.with_incentive_intensity(consortium.game.incentive_intensity)
        offsets = np.linspace(-1.0, 1.0, points + points % 2 + 1)
        self.factors = [float(1.0 + width * offset) for offset in offsets if offset != 0.0]
        self.figures = figures or tuple(CHECKED_BY)
        n = self.game.size
        self.rho = np.array([self.game.competition.dot(row) for row in np.eye(n)])
        self.games: dict[tuple[int, str, float], CoopetitionGame] = {}
        self.agreed: dict[tuple[int, str, float], tuple[StrategyProfile, Array, Array]] = {}

    def value(self, i: int, figure: str) -> float | None:
        """Return a figure of i, ``None`` where it is a list or a row."""
        if figure == "samples":
            return float(self.consortium.organizations.samples[i])
        if figure == "quality":
            return float(self.consortium.organizations.quality[i])
        if figure in ("cpu_levels_hz", "competition"):
            return None
        return float(np.broadcast_to(getattr(self.game, figure), self.game.size)[i])

    def stated(self, i: int, figure: str) -> bool:
        """Whether the file states the figure, so that it can be misstated in proportion."""
        if figure == "competition":
            return bool(self.rho[i].any())
        if figure == "capacitance":
            return not np.isnan(self.consortium.organizations.capacitance[i])
        if figure == "samples":
            return self.consortium.accuracy.measure == "samples"
        value = self.value(i, figure)
        return value is None or value > 0.0

    def reported(self, i: int, figure: str, factor: float) -> CoopetitionGame | None:
        """Return the game as i's report makes it seem; ``None`` if that is not a game."""
        game = self.game
        changed: dict[str, Any] = {}
        if figure == "competition":
            rho = self.rho.copy()
            rho[i] = rho[:, i] = np.minimum(rho[i] * factor, 1.0)
            changed["competition"] = DenseCompetition(rho)
        elif figure in ("samples", "quality"):
            changed["data_units"] = _scaled(game.data_units, i, factor)
        elif figure == "data_bits":
            changed["data_bits"] = _scaled(game.data_bits, i, factor)
            if self.consortium.accuracy.measure == "bits":
                changed["data_units"] = _scaled(game.data_units, i, factor)
        else:
            given = getattr(game, figure)
            if np.ndim(given) == 0:
                given = np.full(game.size, float(given))
            changed[figure] = _scaled(given, i, factor)
        try:
            return dataclasses.replace(game, **changed)
        except InvalidGameError:
            return None

    def _tried(self) -> list[tuple[int, str, float]]:
        """Return every report to try that gives a game: organization, figure, factor."""
        if not self.games:
            for i in range(self.game.size):
                for figure in self.figures:
                    if not self.stated(i, figure):
                        continue
                    for factor in self.factors:
                        seeming = self.reported(i, figure, factor)
                        if seeming is not None:
                            self.games[i, figure, factor] = seeming
        return list(self.games)

    # --- the paper's rule ------------------------------------------------------------------------

    def linear(self, gamma: float | None) -> tuple[Misreport, ...]:
        """Return the misreports under the paper's rule, at the file's gamma or tuned on reports."""
        tuned = gamma is not None
        game = self.game if gamma is None else self.game.with_incentive_intensity(gamma)
        self.watch("the paper's rule" if not tuned else "the paper's rule, gamma tuned on reports")
        honest = solve(game, "dbr").payoffs
        keys = self._tried()
        prices = dict.fromkeys(keys, game.incentive_intensity)
        if tuned and keys:
            prices = dict(zip(keys, self._tuned(keys, game), strict=True))
        best: dict[tuple[int, str], tuple[float, Array]] = {}
        for i, figure, factor in keys:
            price = prices[i, figure, factor]
            if figure not in PAID_FOR and price == game.incentive_intensity:
                continue  # nothing changes
            played = self._paid_as_reported(i, figure, factor, price)
            if played is None:
                continue
            earned = solve(played, "dbr").payoffs
            if (i, figure) not in best or earned[i] > best[i, figure][1][i]:
                best[i, figure] = factor, earned
        rows = []
        for i, figure in dict.fromkeys((i, figure) for i, figure, _ in keys):
            sure = not tuned and figure not in PAID_FOR
            if (i, figure) in best:
                rows.append(self._row(i, figure, *best[i, figure], honest))
            else:
                rows.append(self._row(i, figure, None, honest, honest, certified=sure))
        return tuple(rows)

    def _tuned(self, keys: Sequence[tuple[int, str, float]], game: CoopetitionGame) -> list[float]:
        """Return the best of a grid of gammas for each report, and of the truth as it is."""
        now = game.incentive_intensity
        grid = np.array([0.0, *(now * np.geomspace(0.25, 4.0, GAMMAS))])
        many = Games.of([self.games[key] for key in keys])
        each = np.repeat(np.arange(len(keys)), grid.size)
        column = np.tile(grid, len(keys))[:, None]
        solved = solve_many(many.some(each).changed(incentive_intensity=column), method="dbr")
        value = np.where(solved.individually_rational, solved.social_welfare, -np.inf)
        table = value.reshape(len(keys), grid.size)
        # The gamma that the truth leads to stays unless another is really better.
        kept = table[:, int(np.argmin(np.abs(grid - now)))]
        better = table.max(axis=1) > kept * (1.0 + 1e-12)
        return [float(gamma) for gamma in np.where(better, grid[table.argmax(axis=1)], now)]

    def _paid_as_reported(
        self, i: int, figure: str, factor: float, gamma: float
    ) -> CoopetitionGame | None:
        """Return the game whose payments follow the report, and everything else the truth."""
        game = self.game
        changed: dict[str, Any] = {"incentive_intensity": gamma}
        if figure == "competition":
            seeming = self.reported(i, figure, factor)
            if seeming is None:
                return None
            changed["competition"] = seeming.competition
        elif figure == "data_bits":  # cycles and units stay what they are
            changed["data_bits"] = _scaled(game.data_bits, i, factor)
            changed["cycles_per_bit"] = _scaled(game.cycles_per_bit, i, 1.0 / factor)
            changed["data_units"] = game.data_units
        elif figure == "cpu_levels_hz":  # time and energy stay what they are
            changed["cpu_levels_hz"] = _scaled(game.cpu_levels_hz, i, factor)
            changed["cycles_per_bit"] = _scaled(game.cycles_per_bit, i, factor)
            changed["capacitance"] = _scaled(
                np.array(np.broadcast_to(game.capacitance, game.size)), i, factor**-3
            )
        fields = {
            field.name: getattr(game, field.name)
            for field in dataclasses.fields(game)
            if field.init
        }
        try:
            return _Market(**{**fields, **changed, "market": game.competitors_profitability})
        except InvalidGameError:
            return None

    # --- the efficient rule ----------------------------------------------------------------------

    def _solved(self) -> None:
        """Work out the optimum and the equilibrium without payments of every report."""
        if self.agreed:
            return
        keys = [TRUTH, *self._tried()]
        games = [self.game, *self.games.values()]
        many = Games.of([game.with_incentive_intensity(0.0) for game in games])
        solved = solve_many(many, method="dbr", optimum=True)
        best = solved.optimum
        if best is None:
            raise RuntimeError("solve_many returned no optimum")
        profiles = [
            in_decimals(game, StrategyProfile(best.data_fraction[k], best.cpu_hz[k]))
            for k, game in enumerate(games)
        ]
        for k, key in enumerate(keys):
            paid = payoffs_without_redistribution(games[k], profiles[k])
            self.agreed[key] = profiles[k], solved.payoffs[k], paid

    def efficient(self, target: str | None, *, promise: bool = False) -> tuple[Misreport, ...]:
        """Return the misreports under the efficient rule with a target; empty where it has none."""
        section = self.consortium.compensation
        held = section.truthful if promise and section is not None else None
        self.watch(f"the efficient rule, {target or 'of the file'}")
        self._solved()
        game = self.game.with_incentive_intensity(0.0)
        kept: Target | None = next((known for known in TARGETS if known == target), None)
        menus = None if held is None else self._under_menus(held)
        if menus is None:
            honest = self._paid(TRUTH, self.game, kept)
        else:
            honest = self.agreed[TRUTH][0], menus.everybody([TRUTH])[TRUTH]
        if honest is None:
            return ()
        sparing = kept == "stable" and not promise
        keys: list[tuple[int, str, float]] = []
        tried: dict[tuple[int, str], int] = {}
        for i, figure, factor in self._tried():
            if self._is_promised(held, i, figure):
                continue
            fewer = held is not None or (sparing and figure != "profitability")
            if fewer and factor not in (self.factors[0], self.factors[-1]):
                continue
            keys.append((i, figure, factor))
            if fewer:
                tried[i, figure] = tried.get((i, figure), 0) + 1
        received = {} if menus is None else menus.own([(key, key[0]) for key in keys])
        earned = payoffs_without_redistribution(game, honest[0]) + honest[1]
        best: dict[tuple[int, str], tuple[float, Array, StrategyProfile, StrategyProfile]] = {}
        for key in keys:
            i, figure, factor = key
            if menus is None:
                agreed = self._paid(key, self.games[key], kept)
            elif key in received:
                own = np.full(self.game.size, np.nan)  # the others' is worked out later
                own[i] = received[key]
                agreed = self.agreed[key][0], own
            else:  # somewhere on the menus there is no game
                agreed = None
            profile = None if agreed is None else self._delivered(agreed[0], self.games[key])
            if agreed is None or profile is None:
                continue
            now = payoffs_without_redistribution(game, profile) + agreed[1]
            if (i, figure) not in best or now[i] > best[i, figure][1][i]:
                best[i, figure] = factor, now, profile, agreed[0]
        if menus is not None:  # what the others lose takes the menus of all
            gains = sorted(
                (float(earned[i] - now[i]), (i, figure, factor))
                for (i, figure), (factor, now, _, _) in best.items()
                if now[i] - earned[i] > ROUNDING * abs(earned[i])
            )
            largest = [key for _, key in gains[:PAYERS_OF]]
            for (i, figure, factor), paid in menus.everybody(largest).items():
                _, _, profile, seeming = best[i, figure]
                now = payoffs_without_redistribution(game, profile) + paid
                best[i, figure] = factor, now, profile, seeming
        rows = []
        for i, figure in dict.fromkeys((i, figure) for i, figure, _ in self._tried()):
            few = tried.get((i, figure))
            if self._is_promised(held, i, figure):
                rows.append(self._row(i, figure, None, earned, earned, certified=True))
            elif (i, figure) not in best:
                rows.append(self._row(i, figure, None, earned, earned, tried=few))
            else:
                factor, now, profile, agreed_ = best[i, figure]
                more = 0.0
                if now[i] - earned[i] > ROUNDING * abs(earned[i]):
                    more = self._deviation(i, profile, self.games[i, figure, factor], agreed_)
                rows.append(self._row(i, figure, factor, now, earned, more, tried=few))
        return tuple(rows)

    def _is_promised(self, held: Truthful | None, i: int, figure: str) -> bool:
        """Return whether menus cover a figure: then nobody gains, by theorem B1."""
        own = None if held is None else held.organizations.get(self.game.name_of(i))
        return own is not None and own.figure == figure

    def _under_menus(self, held: Truthful) -> UnderMenus[tuple[int, str, float]]:
        """Return what pays misreports under the menus of the file."""
        names = self.consortium.names
        claimant = names.index(held.claimant) if held.claimant in names else None
        menus = agreed_menus(self.consortium, claimant)
        if menus is None:
            raise InputError.at(
                f"{self.consortium.source}: organization", "expected the menus of the promise"
            )
        games = {TRUTH: self.game, **self.games}
        return UnderMenus(menus, games, {key: self.agreed[key][0] for key in games})

    def _paid(
        self, key: tuple[int, str, float], game: CoopetitionGame, target: Target | None
    ) -> tuple[StrategyProfile, Array] | None:
        """Return ``pi*`` of a report and what everybody is paid there.

        Without a target the constants are the file's own, whatever is reported.
        """
        profile, before, at_optimum = self.agreed[key]
        rule = self.game.rule
        if target is None and isinstance(rule, EfficientRule):
            constants, extra = rule.constants, rule.extra
        elif target is None:
            return None
        else:
            try:
                constants, extra = split_gain(target, before, at_optimum, game)
            except ValueError:  # no positive payoff to split in proportion to
                return None
        paid = constants - constants.mean()
        for to, by, amount in extra:
            paid[to] += amount
            paid[by] -= amount
        return profile, paid

    def _delivered(
        self, agreed: StrategyProfile, seeming: CoopetitionGame
    ) -> StrategyProfile | None:
        """Return the profile with true levels; ``None`` if somebody cannot deliver in time."""
        level = np.argmax(seeming.cpu_levels_hz == agreed.cpu_hz[:, None], axis=1)
        true = self.game.cpu_levels_hz[np.arange(level.size), level]
        profile = StrategyProfile(agreed.data_fraction, true)
        return profile if bool(self.game.is_feasible(profile).all()) else None

    def _deviation(
        self, i: int, profile: StrategyProfile, seeming: CoopetitionGame, agreed: StrategyProfile
    ) -> float:
        """Return what i gains by leaving the agreed contribution after its report."""
        flat = [
            Schedule(np.unique([0.0, d, 1.0]), np.zeros(np.unique([0.0, d, 1.0]).size))
            for d in agreed.data_fraction.tolist()
        ]
        flat[i] = schedule_of(seeming, Externality(seeming, agreed), i, MAX_BREAKPOINTS)
        rule = EfficientRule(tuple(flat), np.zeros(self.game.size))
        return float(regret(self.game, profile, rule, np.array([i]))[0])

    def _row(
        self,
        i: int,
        figure: str,
        factor: float | None,
        earned: Array,
        honest: Array,
        more: float = 0.0,
        *,
        certified: bool = False,
        tried: int | None = None,
    ) -> Misreport:
        gain = float(earned[i] - honest[i])
        if factor is None or gain <= ROUNDING * abs(float(honest[i])):
            factor, gain, more = None, 0.0, more if gain > 0.0 else 0.0
        value = self.value(i, figure)
        losses = honest - earned
        losses[i] = 0.0
        payer = int(np.argmax(losses))
        return Misreport(
            organization=i,
            figure=figure,
            report=None if factor is None else factor * (1.0 if value is None else value),
            gain=gain,
            gain_fraction=gain / float(honest[i]) if honest[i] > 0.0 else None,
            certified=certified,
            then_deviates=more > ROUNDING * abs(float(honest[i])),
            deviation_gain=more,
            paid_by=payer if gain > 0.0 and losses[payer] > 0.0 else None,
            reports_tried=tried,
        )


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class _Market(CoopetitionGame):
    """A game whose payments follow reports, and whose damage follows given weights."""

    market: Array

    @cached_property
    def competitors_profitability(self) -> Array:
        """``sum_j rho_ij p_j`` as it is, rather than as rho is reported."""
        return self.market


def _scaled(column: Array, i: int, factor: float) -> Array:
    scaled = np.array(column, dtype=float)
    scaled[i] = scaled[i] * factor
    return scaled


__all__ = ["CHECKED_BY", "Incentives", "Misreport", "OverReporting", "incentives"]
