r"""Regret in loops: the most that one organization could gain by leaving a profile alone.

As :func:`tradefl.game.regret`, for one organization at a time and in numba's subset of Python. For
each level and each piece of the rule, the gain is concave in d below the onset of P, and again
above it. The tangents at the point nearest to the present strategy bound it; where the bound is
above rounding, golden section searches. The closed form of the best response is not used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.game.equilibrium import GOLDEN, ROUNDING, SEARCH_STEPS
from tradefl.solvers.best_response import (
    Player,
    accuracy_derivative,
    accuracy_onset,
    accuracy_value,
)

Array = npt.NDArray[np.float64]


def own_value(me: Player, d: float, f: float) -> float:
    """Return an organization's part of the potential other than P, divided by its ``z_i``."""
    piece = 0
    for k in range(1, me.low.size):
        if me.low[k] <= d:
            piece = k
    slope = me.data_gain[piece] - me.energy_cost * (f * f)
    value: float = slope * d + me.constant[piece] + me.compute_gain * f
    return value


def deviation(
    accuracy: Any, me: Player, cpu_hz: Array, omega_others: float, d_now: float, f_now: float
) -> float:
    """Return the most that an organization could add to U by itself; ``z_i`` times it is regret."""
    u, best = me.data_units, 0.0
    performance = accuracy_value(accuracy, omega_others + u * d_now)
    own_now = own_value(me, d_now, f_now)
    now = performance + own_now
    onset = accuracy_onset(accuracy)
    at_onset = (onset - omega_others) / u
    for level in range(cpu_hz.size):
        f = cpu_hz[level]
        for piece in range(me.low.size):
            low, high = me.low[piece], min(me.high[piece], me.fraction_per_hz * f)
            if not (f > 0.0 and high >= low):  # the minimum with NaN is no NaN
                continue
            slope = me.data_gain[piece] - me.energy_cost * (f * f)
            base = me.constant[piece] + me.compute_gain * f - now
            slack = abs(performance) + abs(own_now) + abs(slope) + abs(base)
            kink = min(max(at_onset, low), high)
            for trained in range(2):
                begin, end = (kink, high) if trained else (low, kink)
                if not trained and begin >= end:
                    continue
                d = min(max(d_now, begin), end)
                omega = omega_others + u * d
                steep = slope
                if trained:  # at the kink rounding may fall below the onset
                    steep += u * accuracy_derivative(accuracy, max(omega, onset))
                bound = accuracy_value(accuracy, omega) + slope * d + base
                bound += max(steep * (begin - d), steep * (end - d))
                if bound > ROUNDING * slack:
                    found = golden(accuracy, omega_others, u, slope, base, begin, end)
                    best = max(best, found)
    return best


def golden(
    accuracy: Any,
    omega_others: float,
    data_units: float,
    slope: float,
    base: float,
    low: float,
    high: float,
) -> float:
    """Return the largest ``P(omega_others + data_units d) + slope d + base`` on [low, high]."""
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left = accuracy_value(accuracy, omega_others + data_units * left) + slope * left
    at_right = accuracy_value(accuracy, omega_others + data_units * right) + slope * right
    best = max(at_left, at_right)
    best = max(best, accuracy_value(accuracy, omega_others + data_units * low) + slope * low)
    best = max(best, accuracy_value(accuracy, omega_others + data_units * high) + slope * high)
    for _ in range(SEARCH_STEPS):
        if at_left >= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = accuracy_value(accuracy, omega_others + data_units * left) + slope * left
            best = max(best, at_left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = accuracy_value(accuracy, omega_others + data_units * right) + slope * right
            best = max(best, at_right)
    return best + base
