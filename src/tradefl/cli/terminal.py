"""Lines that fit the terminal: broken at spaces, so that a number or a hash stays whole."""

from __future__ import annotations

import os
from typing import Any

from tradefl.text import cell_width

LEAST_WIDTH = 40  # of a terminal: what says less, or nothing, is not believed
USUAL_WIDTH = 80


def terminal_width(stream: Any) -> int | None:
    """Return the columns of the terminal that a stream writes to; None for a file or a pipe."""
    try:
        if not stream.isatty():
            return None
    except (AttributeError, ValueError):  # no stream, or a closed one
        return None
    try:
        columns = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        columns = 0
    if columns <= 0:
        try:
            columns = os.get_terminal_size(stream.fileno()).columns
        except OSError:
            columns = 0
    return max(columns, LEAST_WIDTH) if columns > 0 else USUAL_WIDTH


def wrapped(text: str, width: int | None, hanging: int = 4) -> str:
    """Break what is longer than the width at its spaces; what follows is indented further.

    Parameters
    ----------
    text : str
        One line or several.
    width : int or None
        In cells of the terminal (a CJK character takes two); None leaves the text as it is.
    hanging : int
        How much further than its line the rest of it is indented.
    """
    if width is None:
        return text
    return "\n".join(wrapped_line(line, width, hanging) for line in text.split("\n"))


def wrapped_line(line: str, width: int, hanging: int) -> str:
    """Break one line as :func:`wrapped` does."""
    if cell_width(line) <= width:
        return line
    words = line.lstrip(" ").split(" ")
    indent = " " * (len(line) - len(line.lstrip(" ")))
    lines, now = [], indent + words[0]
    for word in words[1:]:
        room = width - cell_width(word)
        if room < 0 or cell_width(now) + 1 <= room:  # a path that fits nowhere stays where it is
            now = f"{now} {word}"
        else:
            lines.append(now.rstrip())
            now = " " * min(len(indent) + hanging, room) + word
    return "\n".join([*lines, now.rstrip()])
