"""The organizations of a consortium as columns, and the tables they come from."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, TypeAdapter, ValidationError

from tradefl.consortium.ranges import OF_AN_ORGANIZATION, disordered
from tradefl.consortium.schema import MENUS, Organization, described, shown
from tradefl.consortium.tables import (
    Columns,
    Marks,
    is_blank,
    plain,
    read_columns,
    text_cell,
    whole,
)
from tradefl.errors import MOST_PROBLEMS, InputError, Problem
from tradefl.foreign import look_alikes, spreadsheet_cell

Array = npt.NDArray[np.float64]

NUMBERS = ("profitability", "data_bits", "cycles_per_bit", "download_seconds", "upload_seconds")
REQUIRED = ("name", *NUMBERS[:2], "samples", NUMBERS[2], "cpu_levels_hz", *NUMBERS[3:])
# What a file may leave out, and the number that holds then; NaN: that of [energy].
DEFAULTS = {"data_cost": 0.0, "joining_cost": 0.0, "capacitance": float("nan"), "quality": 1.0}
OPTIONAL = tuple(DEFAULTS)
# The ends of a range, next to the column of its middle; and the menus of agreed reports.
RANGES = tuple(f"{name}_{end}" for name in OF_AN_ORGANIZATION for end in ("low", "high"))
COLUMNS = (*REQUIRED, *OPTIONAL, *RANGES, *MENUS, "sector", "address")
# One column for each key of a file: what a table for people shows.
KEYS = (*REQUIRED, *OPTIONAL, "sector", "address")
MEASURED = (*NUMBERS, *OPTIONAL, *RANGES, "samples")
# Rows that are validated at once: what is wrong with them is in memory together.
SLICE = 20_000


@dataclasses.dataclass(frozen=True, eq=False)
class Organizations:
    """All organizations, one array a column; the fields are those of the file.

    ``cpu_levels_hz`` has shape ``(N, m)``, padded with NaN; ``sectors`` and ``addresses`` are
    ``None`` where an organization names none. ``capacitance`` is NaN where that of ``[energy]``
    holds. ``ranges`` has the low and the high ends of columns that have ranges, NaN where an
    organization has none; ``menus`` the agreed menus of a column, by organization.
    """

    names: tuple[str, ...]
    profitability: Array
    data_bits: Array
    samples: npt.NDArray[np.int64]
    cycles_per_bit: Array
    cpu_levels_hz: Array
    download_seconds: Array
    upload_seconds: Array
    sectors: tuple[str | None, ...]
    addresses: tuple[str | None, ...]
    data_cost: Array = None  # type: ignore[assignment]  # default: zeros
    joining_cost: Array = None  # type: ignore[assignment]  # likewise
    capacitance: Array = None  # type: ignore[assignment]  # default: NaN
    quality: Array = None  # type: ignore[assignment]  # default: ones
    ranges: Mapping[str, tuple[Array, Array]] = dataclasses.field(default_factory=dict)
    menus: Mapping[str, tuple[tuple[float, ...] | None, ...]] = dataclasses.field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        for name, default in DEFAULTS.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.full(len(self.names), default))

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Organizations):
            return NotImplemented
        return (
            (self.names, self.sectors, self.addresses)
            == (other.names, other.sectors, other.addresses)
            and np.array_equal(self.samples, other.samples)
            and np.array_equal(self.cpu_levels_hz, other.cpu_levels_hz, equal_nan=True)
            and all(np.array_equal(getattr(self, c), getattr(other, c)) for c in NUMBERS)
            and all(
                np.array_equal(getattr(self, c), getattr(other, c), equal_nan=True)
                for c in OPTIONAL
            )
            and self.menus == other.menus
            and self.ranges.keys() == other.ranges.keys()
            and all(
                np.array_equal(a, b, equal_nan=True)
                for key, ends in self.ranges.items()
                for a, b in zip(ends, other.ranges[key], strict=True)
            )
        )

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def of(cls, entries: Sequence[Organization]) -> Organizations:
        """Return the columns of the file's ``[[organization]]`` tables."""
        return cls(
            names=tuple(entry.name for entry in entries),
            samples=np.array([entry.samples for entry in entries], dtype=np.int64),
            cpu_levels_hz=padded([entry.cpu_levels_hz for entry in entries]),
            sectors=tuple(entry.sector for entry in entries),
            addresses=tuple(entry.address for entry in entries),
            # None becomes NaN.
            **cls._columns(entries),
            menus=_menus({c: [getattr(entry, c) for entry in entries] for c in MENUS}),
        )

    @staticmethod
    def _columns(entries: Sequence[Organization]) -> dict[str, Any]:
        return {
            c: np.array([getattr(entry, c) for entry in entries], float)
            for c in (*NUMBERS, *OPTIONAL)
        }

    def with_ranges(self, found: Sequence[Mapping[str, tuple[float, float]]]) -> Organizations:
        """Return them with ranges: of each organization by column, low and high."""
        ranges = {}
        for name in OF_AN_ORGANIZATION:
            if any(name in ranges for ranges in found):
                ends = [ranges.get(name, (np.nan, np.nan)) for ranges in found]
                ranges[name] = (np.array([a for a, _ in ends]), np.array([b for _, b in ends]))
        return dataclasses.replace(self, ranges=ranges)

    def menu_problems(self) -> list[tuple[str, str]]:
        """Return whose menu does not ascend, or lacks the figure that it reports."""
        problems = []
        for column, lists in self.menus.items():
            figure = column.removesuffix("_menu")
            for i, menu in enumerate(lists):
                if menu is None:
                    continue
                reported = float(getattr(self, figure)[i])
                if any(b <= a for a, b in itertools.pairwise(menu)):
                    what = f"{column}: expected ascending numbers, got {shown(list(menu))}"
                    problems.append((self.names[i], what))
                elif reported not in menu:
                    what = (
                        f"{figure}: expected one of its menu {shown(list(menu))}, got "
                        f"{reported:g}; report an element of {column}"
                    )
                    problems.append((self.names[i], what))
        return problems

    def levels(self, i: int) -> list[float]:
        """Return the CPU levels of organization ``i``, Hz, without padding."""
        row = self.cpu_levels_hz[i]
        return [float(f) for f in row[~np.isnan(row)]]

    def entry(self, i: int) -> dict[str, Any]:
        """Return organization ``i`` as its table in the file; absent keys are left out."""
        entry: dict[str, Any] = {
            "name": self.names[i],
            "profitability": float(self.profitability[i]),
            "data_bits": float(self.data_bits[i]),
            "samples": int(self.samples[i]),
            "cycles_per_bit": float(self.cycles_per_bit[i]),
            "cpu_levels_hz": self.levels(i),
            "download_seconds": float(self.download_seconds[i]),
            "upload_seconds": float(self.upload_seconds[i]),
            **{name: self._given(name, i) for name in OPTIONAL},
            **{
                name: None if (menu := lists[i]) is None else list(menu)
                for name, lists in self.menus.items()
            },
            "sector": self.sectors[i],
            "address": self.addresses[i],
        }
        for name, (lows, highs) in self.ranges.items():
            if not np.isnan(lows[i]):
                ends = float(lows[i]), float(getattr(self, name)[i]), float(highs[i])
                entry[name] = dict(zip(("low", "mid", "high"), ends, strict=True))
        return {key: value for key, value in entry.items() if value is not None}

    def _given(self, name: str, i: int) -> float | None:
        """Return an optional number, ``None`` where it is the default."""
        value = float(getattr(self, name)[i])
        return None if np.isnan(value) or value == DEFAULTS[name] else value


def _menus(columns: Mapping[str, Sequence[Any]]) -> dict[str, tuple[tuple[float, ...] | None, ...]]:
    """Return the menus that somebody has, by column."""
    return {
        name: tuple(None if list_ is None else tuple(map(float, list_)) for list_ in lists)
        for name, lists in columns.items()
        if any(list_ is not None for list_ in lists)
    }


def padded(levels: Sequence[Sequence[float]]) -> Array:
    """Return ragged lists of levels as one array, NaN where a row has no more."""
    width = max((len(row) for row in levels), default=1)
    array = np.full((len(levels), max(width, 1)), np.nan)
    for i, row in enumerate(levels):
        array[i, : len(row)] = row
    return array


def descending_levels(levels: Array) -> npt.NDArray[np.intp]:
    """Return the rows whose levels do not ascend strictly."""
    return np.flatnonzero(np.any(np.diff(levels, axis=1) <= 0.0, axis=1))


# --- tables ------------------------------------------------------------------------------------


def read_organizations(path: Path) -> Organizations:
    """Read the organizations of a ``.csv``, ``.tsv``, ``.parquet`` or ``.xlsx`` table.

    Raises
    ------
    InputError
        With every problem found: the file, its columns, and each cell's type and range.
    MissingExtraError
        A Parquet file or a workbook, but the library that reads it is not installed.
    """
    columns = read_columns(path, REQUIRED, COLUMNS)
    size = len(columns)
    if size == 0:
        raise InputError.at(path, "expected at least one organization")
    cells, typed = _converted(columns), columns.sheet.kind == "parquet"
    valid: dict[str, list[Any]] = {}
    problems = []
    for name in COLUMNS:
        default = DEFAULTS.get(name)
        if name not in cells:
            valid[name] = [default] * size
            continue
        adapter, valid[name] = adapter_of(name), []
        for first in range(0, size, SLICE):
            part = cells[name][first : first + SLICE]
            try:
                # Cells of a CSV file are text and must be converted; those of Parquet must not.
                valid[name] += adapter.validate_python(part, strict=typed)
            except ValidationError as error:
                for detail in error.errors(include_url=False):
                    row = first + int(detail["loc"][0])
                    if len(detail["loc"]) == 1:
                        detail["input"] = columns.cells[name][row]  # as it was before conversion
                    problems.append(Problem(columns.place(row, name), described(detail)))
            if name in DEFAULTS:
                valid[name] = [default if cell is None else cell for cell in valid[name]]
            if len(problems) > MOST_PROBLEMS:
                raise InputError.many(path, problems)
    ranges = {} if problems else _ranges(columns, valid, problems)
    if problems:
        raise InputError(problems)
    levels = padded(valid["cpu_levels_hz"])
    return Organizations(
        names=tuple(valid["name"]),
        samples=np.array(valid["samples"], dtype=np.int64),
        cpu_levels_hz=levels,
        sectors=tuple(valid["sector"]),
        addresses=tuple(valid["address"]),
        **{name: np.array(valid[name], dtype=float) for name in (*NUMBERS, *OPTIONAL)},
        ranges=ranges,
        menus=_menus({name: valid[name] for name in MENUS}),
    )


def _ranges(
    columns: Columns, valid: Mapping[str, Sequence[Any]], problems: list[Problem]
) -> dict[str, tuple[Array, Array]]:
    """Return the ranges of the columns that have some; collect what is wrong with them."""
    ranges = {}
    for name in OF_AN_ORGANIZATION:
        lows, highs = valid[f"{name}_low"], valid[f"{name}_high"]
        for row, (low, mid, high) in enumerate(zip(lows, valid[name], highs, strict=True)):
            if low is None and high is None:
                continue
            if low is None or high is None:
                end = "low" if low is None else "high"
                what = "is empty; a range needs both ends, or neither"
                problems.append(Problem(columns.place(row, f"{name}_{end}"), what))
            elif (what_ := disordered(low, mid, high)) is not None:
                problems.append(Problem(columns.place(row, name), what_))
        if any(low is not None for low in lows):
            ranges[name] = (np.array(lows, dtype=float), np.array(highs, dtype=float))
    return ranges


def identity_problems(names: Sequence[str], addresses: Sequence[str | None]) -> list[str]:
    """Return which names and addresses occur twice, and which names look alike."""
    problems = []
    for what, values in (("name", names), ("address", addresses)):
        counts = Counter(value.lower() if what == "address" else value for value in values if value)
        problems += [
            f"{what} {value!r} occurs {times} times" for value, times in counts.items() if times > 1
        ]
    # ascii() shows which characters differ.
    problems += [
        f"the names {name!a} and {twin!a} look alike; rename one of them"
        for name, twin in look_alikes(names)
    ]
    return problems


def adapter_of(name: str) -> TypeAdapter[list[Any]]:
    """Return the validator of a whole column, under the rules of the field of that name."""
    field = name.removesuffix("_low").removesuffix("_high") if name in RANGES else name
    rule: Any = get_type_hints(Organization, include_extras=True)[field]
    if name in DEFAULTS or name in RANGES:  # an empty cell is the default
        rule = rule | None
    return TypeAdapter(list[rule], config=ConfigDict(allow_inf_nan=False))


def _converted(columns: Columns) -> dict[str, list[Any]]:
    """Return the cells of each column, numbers and lists of levels as Python reads them."""
    cells = dict(columns.cells)
    if columns.sheet.kind == "parquet":
        return cells
    cells["cpu_levels_hz"] = levels = [_levels(cell) for cell in cells["cpu_levels_hz"]]
    marks = Marks(columns.sheet)
    measured = [name for name in MEASURED if name in cells]
    for name in measured:
        marks.learn(cells[name], functools.partial(columns.place, name=name))
    rows = [(k, level) for k, row in enumerate(levels) for level in row]
    marks.learn((level for _, level in rows), lambda n: columns.place(rows[n][0], "cpu_levels_hz"))
    mark = marks.decide()
    for name in measured:
        cells[name] = [plain(cell, mark) for cell in cells[name]]
        if name in DEFAULTS or name in RANGES:
            cells[name] = [None if is_blank([cell]) else cell for cell in cells[name]]
    for name in (menu for menu in MENUS if menu in cells):
        cells[name] = [
            [plain(point, mark) for point in _levels(cell)] or None for cell in cells[name]
        ]
    cells["samples"] = [whole(cell) for cell in cells["samples"]]
    cells["cpu_levels_hz"] = [[plain(level, mark) for level in row] for row in levels]
    cells["name"] = [text_cell(cell) for cell in cells["name"]]
    for name in ("sector", "address"):
        if name in cells:
            cells[name] = [text_cell(cell) or None for cell in cells[name]]
    return cells


def _levels(cell: Any) -> list[Any]:
    """Return the levels of a cell: several as text, separated by semicolons, or one number."""
    if isinstance(cell, str):
        return cell.split(";") if cell else []
    return [] if cell is None else [cell]


def organizations_csv(organizations: Organizations) -> bytes:
    """Return the organizations as the CSV table that :func:`read_organizations` reads."""
    entries = [organizations.entry(i) for i in range(len(organizations))]
    for entry in entries:
        for name in OF_AN_ORGANIZATION:
            if isinstance(ends := entry.get(name), dict):
                entry |= {f"{name}_low": ends["low"], f"{name}_high": ends["high"]}
                entry[name] = ends["mid"]
    optional = [
        name
        for name in (*OPTIONAL, *RANGES, *MENUS, "sector", "address")
        if any(name in entry for entry in entries)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*REQUIRED, *optional], restval="", lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        for name in ("cpu_levels_hz", *(menu for menu in MENUS if menu in entry)):
            entry[name] = ";".join(map(repr, entry[name]))
        entry |= {key: spreadsheet_cell(entry[key]) for key in ("name", "sector") if key in entry}
        writer.writerow(entry)
    return text.getvalue().encode()
