r"""The weighted potential of the coopetition game, corrected (erratum E1) and as printed.

Corrected::

    U(pi) = P(Omega) + sum_i [ gamma rho_i. x_i - varpi_e kappa f_i^2 eta_i d_i s_i ] / z_i
    C_i(pi) - C_i(pi') = z_i [ U(pi) - U(pi') ]      for every unilateral deviation of i

so a maximizer of ``U`` is a Nash equilibrium, and every improving move raises ``U``.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.payoff import compute_joules, performance, redistribution
from tradefl.game.strategy import StrategyProfile

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class OwnTerm:
    """What organization i adds to U besides ``P``, as a function of its own strategy.

    ``own_i(d, f) = (data_gain_i - energy_cost_i f^2) d + compute_gain_i f``, that is
    ``alpha d + beta`` of THEORY.md section 5 at each level; all of shape ``(N,)``.
    """

    data_gain: Array
    energy_cost: Array
    compute_gain: Array

    def value(self, profile: StrategyProfile) -> Array:
        """Return ``own_i``, shape ``(N,)``."""
        d, f = profile.data_fraction, profile.cpu_hz
        return (self.data_gain - self.energy_cost * f**2) * d + self.compute_gain * f


def own_term(game: CoopetitionGame) -> OwnTerm:
    """Return the coefficients of what each organization adds to the potential."""
    z = game.potential_weights
    cycles = game.cycles_per_bit * game.data_bits
    return OwnTerm(
        data_gain=game.rule.marginal_per_fraction(game) / z,
        energy_cost=game.overhead_weight * game.capacitance * cycles / z,
        compute_gain=game.rule.marginal_per_hz(game) / z,
    )


def potential(game: CoopetitionGame, profile: StrategyProfile) -> float:
    """Return the corrected potential ``U`` (E1), dimensionless."""
    return performance(game, profile) + float(own_term(game).value(profile).sum())


def potential_as_printed(game: CoopetitionGame, profile: StrategyProfile) -> float:
    """Return Eq. (15) as the paper prints it. For comparison only: it is no potential.

    Its redistribution term misses that ``r_ji`` changes too when i deviates; with equal
    weights and symmetric rho it even cancels to zero.
    """
    cost = game.overhead_weight * compute_joules(game, profile)
    terms = (cost - redistribution(game, profile)) / game.potential_weights
    return performance(game, profile) - float(terms.sum())
