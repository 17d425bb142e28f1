r"""Competition from markets: who sells how much to whom.

A table has one row for each organization and one column for each market segment: revenue,
customers, beds, cases. Two organizations overlap where they are large in the same segments,

    overlap_ij = sum_k v_ik v_jk / sqrt( sum_k v_ik^2  sum_k v_jk^2 ),

the cosine of their rows, in [0, 1] (Pianka's index of niche overlap; the size of an organization
cancels). Overlap alone is not rho: it says that two firms meet, not how hard they fight. So
``rho_ij = conduct overlap_ij``, where ``conduct`` is the part of an improvement's gain that comes
from a rival where markets coincide.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

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
from tradefl.errors import MOST_PROBLEMS, InputError, Problem
from tradefl.foreign import normalized, spreadsheet_cell

Array = npt.NDArray[np.float64]

# Overlap is a matrix: 200 MB for so many.
MOST_ORGANIZATIONS = 5_000


@dataclasses.dataclass(frozen=True, eq=False)
class Segments:
    """What each organization sells in each market segment.

    Attributes
    ----------
    headings
        The segments' names.
    values
        Shape ``(N, K)``, >= 0, in the order of the organizations; no row is zero.
    """

    headings: tuple[str, ...]
    values: Array

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Segments):
            return NotImplemented
        return self.headings == other.headings and np.array_equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]

    def overlap(self) -> Array:
        """Return the cosine of each two rows, shape ``(N, N)``: symmetric, the diagonal 0."""
        # Rows of huge or tiny numbers: the largest of each becomes 1 first.
        rows = self.values / self.values.max(axis=1, keepdims=True)
        rows /= np.sqrt((rows**2).sum(axis=1, keepdims=True))
        cosine = np.minimum(rows @ rows.T, 1.0)
        cosine = np.minimum(cosine, cosine.T)
        np.fill_diagonal(cosine, 0.0)
        return np.asarray(cosine)


def largest_conduct(overlap: Array, profitability: Array) -> float:
    """Return the largest conduct in (0, 1] at which every ``z_i >= p_i / 2``.

    ``z_i = p_i - conduct sum_j overlap_ij p_j``: with it rivals take at most half of what an
    improvement of the model earns.
    """
    met = overlap @ profitability
    some = met > 0.0
    return float(np.min(profitability[some] / (2.0 * met[some]), initial=1.0))


def read_segments(path: Path, names: Sequence[str], *, mark: str | None = None) -> Segments:
    """Read a table of market segments: names in the first column, segments in the first row.

    Parameters
    ----------
    path
        The table.
    names
        The organizations, each of which has one row.
    mark
        The decimal mark where the table itself does not show it; without it such a table is an
        error.

    Raises
    ------
    InputError
        With every problem found: the file, its names, each number, an organization without any
        segment.
    """
    if len(names) > MOST_ORGANIZATIONS:
        what = f"serves at most {MOST_ORGANIZATIONS:,} organizations; use sectors for more"
        raise InputError.at(path, what)
    known = set(names)
    sheet = read_sheet(path, len)
    return segments_of(sheet, names, known, mark)


def segments_of(sheet: Sheet, names: Sequence[str], known: set[str], mark: str | None) -> Segments:
    """Return the segments of a sheet; see :func:`read_segments`."""
    path = sheet.path
    header, body = list(sheet.rows[0]), [list(row) for row in sheet.rows[1:]]
    while (
        len(header) > 1
        and is_blank(header[-1:])
        and all(is_blank(r[len(header) - 1 :]) for r in body)
    ):
        header.pop()
    width = len(header)
    if width < 2:
        what = f"expected names in the first column and a column for each segment{sheet.separated}"
        raise InputError.at(sheet.place(0), what)
    headings = [str(text_cell(cell)).strip() if not is_blank([cell]) else "" for cell in header[1:]]
    problems = [
        Problem(
            sheet.place(0, f"column {k + 2}"), "expected the name of a segment, got an empty cell"
        )
        for k, heading in enumerate(headings)
        if not heading
    ]
    problems += [
        Problem(sheet.place(0, f"column {k + 2}"), f"segment {shown(heading)} occurs twice")
        for k, heading in enumerate(headings)
        if heading and heading in headings[:k]
    ]
    labels: list[str] = []
    for k, row in enumerate(body, 1):
        row += [None] * (width - len(row))
        if len(row) > width and not is_blank(row[width:]):
            what = f"expected {width} cells, got {len(row)}{sheet.separated}"
            problems.append(Problem(sheet.place(k), what))
        name = row[0] if row[0] is not None else ""
        labels.append(normalized(str(text_cell(name)).strip()))
    ours = sum(label in known for label in labels)
    if labels and 2 * ours < len(labels) and 2 * ours < len(names):
        # Nothing of the cells is shown: this may be a file of something else.
        what = (
            f"{ours} of {len(labels)} rows name an organization; expected the organizations' names "
            f"in the first column{sheet.separated}"
        )
        raise InputError.at(sheet.place(0), what)
    problems += _names(sheet, labels, names, known)
    values = _numbers(sheet, body, headings, mark, problems)
    if not problems:
        for k, label in enumerate(labels):
            if not values[k].any():
                what = f"{shown(label)} has no segment: all its cells are 0 or empty"
                problems.append(Problem(sheet.place(k + 1), what))
    if problems:
        raise InputError.many(path, problems)
    at = {label: k for k, label in enumerate(labels)}
    return Segments(tuple(headings), values[[at[name] for name in names]])


def _names(
    sheet: Sheet, labels: Sequence[str], names: Sequence[str], known: set[str]
) -> list[Problem]:
    problems = [
        Problem(sheet.place(k), f"unknown organization {shown(label)}{suggestion(label, names)}")
        for k, label in enumerate(labels, 1)
        if label not in known
    ]
    problems += [
        Problem(sheet.place(k), f"organization {shown(label)} occurs twice")
        for k, label in enumerate(labels, 1)
        if label in known and label in labels[: k - 1]
    ]
    problems += [
        Problem(str(sheet.path), f"organization {shown(name)} is missing: it has no segment")
        for name in names
        if name not in labels
    ]
    return problems


def _numbers(
    sheet: Sheet,
    body: Sequence[Sequence[Any]],
    headings: Sequence[str],
    mark: str | None,
    problems: list[Problem],
) -> Array:
    def place(k: int, c: int) -> str:
        return sheet.place(k + 1, headings[c] or f"column {c + 2}")

    marks = Marks(sheet)
    for k, row in enumerate(body):
        marks.learn(row[1 : len(headings) + 1], functools.partial(place, k))
    decided = mark if mark is not None and not marks.shown_by else marks.decide()
    values = np.zeros((len(body), len(headings)))
    for k, row in enumerate(body):
        for c, cell in enumerate(row[1 : len(headings) + 1]):
            if is_blank([cell]):
                continue
            try:
                value = float(plain(cell, decided))
            except (TypeError, ValueError):
                what = f"expected a number >= 0, got {kind_of(cell)}"
                problems.append(Problem(place(k, c), what))
                continue
            if not (0.0 <= value < 1e300):
                what = f"expected a number >= 0, got {shown(value)}"
                problems.append(Problem(place(k, c), what))
            else:
                values[k, c] = value
        if len(problems) > MOST_PROBLEMS:
            raise InputError.many(sheet.path, problems)
    return values


def segments_csv(names: Sequence[str], segments: Segments) -> bytes:
    """Return the CSV table that :func:`read_segments` reads."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["organization", *map(spreadsheet_cell, segments.headings)])
    for name, row in zip(names, segments.values.tolist(), strict=True):
        writer.writerow([spreadsheet_cell(name), *map(repr, row)])
    return text.getvalue().encode()
