"""Fig. 2: the accuracy gained with one organization's data, and the concave curve through it.

The paper trains with one organization's share d from 0 to 1 and 0.5 of everybody else's, for
several sizes |S_i| from 2,000 to 20,000, the same for all organizations. It does not say how many
organizations there are. Ours are two: CIFAR-10 has 50,000 training samples, no third would have
20,000. Through the points of each size goes the nondecreasing concave curve that fits best, as
``tradefl fit-accuracy`` makes it (:mod:`tradefl.federation.fitting`).
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import altair as alt
import numpy as np
import pandas as pd

from tradefl.charts import axis, fitted
from tradefl.errors import InputError
from tradefl.experiments.figure import Figure, Finding, Settings, Unit, share, verdict_of_share
from tradefl.experiments.one_training import SOURCES, compute
from tradefl.experiments.scheme_trainings import SCRATCH
from tradefl.experiments.training import (
    PAIRS,
    PARAMETERS,
    Effort,
    ProfileName,
    settings_of,
    training_unit,
)

if TYPE_CHECKING:
    from tradefl.federation.fitting import Fit

OTHERS = 0.5
SHARES = (0.05, 0.25, 0.5, 0.75, 1.0)
SEEDS = {"small": 2, "full": 5}
# R^2 from which a curve describes its points.
GOOD_FIT = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ladder:
    """What is trained under a profile: pairs, and samples of each organization."""

    pairs: tuple[str, ...]
    samples: tuple[int, ...]
    effort: Effort


# The two data sets that have 40,000 samples in every copy.
LADDERS: dict[ProfileName, Ladder] = {
    "small": Ladder(
        pairs=("alexnet-fashion-mnist",),
        samples=(2000, 6000, 20000),
        effort=Effort(width=0.125, rounds=5, local_epochs=1, learning_rate=0.02, batch_size=32),
    ),
    "full": Ladder(
        pairs=("alexnet-fashion-mnist", "resnet18-cifar10"),
        samples=(2000, 6000, 12000, 20000),
        effort=Effort(width=1.0, rounds=30, local_epochs=1, learning_rate=0.02, batch_size=32),
    ),
}


def units(settings: Settings) -> list[Unit]:
    """Return a training for each pair, size, share and seed."""
    asked = settings_of(settings)
    ladder = LADDERS[asked.profile]
    return [
        training_unit(
            f"{pair}-{samples}",
            asked,
            PAIRS[pair],
            ladder.effort,
            seed,
            held=[samples, samples],
            fractions=[fraction, OTHERS],
            labels={"pair": pair, "samples_each": samples, "share": fraction},
        )
        for pair in ladder.pairs
        if pair in asked.pairs
        for samples in ladder.samples
        for fraction in SHARES
        for seed in range(asked.seeds or SEEDS[asked.profile])
    ]


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy gained at each point, the mean of its seeds, and the curve through it."""
    points = gained(rows)
    parts = []
    for (pair, samples), part in points.groupby(["pair", "samples_each"], sort=False):
        means = part.groupby("share").agg({"samples_used": "mean", "gain": "mean"}).reset_index()
        curve, _ = fit_of(part)
        means["fit"] = np.nan if curve is None else curve.curve.value(means["samples_used"])
        means.insert(0, "series", f"{PAIRS[str(pair)].title}, {int(samples):,}")
        parts.append(means)
    return pd.concat(parts, ignore_index=True)


def gained(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row a training: data that took part, accuracy before and after, and the gain."""
    by = ["pair", "samples_each", "share", "seed"]
    ordered = rows.sort_values("round").groupby(by, sort=False)
    points = ordered.last()[["samples_used", "accuracy"]]
    points["untrained"] = ordered["accuracy"].first()
    points["gain"] = points["accuracy"] - points["untrained"]
    return points.reset_index()


def fit_of(points: pd.DataFrame) -> tuple[Fit | None, str]:
    """Return the concave curve through points, or why they have no such curve."""
    from tradefl.federation.fitting import fit_accuracy

    try:
        fit = fit_accuracy(
            points["samples_used"].to_numpy(dtype=float),
            points["accuracy"].to_numpy(dtype=float),
            float(points["untrained"].mean()),
        )
    except InputError as error:  # more data hurt: that is a result
        return None, str(error)
    return fit, ""


def chart(summed: pd.DataFrame) -> alt.LayerChart:
    """Return the points of each size, and the curve through them."""
    return fitted(
        summed,
        axis("share", "share d of one organization's data (the other's: 0.5)"),
        axis("gain", "accuracy gained by training, P"),
        fit="fit",
        series="series",
        title="Accuracy against the data of one organization",
        legend="|S_i| of each",
    )


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Judge each size's points by Eq. (5), and how well concave curves describe them."""
    from tradefl.federation.fitting import LEAST, STANDARD_ERRORS

    points = gained(rows)
    holds, shown, squares, described = [], [], [], []
    lost = False  # in the noise: what it allows is half of what is gained, or more
    for (pair, samples), part in points.groupby(["pair", "samples_each"], sort=False):
        name = f"{PAIRS[str(pair)].title}, |S_i| = {int(samples):,}"
        fit, why = fit_of(part)
        holds.append(fit is not None and fit.concave)
        if fit is None:
            shown.append(f"{name}: {why}")
            continue
        gains = part.groupby("share")["gain"].mean()
        slack = max(LEAST, 0.0 if math.isnan(fit.noise) else STANDARD_ERRORS * fit.noise)
        lost |= bool(slack >= 0.5 * (gains.iloc[-1] - gains.iloc[0]))
        shown.append(
            f"{name}: P from {gains.iloc[0]:.3f} to {gains.iloc[-1]:.3f}, "
            f"largest decrease {fit.decrease:.3f}, largest convexity {fit.convexity:.3f}"
        )
        squares.append(fit.r_squared)
        described.append(f"{name}: {fit.r_squared:.3f}")
    for pair, part in points.groupby("pair", sort=False):
        fit, why = fit_of(part)
        every = why if fit is None else f"{fit.r_squared:.3f}, footnote 7's form "
        every += "" if fit is None else f"{fit.sqrt_loss_r_squared:.3f}"
        described.append(f"{PAIRS[str(pair)].title}, one curve through all sizes: {every}")
    good = len(squares) == len(holds) and min(squares) >= GOOD_FIT
    return [
        Finding(
            claim="Accuracy grows with d, ever more slowly (Eq. 5)",
            paper="Fig. 2: increasing and concave for every size",
            ours=f"within noise for {share(holds)} sizes; {'; '.join(shown)}",
            verdict="not determinable"
            if lost and all(holds)
            else verdict_of_share(holds, at_least=1.0),
            remark="Noise is four standard errors of the mean over the seeds, and at least 0.01 of "
            "accuracy; where it is half of what is gained, or more, nothing is decided. "
            f"{SCRATCH}",
        ),
        Finding(
            claim="A nondecreasing concave P describes the measured accuracies",
            paper="Fig. 2: fitted curves, no number given",
            ours=f"R^2: {'; '.join(described)}",
            verdict="reproduced" if good else "not reproduced",
            remark=f"Described means R^2 of {GOOD_FIT:g} or more for every size: a bound of ours.",
        ),
    ]


FIGURE = Figure(
    name="fig2",
    title="Accuracy against the data of one organization",
    group="training",
    units=units,
    compute=compute,
    summary=summary,
    chart=chart,
    findings=findings,
    sources=SOURCES,
    parameters=PARAMETERS,
)
