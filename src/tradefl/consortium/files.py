"""Files: read within limits, with errors that name them; written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tradefl.errors import InputError
from tradefl.foreign import read_json, read_text

__all__ = ["atomic_write", "read_json", "read_text"]


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never half of it.

    What is no regular file (a pipe, a device) is written to, not replaced; a symbolic link
    stays, and what it points to is replaced.

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
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError.at(path, f"cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        # mkstemp makes private files; a written file gets what any new file would.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InputError.at(path, f"cannot be written: {error.strerror}") from None
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
