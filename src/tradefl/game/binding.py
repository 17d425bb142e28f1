"""What keeps each organization from contributing more, or less."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tradefl.game.coopetition import FEASIBILITY_TOLERANCE, CoopetitionGame
from tradefl.game.strategy import StrategyProfile

Binding = Literal["all data", "minimum", "deadline", "interior"]


def binds(game: CoopetitionGame, profile: StrategyProfile) -> tuple[Binding, ...]:
    """Return, for each organization, which limit of Eq. (13) its contribution is at.

    ``all data`` where ``d = 1``; otherwise ``minimum`` where ``d = D_min``; otherwise ``deadline``
    where d is all that the chosen level trains in time; otherwise ``interior``: there what one
    more unit of data earns the organization equals what it costs.

    Parameters
    ----------
    game
        The game.
    profile
        What everybody contributes. Limits are compared to the relative precision to which
        feasibility is decided, 1e-9.
    """
    d, slack = profile.data_fraction, FEASIBILITY_TOLERANCE
    choices: list[Binding] = ["all data", "minimum", "deadline"]
    limits = (np.ones_like(d), game.min_data_fraction, game.max_data_fraction(profile.cpu_hz))
    at = [np.abs(d - limit) <= slack * np.abs(limit) for limit in limits]
    found = np.select(at, [0, 1, 2], default=3)
    names: tuple[Binding, ...] = (*choices, "interior")
    return tuple(names[k] for k in found.tolist())
