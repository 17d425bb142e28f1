"""The exact solver against enumeration and against SCIP, and everything that may degenerate.

The default set takes well under a minute. The large set (hundreds of SCIP instances, thousands
of enumerations) runs with ``pytest -m slow tests/solvers/test_exact.py``.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from scipy.optimize import LinearConstraint, minimize
from tests.solvers.oracles import (
    Answer,
    best_of,
    brute_force,
    levels_of,
    potential_of,
    scip_maximum,
)
from tests.support import (
    ACCURACIES,
    LogAccuracy,
    ScalarExpAccuracy,
    WithoutInverse,
    efficient_game,
    efficient_games,
    examples,
    games,
    random_game,
    seeds,
)

from tradefl.game import (
    CoopetitionGame,
    EfficientRule,
    Empirical,
    PowerLaw,
    Schedule,
    SectorCompetition,
    SqrtLoss,
    StrategyProfile,
    certify,
)
from tradefl.solvers import cgbd, exact

# U is a sum of rounded terms: what their sizes add up to, times this, is rounding.
ROUNDING = 1e-13


def assert_maximum(
    game: CoopetitionGame, oracle: Answer, *, within: float = 1e-8, iterations: int = 100_000
) -> Any:
    solution = exact.solve(game)
    assert solution.iterations <= iterations
    value, _ = potential_of(game, solution.profile)
    rounding = ROUNDING * oracle.size
    scale = max(1.0, abs(oracle.value))
    assert solution.potential == pytest.approx(value, rel=0.0, abs=rounding + 1e-12 * scale)
    assert abs(value - oracle.value) <= within * scale
    # ... and not only where U is of order 1 or more.
    assert oracle.value - value <= 1e-8 * oracle.size
    assert value <= oracle.bound + rounding + within * scale
    assert solution.upper_bound >= oracle.value - rounding
    assert solution.status == "optimal"
    # Where the terms of U cancel, rounding is what is left.
    gap = solution.upper_bound - solution.potential
    assert gap <= 1e-9 * abs(solution.upper_bound) + rounding
    certificate = certify(game, solution.profile)
    assert certificate.is_equilibrium(1e-6)
    return solution


# --- the oracles themselves ---------------------------------------------------------------------


def scipy_best(game: CoopetitionGame, levels: list[Any]) -> float:
    """The maximum for fixed levels by SLSQP from several starts."""
    low = np.array([level.low for level in levels])
    high = np.array([level.high for level in levels])
    scale = float(high.sum())

    def profile(w: Any) -> StrategyProfile:
        d = np.clip(w, low, high) / game.data_units
        return StrategyProfile(d, np.array([level.f for level in levels]))

    def minus(x: Any) -> float:
        return -potential_of(game, profile(x * scale))[0]

    best = -math.inf
    onset = min(float(game.accuracy.onset) / scale, 1.0)
    above = [LinearConstraint(np.ones((1, low.size)), onset, np.inf)]
    for start, constraints in itertools.product((low, high, (low + high) / 2.0), ([], above)):
        found = minimize(
            minus,
            start / scale,
            method="SLSQP",
            bounds=list(zip(low / scale, high / scale, strict=True)),
            constraints=constraints,
            options={"ftol": 1e-14, "maxiter": 300},
        )
        best = max(best, -minus(found.x), -minus(start / scale))
    return best


@pytest.mark.filterwarnings("ignore:Values in x were outside bounds")  # SciPy before 1.16
@examples(25)
@given(games(max_organizations=4, accuracy="sqrt-loss"))
def test_the_filling_agrees_with_scipy(game):
    everyone = levels_of(game)
    for levels in itertools.islice(itertools.product(*everyone), 3):
        answer = best_of(game, list(levels))
        other = scipy_best(game, list(levels))
        assert other <= answer.value + ROUNDING * answer.size  # the filling is the maximum
        assert other >= answer.value - 1e-5 * answer.size  # and SLSQP comes close to it


@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize("start", ["flat", "concave"])
def test_the_filling_is_no_worse_than_a_grid(accuracy, start):
    for seed in range(10):
        game = random_game(seed, 2, accuracy=accuracy, start=start)
        answer = brute_force(game)
        best, step = -math.inf, 0.0
        for levels in itertools.product(*levels_of(game)):
            axes = [np.linspace(level.low, level.high, 41) for level in levels]
            for w in itertools.product(*axes):
                profile = StrategyProfile(
                    np.array(w) / game.data_units, np.array([level.f for level in levels])
                )
                best = max(best, potential_of_fast(game, levels, w, profile))
            step = max(step, answer.size)
        assert answer.value >= best - ROUNDING * answer.size
        assert answer.value <= best + 0.1 * step


def potential_of_fast(game: Any, levels: Any, w: Any, profile: StrategyProfile) -> float:
    own = sum(level.slope * x + level.constant for level, x in zip(levels, w, strict=True))
    return float(game.accuracy.value(game.omega(profile))) + own


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_scip_agrees_with_enumeration(accuracy):
    for seed in range(5):
        game = random_game(seed, 4, accuracy=accuracy)
        every, scip = brute_force(game), scip_maximum(game)
        scale = max(1.0, abs(every.value))
        assert scip.value == pytest.approx(every.value, rel=0.0, abs=1e-8 * scale)
        assert scip.bound >= every.value - 1e-8 * max(scale, every.size)


# --- small games, enumerated --------------------------------------------------------------------


@examples(200)
@given(games(max_organizations=5))
def test_equals_enumeration(game):
    assert_maximum(game, brute_force(game))


@examples(60)
@given(games(max_organizations=6, start="flat", accuracy="power-law"))
def test_equals_enumeration_where_the_start_is_flat(game):
    assert_maximum(game, brute_force(game))


@examples(80)
@given(efficient_games(max_organizations=3))
def test_equals_enumeration_under_the_efficient_rule(game):
    """Levels times pieces, all combinations; and the paper's decomposition proves the same."""
    oracle = brute_force(game)
    solution = assert_maximum(game, oracle)
    other = cgbd.solve(game)
    scale = max(1.0, abs(oracle.value))
    assert abs(other.potential - oracle.value) <= 2e-8 * scale + 1e-8 * oracle.size
    assert other.upper_bound >= oracle.value - 2e-8 * scale - 1e-8 * oracle.size
    assert solution.upper_bound >= other.potential - ROUNDING * oracle.size


@pytest.mark.parametrize("n", [6, 30])
def test_equals_scip_under_the_efficient_rule(n):
    for accuracy in ("sqrt-loss", "empirical"):
        game = efficient_game(n, n, accuracy=accuracy, start="concave", levels=3)
        assert_maximum(game, scip_maximum(game))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_equals_enumeration_under_the_efficient_rule_thousands(block):
    for seed in range(500 * block, 500 * block + 500):
        game = efficient_game(20_000 + seed, 2 + seed % 3, pieces=1 + seed % 4)
        assert_maximum(game, brute_force(game))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_equals_enumeration_thousands(block):
    for seed in range(500 * block, 500 * block + 500):
        game = random_game(10_000 + seed, 1 + seed % 6)
        assert_maximum(game, brute_force(game))


# --- SCIP ---------------------------------------------------------------------------------------


def calibrated(seed: int, n: int, accuracy: str, gamma: float, deadline: str) -> CoopetitionGame:
    """Payoffs, datasets and gamma of the orders of the paper's Table II, in Gbit or samples."""
    rng = np.random.default_rng([seed, n])
    p, s = rng.uniform(500.0, 2500.0, n), rng.uniform(1e10, 3e10, n)
    samples = bool(rng.random() < 0.5)
    u = np.round(rng.uniform(1000.0, 4000.0, n)) if samples else s / 1e9
    total = float(u.sum())
    rho = np.triu(np.clip(rng.normal(0.05, 0.01, (n, n)), 0.0, 1.0), 1)
    rho = (rho + rho.T) * min(1.0, 10.0 / n)
    rho *= min(1.0, 0.9 / float(np.max(rho @ p / p)))
    models = {
        "sqrt-loss": SqrtLoss(5.0, 0.2 + 1.0 / math.sqrt(5.0 * 0.02 * total)),
        "power-law": PowerLaw(0.9, 0.9 * (0.01 * total) ** 0.5, 0.5),
        "empirical": Empirical(
            np.array([0.0, 0.05, 0.1, 0.2, 0.4, 0.8]) * total, [0.0, 0.4, 0.6, 0.75, 0.85, 0.9]
        ),
        "user": LogAccuracy(0.3, 0.02 * total),
    }
    levels = np.sort(rng.uniform(1e9, 5e9, (n, 5)), axis=1)
    eta = rng.uniform(10.0, 30.0, n)
    slowest = float(np.max(eta * s / levels[:, -1]))
    return CoopetitionGame(
        profitability=p,
        data_bits=s,
        data_units=u,
        cycles_per_bit=eta,
        cpu_levels_hz=levels,
        competition=rho,
        accuracy=models[accuracy],
        download_seconds=1.0,
        upload_seconds=2.0,
        incentive_intensity=gamma,
        compute_weight=1.0,
        overhead_weight=float(10.0 ** rng.uniform(-3.0, 0.5)),
        min_data_fraction=0.01,
        deadline_seconds=3.0 + slowest * (0.3 if deadline == "tight" else 50.0),
    )


GAMMAS = (0.0, 1e-9, 5.12e-9, 2e-8, 1e-7)


@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize("n", [2, 10, 40])
def test_equals_scip(n, accuracy):
    for seed in range(2):
        game = random_game(seed, n, accuracy=accuracy)
        assert_maximum(game, scip_maximum(game))
    gamma, deadline = GAMMAS[n % 5], ("tight", "loose")[n % 2]
    game = calibrated(n, n, accuracy, gamma, deadline)
    assert_maximum(game, scip_maximum(game))


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 10, 30, 100, 200])
@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize("deadline", ["tight", "loose"])
def test_equals_scip_hundreds(n, accuracy, deadline, record_property):
    worst = steps = slowest = 0.0
    for seed, gamma in itertools.product(range(2), GAMMAS):
        for game in (
            calibrated(seed, n, accuracy, gamma, deadline),
            random_game(100 + 7 * seed + int(gamma * 1e9), n, accuracy=accuracy, deadline=deadline),
        ):
            oracle = scip_maximum(game)
            solution = assert_maximum(game, oracle)
            off = abs(solution.potential - oracle.value) / max(1.0, abs(oracle.value))
            worst, steps = max(worst, off), max(steps, solution.iterations)
            slowest = max(slowest, solution.runtime_seconds)
    record_property("worst", worst)
    print(f"n={n} {accuracy} {deadline}: worst {worst:.1e}, {steps} steps, {slowest:.3f} s")


# --- degenerate games ---------------------------------------------------------------------------


def degenerate(kind: str, seed: int) -> CoopetitionGame:
    """Return a game of up to five organizations with that peculiarity."""
    rng = np.random.default_rng([seed, len(kind)])
    n = 1 if kind == "one organization" else int(rng.integers(2, 6))
    accuracy = ACCURACIES[seed % 4]
    game = random_game(seed, n, accuracy=accuracy, levels=1 if kind == "one level" else 3)
    total = float(game.data_units.sum())
    fastest = np.fmax.reduce(game.cpu_levels_hz, axis=1)
    seconds = game.download_seconds + game.upload_seconds
    needed = game.cycles_per_bit * game.data_bits
    factor = 10.0 ** rng.uniform(-6.0, 6.0)
    p = game.profitability
    changes: dict[str, Any] = {
        "one organization": {},
        "one level": {},
        "gamma 0": {"incentive_intensity": 0.0},
        "rho 0": {"competition": np.zeros((n, n))},
        "no cost": {"incentive_intensity": 0.0, "overhead_weight": 0.0},
        "D_min 1": {
            "min_data_fraction": 1.0,
            "deadline_seconds": float(np.max(seconds + needed / fastest)) * (1.0 + 1e-9),
        },
        "one level in time": {
            "deadline_seconds": float(
                np.max(seconds + game.min_data_fraction * needed / fastest) * (1.0 + 1e-9)
            ),
        },
        "small p": {"profitability": p * (1e-3 / p.max())},
        "large p": {"profitability": p * (1e9 / p.max())},
        "large gamma": {"incentive_intensity": game.incentive_intensity * factor},
        "cost": {"overhead_weight": game.overhead_weight * factor},
        "z near 0": {"competition": (1.0 - 10.0 ** -rng.integers(2, 13)) * near_zero(p, rng)},
        "P zero": {"accuracy": SqrtLoss(2.0, 0.3)},
        "P zero, empirical": {"accuracy": Empirical([0.0, total], [0.0, 0.0])},
        "P flat from early on": {
            "accuracy": Empirical([0.0, 0.5 * game.min_data_fraction * total], [0.0, 1.0])
        },
        "corners": {
            "accuracy": Empirical(np.array([0.0, 0.15, 0.4, 0.7]) * total, [0.0, 1.0, 1.8, 2.0])
        },
        "no inverse": {"accuracy": ScalarExpAccuracy(1.0, 0.3 * total)},
        "no inverse, onset": {
            "accuracy": WithoutInverse(SqrtLoss(4.0, 0.25 + 1.0 / math.sqrt(0.4 * total * 4.0)))
        },
    }
    return dataclasses.replace(game, **changes[kind])


def near_zero(p: Any, rng: np.random.Generator) -> Any:
    """Return the rho for which the smallest z is 0."""
    rho = np.triu(rng.random((p.size, p.size)), 1)
    rho += rho.T
    return rho / float(np.max(np.append(rho @ p / p, 1.0 + rho.max())))


KINDS = (
    "one organization", "one level", "gamma 0", "rho 0", "no cost", "D_min 1",
    "one level in time", "small p", "large p", "large gamma", "cost", "z near 0", "P zero",
    "P zero, empirical", "P flat from early on", "corners", "no inverse", "no inverse, onset",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_degenerate(kind):
    for seed in range(16):
        game = degenerate(kind, seed)
        assert_maximum(game, brute_force(game))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_degenerate_many(kind):
    for seed in range(16, 500):
        game = degenerate(kind, seed)
        assert_maximum(game, brute_force(game))


# --- equal and nearly equal organizations -------------------------------------------------------


def alike(n: int, apart: float, *, types: int = 1, knot: float = 0.61) -> CoopetitionGame:
    """N organizations, equal in ``types`` groups up to a relative difference, of whom a part
    must play the fast level so that Omega comes to a corner of P."""
    kind = np.arange(n) % types
    s = (1.0 + 0.3 * kind) * (1.0 + apart * np.arange(n) / n)
    total = float(s.sum())
    return CoopetitionGame(
        profitability=np.ones(n),
        data_bits=s,
        cycles_per_bit=1.0,
        cpu_levels_hz=[0.3, 1.0],
        competition=SectorCompetition(np.zeros(n, dtype=int), 0.0, 0.0),
        accuracy=Empirical([0.0, knot * total, 2.0 * total], [0.0, knot, knot]),
        overhead_weight=0.5 / total,
        capacitance=1.0,
        min_data_fraction=0.2,
        deadline_seconds=1.1,
    )


@pytest.mark.parametrize("types", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [6, 40, 1000])
def test_equal_organizations(n, types):
    game = alike(n, 0.0, types=types)
    oracle = brute_force(game) if n == 6 else None
    if oracle is not None:
        assert_maximum(game, oracle)
        return
    solution = exact.solve(game)
    assert solution.status == "optimal"
    assert solution.iterations < 10_000  # of m^N: they are branched on together


@pytest.mark.parametrize("types", [1, 2])
@pytest.mark.parametrize("n", [4, 40])
def test_equal_organizations_under_the_efficient_rule(n, types):
    """Equal figures and equal schedules: they are branched on together."""
    game = alike(n, 0.0, types=types)
    schedule = Schedule([0.0, 0.2, 0.4, 0.75, 1.0], [-0.2, 0.0, 0.15, 0.3, 0.35])
    rule = EfficientRule((schedule,) * n, np.zeros(n))
    game = dataclasses.replace(game, overhead_weight=2.0 * game.overhead_weight, compensation=rule)
    solution = exact.solve(game)
    assert solution.status == "optimal"
    assert solution.iterations < 10_000
    if n == 4:
        assert_maximum(game, brute_force(game))


@pytest.mark.parametrize("apart", [1e-12, 1e-9, 1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize(("n", "types"), [(6, 1), (12, 1), (50, 2), (100, 3)])
def test_nearly_equal_organizations(n, types, apart):
    """Many of them would do as well as many others: who they are is left to an assignment."""
    game = alike(n, apart, types=types, knot=0.77)
    if n == 6:
        assert_maximum(game, brute_force(game))
        return
    solution = exact.solve(game, node_limit=500)
    assert solution.status == "optimal"
    assert solution.upper_bound - solution.potential <= 1e-9 * abs(solution.upper_bound)


def interchangeable(seed: int, most: int) -> CoopetitionGame:
    """Organizations of which many would do as well as many others, equal or not."""
    rng = np.random.default_rng(seed)
    n, apart = int(rng.integers(3, most)), 10.0 ** -rng.uniform(1.0, 10.0)
    game = alike(n, apart, types=int(rng.integers(1, 4)), knot=rng.uniform(0.4, 0.95))
    if seed % 3 == 1:  # they differ in what their data costs
        return dataclasses.replace(game, data_cost=rng.uniform(0.0, 0.01, n) / n)
    if seed % 3 == 2:
        schedule = Schedule([0.0, 0.2, 0.4, 0.75, 1.0], [-0.2, 0.0, 0.15, 0.3, 0.35])
        rule = EfficientRule((schedule,) * n, np.zeros(n))
        dear = 2.0 * game.overhead_weight
        return dataclasses.replace(game, overhead_weight=dear, compensation=rule)
    return game


@pytest.mark.parametrize("seed", range(30))
def test_assignments_find_the_maximum(monkeypatch, seed):
    """From the first node on, where brute force can tell."""
    monkeypatch.setattr(exact, "FIRST_NODES", 1)
    game = interchangeable(seed, 7)
    assert_maximum(game, brute_force(game))


@pytest.mark.slow
def test_assignments_find_the_maximum_of_many(monkeypatch):
    monkeypatch.setattr(exact, "FIRST_NODES", 1)
    for seed in range(30, 1000):
        game = interchangeable(seed, 8)
        assert_maximum(game, brute_force(game))


@pytest.mark.parametrize("seed", range(6))
def test_interchangeable_organizations_are_proven(seed):
    solution = exact.solve(interchangeable(seed, 60))
    assert solution.status == "optimal"
    assert solution.iterations < 600


@pytest.mark.slow
def test_interchangeable_organizations_are_proven_many():
    for seed in range(6, 300):
        assert exact.solve(interchangeable(seed, 61)).status == "optimal", seed


def test_the_search_by_assignments_heeds_its_limits(monkeypatch):
    """A bound that is not proven is still one, and the remark says so."""
    game = alike(40, 1e-4, knot=0.77)
    best = exact.solve(game)
    assert best.status == "optimal"
    monkeypatch.setattr(exact, "ASSIGNED_NODES", 1)
    cut = exact.solve(game, node_limit=exact.FIRST_NODES + 2)
    assert cut.upper_bound >= best.potential
    assert cut.potential <= best.potential + 1e-12
    if cut.status != "optimal":
        assert any("not proven optimal" in remark for remark in cut.remarks)


# --- found by random search ---------------------------------------------------------------------


def test_a_level_that_cannot_reach_the_onset():
    # Its node of the branch and bound is empty; it must not leave its loose bound behind.
    game = random_game(9889, 1, accuracy="sqrt-loss", start="flat", deadline="tight", equal=False)
    assert_maximum(game, brute_force(game))


def test_terms_that_cancel():
    # P = 4 and the cost is 4: U = 0, where no relative gap can be proven.
    game = CoopetitionGame(
        profitability=[1.0],
        data_bits=[1.0],
        cycles_per_bit=1.0,
        cpu_levels_hz=[1.0],
        competition=np.zeros((1, 1)),
        accuracy=Empirical([0.0, 1.0, 2.0], [0.0, 4.0, 8.0]),
        overhead_weight=4.0,
        capacitance=1.0,
        min_data_fraction=0.25,
    )
    assert_maximum(game, brute_force(game))


@pytest.mark.parametrize("accuracy", [PowerLaw(0.6, 3e8, 1.1), SqrtLoss(5.0, 1.0)])
def test_many_who_are_indifferent_at_price_zero(accuracy):
    n = 40
    game = CoopetitionGame(
        profitability=np.linspace(1.0, 2.0, n),
        data_bits=np.linspace(1e9, 2e9, n),
        cycles_per_bit=1.0,
        cpu_levels_hz=[1.0],
        competition=np.zeros((n, n)),
        accuracy=accuracy,
        overhead_weight=0.0,
    )
    solution = exact.solve(game)
    assert solution.status == "optimal"
    assert solution.iterations < 200
    np.testing.assert_array_equal(solution.profile.data_fraction, 1.0)


# --- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -1.0, math.nan, math.inf])
def test_tolerance_out_of_range(tolerance):
    with pytest.raises(ValueError, match="tolerance: expected a number in"):
        exact.solve(random_game(0, 2), tolerance=tolerance)


@pytest.mark.parametrize("node_limit", [0, -1])
def test_node_limit_out_of_range(node_limit):
    with pytest.raises(ValueError, match="node_limit: expected an integer"):
        exact.solve(random_game(0, 2), node_limit=node_limit)


@examples(30)
@given(games(max_organizations=5), seeds())
def test_a_node_limit_keeps_the_bound_valid(game, seed):
    solution = exact.solve(game, node_limit=1 + seed % 3)
    oracle = brute_force(game)
    assert solution.upper_bound >= oracle.value - ROUNDING * oracle.size
    assert solution.potential <= oracle.value + ROUNDING * oracle.size


@examples(20)
@given(games(max_organizations=6))
def test_solving_twice_gives_the_same(game):
    one, two = exact.solve(game), exact.solve(game)
    np.testing.assert_array_equal(one.profile.data_fraction, two.profile.data_fraction)
    np.testing.assert_array_equal(one.profile.cpu_hz, two.profile.cpu_hz)
    assert one.upper_bound == two.upper_bound


def test_the_time_limit_leaves_a_valid_bound_and_a_feasible_profile(monkeypatch):
    from tradefl.solvers import residual

    # Many nearly equal organizations: more nodes than anybody waits for.
    n = 30
    near = 1.0 + 1e-8 * np.random.default_rng(1).standard_normal((4, n))
    game = CoopetitionGame(
        profitability=1500.0 * near[0],
        data_bits=20e9 * near[1],
        data_units=near[1] * 20.0 * 10.0 / n,
        cycles_per_bit=2.0 * near[2],
        cpu_levels_hz=(4e9 * near[3])[:, None] * np.arange(1, 6) / 5,
        competition=0.005 * (1.0 - np.eye(n)),
        accuracy=SqrtLoss(5.0, 0.79),
        download_seconds=1.0,
        upload_seconds=1.0,
        incentive_intensity=5e-9,
        compute_weight=1.6,
        overhead_weight=0.185,
        deadline_seconds=14.0,
    )
    clock = iter(range(10**6))
    monkeypatch.setattr(residual.time, "perf_counter", lambda: float(next(clock)))
    found = exact.solve(game, time_limit=40.0, tolerance=1e-15)
    assert found.iterations < 200
    assert found.upper_bound >= found.potential
    assert game.is_feasible(found.profile).all()
    with pytest.raises(ValueError, match="time_limit: expected a number > 0, got 0"):
        exact.solve(game, time_limit=0.0)
