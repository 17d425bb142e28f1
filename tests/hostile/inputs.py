"""What a rival may hand over: files made to read, stop, flood or deceive. Generated, each small.

``python -m tests.hostile.inputs FOLDER`` runs the command line over all of them in one process, and
prints for each what it printed, its CPU time and the most memory that it held.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import io
import json
import os
import sys
import time
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli_w
from tests.cli.command import run
from tests.consortium.documents import (
    COLUMNS,
    EMPIRICAL,
    FILE,
    NAMES,
    document,
    organization,
    save,
    with_table,
)

HEADER = ",".join(COLUMNS)
ROW = "Alpha,1500,2e10,1500,2.0,1e9;2e9,1,1.5"


@dataclasses.dataclass(frozen=True)
class Input:
    """One hostile input.

    ``make`` writes it into a folder and returns the arguments of the command; ``says`` is part of
    the line that refuses it.
    """

    name: str
    says: str
    make: Callable[[Path], list[Any]]


def _consortium(name: str, says: str, text: str | bytes | Callable[[], str | bytes]) -> Input:
    def make(folder: Path) -> list[Any]:
        content = text() if callable(text) else text
        (folder / FILE).write_bytes(content.encode() if isinstance(content, str) else content)
        return ["check", folder / FILE]

    return Input(f"toml: {name}", says, make)


def _changed(name: str, says: str, changes: dict[str, Any]) -> Input:
    return Input(f"file: {name}", says, lambda folder: ["check", save(folder, document(changes))])


def _table(name: str, says: str, content: Callable[[Path], None], file: str = "orgs.csv") -> Input:
    def make(folder: Path) -> list[Any]:
        content(folder / file)
        return ["check", save(folder, with_table(document(), file))]

    return Input(f"table: {name}", says, make)


def _csv(name: str, says: str, text: str | Callable[[], str]) -> Input:
    def content(path: Path) -> None:
        path.write_text(text() if callable(text) else text, encoding="utf-8")

    return _table(name, says, content)


def _path(name: str, says: str, key: str, file: str) -> Input:
    def make(folder: Path) -> list[Any]:
        changes = {
            "accuracy.points_file": {"accuracy": {**EMPIRICAL, "points_file": file}},
            "competition.matrix_file": {"competition": {"matrix_file": file}},
        }
        if key == "organizations_file":
            return ["check", save(folder, with_table(document(), file))]
        return ["check", save(folder, document(changes[key]))]

    return Input(f"path: {name} as {key}", says, make)


def _document(
    name: str, says: str, content: str | bytes | Callable[[], str], *command: str
) -> Input:
    def make(folder: Path) -> list[Any]:
        found = content() if callable(content) else content
        raw = found if isinstance(found, bytes) else found.encode("utf-8", "surrogatepass")
        (folder / "given.json").write_bytes(raw)
        path = save(folder, document())
        return [command[0], path, command[1], folder / "given.json"]

    return Input(f"{command[0]} {command[1]}: {name}", says, make)


def _checkpoint(name: str, says: str, make_file: Callable[[Path], None]) -> Input:
    def make(folder: Path) -> list[Any]:
        make_file(folder / "state.npz")
        path = save(folder, document())
        return ["train", path, "--resume", "--checkpoint", folder / "state.npz"]

    return Input(f"checkpoint: {name}", says, make)


def _bomb(path: Path) -> None:
    """A checkpoint of half a megabyte that unpacks to half a gigabyte."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.npy", bytes(2**29))


# --- tables that are not what they seem ---------------------------------------------------------


def _parquet(columns: dict[str, Any], **options: Any) -> Callable[[Path], None]:
    def content(path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        made = {name: column() if callable(column) else column for name, column in columns.items()}
        pyarrow.parquet.write_table(pa.table(made), path, **options)

    return content


def _rows(count: int, **changes: Any) -> dict[str, Any]:
    """The columns of ``count`` organizations."""
    return {
        "name": [f"o{k}" for k in range(count)],
        **dict.fromkeys(("profitability", "data_bits"), [1e9] * count),
        "samples": [5] * count,
        "cycles_per_bit": [1.0] * count,
        "cpu_levels_hz": [[1e9]] * count,
        **dict.fromkeys(("download_seconds", "upload_seconds"), [1.0] * count),
        **changes,
    }


def _repeated(count: int) -> Any:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array([0] * count), pa.array(["x" * 1_000_000]))


def _run_of_levels() -> Any:
    import numpy as np
    import pyarrow as pa

    return pa.array([np.ones(20_000_000)])


def _lying(path: Path) -> None:
    """A list of 20 million levels, of which the description at the end says that they are seven."""
    _parquet(_rows(1, cpu_levels_hz=_run_of_levels), compression="zstd")(path)
    content = path.read_bytes()

    def varint(value: int, width: int) -> bytes:
        digits = [(value >> shift) & 127 for shift in range(0, 7 * width, 7)]
        return bytes([*(digit | 128 for digit in digits[:-1]), digits[-1]])

    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    claimed = content[start:].replace(varint(40_000_000, 4), varint(14, 4))
    assert claimed != content[start:]
    path.write_bytes(content[:start] + claimed)


def _prefixed_texts(path: Path) -> None:
    texts = ["x" * 100_000] * 20_000
    _parquet(
        _rows(20_000, name=texts),
        use_dictionary=["samples"],
        column_encoding={"name": "DELTA_BYTE_ARRAY"},
    )(path)


def _workbook(parts: dict[str, bytes | Callable[[], bytes]]) -> Callable[[Path], None]:
    """An Excel workbook in which some parts are replaced."""

    def content(path: Path) -> None:
        import openpyxl

        book = openpyxl.Workbook()
        book.active.append(list(COLUMNS))
        whole = io.BytesIO()
        book.save(whole)
        with (
            zipfile.ZipFile(whole) as given,
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as to,
        ):
            for name in given.namelist():
                part = parts.get(name, given.read(name))
                to.writestr(name, part() if callable(part) else part)

    return content


SHEET = "xl/worksheets/sheet1.xml"


def _sheet(cells: str, head: str = "") -> bytes:
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return (
        f'<?xml version="1.0"?>{head}<worksheet xmlns="{space}"><sheetData>{cells}'
        "</sheetData></worksheet>"
    ).encode()


ENTITIES = (
    "<!DOCTYPE x ["
    + '<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + k)} "{f"&{chr(97 + k)};" * 10}">' for k in range(9))
    + "]>"
)


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _outside(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _many_problems() -> str:
    return HEADER + "\n" + ("x," * 7 + "x\n") * 200_000


def _twins(name: str) -> dict[str, Any]:
    return {"organization": [organization("Alpha"), organization(name)], "competition": {}}


NFD = unicodedata.normalize("NFD", "Müller")
FAILED_PATHS = (
    ("a password file", "is not a table; expected", "/etc/passwd"),
    ("a file above", "is not a table; expected", "../secret.txt"),
    ("a device", "is not a table; expected", "/dev/zero"),
    ("a table above", "is not in the folder of this file", "../other.csv"),
    ("a table by its whole path", "is not in the folder of this file", "/tmp/other.csv"),  # noqa: S108
    ("escape sequences", "is not a table; expected", "\x1b[2J\x1b[Hphase settled"),
    ("a megabyte", "", "x" * 1_000_000 + ".csv"),
)
SOLUTION = {"schema": "tradefl/solution/1", "consortium": "three"}


def _solution(**entries: Any) -> str:
    whole = [{"name": name, "data_fraction": 0.1, "cpu_hz": 1e9, **entries} for name in NAMES]
    return json.dumps({**SOLUTION, "organizations": whole})


INPUTS = [
    # --- the consortium file --------------------------------------------------------------------
    _consortium("a key of 40,000 dots", "too many dots", ".".join("a" * 40_000) + " = 1"),
    _consortium("a key of 160 kB", "too many dots", ".".join("a" * 80_000) + " = 1"),
    _consortium("a header of dots", "too many dots", "[" + ".".join("a" * 40_000) + "]"),
    _consortium("dots with spaces", "too many dots", " . ".join(["'a'"] * 40_000) + " = 1"),
    _consortium("dots in braces", "too many dots", "x = {" + ".".join("a" * 40_000) + " = 1}"),
    _consortium(
        "many long keys",
        "too many keys",
        lambda: "".join(f"k{i}.{'.'.join('a' * 50)} = 1\n" for i in range(20_000)),
    ),
    _consortium(
        "many lists", "too many keys", lambda: "".join(f"k{i}=[]\n" for i in range(900_000))
    ),
    _consortium(
        "many tables", "too many keys", lambda: "".join(f"[k{i}]\n" for i in range(900_000))
    ),
    _consortium("many values", "values", lambda: "x = [" + "[]," * 5_000_000 + "]"),
    _consortium("deep lists", "nested too deeply", "x = " + "[" * 100_000),
    _consortium("deep tables", "nested too deeply", "x = " + "{a=" * 100_000),
    _consortium("thousands of digits", "too many digits", "x = " + "9" * 10_000),
    _consortium("digits apart", "too many digits", "x = 1" + "_1" * 5_000),
    _consortium("17 megabytes", "TRADEFL_MAX_TOML_BYTES", lambda: "#" * 17_000_000),
    _consortium("a long comment", "name: is missing", lambda: "#" * 16_000_000),
    _consortium("a long string", "not valid TOML", lambda: "x = '" + "x" * 16_000_000),
    _consortium("escapes", "not valid TOML", lambda: 'x = "' + "\\" * 2_000_001),
    _consortium("quotes", "not valid TOML", lambda: "'''" * 1_000_000),
    _consortium("a NUL", "binary", b"name = 1\x00"),
    _consortium("no UTF-8", "expected UTF-8", b"name = '\xff'"),
    _consortium("nothing", "is empty", b""),
    _consortium(
        "an unknown key that clears the screen",
        "unknown key",
        '"\\u001b[2J" = 1\n' + tomli_w.dumps(document()),
    ),
    Input("toml: a pipe", "is a pipe", lambda f: [_fifo(f / FILE), "check", f / FILE][1:]),
    Input("toml: /dev/zero", "is a device", lambda _: ["check", "/dev/zero"]),
    Input("toml: a folder", "is a directory", lambda f: ["check", f]),
    # --- names ----------------------------------------------------------------------------------
    _changed(
        "a name of a megabyte",
        "is 1,000,000 characters long",
        {"organization.0.name": "x" * 1_000_000, "competition": {}},
    ),
    _changed("a title of a megabyte", "characters long", {"name": "x" * 1_000_000}),
    _changed(
        "a name that clears the screen",
        "U+001B",
        {"organization.0.name": "a\x1b[2Jb", "competition": {}},
    ),
    _changed(
        "a name of two lines",
        "U+000A",
        {"organization.0.name": "a\nphase settled", "competition": {}},
    ),
    _changed(
        "a name from right to left",
        "U+202E",
        {"organization.0.name": "\u202eahplA", "competition": {}},
    ),
    _changed("a name with a gap of no width", "U+200B", _twins("Alp\u200bha")),
    _changed("a Cyrillic twin", "look alike", _twins("\u0410lpha")),
    _changed("a Greek twin", "look alike", _twins("Alph\u03b1")),
    _changed("a twin of full width", "look alike", _twins("\uff21lpha")),
    _changed(
        "a name written in two ways",
        "occurs 2 times",
        {"organization": [organization("Müller"), organization(NFD)], "competition": {}},
    ),
    _changed(
        "a million levels",
        "at most 1,000 values",
        {"organization.0.cpu_levels_hz": ["x"] * 1_000_000},
    ),
    _changed(
        "a million points",
        "expected a number",
        {"compensation": {"constants": {}, "schedules": {"Alpha": [["x", "y"]] * 300_000}}},
    ),
    _changed(
        "a key that clears the screen",
        "no organization",
        {
            "mechanism.rule": "efficient",
            "compensation": {
                "constants": dict.fromkeys(NAMES, 0.0),
                "schedules": {**{key: [[0.0, 0.0], [1.0, 1.0]] for key in NAMES}, "\x1b[2J": []},
            },
        },
    ),
    # --- paths ----------------------------------------------------------------------------------
    *(
        _path(name, says, key, file)
        for name, says, file in FAILED_PATHS
        for key in ("organizations_file", "accuracy.points_file", "competition.matrix_file")
    ),
    # --- tables ---------------------------------------------------------------------------------
    _table("a pipe", "is a pipe, expected a regular file", _fifo),
    _table("a link to /dev/zero", "is not in the folder", _outside),
    _table("a folder", "is a directory", Path.mkdir),
    _csv("a secret", "0 of 1 headings are known", "hunter2\nhunter3\n"),
    _csv("a cell of a megabyte", "field larger than", lambda: f"{HEADER}\n{'x' * 1_000_000}\n"),
    _csv("a million columns", "cells; expected at most 4,096", "x," * 1_000_000),
    _csv(
        "20 million rows",
        "rows; expected at most 400,000",
        lambda: f"{HEADER}\n" + "x\n" * 20_000_000,
    ),
    _csv("blank rows", "at least one organization", lambda: f"{HEADER}\n" + ",\n" * 3_000_000),
    _csv("only errors", "the rest was not looked at", _many_problems),
    _csv("an open quote", "not valid CSV", lambda: f'{HEADER}\n"' + "x\n" * 50_000),
    _csv("escape sequences", r"\x1b[2J", f"{HEADER}\n" + ROW.replace("1500", "\x1b[2J", 1)),
    _csv("thousands of digits", "expected a", f"{HEADER}\n" + ROW.replace("1500", "9" * 10_000)),
    _csv(
        "an exponent beyond all bounds",
        "whole number",
        f"{HEADER}\n" + ROW.replace(",1500,2.0", ",1e999999999,2.0"),
    ),
    _table(
        "a text repeated 8,600 times",
        "characters long",
        _parquet(_rows(8_600, name=lambda: _repeated(8_600))),
        "o.parquet",
    ),
    _table("texts that repeat each other", "DELTA_BYTE_ARRAY", _prefixed_texts, "o.parquet"),
    _table(
        "a run of levels",
        "values; expected at most",
        _parquet(_rows(1, cpu_levels_hz=_run_of_levels)),
        "o.parquet",
    ),
    _table("a run that is denied", "values; expected at most", _lying, "o.parquet"),
    _table(
        "a million rows",
        "rows; expected at most",
        _parquet({"name": lambda: [1] * 1_000_000}),
        "o.parquet",
    ),
    _table(
        "many columns",
        "columns; expected at most",
        _parquet({f"c{k}": [1] for k in range(5_000)}),
        "o.parquet",
    ),
    _table("bytes", "has the type binary", _parquet(_rows(1, name=[b"x"])), "o.parquet"),
    _table(
        "nothing of Parquet",
        "cannot be read as Parquet",
        lambda path: path.write_bytes(b"PAR1" * 9),
        "o.parquet",
    ),
    _table(
        "a large description",
        "too large",
        lambda path: path.write_bytes(b"PAR1" + b"\xff" * 4 + b"\x7fPAR1"),
        "o.parquet",
    ),
    _table(
        "zeros for 300 megabytes",
        "bytes decompressed",
        _workbook({SHEET: lambda: b"0" * 300_000_000}),
        "o.xlsx",
    ),
    _table(
        "styles for 30 megabytes",
        "bytes decompressed",
        _workbook({"xl/styles.xml": lambda: b"<x/>" * 7_500_000}),
        "o.xlsx",
    ),
    _table(
        "entities",
        "cannot be read as an Excel workbook",
        _workbook({SHEET: _sheet("<row><c t='str'><v>&i;</v></c></row>", ENTITIES)}),
        "o.xlsx",
    ),
    _table(
        "a cell in the last corner",
        "16,384 cells; expected at most 4,096",
        _workbook(
            {SHEET: _sheet('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')},
        ),
        "o.xlsx",
    ),
    _table(
        "a cell at the far end of every row",
        "more than 4,000,000 cells",
        _workbook(
            {
                SHEET: lambda: _sheet(
                    "".join(f'<row r="{k}"><c r="XFD{k}"/></row>' for k in range(1, 200_000))
                )
            }
        ),
        "o.xlsx",
    ),
    _table(
        "nothing of Excel",
        "cannot be read as an Excel workbook",
        lambda path: path.write_bytes(b"PK\x03\x04" * 99),
        "o.xlsx",
    ),
    # --- documents ------------------------------------------------------------------------------
    _document("deep lists", "recursion limit", "[" * 1_000_000, "explain", "--profile"),
    _document("deep objects", "recursion limit", '{"a":' * 100_000, "explain", "--profile"),
    _document(
        "thousands of digits",
        "more digits",
        '{"organizations": ' + "9" * 10_000 + "}",
        "explain",
        "--profile",
    ),
    _document("digits after the point", "more digits", "0." + "9" * 10_000, "explain", "--profile"),
    _document("no number", "not valid JSON", '{"organizations": NaN}', "explain", "--profile"),
    _document(
        "many values", "values", lambda: "[" + "{}," * 6_000_000 + "{}]", "explain", "--profile"
    ),
    _document(
        "65 megabytes", "bytes", lambda: '"' + "x" * 70_000_000 + '"', "explain", "--profile"
    ),
    _document("no Unicode", "expected UTF-8", '"\ud800"', "explain", "--profile"),
    _document(
        "a CPU of 300 digits",
        "expected a number",
        _solution(cpu_hz=10**299),
        "explain",
        "--profile",
    ),
    _document(
        "a share of a list",
        "expected a number",
        _solution(data_fraction=[1]),
        "explain",
        "--profile",
    ),
    _document(
        "another consortium's, clearing the screen",
        r"\x1b[2J",
        json.dumps({**SOLUTION, "consortium": "\x1b[2J", "organizations": []}),
        "explain",
        "--profile",
    ),
    _document("deep lists", "recursion limit", "[" * 1_000_000, "report", "--training"),
    _document(
        "a million entries",
        "expected the 3 of the consortium",
        lambda: json.dumps({**SOLUTION, "organizations": [{"name": "x"}] * 1_000_000}),
        "explain",
        "--profile",
    ),
    _checkpoint("a pipe that nobody writes to", "is a pipe", os.mkfifo),
    _checkpoint("no end", "is a device", lambda path: path.symlink_to("/dev/zero")),
    _checkpoint("unpacks to a thousand times as much", "is not a", _bomb),
    _document("no training", "expected", "[1, 2]", "report", "--training"),
    _document(
        "a million organizations",
        "expected 3 of them",
        lambda: json.dumps({"schema": "tradefl/training/1", "organizations": [{}] * 1_000_000}),
        "report",
        "--training",
    ),
    _document(
        "a million errors",
        "expected",
        lambda: json.dumps({"accuracy": ["x"] * 1_000_000}),
        "report",
        "--training",
    ),
    _document(
        "digits", "more digits", '{"gas_used": ' + "9" * 5_000 + "}", "report", "--settlement"
    ),
]


def _peak() -> int:
    """Return the most memory that this process has held since the last reset, in bytes."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def main(folder: Path) -> None:
    """Run the command line over every input; write the results to ``results.json``."""
    results = {}
    for number, input_ in enumerate(INPUTS):
        own = folder / str(number)
        own.mkdir()
        try:
            arguments = input_.make(own)
        except ModuleNotFoundError as error:  # the test knows which may be missing
            results[input_.name] = {"missing": error.name}
            continue
        # Forget the highest memory so far, and give back what earlier inputs have left: neither
        # they nor what made this one is part of reading it.
        gc.collect()
        if "pyarrow" in sys.modules:
            sys.modules["pyarrow"].default_memory_pool().release_unused()
        with contextlib.suppress(AttributeError):  # of glibc
            ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", "ascii")
        start = time.process_time()
        try:
            ran = run(*arguments)
            found = {"code": ran.code, "out": ran.out, "err": ran.err}
        except Exception as error:
            found = {"code": -1, "out": "", "err": f"Traceback: {error!r}"[:1000]}
        results[input_.name] = {**found, "cpu": time.process_time() - start, "peak": _peak()}
    (folder / "results.json").write_text(json.dumps(results), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
