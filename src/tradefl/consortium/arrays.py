"""Consortia without a file: from a game, that is from arrays, and from a pandas data frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from tradefl.consortium import schema
from tradefl.consortium.compensation import compensation_section
from tradefl.consortium.organizations import (
    DEFAULTS,
    NUMBERS,
    OPTIONAL,
    REQUIRED,
    Organizations,
    adapter_of,
    descending_levels,
    identity_problems,
    padded,
)
from tradefl.consortium.schema import described, suggestion
from tradefl.errors import InputError, Parameter, Problem
from tradefl.game import (
    Competition,
    CoopetitionGame,
    DenseCompetition,
    EfficientRule,
    Empirical,
    InvalidCompetitionError,
    InvalidGameError,
    PowerLaw,
    SectorCompetition,
    SqrtLoss,
)

if TYPE_CHECKING:
    import pandas as pd

    from tradefl.consortium.consortium import Consortium
    from tradefl.game import AccuracyModel, EfficientRule

Array = npt.NDArray[np.float64]
# Ranges and menus of figures belong to a file.
COLUMNS = (*REQUIRED, *OPTIONAL, "sector", "address")
Place = Callable[[int, str], str]

MOST_SAMPLES = 2**53
# Amounts of data are in proportion if their ratios differ by no more: the rounding of a division.
PROPORTIONAL = 1e-12


def off_contract(name: str) -> str:
    """Return why a mechanism without a contract is refused where money is agreed on."""
    return (
        f"the mechanism {name!r} is on no contract, so it is in no consortium file and cannot be "
        f"settled; expected {' or '.join(schema.RULES)}; `solve`, `compare`, `stability` and "
        "`report` work with it"
    )


def consortium_of_game(
    of: type[Consortium],
    game: CoopetitionGame,
    name: str,
    *,
    samples: Sequence[int] | npt.NDArray[Any] | None = None,
    sectors: Sequence[str | None] | None = None,
    addresses: Sequence[str | None] | None = None,
    settlement: schema.Settlement | None = None,
    training: schema.Training | None = None,
) -> Consortium:
    """Return the consortium that plays a game; see :meth:`Consortium.from_game`."""
    numbers = _samples(game, samples)
    measure, unit, quality = _units(game, numbers, given=samples is not None)
    capacitance: Any = game.capacitance
    common = float(np.max(capacitance))
    rule, sector_names = _competition(game)
    columns: dict[str, Sequence[Any]] = {
        "name": [game.name_of(i) for i in range(game.size)],
        "samples": numbers,
        "cpu_levels_hz": [row[~np.isnan(row)].tolist() for row in game.cpu_levels_hz],
        "sector": list(sector_names if sectors is None else sectors),
        "address": [None] * game.size if addresses is None else list(addresses),
        "quality": quality.tolist(),
        "capacitance": [None] * game.size if np.ndim(capacitance) == 0 else capacitance.tolist(),
        **{column: getattr(game, column).tolist() for column in NUMBERS},
        **{column: getattr(game, column).tolist() for column in ("data_cost", "joining_cost")},
    }
    names = columns["name"]
    organizations = organizations_of(
        columns, lambda i, column: f"organization {names[i]!r}: {column}"
    )
    points = None
    if isinstance(game.accuracy, Empirical):
        points = np.column_stack([game.accuracy.knots, game.accuracy.values])
    matrix = game.competition.matrix if isinstance(game.competition, DenseCompetition) else None
    compensation, rule_of = None, dict[str, Any]()
    if game.compensation is not None:
        if game.compensation.name not in schema.RULES:
            raise InputError.at(Parameter("game"), off_contract(game.compensation.name))
        rule_of = {"rule": game.compensation.name}
    if isinstance(game.compensation, EfficientRule):
        compensation = compensation_section(game.compensation, organizations.names, None)
    return of(
        name=_name(name),
        mechanism=schema.Mechanism(
            incentive_intensity=game.incentive_intensity,
            compute_weight=game.compute_weight,
            overhead_weight=game.overhead_weight,
            min_data_fraction=game.min_data_fraction,
            deadline_seconds=_deadline(game),
            **rule_of,
        ),
        energy=schema.Energy(
            capacitance=common,
            download_watts=game.download_watts,
            upload_watts=game.upload_watts,
        ),
        accuracy=_accuracy(game.accuracy, measure, unit),
        competition=rule,
        organizations=organizations,
        rho=game.competition,
        compensation=compensation,
        settlement=settlement,
        training=training,
        matrix=matrix,
        points=points,
    )


def consortium_of_frame(
    of: type[Consortium],
    frame: pd.DataFrame,
    name: str,
    *,
    accuracy: AccuracyModel,
    competition: npt.ArrayLike | Competition | None = None,
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
    settlement: schema.Settlement | None = None,
    training: schema.Training | None = None,
) -> Consortium:
    """Return the consortium of a data frame; see :meth:`Consortium.from_frame`."""
    who = organizations_of(_columns(frame), lambda i, column: f"row {frame.index[i]!r}: {column}")
    measured = who.data_bits if measure == "bits" else who.samples
    own = np.where(np.isnan(who.capacitance), capacitance, who.capacitance)
    try:
        game = CoopetitionGame(
            **{column: getattr(who, column) for column in (*NUMBERS, "data_cost", "joining_cost")},
            cpu_levels_hz=who.cpu_levels_hz,
            competition=np.zeros((len(who), len(who))) if competition is None else competition,
            accuracy=accuracy,
            data_units=measured / unit,
            quality=who.quality,
            capacitance=capacitance if np.isnan(who.capacitance).all() else own,
            incentive_intensity=incentive_intensity,
            compute_weight=compute_weight,
            overhead_weight=overhead_weight,
            min_data_fraction=min_data_fraction,
            deadline_seconds=deadline_seconds,
            download_watts=download_watts,
            upload_watts=upload_watts,
            compensation=compensation,
            names=who.names,
            title=name,
        )
    except InvalidGameError as error:
        raise InputError(
            Problem(field if i is None else f"row {frame.index[i]!r}: {field}", what)
            for i, field, what in error.problems
        ) from None
    except InvalidCompetitionError as error:
        raise InputError(
            Problem(f"competition[{i}, {j}]", what) for i, j, what in error.problems
        ) from None
    return consortium_of_game(
        of,
        game,
        name,
        samples=who.samples,
        sectors=who.sectors if any(who.sectors) else None,
        addresses=who.addresses,
        settlement=settlement,
        training=training,
    )


def organizations_of(columns: Mapping[str, Sequence[Any]], place: Place) -> Organizations:
    """Return validated organizations of columns of Python values; ``None`` is a default.

    Raises
    ------
    InputError
        With every problem found: a value's type or range, duplicate names, names that look alike.
    """
    valid: dict[str, list[Any]] = {}
    problems = []
    size = len(columns["name"])
    for column in COLUMNS:
        values = columns.get(column)
        if values is None:
            valid[column] = [DEFAULTS.get(column)] * size
            continue
        try:
            found = adapter_of(column).validate_python(list(values), strict=True)
            default = DEFAULTS.get(column)
            valid[column] = [default if value is None else value for value in found]
        except ValidationError as error:
            problems += [
                Problem(place(int(detail["loc"][0]), column), described(detail))
                for detail in error.errors(include_url=False)
            ]
    if problems:
        raise InputError(problems)
    numbers: dict[str, Any] = {
        column: np.array(valid[column], dtype=float) for column in (*NUMBERS, *OPTIONAL)
    }
    organizations = Organizations(
        names=tuple(valid["name"]),
        samples=np.array(valid["samples"], dtype=np.int64),
        cpu_levels_hz=padded(valid["cpu_levels_hz"]),
        sectors=tuple(valid["sector"]),
        addresses=tuple(valid["address"]),
        **numbers,
    )
    problems = [
        Problem(place(int(i), "cpu_levels_hz"), "expected ascending frequencies")
        for i in descending_levels(organizations.cpu_levels_hz)
    ]
    problems += [
        Problem("organizations", what)
        for what in identity_problems(organizations.names, organizations.addresses)
    ]
    if problems:
        raise InputError(problems)
    return organizations


# --- of a game -----------------------------------------------------------------------------------


def _name(name: str) -> str:
    try:
        checked: str = TypeAdapter(schema.Name).validate_python(name, strict=True)
    except ValidationError as error:
        raise InputError.at(Parameter("name"), described(error.errors()[0])) from None
    return checked


def _samples(game: CoopetitionGame, given: Sequence[int] | npt.NDArray[Any] | None) -> list[Any]:
    """Return ``|S_i|``: as given, or the units of data if they are whole numbers, or the bits."""
    if given is not None:
        if len(given) != game.size:
            what = f"expected {game.size:,} numbers, got {len(given):,}"
            raise InputError.at(Parameter("samples"), what)
        return [value.item() if hasattr(value, "item") else value for value in given]
    units = game.data_units
    whole = np.all(units == np.round(units)) and units.max() <= MOST_SAMPLES
    counted = units if whole else np.clip(np.round(game.data_bits), 1.0, MOST_SAMPLES)
    return [int(number) for number in counted]


def _units(
    game: CoopetitionGame, samples: Sequence[Any], *, given: bool
) -> tuple[Literal["bits", "samples"], float, Array]:
    """Return what Omega counts, how much of it is a unit, and the quality that is left over."""
    measures: list[tuple[Literal["bits", "samples"], Array]] = [("bits", game.data_bits)]
    if given and all(isinstance(number, int) and number > 0 for number in samples):
        measures.insert(0, ("samples", np.array(samples, dtype=float)))
    for measure, measured in measures:
        unit = float(measured[0] / game.data_units[0])
        quality = game.data_units / (measured / unit)
        if np.all(np.abs(quality - 1.0) <= PROPORTIONAL):
            return measure, unit, np.ones(game.size)
    measure, measured = measures[0]
    unit = float(measured.sum() / game.data_units.sum())
    return measure, unit, np.asarray(game.data_units / (measured / unit))


def _deadline(game: CoopetitionGame) -> float:
    """Return tau; for none, one that everybody meets with all its data at its slowest level."""
    if np.isfinite(game.deadline_seconds):
        return game.deadline_seconds
    slowest = np.fmin.reduce(game.cpu_levels_hz, axis=1)
    longest = game.cycles_per_bit * game.data_bits / slowest
    return float(2.0 * np.max(game.download_seconds + game.upload_seconds + longest) + 1.0)


def _accuracy(model: Any, measure: Literal["bits", "samples"], unit: float) -> schema.Accuracy:
    if isinstance(model, SqrtLoss):
        return schema.SqrtLossAccuracy(
            model="sqrt-loss",
            measure=measure,
            unit=unit,
            epochs=model.epochs,
            untrained_loss=model.untrained_loss,
        )
    if isinstance(model, PowerLaw):
        return schema.PowerLawAccuracy(
            model="power-law",
            measure=measure,
            unit=unit,
            untrained_loss=model.untrained_loss,
            scale=model.scale,
            exponent=model.exponent,
            floor=model.floor,
        )
    if isinstance(model, Empirical):
        return schema.EmpiricalAccuracy(
            model="empirical", measure=measure, unit=unit, points_file="points.csv"
        )
    own = type(getattr(model, "model", model)).__name__
    raise InputError.at(
        Parameter("accuracy"),
        f"a consortium can state SqrtLoss, PowerLaw or Empirical, got {own}; "
        "fit_empirical makes a curve of its points",
    )


def _competition(game: CoopetitionGame) -> tuple[schema.Competition, list[str | None]]:
    """Return the section that describes rho, and the sectors that it needs."""
    rho, sectors = game.competition, [None] * game.size
    if isinstance(rho, DenseCompetition):
        return schema.Competition(), list(sectors)
    if isinstance(rho, SectorCompetition):
        named: list[str | None] = [f"sector {code + 1}" for code in rho.sectors.tolist()]
        pairs = [] if rho.exceptions is None else list(zip(*rho.exceptions, strict=True))
        listed = [[game.name_of(int(i)), game.name_of(int(j)), float(own)] for i, j, own in pairs]
        section: dict[str, Any] = {"within_sector": rho.within, "across_sectors": rho.across}
        if listed:
            section["pairs"] = listed
        return schema.Competition(**section), named
    pairs_of = []
    for i in range(game.size):
        others, intensities = rho.row(i)
        pairs_of += [
            [game.name_of(i), game.name_of(j), own]
            for j, own in zip(others.tolist(), intensities.tolist(), strict=True)
            if j > i
        ]
    return schema.Competition(pairs=pairs_of), list(sectors)


# --- of a frame ----------------------------------------------------------------------------------


def _columns(frame: pd.DataFrame) -> dict[str, Sequence[Any]]:
    """Return the columns of a frame as Python values, missing ones as ``None``."""
    columns = {str(column): frame[column].tolist() for column in frame.columns}
    if "name" not in columns:
        columns["name"] = [str(label) for label in frame.index]
    problems = [
        Problem(f"column {column!r}", f"unknown column{suggestion(column, COLUMNS)}")
        for column in columns
        if column not in COLUMNS
    ]
    problems += [
        Problem(f"column {column!r}", "is missing") for column in REQUIRED if column not in columns
    ]
    if not len(frame):
        problems.append(Problem("frame", "expected at least one organization"))
    if problems:
        raise InputError(problems)
    for column, values in columns.items():
        if column == "cpu_levels_hz":
            columns[column] = [_levels(value) for value in values]
        elif column in OPTIONAL or column in ("sector", "address"):
            columns[column] = [None if value != value else value for value in values]  # NaN
    return columns


def _levels(cell: Any) -> Any:
    """Return the levels of a cell: a list, an array, one number, or text with semicolons."""
    if isinstance(cell, str):
        try:
            return [float(part) for part in cell.split(";")]
        except ValueError:
            return cell
    if np.ndim(cell) == 0:
        return [cell]
    return [float(level) for level in cell]
