"""FIP, GCA, TOS and WPR: each is what its name promises."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Eq11, examples, games, random_game

from tradefl.game import StrategyProfile
from tradefl.solvers import solve

pytestmark = pytest.mark.filterwarnings("error")


# --- FIP ----------------------------------------------------------------------------------------


def grid_of(step):
    """{e, 2e, ...} below 1, and 1."""
    count = round(1.0 / step)
    if abs(count * step - 1.0) < 1e-9:
        return np.array([k / count for k in range(1, count + 1)])
    return np.append(step * np.arange(1, int(1.0 / step) + 1), 1.0)


def fip_or_none(game, **options):
    try:
        return solve(game, "fip", **options)
    except ValueError as error:
        assert str(error).startswith("step: ")  # noqa: PT017
        return None


@pytest.mark.parametrize("step", [0.2, 0.25, 0.3, 1.0])
@examples(40)
@given(game=games(max_organizations=5))
def test_fip_ends_at_an_equilibrium_of_the_grid(step, game):
    solution, grid, judge = fip_or_none(game, step=step), grid_of(step), Eq11(game)
    if solution is None:  # somebody is in time with no point of the grid
        least = min(max((h for _, h in judge.levels(i)), default=0.0) for i in range(judge.n))
        assert least < step
        return
    profile = solution.profile
    assert game.is_feasible(profile).all()
    assert solution.status in ("feasible", "equilibrium")
    for i in range(judge.n):
        assert np.min(np.abs(grid - profile.data_fraction[i])) <= 1e-12
        now, scale = float(judge.payoff(profile, i)), judge.scale(profile, i)
        for f, high in judge.levels(i):
            points = grid[grid <= high * (1.0 - 1e-12)]
            if points.size:
                gain = np.max(judge.payoff(profile, i, points, f)) - now
                assert gain <= 1e-10 * max(scale, judge.scale(profile, i, points.max(), f))


@examples(40)
@given(game=games(max_organizations=5))
def test_every_step_of_fip_pays_and_stays_on_the_grid(game):
    solution = fip_or_none(game, step=0.25)
    if solution is None:
        return
    judge, grid = Eq11(game), grid_of(0.25)
    before, *rest = solution.trace.profiles()
    for i, after in zip(solution.trace.organization, rest, strict=True):
        changed = (after.data_fraction != before.data_fraction) | (after.cpu_hz != before.cpu_hz)
        assert np.flatnonzero(changed).tolist() == [i]
        assert np.min(np.abs(grid - after.data_fraction[i])) <= 1e-12
        gain = float(judge.payoff(after, i)) - float(judge.payoff(before, i))
        assert gain >= -1e-13 * (judge.scale(before, i) + judge.scale(after, i))
        before = after


def roomy(seed=3, organizations=4):
    game = random_game(
        seed, organizations, accuracy="sqrt-loss", deadline="loose", start="concave", gamma=0.4
    )
    return dataclasses.replace(game, min_data_fraction=0.01)


@pytest.mark.parametrize("step", [0.2, 1.0 / 3.0, 0.1, 0.3, 0.07, 1.0])
def test_one_is_on_every_grid_and_no_point_is_there_twice(step):
    # Data that costs nothing: everybody contributes all of it.
    game = dataclasses.replace(roomy(), overhead_weight=0.0)
    solution = solve(game, "fip", step=step)
    np.testing.assert_array_equal(solution.profile.data_fraction, 1.0)
    expensive = dataclasses.replace(
        roomy(), overhead_weight=1e6 * roomy().overhead_weight, incentive_intensity=0.0
    )
    np.testing.assert_array_equal(solve(expensive, "fip", step=step).profile.data_fraction, step)


def test_the_default_step_is_a_tenth():
    one, other = solve(roomy(), "fip"), solve(roomy(), "fip", step=0.1)
    np.testing.assert_array_equal(one.profile.data_fraction, other.profile.data_fraction)


def test_a_finer_grid_comes_nearer_to_the_equilibrium():
    game = roomy()
    regrets = [solve(game, "fip", step=step).certificate.max_regret for step in (0.5, 0.2, 0.01)]
    assert regrets[2] < min(regrets[:2])


@pytest.mark.parametrize("step", [0.0, -0.1, 1.1, float("nan"), 0.001])
def test_a_step_off_the_range_is_refused(step):
    game = dataclasses.replace(roomy(), min_data_fraction=0.01)
    with pytest.raises(ValueError, match=r"step: expected a number in \[0.01, 1\], got"):
        solve(game, "fip", step=step)


def tight():
    """A game in which the third organization can train 30% of its data at most."""
    game = roomy()
    fastest = np.fmax.reduce(game.cpu_levels_hz, axis=1)
    needed = game.cycles_per_bit * game.data_bits / fastest
    tau = 10.0 * needed.max()
    download = np.zeros(4)
    download[2] = tau - 0.3 * needed[2]
    return dataclasses.replace(
        game, deadline_seconds=tau, download_seconds=download, upload_seconds=0.0,
        min_data_fraction=0.01, names=("A", "B", "C", "D"),
    )  # fmt: skip


def test_a_step_that_nobody_can_train_in_time_names_who():
    assert solve(tight(), "fip", step=0.25).profile.data_fraction[2] == 0.25
    with pytest.raises(ValueError, match=r"step: C cannot train 0.5 of its data before"):
        solve(tight(), "fip", step=0.5)


@pytest.mark.parametrize("method", ["fip", "gca"])
def test_the_dynamics_keep_their_limits(method):
    game = random_game(21, 6, accuracy="sqrt-loss", gamma=0.0, deadline="loose")
    full = solve(game, method)
    assert full.iterations > 1
    for limit in (0, 1, full.iterations - 1):
        short = solve(game, method, max_moves=limit)
        assert (short.iterations, len(short.trace)) == (limit, limit)
        assert game.is_feasible(short.profile).all()
        assert short.status == "iteration_limit"
        np.testing.assert_array_equal(short.trace.data_fraction, full.trace.data_fraction[:limit])
    assert solve(game, method, max_moves=full.iterations + 1).status == full.status
    for options, message in (
        ({"tolerance": 0.0}, "tolerance: expected a number in"),
        ({"max_moves": -1}, "max_moves: expected an integer >= 0"),
        ({"max_moves": 1.0}, "max_moves: expected an integer >= 0"),
    ):
        with pytest.raises(ValueError, match=message):
            solve(game, method, **options)


@pytest.mark.parametrize("method", ["fip", "gca"])
def test_a_limit_that_is_just_enough_is_no_limit(method):
    """As for dbr: after the last move nobody wants to move, so the dynamics have ended."""
    game = random_game(21, 6, accuracy="sqrt-loss", gamma=0.0, deadline="loose")
    full = solve(game, method)
    assert full.status != "iteration_limit"
    assert solve(game, method, max_moves=full.iterations).status == full.status


# --- GCA ----------------------------------------------------------------------------------------


def greedy_level(levels, k, d):
    """The smallest level >= k d, to the last bit of d."""
    at = [f for f in levels if not np.isnan(f) and f / k >= d]
    return min(at) if at else None


def gca_or_none(game, **options):
    try:
        return solve(game, "gca", **options)
    except ValueError as error:
        assert str(error).startswith("greedy_hz: ")  # noqa: PT017
        return None


def greedy_choices(game, judge, i, k, points=1501):
    """(d, f) of i under the greedy rule, on a dense grid, in time only; with the ends."""
    levels = game.cpu_levels_hz[i]
    ends = [f / k for f in levels if not np.isnan(f)]
    ends += [h for _, h in judge.levels(i)]
    grid = np.concatenate([np.linspace(game.min_data_fraction, 1.0, points), ends])
    reach = dict(judge.levels(i))
    chosen = []
    for d in grid:
        if not game.min_data_fraction <= d <= 1.0:
            continue
        f = greedy_level(levels, k, d)
        if f is not None and d <= reach.get(f, -1.0) * (1.0 - 1e-12):
            chosen.append((float(d), f))
    return chosen


@pytest.mark.parametrize("factor", [None, 0.5, 2.0])
@examples(30)
@given(game=games(max_organizations=4))
def test_gca_is_an_equilibrium_of_the_greedy_rule(factor, game):
    fastest = np.fmax.reduce(game.cpu_levels_hz, axis=1)
    k = fastest if factor is None else np.full(game.size, factor * float(fastest.mean()))
    options = {} if factor is None else {"greedy_hz": float(k[0])}
    solution, judge = gca_or_none(game, **options), Eq11(game)
    if solution is None:
        assert any(not greedy_choices(game, judge, i, k[i]) for i in range(judge.n))
        return
    profile = solution.profile
    assert game.is_feasible(profile).all()
    for i in range(judge.n):
        d, f = profile.data_fraction[i], profile.cpu_hz[i]
        assert f == greedy_level(game.cpu_levels_hz[i], k[i], d)
        now = float(judge.payoff(profile, i))
        scale = judge.scale(profile, i)
        by_level = {}
        for d_other, f_other in greedy_choices(game, judge, i, k[i]):
            by_level.setdefault(f_other, []).append(d_other)
        for f_other, points in by_level.items():
            points = np.array(points)
            gain = np.max(judge.payoff(profile, i, points, f_other)) - now
            assert gain <= 1e-10 * max(scale, judge.scale(profile, i, points.max(), f_other))


@examples(40)
@given(game=games(max_organizations=5), factor=st.sampled_from([0.3, 0.7, 1.0, 3.0]))
def test_every_profile_on_the_way_of_gca_follows_the_rule(game, factor):
    k = factor * float(np.nanmax(game.cpu_levels_hz))
    solution = gca_or_none(game, greedy_hz=k)
    if solution is None:
        return
    for profile in solution.trace.profiles():
        assert game.is_feasible(profile).all()
        for i in range(game.size):
            expected = greedy_level(game.cpu_levels_hz[i], k, profile.data_fraction[i])
            assert profile.cpu_hz[i] == expected


def test_with_one_level_the_greedy_rule_is_no_restriction():
    for seed in range(20):
        game = random_game(seed, 5, levels=1)
        greedy, free = solve(game, "gca"), solve(game, "dbr")
        assert greedy.status == "equilibrium"
        np.testing.assert_allclose(
            greedy.potential, free.potential, rtol=1e-9, atol=1e-9 * abs(free.terms.performance)
        )


def test_a_greed_beyond_every_level_caps_the_data():
    """k = 2 F^(m): no level is >= k d for d > 1/2."""
    game = dataclasses.replace(roomy(), overhead_weight=0.0)
    game = dataclasses.replace(game, deadline_seconds=np.inf)
    fastest = float(np.nanmax(game.cpu_levels_hz))
    capped = solve(game, "gca", greedy_hz=2.0 * fastest).profile
    own = np.fmax.reduce(game.cpu_levels_hz, axis=1)
    np.testing.assert_allclose(capped.data_fraction, own / (2.0 * fastest), rtol=1e-12)
    np.testing.assert_array_equal(capped.cpu_hz, own)


def test_a_greed_that_leaves_nothing_to_play_names_who():
    game = dataclasses.replace(roomy(), min_data_fraction=0.2, names=("A", "B", "C", "D"))
    weakest = np.argmin(np.fmax.reduce(game.cpu_levels_hz, axis=1))
    k = float(np.fmax.reduce(game.cpu_levels_hz, axis=1)[weakest]) / 0.19
    name = "ABCD"[int(weakest)]
    others = np.fmax.reduce(game.cpu_levels_hz, axis=1) / k >= 0.2
    if others.sum() == 3:
        with pytest.raises(ValueError, match=f"greedy_hz: {name} has no data fraction"):
            solve(game, "gca", greedy_hz=k)
    with pytest.raises(ValueError, match="has no data fraction whose greedy level"):
        solve(game, "gca", greedy_hz=1e3 * k)


def test_a_greedy_level_that_is_late_leaves_nothing_to_play():
    """k so small that the slowest level follows from any d, and that level is late."""
    game = tight()
    game = dataclasses.replace(
        game,
        cpu_levels_hz=np.fmax.reduce(game.cpu_levels_hz, axis=1)[:, None] * [1e-3, 1.0],
        min_data_fraction=0.1,
    )
    assert not game.level_is_feasible()[:, 0].any()
    with pytest.raises(ValueError, match="greedy_hz: A has no data fraction"):
        solve(game, "gca", greedy_hz=1.0)
    assert solve(game, "gca").status in ("feasible", "equilibrium")


@pytest.mark.parametrize("greedy_hz", [0.0, -1e9, float("nan"), float("inf")])
def test_a_greed_that_is_no_frequency_is_refused(greedy_hz):
    message = re.escape(f"greedy_hz: expected a number > 0, got {greedy_hz!r}")
    with pytest.raises(ValueError, match=message):
        solve(roomy(), "gca", greedy_hz=greedy_hz)


# --- TOS and WPR --------------------------------------------------------------------------------


def test_tos_contributes_everything_and_says_when_that_is_late():
    game = roomy()
    loose = solve(game, "tos")
    np.testing.assert_array_equal(loose.profile.data_fraction, 1.0)
    np.testing.assert_array_equal(loose.profile.cpu_hz, np.fmax.reduce(game.cpu_levels_hz, axis=1))
    assert (loose.remarks, loose.trace, loose.upper_bound) == ((), None, None)
    assert loose.status in ("feasible", "equilibrium")
    late = solve(tight(), "tos")
    assert late.status == "infeasible"
    assert late.remarks == ("1 of 4 organizations break the deadline",)
    assert not late.certificate.feasible


@examples(40)
@given(games())
def test_tos_is_the_upper_line_for_performance(game):
    top = solve(game, "tos").terms.performance
    for method in ("exact", "dbr", "wpr"):
        assert solve(game, method).terms.performance <= top * (1.0 + 1e-12)


def test_tos_takes_no_options():
    with pytest.raises(ValueError, match="tolerance: is not an option of method tos"):
        solve(roomy(), "tos", tolerance=1e-9)


@examples(40)
@given(games())
def test_wpr_is_dbr_without_an_incentive(game):
    wpr, dbr = solve(game, "wpr"), solve(game.with_incentive_intensity(0.0), "dbr")
    np.testing.assert_array_equal(wpr.profile.data_fraction, dbr.profile.data_fraction)
    np.testing.assert_array_equal(wpr.profile.cpu_hz, dbr.profile.cpu_hz)
    np.testing.assert_array_equal(wpr.payoffs, dbr.payoffs)
    np.testing.assert_array_equal(wpr.terms.redistribution, 0.0)
    np.testing.assert_array_equal(wpr.trace.potential, dbr.trace.potential)
    assert isinstance(wpr.profile, StrategyProfile)
