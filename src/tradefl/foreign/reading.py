"""Foreign files and answers, read within limits.

A file is opened without blocking, must be a regular file, and is read up to the limit, whatever
size it claims. What a parser would multiply (keys, depth, digits) is counted before it runs.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Iterable
from typing import Any

import pydantic_core

from tradefl.errors import InputError
from tradefl.foreign.limits import Limits, exceeded, limits
from tradefl.text import printable, quoted

_CHUNK = 2**20
# A pipe that this process holds already, as the shell's <(...) makes one: opening it cannot block.
_OWN_PIPES = re.compile(r"/dev/(?:stdin|fd/\d+)|/proc/(?:self|\d+)/fd/\d+")
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def read_bytes(path: str | os.PathLike[str], limit: int | None = None, field: str = "") -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes.

    Opening never waits, as it would for a pipe that nobody writes to. The user's own pipes
    (``/dev/stdin``, ``<(...)`` of a shell) are read too.

    Parameters
    ----------
    path
        The file.
    limit
        The most bytes to read; default: that of ``field``.
    field
        The field of :class:`Limits` that raises the limit; default: :attr:`Limits.bytes`.

    Raises
    ------
    InputError
        There is no such file, it is not a regular file, cannot be read, or is larger.
    """
    try:
        handle = os.open(
            path,
            os.O_RDONLY
            | _flag("O_NONBLOCK")
            | _flag("O_CLOEXEC")
            | _flag("O_NOCTTY")
            | _flag("O_BINARY"),
        )
    except FileNotFoundError:
        raise InputError.at(path, "no such file") from None
    except IsADirectoryError:
        raise InputError.at(path, "is a directory, expected a file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError.at(path, f"cannot be read: {reason}") from None
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise InputError.at(path, "is a directory, expected a file")
        if stat.S_ISFIFO(mode) and _OWN_PIPES.fullmatch(os.fspath(path)):
            os.set_blocking(handle, True)
        elif not stat.S_ISREG(mode):
            kind = next((name for test, name in _KINDS if test(mode)), "something else")
            raise InputError.at(path, f"is {kind}, expected a regular file")
        return read_chunks(iter(lambda: os.read(handle, _CHUNK), b""), path, limit, field)
    except OSError as error:
        raise InputError.at(path, f"cannot be read: {error.strerror}") from None
    finally:
        os.close(handle)


def read_chunks(
    chunks: Iterable[bytes], place: object, limit: int | None = None, field: str = ""
) -> bytes:
    """Return an answer that arrives in parts; stop as soon as it exceeds the limit.

    Raises
    ------
    InputError
        There are more bytes than the limit, by default :attr:`Limits.bytes`.
    """
    field = field or "bytes"
    most = int(getattr(limits(), field)) if limit is None else limit
    whole = bytearray()
    for chunk in chunks:
        whole += chunk
        if len(whole) > most:
            raise exceeded(place, "has more bytes than the limit", field, most)
    return bytes(whole)


def read_text(path: str | os.PathLike[str], limit: int | None = None, field: str = "") -> str:
    """Return the text of a UTF-8 file, without a byte order mark.

    Raises
    ------
    InputError
        As :func:`read_bytes`, or the file is empty or not text.
    """
    return decoded(read_bytes(path, limit, field), path)


def decoded(content: bytes, place: object) -> str:
    """Return UTF-8 text, without a byte order mark.

    Raises
    ------
    InputError
        It is empty or not text.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError.at(
            place, f"expected UTF-8 text, but byte {error.start} is not part of any"
        ) from None
    if not text.strip():
        raise InputError.at(place, "is empty")
    if "\x00" in text:
        raise InputError.at(place, "expected UTF-8 text, got a binary file")
    return text


# --- JSON ----------------------------------------------------------------------------------------


def read_json(path: str | os.PathLike[str]) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    InputError
        As :func:`read_text` and :func:`parse_json`.
    """
    return parse_json(read_text(path), path, unique=True)


def parse_json(
    content: str | bytes, place: object, bounds: Limits | None = None, *, unique: bool = False
) -> Any:
    """Return the value of a JSON document from a file, a node or a chain.

    Parameters
    ----------
    content
        The document.
    place
        What it is called in errors.
    bounds
        The limits; default: :func:`limits`.
    unique
        Whether an object that has a key twice is refused: of what partners sign or exchange, all
        readers must see the same.

    Raises
    ------
    InputError
        It is not JSON (NaN and infinities are not), or exceeds :attr:`Limits.bytes`,
        :attr:`~Limits.values` or :attr:`~Limits.digits`, or the parser's own depth of 200.
    """
    most = limits() if bounds is None else bounds
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if len(raw) > most.bytes:
        raise exceeded(place, f"has {len(raw):,} bytes", "bytes", most.bytes)
    # Every value but the first follows one of these; some of them may be inside strings.
    values = 1 + sum(raw.count(mark) for mark in (b",", b"[", b"{"))
    if values > most.values:
        raise exceeded(place, f"has up to {values:,} values", "values", most.values)
    _require_short_numbers(raw, place, most)
    try:
        # Not json.loads: some libraries raise Python's recursion limit so far that a deeply nested
        # document would overrun the stack.
        value = pydantic_core.from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise InputError.at(place, f"not valid JSON: {printable(error, 200)}") from None
    if unique and isinstance(value, dict | list):
        _require_unique_keys(raw, place)
    return value


def _require_unique_keys(raw: bytes, place: object) -> None:
    """Refuse valid JSON in which an object has a key twice: readers disagree on which counts."""

    def required(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                what = f"not valid JSON: the key {quoted(key)} occurs twice in one object"
                raise InputError.at(place, f"{what}; remove one of them")
            seen.add(key)

    # The other parser has limited depth and digits; numbers are of no interest here.
    json.loads(raw, object_pairs_hook=required, parse_int=str, parse_float=str)


_JSON_PARTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\d.eE+\-]++', re.S)


def _require_short_numbers(raw: bytes, place: object, most: Limits) -> None:
    """Require that no number outside a string has too many digits."""
    digits = re.compile(rb"\d{%d}" % (most.digits + 1))
    if not digits.search(raw):
        return
    for found in _JSON_PARTS.finditer(raw):
        if found[0][:1] != b'"' and digits.search(found[0]):
            what = "not valid JSON: a number has more digits than the limit"
            raise exceeded(place, what, "digits", most.digits)


# --- TOML ----------------------------------------------------------------------------------------


def parse_toml(text: str, place: object, bounds: Limits | None = None) -> dict[str, Any]:
    """Return the tables of a TOML document.

    The parser needs a thousand bytes for each part of a key, and for a key of n parts time and
    memory that grow as n squared: both are counted before it runs.

    Raises
    ------
    InputError
        It is not TOML, or exceeds :attr:`Limits.toml_bytes`, :attr:`~Limits.keys`,
        :attr:`~Limits.values`, :attr:`~Limits.depth` or :attr:`~Limits.digits`.
    """
    most = limits() if bounds is None else bounds
    if len(text) > most.toml_bytes:
        raise exceeded(place, f"has {len(text):,} characters", "toml_bytes", most.toml_bytes)
    _require_modest(text, place, most)
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise InputError.at(place, "not valid TOML: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        reason = printable(str(error).partition(";")[0], 200)
        raise InputError.at(place, f"not valid TOML: {reason}") from None
    _require_short_integers(tables, place, most)
    return tables


def _require_short_integers(value: Any, place: object, most: Limits, key: str = "") -> None:
    """Require that no integer has too many decimal digits: ``0xff...`` has other ones."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _require_short_integers(inner, place, most, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for k, inner in enumerate(value):
            _require_short_integers(inner, place, most, f"{key}[{k}]")
    elif isinstance(value, int) and value.bit_length() > (most.digits + 1) * math.log2(10.0):
        what = f"{printable(key, 80)}: a number has too many digits"
        raise exceeded(place, what, "digits", most.digits)


# What can hide a mark of structure (strings, comments), the marks, and runs of digits. A string
# that is not closed ends with its line, or, in three quotes, with the text.
_TOML_PARTS = re.compile(
    r'"""[^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*+(?:"{3,5}+|\Z)?'
    r"|'''[^']*+(?:'(?!'')[^']*+)*+(?:'{3,5}+|\Z)?"
    r'|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"?'
    r"|'[^'\n]*+'?|(?:#[^\n]*+\s*+)++|[.=\[\]{}\n,]|[0-9_]++",
    re.S,
)


def _require_modest(text: str, place: object, most: Limits) -> None:
    """Require that a TOML text has few keys, short ones, and nothing too deep or too long."""
    values = text.count(",") + text.count("[") + text.count("{")  # some may be inside strings
    if values > most.values:
        raise exceeded(place, f"has up to {values:,} values", "values", most.values)
    keys = depth = dots = 0
    line, in_header, line_begins = 1, False, True

    def refuse(what: str, field: str, limit: int) -> None:
        raise exceeded(f"{place}: line {line}", f"not valid TOML: {what}", field, limit)

    for found in _TOML_PARTS.finditer(text):
        part = found[0]
        mark = part[0]
        if mark == ".":
            dots += 1  # up to a "=" these separate the parts of a key; a value has one at most
            if dots > most.depth:
                refuse("a key has too many dots", "depth", most.depth)
        elif mark in "[{":
            depth += 1
            in_header = line_begins or (in_header and depth == 2)  # [a.b] or [[a.b]]
            if depth > most.depth:
                refuse("lists or tables are nested too deeply", "depth", most.depth)
        elif mark in "=,\n]}#":
            if mark == "=" or (mark == "]" and in_header):
                keys += dots + 1
            dots = 0
            line += part.count("\n")
            depth -= mark in "]}" and depth > 0
            if "\n" in part and depth <= 2 * in_header:  # a header ends with its line
                line_begins, in_header, depth = True, False, 0
                continue
        elif mark in "\"'":
            line += part.count("\n")
        elif mark in "0123456789_" and len(part) - part.count("_") > most.digits:
            refuse("a number has too many digits", "digits", most.digits)
        if keys > most.keys:
            raise exceeded(place, "has too many keys", "keys", most.keys)
        line_begins = False


def _flag(name: str) -> int:
    return int(getattr(os, name, 0))  # some do not exist on Windows
