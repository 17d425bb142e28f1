"""The planner's parts: envelopes of P, hulls of levels, the bound, and look-alikes."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from tests.solvers.welfare_oracles import scip_welfare
from tests.support import (
    ACCURACIES,
    drawn_model,
    examples,
    games,
    random_game,
    random_profile,
    seeds,
)

from tradefl.game import CoopetitionGame
from tradefl.game.inversion import inverse_derivative
from tradefl.game.payoff import communication_joules
from tradefl.game.welfare import social_welfare
from tradefl.solvers import planner, planning, solve
from tradefl.solvers.envelope import contact_of, slope_of, value_of
from tradefl.solvers.hulls import Menu, hull_of
from tradefl.solvers.placing import Problem, add_part, new_parts
from tradefl.solvers.placing import rows_of as rows_of_parts
from tradefl.solvers.relaxation import CHORD, CONTACT, HIGH, LAST, LOW, WEIGHT, G, X, dual_bound
from tradefl.solvers.saddle import relax

# --- P and its envelopes ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*ACCURACIES, "user-log", "user-exp"])
def test_the_inverse_for_arrays_is_the_one_for_numbers(kind):
    for seed in range(5):
        model, total = drawn_model(kind, seed)
        low, high = max(model.onset, 1e-3 * total), 2.0 * total
        at = np.linspace(low, high, 23)
        slopes = np.concatenate([np.asarray(model.derivative(at), dtype=float), [0.0, -1.0]])
        ends = np.full(slopes.shape, low), np.full(slopes.shape, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = inverse_derivative(model, slopes, *ends)
        wanted = [min(max(model.inverse_derivative(float(s)), low), high) for s in slopes]
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("kind", ACCURACIES)
def test_an_envelope_is_concave_above_p_and_no_higher_than_it_must_be(kind):
    for seed in range(8):
        model, total = drawn_model(kind, seed)
        rng = np.random.default_rng(seed)
        low = total * float(rng.uniform(0.0, 0.3)) + 1e-9 * total
        high = low + total * float(rng.uniform(0.1, 1.0))
        contact, chord = contact_of(model, low, high)
        y = np.linspace(low, high, 2001)
        value = np.array([value_of(model, low, contact, chord, at) for at in y])
        p = np.asarray(model.value(y), dtype=float)
        size = 1e-9 * max(float(np.max(p)), 1e-12)
        assert np.all(value >= p - size)
        assert np.all(np.diff(value, 2) <= size)
        assert value[0] == pytest.approx(p[0], abs=size)
        assert value[-1] == pytest.approx(p[-1], abs=size)
        slope = np.array([slope_of(model, contact, chord, at) for at in y])
        assert np.all(np.diff(slope) <= 1e-9 * np.max(slope) + 1e-300)
        # Between two points that are on P it is straight.
        lifted = value > p + size
        if lifted.any():
            assert np.ptp(slope[lifted]) <= 1e-9 * np.max(slope)


# --- hulls --------------------------------------------------------------------------------------


def menu_of(rng, n, m):
    high = np.sort(rng.uniform(0.02, 1.3, (n, m)), axis=1)
    high = np.minimum(high, 1.0)
    high[rng.random((n, m)) < 0.1] = np.nan
    high[:, -1] = 1.0
    cost = np.cumsum(rng.uniform(0.0, 3.0, (n, m)) ** 3, axis=1)
    return Menu.of(rng.uniform(1.0, 9.0, n), 0.05, high, cost)


def cheapest_worth(menu, i, x, slowest, fastest):
    """Minus what x costs organization i, by trying its levels."""
    reach = [k for k in range(slowest, fastest + 1) if menu.reach[i, k] >= x]
    return max(-menu.price[i, k] * x for k in reach)


@given(seeds())
@examples(60)
def test_a_hull_is_the_least_concave_function_above_the_levels(seed):
    rng = np.random.default_rng(seed)
    menu = menu_of(rng, 4, int(rng.integers(1, 8)))
    slowest = np.array([int(rng.integers(0, k + 1)) for k in menu.last])
    fastest = np.array(
        [int(rng.integers(a, k + 1)) for a, k in zip(slowest, menu.last, strict=True)]
    )
    for i in range(4):
        a, b = int(slowest[i]), int(fastest[i])
        x, worth, slope = np.empty((3, menu.reach.shape[1] + 1))
        last = hull_of(menu.least[i], menu.reach[i], menu.price[i], a, b, x, worth, slope)
        x, worth, slope = x[: last + 1], worth[: last + 1], slope[:last]
        start = menu.least[i] if a == 0 else menu.reach[i, a - 1]
        assert x[0] == start
        assert x[-1] == max(menu.reach[i, b], start)
        assert np.all(np.diff(x) > 0.0)
        assert np.all(np.diff(slope) < 0.0)
        if last == 0:
            continue
        at = np.linspace(start, x[-1], 200)[1:]
        value = np.interp(at, x, worth)
        true = np.array([cheapest_worth(menu, i, entry, a, b) for entry in at])
        assert np.all(value >= true - 1e-9 * (1.0 + np.abs(true)))
        # Each vertex but the start is a strategy.
        for k in range(1, last + 1):
            assert worth[k] == pytest.approx(cheapest_worth(menu, i, x[k], a, b), rel=1e-12)


# --- the bound ----------------------------------------------------------------------------------


def rows_of(game):
    """The relaxation's rows of a game."""
    menu = planner.Coalitions(game).menu
    problem = Problem(
        np.array([game.potential_weights.sum()]),
        game.competitors_profitability,
        np.ones(game.size, dtype=np.int64),
        menu.least,
        menu.reach,
        menu.price,
        menu.last,
    )
    parts = new_parts(game.size)
    for i in range(game.size):
        add_part(parts, i, 1, 0, menu.last[i], 0)
    rows, feasible = rows_of_parts(game.accuracy, problem, parts, -np.inf, np.inf)
    assert feasible
    return rows


def saddle(game, rows):
    """The relaxation's solution, without a limit."""
    return relax(game.accuracy, rows, 0.0, 0.0, False, [False])


@given(games(5, levels=3), seeds())
@examples(60)
def test_the_bound_holds_wherever_it_is_taken(game, seed):
    """For any M and any nu, also absurd ones."""
    game = game.with_incentive_intensity(0.0)
    rng = np.random.default_rng(seed)
    rows = rows_of(game)
    fixed = game.overhead_weight * float(communication_joules(game).sum())
    with np.errstate(all="ignore"):
        best = saddle(game, rows)
        for k in range(6):
            price = best.price * float(np.exp(rng.normal(0.0, 0.1 * k)))
            nu = best.nu * np.exp(rng.normal(0.0, 0.1 * k, best.nu.size))
            bound, rounding = dual_bound(game.accuracy, rows, price, nu)
            for j in range(20):
                profile = random_profile(game, rng, "low" if j % 7 == 0 else "any")
                value = social_welfare(game, profile) + fixed
                assert value <= bound + rounding
            assert bound >= best.bound - 100.0 * best.rounding  # the saddle is the lowest


@pytest.mark.parametrize("accuracy", [*ACCURACIES, "user-exp"])
@pytest.mark.parametrize("start", ["flat", "concave"])
def test_at_the_saddle_the_bound_is_the_relaxed_value(accuracy, start):
    for seed in range(6):
        game = random_game(seed, 6, levels=4, accuracy=accuracy, start=start)
        rows = rows_of(game)
        with np.errstate(all="ignore"):
            found = saddle(game, rows)
            assert found.met
            x = found.x[1:]
            hulls = [
                (
                    rows.hull[X, r, : rows.kind[LAST, r] + 1],
                    rows.hull[G, r, : rows.kind[LAST, r] + 1],
                )
                for r in range(1, 7)
            ]
            worth = sum(np.interp(x[i], *hull) for i, hull in enumerate(hulls))
            y = np.concatenate([[x.sum()], x.sum() - x])
            y = np.minimum(np.maximum(y, rows.own[LOW]), rows.own[HIGH])
            above = zip(*rows.own[[LOW, CONTACT, CHORD]], y, strict=True)
            values = np.array([value_of(game.accuracy, *numbers) for numbers in above])
            value = float(rows.own[WEIGHT] @ values) + worth
        size = float(rows.own[WEIGHT] @ np.abs(np.asarray(game.accuracy.value(y)))) + abs(worth)
        assert found.bound >= value - 1e-12 * size
        assert found.bound <= value + 1e-9 * size


# --- look-alikes --------------------------------------------------------------------------------


def look_alikes(seed, n, spread, levels=8):
    """Organizations that differ by about ``spread`` in everything."""
    rng = np.random.default_rng(seed)

    def about(value):
        return value * (1.0 + spread * rng.standard_normal(n))

    rivalry = np.full((n, n), 0.6 / n) * (1.0 - np.eye(n))
    one = random_game(seed, 1, accuracy="sqrt-loss").accuracy
    return CoopetitionGame(
        profitability=about(1500.0),
        data_bits=about(2e10),
        data_units=about(200.0 / n),
        cycles_per_bit=2.0,
        cpu_levels_hz=about(4e9)[:, None] * np.arange(1, levels + 1) / levels,
        competition=rivalry,
        accuracy=dataclasses.replace(one, epochs=5.2, untrained_loss=0.79),
        overhead_weight=1.3,
        deadline_seconds=20.6,
    )


@pytest.mark.parametrize("spread", [1e-9, 1e-6, 1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("n", [12, 50])
def test_nearly_equal_organizations_are_proven(n, spread):
    solution = solve(look_alikes(3, n, spread), "planner")
    assert solution.status == "optimal"
    assert solution.iterations < 2000
    gap = solution.welfare_bound - solution.social_welfare
    assert 0.0 <= gap <= 1e-9 * solution.welfare_bound


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_over_assignments_is_one(monkeypatch, seed):
    """From the first node on, where SCIP can tell."""
    monkeypatch.setattr(planning, "FIRST_NODES", 1)
    spread = 10.0 ** -np.random.default_rng(seed).uniform(1.2, 4.0)
    game = look_alikes(seed, 4 + seed, spread, levels=4)
    solution = solve(game, "planner")
    value, bound = scip_welfare(game)
    assert solution.status == "optimal"
    assert solution.welfare_bound >= value - 1e-9 * abs(value)
    assert value - 1e-7 * abs(value) <= solution.social_welfare <= bound + 1e-7 * abs(value)


def test_two_kinds_of_look_alikes():
    """Groups are split by themselves; others are not disturbed."""
    small, large = look_alikes(1, 8, 1e-4), look_alikes(2, 8, 1e-4)
    game = dataclasses.replace(
        small,
        data_cost=0.0,
        joining_cost=0.0,
        profitability=np.concatenate([small.profitability, 0.4 * large.profitability, [900.0]]),
        data_bits=np.concatenate([small.data_bits, 0.5 * large.data_bits, [3e10]]),
        data_units=np.concatenate([small.data_units, 0.5 * large.data_units, [31.0]]),
        cycles_per_bit=np.full(17, 2.0),
        cpu_levels_hz=np.concatenate(
            [small.cpu_levels_hz, large.cpu_levels_hz, [4.1e9 * np.arange(1, 9) / 8]]
        ),
        competition=np.full((17, 17), 0.02) * (1.0 - np.eye(17)),
        download_seconds=0.0,
        upload_seconds=0.0,
    )
    solution = solve(game, "planner")
    assert solution.status == "optimal"
    value, _ = scip_welfare(game)
    assert solution.welfare_bound >= value - 1e-9 * abs(value)
    assert solution.social_welfare >= value - 1e-7 * abs(value)


# --- time ---------------------------------------------------------------------------------------


def test_a_limit_in_the_middle_keeps_the_bound(monkeypatch):
    """Looks at the clock are counted: wherever it stops, the bound is one, the rest stays open."""
    game = random_game(5, 30, levels=8, accuracy="sqrt-loss", start="concave", deadline="tight")
    full = planner.optimum(game)
    assert full.proven
    monkeypatch.setattr(planning, "_repays", lambda *_: False)
    for looks in (1, 2, 5, 11, 23, 47):
        left = iter(range(looks))
        clock = type("Clock", (), {"__getitem__": lambda _, __, left=left: next(left, -1) < 0})
        monkeypatch.setattr(planning, "Clock", lambda _, clock=clock: clock())
        best = planner.optimum(game)
        assert np.isfinite(best.bound)
        assert best.bound >= full.welfare
        assert best.welfare <= full.bound
        assert best.proven == (best.bound - best.welfare <= best.allowed)
