"""The fit of P: known curves are recovered, data that no P describes is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import tradefl
from tradefl.errors import InputError
from tradefl.federation import Plan
from tradefl.federation.fitting import Point, fit_accuracy, ladder, measure_accuracy
from tradefl.game import SqrtLoss

ROOT = Path(__file__).parents[2]
DATA = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])


def concave(x: np.ndarray) -> np.ndarray:
    return 0.9 - 0.6 / np.sqrt(x)


def test_a_concave_curve_is_recovered_exactly() -> None:
    fit = fit_accuracy(DATA, concave(DATA), 0.1)
    assert fit.curve.value(DATA) + 0.1 == pytest.approx(concave(DATA), abs=1e-12)
    assert fit.r_squared == pytest.approx(1.0, abs=1e-12)
    assert np.abs(fit.residuals).max() < 1e-12
    assert fit.concave
    assert np.isnan(fit.noise)


def test_the_form_of_footnote_7_is_recovered() -> None:
    truth = SqrtLoss(epochs=5.0, untrained_loss=0.79)
    fit = fit_accuracy(DATA, 0.1 + truth.value(DATA), 0.1)
    assert fit.sqrt_loss.epochs == pytest.approx(5.0, rel=1e-5)
    assert fit.sqrt_loss.untrained_loss == pytest.approx(0.79, abs=1e-6)
    assert fit.sqrt_loss_r_squared == pytest.approx(1.0, abs=1e-9)


def test_the_form_of_footnote_7_is_the_best_of_a_fine_grid() -> None:
    """An independent oracle: no (G, A(0)) of a grid fits better."""
    accuracy = np.array([0.3, 0.5, 0.62, 0.75, 0.8, 0.81])
    fit = fit_accuracy(DATA, accuracy)
    total = np.sum((accuracy - accuracy.mean()) ** 2)
    best = -np.inf
    for g in np.geomspace(0.05, 500.0, 800):
        shape = -1.0 / np.sqrt(DATA * g) - 1.0 / g
        least = max(0.0, -(shape.min()))  # P must not be negative
        a = max(float(np.mean(accuracy - shape)), least)
        best = max(best, 1.0 - np.sum((accuracy - a - shape) ** 2) / total)
    assert fit.sqrt_loss_r_squared >= best - 1e-9


def test_noise_is_handled_and_the_curve_stays_close() -> None:
    rng = np.random.default_rng(3)
    x = np.repeat(DATA, 5)
    y = concave(x) + rng.normal(0.0, 0.01, x.size)
    fit = fit_accuracy(x, y, 0.1)
    assert np.abs(fit.curve.value(DATA) + 0.1 - concave(DATA)).max() < 0.015
    assert fit.concave
    assert 0.002 < fit.noise < 0.01
    assert 0.95 < fit.r_squared < 1.0
    slopes = np.diff(fit.curve.values) / np.diff(fit.curve.knots)
    assert np.all(slopes >= 0.0)
    assert np.all(np.diff(slopes) <= 1e-12)


def test_the_curve_is_the_least_squares_one() -> None:
    """Against SciPy's general solver on the values at the knots, under the shape constraints."""
    from scipy.optimize import LinearConstraint, minimize

    accuracy = np.array([0.2, 0.5, 0.45, 0.7, 0.68, 0.9])
    fit = fit_accuracy(DATA, np.minimum(accuracy, [1, 1, 0.5, 1, 0.7, 1]), 0.1)
    knots = np.append(0.0, DATA)
    slopes = np.zeros((DATA.size, DATA.size))
    for k in range(DATA.size):
        slopes[k, k] = 1.0 / (knots[k + 1] - knots[k])
        if k:
            slopes[k, k - 1] = -slopes[k, k]
    rows = np.vstack([slopes[-1:], slopes[:-1] - slopes[1:]])
    found = minimize(
        lambda v: float(np.sum((v + 0.1 - fit.accuracy) ** 2)),
        np.linspace(0.1, 0.8, DATA.size),
        jac=lambda v: 2.0 * (v + 0.1 - fit.accuracy),
        constraints=LinearConstraint(rows, 0.0, np.inf),
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    assert fit.curve.values[1:] == pytest.approx(found.x, abs=1e-6)


def test_decreasing_data_is_refused_with_the_places() -> None:
    with pytest.raises(InputError, match=r"falls from 0\.6 at 1 to 0\.35 at 32"):
        fit_accuracy(DATA, np.linspace(0.6, 0.35, DATA.size))


def test_a_fall_at_the_end_is_refused_beyond_noise_only() -> None:
    y = concave(DATA)
    y[-1] = y[-2] - 0.005
    assert fit_accuracy(DATA, y).decrease == pytest.approx(0.005)
    y[-1] = y[-2] - 0.1
    with pytest.raises(InputError, match="more data never hurts"):
        fit_accuracy(DATA, y)


def test_flat_data_is_refused() -> None:
    with pytest.raises(InputError, match="does not grow"):
        fit_accuracy(DATA, np.full(DATA.size, 0.5))


def test_convex_data_is_fitted_and_reported() -> None:
    fit = fit_accuracy(DATA, 0.1 + 0.8 * (DATA / 32.0) ** 2)
    assert not fit.concave
    # At 16 the chord from 1 to 32 is highest above the curve: 0.1 + 0.8 (...) by hand.
    low, high = 0.1 + 0.8 / 1024.0, 0.9
    chord = low + (high - low) * (16.0 - 1.0) / 31.0
    assert fit.convexity == pytest.approx(chord - (0.1 + 0.8 * 0.25), abs=1e-12)


@pytest.mark.parametrize(
    ("data", "accuracy", "what"),
    [
        ([1.0, 2.0], [0.1, 0.2], "3 amounts"),
        ([1.0, 2.0, 2.0], [0.1, 0.2, 0.3], "3 amounts"),
        ([0.0, 1.0, 2.0], [0.1, 0.2, 0.3], "amounts > 0"),
        ([1.0, 2.0, np.nan], [0.1, 0.2, 0.3], "amounts > 0"),
        ([1.0, 2.0, 3.0], [0.1, 0.2, 1.3], "from 0 to 1"),
        ([1.0, 2.0, 3.0], [0.1, np.nan, 0.3], "from 0 to 1"),
        ([1.0, 2.0, 3.0], [0.1, 0.2], "as many"),
    ],
)
def test_what_is_no_measurement_is_refused(data: list, accuracy: list, what: str) -> None:
    with pytest.raises(InputError, match=what):
        fit_accuracy(data, accuracy)


def test_the_ladder_is_in_equal_ratios() -> None:
    steps = ladder(0.02)
    assert (steps[0], steps[-1], len(steps)) == (pytest.approx(0.02), 1.0, 8)
    assert np.diff(np.log(steps)) == pytest.approx(np.full(7, np.log(50.0) / 7.0))


def test_measured_points_count_data_in_the_units_of_the_consortium() -> None:
    consortium = tradefl.load(ROOT / "examples" / "hospitals.toml")
    plan = Plan(consortium="", rounds=1)
    seen: list[Point] = []
    points, untrained, _ = measure_accuracy(
        plan, consortium, fractions=[0.25, 1.0], seeds=[0, 1], watch=seen.append
    )
    assert seen == points
    assert [point.seed for point in points] == [0, 1, 0, 1]
    everything = float(consortium.game.data_units.sum())
    assert points[-1].data == pytest.approx(everything, rel=1e-12)
    assert points[0].data == pytest.approx(0.25 * everything, rel=0.02)  # whole samples
    assert points[0].data >= 0.25 * everything
    assert 0.05 < untrained < 0.15
    assert points[-1].accuracy > untrained + 0.2


def test_measuring_is_repeatable_and_needs_no_consortium() -> None:
    plan = Plan(consortium="", rounds=1)
    runs = [
        measure_accuracy(plan, None, fractions=[0.1, 1.0], seeds=[5], organizations=4)[0]
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert runs[0][-1].samples == runs[0][-1].data == 1438
    with pytest.raises(InputError, match="one for each training sample"):
        measure_accuracy(plan, None, fractions=[1.0], seeds=[0], organizations=5000)


def test_a_training_that_diverges_is_refused() -> None:
    plan = dataclasses.replace(Plan(consortium="", rounds=1), learning_rate=1e38)
    with pytest.raises(InputError, match="diverged"):
        measure_accuracy(plan, None, fractions=[1.0], seeds=[0], organizations=3)
