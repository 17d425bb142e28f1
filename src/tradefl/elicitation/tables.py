"""Business tables: columns under headings of everyday words, in any spreadsheet's dialect."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tradefl.consortium.schema import shown, suggestion
from tradefl.consortium.tables import (
    Marks,
    Sheet,
    is_blank,
    kind_of,
    plain,
    read_sheet,
    text_cell,
)
from tradefl.elicitation.headings import BY_NAME, Meaning, meaning_of
from tradefl.errors import MOST_PROBLEMS, InputError, Parameter, Problem
from tradefl.foreign import normalized
from tradefl.text import quoted

# A table with fewer known headings than this is not a table of organizations.
FEWEST_KNOWN = 3


@dataclasses.dataclass(frozen=True)
class Business:
    """The figures of a business table, a row for each organization.

    Attributes
    ----------
    sheet
        Where they are from.
    columns
        The values of each field by its name: text, or numbers in the unit of the field; ``None``
        for an empty cell.
    headings
        The heading of each field's column.
    ignored
        The headings that mean nothing here.
    currency
        The currency that the headings name, if they name one.
    mark
        The decimal mark that the table shows; ``None`` if it shows none.
    """

    sheet: Sheet
    columns: dict[str, list[Any]]
    headings: dict[str, str]
    ignored: tuple[str, ...]
    currency: str | None
    mark: str | None

    def __len__(self) -> int:
        return len(self.sheet.rows) - 1

    def place(self, row: int, field: str) -> str:
        """Return where a value is, for an error."""
        return self.sheet.place(row + 1, self.headings.get(field, field))


def known_headings(path: Path, renamed: Mapping[str, str]) -> tuple[Sheet, int]:
    """Return a table, and how many of its headings mean something."""

    def recognized(cells: list[str]) -> int:
        return len(cells) + 100 * sum(_meaning(cell, renamed) is not None for cell in cells)

    sheet = read_sheet(path, recognized)
    return sheet, sum(_meaning(str(cell), renamed) is not None for cell in sheet.rows[0])


def _meaning(heading: str, renamed: Mapping[str, str]) -> Meaning | None:
    text = normalized(heading.strip())
    return meaning_of(text, renamed.get(text)) if text else None


def mapping(pairs: list[str]) -> dict[str, str]:
    """Return ``COLUMN=FIELD`` pairs as fields by column.

    Raises
    ------
    InputError
        A pair has no ``=``, an unknown field, or names a column twice.
    """
    found: dict[str, str] = {}
    problems = []
    for pair in pairs:
        column, equals, field = (part.strip() for part in pair.rpartition("="))
        column = normalized(column)
        if not equals or not column:
            what = f"expected COLUMN=FIELD, such as 'Cases=cases_per_year', got {shown(pair)}"
            problems.append(Problem(Parameter("map"), what))
        elif field not in BY_NAME:
            known = ", ".join(BY_NAME)
            what = f"unknown field {shown(field)}{suggestion(field, BY_NAME)}; expected {known}"
            problems.append(Problem(Parameter("map"), what))
        elif column in found:
            problems.append(Problem(Parameter("map"), f"names the column {shown(column)} twice"))
        else:
            found[column] = field
    if problems:
        raise InputError(problems)
    return found


def read_business(sheet: Sheet, renamed: Mapping[str, str]) -> Business:
    """Return the figures of a sheet.

    Parameters
    ----------
    sheet
        The table.
    renamed
        What columns mean whose headings are not known: fields by heading.

    Raises
    ------
    InputError
        Columns that mean the same, currencies mixed, a column of ``renamed`` that is not there, a
        cell that is not what its field holds.
    """
    header = [
        "" if cell is None else normalized(str(text_cell(cell)).strip()) for cell in sheet.rows[0]
    ]
    body = sheet.rows[1:]
    problems = [
        Problem(
            Parameter("map"),
            f"{sheet.path} has no column {shown(column)}{suggestion(column, header)}",
        )
        for column in renamed
        if column not in header
    ]
    places: dict[str, int] = {}
    meanings: dict[str, Meaning] = {}
    ignored = []
    for k, heading in enumerate(header):
        meaning = _meaning(heading, renamed)
        if meaning is None:
            if heading:
                ignored.append(heading)
            continue
        name = meaning.field.name
        if name in places:
            what = (
                f"{quoted(header[places[name]])} and {quoted(heading)} both mean {name}; remove "
                "one, or say what the other is with `map`"
            )
            problems.append(Problem(sheet.place(0), what))
            continue
        places[name], meanings[name] = k, meaning
    currencies = {
        meaning.currency: header[places[name]]
        for name, meaning in meanings.items()
        if meaning.currency
    }
    if len(currencies) > 1:
        named = " and ".join(f"{code} ({quoted(heading)})" for code, heading in currencies.items())
        what = f"mixes currencies: {named}; expected one currency; convert the amounts"
        problems.append(Problem(sheet.place(0), what))
    if not body:
        problems.append(Problem(str(sheet.path), "expected at least one organization"))
    if problems:
        raise InputError(problems)
    headings = {name: header[k] for name, k in places.items()}
    cells = {name: [row[k] if k < len(row) else None for row in body] for name, k in places.items()}
    marks = Marks(sheet)
    for name, column in cells.items():
        if meanings[name].field.kind != "text":
            marks.learn(column, functools.partial(_place, sheet, headings[name]))
    mark = marks.decide()
    columns = {
        name: _converted(sheet, headings[name], meanings[name], column, mark, problems)
        for name, column in cells.items()
    }
    if problems:
        raise InputError.many(sheet.path, problems)
    return Business(
        sheet,
        columns,
        headings,
        tuple(ignored),
        next(iter(currencies), None),
        mark if marks.shown_by else None,
    )


def _place(sheet: Sheet, heading: str, row: int) -> str:
    return sheet.place(row + 1, heading)


def _converted(
    sheet: Sheet,
    heading: str,
    meaning: Meaning,
    column: list[Any],
    mark: str,
    problems: list[Problem],
) -> list[Any]:
    """Return the values of a column; record what is wrong with its cells."""
    field = meaning.field
    found: list[Any] = []
    for k, cell in enumerate(column):
        place = _place(sheet, heading, k)
        if is_blank([cell]):
            found.append(None)
            continue
        if field.kind == "text":
            found.append(normalized(str(text_cell(cell)).strip()))
            continue
        value = _number(cell, mark)
        if value is None or not 0.0 <= value < 1e300:
            got = kind_of(cell) if value is None else quoted(cell)
            problems.append(Problem(place, f"expected a number >= 0, got {got}"))
            value = 0.0
        elif field.kind == "count" and value != int(value):
            problems.append(Problem(place, f"expected a whole number, got {quoted(cell)}"))
        found.append(value * meaning.factor)
        if len(problems) > MOST_PROBLEMS:
            raise InputError.many(sheet.path, problems)
    return found


def _number(cell: Any, mark: str) -> float | None:
    if isinstance(cell, str):
        cell = cell.strip().removesuffix("%").strip()
        for sign in ("€", "$", "£", "¥"):
            cell = cell.removesuffix(sign).removeprefix(sign).strip()
    try:
        return float(plain(cell, mark))
    except (TypeError, ValueError):
        return None
