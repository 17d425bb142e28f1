"""Best-response dynamics: an equilibrium by an independent search, an honest trace, its options."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import (
    ACCURACIES,
    COMPETITIONS,
    Eq11,
    WithoutInverse,
    dense_rho,
    examples,
    games,
    permuted,
    random_game,
    random_profile,
    seeds,
)

from tradefl.game import CoopetitionGame, PowerLaw, StrategyProfile, payoffs, potential
from tradefl.solvers import dbr
from tradefl.solvers import solve as solve_by
from tradefl.solvers.best_response import players


def solve(game, method="dbr", **options):
    """Best-response dynamics unless a test names another method."""
    return solve_by(game, method, **options)


def assert_no_regret_by_dense_search(solution, tolerance=1e-9):
    judge = Eq11(solution.game)
    for i in range(solution.game.size):
        best, scale = judge.best_gain(solution.profile, i)
        assert best <= tolerance * scale


def assert_same_contributions(one, two, tolerance=1e-9):
    np.testing.assert_array_equal(one.profile.cpu_hz, two.profile.cpu_hz)
    np.testing.assert_allclose(one.profile.data_fraction, two.profile.data_fraction, rtol=tolerance)


# --- the equilibrium ----------------------------------------------------------------------------


@pytest.mark.parametrize("accuracy", ACCURACIES)
@examples(50)
@given(seed=seeds(), organizations=st.integers(1, 6), equal=st.booleans())
def test_nobody_gains_by_deviating_from_where_the_dynamics_end(
    accuracy, seed, organizations, equal
):
    game = random_game(seed, organizations, accuracy=accuracy, equal=equal)
    solution = solve(game)
    assert solution.status == "equilibrium"
    assert game.is_feasible(solution.profile).all()
    assert_no_regret_by_dense_search(solution)


@examples(60)
@given(games(max_organizations=5), seeds())
def test_every_start_and_every_order_ends_in_an_equilibrium(game, seed):
    start = random_profile(game, seed)
    solution = solve(game, initial=start, order="random", seed=seed)
    assert solution.status == "equilibrium"
    assert_no_regret_by_dense_search(solution)


@examples(40)
@given(games(start="flat"), seeds())
def test_the_flat_part_of_performance_is_no_trap(game, seed):
    solution = solve(game, initial=random_profile(game, seed, kind="low"))
    assert solution.status == "equilibrium"
    assert_no_regret_by_dense_search(solution)


@examples(25)
@given(seed=seeds())
def test_many_organizations_settle(seed):
    solution = solve(random_game(seed, 40))
    assert solution.status == "equilibrium"
    assert solution.certificate.is_equilibrium(1e-9)


@pytest.mark.parametrize("difference", [0.1, 1e-2, 1e-3, 1e-5, 1e-9, 0.0])
def test_nearly_equal_organizations_settle(difference):
    # P = 1 - 1/Omega; z = (9, 9 + 10 difference) but for a difference squared. Both would take
    # Omega to sqrt(z_i / 0.28), nearly the same, so each gives way to the other by little: it
    # takes 2/difference moves to let organization 1 fall to D_min. With a difference of 1e-5
    # or less they may stop on the way, where nobody has more than 1e-9 of its payoff to gain.
    p = np.array([10.0, 10.0 * (1.0 + difference)])
    game = CoopetitionGame(
        profitability=p,
        data_bits=[10.0, 10.0],
        cycles_per_bit=1.0,
        cpu_levels_hz=[1.0],
        competition=[[0.0, 0.1], [0.1, 0.0]],
        accuracy=PowerLaw(untrained_loss=1.0, scale=1.0, exponent=1.0),
        min_data_fraction=0.1,
        capacitance=1.0,
        overhead_weight=0.28,
    )
    solution = solve(game)
    assert solution.status == "equilibrium"
    assert_no_regret_by_dense_search(solution)
    if difference >= 1e-3:
        omega = np.sqrt((p[1] - 0.1 * p[0]) / 0.28)
        expected = [0.1, omega / 10.0 - 0.1]
        np.testing.assert_allclose(solution.profile.data_fraction, expected, rtol=1e-9)


@examples(40)
@given(games())
def test_an_equilibrium_is_left_alone(game):
    first = solve(game)
    assert first.status == "equilibrium"
    again = solve(game, initial=first.profile)
    assert again.iterations == 0
    assert len(again.trace) == 0
    np.testing.assert_array_equal(again.profile.data_fraction, first.profile.data_fraction)


# --- the trace ----------------------------------------------------------------------------------


@examples(80)
@given(games(), seeds())
def test_the_trace_climbs_the_potential_and_ends_in_the_solution(game, seed):
    start = random_profile(game, seed)
    solution = solve(game, initial=start, order="random", seed=seed)
    trace = solution.trace
    assert len(trace) == solution.iterations
    assert trace.potential.shape == (len(trace) + 1,)

    replayed = list(trace.profiles())
    assert len(replayed) == len(trace) + 1
    np.testing.assert_array_equal(replayed[0].data_fraction, start.data_fraction)
    np.testing.assert_array_equal(replayed[0].cpu_hz, start.cpu_hz)
    np.testing.assert_array_equal(replayed[-1].data_fraction, solution.profile.data_fraction)
    np.testing.assert_array_equal(replayed[-1].cpu_hz, solution.profile.cpu_hz)

    # Rounding of the potential is relative to its terms, which may cancel.
    own = np.max([np.abs(dbr.own_term(game).value(profile)).sum() for profile in replayed])
    rounding = 1e-13 * (own + solution.terms.performance) * (1 + game.size)
    assert np.all(np.diff(trace.potential) >= -rounding)
    again = [potential(game, profile) for profile in replayed]
    assert np.all(np.abs(trace.potential - again) <= rounding)
    assert abs(trace.potential[-1] - solution.potential) <= rounding


@examples(30)
@given(games(min_organizations=2), seeds())
def test_every_move_of_the_trace_pays_the_mover(game, seed):
    solution = solve(game, initial=random_profile(game, seed))
    judge, profiles = Eq11(game), solution.trace.profiles()
    for i, (before, after) in zip(
        solution.trace.organization, itertools.pairwise(profiles), strict=True
    ):
        others = np.arange(game.size) != i
        np.testing.assert_array_equal(before.data_fraction[others], after.data_fraction[others])
        np.testing.assert_array_equal(before.cpu_hz[others], after.cpu_hz[others])
        assert game.is_feasible(after)[i]
        gain = float(judge.payoff(after, i)) - float(judge.payoff(before, i))
        assert gain >= -1e-13 * (judge.scale(before, i) + judge.scale(after, i))


def test_payoffs_along_the_trace_are_those_of_its_profiles():
    game = random_game(9, 5)
    solution = solve(game)
    assert len(solution.trace) > 0
    table = solution.trace.payoffs(game)
    assert table.shape == (len(solution.trace) + 1, 5)
    np.testing.assert_array_equal(table[0], payoffs(game, game.initial_profile()).payoff)
    np.testing.assert_array_equal(table[-1], solution.payoffs)


def test_the_profiles_of_a_trace_do_not_change_under_the_reader():
    solution = solve(random_game(9, 5))
    first, *_ = solution.trace.profiles()
    copy = first.data_fraction.copy()
    list(solution.trace.profiles())
    np.testing.assert_array_equal(first.data_fraction, copy)


# --- what must not matter -----------------------------------------------------------------------


def played_in(game, turns, rounds=200):
    """Return where rounds of best responses in a given order of turns end."""
    start = game.initial_profile()
    d, f = start.data_fraction.copy(), start.cpu_hz.copy()
    own = dbr.own_term(game).value(start)
    for _ in range(rounds):
        moved, _, _ = dbr.one_round(
            game.accuracy, players(game), np.asarray(turns), d, f, own,
            float(d @ game.data_units), float(own.sum()), 1e-12, 10**9, False,
        )  # fmt: skip
        if moved == 0:
            return StrategyProfile(d, f)
    raise AssertionError("the dynamics did not settle")


@pytest.mark.parametrize("competition", COMPETITIONS)
@examples(40)
@given(seed=seeds())
def test_relabelled_organizations_that_move_in_the_same_order_end_in_the_same_place(
    competition, seed
):
    game = random_game(seed, 5, competition=competition)
    order = np.random.default_rng(seed).permutation(5)
    other = permuted(game, order)
    # Organization k of the other game is order[k] here; there it takes its turn at order[k].
    here, there = solve(game).profile, played_in(other, np.argsort(order))
    np.testing.assert_array_equal(there.cpu_hz, here.cpu_hz[order])
    np.testing.assert_allclose(there.data_fraction, here.data_fraction[order], rtol=1e-9)
    # In the order of their new numbers they may end elsewhere, but no less in equilibrium.
    renumbered = solve(other)
    assert renumbered.status == "equilibrium"
    assert_no_regret_by_dense_search(renumbered)


def with_currency(game, factor):
    return dataclasses.replace(
        game,
        profitability=factor * game.profitability,
        incentive_intensity=factor * game.incentive_intensity,
        overhead_weight=factor * game.overhead_weight,
    )


@examples(40)
@given(games(max_organizations=8), st.sampled_from([0.125, 1024.0]))
def test_another_currency_moves_no_contribution(game, factor):
    # Powers of two: not even rounding differs.
    one, other = solve(game), solve(with_currency(game, factor))
    np.testing.assert_array_equal(other.profile.data_fraction, one.profile.data_fraction)
    np.testing.assert_array_equal(other.profile.cpu_hz, one.profile.cpu_hz)
    np.testing.assert_array_equal(other.payoffs, factor * one.payoffs)
    np.testing.assert_array_equal(other.trace.potential, one.trace.potential)


@examples(40)
@given(games(), st.sampled_from([0.07, 130.0]))
def test_another_currency_moves_contributions_by_rounding_only(game, factor):
    one, other = solve(game), solve(with_currency(game, factor))
    assert_same_contributions(one, other)
    scale = one.certificate.payoff_scale
    assert np.all(np.abs(other.payoffs - factor * one.payoffs) <= 1e-9 * factor * scale)


@examples(40)
@given(games(competition="sector"))
def test_the_form_of_rho_moves_no_contribution(game):
    dense = dataclasses.replace(game, competition=dense_rho(game.competition))
    assert_same_contributions(solve(game), solve(dense))


@pytest.mark.parametrize("accuracy", ["sqrt-loss", "power-law"])
@examples(40)
@given(seed=seeds(), start=st.sampled_from(["flat", "concave"]))
def test_a_user_function_without_inverse_gives_the_equilibrium_of_the_built_in_formula(
    accuracy, seed, start
):
    game = random_game(seed, 4, accuracy=accuracy, start=start)
    # Where P barely leaves zero within the data, rounding hides its shape from Eq. (5)'s check.
    if game.data_units.sum() < 1.2 * game.accuracy.onset:
        game = dataclasses.replace(game, data_units=2.0 * game.data_units)
    user = dataclasses.replace(game, accuracy=WithoutInverse(game.accuracy))
    one, other = solve(game), solve(user)
    assert_same_contributions(one, other)
    np.testing.assert_array_equal(one.trace.organization, other.trace.organization)


# --- options ------------------------------------------------------------------------------------


def moving_game():
    """A game whose dynamics take more moves than it has organizations."""
    game = random_game(21, 6, accuracy="sqrt-loss", gamma=0.0)
    assert solve(game).iterations > 6
    return game


@pytest.mark.parametrize("limit", [0, 1, 3, 6])
def test_the_move_limit_is_kept_and_reported(limit):
    game = moving_game()
    full, short = solve(game), solve(game, max_moves=limit)
    assert short.status == "iteration_limit"
    assert short.iterations == len(short.trace) == limit
    assert game.is_feasible(short.profile).all()
    np.testing.assert_array_equal(short.trace.organization, full.trace.organization[:limit])
    np.testing.assert_array_equal(short.trace.data_fraction, full.trace.data_fraction[:limit])
    *_, last = short.trace.profiles()
    np.testing.assert_array_equal(short.profile.data_fraction, last.data_fraction)


def test_a_limit_that_is_just_enough_is_no_limit():
    game = moving_game()
    enough = solve(game).iterations
    assert solve(game, max_moves=enough).status == "equilibrium"
    assert solve(game, max_moves=enough - 1).status == "iteration_limit"


def test_a_random_order_is_reproducible_and_is_not_the_given_one():
    game = moving_game()
    one, two, other = (solve(game, order="random", seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.trace.organization, two.trace.organization)
    np.testing.assert_array_equal(one.profile.data_fraction, two.profile.data_fraction)
    assert one.trace.organization.tolist() != other.trace.organization.tolist()
    assert one.trace.organization.tolist() != solve(game).trace.organization.tolist()


def test_the_given_order_is_the_order_of_the_arrays():
    organizations = solve(moving_game()).trace.organization
    first_round = organizations[: 1 + int(np.argmin(np.diff(organizations) > 0))]
    assert np.all(np.diff(first_round) > 0)
    assert first_round.size > 1


def test_the_trace_can_be_left_out_without_changing_the_solution():
    game = moving_game()
    without = solve(game, trace=False)
    assert without.trace is None
    assert without.iterations == solve(game).iterations
    assert_same_contributions(without, solve(game), tolerance=1e-15)


def test_the_trace_of_a_large_consortium_is_kept_on_request_only(monkeypatch):
    monkeypatch.setattr(dbr, "TRACE_UP_TO", 5)
    game = moving_game()
    assert solve(game).trace is None
    assert len(solve(game, trace=True).trace) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 0.0}, "tolerance: expected a number in"),
        ({"tolerance": 1.0}, "tolerance"),
        ({"tolerance": -1e-9}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"max_moves": -1}, "max_moves: expected an integer >= 0, got -1"),
        ({"max_moves": 2.5}, "max_moves: expected an integer >= 0, got 2.5"),
        ({"order": "sideways"}, "order: expected one of given, random, got 'sideways'"),
    ],
)
@pytest.mark.parametrize("method", ["dbr", "wpr"])
def test_a_bad_option_is_named(method, options, message):
    with pytest.raises(ValueError, match=message):
        solve(random_game(1, 3), method=method, **options)


def test_an_infeasible_start_is_rejected():
    game = random_game(1, 3)
    start = game.initial_profile()
    for bad in (
        StrategyProfile(0.5 * start.data_fraction, start.cpu_hz),
        StrategyProfile(start.data_fraction, 1.01 * start.cpu_hz),
    ):
        with pytest.raises(ValueError, match="initial: expected a feasible profile"):
            solve(game, initial=bad)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_start_of_another_size_is_rejected(size):
    game = random_game(1, 3, levels=1, equal=True)
    f = np.full(size, game.cpu_levels_hz[0, 0])
    with pytest.raises(ValueError, match="initial: expected"):
        solve(game, initial=StrategyProfile(np.full(size, game.min_data_fraction), f))


def test_the_start_is_not_changed():
    game = moving_game()
    start = game.initial_profile()
    solve(game, initial=start)
    np.testing.assert_array_equal(start.data_fraction, game.initial_profile().data_fraction)


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_one_organization_alone_settles_at_once(accuracy):
    for seed in range(10):
        game = random_game(seed, 1, accuracy=accuracy)
        solution = solve(game)
        assert solution.status == "equilibrium"
        assert solution.iterations <= 1
        assert solution.transfers() == []
        assert_no_regret_by_dense_search(solution)


def test_wpr_is_the_dynamics_without_redistribution():
    game = random_game(33, 5, gamma=2.0)
    wpr = solve(game, method="wpr")
    plain = solve(game.with_incentive_intensity(0.0))
    assert (wpr.method, plain.method) == ("wpr", "dbr")
    assert_same_contributions(wpr, plain, tolerance=1e-15)
    np.testing.assert_array_equal(wpr.terms.redistribution, np.zeros(5))
    assert game.incentive_intensity > 0.0
