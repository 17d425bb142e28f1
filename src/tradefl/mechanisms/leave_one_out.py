"""Sharing in proportion to what each brings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tradefl.game import CoopetitionGame
from tradefl.game.batches import overheads
from tradefl.mechanisms.sharing import Sharing, proportional
from tradefl.mechanisms.weighted import rivalry

Array = npt.NDArray[np.float64]
TITLE = "in proportion to what each brings, at what is contributed"


class LeaveOneOut(Sharing):
    r"""``payoff_i = W(pi) M_i / sum_j M_j`` with ``M_i = v_pi(N) - v_pi(N without i)``.

    ``v_pi`` is what members have together by Eq. (11) with the strategies that they chose. A
    marginal below zero counts as zero; where nobody brings anything, the shares are equal.

    Source: leave-one-out valuation, as in P. W. Koh and P. Liang, "Understanding Black-box
    Predictions via Influence Functions", 2017. Deviation: scaled so that the budget balances. The
    share is a ratio, so regret is searched, not proven.
    """

    name = "leave-one-out-profile"
    equation = "W M_i / sum_j M_j - payoff0_i"
    title = TITLE
    uses_compute = True  # where welfare is negative, a smaller share of it may be better

    def wanted(self, game: CoopetitionGame, d: Array, f: Array, bare: Array) -> Array:
        """Return ``W M_i / sum_j M_j``, shape ``(..., N)``, payoff units."""
        welfare = bare.sum(axis=-1, keepdims=True)
        data = d * game.data_units
        left = data.sum(axis=-1, keepdims=True) - data  # Omega without i
        both = left[..., :, None] - data[..., None, :]  # without i and j
        value, p, rho = game.accuracy.value, game.profitability, rivalry(game)
        # Without i: Z and the harm to each that remains, (i, j).
        harm = game.competitors_profitability - rho * p[:, None]
        np.fill_diagonal(harm, 0.0)
        weight = p.sum() - p - harm.sum(axis=1)
        rest = weight * np.asarray(value(np.maximum(left, 0.0)))
        rest = rest + (harm * np.asarray(value(np.maximum(both, 0.0)))).sum(axis=-1)
        costs = overheads(game, d, f)
        rest = rest - (costs.sum(axis=-1, keepdims=True) - costs)
        return proportional(welfare, np.maximum(welfare - rest, 0.0))


def make(game: CoopetitionGame) -> LeaveOneOut:
    """Return the mechanism; it holds no figures of the game."""
    del game
    return LeaveOneOut()
