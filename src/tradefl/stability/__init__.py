"""Would they stay? Coalition values, excesses, the core, and what can be promised to whom.

:func:`stability` is the verdict. :mod:`~tradefl.stability.values` values coalitions,
:mod:`~tradefl.stability.separation` looks for the one with the largest excess and proves that there
is none larger, :mod:`~tradefl.stability.core` has the least core, :mod:`~tradefl.stability.tables`
the solution concepts of games given as tables.
"""

from tradefl.stability.core import LeastCore, least_core
from tradefl.stability.sampling import shapley_value
from tradefl.stability.separation import Separation, separate
from tradefl.stability.splits import SPLITS, Allocation, Split, allocation
from tradefl.stability.tables import nucleolus, shapley
from tradefl.stability.values import OUTSIDE, READINGS, Outside, Reading, Values
from tradefl.stability.verdict import Stability, stability

__all__ = [
    "OUTSIDE",
    "READINGS",
    "SPLITS",
    "Allocation",
    "LeastCore",
    "Outside",
    "Reading",
    "Separation",
    "Split",
    "Stability",
    "Values",
    "allocation",
    "least_core",
    "nucleolus",
    "separate",
    "shapley",
    "shapley_value",
    "stability",
]
