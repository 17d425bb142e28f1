"""Honest trainings: nobody is attributed, no round is undone, and everybody has its credit.

One run in twenty is computed again in the gate, ``-m slow`` computes all; the others are read from
what the full count wrote (:mod:`tests.federation.honest`).
"""

import pytest
from tests.federation.honest import (
    CASES,
    CLASSES,
    CONCENTRATION,
    HONEST_RUNS,
    OWN_RUNS,
    ROUNDS,
    RUNS,
    SEEDS,
    as_text,
    honest_row,
    own_row,
    rows_of,
)

from tradefl.federation.inspection import OPPOSED_RATIO, OUTLIER_RATIO

# In steps that meet every model and every split.
IN_THE_GATE = {23 * k % RUNS for k in range(RUNS // 20)}


def harmless(row):
    """Tell whether all updates of a row count, none is suspected, and all have their credit."""
    counts = {key: int(row[key]) for key in ("updates", "aggregated", "organizations", "credited")}
    return (
        counts["updates"] == counts["aggregated"] > 0
        and counts["organizations"] == counts["credited"] == 10
        and int(row["attributed"]) == int(row["suspicious"]) == 0
    )


@pytest.mark.parametrize(
    "k", [k if k in IN_THE_GATE else pytest.param(k, marks=pytest.mark.slow) for k in range(RUNS)]
)
def test_an_honest_run_accuses_nobody(k):
    case = CASES[k]
    if case["model"] != "logistic":
        pytest.importorskip("torch")
    if case["partition"] == "dirichlet":
        pytest.importorskip("flwr_datasets")
    row = honest_row(case)
    assert harmless(row)
    assert as_text(row) == rows_of(HONEST_RUNS)[k]


def test_the_gate_has_its_twentieth():
    assert len(CASES) == RUNS
    assert len(IN_THE_GATE) == RUNS // 20
    gate = [CASES[k] for k in IN_THE_GATE]
    assert len({(case["model"], case["data"]) for case in gate}) == 4
    assert {case["partition"] for case in gate} == {"iid", "dirichlet"}
    # With room to spare: the thresholds are not fitted to these runs.
    assert 2.0 < OPPOSED_RATIO < OUTLIER_RATIO


def test_the_full_count_of_honest_runs():
    rows = rows_of(HONEST_RUNS)
    assert [{key: row[key] for key in CASES[0]} for row in rows] == [
        as_text(case) for case in CASES
    ]
    assert {int(row["updates"]) for row in rows} == {10 * ROUNDS}
    assert all(harmless(row) for row in rows)


def test_the_full_count_of_own_data():
    rows = rows_of(OWN_RUNS)
    assert [int(row["seed"]) for row in rows] == list(range(SEEDS))
    assert {float(row["alpha"]) for row in rows} == {CONCENTRATION}
    assert all(int(row["most_classes_held"]) < CLASSES for row in rows)
    assert all(harmless(row) for row in rows)


@pytest.mark.parametrize(
    "seed",
    [
        seed if seed % 20 == 0 else pytest.param(seed, marks=pytest.mark.slow)
        for seed in range(SEEDS)
    ],
)
def test_everybody_is_credited_exactly_what_it_used(tmp_path, seed):
    row = own_row(seed, tmp_path)
    assert harmless(row)
    assert as_text(row) == rows_of(OWN_RUNS)[seed]
