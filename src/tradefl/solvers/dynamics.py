"""Sequential dynamics in plain Python, for baselines that restrict what may be played.

DBR itself has its own loop (:mod:`tradefl.solvers.dbr`), which compiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.potential import own_term, potential
from tradefl.game.strategy import StrategyProfile
from tradefl.solvers.solution import Trace


class Offer(NamedTuple):
    """A strategy with what it is worth to U, others as they are: ``P + own``, and own."""

    d: float
    f: float
    value: float
    own: float


# Given an organization, what the others contribute to Omega, and its present strategy: what
# it would rather play.
Choose = Callable[[int, float, float, float], Offer]


class Path(NamedTuple):
    """Where the dynamics led, how, and whether they ended by themselves."""

    profile: StrategyProfile
    trace: Trace
    finished: bool


def play(
    game: CoopetitionGame,
    start: StrategyProfile,
    choose: Choose,
    tolerance: float,
    max_moves: int,
) -> Path:
    """Let organizations move in turn until a round in which nobody gains, or the limit.

    A move counts if it raises the mover's part of U by more than ``tolerance`` of its size.
    """
    d, f = start.data_fraction.copy(), start.cpu_hz.copy()
    own = own_term(game).value(start)
    units, value_of = game.data_units, game.accuracy.value
    who: list[int] = []
    log_d: list[float] = []
    log_f: list[float] = []
    log_u = [potential(game, start)]
    finished = stopped = False
    while not (finished or stopped):
        finished = True
        omega, own_sum = float(d @ units), float(own.sum())
        for i in range(game.size):
            others = max(omega - d[i] * units[i], 0.0)
            offer = choose(i, others, float(d[i]), float(f[i]))
            now = float(value_of(others + units[i] * d[i])) + own[i]
            size = abs(now) + abs(offer.value) + abs(own[i]) + abs(offer.own)
            if not offer.value - now > tolerance * size:
                continue
            finished = False
            if len(who) == max_moves:
                stopped = True
                break
            omega = others + units[i] * offer.d
            own_sum += offer.own - own[i]
            d[i], f[i], own[i] = offer.d, offer.f, offer.own
            who.append(i)
            log_d.append(offer.d)
            log_f.append(offer.f)
            log_u.append(float(value_of(omega)) + own_sum)
    trace = Trace(
        start, np.array(who, dtype=np.intp), np.array(log_d), np.array(log_f), np.array(log_u)
    )
    return Path(StrategyProfile(d, f), trace, finished)


def check(tolerance: float, max_moves: int | None, size: int) -> int:
    """Check the options of the dynamics; return the move limit.

    Raises
    ------
    ValueError
        One of them is out of range.
    """
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"tolerance: expected a number in (0, 1), got {tolerance!r}")
    if max_moves is None:
        return 50_000 + 100 * size
    if not isinstance(max_moves, int) or max_moves < 0:
        raise ValueError(f"max_moves: expected an integer >= 0, got {max_moves!r}")
    return max_moves
