"""What every solver owes its user, whatever the method and whatever the consortium."""

import dataclasses
import functools
import json
import math

import numpy as np
import pytest
from tests.support import Eq11, dense_rho, efficient_game, plain_performance, random_game

from tradefl.game import StrategyProfile
from tradefl.solvers import METHODS, BoundTrace, Trace, solve

TOP_LEVEL = {
    "schema", "consortium", "method", "status", "iterations", "runtime_seconds", "potential",
    "upper_bound", "social_welfare", "social_welfare_upper_bound", "performance",
    "total_data_fraction", "max_regret", "budget_imbalance", "individually_rational",
    "organizations", "transfers",
}  # fmt: skip
PER_ORGANIZATION = {
    "name", "data_fraction", "cpu_hz", "contribution_bits", "revenue", "overhead", "damage",
    "redistribution", "payoff", "regret",
}  # fmt: skip
STATUSES = {"optimal", "equilibrium", "feasible", "iteration_limit"}
PROVES = {"exact", "cgbd"}


# --- the consortia ------------------------------------------------------------------------------


def barely_in_time(game):
    """The deadline at which the fastest level alone can train D_min, with 1% to spare."""
    fastest = np.fmax.reduce(game.cpu_levels_hz, axis=1)
    d_min = game.min_data_fraction
    tau = 400.0
    # Everybody's transfers take what its training leaves of it.
    training = game.cycles_per_bit * game.data_bits * d_min * 1.01 / fastest
    tau = float(training.max()) + tau
    return dataclasses.replace(
        game, deadline_seconds=tau, download_seconds=tau - training, upload_seconds=0.0
    )


def flat_within_reach(game):
    """All the data there is leaves P at zero, or nearly so."""
    return dataclasses.replace(game, data_units=0.01 * game.data_units)


def spread_levels():
    """Levels so close and so far that one of four is ever worth anything."""
    game = random_game(77, 4, levels=3, accuracy="power-law", competition="dense")
    top = np.fmax.reduce(game.cpu_levels_hz, axis=1)
    return dataclasses.replace(
        game, cpu_levels_hz=top[:, None] * np.array([1e-3, 0.5, 0.5 + 1e-9, 1.0])
    )


def almost_no_weight():
    """One organization's z is a millionth of its p."""
    game = random_game(31, 4, accuracy="sqrt-loss", competition="dense", deadline="loose")
    rho = 1.0 - np.eye(4)
    largest = np.max(rho @ game.profitability / game.profitability)
    return dataclasses.replace(game, competition=rho * ((1.0 - 1e-6) / largest))


def in_other_money(game, factor):
    return dataclasses.replace(
        game,
        profitability=factor * game.profitability,
        incentive_intensity=factor * game.incentive_intensity,
        overhead_weight=factor * game.overhead_weight,
    )


CONSORTIA = {
    "dense": lambda: random_game(1, 5, competition="dense", accuracy="sqrt-loss"),
    "sparse": lambda: random_game(2, 6, competition="sparse", accuracy="power-law"),
    "sector": lambda: random_game(3, 6, competition="sector", accuracy="empirical"),
    "user": lambda: random_game(4, 5, accuracy="user-log"),
    "user-without-inverse": lambda: random_game(5, 4, accuracy="user-exp"),
    "tight": lambda: random_game(6, 6, deadline="tight", accuracy="sqrt-loss"),
    "ragged": lambda: random_game(7, 6, levels=4, accuracy="power-law"),
    "flat-start": lambda: random_game(8, 5, start="flat", accuracy="sqrt-loss"),
    "flat-start-power": lambda: random_game(9, 5, start="flat", accuracy="power-law"),
    "flat-throughout": lambda: flat_within_reach(
        random_game(10, 4, start="flat", accuracy="sqrt-loss", gamma=0.5)
    ),
    "one-organization": lambda: random_game(11, 1, levels=3),
    "one-level": lambda: random_game(12, 5, levels=1),
    "one-of-each": lambda: random_game(13, 1, levels=1, accuracy="sqrt-loss"),
    "no-incentive": lambda: random_game(14, 5, gamma=0.0),
    "no-rivals": lambda: dataclasses.replace(random_game(15, 5), competition=np.zeros((5, 5))),
    "equal": lambda: random_game(16, 6, equal=True, competition="sector", accuracy="sqrt-loss"),
    "equal-without-rivals": lambda: dataclasses.replace(
        random_game(17, 6, equal=True, accuracy="sqrt-loss"), competition=np.zeros((6, 6))
    ),
    "all-data": lambda: dataclasses.replace(
        random_game(18, 4, deadline="loose"), min_data_fraction=1.0
    ),
    "one-level-in-time": lambda: barely_in_time(
        random_game(19, 5, levels=3, accuracy="sqrt-loss", gamma=0.5)
    ),
    "large-incentive": lambda: random_game(20, 5, gamma=100.0, accuracy="sqrt-loss"),
    "no-deadline": lambda: dataclasses.replace(random_game(21, 5), deadline_seconds=np.inf),
    "spread-levels": spread_levels,
    "little-weight": almost_no_weight,
    "small-money": lambda: in_other_money(random_game(22, 4, accuracy="sqrt-loss"), 1e-6),
    "large-money": lambda: in_other_money(random_game(23, 4, accuracy="power-law"), 1e6),
    "efficient": lambda: efficient_game(25, 5, accuracy="sqrt-loss", competition="dense"),
    "efficient-two": lambda: efficient_game(26, 2, levels=3, accuracy="power-law"),
    "efficient-measured": lambda: efficient_game(27, 4, accuracy="empirical", deadline="tight"),
    "efficient-user": lambda: efficient_game(28, 4, accuracy="user-exp"),
    "efficient-flat-start": lambda: efficient_game(29, 4, start="flat", accuracy="sqrt-loss"),
    "efficient-equal": lambda: efficient_game(30, 6, equal=True, accuracy="power-law"),
    "efficient-many-pieces": lambda: efficient_game(31, 4, levels=4, pieces=31),
    "free-compute": lambda: dataclasses.replace(random_game(24, 4), overhead_weight=0.0),
}  # fmt: skip


@functools.cache
def game_of(name):
    return CONSORTIA[name]()


@functools.cache
def solved(method, name):
    """The solution; None where a baseline says that its restrictions leave nothing to play."""
    try:
        return solve(game_of(name), method)
    except ValueError as error:
        # On the grid {0.1, 0.2, ...}, or with f following d, not everybody may be in time.
        assert method in ("fip", "gca"), error  # noqa: PT017
        assert str(error).startswith({"fip": "step: ", "gca": "greedy_hz: "}[method])  # noqa: PT017
        return None


pytestmark = pytest.mark.filterwarnings("error")
everywhere = pytest.mark.parametrize("name", CONSORTIA)
by_every_method = pytest.mark.parametrize("method", METHODS)


def solution_or_skip(method, name):
    solution = solved(method, name)
    if solution is None:
        pytest.skip("nothing to play on this grid")
    return solution


def plain_potential(game, profile):
    """U from the input arrays alone (E1), and the size of its terms."""
    rho = dense_rho(game.competition)
    z = game.profitability - rho @ game.profitability
    d, f, s = profile.data_fraction, profile.cpu_hz, game.data_bits
    if game.compensation is None:
        own = game.incentive_intensity * rho.sum(axis=1) * (d * s + game.compute_weight * f)
    else:
        own = np.array([Eq11(game).phi(i, entry) for i, entry in enumerate(d)])
    data = own / z
    energy = game.overhead_weight * game.capacitance * f**2 * game.cycles_per_bit * d * s / z
    value = float(plain_performance(game.accuracy, math.fsum(d * game.data_units)))
    return value + math.fsum(data - energy), value + math.fsum(np.abs(data) + energy)


def test_the_restricted_baselines_play_most_of_these_consortia():
    for method in ("fip", "gca"):
        assert sum(solved(method, name) is None for name in CONSORTIA) <= len(CONSORTIA) // 2


# --- the profile and its certificate ------------------------------------------------------------


@by_every_method
@everywhere
def test_the_profile_is_feasible_or_the_status_says_so(method, name):
    solution = solution_or_skip(method, name)
    game, profile, judge = solution.game, solution.profile, Eq11(solution.game)
    in_time = []
    for i, (d, f) in enumerate(zip(profile.data_fraction, profile.cpu_hz, strict=True)):
        assert f in game.cpu_levels_hz[i]
        assert game.min_data_fraction * (1.0 - 1e-12) <= d <= 1.0
        high = dict(judge.levels(i)).get(f, 0.0)
        in_time.append(d <= high * (1.0 + 1e-9))
    feasible = all(in_time)
    assert feasible == solution.certificate.feasible
    assert feasible == (solution.status != "infeasible")
    if method == "tos":
        np.testing.assert_array_equal(profile.data_fraction, 1.0)
        np.testing.assert_array_equal(profile.cpu_hz, np.fmax.reduce(game.cpu_levels_hz, axis=1))
        assert bool(solution.remarks) == (not feasible)
    else:
        assert feasible


@by_every_method
@everywhere
def test_the_numbers_are_those_of_the_formulas(method, name):
    solution = solution_or_skip(method, name)
    game, profile, judge = solution.game, solution.profile, Eq11(solution.game)
    payoff = judge.payoffs(profile)
    scale = np.array([judge.scale(profile, i) for i in range(judge.n)])
    assert np.all(np.abs(solution.payoffs - payoff) <= 1e-11 * scale)
    assert abs(solution.social_welfare - payoff.sum()) <= 1e-11 * scale.sum()
    assert solution.certificate.budget_imbalance <= 1e-11 * scale.sum()
    if np.all(np.abs(payoff) > 1e-9 * scale):
        assert solution.certificate.individually_rational == bool(np.all(payoff >= 0.0))
    value, size = plain_potential(game, profile)
    # z_i is a difference: where it nearly cancels, so do the digits of what is divided by it.
    lost = float(np.max(game.profitability / game.potential_weights))
    assert abs(solution.potential - value) <= 1e-13 * lost * size


@by_every_method
@everywhere
def test_the_regret_is_that_of_a_dense_search(method, name):
    solution = solution_or_skip(method, name)
    judge, certificate = Eq11(solution.game), solution.certificate
    assert certificate.max_regret == certificate.regret.max()
    for i in range(judge.n):
        gain, scale = judge.best_gain(solution.profile, i)
        assert abs(float(certificate.regret[i]) - gain) <= 2e-9 * scale


# --- what the status claims ---------------------------------------------------------------------


@by_every_method
@everywhere
def test_the_status_is_no_more_than_is_so(method, name):
    solution = solution_or_skip(method, name)
    assert solution.method == method
    if method == "tos":
        assert solution.status in STATUSES | {"infeasible"}
    else:
        assert solution.status in STATUSES
    worst = float(np.max(solution.certificate.regret / solution.certificate.payoff_scale))
    if method == "planner":
        assert solution.status == "optimal"
        gap = solution.welfare_bound - solution.social_welfare
        assert 0.0 <= gap <= 1e-9 * abs(solution.welfare_bound)
        assert solution.upper_bound is None
        return
    assert solution.welfare_bound is None
    if solution.status == "optimal":
        assert method in PROVES
        gap, bound = solution.upper_bound - solution.potential, abs(solution.upper_bound)
        assert gap <= (1e-9 * bound if method == "exact" else 1e-8 * max(1.0, bound))
        assert worst <= (1e-9 if method == "exact" else 1e-6)
    if solution.status == "equilibrium":
        assert worst <= 1e-9
    if method in PROVES:
        assert solution.status == "optimal"
        assert solution.upper_bound >= solution.potential
    else:
        assert solution.upper_bound is None
    if method in ("dbr", "wpr"):
        assert solution.status == "equilibrium"
    assert solution.status != "iteration_limit"


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"wpr", "tos"}))
@everywhere
def test_nobody_beats_the_proven_bounds(method, name):
    solution = solution_or_skip(method, name)
    for prover in sorted(PROVES):
        bound = solved(prover, name).upper_bound
        _, size = plain_potential(solution.game, solution.profile)
        assert solution.potential <= bound + 1e-12 * size


@everywhere
def test_the_two_provers_agree(name):
    exact, cgbd = solved("exact", name), solved("cgbd", name)
    size = max(1.0, abs(exact.upper_bound))
    assert abs(exact.potential - cgbd.potential) <= 2e-8 * size


# --- the trace ----------------------------------------------------------------------------------


@by_every_method
@everywhere
def test_the_trace_is_monotone_and_leads_to_the_solution(method, name):
    solution = solution_or_skip(method, name)
    trace = solution.trace
    if method == "tos":
        assert (trace, solution.iterations) == (None, 0)
        return
    if method == "planner":  # it climbs in welfare, not in the potential
        assert trace is None
        return
    if method in ("exact", "cgbd", "cgbd-as-printed"):
        assert isinstance(trace, BoundTrace)
        assert trace.lower.shape == trace.upper.shape
        assert not np.isnan(trace.lower).any()
        assert not np.isnan(trace.upper).any()
        assert np.all(trace.upper[1:] <= trace.upper[:-1])
        if method == "cgbd-as-printed":
            assert len(trace) == solution.iterations >= 1
            assert -trace.upper[-1] == solution.potential
            return
        assert len(trace) >= 1
        assert np.all(trace.lower[1:] >= trace.lower[:-1] - 1e-14 * np.abs(trace.lower[:-1]))
        assert np.all(trace.lower <= trace.upper)
        if method == "cgbd":
            assert len(trace) == solution.iterations
            assert -trace.lower[-1] == solution.upper_bound
            assert -trace.upper[-1] == solution.potential
        return
    assert isinstance(trace, Trace)
    assert len(trace) == solution.iterations
    profiles = list(trace.profiles())
    last = profiles[-1]
    np.testing.assert_array_equal(last.data_fraction, solution.profile.data_fraction)
    np.testing.assert_array_equal(last.cpu_hz, solution.profile.cpu_hz)
    worth = [plain_potential(solution.game, profile) for profile in profiles]
    value, size = np.array(worth).T
    lost = float(np.max(solution.game.profitability / solution.game.potential_weights))
    rounding = 1e-13 * lost * size.max()
    assert np.all(np.diff(trace.potential) >= -rounding)
    assert np.all(np.abs(trace.potential - value) <= rounding)


# --- the document -------------------------------------------------------------------------------


def without_time(document):
    return {key: value for key, value in document.items() if key != "runtime_seconds"}


@by_every_method
@everywhere
def test_the_document_is_json_with_the_keys_of_the_interface(method, name):
    solution = solution_or_skip(method, name)
    text = json.dumps(solution.to_dict(), allow_nan=False)
    found = json.loads(text)
    assert set(found) >= TOP_LEVEL
    assert (found["schema"], found["method"]) == ("tradefl/solution/1", method)
    assert found["status"] == solution.status
    assert found["potential"] == solution.potential
    assert found["upper_bound"] == solution.upper_bound
    assert found["max_regret"] == max(
        organization["regret"] for organization in found["organizations"]
    )
    assert len(found["organizations"]) == solution.game.size
    for organization in found["organizations"]:
        assert set(organization) >= PER_ORGANIZATION
    assert all(transfer["amount"] > 0.0 for transfer in found["transfers"])
    if method == "wpr":
        assert [organization["redistribution"] for organization in found["organizations"]] == [
            0.0
        ] * solution.game.size
        assert found["transfers"] == []


@by_every_method
@everywhere
def test_two_runs_are_the_same_to_the_last_bit(method, name):
    one = solution_or_skip(method, name)
    other = solve(game_of(name), method)
    assert json.dumps(without_time(one.to_dict())) == json.dumps(without_time(other.to_dict()))


@by_every_method
def test_the_game_is_not_changed(method):
    game = game_of("dense")
    before = {
        field.name: np.array(getattr(game, field.name), copy=True)
        for field in dataclasses.fields(game)
        if isinstance(getattr(game, field.name), np.ndarray)
    }
    solve(game, method)
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(game, name), array)


def test_an_unknown_method_is_named():
    with pytest.raises(ValueError, match=r"method: expected one of exact, cgbd, .*, got 'magic'"):
        solve(game_of("dense"), "magic")


def test_a_profile_is_what_it_says():
    """Guards the judge: a profile that is late is infeasible."""
    game = game_of("one-level-in-time")
    assert [len(Eq11(game).levels(i)) for i in range(game.size)].count(1) >= game.size - 1
    late = StrategyProfile(np.ones(game.size), solved("exact", "one-level-in-time").profile.cpu_hz)
    assert not game.is_feasible(late).any()
