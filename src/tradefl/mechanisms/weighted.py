r"""Transfers that are weighted sums of a few performances, and their parts.

Apart from what does not depend on the own strategy,

    t_i = all_i P(Omega) + sum_{j != i} rest_ij P(Omega - u_j d_j) + cost_i overhead_i + gain_i d_i
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game import CoopetitionGame, Parts, StrategyProfile
from tradefl.game.batches import overheads
from tradefl.game.signed import signed_sum

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


class Weights(NamedTuple):
    """The coefficients: ``all``, ``cost`` and ``gain`` of shape ``(N,)``, ``rest`` ``(N, N)``."""

    all: Array
    rest: Array
    cost: Array
    gain: Array


def parts_of(
    game: CoopetitionGame,
    profile: StrategyProfile,
    i: Indices,
    d: Array,
    f: Array,
    weights: Weights,
) -> Parts:
    """Return ``t_i`` in a concave and a convex part, shape ``(K,)`` each."""
    data = profile.data_fraction * game.data_units
    omega = game.omega(profile) - data[i] + d * game.data_units[i]
    less = np.maximum(omega[:, None] - data, 0.0)
    rest = weights.rest[i].copy()
    rest[np.arange(i.size), i] = 0.0  # P(Omega - u_i d_i) does not depend on i's data
    at = np.column_stack([omega, less])
    found = signed_sum(game.accuracy, np.column_stack([weights.all[i], rest]), at)
    alone = np.zeros((i.size, game.size))
    rows = np.arange(i.size)
    alone[rows, i] = d
    hz = np.array(np.broadcast_to(profile.cpu_hz, alone.shape))
    hz[rows, i] = f
    straight = weights.cost[i] * overheads(game, alone, hz)[rows, i] + weights.gain[i] * d
    return Parts(found.concave + straight, found.convex)


def rivalry(game: CoopetitionGame) -> Array:
    """Return ``rho`` as a dense matrix, shape ``(N, N)``."""
    return np.array([game.competition.dot(unit) for unit in np.eye(game.size)])
