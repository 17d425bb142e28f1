"""Fig. 6: social welfare under each scheme.

The paper shows CGBD first, DBR second, and below them FIP, GCA and WPR. Each draw is a consortium
of Table II at gamma*. Consortia differ by more than schemes do, so the second panel shows each
scheme's welfare in percent of what the same draw has under DBR.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from tradefl.charts import axis, bars, dots, panels
from tradefl.experiments.draws import GAMMA_STAR, table2
from tradefl.experiments.figure import Figure, Finding, band, seed_units, share, verdict_of_share
from tradefl.experiments.parameters import AT_GAMMA
from tradefl.solvers import solve

SCHEMES = {"CGBD": "cgbd", "DBR": "dbr", "FIP": "fip", "GCA": "gca", "WPR": "wpr"}
# Relative: welfares closer than the regret that a solver may leave are the same.
SAME = 1e-9


def compute(
    seed: int, *, gamma: float = GAMMA_STAR, n: int = 10, **calibration: float
) -> pd.DataFrame:
    """Return the welfare under each scheme, for one consortium."""
    game = table2(seed, n, incentive_intensity=gamma, **calibration)
    return pd.DataFrame(
        [
            {"seed": seed, "scheme": name, "social_welfare": solve(game, method).social_welfare}
            for name, method in SCHEMES.items()
        ]
    )


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return median and band of the welfare under each scheme, in payoff and in percent of DBR."""
    dbr = rows[rows["scheme"] == "DBR"].set_index("seed")["social_welfare"]
    percent = rows.assign(social_welfare=100.0 * rows["social_welfare"] / rows["seed"].map(dbr))
    parts = {"payoff": rows, "percent of DBR": percent}
    return pd.concat(
        [band(part.assign(unit=unit), ["unit", "scheme"], "social_welfare")
         for unit, part in parts.items()],
        ignore_index=True,
    )  # fmt: skip


def chart(summed: pd.DataFrame) -> alt.ConcatChart:
    """Return a bar for each scheme, and a point for each scheme next to DBR."""
    absolute, relative = (part for _, part in summed.groupby("unit", sort=False))
    return panels(
        [
            bars(
                absolute,
                axis("scheme", "scheme"),
                axis("social_welfare", "social welfare (payoff)", zero=True),
                title="Social welfare under each scheme (median and 90 % band)",
            ),
            dots(
                relative,
                axis("scheme", "scheme"),
                axis("social_welfare", "social welfare (% of the same draw's under DBR)"),
                title="Beside DBR (median and 90 % band)",
            ),
        ]
    )


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Compare the schemes draw by draw."""
    wide = rows.pivot_table(index="seed", columns="scheme", values="social_welfare")
    slack = SAME * wide["DBR"].abs()
    first = wide["CGBD"] >= wide["DBR"] - slack
    others = wide[["FIP", "GCA", "WPR"]]
    above = others.le(wide["DBR"] + slack, axis=0).all(axis=1)
    worst = ", ".join(
        f"{name} above DBR in {share(others[name] > wide['DBR'] + slack)}" for name in others
    )
    return [
        Finding(
            claim="CGBD reaches at least the welfare of DBR",
            paper="Fig. 6: CGBD first, DBR second",
            ours=f"in {share(first)} draws",
            verdict=verdict_of_share(first, corrected=True),
            correction="E1, E4, E5",
        ),
        Finding(
            claim="DBR has more welfare than FIP, GCA and WPR",
            paper="Fig. 6: DBR above all three",
            ours=f"in {share(above)} draws; {worst}",
            verdict=verdict_of_share(above, corrected=True),
            correction="E9",
        ),
    ]


FIGURE = Figure(
    name="fig6",
    title="Social welfare under each scheme",
    group="simulation",
    units=seed_units,
    compute=compute,
    summary=summary,
    chart=chart,
    findings=findings,
    sources=("tradefl.game", "tradefl.solvers", "tradefl.experiments.draws"),
    parameters=AT_GAMMA,
)
