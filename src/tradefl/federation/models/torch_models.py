"""The torch models by name: what is asked of them, checked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tradefl.errors import InputError, MissingExtraError, Parameter
from tradefl.federation.models.model import Model, Shape

if TYPE_CHECKING:
    import torch

# Far above what the memory of any machine can hold: a slip of the pen.
WIDEST = 16.0


def make(name: str, shape: Shape, width: float, device: str) -> Model:
    """Return one of ``TORCH_MODELS``.

    Parameters
    ----------
    name
        Which one.
    shape
        Images, with or without an axis of channels; ``mlp`` also takes plain features.
    width
        Multiplies the number of channels; each layer keeps at least four.
    device
        ``"cpu"``, ``"cuda"`` (the first one), ``"cuda:1"``, ... or ``"auto"``: the first GPU when
        there is one, else the processor.

    Raises
    ------
    InputError
        It does not fit the samples, the width is out of range, or there is no such device.
    MissingExtraError
        torch is not installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtraError(Parameter("model", name), "vision") from None
    # These import torch.
    from tradefl.federation.models.torch_training import TorchModel

    if not 0 < width <= WIDEST:
        raise InputError.at(
            Parameter("width"), f"expected a number above 0, at most {WIDEST:g}, got {width}"
        )
    if name != "mlp" and len(shape.inputs) not in (2, 3):
        features = " x ".join(map(str, shape.inputs))
        raise InputError.at(
            Parameter("model"),
            f"{name} expects images, got samples of {features} features: take mlp",
        )
    return TorchModel(name, shape, width, torch_device(device))


def torch_device(device: str) -> torch.device:
    """Return the device of a name.

    Raises
    ------
    InputError
        It is no such name, or there is no such GPU.
    """
    import torch

    if device == "cpu":
        return torch.device("cpu")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device("cuda", 0) if found else torch.device("cpu")
    match = re.fullmatch(r"cuda(?::(\d{1,3}))?", device)
    if match is None:
        raise InputError.at(
            Parameter("device"), f"expected cpu, auto, cuda or cuda:N, got {device!r}"
        )
    index = int(match[1] or 0)
    if index >= found:
        what = f"{found} are available" if found != 1 else "1 is available"
        raise InputError.at(Parameter("device"), f"there is no GPU number {index}: {what}")
    return torch.device("cuda", index)
