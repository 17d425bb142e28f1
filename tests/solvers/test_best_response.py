"""Eq. (24): no strategy that brute force or SCIP can find pays more than the best response."""

import dataclasses
import math

import numpy as np
import pyscipopt
import pytest
from hypothesis import given
from tests.support import (
    ACCURACIES,
    Eq11,
    examples,
    games,
    random_game,
    random_profile,
    seeds,
)

from tradefl.game import CoopetitionGame, Empirical, PowerLaw, StrategyProfile
from tradefl.solvers.best_response import best_fraction, best_response, player, players


def assert_nothing_beats_the_best_response(game, profile):
    judge = Eq11(game)
    for i in range(game.size):
        d, f = best_response(game, profile, i)
        assert game.is_feasible(profile.replaced(i, d, f))[i]
        gain = float(judge.payoff(profile, i, d, f)) - float(judge.payoff(profile, i))
        best, scale = judge.best_gain(profile, i)
        scale = max(scale, judge.scale(profile, i, d, f))
        assert best - gain <= 1e-9 * scale
        # Nor does brute force miss what the formula finds, so the judge is worth something.
        assert gain - best <= 1e-9 * scale


@pytest.mark.parametrize("accuracy", ACCURACIES)
@examples(60)
@given(game=games(max_organizations=4), seed=seeds())
def test_brute_force_never_beats_the_best_response(accuracy, game, seed):
    game = random_game(seed, game.size, accuracy=accuracy)
    assert_nothing_beats_the_best_response(game, random_profile(game, seed))


@pytest.mark.parametrize("accuracy", ["sqrt-loss", "power-law", "user"])
@examples(60)
@given(seed=seeds())
def test_brute_force_never_beats_the_best_response_at_a_flat_start(accuracy, seed):
    game = random_game(seed, 4, accuracy=accuracy, start="flat")
    assert_nothing_beats_the_best_response(game, random_profile(game, seed, kind="low"))


# --- SCIP ---------------------------------------------------------------------------------------


def best_payoff_by_scip(game, profile, i):
    """Maximize Eq. (11) over i's strategies as a mixed-integer nonlinear program.

    One binary for each level, one d for each; P as A(0) - scale Omega^-exponent - floor, which
    is right from the onset of P on: the games below start there.
    """
    judge, g = Eq11(game), game
    model = pyscipopt.Model()
    model.hideOutput()
    model.setParam("limits/gap", 1e-9)
    model.setParam("numerics/feastol", 1e-9)
    rest = math.fsum(profile.data_fraction[j] * g.data_units[j] for j in range(g.size) if j != i)
    chosen, fractions, terms = [], [], []
    for f, high in judge.levels(i):
        y, d = model.addVar(vtype="B"), model.addVar(lb=0.0, ub=high)
        model.addCons(d <= high * y)
        model.addCons(d >= g.min_data_fraction * y)
        # Eq. (11) is linear in (d, y) besides P: two payoffs without P give the line.
        line = Eq11(dataclasses.replace(g, accuracy=Empirical([0.0, 1.0], [0.0, 0.0])))
        low, mid = g.min_data_fraction, 0.5 * (g.min_data_fraction + 1.0)
        at_low, at_mid = (float(line.payoff(profile, i, x, f)) for x in (low, mid))
        slope = (at_mid - at_low) / (mid - low)
        terms.append((at_low - slope * low) * y + slope * d)
        chosen.append(y)
        fractions.append(d)
    model.addCons(pyscipopt.quicksum(chosen) == 1)
    p = g.accuracy
    unit = rest + g.data_units[i]  # Omega in shares of its largest value
    share = model.addVar(lb=1e-6, ub=1.0)
    model.addCons(share == rest / unit + g.data_units[i] / unit * pyscipopt.quicksum(fractions))
    loss = model.addVar(lb=0.0, ub=None)
    model.addCons(loss >= p.scale * unit**-p.exponent * share**-p.exponent)
    competitors = math.fsum(judge.rho[i] * g.profitability)
    alone = float(judge.performance(rest))
    worth = (g.profitability[i] - competitors) * (p.untrained_loss - p.floor - loss)
    payoff = worth + competitors * alone + pyscipopt.quicksum(terms)
    objective = model.addVar(lb=None, ub=None)
    model.addCons(objective <= payoff)
    model.setObjective(objective, "maximize")
    model.optimize()
    assert model.getStatus() in ("optimal", "gaplimit")
    return model.getObjVal(), model.getDualbound()


@pytest.mark.parametrize("seed", range(12))
def test_scip_proves_that_nothing_beats_the_best_response(seed):
    game = random_game(seed, 4, levels=4, accuracy="power-law", start="concave")
    profile = random_profile(game, seed)
    judge = Eq11(game)
    for i in range(2):
        d, f = best_response(game, profile, i)
        mine, scale = float(judge.payoff(profile, i, d, f)), judge.scale(profile, i, d, f)
        found, bound = best_payoff_by_scip(game, profile, i)
        assert mine >= found - 1e-6 * scale
        assert mine >= bound - 1e-6 * scale
        assert mine <= bound + 1e-6 * scale


# --- by hand ------------------------------------------------------------------------------------


def lone(levels, **changes):
    """One organization, P = 1 - 1/Omega from Omega = 1 on, ten units of data, p = 10."""
    fields = {
        "profitability": [10.0],
        "data_bits": [10.0],
        "cycles_per_bit": 1.0,
        "cpu_levels_hz": [levels],
        "competition": [[0.0]],
        "accuracy": PowerLaw(untrained_loss=1.0, scale=1.0, exponent=1.0),
        "overhead_weight": 0.4,
        "capacitance": 1.0,
        "min_data_fraction": 0.02,
    }
    return CoopetitionGame(**(fields | changes))


def response(game, d=0.02):
    return best_response(game, StrategyProfile([d], [np.nanmax(game.cpu_levels_hz)]), 0)


def test_the_slowest_level_wins_without_a_deadline_and_redistribution():
    # Cost 0.4 f^2 a unit: 10/Omega^2 = 0.4 at Omega = 5.
    assert response(lone([1.0, 2.0, 3.0])) == (pytest.approx(0.5), 1.0)


def test_a_faster_level_wins_when_the_deadline_caps_the_slow_one():
    # h = 0.15 f: Omega = 1.5 at 1 Hz pays 10/3 - 0.06 = 3.27 with cost 0.04 f^2 a unit;
    # 3 at 2 Hz pays 20/3 - 0.48 = 6.19; 4.5 at 3 Hz pays 70/9 - 1.62 = 6.16.
    game = lone([1.0, 2.0, 3.0], deadline_seconds=1.5, overhead_weight=0.04)
    assert response(game) == (pytest.approx(0.3), 2.0)


def test_of_equally_good_levels_the_slowest_wins():
    game = lone([1.0, 2.0, 3.0], overhead_weight=0.0)
    assert response(game) == (1.0, 1.0)
    # Whatever it plays now, and whichever level is looked at first.
    assert response(game, d=1.0) == (1.0, 1.0)


def test_the_slowest_of_equally_good_levels_wins_when_a_faster_one_promises_more():
    # P rises to 1 at three units and no further; h = f/2. From D_min the tangent promises the
    # faster level twice as much, but both end at P = 1.
    flat = Empirical([0.0, 3.0], [0.0, 1.0])
    game = lone([1.0, 2.0], accuracy=flat, overhead_weight=0.0, deadline_seconds=5.0)
    _, f = response(game)
    assert f == 1.0


def test_padding_is_no_level():
    assert response(lone([1.0, np.nan, np.nan])) == (pytest.approx(0.5), 1.0)


def test_data_that_cannot_reach_the_onset_stays_at_the_minimum():
    # h = 0.08: at most 0.8 units, below the onset at 1, and every unit costs.
    assert response(lone([1.0], deadline_seconds=0.8)) == (0.02, 1.0)


def test_data_that_costs_nothing_is_given_even_below_the_onset_or_not_at_all():
    # Nothing depends on d then; whatever is played has no regret.
    d, _ = response(lone([1.0], deadline_seconds=0.8, overhead_weight=0.0))
    assert 0.02 <= d <= 0.08


def test_a_start_exactly_on_the_onset_is_left():
    # D_min = 0.1 gives Omega = 1, where P has its kink: the slope to the right is 1 a unit.
    assert response(lone([1.0], min_data_fraction=0.1), d=0.1) == (pytest.approx(0.5), 1.0)


@pytest.mark.parametrize(
    ("slope", "expected"),
    [(-20.0, 0.0), (-10.0, 0.25), (-5.0, 0.25), (-2.5, 0.5), (-1.0, 1.0), (0.0, 1.0), (1.0, 1.0)],
)
def test_best_fraction_on_a_piecewise_linear_curve_is_a_knot_or_an_end(slope, expected):
    # Per unit 0.6, 0.3 and 0.2, with ten units and one from the others: the knots are at
    # d = 0.25 and 0.5. Slopes per fraction: 6, 3, 2.
    curve = Empirical([0.0, 3.5, 6.0, 20.0], [0.0, 2.1, 2.85, 5.65])
    d = best_fraction(curve, 1.0, 10.0, slope, 0.0, 1.0)
    if slope == -10.0:  # steeper than anywhere
        expected = 0.0
    assert d == pytest.approx(expected)


def test_a_player_is_its_row():
    game = random_game(4, 5)
    everyone = players(game)
    me = player(everyone, 3)
    assert me.data_units == game.data_units[3]
    assert me.data_gain == everyone.data_gain[3]
    assert me.energy_cost == everyone.energy_cost[3]
    assert me.compute_gain == everyone.compute_gain[3]
    assert me.fraction_per_hz == game.data_fraction_per_hz[3]
    assert me.low == game.min_data_fraction
    assert me.high == 1.0
