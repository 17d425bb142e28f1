r"""Data-accuracy functions: what the global model gains from data, Eq. (4).

``P(Omega) = A(0) - A(Omega)`` is the performance of the global model when ``Omega``
units of data take part in the training; ``A`` is the accuracy loss. Eq. (5) asks for
``P' >= 0`` and ``P'' <= 0``.

The printed loss functions diverge at ``Omega = 0`` (footnote 7); capping them at the
untrained loss ``A(0)`` (erratum E10) makes ``P`` zero up to an *onset* and concave from
there on. Everything that searches over data must therefore treat the flat part and the
concave part apart: that is what ``onset`` is for.

Each formula is written once, as a module-level function of scalars *or* arrays. The
model classes call them with arrays, and the numba kernels of the solvers compile the
very same functions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from tradefl.game.arrays import floats, real

Array = npt.NDArray[np.float64]


@runtime_checkable
class AccuracyModel(Protocol):
    """What the game needs of a data-accuracy function ``P``.

    ``value`` and ``derivative`` take ``Omega`` (float or array, in units of data) and
    return ``P(Omega)`` and a supergradient ``P'(Omega)`` of the same shape. A model may
    also bring

    * ``inverse_derivative(slope)``: the largest ``Omega`` with ``P'(Omega) >= slope``
      (``inf`` for ``slope <= 0``); found by bisection when absent;
    * ``onset``: ``P`` is zero below it and concave from it on; 0 when absent;
    * ``formula(omega)``: how ``P(omega)`` is calculated, as text for statements.
    """

    def value(self, omega: Any) -> Any:
        """Return ``P(Omega)``."""

    def derivative(self, omega: Any) -> Any:
        """Return ``P'(Omega)``."""


class InvertibleAccuracyModel(AccuracyModel, Protocol):
    """An :class:`AccuracyModel` that can also invert its derivative."""

    @property
    def onset(self) -> float:
        """Where ``P`` leaves zero, in units of data."""

    def inverse_derivative(self, slope: float) -> float:
        """Return the largest ``Omega`` at which ``P' >= slope``."""

    def formula(self, omega: float) -> str:
        """Return how ``P(omega)`` is calculated, with the numbers put in."""


def shortest(value: float) -> str:
    """Return the shortest text that reads back as the same double, without ``.0`` at the end."""
    return repr(float(value)).removesuffix(".0")


# --- sqrt-loss: A = min(A(0), 1/sqrt(Omega G) + 1/G), footnote 7 ------------------------------


def sqrt_loss_value(omega: Any, epochs: float, untrained_loss: float, onset: float) -> Any:
    """P(Omega) = A(0) - (1/sqrt(Omega G) + 1/G) from the onset on, 0 below."""
    loss = 1.0 / np.sqrt(np.maximum(omega, onset) * epochs) + 1.0 / epochs
    return (omega > onset) * np.maximum(untrained_loss - loss, 0.0)


def sqrt_loss_derivative(omega: Any, epochs: float, onset: float) -> Any:
    """P'(Omega) = 1 / (2 Omega sqrt(Omega G)) from the onset on, 0 below."""
    at = np.maximum(omega, onset)
    return (omega >= onset) * 0.5 / (at * np.sqrt(at * epochs))


def sqrt_loss_inverse(slope: float, epochs: float, onset: float) -> float:
    """Omega = (2 sqrt(G) slope)^(-2/3), never below the onset."""
    if slope <= 0.0:
        return np.inf
    return float(max(onset, (2.0 * np.sqrt(epochs) * slope) ** (-2.0 / 3.0)))


# --- power-law: A = min(A(0), scale Omega^-exponent + floor) ----------------------------------


def power_law_value(
    omega: Any, untrained_loss: float, scale: float, exponent: float, floor: float, onset: float
) -> Any:
    """P(Omega) = A(0) - (scale Omega^-exponent + floor) from the onset on, 0 below."""
    loss = scale * np.maximum(omega, onset) ** -exponent + floor
    return (omega > onset) * np.maximum(untrained_loss - loss, 0.0)


def power_law_derivative(omega: Any, scale: float, exponent: float, onset: float) -> Any:
    """P'(Omega) = scale exponent Omega^(-exponent - 1) from the onset on, 0 below."""
    return (omega >= onset) * scale * exponent * np.maximum(omega, onset) ** (-exponent - 1.0)


def power_law_inverse(slope: float, scale: float, exponent: float, onset: float) -> float:
    """Omega = (slope / (scale exponent))^(-1/(exponent + 1)), never below the onset."""
    if slope <= 0.0:
        return np.inf
    ratio = slope / (scale * exponent)
    if ratio <= 0.0:  # underflow
        return np.inf
    return float(max(onset, ratio ** (-1.0 / (exponent + 1.0))))


# --- empirical: nondecreasing, concave, piecewise linear through (0, 0) -----------------------


def piecewise_value(omega: Any, knots: Array, values: Array) -> Any:
    """P by linear interpolation between the knots, constant beyond the last one."""
    return np.interp(omega, knots, values)


def piecewise_derivative(omega: Any, knots: Array, slopes: Array) -> Any:
    """P' to the right of Omega: slopes[k] on [knots[k], knots[k+1]), 0 at the end."""
    return slopes[np.searchsorted(knots, omega, side="right") - 1]


def piecewise_inverse(slope: float, knots: Array, slopes: Array) -> float:
    """Return the knot where the slope falls below the given one."""
    if slope <= 0.0:
        return np.inf
    return float(knots[np.searchsorted(-slopes, -slope, side="right")])


@dataclasses.dataclass(frozen=True)
class SqrtLoss:
    r"""Footnote 7 of the paper, capped as in E10: ``A = min(A(0), 1/sqrt(Omega G) + 1/G)``.

    Parameters
    ----------
    epochs
        ``G``, the number of training epochs, > 0.
    untrained_loss
        ``A(0)``, the accuracy loss of the untrained model, > 0. With ``A(0) <= 1/G``
        training never helps and ``P`` is zero everywhere.
    """

    epochs: float
    untrained_loss: float

    def __post_init__(self) -> None:
        _require_positive(epochs=self.epochs, untrained_loss=self.untrained_loss)

    @cached_property
    def onset(self) -> float:
        """Data at which ``1/sqrt(Omega G) + 1/G = A(0)``; ``inf`` when it never does."""
        with np.errstate(over="ignore", divide="ignore"):
            headroom = np.float64(self.untrained_loss) - 1.0 / np.float64(self.epochs)
            return float(1.0 / (self.epochs * headroom**2)) if headroom > 0.0 else np.inf

    def value(self, omega: Any) -> Any:
        """Return ``P(Omega)``, Eq. (4)."""
        return sqrt_loss_value(omega, self.epochs, self.untrained_loss, self.onset)

    def derivative(self, omega: Any) -> Any:
        """Return ``P'(Omega)``, to the right at the onset."""
        return sqrt_loss_derivative(omega, self.epochs, self.onset)

    def inverse_derivative(self, slope: float) -> float:
        """Return the largest ``Omega`` with ``P'(Omega) >= slope``."""
        return sqrt_loss_inverse(slope, self.epochs, self.onset)

    def formula(self, omega: float) -> str:
        """Return how ``P(omega)`` is calculated, with the numbers put in."""
        if omega <= self.onset:
            return _below_onset(self.onset)
        g = shortest(self.epochs)
        return f"{shortest(self.untrained_loss)} - (1 / sqrt({shortest(omega)} * {g}) + 1 / {g})"


@dataclasses.dataclass(frozen=True)
class PowerLaw:
    """``A = min(untrained_loss, scale Omega^-exponent + floor)``.

    All parameters are positive but ``floor``, which may be zero. With
    ``untrained_loss <= floor`` training never helps and ``P`` is zero everywhere.
    """

    untrained_loss: float
    scale: float
    exponent: float
    floor: float = 0.0

    def __post_init__(self) -> None:
        _require_positive(
            untrained_loss=self.untrained_loss, scale=self.scale, exponent=self.exponent
        )
        if not (np.isfinite(real("floor", self.floor)) and self.floor >= 0.0):
            raise ValueError(f"floor: expected a number >= 0, got {self.floor!r}")

    @cached_property
    def onset(self) -> float:
        """Data at which ``scale Omega^-exponent + floor`` falls to ``untrained_loss``."""
        headroom = self.untrained_loss - self.floor
        if headroom <= 0.0:
            return np.inf
        with np.errstate(over="ignore"):
            return float(np.float64(self.scale / headroom) ** (1.0 / self.exponent))

    def value(self, omega: Any) -> Any:
        """Return ``P(Omega)``, Eq. (4)."""
        return power_law_value(
            omega, self.untrained_loss, self.scale, self.exponent, self.floor, self.onset
        )

    def derivative(self, omega: Any) -> Any:
        """Return ``P'(Omega)``, to the right at the onset."""
        return power_law_derivative(omega, self.scale, self.exponent, self.onset)

    def inverse_derivative(self, slope: float) -> float:
        """Return the largest ``Omega`` with ``P'(Omega) >= slope``."""
        return power_law_inverse(slope, self.scale, self.exponent, self.onset)

    def formula(self, omega: float) -> str:
        """Return how ``P(omega)`` is calculated, with the numbers put in."""
        if omega <= self.onset:
            return _below_onset(self.onset)
        power = f"{shortest(self.scale)} * {shortest(omega)}^-{shortest(self.exponent)}"
        return f"{shortest(self.untrained_loss)} - ({power} + {shortest(self.floor)})"


@dataclasses.dataclass(frozen=True, eq=False)
class Empirical:
    """A measured ``P``: piecewise linear, nondecreasing and concave, constant at the end.

    Parameters
    ----------
    knots, values
        Shapes ``(K,)``, ``K >= 2``; ``knots`` in units of data, strictly increasing from 0;
        ``values`` start at 0, never decrease, and their slopes never increase.

    See Also
    --------
    fit_empirical : least-squares fit of such a curve to measured points.
    """

    knots: Array
    values: Array
    onset: float = dataclasses.field(default=0.0, init=False)

    def __post_init__(self) -> None:
        knots = np.array(floats("knots", self.knots))
        values = np.array(floats("values", self.values))
        if knots.ndim != 1 or knots.shape != values.shape or knots.size < 2:
            raise ValueError("knots, values: expected two equally long arrays of 2 or more numbers")
        if not (np.all(np.isfinite(knots)) and np.all(np.isfinite(values))):
            raise ValueError("knots, values: expected finite numbers")
        if knots[0] != 0.0 or values[0] != 0.0 or np.any(np.diff(knots) <= 0.0):
            raise ValueError("knots: expected to increase strictly from (0, 0)")
        slopes = np.diff(values) / np.diff(knots)
        # The values are rounded, which tilts a short segment more than a long one.
        slack = 8.0 * np.finfo(float).eps * np.max(np.abs(values)) / np.diff(knots)
        if np.any(slopes < -slack) or np.any(np.diff(slopes) > slack[:-1] + slack[1:]):
            raise ValueError("values: expected a nondecreasing concave curve")
        slopes = np.append(np.minimum.accumulate(np.maximum(slopes, 0.0)), 0.0)
        for name, array in (("knots", knots), ("values", values), ("slopes", slopes)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    slopes: Array = dataclasses.field(init=False, repr=False)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Empirical)
            and np.array_equal(self.knots, other.knots)
            and np.array_equal(self.values, other.values)
        )

    def __hash__(self) -> int:
        return hash((self.knots.tobytes(), self.values.tobytes()))

    def value(self, omega: Any) -> Any:
        """Return ``P(Omega)``, Eq. (4)."""
        return piecewise_value(omega, self.knots, self.values)

    def derivative(self, omega: Any) -> Any:
        """Return ``P'(Omega)``, to the right at a knot."""
        return piecewise_derivative(omega, self.knots, self.slopes)

    def inverse_derivative(self, slope: float) -> float:
        """Return the largest ``Omega`` with ``P'(Omega) >= slope``: a knot."""
        return piecewise_inverse(slope, self.knots, self.slopes)

    def formula(self, omega: float) -> str:
        """Return how ``P(omega)`` is calculated, with the numbers put in."""
        k = int(np.searchsorted(self.knots, omega, side="right")) - 1
        start = shortest(self.values[k])
        if k == self.knots.size - 1:
            return f"{start}, the value at the last point"
        ramp = f"{shortest(self.slopes[k])} * ({shortest(omega)} - {shortest(self.knots[k])})"
        return f"{start} + {ramp}"


def fit_empirical(
    data: Sequence[float] | Array,
    accuracy: Sequence[float] | Array,
    untrained_accuracy: float = 0.0,
) -> Empirical:
    r"""Fit a nondecreasing concave ``P`` to measured accuracies by least squares.

    The fit minimizes ``sum_k (a_0 + P(Omega_k) - accuracy_k)^2`` over all nondecreasing,
    concave, piecewise linear ``P`` with ``P(0) = 0`` and knots at the data points. Each such
    curve is a nonnegative combination of the ramps ``min(Omega, Omega_k)``, so the fit is a
    nonnegative least-squares problem: convex, with a unique optimal curve at the points.

    Parameters
    ----------
    data
        Shape ``(K,)``: amounts of data, in units of ``Omega``, >= 0, at least one > 0.
    accuracy
        Shape ``(K,)``: the accuracy measured with each amount. Repeated amounts (several
        seeds) all count.
    untrained_accuracy
        ``a_0``, the accuracy without training, which ``P`` is counted from.

    Raises
    ------
    ValueError
        The arrays differ in shape, or hold negative, infinite or no positive amounts.
    """
    from scipy.optimize import nnls

    x, y = floats("data", data), floats("accuracy", accuracy)
    untrained_accuracy = real("untrained_accuracy", untrained_accuracy)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError("data, accuracy: expected two equally long lists of numbers")
    if not (np.all(np.isfinite(x)) and np.all(np.isfinite(y))):
        raise ValueError("data, accuracy: expected finite numbers")
    if not 0.0 <= untrained_accuracy < np.inf:
        what = f"expected a finite number >= 0, got {untrained_accuracy}"
        raise ValueError(f"untrained_accuracy: {what}")
    if np.any(x < 0.0) or not np.any(x > 0.0):
        raise ValueError("data: expected amounts >= 0 and at least one > 0")
    knots = np.unique(x[x > 0.0])
    ramps = np.minimum(x[:, None], knots[None, :]) / knots[None, :]
    heights, _ = nnls(ramps, y - untrained_accuracy)
    # Ramp j rises by heights_j / knots_j per unit up to its knot, so slopes are sums of what
    # has not ended yet: nonincreasing by construction, to the last bit.
    with np.errstate(over="ignore", invalid="ignore"):
        slopes = np.cumsum((heights / knots)[::-1])[::-1]
        values = np.cumsum(slopes * np.diff(knots, prepend=0.0))
    if not np.all(np.isfinite(values)):
        raise ValueError("data: amounts too small for finite slopes")
    return Empirical(np.append(0.0, knots), np.append(0.0, values))


def _below_onset(onset: float) -> str:
    return f"0, because no more than {onset:.12g} units of data leave the model untrained"


def _require_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not (np.isfinite(real(name, number)) and number > 0.0):
            raise ValueError(f"{name}: expected a number > 0, got {number!r}")
