r"""What coalitions are worth at a profile: performances of subsets, times fixed coefficients.

At a profile ``pi`` the members of S together have, in the literal reading of Eq. (11),

    v_pi(S) = Z(S) P(Omega_S) + sum_{j in S} w_j^S P(Omega_S - u_j d_j) - sum_{j in S} overhead_j

with ``w_j^S = sum_{k in S} rho_jk p_k`` and ``Z(S) = sum_{j in S} (p_j - w_j^S)``. It is linear in
the ``2^N`` performances ``P(Omega_T)``, with coefficients that no contribution changes, and so is
every value that is linear in ``v``, such as Shapley's.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tradefl.game import CoopetitionGame
from tradefl.mechanisms.weighted import rivalry

Array = npt.NDArray[np.float64]

# Beyond, tables of all coalitions at many profiles take too long, and too much memory.
MOST_ORGANIZATIONS = 14


def misfit(size: int) -> str:
    """Return why all coalitions of so many organizations are too many; empty if they are not."""
    most = MOST_ORGANIZATIONS
    return "" if size <= most else f"expected at most {most} organizations, got {size}"


def members(size: int) -> Array:
    """Return who is in each coalition, 0.0 or 1.0, ``(2^N, N)``: row m has the bits of m."""
    return np.asarray((np.arange(1 << size)[:, None] >> np.arange(size)) & 1, dtype=float)


@lru_cache(maxsize=64)
def shapley_weights(size: int) -> Array:
    """Return the matrix, ``(N, 2^N)``, that takes a game's values to its Shapley value."""
    inside = members(size)
    count = inside.sum(axis=1).astype(int)
    with_it, without = np.zeros(size + 1), np.zeros(size + 1)
    for k in range(size):
        weight = math.factorial(k) * math.factorial(size - k - 1) / math.factorial(size)
        with_it[k + 1], without[k] = weight, weight
    found = np.where(inside.T == 1.0, with_it[count], -without[count])
    found.flags.writeable = False
    return np.asarray(found)


@lru_cache(maxsize=16)
def shapley_coefficients(game: CoopetitionGame) -> Array:
    """Return ``A``, shape ``(N, 2^N)``: gross of costs, ``phi_i = sum_T A_iT P(Omega_T)``."""
    n, p = game.size, game.profitability
    inside, weights = members(n), shapley_weights(n)
    harm = (inside * p) @ rivalry(game)  # w_j^S, (2^N, N)
    found = weights * (inside @ p - (inside * harm).sum(axis=1))
    for j in range(n):
        rows = np.flatnonzero(inside[:, j])
        found[:, rows - (1 << j)] += weights[:, rows] * harm[rows, j]
    found.flags.writeable = False
    return np.asarray(found)
