"""Sweeps: one function, many units, computed here, on processes, or on a Ray cluster.

``sweeping`` has the verb; ``pool`` hands out batches to ``children``, which run ``worker`` or, for
Ray, ``bridge``; ``identity`` and ``code`` make sure that all compute with the same code; ``parts``
keeps what is done.
"""

from tradefl.sweep.sweeping import Failure, Progress, SweepError, sweep
from tradefl.sweep.sweeping import Notify as Notify
from tradefl.sweep.sweeping import Watch as Watch

__all__ = ["Failure", "Progress", "SweepError", "sweep"]
