"""Files: read with errors that name them, written whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import stat
import uuid
from pathlib import Path
from typing import Any

import pydantic_core

from tradefl.errors import InputError


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file.

    Raises
    ------
    InputError
        There is no such file, it is a directory, unreadable, empty, or not text.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError.at(path, "no such file") from None
    except IsADirectoryError:
        raise InputError.at(path, "is a directory, expected a file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError.at(path, f"cannot be read: {reason}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError.at(
            path, f"expected UTF-8 text, but byte {error.start} is not part of any"
        ) from None
    if not text.strip():
        raise InputError.at(path, "is empty")
    if "\x00" in text:
        raise InputError.at(path, "expected UTF-8 text, got a binary file")
    return text


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    InputError
        As :func:`read_text`, or it is not JSON, or nested too deeply.
    """
    text = read_text(path)
    try:
        # Not json.loads: some libraries raise Python's recursion limit so far that a deeply nested
        # document would overrun the stack.
        return pydantic_core.from_json(text)
    except ValueError as error:
        raise InputError.at(path, f"not valid JSON: {error}") from None


def read_csv(path: Path) -> tuple[list[list[str]], list[int]]:
    """Return the rows of a CSV file, blank lines left out, and the line that each ends in.

    Raises
    ------
    InputError
        As :func:`read_text`, or the quoting is broken.
    """
    # Only line feeds end lines: str.splitlines would split at U+2028 within a name too.
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    rows, lines = [], []
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
        return rows, lines
    except csv.Error as error:
        raise InputError.at(path, f"line {reader.line_num}: not valid CSV: {error}") from None


def atomic_write(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file so that a reader sees the old content or the new, never half of it.

    A file that exists keeps its mode, and its owner where the system allows it. What is no
    regular file (a pipe, a device) is written to, not replaced; a symbolic link stays, and what
    it points to is replaced.

    Parameters
    ----------
    path, content
        Where to write, and what.
    private
        The content is a key or private: only the owner may read the file, at any moment.

    Raises
    ------
    InputError
        The folder does not exist, or the file cannot be written.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        try:
            path.write_bytes(content)
        except OSError as error:
            raise InputError.at(path, f"cannot be written: {error.strerror}") from None
        return
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:12]}"
    try:
        before = path.stat() if path.exists() else None
        # The system applies the umask; asking for it would change it for all threads.
        mode = 0o600 if private or before is not None else 0o666
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        handle = os.open(temporary, flags, mode)
    except OSError as error:
        raise InputError.at(path, f"cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        if before is not None:
            _keep_owner_and_mode(temporary, before, private=private)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError.at(path, f"cannot be written: {error.strerror}") from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _keep_owner_and_mode(path: Path, before: os.stat_result, *, private: bool) -> None:
    """Give a file the owner and mode of the one that it replaces."""
    mode = stat.S_IMODE(before.st_mode) & (0o600 if private else 0o777)
    if hasattr(os, "chown"):
        try:
            os.chown(path, before.st_uid, before.st_gid)
        except OSError:
            # Somebody else's file: the group that it was meant for may not be this one's.
            if path.stat().st_gid != before.st_gid:
                mode &= 0o707
    path.chmod(mode)
