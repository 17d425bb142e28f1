"""Many games at once are the solvers' games: the same moves, the same numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import tradefl
from tradefl import Games, InputError, PowerLaw, SectorCompetition, SqrtLoss, solve_many
from tradefl.experiments.draws import GAMMA_STAR, OURS, draw
from tradefl.experiments.gamma_sweep import settle
from tradefl.game import Empirical, payoffs, regret
from tradefl.solvers import many as many_module
from tradefl.solvers import solve
from tradefl.solvers.planner import optimum

GAMMAS = np.array([0.0, 1e-9, GAMMA_STAR, 3e-8, 1e-7])
# Far from ours in every direction: two levels and eight, flat P at the start, cheap energy.
OTHERS = (
    OURS,
    dataclasses.replace(OURS, levels=2, epochs=1.3, untrained_loss=0.95),
    dataclasses.replace(OURS, levels=8, overhead_weight=0.003, compute_weight=20.0),
    dataclasses.replace(OURS, deadline_seconds=6.0, overhead_weight=0.8, mean_intensity=0.07),
    dataclasses.replace(OURS, deadline_seconds=60.0, epochs=80.0, untrained_loss=1.3),
)
GAMES = [draw(seed, OTHERS[seed % len(OTHERS)]) for seed in range(10)]
AT_GAMMAS = [game.with_incentive_intensity(gamma) for game in GAMES for gamma in GAMMAS]
PRECISION = 1e-12


def assert_equal(found, k, expected):
    """Row k of a batch is a solver's solution: moves to the last, payoffs to 1e-12 of the terms."""
    assert found.moves[k] == expected.iterations
    scale = expected.certificate.payoff_scale
    terms = expected.terms
    for value, wanted in (
        (found.payoffs[k], expected.payoffs),
        (found.revenue[k], terms.revenue),
        (found.overhead[k], terms.overhead),
        (found.damage[k], terms.damage),
        (found.payments[k], terms.redistribution),
        (found.payoff_scale[k], scale),
        (found.regret[k], expected.certificate.regret),
    ):
        np.testing.assert_allclose(value, wanted, rtol=0.0, atol=PRECISION * scale.max())
    d = expected.profile.data_fraction
    np.testing.assert_allclose(found.data_fraction[k], d, rtol=PRECISION)
    np.testing.assert_array_equal(found.cpu_hz[k], expected.profile.cpu_hz)
    assert found.performance[k] == pytest.approx(terms.performance, rel=PRECISION)
    assert found.social_welfare[k] == pytest.approx(
        expected.social_welfare, rel=0.0, abs=PRECISION * scale.sum()
    )
    assert found.individually_rational[k] == expected.certificate.individually_rational
    assert found.is_equilibrium[k] == (expected.status == "equilibrium")


@pytest.mark.parametrize("method", ["dbr", "wpr", "gca", "fip"])
def test_many_games_at_once_settle_where_the_solver_does(method):
    found = solve_many(AT_GAMMAS, method=method)
    for k, game in enumerate(AT_GAMMAS):
        assert_equal(found, k, solve(game, method))
    assert found.valid.all()
    assert found.settled.all()


CURVE = Empirical(np.array([0.0, 20.0, 60.0, 150.0]), np.array([0.0, 0.4, 0.6, 0.7]))
SHORT = Empirical(np.array([0.0, 90.0, 120.0]), np.array([0.0, 0.5, 0.55]))
MODELS = {
    "power-law": [PowerLaw(0.9, 1.2, 0.4, 0.05), PowerLaw(0.8, 0.9, 0.6)],
    "empirical": [CURVE, SHORT],
    "of several kinds": [CURVE, SqrtLoss(5.0, 0.8)],
}


@pytest.mark.parametrize("models", MODELS.values(), ids=MODELS)
def test_every_accuracy_model_is_followed(models):
    games = [
        dataclasses.replace(game, accuracy=models[k % len(models)])
        for k, game in enumerate(AT_GAMMAS[::3])
    ]
    found = solve_many(games)
    for k, game in enumerate(games):
        assert_equal(found, k, solve(game, "dbr"))


def test_compiled_loops_and_plain_python_agree():
    compiled = solve_many(AT_GAMMAS, compiled=True)
    plain = solve_many(AT_GAMMAS, compiled=False)
    np.testing.assert_array_equal(plain.moves, compiled.moves)
    scale = compiled.payoff_scale.max()
    np.testing.assert_allclose(plain.payoffs, compiled.payoffs, rtol=0.0, atol=1e-13 * scale)


def test_costs_that_firms_have_are_followed():
    rng = np.random.default_rng(5)
    games = [
        dataclasses.replace(
            game,
            data_cost=rng.uniform(0.0, 200.0, 10),
            joining_cost=rng.uniform(0.0, 50.0, 10),
            capacitance=rng.uniform(0.5e-27, 2e-27, 10) if k % 2 else 1e-27,
            quality=rng.uniform(0.5, 2.0, 10),
        )
        for k, game in enumerate(AT_GAMMAS[::4])
    ]
    found = solve_many(games, optimum=True)
    for k, game in enumerate(games):
        assert_equal(found, k, solve(game, "dbr"))
        assert found.optimum.social_welfare[k] == pytest.approx(optimum(game).welfare, rel=1e-9)


def test_quality_multiplies_the_units():
    weighed = solve_many(**arrays_of(quality=[1.0, 0.5, 2.0]))
    units = solve_many(**arrays_of(data_units=[20.0, 10.0, 40.0]))
    np.testing.assert_array_equal(weighed.payoffs, units.payoffs)
    with pytest.raises(InputError, match="quality: expected finite numbers > 0"):
        solve_many(**arrays_of(quality=0.0))


def test_the_efficient_rule_is_one_of_the_rules():
    from tradefl.design import design

    base = draw(0)
    rule = design(base, random_starts=0).rule
    richer = dataclasses.replace(base, profitability=1.1 * base.profitability)
    games = [game.with_compensation(rule) for game in (base, richer)]
    found = solve_many(games)
    for k, game in enumerate(games):
        assert_equal(found, k, solve(game, "dbr"))


def test_arrays_broadcast_and_chunks_do_not_matter(monkeypatch):
    base = draw(3)
    gammas = np.linspace(0.0, 2e-8, 40)
    arrays = {
        "profitability": base.profitability,
        "data_bits": base.data_bits,
        "data_units": base.data_units,
        "cycles_per_bit": base.cycles_per_bit,
        "cpu_levels_hz": base.cpu_levels_hz,
        "competition": base.competition,
        "accuracy": base.accuracy,
        "download_seconds": base.download_seconds,
        "upload_seconds": base.upload_seconds,
        "compute_weight": base.compute_weight,
        "overhead_weight": base.overhead_weight,
        "min_data_fraction": base.min_data_fraction,
        "deadline_seconds": base.deadline_seconds,
        "download_watts": base.download_watts,
        "upload_watts": base.upload_watts,
    }
    found = solve_many(incentive_intensity=gammas, **arrays)
    assert found.payoffs.shape == (40, 10)
    for k in (0, 17, 39):
        assert_equal(found, k, solve(base.with_incentive_intensity(gammas[k]), "dbr"))
    monkeypatch.setattr(many_module, "CHUNK", 150)
    again = solve_many(incentive_intensity=gammas, **arrays)
    np.testing.assert_allclose(again.payoffs, found.payoffs, rtol=1e-13)


def test_a_single_game_comes_back_as_it_was():
    game = AT_GAMMAS[7]
    assert solve(Games.of([game]).game(0), "dbr").social_welfare == pytest.approx(
        solve(game, "dbr").social_welfare, rel=1e-15
    )


def test_sectors_are_intensities_too():
    base = draw(1)
    sectors = SectorCompetition(np.arange(10) % 3, 0.06, 0.01)
    game = dataclasses.replace(base, competition=sectors)
    assert_equal(solve_many([game]), 0, solve(game, "dbr"))


def test_dynamics_start_where_they_are_asked_to():
    game = draw(2)
    rng = np.random.default_rng(0)
    f = np.tile(game.cpu_levels_hz[:, -1], (6, 1))
    d = 0.01 + rng.random((6, 10)) * (game.max_data_fraction(f[0]) - 0.01)
    found = solve_many([game] * 6, initial=(d, f))
    for k in range(6):
        start = tradefl.StrategyProfile(d[k], f[k])
        assert_equal(found, k, tradefl.solve(game, "dbr", initial=start))


def test_a_fixed_profile_is_paid_and_judged_as_it_is():
    rng = np.random.default_rng(1)
    games = AT_GAMMAS[::7]
    levels = [rng.integers(game.cpu_levels_hz.shape[1]) for game in games]
    f = np.array([game.cpu_levels_hz[:, k] for game, k in zip(games, levels, strict=True)])
    most = np.array([g.max_data_fraction(row) for g, row in zip(games, f, strict=True)])
    d = np.minimum(0.01 + rng.random(f.shape), most)
    found = solve_many(games, method="fixed", initial=(d, f))
    assert not found.is_equilibrium.any()
    for k, game in enumerate(games):
        profile = tradefl.StrategyProfile(d[k], f[k])
        terms = payoffs(game, profile)
        np.testing.assert_allclose(found.payoffs[k], terms.payoff, rtol=1e-12, atol=1e-9)
        # Both search by golden section: the value is exact, where it is taken is not.
        np.testing.assert_allclose(found.regret[k], regret(game, profile), rtol=1e-11, atol=1e-9)
        assert found.moves[k] == 0


@pytest.mark.parametrize("compiled", [False, True])
def test_the_optimum_is_the_planners(compiled):
    games = AT_GAMMAS[::11]
    found = solve_many(games, optimum=True, compiled=compiled)
    best = found.optimum
    assert best is not None
    assert best.proven.all()
    for k, game in enumerate(games):
        expected = optimum(game)
        assert best.social_welfare[k] == pytest.approx(expected.welfare, rel=1e-9)
        profile = tradefl.StrategyProfile(best.data_fraction[k], best.cpu_hz[k])
        assert game.is_feasible(profile).all()
        reached = payoffs(game, profile).social_welfare
        assert reached == pytest.approx(best.social_welfare[k], rel=1e-9)
        assert best.bound[k] >= expected.welfare * (1.0 - 1e-12)
    assert np.all(found.social_welfare <= best.bound)
    assert solve_many(games[:2]).optimum is None


def test_every_game_may_have_gammas_of_its_own():
    gammas = np.array([[1e-9, 1e-8], [GAMMA_STAR, 1e-7]])
    found = settle(GAMES[:2], gammas, "DBR")
    assert found.welfare.shape == (2, 2)
    for i, game in enumerate(GAMES[:2]):
        for k in range(2):
            alone = solve(game.with_incentive_intensity(gammas[i, k]), "dbr")
            assert found.welfare[i, k] == pytest.approx(alone.social_welfare, rel=1e-12)
            assert found.damage[i, k] == pytest.approx(alone.terms.damage.sum(), rel=1e-12)
            assert found.least_payoff[i, k] == pytest.approx(alone.payoffs.min(), rel=1e-9)
            assert found.moves[i, k] == alone.iterations


def test_a_scheme_with_nothing_to_play_is_refused():
    game = draw(0, dataclasses.replace(OURS, deadline_seconds=2.2))
    with pytest.raises(ValueError, match="nothing to play before the deadline under fip"):
        settle([game], GAMMAS, "FIP")


# --- bad input ----------------------------------------------------------------------------------


def arrays_of(**changes):
    return {
        "profitability": np.full((4, 3), 1500.0),
        "data_bits": np.full(3, 2e10),
        "cycles_per_bit": 2.0,
        "cpu_levels_hz": [1e9, 2e9, 3e9],
        "competition": np.full((3, 3), 0.05) - 0.05 * np.eye(3),
        "accuracy": SqrtLoss(5.0, 0.8),
        "data_units": 20.0,
        "deadline_seconds": 40.0,
    } | changes


def test_the_arrays_of_the_bad_examples_are_good():
    found = solve_many(**arrays_of())
    assert found.payoffs.shape == (4, 3)
    assert found.is_equilibrium.all()


BAD = {
    "a length": ({"data_bits": np.full(2, 2e10)}, r"data_bits: expected a number or shape \(N,\)"),
    "a count": ({"incentive_intensity": np.zeros(5)}, r"4 games, as|5 games, as"),
    "an axis": ({"deadline_seconds": np.full((4, 3), 40.0)}, r"deadline_seconds: expected"),
    "rho": ({"competition": np.zeros((3, 2))}, r"competition: expected shape \(N, N\)"),
    "levels": ({"cpu_levels_hz": np.ones((3, 3, 3, 3))}, "cpu_levels_hz: expected"),
    "text": ({"profitability": "many"}, "profitability: expected an array of numbers"),
    "a model": ({"accuracy": [3.0]}, "accuracy: expected an object with value"),
    "models": ({"accuracy": [SqrtLoss(5.0, 0.8)] * 7}, "7|4 games"),
    "a name": ({"gamma": 1.0}, "gamma: no such parameter"),
    "a range": ({"data_bits": [2e10, -1.0, 2e10]}, r"data_bits\[0, 1\]: expected a finite number"),
    "NaN": ({"data_units": np.nan}, r"data_units\[0, 0\]: expected"),
    "intensity": (
        {"competition": np.full((3, 3), 1.5)},
        r"competition\[0, 0, 0\]: expected an in",
    ),
    "diagonal": ({"competition": np.full((3, 3), 0.1)}, "expected 0 on the diagonal, got 0.1"),
    "asymmetry": ({"competition": np.triu(np.full((3, 3), 0.1), 1)}, "a symmetric matrix"),
    "order": ({"cpu_levels_hz": [2e9, 1e9]}, "expected ascending frequencies"),
    "z": ({"competition": np.ones((3, 3)) - np.eye(3)}, "z = p - sum_j rho_ij p_j = -1500"),
    "deadline": ({"deadline_seconds": 0.1}, "no feasible level"),
    "method": ({"method": "cgbd"}, "method: expected one of dbr, wpr, gca, fip, fixed"),
    "tolerance": ({"tolerance": 2.0}, "tolerance: expected"),
    "moves": ({"max_moves": -1}, "max_moves: expected"),
    "no profile": ({"method": "fixed"}, "initial: expected the profiles"),
    "start": ({"initial": (np.ones(2), np.ones(3))}, "initial: expected two arrays"),
    "start value": ({"initial": (np.full(3, -1.0), np.full(3, 1e9))}, "initial: expected data"),
    "start of gca": ({"method": "gca", "initial": (1.0, 1e9)}, "initial: expected none for gca"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_bad_arrays_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        solve_many(**arrays_of(**changes))


def test_a_missing_array_is_named():
    arrays = arrays_of()
    del arrays["competition"]
    with pytest.raises(InputError, match="competition: expected an array, found nothing"):
        solve_many(**arrays)
    with pytest.raises(InputError, match="games: expected either games or their arrays"):
        solve_many()
    with pytest.raises(InputError, match="games: expected at least one game"):
        solve_many([])
    with pytest.raises(InputError, match="games: expected games of one size"):
        solve_many([draw(0), draw(0, organizations=4)])


def test_rows_that_are_no_games_can_be_passed_over():
    p = np.full((4, 3), 1500.0)
    p[2, 1] = 10.0  # its rivals are worth more
    with pytest.raises(InputError, match=r"profitability\[2, 1\]: z = "):
        solve_many(**arrays_of(profitability=p))
    found = solve_many(skip_invalid=True, optimum=True, **arrays_of(profitability=p))
    np.testing.assert_array_equal(found.valid, [True, True, False, True])
    assert np.isnan(found.payoffs[2]).all()
    assert not found.settled[2]
    assert not found.is_equilibrium[2]
    whole = solve_many(**arrays_of())
    np.testing.assert_array_equal(found.payoffs[[0, 1, 3]], whole.payoffs[[0, 1, 3]])


def test_the_move_limit_holds_for_each_game():
    found = solve_many(GAMES, max_moves=3)
    assert (found.moves <= 3).all()
    assert not found.settled.all()
