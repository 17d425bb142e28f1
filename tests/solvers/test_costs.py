"""Every solver on games with costs, against enumeration, SCIP, and each other."""

import dataclasses

import numpy as np
import pytest
from tests.solvers.oracles import brute_force, scip_maximum
from tests.solvers.welfare_oracles import Welfare, enumerated, scip_welfare
from tests.support import Eq11, costly, efficient_game, heterogeneous_game, random_game

from tradefl.design import design
from tradefl.experiments.gamma_sweep import settle
from tradefl.solvers import METHODS, planner, solve
from tradefl.tuning import saturation


def game_of(seed, organizations=4, **fixed):
    return costly(random_game(seed, organizations, levels=3, **fixed), seed + 1)


@pytest.mark.parametrize("seed", range(25))
def test_exact_and_cgbd_reach_what_enumeration_finds(seed):
    game = game_of(seed)
    if seed % 5 == 4:
        game = costly(efficient_game(seed, 3, levels=3), seed)
    expected = brute_force(game)
    for method in ("exact", "cgbd"):
        solution = solve(game, method)
        assert solution.status == "optimal"
        tolerance = 1e-8 * max(1.0, expected.size)
        assert solution.potential == pytest.approx(expected.value, abs=tolerance)
        assert solution.upper_bound >= expected.value - 1e-9 * expected.size


@pytest.mark.parametrize("seed", range(4))
def test_exact_reaches_what_scip_finds(seed):
    pytest.importorskip("pyscipopt")
    game = game_of(100 + seed, 8, accuracy="sqrt-loss", start="concave")
    expected, solution = scip_maximum(game), solve(game)
    assert solution.potential >= expected.value - 1e-9 * expected.size
    assert solution.potential <= expected.bound + 1e-6 * max(1.0, abs(expected.bound))


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("method", ["dbr", "exact"])
def test_nobody_gains_by_deviating(method, seed):
    game = game_of(seed, 4)
    solution, judge = solve(game, method), Eq11(game)
    assert solution.status in ("optimal", "equilibrium")
    for i in range(game.size):
        gain, scale = judge.best_gain(solution.profile, i)
        assert gain <= 1e-8 * scale


@pytest.mark.parametrize("method", METHODS)
def test_joining_costs_move_no_contribution(method):
    """The same profile to the last bit, and every payoff lower by what joining costs."""
    game = game_of(7, 4, deadline="loose", accuracy="sqrt-loss")
    more = np.array([3.0, 0.0, 40.0, 1e-3])
    dearer = dataclasses.replace(game, joining_cost=game.joining_cost + more)
    before, after = solve(game, method), solve(dearer, method)
    np.testing.assert_array_equal(after.profile.data_fraction, before.profile.data_fraction)
    np.testing.assert_array_equal(after.profile.cpu_hz, before.profile.cpu_hz)
    assert before.payoffs - after.payoffs == pytest.approx(more)
    assert after.statement(0).section("overhead")[-1].item == "joining cost"


@pytest.mark.parametrize("method", METHODS)
def test_data_that_costs_more_than_it_is_worth_stays_at_home(method):
    game = dataclasses.replace(
        random_game(3, 3, levels=2, accuracy="sqrt-loss", start="concave", deadline="loose"),
        incentive_intensity=0.0,
    )
    dear = dataclasses.replace(game, data_cost=1e4 * game.profitability)
    solution = solve(dear, method)
    least = {"tos": 1.0, "fip": None}.get(method, game.min_data_fraction)
    if least is not None:
        assert solution.profile.data_fraction == pytest.approx(np.full(3, least))
    costs = np.array([entry.data_cost for entry in solution.organizations()])
    assert costs == pytest.approx(dear.data_cost * solution.profile.data_fraction)
    assert np.all(solution.terms.overhead >= costs)


@pytest.mark.parametrize("seed", range(12))
def test_the_planner_reaches_what_enumeration_finds(seed):
    game = game_of(seed, 3)
    best, profile = enumerated(game)
    solution = solve(game, "planner")
    size = float(np.abs(Welfare(game).w).sum() + game.profitability.sum())
    size += float((solution.terms.revenue + solution.terms.overhead).sum())
    assert solution.status == "optimal"
    assert solution.social_welfare >= best - 1e-7 * size
    assert solution.welfare_bound >= best - 1e-9 * size
    assert Eq11(game).welfare(profile) == pytest.approx(best, abs=1e-9 * size)


def test_the_planner_reaches_what_scip_finds():
    pytest.importorskip("pyscipopt")
    game = costly(heterogeneous_game(5, 8, levels=3), 6)
    best, bound = scip_welfare(game)
    solution = solve(game, "planner")
    assert solution.social_welfare >= best - 1e-7 * abs(best)
    assert solution.social_welfare <= bound + 1e-6 * abs(bound)


def test_a_coalition_bears_the_costs_of_its_members():
    game = costly(heterogeneous_game(5, 5, levels=3), 6)
    coalitions = planner.Coalitions(game)
    whole = coalitions.optimum()
    assert whole.welfare == pytest.approx(Eq11(game).welfare(whole.profile))
    single = coalitions.optimum([2])
    p, u = float(game.profitability[2]), float(game.data_units[2])
    d, f = float(single.data_fraction[0]), float(single.cpu_hz[0])
    energy = game.overhead_weight * float(game.capacitances[2]) * f * f
    energy *= float(game.cycles_per_bit[2] * game.data_bits[2]) * d
    sent = game.overhead_weight * (game.download_watts + game.upload_watts) * 1.0
    costs = energy + sent + float(game.data_cost[2]) * d + float(game.joining_cost[2])
    assert single.welfare == pytest.approx(p * float(game.accuracy.value(u * d)) - costs)


@pytest.mark.parametrize("seed", range(3))
def test_the_efficient_rule_gives_everybody_the_same_gain(seed):
    game = costly(heterogeneous_game(seed, 4, levels=3), seed)
    found = design(game)
    judge, scale = Eq11(found.agreed.game), float(found.agreed.certificate.payoff_scale.max())
    without = Eq11(found.without.game).payoffs(found.without.profile)
    gains = judge.payoffs(found.agreed.profile) - without
    assert gains == pytest.approx(np.full(4, gains.mean()), abs=1e-8 * scale)
    assert gains.min() >= -1e-8 * scale
    assert found.agreed.certificate.max_regret <= 1e-6 * scale


@pytest.mark.parametrize("seed", range(8))
def test_at_saturation_everybody_contributes_all_it_can(seed):
    game = game_of(seed, 4, competition="dense")
    gamma = saturation(game)
    profile = solve(game.with_incentive_intensity(gamma * (1.0 + 1e-9))).profile
    rivals = game.total_intensity > 0.0
    most = game.max_data_fraction(profile.cpu_hz)
    assert profile.data_fraction[rivals] == pytest.approx(most[rivals])


def test_many_games_at_once_bear_costs_too():
    games = [costly(heterogeneous_game(seed, 4, levels=3), seed) for seed in range(4)]
    gammas = np.array([0.0, 2e-9, 5e-8])
    found = settle(games, gammas, "DBR")
    for k, game in enumerate(games):
        for j, gamma in enumerate(gammas.tolist()):
            solution = solve(game.with_incentive_intensity(gamma), "dbr")
            assert found.welfare[k, j] == pytest.approx(solution.social_welfare, rel=1e-9)
            assert found.least_payoff[k, j] == pytest.approx(solution.payoffs.min(), rel=1e-9)
