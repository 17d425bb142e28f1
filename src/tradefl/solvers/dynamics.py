"""Sequential dynamics over segments, for baselines that restrict what may be played.

DBR itself has its own loop (:mod:`tradefl.solvers.dbr`), which tries fewer options a move.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.potential import own_term, potential
from tradefl.game.strategy import StrategyProfile
from tradefl.solvers.best_response import compiled_accuracy
from tradefl.solvers.compiled import compiled
from tradefl.solvers.segments import Segments, segment_round
from tradefl.solvers.solution import Trace

# From this many segments of all organizations on, compiled loops repay their loading.
COMPILE_FROM = 20_000


class Path(NamedTuple):
    """Where the dynamics led, how, and whether they ended by themselves."""

    profile: StrategyProfile
    trace: Trace
    finished: bool


def play(
    game: CoopetitionGame,
    start: StrategyProfile,
    choices: Segments,
    tolerance: float,
    max_moves: int,
) -> Path:
    """Let organizations move in turn until a round in which nobody gains, or the limit.

    A move counts if it raises the mover's part of U by more than ``tolerance`` of its size.
    """
    accuracy, play_round = _loop(game, choices)
    d, f = start.data_fraction.copy(), start.cpu_hz.copy()
    own = own_term(game).value(start)
    kept: list[Any] = []
    moves, finished = 0, False
    while not finished:
        log = (np.empty(game.size, dtype=np.intp), *(np.empty(game.size) for _ in range(3)))
        moved, passed = play_round(
            accuracy, game.data_units, choices, d, f, own, tolerance, max_moves - moves, log
        )
        moves += moved
        kept.append([column[:moved] for column in log])
        if not passed:
            break
        finished = moved == 0
    who, to_d, to_f, u = (np.concatenate(column) for column in zip(*kept, strict=True))
    trace = Trace(start, who, to_d, to_f, np.append(potential(game, start), u))
    return Path(StrategyProfile(d, f), trace, finished)


def _loop(game: CoopetitionGame, choices: Segments) -> tuple[Any, Any]:
    """Return P and one round of moves, compiled when there is enough to choose from."""
    if choices.low.size >= COMPILE_FROM:
        accuracy = compiled_accuracy(game.accuracy)
        if accuracy is not None:
            numbers, stand_ins = accuracy
            return numbers, compiled(segment_round, stand_ins)
    return game.accuracy, segment_round


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
