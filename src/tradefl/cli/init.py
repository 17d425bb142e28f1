"""``tradefl init``: a commented sample to start from."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

from tradefl.cli.declaring import Argument, Option
from tradefl.cli.output import note, say
from tradefl.consortium import sample
from tradefl.consortium.files import atomic_write
from tradefl.errors import InputError


def init(
    file: Annotated[Path, Argument(help="Where to write it; - for stdout.")] = Path(
        "consortium.toml"
    ),
    force: Annotated[bool, Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write a commented sample consortium.

    Example: tradefl init my.toml
    """
    if str(file) == "-":
        say(sample().rstrip("\n"))
        return
    if file.exists() and not (force and file.is_file()):
        if not file.is_file():
            what = "a directory" if file.is_dir() else "no regular file"
            raise InputError.at(file, f"is {what} and is not replaced")
        raise InputError.at(file, "already exists; --force replaces it")
    atomic_write(file, sample().encode(), private=True)
    note(f"wrote {file}; try: tradefl check {quote(str(file))}")
