"""How the commands print: tables and documents on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD, Box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from tradefl.cli.fitting import table_text
from tradefl.cli.terminal import terminal_width, wrapped
from tradefl.consortium.files import json_text as json_text
from tradefl.consortium.files import write_json as write_json
from tradefl.errors import InputError
from tradefl.game import CoopetitionGame
from tradefl.statement import decimals
from tradefl.text import printable

TABLE_ROWS = 30
BROKEN_PIPE = 141  # what a shell reports of a program that SIGPIPE ended

# The rule under the headings in characters that every stream has: a Windows console may lack the
# box-drawing ones.
PLAIN_HEAD = Box("    \n    \n -- \n    \n    \n -- \n    \n    \n", ascii=True)

_quiet = False


def be_quiet(wanted: bool) -> None:
    """Print nothing on stderr but errors from now on, or do again."""
    global _quiet
    _quiet = wanted


def say(text: str = "") -> None:
    """Print lines on stdout; what would control the terminal is escaped."""
    _emit(wrapped(printable(text, lines=True), terminal_width(sys.stdout)) + "\n")


def _emit(text: str) -> None:
    """Write to stdout at once; a reader that left ends us quietly, a full disk with an error."""
    if sys.stdout is None:  # >&- closes it
        raise InputError.at("stdout", "is closed")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads: nor may the interpreter complain when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise InputError.at("stdout", f"cannot be written: {error.strerror}") from None


def amounts_in(game: CoopetitionGame) -> str:
    """Return ``; amounts in EUR`` for a heading, where the file names a currency."""
    return "" if game.currency is None else f"; amounts in {game.currency}"


def shown_digits(amounts: Any, game: CoopetitionGame) -> int:
    """Return how many decimals a table's amounts have: of money two at most."""
    return min(decimals(amounts) - 3, 8 if game.currency is None else 2)


def note(text: str) -> None:
    """Print a line on stderr: what the reader should know, but no program has to."""
    warn(f"note: {text}")


def warn(text: str) -> None:
    """Print a line on stderr, if there is one (``2>&-`` closes it) and ``--quiet`` is not given.

    It stays one line, whatever a node or a partner has put into it.
    """
    if not _quiet:
        _warn(text)


def answer(text: str) -> None:
    """Print a line on stderr, with ``--quiet`` too: what is to be known of a result, or why none.

    Where a command ends with status 1, this says what the answer is.
    """
    _warn(f"note: {text}")


def _warn(text: str, *, fit: bool = True) -> None:
    if sys.stderr is not None:
        width = terminal_width(sys.stderr) if fit else None
        sys.stderr.write(wrapped(printable(text), width) + "\n")
        sys.stderr.flush()


def warn_lines(text: str) -> None:
    """Print lines on stderr, such as a table, where stdout is for a document."""
    if not _quiet:
        for line in text.splitlines():
            _warn(line, fit=False)


def _line(text: str) -> str:
    """Return a line that rich shows as it is."""
    return escape(printable(text))


def _is_watched() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and not _quiet


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Show on stderr what is going on, if a person is there to see it."""
    if not _is_watched():
        yield
        return
    with Console(stderr=True).status(_line(what)):
        yield


@contextmanager
def status(what: str) -> Iterator[Callable[[str], None]]:
    """Show on stderr what is going on, and yield a function that shows what comes next."""
    if not _is_watched():
        yield lambda _: None
        return
    with Console(stderr=True).status(_line(what)) as spinner:
        yield lambda text: spinner.update(_line(text))


@contextmanager
def counted_progress(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function that shows how many of how many are done, and which was the last.

    A person sees a bar with the time left; a log gets a line for every tenth.
    """
    if not _is_watched():
        told = -1

        def line(done: int, total: int, last: str) -> None:
            nonlocal told
            tenth = 10 * done // max(total, 1)
            if tenth > told:
                told = tenth
                warn(f"{what}: {done:,} of {total:,}{f', last {last}' if last else ''}")

        yield line
        return
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TimeRemainingColumn(), TextColumn("{task.fields[last]}")),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(_line(what), total=None, last="")
        yield lambda done, total, last: bar.update(
            task, completed=done, total=total, last=_line(last)
        )


@contextmanager
def live_table(headings: Sequence[str]) -> Iterator[Callable[[Sequence[Sequence[str]]], None]]:
    """Show one table on stderr, and yield a function that replaces its rows; for a person only."""

    def table(rows: Sequence[Sequence[str]]) -> Table:
        shown = Table(box=SIMPLE_HEAD, pad_edge=False)
        for heading in headings:
            shown.add_column(heading, no_wrap=True)
        for row in rows:
            shown.add_row(*map(_line, row))
        return shown

    if not _is_watched():
        yield lambda _: None
        return
    with Live(table([]), console=Console(stderr=True), refresh_per_second=8) as live:
        yield lambda rows: live.update(table(rows))


def require_writable(path: Path) -> None:
    """Refuse a place where no file can be written, before the work is done.

    Raises
    ------
    InputError
        There is no such folder, or the place is one.
    """
    if path.is_dir():
        raise InputError.at(path, "cannot be written: it is a folder")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise InputError.at(path, "cannot be written: there is no such folder")
    if path.exists() and not path.is_file():
        return  # a pipe or a device
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError.at(path, f"cannot be written: {error.strerror}") from None


def require_distinct(paths: Mapping[str, Path | None]) -> None:
    """Refuse to write two things, or what is read, to one place.

    Raises
    ------
    InputError
        Two of the options name the same file.
    """
    seen: dict[Path, str] = {}
    for option, path in paths.items():
        if path is None:
            continue
        place = path.resolve()
        if place in seen:
            raise InputError.at(option, f"{path} is the place of {seen[place]} too")
        seen[place] = option


def print_json(document: Any) -> None:
    """Print exactly one JSON document on stdout."""
    unicode = (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    _emit(json_text(document, ascii_only=not unicode) + "\n")


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    footer: Sequence[str] | None = None,
    left: Iterable[int] = (0,),
    total: int | None = None,
    limit: int = TABLE_ROWS,
    emit: Callable[[str], None] = say,
) -> None:
    """Print a table; of a long one the first rows, and how many of the total are left out."""
    text = table_text(
        [*map(printable, headings)],
        [[*map(printable, row)] for row in rows[:limit]],
        footer=None if footer is None else [*map(printable, footer)],
        left=set(left),
        box=_box(),
        width=terminal_width(sys.stdout if emit is say else sys.stderr),
    )
    if emit is say:
        _emit(printable(text, lines=True) + "\n\n")
    else:
        emit(text + "\n")
    left_out = (len(rows) if total is None else total) - limit
    if left_out > 0:
        whole = "--json has them all" if emit is say else "the document has them all"
        emit(f"... and {left_out:,} more; {whole}\n")


def _box() -> Box:
    """Return the lines of a table that stdout can show."""
    try:
        "\u2500".encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return PLAIN_HEAD
    return SIMPLE_HEAD


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print named values below each other."""
    width = max(len(name) for name, _ in facts)
    columns = terminal_width(sys.stdout)
    for name, value in facts:
        say(wrapped(printable(f"{name:<{width}}  {value}"), columns, hanging=width + 2))


def yes_no(value: bool) -> str:
    """Return ``yes`` or ``no``."""
    return "yes" if value else "no"
