"""Competition from market segments: overlap, conduct, and tables that are none."""

# ruff: noqa: E501

import dataclasses
import math

import numpy as np
import pytest
from tests.cli.command import assert_refused
from tests.consortium.documents import NAMES, REMOVED, document, save

from tradefl.consortium import load, write
from tradefl.consortium.segments import (
    Segments,
    largest_conduct,
    read_segments,
    segments_csv,
)
from tradefl.dashboard import editing
from tradefl.errors import InputError

TABLE = "who,north,south,sea\nGamma,0,30,40\nAlpha,3,4,0\nBeta,3,4,\n"
FILE = {"competition": {"segments_file": "markets.csv", "conduct": 0.05}}


def saved(folder, table=TABLE, **changes):
    keys = FILE | {f"competition.{key}": value for key, value in changes.items()}
    return save(folder, document(keys), markets=table)


def test_rho_is_conduct_times_the_cosine_of_the_rows(tmp_path):
    consortium = load(saved(tmp_path))
    alpha_gamma = 0.05 * (4.0 * 30.0) / (5.0 * 50.0)
    expected = np.array(
        [[0.0, 0.05, alpha_gamma], [0.05, 0.0, alpha_gamma], [alpha_gamma] * 2 + [0.0]]
    )
    found = np.array([consortium.rho.dot(row) for row in np.eye(3)])
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert consortium.segments.headings == ("north", "south", "sea")


def test_overlap_is_a_plain_sum_for_random_markets():
    rng = np.random.default_rng(3)
    values = rng.lognormal(0.0, 3.0, (7, 5)) * (rng.random((7, 5)) < 0.6)
    values[:, 0] += 1e-3
    overlap = Segments(tuple("abcde"), values).overlap()
    assert np.array_equal(overlap, overlap.T)
    assert np.all((overlap >= 0.0) & (overlap <= 1.0))
    for i in range(7):
        for j in range(7):
            dot = math.fsum(a * b for a, b in zip(values[i], values[j], strict=True))
            sizes = math.sqrt(math.fsum(values[i] ** 2) * math.fsum(values[j] ** 2))
            assert overlap[i, j] == pytest.approx(0.0 if i == j else dot / sizes, abs=1e-12)


def test_size_does_not_matter_and_extremes_do_not_overflow():
    values = np.array([[1e-290, 2e-290], [1e290, 2e290], [0.0, 1.0]])
    overlap = Segments(("a", "b"), values).overlap()
    assert overlap[0, 1] == pytest.approx(1.0)
    assert overlap[0, 2] == pytest.approx(2.0 / math.sqrt(5.0))


def test_the_largest_conduct_leaves_every_z_half_of_p():
    rng = np.random.default_rng(5)
    p = rng.uniform(100.0, 3000.0, 6)
    overlap = Segments(("a", "b"), rng.random((6, 2))).overlap()
    conduct = largest_conduct(overlap, p)
    z = p - conduct * overlap @ p
    assert z.min() > 0.0
    assert np.min(z / p) == pytest.approx(0.5)
    assert largest_conduct(np.zeros((6, 6)), p) == 1.0
    assert largest_conduct(0.01 * overlap, p) == 1.0


def test_what_is_written_is_read_again(tmp_path):
    consortium = load(saved(tmp_path))
    again = tmp_path / "again.toml"
    write(consortium, again)
    assert (tmp_path / "again.segments.csv").exists()
    assert load(again) == consortium
    other = dataclasses.replace(consortium, segments=Segments(("a",), np.ones((3, 1))))
    assert other != consortium


def test_a_table_of_a_german_spreadsheet_is_read(tmp_path):
    table = "Firma;Süd;Nord\r\nAlpha;1.000,5;2\r\nBeta;;3,25\r\nGamma;7;0\r\n"
    found = load(saved(tmp_path, "\ufeff" + table)).segments
    np.testing.assert_array_equal(found.values, [[1000.5, 2.0], [0.0, 3.25], [7.0, 0.0]])


def test_a_mark_that_the_table_does_not_show_may_be_given(tmp_path):
    path = tmp_path / "markets.csv"
    path.write_text("x;a;b\nAlpha;1.500;2\nBeta;2.250;1\n", encoding="utf-8")
    with pytest.raises(InputError, match="can be read in two ways"):
        read_segments(path, ["Alpha", "Beta"])
    found = read_segments(path, ["Alpha", "Beta"], mark=",")
    np.testing.assert_array_equal(found.values, [[1500.0, 2.0], [2250.0, 1.0]])


BAD_TABLES = {
    "negative": (TABLE.replace("30", "-30"), "markets.csv: line 2, south", "expected a number >= 0, got -30.0"),
    "no segment": (TABLE.replace("3,4,0", "0,0,0"), "markets.csv: line 3", "'Alpha' has no segment"),
    "empty": (TABLE.replace("3,4,0", ",,"), "markets.csv: line 3", "'Alpha' has no segment"),
    "missing": (TABLE.replace("Beta,3,4,\n", ""), "markets.csv", "'Beta' is missing"),
    "unknown": (TABLE.replace("Beta", "Betta"), "markets.csv: line 4", "did you mean 'Beta'"),
    "twice": (TABLE + "Beta,1,1,1\n", "markets.csv: line 5", "'Beta' occurs twice"),
    "text": (TABLE.replace("40", "much"), "markets.csv: line 2, sea", "got text of 4 characters"),
    "infinite": (TABLE.replace("40", "1e400"), "markets.csv: line 2, sea", "expected a number >= 0"),
    "nan": (TABLE.replace("40", "nan"), "markets.csv: line 2, sea", "expected a number >= 0"),
    "segments twice": (TABLE.replace("sea", "north"), "markets.csv: line 1, column 4", "occurs twice"),
    "no heading": (TABLE.replace("sea", ""), "markets.csv: line 1, column 4", "the name of a segment"),
    "too many cells": (TABLE.replace("3,4,0", "3,4,0,5"), "markets.csv: line 3", "expected 4 cells, got 5"),
    "one column": ("who\nAlpha\nBeta\nGamma\n", "markets.csv: line 1", "a column for each segment"),
    "other names": ("who,a\nx,1\ny,2\nz,3\n", "markets.csv: line 1", "0 of 3 rows name an organization"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_that_is_none_is_refused(tmp_path, case):
    table, place, what = BAD_TABLES[case]
    with pytest.raises(InputError) as caught:
        load(saved(tmp_path, table))
    assert any(
        problem.place == f"{tmp_path}/{place}" and what in problem.message
        for problem in caught.value.problems
    ), caught.value


@pytest.mark.parametrize(
    ("changes", "place", "what"),
    [
        ({"competition.conduct": REMOVED}, "competition.conduct", "is missing"),
        ({"competition.conduct": 0.0}, "competition.conduct", "expected a number > 0, got 0.0"),
        ({"competition.conduct": 1.5}, "competition.conduct", "expected a number <= 1, got 1.5"),
        ({"competition.conduct": -1.0}, "competition.conduct", "expected a number > 0, got -1.0"),
        ({"competition.segments_file": REMOVED}, "competition.conduct", "needs segments_file"),
        ({"competition.pairs": []}, "competition.pairs", "cannot be combined with segments_file"),
        ({"competition.default": 0.1}, "competition.default", "cannot be combined"),
        ({"competition.matrix_file": "m.csv"}, "competition.matrix_file", "cannot be combined"),
        ({"competition.within_sector": 0.1}, "competition.within_sector", "cannot be combined"),
        ({"competition.segments_file": "x.pdf"}, "competition.segments_file", "is not a table"),
    ],
)
def test_a_section_that_contradicts_itself_is_refused(tmp_path, changes, place, what):
    save(tmp_path, document(FILE | changes), markets=TABLE)
    assert_refused(tmp_path, {f"consortium.toml: {place}": what})


def test_conduct_that_makes_rivals_take_all_names_the_organization(tmp_path):
    """With the overlap itself as rho some z is negative: the error says by how much to shrink."""
    with pytest.raises(InputError, match=r"organization 'Alpha': competition: z = .* must be > 0"):
        load(saved(tmp_path, conduct=1.0))


def test_a_console_keeps_the_segments_of_those_who_stay(tmp_path):
    consortium = load(saved(tmp_path))
    table = editing.table_of(consortium)
    table.loc[1, "name"] = "Bravo"
    found = editing.edited(consortium, table.drop(index=0))
    assert found.names == ("Bravo", "Gamma")
    np.testing.assert_array_equal(found.segments.values, consortium.segments.values[1:])
    wider = table.copy()
    wider.loc[3] = table.loc[0]
    wider.loc[3, ["row", "name", "address"]] = [None, "Delta", None]
    found = editing.edited(consortium, wider)
    assert found.names[-1] == "Delta"
    assert found.rho.dot(np.eye(4)[3]).tolist() == [0.0] * 4
    scaled = editing.adjusted(consortium, editing.Terms(0.0, 2.0, 20.0))
    assert scaled.competition.conduct == 0.1
    np.testing.assert_allclose(scaled.rho.dot(np.ones(3)), 2.0 * consortium.rho.dot(np.ones(3)))


def test_names_of_segments_are_no_formulas():
    text = segments_csv(NAMES, Segments(("=1+1",), np.ones((3, 1)))).decode()
    assert text.splitlines()[0] == "organization,'=1+1"


# --- money ---------------------------------------------------------------------------------------


def test_currency_and_unit_are_read_and_written(tmp_path):
    path = save(tmp_path, document({"currency": "EUR", "payoff_unit": 1000}))
    consortium = load(path)
    assert (consortium.currency, consortium.payoff_unit) == ("EUR", 1000.0)
    assert (consortium.game.currency, consortium.game.payoff_unit) == ("EUR", 1000.0)
    write(consortium, tmp_path / "again.toml")
    assert load(tmp_path / "again.toml") == consortium
    plain = load(save(tmp_path, document()))
    assert (plain.currency, plain.payoff_unit) == (None, 1.0)
    assert plain != consortium


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("currency", "euro", "expected a currency of three capital letters, such as 'EUR'"),
        ("currency", ["EUR", "USD"], "expected text"),
        ("currency", "EUR/USD", "expected a currency of three capital letters"),
        ("payoff_unit", 0.0, "expected a number > 0"),
        ("payoff_unit", -1.0, "expected a number > 0"),
        ("payoff_unit", math.inf, "expected a finite number"),
        ("payoff_unit", math.nan, "expected a finite number"),
        ("payoff_unit", "1000", "expected a number"),
    ],
)
def test_money_that_is_none_is_refused(tmp_path, key, value, what):
    save(tmp_path, document({key: value}))
    assert_refused(tmp_path, {f"consortium.toml: {key}": what})
