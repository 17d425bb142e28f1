"""The terms of Eq. (11) for many profiles of one game at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.payoff import overhead
from tradefl.game.welfare import payoffs_without_redistribution

if TYPE_CHECKING:
    from tradefl.game.coopetition import CoopetitionGame

Array = npt.NDArray[np.float64]


class Profiles(NamedTuple):
    """Strategy profiles of one game, shape ``(..., N)`` each."""

    data_fraction: Array
    cpu_hz: Array


class _OfMany:
    """A game whose ``Omega`` has an axis of profiles; everything else is the game's."""

    def __init__(self, game: CoopetitionGame) -> None:
        self._game = game

    def __getattr__(self, name: str) -> Any:
        return getattr(self._game, name)

    def omega(self, profile: Profiles) -> Array:
        """Return ``Omega`` of each profile, shape ``(..., 1)``."""
        units = profile.data_fraction * self._game.data_units
        return np.asarray(units.sum(axis=-1, keepdims=True))


def bare_payoffs(game: CoopetitionGame, d: Array, f: Array) -> Array:
    """Return ``payoff0_i``, the payoffs without redistribution, for many profiles.

    Parameters
    ----------
    game
        The game; its mechanism does not matter.
    d, f
        Shape ``(..., N)``: data fractions and frequencies (Hz). So is the result, payoff units.
    """
    many: Any = _OfMany(game)
    profiles: Any = Profiles(d, f)
    return np.asarray(payoffs_without_redistribution(many, profiles))


def overheads(game: CoopetitionGame, d: Array, f: Array) -> Array:
    """Return ``overhead_i`` for many profiles, shape ``(..., N)``, payoff units."""
    profiles: Any = Profiles(d, f)
    return overhead(game, profiles)
