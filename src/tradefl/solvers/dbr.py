r"""DBR: sequential best-response dynamics.

Implements Algorithm 2 of [Yuan2023]_ with these deviations: organizations move one after
another, never at once (erratum E8: simultaneous moves may cycle); the best response is the
closed form of :mod:`tradefl.solvers.best_response` instead of GBD; a move counts only if it
changes something beyond rounding.

1. Start from ``d_i = D_min``, ``f_i = F_i^(m)``.
2. In each round, let every organization in turn move to its best response.
3. Stop after a round in which nobody moved, or at the move limit.

Every move raises the potential (Theorem 1 with E1), so the dynamics settle at a Nash
equilibrium. The certificate of the returned solution does not rest on that argument.

.. [Yuan2023] S. Yuan et al., "TradeFL: A Trading Mechanism for Cross-Silo Federated
   Learning", 2023.
"""

from __future__ import annotations

import time
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.potential import own_term, potential
from tradefl.game.strategy import StrategyProfile
from tradefl.solvers.best_response import (
    Players,
    accuracy_value,
    best_strategy,
    compiled_accuracy,
    player,
    players,
)
from tradefl.solvers.compiled import compiled
from tradefl.solvers.solution import Solution, Trace

Array = npt.NDArray[np.float64]
Order = Literal["given", "random"]

TOLERANCE = 1e-12
# From this many strategies (organizations x levels) on, compiled loops repay their loading.
COMPILE_FROM = 20_000
# Up to this many organizations every move is kept.
TRACE_UP_TO = 10_000


def solve(
    game: CoopetitionGame,
    *,
    tolerance: float = TOLERANCE,
    max_moves: int | None = None,
    order: Order = "given",
    seed: int | None = None,
    initial: StrategyProfile | None = None,
    trace: bool | None = None,
    method: str = "dbr",
) -> Solution:
    """Return the Nash equilibrium that sequential best responses reach.

    Parameters
    ----------
    game
        The game.
    tolerance
        Relative: an organization moves if it changes ``Omega`` by more than this share of
        it, or its potential terms by more than this share of them through another level.
    max_moves
        Give up after so many single moves; default ``50,000 + 100 N``.
    order
        ``given``: the order of the arrays in every round; ``random``: a new one each round.
    seed
        Seed of the random orders.
    initial
        Where to start; default :meth:`CoopetitionGame.initial_profile`.
    trace
        Whether to keep every move; default: up to 10,000 organizations.
    method
        The name under which the solution is reported.

    Raises
    ------
    ValueError
        An option is out of range, or ``initial`` is infeasible.
    """
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"tolerance: expected a number in (0, 1), got {tolerance!r}")
    if max_moves is None:
        max_moves = 50_000 + 100 * game.size
    if not isinstance(max_moves, int) or max_moves < 0:
        raise ValueError(f"max_moves: expected an integer >= 0, got {max_moves!r}")
    if order not in ("given", "random"):
        raise ValueError(f"order: expected one of given, random, got {order!r}")
    start = game.initial_profile() if initial is None else initial
    if start.data_fraction.size != game.size:
        raise ValueError(
            f"initial: expected {game.size} strategies, got {start.data_fraction.size}"
        )
    if initial is not None and not game.is_feasible(initial).all():
        raise ValueError("initial: expected a feasible profile, Eq. (13)")
    if trace is None:
        trace = game.size <= TRACE_UP_TO

    began = time.perf_counter()
    accuracy, play_round = _loops(game)
    state = players(game)
    own = own_term(game).value(start)
    d, f = start.data_fraction.copy(), start.cpu_hz.copy()
    generator = np.random.default_rng(seed)
    in_order = np.arange(game.size)

    moves, settled, kept = 0, False, []
    while not settled:
        turns = in_order if order == "given" else generator.permutation(game.size)
        # Omega and the own terms are summed afresh each round, so rounding cannot pile up.
        omega, own_sum = float(d @ game.data_units), float(own.sum())
        moved, passed, log = play_round(
            accuracy, state, turns, d, f, own, omega, own_sum, tolerance, max_moves - moves, trace
        )
        moves += moved
        if trace:
            kept.append(tuple(column[:moved] for column in log))
        if not passed:
            break
        settled = moved == 0
    runtime = time.perf_counter() - began

    return Solution.certified(
        game,
        StrategyProfile(d, f),
        finished=settled,
        method=method,
        iterations=moves,
        runtime_seconds=runtime,
        trace=_trace(start, float(potential(game, start)), kept) if trace else None,
    )


def _loops(game: CoopetitionGame) -> tuple[Any, Any]:
    """Return P and one round of moves, compiled when the consortium is large enough."""
    if game.cpu_levels_hz.size >= COMPILE_FROM:
        accuracy = compiled_accuracy(game.accuracy)
        if accuracy is not None:
            numbers, stand_ins = accuracy
            return numbers, compiled(one_round, stand_ins)
    return game.accuracy, one_round


def one_round(
    accuracy: Any,
    players: Players,
    turns: npt.NDArray[np.intp],
    d: Array,
    f: Array,
    own: Array,
    omega: float,
    own_sum: float,
    tolerance: float,
    moves_left: int,
    trace: bool,
) -> tuple[int, bool, tuple[npt.NDArray[np.intp], Array, Array, Array]]:
    """Let everybody move once, in place; return the moves, whether all had a turn, and the log.

    ``d``, ``f`` and ``own`` (what each adds to the potential) are updated. The log holds who
    moved, to which d and f, and the potential after the move.
    """
    capacity = turns.size if trace else 0
    log_who = np.empty(capacity, dtype=np.intp)
    log_d, log_f, log_u = np.empty(capacity), np.empty(capacity), np.empty(capacity)
    moves = 0
    for i in turns:
        me = player(players, i)
        u = me.data_units
        others = max(omega - d[i] * u, 0.0)
        new_d, new_f, new_value, new_own = best_strategy(
            accuracy, me, players.cpu_hz[i], others, d[i]
        )
        if new_f == f[i]:  # levels are copied, never computed: they compare exactly
            moves_now = abs(new_d - d[i]) * u > tolerance * omega
        else:
            value = accuracy_value(accuracy, others + u * d[i]) + own[i]
            size = abs(value) + abs(new_value) + abs(own[i]) + abs(new_own)
            moves_now = new_value - value > tolerance * size
        if not moves_now:
            continue
        if moves == moves_left:
            return moves, False, (log_who, log_d, log_f, log_u)
        omega = others + u * new_d
        own_sum += new_own - own[i]
        d[i], f[i], own[i] = new_d, new_f, new_own
        if trace:
            log_who[moves], log_d[moves], log_f[moves] = i, new_d, new_f
            log_u[moves] = accuracy_value(accuracy, omega) + own_sum
        moves += 1
    return moves, True, (log_who, log_d, log_f, log_u)


def _trace(start: StrategyProfile, potential: float, rounds: list[Any]) -> Trace:
    who, d, f, u = (np.concatenate([np.empty(0), *column]) for column in zip(*rounds, strict=True))
    return Trace(start, who.astype(np.intp), d, f, np.append(potential, u))
