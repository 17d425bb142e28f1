"""The externality against its definition: what a deviation does to all others' payoffs."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from tests.support import (
    ACCURACIES,
    Eq11,
    examples,
    games,
    heterogeneous_game,
    random_game,
    random_profile,
    seeds,
)

from tradefl.game import Empirical, StrategyProfile, regret
from tradefl.game.externality import Externality
from tradefl.game.welfare import payoffs_without_redistribution
from tradefl.solvers import solve

KINDS = (*ACCURACIES, "user-log", "user-exp")


def plain(judge, profile, i, d):
    """sum over j != i of payoff0_j(d, pi_-i) - payoff0_j(pi)."""
    moved = profile.replaced(i, float(d), float(profile.cpu_hz[i]))
    return math.fsum(
        float(judge.payoff0(moved, j)) - float(judge.payoff0(profile, j))
        for j in range(judge.n)
        if j != i
    )


def size(judge, profile):
    return sum(judge.scale(profile, j) for j in range(judge.n))


@pytest.mark.parametrize("accuracy", KINDS)
@pytest.mark.parametrize("start", ["flat", "concave"])
def test_the_value_is_its_definition(accuracy, start):
    @examples(20)
    @given(games(accuracy=accuracy, start=start, max_organizations=5), seeds())
    def check(game, seed):
        rng = np.random.default_rng(seed)
        profile, judge = random_profile(game, seed), Eq11(game)
        externality = Externality(game, profile)
        who, d = rng.integers(0, game.size, 6), np.append(rng.random(4), [0.0, 1.0])
        found = externality.value(who, d)
        f = profile.cpu_hz[who]
        np.testing.assert_array_equal(found, externality.own(game, who, d, f))
        for i, at, value in zip(who, d, found, strict=True):
            largest = profile.replaced(int(i), 1.0, float(profile.cpu_hz[i]))
            rounding = 1e-12 * (size(judge, profile) + size(judge, largest))
            assert value == pytest.approx(plain(judge, profile, int(i), at), abs=rounding)
        here = externality.value(np.arange(game.size), profile.data_fraction)
        assert np.all(np.abs(here) <= 1e-13 * size(judge, profile))

    check()


def test_it_does_not_depend_on_the_rule_and_is_worked_on_in_blocks(monkeypatch):
    game = heterogeneous_game(1, 7)
    profile = random_profile(game, 3)
    who, d = np.resize(np.arange(7), 40), np.linspace(0.0, 1.0, 40)
    found = Externality(game, profile).value(who, d)
    bare = game.with_incentive_intensity(0.0)
    np.testing.assert_array_equal(Externality(bare, profile).value(who, d), found)
    monkeypatch.setattr("tradefl.game.externality.BLOCK", 20)
    np.testing.assert_allclose(Externality(game, profile).value(who, d), found, rtol=1e-13)


@pytest.mark.parametrize("accuracy", [kind for kind in KINDS if kind != "empirical"])
@pytest.mark.parametrize("start", ["flat", "concave"])
def test_slopes_are_finite_differences_and_corners_where_they_fail(accuracy, start):
    for seed in range(12):
        game = random_game(seed, 4, accuracy=accuracy, start=start)
        profile = random_profile(game, seed)
        externality = Externality(game, profile)
        for i in range(game.size):
            corners = externality.corners(game, np.array([i]))[0]
            corners = corners[~np.isnan(corners)]
            step = 1e-6
            d = np.random.default_rng(seed).uniform(0.01, 0.99, 8)
            near = np.abs(d[:, None] - corners).min(axis=1, initial=1.0) < 2.0 * step
            d = d[~near]
            who = np.full(d.size, i)
            left, right = externality.slopes(game, who, d)
            np.testing.assert_allclose(left, right, rtol=1e-8)
            up, down = (externality.value(who, d + by) for by in (step, -step))
            # As steep as it may be near the onset, the error is of second order.
            bend = np.abs(
                externality.slopes(game, who, d - step)[0]
                - externality.slopes(game, who, d + step)[1]
            )
            rounding = 1e-15 * float(game.profitability.sum()) / step  # P is a difference of A
            assert np.all(np.abs((up - down) / (2.0 * step) - left) <= bend + rounding)


def test_slopes_at_a_corner_of_measured_accuracy():
    game = dataclasses.replace(
        random_game(4, 2, accuracy="empirical", deadline="loose"),
        data_bits=[10.0, 10.0],
        data_units=[10.0, 10.0],
        cycles_per_bit=[1.0, 1.0],
        accuracy=Empirical([0.0, 12.0, 30.0], [0.0, 6.0, 9.0]),
    )
    f = np.nanmax(game.cpu_levels_hz, axis=1)
    externality = Externality(game, StrategyProfile(np.array([0.5, 0.7]), f))
    z, w = game.potential_weights, game.competitors_profitability
    # Omega = 7 + 10 d turns at 12: d = 0.5. The other misses its own 7: 10 d turns at d = 1.2.
    left, right = externality.slopes(game, np.array([0]), np.array([0.5]))
    assert left[0] == pytest.approx(10.0 * (0.5 * z[1] + 0.5 * w[1]))
    assert right[0] == pytest.approx(10.0 * (3.0 / 18.0 * z[1] + 0.5 * w[1]))
    assert externality.concave


@pytest.mark.parametrize("accuracy", ["sqrt-loss", "power-law"])
def test_corners_are_where_some_function_leaves_zero(accuracy):
    seen = 0
    for seed in range(30):
        game = random_game(seed, 3, accuracy=accuracy, start="flat")
        profile = random_profile(game, seed, kind="low" if seed % 2 else "any")
        externality = Externality(game, profile)
        everyone, onset = np.arange(3), float(game.accuracy.onset)
        table = externality.corners(game, everyone)
        u, d = game.data_units, profile.data_fraction
        for i in everyone:
            others = [j for j in everyone if j != i]
            rest = sum(u[j] * d[j] for j in others)
            expected = {
                (onset - rest + own) / u[i] for own in [0.0, *(u[j] * d[j] for j in others)]
            }
            expected = sorted(at for at in expected if 0.0 < at < 1.0)
            found = table[i][~np.isnan(table[i])]
            np.testing.assert_allclose(found, expected, rtol=1e-9)
            one = externality.corners(game, np.array([i]))[0]
            np.testing.assert_array_equal(one[~np.isnan(one)], found)
            seen += found.size
        assert externality.concave == (table.shape[1] == 0)
    assert seen > 30


@pytest.mark.parametrize("accuracy", KINDS)
def test_it_rises_and_between_corners_it_is_concave(accuracy):
    for seed in range(12):
        game = random_game(seed, 3, accuracy=accuracy, start="flat" if seed % 2 else "concave")
        profile = random_profile(game, seed)
        externality, judge = Externality(game, profile), Eq11(game)
        for i in range(3):
            corners = externality.corners(game, np.array([i]))[0]
            ends = [0.0, *corners[~np.isnan(corners)], 1.0]
            rounding = 1e-12 * size(judge, profile.replaced(i, 1.0, float(profile.cpu_hz[i])))
            for low, high in itertools.pairwise(ends):
                d = np.linspace(low, high, 65)
                value = externality.value(np.full(d.size, i), d)
                assert np.all(np.diff(value) >= -rounding)
                assert np.all(np.diff(value, 2) <= 2.0 * rounding)


def test_where_nobody_gets_below_the_onset_there_are_no_corners():
    game = heterogeneous_game(1, 6)
    profile = StrategyProfile(np.full(6, 0.5), game.cpu_levels_hz[:, -1])
    externality = Externality(game, profile)
    assert externality.corners(game, np.arange(6)).shape == (6, 0)
    assert externality.concave


# --- what it is for -----------------------------------------------------------------------------


@pytest.mark.parametrize("accuracy", KINDS)
@pytest.mark.parametrize("start", ["flat", "concave"])
def test_regret_with_it_is_what_all_together_would_gain(accuracy, start):
    """Anywhere, not only at the optimum: searched from Eq. (11) on a grid that narrows."""
    for seed in range(4):
        game = random_game(seed, 2 + seed % 2, accuracy=accuracy, start=start)
        profile, judge = random_profile(game, seed), Eq11(game)
        found = regret(game, profile, Externality(game, profile))
        now = judge.welfare(profile)
        for i in range(game.size):
            best = 0.0
            for f, high in judge.levels(i):
                best = max(best, best_welfare(judge, profile, i, f, high) - now)
            assert found[i] == pytest.approx(best, abs=3e-9 * size(judge, profile) + 1e-5 * best)
            assert found[i] >= best * (1.0 - 1e-9) - 1e-11 * size(judge, profile)


def best_welfare(judge, profile, i, f, high):
    low, best = judge.game.min_data_fraction, -math.inf
    start, end = low, high
    for _ in range(4):
        grid = np.linspace(start, end, 61)
        values = [judge.welfare(profile.replaced(i, float(d), f)) for d in grid]
        k = int(np.argmax(values))
        best = max(best, values[k])
        start, end = grid[max(k - 1, 0)], grid[min(k + 1, 60)]
    return best


@pytest.mark.parametrize("accuracy", KINDS)
@pytest.mark.parametrize("start", ["flat", "concave"])
def test_at_the_optimum_nobody_regrets(accuracy, start):
    for seed in range(4):
        game = random_game(seed, 2 + seed, accuracy=accuracy, start=start)
        optimum = solve(game.with_incentive_intensity(0.0), "planner")
        judge = Eq11(optimum.game)
        scale = [judge.scale(optimum.profile, i) for i in range(game.size)]
        left = regret(game, optimum.profile, Externality(game, optimum.profile))
        assert np.all(left <= 1e-9 * np.array(scale))


def test_the_payoffs_that_it_sums_are_without_redistribution():
    game = heterogeneous_game(2, 4)
    here = random_profile(game, 1)
    there = here.replaced(2, 0.9 * here.data_fraction[2], float(here.cpu_hz[2]))
    before, after = (payoffs_without_redistribution(game, entry) for entry in (here, there))
    expected = np.delete(after - before, 2).sum()
    found = Externality(game, here).value(np.array([2]), there.data_fraction[[2]])
    assert found[0] == pytest.approx(expected, rel=1e-9)
