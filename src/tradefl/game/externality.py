r"""The externality: what one organization's data is worth to all others.

Around a profile ``pi*`` (docs/explanation/efficient-compensation.md),

    phi_i(d) = sum_{j != i} [ payoff0_j(d, pi*_-i) - payoff0_j(pi*) ]

with ``payoff0`` the payoff without redistribution. Paid ``phi_i``, organization i wants what is
best for all: its payoff is ``W(pi_i, pi*_-i)`` and a constant. With ``w_j = sum_k rho_jk p_k``,

    phi_i(d) = (sum_{j != i} z_j) [ P(Omega) - P(Omega*) ]
             + sum_{j != i} w_j [ P(Omega - u_j d_j*) - P(Omega* - u_j d_j*) ]

where ``Omega = Omega* + u_i (d - d_i*)``. It rises with d, and is concave from the onsets of P on.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.strategy import StrategyProfile

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# So many numbers are worked on at a time.
BLOCK = 1 << 21


@dataclasses.dataclass(frozen=True, eq=False)
class Externality:
    """``phi_i`` of every organization around a profile; an :class:`~tradefl.game.rules.Incentive`.

    Parameters
    ----------
    game
        The game; its rule does not matter.
    profile
        ``pi*``.
    """

    game: CoopetitionGame
    profile: StrategyProfile

    @cached_property
    def _data(self) -> Array:
        return np.asarray(self.profile.data_fraction * self.game.data_units)

    @cached_property
    def _omega(self) -> float:
        return self.game.omega(self.profile)

    @cached_property
    def _now(self) -> dict[int, float]:
        """What the others have at the profile itself, for each that was asked for."""
        return {}

    def _sum(self, function: Any, i: Indices, omega: Array) -> Array:
        """Return ``sum z_j F(omega) + sum w_j F(omega - u_j d_j*)`` over ``j != i``, ``(K,)``."""
        z, w = self.game.potential_weights, self.game.competitors_profitability
        total = np.empty(i.size)
        step = max(1, BLOCK // self.game.size)
        for k in range(0, i.size, step):
            some, at = i[k : k + step], omega[k : k + step]
            others = np.asarray(function(np.maximum(at[:, None] - self._data, 0.0)), dtype=float)
            others[np.arange(some.size), some] = 0.0
            total[k : k + step] = (z.sum() - z[some]) * function(at) + others @ w
        return total

    def _omega_at(self, i: Indices, d: Array) -> Array:
        moved = self.game.data_units[i] * (d - self.profile.data_fraction[i])
        return np.asarray(np.maximum(self._omega + moved, 0.0))

    def value(self, i: Indices, d: Array) -> Array:
        """Return ``phi_i(d)``, shape ``(K,)`` as i and d, payoff units."""
        value, who = self.game.accuracy.value, np.unique(i)
        new = np.array([k for k in who.tolist() if k not in self._now], dtype=np.intp)
        if new.size:
            here = self._sum(value, new, np.full(new.size, self._omega))
            self._now.update(zip(new.tolist(), here.tolist(), strict=True))
        now = np.array([self._now[k] for k in who.tolist()])[np.searchsorted(who, i)]
        return np.asarray(self._sum(value, i, self._omega_at(i, d)) - now)

    @property
    def concave(self) -> bool:
        """Whether no onset of P lies within anybody's reach."""
        return bool(self.corners(self.game, np.arange(self.game.size)).shape[1] == 0)

    def own(self, game: CoopetitionGame, i: Indices, d: Array, f: Array) -> Array:
        """Return ``phi_i(d)``, shape ``(K,)``."""
        del game, f
        return self.value(i, d)

    def slopes(self, game: CoopetitionGame, i: Indices, d: Array) -> tuple[Array, Array]:
        """Return ``phi_i'(d)`` to the left and to the right of d; they differ at an onset only."""
        u, omega = game.data_units[i], self._omega_at(i, d)
        # A rounding error on either side of an onset must not hide the slope beyond it.
        left, right = (
            u * self._sum(game.accuracy.derivative, i, omega * side)
            for side in (1.0 - 1e-12, 1.0 + 1e-12)
        )
        return left, right

    def corners(self, game: CoopetitionGame, i: Indices) -> Array:
        """Return the d in (0, 1) at which some P leaves zero, ``(K, C)``, NaN where fewer."""
        onset, u = float(game.accuracy.onset), game.data_units
        # An organization that cannot get below any onset has none: nearly always all of them.
        lowest = self._omega - self._data[i] - self._data.max()
        rows: list[Array] = []
        for k in i.tolist():
            if lowest[len(rows)] >= onset:
                rows.append(np.empty(0))
                continue
            others = np.append(np.delete(self._data, k), 0.0)
            at = (onset - (self._omega - self._data[k]) + others) / u[k]
            rows.append(np.unique(at[(at > 0.0) & (at < 1.0)]))
        width = max((row.size for row in rows), default=0)
        return np.array(
            [np.pad(row, (0, width - row.size), constant_values=np.nan) for row in rows]
        )
