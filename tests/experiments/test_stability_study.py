"""The study of stability: its rows, resumed work, and the picture."""

from __future__ import annotations

import pandas as pd
import pytest

from tradefl.experiments import KNOWN, STABILITY, Settings, figure
from tradefl.experiments.compensation import KINDS
from tradefl.experiments.runner import compute_all, to_csv
from tradefl.experiments.stability import OUTSIDERS, SPLITS, chart, findings, summary


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    rows = compute_all([figure("stability")], Settings(seeds=1), out, workers=1)["stability"]
    return out, rows


def test_it_is_known_by_its_name():
    assert STABILITY == ("stability",)
    assert "stability" in KNOWN


def test_work_that_is_done_is_not_done_again(made, monkeypatch):
    out, rows = made

    def never(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr("tradefl.experiments.stability.Values", never)
    again = compute_all([figure("stability")], Settings(seeds=1), out, workers=1)["stability"]
    assert to_csv(again) == to_csv(rows)


def test_a_row_has_every_split_in_both_readings(made):
    _, rows = made
    assert list(rows["kind"]) == list(KINDS)
    for name in SPLITS:
        assert rows[f"excess_{name}"].notna().all()
        # A coalition that gains exists exactly where some block.
        assert ((rows[f"excess_{name}"] > 1e-9) == (rows[f"blocking_{name}"] > 0)).all()
    assert (rows["excess_least_core"] + rows["margin"]).abs().max() <= 1e-9
    for outsiders in OUTSIDERS:
        assert (rows[f"market_cost_{outsiders}"] >= 0.0).all()


def test_the_picture_and_the_findings_are_made_of_any_rows(made):
    _, rows = made
    several = pd.concat([rows.assign(seed=seed) for seed in range(3)], ignore_index=True)
    assert len(chart(summary(several)).to_dict()["concat"]) == 4
    said = findings(several)
    assert len({entry.claim for entry in said}) == len(said) == 15
    broken = several.assign(excess_least_core=0.01, margin=-0.01)
    verdicts = {finding.claim: finding.verdict for finding in findings(broken)}
    assert verdicts["The least core is stable in every consortium"] == "does not hold"
    assert (
        verdicts["Branch and bound finds the margin that enumeration finds, and proves it"]
        == "does not hold"
    )
