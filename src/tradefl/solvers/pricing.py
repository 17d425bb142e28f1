r"""What organizations choose at a price for data: the Lagrangian of the scalar coupling.

In ``(w, v)`` space, ``w = u_i d_i`` being what i adds to Omega and ``v`` what it adds to the
potential in addition to P, each level is a segment and the potential is

    U = P( sum_i w_i ) + sum_i v_i.

At a data price ``mu`` organization i picks the end of a segment that maximizes ``v + mu w``:
the best of 2m candidates. For any price,

    max_Omega [ P(Omega) - mu Omega ] + sum_i max [ v + mu w ]  >=  max U.

What organizations do is written once, for some rows of the arrays: NumPy takes all rows at once for
some thousands, and beyond a compiled loop takes one after the other, on several threads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.strategy import StrategyProfile
from tradefl.solvers.best_response import Players
from tradefl.solvers.compiled import compiled, spread

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]
Rows = Callable[..., None]

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
    """Return each organization's best segment end at a price; ties go to the one with less data."""
    some = players if who is None else subset(players, who)
    size = some.data_units.size
    code, w, v = np.zeros(size, dtype=np.int64), np.zeros(size), np.zeros(size)
    _run(_choose_rows, _choose_each, some, price, code, w, v)
    return Choices(code, w, v)


def _run(of_rows: Rows, of_each: Rows, players: Players, *arguments: Any) -> None:
    """Work on all organizations: as arrays, or compiled where that repays its loading."""
    if players.cpu_hz.size < COMPILE_FROM:
        of_rows(slice(None), *players, *arguments)
    else:
        size = players.data_units.size
        loop = compiled(of_each, {_pick: _pick_number})
        spread(loop, size, players.cpu_hz.size, *players, *arguments)


def _pick(condition: Any, value: Any, otherwise: Any) -> Any:
    return np.where(condition, value, otherwise)


def _pick_number(condition: Any, value: Any, otherwise: Any) -> Any:
    """Stand in for :func:`_pick` in compiled loops, where a row has one number."""
    return value if condition else otherwise


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


def _choose_rows(
    rows: Any,
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
) -> None:
    pieces, u = lows.shape[1], units[rows]
    best, best_w, best_v, best_code = -np.inf, 0.0, 0.0, 0
    for option in range(cpu_hz.shape[1] * pieces):
        level, piece = option // pieces, option % pieces
        low = lows[rows, piece]
        slope, constant, high = segment(
            cpu_hz[rows, level],
            costs[rows],
            per_hzs[rows],
            fractions_per_hz[rows],
            highs[rows, piece],
            gains[rows, piece],
            constants[rows, piece],
        )
        feasible = high >= low  # false for padding, which is NaN
        for end in range(2):
            d = low if end == 0 else high
            w, v = u * d, slope * d + constant
            value = v + price * w
            better = feasible & ((value > best) | ((value == best) & (w < best_w)))
            best_code = _pick(better, 2 * option + end, best_code)
            best, best_w = _pick(better, value, best), _pick(better, w, best_w)
            best_v = _pick(better, v, best_v)
    code[rows], chosen_w[rows], chosen_v[rows] = best_code, best_w, best_v


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
    chosen_w: Array,
    chosen_v: Array,
) -> None:
    for i in range(units.size):
        _choose_rows(
            i,
            units,
            costs,
            per_hzs,
            fractions_per_hz,
            lows,
            highs,
            gains,
            constants,
            cpu_hz,
            price,
            code,
            chosen_w,
            chosen_v,
        )


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
    _run(
        _margins_rows,
        _margins_each,
        players,
        price,
        chosen.code,
        chosen.w,
        chosen.v,
        down,
        up,
        loss,
    )
    return Margins(down, up, loss)


def _margins_rows(
    rows: Any,
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
    pieces, u = lows.shape[1], units[rows]
    own_level, own_w, own_v = code[rows] // 2 // pieces, chosen_w[rows], chosen_v[rows]
    least, most, lost = down[rows], up[rows], loss[rows]
    for option in range(cpu_hz.shape[1] * pieces):
        level, piece = option // pieces, option % pieces
        low = lows[rows, piece]
        slope, constant, high = segment(
            cpu_hz[rows, level],
            costs[rows],
            per_hzs[rows],
            fractions_per_hz[rows],
            highs[rows, piece],
            gains[rows, piece],
            constants[rows, piece],
        )
        feasible = high >= low  # false for padding, which is NaN
        elsewhere = feasible & (own_level != level)
        for end in range(2):
            d = low if end == 0 else high
            w, v = u * d, slope * d + constant
            more, less = feasible & (w > own_w), feasible & (w < own_w)
            # Where neither holds, the quotient is not used.
            turn = (own_v - v) / _pick(more | less, w - own_w, 1.0)
            most = _pick(more, np.minimum(most, turn), most)
            least = _pick(less, np.maximum(least, turn), least)
            moved = (own_v - v) + price * (own_w - w)
            lost = _pick(elsewhere, np.minimum(lost, moved), lost)
    down[rows], up[rows], loss[rows] = least, most, lost


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
    for i in range(units.size):
        _margins_rows(
            i,
            units,
            costs,
            per_hzs,
            fractions_per_hz,
            lows,
            highs,
            gains,
            constants,
            cpu_hz,
            price,
            code,
            chosen_w,
            chosen_v,
            down,
            up,
            loss,
        )
