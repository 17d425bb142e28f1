"""The nearest point of the least core, against another solver and in every order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

from tradefl.stability.projection import nearest_point
from tradefl.stability.tables import least_core_of
from tradefl.stability.values import all_coalitions


@pytest.mark.parametrize("seed", range(8))
def test_the_nearest_point_against_sequential_quadratic_programming(seed):
    rng = np.random.default_rng(seed)
    n, k = 5, 12
    rows = rng.integers(0, 2, (k, n)).astype(float)
    rows = rows[(rows.sum(axis=1) > 0) & (rows.sum(axis=1) < n)]
    inside, near = rng.normal(0.0, 1.0, n), rng.normal(0.0, 3.0, n)
    bounds = rows @ inside - rng.uniform(0.0, 0.5, len(rows)) * rng.integers(0, 2, len(rows))
    total = float(inside.sum())
    found = nearest_point(rows, bounds, total, near)
    assert found is not None
    assert found.sum() == pytest.approx(total)
    assert (rows @ found >= bounds - 1e-9).all()
    other = minimize(
        lambda x: float(((x - near) ** 2).sum()),
        inside,
        jac=lambda x: 2.0 * (x - near),
        method="SLSQP",
        constraints=[
            {"type": "eq", "fun": lambda x: x.sum() - total},
            {"type": "ineq", "fun": lambda x: rows @ x - bounds},
        ],
        options={"ftol": 1e-14, "maxiter": 500},
    ).x
    assert found == pytest.approx(other, abs=1e-5)
    assert ((found - near) ** 2).sum() <= ((other - near) ** 2).sum() + 1e-8


def test_a_point_that_satisfies_all_only_moves_to_the_total():
    rows = np.eye(3)
    assert nearest_point(rows, -np.ones(3), 3.0, np.zeros(3)) == pytest.approx([1.0, 1.0, 1.0])


def test_rows_that_contradict_each_other_have_no_point():
    rows = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert nearest_point(rows, np.array([2.0, 2.0]), 1.0, np.zeros(2)) is None


@pytest.mark.parametrize("seed", range(4))
def test_no_order_of_the_players_changes_the_point(seed):
    """Games of few different values: their least cores are seldom one point."""
    rng = np.random.default_rng(seed)
    n = 4
    members = all_coalitions(n)
    worth = rng.integers(0, 3, len(members)) * members.sum(axis=1) / 4.0
    worth[-1] = 6.0
    pay, margin = least_core_of(worth)
    flat = []
    for order in itertools.permutations(range(n)):
        moved = members[:, order] @ (1 << np.arange(n))  # who was order[k] is now k
        renamed = np.empty_like(worth)
        renamed[moved - 1] = worth
        other, same = least_core_of(renamed)
        assert same == pytest.approx(margin, abs=1e-9)
        assert other == pytest.approx(pay[list(order)], abs=1e-7)
        flat.append(least_core_of(renamed, near=np.array([6.0, 0.0, 0.0, 0.0]))[0])
    # Another start, another point: then the choice mattered.
    assert max(float(np.ptp(column)) for column in np.array(flat).T) > 1e-3
