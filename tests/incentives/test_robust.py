"""Schedules for a range: nobody contributes less while the figures are within it."""

import dataclasses
import functools

import numpy as np
import pytest
from tests.golden.cases import EXAMPLES
from tests.support import heterogeneous_game, random_game

import tradefl
from tradefl.design import design, in_wei
from tradefl.game import deviation_gain
from tradefl.incentives.robust import steepness

GAMES = {
    **{
        name: lambda name=name: tradefl.load(EXAMPLES / f"{name}.toml").game
        for name in ("banks_fraud", "drug_discovery", "hospitals", "paper")
    },
    "ten": lambda: heterogeneous_game(3, 10),
    "dear": lambda: dataclasses.replace(heterogeneous_game(4, 5), overhead_weight=40.0),
    "dearer": lambda: dataclasses.replace(heterogeneous_game(3, 5), overhead_weight=150.0),
    "measured": lambda: random_game(11, 4, levels=3, accuracy="empirical", competition="dense"),
    "onset": lambda: random_game(
        16, 3, levels=2, accuracy="power-law", start="flat", deadline="loose", competition="dense"
    ),
}


@functools.cache
def designed(name, robust):
    return design(GAMES[name](), robust=robust, random_starts=0)


def downward_gain(game, profile, error):
    """The most that anybody gains by contributing less if its z is lower by the error."""
    best = -np.inf
    reach = game.max_data_fraction(game.cpu_levels_hz)
    for i in range(game.size):
        at = float(profile.data_fraction[i])
        for level, high in enumerate(reach[i]):
            if not high >= game.min_data_fraction:
                continue
            d = np.linspace(game.min_data_fraction, min(high, at), 801)
            f = np.full(d.size, game.cpu_levels_hz[i, level])
            gain = deviation_gain(game, profile, np.full(d.size, i), d, f)
            omega = game.omega(profile)
            moved = game.accuracy.value(
                np.maximum(omega + (d - at) * game.data_units[i], 0.0)
            ) - game.accuracy.value(omega)
            best = max(best, float((gain - error[i] * moved).max()))
    return best


@pytest.mark.parametrize("robust", [0.05, 0.3])
@pytest.mark.parametrize("name", GAMES)
def test_nobody_contributes_less_within_the_range(name, robust):
    found = designed(name, robust)
    assert found.verified()
    assert found.obeys
    game = found.agreed.game.with_compensation(in_wei(found.rule, 10**15))
    scale = found.radius.scale
    rounding = 1e-8 * found.agreed.certificate.payoff_scale.max()
    for share in (robust, 0.5 * robust, 0.0):
        assert downward_gain(game, found.agreed.profile, share * scale) <= rounding


def test_without_it_an_interior_optimum_does_not_hold():
    usual, robust = designed("dear", 0.0), designed("dear", 0.3)
    assert usual.exact_radius.share <= 1e-6  # it is interior
    assert usual.radius.share < 0.3
    assert robust.radius.share == pytest.approx(0.3, rel=1e-6)
    error = 0.3 * usual.radius.scale
    assert downward_gain(usual.agreed.game, usual.agreed.profile, error) > 1e-6
    # And what it costs is stated: bonds never fall.
    assert np.all(robust.bonds >= robust.usual_bonds - 1e-12)
    np.testing.assert_allclose(robust.usual_bonds, usual.bonds)


def test_schedules_stay_below_those_that_are_usual():
    usual, robust = designed("dear", 0.0), designed("dear", 0.3)
    moved = 0
    for before, after in zip(usual.rule.schedules, robust.rule.schedules, strict=True):
        np.testing.assert_array_equal(before.shares, after.shares)
        assert np.all(after.values <= before.values)
        moved += bool(np.any(after.values < before.values))
    assert moved


@pytest.mark.parametrize("name", ["hospitals", "dear", "dearer", "onset"])
def test_the_steepness_is_the_largest_secant(name):
    found = designed(name, 0.0)
    game, profile = found.agreed.game.with_incentive_intensity(0.0), found.agreed.profile
    for share in (0.0, 0.2, 0.8):
        k = steepness(game, profile, share)
        error = share * found.radius.scale
        reach = game.max_data_fraction(game.cpu_levels_hz)
        for i in range(game.size):
            at, best = float(profile.data_fraction[i]), 0.0
            for level, high in enumerate(reach[i]):
                if not high >= game.min_data_fraction:
                    continue
                d = np.append(np.linspace(game.min_data_fraction, high, 2_001), at - 1e-7)
                d = d[(d < at - 1e-8) & (d <= high) & (d >= game.min_data_fraction)]
                if d.size == 0:
                    continue
                f = np.full(d.size, game.cpu_levels_hz[i, level])
                gain = deviation_gain(game, profile, np.full(d.size, i), d, f)
                omega = game.omega(profile)
                moved = game.accuracy.value(
                    np.maximum(omega + (d - at) * game.data_units[i], 0.0)
                ) - game.accuracy.value(omega)
                best = max(best, float(((gain - error[i] * moved) / (at - d)).max()))
            assert best <= k[i] + 1e-6 * found.radius.scale[i]
            assert k[i] - best <= 5e-3 * found.radius.scale[i]


@pytest.mark.parametrize("robust", [-0.1, 1.0, float("nan")])
def test_a_range_that_is_none_is_refused(robust):
    with pytest.raises(ValueError, match=r"^robust: expected a number in \[0, 1\)"):
        design(GAMES["hospitals"](), robust=robust)
