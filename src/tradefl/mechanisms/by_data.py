"""Sharing in proportion to the data contributed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tradefl.game import CoopetitionGame
from tradefl.mechanisms.sharing import Sharing, proportional

Array = npt.NDArray[np.float64]
TITLE = "in proportion to data, at what is contributed"


class ByData(Sharing):
    r"""``payoff_i = W(pi) u_i d_i / Omega``: costs are shared as well as revenue.

    Source: the common practice of federated learning markets; for example R. Zeng et al., "A
    Comprehensive Survey of Incentive Mechanism for Federated Learning", 2021. Deviation: what is
    shared is welfare, damages and costs included, so that the split ``by-data`` is this one at the
    social optimum. The share is a ratio, so regret is searched, not proven.
    """

    name = "by-data-profile"
    equation = "W u_i d_i / Omega - payoff0_i"
    title = TITLE

    def wanted(self, game: CoopetitionGame, d: Array, f: Array, bare: Array) -> Array:
        """Return ``W u_i d_i / Omega``, shape ``(..., N)``."""
        del f
        return proportional(bare.sum(axis=-1, keepdims=True), np.asarray(d * game.data_units))


def make(game: CoopetitionGame) -> ByData:
    """Return the mechanism; it holds no figures of the game."""
    del game
    return ByData()
