"""A consortium as a table that can be edited, and back, with the errors of its file.

The rules of a consortium file are in :mod:`tradefl.consortium`. The edited table is written as
such a file and read again, so the console can neither accept nor refuse anything else.
"""

from __future__ import annotations

import dataclasses
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import tomli_w

from tradefl.consortium import Consortium, load
from tradefl.consortium.competitors import matrix_csv
from tradefl.consortium.organizations import KEYS, NUMBERS, OPTIONAL
from tradefl.consortium.segments import Segments, segments_csv
from tradefl.consortium.writing import write
from tradefl.errors import InputError, Problem
from tradefl.foreign import parse_toml, read_text
from tradefl.report.blocks import listed

# Which organization of the file a row was, while names change; empty for a new row.
ROW = "row"
LEVELS = "cpu_levels_hz"
FILE = "consortium.toml"


@dataclasses.dataclass(frozen=True)
class CellProblem(Problem):
    """What is wrong with a cell of the table.

    Attributes
    ----------
    row
        Its row, counted from 0.
    column
        Its column; empty if the whole row is meant.
    """

    row: int
    column: str


def table_of(consortium: Consortium) -> pd.DataFrame:
    """Return the organizations as a table, a row each; the CPU levels are text, ``a; b; c``."""
    who = consortium.organizations
    columns: dict[str, Any] = {
        ROW: pd.array(range(len(who)), dtype="Int64"),
        "name": list(who.names),
        "samples": pd.array(who.samples.tolist(), dtype="Int64"),
        LEVELS: ["; ".join(map(_short, who.levels(i))) for i in range(len(who))],
        "sector": list(who.sectors),
        "address": list(who.addresses),
    }
    columns |= {name: getattr(who, name).astype(float) for name in (*NUMBERS, *OPTIONAL)}
    texts = dict.fromkeys(("name", LEVELS, "sector", "address"), "object")
    return pd.DataFrame(columns)[[ROW, *KEYS]].astype(texts)


def _short(value: float) -> str:
    """Return the shortest text that is read as the same number."""
    return min((f"{value:g}", repr(value)), key=lambda text: (float(text) != value, len(text)))


def edited(original: Consortium, table: pd.DataFrame) -> Consortium:
    """Return the consortium with the organizations of a table.

    Who was renamed keeps its rivals, who was deleted is left out of them, and who is new
    competes as the file says of those it does not list (with a matrix: not at all).

    Parameters
    ----------
    original
        The consortium of the file, to which the column ``row`` refers.
    table
        As :func:`table_of` makes it, with other cells, and with rows added and deleted.

    Raises
    ------
    InputError
        With every problem; those of a cell name its row and column.
    """
    rows = table.to_dict("records")
    labels = [None if pd.isna(row[ROW]) else int(row[ROW]) for row in rows]
    entries = [
        _entry(row) if label is None else _kept(original.organizations.entry(label), _entry(row))
        for row, label in zip(rows, labels, strict=True)
    ]
    with TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        write(original, path)  # for the tables that it refers to
        document = parse_toml(read_text(path), path)
        document.pop("organizations_file", None)
        document["organization"] = entries
        section = document.get("competition", {})
        if "pairs" in section:
            section["pairs"] = _pairs(section["pairs"], original.names, labels, entries)
        if original.matrix is not None:
            matrix = _matrix(original.matrix, labels)
            (Path(folder) / section["matrix_file"]).write_bytes(matrix_csv(matrix))
        if original.segments is not None:
            names = [str(entry.get("name", k)) for k, entry in enumerate(entries)]
            table = segments_csv(names, _segments(original.segments, labels, names))
            (Path(folder) / section["segments_file"]).write_bytes(table)
        path.write_text(tomli_w.dumps(document), encoding="utf-8")
        try:
            found = load(path)
        except InputError as error:
            raise InputError(
                _in_table(problem, path, entries) for problem in error.problems
            ) from None
    return dataclasses.replace(found, source=original.source)


def _entry(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row as its table in the file; what is empty is left out, and found missing."""
    entry: dict[str, Any] = {}
    for column in KEYS:
        value = row[column]
        if column == LEVELS:
            entry[column] = [_number(cell) for cell in _cells(value)]
        elif not pd.isna(value) and value != "":
            entry[column] = int(value) if column == "samples" else value
    return entry


def _kept(before: Mapping[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """Return an edited entry with what the table does not show: menus, and ranges around figures.

    A range stays as long as the figure in its middle does.
    """
    kept = {key: value for key, value in before.items() if key not in KEYS}
    kept |= {
        key: value
        for key, value in before.items()
        if isinstance(value, dict) and key in entry and value.get("mid") == entry[key]
    }
    return {**entry, **kept}


def _cells(value: Any) -> list[str]:
    text = "" if pd.isna(value) else str(value)
    return [cell.strip() for cell in re.split("[;,]", text) if cell.strip()]


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell  # the reader of the file says what it should be


def _pairs(
    pairs: list[list[Any]],
    names: tuple[str, ...],
    labels: list[int | None],
    entries: list[dict[str, Any]],
) -> list[list[Any]]:
    """Return the listed pairs under the new names, without those who have left."""
    new = {
        names[label]: entry.get("name", names[label])
        for label, entry in zip(labels, entries, strict=True)
        if label is not None
    }
    return [[new[a], new[b], rho] for a, b, rho in pairs if a in new and b in new]


def _matrix(matrix: np.ndarray[Any, Any], labels: list[int | None]) -> np.ndarray[Any, Any]:
    found = np.zeros((len(labels), len(labels)))
    known = [(k, label) for k, label in enumerate(labels) if label is not None]
    at, of = [k for k, _ in known], [label for _, label in known]
    found[np.ix_(at, at)] = matrix[np.ix_(of, of)]
    return found


def _segments(segments: Segments, labels: list[int | None], names: list[str]) -> Segments:
    """Return the segments of the rows; a new organization is alone in one of its own."""
    new = [k for k, label in enumerate(labels) if label is None]
    values = np.zeros((len(labels), len(segments.headings) + len(new)))
    for k, label in enumerate(labels):
        if label is not None:
            values[k, : len(segments.headings)] = segments.values[label]
    values[new, len(segments.headings) + np.arange(len(new))] = 1.0
    headings = (*segments.headings, *(f"{names[k]} ({k + 1})" for k in new))
    return Segments(headings, values)


def _in_table(problem: Problem, path: Path, entries: list[dict[str, Any]]) -> Problem:
    """Return a problem of the file with its place in the words of the table: row and column."""
    key = problem.place.removeprefix(f"{path}: ").removeprefix(f"{path.parent}/")
    by_index = re.fullmatch(r"organization\[(\d+)\]\.?(.*)", key)
    if by_index:
        return _cell(int(by_index[1]), by_index[2], problem.message, entries)
    by_name = re.fullmatch(r"organization ('.*'|\".*\"): (\w+)", key)
    if by_name:
        for k, entry in enumerate(entries):
            if repr(entry.get("name")) == by_name[1]:
                return _cell(k, by_name[2], problem.message, entries)
    repeated = re.match("name ('.*'|\".*\") occurs", problem.message)
    if key == "organization" and repeated:
        rows = [k for k, entry in enumerate(entries) if repr(entry.get("name")) == repeated[1]]
        if len(rows) > 1:
            places = f"rows {listed([str(k + 1) for k in rows])}, name"
            return CellProblem(places, problem.message, rows[1], "name")
    return Problem(key, problem.message)


def _cell(k: int, where: str, message: str, entries: list[dict[str, Any]]) -> CellProblem:
    name = entries[k].get("name")
    place = f"row {k + 1}{f' ({name})' if name else ''}{f', {where}' if where else ''}"
    column = re.match(r"\w*", where)
    return CellProblem(place, message, k, column[0] if column else "")


def beside(table: pd.DataFrame, problems: Sequence[Problem]) -> list[str]:
    """Return what is wrong with the cells of each row, in order; empty where nothing is."""
    found: list[list[str]] = [[] for _ in range(len(table))]
    for problem in problems:
        if isinstance(problem, CellProblem):
            found[problem.row].append(
                f"{problem.column}: {problem.message}" if problem.column else problem.message
            )
    return ["; ".join(texts) for texts in found]


# --- the sliders -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Terms:
    """What the sliders set: gamma, the factor on every rho, and the deadline in seconds."""

    gamma: float
    rho_scale: float
    deadline: float

    @classmethod
    def of(cls, consortium: Consortium) -> Terms:
        """Return the terms of a file."""
        mechanism = consortium.mechanism
        return cls(mechanism.incentive_intensity, 1.0, mechanism.deadline_seconds)


def adjusted(consortium: Consortium, terms: Terms) -> Consortium:
    """Return the consortium under other terms.

    Raises
    ------
    InputError
        An intensity would exceed 1; or, with the first use of ``game``, somebody cannot meet
        the deadline or some ``z_i`` is not positive.
    """
    mechanism = consortium.mechanism.model_copy(
        update={"incentive_intensity": terms.gamma, "deadline_seconds": terms.deadline}
    )
    changed = dataclasses.replace(consortium, mechanism=mechanism)
    if terms.rho_scale == 1.0:
        return changed
    scale, section = terms.rho_scale, consortium.competition
    largest = scale * largest_intensity(consortium)
    if largest > 1.0:
        raise InputError.at(
            "rho scale", f"expected every intensity in [0, 1], got {largest:.6g} as the largest"
        )
    update: dict[str, Any] = {
        key: scale * getattr(section, key)
        for key in ("default", "within_sector", "across_sectors", "conduct")
        if getattr(section, key) is not None
    }
    if section.pairs:
        update["pairs"] = [[a, b, scale * rho] for a, b, rho in section.pairs]
    return dataclasses.replace(
        changed,
        competition=section.model_copy(update=update),
        rho=consortium.rho.scaled(scale),
        matrix=None if consortium.matrix is None else scale * consortium.matrix,
    )


def largest_intensity(consortium: Consortium) -> float:
    """Return the largest competition intensity that the file gives."""
    section = consortium.competition
    given = [rho for _, _, rho in section.pairs]
    given += [section.default, section.within_sector, section.across_sectors, section.conduct]
    if consortium.matrix is not None:
        given.append(float(consortium.matrix.max()))
    return max((float(rho) for rho in given if rho is not None), default=0.0)


# --- downloads ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Download:
    """A file to take away."""

    name: str
    mime: str
    content: bytes


def consortium_file(consortium: Consortium) -> Download:
    """Return the consortium as its file; with the tables that it refers to, as a ZIP archive."""
    whole = dataclasses.replace(consortium, organizations_file=None)
    name = consortium.source.with_suffix(".toml").name
    with TemporaryDirectory() as folder:
        write(whole, Path(folder) / name)
        files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    if len(files) == 1:
        return Download(name, "application/toml", files[name])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, content in files.items():
            archive.writestr(file, content)
    return Download(f"{consortium.source.stem}.zip", "application/zip", packed.getvalue())
