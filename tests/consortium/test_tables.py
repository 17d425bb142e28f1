"""The files beside the TOML file: organizations in CSV and Parquet, rho, measured points."""

import numpy as np
import pytest
from tests.cli.command import assert_refused, run
from tests.consortium.documents import (
    COLUMNS,
    EMPIRICAL,
    FILE,
    NAMES,
    POINTS,
    document,
    organization,
    parquet_table,
    save,
    save_csv,
    save_parquet,
    with_table,
)

from tradefl.consortium import load

HEADER = ",".join(COLUMNS)
ALPHA = "Alpha,1500,2e10,1500,2.0,1e9;2e9,1,1.5"
BETA = "Beta,1600,2.1e10,1800,2.0,1e9;2e9,1,1.5"
GAMMA = "Gamma,1700,2.2e10,2100,2.0,1e9,1,1.5"


def save_orgs(folder, *lines):
    """Write lines as ``orgs.csv``, and the file that refers to it."""
    return save(folder, with_table(document(), "orgs.csv"), orgs="".join(f"{s}\n" for s in lines))


def refused_table(folder, expected, *lines):
    save_orgs(folder, *lines)
    assert_refused(folder, {f"orgs.csv{place}": what for place, what in expected.items()})


def test_a_table_as_somebody_types_it(tmp_path):
    path = save_orgs(
        tmp_path,
        "\ufeff name , samples,profitability,data_bits,cycles_per_bit,download_seconds,"
        "upload_seconds,cpu_levels_hz,sector,address",
        "Alpha,1500,1500,2e10,2,1,1.5,1e9;2e9,,",
        '"Beta",1800,1600.0,21000000000,2.0,1.0,1.5,1e9;2e9,"banks, large",0x' + "1" * 40,
        "",
        "Gamma,2100,1.7e3,2.2e10,2,1,1.5,1000000000,banks,",
    )
    who = load(path).organizations
    assert who.names == NAMES
    assert who.samples.tolist() == [1500, 1800, 2100]
    assert who.profitability.tolist() == [1500.0, 1600.0, 1700.0]
    assert who.data_bits.tolist() == [2e10, 2.1e10, 2.2e10]
    assert [who.levels(i) for i in range(3)] == [[1e9, 2e9], [1e9, 2e9], [1e9]]
    assert who.sectors == (None, "banks, large", "banks")
    assert who.addresses == (None, "0x" + "1" * 40, None)


# --- CSV ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(None, "no such file", id="missing"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"\n \n", "is empty", id="blank"),
        pytest.param(b"\xef\xbb\xbf\n", "is empty", id="only a byte order mark"),
        pytest.param(b"name\xff", "expected UTF-8 text", id="not utf-8"),
        pytest.param(b"name\x00", "expected UTF-8 text", id="binary"),
    ],
)
@pytest.mark.parametrize("kind", ["orgs", "rho", "points"])
def test_a_table_cannot_be_read_as_text(tmp_path, kind, content, what):
    documents = {
        "orgs": with_table(document(), "orgs.csv"),
        "rho": document({"competition": {"matrix_file": "rho.csv"}}),
        "points": document({"accuracy": EMPIRICAL}),
    }
    save(tmp_path, documents[kind])
    if content is not None:
        (tmp_path / f"{kind}.csv").write_bytes(content)
    assert_refused(tmp_path, {f"{kind}.csv": what})


def test_broken_quoting_names_the_line(tmp_path):
    refused_table(tmp_path, {": line 3": "not valid CSV"}, HEADER, ALPHA, '"Be"ta,1', GAMMA)


def test_a_missing_column(tmp_path):
    lines = [",".join(line.split(",")[1:]) for line in (HEADER, ALPHA, BETA, GAMMA)]
    refused_table(tmp_path, {"": "column 'name' is missing"}, *lines)


def test_missing_and_unknown_columns_at_once(tmp_path):
    header = HEADER.replace("cpu_levels_hz", "cpu_level_hz").replace("samples", "wealth")
    ran_with = {
        ": column 'cpu_levels_hz'": "is missing",
        ": column 'samples'": "is missing",
        ": line 1, column 6: unknown column 'cpu_level_hz'": "(did you mean 'cpu_levels_hz'?)",
    }
    save_orgs(tmp_path, header, ALPHA, BETA, GAMMA)
    ran = run("check", tmp_path / FILE)
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 4
    for place, what in ran_with.items():
        assert f"{tmp_path / 'orgs.csv'}{place} {what}" in ran.err
    assert f"{tmp_path / 'orgs.csv'}: line 1, column 4: unknown column 'wealth'" in ran.err


def test_a_column_that_stands_twice(tmp_path):
    lines = (f"{HEADER},samples", f"{ALPHA},1", f"{BETA},1", f"{GAMMA},1")
    refused_table(tmp_path, {": line 1, column 9": "column 'samples' occurs twice"}, *lines)


def test_ragged_rows(tmp_path):
    refused_table(
        tmp_path,
        {": line 2": "expected 8 cells, got 9", ": line 4": "expected 8 cells, got 7"},
        HEADER,
        f"{ALPHA},1",
        BETA,
        GAMMA.rpartition(",")[0],
    )


def test_an_empty_table(tmp_path):
    refused_table(tmp_path, {"": "expected at least one organization"}, HEADER)


@pytest.mark.parametrize(
    ("column", "cell", "what"),
    [
        ("profitability", "rich", "expected a number, got 'rich'"),
        ("profitability", "", "expected a number, got ''"),
        ("profitability", "nan", "expected a finite number"),
        ("data_bits", "inf", "expected a finite number"),
        ("data_bits", "-2e10", "expected a number > 0"),
        ("cycles_per_bit", "0", "expected a number > 0"),
        ("download_seconds", "-1", "expected a number >= 0"),
        ("upload_seconds", "1 s", "expected a number, got '1 s'"),
        ("samples", "1500.5", "expected a whole number, got '1500.5'"),
        ("samples", "many", "expected a whole number, got 'many'"),
        ("samples", "0", "expected a number >= 1"),
        ("cpu_levels_hz", "", "must not be empty"),
        ("cpu_levels_hz", "1e9;fast", "expected a number, got 'fast'"),
        ("cpu_levels_hz", "1e9;", "expected a number, got ''"),
        ("cpu_levels_hz", "0;1e9", "expected a number > 0"),
        ("name", "", "must not be empty"),
        ("name", " Beta", "expected no spaces around it"),
        ("name", "Be\x07ta", "character 3 is U+0007"),
    ],
)
def test_a_bad_cell_names_its_line_and_column(tmp_path, column, cell, what):
    cells = BETA.split(",")
    cells[COLUMNS.index(column)] = cell
    refused_table(tmp_path, {f": line 3, {column}": what}, HEADER, ALPHA, ",".join(cells), GAMMA)


def test_a_bad_optional_cell_names_its_line(tmp_path):
    lines = (f"{HEADER},address", f"{ALPHA},", f"{BETA},0x1", f"{GAMMA},")
    refused_table(tmp_path, {": line 3, address": "expected an address"}, *lines)


def test_line_numbers_count_blank_lines(tmp_path):
    bad = BETA.replace("1600", "rich")
    refused_table(
        tmp_path, {": line 5, profitability": "got 'rich'"}, HEADER, ALPHA, "", "", bad, GAMMA
    )


def test_all_bad_cells_are_reported_at_once(tmp_path):
    refused_table(
        tmp_path,
        {
            ": line 2, samples": "expected a whole number",
            ": line 3, samples": "expected a number >= 1",
            ": line 3, data_bits": "expected a number > 0",
            ": line 4, cpu_levels_hz": "must not be empty",
        },
        HEADER,
        ALPHA.replace("1500,2.0", "x,2.0"),
        BETA.replace("1800", "0").replace("2.1e10", "-1"),
        GAMMA.replace("1e9", ""),
    )


def test_descending_levels_and_duplicates_in_a_table(tmp_path):
    save_orgs(tmp_path, HEADER, ALPHA.replace("1e9;2e9", "2e9;1e9"), BETA, BETA, GAMMA)
    assert_refused(
        tmp_path,
        {
            f"{FILE}: organization 'Alpha': cpu_levels_hz": "expected ascending frequencies",
            f"{FILE}: organization": "name 'Beta' occurs 2 times",
        },
    )


@pytest.mark.parametrize("separator", ["\u2028", "\u2029"])
def test_a_line_separator_in_a_name_is_no_line_end(tmp_path, separator):
    # What str.splitlines splits at is not what ends a line of CSV: the name is one, and refused.
    save(tmp_path, with_table(document({"competition": {}}), "orgs.csv"))
    save_csv(tmp_path / "orgs.csv", [organization("Alpha"), organization(f"Be{separator}ta")])
    what = f"character 3 is U+{ord(separator):04X}"
    assert_refused(tmp_path, {"orgs.csv: line 3, name": what})


# --- Parquet ------------------------------------------------------------------------------------


def entries():
    return [organization(name) for name in NAMES]


def refused_parquet(folder, expected, table):
    save(folder, with_table(document(), "orgs.parquet"))
    save_parquet(folder / "orgs.parquet", table)
    assert_refused(folder, {f"orgs.parquet{place}": what for place, what in expected.items()})


def test_a_missing_parquet_file(tmp_path):
    save(tmp_path, with_table(document(), "orgs.parquet"))
    assert_refused(tmp_path, {"orgs.parquet": "no such file"})


def test_a_directory_is_no_parquet_file(tmp_path):
    save(tmp_path, with_table(document(), "orgs.parquet"))
    (tmp_path / "orgs.parquet").mkdir()
    assert_refused(tmp_path, {"orgs.parquet": "is a directory"})


@pytest.mark.parametrize("content", [b"", b"PAR1", b"name,samples\nAlpha,3\n" * 10], ids=repr)
def test_a_broken_parquet_file(tmp_path, content):
    save(tmp_path, with_table(document(), "orgs.parquet"))
    (tmp_path / "orgs.parquet").write_bytes(content)
    assert_refused(tmp_path, {"orgs.parquet": "cannot be read as Parquet"})


def test_a_truncated_parquet_file(tmp_path):
    save(tmp_path, with_table(document(), "orgs.parquet"))
    save_parquet(tmp_path / "orgs.parquet", parquet_table(entries()))
    whole = (tmp_path / "orgs.parquet").read_bytes()
    (tmp_path / "orgs.parquet").write_bytes(whole[: len(whole) // 2] + whole[-8:])
    assert_refused(tmp_path, {"orgs.parquet": "cannot be read as Parquet"})


def test_parquet_columns_missing_unknown_and_twice(tmp_path):
    table = parquet_table(entries())
    refused_parquet(tmp_path, {"": "column 'data_bits' is missing"}, table.drop(["data_bits"]))
    wealth = table.append_column("wealth", table["samples"])
    refused_parquet(tmp_path, {"": "unknown column 'wealth'"}, wealth)
    twice = table.append_column("samples", table["samples"])
    save_parquet(tmp_path / "orgs.parquet", twice)
    ran = run("check", tmp_path / FILE)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {tmp_path / 'orgs.parquet'}: ")
    assert "samples" in ran.err


def test_an_empty_parquet_table(tmp_path):
    table = parquet_table(entries()).slice(0, 0)
    refused_parquet(tmp_path, {"": "expected at least one organization"}, table)


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ("name", "expected text, got None"),
        ("profitability", "expected a number, got None"),
        ("samples", "expected a whole number, got None"),
        ("cpu_levels_hz", "expected a list, got None"),
    ],
)
def test_null_cells(tmp_path, column, what):
    import pyarrow as pa

    table = parquet_table(entries())
    cells = table[column].to_pylist()
    cells[1] = None
    at = table.column_names.index(column)
    table = table.set_column(at, column, pa.array(cells, table.schema.field(column).type))
    refused_parquet(tmp_path, {f": row 1, {column}": what}, table)


@pytest.mark.parametrize(
    ("column", "cells", "what"),
    [
        ("name", [1, 2, 3], "expected text, got 1"),
        ("profitability", ["1500", "1", "2"], "expected a number, got '1500'"),
        ("profitability", [True, False, True], "expected a number, got true"),
        ("samples", [1500.0, 1.0, 2.0], "expected a whole number, got 1500.0"),
        ("cpu_levels_hz", ["1e9;2e9", "1e9", "1e9"], "expected a list, got '1e9;2e9'"),
        ("cpu_levels_hz", [[], [], []], "must not be empty, got []"),
        ("cpu_levels_hz", [[None], [None], [None]], "expected a number, got None"),
    ],
)
def test_parquet_cells_of_the_wrong_type_are_not_converted(tmp_path, column, cells, what):
    import pyarrow as pa

    table = parquet_table(entries())
    table = table.set_column(table.column_names.index(column), column, pa.array(cells))
    save(tmp_path, with_table(document(), "orgs.parquet"))
    save_parquet(tmp_path / "orgs.parquet", table)
    ran = run("check", tmp_path / FILE)
    assert (ran.code, ran.out) == (2, "")
    lines = ran.err.splitlines()
    assert lines[0].startswith(f"error: {tmp_path / 'orgs.parquet'}: row 0, {column}: {what}")
    assert [f"row {k}, {column}: " in line for k, line in enumerate(lines)] == [True] * 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0])
def test_parquet_numbers_out_of_range(tmp_path, value):
    changed = entries()
    changed[2]["data_bits"] = value
    refused_parquet(tmp_path, {": row 2, data_bits": "expected a"}, parquet_table(changed))


def test_a_folder_named_like_a_partition_adds_no_columns(tmp_path):
    folder = tmp_path / "year=2024"
    folder.mkdir()
    save_parquet(folder / "orgs.parquet", parquet_table(entries()))
    path = save(tmp_path, with_table(document(), "year=2024/orgs.parquet"))
    assert load(path) == load(save(folder, document()))


# --- the competition matrix ---------------------------------------------------------------------

GOOD = [[0.0, 0.06, 0.01], [0.06, 0.0, 0.05], [0.01, 0.05, 0.0]]


def save_matrix(folder, rows):
    text = "".join(",".join(map(str, row)) + "\n" for row in rows)
    return save(folder, document({"competition": {"matrix_file": "rho.csv"}}), rho=text)


def labelled(rows, names=NAMES):
    return [["", *names], *([name, *row] for name, row in zip(names, rows, strict=False))]


def changed_matrix(*changes):
    rows = [list(row) for row in GOOD]
    for i, j, value in changes:
        rows[i][j] = value
    return rows


@pytest.mark.parametrize(
    ("changes", "places", "what"),
    [
        ([(0, 2, 0.02)], [(0, 2)], "expected a symmetric matrix, got 0.02 here and 0.01"),
        ([(0, 1, 1.2), (1, 0, 1.2)], [(0, 1), (1, 0)], "expected an intensity in [0, 1], got 1.2"),
        ([(0, 1, -1), (1, 0, -1)], [(0, 1), (1, 0)], "expected an intensity in [0, 1], got -1"),
        ([(1, 2, "nan")], [(1, 2)], "expected an intensity in [0, 1], got nan"),
        ([(1, 2, "inf"), (2, 1, "inf")], [(1, 2), (2, 1)], "in [0, 1], got inf"),
        ([(2, 2, 0.5)], [(2, 2)], "expected 0 on the diagonal, got 0.5"),
        ([(1, 0, "much")], [(1, 0)], "expected a number, got text of 4 characters"),
        ([(1, 0, "")], [(1, 0)], "expected a number, got an empty cell"),
    ],
)
@pytest.mark.parametrize("with_names", [False, True], ids=["plain", "labelled"])
def test_a_bad_entry_names_its_row_and_column(tmp_path, changes, places, what, with_names):
    rows = changed_matrix(*changes)
    save_matrix(tmp_path, labelled(rows) if with_names else rows)
    shift = 2 if with_names else 1
    expected = {f"rho.csv: row {i + shift}, column {j + shift}": what for i, j in places}
    assert_refused(tmp_path, expected)


def test_all_bad_entries_are_reported_at_once(tmp_path):
    save_matrix(tmp_path, changed_matrix((0, 0, 0.1), (0, 1, 2), (1, 0, 2), (1, 2, 0.04)))
    assert_refused(
        tmp_path,
        {
            "rho.csv: row 1, column 1": "on the diagonal",
            "rho.csv: row 1, column 2": "in [0, 1]",
            "rho.csv: row 2, column 1": "in [0, 1]",
            "rho.csv: row 2, column 3": "symmetric",
        },
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (GOOD[:2], {"rho.csv": "expected 3 rows, got 2"}),
        ([*GOOD, [0, 0, 0]], {"rho.csv": "expected 3 rows, got 4"}),
        ([GOOD[0], GOOD[1][:2], GOOD[2]], {"rho.csv: row 2": "expected 3 numbers, got 2"}),
        ([row[:2] for row in GOOD], {f"rho.csv: row {k}": "got 2" for k in (1, 2, 3)}),
        (labelled(GOOD, ["Alpha", "Beta", "Delta"]), None),
        (labelled(GOOD)[:3], {"rho.csv": "expected each organization once in column 1"}),
    ],
)
def test_a_matrix_of_the_wrong_shape_or_names(tmp_path, rows, expected):
    save_matrix(tmp_path, rows)
    if expected is not None:
        assert_refused(tmp_path, expected)
        return
    ran = run("check", tmp_path / FILE)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines() == [
        f"error: {tmp_path / 'rho.csv'}: {where} names an unknown organization 'Delta' "
        f"(competition.matrix_file of {tmp_path / FILE})"
        for where in ("row 1", "column 1")
    ]


def test_labels_that_stand_twice_are_told_for_rows_and_columns(tmp_path):
    save_matrix(tmp_path, labelled(GOOD, ["Alpha", "Beta", "Beta"]))
    ran = run("check", tmp_path / FILE)
    assert ran.code == 2
    for where in ("row 1", "column 1"):
        assert f"expected each organization once in {where}" in ran.err


def test_rows_and_columns_of_a_labelled_matrix_may_stand_in_different_orders(tmp_path):
    across = [0, 2, 1]
    names = ["Alpha", "Beta", "Gamma"]
    rows = [["", *(names[j] for j in across)]]
    rows += [[names[i], *(GOOD[i][j] for j in across)] for i in (2, 0, 1)]
    save_matrix(tmp_path, rows)
    assert np.array_equal(load(tmp_path / FILE).matrix, GOOD)


def test_a_bad_entry_in_the_last_column_of_the_first_row_is_no_header(tmp_path):
    save_matrix(tmp_path, changed_matrix((0, 2, "much")))
    assert_refused(tmp_path, {"rho.csv: row 1, column 3": "expected a number, got text"})


def test_names_that_look_like_numbers_may_label_a_matrix(tmp_path):
    numbers = ["1", "2", "3"]
    changes = {f"organization.{k}.name": name for k, name in enumerate(numbers)}
    text = "".join(",".join(map(str, row)) + "\n" for row in labelled(GOOD, numbers))
    competition = {"competition": {"matrix_file": "rho.csv"}}
    path = save(tmp_path, document({**changes, **competition}), rho=text)
    assert np.array_equal(load(path).matrix, GOOD)


# --- measured points ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data,loss\n1,0.2\n", {": line 1": "expected the columns data, accuracy; 1 of 2"}),
        ("root:x:0:0\nbin:x:1:1\n", {": line 1": "expected the columns data, accuracy; 0 of 1"}),
        ("data,accuracy\n", {"": "expected at least one point with data > 0"}),
        ("data,accuracy\n0,0.2\n", {"": "expected at least one point with data > 0"}),
        (
            "data,accuracy\n1,0.2\n2,\n",
            {": line 3, accuracy": "expected a number in [0, 1], got ''"},
        ),
        ("data,accuracy\n1,0.2\n2\n", {": line 3": "expected 2 cells, got 1"}),
        ("data,accuracy\n1,0.2,3\n", {": line 2": "expected 2 cells, got 3"}),
        (
            "data,accuracy\none,0.2\n",
            {": line 2, data": "expected a finite number >= 0, got 'one'"},
        ),
        (
            "data,accuracy\n1,1.2\n",
            {": line 2, accuracy": "expected a number in [0, 1], got '1.2'"},
        ),
        ("data,accuracy\n1,-0.2\n", {": line 2, accuracy": "expected a number in [0, 1]"}),
        ("data,accuracy\n1,nan\n", {": line 2, accuracy": "expected a number in [0, 1]"}),
        ("data,accuracy\n-1,0.2\n", {": line 2, data": "expected a finite number >= 0, got '-1'"}),
        ("data,accuracy\ninf,0.2\n", {": line 2, data": "expected a finite number >= 0"}),
        ("data,accuracy\nnan,0.2\n", {": line 2, data": "expected a finite number >= 0"}),
        (
            "data,accuracy\n1,0.1\n\n\nx,0.2\n",
            {": line 5, data": "expected a finite number >= 0, got 'x'"},
        ),
    ],
)
def test_bad_points(tmp_path, text, expected):
    save(tmp_path, document({"accuracy": EMPIRICAL}), points=text)
    assert_refused(tmp_path, {f"points.csv{place}": what for place, what in expected.items()})


def test_all_bad_points_are_reported_at_once(tmp_path):
    save(tmp_path, document({"accuracy": EMPIRICAL}), points="data,accuracy\nx,1\n-1,2\n1,0.5\n")
    assert_refused(
        tmp_path,
        {
            "points.csv: line 2, data": "expected a finite number",
            "points.csv: line 3, data": "expected a finite number",
            "points.csv: line 3, accuracy": "expected a number in [0, 1]",
        },
    )


@pytest.mark.parametrize(
    "points",
    ["1e-320,0.5\n1e308,0.9\n", "1e-300,0.1\n1e300,0.9\n", "1,0.1\n1.0000000000000002,0.9\n"],
)
def test_extreme_points_are_neither_a_traceback_nor_a_warning(tmp_path, points):
    path = save(tmp_path, document({"accuracy": EMPIRICAL}), points=f"data,accuracy\n{points}")
    ran = run("solve", path, "--json")
    assert ran.code in (0, 2)
    if ran.code == 2:
        assert ran.err.startswith(f"error: {tmp_path}")


@pytest.mark.parametrize("untrained", [-0.1, 1.1, "none"])
def test_the_untrained_accuracy_is_one(tmp_path, untrained):
    changes = {"accuracy": {**EMPIRICAL, "untrained_accuracy": untrained}}
    save(tmp_path, document(changes), points=POINTS)
    assert_refused(tmp_path, {f"{FILE}: accuracy.untrained_accuracy": "expected a number"})


def test_errors_of_several_files_are_reported_at_once(tmp_path):
    table = with_table(
        document(
            {
                "accuracy": EMPIRICAL,
                "competition": {"matrix_file": "rho.csv"},
                "energy.capacitance": "x",
            }
        ),
        "orgs.csv",
    )
    save(
        tmp_path,
        table,
        orgs="\n".join([HEADER, ALPHA, BETA, GAMMA, ""]),
        points="data,accuracy\n1,7\n",
        rho="0,1\n",
    )
    assert_refused(
        tmp_path,
        {
            f"{FILE}: energy.capacitance": "expected a number",
            "points.csv: line 2, accuracy": "expected a number in [0, 1]",
            "rho.csv": "expected 3 rows, got 1",
            "rho.csv: row 1": "expected 3 numbers, got 2",
        },
    )
