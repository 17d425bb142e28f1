"""Every built-in mechanism pays what its definition says, and best responses agree with it."""

import dataclasses
import math

import numpy as np
import pytest
from tests.mechanisms.oracles import ORACLES, Plain, best_gain, pairwise
from tests.support import heterogeneous_game, random_profile

import tradefl
from tradefl.errors import InputError
from tradefl.game import CoopetitionGame, StrategyProfile, best_responses, payoffs
from tradefl.mechanisms import BUILT_IN, known, make_mechanism, title_of
from tradefl.mechanisms.truthful import make as make_truthful

pytestmark = pytest.mark.filterwarnings("error")
SEEDS = (3, 5)
QUICK = [name for name in BUILT_IN if name != "truthful"]


def game_of(seed: int) -> CoopetitionGame:
    return heterogeneous_game(seed, 3, levels=3)


def profiles_of(game: CoopetitionGame, seed: int) -> list[StrategyProfile]:
    rng = np.random.default_rng(seed)
    return [random_profile(game, rng), game.initial_profile()]


def test_every_mechanism_is_a_file_with_its_source():
    for name in BUILT_IN:
        game = game_of(3)
        if name == "truthful":
            continue
        mechanism = make_mechanism(name, game)
        assert title_of(name, mechanism)
        text = type(mechanism).__doc__ or ""
        if not mechanism.pairwise:
            assert "Source:" in text
            assert "Deviation" in text
            assert mechanism.name == name


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ORACLES)
def test_it_pays_what_its_definition_says(name, seed):
    game = game_of(seed)
    played = game.with_compensation(make_mechanism(name, game))
    expected = ORACLES[name](Plain(game))
    first = None
    for profile in profiles_of(game, seed):
        found = payoffs(played, profile).payoff
        # The payments of VCG hold what the others would have: a number for each.
        shift = found - np.array(expected(profile)) if name == "vcg" else np.zeros(game.size)
        first = shift if first is None else first
        rel = 1e-6 if name == "tang-wong" else 1e-10  # its prices here are difference quotients
        scale = rel * float(np.abs(found).max())
        np.testing.assert_allclose(found - first, expected(profile), rtol=0.0, atol=scale)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", QUICK)
def test_best_responses_agree_with_the_definition(name, seed):
    game = game_of(seed)
    played = game.with_compensation(make_mechanism(name, game))
    judge = (
        ORACLES[name](Plain(game))
        if name in ORACLES
        else pairwise(game if name == "linear" else played)
    )
    for profile in profiles_of(game, seed):
        found = best_responses(played, profile)
        assert np.all(found.bound >= found.gain)
        for i in range(game.size):
            expected = best_gain(game, judge, profile, i)
            scale = float(np.abs(payoffs(played, profile).payoff).max())
            slack = (1e-6 if name == "tang-wong" else 1e-9) * scale
            assert found.gain[i] == pytest.approx(expected, rel=0.0, abs=slack)
            moved = profile.replaced(i, float(found.d[i]), float(found.f[i]))
            gained = judge(moved)[i] - judge(profile)[i]
            assert gained == pytest.approx(found.gain[i], rel=0.0, abs=slack)


def test_the_truthful_rule_too():
    game = heterogeneous_game(4, 3, levels=2)
    rule = make_truthful(game)
    played = game.with_compensation(rule)
    solution = tradefl.solve(played)
    assert solution.status in ("equilibrium", "optimal")
    profile = game.initial_profile()
    found = best_responses(played, profile)
    for i in range(game.size):
        expected = best_gain(game, pairwise(played), profile, i)
        assert found.gain[i] == pytest.approx(expected, rel=0.0, abs=1e-6)


@pytest.mark.parametrize("name", QUICK)
def test_equilibria_are_certified(name):
    game = heterogeneous_game(2, 5)
    solution = tradefl.solve(game.with_compensation(make_mechanism(name, game)))
    assert solution.status in ("equilibrium", "optimal")
    assert solution.certificate.proven == (name not in ("leave-one-out-profile", "by-data-profile"))
    size = float(np.abs(solution.terms.redistribution).sum())
    if name == "vcg":
        assert solution.terms.deficit > 0.0
    else:
        assert abs(math.fsum(solution.terms.redistribution)) <= 1e-9 * size
        assert solution.terms.deficit == 0.0
    optimum = tradefl.solve(game.with_incentive_intensity(0.0), "planner")
    assert solution.social_welfare <= optimum.welfare_bound * (1.0 + 1e-12)
    if name in ("equal-split", "vcg", "efficient"):
        assert solution.social_welfare == pytest.approx(optimum.social_welfare, rel=1e-9)


def test_amounts_scale_with_the_currency():
    game = heterogeneous_game(2, 4)
    for name in QUICK:
        solution = tradefl.solve(game.with_compensation(make_mechanism(name, game)))
        money = tradefl.game.in_currency(
            dataclasses.replace(solution.game, currency="EUR", payoff_unit=1000.0)
        )
        shown = payoffs(money, solution.profile)
        np.testing.assert_allclose(
            shown.redistribution, 1000.0 * solution.terms.redistribution, rtol=1e-9, atol=1e-6
        )


def test_unknown_names_and_splits_are_refused():
    game = game_of(3)
    with pytest.raises(InputError, match=r"did you mean 'shapley-profile'"):
        make_mechanism("shapley-profil", game)
    with pytest.raises(InputError, match="expected one of linear, efficient"):
        make_mechanism("", game)
    assert known()[: len(BUILT_IN)] == tuple(BUILT_IN)


def test_too_many_organizations_are_refused():
    game = heterogeneous_game(1, 15)
    with pytest.raises(ValueError, match="compensation: expected at most 14 organizations, got 15"):
        game.with_compensation(make_mechanism("shapley-profile", game))
