"""Honest trainings: nobody is attributed, no round is undone, and everybody has its credit.

One run in twenty is tried in the gate; ``-m slow`` tries 200 seeds, models and splits.
"""

import itertools

import pytest
from tests.federation.hostile import attacked

from tradefl.errors import InputError
from tradefl.federation.inspection import OPPOSED_RATIO, OUTLIER_RATIO

RUNS = 200
CASES = list(
    itertools.islice(
        (
            (model, data, partition, alpha, aggregation, seed)
            for seed in range(100)
            for (model, data), (partition, alpha), aggregation in itertools.product(
                (("logistic", "digits"), ("mlp", "digits"), ("logistic", "breast-cancer")),
                (("iid", 0.5), ("dirichlet", 0.5), ("dirichlet", 0.1)),
                ("fedavg", "fedadam"),
            )
        ),
        RUNS,
    )
)
# One in twenty, in steps that meet every model and every split.
IN_THE_GATE = {23 * k % RUNS for k in range(RUNS // 20)}


@pytest.mark.parametrize(
    ("model", "data", "partition", "alpha", "aggregation", "seed"),
    [
        pytest.param(*case, marks=() if k in IN_THE_GATE else pytest.mark.slow)
        for k, case in enumerate(CASES)
    ],
)
def test_an_honest_run_accuses_nobody(model, data, partition, alpha, aggregation, seed):
    if model == "mlp":
        pytest.importorskip("torch")
    if partition == "dirichlet":
        pytest.importorskip("flwr_datasets")
    try:
        training = attacked(
            "unchanged",
            (),
            model=model,
            data=data,
            partition=partition,
            alpha=alpha,
            aggregation=aggregation,
            seed=seed,
            rounds=5,
        )
    except InputError as error:
        pytest.skip(f"the draw leaves somebody without samples: {error}")
    entries = training.ledger.entries
    assert {entry.outcome for entry in entries} == {"aggregated"}
    assert {entry.verdict for entry in entries} == {""}
    assert all(
        one.measured_fraction >= one.pledged_fraction * (1 - 1e-12)
        for one in training.ledger.measured()
    )
    # With room to spare: the thresholds are not fitted to these runs.
    assert 2.0 < OPPOSED_RATIO < OUTLIER_RATIO


def test_the_gate_has_its_twentieth():
    assert len(CASES) == RUNS
    assert len(IN_THE_GATE) == RUNS // 20
    assert len({CASES[k][:2] for k in IN_THE_GATE}) == 3
    assert len({CASES[k][2:4] for k in IN_THE_GATE}) == 3
