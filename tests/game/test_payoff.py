"""Eq. (6)-(11): every term against a second implementation, and what must hold of the sums."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from scipy.sparse import csr_array
from tests.support import (
    COMPETITIONS,
    Eq11,
    dense_rho,
    examples,
    games,
    permuted,
    random_game,
    random_profile,
    seeds,
)

from tradefl.game import (
    CoopetitionGame,
    DenseCompetition,
    PowerLaw,
    SparseCompetition,
    StrategyProfile,
    certify,
    payoffs,
    potential,
    regret,
)
from tradefl.game.payoff import damage_by_competitor


def three_organizations(**changes):
    """P(Omega) = 1 - 1/Omega from Omega = 1 on; data of 10, 20 and 30 units."""
    fields = {
        "profitability": [8.0, 4.0, 6.0],
        "data_bits": [10.0, 20.0, 30.0],
        "cycles_per_bit": [1.0, 2.0, 1.0],
        "cpu_levels_hz": [[1.0, 2.0], [1.0, np.nan], [3.0, np.nan]],
        "competition": [[0.0, 0.25, 0.0], [0.25, 0.0, 0.1], [0.0, 0.1, 0.0]],
        "accuracy": PowerLaw(untrained_loss=1.0, scale=1.0, exponent=1.0),
        "download_seconds": [1.0, 2.0, 3.0],
        "upload_seconds": [4.0, 5.0, 6.0],
        "incentive_intensity": 0.2,
        "compute_weight": 3.0,
        "overhead_weight": 0.1,
        "min_data_fraction": 0.1,
        "capacitance": 0.5,
        "download_watts": 0.25,
        "upload_watts": 0.5,
    }
    return CoopetitionGame(**(fields | changes))


def test_every_term_of_a_game_computed_by_hand():
    game = three_organizations()
    # Omega = 0.2*10 + 0.1*20 + 0.2*30 = 2 + 2 + 6 = 10, so P = 1 - 1/10 = 0.9.
    terms = payoffs(game, StrategyProfile([0.2, 0.1, 0.2], [2.0, 1.0, 3.0]))

    assert terms.performance == pytest.approx(0.9)
    np.testing.assert_allclose(terms.revenue, [7.2, 3.6, 5.4])
    # kappa f^2 eta d s: 0.5*4*1*2 = 4; 0.5*1*2*2 = 2; 0.5*9*1*6 = 27.
    # E_DL T1 + E_UL T3: 0.25*1 + 0.5*4 = 2.25; 0.5 + 2.5 = 3; 0.75 + 3 = 3.75.
    np.testing.assert_allclose(terms.overhead, [0.625, 0.5, 3.075])
    # Competitors: 0.25*4 = 1; 0.25*8 + 0.1*6 = 2.6; 0.1*4 = 0.4.
    # P - P(Omega - d u): 1/8 - 1/10 = 0.025; the same; 1/4 - 1/10 = 0.15.
    np.testing.assert_allclose(terms.damage, [0.025, 0.065, 0.06])
    # x = 2 + 3*2 = 8; 2 + 3 = 5; 6 + 9 = 15.
    # r_12 = 0.2*0.25*(8 - 5) = 0.15; r_23 = 0.2*0.1*(5 - 15) = -0.2; r_13 = 0.
    np.testing.assert_allclose(terms.redistribution, [0.15, -0.35, 0.2])
    np.testing.assert_allclose(terms.payoff, [6.7, 2.685, 2.465])
    assert terms.social_welfare == pytest.approx(11.85)


def test_samples_count_for_the_model_and_bits_for_everything_else():
    # The same numbers as above: u = s there, and here u = s/10 with P stretched by 10.
    in_samples = three_organizations(
        data_units=[1.0, 2.0, 3.0], accuracy=PowerLaw(untrained_loss=1.0, scale=0.1, exponent=1.0)
    )
    profile = StrategyProfile([0.2, 0.1, 0.2], [2.0, 1.0, 3.0])
    np.testing.assert_allclose(payoffs(in_samples, profile).payoff, [6.7, 2.685, 2.465])


@examples(150)
@given(games(), seeds())
def test_every_term_agrees_with_the_formulas_written_again(game, seed):
    profile, judge = random_profile(game, seed), Eq11(game)
    terms = payoffs(game, profile)
    for i in range(game.size):
        d, f = profile.data_fraction[i], profile.cpu_hz[i]
        revenue, overhead, damage, received = judge.terms(profile, i, d, f)
        close = {"rel": 1e-9, "abs": 1e-12 * judge.scale(profile, i)}
        assert terms.revenue[i] == pytest.approx(float(revenue), **close)
        assert terms.overhead[i] == pytest.approx(float(overhead), **close)
        assert terms.damage[i] == pytest.approx(float(damage), **close)
        assert terms.redistribution[i] == pytest.approx(sum(received), **close)
        assert terms.payoff[i] == pytest.approx(float(judge.payoff(profile, i)), **close)


@examples(60)
@given(games(), seeds())
def test_damage_splits_into_what_is_lost_to_each_competitor(game, seed):
    profile, judge = random_profile(game, seed), Eq11(game)
    for i in range(game.size):
        d, f = profile.data_fraction[i], profile.cpu_hz[i]
        competitors, lost = damage_by_competitor(game, profile, i)
        np.testing.assert_array_equal(competitors, np.flatnonzero(judge.rho[i]))
        _, _, damage, _ = judge.terms(profile, i, d, f)
        shares = judge.rho[i] * game.profitability
        expected = float(damage) * shares / max(shares.sum(), 1e-300)
        rounding = 1e-12 * judge.scale(profile, i)
        np.testing.assert_allclose(lost, expected[competitors], rtol=1e-9, atol=rounding)


@examples(100)
@given(games(), seeds())
def test_redistributions_sum_to_zero(game, seed):
    profile = random_profile(game, seed)
    gross = game.rule.gross_redistribution(game, profile).sum()
    assert abs(payoffs(game, profile).redistribution.sum()) <= 1e-13 * gross
    reported = certify(game, profile).budget_imbalance
    assert reported == abs(math.fsum(payoffs(game, profile).redistribution))


@examples(100)
@given(games(), seeds())
def test_what_i_receives_from_j_is_what_j_pays_to_i(game, seed):
    profile, judge = random_profile(game, seed), Eq11(game)
    r = np.zeros((game.size, game.size))
    for i in range(game.size):
        competitors, received = game.rule.received(game, profile, i)
        assert i not in competitors
        r[i, competitors] = received
        _, _, _, expected = judge.terms(profile, i, profile.data_fraction[i], profile.cpu_hz[i])
        np.testing.assert_allclose(r[i], expected, rtol=1e-12, atol=1e-14 * np.abs(r).max())
    np.testing.assert_array_equal(r, -r.T)
    gross = game.rule.gross_redistribution(game, profile)
    np.testing.assert_array_less(
        np.abs(r.sum(axis=1) - payoffs(game, profile).redistribution), 1e-13 * gross + 1e-300
    )
    np.testing.assert_array_less(np.abs(r).sum(axis=1), gross * (1.0 + 1e-12) + 1e-300)


@examples(60)
@given(games(competition="sector"), seeds())
def test_dense_sparse_and_sector_form_of_one_rho_give_the_same_payoffs(game, seed):
    profile, rho = random_profile(game, seed), dense_rho(game.competition)
    sector, dense, sparse = (
        payoffs(dataclasses.replace(game, competition=form), profile)
        for form in (game.competition, DenseCompetition(rho), SparseCompetition(csr_array(rho)))
    )
    scale = certify(game, profile).payoff_scale
    assert np.all(np.abs(sector.payoff - dense.payoff) <= 1e-13 * scale)
    assert np.all(np.abs(sparse.payoff - dense.payoff) <= 1e-13 * scale)


@pytest.mark.parametrize("competition", COMPETITIONS)
@examples(30)
@given(seed=seeds())
def test_relabelling_organizations_relabels_payoffs_and_regrets(competition, seed):
    game = random_game(seed, 6, competition=competition)
    profile = random_profile(game, seed)
    order = np.random.default_rng(seed).permutation(game.size)
    other = permuted(game, order)
    moved = StrategyProfile(profile.data_fraction[order], profile.cpu_hz[order])

    before, after = certify(game, profile), certify(other, moved)
    scale = before.payoff_scale[order]
    np.testing.assert_array_less(
        np.abs(payoffs(other, moved).payoff - payoffs(game, profile).payoff[order]), 1e-12 * scale
    )
    tolerance = 1e-9 * (scale + before.regret[order])
    np.testing.assert_array_less(np.abs(after.regret - before.regret[order]), tolerance)
    assert potential(other, moved) == pytest.approx(potential(game, profile), rel=1e-11)
    assert after.feasible
    assert before.feasible


@examples(40)
@given(games(), seeds())
def test_currency_scales_payoffs_and_regret(game, seed):
    # 8 is a power of two, so not even rounding may differ.
    dollars, cents = game, with_currency(game, 8.0)
    profile = random_profile(game, seed)
    np.testing.assert_array_equal(
        payoffs(cents, profile).payoff, 8.0 * payoffs(dollars, profile).payoff
    )
    np.testing.assert_array_equal(regret(cents, profile), 8.0 * regret(dollars, profile))
    assert potential(cents, profile) == potential(dollars, profile)


def with_currency(game, factor):
    return dataclasses.replace(
        game,
        profitability=factor * game.profitability,
        incentive_intensity=factor * game.incentive_intensity,
        overhead_weight=factor * game.overhead_weight,
    )


def test_individual_rationality_is_the_sign_of_the_smallest_payoff():
    profile = StrategyProfile([0.2, 0.1, 0.2], [2.0, 1.0, 3.0])
    assert certify(three_organizations(), profile).individually_rational
    # 2.685 + 0.35 without redistribution; ten times the gamma takes 3.5.
    assert not certify(three_organizations(incentive_intensity=2.0), profile).individually_rational


def test_a_lone_organization_has_no_damage_and_no_redistribution():
    game = random_game(3, 1)
    terms = payoffs(game, game.initial_profile())
    assert terms.damage == 0.0
    assert terms.redistribution == 0.0
