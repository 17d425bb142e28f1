"""The peer: SCIP on the disaggregated convex MINLP.

Maximize ``A(0) - 1/G - t + sum_il [ alpha_il d_il + beta_il y_il ]`` subject to

    t >= 1 / sqrt(G sum_il u_i d_il)                     the only nonlinear constraint, convex
    D_min y_il <= d_il <= h_il y_il,   sum_l y_il = 1,   y_il binary

The coefficients are worked out from the game's inputs; no solver of tradefl is used.
"""

from __future__ import annotations

import dataclasses
import time
from importlib.metadata import version
from typing import Any

import numpy as np
from pyscipopt import Model, quicksum

from tradefl import CoopetitionGame, SqrtLoss

# Everything else is SCIP's default, its tolerances among them.
SETTINGS = {
    "limits/gap": 0.0,
    "limits/absgap": 0.0,
    "lp/threads": 1,
    "parallel/maxnthreads": 1,
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What SCIP found, and how long its ``optimize`` took after the model stood."""

    status: str
    data_fraction: np.ndarray
    cpu_hz: np.ndarray
    objective: float
    bound: float
    build_seconds: float
    solve_seconds: float


def scip_version() -> str:
    """Return the versions of SCIP and of its Python interface."""
    return f"SCIP {Model().version()} (pyscipopt {version('pyscipopt')})"


def solve(game: CoopetitionGame, time_limit: float) -> Answer:
    """Maximize the potential with SCIP, on one thread, to a gap of zero."""
    began = time.perf_counter()
    scip, d, y, feasible = _model(game)
    scip.setParams({**SETTINGS, "limits/time": time_limit})
    built = time.perf_counter()
    scip.optimize()
    ended = time.perf_counter()
    taken = np.zeros(game.cpu_levels_hz.shape)
    shares = np.zeros_like(taken)
    for i, k in zip(*np.nonzero(feasible), strict=True):
        taken[i, k], shares[i, k] = scip.getVal(y[i, k]), scip.getVal(d[i, k])
    level = np.argmax(taken, axis=1)
    f = game.cpu_levels_hz[np.arange(game.size), level]
    # Within SCIP's tolerance d may stand a hair outside its bounds.
    chosen = np.clip(shares.sum(axis=1), game.min_data_fraction, game.max_data_fraction(f))
    return Answer(
        status=scip.getStatus(),
        data_fraction=chosen,
        cpu_hz=f,
        objective=float(scip.getObjVal()),
        bound=float(scip.getDualbound()),
        build_seconds=built - began,
        solve_seconds=ended - built,
    )


def _model(game: CoopetitionGame) -> tuple[Any, dict[Any, Any], dict[Any, Any], np.ndarray]:
    accuracy = game.accuracy
    if not isinstance(accuracy, SqrtLoss):
        raise TypeError("the model knows the sqrt-loss only")
    low = game.min_data_fraction
    least, most = low * float(game.data_units.sum()), float(game.data_units.sum())
    if least < accuracy.onset:
        raise ValueError("P is not concave over the whole range: D_min is below the onset")
    f = game.cpu_levels_hz
    rivals, profit = game.competition, game.profitability
    z, rho = profit - rivals.dot(profit), rivals.row_sums()
    bits = game.data_bits
    energy = game.overhead_weight * game.capacitance * game.cycles_per_bit * bits
    alpha = (game.incentive_intensity * rho * bits / z)[:, None] - (energy / z)[:, None] * f**2
    beta = (game.incentive_intensity * rho * game.compute_weight / z)[:, None] * f
    room = game.deadline_seconds - game.download_seconds - game.upload_seconds
    high = np.minimum(1.0, room[:, None] * f / (game.cycles_per_bit * bits)[:, None])
    feasible = high >= low

    scip = Model()
    scip.hideOutput()
    d: dict[Any, Any] = {}
    y: dict[Any, Any] = {}
    for i in range(game.size):
        for k in np.flatnonzero(feasible[i]):
            d[i, k] = scip.addVar(lb=0.0, ub=float(high[i, k]))
            y[i, k] = scip.addVar(vtype="B")
            scip.addCons(d[i, k] >= low * y[i, k])
            scip.addCons(d[i, k] <= float(high[i, k]) * y[i, k])
        scip.addCons(quicksum(y[i, k] for k in np.flatnonzero(feasible[i])) == 1)
    omega = scip.addVar(lb=least, ub=most)
    scip.addCons(quicksum(float(game.data_units[i]) * d[i, k] for i, k in d) == omega)
    t = scip.addVar(lb=0.0)
    scip.addCons(t >= (accuracy.epochs * omega) ** -0.5)
    own = quicksum(float(alpha[key]) * d[key] + float(beta[key]) * y[key] for key in d)
    constant = accuracy.untrained_loss - 1.0 / accuracy.epochs
    scip.setObjective(constant - t + own, "maximize")
    return scip, d, y, feasible


def solve_welfare(game: CoopetitionGame, time_limit: float) -> Answer:
    """Maximize social welfare with SCIP, on one thread, to a gap of zero.

    The disaggregated MINLP with one convex constraint for P(Omega) and one for each
    organization's P(Omega - u_i d_i): ``t >= (G y)^(-1/2)``.
    """
    began = time.perf_counter()
    accuracy = game.accuracy
    if not isinstance(accuracy, SqrtLoss):
        raise TypeError("the model knows the sqrt-loss only")
    low, u, f = game.min_data_fraction, game.data_units, game.cpu_levels_hz
    bits, most = game.data_bits, float(game.data_units.sum())
    if low * float(u.sum() - u.max()) < accuracy.onset:
        raise ValueError("P is not concave over the whole range: D_min is below the onset")
    weight = game.competition.dot(game.profitability)
    together = float((game.profitability - weight).sum())
    cost = (game.overhead_weight * game.capacitance * game.cycles_per_bit * bits)[:, None] * f**2
    room = game.deadline_seconds - game.download_seconds - game.upload_seconds
    high = np.minimum(1.0, room[:, None] * f / (game.cycles_per_bit * bits)[:, None])
    unit = float(game.profitability.sum())
    scip = Model()
    scip.hideOutput()
    d, y, worth = {}, {}, []
    for i in range(game.size):
        for k in np.flatnonzero(high[i] >= low):
            d[i, k] = scip.addVar(lb=0.0, ub=float(high[i, k]))
            y[i, k] = scip.addVar(vtype="B")
            scip.addCons(d[i, k] >= low * y[i, k])
            scip.addCons(d[i, k] <= float(high[i, k]) * y[i, k])
            worth.append(-float(cost[i, k]) / unit * d[i, k])
        scip.addCons(quicksum(y[key] for key in y if key[0] == i) == 1)
    omega = scip.addVar(lb=low * most, ub=most)
    scip.addCons(quicksum(float(u[i]) * d[i, k] for i, k in d) == omega)
    top = accuracy.untrained_loss - 1.0 / accuracy.epochs
    for i in range(-1, game.size):
        factor = (together if i < 0 else float(weight[i])) / unit
        if factor == 0.0:
            continue
        others = scip.addVar(lb=low * (most - (0.0 if i < 0 else float(u[i]))), ub=most)
        own = 0.0 if i < 0 else quicksum(float(u[i]) * d[key] for key in d if key[0] == i)
        scip.addCons(others == omega - own)
        t = scip.addVar(lb=0.0)
        scip.addCons(t >= (accuracy.epochs * others) ** -0.5)
        worth.append(factor * (top - t))
    scip.setObjective(quicksum(worth), "maximize")
    scip.setParams({**SETTINGS, "limits/time": time_limit})
    built = time.perf_counter()
    scip.optimize()
    ended = time.perf_counter()
    shares, taken = np.zeros(f.shape), np.zeros(f.shape)
    for key in d:
        taken[key], shares[key] = scip.getVal(y[key]), scip.getVal(d[key])
    level = np.argmax(taken, axis=1)
    chosen_f = f[np.arange(game.size), level]
    joules = game.download_watts * game.download_seconds + game.upload_watts * game.upload_seconds
    fixed = game.overhead_weight * float(joules.sum())
    return Answer(
        status=scip.getStatus(),
        data_fraction=np.clip(shares.sum(axis=1), low, game.max_data_fraction(chosen_f)),
        cpu_hz=chosen_f,
        objective=float(scip.getObjVal()) * unit - fixed,
        bound=float(scip.getDualbound()) * unit - fixed,
        build_seconds=built - began,
        solve_seconds=ended - built,
    )
