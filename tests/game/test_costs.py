"""Costs that firms really have: data, joining, machines of their own, and data of a quality.

The judge is ``Eq11`` of ``tests.support``, which shares nothing with ``tradefl.game``.
"""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from tests.support import (
    Eq11,
    costly,
    costly_games,
    examples,
    random_game,
    random_profile,
    random_rule,
    seeds,
)

from tradefl.game import (
    InvalidGameError,
    StrategyProfile,
    binds,
    own_term,
    payoffs,
    potential,
    regret,
)
from tradefl.game.externality import Externality
from tradefl.game.welfare import deviation_welfare, social_welfare, welfare_gradient


@examples(60)
@given(costly_games(), seeds())
def test_payoffs_are_those_of_the_formulas(game, seed):
    profile, judge = random_profile(game, seed), Eq11(game)
    terms = payoffs(game, profile)
    for i in range(game.size):
        scale = judge.scale(profile, i)
        assert abs(terms.payoff[i] - float(judge.payoff(profile, i))) <= 1e-12 * scale
    assert terms.social_welfare == pytest.approx(judge.welfare(profile), rel=1e-9, abs=1e-9)


@examples(60)
@given(costly_games(), seeds())
def test_the_potential_changes_by_the_payoff_over_z(game, seed):
    judge = Eq11(game)
    here, there = random_profile(game, seed), random_profile(game, seed + 1)
    own = own_term(game)
    for i in range(game.size):
        moved = here.replaced(i, there.data_fraction[i], there.cpu_hz[i])
        change = float(judge.payoff(moved, i)) - float(judge.payoff(here, i))
        z = game.profitability[i] - float(judge.rho[i] @ game.profitability)
        promised = z * (potential(game, moved) - potential(game, here))
        size = judge.scale(here, i) + judge.scale(moved, i)
        size += z * (np.abs(own.value(here)).sum() + np.abs(own.value(moved)).sum())
        # alpha is a difference of what data earns and costs: each may be larger than its value.
        size += z * float((np.abs(own.data_gain).max(axis=1) + game.data_cost / z).sum())
        assert abs(change - promised) <= 1e-12 * size


@pytest.mark.parametrize("seed", range(12))
def test_regret_is_that_of_a_dense_search(seed):
    game = costly(random_game(seed, 3), seed)
    if seed % 3 == 0:
        game = game.with_compensation(random_rule(game, seed))
    profile, judge = random_profile(game, seed), Eq11(game)
    found = regret(game, profile)
    for i in range(game.size):
        gain, scale = judge.best_gain(profile, i)
        assert found[i] == pytest.approx(gain, abs=1e-7 * scale)


@pytest.mark.parametrize("seed", range(6))
def test_welfare_changes_by_the_costs_too(seed):
    game = costly(random_game(seed, 3, accuracy="user-log", deadline="loose"), seed)
    here, there = random_profile(game, seed), random_profile(game, seed + 9)
    judge = Eq11(game)
    for i in range(3):
        d, f = float(there.data_fraction[i]), float(there.cpu_hz[i])
        moved = here.replaced(i, d, f)
        expected = judge.welfare(moved) - judge.welfare(here)
        size = sum(judge.scale(here, k) + judge.scale(moved, k) for k in range(3))
        assert deviation_welfare(game, here, i)(d, f) == pytest.approx(expected, abs=1e-11 * size)
        step = 1e-6
        up = here.replaced(i, float(here.data_fraction[i]) + step, float(here.cpu_hz[i]))
        down = here.replaced(i, float(here.data_fraction[i]) - step, float(here.cpu_hz[i]))
        slope = (judge.welfare(up) - judge.welfare(down)) / (2.0 * step)
        assert welfare_gradient(game, here)[i] == pytest.approx(slope, abs=1e-6 * size)


@examples(40)
@given(costly_games(4, accuracy="user-log"), seeds())
def test_joining_costs_move_no_deviation_and_no_externality(game, seed):
    """What is paid once changes payoffs by itself and nothing else."""
    dearer = dataclasses.replace(game, joining_cost=game.joining_cost + 12.5)
    profile = random_profile(game, seed)
    np.testing.assert_array_equal(regret(dearer, profile), regret(game, profile))
    assert potential(dearer, profile) == potential(game, profile)
    before, after = payoffs(game, profile), payoffs(dearer, profile)
    assert after.overhead == pytest.approx(before.overhead + 12.5)
    lost = social_welfare(game, profile) - social_welfare(dearer, profile)
    size = float(np.abs(before.revenue).sum() + before.overhead.sum()) + 1.0
    assert lost == pytest.approx(12.5 * game.size, abs=1e-12 * size)
    everyone, d = np.arange(game.size), np.full(game.size, 0.5)
    np.testing.assert_array_equal(
        Externality(dearer, profile).value(everyone, d),
        Externality(game, profile).value(everyone, d),
    )


def test_absent_costs_change_no_bit():
    plain = random_game(5, 4)
    given_ = dataclasses.replace(
        plain, data_cost=np.zeros(4), joining_cost=0.0, capacitance=np.full(4, 1e-27), quality=1.0
    )
    profile = random_profile(plain, 1)
    assert potential(given_, profile) == potential(plain, profile)
    np.testing.assert_array_equal(payoffs(given_, profile).payoff, payoffs(plain, profile).payoff)
    np.testing.assert_array_equal(regret(given_, profile), regret(plain, profile))
    assert plain.capacitance == 1e-27
    np.testing.assert_array_equal(plain.capacitances, np.full(4, 1e-27))
    np.testing.assert_array_equal(plain.data_cost, np.zeros(4))


def test_quality_weighs_data_once():
    game = random_game(5, 3)
    weighed = dataclasses.replace(game, quality=[0.5, 1.0, 2.0])
    np.testing.assert_array_equal(weighed.data_units, game.data_units * [0.5, 1.0, 2.0])
    again = weighed.with_incentive_intensity(0.0)
    np.testing.assert_array_equal(again.data_units, weighed.data_units)
    np.testing.assert_array_equal(again.data_bits, game.data_bits)  # payments count bits
    profile = random_profile(game, 3)
    np.testing.assert_array_equal(weighed.resource(profile), game.resource(profile))


@pytest.mark.parametrize(
    ("field", "value", "organization"),
    [
        ("data_cost", [0.0, -1.0, 0.0], 1),
        ("data_cost", [0.0, 0.0, math.nan], 2),
        ("data_cost", [math.inf, 0.0, 0.0], 0),
        ("joining_cost", [-1e-9, 0.0, 0.0], 0),
        ("joining_cost", [0.0, math.inf, 0.0], 1),
        ("capacitance", [1e-27, -1e-27, 1e-27], 1),
        ("capacitance", [1e-27, 1e-27, math.nan], 2),
        ("quality", [1.0, 0.0, 1.0], 1),
        ("quality", [-1.0, 1.0, 1.0], 0),
        ("quality", [1.0, 1.0, math.nan], 2),
        ("quality", [1.0, math.inf, 1.0], 1),
        ("quality", [1.0, 1.0, 5e-324], 2),
        ("data_cost", [1.0, 1.0], None),
        ("joining_cost", [1.0, 1.0], None),
        ("capacitance", [1e-27, 1e-27], None),
        ("quality", [1.0, 1.0], None),
        ("capacitance", -1.0, None),
    ],
)
def test_costs_that_are_not_are_refused(field, value, organization):
    game = dataclasses.replace(random_game(5, 3), data_units=np.full(3, 0.4))
    with pytest.raises(InvalidGameError) as caught:
        dataclasses.replace(game, **{field: value})
    assert [(i, name) for i, name, _ in caught.value.problems] == [(organization, field)]


def test_costs_beyond_double_precision_are_refused():
    with pytest.raises(InvalidGameError, match="overhead: too large"):
        dataclasses.replace(random_game(5, 3), data_cost=1e308)


# --- what binds ---------------------------------------------------------------------------------


def test_what_binds():
    game = random_game(2, 4, levels=3, deadline="tight")
    f = np.fmax.reduce(game.cpu_levels_hz, axis=1)
    h = game.max_data_fraction(f)
    i = int(np.argmin(h))
    assert game.min_data_fraction < h[i] < 1.0
    d = np.full(4, 0.5 * (game.min_data_fraction + h.min()))
    assert set(binds(game, StrategyProfile(d, f))) == {"interior"}
    for limit, name in ((h[i], "deadline"), (game.min_data_fraction, "minimum"), (1.0, "all data")):
        profile = StrategyProfile(d, f).replaced(i, float(limit), float(f[i]))
        assert binds(game, profile)[i] == name
        close = StrategyProfile(d, f).replaced(i, float(limit) * (1.0 - 1e-10), float(f[i]))
        assert binds(game, close)[i] == name


def test_all_data_comes_before_the_deadline_and_the_minimum():
    """Where limits coincide the first of the list is named: all data, minimum, deadline."""
    game = dataclasses.replace(random_game(2, 2, deadline="loose"), min_data_fraction=1.0)
    profile = StrategyProfile(np.ones(2), np.fmax.reduce(game.cpu_levels_hz, axis=1))
    assert binds(game, profile) == ("all data", "all data")
    tight = random_game(2, 4, levels=1, deadline="tight")
    h = tight.max_data_fraction(tight.cpu_levels_hz[:, 0])
    i = int(np.argmin(h))
    at = dataclasses.replace(tight, min_data_fraction=float(h[i]))
    profile = StrategyProfile(np.full(4, float(h[i])), tight.cpu_levels_hz[:, 0])
    assert binds(at, profile)[i] == "minimum"
