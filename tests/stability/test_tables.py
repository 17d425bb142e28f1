"""Solution concepts on games from textbooks, each with its known answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tradefl.stability.core import cost_of_stability
from tradefl.stability.tables import least_core_of, nucleolus, shapley
from tradefl.stability.values import all_coalitions


def table(n: int, value: Callable[[set[int]], float]) -> np.ndarray:
    return np.array([value(set(np.flatnonzero(row).tolist())) for row in all_coalitions(n)])


def glove(left: set[int], right: set[int], n: int) -> np.ndarray:
    return table(n, lambda s: float(min(len(s & left), len(s & right))))


def test_the_glove_game():
    """Two left gloves, one right one (Shapley and Shubik): the core gives all to the scarce one."""
    game = glove({0, 1}, {2}, 3)
    assert shapley(game) == pytest.approx([1 / 6, 1 / 6, 2 / 3])
    pay, margin = least_core_of(game)
    assert margin == pytest.approx(0.0, abs=1e-9)
    assert pay == pytest.approx([0.0, 0.0, 1.0], abs=1e-8)
    assert nucleolus(game) == pytest.approx([0.0, 0.0, 1.0], abs=1e-8)


def test_the_airport_game():
    """Littlechild and Owen 1973: runways of cost 1, 2, 3; each pays its share of each piece."""
    costs = [1.0, 2.0, 3.0]
    game = table(3, lambda s: -max(costs[i] for i in s))
    assert -shapley(game) == pytest.approx([1 / 3, 1 / 3 + 1 / 2, 1 / 3 + 1 / 2 + 1.0])
    # Littlechild 1974: the nucleolus of these runways is 1/2, 3/4, 7/4.
    assert -nucleolus(game) == pytest.approx([0.5, 0.75, 1.75], abs=1e-8)
    assert least_core_of(game)[1] >= 0.0


@pytest.mark.parametrize(
    ("estate", "shares"),
    [
        (100.0, [100 / 3, 100 / 3, 100 / 3]),
        (200.0, [50.0, 75.0, 75.0]),
        (300.0, [50.0, 100.0, 150.0]),
    ],
)
def test_the_bankruptcy_of_the_talmud(estate, shares):
    """Ketubot 93a; Aumann and Maschler 1985: the nucleolus is what the Mishna says."""
    claims = [100.0, 200.0, 300.0]
    game = table(3, lambda s: max(estate - sum(claims[i] for i in range(3) if i not in s), 0.0))
    assert nucleolus(game) == pytest.approx(shares, abs=1e-6)


def test_the_majority_game_has_an_empty_core():
    game = table(3, lambda s: float(len(s) >= 2))
    pay, margin = least_core_of(game)
    # x_i + x_j >= 1 + eps for each pair and a total of 1: eps = -1/3.
    assert margin == pytest.approx(-1 / 3)
    assert pay == pytest.approx([1 / 3] * 3)
    assert nucleolus(game) == pytest.approx([1 / 3] * 3)
    assert shapley(game) == pytest.approx([1 / 3] * 3)
    # Three pairs want 1 each: 3/2 would do.
    members = all_coalitions(3)[:-1]
    assert cost_of_stability(members, game[:-1], 1.0) == pytest.approx(0.5)


def test_an_additive_game_pays_everybody_its_own():
    game = table(4, lambda s: float(sum(i + 1 for i in s)))
    for solution in (shapley(game), nucleolus(game), least_core_of(game)[0]):
        assert solution == pytest.approx([1.0, 2.0, 3.0, 4.0], abs=1e-8)


def test_the_nucleolus_is_in_the_least_core_and_as_good_lexicographically():
    rng = np.random.default_rng(5)
    for _ in range(5):
        game = np.sort(rng.uniform(0.0, 1.0, 15)) * all_coalitions(4).sum(axis=1)
        members = all_coalitions(4)[:-1]
        best = np.sort(game[:-1] - members @ nucleolus(game))[::-1]
        assert -best[0] == pytest.approx(least_core_of(game)[1], abs=1e-7)
        for _ in range(20):  # no split of the total has a lexicographically smaller list
            other = nucleolus(game) + np.array([*(d := rng.normal(0, 0.02, 3)), -d.sum()])
            excess = np.sort(game[:-1] - members @ other)[::-1]
            k = int(np.argmax(np.abs(excess - best) > 1e-9))
            assert excess[k] > best[k] - 1e-9


@pytest.mark.parametrize("size", [0, 2, 4, 8])
def test_a_table_of_another_size_is_refused(size):
    with pytest.raises(ValueError, match=r"^table: expected 2\^N - 1 values"):
        shapley(np.zeros(size))


def test_a_nucleolus_of_too_many_is_refused():
    with pytest.raises(ValueError, match=r"^organizations: expected at most 12, got 13"):
        nucleolus(np.zeros(2**13 - 1))
