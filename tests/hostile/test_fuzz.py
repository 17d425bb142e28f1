"""Readers of foreign bytes, fed with sound documents that were damaged: never a traceback.

10,000 inputs a reader under the marker ``slow``, one in twenty of them in the gate.
"""

import io
import json
import random
from pathlib import Path

import pytest
import tomli_w
from tests.consortium.documents import (
    EMPIRICAL,
    NAMES,
    POINTS,
    csv_rows,
    document,
    organization,
    parquet_table,
    with_table,
)

from tradefl.consortium import load
from tradefl.consortium.competitors import read_matrix
from tradefl.consortium.organizations import read_organizations
from tradefl.consortium.reading import read_points
from tradefl.errors import InputError
from tradefl.foreign import parse_json, read_json
from tradefl.negotiation.knowledge import load_private

MANY, FEW = 10_000, 500
# What readers trip over: marks of structure, controls, numbers beyond all bounds, broken UTF-8.
PIECES = [
    *(bytes([k]) for k in (0, 9, 10, 13, 27, 127, 0x9B, 0xC3, 0xFF)),
    *(mark.encode() for mark in "\"'#=[]{},;.:|\\/-+@_ "),
    *("\u202e".encode(), "\u200b".encode(), "\ufeff".encode(), "\u0301".encode(), b"\xed\xa0\x80"),
    *(b"1e999", b"-1", b"nan", b"inf", b"1_0", b"0x1", b"9" * 400, b"1.500", b"1,500", b"true"),
    *(
        b"[[",
        b"]]",
        b'"""',
        b"'''",
        b"sep=;\n",
        b"\r\n",
        b"name",
        b"null",
        b"organization",
        b"a.b.",
    ),
]


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Return a document with one to six pieces cut, doubled, moved, replaced or put in."""
    content = bytearray(content)
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(len(content) + 1)
        length = draw.choice([0, 0, 1, 2, 8, 64])
        way = draw.random()
        if way < 0.5:
            content[at : at + length] = draw.choice(PIECES)
        elif way < 0.7:
            del content[at : at + length]
        elif way < 0.85:
            content[at:at] = content[at : at + length] * draw.choice([1, 2, 50])
        elif content:
            content[at % len(content)] ^= 1 << draw.randrange(8)
    return bytes(content)


def csv_table() -> bytes:
    rows = csv_rows([organization(name, sector="a, b") for name in NAMES])
    return "\n".join(",".join(f'"{c}"' if "," in c else c for c in row) for row in rows).encode()


def parquet() -> bytes:
    import pyarrow.parquet

    stream = io.BytesIO()
    pyarrow.parquet.write_table(parquet_table([organization(name) for name in NAMES]), stream)
    return stream.getvalue()


def workbook() -> bytes:
    import openpyxl

    book, stream = openpyxl.Workbook(), io.BytesIO()
    for row in csv_rows([organization(name) for name in NAMES]):
        book.active.append(row)
    book.save(stream)
    return stream.getvalue()


def toml() -> bytes:
    points = [[0.0, 0.0], [1.0, 5.0]]
    efficient = {
        "mechanism.rule": "efficient",
        "compensation": {
            "constants": dict.fromkeys(NAMES, 1.0),
            "schedules": dict.fromkeys(NAMES, points),
            "pairs": [["Alpha", "Beta", 1.0]],
        },
    }
    return tomli_w.dumps(document(efficient)).encode()


PRIVATE = {
    "organization": "Alpha",
    "profitability": 1500.0,
    "competitors_weight": 3.0,
    "cycles_per_bit": 2.0,
    "cpu_levels_hz": [1e9, 2e9],
    "download_seconds": 1.0,
    "upload_seconds": 1.0,
}
SOLUTION = {
    "schema": "tradefl/solution/1",
    "consortium": "three",
    "organizations": [{"name": name, "data_fraction": 0.25, "cpu_hz": 1e9} for name in NAMES],
}
MATRIX = b",Alpha,Beta,Gamma\nAlpha,0,0.1,0\nBeta,0.1,0,0.2\nGamma,0,0.2,0\n"

READERS = {
    "toml": ("x.toml", toml, load),
    "toml with a table": (
        "x.toml",
        lambda: tomli_w.dumps(with_table(document({"accuracy": EMPIRICAL}), "orgs.csv")).encode(),
        load,
    ),
    "csv": ("orgs.csv", csv_table, read_organizations),
    "parquet": ("orgs.parquet", parquet, read_organizations),
    "xlsx": ("orgs.xlsx", workbook, read_organizations),
    "matrix": ("rho.csv", lambda: MATRIX, lambda path: read_matrix(path, NAMES)),
    "points": ("points.csv", POINTS.encode, read_points),
    "json": ("x.json", lambda: json.dumps(SOLUTION, indent=1).encode(), read_json),
    "private file": ("x.toml", lambda: tomli_w.dumps(PRIVATE).encode(), load_private),
}


def assert_read_or_refused(path: Path, read, content: bytes) -> bool:
    """Tell whether the content was read; if not, it was refused in lines that can be printed."""
    path.write_bytes(content)
    try:
        read(path)
    except InputError as error:
        lines = error.lines()
        assert lines
        assert all(line.isprintable() and len(line) < 5_000 for line in lines), lines
        return False
    return True


def fuzz(folder: Path, name: str, count: int) -> None:
    file, make, read = READERS[name]
    whole, draw = make(), random.Random(name)  # noqa: S311
    path = folder / file
    (folder / "orgs.csv").write_bytes(csv_table())
    (folder / "points.csv").write_text(POINTS)
    assert assert_read_or_refused(path, read, whole), "the sound document is refused"
    read_ones = sum(assert_read_or_refused(path, read, damaged(whole, draw)) for _ in range(count))
    # Some of the damage hits what means nothing; if all or none were read, nothing was tried.
    assert count - read_ones > 0
    assert name == "xlsx" or read_ones > 0


@pytest.mark.parametrize("name", READERS)
def test_damaged_documents_are_read_or_refused(tmp_path, name):
    fuzz(tmp_path, name, FEW if name != "xlsx" else FEW // 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_ten_thousand_damaged_documents_are_read_or_refused(tmp_path, name):
    fuzz(tmp_path, name, MANY)


@pytest.mark.parametrize("length", [0, 1, 2, 7, 64, 1000])
def test_noise_is_refused(tmp_path, length):
    draw = random.Random(length)  # noqa: S311
    for file, _, read in READERS.values():
        for _ in range(5):
            content = draw.randbytes(length)
            assert not assert_read_or_refused(tmp_path / file, read, content) or file == "x.json"


def test_json_of_any_bytes():
    draw = random.Random(1)  # noqa: S311
    for _ in range(2_000):
        try:
            parse_json(draw.randbytes(draw.randrange(20)), "answer")
        except InputError as error:
            (line,) = error.lines()
            assert line.isprintable()
