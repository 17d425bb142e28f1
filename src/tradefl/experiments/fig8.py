"""Fig. 8: social welfare over gamma, under each scheme.

The paper shows that welfare is not monotone in gamma under any scheme with redistribution, and
sums up that DBR has the most. WPR and TOS decide without looking at gamma, and redistribution adds
up to nothing, so theirs are level lines.
"""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from tradefl.experiments import gamma_sweep
from tradefl.experiments.draws import GAMMA_STAR
from tradefl.experiments.figure import Figure, Finding, seed_units, share, spread, verdict_of_share
from tradefl.experiments.gamma_sweep import COARSE, NONE_COUNTS, SAME, SCHEMES, at
from tradefl.experiments.parameters import CALIBRATION, SIZE, gammas

REDISTRIBUTING = ("CGBD", "DBR", "FIP", "GCA")
BASELINES = ("FIP", "GCA", "WPR")


def compute(
    seed: int, *, gammas: Sequence[float] = COARSE, n: int = 10, **calibration: float
) -> pd.DataFrame:
    """Return the welfare at each gamma under each scheme, for one consortium."""
    return gamma_sweep.sweep(seed, list(SCHEMES), "social_welfare", gammas, n, **calibration)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return median and band of the welfare, relative to that under DBR at gamma*."""
    return gamma_sweep.summary(gamma_sweep.relative(rows, "social_welfare"), "social_welfare")


def chart(summed: pd.DataFrame) -> alt.LayerChart:
    """Return a line a scheme."""
    return gamma_sweep.chart(
        summed,
        "social_welfare",
        "social welfare (% of DBR's at γ*, same draw)",
        "Social welfare under each scheme",
    )


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Judge each scheme's shape, then compare DBR with the others, draw by draw."""
    wide = gamma_sweep.curves_by_scheme(rows, "social_welfare")
    shapes = pd.DataFrame(
        {
            name: gamma_sweep.holds(wide[name], gamma_sweep.rises_then_falls)
            for name in REDISTRIBUTING
        }
    )
    dbr, slack = wide["DBR"], SAME * wide["DBR"].abs()
    above = {name: wide[name] <= dbr + slack for name in BASELINES}
    at_star = pd.DataFrame({name: at(above[name], GAMMA_STAR) for name in BASELINES})
    anywhere = pd.DataFrame({name: above[name].all(axis=1) for name in BASELINES})
    best = dbr.max(axis=1)
    at_best = pd.DataFrame(
        {name: wide[name].max(axis=1) <= best + SAME * best.abs() for name in BASELINES}
    )
    large = dbr.columns.to_numpy(dtype=float) > GAMMA_STAR
    without = (wide["WPR"] > dbr + slack).to_numpy() & large
    harm = [float(dbr.columns[row].min()) for row in without if row.any()]
    beyond = f"; beyond gamma*, WPR has more from {spread(harm, 3)} on" if harm else ""
    return [
        Finding(
            claim="Welfare rises with gamma, then falls, under every scheme with redistribution",
            paper="Fig. 8: more gamma does not always mean more welfare",
            ours="; ".join(f"{name} in {share(shapes[name])}" for name in shapes) + " draws",
            verdict=verdict_of_share(shapes.all(axis=1), corrected=True),
            correction="E9",
            remark=NONE_COUNTS,
        ),
        Finding(
            claim="At gamma*, DBR has more welfare than FIP, GCA and WPR",
            paper="Fig. 8: DBR highest",
            ours=_counts(at_star),
            verdict=verdict_of_share(at_star.all(axis=1), corrected=True),
            correction="E9",
        ),
        Finding(
            claim="Each at its best gamma, DBR has more welfare than FIP, GCA and WPR",
            paper="Fig. 8: DBR highest",
            ours=_counts(at_best),
            verdict=verdict_of_share(at_best.all(axis=1), corrected=True),
            correction="E9",
        ),
        Finding(
            claim="At every gamma, DBR has more welfare than FIP, GCA and WPR",
            paper="Fig. 8: DBR highest",
            ours=_counts(anywhere) + beyond,
            verdict=verdict_of_share(anywhere.all(axis=1), corrected=True),
            correction="E9",
            remark="Where gamma is too large, DBR has everybody contribute everything, and no "
            "redistribution at all is better.",
        ),
    ]


def _counts(holds: pd.DataFrame) -> str:
    each = ", ".join(f"{name} in {share(holds[name])}" for name in holds)
    return f"in {share(holds.all(axis=1))} draws; above {each}"


FIGURE = Figure(
    name="fig8",
    title="Social welfare over gamma under each scheme",
    group="simulation",
    units=seed_units,
    compute=compute,
    summary=summary,
    chart=chart,
    findings=findings,
    sources=(
        *("tradefl.game", "tradefl.solvers"),
        *("tradefl.experiments.draws", "tradefl.experiments.gamma_sweep"),
    ),
    parameters=(gammas(COARSE), SIZE, *CALIBRATION),
)
