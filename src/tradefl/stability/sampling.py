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
    r"""Return the Shapley value and the half-width of its 95 % confidence interval, ``(N,)`` each.

    Exact with half-width 0 up to :data:`EXACT_UP_TO` organizations. Beyond, the mean marginal over
    random orders, each taken forwards and backwards; every order sums to ``v(N)``, and so does the
    mean. The interval is the empirical Bernstein bound of Maurer and Pontil, "Empirical Bernstein
    Bounds and Sample Variance Penalization", COLT 2009, theorem 4, on both sides, for n pairs whose
    means have the sample variance s^2:

        half = s sqrt(2 log(4 / 0.05) / n) + 7 R_i log(4 / 0.05) / (3 (n - 1))

    R_i is the range of i's marginals: of those drawn, of ``v({i})`` (i comes first) and of ``M_i``
    (i comes last). Marginals in between may lie outside it, so the coverage is measured, not
    proven. Student's t, which looks at s alone, misses what few orders do not show: an
    organization that seldom comes first or before a large rival.

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
    rng = np.random.default_rng(seed)
    means = np.empty((pairs, n))
    ends = np.stack([values.singles, values.marginal])
    least, most = ends.min(axis=0), ends.max(axis=0)
    for k in range(pairs):
        order = rng.permutation(n)
        both = np.stack([_marginals(values, order), _marginals(values, order[::-1])])
        means[k] = both.mean(axis=0)
        least, most = np.minimum(least, both.min(axis=0)), np.maximum(most, both.max(axis=0))
    rare = math.log(4.0 / 0.05)
    half = means.std(axis=0, ddof=1) * math.sqrt(2.0 * rare / pairs)
    half += 7.0 * (most - least) * rare / (3.0 * (pairs - 1))
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
