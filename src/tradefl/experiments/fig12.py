"""Fig. 12: the data in the training over gamma, under each scheme.

The total is the sum of the fractions d_i of N = 10 organizations. The paper has 10 under TOS
whatever gamma, and under DBR up to 64 % more than under GCA at gamma*. The accuracy that the same
figure shows is a figure of its own, ``fig12-accuracy``.
"""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from tradefl.experiments import gamma_sweep
from tradefl.experiments.draws import GAMMA_STAR
from tradefl.experiments.figure import Figure, Finding, seed_units, share, spread, verdict_of_share
from tradefl.experiments.gamma_sweep import COARSE, SAME, at, number
from tradefl.experiments.parameters import CALIBRATION, gammas

SCHEMES = ("DBR", "FIP", "GCA", "WPR", "TOS")
PAPER = 64.0
ORGANIZATIONS = 10


def compute(seed: int, *, gammas: Sequence[float] = COARSE, **calibration: float) -> pd.DataFrame:
    """Return the total data at each gamma under each scheme, for one consortium."""
    return gamma_sweep.sweep(seed, SCHEMES, "total_data", gammas, ORGANIZATIONS, **calibration)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return median and band of the total data for each scheme and gamma."""
    return gamma_sweep.summary(rows, "total_data")


def chart(summed: pd.DataFrame) -> alt.LayerChart:
    """Return a line a scheme."""
    return gamma_sweep.chart(
        summed, "total_data", "total data Σ dᵢ (datasets)", "Data in the training"
    )


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Compare DBR with GCA at gamma*, draw by draw, and look whether TOS is level."""
    wide = gamma_sweep.curves_by_scheme(rows, "total_data")
    star = pd.DataFrame({name: at(wide[name], GAMMA_STAR) for name in SCHEMES})
    more = 100.0 * (star["DBR"] / star["GCA"] - 1.0)
    others = ", ".join(
        f"{name} {spread(100 * (star['DBR'] / star[name] - 1), 3)} %" for name in ("FIP", "WPR")
    )
    level = ((wide["TOS"] - ORGANIZATIONS).abs() <= SAME * ORGANIZATIONS).all(axis=1)
    return [
        Finding(
            claim="At gamma*, DBR has more data in the training than GCA",
            paper="Fig. 12: more, by up to 64 %",
            ours=f"in {share(more > 0)} draws; {spread(star['DBR'], 3)} against "
            f"{spread(star['GCA'], 3)}; DBR has more than the others by: {others}",
            verdict=verdict_of_share(more > 0, corrected=True),
            correction="E9",
        ),
        number(
            "At gamma*, that is up to 64 % more",
            "Fig. 12: up to 64 %",
            more,
            PAPER,
            f"{spread(more, 3)} %, at most {more.max():.3g} %; at least 64 % in "
            f"{share(more >= PAPER)} draws",
        ),
        Finding(
            claim="Under TOS the total is 10, whatever gamma",
            paper="Fig. 12: 10 at every gamma",
            ours=f"in {share(level)} draws",
            verdict=verdict_of_share(level),
            remark="By definition.",
        ),
    ]


FIGURE = Figure(
    name="fig12",
    title="Total data over gamma under each scheme",
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
    parameters=(gammas(COARSE), *CALIBRATION),
)
