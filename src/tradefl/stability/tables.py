r"""Solution concepts of a game that is given as a table of all coalitions' values.

A table has ``2^N - 1`` entries: that of the coalition whose members are the bits of m is at m - 1,
so the last one is ``v(N)``. These functions know nothing of federated learning.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tradefl.stability.core import EXACT, program
from tradefl.stability.values import all_coalitions

Array = npt.NDArray[np.float64]

# All values are computed up to so many organizations; more take too long, and too much memory.
MOST_ENUMERATED = 16
# The nucleolus solves a sequence of programs over all coalitions.
MOST_NUCLEOLUS = 12
TIGHT = 1e-9


def size_of(table: Array) -> int:
    """Return N; ``ValueError`` if the table has no such size."""
    n = int(table.size + 1).bit_length() - 1
    if table.ndim != 1 or table.size != (1 << n) - 1 or n < 1:
        raise ValueError(f"table: expected 2^N - 1 values, got an array of shape {table.shape}")
    return n


def shapley(table: Array) -> Array:
    """Return the Shapley value, shape ``(N,)``: each one's mean marginal over all orders."""
    n = size_of(table)
    worth = np.append(0.0, table)
    numbers = np.arange(1 << n)
    size = np.array([int(m).bit_count() for m in range(1 << n)])
    weight = np.array(
        [math.factorial(s) * math.factorial(n - s - 1) / math.factorial(n) for s in range(n)]
    )
    value = np.empty(n)
    for i in range(n):
        outside = numbers[(numbers >> i) & 1 == 0]
        added = worth[outside | (1 << i)] - worth[outside]
        value[i] = math.fsum(weight[size[outside]] * added)
    return value


def least_core_of(table: Array, near: Array | None = None) -> tuple[Array, float]:
    """Return a point of the least core and its margin ``eps*``, from all coalitions.

    Parameters
    ----------
    table
        The values of all coalitions.
    near
        Of all points, the nearest to this one; default ``M - ebar``, each one's marginal less an
        equal share of what they exceed ``v(N)`` by.
    """
    n = size_of(table)
    total = float(table[-1])
    if near is None:
        marginal = total - np.append(table, 0.0)[[(1 << n) - 2 - (1 << i) for i in range(n)]]
        near = marginal - (marginal.sum() - total) / n
    members, worth = all_coalitions(n)[:-1], table[:-1]
    count = members.sum(axis=1)
    active = np.flatnonzero((count == 1) | (count == n - 1))
    scale = float(np.abs(table).max()) or 1.0
    while True:
        pay, margin = program(members[active], worth[active], total, near)
        short = worth + margin - members @ pay
        worst = np.argsort(-short)[:50]
        new = np.setdiff1d(worst[short[worst] > 1e-10 * scale], active)
        if not new.size:
            return pay, margin
        active = np.union1d(active, new)


def nucleolus(table: Array) -> Array:
    """Return the nucleolus, shape ``(N,)``: the largest excess least, then the next, and so on.

    A sequence of linear programs; after each, the coalitions whose excess is the same in all of
    its solutions, which a positive dual price tells, keep it.

    Raises
    ------
    ValueError
        There are more than :data:`MOST_NUCLEOLUS` organizations.
    """
    from scipy.optimize import linprog

    n = size_of(table)
    if n > MOST_NUCLEOLUS:
        raise ValueError(f"organizations: expected at most {MOST_NUCLEOLUS}, got {n}")
    scale = float(np.abs(table).max()) or 1.0
    members, worth = all_coalitions(n).astype(float), table / scale
    fixed = np.zeros(len(members), dtype=bool)
    fixed[-1] = True
    equal = worth.copy()  # x(S) of what is fixed
    pay = np.zeros(n)
    for _ in range(len(members)):
        rows = members[fixed]
        if np.linalg.matrix_rank(rows, tol=1e-9) == n:
            break
        free = np.flatnonzero(~fixed)
        solved = linprog(
            np.append(np.zeros(n), -1.0),
            A_ub=np.column_stack([-members[free], np.ones(free.size)]),
            b_ub=-worth[free],
            A_eq=np.column_stack([rows, np.zeros(len(rows))]),
            b_eq=equal[fixed],
            bounds=[(None, None)] * (n + 1),
            method="highs",
            options=EXACT,
        )
        if solved.x is None:
            raise RuntimeError(f"a linear program of the nucleolus failed: {solved.message}")
        pay, margin = solved.x[:n], float(solved.x[n])
        bound = -np.asarray(solved.ineqlin.marginals) > TIGHT
        now = free[bound]
        fixed[now] = True
        equal[now] = worth[now] + margin
        # What follows from the fixed ones is fixed as well.
        basis = members[fixed]
        _, kept, right = np.linalg.svd(basis, full_matrices=False)
        right = right[kept > 1e-9]
        left = np.flatnonzero(~fixed)
        rest = members[left] - members[left] @ right.T @ right
        implied = left[np.abs(rest).max(axis=1, initial=0.0) < 1e-9]
        fixed[implied] = True
        equal[implied] = members[implied] @ pay
    pay = np.linalg.lstsq(members[fixed], equal[fixed], rcond=None)[0]
    return np.asarray(pay * scale)
