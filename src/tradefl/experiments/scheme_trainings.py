"""What Figs. 12 to 15 share: how trainings under different schemes are compared."""

from __future__ import annotations

from functools import partial

import altair as alt
import pandas as pd

from tradefl.charts import axis, lines
from tradefl.experiments.figure import (
    Figure,
    Finding,
    Verdict,
    band,
    share,
)
from tradefl.experiments.one_training import SOURCES, compute
from tradefl.experiments.training import PAIRS, PARAMETERS, scheme_units

# Two accuracies on one test part differ beyond chance if they are so many standard errors apart.
STANDARD_ERRORS = 2.0
SCRATCH = (
    "Ours trains smaller forms of the networks from scratch, the paper's prototype started from "
    "ImageNet weights: orderings and gaps can be compared, absolute accuracies cannot."
)


def final(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the row of the last round of every training."""
    return rows[rows["round"] == rows.groupby("pair")["round"].transform("max")]


def accuracies(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the final accuracy at one gamma: a row a pair and seed, a column a scheme."""
    return final(rows).pivot_table(index=["pair", "seed"], columns="scheme", values="accuracy")


def standard_error(rows: pd.DataFrame) -> pd.Series:
    """Return the standard error of the difference of two accuracies, for each pair and seed.

    Of the test part alone, as if its samples were drawn for each of the two: how much the order of
    training matters cannot be known from one training.
    """
    one = final(rows).groupby(["pair", "seed"])
    mean, count = one["accuracy"].mean(), one["test_samples"].first()
    error: pd.Series = (2.0 * mean * (1.0 - mean) / count) ** 0.5
    return error


def verdict_on_gaps(gaps: pd.Series, errors: pd.Series) -> Verdict:
    """Return the verdict on a claim that a gap is positive in every training.

    A gap within the standard errors of the test part decides nothing, nor does a single training:
    how much the order of training matters cannot be known from one.
    """
    if len(gaps) == 1:
        return "not determinable"
    clear = STANDARD_ERRORS * errors.loc[gaps.index]
    if (gaps < -clear).any():
        return "not reproduced"
    return "reproduced" if (gaps > clear).all() else "not determinable"


def gap_finding(rows: pd.DataFrame, first: str, second: str, *, claim: str, paper: str) -> Finding:
    """Return what became of the claim that one scheme's model is more accurate than another's."""
    wide = accuracies(rows)
    gaps = wide[first] - wide[second]
    return Finding(
        claim=claim,
        paper=paper,
        ours="; ".join(
            f"{PAIRS[str(pair)].title}: {in_points(of_pair)}"
            for pair, of_pair in gaps.groupby(level="pair", sort=False)
        ),
        verdict=verdict_on_gaps(gaps, standard_error(rows)),
        remark=f"A gap below {STANDARD_ERRORS:g} standard errors of the test part counts as none; "
        "the noise of training itself is not counted. " + SCRATCH,
    )


def in_points(gaps: pd.Series) -> str:
    """Return the median of gaps in percentage points, and their range if there are several."""
    median = f"{100 * gaps.median():+.1f} points"
    if len(gaps) == 1:
        return median
    return f"{median} ({100 * gaps.min():+.1f} to {100 * gaps.max():+.1f})"


# --- Figs. 13 and 14 -------------------------------------------------------------------------


def loss_figure(name: str, pair: str) -> Figure:
    """Return the figure of the loss round by round, for one model and data set."""
    title = f"Loss of the global model, {PAIRS[pair].title}"
    return Figure(
        name=name,
        title=title,
        group="training",
        units=partial(scheme_units, pairs=(pair,)),
        compute=compute,
        summary=loss_summary,
        chart=partial(loss_chart, title=title),
        findings=partial(loss_findings, name=name),
        sources=SOURCES,
        parameters=PARAMETERS,
    )


def loss_summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the loss of each scheme and round: median, and band of several seeds."""
    return band(rows, ["scheme", "round"], "loss")


def loss_chart(summed: pd.DataFrame, title: str) -> alt.LayerChart:
    """Return a line a scheme."""
    return lines(
        summed,
        axis("round", "round"),
        axis("loss", "mean cross-entropy on the test part (nat)"),
        series="scheme",
        title=title,
    )


def loss_findings(rows: pd.DataFrame, name: str) -> list[Finding]:
    """Compare the curves round by round: lower is faster."""
    trained = rows[rows["round"] > 0]
    wide = trained.pivot_table(index=["seed", "round"], columns="scheme", values="loss")
    means = wide.mean().sort_values()
    shown = ", ".join(f"{scheme} {loss:.3g}" for scheme, loss in means.items())
    found = []
    for first, other in (("TOS", "DBR"), ("DBR", "FIP"), ("DBR", "GCA"), ("DBR", "WPR")):
        below = wide[first] < wide[other]
        found.append(
            Finding(
                claim=f"The loss falls faster under {first} than under {other}",
                paper=f"Fig. {name.removeprefix('fig')}: {first} below {other}",
                ours=f"below in {share(below)} rounds; mean of all rounds: {shown}",
                verdict=verdict_on_rounds(below),
                remark="One training of each decides nothing. Reproduced means below in nine of "
                "ten rounds, not reproduced in fewer than half; what lies between decides nothing. "
                f"{SCRATCH}",
            )
        )
    return found


def verdict_on_rounds(below: pd.Series) -> Verdict:
    """Return the verdict on a claim that one curve lies below another."""
    if below.index.get_level_values("seed").nunique() == 1:
        return "not determinable"
    part = float(below.mean())
    if part < 0.5:
        return "not reproduced"
    return "reproduced" if part >= 0.9 else "not determinable"
