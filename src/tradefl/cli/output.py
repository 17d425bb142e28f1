"""How the commands print: tables and documents on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tradefl.consortium.files import atomic_write

# Without a terminal nothing may be cut or wrapped to some assumed width.
PIPE_WIDTH = 10_000
TABLE_ROWS = 30


def console() -> Console:
    """Return the console for stdout."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, highlight=False, emoji=False, markup=False)


def say(text: str = "") -> None:
    """Print a line on stdout, as it is."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Print a line on stderr: what the reader should know, but no program has to."""
    sys.stderr.write(f"note: {text}\n")


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Show on stderr what is going on, if a person is there to see it."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(what):
        yield


def print_json(document: Any) -> None:
    """Print exactly one JSON document on stdout."""
    unicode = (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    for chunk in _json_chunks(document, ascii_only=not unicode):
        sys.stdout.write(chunk)
    sys.stdout.write("\n")


def write_json(document: Any, path: Path) -> None:
    """Write one JSON document to a file, whole or not at all."""
    atomic_write(path, ("".join(_json_chunks(document)) + "\n").encode())


def _json_chunks(document: Any, *, ascii_only: bool = False) -> Iterator[str]:
    encoder = json.JSONEncoder(ensure_ascii=ascii_only, allow_nan=False, indent=2)
    return encoder.iterencode(document)


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    footer: Sequence[str] | None = None,
    left: Iterable[int] = (0,),
    total: int | None = None,
) -> None:
    """Print a table; of a long one the first rows, and how many of the total are left out."""
    left = set(left)
    table = Table(box=SIMPLE_HEAD, show_footer=footer is not None, pad_edge=False)
    for k, heading in enumerate(headings):
        table.add_column(
            heading,
            footer=footer[k] if footer is not None else "",
            justify="left" if k in left else "right",
            no_wrap=True,
        )
    for row in rows[:TABLE_ROWS]:
        table.add_row(*row)
    out = console()
    out.print(table)
    left_out = (len(rows) if total is None else total) - TABLE_ROWS
    if left_out > 0:
        out.print(f"... and {left_out:,} more; --json has them all\n")


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print named values below each other."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        say(f"{name:<{width}}  {value}")


def yes_no(value: bool) -> str:
    """Return ``yes`` or ``no``."""
    return "yes" if value else "no"
