"""P(Omega): built-in models, the fit to measured points, and what a user may bring."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import lsq_linear, minimize
from tests.support import drawn_model, examples, plain_performance, seeds

from tradefl.game import Empirical, PowerLaw, SqrtLoss, fit_empirical

ALL = ("sqrt-loss", "power-law", "empirical", "user-log", "user-exp")


# --- values by hand -----------------------------------------------------------------------------


def test_sqrt_loss_by_hand():
    # G = 4, A(0) = 0.75: A = 1/(2 sqrt(Omega)) + 1/4 is 0.75 at Omega = 1.
    model = SqrtLoss(epochs=4.0, untrained_loss=0.75)
    assert model.onset == 1.0
    # A(4) = 1/4 + 1/4, A(25) = 1/10 + 1/4.
    np.testing.assert_allclose(
        model.value(np.array([0.0, 0.5, 1.0, 4.0, 25.0])), [0, 0, 0, 0.25, 0.4]
    )
    # P' = 1/(4 Omega^1.5): 1/32 at 4, and 1/500 at 25.
    np.testing.assert_allclose(model.derivative(np.array([0.5, 4.0, 25.0])), [0.0, 1 / 32, 1 / 500])
    assert model.inverse_derivative(1 / 32) == pytest.approx(4.0)
    assert model.inverse_derivative(1 / 500) == pytest.approx(25.0)


def test_power_law_by_hand():
    # A = min(0.9, 2/Omega^2 + 0.4): the onset is at Omega = 2, P(4) = 0.9 - 0.525, P' = 4/Omega^3.
    model = PowerLaw(untrained_loss=0.9, scale=2.0, exponent=2.0, floor=0.4)
    assert model.onset == pytest.approx(2.0)
    np.testing.assert_allclose(model.value(np.array([0.0, 1.0, 4.0, 10.0])), [0, 0, 0.375, 0.48])
    np.testing.assert_allclose(model.derivative(np.array([1.0, 4.0])), [0.0, 1 / 16])
    assert model.inverse_derivative(1 / 16) == pytest.approx(4.0)


def test_empirical_by_hand():
    # Slopes 0.3, 0.1 and 0.05, and 0 from Omega = 4 on.
    model = Empirical([0.0, 1.0, 2.0, 4.0], [0.0, 0.3, 0.4, 0.5])
    np.testing.assert_allclose(
        model.value(np.array([0.0, 0.5, 1.5, 3.0, 9.0])), [0, 0.15, 0.35, 0.45, 0.5]
    )
    np.testing.assert_allclose(
        model.derivative(np.array([0.0, 0.5, 1.0, 3.0, 4.0, 9.0])), [0.3, 0.3, 0.1, 0.05, 0.0, 0.0]
    )
    slopes = [0.4, 0.2, 0.07, 0.01]
    assert [model.inverse_derivative(slope) for slope in slopes] == [0.0, 1.0, 2.0, 4.0]
    # At a slope of its own, P' is that much up to the end of the piece.
    assert [model.inverse_derivative(float(s)) for s in model.slopes[:3]] == [1.0, 2.0, 4.0]


# --- properties of every model ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
@examples(40)
@given(seed=seeds())
def test_value_agrees_with_the_formula_of_the_loss_and_starts_at_zero(kind, seed):
    model, total = drawn_model(kind, seed)
    omega = total * np.append(np.geomspace(1e-4, 3.0, 60), [0.0, model.onset / total])
    expected = plain_performance(model, omega)
    # P = A(0) - A: rounding is relative to A(0).
    size = getattr(model, "untrained_loss", 1.0)
    np.testing.assert_allclose(model.value(omega), expected, rtol=1e-12, atol=1e-14 * size)
    assert model.value(0.0) == 0.0  # E10
    assert np.all(model.value(omega) >= 0.0)
    one_by_one = [float(model.value(float(w))) for w in omega]
    np.testing.assert_allclose(one_by_one, model.value(omega), rtol=1e-12, atol=1e-14 * size)


@pytest.mark.parametrize("kind", ALL)
@examples(40)
@given(seed=seeds())
def test_derivative_agrees_with_finite_differences(kind, seed):
    model, total = drawn_model(kind, seed)
    omega = np.random.default_rng(seed).uniform(0.002, 2.0, 50) * total
    bends = model.knots if isinstance(model, Empirical) else np.array([model.onset])
    step = 1e-4 * omega
    smooth = np.all(np.abs(omega[:, None] - bends) > 2.0 * step[:, None], axis=1)
    omega, step = omega[smooth], step[smooth]
    chord = (model.value(omega + step) - model.value(omega - step)) / (2.0 * step)
    # Second-order error, 1e-8 P''' Omega^3, and rounding of P over the step.
    noise = 1e-15 * getattr(model, "untrained_loss", 1.0) / step
    scale = np.abs(model.derivative(omega))
    assert np.all(np.abs(model.derivative(omega) - chord) <= 1e-6 * scale + noise + 1e-15 * chord)
    one_by_one = [float(model.derivative(float(w))) for w in omega]
    np.testing.assert_allclose(one_by_one, model.derivative(omega), rtol=1e-12)


@pytest.mark.parametrize("kind", ALL)
@examples(40)
@given(seed=seeds())
def test_inverse_derivative_is_the_largest_omega_with_at_least_that_slope(kind, seed):
    model, total = drawn_model(kind, seed)
    rng = np.random.default_rng(seed)
    for slope in np.asarray(model.derivative(rng.uniform(0.6, 2.0, 8) * total)):
        if slope <= 0.0:
            continue
        slope = float(slope * rng.uniform(0.9, 1.1))
        at = model.inverse_derivative(slope)
        assert model.onset <= at < math.inf
        assert float(model.derivative(at * (1.0 + 1e-9))) < slope * (1.0 + 1e-12)
        if at > model.onset * (1.0 + 1e-9):
            assert float(model.derivative(at * (1.0 - 1e-9))) > slope * (1.0 - 1e-12)


@pytest.mark.parametrize("kind", ALL)
def test_inverse_derivative_of_no_slope_is_everything(kind):
    model, _ = drawn_model(kind, 7)
    assert model.inverse_derivative(0.0) == math.inf
    assert model.inverse_derivative(-1.0) == math.inf


@pytest.mark.parametrize("kind", ALL)
def test_inverse_derivative_of_a_slope_beyond_reach_is_the_onset(kind):
    model, _ = drawn_model(kind, 11)
    # Steeper than anywhere: P' at the onset is its largest value.
    steepest = float(model.derivative(model.onset * (1.0 + 1e-12)))
    assert model.inverse_derivative(2.0 * steepest) == pytest.approx(model.onset, abs=1e-300)


@pytest.mark.parametrize("kind", ["sqrt-loss", "power-law"])
@examples(40)
@given(seed=seeds())
def test_performance_is_zero_up_to_the_onset_and_rises_from_it(kind, seed):
    model, _ = drawn_model(kind, seed)
    below = model.onset * np.linspace(0.0, 1.0, 9)
    np.testing.assert_allclose(model.value(below), 0.0, atol=1e-15 * model.untrained_loss)
    np.testing.assert_array_equal(model.derivative(below[:-1]), 0.0)
    assert model.value(1.01 * model.onset) > 0.0
    assert model.derivative(1.01 * model.onset) > 0.0


@pytest.mark.parametrize("kind", ["sqrt-loss", "power-law"])
@examples(40)
@given(seed=seeds())
def test_derivative_at_the_onset_is_the_one_to_the_right(kind, seed):
    model, _ = drawn_model(kind, seed)
    just_above = float(model.derivative(model.onset * (1.0 + 1e-9)))
    assert float(model.derivative(model.onset)) == pytest.approx(just_above, rel=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        SqrtLoss(epochs=5.0, untrained_loss=0.2),
        SqrtLoss(epochs=5.0, untrained_loss=0.1),
        PowerLaw(untrained_loss=0.3, scale=1.0, exponent=0.5, floor=0.3),
        PowerLaw(untrained_loss=0.3, scale=1.0, exponent=0.5, floor=0.4),
    ],
)
def test_training_that_never_helps_has_no_performance_anywhere(model):
    omega = np.array([0.0, 1.0, 1e12])
    assert model.onset == math.inf
    np.testing.assert_array_equal(model.value(omega), 0.0)
    np.testing.assert_array_equal(model.derivative(omega), 0.0)
    assert model.inverse_derivative(1e-9) == math.inf


@pytest.mark.parametrize("kind", ["sqrt-loss", "power-law", "empirical"])
@examples(40)
@given(seed=seeds())
def test_the_formula_in_words_calculates_the_value(kind, seed):
    model, total = drawn_model(kind, seed)
    omega = float(total * np.random.default_rng(seed).uniform(0.55, 2.0))
    if isinstance(model, Empirical) and omega >= model.knots[-1]:
        assert model.formula(omega) == f"{float(model.values[-1])!r}, the value at the last point"
    formula = re.sub("[^0-9e.+*/()sqrt -].*", "", model.formula(omega).replace("^", "**"))
    calculated = eval(formula, {"sqrt": math.sqrt})  # noqa: S307 - our own text
    size = getattr(model, "untrained_loss", 1.0)
    assert calculated == pytest.approx(model.value(omega), rel=1e-10, abs=1e-10 * size)


@pytest.mark.parametrize("kind", ["sqrt-loss", "power-law"])
def test_the_formula_below_the_onset_says_why_it_is_zero(kind):
    model, _ = drawn_model(kind, 5)
    assert model.formula(0.5 * model.onset).startswith("0, because no more than ")
    assert model.formula(model.onset).startswith("0, because no more than ")


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("field", ["epochs", "untrained_loss"])
def test_sqrt_loss_rejects_a_parameter_out_of_range_by_name(field, bad):
    with pytest.raises(ValueError, match=f"^{field}: expected a number > 0"):
        SqrtLoss(**{"epochs": 1.0, "untrained_loss": 1.0, field: bad})


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("field", ["untrained_loss", "scale", "exponent", "floor"])
def test_power_law_rejects_a_parameter_out_of_range_by_name(field, bad):
    fields = {"untrained_loss": 1.0, "scale": 1.0, "exponent": 1.0, "floor": 0.0, field: bad}
    if field == "floor" and bad == 0.0:
        PowerLaw(**fields)
        return
    with pytest.raises(ValueError, match=f"^{field}: expected a number >"):
        PowerLaw(**fields)


@pytest.mark.parametrize(
    ("knots", "values", "message"),
    [
        ([0.0], [0.0], "2 or more"),
        ([0.0, 1.0], [0.0, 1.0, 2.0], "equally long"),
        ([[0.0, 1.0]], [[0.0, 1.0]], "equally long"),
        ([0.0, math.nan], [0.0, 1.0], "finite"),
        ([0.0, 1.0], [0.0, math.inf], "finite"),
        ([1.0, 2.0], [0.0, 1.0], "strictly from"),
        ([0.0, 1.0], [0.1, 1.0], "strictly from"),
        ([0.0, 1.0, 1.0], [0.0, 1.0, 1.0], "strictly from"),
        ([0.0, 1.0, 2.0], [0.0, 0.5, 0.4], "nondecreasing concave"),
        ([0.0, 1.0, 2.0], [0.0, 0.1, 0.4], "nondecreasing concave"),
    ],
)
def test_empirical_rejects_what_is_no_concave_curve_from_the_origin(knots, values, message):
    with pytest.raises(ValueError, match=message):
        Empirical(knots, values)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e6, 1e12])
@pytest.mark.parametrize("values", [[0.0, 0.1, 0.5], [0.0, 0.5, 0.1]])
def test_empirical_rejects_a_bent_curve_in_any_unit_of_data(unit, values):
    # Omega in bits has slopes of order 1e-12: an absolute tolerance would accept anything.
    with pytest.raises(ValueError, match="nondecreasing concave"):
        Empirical([0.0, 1.0 * unit, 2.0 * unit], values)


def test_empirical_curves_are_equal_by_content_and_cannot_be_changed():
    knots = np.array([0.0, 1.0, 2.0])
    model = Empirical(knots, [0.0, 0.3, 0.4])
    twin, other = Empirical([0.0, 1.0, 2.0], [0.0, 0.3, 0.4]), Empirical([0.0, 1.0], [0.0, 0.3])
    assert model == twin
    assert hash(model) == hash(twin)
    assert model != other
    assert model != "curve"
    knots[1] = 1.5
    assert model == twin
    with pytest.raises(ValueError, match="read-only"):
        model.knots[1] = 1.5


# --- the fit ------------------------------------------------------------------------------------


def test_fit_recovers_a_concave_nondecreasing_curve_exactly():
    data = np.array([8.0, 1.0, 2.0, 4.0])  # in any order
    model = fit_empirical(data, 0.2 + 0.3 * np.sqrt(data), untrained_accuracy=0.2)
    np.testing.assert_allclose(model.knots, [0.0, 1.0, 2.0, 4.0, 8.0])
    np.testing.assert_allclose(model.values, 0.3 * np.sqrt(model.knots), atol=1e-12)


def test_fit_of_a_falling_point_is_the_mean_of_what_it_breaks():
    # Nondecreasing: the points 0.6 and 0.4 are best met by 0.5 twice.
    model = fit_empirical([1.0, 2.0, 3.0], [0.4, 0.6, 0.4])
    np.testing.assert_allclose(model.values[1:], [0.4, 0.5, 0.5])


def test_fit_weighs_repeated_amounts_and_uses_points_without_data():
    # Three seeds at the same amount: their mean. A point at 0 is no knot and moves nothing.
    model = fit_empirical([2.0, 2.0, 2.0, 0.0], [0.1, 0.2, 0.6, 0.9])
    np.testing.assert_allclose(model.knots, [0.0, 2.0])
    np.testing.assert_allclose(model.values, [0.0, 0.3])


def noisy_points(seed, count=12):
    rng = np.random.default_rng(seed)
    data = np.sort(rng.uniform(0.1, 10.0, count))
    return data, 0.1 + 0.8 * (1.0 - np.exp(-data / 3.0)) + rng.normal(0.0, 0.1, count)


@pytest.mark.parametrize("seed", range(12))
def test_fit_of_noisy_points_is_the_least_squares_optimum(seed):
    data, accuracy = noisy_points(seed)
    model = fit_empirical(data, accuracy, untrained_accuracy=0.1)
    loss = np.sum((0.1 + model.value(data) - accuracy) ** 2)

    # Another parametrization, another algorithm: slopes that never increase and never fall
    # below 0 are s_k = t_k + ... + t_K with t >= 0; P = cumsum(s_k * width_k).
    widths = np.diff(np.append(0.0, data))
    design = np.tril(np.ones((data.size, data.size))) * widths
    design = design @ np.triu(np.ones((data.size, data.size)))
    best = lsq_linear(design, accuracy - 0.1, (0.0, np.inf), method="bvls", tol=1e-14)
    assert best.success
    assert loss == pytest.approx(2.0 * best.cost, rel=1e-9)
    np.testing.assert_allclose(model.value(data), design @ best.x, atol=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_fit_of_noisy_points_is_not_beaten_by_slsqp(seed):
    data, accuracy = noisy_points(seed, count=6)
    model = fit_empirical(data, accuracy, untrained_accuracy=0.1)
    widths = np.diff(np.append(0.0, data))

    def loss(slopes):
        return float(np.sum((0.1 + np.cumsum(slopes * widths) - accuracy) ** 2))

    best = minimize(
        loss,
        np.linspace(0.2, 0.1, 6),
        method="SLSQP",
        constraints=[
            {"type": "ineq", "fun": lambda slopes: -np.diff(slopes)},
            {"type": "ineq", "fun": lambda slopes: slopes[-1:]},
        ],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert best.success
    fitted = loss(model.slopes[:-1])
    assert fitted <= best.fun * (1.0 + 1e-9)
    assert fitted == pytest.approx(best.fun, rel=1e-5)


@examples(100)
@given(
    seed=seeds(),
    count=st.integers(1, 60),
    unit=st.sampled_from([1.0, 1e-3, 1e3, 1e10]),
    close=st.booleans(),
)
def test_fit_of_any_points_is_a_valid_curve(seed, count, unit, close):
    # Close points: amounts that differ by little, as measured sizes of data do.
    rng = np.random.default_rng(seed)
    data = rng.uniform(0.0, 1.0, count) + 1e-3
    if close:
        data = np.append(data, data[0] * (1.0 + 10.0 ** rng.uniform(-12.0, -3.0)))
    accuracy = np.sqrt(data) + rng.normal(0.0, 0.05, data.size)
    model = fit_empirical(unit * data, accuracy)
    assert np.all(np.diff(model.values) >= -1e-12)
    assert model.values[0] == 0.0


@pytest.mark.parametrize(
    ("data", "accuracy", "untrained", "message"),
    [
        ([1.0, 2.0], [0.1], 0.0, "equally long"),
        ([[1.0]], [[0.1]], 0.0, "equally long"),
        ([1.0, math.nan], [0.1, 0.2], 0.0, "finite"),
        ([1.0, 2.0], [0.1, math.inf], 0.0, "finite"),
        ([1.0, 2.0], [0.1, 0.2], math.nan, "finite"),
        ([-1.0, 2.0], [0.1, 0.2], 0.0, "at least one > 0"),
        ([0.0, 0.0], [0.1, 0.2], 0.0, "at least one > 0"),
        ([], [], 0.0, "at least one > 0"),
    ],
)
def test_fit_rejects_bad_points(data, accuracy, untrained, message):
    with pytest.raises(ValueError, match=message):
        fit_empirical(data, accuracy, untrained)
