"""The efficient rule with payments under which no report from agreed menus gains."""

from __future__ import annotations

import numpy as np

from tradefl.game import CoopetitionGame, EfficientRule
from tradefl.incentives.truthful import truthful

TITLE = "the truthful rule"
# Menus within this share of each profitability.
RANGE = 0.05


def make(game: CoopetitionGame, *, claimant: int | None = None) -> EfficientRule:
    """Return the efficient rule whose constants are the truthful payments at today's figures.

    Source: decision 048; R. Myerson, "Optimal Auction Design", Mathematics of Operations Research
    6, 1981, for payments along menus. Deviations: menus of profitabilities around today's figures,
    within 5 %, so honesty holds once these menus are agreed; the residual claimant, whose figures
    are audited, is the organization with the highest profitability unless another is named.

    Raises
    ------
    NeedsMoneyError
        At some reports the payments would need money from outside.
    """
    who = int(np.argmax(game.profitability)) if claimant is None else claimant
    return truthful(game.with_incentive_intensity(0.0), who, width=RANGE, random_starts=0)[0].rule
