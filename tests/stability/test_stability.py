"""Verdicts, bounds and margins, against enumeration with independent values and by symmetry."""

from __future__ import annotations

import dataclasses
import json
import math
import sys

import numpy as np
import pytest
from tests.stability.oracles import (
    PER_ORGANIZATION,
    largest_excess,
    margin_by_lp,
    restricted,
    values_by_enumeration,
    with_nothing,
)
from tests.support import dense_rho, heterogeneous_game, random_game

import tradefl
from tradefl.stability import SPLITS, Values, least_core, separate, shapley_value, stability
from tradefl.stability.sampling import _marginals
from tradefl.stability.tables import shapley
from tradefl.stability.values import all_coalitions


def drawn(seed: int, n: int, **fixed):
    return random_game(
        seed,
        n,
        **{"levels": 2, "accuracy": "sqrt-loss", "start": "concave", "gamma": 0.5, **fixed},
    )


def check(game, outside: str, values: dict[tuple[int, ...], float]) -> int:
    """Compare every split of a game with the oracle; return how many comparisons were made."""
    values = values if outside == "own-model" else with_nothing(values)
    total = values[tuple(range(game.size))]
    size = max(abs(total), float(game.profitability.sum()) * 1e-3)
    slack = 1e-7 * size
    margin = margin_by_lp(values)
    for split in SPLITS:
        found = stability(game, split, outside=outside)
        assert abs(found.grand_value - total) <= slack
        truth = largest_excess(values, found.payoff)
        assert found.max_excess_bound >= truth - slack  # never below the truth
        assert found.max_excess <= truth + slack
        if truth > slack:
            assert found.verdict == "not stable"
            assert found.max_excess == pytest.approx(truth, abs=slack)
            who = [i for i in range(game.size) if found.members[i]]
            assert values[tuple(who)] == pytest.approx(found.members_value, abs=slack)
        elif truth < -slack:
            assert found.verdict == "stable"
        assert found.margin_certified
        assert found.margin == pytest.approx(margin, abs=slack)
        other = stability(game, split, outside=outside, method="enumeration")
        assert other.verdict == found.verdict
        assert other.margin == pytest.approx(found.margin, abs=slack)
        assert other.least_core == pytest.approx(found.least_core, abs=1e-6 * size)
    return len(SPLITS)


@pytest.mark.parametrize(("seed", "outside"), [(0, "own-model"), (1, "nothing")])
def test_every_verdict_against_enumeration(seed, outside):
    game = drawn(seed, 3)
    assert check(game, outside, values_by_enumeration(game)) == len(SPLITS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(500))
def test_five_hundred_consortia_against_enumeration(seed, monkeypatch):
    """Three to six organizations, all splits, both outsides, with compiled loops."""
    monkeypatch.setattr(sys.modules[Values.__module__], "COMPILE_FROM", 1)
    accuracy = ["sqrt-loss", "power-law", "empirical"][seed % 3]
    n = 6 if seed % 20 == 19 else 5 if seed % 10 == 7 else 3 + seed // 3 % 2
    game = drawn(seed, n, accuracy=accuracy, levels=1 if n == 6 else 2)
    values = values_by_enumeration(game)
    for outside in ("own-model", "nothing"):
        assert check(game, outside, values) == len(SPLITS)


@pytest.mark.parametrize("accuracy", ["sqrt-loss", "power-law", "empirical", "user"])
@pytest.mark.parametrize("start", ["flat", "concave"])
def test_the_bound_is_never_below_what_any_coalition_gains(accuracy, start):
    """On random splits of random games: search against all coalitions valued one by one."""
    rng = np.random.default_rng(7)
    for seed in range(2):
        game = random_game(seed, 4, levels=2, accuracy=accuracy, start=start)
        values = Values(game)
        members = all_coalitions(4)[:-1]
        worth, bound = values.of(members)
        assert (bound >= worth - 1e-12 * np.abs(worth)).all()
        total = values.grand[0]
        tolerance = 1e-9 * abs(total) + 1e-12
        for _ in range(3):
            pay = values.marginal + rng.normal(0.0, 0.3, 4) * abs(total) / 4
            pay += (total - pay.sum()) / 4
            truth = float((worth - members @ pay).max())
            found = separate(values, pay, tolerance=tolerance)
            assert found.bound >= truth - tolerance
            assert (found.excess > tolerance) == (truth > tolerance)
            if truth > tolerance:
                assert found.excess == pytest.approx(truth, abs=2.0 * tolerance)


def test_a_limit_of_nodes_leaves_a_valid_bound():
    game = tradefl.load("examples/drug_discovery.toml").game
    values = Values(game)
    members = all_coalitions(10)[:-1]
    worth, _ = values.of(members)
    total = values.grand[0]
    pay = total * game.profitability / game.profitability.sum()
    truth = float((worth - members @ pay).max())
    for limit in (1, 20):
        found = separate(values, pay, tolerance=1e-9 * total, node_limit=limit)
        assert found.bound >= truth
    # Nothing is claimed that is not proven.
    strange = worth[-1] * game.data_units / game.data_units.sum()
    short = separate(values, strange, tolerance=1e-9 * total, node_limit=1)
    assert short.bound >= float((worth - members @ strange).max())


# --- what must not matter -------------------------------------------------------------------------


def test_another_order_of_the_organizations_changes_nothing():
    game = drawn(11, 5)
    order = np.array([3, 0, 4, 1, 2])
    other = restricted(game, order)
    for split in ("efficient", "by-data", "shapley"):
        one, two = stability(game, split), stability(other, split)
        assert one.verdict == two.verdict
        assert one.margin == pytest.approx(two.margin, rel=1e-9)
        assert one.max_excess == pytest.approx(two.max_excess, rel=1e-7)
        # The least core may hold several points; the one chosen does not depend on the order.
        slack = 1e-7 * one.grand_value
        assert two.least_core == pytest.approx(one.least_core[order], abs=slack)
        for found, solved in ((one, game), (two, other)):
            again = stability(solved, found.least_core)
            assert again.max_excess == pytest.approx(-one.margin, rel=1e-6)


def test_another_currency_changes_nothing_but_the_unit():
    game = drawn(3, 4)
    other = dataclasses.replace(
        game,
        profitability=1e3 * game.profitability,
        overhead_weight=1e3 * game.overhead_weight,
        incentive_intensity=1e3 * game.incentive_intensity,
        data_cost=1e3 * game.data_cost,
        joining_cost=1e3 * game.joining_cost,
    )
    for reading in ("literal", "market"):
        one, two = stability(game, reading=reading), stability(other, reading=reading)
        assert one.verdict == two.verdict
        assert two.margin == pytest.approx(1e3 * one.margin, rel=1e-7)
        assert two.max_excess == pytest.approx(1e3 * one.max_excess, rel=1e-7)


def test_equal_organizations_are_promised_the_same():
    game = random_game(2, 4, equal=True, accuracy="sqrt-loss", competition="dense")
    rho = np.full((4, 4), 0.05) - 0.05 * np.eye(4)
    game = dataclasses.replace(game, competition=rho)
    values = Values(game)
    core = least_core(values, tolerance=1e-9 * abs(values.grand[0]))
    assert np.ptp(core.payoff) <= 1e-8 * abs(values.grand[0])
    assert np.ptp(shapley_value(values)[0]) <= 1e-9 * abs(values.grand[0])


# --- theorems -------------------------------------------------------------------------------------


def superadditivity(game, market: bool = False) -> float:
    """The least surplus of any merge of two disjoint coalitions, member terms for singles."""
    values = Values(game, "market" if market else "literal", "nothing")
    n = game.size
    worth = np.append(0.0, values.of(all_coalitions(n))[0])
    for i in range(n):  # a single on the terms of members: transfers, joining, D_min
        best = values.coalitions.optimum(np.array([i]), market=market)
        worth[1 << i] = best.welfare
    least = np.inf
    for s in range(1, 1 << n):
        for t in range(1, 1 << n):
            if s & t == 0:
                least = min(least, worth[s | t] - worth[s] - worth[t])
    return float(least / max(abs(worth[-1]), 1e-300))


@pytest.mark.parametrize("seed", range(6))
def test_a1_growing_pays(seed):
    game = drawn(seed, 4, competition="dense", accuracy=["sqrt-loss", "power-law"][seed % 2])
    if float(game.accuracy.onset) > 0.0:  # concave from zero data on
        game = dataclasses.replace(
            game, accuracy=tradefl.PowerLaw(2.0, 1.0, 0.5) if seed % 2 else game.accuracy
        )
    assert superadditivity(game) >= -1e-9


@pytest.mark.parametrize("seed", range(6))
def test_a2_and_a3_without_rivalry_the_core_is_not_empty(seed):
    """On members' terms: singles too pay transfers and contribute D_min."""
    accuracy = ["sqrt-loss", "power-law", "empirical"][seed % 3]
    game = drawn(seed, 4, accuracy=accuracy, start=["flat", "concave"][seed % 2])
    game = dataclasses.replace(game, competition=np.zeros((4, 4)))
    values = Values(game)
    worth, _ = values.of(all_coalitions(4))
    for i in range(4):
        worth[(1 << i) - 1] = values.coalitions.optimum(np.array([i])).welfare
    from tradefl.stability.tables import least_core_of

    assert least_core_of(worth)[1] >= -1e-9 * abs(worth[-1])  # A2
    # A3: free joining makes the split by profitability a core point.
    free = dataclasses.replace(
        game, min_data_fraction=1e-12, download_watts=0.0, upload_watts=0.0, joining_cost=0.0
    )
    found = Values(free)
    worth, _ = found.of(all_coalitions(4))
    pay = worth[-1] * free.profitability / free.profitability.sum()
    for row, value in zip(all_coalitions(4), worth, strict=True):
        if row.sum() > 1:
            assert value - pay[row].sum() <= 1e-9 * abs(worth[-1])


@pytest.mark.parametrize("seed", range(4))
def test_a4_no_margin_is_above_ebar(seed):
    game = drawn(seed, 5)
    values = Values(game)
    ebar = (values.marginal.sum() - values.grand[0]) / 5
    core = least_core(values, tolerance=1e-9 * abs(values.grand[0]))
    assert core.certified
    assert core.margin <= ebar + 1e-9 * abs(values.grand[0])


def identical(n: int, rho: float):
    return tradefl.CoopetitionGame(
        profitability=np.full(n, 1000.0),
        data_bits=np.full(n, 20e9),
        cycles_per_bit=1.0,
        cpu_levels_hz=[1e9],
        competition=np.full((n, n), rho) - rho * np.eye(n),
        accuracy=tradefl.SqrtLoss(5.0, 0.79),
        data_units=np.full(n, 20.0),
        overhead_weight=0.0,
        download_watts=0.0,
        upload_watts=0.0,
    )


def threshold(n: int) -> float:
    """A5: from which rivalry on equal firms with all data and no costs have an empty core."""
    p = [0.0, *(float(tradefl.SqrtLoss(5.0, 0.79).value(20.0 * s)) for s in range(1, n + 1))]
    found = []
    for s in range(1, n):
        below = (n - 1) * p[n] - (s - 1) * p[s] - (n - s) * p[n - s]
        if below > 0.0:
            found.append((p[n] - p[s]) / below)
    return min(found)


def test_a5_the_threshold_of_equal_firms():
    assert threshold(10) == pytest.approx(0.020845, abs=5e-7)
    n = 6
    limit = threshold(n)
    below = stability(identical(n, 0.999 * limit), "efficient", reading="market")
    above = stability(identical(n, 1.001 * limit), "efficient", reading="market")
    assert below.margin > 0.0 > above.margin
    assert below.verdict == "stable"
    assert above.verdict == "not stable"
    assert below.cost_of_stability == 0.0
    assert above.cost_of_stability > 0.0


# --- the examples, and what is written ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "margin", "literal_cost"),
    [("paper", 0.367, 0.49), ("drug_discovery", 0.310, 0.071), ("hospitals", 1.254, 0.0)],
)
def test_the_examples_have_stable_splits(name, margin, literal_cost):
    game = tradefl.load(f"examples/{name}.toml").game
    found = stability(game, "efficient")
    assert found.verdict == "stable"
    assert 100.0 * found.margin / found.grand_value == pytest.approx(margin, abs=5e-4)
    market = stability(game, "efficient", reading="market")
    cost = 100.0 * market.cost_of_stability / market.grand_value
    assert cost == pytest.approx(literal_cost, abs=5e-3)


def test_the_gamma_of_the_banks_is_blocked_and_by_whom():
    found = stability(tradefl.load("examples/banks_fraud.toml"))
    assert found.verdict == "not stable"
    assert found.blocking == 29
    assert found.names(~found.members) == ["Summit Corporate"]
    assert 100.0 * found.max_excess / found.grand_value == pytest.approx(0.9949, abs=5e-5)
    assert 100.0 * found.margin / found.grand_value == pytest.approx(0.8294, abs=5e-5)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert list(document)[:17] == [
        "schema", "consortium", "reading", "outside", "split", "verdict",
        "grand_coalition_value", "grand_coalition_bound", "max_excess", "max_excess_bound",
        "strongest_coalition", "margin", "margin_certified", "cost_of_stability",
        "organizations", "coalitions_examined", "nodes",
    ]  # fmt: skip
    assert len(document["strongest_coalition"]["members"]) == 11
    row = document["organizations"][0]
    assert set(row) == {"name", "alone", "payoff", "marginal", "least_core"}


def test_beyond_sixteen_the_market_reading_says_that_it_only_looked():
    rng = np.random.default_rng(1)
    n = 18
    game = dataclasses.replace(
        identical(n, 0.001), profitability=rng.uniform(500.0, 1500.0, n), title="many"
    )
    found = stability(game, "by-profitability", reading="market")
    assert found.verdict != "stable"
    assert not found.margin_certified
    assert found.cost_of_stability is None
    assert "looked for" in found.remarks[0]
    assert found.max_excess_bound >= found.max_excess


def test_a_sampled_shapley_value_has_an_interval_and_sums_to_the_total():
    game = identical(13, 0.02)
    game = dataclasses.replace(game, profitability=np.linspace(500.0, 1500.0, 13))
    values = Values(game)
    value, half = shapley_value(values, pairs=20, seed=3)
    assert value.sum() == pytest.approx(values.grand[0], rel=1e-12)
    assert (half > 0.0).all()
    again, _ = shapley_value(Values(game), pairs=20, seed=3)
    assert np.array_equal(value, again)
    # The empirical Bernstein bound, by hand.
    _, wide = shapley_value(Values(game), pairs=2, seed=3)
    rng, pairs = np.random.default_rng(3), []
    for _ in range(2):
        order = rng.permutation(13)
        pairs.append([_marginals(values, each) for each in (order, order[::-1])])
    seen = np.array([*pairs[0], *pairs[1], values.singles, values.marginal])
    means = np.array(pairs).mean(axis=1)
    deviation = np.abs(means[0] - means[1]) / math.sqrt(2.0)
    expected = deviation * math.sqrt(math.log(80.0)) + 7.0 * math.log(80.0) / 3.0 * np.ptp(seen, 0)
    assert wide == pytest.approx(expected, rel=1e-9)
    found = stability(game, "shapley")
    assert all("half_width" in row for row in found.to_dict()["organizations"])


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "spread"), [(1, 0.8), (2, 1.2), (5, 1.0)])
def test_the_interval_of_a_sampled_shapley_value_covers(seed, spread):
    """2,000 seeds with the fewest pairs, against the value from all 8,191 coalitions."""
    values = Values(heterogeneous_game(seed, 13, spread=spread))
    exact = shapley(values.of(all_coalitions(13))[0])
    covered = np.zeros(13)
    for k in range(2_000):
        value, half = shapley_value(values, pairs=20, seed=k)
        covered += np.abs(value - exact) <= half
    assert covered.min() >= 0.95 * 2_000


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"split": "best"}, r"^split: expected one of file, efficient"),
        ({"split": [1.0, 2.0]}, r"^split: expected 10 finite payoffs"),
        ({"split": [1.0] * 10}, r"^split: the payoffs sum to 10, but together"),
        ({"reading": "figurative"}, r"^reading: expected one of literal, market"),
        ({"outside": "gold"}, r"^outside: expected one of own-model, nothing"),
        ({"reading": "market", "outsiders": "x"}, r"^outsiders: expected one of together, alone"),
        ({"method": "guess"}, r"^method: expected one of search, enumeration"),
        ({"time_limit": 0.0}, r"^time_limit: expected a number > 0"),
    ],
)
def test_bad_options_are_named(options, what):
    with pytest.raises(ValueError, match=what):
        stability(tradefl.load("examples/paper.toml"), **options)


def test_one_organization_and_too_many_to_enumerate_are_refused():
    game = identical(17, 0.01)
    with pytest.raises(ValueError, match=r"^method: enumeration tries all 2\^17 coalitions"):
        stability(game, method="enumeration")
    with pytest.raises(ValueError, match=r"^organizations: expected at least two"):
        stability(restricted(game, [0]))


def test_every_figure_of_an_organization_is_restricted():
    """The oracle's own games have all figures of the organizations, whichever there are."""
    game = identical(3, 0.1)
    per_organization = {
        field.name
        for field in dataclasses.fields(game)
        if np.shape(getattr(game, field.name))[:1] == (3,) and field.name != "competition"
    }
    assert per_organization <= set(PER_ORGANIZATION)
    assert dense_rho(restricted(game, [0, 2]).competition).shape == (2, 2)
