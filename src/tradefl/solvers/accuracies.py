"""The accuracy models of many games, as the compiled loops and the game's formulas see them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.game.accuracy import (
    Empirical,
    InvertibleAccuracyModel,
    PowerLaw,
    SqrtLoss,
    power_law_derivative,
    power_law_value,
    sqrt_loss_derivative,
    sqrt_loss_value,
)
from tradefl.solvers.best_response import StandIns, compiled_accuracy

Array = npt.NDArray[np.float64]


def accuracy_of(accuracies: Any, k: int) -> Any:
    """Return the accuracy model of game k."""
    return accuracies[k]


def _curve_of(curves: Any, k: int) -> Any:
    return curves[0][k], curves[1][k], curves[2][k], curves[3][k]


@dataclasses.dataclass(frozen=True, eq=False)
class Accuracies:
    """One accuracy model for each of K games.

    Parameters
    ----------
    models
        The distinct models.
    which
        Shape ``(K,)``: the model of each game.
    """

    models: tuple[InvertibleAccuracyModel, ...]
    which: npt.NDArray[np.intp]

    @classmethod
    def of(cls, models: Sequence[InvertibleAccuracyModel]) -> Accuracies:
        """Return the models of games, each distinct one kept once."""
        places: dict[int, int] = {}
        which = np.array([places.setdefault(id(model), len(places)) for model in models])
        distinct = {id(model): model for model in models}
        return cls(tuple(distinct[key] for key in places), which)

    def some(self, games: Any) -> Accuracies:
        """Return the models of some of the games."""
        return dataclasses.replace(self, which=self.which[games])

    def __getitem__(self, k: int) -> InvertibleAccuracyModel:
        model: InvertibleAccuracyModel = self.models[self.which[k]]
        return model

    @cached_property
    def kind(self) -> type | None:
        """The class of all models; ``None`` if they differ, or are not built in."""
        kinds = {type(model) for model in self.models}
        kind = kinds.pop()
        return kind if not kinds and kind in (SqrtLoss, PowerLaw, Empirical) else None

    def compiled(self) -> tuple[Any, StandIns] | None:
        """Return the models as arguments of compiled loops; ``None`` if they cannot be compiled.

        The first part takes the models' place, the second names the functions that read it.
        """
        if self.kind is None:
            return None
        found = [compiled_accuracy(model) for model in self.models]
        numbers = [pair[0] for pair in found if pair is not None]
        stand_ins: StandIns = dict(found[0][1]) if found[0] is not None else {}
        if self.kind is not Empirical:
            return np.array(numbers)[self.which], stand_ins
        width = max(knots.size for knots, *_ in numbers)
        fill = (np.inf, None, 0.0)  # beyond the last knot P stays as it is
        columns = [
            np.array([_padded(number[c], width, fill[c]) for number in numbers])[self.which]
            for c in range(3)
        ]
        onsets = np.array([number[3] for number in numbers])[self.which]
        return (*columns, onsets), stand_ins | {accuracy_of: _curve_of}

    @cached_property
    def onset(self) -> Any:
        """Where each game's P leaves zero, shape ``(K, 1)``."""
        onsets = np.array([float(model.onset) for model in self.models])
        return np.asarray(onsets[self.which][:, None])

    def value(self, omega: Any) -> Array:
        """Return ``P(Omega)``, shape ``(K, n)`` as omega."""
        if self.kind is SqrtLoss:
            epochs, untrained_loss = self._column("epochs", "untrained_loss")
            return np.asarray(sqrt_loss_value(omega, epochs, untrained_loss, self.onset))
        if self.kind is PowerLaw:
            untrained_loss, scale, exponent, floor = self._column(
                "untrained_loss", "scale", "exponent", "floor"
            )
            value = power_law_value(omega, untrained_loss, scale, exponent, floor, self.onset)
            return np.asarray(value)
        return self._each("value", omega)

    def derivative(self, omega: Any) -> Array:
        """Return ``P'(Omega)``, shape ``(K, n)`` as omega."""
        if self.kind is SqrtLoss:
            (epochs,) = self._column("epochs")
            return np.asarray(sqrt_loss_derivative(omega, epochs, self.onset))
        if self.kind is PowerLaw:
            scale, exponent = self._column("scale", "exponent")
            return np.asarray(power_law_derivative(omega, scale, exponent, self.onset))
        return self._each("derivative", omega)

    def _column(self, *names: str) -> Any:
        table = [[getattr(model, name) for model in self.models] for name in names]
        return [np.array(row, dtype=float)[self.which][:, None] for row in table]

    def _each(self, name: str, omega: Any) -> Array:
        omega = np.asarray(omega, dtype=float)
        found = np.empty(omega.shape)
        for m, model in enumerate(self.models):
            games = self.which == m
            found[games] = getattr(model, name)(omega[games])
        return found


def _padded(row: Array, width: int, fill: float | None) -> Array:
    return np.pad(row, (0, width - row.size), constant_values=row[-1] if fill is None else fill)
