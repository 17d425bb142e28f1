"""Random consortia: within Table II, symmetric, with z > 0, the same whatever is calibrated."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tradefl.consortium import load
from tradefl.experiments import draws
from tradefl.experiments.draws import (
    ACROSS,
    GAMMA_STAR,
    OURS,
    draw,
    draw_heterogeneous,
    rivalry_of,
)

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


# --- heterogeneous -----------------------------------------------------------------------------


@pytest.mark.parametrize(("spread", "rivalry"), [(0.1, 0.9), (0.7, 0.5), (1.2, 0.1)])
def test_unequal_organizations_have_the_means_of_table_ii_and_the_rivalry_asked_for(
    spread, rivalry
):
    game = draw_heterogeneous(5, spread=spread, rivalry=rivalry)
    rho = rho_of(game)
    assert game.profitability.mean() == pytest.approx(1500.0)
    assert game.data_bits.mean() == pytest.approx(20e9)
    np.testing.assert_array_equal(rho, rho.T)
    assert not np.diag(rho).any()
    assert rho[np.triu_indices(10, 1)].min() > 0.0
    assert rho.max() <= rivalry  # the poorer of two rivals suffers at least that much
    assert rivalry_of(rho, game.profitability) == pytest.approx(rivalry, rel=1e-12)
    assert np.all(game.potential_weights > 0.0)
    assert game.level_is_feasible().any(axis=1).all()


def test_the_spread_is_that_of_the_logarithms():
    drawn = [draw_heterogeneous(seed, spread=0.8, rivalry=0.5) for seed in range(200)]
    for values in ("profitability", "data_bits"):
        logs = np.log([getattr(game, values) for game in drawn])
        assert np.sqrt(logs.var(axis=1, ddof=1).mean()) == pytest.approx(0.8, rel=0.06)
    both = np.log([[game.profitability, game.data_bits] for game in drawn])
    apart = both - both.mean(axis=2, keepdims=True)
    assert abs(np.corrcoef(apart[:, 0].ravel(), apart[:, 1].ravel())[0, 1]) < 0.1


def test_rivals_sit_in_the_same_sector():
    rho = rho_of(draw_heterogeneous(5, spread=0.7, rivalry=0.5))
    pairs = np.sort(rho[np.triu_indices(10, 1)])
    # Two groups, a factor of five apart, each within exp(0.2 e).
    gaps = np.diff(np.log(pairs))
    within = pairs[np.argmax(gaps) + 1 :]
    across = pairs[: np.argmax(gaps) + 1]
    assert within.size >= 12  # three sectors of 4, 3 and 3 have the fewest pairs
    ratio = np.exp(np.log(across).mean() - np.log(within).mean())
    assert ratio == pytest.approx(ACROSS, rel=0.2)


def test_without_a_spread_all_are_equally_large():
    game = draw_heterogeneous(2, spread=0.0, rivalry=0.3)
    np.testing.assert_allclose(game.profitability, 1500.0)
    np.testing.assert_allclose(game.data_bits, 20e9)


def test_the_large_ones_cannot_train_all_their_data_in_time():
    game = draw_heterogeneous(5, spread=1.2, rivalry=0.5)
    most = game.max_data_fraction(game.cpu_levels_hz[:, -1])
    order = np.argsort(game.data_bits)
    assert most[order[-1]] < 1.0
    assert most[order[0]] == 1.0


def test_the_same_seed_has_the_same_deviates_under_any_spread_and_rivalry():
    first, second = (
        draw_heterogeneous(7, spread=spread, rivalry=rivalry)
        for spread, rivalry in ((0.4, 0.2), (0.8, 0.6))
    )
    for values in ("profitability", "data_bits"):
        low, high = (np.log(getattr(game, values)) for game in (first, second))
        np.testing.assert_allclose(2.0 * (low - low[0]), high - high[0], atol=1e-12)
    ratio = rho_of(first)[np.triu_indices(10, 1)] / rho_of(second)[np.triu_indices(10, 1)]
    np.testing.assert_allclose(ratio, ratio[0])


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"spread": -0.1, "rivalry": 0.5}, "spread: expected a number >= 0"),
        ({"spread": 0.5, "rivalry": 0.0}, "rivalry: expected a number between 0 and 1"),
        ({"spread": 0.5, "rivalry": 1.0}, "rivalry: expected a number between 0 and 1"),
    ],
)
def test_what_no_heterogeneous_consortium_has(options, what):
    with pytest.raises(ValueError, match=what):
        draw_heterogeneous(0, **options)


def test_consortia_for_everybody():
    """The public draws are those of the studies, and take ranges and figures of their own."""
    for seed in range(3):
        same, ours = draws.table2(seed), draws.draw(seed)
        np.testing.assert_array_equal(same.profitability, ours.profitability)
        np.testing.assert_array_equal(same.data_bits, ours.data_bits)
        np.testing.assert_array_equal(same.total_intensity, ours.total_intensity)
        unequal = draws.heterogeneous(seed, 6, spread=0.4, rivalry=0.3)
        other = draws.draw_heterogeneous(seed, spread=0.4, rivalry=0.3, organizations=6)
        np.testing.assert_array_equal(unequal.data_bits, other.data_bits)
    small = draws.table2(1, 4, mu=0.08, data_bits=(1e9, 2e9), deadline_seconds=10.0, levels=3)
    assert small.size == 4
    assert small.deadline_seconds == 10.0
    assert small.cpu_levels_hz.shape == (4, 3)
    assert ((small.data_bits >= 1e9) & (small.data_bits <= 2e9)).all()
    # The same deviates: only where they lie differs.
    np.testing.assert_allclose(
        (small.data_bits - 1e9) / 1e9, (draws.table2(1, 4).data_bits - 15e9) / 10e9, rtol=1e-12
    )
    assert small.total_intensity.mean() == pytest.approx(3 * 0.08, rel=0.5)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"n": 0}, "n: expected an integer >= 1"),
        ({"n": 2.5}, "n: expected an integer >= 1"),
        ({"mus": 0.1}, "mus: expected one of"),
        ({"data_bits": 3.0}, "data_bits: expected a range"),
        ({"data_bits": (3.0, 1.0)}, "data_bits: expected 0 < low <= high"),
        ({"mu": float("nan")}, "mu: expected a number >= 0"),
        ({"levels": 2.5}, "levels: expected an integer"),
        ({"mu": 0.9}, "mean_intensity: no draw has every z_i > 0"),
    ],
)
def test_bad_figures_of_draws_are_refused(options, what):
    with pytest.raises(ValueError, match=what):
        draws.table2(0, **options)
