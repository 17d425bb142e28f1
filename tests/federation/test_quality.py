"""Weights of data: found again where they are known, and lower where labels are wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tradefl.errors import InputError
from tradefl.federation import Plan
from tradefl.federation.datasets import load_dataset
from tradefl.federation.fitting import fit_accuracy, measure_accuracy
from tradefl.federation.partition import arranged_for, partition
from tradefl.federation.quality import fit_quality, halves, measure_quality
from tradefl.game import fit_empirical


def a_curve(total):
    data = np.linspace(0.05, 1.0, 12) * total
    return fit_empirical(data, 0.1 + 0.8 * (1.0 - np.exp(-2.0 * data / total)), 0.1)


def trainings(weights, units, count=120, noise=0.0, seed=3):
    """Return shares and the accuracies that P has at the weighted data."""
    rng = np.random.default_rng(seed)
    shares = np.array(halves(len(units), count, seed), dtype=float)
    shares = np.where(shares > 0.0, 1.0, 0.01)
    curve = a_curve(units.sum())
    reached = 0.1 + np.asarray(curve.value(shares @ (weights * units)))
    return shares, np.clip(reached + noise * rng.standard_normal(count), 0.0, 1.0), curve


def test_known_weights_are_found_again():
    units = np.array([3.0, 1.0, 2.0, 2.0, 4.0])
    weights = np.array([1.5, 0.5, 0.9, 1.2, 0.7])
    weights *= units.sum() / (weights @ units)
    shares, reached, curve = trainings(weights, units)
    found = fit_quality(shares, reached, units, curve, 0.1, noise=1e-4)
    np.testing.assert_allclose(found.weights, weights, rtol=0.01)
    assert found.weights @ units == pytest.approx(units.sum())
    assert found.r_squared > 0.999 > found.r_squared_unweighted
    assert np.all((found.low < found.weights) & (found.weights < found.high))


def test_what_says_nothing_leaves_the_weights_at_one():
    units = np.full(4, 2.0)
    shares, reached, curve = trainings(np.array([1.6, 0.4, 1.5, 0.5]), units)
    found = fit_quality(shares, reached, units, curve, 0.1, noise=100.0)
    np.testing.assert_allclose(found.weights, 1.0, atol=0.01)


def test_the_interval_has_the_weight_in_most_draws():
    units, weights = np.full(4, 2.0), np.array([1.4, 0.6, 1.1, 0.9])
    inside = 0
    for seed in range(20):
        shares, reached, curve = trainings(weights, units, count=40, noise=0.02, seed=seed)
        found = fit_quality(shares, reached, units, curve, 0.1, noise=0.02)
        inside += int(np.sum((found.low <= weights) & (weights <= found.high)))
    assert inside >= 0.85 * 80


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"shares": np.ones((6, 3))}, "organization 0 took part in all trainings alike"),
        ({"shares": np.ones(6)}, "expected shape"),
        ({"accuracy": np.full(6, 1.2)}, "from 0 to 1"),
        ({"units": np.array([1.0, 0.0, 1.0])}, "finite amounts > 0"),
        ({"noise": 0.0}, "noise > 0"),
    ],
)
def test_what_cannot_be_fitted(changes, what):
    shares = np.array(halves(3, 6, 0), dtype=float)
    given = {"shares": shares, "accuracy": np.full(6, 0.5), "units": np.ones(3)} | changes
    with pytest.raises(InputError, match=what):
        fit_quality(curve=a_curve(3.0), untrained_accuracy=0.1, **given)


def test_halves_have_everybody_equally_often():
    found = np.array(halves(5, 20, 1))
    assert found.shape == (20, 5)
    assert set(found.sum(axis=0)) == {10}
    np.testing.assert_array_equal(found[::2], ~found[1::2])


def test_an_iid_partition_of_the_arranged_data_deals_the_given_parts():
    data = load_dataset("digits")
    parts = partition(data.y_train, [50, 20, 30], scheme="iid", alpha=1.0, seed=9)
    for seed in (0, 5):
        arranged = arranged_for(data, parts, seed)
        dealt = partition(arranged.y_train, [50, 20, 30], scheme="iid", alpha=1.0, seed=seed)
        for given, found in zip(parts, dealt, strict=True):
            np.testing.assert_array_equal(arranged.x_train[found], data.x_train[given])
            np.testing.assert_array_equal(arranged.y_train[found], data.y_train[given])


def test_wrong_labels_have_a_smaller_weight():
    """Four organizations with thirty digits each; of the last one, all labels are wrong."""
    data = load_dataset("digits")
    parts = partition(data.y_train, [30] * 4, scheme="iid", alpha=1.0, seed=2)
    labels = data.y_train.copy()
    labels[parts[3]] = (labels[parts[3]] + 1) % 10
    data = dataclasses.replace(data, y_train=labels)
    plan = Plan(consortium="", data="digits", model="logistic", rounds=20)
    points, untrained, _ = measure_accuracy(
        plan, None, fractions=[0.1, 0.3, 1.0], seeds=[0, 1], parts=parts, dataset=data
    )
    assert {point.samples for point in points} == {12, 36, 120}
    fit = fit_accuracy(
        [point.data for point in points], [point.accuracy for point in points], untrained
    )
    seen = []
    found = measure_quality(
        plan, None, fit, subsets=16, parts=parts, dataset=data, watch=seen.append
    )
    assert len(seen) == 16
    assert found.weights[3] < 0.5
    assert int(np.argmin(found.weights)) == 3
    assert found.r_squared > found.r_squared_unweighted


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ([[0, 1], [1, 2]], "no sample twice"),
        ([[0, 1], []], "an array of indices"),
        ([[0.5], [1]], "an array of indices"),
        ([[0], [5000]], r"expected indices 0 \.\. 1,437"),
        ([[-1], [2]], "expected indices"),
        ([], "an array of indices"),
    ],
)
def test_parts_are_checked(parts, what):
    plan = Plan(consortium="", data="digits", model="logistic", rounds=1)
    with pytest.raises(InputError, match=f"parts: .*{what}"):
        measure_accuracy(plan, None, fractions=[1.0], seeds=[0], parts=parts)
