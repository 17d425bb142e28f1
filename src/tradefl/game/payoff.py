r"""The payoff, term by term: Eq. (6)-(11), one function a term.

::

    revenue_i        = p_i P(Omega)
    overhead_i       = varpi_e [ kappa_i f_i^2 eta_i d_i s_i + E_DL T1_i + E_UL T3_i ]
                       + data_cost_i d_i + joining_cost_i
    damage_i         = (sum_j rho_ij p_j) [ P(Omega) - P(Omega - d_i u_i) ]
    redistribution_i = sum_j gamma rho_ij (x_i - x_j)
    payoff_i         = revenue_i - overhead_i - damage_i + redistribution_i

Every function takes the game and a strategy profile and returns an array of shape ``(N,)``
in payoff units, unless it says otherwise. The two costs of the second line are not in the paper
(docs/decisions/043-costs-beyond-the-paper.md); they are 0 unless given.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.strategy import StrategyProfile

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# A budget balances if its sum is within this share of all that is paid and received.
BALANCED = 1e-9


def performance(game: CoopetitionGame, profile: StrategyProfile) -> float:
    """Return ``P(Omega)``, Eq. (4): what training improves the model by. A number.

    The functions of this module also serve :class:`~tradefl.solvers.games.Games`, whose arrays
    have a first axis of games; there it has shape ``(K, 1)``.
    """
    value = game.accuracy.value(game.omega(profile))
    return value if np.ndim(value) else float(value)


def performance_without(game: CoopetitionGame, profile: StrategyProfile) -> Array:
    """Return ``P(Omega - d_i u_i)``: the performance if i withheld its data."""
    omega = game.omega(profile)
    others = np.maximum(omega - profile.data_fraction * game.data_units, 0.0)
    return np.asarray(game.accuracy.value(others), dtype=float)


def revenue(game: CoopetitionGame, profile: StrategyProfile) -> Array:
    """Return ``p_i P(Omega)``, below Eq. (4)."""
    return game.profitability * performance(game, profile)


def compute_joules(game: CoopetitionGame, profile: StrategyProfile) -> Array:
    """Return ``kappa f_i^2 eta_i d_i s_i``, the energy of training, J (Section III-D)."""
    cycles = game.cycles_per_bit * profile.data_fraction * game.data_bits
    return np.asarray(game.capacitances * profile.cpu_hz**2 * cycles)


def communication_joules(game: CoopetitionGame) -> Array:
    """Return ``E_DL T1_i + E_UL T3_i``, the energy of both transfers, J (Section III-D)."""
    download = game.download_watts * game.download_seconds
    return np.asarray(download + game.upload_watts * game.upload_seconds)


def data_costs(game: CoopetitionGame, profile: StrategyProfile) -> Array:
    """Return ``data_cost_i d_i``: what it takes to prepare the data that is contributed."""
    return np.asarray(game.data_cost * profile.data_fraction)


def overhead(game: CoopetitionGame, profile: StrategyProfile) -> Array:
    """Return ``varpi_e E_i + data_cost_i d_i + joining_cost_i``, with E_i of Eq. (8)."""
    joules = compute_joules(game, profile) + communication_joules(game)
    costs = data_costs(game, profile) + game.joining_cost
    return np.asarray(game.overhead_weight * joules + costs)


def damage(game: CoopetitionGame, profile: StrategyProfile) -> Array:
    """Return ``D_i = sum_j rho_ij p_j [P(Omega) - P(Omega - d_i u_i)]``, Eq. (6) and (7)."""
    gain = performance(game, profile) - performance_without(game, profile)
    return game.competitors_profitability * gain


def damage_by_competitor(
    game: CoopetitionGame, profile: StrategyProfile, i: int
) -> tuple[Indices, Array]:
    """Return i's competitors ``j`` and ``rho_ij varpi_j``, what i loses to each, Eq. (6)-(7)."""
    competitors, rho = game.competition.row(i)
    gain = performance(game, profile) - float(performance_without(game, profile)[i])
    return competitors, rho * game.profitability[competitors] * gain


def redistribution(game: CoopetitionGame, profile: StrategyProfile) -> Array:
    """Return ``R_i = sum_j r_ij``, Eq. (9) and (10)."""
    return game.mechanism.redistribution(game, profile)


@dataclasses.dataclass(frozen=True, eq=False)
class Payoffs:
    """All terms of Eq. (11) for one profile, each of shape ``(N,)``, in payoff units.

    ``paid_out`` is what the rule's payee receives, who is no organization; 0 without one.
    """

    performance: float
    revenue: Array
    overhead: Array
    damage: Array
    redistribution: Array
    paid_out: Any = 0.0

    @property
    def payoff(self) -> Array:
        """``C_i``, Eq. (11)."""
        return self.revenue - self.overhead - self.damage + self.redistribution

    @property
    def deficit(self) -> float:
        """``sum_i R_i`` with a payee: what comes from outside; 0 where the budget balances."""
        needed = math.fsum([*self.redistribution.ravel().tolist(), float(np.sum(self.paid_out))])
        size = float(np.abs(self.redistribution).sum())
        return needed if abs(needed) > BALANCED * size else 0.0

    @property
    def social_welfare(self) -> float:
        """``sum_i C_i`` and what a payee receives, without money from outside."""
        return float(self.payoff.sum() + self.paid_out) - self.deficit


def payoffs(game: CoopetitionGame, profile: StrategyProfile) -> Payoffs:
    """Return every term of Eq. (11) for every organization."""
    return Payoffs(
        performance=performance(game, profile),
        revenue=revenue(game, profile),
        overhead=overhead(game, profile),
        damage=damage(game, profile),
        redistribution=redistribution(game, profile),
        paid_out=game.mechanism.paid_out(game, profile),
    )
