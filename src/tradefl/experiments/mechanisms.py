r"""The study of mechanisms: what each does to the same consortia, played to its equilibrium.

The consortia are those of :mod:`.compensation`: Table II's, and heterogeneous ones. For each and
every mechanism, from the equilibrium: welfare against the optimum, data, the budget, who loses
against no compensation, whether a coalition could do better on its own, and what a lie gains.

*A lie.* One organization states another profitability; the payments follow the reports, and
everybody then plays its own best response to these payments and to the market as it is. What it
gains against the honest equilibrium is the gain from lying: at least that much, as only some
reports of some organizations are tried. The paper's rule does not ask for profitabilities. Under
the truthful rule no report from its menus gains, by construction, so none is tried; it needs
thousands of optimizations each, so it is worked out for the first consortia only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from tradefl.charts import axis, panels, ranges
from tradefl.comparison import stable
from tradefl.experiments.compensation import KINDS, PARAMETERS, consortium, holds, of_kinds
from tradefl.experiments.figure import HIGH, LOW, Figure, Finding, Settings, Unit, share, spread
from tradefl.game import CoopetitionGame, InvalidGameError, LinearRule, Mechanism, Parts, payoffs
from tradefl.incentives.truthful import truthful
from tradefl.mechanisms import make_mechanism
from tradefl.outcomes import Outcome
from tradefl.solvers import Solution, search, solve
from tradefl.stability.values import Values

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

NONE, TRUTHFUL = "none", "truthful"
NAMES = (
    *(NONE, "linear", "efficient", TRUTHFUL, "shapley-profile", "leave-one-out-profile"),
    *("by-data-profile", "equal-split", "tang-wong", "cocogen", "vcg"),
)
# Lies are tried in so many consortia of each kind; the truthful rule is worked out in so many.
LYING, TRUTHFUL_DRAWS = 20, 5
# The reports, as shares of the truth, of the organizations with these ranks of profitability.
REPORTS, RANKS = (0.8, 0.9, 0.95, 1.05, 1.1), (0.0, 0.5, 1.0)
# Menus of the truthful rule: within this share of each profitability.
RANGE = 0.02
# Welfare within this share of the optimum is optimal, and a gain above it is one.
SAME = 1e-6
SOURCES = (
    *(
        "tradefl.game",
        "tradefl.solvers",
        "tradefl.design",
        "tradefl.comparison",
        "tradefl.outcomes",
    ),
    *("tradefl.mechanisms", "tradefl.incentives", "tradefl.stability"),
    *("tradefl.experiments.draws", "tradefl.experiments.compensation"),
)
EQUILIBRIA = ("equilibrium", "optimal")


@dataclasses.dataclass(frozen=True, eq=False)
class Reported(Mechanism):
    """The payments of a mechanism as worked out from another game than the one that is played."""

    mechanism: Mechanism
    reported: CoopetitionGame

    name = "reported"
    equation = "t(pi) of the reports"

    @property
    def uses_compute(self) -> bool:  # type: ignore[override]  # that of the mechanism
        """Whether a transfer depends on frequencies: costs are paid for under the reports too."""
        return self.mechanism.uses_compute

    def transfers(self, game: CoopetitionGame, d: Array, f: Array) -> Array:
        """Return the transfers of the reported game, shape ``(..., N)``."""
        del game
        return self.mechanism.transfers(self.reported, d, f)

    def own_transfer(
        self, game: CoopetitionGame, profile: Any, i: Indices, d: Array, f: Array
    ) -> Array:
        """Return those of some deviations, shape ``(K,)``."""
        del game
        return self.mechanism.own_transfer(self.reported, profile, i, d, f)

    def parts(
        self, game: CoopetitionGame, profile: Any, i: Indices, d: Array, f: Array
    ) -> Parts | None:
        """Return the mechanism's parts in the reported game."""
        del game
        return self.mechanism.parts(self.reported, profile, i, d, f)


def units(settings: Settings) -> list[Unit]:
    """Return a unit for each seed of each kind."""
    return [
        Unit(f"{kind.lower().replace(' ', '-')}-{seed}", {"kind": kind, "seed": seed})
        for seed in range(settings.seeds)  # the first ones take longest
        for kind in KINDS
    ]


def compute(kind: str, seed: int, **parameters: float) -> pd.DataFrame:
    """Return a row for each mechanism: its equilibrium in one consortium, and what lies gain."""
    game = consortium(kind, seed, **parameters)
    bare = game.with_incentive_intensity(0.0)
    optimum, without, values = solve(bare, "planner"), solve(bare), Values(bare)
    rows = []
    for name in NAMES:
        if name == TRUTHFUL and seed >= TRUTHFUL_DRAWS:
            continue
        row: dict[str, Any] = {"kind": kind, "seed": seed, "mechanism": name}
        mechanism = _made(name, game)
        if mechanism is None:
            rows.append(row | {"made": False})
            continue
        solution = without if name == NONE else solve(game.with_compensation(mechanism))
        outcome = Outcome(name, name, solution, optimum, without)
        best = optimum.social_welfare
        row |= {
            "made": True,
            "equilibrium": solution.status in EQUILIBRIA,
            "proven": solution.certificate.proven,
            "regret": float(
                (solution.certificate.regret / solution.certificate.payoff_scale).max()
            ),
            "welfare": solution.social_welfare / best,
            "data": float(solution.profile.data_fraction.sum()),
            "deficit": solution.terms.deficit / best,
            "payments": outcome.payments / best,
            "losers": outcome.losers,
            "below_alone": outcome.below_alone,
            "stable": stable(values, solution.payoffs),
        }
        if seed < LYING:
            row["lying"] = _lying(name, game, solution)
        rows.append(row)
    return pd.DataFrame(rows)


def _made(name: str, game: CoopetitionGame) -> Mechanism | None:
    """Return a mechanism for a game; ``None`` where it cannot be made: the truthful one."""
    if name == NONE:
        return LinearRule(0.0, game.compute_weight)
    if name != TRUTHFUL:
        return make_mechanism(name, game)
    claimant = int(np.argmax(game.profitability))
    try:
        designed, _ = truthful(
            game.with_incentive_intensity(0.0), claimant, width=RANGE, tried=1, random_starts=0
        )
    except ValueError:  # some report is no game, or the payments would need outside money
        return None
    return designed.rule


def _lying(name: str, game: CoopetitionGame, solution: Solution) -> float:
    """Return the largest gain of the lies that are tried, as a share of the honest payoff."""
    if name in (NONE, "linear", TRUTHFUL):
        return 0.0  # not asked for; or, from the menus, by construction
    order = np.argsort(game.profitability, kind="stable")
    best = 0.0
    for rank in RANKS:
        i = int(order[round(rank * (game.size - 1))])
        for factor in REPORTS:
            stated = game.profitability.copy()
            stated[i] *= factor
            try:
                reported = dataclasses.replace(game, profitability=stated)
            except InvalidGameError:
                continue  # nobody would believe it
            mechanism = make_mechanism(name, reported)
            payoff = _played(game, mechanism, reported, solution)
            if payoff is not None:
                gain = (payoff[i] - solution.payoffs[i]) / abs(solution.payoffs[i])
                best = max(best, float(gain))
    return best


def _played(
    game: CoopetitionGame, mechanism: Mechanism, reported: CoopetitionGame, honest: Solution
) -> Array | None:
    """Return the true payoffs where payments follow the reports; ``None``: no equilibrium."""
    if mechanism.separable:  # its payments are numbers that were agreed on
        solution = solve(game.with_compensation(mechanism))
        return solution.payoffs if solution.status in EQUILIBRIA else None
    paid = game.with_compensation(Reported(mechanism, reported))
    path = search.play(paid, honest.profile, max_moves=20 * game.size)
    return payoffs(paid, path.profile).payoff if path.settled else None


# --- what is shown ------------------------------------------------------------------------------

# Column, title of its panel, title of its axis, factor.
PANELS = (
    ("welfare", "Welfare", "social welfare (% of the optimum)", 100.0),
    ("data", "Data", "sum of data fractions, of ten", 1.0),
    ("deficit", "Budget", "money from outside (% of optimal welfare)", 100.0),
    ("losers", "Losers", "organizations worse off than without compensation, of ten", 1.0),
    ("stability", "Stability", "consortia in which no coalition would leave (%)", 100.0),
    ("lying", "Lying", "largest gain found from a false report (% of payoff)", 100.0),
)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return median and 90 % band of each measure, for each kind and mechanism."""
    made = rows[rows["made"]].assign(stability=(rows["stable"] == "stable").astype(float))
    parts = []
    for column, _, _, factor in PANELS:
        groups = made.dropna(subset=[column]).groupby(["kind", "mechanism"], sort=False)[column]
        middle = groups.mean() if column == "stability" else groups.median()
        low, high = (groups.quantile(level) for level in (LOW, HIGH))
        if column == "stability":
            low = high = middle
        found = pd.DataFrame({"value": middle, "low": low, "high": high, "count": groups.size()})
        found[["value", "low", "high"]] *= factor
        parts.append(found.reset_index().assign(measure=column))
    return pd.concat(parts, ignore_index=True)[
        ["measure", "kind", "mechanism", "value", "low", "high", "count"]
    ]


def chart(summed: pd.DataFrame) -> alt.ConcatChart:
    """Return a panel for each measure: every mechanism's median and band, for both kinds."""
    return panels(
        [
            ranges(
                summed[summed["measure"] == column],
                axis("value", title),
                names="mechanism",
                series="kind",
                title=heading,
            )
            for column, heading, title, _ in PANELS
            if (summed["measure"] == column).any()
        ]
    )


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Say what each mechanism was expected to do, and what it did."""
    made = rows[rows["made"]].astype({"equilibrium": bool, "proven": bool})

    def of(*names: str) -> pd.DataFrame:
        return made[made["mechanism"].isin(names)]

    def optimal(some: pd.DataFrame) -> pd.Series:
        return some["welfare"] >= 1.0 - SAME

    def each(some: pd.DataFrame, describe: Callable[[pd.DataFrame], str]) -> str:
        return "; ".join(
            f"{name}: {describe(some[some['mechanism'] == name])}"
            for name in dict.fromkeys(some["mechanism"])
        )

    best = of("efficient", "equal-split", "vcg")
    sharing = of("shapley-profile", "leave-one-out-profile", "by-data-profile", "tang-wong")
    balanced = made[made["mechanism"] != "vcg"]
    liars = made[made["mechanism"].isin(NAMES[4:]) | (made["mechanism"] == "efficient")]
    liars = liars.dropna(subset=["lying"])
    found = [
        Finding(
            claim="Every mechanism has an equilibrium in pure strategies",
            paper="not promised where there is no potential",
            ours=f"found in {share(made['equilibrium'])} cases; "
            f"regret at most {made.loc[made['equilibrium'], 'regret'].max():.2g} of a payoff's "
            f"terms, proven in {share(made['proven'])}",
            verdict=holds(made["equilibrium"]),
        ),
        Finding(
            claim="The efficient rule, equal split and VCG reach the optimum",
            paper="theorem: payoffs follow welfare",
            ours=each(best, lambda group: share(optimal(group))),
            verdict=holds(optimal(best)),
        ),
        Finding(
            claim="Shapley, leave-one-out, data shares and personal prices reach it too",
            paper="not promised",
            ours=each(sharing, lambda group: share(optimal(group))),
            verdict=holds(optimal(sharing)),
        ),
        Finding(
            claim="Only VCG needs money from outside",
            paper="theorem of Green and Laffont for VCG; by construction for the others",
            ours=f"VCG: {spread(100.0 * of('vcg')['deficit'], 3)} % of welfare; others at most "
            f"{100.0 * balanced['deficit'].abs().max():.2g} %",
            verdict=holds(balanced["deficit"].abs() <= SAME),
        ),
        Finding(
            claim="Nobody loses against no compensation",
            paper="theorem for the efficient rule with equal gains, from true figures",
            ours=each(
                made[made["mechanism"] != NONE], lambda group: f"{share(group['losers'] == 0)}"
            ),
            verdict=holds(made["losers"] == 0),
        ),
        Finding(
            claim="No coalition would do better on its own",
            paper="not promised",
            ours=of_kinds(
                made, lambda some: each(some, lambda group: share(group["stable"] == "stable"))
            ),
            verdict=holds(made["stable"] == "stable"),
        ),
    ]
    if len(liars):
        found.append(
            Finding(
                claim="No false report of a profitability gains",
                paper="promised by the truthful rule alone, and by rules that do not ask",
                ours=each(
                    liars, lambda group: f"up to {100.0 * group['lying'].max():.2g} % of its payoff"
                ),
                verdict=holds(liars["lying"] <= SAME),
                remark=f"{len(REPORTS)} reports of each of {len(RANKS)} organizations",
            )
        )
    return found


FIGURE = Figure(
    name="mechanisms",
    title="What mechanisms do to the same consortia",
    group="mechanisms",
    units=units,
    compute=compute,
    summary=summary,
    chart=chart,
    findings=findings,
    sources=SOURCES,
    parameters=PARAMETERS,
)
