"""Sweeps: one function, many units, computed here, on processes, or on a Ray cluster.

``sweeping`` has the verb; ``pool`` hands out batches to ``children``, which run ``worker`` or, for
Ray, ``bridge``; ``identity`` and ``code`` make sure that all compute with the same code; ``parts``
keeps what is done.
"""

from tradefl.sweep.sweeping import Failure, Notify, Progress, SweepError, Watch, sweep

__all__ = ["Failure", "Notify", "Progress", "SweepError", "Watch", "sweep"]
