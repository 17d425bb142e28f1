"""The paper's rule: of two rivals, the one that contributes less pays the other, Eq. (9)."""

from __future__ import annotations

from tradefl.game import CoopetitionGame, LinearRule

TITLE = "the paper's rule"


def make(game: CoopetitionGame) -> LinearRule:
    """Return ``r_ij = gamma rho_ij (x_i - x_j)`` with the game's gamma.

    Source: S. Yuan et al., "TradeFL: A Trading Mechanism for Cross-Silo Federated Learning", 2023,
    Eq. (9). Deviations: none; erratum E2 requires a symmetric rho.
    """
    return LinearRule(game.incentive_intensity, game.compute_weight)
