"""Two independent ways to the maximum of the potential: enumeration, and SCIP.

Nothing here uses ``tradefl.solvers`` or the formulas of ``tradefl.game``: the coefficients of

    U = P( sum_i w_i ) + sum_i [ c_i w_i + beta_i ],   w_i = u_i d_i,

are worked out from the input arrays, and ``P`` is the one of ``tests.support``.

For fixed levels, ``V(W) = max { sum_i c_i w_i : sum_i w_i = W }`` is filled up in the order of
the slopes ``c_i``, so it is piecewise linear and ``P + V`` is maximal at an end of a piece, at
the onset of P, or inside a piece where ``P' = -c``. :func:`fill` evaluates all of these, for
many combinations of levels at once; that covers both sides of the onset.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
from tests.support import Eq11, LogAccuracy, ScalarExpAccuracy, plain_performance

from tradefl.game import CoopetitionGame, Empirical, PowerLaw, SqrtLoss, StrategyProfile


@dataclasses.dataclass(frozen=True)
class Level:
    """One piece of a feasible level: ``v = slope w + constant`` for ``low <= w <= high``.

    The paper's rule has one piece a level; the efficient one, one between two breakpoints.
    """

    f: float
    slope: float
    constant: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Answer:
    """A maximum: its value in double precision, a profile that has it, a bound, and how large
    the terms of U are at it (what rounding is relative to)."""

    value: float
    profile: StrategyProfile
    bound: float
    size: float


def levels_of(game: CoopetitionGame) -> list[list[Level]]:
    """Return the feasible levels of every organization, divided by u_i."""
    judge = Eq11(game)
    # Whether a rounded h_il is a hair below D_min is the game's business, as is z_i below.
    reach, feasible = game.max_data_fraction(game.cpu_levels_hz), game.level_is_feasible()
    out = []
    for i in range(judge.n):
        # z_i is a difference that may cancel: its rounding is the game's business.
        weight = float(game.potential_weights[i])
        u, s = float(game.data_units[i]), float(game.data_bits[i])
        kappa = float(np.broadcast_to(game.capacitance, judge.n)[i])
        energy = game.overhead_weight * kappa * float(game.cycles_per_bit[i]) * s
        prepared = float(game.data_cost[i])
        out.append(
            [
                Level(
                    f,
                    float((gain - energy * f * f - prepared) / weight / u),
                    float((constant + per_hz * f) / weight),
                    u * max(begin, game.min_data_fraction),
                    u * min(end, high),
                )
                for f, high in zip(
                    game.cpu_levels_hz[i][feasible[i]].tolist(),
                    reach[i][feasible[i]].tolist(),
                    strict=True,
                )
                for begin, end, gain, constant, per_hz in pieces_of(judge, i)
                if max(begin, game.min_data_fraction) <= min(end, high)
            ]
        )
    return out


def pieces_of(judge: Eq11, i: int) -> list[tuple[float, float, float, float, float]]:
    """Return ``(begin, end, gain, constant, per_hz)`` of what i's own strategy brings it."""
    game, rule = judge.game, judge.game.compensation
    if rule is None:
        gain = game.incentive_intensity * math.fsum(judge.rho[i])
        return [(0.0, 1.0, gain * float(game.data_bits[i]), 0.0, gain * game.compute_weight)]
    schedule, pieces = rule.schedules[i], []
    for k in range(schedule.shares.size - 1):
        (b, e), (v, to) = schedule.shares[k : k + 2].tolist(), schedule.values[k : k + 2].tolist()
        slope = (to - v) / (e - b)
        pieces.append((b, e, slope, v - slope * b, 0.0))
    return pieces


def own_model(game: CoopetitionGame) -> Any:
    """Return P without the wrappers of the game and of the tests."""
    model = game.accuracy
    while not isinstance(model, (SqrtLoss, PowerLaw, Empirical)) and hasattr(model, "model"):
        model = model.model
    return model


def potential_of(game: CoopetitionGame, profile: StrategyProfile) -> tuple[float, float]:
    """Return U of a profile, summed exactly, and the sum of the sizes of its terms."""
    terms = []
    for i, levels in enumerate(levels_of(game)):
        w = float(game.data_units[i] * profile.data_fraction[i])
        # Beside a breakpoint two pieces are near enough: the right one is the lower line.
        level = min(
            (
                level
                for level in levels
                if level.f == profile.cpu_hz[i]
                and level.low * (1.0 - 1e-9) <= w <= level.high * (1.0 + 1e-9)
            ),
            key=lambda level: level.slope * w + level.constant,
        )
        terms += [level.slope * w, level.constant]
    omega = math.fsum(profile.data_fraction * game.data_units)
    value = float(plain_performance(own_model(game), omega))
    return math.fsum([value, *terms]), math.fsum([value, *map(abs, terms)])


def stationary(model: Any, slope: Any) -> Any:
    """Return where ``P' = slope``, elementwise; any number where it never is."""
    slope = np.maximum(slope, 1e-100)
    if isinstance(model, SqrtLoss):
        return (4.0 * model.epochs * slope**2) ** (-1.0 / 3.0)
    if isinstance(model, PowerLaw):
        return (model.scale * model.exponent / slope) ** (1.0 / (model.exponent + 1.0))
    if isinstance(model, LogAccuracy):
        return model.height / slope - model.scale
    assert isinstance(model, ScalarExpAccuracy)
    return model.scale * np.log(model.height / (model.scale * slope))


def slope_of(model: Any, omega: float) -> float:
    """Return ``P'(Omega)`` from the onset on."""
    if isinstance(model, SqrtLoss):
        return 0.5 / math.sqrt(model.epochs) * omega**-1.5
    if isinstance(model, PowerLaw):
        return model.scale * model.exponent * omega ** (-model.exponent - 1.0)
    if isinstance(model, LogAccuracy):
        return model.height / (model.scale + omega)
    if isinstance(model, ScalarExpAccuracy):
        return model.height / model.scale * math.exp(-omega / model.scale)
    assert isinstance(model, Empirical)
    slopes = [*np.diff(model.values) / np.diff(model.knots), 0.0]
    return float(slopes[int(np.searchsorted(model.knots, omega, side="right")) - 1])


def fill(model: Any, slope: Any, constant: Any, low: Any, high: Any) -> tuple[Any, Any]:
    """Return, for each of C rows of N fixed levels, the maximum of U over d and its ``w``.

    All arguments but the model have shape ``(C, N)``; so has ``w``.
    """
    rows = np.arange(slope.shape[0])[:, None]
    order = np.argsort(-slope, axis=1, kind="stable")
    c, room = slope[rows, order], (high - low)[rows, order]
    start = low.sum(axis=1, keepdims=True)
    ends = np.concatenate([start, start + np.cumsum(room, axis=1)], axis=1)
    base = (slope * low + constant).sum(axis=1, keepdims=True)
    worth = np.concatenate([base, base + np.cumsum(c * room, axis=1)], axis=1)
    left, right = ends[:, :-1], ends[:, 1:]
    if isinstance(model, Empirical):
        inside = [np.clip(knot, left, right) for knot in model.knots]
    else:
        onset = float(getattr(model, "onset", 0.0))
        with np.errstate(over="ignore"):
            inside = [np.clip(onset, left, right), np.clip(stationary(model, -c), left, right)]
    at = np.concatenate([ends, *inside], axis=1)
    own = np.concatenate([worth, *(worth[:, :-1] + c * (entry - left) for entry in inside)], axis=1)
    values = plain_performance(model, at) + own
    best = np.argmax(values, axis=1)
    total = at[np.arange(at.shape[0]), best][:, None]
    w = np.empty_like(low)
    w[rows, order] = low[rows, order] + np.clip(total - left, 0.0, room)
    return values[np.arange(at.shape[0]), best], np.clip(w, low, high)


def _profile(game: CoopetitionGame, levels: list[Level], w: Any) -> StrategyProfile:
    d = np.asarray(w) / game.data_units
    highest = np.array([level.high for level in levels]) / game.data_units
    return StrategyProfile(
        np.clip(d, game.min_data_fraction, np.minimum(1.0, highest)),
        np.array([level.f for level in levels]),
    )


def best_of(game: CoopetitionGame, levels: list[Level]) -> Answer:
    """Return the maximum with everybody's level fixed."""
    row = [np.array([[getattr(level, name) for level in levels]]) for name in NAMES]
    _, w = fill(own_model(game), *row)
    profile = _profile(game, levels, w[0])
    value, size = potential_of(game, profile)
    return Answer(value, profile, value, size)


NAMES = ("slope", "constant", "low", "high")


def brute_force(game: CoopetitionGame) -> Answer:
    """Return the maximum over all combinations of levels."""
    everyone, model = levels_of(game), own_model(game)
    best, best_value = None, -math.inf
    chunks = itertools.product(*(range(len(levels)) for levels in everyone))
    while chunk := list(itertools.islice(chunks, 20_000)):
        combos = np.array(chunk)
        arrays = [
            np.stack(
                [
                    np.array([getattr(level, name) for level in levels])[combos[:, i]]
                    for i, levels in enumerate(everyone)
                ],
                axis=1,
            )
            for name in NAMES
        ]
        values, w = fill(model, *arrays)
        k = int(np.argmax(values))
        if values[k] > best_value:
            chosen = [levels[combos[k, i]] for i, levels in enumerate(everyone)]
            best, best_value = _profile(game, chosen, w[k]), float(values[k])
    assert best is not None
    value, size = potential_of(game, best)
    return Answer(value, best, max(value, best_value), size)


def scip_maximum(game: CoopetitionGame, seconds: float = 60.0) -> Answer:
    """Return SCIP's maximum of the disaggregated convex MINLP.

    From the onset on P is concave, which is what SCIP gets. Below it U is the own terms alone,
    whose maximum everybody reaches alone; as P >= 0 it is also a lower bound everywhere.

    ``value`` is recomputed in double precision with SCIP's levels and their best data; ``bound``
    is SCIP's dual bound, raised to ``value`` where SCIP's tolerances left it below; measured, it is
    off by up to some 1e-7 either way.
    """
    everyone, model = levels_of(game), own_model(game)
    flat = []
    for levels in everyone:
        ends = [
            (level.slope * w + level.constant, k)
            for k, level in enumerate(levels)
            for w in (level.low, level.high)
        ]
        flat.append(max(ends))
    answers = [best_of(game, [levels[k] for levels, (_, k) in zip(everyone, flat, strict=True)])]
    bounds = [math.fsum(value for value, _ in flat)]
    most = math.fsum(max(level.high for level in levels) for levels in everyone)
    if float(getattr(model, "onset", 0.0)) <= most:
        # SCIP leaves P unresolved by up to 1e-6 when P' is steep; tangents where it ended, which
        # are linear rows, pin P down to the tolerance.
        touched: list[float] = []
        for _ in range(10):
            chosen, omega, bound = _scip(everyone, model, most, touched, seconds)
            if chosen is None:
                break
            levels = [levels[k] for levels, k in zip(everyone, chosen, strict=True)]
            answers.append(best_of(game, levels))
            value = max(answer.value for answer in answers)
            if bound - value <= 1e-10 * max(1.0, abs(value)) or omega in touched:
                break
            touched.append(omega)
        bounds.append(bound)
    best = max(answers, key=lambda answer: answer.value)
    # SCIP's bound may come out up to 1e-7 below a value that is attained: it is not rigorous.
    return dataclasses.replace(best, bound=max(best.value, *bounds))


def _scip(
    everyone: list[list[Level]], model: Any, most: float, touched: list[float], seconds: float
) -> tuple[list[int] | None, float, float]:
    """Return SCIP's levels for the part where P is concave, its Omega, and its dual bound."""
    from pyscipopt import Model, exp, log, quicksum

    onset = float(getattr(model, "onset", 0.0))
    # Data in units of all data, values in units of the largest term.
    unit = max(
        abs(float(plain_performance(model, most))),
        max(
            abs(level.slope * w + level.constant)
            for levels in everyone
            for level in levels
            for w in (level.low, level.high)
        ),
        1e-300,
    )
    scip = Model()
    scip.hideOutput()
    for name, value in {
        "limits/gap": 0.0,
        "limits/absgap": 0.0,
        "limits/time": seconds,
        "numerics/feastol": 1e-9,
        "numerics/dualfeastol": 1e-9,
        "randomization/randomseedshift": 0,
    }.items():
        scip.setParam(name, value)
    omega = scip.addVar("omega", lb=max(onset / most, 0.0), ub=1.0)
    worth, data, switches = [], [], []
    for i, levels in enumerate(everyone):
        row = []
        for k, level in enumerate(levels):
            low, high = level.low / most, level.high / most
            y = scip.addVar(f"y{i}_{k}", vtype="B")
            w = scip.addVar(f"w{i}_{k}", lb=0.0, ub=high)
            scip.addCons(w >= low * y)
            scip.addCons(w <= high * y)
            row.append(y)
            data.append(w)
            worth += [level.slope * most / unit * w, level.constant / unit * y]
        scip.addCons(quicksum(row) == 1)
        switches.append(row)
    scip.addCons(quicksum(data) == omega)
    value = scip.addVar("P", lb=None, ub=float(plain_performance(model, most)) / unit)
    if isinstance(model, Empirical):
        for x, y, slope in zip(model.knots, model.values, [*_slopes(model), 0.0], strict=True):
            scip.addCons(value <= y / unit + slope / unit * (most * omega - x))
    elif isinstance(model, SqrtLoss):
        top = (model.untrained_loss - 1.0 / model.epochs) / unit
        scip.addCons(value + top * (most / onset * omega) ** (-0.5) <= top)
    elif isinstance(model, PowerLaw):
        top = (model.untrained_loss - model.floor) / unit
        scip.addCons(value + top * (most / onset * omega) ** (-model.exponent) <= top)
    elif isinstance(model, LogAccuracy):
        scip.addCons(value <= model.height / unit * log(1.0 + most / model.scale * omega))
    else:
        assert isinstance(model, ScalarExpAccuracy)
        scip.addCons(
            value <= model.height / unit - model.height / unit * exp(-most / model.scale * omega)
        )
    for at in touched:
        slope = slope_of(model, at)
        start = float(plain_performance(model, at)) / unit
        scip.addCons(value <= start + slope * most / unit * omega - slope * at / unit)
    scip.setObjective(value + quicksum(worth), "maximize")
    scip.optimize()
    if scip.getStatus() == "infeasible":
        return None, math.nan, -math.inf
    bound = float(scip.getDualbound()) * unit
    if scip.getNSols() == 0:
        return None, math.nan, bound
    chosen = [max(range(len(row)), key=lambda k, row=row: scip.getVal(row[k])) for row in switches]
    return chosen, min(max(scip.getVal(omega) * most, onset * (1.0 + 1e-12)), most), bound


def _slopes(model: Empirical) -> list[float]:
    return [float(s) for s in np.diff(model.values) / np.diff(model.knots)]
