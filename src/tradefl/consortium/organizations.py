"""The organizations of a consortium as columns, and the tables they come from."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, TypeAdapter, ValidationError

from tradefl.consortium.files import read_csv
from tradefl.consortium.schema import Organization, described, suggestion
from tradefl.errors import InputError, MissingExtraError, Problem

Array = npt.NDArray[np.float64]

NUMBERS = ("profitability", "data_bits", "cycles_per_bit", "download_seconds", "upload_seconds")
REQUIRED = ("name", *NUMBERS[:2], "samples", NUMBERS[2], "cpu_levels_hz", *NUMBERS[3:])
COLUMNS = (*REQUIRED, "sector", "address")


@dataclasses.dataclass(frozen=True, eq=False)
class Organizations:
    """All organizations, one array a column; the fields are those of the file.

    ``cpu_levels_hz`` has shape ``(N, m)``, padded with NaN; ``sectors`` and ``addresses`` are
    ``None`` where an organization names none.
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
            **{c: np.array([getattr(entry, c) for entry in entries], float) for c in NUMBERS},
        )

    def levels(self, i: int) -> list[float]:
        """Return the CPU levels of organization ``i``, Hz, without padding."""
        row = self.cpu_levels_hz[i]
        return [float(f) for f in row[~np.isnan(row)]]

    def entry(self, i: int) -> dict[str, Any]:
        """Return organization ``i`` as its table in the file; absent keys are left out."""
        entry = {
            "name": self.names[i],
            "profitability": float(self.profitability[i]),
            "data_bits": float(self.data_bits[i]),
            "samples": int(self.samples[i]),
            "cycles_per_bit": float(self.cycles_per_bit[i]),
            "cpu_levels_hz": self.levels(i),
            "download_seconds": float(self.download_seconds[i]),
            "upload_seconds": float(self.upload_seconds[i]),
            "sector": self.sectors[i],
            "address": self.addresses[i],
        }
        return {key: value for key, value in entry.items() if value is not None}


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
    """Read the organizations of a ``.csv`` or ``.parquet`` table.

    Raises
    ------
    InputError
        With every problem found: the file, its columns, and each cell's type and range.
    MissingExtraError
        A Parquet file, but pyarrow is not installed.
    """
    parquet = path.suffix == ".parquet"
    columns, lines = _parquet_columns(path) if parquet else _csv_columns(path)
    size = len(lines)
    problems = [
        Problem(str(path), f"column {name!r} is missing")
        for name in REQUIRED
        if name not in columns
    ]
    problems += [
        Problem(str(path), f"unknown column {name!r}" + suggestion(name, COLUMNS))
        for name in columns
        if name not in COLUMNS
    ]
    if size == 0:
        problems.append(Problem(str(path), "expected at least one organization"))
    if problems:
        raise InputError(problems)

    valid: dict[str, list[Any]] = {}
    for name in COLUMNS:
        if name not in columns:
            valid[name] = [None] * size
            continue
        try:
            # Cells of a CSV file are text and must be converted; those of Parquet must not.
            valid[name] = _adapter(name).validate_python(columns[name], strict=parquet)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                row = int(detail["loc"][0])
                where = f"{'row' if parquet else 'line'} {lines[row]}"
                problems.append(Problem(f"{path}: {where}, {name}", described(detail)))
    if problems:
        raise InputError(problems)
    levels = padded(valid["cpu_levels_hz"])
    return Organizations(
        names=tuple(valid["name"]),
        samples=np.array(valid["samples"], dtype=np.int64),
        cpu_levels_hz=levels,
        sectors=tuple(valid["sector"]),
        addresses=tuple(valid["address"]),
        **{name: np.array(valid[name], dtype=float) for name in NUMBERS},
    )


def _adapter(name: str) -> TypeAdapter[list[Any]]:
    """Return the validator of a whole column, under the rules of the field of that name."""
    rule: Any = get_type_hints(Organization, include_extras=True)[name]
    return TypeAdapter(list[rule], config=ConfigDict(allow_inf_nan=False))


def _csv_columns(path: Path) -> tuple[dict[str, list[Any]], Sequence[int]]:
    """Return the cells of each column, and the line of each row."""
    (header, *rows), (_, *lines) = read_csv(path)
    header = [name.strip() for name in header]
    twice = sorted({name for name in header if header.count(name) > 1})
    problems = [Problem(f"{path}: line 1", f"column {name!r} stands twice") for name in twice]
    problems += [
        Problem(f"{path}: line {line}", f"expected {len(header)} cells, got {len(row)}")
        for row, line in zip(rows, lines, strict=True)
        if len(row) != len(header)
    ]
    if problems:
        raise InputError(problems)
    columns: dict[str, list[Any]] = {
        name: list(cells) for name, cells in zip(header, zip(*rows, strict=True), strict=False)
    }
    if "cpu_levels_hz" in columns:
        columns["cpu_levels_hz"] = [
            cell.split(";") if cell else [] for cell in columns["cpu_levels_hz"]
        ]
    for name in ("sector", "address"):
        if name in columns:
            columns[name] = [cell or None for cell in columns[name]]
    return columns or {name: [] for name in header}, lines


def _parquet_columns(path: Path) -> tuple[dict[str, list[Any]], Sequence[int]]:
    """Return the cells of each column, and the number of each row, counted from 0."""
    if not path.is_file():
        what = "is a directory, expected a file" if path.is_dir() else "no such file"
        raise InputError.at(path, what)
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError(f"{path}: reading Parquet", "tables") from None
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError.at(path, f"cannot be read as Parquet: {reason}") from None
    return {name: table[name].to_pylist() for name in table.column_names}, range(table.num_rows)


def organizations_csv(organizations: Organizations) -> bytes:
    """Return the organizations as the CSV table that :func:`read_organizations` reads."""
    optional = [
        name
        for name, values in (
            ("sector", organizations.sectors),
            ("address", organizations.addresses),
        )
        if any(value is not None for value in values)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*REQUIRED, *optional], restval="", lineterminator="\n")
    writer.writeheader()
    for i in range(len(organizations)):
        entry = organizations.entry(i)
        entry["cpu_levels_hz"] = ";".join(map(repr, entry["cpu_levels_hz"]))
        writer.writerow(entry)
    return text.getvalue().encode()
