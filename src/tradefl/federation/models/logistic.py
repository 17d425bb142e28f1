"""Multinomial logistic regression in NumPy: the model that needs no framework."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.errors import InputError, Parameter
from tradefl.federation.models.model import LocalTraining, Parameters, Shape

# Samples that are converted to floating point at a time.
CHUNK = 4096

Array = npt.NDArray[np.floating[Any]]


class Logistic:
    """Softmax regression: one weight for each feature and class, one bias for each class.

    The loss is convex, so all that differs between federations is the data: a good first model.
    There is nothing to draw (it starts at zero, where all classes are equally likely) and nothing
    that a width would scale.

    Parameters
    ----------
    shape
        Samples of any shape; they are flattened.
    width
        1.
    device
        ``"cpu"`` or ``"auto"``.

    Raises
    ------
    InputError
        Another width or device.
    """

    def __init__(self, shape: Shape, width: float, device: str) -> None:
        if width != 1:
            raise InputError.at(
                Parameter("width"), f"expected 1 (logistic has no layers to widen), got {width}"
            )
        if device not in ("cpu", "auto"):
            raise InputError.at(
                Parameter("device"),
                f"expected cpu or auto (logistic runs in NumPy), got {device!r}",
            )
        self._features, self._classes = math.prod(shape.inputs), shape.classes

    def initial(self, seed: int) -> Parameters:  # noqa: ARG002  (the interface's)
        """Return zeros, whatever the seed."""
        return {
            "weight": np.zeros((self._features, self._classes), np.float32),
            "bias": np.zeros(self._classes, np.float32),
        }

    def train(
        self,
        parameters: Mapping[str, npt.NDArray[Any]],
        x: npt.NDArray[Any],
        y: npt.NDArray[np.int64],
        how: LocalTraining,
    ) -> tuple[Parameters, float]:
        """Return the parameters after minibatch SGD, and the mean loss over the last epoch."""
        _expect_work(len(y), how.epochs)
        weight_global, bias_global = self._unpacked(parameters)
        weight, bias = weight_global.copy(), bias_global.copy()
        # Python floats keep float32 arrays float32.
        rate, mu = float(how.learning_rate), float(how.proximal_mu)
        rng = np.random.default_rng(how.seed)
        total = 0.0
        # A training that diverges gives infinities and NaN, for the server to reject.
        with np.errstate(all="ignore"):
            for _ in range(how.epochs):
                order = rng.permutation(len(y))
                total = 0.0
                for start in range(0, len(y), how.batch_size):
                    chosen = order[start : start + how.batch_size]
                    loss, by_weight, by_bias = gradient(
                        weight, bias, _features(x[chosen]), y[chosen]
                    )
                    total += loss * len(chosen)
                    if mu:
                        by_weight += mu * (weight - weight_global)
                        by_bias += mu * (bias - bias_global)
                    weight -= rate * by_weight
                    bias -= rate * by_bias
        return {"weight": weight, "bias": bias}, total / len(y)

    def evaluate(
        self,
        parameters: Mapping[str, npt.NDArray[Any]],
        x: npt.NDArray[Any],
        y: npt.NDArray[np.int64],
    ) -> tuple[float, float]:
        """Return the mean cross-entropy loss and the accuracy."""
        _expect_work(len(y), 1)
        weight, bias = self._unpacked(parameters)
        loss, hits = 0.0, 0
        with np.errstate(all="ignore"):
            for start in range(0, len(y), CHUNK):
                labels = y[start : start + CHUNK]
                scores = log_softmax(_features(x[start : start + CHUNK]) @ weight + bias)
                loss -= float(scores[np.arange(len(labels)), labels].sum(dtype=np.float64))
                hits += int((scores.argmax(axis=1) == labels).sum())
        return loss / len(y), hits / len(y)

    def _unpacked(self, parameters: Mapping[str, npt.NDArray[Any]]) -> tuple[Array, Array]:
        """Return weight and bias in float32; a wrong shape would broadcast unnoticed."""
        expected = {name: array.shape for name, array in self.initial(0).items()}
        got = {name: np.shape(array) for name, array in parameters.items()}
        if got != expected:
            raise ValueError(f"expected parameters of the shapes {expected}, got {got}")
        with np.errstate(all="ignore"):
            weight = np.asarray(parameters["weight"], np.float32)
            return weight, np.asarray(parameters["bias"], np.float32)


def gradient(
    weight: Array, bias: Array, x: Array, y: npt.NDArray[np.int64]
) -> tuple[float, Array, Array]:
    """Return the mean cross-entropy of a batch and its derivatives by weight and bias."""
    scores = log_softmax(x @ weight + bias)
    rows = np.arange(len(y))
    loss = -float(scores[rows, y].mean(dtype=np.float64))
    error = np.exp(scores)
    error[rows, y] -= 1.0
    error /= len(y)
    return loss, x.T @ error, error.sum(axis=0)


def log_softmax(logits: Array) -> Array:
    """Return the logarithms of the class probabilities, one sample a row."""
    # Without the largest logit the exponential cannot overflow.
    shifted: Array = logits - logits.max(axis=1, keepdims=True)
    normalized: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalized


def _features(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return samples as rows of float32, images scaled to [0, 1]."""
    rows = x.reshape(len(x), -1).astype(np.float32)
    return rows / np.float32(255) if x.dtype == np.uint8 else rows


def _expect_work(samples: int, epochs: int) -> None:
    """Raise where there is no mean loss to return."""
    if samples < 1 or epochs < 1:
        raise ValueError(f"expected samples and epochs, got {samples} and {epochs}")
