r"""The data-accuracy function measured: the paper's pre-experiment (Fig. 2), and the curve in it.

The same federated training is run with ever more of everybody's data, several seeds each. A
nondecreasing concave curve (Eq. (5)) is fitted to what the models reach, and the game can be
played on it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.consortium import Consortium
from tradefl.consortium.schema import Training as Agreed
from tradefl.errors import InputError, Parameter
from tradefl.federation.datasets import Dataset, load_dataset
from tradefl.federation.objects import named
from tradefl.federation.partition import arranged_for, checked_parts
from tradefl.federation.plan import Plan
from tradefl.federation.pledge import Pledge
from tradefl.federation.training import drawn, samples_held, train_pledges
from tradefl.game import Empirical, SqrtLoss, fit_empirical

Array = npt.NDArray[np.float64]

POINTS = 8
SEEDS = 3
SMALLEST = 0.02
# What counts as a violation of Eq. (5): so many standard errors of a mean, and at least so much
# accuracy.
STANDARD_ERRORS = 4.0
LEAST = 0.01


@dataclasses.dataclass(frozen=True)
class Point:
    """One training: how much data took part, and how accurate the model became."""

    fraction: float
    data: float
    samples: int
    seed: int
    accuracy: float


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """A nondecreasing concave curve through measured accuracies, and how well it fits.

    Attributes
    ----------
    data, accuracy
        Shape ``(K,)``: the points.
    untrained_accuracy
        ``a_0``, which ``P`` is counted from.
    curve
        ``P``: the least-squares fit among all nondecreasing concave curves.
    r_squared, residuals
        Of the curve: ``1 - SSE / SST``, and measured minus fitted, shape ``(K,)``.
    concave, decrease, convexity
        Whether the means of the points satisfy Eq. (5) within their noise; by how much a mean
        falls below an earlier one, and by how much one lies below the chord of its neighbours.
    noise
        The standard error of a mean, from repeated amounts; ``nan`` without any.
    sqrt_loss, sqrt_loss_r_squared
        Footnote 7's form with the best ``G`` and ``A(0)``, and its ``R^2``.
    """

    data: Array
    accuracy: Array
    untrained_accuracy: float
    curve: Empirical
    r_squared: float
    residuals: Array
    concave: bool
    decrease: float
    convexity: float
    noise: float
    sqrt_loss: SqrtLoss
    sqrt_loss_r_squared: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fit for a JSON document."""
        return {
            "r_squared": self.r_squared,
            "residuals": self.residuals.tolist(),
            "satisfies_eq_5": self.concave,
            "largest_decrease": self.decrease,
            "largest_convexity": self.convexity,
            "standard_error": None if math.isnan(self.noise) else self.noise,
            "knots": self.curve.knots.tolist(),
            "values": self.curve.values.tolist(),
            "sqrt_loss": {
                "epochs": self.sqrt_loss.epochs,
                "untrained_loss": self.sqrt_loss.untrained_loss,
                "r_squared": self.sqrt_loss_r_squared,
            },
        }


def fit_accuracy(
    data: Sequence[float] | Array,
    accuracy: Sequence[float] | Array,
    untrained_accuracy: float = 0.0,
) -> Fit:
    """Fit a nondecreasing concave curve to measured accuracies, and judge it.

    Parameters
    ----------
    data
        Shape ``(K,)``: amounts of data in units of Omega, > 0, at least three different ones.
    accuracy
        Shape ``(K,)``: what was reached with each, in [0, 1].
    untrained_accuracy
        The accuracy without training.

    Raises
    ------
    InputError
        Too few points, values out of range, or an accuracy that does not grow with data: no ``P``
        of Eq. (5) describes that, and the game must not be played on it.
    """
    x, y = np.asarray(data, dtype=float), np.asarray(accuracy, dtype=float)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError.at("points", "expected as many accuracies as amounts of data")
    if not (np.all(np.isfinite(x)) and np.all(x > 0.0)):
        raise InputError.at("points: data", "expected finite amounts > 0")
    if not (np.all((y >= 0.0) & (y <= 1.0)) and 0.0 <= untrained_accuracy <= 1.0):
        raise InputError.at("points: accuracy", "expected numbers from 0 to 1")
    knots, at, counts = np.unique(x, return_inverse=True, return_counts=True)
    if knots.size < 3:
        raise InputError.at("points: data", f"expected 3 amounts or more, got {knots.size}")
    means = np.bincount(at, weights=y) / counts
    noise = _standard_error(y - means[at], counts)
    slack = max(LEAST, 0.0 if math.isnan(noise) else STANDARD_ERRORS * noise)
    _require_growth(knots, means, slack)
    curve = fit_empirical(x, y, untrained_accuracy)
    fitted = untrained_accuracy + np.asarray(curve.value(x))
    decrease = float(np.max(np.maximum.accumulate(means) - means))
    chord = np.interp(knots[1:-1], knots[[0, -1]], means[[0, -1]])
    for left in range(knots.size - 2):  # a mean below any chord over it
        for right in range(left + 2, knots.size):
            inside = slice(left + 1, right)
            line = np.interp(knots[inside], knots[[left, right]], means[[left, right]])
            chord[left : right - 1] = np.maximum(chord[left : right - 1], line)
    convexity = float(np.max(np.maximum(chord - means[1:-1], 0.0)))
    sqrt_loss = _sqrt_loss(x, y - untrained_accuracy)
    return Fit(
        data=x,
        accuracy=y,
        untrained_accuracy=untrained_accuracy,
        curve=curve,
        r_squared=_r_squared(y, fitted),
        residuals=y - fitted,
        concave=decrease <= slack and convexity <= slack,
        decrease=decrease,
        convexity=convexity,
        noise=noise,
        sqrt_loss=sqrt_loss,
        sqrt_loss_r_squared=_r_squared(y, untrained_accuracy + np.asarray(sqrt_loss.value(x))),
    )


def _standard_error(deviations: Array, counts: npt.NDArray[np.intp]) -> float:
    """Return the pooled standard error of a mean of the fewest repetitions."""
    freedom = int(np.sum(counts - 1))
    if freedom == 0:
        return math.nan
    return math.sqrt(float(np.sum(deviations**2)) / freedom / float(np.min(counts)))


def _require_growth(knots: Array, means: Array, slack: float) -> None:
    """Refuse accuracies that fall with data, beyond what noise explains."""
    best = int(np.argmax(means))
    after = means[best:]
    worst = best + int(np.argmin(after))
    if means[best] - means[worst] > slack:
        raise InputError.at(
            "points",
            f"the accuracy falls from {means[best]:.4g} at {knots[best]:.6g} to "
            f"{means[worst]:.4g} at {knots[worst]:.6g} units of data, more than noise of "
            f"{slack:.2g} explains: Eq. (5) asks that more data never hurts",
        )
    if means[-1] - means[0] <= 0.0:
        raise InputError.at(
            "points",
            f"the accuracy does not grow with data: {means[0]:.4g} at {knots[0]:.6g}, "
            f"{means[-1]:.4g} at {knots[-1]:.6g} units",
        )


def _r_squared(measured: Array, fitted: Array) -> float:
    total = float(np.sum((measured - measured.mean()) ** 2))
    return 1.0 - float(np.sum((measured - fitted) ** 2)) / total if total > 0.0 else math.nan


def _sqrt_loss(data: Array, performance: Array) -> SqrtLoss:
    """Return the least-squares fit of ``P = A(0) - 1/sqrt(Omega G) - 1/G``.

    For a given ``G`` the best ``A(0)`` is a mean, so one number is searched: on a grid of decades,
    then to the last digits around its best point.
    """
    from scipy.optimize import minimize_scalar

    def untrained_loss(log_g: float) -> float:
        g = math.exp(log_g)
        # P must not be negative at the least data, or the cap of E10 would bend the form.
        least = 1.0 / math.sqrt(float(data.min()) * g) + 1.0 / g
        mean = float(np.mean(performance + 1.0 / np.sqrt(data * g))) + 1.0 / g
        return max(mean, least)

    def error(log_g: float) -> float:
        g, a = math.exp(log_g), untrained_loss(log_g)
        return float(np.sum((performance - a + 1.0 / np.sqrt(data * g) + 1.0 / g) ** 2))

    center = -math.log(float(np.median(data)))
    grid = center + np.linspace(-14.0, 30.0, 177)
    best = float(grid[int(np.argmin([error(float(coefficient)) for coefficient in grid]))])
    found = minimize_scalar(error, bounds=(best - 0.25, best + 0.25), method="bounded")
    log_g = float(found.x) if float(found.fun) <= error(best) else best
    return SqrtLoss(epochs=math.exp(log_g), untrained_loss=untrained_loss(log_g))


# --- the experiment ------------------------------------------------------------------------------


def ladder(least: float, points: int = POINTS) -> list[float]:
    """Return ``points`` fractions of the data from ``least`` to 1, in equal ratios."""
    return [float(share) for share in np.geomspace(least, 1.0, points)]


def measure_accuracy(
    plan: Plan,
    consortium: Consortium | None,
    *,
    fractions: Sequence[float],
    seeds: Sequence[int],
    organizations: int = 10,
    parts: Sequence[npt.ArrayLike] | None = None,
    dataset: Dataset | None = None,
    watch: Callable[[Point], None] = lambda _: None,
) -> tuple[list[Point], float, list[str]]:
    """Train with a ladder of data sizes; everybody contributes the same fraction.

    Parameters
    ----------
    plan
        What is trained and how; its ``seed``, ``scheme`` and ``deadline`` do not matter. Where it
        leaves the validation part open there is none: all of the test part measures.
    consortium
        Whose data it is: Omega is counted in its units. ``None``: so many equal
        ``organizations``, and Omega is counted in training samples.
    fractions, seeds
        Every fraction is trained with every seed.
    parts
        The training samples of each organization, arrays of indices; default: dealt for each seed
        as the plan says (``iid`` or ``dirichlet``).
    dataset
        The data set itself, in place of the plan's name of one.
    watch
        Called after each training.

    Returns
    -------
    points, untrained_accuracy, notices
        In the order of fractions and seeds; the mean accuracy before training; what the reader
        should know.
    """
    plan = measuring(plan, None if consortium is None else consortium.training)
    data_set = load_dataset(plan.data, plan.folder) if dataset is None else dataset
    given = None if parts is None else dealt(consortium, data_set, parts)
    notices: list[str] = []
    points: list[Point] = []
    untrained: list[float] = []
    for fraction in fractions:
        for seed in seeds:
            seeded = dataclasses.replace(plan, seed=seed)
            # Of each seed: who holds what may be drawn.
            arranged = data_set
            if given is None:
                names, units, held, known = everybody(consortium, data_set, seeded, organizations)
                notices += [text for text in known if text not in notices]
            else:
                names, units, fixed = given
                held = [len(part) for part in fixed]
                arranged = arranged_for(data_set, fixed, seed)
                seeded = dataclasses.replace(seeded, partition="iid")
            pledges = tuple(
                Pledge(name, fraction, 1.0, samples, seed)
                for name, samples in zip(names, held, strict=True)
            )
            own = None if dataset is None and given is None else arranged
            with named(seeded, own, None, "in-process") as looked_up:
                reports, _ = train_pledges(looked_up, pledges, arranged, every_round=False)
            used = [pledge.samples_owed for pledge in pledges]
            share = np.array(used) / np.array(held)
            data = float(share @ units)
            points.append(Point(fraction, data, sum(used), seed, reports[-1].accuracy))
            untrained.append(reports[0].accuracy)
            watch(points[-1])
    return points, float(np.mean(untrained)), notices


def measuring(plan: Plan, section: Agreed | None) -> Plan:
    """Return the plan of trainings that measure accuracy: as agreed, but for what they lack.

    Raises
    ------
    InputError
        The data would be each organization's own.
    """
    if plan.partition == "own":
        what = "expected iid or dirichlet: data of one's own has no fractions that all share"
        raise InputError.at(Parameter("partition"), f"{what}, got 'own'")
    fraction = max(0.0, plan.validation_fraction)  # left open: none
    agreed = plan.agreed(section)
    return dataclasses.replace(agreed, validation_fraction=fraction, deadline="off")


def dealt(
    consortium: Consortium | None, data: Dataset, parts: Sequence[npt.ArrayLike]
) -> tuple[list[str], Array, list[npt.NDArray[np.int64]]]:
    """Return names, what all of its data adds to Omega, and the samples of given parts.

    Raises
    ------
    InputError
        The parts do not fit the data set or the consortium.
    """
    found = checked_parts(parts, len(data.y_train))
    if consortium is None:
        names = [f"organization-{k}" for k in range(len(found))]
        return names, np.array([len(part) for part in found], dtype=float), found
    if len(found) != len(consortium):
        what = f"expected {len(consortium):,} parts, one for each organization, got {len(found):,}"
        raise InputError.at(Parameter("parts"), what)
    return list(consortium.names), consortium.game.data_units, found


def everybody(
    consortium: Consortium | None, dataset: Dataset, plan: Plan, organizations: int
) -> tuple[list[str], Array, list[int], list[str]]:
    """Return the names, what all of its data adds to Omega, and the samples held."""
    if consortium is not None:
        held, notices = samples_held(consortium, dataset, plan)
        return list(consortium.names), consortium.game.data_units, held, notices
    available = len(dataset.y_train)
    if available < organizations:
        what = f"expected at most {available:,}, one for each training sample"
        raise InputError.at(Parameter("organizations"), f"{what}, got {organizations:,}")
    held = [len(part) for part in np.array_split(np.arange(available), organizations)]
    held, notices = drawn(dataset, plan, held)
    names = [f"organization-{k}" for k in range(organizations)]
    return names, np.array(held, dtype=float), held, notices
