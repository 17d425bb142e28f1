"""Costs, machines and quality of data in the file and its tables."""

import math

import numpy as np
import pytest
from tests.cli.command import assert_refused
from tests.consortium.documents import document, save, with_table

from tradefl.consortium import load, write
from tradefl.consortium.organizations import organizations_csv

OWN = {"data_cost": 40.0, "joining_cost": 15.5, "capacitance": 3e-27, "quality": 0.75}
COLUMNS = tuple(OWN)
HEADER = (
    "name,profitability,data_bits,samples,cycles_per_bit,cpu_levels_hz,download_seconds,"
    "upload_seconds"
)
LINES = (
    "Alpha,1500,2e10,1500,2.0,1e9;2e9,1,1.5",
    "Beta,1600,2.1e10,1800,2.0,1e9;2e9,1,1.5",
    "Gamma,1700,2.2e10,2100,2.0,1e9,1,1.5",
)


def with_costs():
    return document({f"organization.1.{key}": value for key, value in OWN.items()})


def assert_costs(consortium):
    """Beta has costs of its own; the others have the defaults."""
    who, game = consortium.organizations, consortium.game
    np.testing.assert_array_equal(game.data_cost, [0.0, 40.0, 0.0])
    np.testing.assert_array_equal(game.joining_cost, [0.0, 15.5, 0.0])
    np.testing.assert_array_equal(game.capacitances, [1e-27, 3e-27, 1e-27])
    units = who.data_bits / 1e9
    np.testing.assert_array_equal(game.data_units, units * [1.0, 0.75, 1.0])
    assert {key: who.entry(1)[key] for key in OWN} == OWN
    assert not OWN.keys() & who.entry(0).keys()


def test_the_file_states_them(tmp_path):
    assert_costs(load(save(tmp_path, with_costs())))


def test_a_file_without_them_has_none(tmp_path):
    game = load(save(tmp_path, document())).game
    assert game.capacitance == 1e-27
    for costs in (game.data_cost, game.joining_cost):
        np.testing.assert_array_equal(costs, np.zeros(3))


def test_quality_counts_samples_too(tmp_path):
    path = save(tmp_path, document({"accuracy.measure": "samples", "organization.0.quality": 2.0}))
    consortium = load(path)
    samples = consortium.organizations.samples / 1e9
    np.testing.assert_array_equal(consortium.game.data_units, samples * [2.0, 1.0, 1.0])


@pytest.mark.parametrize("table", [None, "orgs.csv", "orgs.parquet", "orgs.xlsx"])
def test_what_is_written_is_read_again(tmp_path, table):
    path = save(tmp_path, with_costs())
    if table is not None:
        made = load(path).organizations
        rows = [made.entry(i) for i in range(3)]
        _save_table(tmp_path / table, rows)
        path = save(tmp_path, with_table(with_costs(), table))
    found = load(path)
    assert_costs(found)
    again = tmp_path / "again"
    again.mkdir()
    write(found, again / "consortium.toml")
    assert load(again / "consortium.toml") == found
    assert_costs(load(again / "consortium.toml"))


def _save_table(path, rows):
    columns = [*HEADER.split(","), *COLUMNS]
    if path.suffix == ".parquet":
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.table({c: [row.get(c) for row in rows] for c in columns}), path)
        return
    rows = [row | {"cpu_levels_hz": ";".join(map(str, row["cpu_levels_hz"]))} for row in rows]
    cells = [columns, *([row.get(c) for c in columns] for row in rows)]
    if path.suffix == ".xlsx":
        book = pytest.importorskip("openpyxl").Workbook()
        for row in cells:
            book.active.append(row)
        book.save(path)
        return
    lines = (",".join("" if cell is None else str(cell) for cell in row) for row in cells)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_empty_cells_are_the_defaults(tmp_path):
    rows = [f"{HEADER},data_cost,joining_cost,capacitance,quality"]
    rows += [
        f"{line},{tail}"
        for line, tail in zip(LINES, (",,,", "40,15.5,3e-27,.75", " ,,,"), strict=True)
    ]
    path = save(tmp_path, with_table(document(), "orgs.csv"), orgs="\n".join(rows) + "\n")
    assert_costs(load(path))


def test_a_column_may_stand_alone(tmp_path):
    rows = [f"{HEADER},joining_cost", *(f"{line},{k}" for k, line in enumerate(LINES))]
    path = save(tmp_path, with_table(document(), "orgs.csv"), orgs="\n".join(rows) + "\n")
    consortium = load(path)
    np.testing.assert_array_equal(consortium.game.joining_cost, [0.0, 1.0, 2.0])
    header = organizations_csv(consortium.organizations).decode().splitlines()[0]
    assert header == f"{HEADER},joining_cost"


def test_a_table_without_them_is_written_without_them(tmp_path):
    path = save(tmp_path, with_table(document(), "orgs.csv"), orgs="\n".join((HEADER, *LINES, "")))
    assert organizations_csv(load(path).organizations).decode().startswith(HEADER + "\n")


BAD = [
    ("data_cost", -1.0, "expected a number >= 0, got -1.0"),
    ("joining_cost", -0.5, "expected a number >= 0, got -0.5"),
    ("capacitance", -1e-27, "expected a number >= 0, got -1e-27"),
    ("quality", 0.0, "expected a number > 0, got 0.0"),
    ("quality", -2.0, "expected a number > 0, got -2.0"),
    *((key, math.inf, "expected a finite number, got inf") for key in COLUMNS),
    *((key, math.nan, "expected a finite number, got nan") for key in COLUMNS),
    *((key, "much", "expected a number, got 'much'") for key in COLUMNS),
    *((key, True, "expected a number, got true") for key in COLUMNS),
]


@pytest.mark.parametrize(("key", "value", "what"), BAD)
def test_what_is_none_is_refused_in_the_file(tmp_path, key, value, what):
    save(tmp_path, document({f"organization.1.{key}": value}))
    assert_refused(tmp_path, {f"consortium.toml: organization[1].{key}": what})


@pytest.mark.parametrize(
    ("key", "cell", "what"),
    [
        ("data_cost", "-1", "expected a number >= 0, got '-1'"),
        ("joining_cost", "-1", "expected a number >= 0, got '-1'"),
        ("capacitance", "-1", "expected a number >= 0, got '-1'"),
        ("quality", "0", "expected a number > 0, got '0'"),
        ("quality", "nan", "expected a finite number, got 'nan'"),
        ("data_cost", "inf", "expected a finite number, got 'inf'"),
        ("quality", "good", "expected a number, got 'good'"),
    ],
)
def test_what_is_none_is_refused_in_a_table(tmp_path, key, cell, what):
    rows = [f"{HEADER},{key}", f"{LINES[0]},", f"{LINES[1]},{cell}", f"{LINES[2]},"]
    save(tmp_path, with_table(document(), "orgs.csv"), orgs="\n".join(rows) + "\n")
    assert_refused(tmp_path, {f"orgs.csv: line 3, {key}": what})


def test_a_close_name_is_suggested(tmp_path):
    save(tmp_path, document({"organization.0.data_costs": 1.0}))
    assert_refused(
        tmp_path,
        {"consortium.toml: organization[0].data_costs": "unknown key (did you mean 'data_cost'?)"},
    )
