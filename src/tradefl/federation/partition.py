"""Who holds what: the training samples of a data set, dealt to organizations."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from tradefl.errors import InputError, MissingExtraError, Parameter
from tradefl.federation.telemetry import without_telemetry
from tradefl.training_document.holdings import shares

if TYPE_CHECKING:
    from tradefl.federation.datasets import Dataset

Scheme = Literal["iid", "dirichlet"]
Indices = npt.NDArray[np.int64]


def permutation(n: int, seed: int) -> Indices:
    """Return 0 .. n - 1 in an order drawn from the seed, the same with every release of NumPy."""
    # NumPy keeps the raw stream of its bit generators, but not what its distributions make of it.
    keys = np.random.PCG64(seed).random_raw(n)
    return np.argsort(keys, kind="stable").astype(np.int64)


def stratified_split(y: npt.NDArray[Any], *, part: float = 0.2) -> tuple[Indices, Indices]:
    """Return ascending indices for training and for testing, the same for everybody.

    Each class gives its part to testing, rounded by largest remainder, and at least one sample.
    """
    y = np.asarray(y)
    labels, counts = np.unique(y, return_counts=True)
    order = permutation(len(y), 0)
    chosen = shares(counts.tolist(), max(round(part * len(y)), len(labels)))
    test = np.concatenate(
        [order[y[order] == label][:count] for label, count in zip(labels, chosen, strict=True)]
    )
    return np.setdiff1d(order, test), np.sort(test)


def partition(
    y: npt.NDArray[Any],
    samples_held: Sequence[int],
    *,
    scheme: str,
    alpha: float,
    seed: int,
) -> list[Indices]:
    """Return the indices of the samples that each organization holds, no sample twice.

    Parameters
    ----------
    y
        Labels of the training samples, shape ``(n,)``.
    samples_held
        How many each organization holds (:func:`shares`).
    scheme
        ``"iid"``: each holds what ``samples_held`` says, drawn without looking at the labels.
        ``"dirichlet"``: as many samples in all, but for each class the parts are drawn from a
        Dirichlet distribution, so how many each holds comes out of the draw, at least one.
    alpha
        Concentration of the Dirichlet distribution: the smaller, the more the organizations
        differ. Unused by ``"iid"``.
    seed
        Fixes all draws, >= 0.

    Raises
    ------
    InputError
        ``alpha`` is no number > 0, or leaves an organization without samples.
    MissingExtraError
        ``"dirichlet"`` without flwr-datasets.
    """
    total = sum(samples_held)
    if any(number < 1 for number in samples_held) or total > len(y):
        raise ValueError(f"samples_held: expected numbers >= 1 that sum up to {len(y):,} at most")
    chosen = permutation(len(y), seed)[:total]
    if scheme == "iid":
        return np.split(chosen, np.cumsum(samples_held)[:-1])
    if scheme == "dirichlet":
        chosen = np.sort(chosen)
        parts = _dirichlet(np.asarray(y)[chosen], len(samples_held), float(alpha), seed)
        return [chosen[part] for part in parts]
    raise InputError.at(Parameter("partition"), f"expected iid or dirichlet, got {scheme!r}")


def checked_parts(parts: Sequence[npt.ArrayLike], samples: int) -> list[Indices]:
    """Return the samples of each organization, as a user deals them.

    Parameters
    ----------
    parts
        For each organization an array of indices, at least one, no sample twice.
    samples
        How many training samples there are.

    Raises
    ------
    InputError
        They are not that.
    """
    found = [np.asarray(part) for part in parts]
    right = all(part.ndim == 1 and part.size and part.dtype.kind in "iu" for part in found)
    everything = np.concatenate(found) if right and found else np.empty(0)
    if not everything.size or len(np.unique(everything)) != len(everything):
        what = "expected for each organization an array of indices, no sample twice"
        raise InputError.at(Parameter("parts"), what)
    if everything.min() < 0 or everything.max() >= samples:
        what = f"expected indices 0 .. {samples - 1:,} of training samples"
        raise InputError.at(Parameter("parts"), what)
    return [part.astype(np.int64) for part in found]


def arranged_for(data: Dataset, parts: Sequence[Indices], seed: int) -> Dataset:
    """Return a data set in an order in which an iid partition of a seed deals the given parts."""
    chosen = np.concatenate(list(parts))
    rest = np.setdiff1d(np.arange(len(data.y_train)), chosen)
    order = np.empty(len(data.y_train), dtype=np.int64)
    order[permutation(len(order), seed)] = np.concatenate([chosen, rest])
    return dataclasses.replace(data, x_train=data.x_train[order], y_train=data.y_train[order])


def _dirichlet(y: npt.NDArray[Any], n: int, alpha: float, seed: int) -> list[Indices]:
    if not (math.isfinite(alpha) and alpha > 0.0):
        raise InputError.at(Parameter("alpha"), f"expected a finite number > 0, got {alpha!r}")
    without_telemetry()
    try:
        from datasets import Dataset
        from flwr_datasets.partitioner import DirichletPartitioner
    except ImportError:
        raise MissingExtraError(Parameter("partition", "dirichlet"), "vision") from None
    partitioner = DirichletPartitioner(
        num_partitions=n,
        partition_by="label",
        alpha=alpha,
        min_partition_size=1,
        self_balancing=False,
        seed=seed,
    )
    partitioner.dataset = Dataset.from_dict({"label": y, "index": np.arange(len(y))})
    try:
        with warnings.catch_warnings():
            # One for every draw that left somebody without samples.
            warnings.simplefilter("ignore")
            parts = [partitioner.load_partition(i)["index"][:] for i in range(n)]
    except ValueError:  # ten such draws
        raise InputError.at(
            Parameter("alpha"),
            f"with {alpha:g}, every draw left one of {n:,} organizations without samples; "
            "expected a larger number (or another seed)",
        ) from None
    return [np.asarray(part, dtype=np.int64) for part in parts]
