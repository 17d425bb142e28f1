"""The page on mechanisms has the numbers of the stored study, which the code gives again."""

import pandas as pd
import pytest
from tests.docs.mechanism_tables import PAGE, STUDY, study, tables

from tradefl.experiments.compensation import KINDS
from tradefl.experiments.mechanisms import NAMES, compute, summary

ROWS, TEXT = study(), PAGE.read_text("utf-8")


def test_the_tables_are_those_of_the_study():
    for table in tables(ROWS).values():
        assert table in TEXT


def test_the_study_is_complete():
    for kind in KINDS:
        seeds = sorted(ROWS.loc[ROWS["kind"] == kind, "seed"].unique())
        assert seeds == list(range(len(seeds)))
        assert f"{len(seeds)} consortia of each kind" in TEXT
        for name in NAMES:
            if name != "truthful":
                some = ROWS[(ROWS["kind"] == kind) & (ROWS["mechanism"] == name)]
                assert len(some) == len(seeds)


def test_the_summary_is_that_of_the_rows():
    stored = pd.read_csv(STUDY.with_name("mechanisms.summary.csv"))
    pd.testing.assert_frame_equal(summary(ROWS), stored, check_dtype=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_it_computed_again(kind):
    seed = int(ROWS["seed"].max())  # no lies there, so it is quick
    again = compute(kind, seed).set_index("mechanism")
    some = ROWS[(ROWS["kind"] == kind) & (ROWS["seed"] == seed)].set_index("mechanism")
    columns = ["welfare", "data", "deficit", "losers", "payments"]
    pd.testing.assert_frame_equal(
        again[columns], some[columns], check_dtype=False, rtol=1e-6, atol=1e-9
    )
    assert list(again["stable"]) == list(some["stable"])
