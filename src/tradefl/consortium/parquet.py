"""Parquet tables of partners: their size is known before a value is read.

A Parquet file of two megabytes may stand for gigabytes: runs of equal values cost nothing, pages
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
        if int.from_bytes(content[-8:-4], "little") > _FOOTER_BYTES:
            raise ValueError("its description is too large")
        file = pyarrow.parquet.ParquetFile(io.BytesIO(content))
        _require_modest(file, content, path, limits())
        # A text that occurs in every row is kept once, not once for each row.
        text = [field.name for field in file.schema_arrow if _is_text(field.type)]
        table = pyarrow.parquet.ParquetFile(io.BytesIO(content), read_dictionary=text).read()
    except InputError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError.at(path, f"cannot be read as Parquet: {reason}") from None
    columns = [_values(column) for column in table.columns]
    return table.column_names, [list(row) for row in zip(*columns, strict=True)]


def _require_modest(file: Any, content: bytes, path: Path, most: Limits) -> None:
    """Require few rows, columns, bytes and values, and types that are read."""
    metadata = file.metadata
    if metadata.num_rows > most.rows:
        raise exceeded(path, f"has {metadata.num_rows:,} rows", "rows", most.rows)
    if max(len(file.schema_arrow), metadata.num_columns) > most.columns:
        raise exceeded(path, f"has {metadata.num_columns:,} columns", "columns", most.columns)
    problems = [
        Problem(f"{path}: column {k}", f"has the type {field.type}; {_EXPECTED}")
        for k, field in enumerate(file.schema_arrow, 1)
        if not _is_plain(field.type)
    ]
    if problems:
        raise InputError(problems)
    chunks = [
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    ]
    size = sum(chunk.total_uncompressed_size for chunk in chunks)
    values = sum(chunk.num_values for chunk in chunks)
    _require_within(path, size, values, most)
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
            cells += [words[-1 if k is None else k] for k in chunk.indices.to_pylist()]
        else:
            cells += chunk.to_pylist()
    return cells


# --- page headers: Thrift's compact protocol, as far as they need it ------------------------------


def _pages(content: bytes, chunk: Any) -> Iterator[dict[int, Any]]:
    """Yield the header of each page of a column chunk: values by the number of their field."""
    if not chunk.num_values:
        return  # then the reader looks at no page
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < (chunk.dictionary_page_offset or 0) < start:
        start = chunk.dictionary_page_offset
    end = min(start + chunk.total_compressed_size, len(content))
    while 0 <= start < end:
        header, start = _struct(content, start)
        if 3 not in header:
            raise ValueError("a page has no size")
        yield header
        start += _number(header, 3)  # compressed_page_size


def _number(fields: dict[int, Any], field: int) -> int:
    number = fields.get(field, 0)
    if not isinstance(number, int) or number < 0:
        raise ValueError("a page header holds something else than a size")
    return number


def _struct(content: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Return a struct's whole numbers and structs by field number, and where it ends."""
    if depth > 8:
        raise ValueError("a page header is nested too deeply")
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
        if kind in (1, 2):  # true, false
            pass
        elif kind == 3:
            at += 1
        elif kind in (4, 5, 6):
            fields[number], at = _whole(content, at)
        elif kind == 7:
            at += 8
        elif kind == 8:
            length, at = _varint(content, at)
            at += length
        elif kind == 12:
            fields[number], at = _struct(content, at, depth + 1)
        else:
            raise ValueError("a page header holds a list or a map")


def _byte(content: bytes, at: int) -> tuple[int, int]:
    if at >= len(content):
        raise ValueError("a page header is cut off")
    return content[at], at + 1


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte, at = _byte(content, at)
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a page header holds a number that is too long")


def _whole(content: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(content, at)
    return (value >> 1) ^ -(value & 1), at
