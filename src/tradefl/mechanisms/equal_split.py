"""Sharing in equal parts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tradefl.game import CoopetitionGame, Parts, StrategyProfile
from tradefl.mechanisms.sharing import Sharing
from tradefl.mechanisms.weighted import Weights, parts_of

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
TITLE = "in equal parts"


class EqualSplit(Sharing):
    r"""``payoff_i = W(pi) / N``.

    Source: team theory; J. Marschak and R. Radner, "Economic Theory of Teams", 1972. Everybody
    wants what is best for all, so the social optimum is an equilibrium, whatever each brings.
    Deviations: none.
    """

    name = "equal-split"
    equation = "W / N - payoff0_i"
    title = TITLE

    def wanted(self, game: CoopetitionGame, d: Array, f: Array, bare: Array) -> Array:
        """Return ``W / N``, shape ``(..., N)``."""
        del d, f
        return np.repeat(bare.mean(axis=-1, keepdims=True), game.size, axis=-1)

    def welfare_shares(self, game: CoopetitionGame) -> Array:
        """Return ``1 / N``, shape ``(N,)``."""
        return np.full(game.size, 1.0 / game.size)

    def parts(
        self, game: CoopetitionGame, profile: StrategyProfile, i: Indices, d: Array, f: Array
    ) -> Parts:
        """Return ``W / N - payoff0_i`` in two parts, shape ``(K,)`` each."""
        n, z, w = game.size, game.potential_weights, game.competitors_profitability
        weights = Weights(
            all=z.sum() / n - z,
            rest=np.tile(w / n, (n, 1)),
            cost=np.full(n, 1.0 - 1.0 / n),
            gain=np.zeros(n),
        )
        return parts_of(game, profile, i, d, f, weights)


def make(game: CoopetitionGame) -> EqualSplit:
    """Return the mechanism; it holds no figures of the game."""
    del game
    return EqualSplit()
