r"""The redistribution rules: who compensates whom.

A rule compares a score of every two organizations and adds a constant::

    r_ij = weight_ij (score_i - score_j) + k_ij,    k_ij = -k_ji

It is antisymmetric, so what one receives the other pays and the budget balances for every
profile, at equilibrium or not. And it separates: of what i receives, only

    own_i(pi_i) = (sum_j weight_ij) score_i(pi_i)

depends on i's own strategy. That is i's incentive, and divided by ``z_i`` it is i's part of the
potential.

========== =================== ======================================== ==============
rule       score_i             weight_ij                                k_ij
========== =================== ======================================== ==============
linear     x_i, Eq. (9)        gamma rho_ij                             0
efficient  phi_i(d_i)          1 / (N - 1)                              agreed
========== =================== ======================================== ==============
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tradefl.game.arrays import floats
from tradefl.game.separable import Pieces, Separable
from tradefl.game.strategy import StrategyProfile

if TYPE_CHECKING:
    from tradefl.game.coopetition import CoopetitionGame

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

MAX_BREAKPOINTS = 32
# A schedule is concave if no slope exceeds the one before by more than this share of the first.
CONCAVITY_TOLERANCE = 1e-6


class Incentive(Protocol):
    """What an organization's own strategy adds to what it receives: all that regret asks for.

    ``i``, ``d`` and ``f`` have shape ``(K,)`` everywhere: organizations and strategies of theirs.
    """

    @property
    def concave(self) -> bool:
        """Whether ``own_i`` is concave in d everywhere; otherwise between corners only."""

    def own(self, game: CoopetitionGame, i: Indices, d: Array, f: Array) -> Array:
        """Return ``own_i(d, f)``, payoff, up to a constant of each organization."""

    def slopes(self, game: CoopetitionGame, i: Indices, d: Array) -> tuple[Array, Array]:
        """Return the derivative of ``own_i`` in d to the left and to the right of d."""

    def corners(self, game: CoopetitionGame, i: Indices) -> Array:
        """Return where the slope jumps, ``(K, C)``; NaN fills shorter rows."""


class Pair(NamedTuple):
    """Organization i against each it settles with: ``r_ij = weight (score_i - score_j) + k``."""

    others: Indices
    weight: Array
    constant: Array


class Rule(Separable):
    """A mechanism that settles pair by pair: what both rules share but for score and terms."""

    pairwise: ClassVar[bool] = True

    @abstractmethod
    def scaled(self, unit: float) -> Rule:
        """Return the rule with every amount times a unit."""

    @property
    def most_pieces(self) -> int:
        """The most straight pieces that :meth:`pieces` returns for an organization."""
        return 1

    @property
    @abstractmethod
    def concave(self) -> bool:
        """Whether ``own_i`` is concave in d everywhere; otherwise between corners only."""

    @abstractmethod
    def score(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return what is compared between two organizations, shape ``(N,)``."""

    def settled_scores(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return the score of everybody that settles: of all organizations, and of a payee."""
        return self.score(game, profile)

    @abstractmethod
    def pair(self, game: CoopetitionGame, i: int) -> Pair:
        """Return whom i settles with, and the terms of each of these pairs."""

    @abstractmethod
    def redistribution(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return ``R_i = sum_j r_ij``, shape ``(N,)``, Eq. (10)."""

    def transfers(self, game: CoopetitionGame, d: Array, f: Array) -> Array:
        """Return :meth:`redistribution` of each profile, shape ``(..., N)``."""
        rows, hz = d.reshape(-1, game.size), f.reshape(-1, game.size)
        paid = [
            self.redistribution(game, StrategyProfile(*row)) for row in zip(rows, hz, strict=True)
        ]
        return np.array(paid).reshape(d.shape)

    @abstractmethod
    def received_from(self, game: CoopetitionGame, profile: StrategyProfile, some: Array) -> Array:
        """Return what each receives from all for whom ``some`` is 1, not 0; shape ``(N,)``."""

    @abstractmethod
    def gross_redistribution(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return the size of the terms that make ``R_i``, shape ``(N,)``."""

    @abstractmethod
    def pieces(self, game: CoopetitionGame) -> Pieces:
        """Return what each organization's own strategy adds to ``R_i``, in straight pieces."""

    @abstractmethod
    def own(self, game: CoopetitionGame, i: Indices, d: Array, f: Array) -> Array:
        """Return ``own_i(d, f)``, shape ``(K,)``; see :class:`Incentive`."""

    @abstractmethod
    def slopes(self, game: CoopetitionGame, i: Indices, d: Array) -> tuple[Array, Array]:
        """Return the slope of ``own_i`` to the left and to the right of d, ``(K,)`` each."""

    @abstractmethod
    def corners(self, game: CoopetitionGame, i: Indices) -> Array:
        """Return where the slope of ``own_i`` jumps, ``(K, C)``."""

    def received(
        self, game: CoopetitionGame, profile: StrategyProfile, i: int
    ) -> tuple[Indices, Array]:
        """Return whom i settles with and ``r_ij``, what i receives from each, Eq. (9)."""
        score, (others, weight, constant) = self.settled_scores(game, profile), self.pair(game, i)
        return others, weight * (score[i] - score[others]) + constant


@dataclasses.dataclass(frozen=True)
class LinearRule(Rule):
    """The paper's rule: ``r_ij = gamma rho_ij (x_i - x_j)``, Eq. (9).

    Parameters
    ----------
    incentive_intensity
        ``gamma``, payoff per bit.
    compute_weight
        ``lambda``, bit per Hz: turns compute into bit-equivalents.
    """

    incentive_intensity: float
    compute_weight: float

    name = "linear"
    equation = "Eq. (9)"
    score_name = "x (bit)"
    uses_gamma = True
    concave = True

    def scaled(self, unit: float) -> LinearRule:
        """Return the rule with gamma times a unit."""
        return dataclasses.replace(self, incentive_intensity=self.incentive_intensity * unit)

    def score(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return ``x_i = d_i s_i + lambda f_i``, shape ``(N,)``, bit-equivalents."""
        return game.resource(profile)

    def pair(self, game: CoopetitionGame, i: int) -> Pair:
        """Return i's competitors and ``gamma rho_ij`` of each."""
        competitors, rho = game.competition.row(i)
        return Pair(competitors, self.incentive_intensity * rho, np.zeros(rho.size))

    def redistribution(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return ``R_i = gamma sum_j rho_ij (x_i - x_j)``, shape ``(N,)``, Eq. (10)."""
        x = self.score(game, profile)
        net = game.total_intensity * x - game.competition.dot(x)
        return np.asarray(self.incentive_intensity * net + 0.0)  # 0 has no sign

    def received_from(self, game: CoopetitionGame, profile: StrategyProfile, some: Array) -> Array:
        """Return ``gamma sum_j rho_ij (x_i - x_j)`` over some j, shape ``(N,)``."""
        x, rho = self.score(game, profile), game.competition
        return np.asarray(self.incentive_intensity * (x * rho.dot(some) - rho.dot(some * x)))

    def gross_redistribution(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return ``gamma sum_j rho_ij (x_i + x_j)``, shape ``(N,)``."""
        x = self.score(game, profile)
        gross = game.total_intensity * x + game.competition.dot(x)
        return np.asarray(self.incentive_intensity * gross)

    def pieces(self, game: CoopetitionGame) -> Pieces:
        """Return ``own_i = gamma rho_i. (s_i d + lambda f)``: one piece."""
        intensity = self.incentive_intensity * game.total_intensity
        column = (*intensity.shape, 1)
        return Pieces(
            low=np.zeros(column),
            high=np.ones(column),
            gain=(intensity * game.data_bits)[..., None],
            constant=np.zeros(column),
            per_hz=intensity * self.compute_weight,
        )

    def own(self, game: CoopetitionGame, i: Indices, d: Array, f: Array) -> Array:
        """Return ``gamma rho_i. (s_i d + lambda f)``, shape ``(K,)``."""
        resource = d * game.data_bits[i] + self.compute_weight * f
        return np.asarray(self.incentive_intensity * game.total_intensity[i] * resource)

    def slopes(self, game: CoopetitionGame, i: Indices, d: Array) -> tuple[Array, Array]:
        """Return ``gamma rho_i. s_i`` twice: a straight line."""
        del d
        slope = self.incentive_intensity * game.total_intensity[i] * game.data_bits[i]
        return slope, slope

    def corners(self, game: CoopetitionGame, i: Indices) -> Array:
        """Return none."""
        del game
        return np.empty((i.size, 0))


class InvalidScheduleError(ValueError):
    """An invalid schedule; the message says why."""


@dataclasses.dataclass(frozen=True, eq=False)
class Schedule:
    """``phi_i``: what i's data is worth to the others, straight between breakpoints.

    Parameters
    ----------
    shares
        Shape ``(K,)``: data shares, ascending from 0 to 1, whole numbers of parts per billion.
    values
        Shape ``(K,)``: payoff at each, nondecreasing and concave.

    Raises
    ------
    InvalidScheduleError
        It has fewer than 2 or more than 32 breakpoints, or is not of that form.
    """

    shares: Array
    values: Array

    def __post_init__(self) -> None:
        shares = np.array(floats("shares", self.shares))
        values = np.array(floats("values", self.values))
        if shares.ndim != 1 or shares.shape != values.shape:
            raise InvalidScheduleError("expected as many values as shares")
        if not 2 <= shares.size <= MAX_BREAKPOINTS:
            raise InvalidScheduleError(
                f"expected 2 to {MAX_BREAKPOINTS} breakpoints, got {shares.size}"
            )
        if not (np.isfinite(shares).all() and np.isfinite(values).all()):
            raise InvalidScheduleError("expected finite numbers")
        if not (shares[0] == 0.0 and shares[-1] == 1.0 and np.all(np.diff(shares) > 0.0)):
            raise InvalidScheduleError("expected shares that ascend from 0 to 1")
        if np.any(np.abs(shares * 1e9 - np.rint(shares * 1e9)) > 1e-6):
            raise InvalidScheduleError("expected shares of at most nine decimals")
        slopes = np.diff(values) / np.diff(shares)
        if np.any(slopes < 0.0):
            raise InvalidScheduleError("expected values that do not fall")
        if np.any(np.diff(slopes) > CONCAVITY_TOLERANCE * slopes[0]):
            raise InvalidScheduleError("expected a concave schedule: its slope must not rise")
        shares.flags.writeable = values.flags.writeable = False
        object.__setattr__(self, "shares", shares)
        object.__setattr__(self, "values", values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schedule):
            return NotImplemented
        return np.array_equal(self.shares, other.shares) and np.array_equal(
            self.values, other.values
        )

    __hash__ = None  # type: ignore[assignment]


@dataclasses.dataclass(frozen=True, eq=False)
class EfficientRule(Rule):
    r"""Compensation that makes the social optimum an equilibrium.

    ::

        r_ij = [ phi_i(d_i) - phi_j(d_j) ] / (N - 1) + k_ij
        k_ij = (k_i - k_j) / N + extra_ij

    ``phi_i`` is what i's data is worth to all others, counted from what they have agreed on:
    ``phi_i(d_i*) = 0``. So at the agreed profile the payments are the constants alone.

    A *payee* contributes nothing and settles with everybody: N counts it here, its schedule is 0
    everywhere, and its constant is what the others' leave, ``k_payee = - sum_i k_i``.

    Parameters
    ----------
    schedules
        ``phi_i`` of each organization.
    constants
        ``k_i``, shape ``(N,)``, payoff: what i receives in addition, once ``sum_i k_i = 0``.
    extra
        ``(i, j, amount)``: what i receives from j in addition; each pair at most once. A payee's
        number is that of organizations.
    payee
        The payee's name; ``None``: there is no payee.

    Raises
    ------
    ValueError
        The sizes do not fit, there is one organization only, or a pair is invalid.
    """

    schedules: tuple[Schedule, ...]
    constants: Array
    extra: tuple[tuple[int, int, float], ...] = ()
    payee: str | None = None

    name = "efficient"
    equation = "Eq. (9e)"
    score_name = "phi (payoff)"

    def __post_init__(self) -> None:
        constants = np.array(floats("constants", self.constants))
        if not isinstance(self.schedules, Sequence) or not all(
            isinstance(schedule, Schedule) for schedule in self.schedules
        ):
            raise TypeError("schedules: expected a Schedule of each organization")
        if not isinstance(self.payee, str | None):
            raise TypeError(f"payee: expected a name, got {self.payee!r}")
        if not isinstance(self.extra, Sequence) or not all(
            isinstance(entry, Sequence) and len(entry) == 3 for entry in self.extra
        ):
            raise TypeError("extra: expected (i, j, amount) for each pair")
        n = len(self.schedules)
        if n < 2:
            raise ValueError("schedules: expected at least two organizations")
        if constants.shape != (n,) or not np.isfinite(constants).all():
            raise ValueError(f"constants: expected {n} finite numbers")
        seen: set[tuple[int, int]] = set()
        for i, j, amount in self.extra:
            m = n + (self.payee is not None)
            if not (0 <= i < m and 0 <= j < m and i != j and np.isfinite(amount)):
                raise ValueError(f"extra: expected two organizations and a number, got {(i, j)}")
            if (min(i, j), max(i, j)) in seen:
                raise ValueError(f"extra: the pair {(i, j)} occurs twice")
            seen.add((min(i, j), max(i, j)))
        constants.flags.writeable = False
        object.__setattr__(self, "constants", constants)

    @property
    def size(self) -> int:
        """N, the number of organizations."""
        return len(self.schedules)

    @property
    def counted(self) -> int:
        """How many settle with each other: the organizations, and a payee."""
        return self.size + (self.payee is not None)

    @cached_property
    def _all_constants(self) -> Array:
        """``k_i`` of everybody that settles, shape ``(counted,)``; with a payee their sum is 0."""
        if self.payee is None:
            return self.constants
        return np.append(self.constants, -self.constants.sum())

    def misfit(self, size: int) -> str:
        """Return that there are more or fewer schedules than organizations."""
        return "" if size == self.size else f"expected {size} organizations, got {self.size}"

    def scaled(self, unit: float) -> EfficientRule:
        """Return the rule with schedules and constants times a unit."""
        return dataclasses.replace(
            self,
            schedules=tuple(Schedule(phi.shares, phi.values * unit) for phi in self.schedules),
            constants=self.constants * unit,
            extra=tuple((i, j, amount * unit) for i, j, amount in self.extra),
        )

    @property
    def most_pieces(self) -> int:
        """One less than the breakpoints of the longest schedule."""
        return max(schedule.shares.size - 1 for schedule in self.schedules)

    # --- the schedules as arrays ------------------------------------------------------------------

    @cached_property
    def _table(self) -> tuple[Array, Array, Array]:
        """Shares and values, ``(N, K)``, the last point repeated; slopes, ``(N, K - 1)``."""
        width = max(schedule.shares.size for schedule in self.schedules)

        def padded(rows: Sequence[Array]) -> Array:
            return np.array([np.pad(row, (0, width - row.size), mode="edge") for row in rows])

        shares = padded([schedule.shares for schedule in self.schedules])
        values = padded([schedule.values for schedule in self.schedules])
        run = np.diff(shares, axis=1)
        slopes = np.divide(np.diff(values, axis=1), run, out=np.zeros_like(run), where=run > 0.0)
        return shares, values, slopes

    @cached_property
    def concave(self) -> bool:
        """Whether no slope rises, not even by as little as a schedule may."""
        return all(
            bool(np.all(np.diff(np.diff(schedule.values) / np.diff(schedule.shares)) <= 0.0))
            for schedule in self.schedules
        )

    def _piece(self, i: Indices, d: Array, side: Any) -> Indices:
        """Return which piece of i's schedule d lies on; at a breakpoint, the one on that side."""
        shares, _, slopes = self._table
        before = side(shares[i], d[:, None]).sum(axis=1) - 1
        return np.asarray(np.clip(before, 0, slopes.shape[1] - 1))

    def phi(self, i: Indices, d: Array) -> Array:
        """Return ``phi_i(d)``, shape ``(K,)``, payoff."""
        shares, values, slopes = self._table
        k = self._piece(i, d, np.less_equal)
        return np.asarray(values[i, k] + slopes[i, k] * (d - shares[i, k]))

    # --- the rule ---------------------------------------------------------------------------------

    def score(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return ``phi_i(d_i)``, shape ``(N,)``, payoff."""
        del game
        d = profile.data_fraction
        who = np.broadcast_to(np.arange(self.size), d.shape)
        return self.phi(who.ravel(), d.ravel()).reshape(d.shape)

    def settled_scores(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return ``phi_i(d_i)``, and 0 for a payee, shape ``(counted,)``, payoff."""
        scores = self.score(game, profile)
        return scores if self.payee is None else np.append(scores, 0.0)

    def paid_out(self, game: CoopetitionGame, profile: StrategyProfile) -> Any:
        """Return what a payee receives, payoff: ``k_payee`` less the mean of all ``phi_j``."""
        if self.payee is None:
            return 0.0
        phi = self.score(game, profile)
        return self._all_net[-1] - phi.sum(axis=-1) / (self.counted - 1)

    @cached_property
    def _extra(self) -> dict[int, dict[int, float]]:
        rows: dict[int, dict[int, float]] = {}
        for i, j, amount in self.extra:
            rows.setdefault(i, {})[j] = amount
            rows.setdefault(j, {})[i] = -amount
        return rows

    def constant(self, i: int, j: int) -> float:
        """Return ``k_ij``, payoff: what i receives from j at the agreed profile."""
        return float(self.constants_row(i)[j])

    def constants_row(self, i: int) -> Array:
        """Return ``k_ij`` for everybody that settles, shape ``(counted,)``; 0 at i itself."""
        every = self._all_constants
        row = (every[i] - every) / every.size + 0.0  # 0 has no sign
        for j, amount in self._extra.get(i, {}).items():
            row[j] += amount
        return np.asarray(row)

    def pair(self, game: CoopetitionGame, i: int) -> Pair:
        """Return everybody else, ``1 / (N - 1)`` and ``k_ij``."""
        del game
        others = np.delete(np.arange(self.counted), i)
        weight = np.full(others.size, 1.0 / others.size)
        return Pair(others, weight, self.constants_row(i)[others])

    @cached_property
    def _all_net(self) -> Array:
        every = self._all_constants
        net = np.asarray(every - every.mean())
        for i, j, amount in self.extra:
            net[i] += amount
            net[j] -= amount
        return net

    @property
    def net_constants(self) -> Array:
        """``sum_j k_ij``, shape ``(N,)``, payoff: what each receives at the agreed profile."""
        return self._all_net[: self.size]

    @cached_property
    def bonds(self) -> Array:
        """The most that each could owe, shape ``(N,)``, payoff: what its bond must cover.

        With its own schedule at its least and all others at their most; 0 where it receives even
        then.
        """
        least, most = (
            np.array([schedule.values[k] for schedule in self.schedules]) for k in (0, -1)
        )
        worst = least - (most.sum() - most) / (self.counted - 1) + self.net_constants
        return np.asarray(np.maximum(-worst, 0.0))

    def redistribution(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return ``R_i``, shape ``(N,)``: phi_i minus the mean of the others', and constants."""
        phi = self.score(game, profile)
        others = (phi.sum(axis=-1, keepdims=True) - phi) / (self.counted - 1)
        return np.asarray(phi - others + self.net_constants)

    def received_from(self, game: CoopetitionGame, profile: StrategyProfile, some: Array) -> Array:
        """Return the sum of ``r_ij`` over some j, shape ``(N,)``."""
        phi = self.score(game, profile)
        net = (phi * some.sum() - some @ phi) / (self.counted - 1)
        constants = (self.constants * some.sum() - some @ self.constants) / self.counted
        for i, j, amount in self.extra:
            if max(i, j) < self.size:
                constants[i] += some[j] * amount
                constants[j] -= some[i] * amount
        return np.asarray(net + constants)

    def gross_redistribution(self, game: CoopetitionGame, profile: StrategyProfile) -> Array:
        """Return ``|phi_i| + mean |phi_j| + sum_j |k_ij|``, shape ``(N,)``."""
        phi = np.abs(self.score(game, profile))
        others = (phi.sum(axis=-1, keepdims=True) - phi) / (self.counted - 1)
        constants = [np.abs(self.constants_row(i)).sum() for i in range(self.size)]
        return np.asarray(phi + others + constants)

    def pieces(self, game: CoopetitionGame) -> Pieces:
        """Return ``own_i = phi_i(d)``, a piece between every two breakpoints."""
        shares, values, slopes = self._table
        return Pieces(
            low=shares[:, :-1],
            high=shares[:, 1:],
            gain=slopes,
            constant=values[:, :-1] - slopes * shares[:, :-1],
            per_hz=np.zeros(game.profitability.shape),
        )

    def own(self, game: CoopetitionGame, i: Indices, d: Array, f: Array) -> Array:
        """Return ``phi_i(d)``, shape ``(K,)``."""
        del game, f
        return self.phi(i, d)

    def slopes(self, game: CoopetitionGame, i: Indices, d: Array) -> tuple[Array, Array]:
        """Return the slope of ``phi_i`` to the left and to the right of d, ``(K,)`` each."""
        del game
        slopes = self._table[2]
        left, right = (self._piece(i, d, side) for side in (np.less, np.less_equal))
        return slopes[i, left], slopes[i, right]

    def corners(self, game: CoopetitionGame, i: Indices) -> Array:
        """Return the breakpoints, ``(K, C)``."""
        del game
        return self._table[0][i]
