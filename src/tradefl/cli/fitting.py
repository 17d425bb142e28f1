"""How a table fits a terminal: narrower headings, wrapped words, several tables.

A number is never wrapped and nothing is left out. What does not go to a terminal is not touched.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

from rich.box import Box
from rich.console import Console
from rich.table import Table

from tradefl.cli.terminal import wrapped_line
from tradefl.text import cell_width

# A line may be longer than what it is written to; a number must never be cut.
LINE_WIDTH = 10_000
TEXT_WIDTH = 16  # a column of words may become as narrow as this before the table is cut
KEY_SHARE = 0.5  # of the width: the most that the first column takes
EDGES, BETWEEN = 2, 3  # cells around a table and between its columns


def table_text(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    footer: Sequence[str] | None,
    left: set[int],
    box: Box,
    width: int | None,
) -> str:
    """Return the lines of a table, cut into several below each other where it is too wide.

    Each of them begins with the columns that name its rows: the first, and the words that follow it
    as long as rows are alike in them.
    Columns of numbers (those not in ``left``) keep the width of their numbers; words wrap.
    """
    foot = [""] * len(headings) if footer is None else footer
    if width is None:
        return _drawn(headings, rows, foot, [*range(len(headings))], left, box, None)
    widths = _widths(headings, [*rows, foot], left, width)
    keys = _naming(rows, left)
    if _total(widths.least[: keys + 1]) > width:
        keys = 1
    texts = []
    for columns in _parts(widths.least, keys, width):
        if _total([widths.narrowest[k] for k in columns]) > width:
            texts.append(_records(columns, headings, rows))
            continue
        shared = _shared_out(columns, widths[1:], width)
        texts.append(_drawn(widths.headings, rows, foot, columns, left, box, shared))
    return "\n\n".join(texts)


class _Widths(NamedTuple):
    """What columns need: broken headings, then cells of a terminal, from hardly any to enough."""

    headings: Sequence[str]
    narrowest: Sequence[int]
    least: Sequence[int]
    natural: Sequence[int]


def _widths(
    headings: Sequence[str], rows: Sequence[Sequence[str]], left: set[int], width: int
) -> _Widths:
    cells = [[*column] for column in zip(*rows, strict=True)]
    whole = [max(cell_width(h), _widest(c)) for h, c in zip(headings, cells, strict=True)]
    if _total(whole) > width:
        headings = [_narrowed(h, _widest(c)) for h, c in zip(headings, cells, strict=True)]
    narrowest, least, natural = [], [], []
    for k, (heading, column) in enumerate(zip(headings, cells, strict=True)):
        texts = [*heading.split("\n"), *column]
        natural.append(_widest(texts))
        narrowest.append(_longest_word(texts) if k in left else natural[k])
        most = int(KEY_SHARE * width) if k == 0 else TEXT_WIDTH
        least.append(min(natural[k], max(most, narrowest[k])))
    return _Widths(headings, narrowest, least, natural)


def _drawn(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    foot: Sequence[str],
    columns: Sequence[int],
    left: set[int],
    box: Box,
    widths: dict[int, int] | None,
) -> str:
    table = Table(box=box, show_footer=any(foot), pad_edge=False)
    tallest = max(headings[k].count("\n") for k in columns)
    for k in columns:
        table.add_column(
            "\n" * (tallest - headings[k].count("\n")) + headings[k],
            footer=foot[k],
            justify="left" if k in left else "right",
            no_wrap=widths is None or k not in left,
            width=None if widths is None else widths[k],
        )
    for row in rows:
        table.add_row(*(row[k] for k in columns))
    text = io.StringIO()
    console = Console(file=text, width=LINE_WIDTH, highlight=False, emoji=False, markup=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n")


def _shared_out(
    columns: Sequence[int], wanted: Sequence[Sequence[int]], width: int
) -> dict[int, int]:
    """Return the width of each column: the first that is wanted, then more as long as it lasts."""
    widths = {k: wanted[0][k] for k in columns}
    for more in wanted[1:]:
        for k in columns:
            spare = width - _total([*widths.values()])
            widths[k] += min(max(more[k] - widths[k], 0), spare)
    return widths


def _naming(rows: Sequence[Sequence[str]], left: set[int]) -> int:
    """Return how many of the first columns name a row: one, or the words that tell rows apart."""
    keys = 1
    while keys in left and len({tuple(row[:keys]) for row in rows}) < len(rows):
        keys += 1
    return keys


def _records(columns: Sequence[int], headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the rows of a table whose values are too long for a column, a line for each value."""
    lines = [", ".join(headings[k].replace("\n", " ") for k in columns), ""]
    for row in rows:
        lines += [row[columns[0]], *(f"    {row[k]}" for k in columns[1:] if row[k])]
    return "\n".join(f" {line}".rstrip() for line in lines)


def _parts(least: Sequence[int], keys: int, width: int) -> list[list[int]]:
    """Share the columns out among tables that fit, each with those that name its rows."""
    parts = [[*range(keys)]]
    for k in range(keys, len(least)):
        if len(parts[-1]) > keys and _total([least[j] for j in [*parts[-1], k]]) > width:
            parts.append([*range(keys)])
        parts[-1].append(k)
    return parts


def _total(widths: Sequence[int]) -> int:
    return EDGES + sum(widths) + BETWEEN * (len(widths) - 1)


def _widest(texts: Sequence[str]) -> int:
    return max(map(cell_width, texts), default=0)


def _longest_word(texts: Sequence[str]) -> int:
    return max((_widest(text.split()) for text in texts), default=0)


def _narrowed(heading: str, width: int) -> str:
    """Break a heading at its spaces, into lines as wide as the cells below or its longest word."""
    return wrapped_line(heading, max(width, _longest_word([heading])), 0)
