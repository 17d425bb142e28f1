"""Coalition games by enumeration: every value from an independent optimizer, every claim by LP.

Nothing of ``tradefl.stability`` or ``tradefl.solvers`` is used. A coalition's value is the best of
all combinations of levels in a game of its own (``tests.solvers.welfare_oracles``), the largest
excess is looked up among all coalitions, and the least core is one linear program over all of them.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
from scipy.optimize import linprog
from tests.game.test_participation import on_a_grid
from tests.solvers.welfare_oracles import enumerated
from tests.support import dense_rho

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


def values_by_enumeration(game: CoopetitionGame, outside: str) -> dict[tuple[int, ...], float]:
    """The value of every coalition, literal reading."""
    found = {}
    for who in coalitions(game.size):
        if len(who) == 1:
            alone = on_a_grid(game, who[0], 20_001)
            found[who] = alone if outside == "own-model" else 0.0
        else:
            found[who] = enumerated(restricted(game, who))[0]
    return found


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
