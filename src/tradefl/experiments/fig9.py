"""Fig. 9: coopetition damage over gamma, under each scheme.

The damage is the sum of Eq. (7) over all organizations. What a rival gains from an organization's
data is less the more data there is without it, so damage falls as gamma draws in more data.
"""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from tradefl.experiments import gamma_sweep
from tradefl.experiments.draws import GAMMA_STAR
from tradefl.experiments.figure import Figure, Finding, seed_units, share, spread, verdict_of_share
from tradefl.experiments.gamma_sweep import (
    COARSE,
    NONE_COUNTS,
    SAME,
    SCHEMES,
    at,
    ends_lower,
    never_climbs,
)
from tradefl.experiments.parameters import CALIBRATION, SIZE, gammas

REDISTRIBUTING = ("CGBD", "DBR", "FIP", "GCA")
SHOWN = (*REDISTRIBUTING, "WPR")
BASELINES = ("FIP", "GCA", "WPR")


def compute(
    seed: int, *, gammas: Sequence[float] = COARSE, n: int = 10, **calibration: float
) -> pd.DataFrame:
    """Return the damage at each gamma under each scheme, for one consortium."""
    return gamma_sweep.sweep(seed, list(SCHEMES), "damage", gammas, n, **calibration)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return median and band of the damage for each scheme and gamma."""
    return gamma_sweep.summary(rows, "damage")


def chart(summed: pd.DataFrame) -> alt.LayerChart:
    """Return a line a scheme."""
    return gamma_sweep.chart(
        summed, "damage", "total coopetition damage (payoff)", "Coopetition damage"
    )


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Judge each scheme's shape, then compare DBR with the others, draw by draw."""
    wide = gamma_sweep.curves_by_scheme(rows, "damage")
    shapes = {
        shape: pd.DataFrame({name: gamma_sweep.holds(wide[name], judge) for name in SHOWN})
        for shape, judge in (("lower", ends_lower), ("steady", never_climbs))
    }
    lower, steady = shapes["lower"], shapes["steady"]
    expected = lower[list(REDISTRIBUTING)].all(axis=1) & ~lower["WPR"]
    dbr, slack = wide["DBR"], SAME * wide["DBR"].abs()
    lowest = {name: wide[name] >= dbr - slack for name in (*BASELINES, "TOS")}
    at_star = pd.DataFrame({name: at(lowest[name], GAMMA_STAR) for name in lowest})
    anywhere = pd.DataFrame({name: lowest[name].all(axis=1) for name in lowest})
    saved = 100.0 * (1.0 - dbr.iloc[:, -1] / dbr.iloc[:, 0])
    return [
        Finding(
            claim="Damage is lower at the largest gamma than at the smallest, except under WPR",
            paper="Fig. 9: decreases for all schemes except WPR",
            ours=f"in {share(expected)} draws; lower: {_each(lower)}; DBR by {spread(saved, 3)} %",
            verdict=verdict_of_share(expected, corrected=True),
            correction="E9",
            remark=f"{NONE_COUNTS} TOS, where gamma decides nothing either, is left out.",
        ),
        Finding(
            claim="Damage never climbs as gamma grows, under any scheme",
            paper="Fig. 9: decreases for all schemes except WPR",
            ours=f"in {share(steady.all(axis=1))} draws; {_each(steady)}",
            verdict=verdict_of_share(steady.all(axis=1), corrected=True),
            correction="E9",
            remark=NONE_COUNTS,
        ),
        Finding(
            claim="At gamma*, DBR has less damage than FIP, GCA and WPR",
            paper="Fig. 9: DBR lowest",
            ours=_counts(at_star),
            verdict=verdict_of_share(at_star[list(BASELINES)].all(axis=1), corrected=True),
            correction="E9",
            remark=_tos(at_star),
        ),
        Finding(
            claim="At every gamma, DBR has less damage than FIP, GCA and WPR",
            paper="Fig. 9: DBR lowest",
            ours=_counts(anywhere),
            verdict=verdict_of_share(anywhere[list(BASELINES)].all(axis=1), corrected=True),
            correction="E9",
            remark="FIP plays on a grid, which may have it contribute a little more.",
        ),
    ]


def _each(holds: pd.DataFrame) -> str:
    return ", ".join(f"{name} in {share(holds[name])}" for name in holds)


def _counts(holds: pd.DataFrame) -> str:
    judged = holds[list(BASELINES)]
    return f"in {share(judged.all(axis=1))} draws; below {_each(judged)}"


def _tos(holds: pd.DataFrame) -> str:
    return (
        "TOS is not counted: there all data is in the training, whatever it costs, and DBR has no "
        f"more damage than that in {share(holds['TOS'])} draws."
    )


FIGURE = Figure(
    name="fig9",
    title="Coopetition damage over gamma under each scheme",
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
