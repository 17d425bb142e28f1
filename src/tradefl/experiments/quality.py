"""Data quality: estimated weights of data in Omega, against retraining without an organization.

Eight organizations hold a few samples each of scikit-learn's digits. In one kind of draw a part of
their labels is wrong, more for each further organization; in the other the classes are dealt by a
Dirichlet distribution. Weights are estimated from trainings on random halves
(:mod:`tradefl.federation.quality`). Other trainings, which the estimate has not seen, then leave
out one organization each: the accuracy that is lost is what its data is really worth.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import spearmanr

from tradefl.charts import axis, panels, scatter
from tradefl.experiments.figure import Figure, Finding, Settings, Unit, share, spread
from tradefl.experiments.parameters import FigureParameter

Array = npt.NDArray[np.float64]

WRONG, UNEQUAL = KINDS = ("wrong labels", "unequal classes")
SEEDS_PER_DRAW = 10
ORGANIZATIONS, SAMPLES = 8, 30
ROUNDS, SUBSETS = 20, 96
# Of the last organization's labels; the first has none.
MOST_WRONG = 0.9
ALPHA = 0.3
# Trainings with everybody, and without each, that the estimate is compared with.
REPETITIONS = 6
FRACTIONS, LADDER_SEEDS = (0.1, 0.2, 0.35, 0.6, 1.0), 4
SOURCES = tuple(
    f"tradefl.federation.{name}"
    for name in (
        *("client", "datasets", "fitting", "grid", "judgement", "models", "objects", "partition"),
        *("pledge", "quality", "strategy", "training", "updates"),
    )
)


def units(settings: Settings) -> list[Unit]:
    """Return one draw of each kind for every ten seeds that the user asks for."""
    return [
        Unit(f"{kind.replace(' ', '-')}-{seed}", {"kind": kind, "seed": seed})
        for seed in range(-(-settings.seeds // SEEDS_PER_DRAW))
        for kind in KINDS
    ]


def compute(kind: str, seed: int, *, samples: int = SAMPLES, alpha: float = ALPHA) -> pd.DataFrame:
    """Return a row for each organization: its weight, and what is lost without it.

    Parameters
    ----------
    kind, seed
        One of :data:`KINDS`, and the seed of all that is drawn.
    samples
        Of each organization; on average where classes are unequal.
    alpha
        Concentration of the Dirichlet distribution.
    """
    from tradefl.experiments.one_training import one_thread
    from tradefl.federation import Plan
    from tradefl.federation.datasets import load_dataset
    from tradefl.federation.fitting import fit_accuracy, measure_accuracy
    from tradefl.federation.partition import partition
    from tradefl.federation.quality import measure_quality, train_members

    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    plan = Plan(consortium="", data="digits", model="logistic", rounds=ROUNDS, seed=1000 * seed)
    data = load_dataset("digits")
    rng = np.random.default_rng([seed, KINDS.index(kind), 5])
    held = [samples] * ORGANIZATIONS
    scheme = "iid" if kind == WRONG else "dirichlet"
    parts = partition(data.y_train, held, scheme=scheme, alpha=alpha, seed=seed)
    wrong = np.zeros(ORGANIZATIONS)
    if kind == WRONG:
        wrong = np.linspace(0.0, MOST_WRONG, ORGANIZATIONS)
        labels = data.y_train.copy()
        for part, rate in zip(parts, wrong, strict=True):
            false = part[rng.random(len(part)) < rate]
            labels[false] = (labels[false] + rng.integers(1, data.classes, false.size)) % 10
        data = dataclasses.replace(data, y_train=labels)
    with one_thread():
        points, untrained, _ = measure_accuracy(
            plan,
            None,
            fractions=FRACTIONS,
            seeds=range(plan.seed, plan.seed + LADDER_SEEDS),
            parts=parts,
            dataset=data,
        )
        fit = fit_accuracy(
            [point.data for point in points], [point.accuracy for point in points], untrained
        )
        found = measure_quality(plan, None, fit, subsets=SUBSETS, parts=parts, dataset=data)
        names = [f"organization-{k}" for k in range(ORGANIZATIONS)]

        def reached(members: Array) -> float:
            # Seeds that neither the ladder nor the halves have had.
            done = [
                train_members(plan, data, names, parts, members, plan.seed + 500 + k).accuracy
                for k in range(REPETITIONS)
            ]
            return float(np.mean(done))

        everybody = np.ones(ORGANIZATIONS)
        all_of_them = reached(everybody)
        lost = [all_of_them - reached(everybody - unit) for unit in np.eye(ORGANIZATIONS)]
    owned = np.array([len(part) for part in parts], dtype=float)
    total = owned.sum()
    weighted = found.weights * owned

    def predicted(of: Array) -> Array:
        value: Array = np.asarray(fit.curve.value(total) - fit.curve.value(total - of))
        return value

    return pd.DataFrame(
        {
            "kind": kind,
            "seed": seed,
            "organization": np.arange(1, ORGANIZATIONS + 1),
            "samples": owned,
            "wrong": wrong,
            "weight": found.weights,
            "low": found.low,
            "high": found.high,
            "lost": lost,
            "predicted": predicted(weighted),
            "predicted_unweighted": predicted(owned),
            "r_squared": found.r_squared,
            "r_squared_unweighted": found.r_squared_unweighted,
            "accuracy": all_of_them,
        }
    )


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what the charts show: every organization of every draw, in percentage points."""
    shown = rows[["kind", "seed", "organization", "wrong", "weight"]].copy()
    for name in ("lost", "predicted"):
        shown[name] = 100.0 * rows[name]
    shown["wrong"] = 100.0 * rows["wrong"]
    return shown


def chart(summed: pd.DataFrame) -> alt.ConcatChart:
    """Return the loss that the weights predict against the measured one, and the weights."""
    charts = [
        scatter(
            summed,
            axis("predicted", "predicted by its weight (points)"),
            axis("lost", "accuracy lost without the organization (points)"),
            series="kind",
            title="Leaving one out, predicted and retrained",
        )
    ]
    wrong = summed[summed["kind"] == WRONG]
    if len(wrong):
        charts.append(
            scatter(
                wrong,
                axis("wrong", "wrong labels (%)"),
                axis("weight", "estimated weight q", zero=True),
                series="kind",
                title="Weight of data with wrong labels",
            )
        )
    return panels(charts)


def correlations(rows: pd.DataFrame, first: str, second: str) -> pd.Series:
    """Return Spearman's rank correlation of two columns in each draw; 0 where one is constant."""

    def one(draw: pd.DataFrame) -> float:
        if draw[first].nunique() < 2 or draw[second].nunique() < 2:
            return 0.0
        return float(spearmanr(draw[first], draw[second]).statistic)

    columns = [first, second]
    found: pd.Series = rows.groupby(["kind", "seed"], sort=False)[columns].apply(one)
    return found


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Judge the weights by the trainings that leave one out."""
    by_weight = correlations(rows, "predicted", "lost")
    by_size = correlations(rows, "predicted_unweighted", "lost")
    error = (rows["predicted"] - rows["lost"]).abs()
    plain = (rows["predicted_unweighted"] - rows["lost"]).abs()
    draws = rows.groupby(["kind", "seed"], sort=False)
    found = [
        Finding(
            claim="Organizations that the weights rank higher are missed more",
            paper="expected: a positive rank correlation in nine of ten draws",
            ours=_of_kinds(
                by_weight, lambda part: f"{spread(part, 2)}, positive in {share(part > 0)}"
            ),
            verdict="holds" if float((by_weight > 0).mean()) >= 0.9 else "does not hold",
            remark="By the number of samples alone: "
            f"{_of_kinds(by_size, lambda part: spread(part, 2))}.",
        ),
        Finding(
            claim="The weights predict what is lost better than the number of samples does",
            paper="expected: a smaller mean error",
            ours=f"mean error {100 * error.mean():.2g} points, by samples alone "
            f"{100 * plain.mean():.2g}; median loss {100 * rows['lost'].median():.2g}",
            verdict="holds" if error.mean() < plain.mean() else "does not hold",
            remark="The accuracy with and without is the mean of "
            f"{REPETITIONS} trainings each, whose noise is part of the error.",
        ),
        Finding(
            claim="Weighted data explains the trainings on halves better",
            paper="fitted, so expected",
            ours=f"R^2 {spread(draws['r_squared'].first(), 2)}; unweighted "
            f"{spread(draws['r_squared_unweighted'].first(), 2)}",
            verdict="holds"
            if (draws["r_squared"].first() >= draws["r_squared_unweighted"].first()).all()
            else "does not hold",
        ),
    ]
    wrong = rows[rows["kind"] == WRONG]
    if len(wrong):
        fall = correlations(wrong, "weight", "wrong")
        found.append(
            Finding(
                claim="The more labels are wrong, the smaller the weight",
                paper="expected: a negative rank correlation in nine of ten draws",
                ours=f"{spread(fall, 2)}, negative in {share(fall < 0)}",
                verdict="holds" if float((fall < 0).mean()) >= 0.9 else "does not hold",
            )
        )
    return found


def _of_kinds(values: pd.Series, describe: Callable[[Any], str]) -> str:
    return "; ".join(
        f"{kind}: {describe(part)}" for kind, part in values.groupby(level="kind", sort=False)
    )


FIGURE = Figure(
    name="quality",
    title="Estimated quality of data, against retraining without it",
    group="quality",
    units=units,
    compute=compute,
    summary=summary,
    chart=chart,
    findings=findings,
    sources=SOURCES,
    parameters=(
        FigureParameter(
            name="samples", meaning="of each organization", default=SAMPLES, least=4, most=150
        ),
        FigureParameter(
            name="alpha",
            meaning="concentration of the classes",
            default=ALPHA,
            positive=True,
            most=1000.0,
        ),
    ),
)
