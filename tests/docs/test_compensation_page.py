"""The stored study keeps its promises, is what the code gives, and the page has its numbers."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from tests.docs.study_tables import PAGE, STUDY, TABLES, on_page, phrases, study

from tradefl.experiments import COMPENSATION, figure
from tradefl.experiments.compensation import HETEROGENEOUS, KINDS, by_organization, compute

STORED = STUDY.parent
TEXT = PAGE.read_text("utf-8")
ROWS = study()


def test_there_are_200_consortia_of_each_kind():
    for kind in KINDS:
        assert sorted(ROWS.loc[ROWS["kind"] == kind, "seed"]) == list(range(200))


def test_the_stored_rows_keep_what_is_promised():
    assert (ROWS["regret_exact"] <= 1e-9).all()
    assert (ROWS["regret_settled"] <= 1e-6).all()
    assert (ROWS["below_none"] == 0).all()
    assert (ROWS["equal_gain"] > 0.0).all()
    assert (ROWS["budget_imbalance"] <= 1e-14).all()
    assert (ROWS["planner_gap"] <= 1e-6).all()
    each = by_organization(ROWS)
    assert len(each) == 4000
    assert (each["efficient"] > 0.0).all()
    # Everybody's payoffs sum up to the welfare that the planner found.
    columns = [name for name in ROWS.columns if name.startswith("payoff_efficient_")]
    np.testing.assert_allclose(ROWS[columns].sum(axis=1), ROWS["welfare_optimum"], rtol=1e-9)


def test_deadlines_bind_for_some_and_not_for_all():
    unequal = ROWS[ROWS["kind"] == HETEROGENEOUS]
    assert 0 < unequal["at_deadline"].sum() < 10 * len(unequal)
    assert (unequal["at_deadline"] > 0).any()


@pytest.mark.parametrize("name", COMPENSATION)
def test_every_picture_is_shown_with_a_text_for_who_cannot_see_it(name):
    assert (STORED / f"{name}.svg").read_text("utf-8").startswith("<svg")
    [text] = re.findall(rf"!\[([^\]]*)\]\(\.\./compensation/{name}\.svg\)", TEXT)
    assert len(text) > 40


@pytest.mark.parametrize("name", COMPENSATION)
def test_the_stored_summaries_are_those_of_the_stored_rows(name):
    stored = pd.read_csv(STORED / f"{name}.summary.csv")
    pd.testing.assert_frame_equal(figure(name).summary(ROWS), stored, check_dtype=False, rtol=1e-9)


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_the_page_are_those_of_the_rows(name):
    """python -m tests.docs.study_tables writes them."""
    assert on_page(TEXT)[name] == TABLES[name](ROWS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_stored_rows_are_what_the_code_gives(kind):
    """One of each kind stands for all: whoever changes results makes all of them again."""
    stored = ROWS[(ROWS["kind"] == kind) & (ROWS["seed"] == 7)].reset_index(drop=True)
    # Another processor may round the last digits otherwise; regrets are nothing else.
    pd.testing.assert_frame_equal(compute(kind, 7), stored, check_dtype=False, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("phrase", phrases(ROWS))
def test_the_numbers_between_the_tables_are_those_of_the_rows(phrase):
    assert phrase in " ".join(TEXT.split())


def test_what_the_text_says_without_numbers():
    each = by_organization(ROWS).dropna()
    for kind in KINDS:
        some = each[each["kind"] == kind]
        assert 0.4 < (some["tuned"] > some["efficient"]).mean() < 0.5  # nearly half prefer gamma*
        # Smaller and poorer ones gain more of their payoff, the efficient rule costs more cash.
        rows = ROWS[ROWS["kind"] == kind]
        assert (rows["payments_agreed"] > rows["payments_tuned"]).mean() > 0.9
    assert (ROWS["starts_that_reach"] == ROWS["starts"]).all()
    assert (ROWS["gap_closed_efficient"] > 1.0 - 1e-6).all()
