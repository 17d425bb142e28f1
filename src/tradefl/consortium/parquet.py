"""Parquet tables of partners: their size is known before a value is read.

A Parquet file of two megabytes may hold gigabytes: runs of equal values cost nothing, pages
are compressed, a text in the dictionary is repeated by its number. What the file says of itself at
its end need not be true, so the header of every page is looked at as well: the reader allocates
what the page headers say.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tradefl.errors import InputError, MissingExtraError, Problem
from tradefl.foreign import Limits, limits, read_bytes
from tradefl.foreign.limits import exceeded

_EXPECTED = "expected numbers, text, or lists of numbers"
# The description of a table within the limits is far smaller; its parser needs many times its size.
_FOOTER_BYTES = 4 * 2**20
# DELTA_BYTE_ARRAY: each text repeats the start of the one before, so its size shows nowhere.
_PREFIXED_TEXTS = 7


def read_parquet(path: Path) -> tuple[list[str], list[list[Any]]]:
    """Return the names of the columns, and the rows.

    Raises
    ------
    InputError
        The file cannot be read, exceeds a limit, or has columns of other types.
    MissingExtraError
        pyarrow is not installed.
    """
    content = read_bytes(path)
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError(f"{path}: reading Parquet", "tables") from None
    try:
        # Before pyarrow sees the file: asked for the sizes in a description that is damaged, it may
        # end the whole process.
        _require_modest(content, path, limits())
        schema = pyarrow.parquet.ParquetFile(io.BytesIO(content)).schema_arrow
        _require_plain(schema, path)
        # A text that occurs in every row is kept once, not once for each row.
        text = [field.name for field in schema if _is_text(field.type)]
        table = pyarrow.parquet.ParquetFile(io.BytesIO(content), read_dictionary=text).read()
        names = list(table.column_names)
        columns = [_values(column) for column in table.columns]  # text may not be UTF-8
    except InputError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError.at(path, f"cannot be read as Parquet: {reason}") from None
    return names, [list(row) for row in zip(*columns, strict=True)]


def _require_modest(content: bytes, path: Path, most: Limits) -> None:
    """Require few rows, columns, bytes and values, in the description and in the page headers."""
    length = int.from_bytes(content[-8:-4], "little")
    if len(content) < 12 or content[:4] != b"PAR1" or content[-4:] != b"PAR1":
        raise ValueError("it does not begin and end with PAR1")
    if length > min(_FOOTER_BYTES, len(content) - 12):
        raise ValueError("its description is too large")
    description, _ = _struct(content[-8 - length : -8], 0)
    rows = _number(description, 3)
    columns = len(_structs(description, 2)) - 1  # of the schema, whose first entry is the root
    if rows > most.rows:
        raise exceeded(path, f"has {rows:,} rows", "rows", most.rows)
    groups = _structs(description, 4)
    columns = max([columns, *(len(_structs(group, 1)) for group in groups)])
    if columns > most.columns:
        raise exceeded(path, f"has {columns:,} columns", "columns", most.columns)
    chunks = []
    for group in groups:
        for column in _structs(group, 1):
            chunk = column.get(3)  # its ColumnMetaData
            if not isinstance(chunk, dict):
                raise ValueError("a column has no description")
            chunks.append(chunk)
    _require_within(
        path,
        sum(_number(chunk, 6) for chunk in chunks),  # total_uncompressed_size
        sum(_number(chunk, 5) for chunk in chunks),  # num_values
        most,
    )
    size = values = 0
    for chunk in chunks:
        for page in _pages(content, chunk):
            size += _number(page, 2)  # uncompressed_page_size
            for kind in (5, 7, 8):  # headers of data pages, of a dictionary, of data pages v2
                header = page.get(kind)
                if not isinstance(header, dict):
                    continue
                values += _number(header, 1)
                if kind != 7 and _number(header, 2 if kind == 5 else 4) == _PREFIXED_TEXTS:
                    raise ValueError("the encoding DELTA_BYTE_ARRAY is not read; use another one")
            _require_within(path, size, values, most)


def _require_plain(schema: Any, path: Path) -> None:
    """Require numbers, text, and lists of numbers."""
    problems = [
        Problem(f"{path}: column {k}", f"has the type {field.type}; {_EXPECTED}")
        for k, field in enumerate(schema, 1)
        if not _is_plain(field.type)
    ]
    if problems:
        raise InputError(problems)


def _require_within(path: Path, size: int, values: int, most: Limits) -> None:
    if size > most.bytes:
        raise exceeded(path, f"has {size:,} bytes decompressed", "bytes", most.bytes)
    if values > most.values:  # a list column may hold millions in one row
        raise exceeded(path, f"has {values:,} values", "values", most.values)


def _is_text(kind: Any) -> bool:
    import pyarrow.types as t

    return bool(t.is_string(kind) or t.is_large_string(kind) or t.is_dictionary(kind))


def _is_plain(kind: Any) -> bool:
    import pyarrow.types as t

    if t.is_dictionary(kind):
        return bool(t.is_string(kind.value_type) or t.is_large_string(kind.value_type))
    if _is_text(kind):
        return True
    if t.is_list(kind) or t.is_large_list(kind):
        kind = kind.value_type
    return bool(t.is_integer(kind) or t.is_floating(kind) or t.is_boolean(kind) or t.is_null(kind))


def _values(column: Any) -> list[Any]:
    """Return the cells of a column; texts that are equal are one object."""
    cells: list[Any] = []
    for chunk in column.chunks:
        if hasattr(chunk, "dictionary"):
            words = [*chunk.dictionary.to_pylist(), None]
            numbers = chunk.indices.to_pylist()
            if not all(k is None or 0 <= k < len(words) - 1 for k in numbers):
                raise ValueError("a text is not in its dictionary")
            cells += [words[-1 if k is None else k] for k in numbers]
        else:
            cells += chunk.to_pylist()
    return cells


# --- Thrift's compact protocol, as far as descriptions and page headers need it -------------------


def _pages(content: bytes, chunk: dict[int, Any]) -> Iterator[dict[int, Any]]:
    """Yield the header of each page of a column chunk: values by the number of their field."""
    if not _number(chunk, 5):
        return  # without values the reader looks at no page
    start, dictionary = _number(chunk, 9), _number(chunk, 11)  # where data pages begin
    if 0 < dictionary < start:
        start = dictionary
    end = min(start + _number(chunk, 7), len(content))  # total_compressed_size
    while start < end:
        header, start = _struct(content, start)
        if 3 not in header:
            raise ValueError("a page has no size")
        yield header
        start += _number(header, 3)  # compressed_page_size


def _number(fields: dict[int, Any], field: int) -> int:
    number = fields.get(field, 0)
    if not isinstance(number, int) or number < 0:
        raise ValueError("its description holds something else than a size")
    return number


def _structs(fields: dict[int, Any], field: int) -> list[dict[int, Any]]:
    found = fields.get(field, [])
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ValueError("its description holds something else than a list")
    return found


def _struct(content: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Return a struct's values by field number, and where it ends."""
    if depth > 12:
        raise ValueError("its description is nested too deeply")
    fields: dict[int, Any] = {}
    number = 0
    while True:
        mark, at = _byte(content, at)
        kind, step = mark & 15, mark >> 4
        if kind == 0:
            return fields, at
        if step:
            number += step
        else:
            number, at = _whole(content, at)
        # In a struct the mark itself says true or false.
        fields[number], at = (kind == 1, at) if kind in (1, 2) else _any(content, at, kind, depth)


def _any(content: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    """Return a value, and where it ends; of text and floating-point numbers only the end."""
    if kind in (1, 2, 3):
        return None, at + 1
    if kind in (4, 5, 6):
        return _whole(content, at)
    if kind == 7:
        return None, at + 8
    if kind == 8:
        length, at = _varint(content, at)
        return None, at + length
    if kind in (9, 10):
        mark, at = _byte(content, at)
        count, inner = mark >> 4, mark & 15
        if count == 15:
            count, at = _varint(content, at)
        if count > len(content) - at:
            raise ValueError("its description is cut off")
        found = []
        for _ in range(count):
            value, at = _any(content, at, inner, depth + 1)
            found.append(value)
        return found, at
    if kind == 12:
        return _struct(content, at, depth + 1)
    raise ValueError("its description holds a value of an unknown kind")


def _byte(content: bytes, at: int) -> tuple[int, int]:
    if at >= len(content):
        raise ValueError("its description is cut off")
    return content[at], at + 1


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte, at = _byte(content, at)
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("its description holds a number that is too long")


def _whole(content: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(content, at)
    return (value >> 1) ^ -(value & 1), at
