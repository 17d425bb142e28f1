"""Regret and certificate against a dense search over Eq. (6)-(11) that shares no code."""

import numpy as np
import pytest
from hypothesis import given
from tests.support import (
    Eq11,
    efficient_game,
    efficient_games,
    examples,
    games,
    random_game,
    random_profile,
    seeds,
)

from tradefl.game import (
    CoopetitionGame,
    PowerLaw,
    StrategyProfile,
    certify,
    deviation_gain,
    regret,
)


def assert_regret_is_the_best_gain(game, profile):
    judge, found = Eq11(game), regret(game, profile)
    for i in range(game.size):
        best, scale = judge.best_gain(profile, i)
        assert found[i] >= 0.0
        assert found[i] == pytest.approx(best, rel=0, abs=1e-9 * scale)


@examples(120)
@given(games(max_organizations=4, start="concave"), seeds())
def test_regret_is_what_a_dense_search_finds(game, seed):
    assert_regret_is_the_best_gain(game, random_profile(game, seed))


@examples(60)
@given(games(max_organizations=4, start="flat"), seeds())
def test_regret_is_what_a_dense_search_finds_where_performance_may_start_flat(game, seed):
    assert_regret_is_the_best_gain(game, random_profile(game, seed))


@examples(80)
@given(efficient_games(max_organizations=4), seeds())
def test_regret_under_the_efficient_rule_is_what_a_dense_search_finds(game, seed):
    assert_regret_is_the_best_gain(game, random_profile(game, seed))


@pytest.mark.parametrize("accuracy", ["sqrt-loss", "power-law"])
def test_regret_under_the_efficient_rule_sees_past_the_flat_part_of_performance(accuracy):
    for seed in range(25):
        game = efficient_game(seed, 2, accuracy=accuracy, start="flat")
        assert_regret_is_the_best_gain(game, random_profile(game, seed, kind="low"))


@pytest.mark.parametrize("accuracy", ["sqrt-loss", "power-law"])
@pytest.mark.parametrize("gamma", [None, 0.0])
@examples(30)
@given(seed=seeds())
def test_regret_sees_past_the_flat_part_of_performance(accuracy, gamma, seed):
    game = random_game(seed, 4, accuracy=accuracy, gamma=gamma, start="flat")
    profile = random_profile(game, seed, kind="low")
    assert_regret_is_the_best_gain(game, profile)


@examples(60)
@given(games(), seeds())
def test_deviation_gain_is_the_difference_of_two_payoffs(game, seed):
    judge = Eq11(game)
    here, there = random_profile(game, seed), random_profile(game, seed + 1)
    everyone = np.arange(game.size)
    gain = deviation_gain(game, here, everyone, there.data_fraction, there.cpu_hz)
    for i in everyone:
        d, f = there.data_fraction[i], there.cpu_hz[i]
        expected = float(judge.payoff(here, i, d, f)) - float(judge.payoff(here, i))
        scale = judge.scale(here, i) + judge.scale(here, i, d, f)
        assert gain[i] == pytest.approx(expected, rel=0, abs=1e-12 * scale)


def test_deviation_gain_takes_some_organizations_in_any_order():
    game = random_game(5, 4)
    profile, everyone = random_profile(game, 1), np.arange(4)
    d, f = random_profile(game, 2).data_fraction, random_profile(game, 2).cpu_hz
    every = deviation_gain(game, profile, everyone, d, f)
    some = np.array([2, 0, 2])
    np.testing.assert_array_equal(
        deviation_gain(game, profile, some, d[some], f[some]), every[some]
    )


def one_organization(**changes):
    """P = 1 - 1/Omega from Omega = 1 on, ten units of data, revenue 10, cost 0.4 a unit."""
    fields = {
        "profitability": [10.0],
        "data_bits": [10.0],
        "cycles_per_bit": 1.0,
        "cpu_levels_hz": [1.0],
        "competition": [[0.0]],
        "accuracy": PowerLaw(untrained_loss=1.0, scale=1.0, exponent=1.0),
        "overhead_weight": 0.4,
        "capacitance": 1.0,
        "min_data_fraction": 0.02,
    }
    return CoopetitionGame(**(fields | changes))


@pytest.mark.parametrize(
    ("d", "expected"),
    [
        # The payoff 10 (1 - 1/Omega) - 0.4 Omega is best at Omega = 5: 8 - 2 = 6.
        (0.5, 0.0),
        (1.0, 6.0 - (9.0 - 4.0)),
        (0.2, 6.0 - (5.0 - 0.8)),
        (0.1, 6.0 + 0.4),  # on the onset of P exactly
        (0.05, 6.0 + 0.2),  # below it
        (0.02, 6.0 + 0.08),
    ],
)
def test_regret_of_one_organization_by_hand(d, expected):
    assert regret(one_organization(), StrategyProfile([d], [1.0])) == pytest.approx(
        expected, rel=1e-9, abs=1e-9
    )


@pytest.mark.parametrize("d_min", np.linspace(0.011, 0.099, 9))
def test_regret_at_a_flat_start_is_never_hidden_by_rounding_at_the_onset(d_min):
    # 6 at Omega = 5 against -0.4 * 10 d_min at the start.
    game = one_organization(min_data_fraction=d_min)
    np.testing.assert_allclose(regret(game, game.initial_profile()), 6.0 + 4.0 * d_min)


def test_regret_below_the_onset_counts_the_flat_part_too():
    # With cost 3 a unit training never pays: at Omega = sqrt(10/3) it gives 10 - 2 sqrt(30) < 0,
    # so the best is D_min with -0.6, against -1.5 at d = 0.05.
    game = one_organization(overhead_weight=3.0)
    np.testing.assert_allclose(regret(game, StrategyProfile([0.05], [1.0])), 0.9)
    np.testing.assert_allclose(regret(game, StrategyProfile([0.02], [1.0])), 0.0)


def test_regret_goes_through_every_feasible_level_and_no_other():
    # h = 2 f / 10: level 0.05 trains 1% and is infeasible, 1 trains 20%, 2 trains 40%.
    # Overhead 0.01 f^2 a unit. At f = 2: P(4) = 0.75, 7.5 - 0.01*4*4 = 7.34.
    game = one_organization(
        cpu_levels_hz=[[0.05, 1.0, 2.0, np.nan]], deadline_seconds=2.0, overhead_weight=0.01
    )
    # At f = 1, d = 0.2: P(2) = 0.5, 5 - 0.02 = 4.98.
    np.testing.assert_allclose(regret(game, StrategyProfile([0.2], [1.0])), 7.34 - 4.98)


def test_an_equilibrium_is_accepted_and_everything_else_is_not():
    game = one_organization()
    assert certify(game, StrategyProfile([0.5], [1.0])).is_equilibrium(1e-9)
    assert not certify(game, StrategyProfile([0.51], [1.0])).is_equilibrium(1e-9)
    assert certify(game, StrategyProfile([0.51], [1.0])).is_equilibrium(1e-2)


def test_an_infeasible_profile_is_no_equilibrium():
    # h = 0.4: nobody gains by a feasible deviation from d = 0.5, but it breaks the deadline.
    game = one_organization(deadline_seconds=4.0)
    capped = certify(game, StrategyProfile([0.4], [1.0]))
    assert capped.is_equilibrium(1e-9)
    late = certify(game, StrategyProfile([0.5], [1.0]))
    assert late.max_regret <= 0.0
    assert not late.feasible
    assert not late.is_equilibrium(1e-9)


@examples(30)
@given(games(), seeds())
def test_certificate_describes_the_profile(game, seed):
    profile = random_profile(game, seed)
    certificate = certify(game, profile)
    judge = Eq11(game)
    scales = [judge.scale(profile, i) for i in range(game.size)]
    assert certificate.feasible
    assert certificate.max_regret == regret(game, profile).max()
    # The redistribution enters the scale by its parts, gamma rho_ij (x_i + x_j).
    assert np.all(certificate.payoff_scale >= np.array(scales) * (1.0 - 1e-12))
    assert certificate.individually_rational == bool((judge.payoffs(profile) >= 0.0).all())
