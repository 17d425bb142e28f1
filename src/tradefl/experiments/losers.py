"""Who is worse off under the paper's rule at its best gamma than without any compensation."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tradefl.charts import axis, grouped_bars, histogram, panels
from tradefl.experiments.compensation import (
    HETEROGENEOUS,
    KINDS,
    PARAMETERS,
    SOURCES,
    compute,
    holds,
    of_kinds,
    units,
)
from tradefl.experiments.figure import Figure, Finding, share, spread

NUMBER, LOSS = "consortia", "losses"
LARGEST = 20.0  # percent; above it a loss is counted there
EARLIER = 24 / 80


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how many consortia have each number of losers, and their largest losses."""
    counted = rows.groupby(["losers_tuned", "kind"]).size()
    every = range(int(rows["losers_tuned"].max()) + 1)
    kinds = [kind for kind in KINDS if (rows["kind"] == kind).any()]
    index = pd.MultiIndex.from_product([every, kinds], names=["losers", "kind"])
    counted = counted.reindex(index, fill_value=0).rename("consortia").reset_index()
    lost = rows.loc[rows["losers_tuned"] > 0, ["kind", "seed", "largest_loss_tuned"]]
    lost = lost.assign(loss=100.0 * lost["largest_loss_tuned"])[["kind", "seed", "loss"]]
    lost = lost.assign(shown=lost["loss"].clip(upper=LARGEST))
    return pd.concat([counted.assign(panel=NUMBER), lost.assign(panel=LOSS)], ignore_index=True)


def chart(summed: pd.DataFrame) -> alt.ConcatChart:
    """Return a bar for each number of losers, and how large the largest losses are."""
    number, loss = (summed[summed["panel"] == panel] for panel in (NUMBER, LOSS))
    whole = number.assign(losers=number["losers"].astype(int).astype(str))
    charts = [
        grouped_bars(
            whole[["losers", "kind", "consortia"]],
            axis("losers", "organizations that lose, of ten"),
            axis("consortia", "consortia", zero=True),
            series="kind",
            title="Losers under gamma*, against no compensation",
        )
    ]
    if len(loss):
        charts.append(
            histogram(
                loss[["kind", "seed", "loss", "shown"]],
                axis("shown", f"largest loss (% of its payoff without; {LARGEST:g}: or more)"),
                series="kind",
                names=list(dict.fromkeys(number["kind"])),  # both panels have the same colours
                count="consortia with a loser",
                step=1.0,
                title="How much the largest loser loses",
            )
        )
    return panels(charts)


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Say how many lose, under the paper's rule and under the efficient one."""
    tuned, organizations = rows["losers_tuned"], 10
    unequal = rows.loc[rows["kind"] == HETEROGENEOUS, "losers_tuned"].dropna()
    rate = float(unequal.mean()) / organizations
    return [
        Finding(
            claim="Nobody is worse off under gamma* than without compensation",
            paper="not promised: only that nobody is below zero",
            ours=of_kinds(
                rows,
                lambda group: (
                    f"{share(group['losers_tuned'] == 0)} consortia, "
                    f"{int(group['losers_tuned'].sum())} of {organizations * len(group)} "
                    "organizations lose"
                ),
            ),
            verdict=holds(tuned == 0),
        ),
        Finding(
            claim="Three of ten organizations lose in heterogeneous consortia",
            paper="24 of 80 in eight earlier draws",
            ours=f"{100.0 * rate:.1f} %",
            verdict=holds(rate >= EARLIER),
        ),
        Finding(
            claim="What the largest loser loses is small",
            paper="not known before",
            ours=of_kinds(rows, _losses),
            verdict=holds(rows["largest_loss_tuned"] <= 0.01),
            remark="small: 1 % of its payoff",
        ),
        Finding(
            claim="Nobody is worse off under the efficient rule",
            paper="theorem",
            ours=f"{share(rows['below_none'] == 0)} consortia; "
            f"{int(rows['below_none'].sum())} organizations lose",
            verdict=holds(rows["below_none"] == 0),
        ),
    ]


def _losses(rows: pd.DataFrame) -> str:
    """Return what the largest losers lose, where there are any."""
    lost = rows.loc[rows["losers_tuned"] > 0, "largest_loss_tuned"]
    if lost.empty:
        return "nobody loses"
    return f"{spread(100.0 * lost, 2)} % of its payoff, at most {100.0 * lost.max():.2g} %"


FIGURE = Figure(
    name="losers",
    title="Who loses under the paper's rule at its best gamma",
    group="compensation",
    units=units,
    compute=compute,
    summary=summary,
    chart=chart,
    findings=findings,
    sources=SOURCES,
    parameters=PARAMETERS,
)
