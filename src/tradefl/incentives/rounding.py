r"""How far a truthful design may be off: a single tolerance for design, search, file and audit.

The planner proves W* to a share of 1e-9 of what is earned, and every figure of the mechanism
(utilities, surplus, rebates, payments) is a sum of such optima. So a surplus that falls short by
less than that share cannot be told from 0, nor can a fall of P along a menu. What is earned is
taken from the proof itself: the welfare, or where costs eat most of it, the largest revenue
``s_m a(s_m)`` along a menu of profitabilities. So a reader of the file alone judges
by the same tolerance as its author.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tradefl.solvers.planner import TOLERANCE as PROVEN

Numbers = Sequence[float] | npt.NDArray[np.float64]


def rounding(axes: Iterable[tuple[str | None, Numbers, Numbers, Numbers]]) -> float:
    """Return the tolerance of a proof in units of payoff.

    Parameters
    ----------
    axes
        Of each organization that is asked: which figure, its menu, P at the optimum of each report,
        and the welfare there.
    """
    earned = 0.0
    for figure, menu, performance, welfare in axes:
        earned = max(earned, float(np.abs(welfare).max()))
        if figure == "profitability":
            earned = max(earned, float(np.max(np.asarray(menu) * np.asarray(performance))))
    return PROVEN * earned


def falls(performance: Numbers) -> npt.NDArray[np.intp]:
    """Return after which points of a menu P falls by more than rounding."""
    slope = np.asarray(performance, dtype=float)
    return np.flatnonzero(np.diff(slope) < -PROVEN * np.abs(slope[:-1]))


__all__ = ["PROVEN", "falls", "rounding"]
