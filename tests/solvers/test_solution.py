"""A solution says what its certificate supports, and its document holds every number of it."""

import json

import numpy as np
import pytest
from hypothesis import given
from tests.support import Eq11, examples, games, random_game, random_profile, seeds

from tradefl.game import CoopetitionGame, PowerLaw, StrategyProfile, potential
from tradefl.solvers import Solution
from tradefl.solvers import solve as solve_by


def solve(game, method="dbr", **options):
    """Best-response dynamics unless a test names another method."""
    return solve_by(game, method, **options)


def certified(game, profile, *, finished=True):
    return Solution.certified(
        game, profile, finished=finished, method="test", iterations=0, runtime_seconds=0.0
    )


def test_a_status_is_never_better_than_the_regret():
    game = random_game(21, 6, accuracy="sqrt-loss", gamma=0.0)
    best = solve(game).profile
    assert certified(game, best).status == "equilibrium"
    assert certified(game, game.initial_profile()).status == "feasible"
    # An equilibrium is one however the method ended; anything else at a limit says so.
    assert certified(game, best, finished=False).status == "equilibrium"
    assert certified(game, game.initial_profile(), finished=False).status == "iteration_limit"
    nudged = StrategyProfile(
        np.maximum(0.99 * best.data_fraction, game.min_data_fraction), best.cpu_hz
    )
    assert certified(game, nudged).status == "feasible"


def test_an_equilibrium_is_claimed_up_to_1e_9_of_the_payoff_scale():
    # 10 (1 - 1/Omega) - 0.4 Omega is best at Omega = 5; off by e it loses 0.08 e^2 of a scale
    # of 10: 8e-5 at e = 0.1, 2e-11 at e = 5e-5.
    game = CoopetitionGame(
        profitability=[10.0],
        data_bits=[10.0],
        cycles_per_bit=1.0,
        cpu_levels_hz=[1.0],
        competition=[[0.0]],
        accuracy=PowerLaw(untrained_loss=1.0, scale=1.0, exponent=1.0),
        overhead_weight=0.4,
        capacitance=1.0,
    )
    off = {0.0: "equilibrium", 5e-6: "equilibrium", 1e-4: "feasible", 1e-2: "feasible"}
    for e, status in off.items():
        assert certified(game, StrategyProfile([0.5 + e], [1.0])).status == status


@pytest.mark.parametrize("seed", range(20))
def test_a_flat_start_that_somebody_gains_by_leaving_is_no_equilibrium(seed):
    game = random_game(seed, 4, accuracy="sqrt-loss", start="flat")
    judge, start = Eq11(game), game.initial_profile()
    gains = [judge.best_gain(start, i) for i in range(4)]
    claimed = certified(game, start).status == "equilibrium"
    assert claimed == all(gain <= 1e-9 * scale for gain, scale in gains)


@examples(40)
@given(games(), seeds())
def test_transfers_settle_every_redistribution(game, seed):
    solution = certified(game, random_profile(game, seed))
    balance = np.zeros(game.size)
    pairs = set()
    for payer, receiver, amount in solution.transfers():
        assert amount > 0.0
        assert payer != receiver
        pairs.add(frozenset((payer, receiver)))
        balance[payer] -= amount
        balance[receiver] += amount
    assert len(pairs) == len(solution.transfers())
    gross = game.rule.gross_redistribution(game, solution.profile)
    assert np.all(np.abs(balance - solution.terms.redistribution) <= 1e-12 * gross)


@examples(20)
@given(games(), seeds())
def test_the_document_holds_the_solution(game, seed):
    solution = solve(game, initial=random_profile(game, seed))
    document = json.loads(json.dumps(solution.to_dict()))
    judge = Eq11(game)
    assert document["schema"] == "tradefl/solution/1"
    assert document["method"] == "dbr"
    assert document["status"] == solution.status
    assert document["iterations"] == solution.iterations
    assert document["potential"] == potential(game, solution.profile)
    assert document["max_regret"] == solution.certificate.max_regret
    assert document["total_data_fraction"] == solution.profile.data_fraction.sum()
    assert len(document["organizations"]) == game.size
    for i, entry in enumerate(document["organizations"]):
        assert entry["name"] == str(i + 1)
        assert entry["data_fraction"] == solution.profile.data_fraction[i]
        assert entry["cpu_hz"] == solution.profile.cpu_hz[i]
        scale = 1e-12 * judge.scale(solution.profile, i)
        terms = entry["revenue"] - entry["overhead"] - entry["damage"] + entry["redistribution"]
        assert entry["payoff"] == pytest.approx(terms, rel=0, abs=scale)
        assert entry["payoff"] == pytest.approx(
            float(judge.payoff(solution.profile, i)), rel=0, abs=scale
        )
    welfare = sum(entry["payoff"] for entry in document["organizations"])
    size = sum(abs(entry["payoff"]) for entry in document["organizations"])
    assert document["social_welfare"] == pytest.approx(welfare, rel=0, abs=1e-12 * size)
    assert len(document["transfers"]) == len(solution.transfers())
