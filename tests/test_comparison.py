"""Rules side by side: each row is what the solvers say, and the sums are those of the payoffs."""

import dataclasses
import functools
import json
import math

import numpy as np
import pytest
from tests.golden.cases import EXAMPLES
from tests.support import Eq11, heterogeneous_game

import tradefl
from tradefl.comparison import compare
from tradefl.design import design
from tradefl.game import SqrtLoss
from tradefl.solvers import solve
from tradefl.tuning import tune

pytestmark = pytest.mark.filterwarnings("error")

ROW = {
    "rule", "title", "incentive_intensity", "status", "max_regret", "social_welfare",
    "price_of_anarchy", "gap_closed", "total_data_fraction", "performance", "payments",
    "individually_rational", "below_alone", "stable", "deficit", "gainers", "losers",
    "largest_gain", "largest_loss", "organizations",
}  # fmt: skip


@functools.cache
def game():
    return heterogeneous_game(2, 5)


@functools.cache
def compared():
    return compare(game())


def by_rule(found):
    return {outcome.rule: outcome for outcome in found.outcomes}


def test_each_row_is_what_the_solvers_say():
    found, bare = compared(), game().with_incentive_intensity(0.0)
    rows = by_rule(found)
    assert list(rows) == ["none", "linear", "tuned", "efficient"]
    expected = {
        "none": solve(bare),
        "linear": solve(game()),
        "tuned": tune(game()).best,
        "efficient": solve(
            game().with_compensation(design(game(), "equal-gain", random_starts=0).rule)
        ),
    }
    optimum = solve(bare, "planner")
    assert found.optimum.social_welfare == optimum.social_welfare
    assert found.optimum.welfare_bound == optimum.welfare_bound
    for rule, solution in expected.items():
        one = rows[rule]
        np.testing.assert_array_equal(one.solution.payoffs, solution.payoffs)
        np.testing.assert_array_equal(
            one.solution.profile.data_fraction, solution.profile.data_fraction
        )
        assert one.solution.status == solution.status
        judge = Eq11(solution.game)
        payoffs = judge.payoffs(solution.profile)
        np.testing.assert_allclose(one.solution.payoffs, payoffs, rtol=1e-11, atol=1e-9)
        np.testing.assert_allclose(
            one.gain, payoffs - expected["none"].payoffs, rtol=0.0, atol=1e-8
        )
        assert one.solution.social_welfare <= found.optimum.welfare_bound * (1.0 + 1e-12)
    assert found.remarks == ()


def test_shares_and_counts_by_hand():
    found = compared()
    rows = by_rule(found)
    best, none = found.optimum.social_welfare, rows["none"].solution.social_welfare
    for row in rows.values():
        welfare = row.solution.social_welfare
        assert row.price_of_anarchy == best / welfare
        assert row.gap_closed == pytest.approx((welfare - none) / (best - none), rel=1e-12)
        gain = row.solution.payoffs - rows["none"].solution.payoffs
        assert row.gainers == int(np.sum(gain > 1e-6))
        assert row.losers == int(np.sum(gain < -1e-6))
        paid = [amount for *_, amount in row.solution.transfers()]
        assert row.payments == pytest.approx(math.fsum(paid), rel=1e-12)
    none, linear, tuned, efficient = rows.values()
    assert (none.gap_closed, none.gainers, none.losers, none.payments) == (0.0, 0, 0, 0.0)
    assert linear.gap_closed > 0.0
    assert tuned.solution.social_welfare >= linear.solution.social_welfare or (
        not linear.solution.certificate.individually_rational
    )
    assert efficient.gap_closed == pytest.approx(1.0, abs=1e-6)
    assert efficient.price_of_anarchy == pytest.approx(1.0, abs=1e-9)
    assert (efficient.gainers, efficient.losers) == (5, 0)
    assert efficient.gain.min() == pytest.approx(efficient.gain.max(), rel=1e-6)


def test_the_document():
    document = json.loads(json.dumps(compared().to_dict(), allow_nan=False))
    assert set(document) == {
        "schema", "consortium", "social_welfare_optimum", "social_welfare_upper_bound",
        "remarks", "rules",
    }  # fmt: skip
    assert document["schema"] == "tradefl/compare/1"
    for row, outcome in zip(document["rules"], compared().outcomes, strict=True):
        assert set(row) == ROW
        gamma = outcome.solution.game.incentive_intensity
        assert row["incentive_intensity"] == (gamma if row["rule"] in ("linear", "tuned") else None)
        gains = [entry["gain"] for entry in row["organizations"]]
        assert gains == outcome.gain.tolist()
        assert row["largest_gain"] == max(gains)
        assert row["largest_loss"] == max(0.0, -min(gains))
        assert [
            entry["payoff"] for entry in row["organizations"]
        ] == outcome.solution.payoffs.tolist()


def test_a_rule_of_ones_own_is_compared_as_it_is():
    rule = design(game(), "least-cash", random_starts=0).rule
    found = by_rule(compare(game().with_compensation(rule), rule=rule))
    np.testing.assert_array_equal(
        found["efficient"].solution.payoffs, solve(game().with_compensation(rule)).payoffs
    )
    assert found["efficient"].title == "the efficient rule of the file"
    # The other rows do not know of it.
    for entry, other in (("none", "none"), ("linear", "linear"), ("tuned", "tuned")):
        np.testing.assert_array_equal(
            found[entry].solution.payoffs, by_rule(compared())[other].solution.payoffs
        )


@pytest.mark.parametrize("target", ["proportional-gain", "least-cash"])
def test_a_target_of_the_rule_that_is_designed(target):
    found = by_rule(compare(game(), target=target))["efficient"]
    expected = design(game(), target, random_starts=0)
    np.testing.assert_allclose(found.gain, expected.gain, rtol=0.0, atol=1e-4)
    assert found.title == f"the efficient rule, {target}"
    assert found.losers == 0


def test_where_no_gamma_is_rational_none_is_tuned():
    ruinous = dataclasses.replace(game(), upload_watts=1e6)
    assert tune(ruinous).best is None
    found = compare(ruinous)
    assert list(by_rule(found)) == ["none", "linear", "efficient"]
    assert found.remarks == (
        "at every gamma some organization would earn more alone, so none is tuned",
        "welfare without compensation is not positive, so there is no price of anarchy",
    )
    for outcome in found.outcomes:
        positive = outcome.solution.social_welfare > 0.0
        assert (outcome.price_of_anarchy is not None) == positive
    assert by_rule(found)["none"].price_of_anarchy is None
    assert design(ruinous, random_starts=0).price_of_anarchy is None
    for outcome in found.outcomes:
        assert not outcome.solution.certificate.individually_rational
    assert by_rule(found)["efficient"].losers == 0
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_model_that_is_worth_nothing():
    """Welfare is 0 whatever anybody does."""
    worthless = dataclasses.replace(
        game(), overhead_weight=0.0, accuracy=SqrtLoss(epochs=5.0, untrained_loss=0.2)
    )
    found = compare(worthless)
    assert {outcome.solution.social_welfare for outcome in found.outcomes[:1]} == {0.0}
    assert found.outcomes[0].price_of_anarchy is None
    json.dumps(found.to_dict(), allow_nan=False)
    json.dumps(design(worthless, random_starts=2).to_dict(), allow_nan=False)


def test_a_rule_of_other_figures_that_leaves_a_loser_is_told():
    stale = design(game(), "equal-gain", random_starts=0).rule
    assert compare(game(), rule=stale).remarks == ()
    moved = stale.constants + np.array([-1e3, *np.full(game().size - 1, 1e3 / (game().size - 1))])
    other = dataclasses.replace(stale, constants=moved)
    [remark] = compare(game(), rule=other).remarks
    assert remark.startswith("1 of 5 organizations lose under the efficient rule of the file")
    assert "design it again" in remark


def test_where_nothing_is_missing_no_share_of_it_is_told():
    free = dataclasses.replace(game(), overhead_weight=0.0)
    for outcome in compare(free).outcomes:
        assert outcome.gap_closed is None
        assert outcome.price_of_anarchy == pytest.approx(1.0, rel=1e-12)


def test_what_is_done_is_told():
    told = []
    compare(heterogeneous_game(1, 2), watch=told.append)
    assert told[:3] == ["the optimum", "the best gamma", "the efficient rule"]


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match=r"^organizations: expected at least two"):
        compare(heterogeneous_game(1, 1))
    with pytest.raises(ValueError, match=r"^time_limit: "):
        compare(game(), time_limit=0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["banks_fraud", "drug_discovery", "hospitals", "paper"])
def test_the_examples(name):
    found = compare(tradefl.load(EXAMPLES / f"{name}.toml").game)
    efficient = by_rule(found)["efficient"]
    assert efficient.gap_closed == pytest.approx(1.0, abs=1e-5)
    assert efficient.losers == 0
