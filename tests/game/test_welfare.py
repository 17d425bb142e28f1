"""Social welfare as a function against the sum of all payoffs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Eq11, efficient_games, examples, games, random_profile, seeds

from tradefl.game import payoffs
from tradefl.game.welfare import (
    deviation_welfare,
    payoffs_without_redistribution,
    social_welfare,
    welfare_gradient,
)

any_game = st.one_of(games(), efficient_games())


def size(game, profile):
    judge = Eq11(game)
    return sum(judge.scale(profile, i) for i in range(game.size))


@examples(80)
@given(any_game, seeds())
def test_welfare_is_the_sum_of_all_payoffs_under_any_rule(game, seed):
    profile, judge = random_profile(game, seed), Eq11(game)
    welfare = social_welfare(game, profile)
    assert welfare == pytest.approx(judge.welfare(profile), abs=1e-12 * size(game, profile))
    total = math.fsum(payoffs(game, profile).payoff)
    assert welfare == pytest.approx(total, abs=1e-12 * size(game, profile))


@examples(60)
@given(any_game, seeds())
def test_payoffs_without_redistribution_are_those_of_the_formulas(game, seed):
    profile, judge = random_profile(game, seed), Eq11(game)
    found = payoffs_without_redistribution(game, profile)
    for i in range(game.size):
        assert found[i] == pytest.approx(
            float(judge.payoff0(profile, i)), abs=1e-12 * judge.scale(profile, i)
        )


@examples(80)
@given(any_game, seeds())
def test_what_all_gain_by_one_deviation_is_the_difference_of_two_welfares(game, seed):
    here, there = random_profile(game, seed), random_profile(game, seed + 1)
    judge = Eq11(game)
    for i in range(game.size):
        d, f = float(there.data_fraction[i]), float(there.cpu_hz[i])
        moved = here.replaced(i, d, f)
        expected = judge.welfare(moved) - judge.welfare(here)
        found = deviation_welfare(game, here, i)(d, f)
        assert found == pytest.approx(expected, abs=1e-12 * (size(game, here) + size(game, moved)))


@examples(60)
@given(games(accuracy="sqrt-loss", start="concave"), seeds())
def test_the_gradient_is_that_of_finite_differences(game, seed):
    profile, judge = random_profile(game, seed), Eq11(game)
    gradient = welfare_gradient(game, profile)
    step = 1e-5
    for i in range(game.size):
        at, f = float(profile.data_fraction[i]), float(profile.cpu_hz[i])
        # P is smooth where all that anybody misses is its own data.
        lowest = (
            game.omega(profile)
            - float(np.max(profile.data_fraction * game.data_units))
            - 2.0 * at * float(game.data_units[i])
        )
        if lowest < game.accuracy.onset:
            continue
        welfare = [judge.welfare(profile.replaced(i, at * (1.0 + by), f)) for by in (-step, step)]
        slope = (welfare[1] - welfare[0]) / (2.0 * step * at)
        rough = abs(gradient[i]) * 1e-6 + 1e-12 * size(game, profile) / (step * at)
        assert gradient[i] == pytest.approx(slope, abs=rough)
