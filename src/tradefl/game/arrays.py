"""Arrays of others: numbers, and what is missing among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def floats(given: Any) -> npt.NDArray[np.float64]:
    """Return an array of numbers in which a masked entry is NaN.

    NumPy's own conversion drops the mask, and what lay under it would count.
    """
    if isinstance(given, np.ma.MaskedArray):
        return np.where(np.ma.getmaskarray(given), np.nan, given.data.astype(float))
    return np.asarray(given, dtype=float)
