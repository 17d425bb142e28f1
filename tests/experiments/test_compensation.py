"""The study beyond the paper: its consortia, its rows, and the figures made of them."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pandas as pd
import pytest

from tradefl import charts
from tradefl.cli.reproduce import command_of
from tradefl.design import design
from tradefl.experiments import COMPENSATION, FIGURES, GROUPS, Settings, figure
from tradefl.experiments.compensation import (
    HETEROGENEOUS,
    HOMOGENEOUS,
    KINDS,
    RIVALRIES,
    SPREADS,
    by_organization,
    compute,
    consortium,
    drawn,
)
from tradefl.experiments.draws import draw
from tradefl.experiments.reproduction import reproduce
from tradefl.experiments.runner import compute_all, to_csv
from tradefl.experiments.scorecard import OWN
from tradefl.game import payoffs

ONE = Settings(seeds=1)
RULES = ("none", "linear", "tuned", "efficient")


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> pd.DataFrame:
    """Return the rows of seed 0 of both kinds, from one process."""
    out = tmp_path_factory.mktemp("one")
    return compute_all([figure("gains")], ONE, out, workers=1)["gains"]


def several(rows: pd.DataFrame) -> pd.DataFrame:
    """Return made-up rows of six seeds of each kind, near those computed; some have losers."""
    parts = []
    for seed in range(6):
        shift = 1.0 + 0.01 * seed
        part = rows.assign(
            seed=seed,
            heterogeneity=rows["heterogeneity"] * shift,
            rivalry=rows["rivalry"] * shift,
            price_of_anarchy=1.0 + (rows["price_of_anarchy"] - 1.0) * shift,
            gap_closed_tuned=rows["gap_closed_tuned"] / shift,
            losers_tuned=seed % 3,
            largest_loss_tuned=0.004 * (seed % 3),
        )
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


# --- the consortia -----------------------------------------------------------------------------


def test_a_kind_has_its_draws():
    spread, rivalry = drawn(3)
    assert SPREADS[0] <= spread <= SPREADS[1]
    assert RIVALRIES[0] <= rivalry <= RIVALRIES[1]
    assert consortium(HOMOGENEOUS, 3).title == draw(3).title
    unequal = consortium(HETEROGENEOUS, 3)
    assert unequal.title == "heterogeneous-3"
    share = unequal.competitors_profitability / unequal.profitability
    assert share.max() == pytest.approx(rivalry, rel=1e-12)
    with pytest.raises(ValueError, match="kind: expected one of Table II, heterogeneous"):
        consortium("other", 3)


def test_spread_and_rivalry_fill_their_ranges_and_do_not_go_together():
    both = np.array([drawn(seed) for seed in range(200)])
    for values, (low, high) in zip(both.T, (SPREADS, RIVALRIES), strict=True):
        assert values.min() < low + 0.05 * (high - low)
        assert values.max() > high - 0.05 * (high - low)
    assert abs(np.corrcoef(both.T)[0, 1]) < 0.25


# --- the rows ----------------------------------------------------------------------------------


def test_processes_do_not_change_a_byte(rows, tmp_path):
    two = compute_all([figure("losers")], ONE, tmp_path, workers=2)["losers"]
    assert to_csv(two) == to_csv(rows)


def test_a_row_says_what_a_consortium_has_under_each_rule(rows):
    assert list(rows["kind"]) == list(KINDS)
    assert rows["spread"].isna().tolist() == [True, False]
    payoff = {
        rule: rows[[f"payoff_{rule}_{i}" for i in range(1, 11)]].to_numpy()
        for rule in ("none", "tuned", "efficient")
    }
    for rule, values in payoff.items():
        expected = rows["welfare_optimum" if rule == "efficient" else f"welfare_{rule}"]
        np.testing.assert_allclose(values.sum(axis=1), expected, rtol=1e-9)
    welfare = {rule: rows[f"welfare_{rule}"] for rule in RULES}
    missing = rows["welfare_optimum"] - welfare["none"]
    assert (missing > 0.0).all()
    for rule in RULES:
        assert (welfare[rule] <= rows["welfare_optimum"] * (1.0 + 1e-12)).all()
        closed = (welfare[rule] - welfare["none"]) / missing
        np.testing.assert_allclose(rows[f"gap_closed_{rule}"], closed, atol=1e-9)
    np.testing.assert_allclose(
        rows["price_of_anarchy"], rows["welfare_optimum"] / welfare["none"], rtol=1e-12
    )
    lost = payoff["none"] - payoff["tuned"]
    assert rows["losers_tuned"].tolist() == (lost > 1e-6).sum(axis=1).tolist()
    np.testing.assert_allclose(
        rows["largest_loss_tuned"],
        np.maximum(lost / np.abs(payoff["none"]), 0.0).max(axis=1),
        atol=1e-12,
    )
    gain = payoff["efficient"] - payoff["none"]
    np.testing.assert_allclose(gain, (missing.to_numpy() / 10)[:, None] * np.ones(10), rtol=1e-5)
    assert (rows["starts"] == 9).all()
    reached = (
        rows["random_starts_that_reach"]
        + 1
        + rows[["least_data_reaches", "all_data_reaches", "no_compensation_reaches"]].sum(axis=1)
    )
    assert rows["starts_that_reach"].tolist() == reached.tolist()


def test_the_promises_are_met(rows):
    assert (rows["regret_exact"] <= 1e-9).all()
    assert (rows["regret_settled"] <= 1e-6).all()
    assert (rows["below_none"] == 0).all()
    assert (rows["budget_imbalance"] <= 1e-14).all()
    assert (rows["planner_gap"] <= 1e-6).all()
    assert (rows["planner_gap"] >= 0.0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_no_deviation_that_is_tried_gains_anything(kind):
    """Without the functions that compute regret: payoffs alone."""
    found = design(consortium(kind, 1), random_starts=0)
    game, agreed = found.agreed.game, found.agreed.profile
    before = payoffs(game, agreed).payoff
    rng = np.random.default_rng(0)
    most = game.max_data_fraction(game.cpu_levels_hz)
    tried = 0
    for i in range(game.size):
        for level in range(game.cpu_levels_hz.shape[1]):
            high = most[i, level]
            if high < game.min_data_fraction:
                continue
            ends = [game.min_data_fraction, high]
            for d in [*ends, *rng.uniform(game.min_data_fraction, high, 4)]:
                after = payoffs(game, agreed.replaced(i, d, game.cpu_levels_hz[i, level])).payoff
                assert after[i] <= before[i] + 1e-9 * before.sum()
                tried += 1
    assert tried > 200


# --- the figures -------------------------------------------------------------------------------


def test_the_study_is_no_part_of_the_papers_figures():
    assert not set(COMPENSATION) & set(FIGURES)
    assert GROUPS["compensation"] == COMPENSATION
    assert not set(COMPENSATION) & set(GROUPS["all"])
    assert {figure(name).group for name in COMPENSATION} == {"compensation"}
    assert {figure(name).compute for name in COMPENSATION} == {compute}


def test_organizations_are_those_of_the_rows(rows):
    each = by_organization(rows)
    assert len(each) == 20
    one = each[(each["kind"] == HOMOGENEOUS) & (each["organization"] == 4)].iloc[0]
    row = rows[rows["kind"] == HOMOGENEOUS].iloc[0]
    assert one["without"] == row["payoff_none_4"]
    assert one["tuned"] == row["payoff_tuned_4"] - row["payoff_none_4"]
    assert one["efficient"] == row["payoff_efficient_4"] - row["payoff_none_4"]


@pytest.mark.parametrize("name", COMPENSATION)
def test_a_chart_is_made_of_the_stored_summary_alone(name, rows):
    one = figure(name)
    summed = one.summary(several(rows))
    stored = pd.read_csv(io.BytesIO(to_csv(summed)))
    drawn = charts.svg(one.chart(stored))
    assert drawn.startswith("<svg")
    for kind in KINDS:
        assert kind in drawn


def test_both_panels_of_losers_have_the_same_colours(rows):
    some = several(rows)
    some["losers_tuned"] = some["losers_tuned"].where(some["kind"] == HETEROGENEOUS, 0)
    losers = figure("losers")
    drawn = json.dumps(losers.chart(losers.summary(some)).to_dict())
    found = re.findall(r'"color": \{[^}]*"scale": (\{"domain": [^}]*\})', drawn)
    assert len(found) >= 2
    assert len(set(found)) == 1


def test_the_histogram_of_losers_counts_every_consortium(rows):
    some = several(rows)
    summed = figure("losers").summary(some)
    counted = summed[summed["panel"] == "consortia"]
    assert counted.groupby("kind")["consortia"].sum().to_dict() == dict.fromkeys(KINDS, 6)
    assert set(counted["losers"]) == {0, 1, 2}
    losses = summed[summed["panel"] == "losses"]
    assert len(losses) == 8
    np.testing.assert_allclose(sorted(set(losses["loss"])), [0.4, 0.8])


def test_a_consortium_without_a_tuned_gamma_is_left_out_of_what_it_does_not_have(rows):
    some = several(rows)
    tuned = [name for name in some.columns if "tuned" in name]
    some.loc[0, tuned] = np.nan
    for name in COMPENSATION:
        one = figure(name)
        assert charts.svg(one.chart(one.summary(some)))
        assert all("nan" not in finding.ours for finding in one.findings(some))
    counted = figure("losers").summary(some).query("panel == 'consortia'")
    assert counted["consortia"].sum() == 11


@pytest.mark.parametrize(
    ("name", "column", "value", "claim"),
    [
        ("price-of-anarchy", "price_of_anarchy", 0.99, "Without compensation welfare is below"),
        ("price-of-anarchy", "planner_gap", 2e-6, "The planner proves its optimum"),
        ("gap-closed", "gap_closed_linear", -0.1, "The paper's gamma has no less welfare"),
        ("gap-closed", "gap_closed_efficient", 0.9, "The equilibrium that the exact solver"),
        ("losers", "below_none", 1, "Nobody is worse off under the efficient rule"),
        ("gains", "regret_exact", 1e-8, "pi* is an equilibrium if"),
        ("gains", "regret_settled", 1e-5, "pi* is one as settled"),
        ("gains", "budget_imbalance", 1e-9, "The payments sum up to zero"),
        ("gains", "equal_gain", 0.0, "Everybody gains"),
        ("gains", "starts_that_reach", 8, "Best responses lead to pi*"),
        ("gains", "payments_agreed", 0.2, "The payments are small"),
    ],
)
def test_one_consortium_that_breaks_a_promise_is_enough(rows, name, column, value, claim):
    some = several(rows).assign(gap_closed_linear=0.5, gap_closed_efficient=1.0)

    def verdict() -> str:
        [found] = [
            finding for finding in figure(name).findings(some) if finding.claim.startswith(claim)
        ]
        return found.verdict

    assert verdict() == "holds"
    some.loc[5, column] = value
    assert verdict() == "does not hold"


def test_from_the_command_to_the_scorecard(rows, tmp_path):
    """Its verdicts are not those on the paper, and all figures are made of the same units."""
    card = reproduce(COMPENSATION, ONE, tmp_path, workers=1, command=command_of)
    assert set(card.counts()) == set(OWN)
    document = json.loads((tmp_path / "scorecard.json").read_text())
    assert {claim["figure"] for claim in document["claims"]} == set(COMPENSATION)
    assert "tradefl reproduce losers --seeds 1" in {
        claim["command"] for claim in document["claims"]
    }
    text = (tmp_path / "scorecard.md").read_text()
    assert text.startswith("# Scorecard beyond the paper")
    assert "| claim | expected | ours | verdict |" in text
    assert len(list((tmp_path / "parts" / "compensation.compute").iterdir())) == 2
    for name in COMPENSATION:
        assert (tmp_path / f"{name}.csv").read_bytes() == to_csv(rows)
        assert (tmp_path / f"{name}.svg").exists()
