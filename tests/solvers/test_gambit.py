"""Gambit as an independent judge of pure equilibria.

The game is cut down to finitely many strategies of each organization. Their payoffs come from
Eq. (6)-(11) as written in tests/support.py, and Gambit enumerates the pure equilibria. Neither
side knows of potentials, closed forms or regret.
"""

import itertools

import numpy as np
import pygambit
import pytest
from tests.support import Eq11, random_game

from tradefl.game import StrategyProfile, deviation_gain
from tradefl.solvers import solve as solve_by


def solve(game, method="dbr", **options):
    """Best-response dynamics unless a test names another method."""
    return solve_by(game, method, **options)


# Gambit calculates with integers: payoffs in steps of 1e-11 of their size.
STEPS = 10**11


def payoff_tables(game, strategies):
    """Return every organization's payoff in every profile of the cut-down game, and its size."""
    judge, n = Eq11(game), game.size
    shape = [len(own) for own in strategies]
    tables, scale = np.empty((n, *shape)), np.zeros(n)
    for cell in itertools.product(*map(range, shape)):
        profile = profile_at(strategies, cell)
        for i in range(n):
            tables[(i, *cell)] = float(judge.payoff(profile, i))
            scale[i] = max(scale[i], judge.scale(profile, i))
    return tables, scale


def profile_at(strategies, cell):
    chosen = [own[k] for own, k in zip(strategies, cell, strict=True)]
    return StrategyProfile([d for d, _ in chosen], [f for _, f in chosen])


def pure_equilibria_by_gambit(tables, scale):
    whole = [
        np.array([int(v) for v in np.rint(t / s * STEPS).ravel()], dtype=object).reshape(t.shape)
        for t, s in zip(tables, scale, strict=True)
    ]
    strategic = pygambit.StrategicGame.from_arrays(*whole)
    found = set()
    for equilibrium in pygambit.nash.enumpure_solve(strategic).equilibria:
        found.add(
            tuple(
                next(
                    k
                    for k, s in enumerate(strategic.get_strategies(player))
                    if equilibrium[player][s] == 1
                )
                for player in strategic.players
            )
        )
    return found


def gains_by_tradefl(game, strategies, cell):
    """Return, for everybody, what each other strategy of the cut-down game would gain."""
    profile = profile_at(strategies, cell)
    gains = []
    for i, own in enumerate(strategies):
        others = [s for k, s in enumerate(own) if k != cell[i]]
        d, f = np.array([d for d, _ in others]), np.array([f for _, f in others])
        gains.append(deviation_gain(game, profile, np.full(len(others), i), d, f))
    return gains


def grid(game, i, points):
    judge, low = Eq11(game), game.min_data_fraction
    return [(d, f) for f, high in judge.levels(i) for d in np.linspace(low, high, points)]


CASES = [
    (seed, organizations, accuracy)
    for organizations, accuracies in ((2, ("sqrt-loss", "power-law", "empirical", "user")),
                                      (3, ("sqrt-loss", "power-law", "empirical")))
    for accuracy in accuracies
    for seed in range(4)
]  # fmt: skip


def small_game(seed, organizations, accuracy):
    return random_game(100 + seed, organizations, levels=2, accuracy=accuracy)


@pytest.mark.parametrize(("seed", "organizations", "accuracy"), CASES)
def test_gambit_and_tradefl_agree_on_the_pure_equilibria_of_a_grid(seed, organizations, accuracy):
    game = small_game(seed, organizations, accuracy)
    strategies = [grid(game, i, 6 if organizations == 2 else 3) for i in range(organizations)]
    tables, scale = payoff_tables(game, strategies)
    by_gambit = pure_equilibria_by_gambit(tables, scale)

    # A gain within the rounding to Gambit's integers may be decided either way.
    surely, possibly = set(), set()
    for cell in itertools.product(*(range(len(own)) for own in strategies)):
        gains = zip(gains_by_tradefl(game, strategies, cell), scale, strict=True)
        best = max(float(np.max(gain)) / size for gain, size in gains)
        if best < -1e-10:
            surely.add(cell)
        if best <= 1e-10:
            possibly.add(cell)
    assert surely <= by_gambit <= possibly
    assert by_gambit  # a potential game has a pure equilibrium, on any grid


@pytest.mark.parametrize(("seed", "organizations", "accuracy"), CASES)
def test_gambit_finds_the_equilibrium_of_the_dynamics_on_every_grid_through_it(
    seed, organizations, accuracy
):
    """The continuous equilibrium is a pure equilibrium of every finite game that contains it.

    That is exact: a deviation in the finite game is one in the continuous game, so no bound on
    rounding is needed. The grids leave out what lies within 1e-3 of the equilibrium, where
    payoffs differ by 1e-6 of their curvature: Gambit's integers would see ties there, but a
    wrong equilibrium loses at first order and would be seen.
    """
    game = small_game(seed, organizations, accuracy)
    solution = solve(game)
    strategies, cell = [], []
    for i in range(organizations):
        d, f = float(solution.profile.data_fraction[i]), float(solution.profile.cpu_hz[i])
        around = [(e, g) for g, high in Eq11(game).levels(i) for e in neighbours(game, d, high)]
        own = [(d, f), *(s for s in around if s[1] != f or abs(s[0] - d) > 1e-3 * d)]
        strategies.append(own if organizations == 2 else own[:1] + own[1::2])
        cell.append(0)
    tables, scale = payoff_tables(game, strategies)
    assert tuple(cell) in pure_equilibria_by_gambit(tables, scale)


def neighbours(game, d, high):
    low = game.min_data_fraction
    near = [e for e in (0.9 * d, 0.99 * d, 1.01 * d, 1.1 * d) if low <= e <= high]
    return sorted({low, *np.linspace(low, high, 4).tolist(), high, *near})


@pytest.mark.parametrize("organizations", [2, 3])
def test_gambit_rejects_a_profile_that_is_no_equilibrium(organizations):
    """The test above can fail: with somebody moved off, Gambit's answer is no."""
    game = small_game(2, organizations, "sqrt-loss")
    profile = solve(game).profile
    d, f = float(profile.data_fraction[0]), float(profile.cpu_hz[0])
    low, high = game.min_data_fraction, float(game.max_data_fraction(profile.cpu_hz)[0])
    wrong = low if d > 0.5 * (low + high) else high
    others = [
        (float(profile.data_fraction[i]), float(profile.cpu_hz[i])) for i in range(1, game.size)
    ]
    strategies = [[(wrong, f), (d, f)], *([other] for other in others)]
    found = pure_equilibria_by_gambit(*payoff_tables(game, strategies))
    assert found == {(1,) + (0,) * (organizations - 1)}
