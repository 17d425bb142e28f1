"""Mechanisms whose own part is separable: straight pieces of the own strategy, plus the others'."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.mechanism import Mechanism

if TYPE_CHECKING:
    from tradefl.game.coopetition import CoopetitionGame

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


class Pieces(NamedTuple):
    """``own_i = constant + gain d + per_hz f`` for ``low <= d <= high``, piece by piece.

    ``per_hz`` has shape ``(N,)``, the others ``(N, K)``; pieces ascend and join.
    """

    low: Array
    high: Array
    gain: Array
    constant: Array
    per_hz: Array


class Separable(Mechanism):
    """A mechanism with ``t_i(pi) = own_i(pi_i) + (a function of the others' strategies)``.

    :meth:`pieces` is all that it adds to :meth:`~Mechanism.transfers`. It makes the game a weighted
    potential game (:mod:`tradefl.game.potential`), so every solver works, and regret is exact.
    """

    separable: ClassVar[bool] = True

    @abstractmethod
    def pieces(self, game: CoopetitionGame) -> Pieces:
        """Return what each organization's own strategy adds to ``t_i``, in straight pieces."""

    @property
    def most_pieces(self) -> int:
        """The most straight pieces that :meth:`pieces` returns for an organization."""
        return 1

    @property
    def concave(self) -> bool:
        """Whether ``own_i`` is concave in d everywhere; otherwise between corners only."""
        return self.most_pieces == 1

    def _at(
        self, game: CoopetitionGame, i: Indices, d: Array, strictly: bool
    ) -> tuple[Pieces, Indices]:
        pieces = self.pieces(game)
        low = pieces.low[i]
        before = low < d[:, None] if strictly else low <= d[:, None]
        return pieces, np.asarray(np.clip(before.sum(axis=1) - 1, 0, None))

    def own(self, game: CoopetitionGame, i: Indices, d: Array, f: Array) -> Array:
        """Return ``own_i(d, f)``, shape ``(K,)``; see :class:`~tradefl.game.rules.Incentive`."""
        pieces, k = self._at(game, i, d, strictly=False)
        return np.asarray(pieces.constant[i, k] + pieces.gain[i, k] * d + pieces.per_hz[i] * f)

    def slopes(self, game: CoopetitionGame, i: Indices, d: Array) -> tuple[Array, Array]:
        """Return the slope of ``own_i`` to the left and to the right of d, ``(K,)`` each."""
        pieces, left = self._at(game, i, d, strictly=True)
        _, right = self._at(game, i, d, strictly=False)
        return pieces.gain[i, left], pieces.gain[i, right]

    def corners(self, game: CoopetitionGame, i: Indices) -> Array:
        """Return where the slope of ``own_i`` jumps, ``(K, C)``."""
        return np.asarray(self.pieces(game).low[i, 1:])
