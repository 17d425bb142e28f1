"""Fig. 7: social welfare over gamma, under DBR.

The paper's welfare rises to 8582.7 at gamma* = 5.12e-9 and then drops, to 6891.7 at the top of a
range that it does not give; it names 5e-8 and 1e-7 as values at which welfare has dropped. Ours is
from 1e-10 to 1e-7, for each draw.
"""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from tradefl.charts import panels
from tradefl.experiments import gamma_sweep
from tradefl.experiments.draws import GAMMA_STAR
from tradefl.experiments.figure import (
    Figure,
    Finding,
    seed_units,
    share,
    spread,
    verdict_of_share,
)
from tradefl.experiments.gamma_sweep import FINE, NONE_COUNTS, VISIBLE, at, number
from tradefl.experiments.parameters import CALIBRATION, SIZE, gammas

PEAK, TOP = 8582.7, 6891.7


def compute(
    seed: int, *, gammas: Sequence[float] = FINE, n: int = 10, **calibration: float
) -> pd.DataFrame:
    """Return the welfare at each gamma, for one consortium."""
    return gamma_sweep.sweep(seed, ["DBR"], "social_welfare", gammas, n, **calibration)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return median and band of the welfare at each gamma: itself, and relative to gamma*."""
    parts = {"payoff": rows, "relative": gamma_sweep.relative(rows, "social_welfare")}
    summed = [
        gamma_sweep.summary(part, "social_welfare").assign(unit=unit)
        for unit, part in parts.items()
    ]
    return pd.concat(summed, ignore_index=True)


def chart(summed: pd.DataFrame) -> alt.ConcatChart:
    """Return the welfare over gamma, and that of each draw relative to its own at gamma*."""
    labels = {
        "payoff": "social welfare (payoff)",
        "relative": "social welfare (% of the same draw's at γ*)",
    }
    return panels(
        [
            gamma_sweep.chart(
                summed[summed["unit"] == unit], "social_welfare", label, "Social welfare under DBR"
            )
            for unit, label in labels.items()
        ]
    )


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Judge the shape of each draw's curve, then its numbers."""
    wide = gamma_sweep.curves(rows, "social_welfare")
    shape = gamma_sweep.holds(wide, gamma_sweep.rises_then_falls)
    place, highest = gamma_sweep.peak(wide), wide.max(axis=1)
    first, last = wide.iloc[:, 0], wide.iloc[:, -1]
    top = _short(float(wide.columns[-1]))
    star = at(wide, GAMMA_STAR)
    return [
        Finding(
            claim="Welfare rises with gamma, then falls",
            paper="Fig. 7: not monotone in gamma",
            ours=f"in {share(shape)} draws; up by {spread(100 * (highest / first - 1), 3)} %, "
            f"then down by {spread(100 * (1 - last / highest), 3)} %",
            verdict=verdict_of_share(shape, corrected=True),
            correction="E9",
            remark=NONE_COUNTS,
        ),
        *_drops(wide, star),
        number(
            "Welfare peaks at gamma* = 5.12e-9",
            "Fig. 10: 5.12e-9 payoff/bit",
            place,
            GAMMA_STAR,
            f"peak at {spread(place, 3)}; welfare at gamma* is "
            f"{spread(100 * (1 - star / highest), 2)} % below the peak",
        ),
        number("Welfare at its peak is 8582.7", "Fig. 10: 8582.7", highest, PEAK),
        number(
            "Welfare falls to 6891.7",
            "Fig. 10: 6891.7, at a gamma that is not given",
            last,
            TOP,
            f"at {top}: {spread(last)}",
        ),
        number(
            "Welfare falls by 19.7 % from its peak to the top of the range",
            "Fig. 10: from 8582.7 to 6891.7, at a gamma that is not given",
            last / highest,
            TOP / PEAK,
            f"at {top}: {spread(100 * (1 - last / highest), 3)} %",
        ),
    ]


def _short(gamma: float) -> str:
    """Return a gamma as the paper writes it: 1e-7, not 1e-07."""
    return f"{gamma:.3g}".replace("e-0", "e-")


def _drops(wide: pd.DataFrame, star: pd.Series) -> list[Finding]:
    """Judge the claim on two gammas that the paper names, if both are in the sweep."""
    if not {5e-8, 1e-7} <= set(wide.columns):
        return []
    large, larger = at(wide, 5e-8), at(wide, 1e-7)
    drops = (large < (1.0 - VISIBLE) * star) & (larger < (1.0 - VISIBLE) * large)
    return [
        Finding(
            claim="Welfare has dropped at gamma = 5e-8, and further at 1e-7",
            paper="Fig. 7: drops at 5e-8 and 1e-7",
            ours=f"in {share(drops)} draws; {spread(100 * (1 - large / star), 3)} % and "
            f"{spread(100 * (1 - larger / star), 3)} % below gamma*",
            verdict=verdict_of_share(drops, corrected=True),
            correction="E9",
        )
    ]


FIGURE = Figure(
    name="fig7",
    title="Social welfare over gamma under DBR",
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
    parameters=(gammas(FINE), SIZE, *CALIBRATION),
)
