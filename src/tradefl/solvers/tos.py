"""TOS: everybody contributes everything, a baseline of Section VI.

``d_i = 1``, ``f_i = F_i^(m)``, the deadline and the damage ignored. An upper line for the
accuracy of the model, not for welfare. Where the deadline cannot be met the status says
``infeasible``.
"""

from __future__ import annotations

import time

import numpy as np

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.strategy import StrategyProfile
from tradefl.solvers.levels import fastest_levels, frequencies
from tradefl.solvers.solution import Solution


def solve(game: CoopetitionGame) -> Solution:
    """Return the profile in which everybody contributes everything."""
    began = time.perf_counter()
    f = frequencies(game, fastest_levels(game))
    profile = StrategyProfile(np.ones(game.size), f)
    late = int(np.sum(game.max_data_fraction(f) < 1.0))
    remarks = (f"{late} of {game.size} organizations break the deadline",) if late else ()
    return Solution.certified(
        game,
        profile,
        finished=True,
        method="tos",
        iterations=0,
        runtime_seconds=time.perf_counter() - began,
        remarks=remarks,
    )
