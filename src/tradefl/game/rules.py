r"""The redistribution rule: who compensates whom, Eq. (9) and (10).

A rule is antisymmetric between two organizations, so what one receives the other pays and
the budget balances for every profile, at equilibrium or not.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tradefl.game.coopetition import CoopetitionGame
    from tradefl.game.strategy import StrategyProfile

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclasses.dataclass(frozen=True)
class LinearRule:
    """The paper's rule: ``r_ij = gamma rho_ij (x_i - x_j)``, Eq. (9).

    Parameters
    ----------
    incentive_intensity
        ``gamma``, payoff per bit.
    compute_weight
        ``lambda``, bit per Hz: turns compute into bit-equivalents.
    """

    incentive_intensity: float
    compute_weight: float

    def contribution(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return ``x_i = d_i s_i + lambda f_i``, shape ``(N,)``, bit-equivalents."""
        return profile.data_fraction * game.data_bits + self.compute_weight * profile.cpu_hz

    def received(
        self, game: CoopetitionGame, profile: StrategyProfile, i: int
    ) -> tuple[Indices, Array]:
        """Return i's competitors ``j`` and ``r_ij``, what i receives from each, Eq. (9)."""
        x = self.contribution(game, profile)
        competitors, rho = game.competition.row(i)
        return competitors, self.incentive_intensity * rho * (x[i] - x[competitors])

    def redistribution(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return ``R_i = sum_j r_ij``, shape ``(N,)``, Eq. (10)."""
        x = self.contribution(game, profile)
        net = game.total_intensity * x - game.competition.dot(x)
        return np.asarray(self.incentive_intensity * net + 0.0)  # 0 has no sign

    def gross_redistribution(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return ``gamma sum_j rho_ij (x_i + x_j)``: the size of the terms that make ``R_i``."""
        x = self.contribution(game, profile)
        gross = game.total_intensity * x + game.competition.dot(x)
        return np.asarray(self.incentive_intensity * gross)

    def marginal_per_fraction(self, game: CoopetitionGame) -> Array:
        """Return ``dR_i / dd_i = gamma rho_i. s_i``, shape ``(N,)``."""
        return self.incentive_intensity * game.total_intensity * game.data_bits

    def marginal_per_hz(self, game: CoopetitionGame) -> Array:
        """Return ``dR_i / df_i = gamma rho_i. lambda``, shape ``(N,)``."""
        return self.incentive_intensity * game.total_intensity * self.compute_weight
