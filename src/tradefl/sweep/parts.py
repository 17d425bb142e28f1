"""What is done, on disk: segments of units, each whole or not at all.

A segment is one file with the values of a batch of units, under a name that nobody else chooses,
written next to its place and renamed. So drivers may share a folder, on a network file system too,
without a lock; units that two of them computed are the same, and dropped when they are read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tradefl.consortium.files import atomic_write
from tradefl.errors import InputError
from tradefl.foreign import parse_json, read_bytes
from tradefl.sweep.identity import Identity

SCHEMA = "tradefl/sweep-part/1"
SUFFIX = ".part"
SEAL = 64  # hexadecimal digits of SHA-256
MOST_BYTES = 2**30  # of a segment; a batch of units has far less


@dataclasses.dataclass(frozen=True)
class Part:
    """One unit that is done.

    Attributes
    ----------
    key
        The digest of what it depends on.
    name
        The unit's name, for people.
    value
        Its value as JSON text.
    kind
        The kind of processor that computed it.
    """

    key: str
    name: str
    value: str
    kind: str


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises
    ------
    InputError
        It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError.at(folder, f"cannot be made: {error.strerror}") from None


def write(folder: Path, parts: Sequence[Part], identity: Identity) -> None:
    """Write a segment with these units.

    Raises
    ------
    InputError
        It cannot be written.
    """
    head: Mapping[str, Any] = {"schema": SCHEMA, "identity": identity}
    lines = [json.dumps(head, sort_keys=True)]
    lines += [json.dumps([part.key, part.name, part.kind, part.value]) for part in parts]
    content = "".join(f"{line}\n" for line in lines).encode()
    atomic_write(folder / f"{uuid.uuid4().hex}{SUFFIX}", content + _seal(content))


def read(folder: Path, wanted: Collection[str]) -> dict[str, Part]:
    """Return the parts of a folder by key, as far as they are wanted.

    A segment that is not as it was written is left out: its units are computed again.
    """
    found: dict[str, Part] = {}
    for part in everything(folder):
        if part.key in wanted:
            found.setdefault(part.key, part)
    return found


def everything(folder: Path) -> Iterator[Part]:
    """Yield all parts of a folder that are as they were written."""
    for path in sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else ():
        try:
            whole = read_bytes(path, MOST_BYTES)
        except InputError:
            continue
        content = whole[:-SEAL]
        if not content or content + _seal(content) != whole:
            continue
        yield from _parts(content, path)


def _parts(content: bytes, path: Path) -> list[Part]:
    """Return the units of a segment; none if it is not one, which anybody could have sealed."""
    try:
        document, *rows = (parse_json(line, path) for line in content.split(b"\n")[:-1])
    except ValueError:  # not JSON, or nothing at all
        return []
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return []
    if not all(isinstance(row, list) and len(row) == 4 for row in rows):
        return []
    if not all(isinstance(word, str) for row in rows for word in row):
        return []
    return [Part(key, name, value, kind) for key, name, kind, value in rows]


def has_older(folder: Path) -> bool:
    """Return whether a folder has parts that an earlier version wrote; they are not read."""
    return any(folder.glob("*.csv")) if folder.is_dir() else False


def _seal(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
