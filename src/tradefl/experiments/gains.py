"""What everybody gains under the efficient rule, and what the best gamma of the paper's rule gives.

The constants split the gain equally, so one organization's share of it is the unit in which the
first panel counts: at 1 both rules give it the same, below 0 it loses at gamma*.
"""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from tradefl.charts import axis, lines, marked, panels
from tradefl.experiments.compensation import (
    EXACT_REGRET,
    KINDS,
    PARAMETERS,
    SETTLED_REGRET,
    SOURCES,
    by_organization,
    compute,
    holds,
    of_kinds,
    units,
)
from tradefl.experiments.figure import Figure, Finding, share, spread

SHARES, PERCENT = "in equal shares", "in percent of the payoff"
PAYMENTS = "payments"
QUANTILES = np.linspace(0.01, 0.99, 197)
EFFICIENT, TUNED = "efficient rule", "paper's rule, gamma*"
DIGITS = 1e-9  # relative; gains that differ by less are the same


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return quantiles: of the gains in equal shares and in percent of the payoff, of payments."""
    each = by_organization(rows).dropna()
    parts = []

    def add(panel: str, kind: str, rule: str, values: pd.Series) -> None:
        columns = {"gain": np.quantile(values, QUANTILES), "share": 100.0 * QUANTILES}
        parts.append(pd.DataFrame({"panel": panel, "kind": kind, "rule": rule, **columns}))

    for kind in KINDS:
        some = each[each["kind"] == kind]
        if some.empty:
            continue
        add(SHARES, kind, TUNED, some["tuned"] / some["efficient"])
        of_kind = rows[rows["kind"] == kind]
        for rule, gain, payments in (
            (EFFICIENT, "efficient", "payments_agreed"),
            (TUNED, "tuned", "payments_tuned"),
        ):
            add(PERCENT, kind, rule, 100.0 * some[gain] / some["without"].abs())
            add(PAYMENTS, kind, rule, 100.0 * of_kind[payments].dropna())
    return pd.concat(parts, ignore_index=True)


def chart(summed: pd.DataFrame) -> alt.ConcatChart:
    """Return for each gain how many organizations gain no more, and what is paid for it."""
    up = axis("share", "organizations that gain no more (%)", zero=True)
    equal = summed[summed["panel"] == SHARES]
    beside = marked(
        lines(
            equal,
            axis("gain", "gain at gamma*, in equal shares of the optimum's gain"),
            up,
            series="kind",
            title="What gamma* gives, against the efficient rule",
        ),
        {0.0: "loses", 1.0: "as much"},
    )
    of_each = [
        lines(
            summed[(summed["panel"] == PERCENT) & (summed["kind"] == kind)],
            axis("gain", "gain (% of its payoff without compensation)"),
            up,
            series="rule",
            title=f"Gains over no compensation: {kind}",
        )
        for kind in dict.fromkeys(equal["kind"])
    ]
    paid = summed[summed["panel"] == PAYMENTS]
    payments = lines(
        paid.assign(which=paid["kind"] + ": " + paid["rule"]),
        axis("gain", "payments (% of welfare)", zero=True),
        axis("share", "consortia that pay no more (%)", zero=True),
        series="which",
        title="Sum of all payments",
        legend="consortia and rule",
    )
    return panels([beside, payments, *of_each])


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Say what the efficient rule promises, and what of it was measured."""
    return [
        Finding(
            claim="pi* is an equilibrium if the exact schedules are paid",
            paper=f"promise: regret at most {EXACT_REGRET:g} of a payoff's terms",
            ours=f"at most {rows['regret_exact'].max():.2g}",
            verdict=holds(rows["regret_exact"] <= EXACT_REGRET),
        ),
        Finding(
            claim="pi* is one as settled: straight pieces, parts per billion, wei",
            paper=f"promise: regret at most {SETTLED_REGRET:g}",
            ours=f"at most {rows['regret_settled'].max():.2g}",
            verdict=holds(rows["regret_settled"] <= SETTLED_REGRET),
        ),
        Finding(
            claim="The payments sum up to zero",
            paper="theorem; rounding only",
            ours=f"at most {rows['budget_imbalance'].max():.2g} of all payoffs' terms",
            verdict=holds(rows["budget_imbalance"] <= 1e-12),
        ),
        Finding(
            claim="Everybody gains",
            paper="theorem: an equal share of W* - W(no compensation)",
            ours=of_kinds(rows, _gains),
            verdict=holds(rows["equal_gain"] > 0.0),
        ),
        Finding(
            claim="Nobody gains more at gamma* than under the efficient rule",
            paper="not promised: all together gain no more, one may",
            ours=of_kinds(rows, _preferred),
            verdict=holds(_prefers(rows) == 0.0),
        ),
        Finding(
            claim="Best responses lead to pi* from every start",
            paper="not promised: there may be several equilibria",
            ours=of_kinds(
                rows,
                lambda group: (
                    f"{share(group['starts_that_reach'] == group['starts'])} consortia, "
                    f"{int(group['starts_that_reach'].sum())} of "
                    f"{int(group['starts'].sum())} starts"
                ),
            ),
            verdict=holds(rows["starts_that_reach"] == rows["starts"]),
        ),
        Finding(
            claim="The payments are small",
            paper="not known before",
            ours=of_kinds(
                rows,
                lambda group: (
                    f"{spread(100.0 * group['payments_agreed'], 3)} % of welfare, at gamma* "
                    f"{spread(100.0 * group['payments_tuned'].dropna(), 3)} %"
                ),
            ),
            verdict=holds(rows["payments_agreed"] <= 0.05),
            remark="small: 5 % of welfare",
        ),
    ]


def _gains(rows: pd.DataFrame) -> str:
    each = by_organization(rows)
    percent = 100.0 * each["efficient"] / each["without"].abs()
    return f"{spread(percent, 3)} % of its payoff, at least {percent.min():.3g} %"


def _prefers(rows: pd.DataFrame) -> pd.Series:
    """Return for each organization whether it gains more at gamma*."""
    each = by_organization(rows).dropna()
    return each["tuned"] > each["efficient"] + DIGITS * each["without"].abs()


def _preferred(rows: pd.DataFrame) -> str:
    return f"{share(~_prefers(rows))} organizations gain no more there"


FIGURE = Figure(
    name="gains",
    title="What everybody gains",
    group="compensation",
    units=units,
    compute=compute,
    summary=summary,
    chart=chart,
    findings=findings,
    sources=SOURCES,
    parameters=PARAMETERS,
)
