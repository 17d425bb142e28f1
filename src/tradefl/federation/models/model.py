"""The interface of a model: named arrays that train on samples, and the settings of a training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tradefl.errors import InputError, Parameter

Parameters = dict[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a model must fit.

    Attributes
    ----------
    inputs
        The shape of one sample: ``(features,)``, ``(height, width)`` or
        ``(height, width, channels)``.
    classes
        The number of classes; labels are 0 .. classes - 1.
    """

    inputs: tuple[int, ...]
    classes: int


@dataclasses.dataclass(frozen=True)
class LocalTraining:
    """How an organization trains in one round.

    Attributes
    ----------
    epochs
        Passes over its samples.
    learning_rate, batch_size
        Of stochastic gradient descent.
    seed
        Fixes the order of the samples, and whatever else the model draws.
    proximal_mu
        FedProx: the weight of ``||w - w_global||^2 / 2``; 0 is FedAvg.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    proximal_mu: float = 0.0


class Model(Protocol):
    """A classifier whose parameters travel as named arrays.

    Samples are ``uint8`` (images, which the model scales by 1/255) or floating point (used as they
    are), shape ``(n, *Shape.inputs)``; labels are ``int64``, shape ``(n,)``. The same arguments
    give the same result to the last bit on the same machine.
    """

    def initial(self, seed: int) -> Parameters:
        """Return the parameters before training, drawn from the seed."""

    def train(
        self,
        parameters: Mapping[str, npt.NDArray[Any]],
        x: npt.NDArray[Any],
        y: npt.NDArray[np.int64],
        how: LocalTraining,
    ) -> tuple[Parameters, float]:
        """Return the parameters after training, and the mean loss over the last epoch."""

    def evaluate(
        self,
        parameters: Mapping[str, npt.NDArray[Any]],
        x: npt.NDArray[Any],
        y: npt.NDArray[np.int64],
    ) -> tuple[float, float]:
        """Return the mean cross-entropy loss and the accuracy."""


def initial_parameters(model: Model, seed: int) -> Parameters:
    """Return a model's parameters before training, as it draws them from the seed.

    Raises
    ------
    InputError
        They are not arrays of finite real numbers by name.
    """
    expected = "expected initial(seed) to return NumPy arrays of finite real numbers by name"
    place = Parameter("model")
    drawn = model.initial(seed)
    if not isinstance(drawn, Mapping) or not drawn:
        raise InputError.at(place, f"{expected}, got {repr(drawn)[:60]}")
    for name, value in drawn.items():
        if not isinstance(value, np.ndarray):
            raise InputError.at(place, f"{expected}; {name!r} is a {type(value).__name__}")
        if value.dtype.kind not in "fiu":
            raise InputError.at(place, f"{expected}; {name!r} holds {value.dtype}")
        if not np.isfinite(value).all():
            raise InputError.at(place, f"{expected}; {name!r} holds a number that is not finite")
    return dict(drawn)


# (shape, width, device): `width` scales the number of channels or units, `device` is "cpu",
# "cuda", "cuda:1", ... or "auto" for a GPU when there is one.
Factory = Callable[[Shape, float, str], Model]
