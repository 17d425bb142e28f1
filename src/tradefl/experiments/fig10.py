"""Fig. 10: social welfare over gamma and the mean competition intensity mu, under DBR.

The paper has welfare fall as mu grows, and rise and then fall as gamma grows. It gives neither
range. Ours ends at mu = 0.08: every ``z_i`` must be positive (erratum E1), which beyond that
hardly any draw of Table II's profitabilities has. All points of a draw are one consortium, drawn
so that it has one at the largest mu; its profitabilities are therefore closer together, and its
welfare larger, than in the other figures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import altair as alt
import pandas as pd

from tradefl.charts import axis
from tradefl.experiments import gamma_surface
from tradefl.experiments.draws import GAMMA_STAR, table2
from tradefl.experiments.figure import Figure, Finding, seed_units, share, spread, verdict_of_share
from tradefl.experiments.gamma_surface import GAMMAS
from tradefl.experiments.gamma_sweep import at
from tradefl.experiments.parameters import SIZE, FigureParameter, gammas, without

MEAN_INTENSITIES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08)
# Relative: welfare so close to that of the best gamma is as good.
AS_GOOD = 0.01
RICHER = (
    "These consortia are drawn so that every z_i > 0 at the largest mu: they are richer than those "
    "of the other figures, and so is their welfare."
)
CORRECTION = "E1, E2, E9, E11"


def compute(
    seed: int,
    *,
    mus: Sequence[float] = MEAN_INTENSITIES,
    gammas: Sequence[float] = GAMMAS,
    n: int = 10,
    **calibration: float,
) -> pd.DataFrame:
    """Return the welfare at each gamma and mu, for one consortium."""
    games = {
        mu: table2(seed, n, mu=mu, largest_mean_intensity=max(mus), **calibration) for mu in mus
    }
    return gamma_surface.surface(seed, "mean_intensity", games, gammas)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the median welfare at each gamma and mu."""
    return gamma_surface.summary(rows, "mean_intensity")


def chart(summed: pd.DataFrame) -> alt.Chart:
    """Return the median welfare as colours."""
    return gamma_surface.chart(
        summed, axis("mean_intensity", "mean competition intensity μ (dimensionless)")
    )


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Judge the welfare along mu and along gamma, and how good gamma* is at each mu."""
    along = gamma_surface.along_gamma(rows, "mean_intensity")
    lost = 1.0 - at(along, GAMMA_STAR) / along.max(axis=1)
    good = lost.groupby("seed").max() <= AS_GOOD
    best = along.idxmax(axis=1).astype(float).groupby("mean_intensity")
    places = ", ".join(f"mu = {mu:g}: {gammas.median():.3g}" for mu, gammas in best)
    surface = gamma_surface.findings(
        rows,
        "mean_intensity",
        name="mu",
        falls="Fig. 10: drops as mu increases",
        rises="Fig. 10: not monotone in gamma",
        correction=CORRECTION,
    )
    return [
        *(dataclasses.replace(finding, remark=f"{finding.remark} {RICHER}") for finding in surface),
        Finding(
            claim=f"gamma* is within {100 * AS_GOOD:g} % of the best welfare at every mu",
            paper="Figs. 10-11: gamma* helps maximize welfare under different intensities",
            ours=f"in {share(good)} draws; over all, {spread(100 * lost, 2)} % below",
            verdict=verdict_of_share(good, corrected=True),
            correction=CORRECTION,
            remark=f"The best gamma of the grid, median: {places}. {RICHER}",
        ),
    ]


FIGURE = Figure(
    name="fig10",
    title="Social welfare over gamma and mean competition intensity under DBR",
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
            name="mus", meaning="mean competition intensities", default=MEAN_INTENSITIES, most=1.0
        ),
        *(gammas(GAMMAS), SIZE, *without("mu")),
    ),
)
