"""Would they stay? Every split of many consortia, tested against all of their coalitions.

The consortia are those of :mod:`.compensation`. All coalitions of each are valued, in both
readings, and their values certified; the splits, the least core and the cost of stability follow
from these tables. Branch and bound works the margin out a second time, without the tables.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from tradefl.charts import axis, grouped_bars, histogram, panels, scatter
from tradefl.experiments.compensation import (
    HETEROGENEOUS,
    KINDS,
    PARAMETERS,
    consortium,
    drawn,
    holds,
    of_kinds,
    units,
)
from tradefl.experiments.draws import rivalry_of
from tradefl.experiments.figure import Figure, Finding, share, spread
from tradefl.game import CoopetitionGame
from tradefl.game.participation import market_utilities
from tradefl.solvers import solve
from tradefl.stability import Values, allocation, least_core, separate, shapley
from tradefl.stability.core import cost_of_stability
from tradefl.stability.market import OUTSIDERS, market_values
from tradefl.stability.tables import least_core_of
from tradefl.stability.values import all_coalitions
from tradefl.tuning import tune

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Each split's column, and its name in tables and pictures.
SPLITS = {
    "equal_gain": "efficient rule, equal gain",
    "by_profitability": "efficient rule, by profitability",
    "least_core": "efficient rule, least core",
    "ebar": "M - ebar",
    "shapley": "Shapley value",
    "leave_one_out": "leave-one-out, rescaled",
    "tuned": "paper's rule at gamma*",
    "none": "no compensation",
    "by_data": "in proportion to data",
    "equal_shares": "equal shares of welfare",
    "equal_over_alone": "equal gain over alone",
}
# Excesses up to this share of v(N) are none.
NOTHING = 1e-9
STABLE, MARGIN, COST = "stable", "margin", "cost"
SOURCES = (
    *("tradefl.game", "tradefl.solvers", "tradefl.stability", "tradefl.tuning"),
    *("tradefl.experiments.draws", "tradefl.experiments.compensation"),
)


def compute(kind: str, seed: int, **parameters: float) -> pd.DataFrame:
    """Return one row: a consortium's coalitions, and every split tested against them."""
    game = consortium(kind, seed, **parameters)
    values = Values(game)
    members = all_coalitions(game.size)
    worth, bound = values.of(members)
    row: dict[str, Any] = {"kind": kind, "seed": seed}
    row["spread"] = drawn(seed, **parameters)[0] if kind == HETEROGENEOUS else np.nan
    competition = np.column_stack([game.competition.dot(unit) for unit in np.eye(game.size)])
    row["rivalry"] = rivalry_of(competition, game.profitability)
    total = float(worth[-1])
    row["value"] = total
    row["uncertain"] = float((bound - worth).max()) / total
    row["alone"] = float(values.alone.payoff.sum()) / total
    row |= _shape(values, worth)
    core, margin = least_core_of(worth)
    proven = least_core(values, tolerance=NOTHING * total)
    row["margin"] = margin / total
    row["margin_by_search"] = proven.margin / total
    row["margin_proven"] = proven.certified
    splits = _splits(game, values, worth, core)
    for name, pay in splits.items():
        row |= _tested(name, pay, members, worth, values.alone.payoff)
    for name in ("equal_gain", "by_profitability"):
        found = separate(values, splits[name], tolerance=NOTHING * total)
        row[f"search_excess_{name}"] = found.excess / total
        row[f"search_bound_{name}"] = found.bound / total
    row |= _market(game, members, total)
    return pd.DataFrame([row])


def _shape(values: Values, worth: Array) -> dict[str, float]:
    """Return the least surplus of any merge (A1), and how often second differences are negative.

    On the terms of members: singles too pay transfers and contribute D_min.
    """
    n = values.size
    known = np.append(0.0, worth)
    for i in range(n):
        known[1 << i] = values.coalitions.optimum(np.array([i])).welfare
    numbers = np.arange(1 << n)
    least = np.inf
    for s in range(1, 1 << n):
        others = numbers[(numbers > s) & (numbers & s == 0)]
        if others.size:
            least = min(least, float((known[others | s] - known[others]).min() - known[s]))
    negative, count = 0, 0
    for i in range(n):
        for j in range(i):
            rest = numbers[(numbers >> i | numbers >> j) & 1 == 0]
            both = 1 << i | 1 << j
            second = known[rest | both] - known[rest | 1 << i] - known[rest | 1 << j] + known[rest]
            negative += int((second < -NOTHING * known[-1]).sum())
            count += rest.size
    return {"least_merger": least / float(worth[-1]), "not_convex": negative / count}


def _splits(game: CoopetitionGame, values: Values, worth: Array, core: Array) -> dict[str, Array]:
    """Return the payoffs of each split; NaN where there is no such split."""
    n, total = game.size, float(worth[-1])
    marginal, alone = values.marginal, values.alone.payoff
    named = {
        name.replace("-", "_"): allocation(game, name, values).payoff
        for name in ("by-profitability", "leave-one-out", "by-data")
    }
    tuned = tune(game, participation="zero").best
    return {
        "equal_gain": allocation(game, "efficient", values).payoff,
        "by_profitability": named["by_profitability"],
        "least_core": core,
        "ebar": marginal - (marginal.sum() - total) / n,
        "shapley": shapley(worth),
        "leave_one_out": named["leave_one_out"],
        "tuned": np.full(n, np.nan) if tuned is None else tuned.payoffs,
        "none": solve(game.with_incentive_intensity(0.0)).payoffs,
        "by_data": named["by_data"],
        "equal_shares": np.full(n, total / n),
        "equal_over_alone": alone + (total - alone.sum()) / n,
    }


def _tested(name: str, pay: Array, members: Flags, worth: Array, alone: Array) -> dict[str, float]:
    """Return the largest excess of a split, its coalition's size, how many block, who is below."""
    if np.isnan(pay).any():
        columns = ("excess", "strongest", "blocking", "below_alone")
        return {f"{column}_{name}": np.nan for column in columns}
    total = float(worth[-1])
    excess = (worth[:-1] - members[:-1] @ pay) / total
    k = int(np.argmax(excess))
    return {
        f"excess_{name}": float(excess[k]),
        f"strongest_{name}": int(members[k].sum()),
        f"blocking_{name}": int((excess > NOTHING).sum()),
        f"below_alone_{name}": int((pay < alone - NOTHING * total).sum()),
    }


def _market(game: CoopetitionGame, members: Flags, welfare: float) -> dict[str, float]:
    """Return what the market reading says, with outsiders together and each alone."""
    values = Values(game, "market")
    optimum = solve(game.with_incentive_intensity(0.0), "planner").profile
    row: dict[str, float] = {}
    for outsiders in OUTSIDERS:
        worth, bound = market_values(values, members, outsiders)
        total = float(worth[-1])
        marginal = total - worth[(1 << game.size) - 2 - (1 << np.arange(game.size))]
        row |= {
            f"market_margin_{outsiders}": least_core_of(worth)[1] / total,
            f"market_cost_{outsiders}": cost_of_stability(members[:-1], worth[:-1], total) / total,
            # A5: without a margin on average no split is stable.
            f"market_ebar_{outsiders}": float(marginal.sum() - total) / game.size / total,
            f"market_uncertain_{outsiders}": float((bound - worth).max()) / total,
        }
        if outsiders == "together":
            row["market_value"] = total / welfare
            row["market_at_optimum"] = float(market_utilities(game, optimum).sum()) / total
            apart = worth[:-1] + worth[:-1][::-1]  # a coalition and all the others
            row["least_merger_of_two"] = float((total - apart).min()) / total
    return row


# --- what is shown --------------------------------------------------------------------------------


def stable(rows: pd.DataFrame, name: str) -> pd.Series:
    """Return for each consortium with such a split whether no coalition could do better."""
    return rows[f"excess_{name}"].dropna() <= NOTHING


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the share of consortia in which each split is stable, margins and costs."""
    parts = []
    for kind in KINDS:
        some = rows[rows["kind"] == kind]
        if some.empty:
            continue
        for name, title in SPLITS.items():
            part = {"panel": STABLE, "kind": kind, "split": title}
            parts.append(pd.DataFrame([part | {"share": 100.0 * stable(some, name).mean()}]))
        parts.append(
            pd.DataFrame(
                {"panel": MARGIN, "kind": kind, "seed": some["seed"], "share": 100 * some["margin"]}
            )
        )
        for outsiders in OUTSIDERS:
            columns = {
                "panel": COST,
                "kind": kind,
                "seed": some["seed"],
                "rivalry": some["rivalry"],
                "outsiders": outsiders,
                "share": 100.0 * some[f"market_cost_{outsiders}"],
            }
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def chart(summed: pd.DataFrame) -> alt.ConcatChart:
    """Return which splits are stable, how large the margin is, and what rivals cost."""
    kept = summed[summed["panel"] == STABLE]
    margins = summed[summed["panel"] == MARGIN]
    costs = summed[summed["panel"] == COST]
    return panels(
        [
            grouped_bars(
                kept[["split", "kind", "share"]],
                axis("split", "split"),
                axis("share", "consortia in which it is stable (%)", zero=True),
                series="kind",
                title="Which splits no coalition would leave",
            ),
            histogram(
                margins[["kind", "seed", "share"]],
                axis("share", "margin of the least core (% of v(N))"),
                series="kind",
                count="consortia",
                step=0.02,
                title="What every coalition would lose by leaving",
            ),
            *(
                scatter(
                    costs[costs["outsiders"] == outsiders][["kind", "rivalry", "share"]],
                    axis("rivalry", "rivalry (largest share of a gain that rivals undo)"),
                    axis("share", "cost of stability (% of A(N))", zero=True),
                    series="kind",
                    title=f"Market reading, outsiders {outsiders}",
                )
                for outsiders in OUTSIDERS
            ),
        ]
    )


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Say which splits are stable, and what of the theory was measured."""

    def of_split(name: str) -> str:
        return of_kinds(rows, lambda some: share(stable(some, name)))

    agree = (rows["margin"] - rows["margin_by_search"]).abs() <= 1e-7
    proven = [
        (rows[f"search_bound_{name}"] >= rows[f"excess_{name}"] - NOTHING)
        & ((rows[f"search_excess_{name}"] > NOTHING) == (rows[f"excess_{name}"] > NOTHING))
        for name in ("equal_gain", "by_profitability")
    ]
    unequal = rows[rows["kind"] == HETEROGENEOUS]
    return [
        Finding(
            claim="Some split is stable in every consortium (literal reading)",
            paper="conjecture; not proven where rivals compete",
            ours=of_kinds(rows, lambda some: share(some["margin"] >= -NOTHING)),
            verdict=holds(rows["margin"] >= -NOTHING),
        ),
        Finding(
            claim="The margin is a third of a percent of what all have together",
            paper="0.37 % at the median of both kinds",
            ours=of_kinds(rows, lambda some: f"{spread(100.0 * some['margin'], 3)} %"),
            verdict=holds((100.0 * rows.groupby("kind")["margin"].median()).between(0.355, 0.385)),
        ),
        Finding(
            claim="Sharing in proportion to profitability is stable in every consortium",
            paper="A3 proves it without rivalry and joining costs only",
            ours=of_split("by_profitability"),
            verdict=holds(stable(rows, "by_profitability")),
        ),
        Finding(
            claim="The least core is stable in every consortium",
            paper="by its definition, where any split is",
            ours=of_split("least_core"),
            verdict=holds(stable(rows, "least_core")),
        ),
        Finding(
            claim="Equal gain is stable in every consortium",
            paper="not promised: 167 and 200 of 200 expected",
            ours=of_split("equal_gain"),
            verdict=holds(stable(rows, "equal_gain")),
        ),
        Finding(
            claim="The Shapley value is stable in every consortium",
            paper="not promised: 154 and 200 of 200 expected",
            ours=of_split("shapley"),
            verdict=holds(stable(rows, "shapley")),
        ),
        Finding(
            claim="The paper's rule at gamma* is stable in every consortium",
            paper="not promised: 179 and 196 of 200 expected",
            ours=of_split("tuned"),
            verdict=holds(stable(rows, "tuned")),
        ),
        Finding(
            claim="Sharing in proportion to data is stable in some consortium",
            paper="none of 400 expected",
            ours=of_split("by_data"),
            verdict="holds" if stable(rows, "by_data").any() else "does not hold",
        ),
        Finding(
            claim="Two coalitions that merge have no less together (A1)",
            paper="theorem, on members' terms",
            ours=f"least surplus {100.0 * rows['least_merger'].min():.2g} % of v(N)",
            verdict=holds(rows["least_merger"] >= -NOTHING),
        ),
        Finding(
            claim="The game is convex",
            paper="not promised: no consortium is",
            ours=of_kinds(
                rows,
                lambda some: (
                    f"{share(some['not_convex'] == 0.0)}, "
                    f"{100.0 * some['not_convex'].mean():.2g} % of second differences negative"
                ),
            ),
            verdict=holds(rows["not_convex"] == 0.0),
        ),
        Finding(
            claim="Branch and bound finds the margin that enumeration finds, and proves it",
            paper="within 1e-7 of v(N)",
            ours=f"{share(agree & rows['margin_proven'].astype(bool))}",
            verdict=holds(agree & rows["margin_proven"].astype(bool)),
        ),
        Finding(
            claim="Branch and bound decides two splits as enumeration does",
            paper="every verdict; the bound never below the truth",
            ours="; ".join(share(column) for column in proven),
            verdict=holds(np.logical_and.reduce(proven)),
        ),
        Finding(
            claim="Rivals keep each other in without a grant (market reading, outsiders together)",
            paper="not promised: 139 and 0 of 200 expected",
            ours=of_kinds(
                rows,
                lambda some: (
                    f"{share(some['market_margin_together'] >= -NOTHING)}; cost of stability "
                    f"{spread(100.0 * some['market_cost_together'], 3)} %, at most "
                    f"{100.0 * some['market_cost_together'].max():.3g} %"
                ),
            ),
            verdict=holds(rows["market_margin_together"] >= -NOTHING),
        ),
        Finding(
            claim="All together earn more in the market than any two camps",
            paper="every consortium expected",
            ours=of_kinds(rows, lambda some: share(some["least_merger_of_two"] >= -NOTHING)),
            verdict=holds(rows["least_merger_of_two"] >= -NOTHING),
        ),
        Finding(
            claim="Rivalry empties the core of the market reading",
            paper="100, 79, 51 and 44 % by quarters of rivalry expected",
            ours=by_rivalry(unequal),
            verdict=holds(_falls(unequal)),
        ),
    ]


RIVALRY_EDGES = (0.1, 0.3, 0.5, 0.7, 0.9)


def _shares_by_rivalry(rows: pd.DataFrame) -> list[float]:
    quarter = pd.cut(rows["rivalry"], RIVALRY_EDGES)
    found = (rows["market_margin_together"] >= -NOTHING).groupby(quarter, observed=False).mean()
    return [float(value) for value in found]


def by_rivalry(rows: pd.DataFrame) -> str:
    """Return the share with a stable split in the market reading, for each range of rivalry."""
    return " / ".join(f"{100.0 * share_:.0f}" for share_ in _shares_by_rivalry(rows)) + " %"


def _falls(rows: pd.DataFrame) -> bool:
    shares = [share_ for share_ in _shares_by_rivalry(rows) if not np.isnan(share_)]
    return bool(np.all(np.diff(shares) <= 0.0))


FIGURE = Figure(
    name="stability",
    title="Would they stay?",
    group="compensation",
    units=units,
    compute=compute,
    summary=summary,
    chart=chart,
    findings=findings,
    sources=SOURCES,
    parameters=PARAMETERS,
)
