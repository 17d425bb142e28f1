"""The median of each column of a matrix with few rows and many columns.

A sorting network compares whole rows with each other: a fixed sequence of minima and maxima, which
run at the speed of memory, where sorting column after column costs a call for each. Implements
merge exchange (Batcher; Knuth, The Art of Computer Programming 3, 5.2.2, Algorithm M), less the
comparisons that the middle does not depend on.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

# Rows are compared in about n log^2 n / 4 steps, each with a fixed price that columns must earn.
COLUMNS_PER_ROW = 64


class Comparison(NamedTuple):
    """Two rows, and which of the two results are needed later."""

    low: int
    high: int
    minimum: bool
    maximum: bool


def median_of_columns(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the median of each column, in double precision.

    Parameters
    ----------
    rows
        Finite numbers, shape (n, columns), n >= 1.
    """
    n, half = len(rows), len(rows) // 2
    work = list(rows)
    if rows.shape[1] >= COLUMNS_PER_ROW * n:
        for low, high, minimum, maximum in _network(n):
            one, other = work[low], work[high]
            if minimum:
                work[low] = np.minimum(one, other)
            if maximum:
                work[high] = np.maximum(one, other)
    else:
        work = list(np.sort(rows, axis=0))
    upper: npt.NDArray[np.float64] = work[half].astype(np.float64)
    if n % 2:
        return upper
    # Halves: the sum alone may overflow.
    lower: npt.NDArray[np.float64] = work[half - 1].astype(np.float64)
    middle: npt.NDArray[np.float64] = 0.5 * lower + 0.5 * upper
    return middle


@functools.lru_cache(maxsize=64)
def _network(n: int) -> tuple[Comparison, ...]:
    """Return what brings the middle of n rows, or the two next to it, into place."""
    needed = {n // 2} if n % 2 else {n // 2 - 1, n // 2}
    kept = []
    for low, high in reversed(list(_merge_exchange(n))):
        if low in needed or high in needed:
            kept.append(Comparison(low, high, low in needed, high in needed))
            needed |= {low, high}
    return tuple(reversed(kept))


def _merge_exchange(n: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs that sort n rows, each the smaller of the two first."""
    step = 1
    while step < n:
        gap = step
        while gap:
            for first in range(gap % step, n - gap, 2 * gap):
                for low in range(first, min(first + gap, n - gap)):
                    if low // (2 * step) == (low + gap) // (2 * step):
                        yield low, low + gap
            gap //= 2
        step *= 2
