"""``[competition]``: from names, matrices and sectors to rho."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.consortium.organizations import Organizations
from tradefl.consortium.schema import Competition as CompetitionSection
from tradefl.consortium.schema import shown, suggestion
from tradefl.consortium.segments import Segments
from tradefl.consortium.tables import Marks, is_blank, kind_of, plain, read_sheet, text_cell
from tradefl.errors import MOST_PROBLEMS, SHOWN, InputError, Problem
from tradefl.foreign import normalized
from tradefl.game import (
    Competition,
    DenseCompetition,
    InvalidCompetitionError,
    SectorCompetition,
)

Array = npt.NDArray[np.float64]

# Up to this many organizations rho is kept as a matrix: 8 MB, and scipy.sparse stays unloaded.
DENSE_UP_TO = 1000
# After rescaling, the tightest z_i is this share of p_i: away from zero, where 1/z_i explodes.
RESCALE_MARGIN = 0.01


def section_problems(section: CompetitionSection, file: str) -> list[Problem]:
    """Return which keys of the section contradict each other."""
    by_sector = section.within_sector is not None or section.across_sectors is not None
    problems = []
    others = ("default", "pairs", "within_sector", "across_sectors")
    if section.segments_file is not None:
        problems += [
            Problem(f"{file}: competition.{key}", "cannot be combined with segments_file")
            for key in ("matrix_file", *others)
            if key in section.model_fields_set
        ]
        if section.conduct is None:
            what = (
                "is missing; expected a number in (0, 1]: rho = conduct x overlap of segments; "
                "add conduct next to segments_file"
            )
            problems.append(Problem(f"{file}: competition.conduct", what))
        return problems
    if section.conduct is not None:
        what = "needs segments_file: it is the factor on the overlap of market segments"
        problems.append(Problem(f"{file}: competition.conduct", what))
    if section.matrix_file is not None:
        problems += [
            Problem(f"{file}: competition.{key}", "cannot be combined with matrix_file")
            for key in others
            if key in section.model_fields_set
        ]
    elif by_sector and section.default is not None:
        problems.append(
            Problem(
                f"{file}: competition.default",
                "cannot be combined with within_sector; across_sectors is the default there",
            )
        )
    if section.across_sectors is not None and section.within_sector is None:
        problems.append(
            Problem(f"{file}: competition.within_sector", "is required with across_sectors")
        )
    return problems


def competition(
    section: CompetitionSection,
    organizations: Organizations,
    matrix: Array | None,
    file: str,
    segments: Segments | None = None,
) -> Competition:
    """Return rho as the file gives it, before any rescaling.

    Raises
    ------
    InputError
        Pairs that are none, unknown names, pairs listed twice, missing sectors.
    """
    size = len(organizations)
    if matrix is not None:
        return DenseCompetition(matrix)
    if segments is not None:
        return DenseCompetition((section.conduct or 0.0) * segments.overlap())

    problems: list[Problem] = []
    pairs = _pairs(section.pairs, organizations.names, file, problems)
    sectors = np.zeros(size, dtype=np.intp)
    within, across = section.default or 0.0, 0.0
    if section.within_sector is not None:
        within, across = section.within_sector, section.across_sectors or 0.0
        problems += [
            Problem(
                f"{file}: organization {name!r}", "sector is missing, but competition is by sector"
            )
            for name, sector in zip(organizations.names, organizations.sectors, strict=True)
            if sector is None
        ]
        codes = {sector: code for code, sector in enumerate(dict.fromkeys(organizations.sectors))}
        sectors = np.array([codes[sector] for sector in organizations.sectors], dtype=np.intp)
    if problems:
        raise InputError(problems)
    if size <= DENSE_UP_TO and pairs is not None:
        dense = np.where(sectors[:, None] == sectors[None, :], within, across)
        np.fill_diagonal(dense, 0.0)
        i, j, rho = pairs
        dense[i, j] = dense[j, i] = rho
        return DenseCompetition(dense)
    return SectorCompetition(sectors, within, across, pairs)


def rescaling(rho: Competition, profitability: Array) -> float:
    """Return the factor that rho must shrink by so that every ``z_i > 0``; 1 if none is needed.

    The largest factor that leaves each ``z_i >= 0.01 p_i``.
    """
    rivals = rho.dot(profitability)
    if np.all(profitability - rivals > 0.0):
        return 1.0
    some = rivals > 0.0
    with np.errstate(over="ignore"):  # organizations that hardly compete need no shrinking
        return float((1.0 - RESCALE_MARGIN) * np.min(profitability[some] / rivals[some]))


def _pairs(
    pairs: Sequence[Any], names: Sequence[str], file: str, problems: list[Problem]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array] | None:
    """Return the listed pairs as three arrays, or ``None`` if there are none; collect problems."""
    index = {name: i for i, name in enumerate(names)}
    found: dict[tuple[int, int], float] = {}
    for k, pair in enumerate(pairs):
        if len(problems) > MOST_PROBLEMS:
            raise InputError.many(file, problems)
        place = f"{file}: competition.pairs[{k}]"
        shape_is_right = (
            isinstance(pair, list)
            and len(pair) == 3
            and all(isinstance(name, str) for name in pair[:2])
            and isinstance(pair[2], int | float)
            and not isinstance(pair[2], bool)
        )
        if not shape_is_right:
            problems.append(
                Problem(place, f'expected ["name", "name", intensity], got {shown(pair)}')
            )
            continue
        first, second, rho = normalized(pair[0]), normalized(pair[1]), pair[2]
        unknown = [name for name in (first, second) if name not in index]
        for name in unknown:
            # Close names are searched only for what will be shown.
            hint = suggestion(name, names) if len(problems) < SHOWN else ""
            problems.append(Problem(place, f"unknown organization {shown(name)}{hint}"))
        if not 0.0 <= rho <= 1.0:
            problems.append(Problem(place, f"expected an intensity in [0, 1], got {shown(rho)}"))
        if unknown:
            continue
        i, j = sorted((index[first], index[second]))
        if i == j:
            problems.append(Problem(place, f"{first!r} cannot compete with itself"))
        elif (i, j) in found:
            what = f"{first!r} and {second!r} are listed twice"
            if found[i, j] != rho:  # each of them may have stated it
                what += f", with {found[i, j]:g} and {rho:g}; agree on one of them"
            problems.append(Problem(place, what))
        else:
            found[i, j] = float(rho)
    if not found:
        return None
    both = np.array(list(found), dtype=np.intp)
    return both[:, 0], both[:, 1], np.array(list(found.values()))


def read_matrix(path: Path, names: Sequence[str]) -> Array:
    """Read rho from a table: N rows of N numbers, in the order of the organizations.

    A header row and a first column of names are allowed; then any order will do. So are those that
    count from 0, as pandas writes them.

    Raises
    ------
    InputError
        With every problem found: shape, names, numbers, range, symmetry, diagonal.
    """
    known, size = set(names), len(names)

    def recognized(cells: list[str]) -> int:
        if len(cells) not in (size, size + 1):
            return 0
        return sum(_is_number(cell) or _label(cell, known) in known for cell in cells)

    sheet = read_sheet(path, recognized)
    rows = sheet.rows
    for row in rows:
        if len(row) > size and is_blank(row[size + 1 :]):
            del row[size + 1 :]
    order, top, left = None, 0, 0
    if all(is_blank(row[size:]) for row in rows):
        rows = [row[:size] for row in rows]
        if sheet.kind == "parquet" or (len(rows) == size + 1 and _counts(rows[0], size)):
            rows, top = rows[1:], 1
    elif len(rows[0]) == size + 1 and (is_blank(rows[0][:1]) or not _is_number(rows[0][0])):
        header = [_label(cell, known) for cell in rows[0][1:]]
        column = [_label(row[0], known) for row in rows[1:] if row]
        if not (_counts(header, size) and _counts(column, size)) or known >= set(header):
            order = _order(path, header, column, names)
        rows, top, left = [row[1:] for row in rows[1:]], 1, 1
    problems = []
    if len(rows) != size:
        what = f"expected {size} rows, got {len(rows)}{sheet.separated}"
        problems.append(Problem(str(path), what))
    problems += [
        Problem(
            f"{path}: row {k + 1 + top}",
            f"expected {size} numbers, got {len(row)}{sheet.separated}",
        )
        for k, row in enumerate(rows)
        if len(row) != size
    ]

    def place(k: int, c: int) -> str:
        return f"{path}: row {k + 1 + top}, column {c + 1 + left}"

    marks = Marks(sheet)
    for k, row in enumerate(rows):
        marks.learn(row, functools.partial(place, k))
    mark = marks.decide()
    matrix = np.zeros((len(rows), size))
    for k, row in enumerate(rows):
        for c, cell in enumerate(row[:size]):
            try:
                matrix[k, c] = float(plain(cell, mark))
            except (TypeError, ValueError):
                # No text of the cell: its column has no heading that says what it should be.
                problems.append(Problem(place(k, c), f"expected a number, got {kind_of(cell)}"))
        if len(problems) > MOST_PROBLEMS:
            raise InputError.many(path, problems)
    if problems:
        raise InputError(problems)
    if order is None:
        order = list(range(size)), list(range(size))
    down, across = order
    matrix = matrix[np.ix_(down, across)]
    try:
        DenseCompetition(matrix)
    except InvalidCompetitionError as error:
        raise InputError(
            Problem(place(down[i], across[j]), what) for i, j, what in error.problems
        ) from None
    return matrix


def _label(cell: Any, known: Container[str]) -> str:
    """Return the name that a cell of a header means."""
    if not isinstance(cell, str):
        return str(cell)
    name = normalized(cell.strip())
    return name if name in known else str(text_cell(name))


def _counts(cells: Sequence[Any], size: int) -> bool:
    """Tell whether cells count from 0, as the labels that pandas writes for a matrix."""
    return [str(cell).strip() for cell in cells] == [str(k) for k in range(size)]


def matrix_csv(matrix: Array) -> bytes:
    """Return rho as the CSV file that :func:`read_matrix` reads."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([map(repr, row) for row in matrix.tolist()])
    return text.getvalue().encode()


def _order(
    path: Path, header: Sequence[str], column: Sequence[str], names: Sequence[str]
) -> tuple[list[int], list[int]]:
    """Return the row and the column of each organization in a labelled matrix."""
    known = set(names)
    labelled = (("row 1", header), ("column 1", column))
    if not 2 * sum(name in known for name in header) >= len(header):
        # No label is shown: this may be a file of something else.
        what = "row 1 does not name the organizations; expected their names, or N rows of numbers"
        raise InputError.at(path, what)
    problems = [
        Problem(str(path), f"{place} names an unknown organization {shown(name)}")
        for place, found in labelled
        for name in found
        if name not in known
    ]
    problems += [
        Problem(str(path), f"expected each organization once in {place}")
        for place, found in labelled
        if not problems and sorted(found) != sorted(names)
    ]
    if problems:
        raise InputError(problems)
    down, across = ({name: k for k, name in enumerate(found)} for found in (column, header))
    return [down[name] for name in names], [across[name] for name in names]


def _is_number(cell: Any) -> bool:
    try:
        float(plain(plain(cell, "."), ","))
    except (TypeError, ValueError):
        return False
    return True
