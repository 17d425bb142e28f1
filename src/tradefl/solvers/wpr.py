"""WPR: best-response dynamics without payoff redistribution, a baseline of Section VI.

Redistribution is absent from the decision and from the payoff, so this is DBR on the game
with ``gamma = 0``, and the solution is one of that game: its payoffs, potential and regret
know no redistribution.
"""

from __future__ import annotations

import functools
from typing import Any

from tradefl.game.coopetition import CoopetitionGame
from tradefl.solvers import dbr
from tradefl.solvers.solution import Solution


@functools.wraps(dbr.solve, assigned=(), updated=())  # the same options
def solve(game: CoopetitionGame, **options: Any) -> Solution:
    """Return the equilibrium without redistribution; options as for :func:`dbr.solve`."""
    return dbr.solve(game.with_incentive_intensity(0.0), method="wpr", **options)
