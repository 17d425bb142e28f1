"""Sensitivity: samples of the stated prior, claims tested on them, verdicts by their shares."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from tradefl.experiments import Settings, sensitivity
from tradefl.experiments.draws import GAMMA_STAR, OURS, draw
from tradefl.experiments.sensitivity import (
    AT_GAMMA_STAR,
    CLAIMS,
    COARSE,
    GAMMAS,
    LOG_UNIFORM,
    OWN,
    STAR,
    UNIFORM,
    compute,
    sample,
    wilson,
)
from tradefl.solvers import solve

COLUMNS = [*CLAIMS, *(name + OWN for name in AT_GAMMA_STAR)]


@pytest.fixture(scope="module")
def rows():
    return compute(0, 12)


def test_samples_fill_the_prior_and_stay_in_it():
    samples = [sample(number) for number in range(300)]
    for name, (low, high) in LOG_UNIFORM.items():
        values = np.log([getattr(number, name) for number in samples])
        assert np.log(low) <= values.min() < values.max() <= np.log(high)
        middle = (np.log(low) + np.log(high)) / 2
        assert abs(np.mean(values < middle) - 0.5) < 0.12, name
    for name, (low, high) in UNIFORM.items():
        values = np.array([getattr(number, name) for number in samples])
        assert low <= values.min() < values.max() <= high
    assert {number.levels for number in samples} == set(range(2, 11))


def test_the_grid_has_gamma_star_and_the_ends_of_the_range():
    assert GAMMAS[STAR] == pytest.approx(GAMMA_STAR, rel=1e-12)
    assert GAMMAS[-1] == 1e-7
    assert GAMMAS[0] < 1e-10
    assert np.all(np.diff(GAMMAS) > 0.0)
    assert STAR in COARSE
    assert (COARSE[0], COARSE[-1]) == (0, GAMMAS.size - 1)


def test_batches_do_not_change_a_sample(rows):
    parts = [compute(0, 5), compute(5, 7)]
    pd.testing.assert_frame_equal(rows, pd.concat(parts, ignore_index=True), check_exact=True)


def test_units_cover_every_sample_once():
    for seeds in (1, 3, 50):
        parts = [unit.arguments for unit in sensitivity.units(Settings(seeds=seeds))]
        numbers = [n for part in parts for n in range(part["first"], part["first"] + part["count"])]
        assert numbers == list(range(10 * seeds))


def test_a_sample_has_all_claims_or_a_problem(rows):
    tested = rows["problem"] == "none"
    assert tested.any()
    assert rows.loc[tested, COLUMNS].isin([0, 1]).all(axis=None)
    assert rows.loc[~tested, COLUMNS].isna().all(axis=None)


def test_claims_are_what_the_solvers_say():
    game = draw(2)
    found = {name: value[0] for name, value in sensitivity.judge([game]).items()}
    welfare = {name: solve(game, name).social_welfare for name in ("cgbd", "dbr", "fip", "gca")}
    welfare["wpr"] = solve(game, "wpr").social_welfare
    dbr, gca = solve(game, "dbr"), solve(game, "gca")
    for name in ("fip", "gca", "wpr"):
        assert found[f"dbr_{name}"] == (welfare["dbr"] >= welfare[name] * (1 - 1e-9))
    assert found["cgbd_dbr"] == (welfare["cgbd"] >= welfare["dbr"] * (1 - 1e-9))
    ratio = dbr.profile.data_fraction.sum() / gca.profile.data_fraction.sum()
    assert found["data_ratio"] == pytest.approx(ratio)
    assert found["data_gap"] == (ratio >= 1.64)
    assert found["settled"] == 1
    assert found["rational"] == dbr.certificate.individually_rational
    curve = [solve(game.with_incentive_intensity(gamma), "dbr").social_welfare for gamma in GAMMAS]
    assert found["peak"] == GAMMAS[int(np.argmax(curve))]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"untrained_loss": 0.1}, "training never helps: A(0) <= 1/G"),
        ({"deadline_seconds": 2.01}, "no level meets the deadline"),
        ({"deadline_seconds": 2.2}, "FIP's first step misses the deadline"),
        ({"mean_intensity": 0.2}, "competition too strong: some z_i <= 0"),
    ],
)
def test_a_sample_without_a_game_is_counted_with_its_reason(monkeypatch, changes, problem):
    monkeypatch.setattr(sensitivity, "sample", lambda _: dataclasses.replace(OURS, **changes))
    found = compute(0, 2)
    assert list(found["problem"]) == [problem] * 2
    assert found[COLUMNS].isna().all(axis=None)


def test_any_other_error_is_not_taken_for_one_of_those(monkeypatch):
    def broken(*_):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(sensitivity, "draw", broken)
    monkeypatch.setattr(sensitivity, "sample", lambda _: OURS)
    with pytest.raises(ValueError, match="broadcast"):
        compute(0, 1)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (450, 500), (500, 500)])
def test_the_interval_is_wilsons(successes, n):
    share, low, high = wilson(np.repeat([1.0, 0.0], [successes, n - successes]))
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert share == successes / n
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def handmade(shares):
    """Return 100 samples in which a claim holds in this share, and two without a game."""
    values = dict.fromkeys(COLUMNS, 1.0) | shares
    columns = {
        name: np.append(np.arange(100) < round(100 * share), [np.nan, np.nan])
        for name, share in values.items()
    }
    problems = ["none"] * 100 + ["no level meets the deadline"] * 2
    return pd.DataFrame({"problem": problems, **columns})


def verdicts(shares):
    found = sensitivity.findings(handmade(shares))
    return dict(zip([*CLAIMS, "possible"], [log_.verdict for log_ in found], strict=True))


def test_verdicts_follow_the_shares():
    found = verdicts({"damage_dbr": 0.9, "damage_gca": 0.89, "damage_fip": 0.11, "near_star": 0.1})
    assert found["damage_dbr"] == "reproduced"
    assert found["damage_gca"] == found["damage_fip"] == "not determinable"
    assert found["near_star"] == "not reproduced"


def test_readings_of_gamma_star_must_agree():
    assert verdicts({"dbr_gca": 0.05, f"dbr_gca{OWN}": 0.0})["dbr_gca"] == "not reproduced"
    assert verdicts({"dbr_gca": 0.05, f"dbr_gca{OWN}": 0.95})["dbr_gca"] == "not determinable"
    found = sensitivity.findings(handmade({"dbr_gca": 0.05}))[list(CLAIMS).index("dbr_gca")]
    assert "5.0% (2.2% to 11.2%) at 5.12e-9; 100.0%" in found.ours
    assert "depends on what the paper does not give" in found.remark


def test_samples_without_a_game_are_told():
    found = sensitivity.findings(handmade({}))[-1]
    assert found.ours == "100 of 102 samples"
    assert "no level meets the deadline: 2" in found.remark


def test_no_sample_at_all_is_an_error():
    with pytest.raises(ValueError, match="no sample has a game"):
        sensitivity.findings(handmade({}).iloc[-2:])


def test_the_chart_has_a_bar_for_every_claim_and_reading():
    summed = sensitivity.summary(handmade({"near_star": 0.25}))
    assert len(summed) == len(COLUMNS)
    row = summed[summed["claim"] == CLAIMS["near_star"][0]].iloc[0]
    assert row["share"] == 0.25
    assert row["low"] < 0.25 < row["high"]
    sensitivity.chart(summed).to_dict()
