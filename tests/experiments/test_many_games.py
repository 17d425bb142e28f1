"""Many games at once are the solvers' games: the same moves, the same numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tradefl.experiments.draws import GAMMA_STAR, OURS, draw
from tradefl.experiments.many_games import settle
from tradefl.solvers import solve

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


@pytest.mark.parametrize("scheme", ["DBR", "GCA", "FIP", "WPR"])
def test_many_games_at_once_settle_where_the_solver_does(scheme):
    found = settle(GAMES, GAMMAS, scheme)
    for i, game in enumerate(GAMES):
        for k, gamma in enumerate(GAMMAS[:1] if scheme == "WPR" else GAMMAS):
            one = solve(game.with_incentive_intensity(gamma), scheme.lower())
            assert found.moves[i, k] == one.iterations
            for value, expected in (
                (found.welfare, one.social_welfare),
                (found.total_data, one.profile.data_fraction.sum()),
                (found.damage, one.terms.damage.sum()),
                (found.least_payoff, one.payoffs.min()),
            ):
                # What cancels in a payoff is of the size of the welfare.
                slack = 1e-11 * abs(one.social_welfare)
                assert value[i, k] == pytest.approx(expected, rel=1e-9, abs=slack)


def test_every_game_may_have_gammas_of_its_own():
    gammas = np.array([[1e-9, 1e-8], [GAMMA_STAR, 1e-7]])
    found = settle(GAMES[:2], gammas, "DBR")
    for i, game in enumerate(GAMES[:2]):
        alone = settle([game], gammas[i], "DBR")
        np.testing.assert_array_equal(found.welfare[i], alone.welfare[0])
        np.testing.assert_array_equal(found.least_payoff[i], alone.least_payoff[0])


def test_a_scheme_with_nothing_to_play_is_refused():
    game = draw(0, dataclasses.replace(OURS, deadline_seconds=2.2))
    with pytest.raises(ValueError, match="FIP: an organization has nothing to play"):
        settle([game], GAMMAS, "FIP")
