"""The designed rule: what it promises, recomputed from Eq. (11), and what cannot be designed."""

import dataclasses
import functools
import json
import math
from importlib import import_module

import numpy as np
import pytest
from scipy.optimize import linprog
from tests.golden.cases import EXAMPLES
from tests.support import Eq11, dense_rho, efficient_game, heterogeneous_game, random_game

import tradefl
from tradefl.consortium import write
from tradefl.design import AGAINST_ALONE, CLOSEST, TARGETS, design, in_decimals, in_wei
from tradefl.game import CoopetitionGame, SqrtLoss, StrategyProfile, regret
from tradefl.game.externality import Externality
from tradefl.solvers import solve

pytestmark = pytest.mark.filterwarnings("error")

FILES = ("banks_fraud", "drug_discovery", "hospitals", "paper")
KEYS = {
    "schema", "consortium", "target", "social_welfare", "social_welfare_upper_bound",
    "social_welfare_without", "price_of_anarchy", "payments", "better_than_alone", "margin",
    "margin_certified",
    "budget_imbalance",
    "max_regret_exact", "max_regret_exact_relative", "max_regret_settled",
    "max_regret_settled_relative", "organizations", "starts", "starts_that_reach_the_optimum",
    "robust", "self_enforcing", "bonds", "bonds_without_robust",
}  # fmt: skip


@functools.cache
def consortium(name):
    return tradefl.load(EXAMPLES / f"{name}.toml")


GAMES = {
    **{name: lambda name=name: consortium(name).game for name in FILES},
    "two": lambda: heterogeneous_game(1, 2),
    "five": lambda: heterogeneous_game(2, 5),
    "ten": lambda: heterogeneous_game(3, 10),
    "measured": lambda: random_game(11, 4, levels=3, accuracy="empirical", competition="dense"),
    "user": lambda: random_game(12, 4, levels=2, accuracy="user-exp", competition="dense"),
    "tight": lambda: random_game(
        13, 5, levels=4, accuracy="power-law", start="concave", deadline="tight"
    ),
    "flat-start": lambda: random_game(
        14, 2, levels=2, accuracy="sqrt-loss", start="flat", deadline="loose", competition="dense"
    ),
    "flat-start-power": lambda: random_game(
        16, 3, levels=2, accuracy="power-law", start="flat", deadline="loose", competition="dense"
    ),
    "free compute": lambda: dataclasses.replace(heterogeneous_game(4, 4), overhead_weight=0.0),
    "no rivals": lambda: dataclasses.replace(
        heterogeneous_game(5, 4), competition=np.zeros((4, 4))
    ),
    "already designed": lambda: efficient_game(17, 3, accuracy="sqrt-loss", start="concave"),
}  # fmt: skip


@functools.cache
def game_of(name):
    return GAMES[name]()


@functools.cache
def designed(name, target="equal-gain"):
    return design(game_of(name), target, random_starts=3)


def scales(game, profile):
    judge = Eq11(game)
    return np.array([judge.scale(profile, i) for i in range(game.size)])


everywhere = pytest.mark.parametrize("name", GAMES)


# --- what is promised ---------------------------------------------------------------------------


@everywhere
def test_it_is_verified_and_that_is_so(name):
    found = designed(name)
    game, profile = found.agreed.game, found.agreed.profile
    judge, scale = Eq11(game), scales(game, profile)
    assert found.verified()
    np.testing.assert_allclose(
        found.agreed.payoffs, judge.payoffs(profile), rtol=0.0, atol=1e-12 * scale.max()
    )
    assert found.agreed.certificate.feasible
    assert abs(math.fsum(found.agreed.terms.redistribution)) <= 1e-13 * scale.sum()
    assert np.all(found.exact_regret <= 1e-9 * scale)
    assert np.all(found.settled_regret <= 1e-6 * scale)
    # By a search of Eq. (11) that shares nothing with the game, as settled.
    settled = game.with_compensation(in_wei(found.rule, 10**15))
    for i in range(game.size):
        best, size = Eq11(settled).best_gain(profile, i)
        assert best <= 1e-6 * size
        assert found.settled_regret[i] == pytest.approx(best, rel=0.0, abs=1e-9 * size)


@everywhere
def test_what_is_agreed_on_is_the_optimum_in_parts_per_billion(name):
    found = designed(name)
    d, best = found.agreed.profile.data_fraction, found.optimum.profile.data_fraction
    np.testing.assert_array_equal(np.round(d, 9), d)
    assert np.all(np.abs(d - best) <= 1.0001e-9)
    np.testing.assert_array_equal(found.agreed.profile.cpu_hz, found.optimum.profile.cpu_hz)
    assert found.optimum.social_welfare <= found.optimum.welfare_bound
    gap = found.optimum.welfare_bound - found.agreed.social_welfare
    assert gap <= 2e-9 * scales(found.agreed.game, found.agreed.profile).sum()
    assert found.agreed.welfare_bound == found.optimum.welfare_bound


@everywhere
@pytest.mark.parametrize("target", TARGETS)
def test_nobody_is_worse_off_and_the_gains_are_those_of_the_target(name, target):
    without = designed(name).without.payoffs
    if target == "proportional-gain" and np.any(without <= 0.0):
        pytest.skip("no proportion to a payoff that is not positive")
    found = designed(name, target)
    scale = scales(found.agreed.game, found.agreed.profile)
    if target == "by-profitability" and not found.verified():
        # Theorem A3 has a condition; where it fails somebody has less than alone, and it says so.
        assert found.agreed.gain_over_alone.min() < -1e-9 * scale.max()
        return
    assert found.verified()
    gain = found.agreed.payoffs - without
    np.testing.assert_array_equal(found.gain, gain)
    total = found.agreed.social_welfare - found.without.social_welfare
    rounding = 1e-11 * scale.max() * found.agreed.game.size
    if target in AGAINST_ALONE:
        assert np.all(found.agreed.gain_over_alone >= -rounding)
        assert (found.core is not None) == (target == "stable")
        return
    assert np.all(gain >= -rounding)
    if target == "equal-gain":
        np.testing.assert_allclose(gain, total / gain.size, rtol=0.0, atol=rounding)
    elif target == "proportional-gain":
        np.testing.assert_allclose(
            gain / without, total / without.sum(), rtol=0.0, atol=rounding / without.min()
        )


@everywhere
def test_the_least_cash_is_the_optimum_of_a_linear_program_of_its_own(name):
    found = designed(name, "least-cash")
    game = found.agreed.game
    judge, before = Eq11(game), found.without.payoffs
    bare = np.array([float(judge.payoff0(found.agreed.profile, i)) for i in range(game.size)])
    scale = scales(game, found.agreed.profile).max()
    # Every organization may pay every other one: x_ij >= 0 from i to j.
    n = game.size
    into = np.zeros((n, n * n))
    for i in range(n):
        for j in range(n):
            into[j, i * n + j] += 1.0
            into[i, i * n + j] -= 1.0
    answer = linprog(
        np.ones(n * n), A_ub=-into, b_ub=(bare - before) / scale + 1e-9, bounds=(0.0, None)
    )
    least = scale * answer.fun
    gain = float((bare - before).sum())
    # Nobody is left with less than a millionth of an equal share: that much more may be paid.
    assert found.cash >= least - 2e-9 * n * scale
    assert found.cash <= least + 1e-6 * max(gain, 0.0) + 2e-9 * n * scale
    assert found.cash == pytest.approx(
        np.maximum(before - bare, 0.0).sum(), rel=0.0, abs=1e-6 * max(gain, 0.0) + 1e-11 * n * scale
    )
    assert np.all(found.rule.constants == 0.0)
    assert len(found.rule.extra) <= n - 1


def test_least_cash_pays_no_more_than_the_other_targets():
    for name in ("five", "ten", "drug_discovery"):
        least = designed(name, "least-cash").cash
        assert least <= designed(name, "equal-gain").cash
        assert least <= designed(name, "proportional-gain").cash


def test_tiny_deficits_are_paid_too():
    from tradefl.design import _least_cash

    surplus = np.array([-1e-9, 1000.0, -5.0, -1e-12, 0.0, 3.0])
    after = surplus.copy()
    for to, by, amount in _least_cash(surplus):
        assert amount > 0.0
        after[to] += amount
        after[by] -= amount
    assert np.all(after >= -1e-15)
    assert sum(amount for *_, amount in _least_cash(surplus)) == pytest.approx(
        5.0 + 1e-9 + 1e-12, rel=1e-12
    )
    assert _least_cash(np.array([1.0, 0.0, 2.0])) == ()


# --- the schedules ------------------------------------------------------------------------------


@everywhere
def test_schedules_lie_below_the_externality_and_touch_it_where_it_is_agreed(name):
    found = designed(name)
    game, profile = found.agreed.game, found.agreed.profile
    externality = Externality(game, profile)
    scale = scales(game, profile).sum()
    reach = game.max_data_fraction(game.cpu_levels_hz)
    for i, schedule in enumerate(found.rule.schedules):
        assert 2 <= schedule.shares.size <= 32
        slopes = np.diff(schedule.values) / np.diff(schedule.shares)
        assert np.all(slopes >= 0.0)
        assert np.all(np.diff(slopes) <= 1e-6 * slopes[0])
        at = float(profile.data_fraction[i])
        assert schedule.values[schedule.shares == at] == [0.0]
        # D_min, and where the levels end, in whole parts per billion; unless d* is next to it.
        marks = [game.min_data_fraction, *reach[i][reach[i] >= game.min_data_fraction]]
        for mark in marks:
            assert np.abs(schedule.shares - mark).min() <= CLOSEST + 1e-9
        dense = np.unique(np.concatenate([np.linspace(0.0, 1.0, 2001), schedule.shares, [at]]))
        exact = externality.value(np.full(dense.size, i), dense)
        straight = np.interp(dense, schedule.shares, schedule.values)
        assert np.all(straight <= exact + 1e-12 * scale)
        assert np.all(straight[dense >= at] == 0.0)  # more than agreed is not paid for
        size = float(np.abs(exact).max())
        if externality.concave and size > 1e-9 * scale:
            kept = (dense >= game.min_data_fraction) & (dense <= at)
            assert np.all(exact[kept] - straight[kept] <= 0.02 * size)


@pytest.mark.parametrize("breakpoints", [4, 7, 32])
def test_few_breakpoints_do(breakpoints):
    game = game_of("five")
    found = design(game, breakpoints=breakpoints, random_starts=0)
    assert found.verified()
    for schedule in found.rule.schedules:
        assert 3 <= schedule.shares.size <= breakpoints
    assert max(schedule.shares.size for schedule in found.rule.schedules) == breakpoints


def test_the_regret_with_the_exact_schedules_is_that_of_the_externality():
    found = designed("ten")
    game, profile = game_of("ten"), found.optimum.profile
    np.testing.assert_array_equal(
        found.exact_regret, regret(game, profile, Externality(game, profile))
    )


# --- starts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["two", "five", "flat-start", "drug_discovery"])
def test_starts_are_reported_as_they_end(name):
    found = design(game_of(name), random_starts=4, seed=7)
    game, agreed = found.agreed.game, found.agreed.profile
    names = [start.name for start in found.starts]
    assert names == [
        "what is agreed on", "the least data", "all data", "no compensation",
        "random 1", "random 2", "random 3", "random 4",
    ]  # fmt: skip
    assert found.starts[0].reached
    assert found.reached == sum(start.reached for start in found.starts)
    fastest = game.initial_profile()
    most = StrategyProfile(game.max_data_fraction(fastest.cpu_hz), fastest.cpu_hz)
    for start, initial in zip(
        found.starts, (agreed, fastest, most, found.without.profile), strict=False
    ):
        end = solve(game, "dbr", initial=initial)
        assert start.moves == end.iterations
        assert start.social_welfare == pytest.approx(end.social_welfare, rel=1e-12)
        assert start.settled
        near = np.abs(end.profile.data_fraction - agreed.data_fraction).max() <= 1e-6
        assert start.reached == bool(near and np.all(end.profile.cpu_hz == agreed.cpu_hz))
    again = design(game_of(name), random_starts=4, seed=7)
    assert again.starts == found.starts


def test_levels_that_cost_nothing_are_as_good():
    """Without overhead the optimum is reached at any level that trains in time."""
    free = dataclasses.replace(game_of("drug_discovery"), overhead_weight=0.0)
    found = design(free, random_starts=4)
    levels = [
        solve(found.agreed.game, "dbr", initial=start).profile.cpu_hz
        for start in (found.agreed.profile, free.initial_profile())
    ]
    assert len(found.starts) == found.reached == 8
    assert {round(start.social_welfare, 6) for start in found.starts} == {
        round(found.agreed.social_welfare, 6)
    }
    assert all(level.shape == (free.size,) for level in levels)


# --- what cannot be designed --------------------------------------------------------------------


def test_one_organization_has_nobody_to_compensate():
    with pytest.raises(ValueError, match=r"^organizations: expected at least two"):
        design(random_game(1, 1))


def test_an_unknown_target_and_breakpoints_out_of_range_are_refused():
    game = game_of("two")
    with pytest.raises(ValueError, match=r"^target: expected one of stable, by-profitability"):
        design(game, "fair")
    for breakpoints in (3, 33):
        with pytest.raises(ValueError, match=f"^breakpoints: .* from 4 to 32, got {breakpoints}"):
            design(game, breakpoints=breakpoints)
    for option in ("seed", "random_starts"):
        with pytest.raises(ValueError, match=f"^{option}: expected an integer >= 0, got -1"):
            design(game, **{option: -1})
    with pytest.raises(ValueError, match=r"^time_limit: "):
        design(game, time_limit=-1.0)


def poor():
    """One firm so small that its own energy of sending costs more than it earns."""
    game = heterogeneous_game(6, 3)
    upload = np.array([1.0, 1.0, 15.0])
    return dataclasses.replace(game, upload_seconds=upload, upload_watts=1e4)


def test_no_share_of_a_payoff_that_is_not_positive():
    game = poor()
    without = solve(game.with_incentive_intensity(0.0)).payoffs
    assert without.min() <= 0.0
    first = int(np.flatnonzero(without <= 0.0)[0])
    with pytest.raises(
        ValueError, match=rf"^target: proportional-gain needs .* and {first + 1} has"
    ):
        design(game, "proportional-gain", random_starts=0)
    assert design(game, "equal-gain", random_starts=0).verified()
    assert design(game, "least-cash", random_starts=0).verified()


def test_an_exchange_rate_too_coarse_is_refused():
    with pytest.raises(
        ValueError, match=r"^wei_per_payoff: 1 wei are too coarse for the schedules"
    ):
        design(game_of("five"), wei_per_payoff=1, random_starts=0)


def test_rounding_to_wei_is_to_whole_wei():
    found = designed("five", "least-cash")
    rate = 10**12
    rule = in_wei(found.rule, rate)
    numbers = [*rule.constants, *(amount for *_, amount in rule.extra)]
    for schedule, exact in zip(rule.schedules, found.rule.schedules, strict=True):
        numbers += schedule.values.tolist()
        np.testing.assert_array_equal(schedule.shares, exact.shares)
        assert np.all(np.abs(schedule.values - exact.values) <= 0.51 / rate)
    for number in numbers:
        assert abs(number * rate - round(number * rate)) <= 1e-16 * abs(number) * rate * 4.0


def test_a_profile_in_decimals_stays_feasible():
    game = random_game(21, 4, levels=3, deadline="tight", accuracy="sqrt-loss")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        f = np.array([Eq11(game).levels(i)[-1][0] for i in range(4)])
        most = game.max_data_fraction(f)
        d = game.min_data_fraction + rng.choice([0.0, 0.3, 1.0], 4) * (
            most - game.min_data_fraction
        )
        rounded = in_decimals(game, StrategyProfile(d, f))
        assert game.is_feasible(rounded).all()
        assert np.all(rounded.data_fraction <= most)
        assert np.all(np.abs(rounded.data_fraction - d) <= 1e-9)
        np.testing.assert_array_equal(np.round(rounded.data_fraction, 9), rounded.data_fraction)


def test_what_no_parts_per_billion_can_state_is_refused():
    game = CoopetitionGame(
        profitability=[1.0, 1.0],
        data_bits=[1.0, 1.0],
        cycles_per_bit=1.0,
        cpu_levels_hz=[1.0],
        competition=[[0.0, 0.1], [0.1, 0.0]],
        accuracy=SqrtLoss(5.0, 100.0),
        min_data_fraction=0.5000000001,
        deadline_seconds=0.5000000002,
    )
    with pytest.raises(ValueError, match=r"^1: its data fraction cannot be stated in parts per"):
        in_decimals(game, StrategyProfile(np.full(2, 0.50000000015), np.ones(2)))


# --- the document, and the file -----------------------------------------------------------------


def test_the_document():
    found = designed("five")
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert set(document) == KEYS
    assert document["schema"] == "tradefl/design/1"
    assert document["target"] == "equal-gain"
    assert document["price_of_anarchy"] == (
        found.optimum.social_welfare / found.without.social_welfare
    )
    assert document["payments"] == found.cash
    assert document["starts_that_reach_the_optimum"] == found.reached
    for i, organization in enumerate(document["organizations"]):
        assert set(organization) == {
            "name", "data_fraction", "cpu_hz", "payoff_without", "payoff", "gain",
            "alone", "gain_over_alone", "redistribution", "schedule", "bond",
        }  # fmt: skip
        assert organization["gain"] == organization["payoff"] - organization["payoff_without"]
        assert organization["gain_over_alone"] == organization["payoff"] - organization["alone"]
        assert organization["redistribution"] == found.rule.net_constants[i]
        assert organization["redistribution"] == pytest.approx(
            float(found.agreed.terms.redistribution[i]), abs=1e-9
        )
        shares, values = zip(*organization["schedule"], strict=True)
        assert (list(shares), list(values)) == (
            found.rule.schedules[i].shares.tolist(), found.rule.schedules[i].values.tolist(),
        )  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("target", TARGETS)
def test_a_designed_file_is_read_as_it_was_written_and_solves_to_the_optimum(
    name, target, tmp_path
):
    found = designed(name, target)
    path = tmp_path / "designed.toml"
    write(consortium(name).designed(found.rule, target), path)
    again = tradefl.load(path)
    assert again == consortium(name).designed(found.rule, target)
    assert again.mechanism.rule == "efficient"
    rule = again.efficient_rule
    assert rule is not None
    assert rule.schedules == found.rule.schedules
    np.testing.assert_array_equal(rule.constants, found.rule.constants)
    assert rule.extra == found.rule.extra
    solution = tradefl.solve(again)
    away = np.abs(solution.profile.data_fraction - found.agreed.profile.data_fraction)
    assert away.max() <= 1e-6
    np.testing.assert_array_equal(solution.profile.cpu_hz, found.agreed.profile.cpu_hz)
    assert solution.status in ("optimal", "equilibrium")


@pytest.mark.parametrize("name", ["drug_discovery", "ten"])
def test_designing_what_is_designed_changes_nothing(name):
    found = designed(name)
    again = design(found.agreed.game, random_starts=0)
    np.testing.assert_array_equal(
        again.agreed.profile.data_fraction, found.agreed.profile.data_fraction
    )
    assert again.rule.schedules == found.rule.schedules
    np.testing.assert_array_equal(again.rule.constants, found.rule.constants)


# --- by hand ------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [entry for entry in TARGETS if entry not in AGAINST_ALONE])
def test_where_compute_is_free_there_is_nothing_to_gain(target):
    """Everybody contributes all it can anyway: nobody pays, and rounding makes no loser."""
    found = designed("free compute", target)
    assert found.price_of_anarchy == pytest.approx(1.0, rel=1e-12)
    scale = scales(found.agreed.game, found.agreed.profile)
    assert np.all(np.abs(found.gain) <= 1e-8 * scale)
    assert found.cash <= 1e-8 * scale.sum()


def test_without_rivals_data_still_serves_all_and_costs_who_gives_it():
    found = designed("no rivals")
    assert np.all(dense_rho(found.agreed.game.competition) == 0.0)
    assert np.all(found.gain > 0.0)
    assert np.all(found.agreed.profile.data_fraction >= found.without.profile.data_fraction - 1e-9)


@pytest.mark.slow
def test_two_hundred_seeds():
    for seed in range(200):
        game = heterogeneous_game(seed, 5 + seed % 6)
        for target in TARGETS:
            found = design(game, target, random_starts=0)
            scale = scales(found.agreed.game, found.agreed.profile)
            assert found.verified()
            assert np.all(found.exact_regret <= 1e-9 * scale)
            assert np.all(found.settled_regret <= 1e-6 * scale)
            if target not in AGAINST_ALONE:
                assert np.all(found.gain >= -1e-11 * scale)


def test_a_stable_split_need_not_have_the_largest_margin_proven(monkeypatch):
    """Without a target it is enough that no coalition leaves; what is proven is said."""
    from benchmarks.consortia import sector_game

    game = sector_game(60)
    monkeypatch.setattr(import_module("tradefl.design"), "MARGIN_NODES", 0)
    found = design(game, random_starts=1)
    assert found.target == "stable"
    assert not found.core.certified
    assert 0.0 < found.core.proven <= found.core.margin
    proof = tradefl.stability(game, found.core.payoff)
    assert proof.verdict == "stable"
    assert -proof.max_excess == pytest.approx(found.core.margin, rel=1e-6)
