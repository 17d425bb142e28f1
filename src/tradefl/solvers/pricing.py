r"""What organizations choose at a price for data: the Lagrangian of the scalar coupling.

In ``(w, v)`` space, ``w = u_i d_i`` being what i adds to Omega and ``v`` what it adds to the
potential in addition to P, each level is a segment and the potential is

    U = P( sum_i w_i ) + sum_i v_i.

At a data price ``mu`` organization i picks the end of a segment that maximizes ``v + mu w``:
the best of 2m candidates. For any price,

    max_Omega [ P(Omega) - mu Omega ] + sum_i max [ v + mu w ]  >=  max U.

The loops below run over all organizations, in NumPy for some thousands and compiled, on
several threads, beyond; both evaluate :func:`segment`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.strategy import StrategyProfile
from tradefl.solvers.best_response import Players
from tradefl.solvers.compiled import compiled, spread

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]

# From this many strategies (organizations x levels) on, compiled loops repay their loading.
COMPILE_FROM = 50_000


def segment(
    f: Any,
    energy_cost: Any,
    compute_gain: Any,
    fraction_per_hz: Any,
    high: Any,
    data_gain: Any,
    constant: Any,
) -> tuple[Any, Any, Any]:
    """Return ``(slope, constant, h)`` of a piece of a level: ``v = slope d + constant``, d <= h."""
    slope = data_gain - energy_cost * (f * f)
    return slope, constant + compute_gain * f, np.minimum(high, fraction_per_hz * f)


class Ends(NamedTuple):
    """The segments of each organization in ``(w, v)``; ``level`` has shape ``(m K,)``.

    The others have shape ``(M, m K)``; a segment that is not feasible has ``v = -inf``.
    """

    level: Indices
    w_low: Array
    v_low: Array
    w_high: Array
    v_high: Array


def segment_ends(players: Players) -> Ends:
    """Return the ends of all segments of some organizations."""
    column = (slice(None), None, None)
    slope, constant, most = segment(
        players.cpu_hz[:, :, None],
        players.energy_cost[column],
        players.compute_gain[column],
        players.fraction_per_hz[column],
        *(part[:, None, :] for part in (players.high, players.data_gain, players.constant)),
    )
    least, u = np.broadcast_to(players.low[:, None, :], most.shape), players.data_units[column]
    feasible = most >= least  # false for padding, which is NaN
    nothing = np.where(feasible, 0.0, -np.inf)
    least, most, slope = (np.where(feasible, part, 0.0) for part in (least, most, slope))
    flat = (u.size, -1)
    return Ends(
        np.arange(most[0].size) // players.low.shape[1],
        *(
            end.reshape(flat)
            for d in (least, most)
            for end in (u * d, np.where(feasible, slope * d + constant, nothing))
        ),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Choices:
    """What each of M organizations picks at a price; all of shape ``(M,)``.

    ``code = 2 (K level + piece) + end`` with K pieces a level: end 0 is where the piece begins,
    end 1 where it or the level ends.
    """

    code: Codes
    w: Array
    v: Array


def choose(players: Players, price: float, who: Indices | None = None) -> Choices:
    """Return everybody's best segment end at a price; of equals the one with less data."""
    some = players if who is None else subset(players, who)
    size = some.data_units.size
    if some.cpu_hz.size >= COMPILE_FROM:
        code, w, v = np.empty(size, dtype=np.int64), np.empty(size), np.empty(size)
        each = compiled(_choose_each)
        spread(each, size, some.cpu_hz.size, *some, price, code, w, v)
        return Choices(code, w, v)
    return _choose_all(some, price)


def chosen_profile(players: Players, chosen: Choices) -> StrategyProfile:
    """Return the strategies behind everybody's choices."""
    at = np.arange(chosen.code.size)
    level, piece = np.divmod(chosen.code // 2, players.low.shape[1])
    f = players.cpu_hz[at, level]
    most = np.minimum(players.high[at, piece], players.fraction_per_hz * f)
    return StrategyProfile(np.where(chosen.code % 2 == 1, most, players.low[at, piece]), f)


def subset(players: Players, who: Indices) -> Players:
    """Return some of the organizations."""
    return Players(*(column[who] for column in players))


def _segments(players: Players) -> Iterator[tuple[int, int, Array, Array, Array, Array]]:
    """Yield level, piece, and for everybody low, slope, constant and h of that segment."""
    u, cost, per_hz, fraction_per_hz, low, high, gain, constant, cpu_hz = players
    del u
    for level in range(cpu_hz.shape[1]):
        for piece in range(low.shape[1]):
            numbers = high[:, piece], gain[:, piece], constant[:, piece]
            yield (
                level,
                piece,
                low[:, piece],
                *segment(cpu_hz[:, level], cost, per_hz, fraction_per_hz, *numbers),
            )


def _choose_all(players: Players, price: float) -> Choices:
    u, pieces = players.data_units, players.low.shape[1]
    code = np.zeros(u.size, dtype=np.int64)
    best, best_w, best_v = np.full(u.size, -np.inf), np.zeros(u.size), np.zeros(u.size)
    for level, piece, low, slope, constant, high in _segments(players):
        feasible = high >= low  # false for padding, which is NaN
        for end, d in ((0, low), (1, high)):
            w, v = u * d, slope * d + constant
            value = v + price * w
            better = feasible & ((value > best) | ((value == best) & (w < best_w)))
            code[better] = 2 * (pieces * level + piece) + end
            best, best_w = np.where(better, value, best), np.where(better, w, best_w)
            best_v = np.where(better, v, best_v)
    return Choices(code, best_w, best_v)


def _choose_each(
    units: Array,
    costs: Array,
    per_hzs: Array,
    fractions_per_hz: Array,
    lows: Array,
    highs: Array,
    gains: Array,
    constants: Array,
    cpu_hz: Array,
    price: float,
    code: Codes,
    out_w: Array,
    out_v: Array,
) -> None:
    pieces = lows.shape[1]
    for i in range(units.size):
        best, best_w, best_v, best_code = -np.inf, 0.0, 0.0, 0
        for option in range(cpu_hz.shape[1] * pieces):
            level, piece = option // pieces, option % pieces
            low = lows[i, piece]
            slope, constant, high = segment(
                cpu_hz[i, level],
                costs[i],
                per_hzs[i],
                fractions_per_hz[i],
                highs[i, piece],
                gains[i, piece],
                constants[i, piece],
            )
            if not high >= low:
                continue
            for end in range(2):
                d = low if end == 0 else high
                w, v = units[i] * d, slope * d + constant
                value = v + price * w
                if value > best or (value == best and w < best_w):
                    best, best_w, best_v, best_code = value, w, v, 2 * option + end
        code[i], out_w[i], out_v[i] = best_code, best_w, best_v


@dataclasses.dataclass(frozen=True, eq=False)
class Margins:
    """How firmly each organization holds to its choice at a price; all ``(N,)``.

    Attributes
    ----------
    down, up
        The prices between which it does not change its choice.
    loss
        What it costs, at this price, to move to the best end on another level.
    """

    down: Array
    up: Array
    loss: Array


def margins(players: Players, price: float, chosen: Choices) -> Margins:
    """Return how firmly each holds to what it chose at the price."""
    size = chosen.w.size
    down, up, loss = np.full(size, -np.inf), np.full(size, np.inf), np.full(size, np.inf)
    if players.cpu_hz.size >= COMPILE_FROM:
        each, results = compiled(_margins_each), (down, up, loss)
        numbers = (price, chosen.code, chosen.w, chosen.v)
        spread(each, size, players.cpu_hz.size, *players, *numbers, *results)
        return Margins(down, up, loss)
    u, own_level = players.data_units, chosen.code // 2 // players.low.shape[1]
    for level, _, low, slope, constant, high in _segments(players):
        feasible = high >= low
        elsewhere = feasible & (own_level != level)
        for d in (low, high):
            w, v = u * d, slope * d + constant
            more, less = feasible & (w > chosen.w), feasible & (w < chosen.w)
            turn = np.divide(chosen.v - v, w - chosen.w, out=np.zeros(size), where=more | less)
            up = np.where(more, np.minimum(up, turn), up)
            down = np.where(less, np.maximum(down, turn), down)
            lost = (chosen.v - v) + price * (chosen.w - w)
            loss = np.where(elsewhere, np.minimum(loss, lost), loss)
    return Margins(down, up, loss)


def _margins_each(
    units: Array,
    costs: Array,
    per_hzs: Array,
    fractions_per_hz: Array,
    lows: Array,
    highs: Array,
    gains: Array,
    constants: Array,
    cpu_hz: Array,
    price: float,
    code: Codes,
    chosen_w: Array,
    chosen_v: Array,
    down: Array,
    up: Array,
    loss: Array,
) -> None:
    pieces = lows.shape[1]
    for i in range(units.size):
        for option in range(cpu_hz.shape[1] * pieces):
            level, piece = option // pieces, option % pieces
            low = lows[i, piece]
            slope, constant, high = segment(
                cpu_hz[i, level],
                costs[i],
                per_hzs[i],
                fractions_per_hz[i],
                highs[i, piece],
                gains[i, piece],
                constants[i, piece],
            )
            if not high >= low:
                continue
            for end in range(2):
                d = low if end == 0 else high
                w, v = units[i] * d, slope * d + constant
                if w > chosen_w[i]:
                    up[i] = min(up[i], (chosen_v[i] - v) / (w - chosen_w[i]))
                elif w < chosen_w[i]:
                    down[i] = max(down[i], (chosen_v[i] - v) / (w - chosen_w[i]))
                if level != code[i] // 2 // pieces:
                    lost = (chosen_v[i] - v) + price * (chosen_w[i] - w)
                    loss[i] = min(loss[i], lost)
