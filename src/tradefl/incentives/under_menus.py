"""What the menus of a truthful rule pay when a figure that they do not cover is misreported.

The menus stay as agreed; optimum, utilities, rebates and surplus are those of the game that the
report makes it seem (:mod:`tradefl.incentives.truthful`). A liar's own payment needs the surplus
along its own axis only; the claimant's, and what the others lose, need that of everybody. The
reports of all misreports are solved together.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from tradefl.game import CoopetitionGame, StrategyProfile
from tradefl.incentives.optima import Optima, Reports, solve_together
from tradefl.incentives.truthful import Mechanism, Menus

Array = npt.NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)

# So many misreports are solved at a time, which bounds the memory.
AT_ONCE = 200


class UnderMenus(Generic[Key]):
    """Payments of many misreports under agreed menus.

    Parameters
    ----------
    menus
        What may be reported.
    games
        The game that each misreport makes it seem, by any key.
    profiles
        Its optimum at the reports.
    """

    def __init__(
        self,
        menus: Menus,
        games: Mapping[Key, CoopetitionGame],
        profiles: Mapping[Key, StrategyProfile],
    ) -> None:
        self.menus, self.games, self.profiles = menus, games, profiles

    def own(self, keys: Sequence[tuple[Key, int]]) -> dict[Key, float]:
        """Return what one organization receives after each misreport; only where it is a game."""
        found: dict[Key, float] = {}
        for begin in range(0, len(keys), AT_ONCE):
            some = keys[begin : begin + AT_ONCE]
            whose = [[i] if i in self.menus.asked else self.menus.asked for _, i in some]
            for (key, i), mechanism in zip(some, self._solved(some, whose), strict=True):
                if mechanism is None:
                    continue
                reports = self.menus.reports
                if i not in self.menus.asked:
                    found[key] = float(mechanism.redistribution(reports)[0][i])
                    continue
                before = float(mechanism.optima(reports[None, :]).payoffs[0, i])
                found[key] = mechanism.utility(reports, i) + mechanism.rebate(reports, i) - before
        return found

    def everybody(self, keys: Sequence[Key]) -> dict[Key, Array]:
        """Return what all receive after each misreport, ``(N,)``; only where it is a game."""
        found: dict[Key, Array] = {}
        for begin in range(0, len(keys), AT_ONCE):
            some = [(key, 0) for key in keys[begin : begin + AT_ONCE]]
            for (key, _), mechanism in zip(
                some, self._solved(some, [self.menus.asked] * len(some)), strict=True
            ):
                if mechanism is not None:
                    found[key] = mechanism.redistribution(self.menus.reports)[0]
        return found

    def _solved(
        self, keys: Sequence[tuple[Key, int]], whose: Sequence[Sequence[int]]
    ) -> list[Mechanism | None]:
        """Return the mechanism of each misreport with the surplus along some axes solved."""
        mechanisms, work = [], []
        for (key, _), axes in zip(keys, whose, strict=True):
            reports = Reports(self.games[key], self.menus.fields)
            mechanism = Mechanism(
                self.games[key], self.menus, Optima(reports, (self.profiles[key],))
            )
            mechanisms.append(mechanism)
            work.append((mechanism.optima, mechanism.needed(self.menus.reports, axes)))
        playable = solve_together(work)
        return [
            mechanism if fine else None
            for mechanism, fine in zip(mechanisms, playable, strict=True)
        ]


__all__ = ["UnderMenus"]
