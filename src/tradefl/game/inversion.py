"""The inverse of P', for whole arrays of slopes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tradefl.game.accuracy import Empirical, InvertibleAccuracyModel, PowerLaw, SqrtLoss

Array = npt.NDArray[np.float64]

# Bisections of an interval, for functions without an inverse of their derivative.
BISECTIONS = 60


def inverse_derivative(
    accuracy: InvertibleAccuracyModel, slope: Array, low: Array, high: Array
) -> Array:
    """Return the largest ``Omega`` in ``[low, high]`` at which ``P' >= slope``, elementwise.

    ``low`` where even there P' is below the slope, ``high`` where it never falls below. The
    formulas are those of :mod:`tradefl.game.accuracy`, for arrays; floating-point warnings are the
    caller's.
    """
    found: Array
    if isinstance(accuracy, SqrtLoss):
        root = np.cbrt(2.0 * np.sqrt(accuracy.epochs) * slope)
        found = 1.0 / (root * root)
    elif isinstance(accuracy, PowerLaw):
        found = (slope / (accuracy.scale * accuracy.exponent)) ** (-1.0 / (accuracy.exponent + 1.0))
    elif isinstance(accuracy, Empirical):
        at = np.searchsorted(-accuracy.slopes, -slope, side="right")
        found = accuracy.knots[np.minimum(at, accuracy.knots.size - 1)]
    else:
        found = _inverted(accuracy, slope, low, high)
    found = np.where(slope > 0.0, found, np.inf)
    return np.asarray(np.minimum(np.maximum(found, low), high))


def _inverted(accuracy: InvertibleAccuracyModel, slope: Array, low: Array, high: Array) -> Array:
    model = getattr(accuracy, "model", accuracy)
    if hasattr(model, "inverse_derivative"):
        inverse = np.vectorize(accuracy.inverse_derivative, otypes=[float])
        return np.asarray(inverse(slope))
    below, above = np.maximum(low, accuracy.onset), np.maximum(high, accuracy.onset)
    for _ in range(BISECTIONS):
        middle = 0.5 * (below + above)
        steep = np.asarray(accuracy.derivative(middle)) >= slope
        below, above = np.where(steep, middle, below), np.where(steep, above, middle)
    # Where P' >= slope throughout, or nowhere.
    return np.where(np.asarray(accuracy.derivative(high)) >= slope, high, below)
