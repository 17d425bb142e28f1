r"""Would they join, and would they stay? What organizations have without the consortium.

*Alone.* An organization that stays out can still train a model on its own data, and nobody else
gets that model. With the deadline without transfers, and no least amount of data,

    alone_i = max(0, max over d and level of  p_i P(u_i d) - overhead of that data alone)

(no transfers, no joining cost). ``payoff_i >= alone_i`` is the participation constraint of an
organization that can train alone; ``payoff_i >= 0`` (Definition 3) is that of one without any
model, as theorem T0 says: with the *market utility*

    V_i = p_i q_i - sum_j rho_ij p_j q_j - overhead_i + transfers_i

where organization j ends up with a model of performance ``q_j``,

    payoff_i without transfers = V_i(i joins) - V_i(i stays out without a model, others unchanged).

*Coalitions.* Only members of S contribute, and only they get the model. In the *literal* reading
the members share Eq. (11) among themselves, with damage from members only. In the *market* reading
they share what they earn in the market, with outsiders' models harming them. The best that a
coalition can do is an optimization; :mod:`tradefl.stability` does it. Here are its pieces.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.inversion import inverse_derivative
from tradefl.game.payoff import Payoffs, overhead, payoffs, performance, performance_without
from tradefl.game.strategy import StrategyProfile

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# Payoffs and what training alone brings are equal to within this share of the terms of a payoff.
TOLERANCE = 1e-9


@dataclasses.dataclass(frozen=True, eq=False)
class Alone:
    """What each organization does best when it trains by itself; all of shape ``(N,)``.

    Attributes
    ----------
    payoff
        ``alone_i >= 0``, payoff units.
    data_fraction
        The share of its data that it then trains on; 0 where training alone does not pay.
    cpu_hz
        The level, Hz.
    performance
        ``P(u_i d_i)``: the performance of its own model.
    """

    payoff: Array
    data_fraction: Array
    cpu_hz: Array
    performance: Array


def training_alone(game: CoopetitionGame) -> Alone:
    """Return what each organization does best when it trains by itself.

    Its levels and its deadline, without the time of transfers; no least amount of data; neither
    transfers nor the joining cost, but the cost of its data. O(N m).
    """
    n, levels = game.size, game.cpu_levels_hz
    with np.errstate(divide="ignore", over="ignore"):
        per_hz = game.deadline_seconds / (game.cycles_per_bit * game.data_bits)
    payoff, d, f = np.zeros(n), np.zeros(n), levels[:, 0].copy()
    p, u = game.profitability, game.data_units
    onset = float(game.accuracy.onset)
    nothing = np.zeros(n)
    for level in range(levels.shape[1]):
        exists = ~np.isnan(levels[:, level])
        hz = np.where(exists, levels[:, level], levels[:, 0])
        most = np.minimum(1.0, per_hz * hz)
        # Overhead is straight in d: its slope is what a full dataset costs beyond none.
        cost = overhead(game, StrategyProfile(np.ones(n), hz))
        cost = cost - overhead(game, StrategyProfile(nothing, hz))
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            data = inverse_derivative(game.accuracy, cost / (p * u), nothing, u * most)
        # Up to the onset P is zero, so the best is no data, or where P' is as steep as the cost.
        share = np.minimum(np.where(u * most > onset, data / u, 0.0), most)
        value = p * np.asarray(game.accuracy.value(u * share), dtype=float) - cost * share
        better = exists & (value > payoff)
        payoff, d = np.where(better, value, payoff), np.where(better, share, d)
        f = np.where(better, hz, f)
    own = np.asarray(game.accuracy.value(u * d), dtype=float)
    return Alone(payoff, d, f, own)


def alone(game: CoopetitionGame) -> Array:
    """Return ``alone_i``, shape ``(N,)``: what each earns when it trains by itself."""
    return training_alone(game).payoff


def market_utilities(
    game: CoopetitionGame, profile: StrategyProfile, terms: Payoffs | None = None
) -> Array:
    """Return ``V_i`` when all train together, shape ``(N,)``.

    ``V_i = payoff_i - w_i P(Omega - u_i d_i)`` with ``w_i = sum_j rho_ij p_j``: revenue minus all
    that the rivals' model costs, minus overhead, plus transfers.
    """
    terms = payoffs(game, profile) if terms is None else terms
    without = performance_without(game, profile)
    return np.asarray(terms.payoff - game.competitors_profitability * without)


def rivals_within(game: CoopetitionGame, members: Indices) -> Array:
    """Return ``w_i^S = sum_{j in S} rho_ij p_j`` of the members, shape ``(n,)``."""
    inside = np.zeros(game.size)
    inside[members] = game.profitability[members]
    return np.asarray(game.competition.dot(inside))[members]


def market_weight(game: CoopetitionGame, members: Indices) -> float:
    """Return ``Z(S) = sum_{i in S} (p_i - w_i^S)``, what one unit of P is worth to the members."""
    return float((game.profitability[members] - rivals_within(game, members)).sum())


def coalition_payoffs(game: CoopetitionGame, members: Indices, profile: StrategyProfile) -> Array:
    """Return the members' payoffs of Eq. (11) without redistribution, shape ``(n,)``.

    Parameters
    ----------
    game
        The game.
    members
        Who trains together, shape ``(n,)``: distinct indices.
    profile
        A strategy for everybody in the game; that of an outsider has no effect.
    """
    inside = np.zeros(game.size)
    inside[members] = 1.0
    together = StrategyProfile(profile.data_fraction * inside, profile.cpu_hz)
    gained = performance(game, together)
    lost = rivals_within(game, members)
    lost = lost * (gained - performance_without(game, together)[members])
    return np.asarray(
        game.profitability[members] * gained - lost - overhead(game, together)[members]
    )


def harm(game: CoopetitionGame, performances: Array) -> Array:
    """Return ``sum_j rho_ij p_j q_j``, shape ``(N,)``: what rivals' models cost each.

    Parameters
    ----------
    game
        The game.
    performances
        ``q``, shape ``(N,)``: the performance of the model that each organization has.
    """
    return np.asarray(game.competition.dot(game.profitability * performances))
