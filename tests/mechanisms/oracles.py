"""What each mechanism pays, from its definition, in plain loops; nothing of tradefl.mechanisms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
from tests.support import Eq11

from tradefl.game import CoopetitionGame, StrategyProfile
from tradefl.solvers import solve

Payoffs = Callable[[StrategyProfile], list[float]]


class Plain:
    """A game in plain loops."""

    def __init__(self, game: CoopetitionGame) -> None:
        self.game, self.n = game, game.size
        self.eq11 = Eq11(game.with_incentive_intensity(0.0))
        self.rho, self.p = self.eq11.rho, game.profitability

    def data(self, profile: StrategyProfile) -> list[float]:
        return [float(profile.data_fraction[i] * self.game.data_units[i]) for i in range(self.n)]

    def performance(self, omega: float) -> float:
        return float(self.eq11.performance(omega))

    def bare(self, profile: StrategyProfile) -> list[float]:
        return [float(self.eq11.payoff0(profile, i)) for i in range(self.n)]

    def coalition(self, profile: StrategyProfile, members: tuple[int, ...]) -> float:
        """Return what the members have by Eq. (11) if only they contribute and get the model."""
        q = self.data(profile)
        total = math.fsum(q[i] for i in members)
        value = self.performance(total)
        worth = []
        for i in members:
            _, overhead, _, _ = self.eq11.terms(
                profile, i, float(profile.data_fraction[i]), float(profile.cpu_hz[i])
            )
            harm = sum(self.rho[i, j] * self.p[j] for j in members if j != i)
            lost = harm * (value - self.performance(max(total - q[i], 0.0)))
            worth.append(self.p[i] * value - lost - float(overhead))
        return math.fsum(worth)


def shapley(plain: Plain) -> Payoffs:
    def payoffs(profile: StrategyProfile) -> list[float]:
        everyone = range(plain.n)
        worth = {
            members: plain.coalition(profile, members)
            for size in range(plain.n + 1)
            for members in itertools.combinations(everyone, size)
        }
        total = [0.0] * plain.n
        orders = list(itertools.permutations(everyone))
        for order in orders:
            for k, i in enumerate(order):
                before, after = tuple(sorted(order[:k])), tuple(sorted(order[: k + 1]))
                total[i] += worth[after] - worth[before]
        return [entry / len(orders) for entry in total]

    return payoffs


def leave_one_out(plain: Plain) -> Payoffs:
    def payoffs(profile: StrategyProfile) -> list[float]:
        everyone = tuple(range(plain.n))
        whole = plain.coalition(profile, everyone)
        brings = [
            max(whole - plain.coalition(profile, tuple(j for j in everyone if j != i)), 0.0)
            for i in everyone
        ]
        if not sum(brings):  # below the onset nobody brings anything
            return [whole / plain.n] * plain.n
        return [whole * bring / sum(brings) for bring in brings]

    return payoffs


def by_data(plain: Plain) -> Payoffs:
    def payoffs(profile: StrategyProfile) -> list[float]:
        q, whole = plain.data(profile), sum(plain.bare(profile))
        return [whole * entry / sum(q) for entry in q]

    return payoffs


def equal_split(plain: Plain) -> Payoffs:
    return lambda profile: [sum(plain.bare(profile)) / plain.n] * plain.n


def vcg(plain: Plain) -> Payoffs:
    """Up to what the others have without i, which is a number."""
    return lambda profile: [sum(plain.bare(profile))] * plain.n


def tang_wong(plain: Plain) -> Payoffs:
    """Prices are what a little more of somebody else's data is worth to each at the optimum."""
    optimum = solve(plain.game.with_incentive_intensity(0.0), "planner").profile
    price = []
    for j in range(plain.n):
        k = (j + 1) % plain.n
        step = 1e-6

        def moved(by: float, k: int = k) -> StrategyProfile:
            share = float(optimum.data_fraction[k]) + by
            return optimum.replaced(k, share, float(optimum.cpu_hz[k]))

        more, less = (plain.bare(moved(sign * step))[j] for sign in (1.0, -1.0))
        price.append((more - less) / (2.0 * step * float(plain.game.data_units[k])))

    def payoffs(profile: StrategyProfile) -> list[float]:
        q, bare = plain.data(profile), plain.bare(profile)
        return [bare[i] + sum(price) * q[i] - price[i] * sum(q) for i in range(plain.n)]

    return payoffs


def cocogen(plain: Plain) -> Payoffs:
    def payoffs(profile: StrategyProfile) -> list[float]:
        q, found = plain.data(profile), plain.bare(profile)
        game, total = plain.game, sum(plain.data(profile))
        added = [
            plain.performance(total) - plain.performance(max(total - entry, 0.0)) for entry in q
        ]
        x = [
            float(profile.data_fraction[i] * game.data_bits[i])
            + game.compute_weight * float(profile.cpu_hz[i])
            for i in range(plain.n)
        ]
        for i, j in itertools.permutations(range(plain.n), 2):
            rho = plain.rho[i, j]
            found[i] += game.incentive_intensity * rho * (x[i] - x[j])
            found[i] += rho * plain.p[j] * added[i] - rho * plain.p[i] * added[j]
        return found

    return payoffs


ORACLES = {
    "shapley-profile": shapley,
    "leave-one-out-profile": leave_one_out,
    "by-data-profile": by_data,
    "equal-split": equal_split,
    "vcg": vcg,
    "tang-wong": tang_wong,
    "cocogen": cocogen,
}


def pairwise(game: CoopetitionGame) -> Payoffs:
    """Return the payoffs under a rule that settles pair by pair, from Eq. (9) or (9e)."""
    judge = Eq11(game)
    return lambda profile: list(judge.payoffs(profile))


def best_gain(game: CoopetitionGame, payoffs: Payoffs, profile: StrategyProfile, i: int) -> float:
    """Return the most that i gains by deviating alone: every level on grids that narrow."""
    now, best = payoffs(profile)[i], 0.0
    for f, high in Eq11(game).levels(i):
        low, top = game.min_data_fraction, high
        for points in (41, *[9] * 11):
            grid = np.linspace(low, top, points)
            gains = [payoffs(profile.replaced(i, float(d), f))[i] - now for d in grid]
            k = int(np.argmax(gains))
            best = max(best, gains[k])
            low, top = grid[max(k - 1, 0)], grid[min(k + 1, points - 1)]
    return best
