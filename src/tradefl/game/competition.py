r"""Competition intensities rho, as row sums and products only.

``rho_ij`` in [0, 1] says how similar the services of organizations i and j are; it is
symmetric (erratum E2) with a zero diagonal. Nothing in the game needs the N x N matrix:
payoffs use ``rho_i. = sum_j rho_ij`` and products ``rho @ v``, so sparse and sector
structure keep memory linear in N.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from tradefl.game.arrays import floats, real

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@runtime_checkable
class Competition(Protocol):
    """What the game needs of rho."""

    @property
    def size(self) -> int:
        """N, the number of organizations."""

    def row_sums(self) -> Array:
        """Return ``rho_i.``, shape ``(N,)``."""

    def dot(self, vector: Array) -> Array:
        """Return ``rho @ vector``, shape ``(N,)``."""

    def row(self, i: int) -> tuple[Indices, Array]:
        """Return the competitors of ``i`` in ascending order, and ``rho_ij > 0`` for each."""

    def scaled(self, factor: float) -> Competition:
        """Return ``factor * rho``."""


class InvalidCompetitionError(ValueError):
    """Intensities that are not a competition matrix; ``problems`` holds ``(i, j, what)``."""

    def __init__(self, problems: list[tuple[int, int, str]]) -> None:
        self.problems = problems
        shown = "; ".join(f"rho[{i}, {j}]: {what}" for i, j, what in problems[:20])
        rest = f"; and {len(problems) - 20} more" if len(problems) > 20 else ""
        super().__init__(shown + rest)


@dataclasses.dataclass(frozen=True, eq=False)
class DenseCompetition:
    """rho as an ``(N, N)`` array: symmetric, in [0, 1], zero diagonal.

    Raises
    ------
    InvalidCompetitionError
        With every offending entry.
    """

    matrix: Array

    def __post_init__(self) -> None:
        matrix = np.array(floats("competition", self.matrix))
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"competition: expected a square matrix, got shape {matrix.shape}")
        problems = [
            (int(i), int(j), _out_of_range(matrix[i, j]))
            for i, j in np.argwhere(~((matrix >= 0.0) & (matrix <= 1.0)))
        ]
        problems += [
            (int(i), int(i), f"expected 0 on the diagonal, got {matrix[i, i]:g}")
            for i in np.flatnonzero(np.diagonal(matrix))
        ]
        # NaN is reported above; comparing it with itself would report it again.
        unequal = np.triu((matrix != matrix.T) & ~np.isnan(matrix) & ~np.isnan(matrix.T))
        problems += [
            (
                int(i),
                int(j),
                f"expected a symmetric matrix, got {matrix[i, j]:g} here and "
                f"{matrix[j, i]:g} in the transposed place",
            )
            for i, j in np.argwhere(unequal)
        ]
        if problems:
            raise InvalidCompetitionError(problems)
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    @property
    def size(self) -> int:
        """N, the number of organizations."""
        return int(self.matrix.shape[0])

    def row_sums(self) -> Array:
        """Return ``rho_i.``, shape ``(N,)``."""
        return np.asarray(self.matrix.sum(axis=1), dtype=float)

    def dot(self, vector: Array) -> Array:
        """Return ``rho @ vector``, shape ``(N,)``."""
        return self.matrix @ vector

    def row(self, i: int) -> tuple[Indices, Array]:
        """Return the competitors of ``i`` in ascending order, and ``rho_ij`` for each."""
        competitors = np.flatnonzero(self.matrix[i])
        return competitors, self.matrix[i, competitors]

    def scaled(self, factor: float) -> DenseCompetition:
        """Return ``factor * rho``."""
        return DenseCompetition(factor * self.matrix)


@dataclasses.dataclass(frozen=True, eq=False)
class SparseCompetition:
    """rho as a scipy.sparse matrix or array; pairs that are not stored do not compete.

    Raises
    ------
    InvalidCompetitionError
        With every offending stored entry.
    """

    matrix: csr_array

    def __post_init__(self) -> None:
        from scipy.sparse import csr_array

        matrix: Any = csr_array(self.matrix, dtype=float, copy=True)
        if matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"competition: expected a square matrix, got shape {matrix.shape}")
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        entries = matrix.tocoo()
        rows, columns, values = entries.row, entries.col, entries.data
        problems = [
            (int(rows[k]), int(columns[k]), _out_of_range(values[k]))
            for k in np.flatnonzero(~((values >= 0.0) & (values <= 1.0)))
        ]
        problems += [
            (int(rows[k]), int(rows[k]), f"expected 0 on the diagonal, got {values[k]:g}")
            for k in np.flatnonzero(rows == columns)
        ]
        if not problems:
            difference = (matrix - matrix.T).tocoo()
            problems = [
                (int(i), int(j), "expected a symmetric matrix, but the transposed entry differs")
                for i, j, value in zip(difference.row, difference.col, difference.data, strict=True)
                if i < j and value != 0.0
            ]
        if problems:
            raise InvalidCompetitionError(problems)
        object.__setattr__(self, "matrix", matrix)

    @property
    def size(self) -> int:
        """N, the number of organizations."""
        return int(self.matrix.shape[0])

    def row_sums(self) -> Array:
        """Return ``rho_i.``, shape ``(N,)``."""
        return np.asarray(self.matrix.sum(axis=1), dtype=float)

    def dot(self, vector: Array) -> Array:
        """Return ``rho @ vector``, shape ``(N,)``."""
        return np.asarray(self.matrix @ vector, dtype=float)

    def row(self, i: int) -> tuple[Indices, Array]:
        """Return the competitors of ``i`` in ascending order, and ``rho_ij`` for each."""
        start, stop = self.matrix.indptr[i], self.matrix.indptr[i + 1]
        competitors = self.matrix.indices[start:stop].astype(np.intp)
        order = np.argsort(competitors)
        return competitors[order], self.matrix.data[start:stop][order]

    def scaled(self, factor: float) -> SparseCompetition:
        """Return ``factor * rho``."""
        return SparseCompetition(factor * self.matrix)


@dataclasses.dataclass(frozen=True, eq=False)
class SectorCompetition:
    """One intensity within a sector, another across sectors, and named exceptions.

    Parameters
    ----------
    sectors
        Shape ``(N,)``: the sector of each organization, any integers.
    within, across
        ``rho_ij`` for two organizations of the same sector, and of different ones.
    exceptions
        Optional ``(i, j, rho_ij)``, three arrays of shape ``(K,)``: pairs with an intensity of
        their own (0 too), each pair once and in either order.

    Raises
    ------
    ValueError
        An intensity lies outside [0, 1], or an exception is no pair or named twice.
    """

    sectors: Indices
    within: float
    across: float = 0.0
    exceptions: tuple[Indices, Indices, Array] | None = None

    def __post_init__(self) -> None:
        for name in ("within", "across"):
            if not 0.0 <= real(name, getattr(self, name)) <= 1.0:
                raise ValueError(f"{name}: {_out_of_range(getattr(self, name))}")
        if np.ma.is_masked(self.sectors):
            raise ValueError("sectors: expected one for each organization, got masked entries")
        sectors = np.asarray(self.sectors)
        if sectors.ndim != 1 or sectors.dtype.kind not in "iu":
            raise ValueError("sectors: expected one integer for each organization")
        object.__setattr__(self, "sectors", np.unique(sectors, return_inverse=True)[1])
        if self.exceptions is not None:
            if not isinstance(self.exceptions, Sequence) or len(self.exceptions) != 3:
                raise TypeError("exceptions: expected three arrays: i, j and their intensities")
            object.__setattr__(self, "exceptions", self._validated(*self.exceptions))

    def _validated(self, i: Any, j: Any, rho: Any) -> tuple[Indices, Indices, Array]:
        i, j = np.asarray(i, dtype=np.intp), np.asarray(j, dtype=np.intp)
        rho = floats("exceptions", rho)
        if not i.shape == j.shape == rho.shape or i.ndim != 1:
            raise ValueError("exceptions: expected three equally long arrays")
        first, second = np.minimum(i, j), np.maximum(i, j)
        if np.any(first < 0) or np.any(second >= self.size) or np.any(first == second):
            raise ValueError("exceptions: expected pairs of different organizations 0..N-1")
        if np.unique(first * self.size + second).size != first.size:
            raise ValueError("exceptions: expected each pair once")
        outside = np.flatnonzero(~((rho >= 0.0) & (rho <= 1.0)))
        if outside.size:
            raise InvalidCompetitionError(
                [(int(first[k]), int(second[k]), _out_of_range(rho[k])) for k in outside]
            )
        return first, second, rho

    @property
    def size(self) -> int:
        """N, the number of organizations."""
        return int(self.sectors.size)

    def _by_sector(self, i: Indices, j: Indices) -> Array:
        return np.where(self.sectors[i] == self.sectors[j], self.within, self.across)

    @cached_property
    def _corrections(self) -> csr_array | None:
        """What the exceptions add to the sector intensities, both triangles."""
        if self.exceptions is None:
            return None
        from scipy.sparse import csr_array

        i, j, rho = self.exceptions
        added = rho - self._by_sector(i, j)
        both = (np.append(i, j), np.append(j, i))
        return csr_array((np.append(added, added), both), shape=(self.size, self.size))

    @cached_property
    def _exceptions_of(self) -> dict[int, list[tuple[int, float]]]:
        of: dict[int, list[tuple[int, float]]] = {}
        if self.exceptions is not None:
            for i, j, rho in zip(*(a.tolist() for a in self.exceptions), strict=True):
                of.setdefault(i, []).append((j, rho))
                of.setdefault(j, []).append((i, rho))
        return of

    def row_sums(self) -> Array:
        """Return ``rho_i.``, shape ``(N,)``."""
        members = np.bincount(self.sectors)[self.sectors]
        sums = self.within * (members - 1.0) + self.across * (self.size - members)
        if self._corrections is not None:
            sums = sums + np.asarray(self._corrections.sum(axis=1), dtype=float)
        return np.asarray(sums, dtype=float)

    def dot(self, vector: Array) -> Array:
        """Return ``rho @ vector``, shape ``(N,)``, in O(N + exceptions)."""
        in_sector = np.bincount(self.sectors, weights=vector)
        total = in_sector.sum()
        own = in_sector[self.sectors]
        product = self.within * (own - vector) + self.across * (total - own)
        if self._corrections is not None:
            product = product + self._corrections @ vector
        return np.asarray(product, dtype=float)

    def row(self, i: int) -> tuple[Indices, Array]:
        """Return the competitors of ``i`` in ascending order, and ``rho_ij`` for each."""
        rho = np.where(self.sectors == self.sectors[i], self.within, self.across)
        rho[i] = 0.0
        for j, own in self._exceptions_of.get(i, ()):
            rho[j] = own
        competitors = np.flatnonzero(rho)
        return competitors, rho[competitors]

    def scaled(self, factor: float) -> SectorCompetition:
        """Return ``factor * rho``."""
        exceptions = self.exceptions
        if exceptions is not None:
            exceptions = (exceptions[0], exceptions[1], factor * exceptions[2])
        return SectorCompetition(
            self.sectors, factor * self.within, factor * self.across, exceptions
        )


def as_competition(rho: Any) -> Competition:
    """Return rho as a :class:`Competition`: a dense array, scipy.sparse, or one already.

    Raises
    ------
    InvalidCompetitionError
        An entry is outside [0, 1], on the diagonal, or differs from its transposed one.
    """
    if isinstance(rho, Competition) and not hasattr(rho, "tocsr"):
        return rho
    if hasattr(rho, "tocsr"):
        return SparseCompetition(rho)
    return DenseCompetition(rho)


def _out_of_range(value: float) -> str:
    return f"expected an intensity in [0, 1], got {value:g}"
