"""What Figs. 10 and 11 share: welfare under DBR over gamma and something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from tradefl.charts import axis, heat_map
from tradefl.experiments.figure import Finding, band, share, verdict_of_share
from tradefl.experiments.gamma_sweep import (
    GAMMA,
    NONE_COUNTS,
    ends_lower,
    grid,
    holds,
    never_climbs,
    rises_then_falls,
)
from tradefl.experiments.parameters import with_star
from tradefl.game import CoopetitionGame
from tradefl.solvers import solve

GAMMAS = grid(4)


def surface(
    seed: int,
    other: str,
    games: Mapping[float, CoopetitionGame],
    gammas: Sequence[float] = GAMMAS,
) -> pd.DataFrame:
    """Return the welfare of each game, named by its value of ``other``, at each gamma."""
    return pd.DataFrame(
        [
            {
                "seed": seed,
                other: value,
                "gamma": gamma,
                "social_welfare": solve(game.with_incentive_intensity(gamma), "dbr").social_welfare,
            }
            for value, game in games.items()
            for gamma in with_star(gammas)
        ]
    )


def summary(rows: pd.DataFrame, other: str) -> pd.DataFrame:
    """Return median and band of the welfare at each point."""
    return band(rows, [other, "gamma"], "social_welfare")


def chart(summed: pd.DataFrame, other: Mapping[str, Any]) -> alt.Chart:
    """Return the median welfare at each point as a colour."""
    return heat_map(
        summed,
        axis("gamma", GAMMA),
        other,
        value="social_welfare",
        legend="social welfare (payoff)",
        title="Social welfare under DBR (median)",
    )


def along_gamma(rows: pd.DataFrame, other: str) -> pd.DataFrame:
    """Return a curve over gamma for each draw and value of ``other``."""
    return _curves(rows, other, "gamma")


def along_other(rows: pd.DataFrame, other: str) -> pd.DataFrame:
    """Return a curve over ``other`` for each draw and gamma."""
    return _curves(rows, "gamma", other)


def _curves(rows: pd.DataFrame, each: str, over: str) -> pd.DataFrame:
    wide: pd.DataFrame = rows.pivot_table(
        index=["seed", each], columns=over, values="social_welfare"
    )
    return wide.sort_index(axis=1)


def everywhere(each: pd.Series) -> pd.Series:
    """Return of which draws something holds wherever it was looked at."""
    return each.groupby("seed").all()


def counted(each: pd.Series, name: str) -> str:
    """Return in how many draws something holds everywhere, and in how many at each value."""
    by_value = each.groupby(each.index.names[1])
    values = list(by_value.groups)
    counts = ", ".join(str(int(count)) for count in by_value.sum())
    return (
        f"in {share(everywhere(each))} draws; draws by {name} from {min(values):.3g} to "
        f"{max(values):.3g}: {counts}"
    )


def findings(
    rows: pd.DataFrame, other: str, *, name: str, falls: str, rises: str, correction: str
) -> list[Finding]:
    """Judge the welfare along ``other``, then along gamma, draw by draw.

    Parameters
    ----------
    rows
        As :func:`surface` makes them.
    other, name
        The column, and what the paper calls it.
    falls, rises
        The paper's words on the fall with ``other``, and on the rise and fall with gamma.
    correction
        The errata without which there is no such surface.
    """
    along = along_other(rows, other)
    lower, steady = holds(along, ends_lower), holds(along, never_climbs)
    change = 100.0 * (along.iloc[:, -1] / along.iloc[:, 0] - 1.0)
    changes = ", ".join(f"{median:.1f}" for median in change.groupby("gamma").median())
    shape = holds(along_gamma(rows, other), rises_then_falls)
    return [
        Finding(
            claim=f"Welfare is lower at the largest {name} than at the smallest, at every gamma",
            paper=falls,
            ours=f"{counted(lower, 'gamma')}; change in % (median): {changes}",
            verdict=verdict_of_share(everywhere(lower), corrected=True),
            correction=correction,
            remark=NONE_COUNTS,
        ),
        Finding(
            claim=f"Welfare never climbs as {name} grows, at any gamma",
            paper=falls,
            ours=counted(steady, "gamma"),
            verdict=verdict_of_share(everywhere(steady), corrected=True),
            correction=correction,
            remark=NONE_COUNTS,
        ),
        Finding(
            claim=f"Welfare rises with gamma, then falls, at every {name}",
            paper=rises,
            ours=counted(shape, name),
            verdict=verdict_of_share(everywhere(shape), corrected=True),
            correction=correction,
            remark=NONE_COUNTS,
        ),
    ]
