"""How wrong the figures may be: regret at corners of the box, and a search of Eq. (11)."""

import dataclasses
import functools

import numpy as np
import pytest
from tests.golden.cases import EXAMPLES
from tests.support import efficient_game, heterogeneous_game, random_game

import tradefl
from tradefl.design import design
from tradefl.game import InvalidGameError, deviation_gain, regret
from tradefl.game.externality import Externality
from tradefl.game.payoff import overhead, performance
from tradefl.game.welfare import payoffs_without_redistribution
from tradefl.incentives.radius import RESOLUTION, radius, radius_words
from tradefl.solvers import solve

ROUNDING = 1e-8


@functools.cache
def example(name):
    return tradefl.load(EXAMPLES / f"{name}.toml").game


GAMES = {
    **{
        name: lambda name=name: example(name)
        for name in ("banks_fraud", "drug_discovery", "hospitals", "paper")
    },
    "ten": lambda: heterogeneous_game(3, 10),
    "rivals": lambda: heterogeneous_game(8, 6),
    "measured": lambda: random_game(11, 4, levels=3, accuracy="empirical", competition="dense"),
    "tight": lambda: random_game(
        13, 5, levels=4, accuracy="power-law", start="concave", deadline="tight"
    ),
    "onset": lambda: random_game(
        16, 3, levels=2, accuracy="power-law", start="flat", deadline="loose", competition="dense"
    ),
}


@functools.cache
def settled(name, rule):
    """A game under a rule, and the profile that is agreed on."""
    game = GAMES[name]()
    if rule == "efficient":
        found = design(game, random_starts=0)
        return found.agreed.game, found.agreed.profile
    return game, solve(game).profile


def searched(game, profile, incentive=None):
    """Up and down from the definition: every level, many points, no derivative."""
    if incentive is not None:
        raise NotImplementedError
    now = performance(game, profile)
    up, down = np.full(game.size, np.inf), np.full(game.size, np.inf)
    reach = game.max_data_fraction(game.cpu_levels_hz)
    omega, u = game.omega(profile), game.data_units
    for i in range(game.size):
        at = float(profile.data_fraction[i])
        for level, high in enumerate(reach[i]):
            if not high >= game.min_data_fraction:
                continue
            near = at + np.array([-1, 1, -3, 3]) * 1e-7
            d = np.concatenate([np.linspace(game.min_data_fraction, high, 4_001), near])
            d = np.append(d, np.clip(game.rule.corners(game, np.array([i]))[0], 0.0, 1.0))
            d = d[(d >= game.min_data_fraction) & (d <= high) & (np.abs(d - at) > RESOLUTION)]
            f = np.full(d.size, game.cpu_levels_hz[i, level])
            lost = -deviation_gain(game, profile, np.full(d.size, i), d, f)
            moved = game.accuracy.value(omega + (d - at) * u[i]) - now
            for sign, best in ((1.0, up), (-1.0, down)):
                some = sign * moved > 1e-12
                if some.any():
                    best[i] = min(best[i], float((lost[some] / (sign * moved[some])).min()))
    return up, down


both = pytest.mark.parametrize("rule", ["efficient", "linear"])


@both
@pytest.mark.parametrize("name", GAMES)
def test_it_is_what_a_search_of_the_payoffs_finds(name, rule):
    game, profile = settled(name, rule)
    found = radius(game, profile)
    up, down = searched(game, profile)
    scale = found.scale
    for mine, theirs in ((found.up, up), (found.down, down)):
        finite = np.isfinite(theirs)
        assert np.array_equal(np.isfinite(mine), finite)
        # A search finds no less than the least, and nearly that.
        assert np.all(mine[finite] <= theirs[finite] + 1e-5 * scale[finite])
        assert np.all(theirs[finite] - mine[finite] <= 1e-3 * scale[finite])


def corners(game, profile, share, seed, count):
    """Games in which everybody's profitability is off by the share, up or down."""
    rng = np.random.default_rng(seed)
    signs = list(rng.choice([-1.0, 1.0], (count, game.size)))
    for i in range(game.size):  # and those at which i's z moves most
        rivals, _ = game.competition.row(i)
        for sign in (-1.0, 1.0):
            extreme = np.full(game.size, sign)
            extreme[rivals] = -sign
            extreme[i] = sign
            signs.append(extreme)
    for entry in signs:
        try:
            yield dataclasses.replace(game, profitability=game.profitability * (1 + share * entry))
        except InvalidGameError:  # some z is not positive: there is no game
            continue


def most_regret(game, profile, share, seed=0, count=30):
    scale = game.profitability * performance(game, profile)
    regrets = [
        (regret(corner, profile) / scale).max()
        for corner in corners(game, profile, share, seed, count)
    ]
    return max(regrets, default=None)


@both
@pytest.mark.parametrize("name", ["banks_fraud", "drug_discovery", "hospitals", "paper", "ten"])
def test_nobody_gains_inside_and_somebody_gains_outside(name, rule):
    game, profile = settled(name, rule)
    share = radius(game, profile).share
    assert share >= 0.01  # an interior optimum has none, and is not what this is about
    scale = game.profitability + game.competitors_profitability
    playable = 0.99 * float((game.potential_weights / scale).min())  # there z > 0 everywhere
    inside = most_regret(game, profile, min(0.98 * share, playable))
    assert inside <= ROUNDING
    if 1.05 * share < playable:
        assert most_regret(game, profile, 1.05 * share) > 1e-7


def test_with_the_exact_schedules_it_is_smaller_and_as_exact():
    """Paid phi itself, also above the agreed data: W in place of the payoffs."""
    game, profile = settled("hospitals", "efficient")
    exact = Externality(game, profile)
    found, paid = radius(game, profile, exact), radius(game, profile)
    assert np.all(found.up <= paid.up + 1e-6)
    assert np.all(found.down <= paid.down + 1e-6)
    scale = game.profitability * performance(game, profile)
    inside, outside = (
        max(
            (regret(corner, profile, exact) / scale).max()
            for corner in corners(game, profile, e, 1, 20)
        )
        for e in (0.98 * found.share, 1.05 * found.share)
    )
    assert inside <= ROUNDING < 1e-6 < outside


def gains_at(game, profile, p, paid):
    """The most that anybody gains under each row of p, Eq. (11) over every level and a fine grid.

    Shape ``(K,)``, as shares of ``p P``; ``paid(i, profile)`` is what i receives. Only p differs
    between rows, and it enters linearly.
    """
    omega, u = game.omega(profile), game.data_units
    rho = np.array([game.competition.dot(row) for row in np.eye(game.size)])
    rivals, now = p @ rho, performance(game, profile)
    reach = game.max_data_fraction(game.cpu_levels_hz)
    most = np.zeros(len(p))
    for i in range(game.size):
        at = float(profile.data_fraction[i])
        without = game.accuracy.value(omega - at * u[i])
        for level, high in enumerate(reach[i]):
            if not high >= game.min_data_fraction:
                continue
            near = np.clip(at + np.array([-1e-3, 0.0, 1e-3]), game.min_data_fraction, high)
            d = np.concatenate([np.linspace(game.min_data_fraction, high, 65), near])
            f = float(game.cpu_levels_hz[i, level])
            moves = [profile.replaced(i, float(x), f) for x in d]
            earned = game.accuracy.value(omega + (d - at) * u[i])
            receives = np.array([paid(i, move) for move in moves]) - paid(i, profile)
            spends = np.array([overhead(game, move)[i] for move in moves])
            damage = np.outer(rivals[:, i], (earned - without) - (now - without))
            gained = np.outer(p[:, i], earned - now) - damage + receives
            gained -= spends - overhead(game, profile)[i]
            most = np.maximum(most, gained.max(axis=1) / (p[:, i] * now))
    return most


def to_the_others(game, i, profile):
    """What i's contribution is worth to the others on the estimates: phi_i and a constant."""
    earned = payoffs_without_redistribution(game.with_incentive_intensity(0.0), profile)
    return float(earned.sum() - earned[i])


@pytest.mark.parametrize(
    ("name", "rule"),
    [("paper", "linear"), ("banks_fraud", "linear"), ("hospitals", "efficient")],
)
def test_a_thousand_random_corners_inside_and_some_corner_outside(name, rule):
    game, profile = settled(name, rule)
    if rule == "efficient":  # phi itself, also above the agreed data: the narrowest range
        exact = Externality(game, profile)
        found = radius(game, profile, exact)
        paid = functools.partial(to_the_others, game)
    else:
        exact, found = None, radius(game, profile)

        def paid(i, move):
            return game.rule.redistribution(game, move)[i]

    share = found.share
    signs = np.random.default_rng(7).choice([-1.0, 1.0], (1_000, game.size))
    inside = game.profitability * (1.0 + 0.98 * share * signs)
    gains = gains_at(game, profile, inside, paid)
    assert gains.shape == (1_000,)
    assert np.count_nonzero(gains <= ROUNDING) == 1_000
    # The regret that the package certifies agrees where the grid found most.
    worst = dataclasses.replace(game, profitability=inside[int(np.argmax(gains))])
    scale = worst.profitability * performance(worst, profile)
    assert (regret(worst, profile, exact) / scale).max() <= ROUNDING
    # Outside, one of the corners at which somebody's z moves most.
    outside = [corner.profitability for corner in corners(game, profile, 1.05 * share, 0, count=0)]
    assert gains_at(game, profile, np.array(outside), paid).max() > 1e-7


@pytest.mark.slow
def test_a_thousand_corners_of_fifty_consortia():
    tried = 0
    for seed in range(50):
        game = heterogeneous_game(seed, 10)
        found = design(game, random_starts=0)
        share = radius(found.agreed.game, found.agreed.profile).share
        if share >= 0.01:
            inside = min(0.98 * share, 0.9)
            worst = most_regret(found.agreed.game, found.agreed.profile, inside, seed, 20)
            tried += 20
            assert worst is None or worst <= ROUNDING
    assert tried >= 800


def test_an_interior_optimum_has_no_range_and_says_what_to_do():
    game = dataclasses.replace(heterogeneous_game(3, 4), overhead_weight=60.0)
    equilibrium = solve(game.with_incentive_intensity(0.0))
    reach = game.max_data_fraction(equilibrium.profile.cpu_hz)
    d = equilibrium.profile.data_fraction
    inner = (d > game.min_data_fraction * 1.001) & (d < reach * 0.999)
    found = radius(equilibrium.game, equilibrium.profile)
    np.testing.assert_array_equal(found.interior, np.flatnonzero(inner))
    if inner.any():
        assert found.share <= 1e-6
        assert "interior" in radius_words(found, game)
        assert "--robust" in radius_words(found, game)


def test_the_document_names_who_limits_it():
    game, profile = settled("paper", "linear")
    found = radius(game, profile)
    document = found.to_dict(game)
    assert document["all_profitability"] == found.share
    rows = {organization["name"]: organization for organization in document["organizations"]}
    assert rows[document["weakest"]]["profitability"] == found.share
    assert document["weakest"] in radius_words(found, game)
    assert all(row["z_up"] is None or row["z_up"] >= -1e-9 for row in rows.values())


def test_an_onset_within_reach_is_heeded():
    game, profile = settled("onset", "efficient")
    assert radius(game, profile).holds(np.zeros(game.size))
    assert efficient_game(17, 3, accuracy="sqrt-loss", start="concave").size == 3
