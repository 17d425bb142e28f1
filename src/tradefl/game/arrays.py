"""Arrays of others: numbers, and what is missing among them."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import numpy.typing as npt


def floats(name: str, given: Any) -> npt.NDArray[np.float64]:
    """Return the array of a parameter, in which a masked entry is NaN.

    NumPy's own conversion drops the mask, and what lay under it would count.

    Raises
    ------
    TypeError
        It holds something else than numbers; the message names the parameter.
    """
    try:
        if isinstance(given, np.ma.MaskedArray):
            return np.where(np.ma.getmaskarray(given), np.nan, given.data.astype(float))
        array = np.asarray(given)
        if given is not None and array.dtype.kind not in "SU":
            return array.astype(float, copy=False)
    except (TypeError, ValueError):  # an object, or rows of different lengths
        pass
    raise TypeError(f"{name}: expected an array of numbers, got {_said(given)}")


def real(name: str, given: Any) -> float:
    """Return the number of a parameter.

    Raises
    ------
    TypeError
        It is not a number; the message names the parameter.
    """
    if not isinstance(given, bool) and isinstance(given, numbers.Real):
        return float(given)
    if isinstance(given, np.ndarray) and given.ndim == 0 and given.dtype.kind in "iuf":
        return float(given)
    raise TypeError(f"{name}: expected a number, got {_said(given)}")


def _said(given: Any) -> str:
    if given is None or isinstance(given, (str, float, int)):
        return repr(given)[:60]
    return type(given).__name__
