"""A validated consortium, and the game that it plays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from tradefl.arguments import (
    ANYTHING,
    FRAME,
    NUMBER,
    ONE_GAME,
    POSITIVE,
    TEXT,
    accepts,
    choice,
    instance,
    many,
    optional,
)
from tradefl.consortium.arrays import consortium_of_frame, consortium_of_game
from tradefl.consortium.compensation import compensation_section, efficient_rule
from tradefl.consortium.competitors import competition, rescaling
from tradefl.consortium.organizations import Organizations
from tradefl.consortium.schema import (
    RULES,
    Accuracy,
    Compensation,
    Competition,
    EmpiricalAccuracy,
    Energy,
    Mechanism,
    Payee,
    PowerLawAccuracy,
    Settlement,
    Training,
    Truthful,
)
from tradefl.consortium.segments import Segments
from tradefl.errors import InputError, Problem
from tradefl.game import (
    AccuracyModel,
    CoopetitionGame,
    EfficientRule,
    InvalidGameError,
    PowerLaw,
    SqrtLoss,
    fit_empirical,
    in_currency,
)
from tradefl.game import Competition as Rho

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[np.float64]


def accuracy_model(section: Accuracy, points: Array | None = None) -> AccuracyModel:
    """Return the data-accuracy function of a section and, for ``empirical``, its points.

    Raises
    ------
    ValueError
        The points are missing, or no curve fits them.
    """
    if isinstance(section, EmpiricalAccuracy):
        if points is None:
            raise ValueError("points: expected the measured points of points_file")
        return fit_empirical(points[:, 0], points[:, 1], section.untrained_accuracy)
    if isinstance(section, PowerLawAccuracy):
        return PowerLaw(section.untrained_loss, section.scale, section.exponent, section.floor)
    return SqrtLoss(section.epochs, section.untrained_loss)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Consortium:
    """A consortium as its file describes it.

    Attributes
    ----------
    name
        The consortium's name.
    mechanism, energy, accuracy, competition, compensation, settlement, training
        The sections of the file.
    organizations
        Who takes part, as columns.
    rho
        The competition intensities as given, before any rescaling.
    matrix
        rho as read from ``competition.matrix_file``, shape ``(N, N)``, or ``None``.
    segments
        The table of ``competition.segments_file``, or ``None``.
    points
        The measured points of ``accuracy.points_file``, shape ``(K, 2)``, or ``None``.
    ranges
        Low and high of figures of the sections that have a range, by key path; those of
        organizations are in ``organizations.ranges``.
    currency, payoff_unit
        A unit of payoff is ``payoff_unit`` of ``currency``; ``None`` where the file names none.
    source
        The file it was read from, for messages.
    """

    name: str
    mechanism: Mechanism
    energy: Energy
    accuracy: Accuracy
    competition: Competition
    organizations: Organizations
    rho: Rho
    compensation: Compensation | None = None
    settlement: Settlement | None = None
    training: Training | None = None
    organizations_file: str | None = None
    matrix: Array | None = None
    segments: Segments | None = None
    points: Array | None = None
    ranges: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    currency: str | None = None
    payoff_unit: float = 1.0
    source: Path = dataclasses.field(default=Path("consortium.toml"))

    @classmethod
    @accepts(
        cls=ANYTHING,
        game=ONE_GAME,
        name=optional(TEXT),
        samples=optional(many("integers", ANYTHING)),
        sectors=optional(many("names", optional(TEXT))),
        addresses=optional(many("addresses", optional(TEXT))),
        settlement=optional(instance("tradefl.consortium.schema.Settlement")),
        training=optional(instance("tradefl.consortium.schema.Training")),
    )
    def from_game(
        cls,
        game: CoopetitionGame,
        *,
        name: str | None = None,
        samples: Sequence[int] | npt.NDArray[np.int64] | None = None,
        sectors: Sequence[str | None] | None = None,
        addresses: Sequence[str | None] | None = None,
        settlement: Settlement | None = None,
        training: Training | None = None,
    ) -> Consortium:
        """Return the consortium that plays a game: it can be written, trained and settled.

        Parameters
        ----------
        game
            The game; its figures are the consortium's. Without a deadline it gets one that
            everybody meets.
        name
            The consortium's name; default: the game's title.
        samples
            ``|S_i|``, shape ``(N,)``, for training; default: the game's ``data_units`` if they
            are whole numbers, otherwise the bits.
        sectors, addresses
            Of each organization, ``None`` where it has none.
        settlement, training
            The sections of the file.

        Raises
        ------
        InputError
            A name or a number is not one that a file may have, or the accuracy function is one of
            your own: fit a curve to its points (:func:`~tradefl.game.fit_empirical`).
        """
        return consortium_of_game(
            cls,
            game,
            game.title if name is None else name,
            samples=samples,
            sectors=sectors,
            addresses=addresses,
            settlement=settlement,
            training=training,
        )

    @classmethod
    @accepts(
        cls=ANYTHING,
        frame=FRAME,
        name=TEXT,
        accuracy=ANYTHING,
        competition=ANYTHING,
        measure=choice(("bits", "samples")),
        unit=POSITIVE,
        incentive_intensity=NUMBER,
        compute_weight=NUMBER,
        overhead_weight=NUMBER,
        min_data_fraction=NUMBER,
        deadline_seconds=NUMBER,
        capacitance=NUMBER,
        download_watts=NUMBER,
        upload_watts=NUMBER,
        compensation=ANYTHING,
        settlement=optional(instance("tradefl.consortium.schema.Settlement")),
        training=optional(instance("tradefl.consortium.schema.Training")),
    )
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        name: str,
        accuracy: AccuracyModel,
        competition: npt.ArrayLike | Rho | None = None,
        measure: Literal["bits", "samples"] = "bits",
        unit: float = 1.0,
        incentive_intensity: float = 0.0,
        compute_weight: float = 1.0,
        overhead_weight: float = 1.0,
        min_data_fraction: float = 0.01,
        deadline_seconds: float = np.inf,
        capacitance: float = 1e-27,
        download_watts: float = 0.0,
        upload_watts: float = 0.0,
        compensation: EfficientRule | None = None,
        settlement: Settlement | None = None,
        training: Training | None = None,
    ) -> Consortium:
        """Return the consortium of a pandas data frame, one organization a row.

        Parameters
        ----------
        frame
            The columns of an organizations file; ``cpu_levels_hz`` holds lists, or text with
            semicolons. Without a column ``name`` the index names the organizations.
        name
            The consortium's name.
        accuracy
            ``P``: :class:`~tradefl.game.SqrtLoss`, :class:`~tradefl.game.PowerLaw` or
            :class:`~tradefl.game.Empirical`.
        competition
            rho: an ``(N, N)`` array, scipy.sparse, or a :class:`~tradefl.game.Competition`;
            default: nobody competes.
        measure, unit
            What Omega counts, and how much of it is one unit.
        incentive_intensity, compute_weight, overhead_weight, min_data_fraction, deadline_seconds
            As in :class:`~tradefl.game.CoopetitionGame`.
        capacitance, download_watts, upload_watts, compensation
            Likewise.
        settlement, training
            The sections of the file.

        Raises
        ------
        InputError
            With every problem found, by row and column.
        """
        return consortium_of_frame(
            cls,
            frame,
            name,
            accuracy=accuracy,
            competition=competition,
            measure=measure,
            unit=unit,
            incentive_intensity=incentive_intensity,
            compute_weight=compute_weight,
            overhead_weight=overhead_weight,
            min_data_fraction=min_data_fraction,
            deadline_seconds=deadline_seconds,
            capacitance=capacitance,
            download_watts=download_watts,
            upload_watts=upload_watts,
            compensation=compensation,
            settlement=settlement,
            training=training,
        )

    def __repr__(self) -> str:
        """Return one line, however many organizations there are."""
        return f"<Consortium {self.name}: {len(self):,} organizations, {self.mechanism.rule} rule>"

    def __len__(self) -> int:
        return len(self.organizations)

    def __eq__(self, other: object) -> bool:
        """Tell whether both describe the same; where the parts are filed does not matter."""
        if not isinstance(other, Consortium):
            return NotImplemented
        return self._described() == other._described() and all(
            (mine is None and its is None)
            or (mine is not None and its is not None and np.array_equal(mine, its))
            for mine, its in ((self.matrix, other.matrix), (self.points, other.points))
        )

    __hash__ = None  # type: ignore[assignment]

    def _described(self) -> tuple[object, ...]:
        return (
            self.name,
            (self.currency, self.payoff_unit),
            self.mechanism,
            self.energy,
            self.accuracy.model_dump(exclude={"points_file"}),
            self.competition.model_dump(exclude={"matrix_file", "segments_file"}),
            self.segments,
            self.organizations,
            self.compensation,
            self.settlement,
            self.training,
            dict(self.ranges),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The organizations' names, in order."""
        return self.organizations.names

    @property
    def payee(self) -> Payee | None:
        """Who settles with all and contributes nothing; ``None`` without one, or another rule."""
        section = RULES[self.mechanism.rule].section
        if section != "compensation" or self.compensation is None:
            return None
        return self.compensation.payee

    @property
    def settling(self) -> tuple[str, ...]:
        """The names of all who settle: the organizations, then the payee."""
        return self.names if self.payee is None else (*self.names, self.payee.name)

    @property
    def accounts(self) -> tuple[str | None, ...]:
        """The accounts of all who settle, in order; ``None`` where the file names none."""
        own = tuple(self.organizations.addresses)
        return own if self.payee is None else (*own, self.payee.address)

    def with_accounts(self, accounts: Sequence[str | None]) -> Consortium:
        """Return the same consortium with these accounts, in the order of :attr:`settling`."""
        who = dataclasses.replace(
            self.organizations, addresses=tuple(accounts[: len(self.organizations)])
        )
        if self.payee is None or self.compensation is None:
            return dataclasses.replace(self, organizations=who)
        payee = self.payee.model_copy(update={"address": accounts[-1]})
        compensation = self.compensation.model_copy(update={"payee": payee})
        return dataclasses.replace(self, organizations=who, compensation=compensation)

    @cached_property
    def competition_factor(self) -> float:
        """What ``competition.rescale`` multiplied rho by; 1 if nothing."""
        if not self.competition.rescale:
            return 1.0
        return rescaling(self.rho, self.organizations.profitability)

    def with_intensities(self, values: str | Mapping[str, float]) -> Rho:
        """Return rho, before any rescaling, with other values of figures that have a range.

        Parameters
        ----------
        values
            ``low`` or ``high``: those ends; or values by key path.
        """
        section = self.competition.model_copy(deep=True)
        update: dict[str, Any] = {}
        for place, ends in self.ranges.items():
            if not place.startswith("competition."):
                continue
            key = place.removeprefix("competition.")
            if isinstance(values, str):
                value = ends[0 if values == "low" else 1]
            elif place in values:
                value = values[place]
            else:
                continue
            if key.startswith("pairs["):
                section.pairs[int(key[6:-1])][2] = value
            else:
                update[key] = value
        section = section.model_copy(update=update)
        return competition(section, self.organizations, self.matrix, str(self.source))

    @property
    def capacitance(self) -> float | Array:
        """``kappa``: that of ``[energy]``, or one for each where organizations have their own."""
        own, common = self.organizations.capacitance, self.energy.capacitance
        return common if np.isnan(own).all() else np.where(np.isnan(own), common, own)

    @cached_property
    def accuracy_model(self) -> AccuracyModel:
        """The data-accuracy function ``P``."""
        try:
            return accuracy_model(self.accuracy, self.points)
        except ValueError as error:
            place = f"{self.source}: accuracy.points_file"
            raise InputError.at(place, f"no curve fits: {error}") from None

    @cached_property
    def efficient_rule(self) -> EfficientRule | None:
        """The rule of ``[compensation]``, whether it is in force or not; ``None`` without one."""
        if self.compensation is None:
            return None
        return efficient_rule(self.compensation, self.names, str(self.source))

    def designed(
        self,
        rule: EfficientRule,
        target: str | None = None,
        truthful: Truthful | None = None,
        payee: Payee | None = None,
    ) -> Consortium:
        """Return the same consortium under the efficient rule, perhaps with a promise of truth.

        ``payee`` is the account of the rule's payee; by default it has none yet.
        """
        return dataclasses.replace(
            self,
            mechanism=self.mechanism.model_copy(update={"rule": "efficient"}),
            compensation=compensation_section(rule, self.names, target, truthful, payee),
        )

    def in_currency(self) -> Consortium:
        """Return the same consortium with amounts in its currency, to be shown.

        What is in units of payoff is multiplied by ``payoff_unit``; the terms of a settlement stay,
        so this one has no agreement of its own.
        """
        if self.currency is None or self.payoff_unit == 1.0:
            return self
        game = in_currency(self.game)
        who, mechanism = self.organizations, self.mechanism
        rule = self.efficient_rule
        compensation = None
        if rule is not None:
            scaled = in_currency(dataclasses.replace(self.game, compensation=rule)).compensation
            section = self.compensation
            target = None if section is None else section.target
            payee = None if section is None else section.payee
            amounts = scaled if isinstance(scaled, EfficientRule) else rule
            compensation = compensation_section(amounts, self.names, target, payee=payee)
        return dataclasses.replace(
            self,
            payoff_unit=1.0,
            mechanism=mechanism.model_copy(
                update={
                    "incentive_intensity": game.incentive_intensity,
                    "overhead_weight": game.overhead_weight,
                }
            ),
            organizations=dataclasses.replace(
                who,
                profitability=game.profitability,
                data_cost=game.data_cost,
                joining_cost=game.joining_cost,
            ),
            compensation=compensation,
        )

    @cached_property
    def game(self) -> CoopetitionGame:
        """The coopetition game of this consortium.

        Raises
        ------
        InputError
            Some ``z_i`` is not positive, or an organization has no feasible level.
        """
        who, rho = self.organizations, self.rho
        if self.competition_factor != 1.0:
            rho = rho.scaled(self.competition_factor)
        measured = who.data_bits if self.accuracy.measure == "bits" else who.samples
        with np.errstate(over="ignore"):  # the game tells infinite units
            units = measured / self.accuracy.unit
        try:
            return CoopetitionGame(
                profitability=who.profitability,
                data_bits=who.data_bits,
                cycles_per_bit=who.cycles_per_bit,
                cpu_levels_hz=who.cpu_levels_hz,
                competition=rho,
                accuracy=self.accuracy_model,
                data_units=units,
                download_seconds=who.download_seconds,
                upload_seconds=who.upload_seconds,
                data_cost=who.data_cost,
                joining_cost=who.joining_cost,
                quality=who.quality,
                **self.mechanism.model_dump(exclude={"rule"}),
                **self.energy.model_dump() | {"capacitance": self.capacitance},
                compensation=RULES[self.mechanism.rule].build(self),
                names=who.names,
                title=self.name,
                currency=self.currency,
                payoff_unit=self.payoff_unit,
            )
        except InvalidGameError as error:
            raise InputError(
                Problem(self._place(i, field), what) for i, field, what in error.problems
            ) from None

    def _place(self, i: int | None, field: str) -> str:
        if i is None:
            return f"{self.source}: {field}"
        return f"{self.source}: organization {self.names[i]!r}: {field}"
