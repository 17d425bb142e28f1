"""Models by name: what organizations train together.

A model turns named arrays (its parameters) into other arrays by training, and into a loss and an
accuracy by evaluation. It keeps no parameters of its own: between two calls there is nothing, so
the same object serves the server and every organization of a process.

A package can bring its own under the entry point group ``tradefl.models``: a callable with the
signature of :data:`Factory`.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from tradefl.consortium.schema import suggestion
from tradefl.errors import InputError, Parameter
from tradefl.federation.models.model import Factory, LocalTraining, Model, Parameters, Shape
from tradefl.federation.objects import held

__all__ = [
    "DEFAULT_MODEL",
    "GROUP",
    "MODELS",
    "TORCH_MODELS",
    "Factory",
    "LocalTraining",
    "Model",
    "Parameters",
    "Shape",
    "make_model",
]

GROUP = "tradefl.models"
DEFAULT_MODEL = "logistic"
TORCH_MODELS = ("mlp", "cnn", "resnet18", "alexnet", "densenet", "mobilenet")
MODELS = (DEFAULT_MODEL, *TORCH_MODELS)


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
        # A class has the methods of its objects, and makes them.
        is_model = hasattr(given, "evaluate") and not isinstance(given, type)
        made: Model = given if is_model else given(shape, width, device)
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
