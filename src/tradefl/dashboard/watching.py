"""The consortium file as it is now: read again when it, or a table that it names, has changed."""

from __future__ import annotations

import dataclasses
import hashlib
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tradefl.consortium import Consortium, load
from tradefl.errors import InputError
from tradefl.foreign import parse_toml, read_bytes, read_text

# Of a path: what identifies its content, or nothing if there is no file.
Mark = tuple[int, ...] | None
Fingerprint = tuple[tuple[str, Mark], ...]

# Up to this size the content itself counts: some tools keep a file's time and size.
HASHED_UP_TO = 1 << 20
KEPT = 4
ATTEMPTS = 5


@dataclasses.dataclass(frozen=True, eq=False)
class FileState:
    """What a file held when it was read.

    Attributes
    ----------
    fingerprint
        Of the file and of all files that it names; empty if they changed while they were read.
    consortium
        What it describes; ``None`` if it is not valid, or not there.
    problems
        Why.
    """

    fingerprint: Fingerprint
    consortium: Consortium | None
    problems: tuple[str, ...] = ()


_lock = threading.Lock()
_read: dict[tuple[Path, Fingerprint], FileState] = {}
_last_valid: dict[Path, FileState] = {}
_named: dict[Path, tuple[Mark, tuple[Path, ...]]] = {}


def read(file: Path) -> FileState:
    """Return what a file holds now; read once for all sessions, whatever it holds."""
    with _lock:
        for _ in range(ATTEMPTS):
            before = fingerprint(file)
            known = _read.get((file, before))
            if known is not None:
                return known
            found = _loaded(file, before)
            if fingerprint(file) == before:
                while len(_read) >= KEPT:
                    _read.pop(next(iter(_read)))
                _read[file, before] = found
                break
        else:  # somebody writes all the time: looked at again with the next run
            found = dataclasses.replace(found, fingerprint=())
        if found.consortium is not None:
            _last_valid[file] = found
        return found


def last_valid(file: Path) -> FileState | None:
    """Return what a file held when it was last valid; ``None`` if it never was here."""
    return _last_valid.get(file)


def fingerprint(file: Path) -> Fingerprint:
    """Return what identifies the content of a file, and of the files that it names."""
    own = _mark(file)
    known = _named.get(file)
    if known is None or known[0] != own:
        known = own, tuple(_tables(file))
        _named[file] = known
    return tuple((str(path), _mark(path)) for path in (file, *known[1]))


def _loaded(file: Path, found: Fingerprint) -> FileState:
    try:
        consortium = load(file)
        assert consortium.game is not None  # noqa: S101  raises what only the game can find
    except InputError as error:
        return FileState(found, None, tuple(error.lines()))
    return FileState(found, consortium)


def _mark(path: Path) -> Mark:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return (status.st_mode, status.st_ino)
        mark = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        if status.st_size > HASHED_UP_TO:
            return mark
        digest = hashlib.sha256(read_bytes(path, HASHED_UP_TO)).digest()
    except (OSError, ValueError):  # ValueError: a NUL in the name, or no file any more
        return None
    # The content alone: a file that was saved as it was has not changed.
    return (status.st_size, int.from_bytes(digest, "big"))


def _tables(file: Path) -> Iterator[Path]:
    """Yield the files that a consortium file names, valid or not: every key that ends in _file."""
    try:
        document = parse_toml(read_text(file), file)
    except InputError:
        return
    for name in sorted(set(_file_names(document))):
        yield file.parent / name


def _file_names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str) and key.endswith("_file"):
                yield inner
            else:
                yield from _file_names(inner)
