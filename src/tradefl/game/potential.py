r"""The weighted potential of the coopetition game, corrected (erratum E1) and as printed.

Corrected::

    U(pi) = P(Omega) + sum_i [ gamma rho_i. x_i - c_i(f_i) d_i ] / z_i
    c_i(f) = varpi_e kappa_i f^2 eta_i s_i + data_cost_i
    C_i(pi) - C_i(pi') = z_i [ U(pi) - U(pi') ]      for every unilateral deviation of i

``gamma rho_i. x_i`` is what i's own strategy adds to its redistribution under the paper's rule;
under the efficient rule ``phi_i(d_i)`` takes its place (:mod:`tradefl.game.rules`). What an
organization pays once for joining changes no deviation and is not in ``U``.

so a maximizer of ``U`` is a Nash equilibrium, and every improving move raises ``U``.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.payoff import compute_joules, data_costs, performance, redistribution
from tradefl.game.strategy import StrategyProfile

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class OwnTerm:
    """What organization i adds to U in addition to ``P``, as a function of its own strategy.

    ``own_i(d, f) = constant + (data_gain - energy_cost f^2) d + compute_gain f`` on the piece with
    ``low <= d <= high``: ``alpha d + beta`` at each level (docs/explanation/exact-algorithm.md).
    The paper's rule has one piece, the efficient rule one between every two breakpoints.

    Attributes
    ----------
    low, high
        Shape ``(N, K)``: where each piece begins and ends; D_min is heeded, deadlines are not.
        A piece below D_min has ``low > high``.
    data_gain, constant
        Shape ``(N, K)``; ``data_gain`` is what a full dataset earns from the rule less what it
        costs to prepare.
    energy_cost, compute_gain
        Shape ``(N,)``.
    """

    low: Array
    high: Array
    data_gain: Array
    constant: Array
    energy_cost: Array
    compute_gain: Array

    def at(self, d: Array, f: Array) -> Array:
        """Return ``own_i(d, f)``, shape ``(N,)`` or ``(N, points)`` as d and f are."""
        d, f = np.asarray(d), np.asarray(f)
        points = d.reshape(d.shape[0], -1)
        piece = np.clip((self.low[:, None, :] <= points[:, :, None]).sum(axis=2) - 1, 0, None)
        row = np.arange(points.shape[0])[:, None]
        gain, constant = (
            table[row, piece].reshape(d.shape) for table in (self.data_gain, self.constant)
        )
        column = (slice(None),) + (None,) * (d.ndim - 1)
        return np.asarray(
            (gain - self.energy_cost[column] * f**2) * d + constant + self.compute_gain[column] * f
        )

    def value(self, profile: StrategyProfile) -> Array:
        """Return ``own_i``, shape ``(N,)``."""
        return self.at(profile.data_fraction, profile.cpu_hz)


def own_term(game: CoopetitionGame) -> OwnTerm:
    """Return the coefficients of what each organization adds to the potential."""
    z = game.potential_weights
    pieces = game.separable.pieces(game)
    cycles = game.cycles_per_bit * game.data_bits
    return OwnTerm(
        low=np.maximum(pieces.low, np.asarray(game.min_data_fraction)[..., None]),
        high=pieces.high,
        data_gain=pieces.gain / z[..., None] - (game.data_cost / z)[..., None],
        constant=pieces.constant / z[..., None],
        energy_cost=game.overhead_weight * game.capacitances * cycles / z,
        compute_gain=pieces.per_hz / z,
    )


def potential(game: CoopetitionGame, profile: StrategyProfile) -> float:
    """Return the corrected potential ``U`` (E1), dimensionless."""
    return performance(game, profile) + float(own_term(game).value(profile).sum())


def potential_as_printed(game: CoopetitionGame, profile: StrategyProfile) -> float:
    """Return Eq. (15) as the paper prints it. For comparison only: it is not a potential.

    Its redistribution term misses that ``r_ji`` changes too when i deviates; with equal
    weights and symmetric rho it even cancels to zero.
    """
    cost = game.overhead_weight * compute_joules(game, profile) + data_costs(game, profile)
    terms = (cost - redistribution(game, profile)) / game.potential_weights
    return performance(game, profile) - float(terms.sum())
