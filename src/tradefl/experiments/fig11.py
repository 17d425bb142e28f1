"""Fig. 11: social welfare over gamma and the weight of the training overhead, under DBR.

The paper has welfare fall as varpi_e grows. It gives neither the range nor the value of its other
figures; ours is from a quarter to four times our calibration (erratum E9).
"""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from tradefl.charts import axis
from tradefl.experiments import gamma_surface
from tradefl.experiments.draws import OURS, table2
from tradefl.experiments.figure import Figure, Finding, seed_units
from tradefl.experiments.gamma_surface import GAMMAS
from tradefl.experiments.parameters import SIZE, FigureParameter, gammas, without

MULTIPLES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
WEIGHTS = tuple(float(f"{multiple * OURS.overhead_weight:.6g}") for multiple in MULTIPLES)


def compute(
    seed: int,
    *,
    overhead_weights: Sequence[float] = WEIGHTS,
    gammas: Sequence[float] = GAMMAS,
    n: int = 10,
    **calibration: float,
) -> pd.DataFrame:
    """Return the welfare at each gamma and varpi_e, for one consortium."""
    games = {
        weight: table2(seed, n, overhead_weight=weight, **calibration)
        for weight in overhead_weights
    }
    return gamma_surface.surface(seed, "overhead_weight", games, gammas)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the median welfare at each gamma and varpi_e."""
    return gamma_surface.summary(rows, "overhead_weight")


def chart(summed: pd.DataFrame) -> alt.Chart:
    """Return the median welfare as colours."""
    return gamma_surface.chart(
        summed, axis("overhead_weight", "weight of training overhead ϖₑ (payoff/J)")
    )


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Judge the welfare along varpi_e and along gamma."""
    return gamma_surface.findings(
        rows,
        "overhead_weight",
        name="varpi_e",
        falls="Fig. 11: decreases as varpi_e (and mu, see Fig. 10) escalate",
        rises="Figs. 10-11: an appropriate gamma maximizes welfare",
        correction="E9",
    )


FIGURE = Figure(
    name="fig11",
    title="Social welfare over gamma and weight of training overhead under DBR",
    group="simulation",
    units=seed_units,
    compute=compute,
    summary=summary,
    chart=chart,
    findings=findings,
    sources=(
        *("tradefl.game", "tradefl.solvers", "tradefl.experiments.draws"),
        *("tradefl.experiments.gamma_sweep", "tradefl.experiments.gamma_surface"),
    ),
    parameters=(
        FigureParameter(
            name="overhead_weights", meaning="values of varpi_e, payoff/J", default=WEIGHTS
        ),
        *(gammas(GAMMAS), SIZE, *without("overhead_weight")),
    ),
)
