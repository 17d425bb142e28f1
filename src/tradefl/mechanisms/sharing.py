"""What sharing mechanisms have in common: they say what everybody shall have."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tradefl.game import CoopetitionGame, Mechanism
from tradefl.game.batches import bare_payoffs

Array = npt.NDArray[np.float64]


class Sharing(Mechanism):
    """A mechanism that shares ``W(pi)``: ``t_i(pi) = wanted_i(pi) - payoff0_i(pi)``.

    Its budget balances where the shares sum to ``W(pi)``.
    """

    uses_compute: ClassVar[bool] = False

    @abstractmethod
    def wanted(self, game: CoopetitionGame, d: Array, f: Array, bare: Array) -> Array:
        """Return what each shall have, payoff units, shape ``(..., N)`` as the arguments.

        ``bare`` is what each has without any transfer; it sums to ``W`` along its last axis.
        """

    def transfers(self, game: CoopetitionGame, d: Array, f: Array) -> Array:
        """Return what is missing to what each shall have, shape ``(..., N)``, payoff units."""
        bare = bare_payoffs(game, d, f)
        return np.asarray(self.wanted(game, d, f, bare) - bare)


def proportional(total: Array, weights: Array) -> Array:
    """Return ``total`` in proportion to weights along the last axis; equally where they sum to 0.

    ``total`` has shape ``(..., 1)``, ``weights`` ``(..., N)``.
    """
    whole = weights.sum(axis=-1, keepdims=True)
    n = weights.shape[-1]
    share = np.divide(weights, whole, out=np.full_like(weights, 1.0 / n), where=whole > 0.0)
    return np.asarray(total * share)
