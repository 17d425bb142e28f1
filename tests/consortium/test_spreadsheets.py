"""Tables as spreadsheets and pandas write them: read where they mean one thing, else one error."""

import dataclasses
import datetime as dt
import sys

import numpy as np
import pytest
from tests.cli.command import assert_refused, run
from tests.consortium.documents import (
    COLUMNS,
    EMPIRICAL,
    FILE,
    NAMES,
    document,
    organization,
    parquet_table,
    save,
    save_parquet,
    with_table,
)

from tradefl.consortium import load, write
from tradefl.consortium.organizations import organizations_csv
from tradefl.consortium.tables import plain, whole

HEADER = ",".join(COLUMNS)
ROWS = (
    "Alpha,1500,2e10,1500,2.0,1e9;2e9,1,1.5",
    "Beta,1600,2.1e10,1800,2.0,1e9;2e9,1,1.5",
    "Gamma,1700,2.2e10,2100,2.0,1e9,1,1.5",
)


def expected():
    return [
        {"name": "Alpha", "profitability": 1500.0, "data_bits": 2e10, "samples": 1500},
        {"name": "Beta", "profitability": 1600.0, "data_bits": 2.1e10, "samples": 1800},
        {"name": "Gamma", "profitability": 1700.0, "data_bits": 2.2e10, "samples": 2100},
    ]


def assert_read(path):
    who = load(path).organizations
    for i, entry in enumerate(expected()):
        found = who.entry(i)
        assert {key: found[key] for key in entry} == entry
        assert found["upload_seconds"] == 1.5
    assert [who.levels(i) for i in range(3)] == [[1e9, 2e9], [1e9, 2e9], [1e9]]


def save_orgs(folder, text, name="orgs.csv"):
    path = save(folder, with_table(document(), name))
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def semicolons(*lines):
    """Lines as a spreadsheet of a country with decimal commas writes them."""
    return "".join(
        ";".join(f'"{cell}"' if ";" in cell else cell.replace(".", ",") for cell in line.split(","))
        + "\r\n"
        for line in lines
    )


# --- what is read -------------------------------------------------------------------------------

LINES = (HEADER, *ROWS)
READ = {
    "semicolons and decimal commas": semicolons(*LINES),
    "byte order mark": "\ufeff" + semicolons(*LINES),
    "tabs": "\n".join(LINES).replace(",", "\t"),
    "bars": "\n".join(LINES).replace(",", "|"),
    "a line that names the separator": "sep=;\r\n" + semicolons(*LINES),
    "a line that names the comma": "sep=,\n" + "\n".join(LINES),
    "a line that names the separator in quotes": '"sep=,",,,,,,,\n' + "\n".join(LINES),
    "empty rows": "\n".join((HEADER, ",,,,,,,", *ROWS, ",,,,,,,", " , ,,,,,,", "")),
    "empty columns": "\n".join(f"{line},," for line in LINES),
    "an empty column in front": "\n".join(f",{line}" for line in LINES),
    "cells beyond the headings": "\n".join((HEADER, *(f"{row},,," for row in ROWS))),
    "an index from 0": "\n".join(
        f"{k},{line}" for k, line in zip(["", 0, 1, 2], LINES, strict=True)
    ),
    "an index from 1": "\n".join(
        f"{k},{line}" for k, line in zip(["", 1, 2, 3], LINES, strict=True)
    ),
    "an index that was read and written": "\n".join(
        f"{k},{line}" for k, line in zip(["Unnamed: 0", 0, 1, 2], LINES, strict=True)
    ),
    "thousands": "\n".join(LINES)
    .replace(",2e10", ',"20,000,000,000"')
    .replace("Alpha,1500", 'Alpha,"1,500"')
    .replace("1800", '"1,800.00"'),
    "thousands with points": semicolons(HEADER, *ROWS)
    .replace(";2e10", ";20.000.000.000")
    .replace("1800", "1.800"),
    "thousands with spaces": "\n".join(LINES)
    .replace(",2e10", ",20 000 000 000")
    .replace("1800", "1\u202f800")
    .replace("Gamma,1700", "Gamma,1'700"),
    "whole numbers with an exponent": "\n".join(LINES)
    .replace("1500,2.0", "1.5E+03,2.0")
    .replace("1800", "1800.0")
    .replace("2100", "2.1e3"),
    "spaces around cells": "\n".join(LINES).replace("1500,2e10", " 1500 , 2e10"),
    "old line ends": "\r\n".join(LINES),
}


@pytest.mark.parametrize("text", READ.values(), ids=READ)
def test_what_means_one_thing_is_read(tmp_path, text):
    assert_read(save_orgs(tmp_path, text))


def test_tab_separated_files(tmp_path):
    assert_read(save_orgs(tmp_path, "\n".join(LINES).replace(",", "\t"), "orgs.tsv"))
    assert_read(save_orgs(tmp_path, "\n".join(LINES), "orgs.TSV"))


def test_parquet_with_the_index_of_pandas(tmp_path):
    import pyarrow as pa

    table = parquet_table([organization(name) for name in NAMES])
    path = save(tmp_path, with_table(document(), "orgs.parquet"))
    save_parquet(
        tmp_path / "orgs.parquet", table.append_column("__index_level_0__", pa.array([7, 8, 9]))
    )
    assert load(path).names == NAMES


def test_a_matrix_with_decimal_commas_and_with_the_labels_of_pandas(tmp_path):
    rho = [[0.0, 0.06, 0.125], [0.06, 0.0, 0.05], [0.125, 0.05, 0.0]]
    texts = [
        "".join(";".join(map(str, row)).replace(".", ",") + "\r\n" for row in rho),
        ";0;1;2\n" + "".join(f"{k};" + ";".join(map(str, row)) + "\n" for k, row in enumerate(rho)),
        "0,1,2\n" + "".join(",".join(map(str, row)) + "\n" for row in rho),
        "\n".join(
            [",Alpha,Beta,Gamma,,"]
            + [f"{n}," + ",".join(map(str, r)) + ",," for n, r in zip(NAMES, rho, strict=True)]
        ),
        "sep=\t\n" + "".join("\t".join(map(str, row)) + "\n" for row in rho),
    ]
    for text in texts:
        path = save(tmp_path, document({"competition": {"matrix_file": "rho.csv"}}), rho=text)
        assert np.array_equal(load(path).matrix, rho), text


@pytest.mark.parametrize(
    "text", ["data;accuracy\n1;0,2\n2,5;0,40\n", "accuracy\tdata\n.2\t1\n.4\t2.5\n"]
)
def test_points_with_other_separators(tmp_path, text):
    path = save(tmp_path, document({"accuracy": EMPIRICAL}), points=text)
    assert load(path).points.tolist() == [[1.0, 0.2], [2.5, 0.4]]


# --- Excel --------------------------------------------------------------------------------------


def save_workbook(folder, rows, name="orgs.xlsx"):
    import openpyxl

    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(folder / name)


def workbook_rows():
    rows = [list(COLUMNS)]
    for row in ROWS:
        cells = row.split(",")
        rows.append(
            [cells[0], *(float(c) if c[0].isdigit() and ";" not in c else c for c in cells[1:])]
        )
    return rows


def test_a_workbook(tmp_path):
    path = save(tmp_path, with_table(document(), "orgs.xlsx"))
    save_workbook(tmp_path, [[], *workbook_rows(), [None] * 3, []])
    assert_read(path)
    rows = [[*row, None, None] for row in workbook_rows()]
    rows[1][4] = "2,0"  # text, as it is typed into a cell of the wrong format
    rows[2][7] = "1,5"
    save_workbook(tmp_path, rows)
    assert_read(path)


@pytest.mark.parametrize(
    ("cell", "what"),
    [
        (dt.date(2026, 1, 5), "expected a number, got datetime"),
        (True, "expected a number, got true"),
        (None, "expected a number, got None"),
        ("=1+1", "expected a number, got None"),
        (-1.0, "expected a number > 0, got -1"),
    ],
)
def test_a_bad_cell_of_a_workbook_names_its_row(tmp_path, cell, what):
    rows = workbook_rows()
    rows[2][1] = cell
    save(tmp_path, with_table(document(), "orgs.xlsx"))
    save_workbook(tmp_path, rows)
    assert_refused(tmp_path, {"orgs.xlsx: row 3, profitability": what})


def test_samples_of_a_workbook_are_whole(tmp_path):
    rows = workbook_rows()
    rows[2][3] = 1800.5
    save(tmp_path, with_table(document(), "orgs.xlsx"))
    save_workbook(tmp_path, rows)
    assert_refused(tmp_path, {"orgs.xlsx: row 3, samples": "expected a whole number, got 1800.5"})


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    save(tmp_path, with_table(document(), "orgs.xlsx"))
    (tmp_path / "orgs.xlsx").write_bytes(b"PK")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    ran = run("check", tmp_path / FILE)
    assert ran.code == 2
    assert "pip install 'tradefl[tables]'" in ran.err


# --- what is not --------------------------------------------------------------------------------


def changed(*pairs):
    text = "\n".join(LINES)
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


REFUSED = {
    "levels that are not in quotes": (
        semicolons(*LINES).replace('"', ""),
        {": line 2": "expected 8 cells, got 9 (separator ';'); put cells", ": line 3": "got 9"},
    ),
    "thousands that are not in quotes": (
        changed((",2e10", ",20,000,000,000")),
        {": line 2": "expected 8 cells, got 11 (separator ','); put cells that contain the"},
    ),
    "a comma that may be either": (
        changed(
            ("Alpha,1500", 'Alpha,"1,500"'),
            ("2.0", "2"),
            ("1.5", "2"),
            ("2.1e10", "2e10"),
            ("2.2e10", "2e10"),
        ),
        {": line 2, profitability: '1,500'": "the comma may separate decimals or thousands; write"},
    ),
    "a point that may be either": (
        semicolons(*LINES)
        .replace("Alpha;1500", "Alpha;1.500")
        .replace(",", "")
        .replace("1e9;2e9", "1e9;2e9"),
        {": line 2, profitability: '1.500'": "can be read in two ways (separator ';'): the point"},
    ),
    "points and commas": (
        semicolons(*LINES).replace("2,0", "2.5"),
        {": line 3, data_bits: '2,1e10'": "use one way for the whole table"},
    ),
    "cells without a heading": (
        "\n".join(f"{line},{k}" for line, k in zip(LINES, ["", 3, 1, 2], strict=True)),
        {": line 2": "got 9", ": line 3": "got 9", ": line 4": "got 9"},
    ),
    "an index that counts nothing": (
        "\n".join(f"{k},{line}" for line, k in zip(LINES, ["", 3, 1, 2], strict=True)),
        {": line 1, column 1": "has cells, but no heading"},
    ),
    "other headings": (
        "id,city\n1,Berlin\n",
        {": line 1": "0 of 2 headings are known (separator ',')"},
    ),
    "broken quotes": (changed(("Beta", '"Be"ta')), {": line 3": "not valid CSV"}),
    "one and a half samples": (
        changed(("1500,2.0", "1500.5,2.0")),
        {": line 2, samples": "expected a whole number, got '1500.5'"},
    ),
    "samples beyond all bounds": (
        changed(("1500,2.0", "1e999999999,2.0")),
        {": line 2, samples": "expected a whole number, got '1e999999999'"},
    ),
    "groups of other sizes": (
        changed((",2e10", ',"2,00,00,000"')),
        {": line 2, data_bits": "expected a number, got '2,00,00,000'"},
    ),
    "a Latin-1 file": (
        "\n".join(LINES).replace("Beta", "Bär").encode("latin-1"),
        {"": "UTF-8 text"},
    ),
}


@pytest.mark.parametrize(("text", "problems"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_is_one_error_with_its_cure(tmp_path, text, problems):
    save_orgs(tmp_path, text)
    assert_refused(tmp_path, {f"orgs.csv{place}": what for place, what in problems.items()})


@pytest.mark.parametrize(
    ("cell", "mark", "value"),
    [
        ("1.5", ".", "1.5"),
        ("1,5", ",", "1.5"),
        ("1.234.567,8", ",", "1234567.8"),
        ("1,234,567.8", ".", "1234567.8"),
        ("-1 234,5e-3", ",", "-1234.5e-3"),
        ("1'234", ".", "1234"),
        ("+.5", ".", "+.5"),
        ("1.5", ",", "1.5"),
        ("12.34,5", ",", "12.34,5"),
        ("1,,2", ".", "1,,2"),
        ("0x10", ".", "0x10"),
        ("1" * 500, ".", "1" * 500),
        ("", ".", ""),
        (None, ".", None),
        (7, ",", 7),
    ],
)
def test_numbers_in_either_notation(cell, mark, value):
    assert plain(cell, mark) == value


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1.5E+03", "1500"), ("1500.00", "1500"), ("15000e-1", "1500"), ("0.0", "0"), ("-2e0", "-2")],
)
def test_whole_numbers(cell, value):
    assert whole(cell) == value


@pytest.mark.parametrize("cell", ["1.5", "1e40", "1e-400", "1e999999999", "x", "", None, 3])
def test_what_is_not_whole_stays(cell):
    assert whole(cell) == cell


# --- what we write ------------------------------------------------------------------------------

FORMULAS = ("=HYPERLINK(1)", "+Alpha", "-Beta", "@Gamma", "'=quoted")


def test_names_that_a_spreadsheet_would_run_are_written_as_text_and_read_back(tmp_path):
    entries = [organization(name) for name in FORMULAS]
    path = save(tmp_path, document({"organization": entries, "competition": {}}))
    (tmp_path / "out").mkdir()
    consortium = dataclasses.replace(load(path), organizations_file="orgs.csv")
    lines = organizations_csv(consortium.organizations).decode().splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == [f"'{name}" for name in FORMULAS]
    write(consortium, tmp_path / "out" / "x.toml")
    assert load(tmp_path / "out" / "x.toml") == consortium
