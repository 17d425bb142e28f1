"""Sharing by the Shapley value of what is contributed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tradefl.game import CoopetitionGame, Parts, StrategyProfile
from tradefl.game.batches import overheads
from tradefl.game.signed import signed_sum
from tradefl.mechanisms import coalitions
from tradefl.mechanisms.sharing import Sharing

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
TITLE = "the Shapley value of what is contributed"


class ShapleyProfile(Sharing):
    r"""``payoff_i`` is the Shapley value of ``v_pi``, what coalitions are worth at the profile.

    Source: L. Shapley, "A Value for n-Person Games", 1953; as a payment for data: T. Wang et al.,
    "A Principled Approach to Data Valuation for Federated Learning", 2020. Deviations: a coalition
    is worth what its members have by Eq. (11) with the strategies they chose, not what they could
    have (that is the split ``shapley``); everybody bears its own costs, which follows from the
    axioms. Up to 14 organizations.
    """

    name = "shapley-profile"
    equation = "Shapley_i(v_pi) - payoff0_i"
    title = TITLE

    def misfit(self, size: int) -> str:
        """Return that all coalitions are too many."""
        return coalitions.misfit(size)

    def wanted(self, game: CoopetitionGame, d: Array, f: Array, bare: Array) -> Array:
        """Return the Shapley value, shape ``(..., N)``, payoff units."""
        del bare
        omega = (d * game.data_units) @ coalitions.members(game.size).T
        value = np.asarray(game.accuracy.value(omega), dtype=float)
        gross = value @ coalitions.shapley_coefficients(game).T
        return np.asarray(gross - overheads(game, d, f))

    def own_transfer(
        self, game: CoopetitionGame, profile: StrategyProfile, i: Indices, d: Array, f: Array
    ) -> Array:
        """Return ``t_i`` of each deviation, shape ``(K,)``: from the coalitions with i alone."""
        del f  # everybody bears its own costs, with the transfer or without it
        found = np.empty(i.size)
        data, total = profile.data_fraction * game.data_units, game.omega(profile)
        value, z = game.accuracy.value, game.potential_weights
        for k in np.unique(i).tolist():
            rows = np.flatnonzero(i == k)
            mine, others, without = self._of(game, data, k)
            omega = others + d[rows, None] * game.data_units[k]
            found[rows] = np.asarray(value(omega)) @ mine + without
            alone = max(total - data[k], 0.0)
            found[rows] -= z[k] * np.asarray(value(alone + d[rows] * game.data_units[k]))
            found[rows] -= game.competitors_profitability[k] * float(value(alone))
        return found

    def _of(self, game: CoopetitionGame, data: Array, k: int) -> tuple[Array, Array, float]:
        """Return coefficients and others' data of the coalitions with k, and what the rest adds."""
        inside, row = coalitions.members(game.size), coalitions.shapley_coefficients(game)[k]
        has = inside[:, k] == 1.0
        omega = inside @ data
        rest = float(np.asarray(game.accuracy.value(omega[~has])) @ row[~has])
        return row[has], np.maximum(omega[has] - data[k], 0.0), rest

    def parts(
        self, game: CoopetitionGame, profile: StrategyProfile, i: Indices, d: Array, f: Array
    ) -> Parts:
        """Return ``t_i`` in two parts, up to a constant of each organization, ``(K,)`` each."""
        del f
        concave, convex = np.empty(i.size), np.empty(i.size)
        data = profile.data_fraction * game.data_units
        for k in np.unique(i).tolist():
            rows = np.flatnonzero(i == k)
            mine, others, _ = self._of(game, data, k)
            mine = mine.copy()
            mine[-1] -= game.potential_weights[k]  # the last coalition is everybody
            omega = others + d[rows, None] * game.data_units[k]
            concave[rows], convex[rows] = signed_sum(game.accuracy, mine, omega)
        return Parts(concave, convex)


def make(game: CoopetitionGame) -> ShapleyProfile:
    """Return the mechanism; it holds no figures of the game."""
    del game
    return ShapleyProfile()
