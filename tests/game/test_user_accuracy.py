"""A user's own P: completed, inverted by bisection, and held to Eq. (5)."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from tests.support import (
    LogAccuracy,
    ScalarExpAccuracy,
    WithoutInverse,
    drawn_model,
    examples,
    seeds,
)

from tradefl.game import Empirical, PowerLaw, SqrtLoss
from tradefl.game.user_accuracy import (
    UserAccuracy,
    complete,
    invert_derivative,
    violation_of_eq5,
)


def test_built_in_models_are_complete_already():
    for model in (SqrtLoss(1.0, 2.0), PowerLaw(1.0, 1.0, 1.0), Empirical([0, 1], [0, 1])):
        assert complete(model) is model
    wrapped = complete(LogAccuracy(1.0, 1.0))
    assert complete(wrapped) is wrapped


@pytest.mark.parametrize("model", [object(), SqrtLoss, None, 3.0, "sqrt-loss"])
def test_what_has_no_value_or_derivative_is_no_accuracy_model(model):
    if model is SqrtLoss:  # the class instead of an instance
        model = type("OnlyValue", (), {"value": math.sqrt})()
    with pytest.raises(TypeError, match=r"value\(omega\) and derivative\(omega\)"):
        complete(model)


def test_a_function_of_numbers_is_made_to_accept_arrays():
    model = complete(ScalarExpAccuracy(2.0, 5.0))
    omega = np.array([[0.0, 5.0], [10.0, 1.0]])
    np.testing.assert_allclose(model.value(omega), 2.0 * (1.0 - np.exp(-omega / 5.0)))
    np.testing.assert_allclose(model.derivative(omega), 0.4 * np.exp(-omega / 5.0))


def test_a_constant_derivative_is_made_to_accept_arrays():
    class Linear:
        def value(self, omega):
            return 0.5 * omega

        def derivative(self, _):
            return 0.5

    np.testing.assert_array_equal(complete(Linear()).derivative(np.ones(3)), [0.5, 0.5, 0.5])
    assert complete(Linear()).inverse_derivative(0.4) == math.inf
    assert complete(Linear()).inverse_derivative(0.6) == 0.0


def test_an_own_inverse_and_an_own_onset_are_used():
    class Own(LogAccuracy):
        onset = 0.25

        def inverse_derivative(self, _):
            return 42.0

    model = complete(Own(1.0, 1.0))
    assert isinstance(model, UserAccuracy)
    assert model.onset == 0.25
    assert model.inverse_derivative(0.1) == 42.0


@pytest.mark.parametrize("kind", ["sqrt-loss", "power-law"])
@examples(40)
@given(seed=seeds())
def test_bisection_inverts_the_derivative_to_the_last_bit(kind, seed):
    built_in, total = drawn_model(kind, seed)
    model = complete(WithoutInverse(built_in))
    slope = float(built_in.derivative(total * np.random.default_rng(seed).uniform(0.6, 2.0)))
    at = model.inverse_derivative(slope)
    assert at == pytest.approx(built_in.inverse_derivative(slope), rel=1e-12)
    assert model.derivative(at) >= slope
    assert model.derivative(np.nextafter(at, math.inf)) < slope


def test_bisection_finds_an_end_far_from_one():
    # 1/Omega = slope, from denormal-like to enormous.
    for target in (1e-12, 1e-3, 1.0, 1e9, 1e200):
        assert invert_derivative(lambda w: 1.0 / w, 1.0 / target) == pytest.approx(target)


@dataclasses.dataclass
class Lambda:
    value: object
    derivative: object
    onset: float = 0.0


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Lambda(lambda w: w**2, lambda w: 2.0 * w), "not concave"),
        (Lambda(lambda w: -w, lambda w: -1.0 + 0.0 * w), "decreases|negative"),
        (Lambda(lambda w: np.sin(w), lambda w: np.cos(w)), "decreases|not concave|negative"),
        (Lambda(lambda w: np.sqrt(w), lambda w: 1.0 / np.sqrt(w)), "not the derivative"),
        (Lambda(lambda w: np.sqrt(w), lambda w: 0.2 / np.sqrt(w)), "not the derivative"),
        (Lambda(lambda w: w * math.inf, lambda w: 0.0 * w), "finite"),
        (Lambda(lambda w: 0.0 * w, lambda w: w * math.nan), "finite"),
        # P below zero: training would have to make the model worse than none, Eq. (4).
        (Lambda(lambda w: np.log1p(w) - 5.0, lambda w: 1.0 / (1.0 + w)), ""),
    ],
)
def test_a_user_function_that_breaks_eq5_is_found_out(model, message):
    violation = violation_of_eq5(complete(model), 10.0)
    assert violation is not None
    assert any(part in violation for part in message.split("|"))


@pytest.mark.parametrize("kind", ["user-log", "user-exp", "sqrt-loss", "power-law", "empirical"])
@examples(40)
@given(seed=seeds())
def test_no_valid_function_is_accused_of_breaking_eq5(kind, seed):
    model, total = drawn_model(kind, seed)
    assert violation_of_eq5(model, total) is None


def test_a_formula_in_words_is_the_users_own_or_the_name_of_the_model():
    class Own(LogAccuracy):
        def formula(self, omega):
            return f"log(1 + {omega})"

    assert complete(Own(1.0, 1.0)).formula(3.0) == "log(1 + 3.0)"
    assert complete(LogAccuracy(1.0, 1.0)).formula(3.0) == "LogAccuracy(3)"
