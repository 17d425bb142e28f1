r"""P as the planner sees it: on an interval, concave, with slopes that can be inverted.

Below its onset P is zero and it is not concave across it (erratum E10). On an interval ``[low,
high]`` the smallest concave function above P is the chord from ``(low, 0)`` to its *contact* point
and P itself beyond. Where ``low`` is at or above the onset, it is P: the contact is ``-inf`` and
the chord ``inf`` then. Beyond the interval both go on, so that trials may pass it.

The functions run in plain Python for any P, and compiled for the built-in ones
(:mod:`tradefl.solvers.compiled`), as does all of the planner.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tradefl.solvers.best_response import (
    accuracy_derivative,
    accuracy_inverse,
    accuracy_onset,
    accuracy_value,
)

# Bisections for the contact point.
BISECTIONS = 60


def contact_of(accuracy: Any, low: float, high: float) -> tuple[float, float]:
    """Return where the envelope of P on ``[low, high]`` becomes P, and its slope up to there."""
    onset = accuracy_onset(accuracy)
    if low >= onset:
        return -np.inf, np.inf
    if not high > onset:
        return np.inf, 0.0
    begin, end = onset, high
    for _ in range(BISECTIONS):
        middle = 0.5 * (begin + end)
        rises = accuracy_derivative(accuracy, middle) * (middle - low)
        if rises >= accuracy_value(accuracy, middle):  # the tangent meets zero after low
            begin = middle
        else:
            end = middle
    chord = accuracy_value(accuracy, end) / (end - low)
    # Where P is still steeper than the chord at the upper end, the chord goes on beyond it.
    return (end if end < high else np.inf), chord


def value_of(accuracy: Any, low: float, contact: float, chord: float, y: float) -> float:
    """Return the envelope's value."""
    if y < contact:
        return chord * (y - low)
    return float(accuracy_value(accuracy, y))


def slope_of(accuracy: Any, contact: float, chord: float, y: float) -> float:
    """Return the envelope's slope, to the right."""
    if y < contact:
        return chord
    return float(accuracy_derivative(accuracy, y))


def where_slope(
    accuracy: Any, low: float, high: float, contact: float, chord: float, slope: float
) -> float:
    """Return the largest y in ``[low, high]`` at which the envelope is as steep as that."""
    if contact > -np.inf and slope > chord:
        return low
    y = high
    if slope > 0.0:
        y = accuracy_inverse(accuracy, slope)
    return min(max(y, low, contact), high)
