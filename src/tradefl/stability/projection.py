r"""The point of the least core that is nearest to a starting split, by Euclidean distance.

The least core of many consortia is more than a point, and a linear program then returns whichever
corner it meets first, which depends on the order of the organizations. The least core is convex,
so its nearest point to a given split exists once only:

    min |x - c|^2    subject to    x(N) = total,  x(S) >= b_S  for every coalition S given.

Moving ``c`` to the right total and leaving out of each row its part along ``(1, ..., 1)`` turns it
into ``min |z|^2`` with ``G z >= h``. The dual method of [GoldfarbIdnani]_ solves that: it begins at
``z = 0``, takes in the row that is missed most, and lets go of rows whose multiplier would turn
negative. Unlike nonnegative least squares it is at ease where rows bind in pairs, ``x(S)`` from
below and from above, as they do in every least core.

.. [GoldfarbIdnani] D. Goldfarb and A. Idnani, "A numerically stable dual method for solving
   strictly convex quadratic programs", *Mathematical Programming* 27 (1983), 1-33.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Rows may be missed by so much, as a share of the most that is missed at c.
ALLOWED = 1e-10
# A row whose part across the active ones is shorter than this depends on them.
DEPENDENT = 1e-9


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
    start = near + (total - near.sum()) / near.size
    across = rows - rows.mean(axis=1, keepdims=True)
    missing = bounds - rows @ start
    unit = float(missing.max(initial=0.0))
    if unit <= 0.0:
        return np.asarray(start)
    step = _least_norm(across, missing / unit)
    return None if step is None else np.asarray(start + unit * (step - step.mean()))


def _least_norm(rows: Array, bounds: Array) -> Array | None:
    """Return the shortest ``z`` with ``rows @ z >= bounds``."""
    z = np.zeros(rows.shape[1])
    active: list[int] = []
    held = np.empty(0)  # the multipliers of the active rows, >= 0
    for _ in range(20 * sum(rows.shape)):
        slack = rows @ z - bounds
        p = int(np.argmin(slack))
        if slack[p] >= -ALLOWED:
            return z
        own = 0.0  # p's multiplier
        while True:
            normal = rows[p]
            change = np.linalg.lstsq(rows[active].T, normal, rcond=None)[0]
            along = normal - rows[active].T @ change if active else normal
            reach = float(along @ along)
            full = math.inf
            if reach > DEPENDENT**2 * float(normal @ normal):
                full = float(bounds[p] - normal @ z) / reach
            falling = np.flatnonzero(change > 1e-12)
            ratios = held[falling] / change[falling]
            short = float(ratios.min()) if falling.size else math.inf
            length = min(full, short)
            if math.isinf(length):
                return None  # the rows contradict each other
            held = held - length * change
            own += length
            if not math.isinf(full):
                z = z + length * along
            if length == full:
                active.append(p)
                held = np.append(np.maximum(held, 0.0), own)
                break
            k = int(falling[np.argmin(ratios)])
            del active[k]
            held = np.maximum(np.delete(held, k), 0.0)
    return None
