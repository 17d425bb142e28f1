r"""Sums of P with signs, as a concave and a convex function of one organization's data.

Many transfers are ``sum_T a_T P(Omega_T + u_i d)``, coefficients of both signs. ``P`` is concave
from its onset on. Below it ``P`` is zero (erratum E10), which is its straight continuation plus a
hinge::

    P = P~ + hinge,  P~ = P'(onset) (omega - onset) below,  hinge = P'(onset) max(0, onset - omega)

``P~`` is concave and the hinge convex, everywhere. So a positive coefficient puts ``P~`` on the
concave side and the hinge on the convex one, and a negative coefficient the other way round.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tradefl.game.accuracy import InvertibleAccuracyModel
from tradefl.game.mechanism import Parts

Array = npt.NDArray[np.float64]


def hinge(accuracy: InvertibleAccuracyModel, omega: Array) -> Array:
    """Return ``P'(onset) max(0, onset - omega)``, the shape of ``omega``: 0 from the onset on."""
    onset = float(accuracy.onset)
    below = np.maximum(onset - omega, 0.0)
    if not np.isfinite(onset) or not below.any():
        return np.zeros_like(omega)  # P is zero everywhere, or concave on all of this
    return np.asarray(float(accuracy.derivative(onset)) * below)


def signed_sum(accuracy: InvertibleAccuracyModel, weights: Array, omega: Array) -> Parts:
    """Return ``sum_T weights_T P(omega_T)`` in two parts.

    Parameters
    ----------
    accuracy
        ``P``.
    weights
        Shape ``(K, T)`` or ``(T,)``: coefficients of any sign.
    omega
        Shape ``(K, T)``: amounts of data, each rising straight with ``d``.

    Returns
    -------
    The concave and the convex part, shape ``(K,)`` each; their sum is the value.
    """
    value = np.asarray(accuracy.value(omega), dtype=float)
    corner = hinge(accuracy, omega)
    up, down = np.maximum(weights, 0.0), np.minimum(weights, 0.0)
    concave = (up * (value - corner) + down * corner).sum(axis=-1)
    return Parts(concave, (up * corner + down * (value - corner)).sum(axis=-1))
