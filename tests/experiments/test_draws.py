"""Random consortia: within Table II, symmetric, with z > 0, the same whatever is calibrated."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tradefl.consortium import load
from tradefl.experiments.draws import GAMMA_STAR, OURS, draw

PAPER = Path(__file__).parents[2] / "examples" / "paper.toml"


def rho_of(game):
    return np.column_stack([game.competition.dot(unit) for unit in np.eye(game.size)])


@pytest.mark.parametrize("seed", range(5))
def test_a_draw_lies_in_the_ranges_of_table_ii(seed):
    game = draw(seed)
    assert game.size == 10
    for values, low, high in (
        (game.profitability, 500.0, 2500.0),
        (game.data_bits, 15e9, 25e9),
        (game.cpu_levels_hz[:, -1], 3e9, 5e9),
    ):
        assert low <= values.min() < values.max() <= high
    assert (game.min_data_fraction, game.capacitance) == (0.01, 1e-27)
    assert game.incentive_intensity == GAMMA_STAR
    assert np.all(game.potential_weights > 0.0)
    assert game.level_is_feasible().all()
    np.testing.assert_allclose(
        game.cpu_levels_hz, game.cpu_levels_hz[:, -1:] * np.arange(1, 6) / 5, rtol=1e-15
    )


def test_competition_is_symmetric_with_the_mean_and_deviation_of_the_paper():
    drawn = np.array([rho_of(draw(seed)) for seed in range(60)])
    np.testing.assert_array_equal(drawn, drawn.transpose(0, 2, 1))
    assert not drawn[:, np.arange(10), np.arange(10)].any()
    pairs = drawn[:, *np.triu_indices(10, 1)]
    error = OURS.mean_intensity / 5 / np.sqrt(pairs.size)
    assert abs(pairs.mean() - OURS.mean_intensity) < 4 * error
    assert pairs.std() == pytest.approx(OURS.mean_intensity / 5, rel=0.06)
    assert 0.0 <= pairs.min() <= pairs.max() <= 1.0


def test_the_same_seed_is_the_same_consortium_under_another_calibration():
    other = dataclasses.replace(
        OURS, epochs=9.0, levels=3, cycles_per_bit=1.0, compute_weight=0.1, deadline_seconds=40.0
    )
    first, second = draw(4), draw(4, other)
    np.testing.assert_array_equal(first.data_bits, second.data_bits)
    np.testing.assert_array_equal(first.profitability, second.profitability)
    np.testing.assert_array_equal(rho_of(first), rho_of(second))
    np.testing.assert_array_equal(first.cpu_levels_hz[:, -1], second.cpu_levels_hz[:, -1])
    assert second.cpu_levels_hz.shape == (10, 3)
    assert (second.accuracy.epochs, second.compute_weight) == (9.0, 0.1)


def test_another_mean_intensity_changes_rho_alone_and_keeps_the_same_deviates():
    fixed = {"largest_mean_intensity": 0.06}
    low, high = (
        draw(3, dataclasses.replace(OURS, mean_intensity=mu), **fixed) for mu in (0.02, 0.06)
    )
    np.testing.assert_array_equal(low.profitability, high.profitability)
    np.testing.assert_array_equal(low.data_bits, high.data_bits)
    np.testing.assert_allclose(3.0 * rho_of(low), rho_of(high), rtol=1e-12)


def test_seeds_differ_and_repeat():
    first, again, other = draw(0), draw(0), draw(1)
    np.testing.assert_array_equal(first.profitability, again.profitability)
    assert not np.any(first.profitability == other.profitability)


def test_competition_without_any_consortium_is_refused():
    with pytest.raises(ValueError, match=r"no draw has every z_i > 0 at mu = 0\.2"):
        draw(0, dataclasses.replace(OURS, mean_intensity=0.2))


def test_the_example_has_the_same_calibration():
    game, ours = load(PAPER).game, OURS
    assert game.accuracy.epochs == ours.epochs
    assert game.accuracy.untrained_loss == ours.untrained_loss
    assert game.compute_weight == ours.compute_weight
    assert game.overhead_weight == ours.overhead_weight
    assert game.deadline_seconds == ours.deadline_seconds
    assert game.incentive_intensity == GAMMA_STAR
    assert {game.download_watts, game.upload_watts} == {ours.transfer_watts}
    assert {*game.download_seconds, *game.upload_seconds} == {ours.transfer_seconds}
    assert set(game.cycles_per_bit) == {ours.cycles_per_bit}
    np.testing.assert_allclose(game.data_units, game.data_bits / ours.unit, rtol=1e-15)
    steps = np.arange(1, ours.levels + 1) / ours.levels
    np.testing.assert_allclose(game.cpu_levels_hz, game.cpu_levels_hz[:, -1:] * steps, rtol=1e-12)
    pairs = rho_of(game)[np.triu_indices(10, 1)]
    assert pairs.mean() == pytest.approx(ours.mean_intensity, abs=4 * 0.01 / np.sqrt(45))
