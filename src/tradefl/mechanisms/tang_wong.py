"""A public good at personal prices, after Tang and Wong."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from tradefl.game import CoopetitionGame, Pieces, Separable
from tradefl.solvers import solve

Array = npt.NDArray[np.float64]
TITLE = "personal prices (Tang and Wong)"


@dataclasses.dataclass(frozen=True, eq=False)
class TangWong(Separable):
    r"""``t_i(pi) = L u_i d_i - l_i Omega`` with ``L = sum_j l_j``: the budget always balances.

    The model is a public good: everybody pays its personal price ``l_i`` for each unit of data in
    the training, and the contributor of a unit receives what all pay for it.

    Source: M. Tang and V. W. S. Wong, "An Incentive Mechanism for Cross-Silo Federated Learning: A
    Public Goods Perspective", IEEE INFOCOM 2021. Written from its summary; the full text was not
    at hand. Deviations: there organizations send messages (a proposed amount and a price), and
    prices form at the equilibrium of the messages; here they are those of that equilibrium, worked
    out from complete information,

        l_j = z_j P'(Omega*) + w_j P'(Omega* - u_j d_j*)

    what one more unit of the others' data is worth to j at the social optimum. And the good is
    chosen by each organization's own data and level, not by a common amount; damage to rivals,
    which the public good does not have, is in ``l_j``.

    Parameters
    ----------
    price
        ``l``, shape ``(N,)``, payoff per unit of Omega.
    """

    price: Array

    name = "tang-wong"
    equation = "L u_i d_i - l_i Omega"
    title = TITLE
    uses_compute = False

    def misfit(self, size: int) -> str:
        """Return that there are more or fewer prices than organizations."""
        n = self.price.size
        return "" if n == size else f"expected {size} organizations, got {n}"

    def scaled(self, unit: float) -> TangWong:
        """Return the mechanism with prices times a unit."""
        return TangWong(self.price * unit)

    def transfers(self, game: CoopetitionGame, d: Array, f: Array) -> Array:
        """Return ``L u_i d_i - l_i Omega``, shape ``(..., N)``, payoff units."""
        del f
        data = d * game.data_units
        return np.asarray(self.price.sum() * data - self.price * data.sum(axis=-1, keepdims=True))

    def pieces(self, game: CoopetitionGame) -> Pieces:
        """Return ``(L - l_i) u_i d``: one piece."""
        column = (game.size, 1)
        gain = (self.price.sum() - self.price) * game.data_units
        return Pieces(
            low=np.zeros(column),
            high=np.ones(column),
            gain=gain[:, None],
            constant=np.zeros(column),
            per_hz=np.zeros(game.size),
        )


def make(game: CoopetitionGame) -> TangWong:
    """Return the mechanism with the prices at the social optimum."""
    bare = game.with_incentive_intensity(0.0)
    optimum = solve(bare, "planner").profile
    data = optimum.data_fraction * bare.data_units
    derivative = bare.accuracy.derivative
    price = bare.potential_weights * float(derivative(data.sum()))
    price = price + bare.competitors_profitability * np.asarray(derivative(data.sum() - data))
    return TangWong(price)
