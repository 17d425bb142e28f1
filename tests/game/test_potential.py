"""Theorem 1 with erratum E1: the corrected U is a weighted potential, the printed one is not."""

import numpy as np
import pytest
from hypothesis import given
from tests.support import Eq11, examples, games, random_profile, seeds

from tradefl.game import (
    CoopetitionGame,
    PowerLaw,
    StrategyProfile,
    own_term,
    payoffs,
    potential,
    potential_as_printed,
)


@examples(200)
@given(games(), seeds())
def test_the_potential_changes_by_the_payoff_over_z_in_every_unilateral_deviation(game, seed):
    # The payoffs come from the formulas written in tests/support.py, not from tradefl.
    judge = Eq11(game)
    here, there = random_profile(game, seed), random_profile(game, seed + 1)
    u_here, own = potential(game, here), own_term(game)
    for i in range(game.size):
        moved = here.replaced(i, there.data_fraction[i], there.cpu_hz[i])
        change = float(judge.payoff(moved, i)) - float(judge.payoff(here, i))
        z = game.profitability[i] - float(judge.rho[i] @ game.profitability)
        promised = z * (potential(game, moved) - u_here)
        # What rounding is relative to: the terms of both payoffs, and all terms of U times z.
        terms = judge.scale(here, i) + judge.scale(moved, i)
        terms += z * (np.abs(own.value(here)).sum() + np.abs(own.value(moved)).sum())
        assert abs(change - promised) <= 1e-12 * terms
        assert np.isfinite(terms)  # of zero it asks for no difference at all


@examples(100)
@given(games(), seeds())
def test_the_own_term_is_the_potential_without_performance(game, seed):
    profile = random_profile(game, seed)
    z, own = game.potential_weights, own_term(game).value(profile)
    x = profile.data_fraction * game.data_bits + game.compute_weight * profile.cpu_hz
    rho = Eq11(game).rho
    cycles = game.cycles_per_bit * profile.data_fraction * game.data_bits
    joules = game.capacitance * profile.cpu_hz**2 * cycles
    gain = game.incentive_intensity * rho.sum(axis=1) * x / z
    cost = game.overhead_weight * joules / z
    assert np.all(np.abs(own - (gain - cost)) <= 1e-13 * (gain + cost))
    size = payoffs(game, profile).performance + (gain + cost).sum()
    assert (
        abs(potential(game, profile) - payoffs(game, profile).performance - own.sum())
        <= 1e-13 * size
    )


def twins(**changes):
    """Two equal organizations; P = 1 - 1/Omega, rho_12 = 1/2, p = 10, so z = 5."""
    fields = {
        "profitability": [10.0, 10.0],
        "data_bits": [10.0, 10.0],
        "cycles_per_bit": 1.0,
        "cpu_levels_hz": [1.0],
        "competition": [[0.0, 0.5], [0.5, 0.0]],
        "accuracy": PowerLaw(untrained_loss=1.0, scale=1.0, exponent=1.0),
        "incentive_intensity": 0.4,
        "overhead_weight": 0.0,
        "capacitance": 0.0,
        "min_data_fraction": 0.2,
    }
    return CoopetitionGame(**(fields | changes))


def test_the_printed_potential_misses_the_redistribution_of_twins():
    # Organization 1 moves from d = 0.2 to d = 0.8; organization 2 stays at 0.2.
    # Omega: 4 -> 10, P: 0.75 -> 0.9; Omega without 1 is 2 throughout.
    # Revenue +10*0.15, damage +5*0.15, redistribution 0.4*0.5*6 = 1.2: the payoff gains 1.95.
    game = twins()
    here, there = StrategyProfile([0.2, 0.2], [1.0, 1.0]), StrategyProfile([0.8, 0.2], [1.0, 1.0])
    gain = payoffs(game, there).payoff[0] - payoffs(game, here).payoff[0]
    assert gain == pytest.approx(1.95)
    assert 5.0 * (potential(game, there) - potential(game, here)) == pytest.approx(1.95)
    # As printed the redistributions of equal organizations cancel: only 5 * 0.15 is left.
    printed = potential_as_printed(game, there) - potential_as_printed(game, here)
    assert 5.0 * printed == pytest.approx(0.75)


def test_the_printed_potential_can_fall_when_the_payoff_rises():
    # As above with overhead 1/6 a unit of data: 0.15*5 + 1.2 - 6/6 = 0.95 for the mover,
    # but 0.75 - 1 < 0 as printed: improving moves need not climb it.
    game = twins(overhead_weight=1.0 / 6.0, capacitance=1.0)
    here, there = StrategyProfile([0.2, 0.2], [1.0, 1.0]), StrategyProfile([0.8, 0.2], [1.0, 1.0])
    assert payoffs(game, there).payoff[0] - payoffs(game, here).payoff[0] == pytest.approx(0.95)
    assert 5.0 * (potential(game, there) - potential(game, here)) == pytest.approx(0.95)
    printed = potential_as_printed(game, there) - potential_as_printed(game, here)
    assert 5.0 * printed == pytest.approx(-0.25)


def test_without_redistribution_the_printed_potential_is_the_corrected_one():
    game = twins(incentive_intensity=0.0, overhead_weight=0.3, capacitance=1.0)
    profile = StrategyProfile([0.7, 0.2], [1.0, 1.0])
    # P(9) = 8/9; overhead 0.3*(7 + 2), over z = 5.
    assert potential(game, profile) == pytest.approx(8.0 / 9.0 - 0.54)
    assert potential_as_printed(game, profile) == pytest.approx(8.0 / 9.0 - 0.54)


def test_the_printed_potential_of_unequal_organizations_by_hand():
    # p = (10, 6), rho = 1/2: z = (7, 1). x = (8 + 1, 2 + 1): r_12 = 0.4*0.5*6 = 1.2.
    game = twins(profitability=[10.0, 6.0])
    profile = StrategyProfile([0.8, 0.2], [1.0, 1.0])
    assert potential_as_printed(game, profile) == pytest.approx(0.9 + 1.2 / 7.0 - 1.2)
    # Corrected: 0.2*9/7 + 0.2*3/1.
    assert potential(game, profile) == pytest.approx(0.9 + 1.8 / 7.0 + 0.6)
