"""Two independent ways to the highest social welfare: enumeration, and SCIP.

Welfare is written down from the payoffs of Eq. (11),

    W = sum_i [ p_i P(Omega) - overhead_i - w_i ( P(Omega) - P(Omega - u_i d_i) ) ],

with ``w_i = sum_j rho_ij p_j`` of a dense rho and the ``P`` of ``tests.support``. Neither
``tradefl.solvers`` nor the formulas of ``tradefl.game`` are used.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from scipy.optimize import linprog, minimize
from tests.solvers.oracles import own_model, slope_of
from tests.support import Eq11, LogAccuracy, plain_performance

from tradefl.game import CoopetitionGame, Empirical, PowerLaw, SqrtLoss, StrategyProfile


class Welfare:
    """The welfare of a game as a function of the data, everybody's level fixed."""

    def __init__(self, game: CoopetitionGame) -> None:
        self.game, self.judge, self.model = game, Eq11(game), own_model(game)
        self.n, self.u = self.judge.n, game.data_units
        self.w = self.judge.rho @ game.profitability
        self.fixed = game.overhead_weight * float(
            np.sum(
                game.download_watts * game.download_seconds
                + game.upload_watts * game.upload_seconds
            )
        )
        self.fixed += float(np.sum(game.joining_cost))

    @property
    def concave(self) -> bool:
        """Whether even without anybody's data the others' least is at the onset or above."""
        own = self.game.min_data_fraction * self.u
        return float(getattr(self.model, "onset", 0.0)) <= float(own.sum() - own.max())

    def costs(self, f: Any) -> Any:
        """What each unit of d costs at these levels."""
        game = self.game
        joules = game.capacitance * np.asarray(f) ** 2 * game.cycles_per_bit * game.data_bits
        return game.overhead_weight * joules + game.data_cost

    def at(self, d: Any, f: Any) -> Any:
        """W for d of shape ``(..., N)``."""
        d = np.asarray(d)
        omega = (d * self.u).sum(axis=-1)
        together = plain_performance(self.model, omega)
        without = plain_performance(self.model, np.maximum(omega[..., None] - d * self.u, 0.0))
        damage = (self.w * (np.asarray(together)[..., None] - without)).sum(axis=-1)
        revenue = self.game.profitability.sum() * together
        return revenue - damage - (d * self.costs(f)).sum(axis=-1) - self.fixed

    def box(self, f: Any) -> tuple[Any, Any]:
        high = [dict(self.judge.levels(i))[entry] for i, entry in enumerate(f)]
        return np.full(self.n, self.game.min_data_fraction), np.array(high)

    def best_data(self, f: Any, starts: Any = None) -> tuple[Any, float]:
        """The best data at these levels: a linear program, or climbing from several starts."""
        low, high = self.box(f)
        if isinstance(self.model, Empirical):
            return self._linear(f, low, high)
        if starts is None:
            starts = [0.5 * (low + high), high]
        best = max(starts, key=lambda d: float(self.at(d, f)))
        size = abs(float(self.at(best, f))) + 1e-12
        for start in starts:
            found = minimize(
                lambda d: -float(self.at(np.clip(d, low, high), f)) / size,
                start,
                jac=lambda d: -self.slope(np.clip(d, low, high), f) / size,
                method="L-BFGS-B",
                bounds=np.column_stack([low, high]),
                options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 2000},
            )
            best = max(best, np.clip(found.x, low, high), key=lambda d: float(self.at(d, f)))
        return best, float(self.at(best, f))

    def slope(self, d: Any, f: Any) -> Any:
        omega = float(d @ self.u)
        together = self._slope(omega)
        without = np.array([self._slope(max(omega - own, 0.0)) for own in d * self.u])
        others = (self.w * without).sum() - self.w * without
        price = (self.game.profitability.sum() - self.w.sum()) * together + others
        return self.u * price - self.costs(f)

    def _slope(self, omega: float) -> float:
        if omega < float(getattr(self.model, "onset", 0.0)):
            return 0.0
        return slope_of(self.model, omega)

    def _linear(self, f: Any, low: Any, high: Any) -> tuple[Any, float]:
        """Straight pieces: variables d, t_0, t_1, ..., below every piece's line."""
        n, model = self.n, self.model
        slopes = np.append(np.diff(model.values) / np.diff(model.knots), 0.0)
        rows, bounds = [], []
        for k in range(n + 1):
            for x, y, slope in zip(model.knots, model.values, slopes, strict=True):
                row = np.zeros(2 * n + 1)
                row[:n] = -slope * self.u
                if k:
                    row[k - 1] = 0.0
                row[n + k] = 1.0
                rows.append(row)
                bounds.append(y - slope * x)
        z = self.game.profitability.sum() - self.w.sum()
        gain = np.concatenate([-self.costs(f), [z], self.w])
        free = [(None, None)] * (n + 1)
        found = linprog(-gain, A_ub=rows, b_ub=bounds, bounds=[*zip(low, high, strict=True), *free])
        d = np.clip(found.x[:n], low, high)
        return d, float(self.at(d, f))


def enumerated(game: CoopetitionGame, alike: bool = False) -> tuple[float, StrategyProfile]:
    """The best of all combinations of levels; of organizations all alike, up to their order."""
    welfare = Welfare(game)
    levels = [[f for f, _ in welfare.judge.levels(i)] for i in range(game.size)]
    best: tuple[float, StrategyProfile] | None = None
    every = itertools.product(*levels)
    if alike:
        every = itertools.combinations_with_replacement(levels[0], game.size)
    for f in every:
        starts = None
        if not welfare.concave:  # hills behind level ground
            low, high = welfare.box(f)
            shares = itertools.product((0.0, 0.35, 0.7, 1.0), repeat=game.size)
            starts = [low + np.array(share) * (high - low) for share in shares]
            starts = sorted(starts, key=lambda d: -float(welfare.at(d, f)))[:12]
        d, value = welfare.best_data(f, starts)
        if best is None or value > best[0]:
            best = value, StrategyProfile(d, np.array(f))
    assert best is not None
    return best


def on_a_grid(game: CoopetitionGame, points: int = 241) -> float:
    """The best of two organizations on grids that narrow, whatever P does."""
    welfare, best = Welfare(game), -math.inf
    for f in itertools.product(*([f for f, _ in welfare.judge.levels(i)] for i in range(2))):
        low, high = welfare.box(f)
        begin, end = low.copy(), high.copy()
        for _ in range(5):
            axes = [np.linspace(a, b, points) for a, b in zip(begin, end, strict=True)]
            d = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
            value = welfare.at(d, f)
            at = np.unravel_index(np.argmax(value), value.shape)
            best = max(best, float(value[at]))
            for k in range(2):
                begin[k], end[k] = (
                    axes[k][max(at[k] - 4, 0)],
                    axes[k][min(at[k] + 4, points - 1)],
                )
    return best


def scip_welfare(game: CoopetitionGame, seconds: float = 60.0) -> tuple[float, float]:
    """SCIP's highest welfare and its bound, where P is concave wherever they get.

    The disaggregated convex MINLP with N + 1 concave functions. SCIP leaves these unresolved by
    up to 1e-6; tangents where it ended are linear rows and pin them down. The value is worked out
    again in double precision with SCIP's levels.
    """
    welfare = Welfare(game)
    touched: list[Any] = []
    best, bound = -math.inf, math.inf
    for _ in range(8):
        f, arguments, dual = _scip(welfare, touched, seconds)
        bound = min(bound, dual)
        best = max(best, welfare.best_data(f)[1])
        if bound - best <= 1e-9 * abs(best):
            break
        touched.append(arguments)
    return best, bound


def _scip(welfare: Welfare, touched: list[Any], seconds: float) -> tuple[Any, Any, float]:
    from pyscipopt import Model, log, quicksum

    game, model, n, u = welfare.game, welfare.model, welfare.n, welfare.u
    levels = [welfare.judge.levels(i) for i in range(n)]
    most = math.fsum(u[i] * max(h for _, h in levels[i]) for i in range(n))
    top = float(plain_performance(model, most))
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
    unit = float(game.profitability.sum()) * top
    cost, own, switches = [], [], []
    for i in range(n):
        row, data = [], []
        for k, (f, h) in enumerate(levels[i]):
            y = scip.addVar(f"y{i}_{k}", vtype="B")
            d = scip.addVar(f"d{i}_{k}", lb=0.0, ub=h)
            scip.addCons(d >= game.min_data_fraction * y)
            scip.addCons(d <= h * y)
            row.append(y)
            data.append(d)
            cost.append(float(welfare.costs(np.full(n, f))[i]) / unit * d)
        scip.addCons(quicksum(row) == 1)
        switches.append(row)
        own.append(quicksum(data) * float(u[i] / most))
    factors = [float(game.profitability.sum() - welfare.w.sum()), *welfare.w.tolist()]
    least = game.min_data_fraction * float(u.sum())
    gain, arguments = [], []
    for k, factor in enumerate(factors):
        if factor == 0.0:
            continue
        lowest = least - (game.min_data_fraction * float(u[k - 1]) if k else 0.0)
        x = scip.addVar(f"x{k}", lb=lowest / most, ub=1.0)
        scip.addCons(x == quicksum(entry for j, entry in enumerate(own) if j != k - 1))
        t = scip.addVar(f"t{k}", lb=None, ub=1.0)
        if isinstance(model, Empirical):
            slopes = [*(np.diff(model.values) / np.diff(model.knots)), 0.0]
            for at, y, slope in zip(model.knots, model.values, slopes, strict=True):
                scip.addCons(t <= y / top + float(slope) / top * (most * x - at))
        elif isinstance(model, (SqrtLoss, PowerLaw)):
            power = 0.5 if isinstance(model, SqrtLoss) else model.exponent
            floor = 1.0 / model.epochs if isinstance(model, SqrtLoss) else model.floor
            height = (model.untrained_loss - floor) / top
            scip.addCons(t + height * (most / model.onset * x) ** (-power) <= height)
        else:
            assert isinstance(model, LogAccuracy)
            scip.addCons(t <= model.height / top * log(1.0 + most / model.scale * x))
        for point in touched:
            slope, value = slope_of(model, point[k]), float(plain_performance(model, point[k]))
            scip.addCons(t <= value / top + slope / top * (most * x - point[k]))
        gain.append(factor * top / unit * t)
        arguments.append((k, x))
    scip.setObjective(quicksum(gain) - quicksum(cost), "maximize")
    scip.optimize()
    chosen = [
        levels[i][max(range(len(row)), key=lambda k, row=row: scip.getVal(row[k]))][0]
        for i, row in enumerate(switches)
    ]
    found = np.full(n + 1, most)
    for k, x in arguments:
        lowest = least - (game.min_data_fraction * float(u[k - 1]) if k else 0.0)
        found[k] = min(max(scip.getVal(x) * most, lowest), most)
    return np.array(chosen), found, float(scip.getDualbound()) * unit - welfare.fixed
