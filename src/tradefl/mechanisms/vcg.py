"""Clarke payments: each receives what the others have, less what they would have without it."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from tradefl.game import CoopetitionGame, Mechanism, Parts, StrategyProfile
from tradefl.game.batches import bare_payoffs
from tradefl.mechanisms.weighted import Weights, parts_of
from tradefl.stability.values import Values

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
TITLE = "Clarke payments (VCG)"


@dataclasses.dataclass(frozen=True, eq=False)
class Vcg(Mechanism):
    r"""``t_i(pi) = sum_{j != i} payoff0_j(pi) - v(N without i)``.

    Source: E. Clarke, "Multipart Pricing of Public Goods", Public Choice 11, 1971; T. Groves, 1973.
    Deviation: contributions are chosen, not ordered by a planner that hears reports; the payoff is
    ``W(pi) - v(N without i)``, so the social optimum is an equilibrium, and at the optimum each has
    its marginal. The budget does not balance: what is missing is the deficit.

    Parameters
    ----------
    without
        ``v(N without i)``, shape ``(N,)``, payoff units.
    """

    without: Array

    name = "vcg"
    equation = "sum_{j != i} payoff0_j - v(N - i)"
    title = TITLE
    uses_compute = False

    def misfit(self, size: int) -> str:
        """Return that there are more or fewer values than organizations."""
        n = self.without.size
        return "" if n == size else f"expected {size} organizations, got {n}"

    def scaled(self, unit: float) -> Vcg:
        """Return the payments with the coalitions' values times a unit."""
        return Vcg(self.without * unit)

    def transfers(self, game: CoopetitionGame, d: Array, f: Array) -> Array:
        """Return what the others have, less ``v(N without i)``, shape ``(..., N)``."""
        bare = bare_payoffs(game, d, f)
        return np.asarray(bare.sum(axis=-1, keepdims=True) - bare - self.without)

    def welfare_shares(self, game: CoopetitionGame) -> Array:
        """Return 1 for each, shape ``(N,)``."""
        return np.ones(game.size)

    def parts(
        self, game: CoopetitionGame, profile: StrategyProfile, i: Indices, d: Array, f: Array
    ) -> Parts:
        """Return ``sum_{j != i} payoff0_j`` in two parts, shape ``(K,)`` each."""
        n, z, w = game.size, game.potential_weights, game.competitors_profitability
        weights = Weights(z.sum() - z, np.tile(w, (n, 1)), np.zeros(n), np.zeros(n))
        return parts_of(game, profile, i, d, f, weights)


def make(game: CoopetitionGame) -> Vcg:
    """Return the payments of a game: ``N`` optimizations, one without each organization."""
    return Vcg(Values(game.with_incentive_intensity(0.0)).without_one[0])
