"""The stakes of disputes, recomputed as the contract does.

Raising a dispute locks a stake, ``dispute_stake_wei``, next to the bond. Whether somebody forfeits
it follows from the ruling alone:

========================== ================= ==================================================
ruling                     forfeits          goes to
========================== ================= ==================================================
the score falls            the accused       the disputer
the report is the same     the disputer      the accused; in its own case all others equally
anything else, or none     nobody            –
========================== ================= ==================================================

The loser pays ``min(stake, deposit - bond - what it has forfeited before)``, so stakes never touch
the bond and credits always add up to the deposits. An equal share is rounded down; the remainder
stays with the loser.

Source: ``contracts/src/Settlement.sol``, ``rule``; the Solidity tests hold the contract to the same
table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tradefl.settlement.rules import Report


@dataclasses.dataclass(frozen=True)
class Ruling:
    """What an arbiter's ruling changes, as far as stakes depend on it.

    Attributes
    ----------
    disputer, accused
        The numbers of the two organizations; the same one disputes its own silence.
    before, after
        The report before and after the ruling.
    score_before, score_after
        What each counts for, in the rule's unit.
    """

    disputer: int
    accused: int
    before: Report
    after: Report
    score_before: int
    score_after: int

    @property
    def loser(self) -> int | None:
        """Who forfeits its stake; ``None``: nobody does."""
        if self.score_after < self.score_before:
            # Its own silence can fall no further, so the disputer is somebody else.
            return self.accused
        return self.disputer if self.after == self.before else None

    @property
    def winner(self) -> int | None:
        """Who receives the stake; ``None``: all others equally, or nobody."""
        if self.loser is None or self.disputer == self.accused:
            return None
        return self.accused if self.loser == self.disputer else self.disputer


class Stakes:
    """What stakes have moved so far.

    Parameters
    ----------
    stake
        ``dispute_stake_wei``.
    free
        What each organization deposited above its bond, wei.
    """

    def __init__(self, stake: int, free: Sequence[int]) -> None:
        self.stake = stake
        self.free = list(free)
        self.moved = [0] * len(free)

    def settle(self, ruling: Ruling) -> int:
        """Move the stake of a ruling; return what the loser forfeits, wei."""
        loser = ruling.loser
        if loser is None:
            return 0
        forfeit = min(self.stake, self.free[loser])
        others = len(self.free) - 1
        if ruling.winner is None:
            share = forfeit // others
            forfeit = share * others
            for i in range(len(self.moved)):
                self.moved[i] += share if i != loser else 0
        else:
            self.moved[ruling.winner] += forfeit
        self.moved[loser] -= forfeit
        self.free[loser] -= forfeit
        return forfeit
