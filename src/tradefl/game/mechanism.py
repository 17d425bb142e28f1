r"""A mechanism: who receives how much, as a function of what everybody contributes.

The most general way to move money here is a *transfer function*

    t(pi) in R^N,    payoff_i(pi) = payoff0_i(pi) + t_i(pi)

where ``payoff0`` is the payoff without redistribution, Eq. (11). A researcher's mechanism is one
class with one method, :meth:`Mechanism.transfers`. Its budget need not balance: what is missing or
left over is reported (``Certificate.budget_imbalance``), never corrected.

Structure is optional, and each kind unlocks something faster or more certain:

- *separable* (:class:`Separable`, every :class:`~tradefl.game.rules.Rule`): the own strategy adds
  straight pieces to the own transfer. Then the game has a weighted potential, and all solvers work.
- *potential* (:meth:`Mechanism.welfare_shares`): payoffs follow social welfare, so the planner's
  optimum is an equilibrium.
- *parts* (:meth:`Mechanism.parts`): the own transfer is the sum of a concave and a convex function
  of the own data. Then regret is proven, not only searched for.

Without structure best responses are searched for, level by level (:mod:`tradefl.game.search`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tradefl.game.coopetition import CoopetitionGame
    from tradefl.game.strategy import StrategyProfile

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# So many deviations are handed to a mechanism at a time.
ROWS = 1024


class Parts(NamedTuple):
    """A function of one organization's data as a sum: both of shape ``(K,)``, payoff units."""

    concave: Array
    convex: Array


class Mechanism(ABC):
    """A transfer function, and what is known of its structure.

    Attributes
    ----------
    name
        What it is called: lower-case words with hyphens.
    equation
        The equation of ``t_i``, as statements name it.
    title
        One line for tables and charts; default: the name.
    source
        The publication, and how this deviates from it.
    score_name
        What :meth:`score` shows, with its unit.
    uses_gamma
        Whether the game's incentive intensity, gamma, is a price that the mechanism pays.
    uses_compute
        Whether a higher frequency at the same data may raise the own payoff. If it may not, because
        transfers depend on data alone or share costs, only the slowest level at which an amount of
        data can be trained matters to an organization.
    separable, pairwise
        Whether the own part is known in straight pieces (:class:`Separable`), and whether what
        one receives another pays, pair by pair (:class:`~tradefl.game.rules.Rule`).
    """

    name: ClassVar[str]
    equation: ClassVar[str]
    title: ClassVar[str] = ""
    source: ClassVar[str] = ""
    score_name: ClassVar[str] = "d u"
    uses_gamma: ClassVar[bool] = False
    uses_compute: ClassVar[bool] = True
    separable: ClassVar[bool] = False
    pairwise: ClassVar[bool] = False

    # Who settles with all organizations and contributes nothing; it is their number N, from 0.
    payee: str | None = None

    @abstractmethod
    def transfers(self, game: CoopetitionGame, d: Array, f: Array) -> Array:
        """Return ``t``, payoff units: what each receives; negative is what it pays.

        Parameters
        ----------
        game
            The game.
        d, f
            Shape ``(..., N)``: data fractions and frequencies (Hz), profile by profile. The result
            has the same shape, and a row of it depends on that row of ``d`` and ``f`` alone.
        """

    # --- structure, all optional ------------------------------------------------------------------

    def misfit(self, size: int) -> str:
        """Return why the mechanism does not fit so many organizations; empty if it does."""
        del size
        return ""

    def scaled(self, unit: float) -> Mechanism:
        """Return the mechanism for a game whose amounts are all multiplied by a unit.

        The default is the mechanism itself, which is right where transfers follow from the game's
        figures alone. A mechanism that holds amounts of its own must multiply them.
        """
        del unit
        return self

    def own_transfer(
        self, game: CoopetitionGame, profile: StrategyProfile, i: Indices, d: Array, f: Array
    ) -> Array:
        """Return ``t_i`` where ``i[k]`` alone deviates to ``(d[k], f[k])``; all of shape ``(K,)``.

        The default asks :meth:`transfers`; override it where one entry costs less than all.
        """
        found = np.empty(i.size)
        for k in range(0, i.size, ROWS):
            some = slice(k, k + ROWS)
            rows = np.arange(i[some].size)
            everyone = (rows.size, game.size)
            data = np.array(np.broadcast_to(profile.data_fraction, everyone))
            hz = np.array(np.broadcast_to(profile.cpu_hz, everyone))
            data[rows, i[some]], hz[rows, i[some]] = d[some], f[some]
            found[some] = self.transfers(game, data, hz)[rows, i[some]]
        return found

    def parts(
        self, game: CoopetitionGame, profile: StrategyProfile, i: Indices, d: Array, f: Array
    ) -> Parts | None:
        """Return :meth:`own_transfer` as a concave and a convex function of ``d``, or ``None``.

        For the whole range of ``d`` at every level; a term in ``f`` alone may be in either part.
        The sum must be the transfer up to a constant of each organization. Both properties are
        checked where they are used.
        """
        del game, profile, i, d, f
        return None

    def welfare_shares(self, game: CoopetitionGame) -> Array | None:
        """Return ``s >= 0``, shape ``(N,)``, if payoffs follow welfare; otherwise ``None``.

        That is, if ``payoff_i(pi) - s_i W(pi)`` does not depend on i's own strategy. Then ``W`` is
        a potential, and the social optimum is an equilibrium.
        """
        del game
        return None

    def paid_out(self, game: CoopetitionGame, profile: StrategyProfile) -> Any:
        """Return what a payee receives of all organizations together, payoff; 0 without one."""
        del game, profile
        return 0.0

    # --- the same for every mechanism -------------------------------------------------------------

    def score(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return what is shown next to each organization, shape ``(N,)``; default: ``d_i u_i``."""
        return np.asarray(profile.data_fraction * game.data_units)

    def redistribution(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return ``t(pi)``, shape ``(N,)``, payoff units."""
        d, f = np.atleast_2d(profile.data_fraction), np.atleast_2d(profile.cpu_hz)
        found = np.asarray(self.transfers(game, d, f), dtype=float)
        if found.shape != d.shape or not np.isfinite(found).all():
            raise ValueError(
                f"transfers: expected finite amounts of shape {d.shape}, got shape {found.shape}; "
                "a mechanism accepts d and f of shape (K, N) and returns (K, N)"
            )
        return found.reshape(profile.data_fraction.shape)

    def gross_redistribution(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return the size of what makes ``t_i``, shape ``(N,)``, to judge rounding by."""
        return np.asarray(np.abs(self.redistribution(game, profile)))


def clearing(received: Array) -> list[tuple[int, int, float]]:
    """Return ``(payer, receiver, amount > 0)`` that settle net amounts, shape ``(N,)``.

    Every payer pays every receiver in proportion to what it receives. Money from outside, or left
    over, is in no entry: where the net amounts do not sum to zero, the larger side is settled in
    part.
    """
    pays, gets = np.maximum(-received, 0.0), np.maximum(received, 0.0)
    most = max(float(pays.sum()), float(gets.sum()))
    if most == 0.0:
        return []
    amounts = np.outer(pays, gets) / most
    payers, receivers = np.nonzero(amounts > 1e-12 * most)
    return [
        (i, j, float(amounts[i, j]))
        for i, j in zip(payers.tolist(), receivers.tolist(), strict=True)
    ]
