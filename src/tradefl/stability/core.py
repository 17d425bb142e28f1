r"""The least core: who is promised what, so that every coalition would lose most by leaving.

``eps* = max eps`` over ``x(N) = v(N)`` and ``x(S) >= v(S) + eps`` for every nonempty S != N. A
consortium with ``eps* >= 0`` has a stable agreement. By A4, with the marginals ``M_k = v(N) - v(N
without k)``, ``eps* <= ebar = (sum_k M_k - v(N)) / N``, and ``x = M - ebar`` attains it if no
coalition objects. Where one does, constraint generation adds the coalitions that object to a linear
program until none is left, and branch and bound proves it. Of several points of the least core it
returns the nearest to ``M - ebar`` (:mod:`tradefl.stability.projection`).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.solvers.compiled import working_time
from tradefl.stability.projection import nearest_point
from tradefl.stability.separation import NODE_LIMIT, separate
from tradefl.stability.values import Values

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

ROUNDS = 200
# Of the linear programs, whose figures are shares of v(N).
EXACT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


@dataclasses.dataclass(frozen=True, eq=False)
class LeastCore:
    """A point of the least core, and its margin.

    Attributes
    ----------
    payoff
        ``x``, shape ``(N,)``.
    margin
        ``eps*``, payoff units: no margin is larger. Negative where no agreement is stable.
    certified
        Whether it is proven that ``x`` has this margin against every coalition.
    nodes
        How many nodes the proof took.
    proven
        The margin of ``x`` that is proven, where that is less; ``None``: ``certified`` says all.
    """

    payoff: Array
    margin: float
    certified: bool
    nodes: int
    proven: float | None = None

    def scaled(self, unit: float) -> LeastCore:
        """Return the same in units that are so many times smaller."""
        proven = None if self.proven is None else self.proven * unit
        payoff, margin = self.payoff * unit, self.margin * unit
        return dataclasses.replace(self, payoff=payoff, margin=margin, proven=proven)


def least_core(
    values: Values, *, tolerance: float, until: float = math.inf, node_limit: int = NODE_LIMIT
) -> LeastCore:
    """Return the least core by constraint generation, certified.

    Parameters
    ----------
    values
        The coalitions' values, literal reading.
    tolerance
        Payoff units: margins that differ by less are equal.
    until
        The time of :func:`tradefl.solvers.compiled.working_time` at which to stop, uncertified.
    node_limit
        The most nodes of the branch and bound that proves the margin. With 0 local search alone
        looks for coalitions that object.
    """
    n = values.size
    total = values.grand[0]
    single, without = values.singles, values.without_one[0]
    members = np.concatenate([np.eye(n, dtype=bool), ~np.eye(n, dtype=bool)])
    worth = np.concatenate([single, without])
    if n == 2:  # each is all but the other
        members, worth = members[:n], worth[:n]
    nodes = 0
    centre = values.marginal - (values.marginal.sum() - total) / n
    pay, margin = _first(members, worth, total, centre)
    for _ in range(ROUNDS):
        if n == 2:
            return LeastCore(pay, margin, True, nodes)
        late = working_time() > until
        found = separate(
            values,
            pay,
            close_at=-margin,
            tolerance=tolerance,
            until=until,
            first=True,
            node_limit=0 if late else max(node_limit - nodes, 0),
        )
        nodes += found.nodes
        if found.excess <= -margin + tolerance:
            certified = found.bound <= -margin + tolerance
            return LeastCore(pay, margin, bool(certified), nodes)
        if late:
            break
        members = np.concatenate([members, found.members[None, :]])
        worth = np.append(worth, found.value)
        pay, margin = program(members, worth, total, centre)
    return LeastCore(pay, margin, False, nodes)


def _first(members: Flags, worth: Array, total: float, centre: Array) -> tuple[Array, float]:
    """Return ``M - ebar`` and its margin if it is as good as can be, else the program's point."""
    margin = float((members @ centre - worth).min())
    pay, best = program(members, worth, total, centre)
    scale = max(abs(total), float(np.abs(worth).max()), 1e-300)
    return (centre, margin) if margin >= best - 1e-12 * scale else (pay, best)


def program(
    members: Flags, worth: Array, total: float, near: Array | None = None
) -> tuple[Array, float]:
    """Return ``x`` and the largest ``eps`` with ``x(S) >= v(S) + eps`` for the coalitions given.

    Parameters
    ----------
    members, worth
        Shapes ``(K, N)`` and ``(K,)``: the coalitions and their values.
    total
        ``v(N)``: the sum of ``x``.
    near
        Of all ``x`` with that eps, the nearest to this point: there is one only, whatever the order
        of the organizations. Without it, any.
    """
    from scipy.optimize import linprog

    n = members.shape[1]
    scale = max(abs(total), float(np.abs(worth).max()), 1e-300)
    a = members.astype(float)
    columns = np.column_stack([-a, np.ones(len(a))])
    solved = linprog(
        np.append(np.zeros(n), -1.0),
        A_ub=columns,
        b_ub=-worth / scale,
        A_eq=np.append(np.ones(n), 0.0)[None, :],
        b_eq=[total / scale],
        bounds=[(None, None)] * (n + 1),
        method="highs",
        options=EXACT,
    )
    if solved.x is None:
        raise RuntimeError(f"the linear program of the least core failed: {solved.message}")
    margin = float(solved.x[n])
    pay = solved.x[:n]
    if near is not None:
        # The margin that this solution has: with the solver's own, which is exact to its tolerance,
        # no x might be left.
        pay += (total / scale - pay.sum()) / n
        kept = min(margin, float((a @ pay - worth / scale).min()))
        closer = nearest_point(a, worth / scale + kept, total / scale, near / scale)
        pay = pay if closer is None else closer
    # To the last bit: what the program gives is feasible to its tolerance.
    pay = pay * scale
    pay += (total - pay.sum()) / n
    reached = float((a @ pay - worth).min())
    return pay, max(reached, min(margin * scale, reached + 1e-9 * scale))


def cost_of_stability(members: Flags, worth: Array, total: float) -> float:
    """Return the least grant ``g`` with which some ``x``, ``x(N) = v(N) + g``, satisfies all.

    Parameters
    ----------
    members, worth
        Every nonempty coalition but that of all, and its value.
    total
        ``v(N)``.
    """
    from scipy.optimize import linprog

    n = members.shape[1]
    scale = max(abs(total), float(np.abs(worth).max()), 1e-300)
    active = np.flatnonzero(members.sum(axis=1) >= n - 1)
    active = np.union1d(active, np.flatnonzero(members.sum(axis=1) == 1))
    while True:
        solved: Any = linprog(
            np.ones(n),
            A_ub=-members[active].astype(float),
            b_ub=-worth[active] / scale,
            bounds=[(None, None)] * n,
            method="highs",
            options=EXACT,
        )
        short = worth / scale - members @ solved.x
        worst = np.argsort(-short)[:50]
        new = np.setdiff1d(worst[short[worst] > 1e-10], active)
        if not new.size:
            return max(float(solved.fun) * scale - total, 0.0)
        active = np.union1d(active, new)
