"""The planner against enumeration, grids and SCIP, and what its bound is worth."""

import contextlib
import dataclasses
import functools
import json
import math

import numpy as np
import pytest
from tests.solvers.welfare_oracles import Welfare, enumerated, on_a_grid, scip_welfare
from tests.support import (
    ACCURACIES,
    Eq11,
    LogAccuracy,
    efficient_game,
    heterogeneous_game,
    random_game,
    random_profile,
)

from tradefl.game import CoopetitionGame, Empirical, PowerLaw, SqrtLoss, StrategyProfile
from tradefl.solvers import planner, planning, solve

pytestmark = pytest.mark.filterwarnings("error")


def size_of(game, profile):
    """What the terms of W add up to: what rounding is relative to."""
    judge = Eq11(game)
    return sum(judge.scale(profile, i) for i in range(game.size))


def assert_best(game, best, *, within=1e-9):
    """Check that the planner found ``best``, proved it, and says no more than is so."""
    if game.compensation is None:  # what is redistributed cancels, but for its rounding
        game = game.with_incentive_intensity(0.0)
    solution = solve(game, "planner")
    judge, size = Eq11(game), size_of(game, solution.profile)
    assert game.is_feasible(solution.profile).all()
    for i, (d, f) in enumerate(
        zip(solution.profile.data_fraction, solution.profile.cpu_hz, strict=True)
    ):
        assert d <= dict(judge.levels(i))[f] * (1.0 + 1e-9)
    assert solution.social_welfare == pytest.approx(
        judge.welfare(solution.profile), rel=0.0, abs=1e-12 * size
    )
    assert solution.social_welfare >= best - within * size
    assert solution.welfare_bound >= best - 1e-11 * size
    assert solution.welfare_bound >= solution.social_welfare
    assert solution.status == "optimal", (solution.welfare_bound - solution.social_welfare, size)
    assert solution.remarks == ()
    assert solution.upper_bound is None
    return solution


# --- the oracles themselves ---------------------------------------------------------------------


@pytest.mark.parametrize("accuracy", [*ACCURACIES, "user-log"])
def test_enumeration_agrees_with_the_grid_and_with_scip(accuracy):
    for seed in range(3):
        game = random_game(seed, 2, accuracy=accuracy, start="concave", levels=2)
        best, profile = enumerated(game)
        size = size_of(game, profile)
        assert Eq11(game).welfare(profile) == pytest.approx(best, abs=1e-12 * size)
        assert on_a_grid(game, 121) == pytest.approx(best, abs=1e-7 * size)
        if type(Welfare(game).model) in (SqrtLoss, PowerLaw, Empirical, LogAccuracy):
            value, bound = scip_welfare(game)
            assert value == pytest.approx(best, abs=1e-8 * size)
            assert bound >= best - 1e-7 * size


# --- small games, enumerated --------------------------------------------------------------------


@pytest.mark.parametrize("accuracy", [*ACCURACIES, "user-log", "user-exp"])
@pytest.mark.parametrize("deadline", ["tight", "loose"])
def test_equals_enumeration(accuracy, deadline):
    for n, levels in ((1, 4), (2, 3), (3, 2)):
        game = random_game(
            10 * n, n, levels=levels, accuracy=accuracy, deadline=deadline, start="concave"
        )
        assert_best(game, enumerated(game)[0])


@pytest.mark.parametrize("accuracy", ["sqrt-loss", "power-law", "user"])
def test_equals_a_grid_where_little_data_leaves_the_model_untrained(accuracy):
    """P may be zero with both, or with one of them only; on neither side W is concave across."""
    for seed in range(8):
        game = random_game(seed, 2, levels=2, accuracy=accuracy, start="flat")
        assert_best(game, on_a_grid(game, 81), within=1e-8)


def test_equals_enumeration_where_little_data_leaves_the_model_untrained():
    for seed in range(3):
        game = random_game(seed, 3, levels=2, accuracy="sqrt-loss", start="flat")
        assert_best(game, enumerated(game)[0], within=1e-8)


@functools.cache
def usual():
    return random_game(40, 3, levels=2, accuracy="sqrt-loss", start="concave")


PECULIAR = {
    "one level": lambda: random_game(41, 4, levels=1, accuracy="sqrt-loss", start="concave"),
    "one organization": lambda: random_game(42, 1, levels=3, accuracy="sqrt-loss"),
    "no rivals": lambda: dataclasses.replace(usual(), competition=np.zeros((3, 3))),
    "some without rivals": lambda: dataclasses.replace(
        usual(), competition=np.array([[0, 0.1, 0], [0.1, 0, 0], [0, 0, 0.0]])
    ),
    "free compute": lambda: dataclasses.replace(usual(), overhead_weight=0.0),
    "free energy": lambda: dataclasses.replace(usual(), capacitance=0.0),
    "dear compute": lambda: dataclasses.replace(
        usual(), overhead_weight=1e6 * usual().overhead_weight
    ),
    "all data": lambda: dataclasses.replace(
        random_game(43, 3, levels=2, accuracy="power-law", deadline="loose"), min_data_fraction=1.0
    ),
    "no deadline": lambda: dataclasses.replace(usual(), deadline_seconds=np.inf),
    "nothing to gain": lambda: dataclasses.replace(
        usual(), accuracy=Empirical([0.0, float(usual().data_units.sum())], [0.0, 0.0])
    ),
    "full early on": lambda: dataclasses.replace(
        usual(), accuracy=Empirical([0.0, 0.1 * float(usual().data_units.min())], [0.0, 1.0])
    ),
    "never trained": lambda: dataclasses.replace(usual(), accuracy=SqrtLoss(2.0, 0.3)),
    "equal": lambda: random_game(44, 3, levels=2, equal=True, accuracy="sqrt-loss"),
    "efficient rule": lambda: efficient_game(
        45, 2, levels=2, accuracy="sqrt-loss", start="concave"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PECULIAR)
def test_peculiar_games(kind):
    game = PECULIAR[kind]()
    assert_best(game, enumerated(game)[0])


@pytest.mark.parametrize("money", [1e-6, 1e6])
def test_the_currency_does_not_matter(money):
    game = usual()
    other = dataclasses.replace(
        game,
        profitability=money * game.profitability,
        overhead_weight=money * game.overhead_weight,
    )
    one, two = solve(game, "planner"), assert_best(other, enumerated(other)[0])
    assert two.social_welfare == pytest.approx(money * one.social_welfare, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_equals_enumeration_hundreds(accuracy):
    for seed in range(100, 200):
        game = random_game(seed, 1 + seed % 4, levels=3, accuracy=accuracy, start="concave")
        assert_best(game, enumerated(game)[0])


@pytest.mark.slow
@pytest.mark.parametrize("accuracy", ["sqrt-loss", "power-law", "user"])
def test_equals_a_grid_hundreds(accuracy):
    for seed in range(100, 300):
        game = random_game(seed, 2, accuracy=accuracy, start="flat")
        assert_best(game, on_a_grid(game), within=1e-8)


# --- SCIP ---------------------------------------------------------------------------------------


def assert_equals_scip(game):
    value, bound = scip_welfare(game)
    solution = solve(game, "planner")
    assert solution.social_welfare >= value - 1e-7 * abs(value)
    if bound < value - 1e-7 * abs(value) and game.size <= 5:
        # SCIP's tolerances have cut off its own solution: it is no judge of this one.
        bound = enumerated(game)[0]
    assert solution.social_welfare <= bound + 1e-7 * abs(value)
    assert solution.welfare_bound >= value - 1e-9 * abs(value)
    gap = solution.welfare_bound - solution.social_welfare
    assert gap <= 1e-7 * abs(solution.welfare_bound)
    return solution


@pytest.mark.parametrize("n", [2, 5, 10, 20])
def test_equals_scip(n):
    for seed in range(2 if n < 20 else 1):
        assert_equals_scip(heterogeneous_game(seed, n))


@pytest.mark.parametrize("accuracy", ["power-law", "empirical", "user-log"])
def test_equals_scip_with_other_accuracies(accuracy):
    game = random_game(7, 6, levels=3, accuracy=accuracy, start="concave", deadline="tight")
    assert_equals_scip(game)


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 5, 10, 20, 50])
def test_equals_scip_many(n):
    for seed in range(10, 16):
        assert_equals_scip(heterogeneous_game(seed, n))


def drawn(seed):
    """A game of up to fifty organizations, of any kind that SCIP can judge."""
    rng = np.random.default_rng([seed, 18])
    game = random_game(
        seed,
        int(rng.choice([1, 2, 3, 5, 8, 12, 20, 35, 50])),
        levels=int(rng.integers(1, 9)),
        accuracy=str(rng.choice(["sqrt-loss", "power-law", "empirical", "user-log"])),
        deadline=str(rng.choice(["tight", "loose"])),
        start="concave",
        equal=bool(rng.random() < 0.15),
    )
    if rng.random() < 0.1:
        game = dataclasses.replace(game, competition=np.zeros((game.size, game.size)))
    return game.with_incentive_intensity(0.0)


@pytest.mark.parametrize("seed", range(15))
def test_equals_scip_on_random_games(seed):
    assert assert_equals_scip(drawn(seed)).status == "optimal"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(15, 315))
def test_equals_scip_on_random_games_hundreds(seed):
    assert assert_equals_scip(drawn(seed)).status == "optimal"


@pytest.mark.parametrize("seed", range(40))
def test_random_games_are_proven(seed):
    """Also those that SCIP cannot judge: P may be zero, or a user's own."""
    rng = np.random.default_rng([seed, 19])
    game = random_game(seed, int(rng.integers(1, 25)), levels=int(rng.integers(1, 9)))
    solution = solve(game.with_incentive_intensity(0.0), "planner")
    assert solution.status == "optimal"
    near = StrategyProfile(
        np.minimum(
            np.maximum(
                solution.profile.data_fraction * rng.uniform(0.99, 1.01, game.size),
                game.min_data_fraction,
            ),
            game.max_data_fraction(solution.profile.cpu_hz),
        ),
        solution.profile.cpu_hz,
    )
    judge, size = Eq11(solution.game), size_of(solution.game, solution.profile)
    assert judge.welfare(near) <= solution.welfare_bound + 1e-12 * size


def test_a_game_that_needs_the_right_level_of_many():
    """Twenty firms of very different sizes: local search ends 1e-5 below the optimum."""
    game = heterogeneous_game(5, 20, spread=1.4, within=0.15, levels=8)
    assert assert_equals_scip(game).status == "optimal"


def test_a_thousand_firms_are_proven():
    game = heterogeneous_game(0, 1000, levels=8)
    solution = solve(game, "planner")
    assert solution.status == "optimal"
    gap = solution.welfare_bound - solution.social_welfare
    assert 0.0 <= gap <= 1e-9 * solution.welfare_bound


@pytest.mark.slow
def test_a_hundred_thousand_firms_are_proven():
    from benchmarks.consortia import sector_game

    best = planner.optimum(sector_game(100_000))
    assert best.proven
    assert best.bound - best.welfare <= 1e-9 * best.bound


# --- the bound and the options ------------------------------------------------------------------


@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize("start", ["flat", "concave"])
def test_nothing_feasible_passes_the_bound(accuracy, start):
    for seed in range(3):
        game = random_game(seed, 5, accuracy=accuracy, start=start)
        solution, judge = solve(game, "planner"), Eq11(game)
        for k in range(60):
            profile = random_profile(game, k, "low" if k % 7 == 0 else "any")
            assert judge.welfare(profile) <= solution.welfare_bound + 1e-12 * size_of(game, profile)
        near = np.random.default_rng(seed)
        for _ in range(60):
            d = solution.profile.data_fraction * (1.0 + 1e-3 * near.standard_normal(game.size))
            most = game.max_data_fraction(solution.profile.cpu_hz)
            profile = StrategyProfile(
                np.clip(d, game.min_data_fraction, most), solution.profile.cpu_hz
            )
            assert judge.welfare(profile) <= solution.welfare_bound + 1e-12 * size_of(game, profile)


def test_the_rule_of_the_game_does_not_matter():
    game = heterogeneous_game(3, 4)
    plain = solve(game, "planner")
    other = solve(efficient_rule_for(game), "planner")
    np.testing.assert_array_equal(plain.profile.data_fraction, other.profile.data_fraction)
    np.testing.assert_array_equal(plain.profile.cpu_hz, other.profile.cpu_hz)
    assert other.welfare_bound == plain.welfare_bound


def efficient_rule_for(game):
    from tests.support import random_rule

    return game.with_compensation(random_rule(game, 1))


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("tolerance", 0.0, r"a number in \(0, 1\)"),
        ("tolerance", 1.0, r"a number in \(0, 1\)"),
        ("tolerance", math.nan, r"a number in \(0, 1\)"),
        ("max_iterations", 0, "an integer >= 1"),
        ("max_iterations", 2.0, "an integer >= 1"),
        ("time_limit", 0.0, "a number > 0"),
        ("time_limit", -1.0, "a number > 0"),
        ("time_limit", math.nan, "a number > 0"),
    ],
)
def test_options_out_of_range_are_refused(option, value, expected):
    with pytest.raises(ValueError, match=rf"^{option}: expected {expected}, got {value!r}$"):
        solve(usual(), "planner", **{option: value})


def hard():
    """One that takes more than one search node."""
    return heterogeneous_game(14, 10, levels=8)


def test_out_of_iterations_it_says_what_is_open():
    full = solve(hard(), "planner")
    short = solve(hard(), "planner", max_iterations=1)
    assert full.iterations > 1
    assert short.iterations == 1
    assert short.welfare_bound >= full.social_welfare
    gap = short.welfare_bound - short.social_welfare
    assert gap > 1e-9 * short.welfare_bound
    assert short.status == "feasible"
    assert short.remarks == (
        f"not proven optimal: welfare may be {gap:.3g} higher, after 1 search node",
    )


@pytest.mark.parametrize("seconds", [1e-9, 0.02, 0.2])
def test_out_of_time_it_says_what_is_open(seconds):
    full = solve(hard(), "planner")
    short = solve(hard(), "planner", time_limit=seconds)
    assert math.isfinite(short.welfare_bound)
    assert short.welfare_bound >= full.social_welfare
    json.dumps(short.to_dict(), allow_nan=False)
    if short.welfare_bound - short.social_welfare > 1e-9 * short.welfare_bound:
        assert short.status == "feasible"
        assert short.remarks[0].startswith("not proven optimal: welfare may be ")
    if seconds == 1e-9:
        assert short.status == "feasible"
        assert short.iterations == 1  # one pass over all is always made


def test_nothing_is_printed(capfd):
    for seed in range(4):
        solve(heterogeneous_game(seed, 6), "planner")
        solve(random_game(seed, 3, accuracy="sqrt-loss", start="flat"), "planner")
    assert capfd.readouterr().out == ""


def test_two_runs_are_the_same_to_the_last_bit():
    one, two = (solve(hard(), "planner").to_dict() for _ in range(2))
    for document in (one, two):
        del document["runtime_seconds"]
    assert json.dumps(one) == json.dumps(two)
    assert one["upper_bound"] is None
    assert one["social_welfare_upper_bound"] >= one["social_welfare"]


def test_loading_machine_code_does_not_count_against_the_time_limit(monkeypatch):
    until = []

    class Slow(planning.Code):
        def loaded(self, *_):
            return 5.0

        def each(self, *arguments):
            planning.plan_each([self.accuracy], *arguments)

        def stop(self, at, _):
            until.append(at)
            return contextlib.nullcontext([False])

    monkeypatch.setattr(planning.Code, "of", lambda accuracy, _: Slow(accuracy, {}))
    game = random_game(1, 3)
    menu = planner.Coalitions(game).menu
    menus = planning.Menus(menu.least, menu.reach, menu.price, menu.last)
    planning.plan(game.accuracy, 1.0, game.competitors_profitability, menus, 1e-9, 9, 7.0)
    assert until == [12.0]


def test_the_planner_finds_the_same_compiled_and_plain(monkeypatch):
    for seed in range(12):
        game = random_game(seed, 1 + seed % 9, accuracy="sqrt-loss", equal=seed % 5 == 0)
        monkeypatch.setattr(planning, "_repays", lambda *_: False)
        plain = planner.optimum(game)
        monkeypatch.setattr(planning, "_repays", lambda *_: True)
        fast = planner.optimum(game)
        assert plain.proven
        assert fast.proven
        assert fast.nodes == plain.nodes
        assert fast.welfare == pytest.approx(plain.welfare, rel=1e-12)
        assert fast.bound == pytest.approx(plain.bound, rel=1e-12)
        np.testing.assert_allclose(fast.data_fraction, plain.data_fraction, rtol=1e-9)
        np.testing.assert_array_equal(fast.cpu_hz, plain.cpu_hz)


# --- by hand ------------------------------------------------------------------------------------


def test_two_equal_firms_by_hand():
    """P = log(1 + Omega), p = 1, rho = 1/2, overhead 1.2 d: what one gives, both have.

    z = w = 1/2, so W(d, d) = log(1 + 2 d) + log(1 + d) - 2.4 d.
    """
    game = CoopetitionGame(
        profitability=[1.0, 1.0],
        data_bits=[1.0, 1.0],
        cycles_per_bit=1.0,
        cpu_levels_hz=[1.0],
        competition=[[0.0, 0.5], [0.5, 0.0]],
        accuracy=LogAccuracy(1.0, 1.0),
        overhead_weight=1.2,
        capacitance=1.0,
        min_data_fraction=0.1,
    )
    # 2 / (1 + 2 d) + 1 / (1 + d) = 2.4, times (1 + 2 d)(1 + d): 4.8 d^2 + 3.2 d - 0.6 = 0
    d = (-3.2 + math.sqrt(3.2**2 + 4.0 * 4.8 * 0.6)) / 9.6
    solution = solve(game, "planner")
    np.testing.assert_allclose(solution.profile.data_fraction, d, rtol=1e-6)
    welfare = math.log1p(2.0 * d) + math.log1p(d) - 2.4 * d
    assert solution.social_welfare == pytest.approx(welfare, rel=1e-12)


def test_the_slowest_level_that_is_fast_enough_is_the_cheapest():
    game = hard()
    solution = solve(game, "planner")
    reach = game.max_data_fraction(game.cpu_levels_hz)
    d = solution.profile.data_fraction
    slowest = np.array(
        [row[np.argmax(reach[i] >= d[i])] for i, row in enumerate(game.cpu_levels_hz)]
    )
    np.testing.assert_array_equal(solution.profile.cpu_hz, slowest)


def test_the_defaults_are_those_of_the_documentation():
    assert (planner.TOLERANCE, planner.MAX_ITERATIONS, planner.TIME_LIMIT) == (
        1e-9,
        20_000,
        600.0,
    )


# --- equal organizations ------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 5, 12, 50])
def test_equal_organizations_are_proven(n):
    """They are fractional together: how many are above a level is what is branched on."""
    game = equal_firms(n)
    solution = solve(game, "planner")
    assert solution.status == "optimal"
    assert solution.iterations < 200
    welfare = Welfare(game)
    # Equal firms: only how many are at each of the levels matters. With k of them raised by one
    # level nothing is better.
    d, f = solution.profile.data_fraction, solution.profile.cpu_hz
    ladder = game.cpu_levels_hz[0]
    for i in range(0, n, max(1, n // 6)):
        for step in (-1, 1):
            level = int(np.searchsorted(ladder, f[i])) + step
            if not 0 <= level < ladder.size:
                continue
            other_f = f.copy()
            other_f[i] = ladder[level]
            most = float(game.max_data_fraction(other_f)[i])
            for share in np.linspace(0.0, 1.0, 21):
                other = d.copy()
                other[i] = game.min_data_fraction + share * (most - game.min_data_fraction)
                assert float(welfare.at(other, other_f)) <= solution.welfare_bound * (1.0 + 1e-12)


def test_small_equal_consortia_equal_enumeration():
    for n in (2, 3, 4):
        game = equal_firms(n, levels=3)
        best = enumerated(game, alike=True)[0]
        if n < 4:
            assert best == pytest.approx(enumerated(game)[0], rel=1e-12)
        assert_best(game, best)


def equal_firms(n, levels=8):
    one = heterogeneous_game(2, 1, levels=levels)
    return CoopetitionGame(
        profitability=np.full(n, 1500.0),
        data_bits=np.full(n, 2e10),
        data_units=np.full(n, 20.0 * 10.0 / n),
        cycles_per_bit=2.0,
        cpu_levels_hz=4e9 * np.arange(1, levels + 1) / levels,
        competition=np.full((n, n), 0.6 / n) * (1.0 - np.eye(n)),
        accuracy=one.accuracy,
        overhead_weight=1.3,
        deadline_seconds=22.6,
        download_seconds=1.0,
        upload_seconds=1.0,
    )


# --- subsets ------------------------------------------------------------------------------------


def of_members(game, who):
    """The game of some organizations, built anew."""
    return CoopetitionGame(
        profitability=game.profitability[who],
        data_bits=game.data_bits[who],
        data_units=game.data_units[who],
        cycles_per_bit=game.cycles_per_bit[who],
        cpu_levels_hz=game.cpu_levels_hz[who],
        competition=np.asarray(Eq11(game).rho)[np.ix_(who, who)],
        accuracy=game.accuracy,
        download_seconds=game.download_seconds[who],
        upload_seconds=game.upload_seconds[who],
        overhead_weight=game.overhead_weight,
        min_data_fraction=game.min_data_fraction,
        deadline_seconds=game.deadline_seconds,
        capacitance=game.capacitance,
        download_watts=game.download_watts,
        upload_watts=game.upload_watts,
    )


@pytest.mark.parametrize("competition", ["dense", "sparse", "sector"])
def test_a_subset_is_worth_what_its_own_game_is(competition):
    game = random_game(77, 7, competition=competition, start="concave")
    coalitions = planner.Coalitions(game)
    for who in ([0], [6], [1, 4], [0, 2, 3, 5], [1, 2, 3, 4, 5, 6], list(range(7))):
        best = coalitions.optimum(np.array(who))
        own = solve(of_members(game, np.array(who)), "planner")
        assert best.proven
        np.testing.assert_array_equal(best.members, who)
        assert best.welfare == pytest.approx(own.social_welfare, rel=1e-9, abs=1e-9)
        assert best.bound >= own.social_welfare - 1e-9 * abs(own.social_welfare)
        mask = np.isin(np.arange(7), who)
        assert coalitions.optimum(mask).welfare == best.welfare
        assert planner.optimum(game, who).welfare == best.welfare


def test_all_members_are_the_whole_game():
    game = heterogeneous_game(3, 6)
    best, solution = planner.optimum(game), solve(game, "planner")
    np.testing.assert_array_equal(best.profile.data_fraction, solution.profile.data_fraction)
    assert best.welfare == pytest.approx(solution.social_welfare, rel=1e-14)


@pytest.mark.parametrize(
    "members", [[], [7], [-1], [0, 0], [0.5], [[0, 1]], np.ones(3, dtype=bool), "a"]
)
def test_members_that_are_not_are_refused(members):
    with pytest.raises(ValueError, match=r"^members: expected "):
        planner.optimum(random_game(1, 7), members)


def test_costs_of_data_and_of_joining():
    """A cost of data is one more slope; joining costs each member once."""
    game = heterogeneous_game(4, 3, levels=3)
    costs = np.array([40.0, 0.0, 90.0])
    plain = planner.Coalitions(game).optimum()
    best = planner.Coalitions(game, data_cost=costs, joining_cost=7.0).optimum()
    assert best.proven
    d = best.data_fraction
    judge = Eq11(game.with_incentive_intensity(0.0))
    profile = StrategyProfile(d, best.cpu_hz)
    assert best.welfare == pytest.approx(judge.welfare(profile) - float(costs @ d) - 21.0)
    assert best.welfare <= plain.welfare - 21.0
    # No profile on a grid is better.
    welfare = Welfare(game)
    axes = [np.linspace(0.01, 1.0, 25)] * 3
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    reach = game.max_data_fraction(game.cpu_levels_hz)
    level = np.array([(reach[i] < grid[:, i, None]).sum(axis=1) for i in range(3)])
    there = (level < 3).all(axis=0)
    for at, levels in zip(grid[there], level[:, there].T, strict=True):
        f = game.cpu_levels_hz[np.arange(3), levels]
        value = float(welfare.at(at, f)) - float(costs @ at) - 21.0
        assert value <= best.bound + 1e-9 * abs(best.bound)
