"""The paper's master problem: one number for every combination of levels, Eq. (23)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.potential import own_term
from tradefl.solvers.levels import Levels, Primal

Array = npt.NDArray[np.float64]

# The traversal keeps one number for each combination of levels: 160 MB.
MAX_COMBINATIONS = 20_000_000


class Lines:
    """Each organization's own term on each piece of each level: ``alpha d + beta``.

    For ``low <= d <= high``. All have shape ``(N, m, K)`` but ``exists`` and ``units``.
    """

    def __init__(self, game: CoopetitionGame) -> None:
        own, f = own_term(game), game.cpu_levels_hz
        self.pieces = own.low.shape[1]
        column, shape = (slice(None), None, slice(None)), (*f.shape, self.pieces)
        self.alpha = own.data_gain[column] - (own.energy_cost[:, None] * f**2)[:, :, None]
        self.beta = own.constant[column] + (own.compute_gain[:, None] * f)[:, :, None]
        self.low = np.broadcast_to(own.low[column], shape)
        self.high = np.minimum(own.high[column], game.max_data_fraction(f)[:, :, None])
        self.exists = ~np.isnan(f)
        self.feasible = self.high >= self.low  # false for padding, which is NaN
        self.units = game.data_units[:, None, None]
        self.onset = float(game.accuracy.onset)
        self.accuracy = game.accuracy


class Traversal:
    """The master of the paper: every combination of levels, with projected cuts."""

    def __init__(self, game: CoopetitionGame, *, above_onset: bool = True) -> None:
        self.lines = lines = Lines(game)
        counts = lines.exists.sum(axis=1)
        combinations = float(np.prod(counts.astype(float)))
        if combinations > MAX_COMBINATIONS:
            raise ValueError(
                f"method: the traversal would enumerate {combinations:.3g} combinations of "
                f"levels, more than {MAX_COMBINATIONS:,}; exact and cgbd with milp do not"
            )
        self.shape = tuple(int(count) for count in counts)
        reach = self._sum((lines.units * np.maximum(lines.high, lines.low)).max(axis=2))
        # What no cut has spoken of is unbounded below; what cannot reach the onset is out.
        self.phi = np.where(above_onset & (reach < lines.onset), np.inf, -np.inf)

    def _sum(self, terms: Array) -> Array:
        """Return ``sum_i terms[i, l_i]`` for every combination, one axis an organization."""
        total = np.zeros(self.shape)
        for i, count in enumerate(self.shape):
            along = [1] * len(self.shape)
            along[i] = count
            total += terms[i, :count].reshape(along)
        return total

    def forbid(self, i: int) -> None:
        """Exclude the levels at which organization i cannot meet the deadline."""
        index: list[object] = [slice(None)] * len(self.shape)
        index[i] = np.flatnonzero(~self.lines.feasible[i, : self.shape[i]].any(axis=1))
        self.phi[tuple(index)] = np.inf  # type: ignore[index]

    def cut(self, levels: Levels, found: Primal) -> None:
        """Add the cut of a primal, projected on f, and what it settled."""
        lines = self.lines
        if found.support is not None:
            omega, value, price = found.support
            inner = price * lines.units + lines.alpha
            # The best d of the separable Lagrangian lies at an end of a piece. A level that is
            # late counts with its least data: it is forbidden once it comes up.
            high = np.maximum(lines.high, lines.low)
            gain = np.maximum(inner * lines.low, inner * high) + lines.beta
            counts = lines.feasible.copy()
            counts[~counts.any(axis=2), 0] = True
            gain = np.where(counts, gain, -np.inf).max(axis=2)
            self.raise_to(price * omega - value, -gain)
        # These levels are settled: the primal is exact.
        self.phi[tuple(levels)] = max(self.phi[tuple(levels)], -found.potential)

    def raise_to(self, constant: float, terms: Array) -> None:
        """Raise phi to ``constant + sum_i terms[i, l_i]`` where it is lower."""
        np.maximum(self.phi, constant + self._sum(terms), out=self.phi)

    def propose(self) -> tuple[Levels | None, float]:
        """Return the levels with the least phi, and phi; ``None`` if none are left."""
        best = int(np.argmin(self.phi))
        bound = float(self.phi.flat[best])
        if not bound < np.inf:
            return None, bound
        return np.array(np.unravel_index(best, self.shape), dtype=np.intp), bound
