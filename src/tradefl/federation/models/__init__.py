"""Models by name: what organizations train together.

A model turns named arrays (its parameters) into other arrays by training, and into a loss and an
accuracy by evaluation. It keeps no parameters of its own: between two calls there is nothing, so
the same object serves the server and every organization of a process.

A package can bring its own under the entry point group ``tradefl.models``: a callable with the
signature of :data:`Factory`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tradefl.consortium.schema import suggestion
from tradefl.errors import InputError, Parameter
from tradefl.federation.objects import held

Parameters = dict[str, npt.NDArray[Any]]
GROUP = "tradefl.models"
DEFAULT_MODEL = "logistic"
TORCH_MODELS = ("mlp", "cnn", "resnet18", "alexnet", "densenet", "mobilenet")
MODELS = (DEFAULT_MODEL, *TORCH_MODELS)


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


# (shape, width, device): `width` scales the number of channels or units, `device` is "cpu",
# "cuda", "cuda:1", ... or "auto" for a GPU when there is one.
Factory = Callable[[Shape, float, str], Model]


def make_model(name: str, shape: Shape, *, width: float = 1.0, device: str = "cpu") -> Model:
    """Return the model of a name.

    Raises
    ------
    InputError
        There is no such model, or it does not fit the data, the width or the device.
    MissingExtraError
        The model needs torch, and it is not installed.
    """
    given = held(name)
    if given is not None:
        made: Model = given if hasattr(given, "evaluate") else given(shape, width, device)
        return made
    if name == DEFAULT_MODEL:
        from tradefl.federation.models.logistic import Logistic

        return Logistic(shape, width, device)
    if name in TORCH_MODELS:
        from tradefl.federation.models.torch_models import make

        return make(name, shape, width, device)
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in others:
        known = (*MODELS, *sorted(others))
        what = f"expected one of {', '.join(known)}, got {name!r}"
        raise InputError.at(Parameter("model"), what + suggestion(name, known))
    try:
        factory: Factory = others[name].load()
        return factory(shape, width, device)
    except InputError:
        raise
    # Whatever another's package raises, the place is its entry point.
    except Exception as error:
        what = f"its entry point {others[name].value!r} failed: {type(error).__name__}: {error}"
        raise InputError.at(Parameter("model", name), what) from error
