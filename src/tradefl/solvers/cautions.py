"""Cautions for a reader who decides by a solution: money that buys nothing, and corners."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tradefl.game import Binding, CoopetitionGame
from tradefl.solvers.solution import Solution

# Beyond this many organizations the game is not solved once more.
COMPARED_UP_TO = 1_000
# A gain of welfare below this share is next to nothing.
LITTLE = 1e-3
# Contributions that agree to this precision are the same.
SAME = 1e-9


def money_words(amount: float, game: CoopetitionGame) -> str:
    """Return an amount of payoff in words: in the game's currency, where it names one."""
    if game.currency is None:
        return f"{amount:,.6g} units of payoff"
    amount *= game.payoff_unit
    return (
        f"{amount:,.0f} {game.currency}" if abs(amount) >= 10.0 else f"{amount:.3g} {game.currency}"
    )


def binding_words(solution: Solution) -> str:
    """Return what binds how many: ``all data 3, deadline 5, interior 2``."""
    counts = Counter(solution.binds)
    order: tuple[Binding, ...] = ("all data", "minimum", "deadline", "interior")
    return ", ".join(f"{name} {counts[name]:,}" for name in order if counts[name])


def cautions(solution: Solution, without: Solution | None = None) -> tuple[str, ...]:
    """Return what a reader of a solution should be warned of.

    Compensation that changes nobody's contribution, and a solution in which everybody is at a
    limit, so that small changes of a figure change nothing.

    Parameters
    ----------
    solution
        The solution.
    without
        The equilibrium without compensation; default: found by best responses.
    """
    game = solution.game
    found = []
    received = solution.terms.redistribution
    moved = float(received[received > 0.0].sum())
    if moved > SAME * float(np.abs(solution.terms.revenue).sum()) and game.size <= COMPARED_UP_TO:
        if without is None:
            from tradefl.solvers import solve

            without = solve(game.with_incentive_intensity(0.0), "dbr")
        if _same(solution, without):
            found.append(
                f"compensation moves {money_words(moved, game)} and buys no data: without it "
                "everybody contributes the same"
            )
    if "interior" not in solution.binds:
        found.append(
            f"everybody is at a limit ({binding_words(solution)}): small changes of any figure "
            "change no contribution"
        )
    return tuple(found)


def _same(one: Solution, other: Solution) -> bool:
    d, e = one.profile.data_fraction, other.profile.data_fraction
    return bool(
        np.all(np.abs(d - e) <= SAME * np.abs(d))
        and np.array_equal(one.profile.cpu_hz, other.profile.cpu_hz)
    )


def buys_little(best: Solution, without: Solution) -> str | None:
    """Return a warning where the best gamma adds less than 0.1 % of welfare; otherwise ``None``."""
    gained = best.social_welfare - without.social_welfare
    if best.game.incentive_intensity == 0.0 or gained >= LITTLE * abs(without.social_welfare):
        return None
    return (
        f"gamma* adds {money_words(gained, best.game)} of welfare, "
        f"{100.0 * gained / abs(without.social_welfare):.2g} % of it: compensation buys next to "
        "nothing here"
    )
