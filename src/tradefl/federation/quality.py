r"""Data quality measured: how much a sample of each organization counts (the paper's footnote 3).

Omega counts data by weight, ``Omega = sum_i q_i d_i u_i``. The pre-experiment of
:mod:`.fitting` gives ``P`` when everybody contributes the same share. Here trainings on random
halves of the organizations follow, and the weights are those under which ``P`` explains them best:

    min over q of  sum_k ((a_k - a_0 - P(sum_i q_i x_ki u_i)) / sigma)^2 + sum_i (log q_i)^2

with ``sum_i q_i u_i = sum_i u_i``, so that ``P`` stays that of all data. ``x_ki`` is the share of
organization i's samples in training k, and ``sigma`` the noise of a training. The second sum is a
prior: where the trainings say little, the weight is near 1. It is what
:class:`~tradefl.CoopetitionGame` multiplies the data by.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from tradefl.consortium import Consortium
from tradefl.errors import InputError, Parameter
from tradefl.federation.datasets import Dataset, load_dataset
from tradefl.federation.fitting import Fit, dealt, everybody, measuring
from tradefl.federation.objects import named
from tradefl.federation.partition import arranged_for, partition
from tradefl.federation.plan import Plan
from tradefl.federation.pledge import Pledge
from tradefl.federation.training import train_pledges
from tradefl.game import Empirical

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

# Trainings for each organization, unless the user says so: half of them with it, half without.
SUBSETS_EACH = 4
# Weights beyond these, against the mean, are not told from them.
SMALLEST, LARGEST = 0.02, 50.0
# Accuracy: a training is never taken to be more certain than this.
LEAST_NOISE = 0.005
# A share that leaves one sample, the least that an organization can take part with.
LEFT_OUT = 1e-12


@dataclasses.dataclass(frozen=True, eq=False)
class SubsetTraining:
    """One training on some organizations' data.

    Attributes
    ----------
    shares
        ``x_i``, shape ``(N,)``: of each organization's samples, the share that took part. One that
        is left out takes part with a single sample.
    seed
        The seed of the training.
    accuracy
        What was reached.
    """

    shares: Array
    seed: int
    accuracy: float


@dataclasses.dataclass(frozen=True, eq=False)
class Quality:
    """The weights of the organizations' data in Omega, estimated.

    Attributes
    ----------
    weights
        ``q_i``, shape ``(N,)``; the mean over all data is 1.
    low, high
        Shape ``(N,)``: two standard errors below and above, on a log scale.
    noise
        The standard deviation of a training's accuracy that was assumed.
    r_squared
        How well ``P`` at the weighted data explains the trainings: ``1 - SSE / SST``.
    r_squared_unweighted
        The same with all weights 1.
    trainings
        The trainings.
    """

    weights: Array
    low: Array
    high: Array
    noise: float
    r_squared: float
    r_squared_unweighted: float
    trainings: tuple[SubsetTraining, ...]


def fit_quality(
    shares: npt.ArrayLike,
    accuracy: npt.ArrayLike,
    units: npt.ArrayLike,
    curve: Empirical,
    untrained_accuracy: float,
    *,
    noise: float = LEAST_NOISE,
    trainings: Sequence[SubsetTraining] = (),
) -> Quality:
    """Return the weights under which a curve explains trainings on some of the data best.

    Parameters
    ----------
    shares
        ``x``, shape ``(K, N)``: what part of each organization's data took part.
    accuracy
        ``a``, shape ``(K,)``, in [0, 1].
    units
        ``u``, shape ``(N,)``: what all of an organization's data adds to Omega at weight 1.
    curve
        ``P``, measured with everybody.
    untrained_accuracy
        ``a_0``.
    noise
        ``sigma``, the standard deviation of a training's accuracy, > 0.
    trainings
        Kept in the result.

    Raises
    ------
    InputError
        The arrays do not fit together or have values out of range, or an organization took part in
        all trainings alike, so that they say nothing of it.
    """
    from scipy.optimize import least_squares

    x, a, u = (np.asarray(values, dtype=float) for values in (shares, accuracy, units))
    if x.ndim != 2 or a.shape != x.shape[:1] or u.shape != x.shape[1:] or not a.size:
        raise InputError.at(
            Parameter("shares"), "expected shape (K, N), with K accuracies, N units"
        )
    if not (np.all((x >= 0.0) & (x <= 1.0)) and np.all((a >= 0.0) & (a <= 1.0))):
        raise InputError.at(Parameter("shares"), "expected shares and accuracies from 0 to 1")
    if not np.all((u > 0.0) & np.isfinite(u)) or not noise > 0.0:
        raise InputError.at(Parameter("units"), "expected finite amounts > 0, and noise > 0")
    if np.any(np.ptp(x, axis=0) == 0.0):
        who = int(np.argmin(np.ptp(x, axis=0)))
        what = f"organization {who} took part in all trainings alike; expected it in some only"
        raise InputError.at(Parameter("shares"), what)

    def weights_of(logs: Array) -> Array:
        weights = np.exp(logs)
        found: Array = weights * (u.sum() / (weights @ u))
        return found

    def missed(weights: Array) -> Array:
        found: Array = a - untrained_accuracy - np.asarray(curve.value(x @ (weights * u)))
        return found

    def errors(logs: Array) -> Array:
        return np.concatenate([missed(weights_of(logs)) / noise, logs])

    bound = np.log([SMALLEST, LARGEST])
    # P has kinks: a finer difference than one of its pieces would see a single slope.
    found = least_squares(errors, np.zeros(u.size), bounds=bound, diff_step=1e-3)
    weights = weights_of(found.x)
    # The common factor of the weights cancels; what is uncertain is a weight against the mean.
    part = weights * u / u.sum()
    against_mean = np.eye(u.size) - part
    spread = against_mean @ np.linalg.inv(found.jac.T @ found.jac) @ against_mean.T
    deviation = np.exp(2.0 * np.sqrt(np.diagonal(spread)))
    total = float(np.sum((a - a.mean()) ** 2))

    def explained(of: Array) -> float:
        return 1.0 - float(np.sum(missed(of) ** 2)) / total if total > 0.0 else float("nan")

    return Quality(
        weights=weights,
        low=weights / deviation,
        high=weights * deviation,
        noise=noise,
        r_squared=explained(weights),
        r_squared_unweighted=explained(np.ones(u.size)),
        trainings=tuple(trainings),
    )


def measure_quality(
    plan: Plan,
    consortium: Consortium | None,
    fit: Fit,
    *,
    subsets: int = 0,
    organizations: int = 10,
    parts: Sequence[npt.ArrayLike] | None = None,
    dataset: Dataset | None = None,
    watch: Callable[[SubsetTraining], None] = lambda _: None,
) -> Quality:
    """Train on random halves of the organizations, and estimate the weights of their data.

    Parameters
    ----------
    plan
        What is trained and how; its seed draws the partition, the halves and the trainings.
    consortium
        Whose data it is, as in :func:`~tradefl.federation.fitting.measure_accuracy`. Weights
        multiply the qualities that it has already.
    fit
        ``P``, measured by that function with the same plan, data and organizations.
    subsets
        How many trainings, at least N; 0: four for each organization.
    organizations
        How many without a consortium and ``parts``.
    parts
        The training samples of each organization, arrays of indices; default: dealt as the plan
        says (``iid`` or ``dirichlet``).
    dataset
        The data set itself, in place of the plan's name of one.
    watch
        Called after each training.

    Raises
    ------
    InputError
        The parts do not fit the data set or the consortium, or there are too few subsets.
    """
    plan = measuring(plan, None if consortium is None else consortium.training)
    data = load_dataset(plan.data, plan.folder) if dataset is None else dataset
    if parts is None:
        names, units, numbers, _ = everybody(consortium, data, plan, organizations)
        held = partition(
            data.y_train, numbers, scheme=plan.partition, alpha=plan.alpha, seed=plan.seed
        )
    else:
        names, units, held = dealt(consortium, data, parts)
    n = len(names)
    count = subsets or SUBSETS_EACH * n
    if n < 2 or count < n:
        what = f"expected 2 organizations or more, and at least as many subsets; got {n}, {count}"
        raise InputError.at(Parameter("subsets"), what)
    trainings = []
    for k, members in enumerate(halves(n, count, plan.seed)):
        done = train_members(plan, data, names, held, members, plan.seed + k)
        trainings.append(done)
        watch(done)
    # The noise of a mean, times the root of how many trainings it is of, is that of one.
    _, repeated = np.unique(fit.data, return_counts=True)
    noise = 0.0 if np.isnan(fit.noise) else fit.noise * float(np.sqrt(repeated.min()))
    return fit_quality(
        np.array([training.shares for training in trainings]),
        np.array([training.accuracy for training in trainings]),
        units,
        fit.curve,
        fit.untrained_accuracy,
        noise=max(LEAST_NOISE, noise),
        trainings=trainings,
    )


def halves(n: int, count: int, seed: int) -> list[npt.NDArray[np.bool_]]:
    """Return random halves of n, each with its complement, so that all take part equally often."""
    rng = np.random.default_rng([seed, n, 17])
    found: list[npt.NDArray[np.bool_]] = []
    while len(found) < count:
        members = np.zeros(n, dtype=bool)
        members[rng.permutation(n)[: (n + 1) // 2]] = True
        found += [members, ~members]
    return found[:count]


def train_members(
    plan: Plan,
    data: Dataset,
    names: Sequence[str],
    held: Sequence[Indices],
    members: npt.ArrayLike,
    seed: int,
) -> SubsetTraining:
    """Train on all the data of some organizations, and a single sample of each other.

    Parameters
    ----------
    plan, data
        What is trained, on what.
    names, held
        The organizations, and the indices of their training samples.
    members
        Shape ``(N,)``: who takes part.
    seed
        The seed of the training.
    """
    taking_part = np.asarray(members, dtype=bool)
    pledges = [
        Pledge(name, 1.0 if present else LEFT_OUT, 1.0, len(own), seed)
        for name, own, present in zip(names, held, taking_part, strict=True)
    ]
    arranged = arranged_for(data, held, seed)
    with named(plan, arranged, None, "in-process") as given:
        seeded = dataclasses.replace(given, seed=seed, partition="iid")
        reports, _ = train_pledges(seeded, pledges, arranged, every_round=False)
    shares = np.array([pledge.samples_owed / pledge.samples_held for pledge in pledges])
    return SubsetTraining(shares, seed, reports[-1].accuracy)
