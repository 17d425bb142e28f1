"""Files: read within limits, with errors that name them; written whole or not at all."""

from __future__ import annotations

import json
import os
import stat
import uuid
from pathlib import Path
from typing import Any

from tradefl.errors import InputError
from tradefl.foreign import escaped_json, read_json, read_text

__all__ = ["atomic_write", "json_text", "read_json", "read_text", "write_json"]

# Above this many organizations JSON comes without indentation, which is many times faster.
INDENT_UP_TO = 1000


def atomic_write(
    path: Path, content: bytes, *, private: bool = False, secret: bool = False
) -> None:
    """Write a file so that a reader sees the old content or the new, never half of it.

    A file that exists keeps its mode, and its owner where the system allows it. What is no
    regular file (a pipe, a device) is written to, not replaced; a symbolic link stays, and what
    it points to is replaced.

    Parameters
    ----------
    path, content
        Where to write, and what.
    private
        The content holds figures that rivals would like to read: only the owner may read a new
        file. An existing file keeps its mode: its owner has decided who may read it.
    secret
        The content is a key: only the owner may read the file, whatever mode it had.

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
        mode = 0o600 if private or secret or before is not None else 0o666
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        handle = os.open(temporary, flags, mode)
    except OSError as error:
        raise InputError.at(path, f"cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        if before is not None:
            _keep_owner_and_mode(temporary, before, secret=secret)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError.at(path, f"cannot be written: {error.strerror}") from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _keep_owner_and_mode(path: Path, before: os.stat_result, *, secret: bool) -> None:
    """Give a file the owner and mode of the one that it replaces."""
    mode = stat.S_IMODE(before.st_mode) & (0o600 if secret else 0o777)
    if hasattr(os, "chown"):
        try:
            os.chown(path, before.st_uid, before.st_gid)
        except OSError:
            # Somebody else's file: the group that it was meant for may not be this one's.
            if path.stat().st_gid != before.st_gid:
                mode &= 0o707
    path.chmod(mode)


def write_json(document: Any, path: Path, *, private: bool = False) -> None:
    """Write one JSON document to a file, whole or not at all.

    A private one holds figures that rivals would like to read.

    Raises
    ------
    InputError
        The folder does not exist, or the file cannot be written.
    """
    atomic_write(path, (json_text(document) + "\n").encode(), private=private)


def json_text(document: Any, *, ascii_only: bool = False) -> str:
    """Return a JSON document as text, free of control characters."""
    large = len(document.get("organizations") or ()) > INDENT_UP_TO
    indent = None if large else 2
    text = json.dumps(document, ensure_ascii=ascii_only, allow_nan=False, indent=indent)
    return escaped_json(text)
