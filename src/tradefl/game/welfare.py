r"""Social welfare as a function of what everybody contributes; redistribution cancels from it.

With ``z_j = p_j - w_j`` and ``w_j = sum_k rho_jk p_k``,

    W(pi) = (sum_j z_j) P(Omega) + sum_j w_j P(Omega - u_j d_j) - sum_j overhead_j
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.payoff import damage, overhead, revenue
from tradefl.game.strategy import StrategyProfile

Array = npt.NDArray[np.float64]


def payoffs_without_redistribution(game: CoopetitionGame, profile: StrategyProfile) -> Array:
    """Return ``payoff0_i = revenue_i - overhead_i - damage_i``, shape ``(N,)``."""
    return revenue(game, profile) - overhead(game, profile) - damage(game, profile)


def social_welfare(game: CoopetitionGame, profile: StrategyProfile) -> float:
    """Return ``W``: the sum of all payoffs, payoff units."""
    return float(payoffs_without_redistribution(game, profile).sum())


def price_of_anarchy(optimum: float, welfare: float) -> float | None:
    """Return ``W(pi*) / W``: 1 at the optimum, more below it.

    ``None`` where the welfare is not positive: there the ratio compares nothing.
    """
    return optimum / welfare if welfare > 0.0 else None


def welfare_gradient(game: CoopetitionGame, profile: StrategyProfile) -> Array:
    """Return ``dW / dd_i`` at everybody's level, shape ``(N,)``.

    ``u_i [ (sum_j z_j) P'(Omega) + sum_{j != i} w_j P'(Omega - u_j d_j) ] - overhead'_i``.
    """
    derivative, weights = game.accuracy.derivative, game.competitors_profitability
    omega = game.omega(profile)
    others = np.maximum(omega - profile.data_fraction * game.data_units, 0.0)
    without = weights * np.asarray(derivative(others))
    price = game.potential_weights.sum() * float(derivative(omega)) + without.sum() - without
    joules = game.capacitances * profile.cpu_hz**2 * game.cycles_per_bit * game.data_bits
    return np.asarray(game.data_units * price - game.overhead_weight * joules - game.data_cost)


def deviation_welfare(
    game: CoopetitionGame, profile: StrategyProfile, i: int
) -> Callable[[float, float], float]:
    """Return what all together gain when i moves to ``(d, f)``, as a function of both."""
    value, weights = game.accuracy.value, np.delete(game.competitors_profitability, i)
    u, total = float(game.data_units[i]), float(game.potential_weights.sum())
    d_now, f_now = float(profile.data_fraction[i]), float(profile.cpu_hz[i])
    omega = game.omega(profile)
    rest = np.delete(profile.data_fraction * game.data_units, i)
    # Without i's own data nothing changes: own w_i P(Omega - u_i d_i) stays as it is.
    energy = game.overhead_weight * float(game.capacitances[i])
    cycles = energy * float(game.cycles_per_bit[i] * game.data_bits[i])
    data_cost = float(game.data_cost[i])
    now, now_without = float(value(omega)), value(np.maximum(omega - rest, 0.0))

    def gain(d: float, f: float) -> float:
        moved = omega + u * (d - d_now)
        better = total * (float(value(moved)) - now)
        better += float(weights @ (value(np.maximum(moved - rest, 0.0)) - now_without))
        better -= data_cost * (d - d_now)
        return better - cycles * (f * f * d - f_now * f_now * d_now)

    return gain
