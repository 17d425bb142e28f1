"""Tables of a consortium: CSV, TSV, Parquet and Excel files, read as rows of cells.

Spreadsheets write CSV in many ways: other separators, decimal commas, thousands separators, a line
``sep=;``, rows and columns that are wholly empty, an index column. What can be read in one way
only is read; anything else is one error that names the line, the column and what to do.

The text of a file is its author's data. An error quotes a cell only under a heading that was
recognized, so that a file that is not a table of ours is not printed.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from tradefl.consortium.parquet import read_parquet
from tradefl.consortium.schema import suggestion
from tradefl.errors import MOST_PROBLEMS, InputError, MissingExtraError, Problem
from tradefl.foreign import Limits, limits, read_bytes, read_cell, read_text
from tradefl.foreign.limits import exceeded
from tradefl.text import quoted

SUFFIXES = (".csv", ".tsv", ".parquet", ".xlsx")
SEPARATORS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}

# A cell of CSV is text; one of Excel or Parquet has a type of its own.
Cell = Any


@dataclasses.dataclass(frozen=True)
class Sheet:
    """The rows of a table, without those that are blank.

    Attributes
    ----------
    path
        The file.
    rows
        The cells of each row; the first row may be headings.
    lines
        Where each row is: the line of a text file, or the row of a workbook.
    unit
        What ``lines`` counts: ``line`` or ``row``.
    kind
        ``text``, ``workbook`` or ``parquet``: only Parquet holds each cell to a type.
    separator
        What separates the cells of a text file; ``None`` for others.
    """

    path: Path
    rows: list[list[Cell]]
    lines: Sequence[int]
    unit: str = "line"
    kind: Literal["text", "workbook", "parquet"] = "text"
    separator: str | None = None

    def place(self, row: int, column: object = None) -> str:
        """Return where a cell is, for an error."""
        line = self.lines[row]
        if line < 0:  # the headings of Parquet are in no row
            return str(self.path) if column is None else f"{self.path}: {column}"
        where = f"{self.path}: {self.unit} {line}"
        return where if column is None else f"{where}, {column}"

    @property
    def separated(self) -> str:
        """How the cells are separated, for an error."""
        return "" if self.separator is None else f" (separator {SEPARATORS[self.separator]})"


def read_sheet(path: Path, recognized: Callable[[list[str]], int]) -> Sheet:
    """Read a table.

    Parameters
    ----------
    path
        A ``.csv``, ``.tsv``, ``.parquet`` or ``.xlsx`` file.
    recognized
        How many cells of a first row are what the caller looks for. The separator of a CSV file
        is the one under which this is largest.

    Raises
    ------
    InputError
        The file cannot be read, exceeds a limit, or has another suffix.
    MissingExtraError
        Parquet or Excel, and the library that reads it is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        expected = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise InputError.at(path, f"is not a table; expected a {expected} file")
    if suffix == ".parquet":
        names, rows = read_parquet(path)
        return Sheet(path, [names, *rows], range(-1, len(rows)), "row", "parquet")
    return _read_workbook(path) if suffix == ".xlsx" else _read_text(path, recognized)


# --- text ----------------------------------------------------------------------------------------


def _read_text(path: Path, recognized: Callable[[list[str]], int]) -> Sheet:
    text = read_text(path)
    skipped = 0
    declared = re.match(r'"?sep=(.)"?[,;\t|]*\r?\n', text, re.IGNORECASE)
    if declared and declared[1] in SEPARATORS:  # as Excel writes it, and reads it
        separator, skipped = declared[1], 1
        text = text[declared.end() :]
    else:
        start = next(
            (line for line in io.StringIO(text, newline="") if line.strip(" \t\r\n,;|")), ""
        )
        found = {mark: recognized(_cells(start, mark)) for mark in SEPARATORS}
        best = max(found.values())
        preferred = "\t" if path.suffix.lower() == ".tsv" else ","
        order = sorted(SEPARATORS, key=lambda mark: mark != preferred)
        separator = next(mark for mark in order if found[mark] == best)
    # Only line feeds end lines: str.splitlines would split at U+2028 within a name too.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    rows, lines = _bounded(path, _numbered(path, reader, skipped))
    if not rows:
        raise InputError.at(path, "is empty")
    return Sheet(path, rows, lines, "line", "text", separator)


def _cells(line: str, separator: str) -> list[str]:
    try:
        row = next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])
    except csv.Error:
        return []
    return [cell.strip() for cell in row]


def _numbered(path: Path, reader: Any, skipped: int) -> Iterator[tuple[int, list[str]]]:
    try:
        for row in reader:
            yield reader.line_num + skipped, row
    except csv.Error as error:
        line = reader.line_num + skipped
        raise InputError.at(f"{path}: line {line}", f"not valid CSV: {error}") from None


def _bounded(
    path: Path, numbered: Iterable[tuple[int, list[Cell]]], unit: str = "line"
) -> tuple[list[list[Cell]], list[int]]:
    """Return the rows that are not blank, and where they are, within the limits."""
    most = limits()
    rows: list[list[Cell]] = []
    lines: list[int] = []
    cells = 0
    for line, row in numbered:
        if is_blank(row):
            continue
        cells += len(row)
        if cells > most.values:
            raise exceeded(path, f"has more than {most.values:,} cells", "values", most.values)
        if len(rows) >= most.rows:
            raise exceeded(path, f"has more than {most.rows:,} rows", "rows", most.rows)
        if len(row) > most.columns:
            raise exceeded(
                f"{path}: {unit} {line}", f"has {len(row):,} cells", "columns", most.columns
            )
        rows.append(row)
        lines.append(line)
    return rows, lines


def is_blank(row: Iterable[Cell]) -> bool:
    """Tell whether nothing is in any of the cells."""
    return not any(cell is not None and (not isinstance(cell, str) or cell.strip()) for cell in row)


# --- Excel ---------------------------------------------------------------------------------------


def _read_workbook(path: Path) -> Sheet:
    """Read the first sheet of an Excel workbook; of formulas the values that Excel has stored."""
    content = read_bytes(path)
    try:
        import openpyxl
    except ImportError:
        raise MissingExtraError(f"{path}: reading Excel workbooks", "tables") from None
    most = limits()
    try:
        # zipfile never yields more of a part than the directory says, so the sum is a bound.
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(part.file_size for part in archive.infolist())
            others = sum(
                part.file_size
                for part in archive.infolist()
                if not part.filename.startswith("xl/worksheets/")
            )
        # What is not a sheet is built in memory as a whole, in twenty times its size.
        if size > most.bytes or others > most.bytes // 4:
            raise exceeded(path, f"has {size:,} bytes decompressed", "bytes", most.bytes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions that it does not know
            book = openpyxl.load_workbook(
                io.BytesIO(content), read_only=True, data_only=True, keep_links=False
            )
            if not book.worksheets:
                raise InputError.at(path, "has no worksheet")
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # what the file says of its size is not believed
            rows, lines = _bounded(
                path, _trimmed(path, sheet.iter_rows(values_only=True), most), "row"
            )
            book.close()
    except InputError:
        raise
    except Exception as error:
        # Each part of the library raises errors of its own about a file that is broken.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError.at(path, f"cannot be read as an Excel workbook: {reason}") from None
    if not rows:
        raise InputError.at(path, "is empty")
    return Sheet(path, rows, lines, "row", "workbook")


def _trimmed(
    path: Path, rows: Iterable[tuple[Cell, ...]], most: Limits
) -> Iterator[tuple[int, list[Cell]]]:
    """Yield the rows and their numbers, without the empty cells at their end."""
    cells = 0
    for number, row in enumerate(rows, 1):
        cells += len(row)  # a row extends to its last cell, however many before it are empty
        if cells > most.values:
            raise exceeded(path, f"has more than {most.values:,} cells", "values", most.values)
        last = max((k for k, cell in enumerate(row, 1) if cell is not None), default=0)
        yield number, list(row[:last])


# --- columns under headings ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Columns:
    """The cells of a table by heading.

    Attributes
    ----------
    sheet
        Where they come from.
    cells
        The cells of each column, by its heading.
    first
        The row of the sheet at which the cells begin.
    """

    sheet: Sheet
    cells: dict[str, list[Cell]]
    first: int = 1

    def __len__(self) -> int:
        return len(self.sheet.rows) - self.first

    def place(self, row: int, name: str) -> str:
        """Return where a cell is, for an error."""
        return self.sheet.place(row + self.first, name)


def read_columns(path: Path, required: Sequence[str], known: Sequence[str]) -> Columns:
    """Read a table whose first row names its columns.

    Empty columns without a heading are left out, and so is an index: an unnamed first column that
    counts the rows, as pandas writes it.

    Raises
    ------
    InputError
        With every problem found: the file, a column that is missing, unknown or there twice, a row
        with too many or too few cells.
    """
    sheet = read_sheet(path, lambda cells: len(set(cells) & set(known)))
    header = [cell.strip() if isinstance(cell, str) else cell for cell in sheet.rows[0]]
    while header and _is_unnamed(header[-1]):
        header.pop()
    body, width = sheet.rows[1:], len(header)
    problems = []
    for k, row in enumerate(body, 1):
        if len(row) > width and is_blank(row[width:]):
            del row[width:]
        elif sheet.kind == "workbook":  # a workbook keeps no empty cells at the end
            row += [None] * (width - len(row))
        if len(row) != width:
            what = (
                f"expected {width} cells, got {len(row)}{sheet.separated}; put cells that contain "
                "the separator into double quotes, and write numbers without thousands separators"
            )
            problems.append(Problem(sheet.place(k), what))
            if len(problems) > MOST_PROBLEMS:
                raise InputError.many(path, problems)
    kept = []
    for k, name in enumerate(header):
        column = [row[k] for row in body if k < len(row)]
        if _is_unnamed(name):
            if is_blank(column) or (k == 0 and _counts_rows(column)):
                continue
            problems.append(Problem(sheet.place(0, f"column {k + 1}"), "has cells, but no heading"))
        elif not (isinstance(name, str) and re.fullmatch(r"__index_level_\d+__", name)):
            kept.append((k, name))
    names = [name for _, name in kept]
    ours = sum(name in known for name in names)
    # A file of something else is not printed: not even its first line.
    recognized = ours >= min(2, len(required)) and 2 * ours >= len(names)
    if not recognized:
        what = (
            f"expected the columns {', '.join(required)}; {ours} of {len(names)} headings are "
            f"known{sheet.separated}"
        )
        raise InputError.at(sheet.place(0), what)
    seen: set[object] = set()
    for k, name in kept:
        if name in seen:
            problems.append(
                Problem(sheet.place(0, f"column {k + 1}"), f"column {quoted(name)} occurs twice")
            )
        seen.add(name)
    problems += [
        Problem(str(path), f"column {name!r} is missing") for name in required if name not in seen
    ]
    problems += [
        Problem(
            sheet.place(0, f"column {k + 1}"),
            f"unknown column {quoted(name)}{suggestion(str(name), known)}",
        )
        for k, name in kept
        if name not in known
    ]
    if problems:
        raise InputError(problems)
    return Columns(sheet, {name: [row[k] for row in body] for k, name in kept})


def _is_unnamed(name: Cell) -> bool:
    return name is None or name == "" or (isinstance(name, str) and name.startswith("Unnamed: "))


def _counts_rows(column: Sequence[Cell]) -> bool:
    """Tell whether a column counts its rows from 0 or from 1."""
    texts = [str(cell).strip() for cell in column]
    return any(texts == [str(k) for k in range(start, start + len(texts))] for start in (0, 1))


def kind_of(cell: Cell) -> str:
    """Return what a cell is, without its text, for an error."""
    if is_blank([cell]):
        return "an empty cell"
    return f"text of {len(cell):,} characters" if isinstance(cell, str) else type(cell).__name__


def text_cell(cell: Cell) -> Cell:
    """Return the text of a cell that no program has to take for a formula; others as they are."""
    return read_cell(cell) if isinstance(cell, str) else cell


# --- numbers -------------------------------------------------------------------------------------

_SPACES = re.compile(r"(?<=\d)[ \u00a0\u2009\u202f'\u2019](?=\d{3}(?!\d))")
_GROUPED = {
    mark: re.compile(rf"[+\-]?[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+") for mark in ".,"
}
_PLAIN = re.compile(r"[+\-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+\-]?\d+)?")
# A cell longer than this is no number that anybody wrote.
_LONGEST_NUMBER = 400


@dataclasses.dataclass
class Marks:
    """Which mark separates decimals in a table: a point, a comma, or nobody can tell yet.

    A cell such as ``1.5`` or ``2,25`` shows it, ``1,500`` does not: it may be one and a half, or
    fifteen hundred. What one cell shows holds for the table.
    """

    sheet: Sheet
    shown_by: dict[str, str] = dataclasses.field(default_factory=dict)  # mark: place of a cell
    unclear: dict[str, str] = dataclasses.field(default_factory=dict)  # mark: place of a cell

    def learn(self, cells: Iterable[Cell], place: Callable[[int], str]) -> None:
        """Take note of what the cells of a column show."""
        for k, cell in enumerate(cells):
            if not isinstance(cell, str) or len(cell) > _LONGEST_NUMBER:
                continue
            if "," not in cell and "." not in cell:
                continue
            text = _SPACES.sub("", cell.strip())
            mark = _decimal_mark(text)
            if mark in (".", ","):
                self.shown_by.setdefault(mark, f"{place(k)}: {quoted(cell)}")
            elif mark == "?":
                self.unclear.setdefault("," if "," in text else ".", f"{place(k)}: {quoted(cell)}")

    def decide(self) -> str:
        """Return the decimal mark.

        Raises
        ------
        InputError
            Two cells contradict each other, or a number can be read in two ways.
        """
        if len(self.shown_by) == 2:
            point, comma = self.shown_by["."], self.shown_by[","]
            what = "has a decimal comma or groups with points"
            raise InputError.at(
                comma,
                f"{what}, but {point.removeprefix(f'{self.sheet.path}: ')} has a decimal "
                "point or groups with commas; use one way for the whole table",
            )
        if self.shown_by:
            return next(iter(self.shown_by))
        # With commas between the cells, or tabs, a point is a decimal point, as programs write it.
        if "," in self.unclear or ("." in self.unclear and self.sheet.separator not in (",", "\t")):
            mark = "," if "," in self.unclear else "."
            name = {",": "comma", ".": "point"}[mark]
            raise InputError.at(
                self.unclear[mark],
                f"can be read in two ways{self.sheet.separated}: the {name} may separate decimals "
                "or thousands; write the number without thousands separators, or with more or "
                "fewer than three decimals",
            )
        return "."


def _decimal_mark(text: str) -> str | None:
    """Return the decimal mark that a number shows, ``?`` if it may be either, or ``None``."""
    if "," in text and "." in text:
        mark, other = (",", ".") if text.rindex(",") > text.rindex(".") else (".", ",")
        return mark if _PLAIN.fullmatch(plain(text, mark)) and text.count(mark) == 1 else None
    mark = "," if "," in text else "."
    other = "." if mark == "," else ","
    if text.count(mark) > 1:
        return other if _GROUPED[mark].fullmatch(text) else None
    if _GROUPED[mark].fullmatch(text):
        return "?"
    return mark if _PLAIN.fullmatch(text.replace(mark, ".")) else None


def plain(cell: Cell, mark: str) -> Cell:
    """Return the text of a number as Python reads it; other cells stay as they are.

    Parameters
    ----------
    cell
        The cell.
    mark
        The decimal mark of its table, ``.`` or ``,``; the other one may group thousands.
    """
    if isinstance(cell, bool):  # of a workbook; a conversion would make it 1
        return str(cell)
    if not isinstance(cell, str) or len(cell) > _LONGEST_NUMBER:
        return cell
    text = cell.strip()
    if _PLAIN.fullmatch(text) and (mark == "." or "." not in text):
        return text
    text = _SPACES.sub("", text)
    other = "," if mark == "." else "."
    if other in text:
        whole, _, rest = text.partition(mark)
        if not _GROUPED[other].fullmatch(whole):
            return cell
        text = whole.replace(other, "") + (f"{mark}{rest}" if mark in text else "")
    text = text.replace(mark, ".")
    return text if _PLAIN.fullmatch(text) else cell


def whole(cell: Cell) -> Cell:
    """Return a number without decimals as the text of a whole number: ``1.5E+03`` is ``1500``."""
    if not isinstance(cell, str) or cell.isdecimal() or not _PLAIN.fullmatch(cell):
        return cell
    number = Decimal(cell)
    if abs(number.adjusted()) > 30 or number != number.to_integral_value():
        return cell
    return str(int(number))
