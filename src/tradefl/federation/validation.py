"""The server's own judgement of a model: on a part of the test data that nobody else has.

The part serves the server alone: accuracies that a training reports are of the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tradefl.federation.datasets import Dataset
from tradefl.federation.models import LocalTraining, Model

Arrays = Mapping[str, npt.NDArray[Any]]
# Apart from other draws of the same seed.
STREAM = 0x56414C
# What has a lower loss is learned: its gradient may be zero in single precision.
LEARNED = 1e-4
# So likely may it be, at most, that all samples of an organization are learned, before a step that
# leads nowhere is held against it.
CHANCE = 1e-3
# So many samples of a class say how many of them a model has learned.
SAMPLES = 20


class Validation(Protocol):
    """What the server can find out about a model without anybody's help."""

    @property
    def chance(self) -> float:
        """The loss of a model that knows nothing, such as ln of the number of classes."""

    def loss(self, arrays: Arrays) -> float:
        """Return the mean loss of a model; it may be infinite or NaN."""

    def by_class(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """Return the mean loss on each class of samples, always in the same order."""

    def learned(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """Return the part of each class's samples that a model has learned completely."""

    def trains(self, arrays: Arrays) -> bool:
        """Tell whether a correct client that starts from this model returns finite numbers."""


class LossOnly:
    """The validation of a server that has nothing but a loss function.

    Parameters
    ----------
    function
        Returns the loss of a model's arrays.
    chance
        The loss of a model that knows nothing.
    """

    def __init__(self, function: Callable[[Arrays], float], chance: float = 1.0) -> None:
        self._function = function
        self._chance = chance

    @property
    def chance(self) -> float:
        """The loss of a model that knows nothing."""
        return self._chance

    def loss(self, arrays: Arrays) -> float:
        """Return the loss of a model."""
        return float(self._function(arrays))

    def by_class(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """Return the loss, as of a single class."""
        return np.array([self.loss(arrays)])

    def learned(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """Return 1 where the loss is as good as none, otherwise 0."""
        return (self.by_class(arrays) < LEARNED).astype(np.float64)

    def trains(self, arrays: Arrays) -> bool:  # noqa: ARG002  (the interface's)
        """Return ``True``: this server cannot train."""
        return True


class ServerValidation:
    """Validation samples, and the model that the federation trains.

    Parameters
    ----------
    model
        The federation's model.
    x, y
        The validation samples and their labels, at least one.
    classes
        The number of classes of the run.
    how
        How an organization trains in a round.
    """

    def __init__(
        self,
        model: Model,
        x: npt.NDArray[Any],
        y: npt.NDArray[np.int64],
        classes: int,
        how: LocalTraining,
    ) -> None:
        self._model, self._x, self._y, self._how = model, x, y, how
        self._parts = [np.flatnonzero(y == label) for label in np.unique(y)]
        self._classes = classes

    @property
    def chance(self) -> float:
        """The cross-entropy of a guess among all classes."""
        return math.log(self._classes)

    def loss(self, arrays: Arrays) -> float:
        """Return the mean cross-entropy."""
        return self._model.evaluate(arrays, self._x, self._y)[0]

    def by_class(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """Return the mean cross-entropy on the samples of each class."""
        return np.array(
            [self._model.evaluate(arrays, self._x[part], self._y[part])[0] for part in self._parts]
        )

    def learned(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """Return the part of each class's samples that a model has learned completely.

        All of a class whose mean loss is as good as none.
        """
        parts = self.by_class(arrays) < LEARNED
        return np.array(
            [
                1.0 if whole else np.mean([self._loss_of(arrays, k) < LEARNED for k in part])
                for whole, part in zip(parts, (part[:SAMPLES] for part in self._parts), strict=True)
            ]
        )

    def _loss_of(self, arrays: Arrays, k: int) -> float:
        return self._model.evaluate(arrays, self._x[k : k + 1], self._y[k : k + 1])[0]

    def trains(self, arrays: Arrays) -> bool:
        """Train on the validation samples as an organization would; tell if it stays finite."""
        after, _ = self._model.train(arrays, self._x, self._y, self._how)
        return all(bool(np.isfinite(value).all()) for value in after.values())


def may_be_fitted(learned: npt.NDArray[np.float64], samples: float) -> bool:
    """Tell whether a model may have learned all of so many samples, of one class, completely.

    Parameters
    ----------
    learned
        The part of each class that it has learned, as of :meth:`Validation.learned`.
    samples
        How many an organization has.
    """
    return bool(np.max(learned, initial=0.0) ** samples >= CHANCE)


def split_test(
    dataset: Dataset, fraction: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return which test samples serve the server, and which are left for reported accuracies.

    Parameters
    ----------
    dataset
        Its test part is divided at random.
    fraction
        Of the test part, rounded up to whole samples; 0 gives the server nothing. One sample at
        least is left for each side.
    seed
        Fixes the division.
    """
    available = len(dataset.y_test)
    if fraction == 0.0 or available < 2:
        return np.zeros(0, np.int64), np.arange(available)
    order = np.random.default_rng([STREAM, seed]).permutation(available)
    count = min(available - 1, math.ceil(fraction * available))
    return np.sort(order[:count]), np.sort(order[count:])
