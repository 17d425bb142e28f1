"""A torch network as a model: named arrays in, named arrays out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tradefl.federation.models.architectures import build
from tradefl.federation.models.model import LocalTraining, Parameters, Shape

MOMENTUM = 0.9
# Samples at a time where no gradient is needed.
CHUNK = 256
# All threads share the network, and torch's random numbers.
_LOCK = threading.Lock()


class TorchModel:
    """A network that each call brings the parameters of.

    Parameters
    ----------
    name, shape, width
        Which network: :mod:`.architectures`. Images have an axis of channels last, or none.
    device
        Where it trains.
    """

    def __init__(self, name: str, shape: Shape, width: float, device: torch.device) -> None:
        inputs = shape.inputs
        if len(inputs) == 2:
            inputs = (*inputs, 1)
        if len(inputs) == 3:
            inputs = (inputs[2], inputs[0], inputs[1])
        self._inputs, self._device = inputs, device
        self._network = (name, inputs, shape.classes, width)
        # One network for all rounds and organizations.
        with _LOCK, _random_numbers(0, torch.device("cpu")):
            self._module = build(*self._network).to(device)

    def initial(self, seed: int) -> Parameters:
        """Return the parameters before training, drawn from the seed."""
        # Drawn on the processor: the same on every device.
        with _LOCK, _random_numbers(seed, torch.device("cpu")):
            return _arrays(build(*self._network))

    def train(
        self,
        parameters: Mapping[str, npt.NDArray[Any]],
        x: npt.NDArray[Any],
        y: npt.NDArray[np.int64],
        how: LocalTraining,
    ) -> tuple[Parameters, float]:
        """Return the parameters after SGD with momentum, and the mean loss over the last epoch."""
        if len(y) < 1 or how.epochs < 1:
            raise ValueError(f"expected samples and epochs, got {len(y)} and {how.epochs}")
        with _LOCK, _random_numbers(how.seed, self._device), _repeatable():
            self._load(parameters)
            self._module.train()
            weights: list[Tensor] = list(self._module.parameters())
            start = [weight.detach().clone() for weight in weights]
            velocity = [torch.zeros_like(weight) for weight in weights]
            rng = np.random.default_rng(how.seed)
            for _ in range(how.epochs):
                total = torch.zeros((), dtype=torch.float64, device=self._device)
                for chosen in _batches(rng.permutation(len(y)), how.batch_size):
                    samples, labels = self._tensors(x[chosen], y[chosen])
                    loss = cross_entropy(self._module(samples), labels)
                    slopes = torch.autograd.grad(loss, weights)
                    _step(weights, slopes, velocity, start, how)
                    total += loss.detach() * len(chosen)
            return _arrays(self._module), float(total) / len(y)

    def evaluate(
        self,
        parameters: Mapping[str, npt.NDArray[Any]],
        x: npt.NDArray[Any],
        y: npt.NDArray[np.int64],
    ) -> tuple[float, float]:
        """Return the mean cross-entropy loss and the accuracy."""
        if len(y) < 1:
            raise ValueError("expected samples, got none")
        loss, hits = 0.0, 0
        with _LOCK, torch.no_grad(), _repeatable():
            self._load(parameters)
            self._module.eval()
            for chosen in _batches(np.arange(len(y)), CHUNK):
                samples, labels = self._tensors(x[chosen], y[chosen])
                logits = self._module(samples)
                loss += float(cross_entropy(logits, labels, reduction="sum"))
                hits += int((logits.argmax(dim=1) == labels).sum())
        return loss / len(y), hits / len(y)

    def _load(self, parameters: Mapping[str, npt.NDArray[Any]]) -> None:
        """Copy parameters into the network; a wrong shape would broadcast unnoticed."""
        state = self._module.state_dict()
        expected = {name: tuple(tensor.shape) for name, tensor in state.items()}
        got = {name: np.shape(array) for name, array in parameters.items()}
        if got != expected:
            raise ValueError(f"expected parameters of the shapes {expected}, got {got}")
        for name, tensor in state.items():
            tensor.copy_(_float_tensor(parameters[name]))

    def _tensors(self, x: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return a batch on the device: images scaled to [-1, 1], channels first."""
        if x.dtype == np.uint8:
            samples = torch.from_numpy(x).to(self._device).float().div_(127.5).sub_(1.0)
        else:
            samples = _float_tensor(x).to(self._device)
        if samples.dim() == 4:
            samples = samples.permute(0, 3, 1, 2).contiguous()
        return samples.reshape(len(x), *self._inputs), torch.from_numpy(y).to(self._device)


@torch.no_grad()
def _step(
    weights: list[Tensor],
    slopes: tuple[Tensor, ...],
    velocity: list[Tensor],
    start: list[Tensor],
    how: LocalTraining,
) -> None:
    """Take a step of SGD with momentum; FedProx pulls towards where the round started."""
    # torch.optim.SGD takes the same one, after seconds of importing torch's compiler. One call for
    # all tensors: networks have dozens, and most are small.
    torch._foreach_mul_(velocity, MOMENTUM)
    torch._foreach_add_(velocity, slopes)
    if how.proximal_mu:
        away = torch._foreach_sub(weights, start)
        torch._foreach_add_(velocity, away, alpha=how.proximal_mu)
    torch._foreach_sub_(weights, velocity, alpha=how.learning_rate)


def _batches(order: npt.NDArray[np.int64], size: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield an order in batches; the last may be smaller."""
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _arrays(module: torch.nn.Module) -> Parameters:
    """Return copies of a network's parameters."""
    return {name: tensor.cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def _float_tensor(array: npt.NDArray[Any]) -> Tensor:
    """Return a tensor with memory of its own."""
    # What is beyond float32 becomes infinite, and training on it NaN, for the server to reject.
    with np.errstate(all="ignore"):
        return torch.from_numpy(np.array(array, np.float32))


@contextmanager
def _random_numbers(seed: int, device: torch.device) -> Iterator[None]:
    """Draw torch's random numbers (initial weights, dropout) from a seed, and only in here."""
    gpus = [] if device.type == "cpu" else [device.index]
    number = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
    with torch.random.fork_rng(gpus):
        # torch.manual_seed would also seed the GPUs that are not restored.
        torch.default_generator.manual_seed(number)
        for gpu in gpus:
            torch.cuda.default_generators[gpu].manual_seed(number)
        yield


@contextmanager
def _repeatable() -> Iterator[None]:
    """Let a GPU choose the same algorithms each time, and calculate in float32 as a processor does.

    Its shorter formats lose three digits, and with them the agreement between organizations that
    train on different machines. On a processor, torch uses one thread: for networks and batches of
    this size more threads cost more than they bring, and how many share a sum changes its last
    bits. ``OMP_NUM_THREADS`` sets another number.
    """
    before = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    try:
        yield from _float32()
    finally:
        torch.set_num_threads(before)


def _float32() -> Iterator[None]:
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield
