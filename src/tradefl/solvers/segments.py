r"""Dynamics over segments: each organization chooses one of its segments, and d on it.

A segment is a level with a range of d that may be played at it, on which the organization adds
``slope d + base`` to the potential in addition to P. GCA has one for each level, FIP one of length
zero for each point of its grid. The loops run in plain Python, or compiled
(:mod:`tradefl.solvers.compiled`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.potential import own_term
from tradefl.solvers.best_response import accuracy_value, best_fraction

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


class Segments(NamedTuple):
    """The segments of all organizations, ``(N, S)`` each; one that is not playable has low > high.

    With a first axis of games, ``(K, N, S)``.
    """

    low: Array
    high: Array
    f: Array
    slope: Array
    base: Array

    def playable(self) -> npt.NDArray[np.bool_]:
        """Return which organizations have something to play, ``(N,)``."""
        return np.asarray((self.low <= self.high).any(axis=-1))

    def first(self) -> tuple[Array, Array]:
        """Return where the first playable segment of each begins: d and f, ``(N,)`` each."""
        at = np.argmax(self.low <= self.high, axis=-1)[..., None]
        low, f = (np.take_along_axis(column, at, axis=-1) for column in (self.low, self.f))
        return low[..., 0], f[..., 0]


def segments(game: CoopetitionGame, low: Array, high: Array, f: Array) -> Segments:
    """Return segments with what they add to the potential, by the pieces of the game's rule.

    ``low``, ``high`` and ``f`` have shape ``(N, S)``. A segment is cut where pieces meet.
    """
    own = own_term(game)
    f = f[..., None]
    cut_low = np.maximum(low[..., None], own.low[..., None, :])
    cut_high = np.minimum(high[..., None], own.high[..., None, :])
    cost, per_hz = own.energy_cost[..., None, None], own.compute_gain[..., None, None]
    slope = own.data_gain[..., None, :] - cost * f**2
    base = own.constant[..., None, :] + per_hz * f
    playable = cut_low <= cut_high  # false for padding, which is NaN
    columns = (
        np.where(playable, cut_low, np.inf),
        np.where(playable, cut_high, -np.inf),
        f,
        slope,
        base,
    )
    shape = (*low.shape[:-1], low.shape[-1] * own.low.shape[-1])
    flat = [np.broadcast_to(column, cut_low.shape).reshape(shape) for column in columns]
    # Most pieces of a rule lie outside most segments.
    kept = playable.reshape(-1, shape[-1]).any(axis=0)
    return Segments(*(np.ascontiguousarray(column[..., kept]) for column in flat))


def greedy_segments(game: CoopetitionGame, greedy_hz: Array) -> Segments:
    """Return GCA's segments: the d at which each level is the smallest that is at least ``k d``.

    Level l is played for ``F^(l-1)/k < d <= F^(l)/k``, deadline included; the open end is the next
    double. ``greedy_hz`` is ``k``, shape ``(N,)``.
    """
    levels = game.cpu_levels_hz
    ends = levels / greedy_hz[..., None]
    starts = np.nextafter(ends[..., :-1], np.inf)
    least = np.asarray(game.min_data_fraction)[..., None]
    low = np.maximum(np.concatenate([np.zeros_like(ends[..., :1]), starts], axis=-1), least)
    return segments(game, low, np.minimum(ends, game.max_data_fraction(levels)), levels)


def grid_segments(game: CoopetitionGame, grid: Array) -> Segments:
    """Return FIP's segments: each level with each d of a grid, shape ``(G,)`` or ``(K, G)``."""
    levels = game.cpu_levels_hz[..., None]
    points = grid[..., None, None, :]
    reach = game.max_data_fraction(game.cpu_levels_hz)[..., None]
    shape = np.broadcast_shapes(levels.shape, points.shape)
    low = np.where(points <= reach, points, np.nan)
    flat = (*shape[:-2], -1)
    low = np.broadcast_to(low, shape).reshape(flat)
    return segments(game, low, low, np.broadcast_to(levels, shape).reshape(flat))


def best_segment(
    accuracy: Any,
    data_units: float,
    omega_others: float,
    lows: Array,
    highs: Array,
    f: Array,
    slopes: Array,
    bases: Array,
) -> tuple[float, float, float, float]:
    """Return the best ``(d, f, P + own, own)`` over the segments; ties go to the first."""
    best_d, best_f, best_value, best_own = 0.0, 0.0, -np.inf, 0.0
    for s in range(lows.size):
        low, high = lows[s], highs[s]
        if not low <= high:
            continue
        d = best_fraction(accuracy, omega_others, data_units, slopes[s], low, high)
        own = slopes[s] * d + bases[s]
        value = accuracy_value(accuracy, omega_others + data_units * d) + own
        if value > best_value:
            best_d, best_f, best_value, best_own = d, f[s], value, own
    return best_d, best_f, best_value, best_own


def segment_round(
    accuracy: Any,
    data_units: Array,
    some: Segments,
    d: Array,
    f: Array,
    own: Array,
    tolerance: float,
    moves_left: int,
    log: tuple[Indices, Array, Array, Array],
) -> tuple[int, bool]:
    """Let everybody move once, in place; return the moves, and whether all had a turn.

    A move counts if it raises the mover's part of U by more than ``tolerance`` of its size.
    ``own`` is what each adds to the potential. ``log``, four arrays of shape ``(N,)`` or empty,
    receives who moved, to which d and f, and the potential after the move.
    """
    omega, own_sum = 0.0, 0.0
    for i in range(d.size):
        omega += d[i] * data_units[i]
        own_sum += own[i]
    moves = 0
    for i in range(d.size):
        u = data_units[i]
        others = max(omega - d[i] * u, 0.0)
        new_d, new_f, new_value, new_own = best_segment(
            accuracy,
            u,
            others,
            some.low[i],
            some.high[i],
            some.f[i],
            some.slope[i],
            some.base[i],
        )
        value = accuracy_value(accuracy, others + u * d[i]) + own[i]
        size = abs(value) + abs(new_value) + abs(own[i]) + abs(new_own)
        if not new_value - value > tolerance * size:
            continue
        if moves == moves_left:
            return moves, False
        omega = others + u * new_d
        own_sum += new_own - own[i]
        d[i], f[i], own[i] = new_d, new_f, new_own
        if log[0].size:
            log[0][moves], log[1][moves], log[2][moves] = i, new_d, new_f
            log[3][moves] = accuracy_value(accuracy, omega) + own_sum
        moves += 1
    return moves, True
