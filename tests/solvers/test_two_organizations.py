"""Equilibria of two organizations, computed by hand.

Throughout u_i = s_i, kappa = 1, f_i = 1 Hz and eta_i = 1 unless a comment says otherwise, and P
leaves zero at Omega = 1. Dividing organization i's payoff by z_i leaves

    P(Omega) - (varpi_e f_i^2 eta_i - gamma rho) / z_i * (d_i s_i) + gamma rho lambda / z_i * f_i,

so d_i inside its range satisfies z_i P'(Omega) = varpi_e f_i^2 eta_i - gamma rho.
"""

import math

import numpy as np
import pytest
from tests.support import Eq11

import tradefl
from tradefl.game import CoopetitionGame, PowerLaw, SqrtLoss, StrategyProfile
from tradefl.solvers import METHODS, dbr, wpr
from tradefl.solvers import solve as solve_by


def solve(game, method="dbr", **options):
    """Best-response dynamics unless a test names another method."""
    return solve_by(game, method, **options)


RECIPROCAL = PowerLaw(untrained_loss=1.0, scale=1.0, exponent=1.0)  # P = 1 - 1/Omega
ROOT = SqrtLoss(epochs=1.0, untrained_loss=2.0)  # P = 2 - (1/sqrt(Omega) + 1)


def pair(rho, **changes):
    fields = {
        "profitability": [8.0, 4.0],
        "data_bits": [10.0, 20.0],
        "cycles_per_bit": 1.0,
        "cpu_levels_hz": [1.0],
        "competition": [[0.0, rho], [rho, 0.0]],
        "accuracy": RECIPROCAL,
        "overhead_weight": 0.28,
        "min_data_fraction": 0.1,
        "capacitance": 1.0,
    }
    return CoopetitionGame(**(fields | changes))


def assert_equilibrium(solution, d, f, payoffs):
    assert solution.status == "equilibrium"
    np.testing.assert_allclose(solution.profile.data_fraction, d, rtol=1e-12)
    np.testing.assert_array_equal(solution.profile.cpu_hz, f)
    np.testing.assert_allclose(solution.payoffs, payoffs, rtol=1e-12)
    judge = Eq11(solution.game)
    for i in range(2):
        best, scale = judge.best_gain(solution.profile, i)
        assert best <= 1e-9 * scale


def test_reciprocal_loss_inside_the_range():
    # z = (8 - 1, 4 - 2) = (7, 2). Organization 1: 7/Omega^2 = 0.28 at Omega = 5.
    # Organization 2: 2/25 = 0.08 < 0.28 there, so it stays at D_min = 0.1, two units.
    # Then organization 1 gives 5 - 2 = 3 units, d = 0.3.
    # P(5) = 0.8, P(2) = 0.5, P(3) = 2/3.
    # C_1 = 8*0.8 - 0.28*3 - 0.25*4*(0.8 - 0.5)   = 6.4 - 0.84 - 0.3  = 5.26
    # C_2 = 4*0.8 - 0.28*2 - 0.25*8*(0.8 - 2/3)   = 3.2 - 0.56 - 4/15
    assert_equilibrium(solve(pair(0.25)), [0.3, 0.1], [1.0, 1.0], [5.26, 2.64 - 4.0 / 15.0])


def test_transfers_of_the_model_cost_but_move_nobody():
    # E_DL T1 + E_UL T3 = 0.5*2 + 0.25*4 = 2 J for the first and 0.5*6 + 0 = 3 J for the second.
    game = pair(
        0.25,
        download_watts=0.5,
        upload_watts=0.25,
        download_seconds=[2.0, 6.0],
        upload_seconds=[4.0, 0.0],
    )
    expected = [5.26 - 0.28 * 2.0, 2.64 - 4.0 / 15.0 - 0.28 * 3.0]
    assert_equilibrium(solve(game), [0.3, 0.1], [1.0, 1.0], expected)


def test_root_loss_inside_the_range_of_twins():
    # z = 10 - 0.5*10 = 5 and 5/(2 Omega^1.5) = 0.3125 at Omega = 4 for both: any split of four
    # units is an equilibrium. From D_min, a unit each, the first to move gives the other two.
    # P(4) = 1/2, P(1) = 0, P(3) = 1 - 1/sqrt(3).
    # C_1 = 5 - 0.3125*3 - 5*(1/2 - 0) = 1.5625
    # C_2 = 5 - 0.3125 - 5*(1/sqrt(3) - 1/2)
    game = pair(
        0.5,
        profitability=[10.0, 10.0],
        data_bits=[10.0, 10.0],
        accuracy=ROOT,
        overhead_weight=0.3125,
    )
    late = 5.0 - 0.3125 - 5.0 * (1.0 / math.sqrt(3.0) - 0.5)
    assert_equilibrium(solve(game), [0.3, 0.1], [1.0, 1.0], [1.5625, late])
    # From another start the dynamics stop at another split.
    split = StrategyProfile([0.1, 0.9], [1.0, 1.0])
    assert_equilibrium(solve(game, initial=split), [0.1, 0.3], [1.0, 1.0], [late, 1.5625])
    still = StrategyProfile([0.15, 0.25], [1.0, 1.0])
    assert solve(game, initial=still).iterations == 0


def test_nobody_trains_when_training_costs_too_much():
    # P' <= 1 everywhere, so z = (7, 2) never reaches a cost of 8 a unit. D_min = 0.1 gives three
    # units: P = 2/3, P(2) = 1/2, P(1) = 0.
    # C_1 = 16/3 - 8*1 - 1*(2/3 - 1/2) = -17/6; C_2 = 8/3 - 8*2 - 2*(2/3 - 0) = -44/3.
    solution = solve(pair(0.25, overhead_weight=8.0))
    assert_equilibrium(solution, [0.1, 0.1], [1.0, 1.0], [-17.0 / 6.0, -44.0 / 3.0])
    assert solution.iterations == 0
    assert not solution.certificate.individually_rational


def test_everybody_gives_what_the_deadline_allows_when_training_is_free():
    # tau - T1 - T3 = 10 - 3 - 4 = 3 s; eta = 2 cycles/bit: h = 3/(2*10) and 3/(2*20).
    # Omega = 1.5 + 1.5 = 3; P(3) = 2/3; without either P(1.5) = 1/3.
    # C_1 = 16/3 - 1/3 = 5; C_2 = 8/3 - 2/3 = 2.
    game = pair(
        0.25,
        overhead_weight=0.0,
        min_data_fraction=0.05,
        deadline_seconds=10.0,
        download_seconds=3.0,
        upload_seconds=4.0,
        cycles_per_bit=2.0,
    )
    assert_equilibrium(solve(game), [0.15, 0.075], [1.0, 1.0], [5.0, 2.0])


def test_the_deadline_caps_one_and_the_other_stays_out():
    # As in the first test, but organization 1 trains 0.2 of its data in time: 2 units. With
    # the 2 units of organization 2 Omega is 4, and 2 P'(4) = 1/8 < 0.14, its cost at eta = 1/2.
    # P(4) = 3/4, P(2) = 1/2: C_1 = 6 - 0.56 - 1/4 = 5.19; C_2 = 3 - 0.28 - 2/4 = 2.22.
    game = pair(0.25, deadline_seconds=2.0, cycles_per_bit=[1.0, 0.5])
    assert_equilibrium(solve(game), [0.2, 0.1], [1.0, 1.0], [5.19, 2.22])


def test_the_deadline_caps_one_and_the_other_fills_in():
    # In 1 s organization 1 trains 1/(0.5*10) = 0.2 of its data, 2 units, at a cost of 0.14: it
    # would go on to Omega = sqrt(7/0.14) = 7.07. Organization 2 has a cost of 0.07 and stops at
    # Omega = sqrt(2/0.07) = 5.345, which takes 3.345 units, d = 0.167 < 1/(0.25*20) = 0.2.
    game = pair(0.25, deadline_seconds=1.0, cycles_per_bit=[0.5, 0.25])
    omega = math.sqrt(2.0 / 0.07)
    p, units = 1.0 - 1.0 / omega, omega - 2.0
    first = 8.0 * p - 0.28 - 1.0 * (p - (1.0 - 1.0 / units))
    second = 4.0 * p - 0.07 * units - 2.0 * (p - 0.5)
    assert_equilibrium(solve(game), [0.2, units / 20.0], [1.0, 1.0], [first, second])


def test_redistribution_pushes_everybody_to_all_data():
    # gamma rho = 0.3 > 0.28, what a unit costs: more is always better. Omega = 30, P = 29/30.
    # x = (10 + 2, 20 + 2) with lambda = 2: r_12 = 1.2*0.25*(12 - 22) = -3.
    # Without organization 1: P(20) = 19/20; without 2: P(10) = 9/10.
    # C_1 = 8*29/30 - 2.8 - 1*(29/30 - 19/20) - 3; C_2 = 4*29/30 - 5.6 - 2*(29/30 - 9/10) + 3.
    solution = solve(pair(0.25, incentive_intensity=1.2, compute_weight=2.0))
    first = 232.0 / 30.0 - 2.8 - 1.0 / 60.0 - 3.0
    second = 116.0 / 30.0 - 5.6 - 2.0 / 15.0 + 3.0
    assert_equilibrium(solution, [1.0, 1.0], [1.0, 1.0], [first, second])
    assert solution.transfers() == [(0, 1, pytest.approx(3.0))]


def test_redistribution_moves_an_inner_equilibrium():
    # gamma rho = 0.21: what is left of the cost is 0.07. Organization 1: 7/Omega^2 = 0.07 at 10;
    # organization 2: 2/100 = 0.02 < 0.07, so D_min: two units, and eight from organization 1.
    # x = (8 + 3, 2 + 3): r_12 = 0.21*6 = 1.26. P(10) = 0.9, P(2) = 0.5, P(8) = 7/8.
    # C_1 = 7.2 - 2.24 - 0.4 + 1.26 = 5.82; C_2 = 3.6 - 0.56 - 2*0.025 - 1.26 = 1.73.
    game = pair(0.25, incentive_intensity=0.84, compute_weight=3.0)
    assert_equilibrium(solve(game), [0.8, 0.1], [1.0, 1.0], [5.82, 1.73])


def test_redistribution_buys_a_faster_level():
    # Levels 1 and 2 Hz. Energy 0.02 f^2 a unit; redistribution 0.03 a unit and 0.03*lambda f.
    # At D_min = 0.1 a unit has worth 0.03 - 0.02 f^2 + z P'. Take P that never helps (P = 0):
    #   f = 1: slope 0.01 > 0, d = 1: 10*0.01 + 0.03 lambda = 0.1 + 0.03 lambda
    #   f = 2: slope -0.05, d = 0.1: -0.05 + 0.06 lambda; better from lambda = 5 on.
    # For organization 2 (20 units): 0.2 + 0.03 lambda against -0.1 + 0.06 lambda: lambda = 10.
    # rho = 0.25, gamma = 0.12; lambda = 7: x = (1 + 14, 20 + 7), r_12 = 0.03*(15 - 27) = -0.36.
    # C_1 = -0.02*4*1 - 0.36 = -0.44; C_2 = -0.02*20 + 0.36 = -0.04.
    game = pair(
        0.25,
        accuracy=PowerLaw(untrained_loss=0.5, scale=1.0, exponent=1.0, floor=0.5),
        cpu_levels_hz=[1.0, 2.0],
        overhead_weight=0.02,
        incentive_intensity=0.12,
        compute_weight=7.0,
    )
    assert_equilibrium(solve(game), [0.1, 1.0], [2.0, 1.0], [-0.44, -0.04])


def test_wpr_decides_and_pays_without_redistribution():
    game = pair(0.25, incentive_intensity=1.2, compute_weight=2.0)
    solution = solve(game, method="wpr")
    assert_equilibrium(solution, [0.3, 0.1], [1.0, 1.0], [5.26, 2.64 - 4.0 / 15.0])
    assert solution.method == "wpr"
    assert solution.game.incentive_intensity == 0.0
    assert solution.transfers() == []


def test_a_start_below_the_onset_is_left_by_whoever_gains():
    # D_min = 0.01: 0.3 units, P = 0. Organization 1 goes for Omega = 5 as in the first test:
    # 4.8 units; 7*(1 - 1/5) - 0.28*4.8 > -0.028. Organization 2 stays with 0.2 units.
    # P(0.2) = 0; P(4.8) = 1 - 1/4.8.
    # C_1 = 6.4 - 0.28*4.8 - 0.8 = 4.256; C_2 = 3.2 - 0.056 - 2*(1/4.8 - 1/5).
    solution = solve(pair(0.25, min_data_fraction=0.01))
    second = 3.144 - 2.0 * (1.0 / 4.8 - 0.2)
    assert_equilibrium(solution, [0.48, 0.01], [1.0, 1.0], [4.256, second])


@pytest.mark.parametrize("cost", [2.5, 100.0])
def test_a_start_below_the_onset_is_an_equilibrium_when_nobody_gains_alone(cost):
    # 0.3 units together. Alone, organization 1 gains 7 (1 - 1/Omega) - cost*(Omega - 0.3), at
    # best 7 - 2 sqrt(7 cost) + 0.3 cost = -0.62 at 2.5; at 100 even Omega = 1 costs 70.
    solution = solve(pair(0.25, min_data_fraction=0.01, overhead_weight=cost))
    payoffs = [-0.1 * cost, -0.2 * cost]
    assert_equilibrium(solution, [0.01, 0.01], [1.0, 1.0], payoffs)
    assert solution.iterations == 0
    assert solution.terms.performance == 0.0


def test_a_start_exactly_on_the_onset_is_no_equilibrium():
    # D_min = 1/32 of 16 and 16 units is one unit, exactly; 7/Omega^2 = 0.28 at Omega = 5: the
    # first gives 4.5 units. P(5) = 0.8, P(0.5) = 0, P(4.5) = 7/9.
    # C_1 = 6.4 - 0.28*4.5 - 0.8 = 4.34; C_2 = 3.2 - 0.14 - 2*(0.8 - 7/9).
    game = pair(0.25, data_bits=[16.0, 16.0], min_data_fraction=1.0 / 32.0)
    assert game.omega(game.initial_profile()) == game.accuracy.onset
    second = 3.06 - 2.0 * (0.8 - 7.0 / 9.0)
    assert_equilibrium(solve(game), [4.5 / 16.0, 1.0 / 32.0], [1.0, 1.0], [4.34, second])


def test_the_transfers_are_what_one_pays_and_the_other_receives():
    # As in "moves an inner equilibrium": organization 2 pays 1.26.
    solution = solve(pair(0.25, incentive_intensity=0.84, compute_weight=3.0))
    assert solution.transfers() == [(1, 0, pytest.approx(1.26))]
    np.testing.assert_allclose(solution.terms.redistribution, [1.26, -1.26])
    assert solution.social_welfare == pytest.approx(5.82 + 1.73)
    # U = 0.9 + [0.21*11 - 0.28*8]/7 + [0.21*5 - 0.28*2]/2.
    assert solution.potential == pytest.approx(0.9 + 0.07 / 7.0 + 0.49 / 2.0)


def test_every_method_is_reached_by_its_name():
    assert {"dbr", "wpr"} <= set(METHODS)
    game = pair(0.25)
    assert solve(game).method == "dbr"
    for module, name in ((dbr, "dbr"), (wpr, "wpr")):
        np.testing.assert_array_equal(
            module.solve(game).profile.data_fraction,
            solve(game, method=name).profile.data_fraction,
        )


def test_anything_with_a_game_is_solved():
    class Consortium:
        game = pair(0.25)

    own = Consortium()
    np.testing.assert_allclose(solve(own).profile.data_fraction, [0.3, 0.1])
    for verb in (tradefl.tune, tradefl.design, tradefl.compare, tradefl.stability):
        assert verb(own).to_dict()["schema"].startswith("tradefl/"), verb


def test_an_unknown_method_is_rejected_with_the_known_ones():
    with pytest.raises(ValueError, match=r"method: expected one of .*dbr.*wpr.*, got 'simplex'"):
        solve(pair(0.25), method="simplex")
