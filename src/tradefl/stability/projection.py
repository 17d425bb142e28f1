r"""The point of the least core that is nearest to a starting split, by Euclidean distance.

The least core of many consortia is more than a point, and a linear program then returns whichever
corner it meets first, which depends on the order of the organizations. The least core is convex,
so its nearest point to a given split exists once only:

    min |x - c|^2    subject to    x(N) = total,  x(S) >= b_S  for every coalition S given.

Moving ``c`` to the right total and leaving out of each row its part along ``(1, ..., 1)`` turns it
into a problem of least distance, ``min |z|`` with ``G z >= h``. [LawsonHanson]_ solve that one by
nonnegative least squares. The coalitions that bind then determine ``z`` to the last digits.

.. [LawsonHanson] C. L. Lawson and R. J. Hanson, *Solving Least Squares Problems* (1974),
   chapter 23, problem LDP.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# A solution is kept if it misses no row by more, as a share of the largest one missed at c.
ALLOWED = 1e-8


def nearest_point(rows: Array, bounds: Array, total: float, near: Array) -> Array | None:
    """Return the nearest ``x`` with ``sum x = total`` and ``rows @ x >= bounds``.

    Parameters
    ----------
    rows, bounds
        Shapes ``(K, N)`` and ``(K,)``; no row is a multiple of ``(1, ..., 1)``.
    total
        The sum of ``x``.
    near
        ``c``, shape ``(N,)``: the split that it is nearest to.

    Returns
    -------
    ``x``, shape ``(N,)``; ``None`` where the rows contradict each other or the digits do not
    suffice.
    """
    n = near.size
    start = near + (total - near.sum()) / n
    across = rows - rows.mean(axis=1, keepdims=True)
    missing = bounds - rows @ start
    unit = float(missing.max(initial=0.0))
    if unit <= 0.0:
        return np.asarray(start)
    weight = _least_distance(across, missing / unit)
    if weight is None:
        return None
    active = weight > 0.0
    # The rows that bind, as equations: this way no digits are lost to the squares.
    step = np.linalg.lstsq(across[active], missing[active] / unit, rcond=None)[0]
    step -= step.mean()
    if float((missing / unit - across @ step).max()) > ALLOWED:
        return None
    return np.asarray(start + unit * step)


def _least_distance(rows: Array, bounds: Array) -> Array | None:
    """Return the multipliers of ``min |z|`` with ``rows @ z >= bounds``, up to a factor."""
    from scipy.optimize import lsq_linear, nnls

    matrix = np.vstack([rows.T, bounds])
    aim = np.zeros(len(matrix))
    aim[-1] = 1.0
    try:
        weight, apart = nnls(matrix, aim, maxiter=10 * sum(matrix.shape))
    except RuntimeError:  # too many iterations: the other method for the same problem
        found = lsq_linear(matrix, aim, bounds=(0.0, np.inf), method="bvls")
        weight, apart = found.x, float(np.sqrt(2.0 * found.cost))
    # Nothing left over: the rows contradict each other.
    return np.asarray(weight) if apart > 1e-12 else None
