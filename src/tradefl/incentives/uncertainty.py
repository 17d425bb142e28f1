r"""How sure are we? What the ranges of a file's figures do to contributions, payments and payoffs.

*One at a time* (tornado): each uncertain figure at its low and at its high end, all others at their
middle, everything worked out again: whose payment moves most, and between which amounts.

*Monte Carlo*: all uncertain figures drawn at once from triangular distributions with the middle as
the mode. By default the agreement is fixed and the truth is drawn: rule, constants and pledges stay
what they are, and each draw says what everybody then earns, whether somebody would rather deviate,
and whether it is better off than training alone. With ``redesign`` everything is worked out again
for each draw: contributions, payments, bonds; then it says how likely today's deposit covers the
bond of tomorrow. Draws that are no game are counted and explained.

``competition.rescale`` is frozen at the file's factor: it depends on profitability.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tradefl.consortium.consortium import Consortium, accuracy_model
from tradefl.consortium.ranges import Uncertain, uncertain
from tradefl.design import TARGETS, Target, constants_of, in_decimals, split_gain
from tradefl.errors import InputError, Parameter
from tradefl.game import CoopetitionGame, EfficientRule, SectorCompetition, StrategyProfile, regret
from tradefl.game.externality import Externality
from tradefl.game.money import unit_of
from tradefl.game.participation import alone
from tradefl.incentives import sharing
from tradefl.incentives.radius import radius
from tradefl.solvers import Solution, solve
from tradefl.solvers.games import Games
from tradefl.solvers.many import ManySolutions, solve_many

if TYPE_CHECKING:
    import pandas as pd

    from tradefl.documents.sensitivity import SensitivityDocument

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

DRAWS = 1_000
PERCENTILES = (5.0, 50.0, 95.0)
# The agreement counts as an equilibrium if nobody gains more than this share of its terms.
EQUILIBRIUM = 1e-7
# Better than alone up to this share of the terms of a payoff.
ROUNDING = 1e-9
# Figures that enter the incentives through z_i = p_i - sum_j rho_ij p_j alone.
ONLY_Z = ("profitability", "competition.")


@dataclasses.dataclass(frozen=True)
class Swing:
    """One bar of the tornado: a figure at its ends, and the payment that it moves most.

    Attributes
    ----------
    figure, organization
        The file's key, and whose; ``None`` for figures of the consortium.
    payment_of
        Whose payment it moves most.
    low, high
        That payment with the figure at its low and its high end, payoff units; ``None`` where
        there is no game.
    """

    figure: str
    organization: str | None
    payment_of: str
    low: float | None
    high: float | None

    def scaled(self, unit: float) -> Swing:
        """Return the same in units that are so many times smaller."""
        low, high = (None if end is None else end * unit for end in (self.low, self.high))
        return dataclasses.replace(self, low=low, high=high)

    @property
    def size(self) -> float:
        """How far the payment moves."""
        return abs(self.high - self.low) if None not in (self.low, self.high) else 0.0  # type: ignore[operator]


@dataclasses.dataclass(frozen=True, eq=False)
class Sensitivity:
    """What the ranges of a file's figures do.

    Attributes
    ----------
    consortium
        Whose.
    agreed
        The solution with the figures in the middle of their ranges.
    figures
        The figures that have a range.
    seed, redesign
        Of the draws.
    without_game
        How many draws are no game, by reason.
    data_fraction, payment, payoff, alone
        Shape ``(K, N)`` over the draws that are games: contributions, what each receives, payoffs,
        and what each would earn by training alone.
    welfare
        Shape ``(K,)``.
    equilibrium, deliverable
        Shape ``(K,)``: whether what is agreed on is an equilibrium, and whether everybody can
        deliver it in time.
    bond_covers
        Shape ``(K, N)``: whether today's bond covers that of the draw; ``None`` without
        ``redesign``.
    tornado
        The figures, the one that moves a payment most first.
    """

    consortium: Consortium
    agreed: Solution
    figures: tuple[Uncertain, ...]
    seed: int
    redesign: bool
    without_game: dict[str, int]
    data_fraction: Array
    payment: Array
    payoff: Array
    alone: Array
    welfare: Array
    equilibrium: Flags
    deliverable: Flags
    bond_covers: Flags | None
    better: Flags
    tornado: tuple[Swing, ...]

    @property
    def split(self) -> Target | None:
        """How the gain is split where a design is worked out again; None under the paper's rule."""
        return split_of(self.consortium)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the tornado, and of ``redesign``, has to know."""
        section = self.consortium.compensation
        if section is None or section.target == self.split:
            return ()
        whose = "of the menus" if section.truthful is not None else "of the file"
        where = "the tornado and the draws" if self.redesign else "the tornado"
        return (
            f"the payments {whose} cannot be worked out for other figures: {where} split the gain "
            "equally",
        )

    def in_currency(self) -> Sensitivity:
        """Return the same with every amount in the game's currency, to be shown."""
        unit = unit_of(self.agreed.game)
        if unit == 1.0:
            return self
        return dataclasses.replace(
            self,
            consortium=self.consortium.in_currency(),
            agreed=self.agreed.in_currency(),
            payment=self.payment * unit,
            payoff=self.payoff * unit,
            alone=self.alone * unit,
            welfare=self.welfare * unit,
            tornado=tuple(bar.scaled(unit) for bar in self.tornado),
        )

    @property
    def draws(self) -> int:
        """K and the draws that do not give a game."""
        return int(self.welfare.size) + sum(self.without_game.values())

    def label(self, swing: Swing) -> str:
        """Return a figure of the tornado in words."""
        return next(
            str(figure)
            for figure in self.figures
            if (figure.figure, figure.organization) == (swing.figure, swing.organization)
        )

    def document(self) -> SensitivityDocument:
        """Return the document ``tradefl/sensitivity/1``."""
        from tradefl.documents.sensitivity import (
            Band,
            SensitivityDocument,
            SensitivityOrganization,
            TornadoBar,
        )

        def band(column: Array) -> Band | None:
            if not column.size:
                return None
            low, middle, high = np.percentile(column, PERCENTILES).tolist()
            return Band.of(p5=low, p50=middle, p95=high)

        def share(flags: Flags) -> float | None:
            return float(flags.mean()) if flags.size else None

        names = self.consortium.names
        return SensitivityDocument.of(
            document=SensitivityDocument.NAME,
            consortium=self.consortium.name,
            rule=self.agreed.game.rule.name,
            redesign=self.redesign,
            split=self.split,
            remarks=list(self.remarks),
            draws=self.draws,
            draws_without_game=sum(self.without_game.values()),
            without_game=dict(self.without_game),
            seed=self.seed,
            figures=len(self.figures),
            social_welfare=band(self.welfare),
            probability_equilibrium=share(self.equilibrium),
            probability_deliverable=share(self.deliverable),
            probability_bond_covers=None
            if self.bond_covers is None
            else share(np.asarray(self.bond_covers.all(axis=1))),
            organizations=[
                SensitivityOrganization.of(
                    name=name,
                    contribution=band(self.data_fraction[:, i]),
                    payment=band(self.payment[:, i]),
                    payoff=band(self.payoff[:, i]),
                    gain_over_alone=band(self.payoff[:, i] - self.alone[:, i]),
                    probability_better_than_alone=share(self.better[:, i]),
                    probability_bond_covers=None
                    if self.bond_covers is None
                    else share(self.bond_covers[:, i]),
                )
                for i, name in enumerate(names)
            ],
            tornado=[
                TornadoBar.of(
                    figure=bar.figure,
                    organization=bar.organization,
                    payment_of=bar.payment_of,
                    low=bar.low,
                    high=bar.high,
                )
                for bar in self.tornado
            ],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()

    def to_frame(self) -> pd.DataFrame:
        """Return the draws, one row for each organization of each draw."""
        import pandas as pd

        count, n = self.payoff.shape
        return pd.DataFrame(
            {
                "draw": np.repeat(np.arange(count), n),
                "organization": np.tile(np.array(self.consortium.names, dtype=object), count),
                "data_fraction": self.data_fraction.ravel(),
                "payment": self.payment.ravel(),
                "payoff": self.payoff.ravel(),
                "alone": self.alone.ravel(),
                "better_than_alone": self.better.ravel(),
            }
        )


def sensitivity(
    consortium: Consortium,
    draws: int = DRAWS,
    *,
    seed: int = 0,
    redesign: bool = False,
    workers: int | None = None,
    ray: str | None = None,
    watch: Callable[[str], None] = lambda _: None,
) -> Sensitivity:
    """Return what the ranges of a file's figures do.

    Parameters
    ----------
    consortium
        A consortium with at least one range.
    draws
        How many draws; at least 1.
    seed
        Of the draws: the same seed gives the same draws.
    redesign
        Work everything out again for each draw, instead of keeping the agreement.
    workers, ray
        Processes on this machine, or the address of a Ray cluster; default: this process alone.
        The result does not depend on them.
    watch
        Called with the name of each stage as it starts.

    Raises
    ------
    InputError
        No figure has a range, or an option is out of range.
    """
    if not isinstance(consortium, Consortium):  # ranges are a file's: a game has none
        raise TypeError(f"consortium: expected a Consortium, got {type(consortium).__name__}")
    for name, value, least in (("draws", draws, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError.at(Parameter(name), f"expected an integer >= {least}, got {value!r}")
    elsewhere = sharing.shared(workers, ray)
    figures = tuple(uncertain(consortium))
    if not figures:
        raise InputError.at(
            consortium.source,
            "no figure has a range; write one as {low = 1200, mid = 1500, high = 1900}, or in a "
            "table with the columns NAME_low and NAME_high",
        )
    model = _Model(consortium, figures)
    watch("what is agreed on")
    agreed = solve(consortium.game)
    watch("one figure at a time")
    tornado = model.tornado()
    watch(f"{draws:,} draws")
    rng = np.random.default_rng(seed)
    values = np.column_stack([_drawn(rng, figure, draws) for figure in figures])
    if elsewhere:
        found, reasons = sharing.outcomes(
            drawn_outcomes, consortium, values, redesign, workers, ray, watch
        )
    else:
        found, reasons = outcomes_of(consortium, figures, values, redesign, agreed)
    return Sensitivity(
        consortium=consortium,
        agreed=agreed,
        figures=figures,
        seed=seed,
        redesign=redesign,
        without_game=reasons,
        tornado=tornado,
        **found,
    )


def drawn_outcomes(
    files: Mapping[str, str], values: Sequence[Sequence[float]], redesign: bool
) -> dict[str, Any]:
    """Return what becomes of some draws: the arrays by name, and the reasons of those without game.

    Parameters
    ----------
    files
        The consortium, as :func:`~tradefl.incentives.sharing.packed` returns it.
    values
        Shape ``(K, F)``: the uncertain figures of each draw.
    redesign
        Whether everything is worked out again.
    """
    consortium = sharing.unpacked(files)
    figures = tuple(uncertain(consortium))
    found, reasons = outcomes_of(
        consortium, figures, np.asarray(values, dtype=float), redesign, solve(consortium.game)
    )
    plain = {name: None if array is None else array.tolist() for name, array in found.items()}
    return {"outcomes": plain, "without_game": reasons}


def outcomes_of(
    consortium: Consortium,
    figures: Sequence[Uncertain],
    values: Array,
    redesign: bool,
    agreed: Solution,
) -> tuple[dict[str, Any], dict[str, int]]:
    """Return what becomes of draws of shape ``(K, F)``, and how many are no game, by reason.

    The arrays of :class:`Sensitivity` by name; ``agreed`` is the solution in the middle.
    """
    model = _Model(consortium, figures)
    games, _, reasons = model.games(values)
    found = model.redesigned(games) if redesign else model.kept(games, agreed)
    found["alone"] = model.alone(games)
    rounding = ROUNDING * found.pop("solved").payoff_scale
    found["better"] = found["payoff"] >= found["alone"] - rounding
    return found, reasons


def reworked(consortium: Consortium, values: Sequence[float]) -> tuple[Array, Array] | None:
    """Return everybody's payment and payoff if the uncertain figures have these values.

    Everything is worked out again: contributions, payments, and the design under the efficient
    rule.

    Parameters
    ----------
    consortium
        A consortium with ranges.
    values
        One for each figure, in the order of :func:`~tradefl.consortium.ranges.uncertain`.

    Returns
    -------
    tuple or None
        Two arrays of shape ``(N,)``, payoff; ``None`` where the values are no game.
    """
    model = _Model(consortium, tuple(uncertain(consortium)))
    games, valid, _ = model.games(np.array([values], dtype=float))
    if not valid[0]:
        return None
    found = model.redesigned(games)
    return found["payment"][0], found["payoff"][0]


def _drawn(rng: np.random.Generator, one: Uncertain, draws: int) -> Array:
    if one.low == one.high:
        return np.full(draws, one.mid)
    return np.asarray(rng.triangular(one.low, one.mid, one.high, draws))


def split_of(consortium: Consortium) -> Target | None:
    """Return how the gain is split where a design is worked out again; None under the paper's rule.

    That is the file's own target. Constants without a target, and those of menus, cannot be worked
    out again; an equal gain replaces them, and :attr:`Sensitivity.remarks` says so.
    """
    section = consortium.compensation
    if section is None:
        return None
    return next((known for known in TARGETS if known == section.target), "equal-gain")


class _Model:
    """The games that a file's ranges allow, and what becomes of them."""

    def __init__(self, consortium: Consortium, figures: Sequence[Uncertain]) -> None:
        self.consortium, self.figures = consortium, figures
        self.game = consortium.game
        self.target: Target = split_of(consortium) or "equal-gain"
        self.efficient = self.game.compensation is not None

    # --- the games -------------------------------------------------------------------------------

    def games(self, values: Array) -> tuple[Games, Flags, dict[str, int]]:
        """Return the games of figures of shape ``(K, F)``, which are some, and why others are not.

        The rule of the games is not one of these.
        """
        count, n, game = len(values), self.game.size, self.game
        names = list(self.consortium.names)
        base = Games.of([game.with_incentive_intensity(0.0)])
        fields: dict[str, Any] = {}
        for field in dataclasses.fields(base):
            value = getattr(base, field.name)
            fields[field.name] = value[0] if isinstance(value, np.ndarray) else value
        for name, value in fields.items():
            if isinstance(value, np.ndarray) and value.shape == (1,):  # a figure of a game
                fields[name] = float(value[0])
        fields |= {"competition": game.competition, "accuracy": game.accuracy}
        own = np.isnan(self.consortium.organizations.capacitance)
        rho: dict[str, Array] = {}
        accuracy: dict[str, Array] = {}

        def column(name: str) -> Array:
            if np.ndim(fields[name]) < 2:
                fields[name] = np.array(np.broadcast_to(fields[name], (count, n)), dtype=float)
            return np.asarray(fields[name])

        for k, figure in enumerate(self.figures):
            drawn = values[:, k]
            if figure.organization is not None:
                i = names.index(figure.organization)
                if figure.figure == "quality":
                    column("data_units")[:, i] = game.data_units[i] * drawn / figure.mid
                else:
                    column(figure.figure)[:, i] = drawn
                continue
            section, _, key = figure.figure.partition(".")
            if section == "competition":
                rho[figure.figure] = drawn
            elif section == "accuracy":
                accuracy[key] = drawn
            elif key == "capacitance":
                column("capacitance")[:, own] = drawn[:, None]
            else:
                fields[key] = drawn
        if rho:
            fields["competition"] = self._intensities(rho, count)
        if accuracy:
            section_ = self.consortium.accuracy
            fields["accuracy"] = [
                accuracy_model(
                    section_.model_copy(update={key: float(d[k]) for key, d in accuracy.items()}),
                    self.consortium.points,
                )
                for k in range(count)
            ]
        if all(np.ndim(value) < 1 or key == "cpu_levels_hz" for key, value in fields.items()):
            fields["profitability"] = column("profitability")
        column("profitability")
        games = Games(**fields)
        valid, problems = games.problems()
        reasons: Counter[str] = Counter()
        if not valid.all():
            z = np.asarray(games.potential_weights)
            no_weight = ~valid & ~(z > 0.0).all(axis=1)
            reasons["somebody's z = p - sum_j rho_ij p_j is not positive"] = int(no_weight.sum())
            reasons["somebody has no level at which it can train D_min in time"] = int(
                (~valid & ~no_weight).sum()
            )
        del problems
        return games.some(np.flatnonzero(valid)), valid, {k: n for k, n in reasons.items() if n}

    def _intensities(self, rho: dict[str, Array], count: int) -> Array:
        """Return rho of each draw, ``(K, N, N)``, under the file's rescaling."""
        factor = self.consortium.competition_factor
        unit = np.eye(self.game.size)
        found = np.empty((count, self.game.size, self.game.size))
        for k in range(count):
            values = {place: float(drawn[k]) for place, drawn in rho.items()}
            one = self.consortium.with_intensities(values).scaled(factor)
            found[k] = [one.dot(row) for row in unit]
        return found

    def alone(self, games: Games) -> Array:
        """Return what each would earn by training alone, ``(K, N)``.

        Organizations meet nobody when they train alone, so all draws are one large game.
        """
        count, n = games.count, games.size
        if count == 0:
            return np.empty((0, n))
        accuracies = games.accuracy.models if hasattr(games.accuracy, "models") else None
        if accuracies is not None and len(accuracies) > 1:
            return np.array([alone(games.game(k)) for k in range(count)])
        weight = np.broadcast_to(games.overhead_weight, (count, n))
        flat: Any = {
            name: np.ravel(np.broadcast_to(getattr(games, name), (count, n)))
            for name in (
                *("profitability", "data_bits", "cycles_per_bit", "data_units", "data_cost"),
                *("download_seconds", "upload_seconds"),
            )
        }
        together = CoopetitionGame(
            **flat,
            cpu_levels_hz=games.cpu_levels_hz.reshape(count * n, -1),
            competition=SectorCompetition(np.zeros(count * n, dtype=np.intp), 0.0),
            accuracy=self.game.accuracy if accuracies is None else accuracies[0],
            # The price of energy may differ from draw to draw: only the product counts.
            overhead_weight=1.0,
            capacitance=np.ravel(weight * np.broadcast_to(games.capacitance, (count, n))),
            min_data_fraction=float(np.ravel(games.min_data_fraction)[0]),
            deadline_seconds=float(np.ravel(games.deadline_seconds)[0]),
        )
        return alone(together).reshape(count, n)

    # --- what becomes of them --------------------------------------------------------------------

    def kept(self, games: Games, agreed: Solution) -> dict[str, Any]:
        """Return what the agreement pays under each truth: rule and pledges are fixed."""
        profile, count = agreed.profile, games.count
        start = (profile.data_fraction, profile.cpu_hz)
        paid = agreed.terms.redistribution
        if self.efficient:
            ruled = games.changed(compensation=self.game.compensation)
        else:
            gamma = np.full((count, 1), self.game.incentive_intensity)
            ruled = games.changed(incentive_intensity=gamma)
        solved = solve_many(ruled, method="fixed", initial=start)
        hz = np.broadcast_to(profile.cpu_hz, (count, self.game.size))
        reach = np.asarray(games.max_data_fraction(hz))
        deliverable = (profile.data_fraction <= reach * (1.0 + 1e-9)).all(axis=1)
        # What is paid follows what is agreed, not what is drawn.
        payoff = solved.revenue - solved.overhead - solved.damage + paid
        return {
            "solved": solved,
            "data_fraction": np.repeat(profile.data_fraction[None], count, axis=0),
            "payment": np.repeat(paid[None], count, axis=0),
            "payoff": payoff,
            "welfare": np.asarray(payoff.sum(axis=1)),
            "equilibrium": self._stable(games, agreed, solved) & deliverable,
            "deliverable": deliverable,
            "bond_covers": None,
        }

    def _stable(self, games: Games, agreed: Solution, solved: ManySolutions) -> Flags:
        """Return in which draws nobody gains by leaving what is agreed on, ``(K,)``."""
        if all(figure.figure.startswith(ONLY_Z) for figure in self.figures):
            # Then only z differs, and how far it may is known exactly.
            found = radius(self.game, agreed.profile)
            off = np.asarray(games.potential_weights) - self.game.potential_weights
            slack = ROUNDING * found.scale
            inside = (off <= found.up + slack) & (-off <= found.down + slack)
            return np.asarray(inside.all(axis=1))
        worst = solved.regret
        if not self.efficient and any(
            figure.figure.startswith("competition.") for figure in self.figures
        ):
            # The payments keep the agreed rho, the market has the drawn one.
            own = _Agreed(self.game)
            worst = np.array(
                [regret(games.game(k), agreed.profile, own) for k in range(games.count)]
            ).reshape(games.count, self.game.size)
        return np.asarray((worst <= EQUILIBRIUM * solved.payoff_scale).all(axis=1))

    def redesigned(self, games: Games) -> dict[str, Any]:
        """Return what each draw leads to if everything is worked out again."""
        count = games.count
        covers: Flags
        if not self.efficient:
            gamma = np.full((count, 1), self.game.incentive_intensity)
            solved = solve_many(games.changed(incentive_intensity=gamma), method="dbr")
            payment, payoff = solved.redistribution, solved.payoffs
            data = solved.data_fraction
            top = np.nanmax(games.cpu_levels_hz, axis=2)
            most = games.data_bits + self.game.compute_weight * top
            owed = np.asarray(games.competition.dot(most))
            x = self.game.data_bits + self.game.compute_weight * np.nanmax(
                self.game.cpu_levels_hz, axis=1
            )
            today = self.game.competition.dot(x)
            covers = owed <= np.asarray(today) * (1.0 + 1e-12)
            stable = np.asarray(solved.is_equilibrium)
        else:
            solved, payment, data, owed = self._designs(games)
            payoff = solved.payoffs + payment
            rule = self.game.compensation
            if not isinstance(rule, EfficientRule):
                raise RuntimeError("the efficient rule is missing")
            covers = owed <= rule.bonds * (1.0 + 1e-9)
            stable = np.ones(count, dtype=bool)  # the optimum is an equilibrium of its own design
        return {
            "solved": solved,
            "data_fraction": data,
            "payment": payment,
            "payoff": payoff,
            "welfare": np.asarray(payoff.sum(axis=1)),
            "equilibrium": stable,
            "deliverable": np.ones(count, dtype=bool),
            "bond_covers": covers,
        }

    def _designs(self, games: Games) -> tuple[ManySolutions, Array, Array, Array]:
        """Return every draw's optimum, the payments that split its gain, and what may be owed."""
        count, n = games.count, self.game.size
        first = solve_many(games, method="dbr", optimum=True)
        best = first.optimum
        if best is None:
            raise RuntimeError("solve_many returned no optimum")
        profiles = [
            in_decimals(games.game(k), StrategyProfile(best.data_fraction[k], best.cpu_hz[k]))
            for k in range(count)
        ]
        data, hz = (
            np.array([getattr(profile, name) for profile in profiles]).reshape(count, n)
            for name in ("data_fraction", "cpu_hz")
        )
        solved = solve_many(games, method="fixed", initial=(data, hz))
        payment, owed = np.zeros((count, n)), np.zeros((count, n))
        everybody, nothing = np.arange(n), np.zeros(n)
        for k in range(count):
            game = games.game(k)
            try:
                constants, extra = split_gain(
                    self.target, first.payoffs[k], solved.payoffs[k], game
                )
            except ValueError:  # no positive payoff to split in proportion to
                constants, extra = constants_of(
                    "equal-gain", first.payoffs[k], solved.payoffs[k], game
                )
            payment[k] = constants - constants.mean()
            for to, by, amount in extra:
                payment[k, to] += amount
                payment[k, by] -= amount
            least = np.minimum(Externality(game, profiles[k]).value(everybody, nothing), 0.0)
            owed[k] = np.maximum(-(least + payment[k]), 0.0)
        return solved, payment, data, owed

    # --- one at a time ---------------------------------------------------------------------------

    def tornado(self) -> tuple[Swing, ...]:
        """Return the payment that each figure moves most, between its ends."""
        mids = np.array([figure.mid for figure in self.figures])
        rows = np.repeat(mids[None], 2 * len(self.figures), axis=0)
        for k, figure in enumerate(self.figures):
            rows[2 * k, k], rows[2 * k + 1, k] = figure.low, figure.high
        games, valid, _ = self.games(rows)
        if self.efficient:
            _, payment, _, _ = self._designs(games)
        else:
            gamma = np.full((games.count, 1), self.game.incentive_intensity)
            payment = solve_many(games.changed(incentive_intensity=gamma), method="dbr").payments
        table = np.full((len(rows), self.game.size), np.nan)
        table[valid] = payment
        swings = []
        for k, figure in enumerate(self.figures):
            low, high = table[2 * k], table[2 * k + 1]
            moved = np.abs(high - low)
            i = int(np.argmax(np.where(np.isnan(moved), -1.0, moved)))
            swings.append(
                Swing(
                    figure=figure.figure,
                    organization=figure.organization,
                    payment_of=self.game.name_of(i),
                    low=None if np.isnan(low[i]) else float(low[i]),
                    high=None if np.isnan(high[i]) else float(high[i]),
                )
            )
        return tuple(sorted(swings, key=lambda swing: -swing.size))


class _Agreed:
    """The paper's rule with the agreed rho, whatever the market's is: an incentive."""

    concave = True

    def __init__(self, agreed: CoopetitionGame) -> None:
        self.agreed = agreed

    def own(self, game: CoopetitionGame, i: Any, d: Array, f: Array) -> Array:
        """Return ``gamma rho_i. x_i`` with the agreed rho."""
        del game
        return self.agreed.rule.own(self.agreed, i, d, f)

    def slopes(self, game: CoopetitionGame, i: Any, d: Array) -> tuple[Array, Array]:
        """Return its slope, twice."""
        del game
        return self.agreed.rule.slopes(self.agreed, i, d)

    def corners(self, game: CoopetitionGame, i: Any) -> Array:
        """Return none."""
        del game
        return self.agreed.rule.corners(self.agreed, i)
