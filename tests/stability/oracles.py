"""Coalition games by enumeration: every value from an independent optimizer, every claim by LP.

Nothing of ``tradefl.stability`` or ``tradefl.solvers`` is used. A coalition's value is the best of
all combinations of levels in a game of its own (``tests.solvers.welfare_oracles`` climbs), the
largest excess is looked up among all coalitions, and the least core is one linear program over all
of them.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
from scipy.optimize import linprog
from tests.solvers.oracles import own_model
from tests.solvers.welfare_oracles import Welfare
from tests.support import dense_rho, plain_performance

from tradefl.game import CoopetitionGame

PER_ORGANIZATION = (
    *("profitability", "data_bits", "cycles_per_bit", "data_units", "cpu_levels_hz"),
    *("download_seconds", "upload_seconds", "data_cost", "joining_cost"),
)


def restricted(game: CoopetitionGame, members: Any) -> CoopetitionGame:
    """The game that some of the organizations play among themselves."""
    who = np.asarray(members)
    return dataclasses.replace(
        game,
        competition=dense_rho(game.competition)[np.ix_(who, who)],
        names=None,
        compensation=None,
        **{field: getattr(game, field)[who] for field in PER_ORGANIZATION},
    )


def coalitions(n: int) -> list[tuple[int, ...]]:
    """All nonempty coalitions."""
    return [who for size in range(1, n + 1) for who in itertools.combinations(range(n), size)]


def values_by_enumeration(game: CoopetitionGame) -> dict[tuple[int, ...], float]:
    """The value of every coalition, literal reading, singles with their own models."""
    found = {}
    for who in coalitions(game.size):
        if len(who) == 1:
            found[who] = alone_on_grids(game, who[0])
        else:
            found[who] = searched(restricted(game, who))
    return found


def alone_on_grids(game: CoopetitionGame, i: int, points: int = 2_001) -> float:
    """The best payoff of i alone, from the printed formulas, on grids that narrow."""
    model, best = own_model(game), 0.0
    for f in game.cpu_levels_hz[i]:
        if math.isnan(f):
            continue
        cycles = float(game.cycles_per_bit[i] * game.data_bits[i])
        price = game.overhead_weight * game.capacitances[i] * float(f) ** 2 * cycles
        begin, end = 0.0, min(1.0, game.deadline_seconds * float(f) / cycles)
        for _ in range(4):
            d = np.linspace(begin, end, points)
            earned = game.profitability[i] * plain_performance(model, d * float(game.data_units[i]))
            value = earned - (price + game.data_cost[i]) * d
            at, step = int(np.argmax(value)), d[1] - d[0]
            best = max(best, float(value[at]))
            begin, end = max(d[at] - 2.0 * step, 0.0), min(d[at] + 2.0 * step, end)
    return best


def searched(game: CoopetitionGame, points: int = 201) -> float:
    """The best of all combinations of levels, improved one organization at a time on grids.

    Climbing alone may end below a kink. Whatever is found can be had, so a higher value is a
    better one.
    """
    welfare = Welfare(game)
    levels = [[f for f, _ in welfare.judge.levels(i)] for i in range(game.size)]
    best, d, f = -math.inf, np.zeros(game.size), np.zeros(game.size)
    for speeds in itertools.product(*levels):
        starts = None
        if not welfare.concave:  # hills behind level ground
            low, high = welfare.box(speeds)
            shares = np.array(list(itertools.product((0.0, 0.5, 1.0), repeat=game.size)))
            places = low + shares * (high - low)
            starts = list(places[np.argsort(-welfare.at(places, speeds), kind="stable")[:2]])
        data, value = welfare.best_data(speeds, starts)
        if value > best:
            best, d, f = value, data, np.array(speeds)
    improved = True
    while improved:
        improved = False
        for i in range(game.size):
            for level, most in welfare.judge.levels(i):
                begin, end = game.min_data_fraction, most
                for _ in range(4):  # grids that narrow
                    trial = np.repeat(d[None, :], points, axis=0)
                    trial[:, i] = np.linspace(begin, end, points)
                    speeds = f.copy()
                    speeds[i] = level
                    value = welfare.at(trial, speeds)
                    at = int(np.argmax(value))
                    if value[at] > best + 1e-12 * abs(best):
                        best, d, f, improved = float(value[at]), trial[at], speeds, True
                    step = (end - begin) / (points - 1)
                    begin = max(begin, float(trial[at, i]) - 2.0 * step)
                    end = min(end, float(trial[at, i]) + 2.0 * step)
        for i, j in itertools.permutations(range(game.size), 2):
            # Omega stays where it is, at a kink of P for instance, while others bring it.
            ratio = float(game.data_units[i] / game.data_units[j])
            most = [dict(welfare.judge.levels(k))[f[k]] for k in (i, j)]
            reach = min(most[0] - d[i], (d[j] - game.min_data_fraction) / ratio)
            trial = np.repeat(d[None, :], points, axis=0)
            trial[:, i] = d[i] + np.linspace(0.0, 1.0, points) * reach
            trial[:, j] = np.clip(d[j] - ratio * (trial[:, i] - d[i]), game.min_data_fraction, None)
            value = welfare.at(trial, f)
            at = int(np.argmax(value))
            if value[at] > best + 1e-12 * abs(best):
                best, d, improved = float(value[at]), trial[at], True
    return best


def with_nothing(values: dict[tuple[int, ...], float]) -> dict[tuple[int, ...], float]:
    """The same where a single organization has nothing."""
    return {who: 0.0 if len(who) == 1 else value for who, value in values.items()}


def largest_excess(values: dict[tuple[int, ...], float], pay: Any) -> float:
    """The largest excess of all coalitions but that of all."""
    n = max(map(len, values))
    return max(v - sum(pay[i] for i in who) for who, v in values.items() if len(who) < n)


def margin_by_lp(values: dict[tuple[int, ...], float]) -> float:
    """The margin of the least core, from one linear program."""
    n = max(map(len, values))
    total = values[tuple(range(n))]
    rows, bounds = [], []
    for who, value in values.items():
        if len(who) < n:
            rows.append([-float(i in who) for i in range(n)] + [1.0])
            bounds.append(-value / abs(total))
    found = linprog(
        [0.0] * n + [-1.0],
        A_ub=rows,
        b_ub=bounds,
        A_eq=[[1.0] * n + [0.0]],
        b_eq=[total / abs(total)],
        bounds=[(None, None)] * (n + 1),
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    return float(found.x[n]) * abs(total)
