"""The Shapley value by sampling, where there are too many coalitions to enumerate."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tradefl.stability.tables import shapley
from tradefl.stability.values import Values, all_coalitions

Array = npt.NDArray[np.float64]

# Up to so many organizations the Shapley value is exact.
EXACT_UP_TO = 12


def shapley_value(
    values: Values, *, pairs: int | None = None, seed: int = 0
) -> tuple[Array, Array]:
    """Return the Shapley value and the half-width of its 95 % confidence interval, ``(N,)`` each.

    Exact with half-width 0 up to :data:`EXACT_UP_TO` organizations. Beyond, the mean marginal over
    random orders, each taken forwards and backwards; every order sums to ``v(N)``, and so does the
    mean.

    Parameters
    ----------
    values
        The coalitions' values.
    pairs
        How many pairs of orders to draw; default: more for small games.
    seed
        Seed of the orders.
    """
    n = values.size
    if n <= EXACT_UP_TO:
        return shapley(values.of(all_coalitions(n))[0]), np.zeros(n)
    if pairs is None:
        pairs = max(20, 40_000 // n**2)
    if pairs < 2:
        raise ValueError(f"pairs: expected at least 2, got {pairs!r}")
    # Slow to import, and only needed beyond that many organizations.
    from scipy.special import stdtrit

    rng = np.random.default_rng(seed)
    means = np.empty((pairs, n))
    for k in range(pairs):
        order = rng.permutation(n)
        means[k] = 0.5 * (_marginals(values, order) + _marginals(values, order[::-1]))
    # Student's t: the standard deviation is that of the same few orders.
    half = stdtrit(pairs - 1, 0.975) * means.std(axis=0, ddof=1) / math.sqrt(pairs)
    return means.mean(axis=0), half


def _marginals(values: Values, order: npt.NDArray[np.intp]) -> Array:
    """Return what each adds when all arrive in that order."""
    n = order.size
    members = np.zeros((n, n), dtype=bool)
    for k in range(n):
        members[k:, order[k]] = True
    worth, _ = values.of(members)
    marginal = np.empty(n)
    marginal[order] = np.diff(worth, prepend=0.0)
    return marginal
