"""A user's own data-accuracy function: made complete, and held to Eq. (5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tradefl.game.accuracy import (
    AccuracyModel,
    Empirical,
    InvertibleAccuracyModel,
    PowerLaw,
    SqrtLoss,
    shortest,
)


class UserAccuracy:
    """A user's ``P`` made complete: arrays accepted, the derivative inverted when need be."""

    def __init__(self, model: AccuracyModel) -> None:
        self.model = model
        self.onset = float(getattr(model, "onset", 0.0))
        self.value = _accepting_arrays(model.value)
        self.derivative = _accepting_arrays(model.derivative)

    def inverse_derivative(self, slope: float) -> float:
        """Return the largest ``Omega`` with ``P'(Omega) >= slope``, to the last bit."""
        own = getattr(self.model, "inverse_derivative", None)
        if own is not None:
            return float(own(slope))
        return invert_derivative(self.derivative, slope, self.onset)

    def formula(self, omega: float) -> str:
        """Return how ``P(omega)`` is calculated: as the user's model says, or just its name."""
        own = getattr(self.model, "formula", None)
        name = type(self.model).__name__
        return str(own(omega)) if own is not None else f"{name}({shortest(omega)})"

    def __repr__(self) -> str:
        return f"UserAccuracy({self.model!r})"


def invert_derivative(
    derivative: Callable[[float], Any], slope: float, onset: float = 0.0
) -> float:
    """Return the largest ``Omega >= onset`` with ``derivative(Omega) >= slope`` by bisection.

    ``derivative`` must not increase from ``onset`` on. Returns ``onset`` when even there it
    is below ``slope``, and ``inf`` when it never falls below (always so for ``slope <= 0``).
    """
    if slope <= 0.0:
        return np.inf
    low, high = onset, max(1.0, 2.0 * onset)
    while float(derivative(high)) >= slope:
        low, high = high, 2.0 * high
        if not np.isfinite(high):
            return np.inf
    while True:
        middle = 0.5 * (low + high)
        if middle <= low or middle >= high:
            return low
        if float(derivative(middle)) >= slope:
            low = middle
        else:
            high = middle


def complete(model: AccuracyModel) -> InvertibleAccuracyModel:
    """Return ``model`` with everything the solvers need, wrapping it if anything is absent.

    Raises
    ------
    TypeError
        ``model`` has no ``value`` or no ``derivative``.
    """
    if isinstance(model, (SqrtLoss, PowerLaw, Empirical, UserAccuracy)):
        return model
    if not isinstance(model, AccuracyModel):
        raise TypeError(
            "accuracy: expected an object with value(omega) and derivative(omega), "
            f"got {type(model).__name__}"
        )
    return UserAccuracy(model)


def violation_of_eq5(model: InvertibleAccuracyModel, omega_max: float) -> str | None:
    """Return where ``P`` breaks Eq. (5) on ``[0, omega_max]``, or ``None``.

    A sampled check for user-supplied functions: finite, nonnegative, nondecreasing, concave
    from the onset on, and a derivative that agrees in sign and order with the values.
    """
    low = min(model.onset, omega_max)
    grid = low + (omega_max - low) * np.linspace(0.0, 1.0, 257)[1:]
    value = np.asarray(model.value(grid), dtype=float)
    derivative = np.asarray(model.derivative(grid), dtype=float)
    if not (np.all(np.isfinite(value)) and np.all(np.isfinite(derivative))):
        return "P and P' must be finite on (0, Omega_max]"
    # Rounding is relative to what P is a difference of, A(0) for one, which is of order 1.
    slack = 1e-9 * float(np.ptp(value)) + 1e-14 * max(1.0, float(np.max(np.abs(value))))
    if np.any(value < -slack):
        return f"P is negative near Omega = {grid[int(np.argmin(value))]:.6g}"
    chords = np.diff(value)
    if np.any(chords < -slack) or np.any(derivative < 0.0):
        return f"P decreases near Omega = {grid[int(np.argmin(chords))]:.6g}"
    if np.any(np.diff(chords) > slack):
        return f"P is not concave near Omega = {grid[int(np.argmax(np.diff(chords)))]:.6g}"
    step = np.diff(grid)
    if np.any(derivative[:-1] * step < chords - slack) or np.any(
        derivative[1:] * step > chords + slack
    ):
        return "derivative() is not the derivative of value()"
    return None


def _accepting_arrays(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return ``function`` itself if it maps arrays elementwise, else a version that does."""
    probe = np.array([1.0, 2.0])
    try:
        accepts = np.shape(function(probe)) == probe.shape
    except (TypeError, ValueError):  # a scalar function: math.sqrt, an if on omega, ...
        accepts = False
    return function if accepts else np.vectorize(function, otypes=[float])
