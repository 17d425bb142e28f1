"""The efficient rule: everybody is paid what its data is worth to the others, Eq. (9e)."""

from __future__ import annotations

from tradefl.design import design
from tradefl.game import CoopetitionGame, EfficientRule

TITLE = "the efficient rule, equal-gain"


def make(game: CoopetitionGame) -> EfficientRule:
    """Return ``r_ij = (phi_i - phi_j) / (N - 1) + k_ij``, designed for equal gains.

    Source: docs/explanation/efficient-compensation.md, an adaptation of Groves payments (T. Groves,
    "Incentives in Teams", Econometrica 41, 1973) that balances the budget around an agreed profile.
    Deviation: ``phi_i`` in at most 31 straight pieces, flat beyond the agreed contribution.
    """
    return design(game.with_incentive_intensity(0.0), "equal-gain", random_starts=0).rule
