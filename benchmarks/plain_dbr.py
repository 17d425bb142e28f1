"""The peer: DBR as one would write it first, a NumPy loop over organizations.

Each organization evaluates its two bounds and the stationary point at every level, all
levels at once, from Eq. (11). Nothing is shared with the solver that it is compared with.
"""

from __future__ import annotations

import numpy as np

from tradefl import CoopetitionGame, SqrtLoss


def plain_dbr(game: CoopetitionGame) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(d, f)`` at the equilibrium that sequential best responses reach."""
    model = game.accuracy
    if not isinstance(model, SqrtLoss):
        raise TypeError("the plain loop knows the sqrt-loss model only")
    g = model.epochs
    net_profit = game.profitability - game.competition.dot(game.profitability)
    paid_per_bit = game.incentive_intensity * game.competition.row_sums()
    room = game.deadline_seconds - game.download_seconds - game.upload_seconds
    d = np.full(game.size, game.min_data_fraction)
    f = game.cpu_levels_hz[:, -1].copy()
    omega = float(d @ game.data_units)
    moved = True
    while moved:
        moved = False
        for i in range(game.size):
            u, s, levels = game.data_units[i], game.data_bits[i], game.cpu_levels_hz[i]
            others = omega - d[i] * u
            most = np.minimum(1.0, room[i] * levels / (game.cycles_per_bit[i] * s))
            slope = paid_per_bit[i] * s - (
                game.overhead_weight * game.capacitance * levels**2 * game.cycles_per_bit[i] * s
            )
            with np.errstate(divide="ignore", invalid="ignore"):
                target = (2.0 * np.sqrt(g) * -slope / (net_profit[i] * u)) ** (-2.0 / 3.0)
            inner = np.where(slope < 0.0, (target - others) / u, most)
            least = np.full_like(most, game.min_data_fraction)
            candidates = np.stack([least, np.clip(inner, least, most), most])
            payoff = (
                net_profit[i] * model.value(others + candidates * u)
                + slope * candidates
                + paid_per_bit[i] * game.compute_weight * levels
            )
            payoff[:, most < game.min_data_fraction] = -np.inf
            row, level = np.unravel_index(np.argmax(payoff), payoff.shape)
            best_d, best_f = candidates[row, level], levels[level]
            if abs(best_d - d[i]) * u > 1e-12 * omega or best_f != f[i]:
                omega = others + best_d * u
                d[i], f[i] = best_d, best_f
                moved = True
    return d, f
