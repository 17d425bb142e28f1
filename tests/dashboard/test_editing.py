"""The table of the console: what it accepts, what it refuses and where, and what leaves it."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.dashboard.console import EXAMPLE, large_consortium

from tradefl.consortium import Consortium, load
from tradefl.dashboard.editing import (
    ROW,
    Terms,
    adjusted,
    beside,
    consortium_file,
    edited,
    largest_intensity,
    table_of,
)
from tradefl.errors import InputError


@pytest.fixture(scope="module")
def consortium() -> Consortium:
    return load(EXAMPLE)


def with_matrix(folder: Path) -> Consortium:
    text = EXAMPLE.read_text(encoding="utf-8")
    start, end = text.index("[competition]"), text.index("[[organization]]")
    (folder / "x.toml").write_text(
        text[:start] + '[competition]\nmatrix_file = "rho.csv"\n\n' + text[end:], encoding="utf-8"
    )
    rho = np.random.default_rng(1).uniform(0.0, 0.05, (10, 10)).round(3)
    rho = np.triu(rho, 1) + np.triu(rho, 1).T
    np.savetxt(folder / "rho.csv", rho, delimiter=",", fmt="%.3f")
    return load(folder / "x.toml")


def test_a_table_that_nobody_touched_makes_the_same_consortium(
    consortium: Consortium, tmp_path: Path
) -> None:
    for entry in (consortium, with_matrix(tmp_path), load(large_consortium(tmp_path, 30))):
        assert edited(entry, table_of(entry)) == entry


def test_cells_take_effect(consortium: Consortium) -> None:
    table = table_of(consortium)
    table.loc[2, "profitability"] = 1950.0
    table.loc[2, "cpu_levels_hz"] = "1e9, 2e9"
    made = edited(consortium, table)
    assert made.organizations.profitability[2] == 1950.0
    assert made.organizations.levels(2) == [1e9, 2e9]
    assert made.source == consortium.source


def test_who_is_renamed_keeps_its_rivals(consortium: Consortium) -> None:
    table = table_of(consortium)
    table.loc[0, "name"] = "Omicron"
    made = edited(consortium, table)
    assert made.names[0] == "Omicron"
    np.testing.assert_array_equal(made.rho.row(0)[1], consortium.rho.row(0)[1])


def test_who_is_deleted_is_nobodys_rival(consortium: Consortium, tmp_path: Path) -> None:
    for entry in (consortium, with_matrix(tmp_path)):
        made = edited(entry, table_of(entry).drop(index=0).reset_index(drop=True))
        assert made.names == entry.names[1:]
        identity = np.eye(10)
        before = np.array([entry.rho.dot(identity[i]) for i in range(10)])
        after = np.array([made.rho.dot(identity[:9, :9][i]) for i in range(9)])
        np.testing.assert_array_equal(after, before[1:, 1:])


def test_who_is_new_competes_as_those_not_listed(consortium: Consortium, tmp_path: Path) -> None:
    for entry, rho in ((consortium, 0.02), (with_matrix(tmp_path), 0.0)):
        table = table_of(entry)
        row = table.iloc[[3]].assign(name="New")
        row[ROW] = pd.array([pd.NA], dtype="Int64")
        made = edited(entry, pd.concat([table, row], ignore_index=True))
        assert made.names[-1] == "New"
        assert made.rho.dot(np.ones(11))[-1] == pytest.approx(10 * rho)


@pytest.mark.parametrize(
    ("row", "column", "value", "problem"),
    [
        (2, "profitability", -1.0, "row 3 (Gamma), profitability: expected a number > 0, got -1.0"),
        (0, "samples", 0, "row 1 (Alpha), samples: expected a number >= 1, got 0"),
        (1, "data_bits", None, "row 2 (Beta), data_bits: is missing"),
        (4, "name", None, "row 5, name: is missing"),
        (4, "name", " x", "row 5 ( x), name: expected no spaces around it, got ' x'"),
        (5, "cpu_levels_hz", "fast", "row 6 (Zeta), cpu_levels_hz[0]: expected a "
         "number, got 'fast'"),
        (5, "cpu_levels_hz", "", "row 6 (Zeta), cpu_levels_hz: must not be empty, got []"),
        (5, "cpu_levels_hz", "2e9; 1e9", "row 6 (Zeta), cpu_levels_hz: expected ascending "
         "frequencies, got [2000000000.0, 1000000000.0]"),
        (6, "address", "0x1", "row 7 (Eta), address: expected an address: 0x and 40 hexadecimal "
         "digits, got '0x1'"),
        (3, "name", "Alpha", "rows 1 and 4, name: name 'Alpha' occurs 2 times"),
    ],
)  # fmt: skip
def test_a_bad_cell_is_named_as_in_the_file(
    consortium: Consortium, row: int, column: str, value: object, problem: str
) -> None:
    table = table_of(consortium)
    table.loc[row, column] = value
    with pytest.raises(InputError) as refused:
        edited(consortium, table)
    assert problem in refused.value.lines()


def test_what_only_the_game_finds_has_its_row_too(consortium: Consortium) -> None:
    table = table_of(consortium)
    table.loc[7, "download_seconds"] = 17_999.0
    with pytest.raises(InputError) as refused:
        edited(consortium, table)
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].place.startswith("row 8 (Theta), ")


def test_every_problem_is_told(consortium: Consortium) -> None:
    table = table_of(consortium)
    table.loc[[0, 9], "cycles_per_bit"] = -1.0
    with pytest.raises(InputError) as refused:
        edited(consortium, table)
    assert [problem.place for problem in refused.value.problems] == [
        "row 1 (Alpha), cycles_per_bit",
        "row 10 (Kappa), cycles_per_bit",
    ]


def test_what_is_wrong_stands_in_its_row(consortium: Consortium) -> None:
    table = table_of(consortium)
    table.loc[1, ["profitability", "samples"]] = [-1.0, 0]
    table.loc[3, "cpu_levels_hz"] = "fast"
    table.loc[5, "name"] = "Alpha"  # whose cell it is, the first or the sixth, is not told
    with pytest.raises(InputError) as refused:
        edited(consortium, table)
    told = beside(table, refused.value.problems)
    assert told == [
        "",
        "profitability: expected a number > 0, got -1.0; samples: expected a number >= 1, got 0",
        "",
        "cpu_levels_hz: expected a number, got 'fast'",
        *6 * [""],
    ]
    assert beside(table, ()) == 10 * [""]


def test_nobody_left(consortium: Consortium) -> None:
    with pytest.raises(InputError, match="organization: expected"):
        edited(consortium, table_of(consortium).iloc[:0])


# --- the sliders -------------------------------------------------------------------------------


def test_the_files_own_terms_change_nothing(consortium: Consortium) -> None:
    assert adjusted(consortium, Terms.of(consortium)) == consortium


def test_terms_take_effect(consortium: Consortium, tmp_path: Path) -> None:
    for entry in (consortium, with_matrix(tmp_path), load(large_consortium(tmp_path, 30))):
        made = adjusted(entry, Terms(1e-9, 0.5, 9000.0))
        assert made.game.incentive_intensity == 1e-9
        assert made.game.deadline_seconds == 9000.0
        np.testing.assert_allclose(made.game.total_intensity, 0.5 * entry.game.total_intensity)


def test_no_intensity_may_exceed_one(consortium: Consortium) -> None:
    assert largest_intensity(consortium) == 0.07
    with pytest.raises(InputError, match="rho scale: expected every intensity in"):
        adjusted(consortium, dataclasses.replace(Terms.of(consortium), rho_scale=15.0))


# --- downloads ---------------------------------------------------------------------------------


def test_what_is_downloaded_is_what_is_shown(consortium: Consortium, tmp_path: Path) -> None:
    shown = adjusted(consortium, Terms(1e-9, 0.7, 20_000.0))
    file = consortium_file(shown)
    assert (file.name, file.mime) == ("drug_discovery.toml", "application/toml")
    (tmp_path / file.name).write_bytes(file.content)
    found = load(tmp_path / file.name)
    assert found == shown
    np.testing.assert_array_equal(found.rho.row_sums(), shown.rho.row_sums())


def test_a_matrix_comes_along(tmp_path: Path) -> None:
    shown = adjusted(with_matrix(tmp_path), Terms(1e-9, 0.7, 20_000.0))
    file = consortium_file(shown)
    assert (file.name, file.mime) == ("x.zip", "application/zip")
    (tmp_path / "x.zip").write_bytes(file.content)
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        archive.extractall(tmp_path / "got")
    assert load(tmp_path / "got" / "x.toml") == shown


def test_a_repeated_name_says_in_which_rows() -> None:
    consortium = load(EXAMPLE)
    table = table_of(consortium)
    table.loc[[4, 7], "name"] = "Alpha"
    with pytest.raises(InputError) as caught:
        edited(consortium, table)
    assert caught.value.lines()[0] == "rows 1, 5 and 8, name: name 'Alpha' occurs 3 times"
    assert beside(table, caught.value.problems)[4].startswith("name: name 'Alpha' occurs 3 times")
