r"""P as the planner sees it: on an interval, concave, with slopes that can be inverted.

Below its onset P is zero and it is not concave across it (erratum E10).
On an interval ``[low, high]`` the smallest concave function above P is the chord from
``(low, 0)`` to its *contact* point and P itself beyond. Where ``low`` is at or above the onset, it
is P. All functions here work on one interval for each entry of an array.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.accuracy import InvertibleAccuracyModel
from tradefl.game.inversion import BISECTIONS, inverse_derivative

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


class Envelope(NamedTuple):
    """The concave envelopes of P on intervals; all of shape ``(R,)``.

    Attributes
    ----------
    low, high
        The intervals.
    contact, chord
        The envelope is the straight line through ``(low, 0)`` of slope ``chord`` up to
        ``contact``, and P from there on: ``-inf`` and ``inf`` where it is P throughout. Beyond the
        interval both go on, so that trials may pass it.
    straight
        Whether any of them is not P throughout.
    """

    low: Array
    high: Array
    contact: Array
    chord: Array
    straight: bool

    def some(self, rows: slice | Indices) -> Envelope:
        """Return some of them."""
        low, high, contact, chord, straight = self
        return Envelope(low[rows], high[rows], contact[rows], chord[rows], straight)

    @classmethod
    def of(cls, accuracy: InvertibleAccuracyModel, low: Array, high: Array) -> Envelope:
        """Return the envelopes on ``[low, high]``."""
        contact, chord = np.full(low.shape, -np.inf), np.full(low.shape, np.inf)
        flat = np.flatnonzero(low < accuracy.onset)
        if flat.size:
            contact[flat], chord[flat] = _contact(accuracy, low[flat], high[flat])
        return cls(low, high, contact, chord, bool(flat.size))

    def value(self, accuracy: InvertibleAccuracyModel, y: Array) -> Array:
        """Return the envelopes' values, ``y`` in the intervals."""
        value = np.asarray(accuracy.value(y), dtype=float)
        if self.straight:
            line = self.chord * (y - self.low)
            value = np.where(y < self.contact, line, value)
        return value

    def slope(self, accuracy: InvertibleAccuracyModel, y: Array) -> Array:
        """Return the envelopes' slopes; ``y`` is ``(R,)`` or ``(R, k)``."""
        slope = np.asarray(accuracy.derivative(y), dtype=float)
        if self.straight:
            column = (slice(None),) + (None,) * (y.ndim - 1)
            slope = np.where(y < self.contact[column], self.chord[column], slope)
        return slope

    def where_slope(self, accuracy: InvertibleAccuracyModel, slope: Array) -> Array:
        """Return the largest y in each interval at which the envelope is as steep as that."""
        y = inverse_derivative(accuracy, slope, self.low, self.high)
        if self.straight:
            beyond = np.minimum(np.maximum(y, self.contact), self.high)
            y = np.where(slope > self.chord, self.low, beyond)
        return y


def _contact(accuracy: InvertibleAccuracyModel, low: Array, high: Array) -> tuple[Array, Array]:
    """Return where the tangent of P passes through ``(low, 0)``, and its slope; low < onset."""
    onset = float(accuracy.onset)
    if not np.any(high > onset):
        return np.full(low.shape, np.inf), np.zeros(low.shape)
    begin, end = np.full(low.shape, onset), np.maximum(high, onset)
    for _ in range(BISECTIONS):
        middle = 0.5 * (begin + end)
        rises = np.asarray(accuracy.derivative(middle)) * (middle - low)
        steep = rises >= np.asarray(accuracy.value(middle))  # the tangent meets zero after low
        begin, end = np.where(steep, middle, begin), np.where(steep, end, middle)
    chord = np.where(high > onset, np.asarray(accuracy.value(end)) / (end - low), 0.0)
    # Where P is still steeper than the chord at the upper end, the chord goes on beyond it.
    return np.where((high > onset) & (end < high), end, np.inf), chord
