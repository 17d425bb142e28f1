"""What a page is made of: sections of paragraphs, facts, tables and figures; and how numbers look.

Texts are plain text here. The template escapes every one of them; only a figure's SVG is markup.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from tradefl.statement import money

PREFIXES = ("", "k", "M", "G", "T", "P", "E")


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table: its heading and the equation of its numbers; text is left-aligned."""

    heading: str
    equation: str = ""
    text: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its heading. ``folded``: only shown when asked for.

    ``links`` has for each row, and then for the footer, the anchor that each cell leads to, empty
    for none; ``anchors`` the anchor of each row, and then of the footer.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    footer: Sequence[str] | None = None
    folded: bool = False
    links: Sequence[Sequence[str]] = ()
    anchors: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Figure:
    """A chart as SVG, which holds its own text alternative, and the line below it."""

    name: str
    svg: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Fact:
    """A number with its name, its equation, what it means, and the anchor of its lines."""

    name: str
    value: str
    equation: str = ""
    meaning: str = ""
    link: str = ""


@dataclasses.dataclass(frozen=True)
class Facts:
    """Some numbers next to each other."""

    facts: Sequence[Fact]


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph; ``strong`` for what must not be overlooked; ``link`` as a fact has it."""

    text: str
    strong: bool = False
    link: str = ""


@dataclasses.dataclass(frozen=True)
class Listing:
    """A list of sentences, and where the figures of all of them are worked out."""

    items: Sequence[str]
    link: str = ""


Block = Table | Figure | Facts | Text | Listing


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page, under its heading; parts may have parts."""

    anchor: str
    heading: str
    blocks: Sequence[Block]
    parts: Sequence[Section] = ()


def anchors_of(sections: Iterable[Section]) -> set[str]:
    """Return every anchor that a link may lead to."""
    found = set()
    for section in sections:
        found |= {section.anchor, *anchors_of(section.parts)}
        for block in section.blocks:
            if isinstance(block, Table):
                found |= {f"table-{block.name}", *filter(None, block.anchors)}
    return found


def kind(block: Block) -> str:
    """Return the name of a block's kind, by which the template chooses."""
    return type(block).__name__.lower()


def digits_of(amounts: Iterable[float]) -> int:
    """Return how many decimals show the largest amount with seven digits."""
    size = max((abs(float(amount)) for amount in amounts), default=0.0)
    return 2 if size == 0.0 else min(max(6 - math.floor(math.log10(size)), 0), 30)


def amounts(values: Iterable[float], digits: int | None = None) -> list[str]:
    """Return amounts as text with equally many decimals."""
    values = [float(value) for value in values]
    shown = digits_of(values) if digits is None else digits
    return [money(value, shown) for value in values]


def amount_of(value: float, code: str) -> str:
    """Return an amount with its unit: whole from 100 on, with two decimals below."""
    return f"{money(value, 0 if abs(value) >= 100.0 else 2)} {code}"


def signed(amount: float, digits: int) -> str:
    """Return an amount with its sign, and none for zero."""
    text = money(amount, digits)
    return f"+{text}" if text.strip("0.,") and not text.startswith("-") else text


def quantity(value: float, unit: str) -> str:
    """Return a quantity with six digits and the prefix that keeps it short: ``36 Gbit``."""
    if value <= 0.0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    power = min(max(math.floor(math.log10(value) / 3.0), 0), len(PREFIXES) - 1)
    if float(f"{value / 1000.0**power:.6g}") >= 1000.0 and power + 1 < len(PREFIXES):
        power += 1
    return f"{value / 1000.0**power:.6g} {PREFIXES[power]}{unit}"


def counted(count: int, what: str) -> str:
    """Return a count with its noun: ``1 organization``, ``10 organizations``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them: ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
