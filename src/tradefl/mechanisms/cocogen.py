"""Redistribution that compensates contributions and competition, after CoCoGen+."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from tradefl.game import CoopetitionGame, Mechanism, Parts, StrategyProfile
from tradefl.mechanisms.weighted import Weights, parts_of, rivalry

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
TITLE = "contributions and damages (after CoCoGen+)"


@dataclasses.dataclass(frozen=True, eq=False)
class CoCoGen(Mechanism):
    r"""``t_i = sum_j gamma rho_ij (x_i - x_j) + rho_ij p_j D_i - rho_ij p_i D_j``.

    ``D_i = P(Omega) - P(Omega - u_i d_i)``: what i's data adds to everybody's model. So each is
    paid for its contribution as under Eq. (9), and each rival pays back what it gains at i's cost,
    Eq. (6)-(7). What one receives another pays, so the budget balances.

    Source: T. L. Nguyen, N. V. Huynh and Q.-V. Pham, "Cooperate to Compete: Strategic Data
    Generation and Incentivization Framework for Coopetitive Cross-Silo Federated Learning",
    arXiv:2604.14886, 2026. Only its summary was at hand: payoffs are redistributed "to compensate
    organizations for their training contributions and competition-caused utility degradation". The
    equation above is our reading of it. Deviations: no synthetic data, so the choice is of the data
    at hand; the game and its figures are this one's.

    Parameters
    ----------
    incentive_intensity
        ``gamma``, payoff per bit.
    """

    incentive_intensity: float

    name = "cocogen"
    equation = "sum_j gamma rho_ij (x_i - x_j) + rho_ij (p_j D_i - p_i D_j)"
    title = TITLE
    uses_gamma = True

    def scaled(self, unit: float) -> CoCoGen:
        """Return the mechanism with gamma times a unit."""
        return CoCoGen(self.incentive_intensity * unit)

    def transfers(self, game: CoopetitionGame, d: Array, f: Array) -> Array:
        """Return ``t``, shape ``(..., N)``, payoff units."""
        rho, p = rivalry(game), game.profitability
        x = d * game.data_bits + game.compute_weight * f
        data = d * game.data_units
        omega = data.sum(axis=-1, keepdims=True)
        value = game.accuracy.value
        added = np.asarray(value(omega)) - np.asarray(value(np.maximum(omega - data, 0.0)))
        paid = self.incentive_intensity * (game.total_intensity * x - x @ rho)
        return np.asarray(paid + game.competitors_profitability * added - p * (added @ rho))

    def parts(
        self, game: CoopetitionGame, profile: StrategyProfile, i: Indices, d: Array, f: Array
    ) -> Parts:
        """Return what of ``t_i`` depends on i's own strategy in two parts, shape ``(K,)`` each."""
        rho, p = rivalry(game), game.profitability
        gamma, total = self.incentive_intensity, game.total_intensity
        weights = Weights(
            all=game.competitors_profitability - p * total,
            rest=p[:, None] * rho,
            cost=np.zeros(game.size),
            gain=gamma * total * game.data_bits,
        )
        found = parts_of(game, profile, i, d, f, weights)
        return Parts(found.concave + gamma * total[i] * game.compute_weight * f, found.convex)


def make(game: CoopetitionGame) -> CoCoGen:
    """Return the mechanism with the game's gamma."""
    return CoCoGen(game.incentive_intensity)
