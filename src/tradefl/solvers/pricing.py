r"""What organizations choose at a price for data: the Lagrangian of the scalar coupling.

In ``(w, v)`` space, ``w = u_i d_i`` being what i adds to Omega and ``v`` what it adds to the
potential besides P, each level is a segment and the potential is

    U = P( sum_i w_i ) + sum_i v_i.

At a data price ``mu`` organization i picks the end of a segment that maximizes ``v + mu w``:
the best of 2m candidates. For any price,

    max_Omega [ P(Omega) - mu Omega ] + sum_i max [ v + mu w ]  >=  max U.

The loops below run over all organizations, in NumPy for some thousands and compiled in
parallel beyond; both evaluate :func:`segment`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.game.strategy import StrategyProfile
from tradefl.solvers.best_response import Players
from tradefl.solvers.compiled import compiled

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]

# From this many strategies (organizations x levels) on, compiled loops repay their loading.
COMPILE_FROM = 50_000

# numba's parallel range once compiled; see tradefl.solvers.compiled.
prange = range


def segment(
    f: Any, data_gain: Any, energy_cost: Any, compute_gain: Any, fraction_per_hz: Any
) -> tuple[Any, Any, Any]:
    """Return ``(slope, constant, h)`` of a level: ``v = slope d + constant`` for ``d <= h``."""
    return data_gain - energy_cost * (f * f), compute_gain * f, np.minimum(1.0, fraction_per_hz * f)


@dataclasses.dataclass(frozen=True, eq=False)
class Choices:
    """What each of K organizations picks at a price; all of shape ``(K,)``.

    ``code = 2 level + end``: end 0 is ``d = D_min``, end 1 is ``d = h``.
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
        compiled(_choose_each)(*some, price, code, w, v)
        return Choices(code, w, v)
    return _choose_all(some, price)


def chosen_profile(players: Players, chosen: Choices) -> StrategyProfile:
    """Return the strategies behind everybody's choices."""
    f = players.cpu_hz[np.arange(chosen.code.size), chosen.code // 2]
    most = np.minimum(1.0, players.fraction_per_hz * f)
    return StrategyProfile(np.where(chosen.code % 2 == 1, most, players.min_fraction), f)


def subset(players: Players, who: Indices) -> Players:
    """Return some of the organizations."""
    everyone = players._asdict()
    del everyone["min_fraction"]
    some = {name: column[who] for name, column in everyone.items()}
    return Players(min_fraction=players.min_fraction, **some)


def _choose_all(players: Players, price: float) -> Choices:
    u, gain, cost, per_hz, fraction_per_hz, low, cpu_hz = players
    code = np.zeros(u.size, dtype=np.int64)
    best, best_w, best_v = np.full(u.size, -np.inf), np.zeros(u.size), np.zeros(u.size)
    for level in range(cpu_hz.shape[1]):
        slope, constant, high = segment(cpu_hz[:, level], gain, cost, per_hz, fraction_per_hz)
        feasible = high >= low  # false for padding, which is NaN
        for end, d in ((0, low), (1, high)):
            w, v = u * d, slope * d + constant
            value = v + price * w
            better = feasible & ((value > best) | ((value == best) & (w < best_w)))
            code[better] = 2 * level + end
            best, best_w = np.where(better, value, best), np.where(better, w, best_w)
            best_v = np.where(better, v, best_v)
    return Choices(code, best_w, best_v)


def _choose_each(
    units: Array,
    gains: Array,
    costs: Array,
    per_hzs: Array,
    fractions_per_hz: Array,
    low: float,
    cpu_hz: Array,
    price: float,
    code: Codes,
    out_w: Array,
    out_v: Array,
) -> None:
    for i in prange(units.size):
        best, best_w, best_v, best_code = -np.inf, 0.0, 0.0, 0
        for level in range(cpu_hz.shape[1]):
            slope, constant, high = segment(
                cpu_hz[i, level], gains[i], costs[i], per_hzs[i], fractions_per_hz[i]
            )
            if not high >= low:
                continue
            for end in range(2):
                d = low if end == 0 else high
                w, v = units[i] * d, slope * d + constant
                value = v + price * w
                if value > best or (value == best and w < best_w):
                    best, best_w, best_v, best_code = value, w, v, 2 * level + end
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
        compiled(_margins_each)(*players, price, chosen.code, chosen.w, chosen.v, down, up, loss)
        return Margins(down, up, loss)
    u, gain, cost, per_hz, fraction_per_hz, low, cpu_hz = players
    for level in range(cpu_hz.shape[1]):
        slope, constant, high = segment(cpu_hz[:, level], gain, cost, per_hz, fraction_per_hz)
        feasible = high >= low
        elsewhere = feasible & (chosen.code // 2 != level)
        for d in (np.full(size, low), high):
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
    gains: Array,
    costs: Array,
    per_hzs: Array,
    fractions_per_hz: Array,
    low: float,
    cpu_hz: Array,
    price: float,
    code: Codes,
    chosen_w: Array,
    chosen_v: Array,
    down: Array,
    up: Array,
    loss: Array,
) -> None:
    for i in prange(units.size):
        for level in range(cpu_hz.shape[1]):
            slope, constant, high = segment(
                cpu_hz[i, level], gains[i], costs[i], per_hzs[i], fractions_per_hz[i]
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
                if level != code[i] // 2:
                    lost = (chosen_v[i] - v) + price * (chosen_w[i] - w)
                    loss[i] = min(loss[i], lost)
