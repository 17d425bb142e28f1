"""What organizations have without the consortium: closed forms against grids, and theorem T0."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.solvers.oracles import own_model
from tests.support import ACCURACIES, Eq11, dense_rho, examples, plain_performance, random_game

from tradefl.game import CoopetitionGame, SqrtLoss, StrategyProfile, payoffs
from tradefl.game.participation import (
    alone,
    coalition_payoffs,
    harm,
    market_utilities,
    market_weight,
    training_alone,
)
from tradefl.game.welfare import payoffs_without_redistribution

SEEDS = st.integers(0, 10_000)


def on_a_grid(game: CoopetitionGame, i: int, points: int = 401) -> float:
    """The best payoff of i alone on a grid of data, from the printed formulas."""
    model, best = own_model(game), 0.0
    for f in game.cpu_levels_hz[i]:
        if math.isnan(f):
            continue
        cycles = float(game.cycles_per_bit[i] * game.data_bits[i])
        most = min(1.0, game.deadline_seconds * float(f) / cycles)
        d = np.linspace(0.0, most, points)
        earned = game.profitability[i] * plain_performance(model, d * float(game.data_units[i]))
        spent = game.overhead_weight * game.capacitances[i] * float(f) ** 2 * cycles * d
        spent = spent + game.data_cost[i] * d
        best = max(best, float((earned - spent).max()))
    return best


@examples(30)
@given(SEEDS, st.sampled_from(ACCURACIES))
def test_alone_is_the_best_point_of_a_grid(seed: int, accuracy: str) -> None:
    game = random_game(seed, 3, accuracy=accuracy)
    found = training_alone(game)
    for i in range(game.size):
        grid = on_a_grid(game, i)
        size = float(game.profitability[i] * game.accuracy.value(game.data_units[i]))
        assert found.payoff[i] >= grid - 1e-9 * (1.0 + size)
        assert found.payoff[i] <= grid + 2e-2 * (1.0 + size) or found.payoff[i] <= 1.01 * grid
        # What is promised is what its strategy gives.
        own = float(game.accuracy.value(game.data_units[i] * found.data_fraction[i]))
        assert found.performance[i] == own
        assert np.any(game.cpu_levels_hz[i] == found.cpu_hz[i])


def test_two_worked_examples() -> None:
    # P = 0.8 - 1/sqrt(omega) - 0.1 with onset (1/0.7)^2; one level, no energy: all data.
    model = SqrtLoss(1.0, 2.0)  # A(0) = 2, G = 1: P = 1 - 1/sqrt(omega), onset 1
    game = CoopetitionGame(
        profitability=np.array([10.0, 4.0]),
        data_bits=np.array([4.0, 1.0]),
        cycles_per_bit=np.array([1.0, 1.0]),
        cpu_levels_hz=np.array([1.0]),
        competition=np.zeros((2, 2)),
        accuracy=model,
        overhead_weight=1.0,
        capacitance=0.5,
        download_seconds=3.0,
        deadline_seconds=8.0,
    )
    # The first trains on all its data: 10 (1 - 1/2) - 0.5 * 4; the second has no more than the
    # onset, which earns nothing, and stays idle.
    assert alone(game) == pytest.approx([3.0, 0.0], abs=1e-14)
    # Half the time: the first trains on 2 units, and 10 (1 - 1/sqrt 2) - 0.5 * 2 is what is left.
    late = dataclasses.replace(game, deadline_seconds=3.5, download_seconds=0.0)
    assert training_alone(late).data_fraction[0] == pytest.approx(3.5 / 4.0)
    assert alone(late)[0] == pytest.approx(10.0 * (1.0 - 3.5**-0.5) - 0.5 * 3.5)


def test_transfers_and_the_least_data_have_no_part_in_it() -> None:
    game = random_game(7, 4, accuracy="sqrt-loss")
    dear = dataclasses.replace(game, download_watts=1e6, upload_watts=1e6, joining_cost=7.0)
    assert alone(game) == pytest.approx(alone(dear), rel=1e-9)


@examples(40)
@given(SEEDS)
def test_t0_the_payoff_is_what_joining_adds_for_one_without_a_model(seed: int) -> None:
    """payoff0_i = V_i(in) - V_i(out without a model), from the market utility written down."""
    game = random_game(seed, 5)
    rng = np.random.default_rng(seed)
    judge = Eq11(game)
    f = np.array([rng.choice([hz for hz, _ in judge.levels(i)]) for i in range(5)])
    d = rng.uniform(game.min_data_fraction, game.max_data_fraction(f))
    profile = StrategyProfile(d, f)
    rho, p, u, model = (
        dense_rho(game.competition),
        game.profitability,
        game.data_units,
        own_model(game),
    )
    omega = float(d @ u)
    spent = payoffs(game, profile).overhead
    got = payoffs_without_redistribution(game, profile)
    for i in range(5):
        together = float(plain_performance(model, omega))
        without = float(plain_performance(model, max(omega - u[i] * d[i], 0.0)))
        joined = p[i] * together - float(rho[i] @ p) * together - spent[i]
        stayed_out = -float(rho[i] @ p) * without
        size = p[i] * together + float(rho[i] @ p) * together + spent[i] + 1e-300
        assert abs(got[i] - (joined - stayed_out)) <= 1e-12 * size


@examples(25)
@given(SEEDS)
def test_the_market_utilities_of_all_are_the_market_welfare(seed: int) -> None:
    game = random_game(seed, 4)
    f = np.fmax.reduce(game.cpu_levels_hz, axis=1)
    profile = StrategyProfile(game.max_data_fraction(f), f)
    terms = payoffs(game, profile)
    everybody = np.arange(game.size)
    expected = market_weight(game, everybody) * terms.performance - terms.overhead.sum()
    size = terms.revenue.sum() + terms.overhead.sum() + terms.damage.sum()
    size += np.abs(terms.redistribution).sum()
    assert abs(market_utilities(game, profile).sum() - expected) <= 1e-12 * size


@examples(25)
@given(SEEDS)
def test_a_coalition_of_all_has_the_payoffs_of_the_game(seed: int) -> None:
    game = random_game(seed, 5)
    f = np.fmax.reduce(game.cpu_levels_hz, axis=1)
    profile = StrategyProfile(game.max_data_fraction(f), f)
    whole = coalition_payoffs(game, np.arange(5), profile)
    assert whole == pytest.approx(payoffs_without_redistribution(game, profile), rel=1e-12)
    # Those of a part follow from Eq. (11) of a game that consists of that part.
    part = np.array([0, 2, 3])
    smaller = dataclasses.replace(
        game,
        competition=dense_rho(game.competition)[np.ix_(part, part)],
        compensation=None,
        names=None,
        cpu_levels_hz=game.cpu_levels_hz[part],
        **{
            field: getattr(game, field)[part]
            for field in (
                *("profitability", "data_bits", "cycles_per_bit", "data_units"),
                *("download_seconds", "upload_seconds", "data_cost", "joining_cost"),
            )
        },
    )
    inside = StrategyProfile(profile.data_fraction[part], profile.cpu_hz[part])
    expected = payoffs_without_redistribution(smaller, inside)
    size = float(payoffs(game, profile).revenue.sum())
    assert np.abs(coalition_payoffs(game, part, profile) - expected).max() <= 1e-12 * size


def test_harm_is_what_rivals_models_cost() -> None:
    game = random_game(3, 4, competition="dense")
    q = np.array([0.1, 0.4, 0.0, 0.3])
    expected = dense_rho(game.competition) @ (game.profitability * q)
    assert harm(game, q) == pytest.approx(expected)
