"""The coopetition game as arrays: who plays, with what, under which mechanism."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.game.arrays import floats, real
from tradefl.game.competition import as_competition
from tradefl.game.mechanism import Mechanism
from tradefl.game.rules import LinearRule, Rule
from tradefl.game.separable import Separable
from tradefl.game.strategy import StrategyProfile
from tradefl.game.user_accuracy import complete
from tradefl.game.validity import (
    ARRAYS,
    NONNEGATIVE,
    NUMBERS,
    POSITIVE,
    InvalidGameError,
    Range,
    each,
    meaningless,
)

Array = npt.NDArray[np.float64]

# Feasibility is decided to this relative precision: h_il is itself a rounded quotient.
FEASIBILITY_TOLERANCE = 1e-9


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class CoopetitionGame:
    """The game ``G`` of Section IV: organizations, their strategies and their payoffs.

    A frozen value of NumPy arrays; all mathematics on it are functions in :mod:`tradefl.game`.

    Parameters
    ----------
    profitability
        ``p``, shape ``(N,)``: revenue per unit of model performance, > 0.
    data_bits
        ``s``, shape ``(N,)``: size of each dataset, bit, > 0.
    cycles_per_bit
        ``eta``, shape ``(N,)``: CPU cycles to train on one bit, > 0.
    cpu_levels_hz
        ``F``, shape ``(N, m)``, Hz, ascending along each row; rows with fewer levels are
        padded with NaN, or masked, at the end. A one-dimensional array gives every organization
        the same.
    competition
        ``rho``: dense ``(N, N)``, scipy.sparse, or a :class:`~tradefl.game.Competition`.
    accuracy
        ``P``: one of the models of :mod:`tradefl.game.accuracy`, or any object with
        ``value(omega)`` and ``derivative(omega)``.
    data_units
        ``u``, shape ``(N,)``: what a full dataset adds to ``Omega``; default ``data_bits``.
    download_seconds, upload_seconds
        ``T1``, ``T3``, shape ``(N,)`` or a number: model download and upload time, >= 0.
    incentive_intensity
        ``gamma`` >= 0, payoff per bit.
    compute_weight
        ``lambda`` > 0, bit per Hz.
    overhead_weight
        ``varpi_e`` >= 0, payoff per joule.
    min_data_fraction
        ``D_min`` in (0, 1].
    deadline_seconds
        ``tau`` > 0.
    capacitance
        ``kappa`` >= 0, J s^2 per cycle: a number for all, or shape ``(N,)``.
    download_watts, upload_watts
        ``E_DL``, ``E_UL`` >= 0.
    data_cost
        What a full dataset costs to curate, clear and label, shape ``(N,)`` or a number, payoff,
        >= 0: an organization that contributes ``d`` bears ``data_cost_i d``.
    joining_cost
        What taking part costs once, whatever is contributed, shape ``(N,)`` or a number, payoff,
        >= 0.
    quality
        The weight of each organization's data in ``Omega``, shape ``(N,)`` or a number, > 0. It
        multiplies ``data_units``, and the game keeps the product.
    compensation
        The efficient rule with its schedules, or any :class:`~tradefl.game.Mechanism`; without one
        the rule is the paper's, with gamma.
    names
        A name for each organization; ``"1" .. "N"`` when absent.
    title
        The consortium's name.
    currency, payoff_unit
        For those who print amounts: a unit of payoff is ``payoff_unit`` of ``currency``, ``None``
        where amounts are not money.

    Raises
    ------
    InvalidGameError
        An array has the wrong shape or holds a number outside its range, some
        ``z_i = p_i - sum_j rho_ij p_j`` is not positive, or an organization has no level
        at which it can train ``D_min`` of its data before the deadline.
    """

    profitability: Array
    data_bits: Array
    cycles_per_bit: Array
    cpu_levels_hz: Array
    competition: Any  # a Competition once constructed
    accuracy: Any  # an InvertibleAccuracyModel once constructed
    data_units: Any = None  # an Array once constructed
    download_seconds: Any = 0.0  # likewise
    upload_seconds: Any = 0.0  # likewise
    incentive_intensity: float = 0.0
    compute_weight: float = 1.0
    overhead_weight: float = 1.0
    min_data_fraction: float = 0.01
    deadline_seconds: float = np.inf
    capacitance: Any = 1e-27  # a float or an Array once constructed
    download_watts: float = 0.0
    upload_watts: float = 0.0
    data_cost: Any = 0.0  # an Array once constructed
    joining_cost: Any = 0.0  # likewise
    quality: dataclasses.InitVar[Any] = 1.0
    compensation: Mechanism | None = None
    names: Sequence[str] | None = None
    title: str = "consortium"
    currency: str | None = None
    payoff_unit: float = 1.0

    def __repr__(self) -> str:
        """Return one line, however many organizations there are."""
        rule = self.mechanism.name
        return f"<CoopetitionGame {self.title}: {self.size:,} organizations, {rule} rule>"

    def __post_init__(self, quality: Any) -> None:
        n = int(np.size(self.profitability))
        problems: list[tuple[int | None, str, str]] = []
        if n == 0:
            raise InvalidGameError([(None, "profitability", "expected at least one organization")])
        for field, allowed in ARRAYS.items():
            self._normalize_array(field, n, allowed, problems)
        for field, allowed in NUMBERS.items():
            value = real(field, getattr(self, field))
            if not allowed.holds(value):
                problems.append((None, field, f"expected {allowed}, got {value!r}"))
            object.__setattr__(self, field, value)
        if not POSITIVE.holds(real("payoff_unit", self.payoff_unit)):
            what = f"expected {POSITIVE}, got {self.payoff_unit!r}"
            problems.append((None, "payoff_unit", what))
        self._weigh_data(quality, n, problems)
        self._normalize_capacitance(n, problems)
        self._normalize_levels(n, problems)
        for field in ("title", "currency"):
            text = getattr(self, field)
            if not isinstance(text, str) and not (field == "currency" and text is None):
                raise TypeError(f"{field}: expected a text, got {type(text).__name__}")
        if self.names is not None and not isinstance(self.names, Sequence):
            raise TypeError(f"names: expected a list of names, got {type(self.names).__name__}")
        if self.names is not None and len(self.names) != n:
            problems.append((None, "names", f"expected {n} names, got {len(self.names)}"))
        object.__setattr__(self, "competition", as_competition(self.competition))
        object.__setattr__(self, "accuracy", complete(self.accuracy))
        if self.competition.size != n:
            problems.append(
                (None, "competition", f"expected {n} organizations, got {self.competition.size}")
            )
        given: object = self.compensation
        if not isinstance(given, Mechanism | None):
            raise TypeError(f"compensation: expected a Mechanism, got {type(given).__name__}")
        if self.compensation is not None and (what := self.compensation.misfit(n)):
            problems.append((None, "compensation", what))
        if not problems:
            problems = meaningless(self)
        if problems:
            raise InvalidGameError(problems)

    def _normalize_array(
        self, field: str, n: int, allowed: Range, problems: list[tuple[int | None, str, str]]
    ) -> None:
        given = getattr(self, field)
        if given is None:  # only data_units: Omega counts bits
            given = self.data_bits
        array = each(field, given, n, allowed, problems)
        if array is not None:
            object.__setattr__(self, field, array)

    def _weigh_data(
        self, quality: Any, n: int, problems: list[tuple[int | None, str, str]]
    ) -> None:
        weights = each("quality", quality, n, POSITIVE, problems)
        if weights is None or np.shape(self.data_units) != (n,) or np.all(weights == 1.0):
            return
        with np.errstate(over="ignore", under="ignore"):
            units = self.data_units * weights
        units.flags.writeable = False
        problems += [
            (int(i), "quality", "too small or too large: data_units times quality is not a number")
            for i in np.flatnonzero(~POSITIVE.holds(units) & POSITIVE.holds(weights))
        ]
        object.__setattr__(self, "data_units", units)

    def _normalize_capacitance(self, n: int, problems: list[tuple[int | None, str, str]]) -> None:
        """Keep a number as it is; of several, one for each organization."""
        if np.ndim(self.capacitance) > 0:
            self._normalize_array("capacitance", n, NONNEGATIVE, problems)
            return
        value = real("capacitance", self.capacitance)
        if not NONNEGATIVE.holds(value):
            problems.append((None, "capacitance", f"expected {NONNEGATIVE}, got {value!r}"))
        object.__setattr__(self, "capacitance", value)

    def _normalize_levels(self, n: int, problems: list[tuple[int | None, str, str]]) -> None:
        levels = np.atleast_1d(floats("cpu_levels_hz", self.cpu_levels_hz))
        if levels.ndim == 1:
            levels = np.broadcast_to(levels, (n, levels.size))
        if levels.ndim != 2 or levels.shape[0] != n or levels.shape[1] == 0:
            problems.append((None, "cpu_levels_hz", f"expected shape ({n}, m), got {levels.shape}"))
            return
        levels = np.array(levels)
        padding = np.isnan(levels)
        rising = np.diff(levels, axis=1) > 0.0
        well_formed = (
            ~padding[:, 0]
            & np.all((levels > 0.0) & np.isfinite(levels) | padding, axis=1)
            & np.all(rising | padding[:, 1:], axis=1)
            & np.all(padding[:, 1:] | ~padding[:, :-1], axis=1)
        )
        problems += [
            (int(i), "cpu_levels_hz", "expected ascending frequencies > 0")
            for i in np.flatnonzero(~well_formed)
        ]
        levels.flags.writeable = False
        object.__setattr__(self, "cpu_levels_hz", levels)

    @property
    def size(self) -> int:
        """N, the number of organizations."""
        return int(self.profitability.size)

    @cached_property
    def mechanism(self) -> Mechanism:
        """Who receives how much: the paper's rule, Eq. (9), unless there is a ``compensation``."""
        if self.compensation is not None:
            return self.compensation
        return LinearRule(self.incentive_intensity, self.compute_weight)

    @property
    def separable(self) -> Separable:
        """The mechanism, if it declares its own part in straight pieces.

        Raises
        ------
        ValueError
            It does not, so the game has no known potential.
        """
        if not isinstance(self.mechanism, Separable):
            raise ValueError(
                f"mechanism: {self.mechanism.name} declares no separable structure, so there is no "
                "potential; solve it without naming a method, which searches best responses"
            )
        return self.mechanism

    @property
    def rule(self) -> Rule:
        """The redistribution rule, which settles pair by pair: the paper's or the efficient one.

        Raises
        ------
        ValueError
            The mechanism is a transfer function, which does not settle pair by pair.
        """
        if not isinstance(self.mechanism, Rule):
            raise ValueError(
                f"mechanism: {self.mechanism.name} is a transfer function; agreements, the ledger "
                "and the report need a rule that settles pair by pair (linear or efficient)"
            )
        return self.mechanism

    @cached_property
    def competitors_profitability(self) -> Array:
        """``sum_j rho_ij p_j``, shape ``(N,)``: the weight of i's competitors, Eq. (7)."""
        return np.asarray(self.competition.dot(self.profitability))

    @cached_property
    def total_intensity(self) -> Array:
        """``rho_i. = sum_j rho_ij``, shape ``(N,)``."""
        return np.asarray(self.competition.row_sums())

    @cached_property
    def potential_weights(self) -> Array:
        """``z_i = p_i - sum_j rho_ij p_j > 0``, shape ``(N,)``, the weights of Eq. (14)."""
        return self.profitability - self.competitors_profitability

    @cached_property
    def capacitances(self) -> Array:
        """``kappa_i``, shape ``(N,)``: the effective capacitance of each organization."""
        return np.array(np.broadcast_to(self.capacitance, (self.size,)))

    @cached_property
    def data_fraction_per_hz(self) -> Array:
        """``(tau - T1_i - T3_i) / (eta_i s_i)``, shape ``(N,)``: data that 1 Hz can train."""
        time = self.deadline_seconds - self.download_seconds - self.upload_seconds
        with np.errstate(over="ignore"):  # no level is feasible then, and the game is refused
            return np.asarray(time / (self.cycles_per_bit * self.data_bits))

    def max_data_fraction(self, cpu_hz: Array) -> Array:
        """Return ``h_i(f) = min(1, (tau - T1_i - T3_i) f / (eta_i s_i))``.

        ``cpu_hz`` has shape ``(N,)`` or ``(N, k)``; so has the result. Below ``D_min`` the
        level is infeasible.
        """
        per_hz = self.data_fraction_per_hz
        if cpu_hz.ndim > per_hz.ndim:
            per_hz = per_hz[..., None]
        return np.minimum(1.0, per_hz * cpu_hz)

    def level_is_feasible(self) -> npt.NDArray[np.bool_]:
        """Return, shape ``(N, m)``, which levels exist and can train ``D_min`` in time."""
        return np.asarray(self.max_data_fraction(self.cpu_levels_hz) >= self.min_data_fraction)

    def is_feasible(self, profile: StrategyProfile) -> npt.NDArray[np.bool_]:
        """Return, shape ``(N,)``, whose strategy satisfies ``C1``-``C3`` of Eq. (13)."""
        d, f = profile.data_fraction, profile.cpu_hz
        slack = 1.0 + FEASIBILITY_TOLERANCE
        at_a_level = np.any(self.cpu_levels_hz == f[:, None], axis=1)
        enough = d * slack >= self.min_data_fraction
        in_time = d <= self.max_data_fraction(f) * slack
        return np.asarray(at_a_level & enough & in_time)

    def resource(self, profile: StrategyProfile) -> Array:
        """Return ``x_i = d_i s_i + lambda f_i``, shape ``(N,)``, bit-equivalents."""
        return profile.data_fraction * self.data_bits + self.compute_weight * profile.cpu_hz

    def omega(self, profile: StrategyProfile) -> float:
        """Return ``Omega = sum_i d_i u_i``, the data in the training, in units."""
        return float(profile.data_fraction @ self.data_units)

    def initial_profile(self) -> StrategyProfile:
        """Return where DBR starts: ``d = D_min`` at the fastest level (Algorithm 2)."""
        fastest = np.fmax.reduce(self.cpu_levels_hz, axis=1)
        return StrategyProfile(np.full(self.size, self.min_data_fraction), fastest)

    def name_of(self, i: int) -> str:
        """Return the name of organization ``i``, counted from 0; ``size`` is the rule's payee."""
        if i == self.size and self.mechanism.payee is not None:
            return self.mechanism.payee
        return self.names[i] if self.names is not None else str(i + 1)

    def index_of(self, name: str) -> int:
        """Return the index of the organization of that name, or raise ``KeyError``."""
        names = self.names if self.names is not None else [str(i + 1) for i in range(self.size)]
        try:
            return list(names).index(name)
        except ValueError:
            raise KeyError(name) from None

    def with_incentive_intensity(self, gamma: float) -> CoopetitionGame:
        """Return the same game under the paper's rule with another ``gamma``, payoff per bit."""
        return dataclasses.replace(self, incentive_intensity=gamma, compensation=None)

    def with_compensation(self, rule: Mechanism) -> CoopetitionGame:
        """Return the same game under the efficient rule, or any other mechanism."""
        return dataclasses.replace(self, compensation=rule)
