"""The incentive intensity: against a dense grid, with and without individual rationality."""

import dataclasses
import functools
import json

import numpy as np
import pytest
from tests.golden.cases import EXAMPLES
from tests.support import random_game

import tradefl
from tradefl.game import CoopetitionGame, SqrtLoss
from tradefl.solvers import solve
from tradefl.tuning import saturation, tune

pytestmark = pytest.mark.filterwarnings("error")


def unequal(p_small=300.0, rho=0.05, small=1e8):
    """Two large organizations, and a small one that competes with the first and pays it."""
    competition = np.zeros((3, 3))
    competition[0, 1] = competition[1, 0] = 0.01
    competition[0, 2] = competition[2, 0] = rho
    data = np.array([25e9, 25e9, small])
    return CoopetitionGame(
        profitability=np.array([2000.0, 2000.0, p_small]),
        data_bits=data,
        data_units=data / 1e9,
        cycles_per_bit=np.full(3, 2.0),
        cpu_levels_hz=np.array([2e9, 4e9]),
        competition=competition,
        accuracy=SqrtLoss(5.0, 0.79),
        incentive_intensity=0.0,
        compute_weight=1.6,
        overhead_weight=0.5,
        min_data_fraction=0.01,
        deadline_seconds=40.0,
        capacitance=1e-27,
    )


GAMES = {
    "unequal": unequal,
    "rational": lambda: unequal(600.0),
    "tight": lambda: random_game(
        6, 4, levels=3, accuracy="sqrt-loss", competition="dense", deadline="tight"
    ),
    "two": lambda: random_game(10, 2, levels=2, accuracy="empirical", competition="dense"),
}


@functools.cache
def game_of(name):
    return GAMES[name]()


@functools.cache
def tuned(name, rational=True):
    return tune(game_of(name), method="dbr", points=81, individual_rationality=rational)


@functools.cache
def dense_curve(name):
    """(gamma, welfare, rational) on a grid of its own: neither the range nor the points shared."""
    game = game_of(name)
    top = 1.5 * saturation(game)
    gammas = np.concatenate([[0.0], np.geomspace(1e-7 * top, top, 90), np.linspace(0, top, 62)])
    rows = []
    for gamma in np.unique(gammas):
        solution = solve(game.with_incentive_intensity(float(gamma)), "dbr")
        rows.append((gamma, solution.social_welfare, solution.better_than_alone))
    return tuple(rows)


@pytest.mark.parametrize("rational", [True, False])
@pytest.mark.parametrize("name", GAMES)
def test_no_gamma_of_a_dense_grid_is_better(name, rational):
    found = tuned(name, rational).best
    rivals = [welfare for _, welfare, all_gain in dense_curve(name) if all_gain or not rational]
    if not rivals:
        assert found is None
        return
    allowance = 1e-4 * (max(rivals) - min(welfare for _, welfare, _ in dense_curve(name)))
    assert found.social_welfare >= max(rivals) - allowance - 1e-9 * abs(max(rivals))


def test_the_answer_is_confirmed_by_the_method_that_was_asked_for():
    """Near gamma* best responses and the exact solver end in different equilibria here."""
    apart = 0
    for seed in (12, 30, 85, *range(4)):
        game = random_game(seed, 3, levels=3, accuracy="sqrt-loss", competition="dense")
        found = tune(game, points=41)
        if found.best is None:
            continue
        at_best = game.with_incentive_intensity(found.best.game.incentive_intensity)
        expected = solve(at_best, "exact")
        assert found.best.method == "exact"
        assert found.best.status == "optimal"
        assert found.best.social_welfare == expected.social_welfare
        quick = solve(at_best, "dbr")
        apart += abs(quick.social_welfare - expected.social_welfare) > 1e-9
        curve = {point.incentive_intensity: point for point in found.curve}
        point = curve[at_best.incentive_intensity]
        assert point.social_welfare == expected.social_welfare
        last = found.largest_individually_rational
        if last not in (None, np.inf):
            for gamma, rational in ((last, True), (min(g for g in curve if g > last), False)):
                end = solve(game.with_incentive_intensity(gamma), "exact")
                assert end.certificate.individually_rational == rational
        assert found.without.method == "exact"
    assert apart > 0


@pytest.mark.parametrize("rational", [True, False])
@pytest.mark.parametrize("name", GAMES)
def test_the_curve_is_that_of_the_solver_and_holds_its_own_best(name, rational):
    tuning = tuned(name, rational)
    gammas = [point.incentive_intensity for point in tuning.curve]
    assert gammas == sorted(set(gammas))
    assert gammas[0] == 0.0
    game = game_of(name)
    for point in tuning.curve[:: max(1, len(tuning.curve) // 12)]:
        solution = solve(game.with_incentive_intensity(point.incentive_intensity), "dbr")
        scale = 1e-12 * solution.certificate.payoff_scale.sum()
        assert point.social_welfare == pytest.approx(solution.social_welfare, rel=0.0, abs=scale)
        total = float(solution.profile.data_fraction.sum())
        assert point.total_data_fraction == pytest.approx(total, rel=1e-12)
        assert point.performance == pytest.approx(solution.terms.performance, rel=1e-12)
        assert point.damage == pytest.approx(float(solution.terms.damage.sum()), rel=1e-12)
        assert point.status == solution.status == "equilibrium"
        assert point.individually_rational == bool(np.all(solution.payoffs >= 0.0))
        assert point.better_than_alone == bool(np.all(solution.payoffs >= solution.alone - 1e-9))
    allowed = [point for point in tuning.curve if point.better_than_alone or not rational]
    if not allowed:
        assert tuning.best is None
        return
    # The smallest of the best: what summing up in another order changes is no difference.
    best = max(point.social_welfare for point in allowed)
    equal = best - 1e-12 * tuning.best.certificate.payoff_scale.sum()
    assert tuning.best.game.incentive_intensity == min(
        point.incentive_intensity for point in allowed if point.social_welfare >= equal
    )
    if rational:
        assert tuning.best.certificate.individually_rational
    np.testing.assert_array_equal(
        tuning.gain, tuning.best.payoffs - solve(game.with_incentive_intensity(0.0), "dbr").payoffs
    )


@pytest.mark.parametrize("example", ["paper.toml", "drug_discovery.toml"])
def test_of_equals_it_is_the_lower_end(example):
    """Welfare has a plateau there: below it everybody's money moves less, but welfare is lower."""
    game = tradefl.load(EXAMPLES / example).game

    def welfare(gamma):
        return solve(game.with_incentive_intensity(gamma)).social_welfare

    gamma = tune(game).best.game.incentive_intensity
    assert welfare(1.002 * gamma) == pytest.approx(welfare(gamma), rel=1e-13)
    assert welfare(0.999 * gamma) < welfare(gamma) * (1.0 - 1e-9)


def test_a_gamma_that_brings_nothing_is_not_paid():
    """Everybody gives all it can anyway: then 0 is best, whatever rounding says."""
    game = tradefl.load(EXAMPLES / "drug_discovery.toml").game
    fastest = game.cpu_levels_hz.max(axis=1, keepdims=True)
    tuning = tune(dataclasses.replace(game, overhead_weight=0.0, cpu_levels_hz=fastest))
    assert len({round(point.social_welfare, 6) for point in tuning.curve}) == 1
    assert tuning.best.game.incentive_intensity == 0.0


@pytest.mark.parametrize("name", GAMES)
def test_the_largest_rational_gamma_is_that_of_a_dense_grid(name):
    largest = tuned(name).largest_individually_rational
    rational = [gamma for gamma, _, all_gain in dense_curve(name) if all_gain]
    if largest is None:
        assert not rational
        return
    if largest == np.inf:
        assert dense_curve(name)[-1][2] or max(rational) >= saturation(game_of(name)) * 0.99
        return
    assert max(rational) <= largest * (1.0 + 1e-3)
    # It is rational itself, and just above it is not.
    game = game_of(name)
    at = solve(game.with_incentive_intensity(largest), "dbr")
    assert at.certificate.individually_rational
    above = solve(game.with_incentive_intensity(largest * (1.0 + 2e-3)), "dbr")
    assert not above.certificate.individually_rational


def test_rationality_binds_where_a_small_organization_pays():
    """Without the demand gamma* is larger, welfare higher, and the small one below zero."""
    held, free = tuned("unequal"), tuned("unequal", rational=False)
    assert held.best.certificate.individually_rational
    assert not free.best.certificate.individually_rational
    assert free.best.payoffs[2] < 0.0
    assert free.best.social_welfare > held.best.social_welfare + 1.0
    largest = held.largest_individually_rational
    assert free.best.game.incentive_intensity > largest
    assert held.best.game.incentive_intensity <= largest
    # Here the constraint binds, so gamma* is the largest rational gamma.
    assert held.best.game.incentive_intensity == pytest.approx(largest, rel=2e-4)
    assert (held.individual_rationality, free.individual_rationality) == (True, False)


def test_without_rivals_gamma_has_no_effect():
    game = dataclasses.replace(random_game(3, 4), competition=np.zeros((4, 4)))
    assert saturation(game) == 0.0
    tuning = tune(game)
    assert tuning.best.game.incentive_intensity == 0.0
    assert len(tuning.curve) == 1
    np.testing.assert_array_equal(tuning.gain, 0.0)


def test_a_consortium_that_is_irrational_at_every_gamma_has_none():
    game = dataclasses.replace(unequal(), download_watts=1e6, download_seconds=1.0)
    tuning = tune(game, method="dbr", points=21)
    assert tuning.best is None
    assert tuning.gain is None
    assert tuning.largest_individually_rational is None
    found = json.loads(json.dumps(tuning.to_dict(), allow_nan=False))
    for key in ("incentive_intensity", "social_welfare", "individually_rational", "organizations"):
        assert found[key] is None
    assert found["largest_individually_rational"] is None
    assert found["individually_rational_throughout"] is False
    lifted = tune(game, method="dbr", points=21, individual_rationality=False)
    assert lifted.best is not None
    assert lifted.largest_individually_rational is None
    assert not lifted.best.certificate.individually_rational


@pytest.mark.parametrize("method", ["exact", "dbr"])
def test_gamma_of_the_paper(method):
    """Our calibration was chosen for this: 5.12e-9, Section VI."""
    game = tradefl.load(EXAMPLES / "paper.toml").game
    tuning = tune(game, method=method)
    assert tuning.best.game.incentive_intensity == pytest.approx(5.12e-9, rel=0.005)
    assert tuning.best.social_welfare > tuning.without.social_welfare
    assert tuning.best.certificate.individually_rational
    assert tuning.best.method == method


@pytest.mark.parametrize("name", GAMES)
def test_beyond_saturation_nothing_changes(name):
    game = game_of(name)
    top = saturation(game)
    at, *beyond = (
        solve(game.with_incentive_intensity(factor * top), "exact")
        for factor in (1.0 + 1e-9, 2.0, 100.0)
    )
    rivals = game.total_intensity > 0.0
    fastest = np.fmax.reduce(game.cpu_levels_hz, axis=1)
    np.testing.assert_array_equal(at.profile.cpu_hz[rivals], fastest[rivals])
    most = game.max_data_fraction(fastest)
    np.testing.assert_allclose(at.profile.data_fraction[rivals], most[rivals], rtol=1e-9)
    for entry in beyond:
        np.testing.assert_array_equal(entry.profile.cpu_hz[rivals], at.profile.cpu_hz[rivals])
        np.testing.assert_allclose(entry.profile.data_fraction, at.profile.data_fraction, rtol=1e-9)
        assert entry.social_welfare == pytest.approx(at.social_welfare, rel=1e-9)


def test_free_compute_is_saturated_by_any_incentive():
    game = dataclasses.replace(unequal(), overhead_weight=0.0)
    assert saturation(game) > 0.0
    tuning = tune(game, points=5)
    assert tuning.best is not None


def test_one_level_saturates():
    game = random_game(12, 4, levels=1, accuracy="sqrt-loss", competition="dense")
    assert np.isfinite(saturation(game))
    tuning = tune(game, method="dbr", points=9, individual_rationality=False)
    assert tuning.best is not None


def test_the_games_own_gamma_does_not_matter():
    game = unequal()
    one = tune(game, method="dbr", points=9).to_dict()
    other = tune(game.with_incentive_intensity(1e-7), method="dbr", points=9).to_dict()
    assert one == other


def test_the_largest_gamma_to_try_is_kept():
    tuning = tune(unequal(), method="dbr", points=9, largest=1e-8)
    assert max(point.incentive_intensity for point in tuning.curve) == pytest.approx(1e-8)
    assert tuning.largest_individually_rational == np.inf


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"largest": 0.0}, "largest: expected a number > 0"),
        ({"largest": -1e-9}, "largest"),
        ({"largest": float("nan")}, "largest"),
        ({"largest": float("inf")}, "largest"),
        ({"points": 2}, "points: expected an integer >= 3, got 2"),
        ({"method": "magic"}, "method: expected one of"),
    ],
)
def test_a_bad_option_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        tune(unequal(), **options)


def test_the_optimum_has_no_gamma():
    with pytest.raises(ValueError, match="gamma changes nothing"):
        tune(random_game(3, 1), method="planner")
