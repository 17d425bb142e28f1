"""Ways to split what a consortium earns, to be tested for stability."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.payoff import performance_without
from tradefl.game.strategy import StrategyProfile
from tradefl.solvers import solve
from tradefl.stability.sampling import shapley_value
from tradefl.stability.values import Values

Array = npt.NDArray[np.float64]
Split = Literal[
    "file", "efficient", "by-profitability", "shapley", "leave-one-out", "by-data", "equal"
]

SPLITS: tuple[Split, ...] = get_args(Split)
# A given split must sum to v(N) within this share of it.
TOTAL = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class Allocation:
    """A split of Eq. (11)'s payoffs, and the profile under which it is paid.

    Attributes
    ----------
    name
        What it is called.
    payoff
        Shape ``(N,)``: payoffs of Eq. (11), payments included.
    profile
        What everybody contributes.
    half_width
        Shape ``(N,)``: of the 95 % confidence interval, where it is sampled; 0 where it is exact.
    """

    name: str
    payoff: Array
    profile: StrategyProfile
    half_width: Array

    def in_the_market(self, game: CoopetitionGame) -> Array:
        """Return ``V_i = payoff_i - w_i P(Omega - u_i d_i)``, shape ``(N,)``."""
        without = performance_without(game, self.profile)
        return np.asarray(self.payoff - game.competitors_profitability * without)


def allocation(
    game: CoopetitionGame, split: Split | Sequence[float] | Array, values: Values
) -> Allocation:
    """Return a split of the game.

    Parameters
    ----------
    game
        The game, with the rule of the file.
    split
        ``file``: the payoffs at the equilibrium under the game's own rule. All others split
        ``v(N)``: ``efficient``, everybody gains the same over no compensation;
        ``by-profitability``, in proportion to p (theorem A3); ``shapley``; ``leave-one-out``, in
        proportion to the marginals ``M_i``; ``by-data``, in proportion to the data contributed at
        the optimum; ``equal``, the same for each. Or the payoffs themselves, shape ``(N,)``.
    values
        The values of the literal reading.

    Raises
    ------
    ValueError
        There is no such split, or the payoffs given do not sum to ``v(N)``.
    """
    exact = np.zeros(game.size)
    if isinstance(split, str) and split == "file":
        solution = solve(game)
        return Allocation("file", solution.payoffs, solution.profile, exact)
    total = values.grand[0]
    optimum = solve(game.with_incentive_intensity(0.0), "planner").profile
    if not isinstance(split, str):
        payoff = np.asarray(split, dtype=float)
        if payoff.shape != (game.size,) or not np.all(np.isfinite(payoff)):
            raise ValueError(f"split: expected {game.size} finite payoffs, got {payoff.shape}")
        if abs(payoff.sum() - total) > TOTAL * abs(total):
            raise ValueError(
                f"split: the payoffs sum to {payoff.sum():.9g}, but together the organizations "
                f"can have {total:.9g}; scale them to that sum"
            )
        return Allocation("given", payoff, optimum, exact)
    if split not in SPLITS:
        raise ValueError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
    if split == "efficient":
        without = solve(game.with_incentive_intensity(0.0)).payoffs
        payoff = without + (total - without.sum()) / game.size
        return Allocation(split, payoff, optimum, exact)
    if split == "shapley":
        payoff, half = shapley_value(values)
        return Allocation(split, payoff, optimum, half)
    weight = game.profitability
    if split == "leave-one-out":
        weight = values.marginal
    elif split == "by-data":
        weight = game.data_units * optimum.data_fraction
    elif split == "equal":
        weight = np.ones(game.size)
    return Allocation(split, total * weight / weight.sum(), optimum, exact)
