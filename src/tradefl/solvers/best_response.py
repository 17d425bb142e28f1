r"""The best response in closed form, over all levels.

Organizations meet only in the scalar ``Omega``. Given what the others contribute,
organization i maximizes, divided by ``z_i > 0``,

    P(Omega_-i + u_i d) + constant_i + (data_gain_i - energy_cost_i f^2) d + compute_gain_i f

over its levels ``f``, the pieces of its own term, and ``D_min <= d <= h_i(f)``. On one piece of one
level the maximum lies where ``P'(Omega_-i + u_i d) = -slope / u_i``, clipped to the interval:
O(m) work for m levels, times the pieces of the rule, which is one for the paper's.

The functions below run as plain Python for small consortia and any ``P``, and compiled for
large ones (see :mod:`tradefl.solvers.compiled`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.accuracy import (
    Empirical,
    InvertibleAccuracyModel,
    PowerLaw,
    SqrtLoss,
    piecewise_derivative,
    piecewise_inverse,
    piecewise_value,
    power_law_derivative,
    power_law_inverse,
    power_law_value,
    sqrt_loss_derivative,
    sqrt_loss_inverse,
    sqrt_loss_value,
)
from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.potential import own_term
from tradefl.game.strategy import StrategyProfile

Array = npt.NDArray[np.float64]


class Player(NamedTuple):
    """One organization as its best response sees it, divided by its ``z_i``.

    ``low``, ``high``, ``data_gain`` and ``constant`` have shape ``(K,)``, one for each piece of
    its own term (:class:`~tradefl.game.OwnTerm`).
    """

    data_units: float
    energy_cost: float
    compute_gain: float
    fraction_per_hz: float
    low: Array
    high: Array
    data_gain: Array
    constant: Array


class Players(NamedTuple):
    """The same for all organizations: ``(N,)``, the pieces ``(N, K)``, the levels ``(N, m)``."""

    data_units: Array
    energy_cost: Array
    compute_gain: Array
    fraction_per_hz: Array
    low: Array
    high: Array
    data_gain: Array
    constant: Array
    cpu_hz: Array


def players(game: CoopetitionGame) -> Players:
    """Return what the best responses of a game need."""
    own = own_term(game)
    return Players(
        data_units=game.data_units,
        energy_cost=own.energy_cost,
        compute_gain=own.compute_gain,
        fraction_per_hz=game.data_fraction_per_hz,
        low=own.low,
        high=own.high,
        data_gain=own.data_gain,
        constant=own.constant,
        cpu_hz=game.cpu_levels_hz,
    )


def player(players: Players, i: int) -> Player:
    """Return organization i of them."""
    return Player(
        players.data_units[i],
        players.energy_cost[i],
        players.compute_gain[i],
        players.fraction_per_hz[i],
        players.low[i],
        players.high[i],
        players.data_gain[i],
        players.constant[i],
    )


# --- P as the loops see it: in plain Python a model, compiled a tuple of its numbers -----------


def accuracy_value(accuracy: Any, omega: float) -> float:
    """Return ``P(Omega)``."""
    return float(accuracy.value(omega))


def accuracy_derivative(accuracy: Any, omega: float) -> float:
    """Return ``P'(Omega)``."""
    return float(accuracy.derivative(omega))


def accuracy_inverse(accuracy: Any, slope: float) -> float:
    """Return the largest ``Omega`` with ``P'(Omega) >= slope``."""
    return float(accuracy.inverse_derivative(slope))


def accuracy_onset(accuracy: Any) -> float:
    """Return where ``P`` leaves zero."""
    return float(accuracy.onset)


def _sqrt_loss_value(numbers: Any, omega: float) -> Any:
    return sqrt_loss_value(omega, numbers[0], numbers[1], numbers[2])


def _sqrt_loss_derivative(numbers: Any, omega: float) -> Any:
    return sqrt_loss_derivative(omega, numbers[0], numbers[2])


def _sqrt_loss_inverse(numbers: Any, slope: float) -> float:
    return sqrt_loss_inverse(slope, numbers[0], numbers[2])


def _power_law_value(numbers: Any, omega: float) -> Any:
    return power_law_value(omega, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4])


def _power_law_derivative(numbers: Any, omega: float) -> Any:
    return power_law_derivative(omega, numbers[1], numbers[2], numbers[4])


def _power_law_inverse(numbers: Any, slope: float) -> float:
    return power_law_inverse(slope, numbers[1], numbers[2], numbers[4])


def _piecewise_value(curve: Any, omega: float) -> Any:
    return piecewise_value(omega, curve[0], curve[1])


def _piecewise_derivative(curve: Any, omega: float) -> Any:
    return piecewise_derivative(omega, curve[0], curve[2])


def _piecewise_inverse(curve: Any, slope: float) -> float:
    return piecewise_inverse(slope, curve[0], curve[2])


def _last_number(numbers: Any) -> Any:
    return numbers[-1]


StandIns = dict[Callable[..., Any], Callable[..., Any]]


def _stand_ins(value: Any, derivative: Any, inverse: Any) -> StandIns:
    return {
        accuracy_value: value,
        accuracy_derivative: derivative,
        accuracy_inverse: inverse,
        accuracy_onset: _last_number,
    }


_SQRT_LOSS = _stand_ins(_sqrt_loss_value, _sqrt_loss_derivative, _sqrt_loss_inverse)
_POWER_LAW = _stand_ins(_power_law_value, _power_law_derivative, _power_law_inverse)
_EMPIRICAL = _stand_ins(_piecewise_value, _piecewise_derivative, _piecewise_inverse)


def compiled_accuracy(model: InvertibleAccuracyModel) -> tuple[tuple[Any, ...], StandIns] | None:
    """Return a built-in model for compiled loops; ``None`` for a user's own.

    The first part takes the model's place as an argument of the loops, the second one names
    the functions that read it (see :func:`tradefl.solvers.compiled.compiled`).
    """
    if isinstance(model, SqrtLoss):
        return (float(model.epochs), float(model.untrained_loss), model.onset), _SQRT_LOSS
    if isinstance(model, PowerLaw):
        numbers = (model.untrained_loss, model.scale, model.exponent, model.floor, model.onset)
        return tuple(float(number) for number in numbers), _POWER_LAW
    if isinstance(model, Empirical):
        return (model.knots, model.values, model.slopes, model.onset), _EMPIRICAL
    return None


# --- the best response -------------------------------------------------------------------------


def best_fraction(
    accuracy: Any, omega_others: float, data_units: float, slope: float, low: float, high: float
) -> float:
    """Return the d in ``[low, high]`` that maximizes ``P(omega_others + data_units d) + slope d``.

    ``P`` is zero up to its onset and concave from there on. Where it is concave on the whole
    interval, the signs of the derivative at the ends decide most cases; otherwise the maximum
    is where the derivative vanishes or, when the interval starts below the onset, at ``low``.
    """
    concave = omega_others + data_units * low >= accuracy_onset(accuracy)
    if concave:
        if accuracy_derivative(accuracy, omega_others + data_units * low) * data_units < -slope:
            return low
        if accuracy_derivative(accuracy, omega_others + data_units * high) * data_units >= -slope:
            return high
    target = (accuracy_inverse(accuracy, -slope / data_units) - omega_others) / data_units
    d = min(max(target, low), high)
    if not concave and slope < 0.0:
        at_target = accuracy_value(accuracy, omega_others + data_units * d) + slope * d
        if at_target <= accuracy_value(accuracy, omega_others + data_units * low) + slope * low:
            d = low
    return d


def best_strategy(
    accuracy: Any, player: Player, cpu_hz: Array, omega_others: float, d_now: float
) -> tuple[float, float, float, float]:
    """Return the best response ``(d, f, P + own, own)``, the last two in units of U.

    ``cpu_hz`` holds the organization's levels, ``(m,)``; ``d_now`` is what it contributes now.
    ``P`` lies below its tangent at ``d_now``, which bounds what each piece of each level can
    give. The one with the highest bound is evaluated first, then only those whose bound is not
    below what is in hand: for most organizations one of all. Of equally good levels the slowest
    wins.
    """
    u, cost, per_hz, fraction_per_hz, lows, highs, gains, constants = player
    pieces = lows.size
    omega_now = omega_others + u * d_now
    value_now = accuracy_value(accuracy, omega_now)
    tangent = u * accuracy_derivative(accuracy, omega_now)
    concave = omega_others + u * lows[0] >= accuracy_onset(accuracy)

    first, highest = -1, -np.inf
    for option in range(cpu_hz.size * pieces):
        level, piece = option // pieces, option % pieces
        f = cpu_hz[level]
        low, high = lows[piece], fraction_per_hz * f
        if high >= low and highs[piece] >= low:  # false for padding, which is NaN
            steepest = tangent + gains[piece] - cost * (f * f)
            end = min(highs[piece], high) if steepest > 0.0 else low
            bound = steepest * end + constants[piece] + per_hz * f
            if bound > highest:
                first, highest = option, bound

    best_d, best_f, best_value, best_own = 0.0, 0.0, -np.inf, 0.0
    for step in range(cpu_hz.size * pieces + 1):
        option = first if step == 0 else step - 1
        level, piece = option // pieces, option % pieces
        f = cpu_hz[level]
        low, high = lows[piece], min(highs[piece], fraction_per_hz * f)
        # The minimum with NaN is no NaN, so padding is known by f.
        if (step > 0 and option == first) or not (f > 0.0 and high >= low):
            continue
        slope = gains[piece] - cost * (f * f)
        if step > 0 and concave:
            steepest = tangent + slope
            end = high if steepest > 0.0 else low
            most = steepest * end + constants[piece]
            if value_now + most - tangent * d_now + per_hz * f < best_value:
                continue
        d = best_fraction(accuracy, omega_others, u, slope, low, high)
        own = slope * d + constants[piece] + per_hz * f
        value = accuracy_value(accuracy, omega_others + u * d) + own
        if value > best_value or (value == best_value and f < best_f):
            best_d, best_f, best_value, best_own = d, f, value, own
    return best_d, best_f, best_value, best_own


def best_response(game: CoopetitionGame, profile: StrategyProfile, i: int) -> tuple[float, float]:
    """Return the strategy ``(d_i, f_i)`` that maximizes i's payoff against ``pi_-i``, Eq. (24).

    Parameters
    ----------
    game
        The game.
    profile
        What everybody contributes now.
    i
        The organization that may move, counted from 0.
    """
    d_now = float(profile.data_fraction[i])
    others = max(game.omega(profile) - d_now * float(game.data_units[i]), 0.0)
    everyone = players(game)
    me = player(everyone, i)
    d, f, _, _ = best_strategy(game.accuracy, me, everyone.cpu_hz[i], others, d_now)
    return float(d), float(f)
