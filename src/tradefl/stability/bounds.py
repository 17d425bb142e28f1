r"""An upper bound on the excess of many coalitions at once, in the literal reading.

A *node* says of each organization whether it is in, out or free, and confines Omega to ``[a, b]``
above the onset of P. Over all coalitions of at least two that it allows, with ``s = P'(b)``,

- ``P(Omega) <= P(b)`` for a member, and for one that is in ``P(b) - s (b - Omega)``, as P is
  concave;
- i's damage per unit of rivals' profitability is ``P(Omega) - P(Omega - x_i)``. In Omega it rises
  up to ``x_i + onset`` and falls from there, so on ``[a, b]`` it is at least its smaller end. With
  ``delta_i = P(b) - P(b - x_i)``, convex in ``x_i``, that is ``delta_i`` while ``a - x_i >=
  onset`` and ``min(P(a), delta_i)`` beyond;
- a free j with ``theta_j = 1`` counts as a rival of i and in the slope of P whether it joins or
  not, and where it stays out it is credited the most that this may have cost:

      y_i y_j delta_i >= y_i delta_i - (1 - y_j) delta_i^max
      y_j (b - Omega) >= (b - Omega) - (1 - y_j) (b - a)

  Any choice of theta is valid; the relaxed membership is a good one;
- a price ``nu`` for ``Omega = sum x_j`` separates the organizations: each takes the best of "out"
  and its data at each level. Any nu is valid; the best is found by bisection.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.solvers.best_response import (
    accuracy_derivative,
    accuracy_inverse,
    accuracy_onset,
    accuracy_value,
)

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
States = npt.NDArray[np.int8]

FREE, IN, OUT = 0, 1, 2
PRICES = 40
PASSES = 4
# The bound is raised by this share of its terms for rounding.
ROUNDING = 1e-14


def best_option(
    accuracy: Any,
    terms: Any,
    i: int,
    weight: float,
    price: float,
    bottom: float,
    low: float,
    high: float,
    edges: Array,
) -> tuple[float, float]:
    """Return the most of ``price x - c_i(x) - weight e_i(x)`` over i's data, and where.

    ``e_i`` is the estimate of its damage; ``edges[k]`` holds ``delta`` and ``P'(b - x)`` at both
    ends of level k.
    """
    onset = accuracy_onset(accuracy)
    best, at = -np.inf, 0.0
    for k in range(terms.last[i] + 1):
        begin = terms.least[i] if k == 0 else terms.reach[i, k - 1]
        end = min(terms.reach[i, k], high)
        if end < begin:
            if k > 0:
                break
            return -np.inf, 0.0
        net = price - terms.price[i, k]
        # Beyond a - onset the estimate is at most P(a), whatever x.
        if end > low - onset:
            x = end if net > 0.0 else begin
            value = net * x - weight * bottom
            if value > best:
                best, at = value, x
        stop = min(end, high - onset)
        if stop < begin:
            continue
        at_begin = net - weight * edges[i, k, 1]
        if at_begin <= 0.0:
            x, damage = begin, edges[i, k, 0]
        elif stop == end and net - weight * edges[i, k, 3] >= 0.0:
            x, damage = end, edges[i, k, 2]
        else:
            x = stop
            if weight > 0.0:
                x = min(max(high - accuracy_inverse(accuracy, net / weight), begin), stop)
            damage = accuracy_value(accuracy, high) - accuracy_value(accuracy, high - x)
        value = net * x - weight * damage
        if value > best:
            best, at = value, x
    return best, at


def priced(
    accuracy: Any,
    terms: Any,
    pay: Array,
    states: States,
    weight: Array,
    credit: Array,
    price: float,
    fixed: float,
    bottom: float,
    top: float,
    low: float,
    high: float,
    edges: Array,
    inside: Flags,
    x: Array,
    margin: Array,
) -> tuple[float, float]:
    """Return the separable bound at a price on data without the charge for Omega, and ``sum x``.

    ``inside``, ``x`` and ``margin`` (what being in adds for each) are filled in.
    """
    n = states.size
    total, data = fixed, 0.0
    count, first, second, one, other = 0, -np.inf, -np.inf, -1, -1
    for i in range(n):
        inside[i] = False
        margin[i] = 0.0
        if states[i] == OUT:
            continue
        value, x[i] = best_option(accuracy, terms, i, weight[i], price, bottom, low, high, edges)
        value -= terms.fixed[i] + pay[i]
        if states[i] == IN:
            total += value
            data += x[i]
            inside[i] = True
            count += 1
            continue
        value += terms.profitability[i] * top - credit[i]
        margin[i] = value
        total += credit[i]
        if value > 0.0:
            total += value
            data += x[i]
            inside[i] = True
            count += 1
        elif value > first:
            second, other = first, one
            first, one = value, i
        elif value > second:
            second, other = value, i
    # At least two: the organization that costs least to take in joins.
    if count < 2 and one >= 0:
        total += first
        data += x[one]
        inside[one] = True
        count += 1
        if count < 2 and other >= 0:
            total += second
            data += x[other]
            inside[other] = True
            count += 1
    if count < 2:
        return -np.inf, data
    return total, data


def node_bound(
    accuracy: Any,
    terms: Any,
    pay: Array,
    states: States,
    guess: Flags,
    low: float,
    high: float,
    inside: Flags,
    x: Array,
    margin: Array,
) -> tuple[float, float, float, float]:
    """Bound the excess of a node, and say where its relaxed solution is.

    Parameters
    ----------
    accuracy, terms, pay
        P, the game, and the split that is tested.
    states
        ``IN``, ``OUT`` or ``FREE``, shape ``(N,)``.
    guess
        The first theta.
    low, high
        The interval of Omega, above the onset.
    inside, x, margin
        Filled in: the relaxed membership and data of the best bound, and for each free
        organization by how much being in is better than being out.

    Returns
    -------
    tuple
        The bound (``-inf`` if no coalition is there); the excess of the relaxed solution as it
        is; what the bound promises because the interval is wide; and its Omega.
    """
    n, m = terms.reach.shape
    onset = accuracy_onset(accuracy)
    least, most = 0.0, 0.0
    for i in range(n):
        if states[i] == IN:
            least += terms.least[i]
        if states[i] != OUT:
            most += terms.reach[i, terms.last[i]]
    low, high = max(low, least, onset), min(high, most)
    if low > high:
        return -np.inf, -np.inf, 0.0, high
    top, bottom = accuracy_value(accuracy, high), accuracy_value(accuracy, low)
    steep = accuracy_derivative(accuracy, high)

    edges = np.zeros((n, m, 4))
    largest = np.zeros(n)  # the most of each one's estimated damage
    size = 0.0
    for i in range(n):
        if states[i] == OUT:
            continue
        for k in range(terms.last[i] + 1):
            begin = terms.least[i] if k == 0 else terms.reach[i, k - 1]
            end = min(terms.reach[i, k], high)
            if end < begin:
                break
            edges[i, k, 0] = top - accuracy_value(accuracy, max(high - begin, 0.0))
            edges[i, k, 1] = accuracy_derivative(accuracy, max(high - begin, onset))
            edges[i, k, 2] = top - accuracy_value(accuracy, max(high - end, 0.0))
            edges[i, k, 3] = accuracy_derivative(accuracy, max(high - end, onset))
            largest[i] = edges[i, k, 2]
            if end > low - onset:
                largest[i] = min(largest[i], bottom)
        size += terms.profitability[i] * top + abs(pay[i]) + terms.fixed[i]

    counted, weight, credit = np.zeros(n), np.empty(n), np.zeros(n)
    own_inside, own_x, own_margin = np.zeros(n, dtype=np.bool_), np.zeros(n), np.zeros(n)
    for i in range(n):
        own_inside[i] = guess[i]
    held, used = np.zeros(n), np.zeros(n)
    bound = np.inf
    for _ in range(PASSES):
        slope, fixed = 0.0, 0.0
        for j in range(n):
            counted[j] = 0.0
            if states[j] == IN or (states[j] == FREE and own_inside[j]):
                counted[j] = terms.profitability[j]
                slope += counted[j] * steep
                fixed -= counted[j] * steep * high
            if states[j] == IN:
                fixed += terms.profitability[j] * top
        for i in range(n):
            weight[i], credit[i] = 0.0, 0.0
            if states[i] == OUT:
                continue
            for j in range(n):
                weight[i] += terms.rho[i, j] * counted[j]
            if states[i] == FREE and counted[i] > 0.0:
                owed = 0.0
                for j in range(n):
                    if states[j] != OUT:
                        owed += terms.rho[i, j] * largest[j]
                credit[i] = terms.profitability[i] * (owed + steep * (high - low))
        improved = False
        left, right, nu = -np.inf, np.inf, 0.0
        step = slope + 1e-300
        for i in range(n):
            if states[i] != OUT:
                step = max(step, terms.price[i, terms.last[i]])
        for _ in range(PRICES):
            value, data = priced(
                accuracy, terms, pay, states, weight, credit, slope + nu, fixed,
                bottom, top, low, high, edges, own_inside, own_x, own_margin,
            )  # fmt: skip
            if value == -np.inf:
                return -np.inf, -np.inf, 0.0, high
            value -= nu * (low if nu >= 0.0 else high)
            if value < bound - 1e-13 * size:
                improved = True
            if value < bound:
                bound = value
                for i in range(n):
                    inside[i], x[i], margin[i] = own_inside[i], own_x[i], own_margin[i]
                    held[i], used[i] = weight[i], counted[i]
            # The bound is convex in nu; its slope is the data chosen less the end that is charged.
            if nu == 0.0 and low <= data <= high:
                break
            if data > (low if nu > 0.0 or (nu == 0.0 and data < low) else high):
                right = nu
            else:
                left = nu
            if right == np.inf:
                nu = nu + step
                step *= 4.0
            elif left == -np.inf:
                nu = nu - step
                step *= 4.0
            else:
                if (right - left) * (high - low + high * 1e-3) < 1e-12 * size:
                    break
                nu = 0.5 * (left + right)
            if abs(nu) > 1e300:
                break
        if not improved:
            break
        for i in range(n):
            own_inside[i] = inside[i]

    # What the relaxed solution is worth as it is, and what the width of the interval promises
    # beyond that.
    omega = 0.0
    for i in range(n):
        if inside[i]:
            omega += x[i]
    together = accuracy_value(accuracy, omega)
    within = min(max(omega, low), high)
    at_within = accuracy_value(accuracy, within)
    truth, by_width = 0.0, 0.0
    for i in range(n):
        if not inside[i]:
            if used[i] > 0.0:
                by_width += used[i] * steep * (within - low)
            continue
        rivals = 0.0
        for j in range(n):
            if inside[j]:
                rivals += terms.rho[i, j] * terms.profitability[j]
        lost = rivals * (together - accuracy_value(accuracy, max(omega - x[i], 0.0)))
        k = 0
        while k < terms.last[i] and terms.reach[i, k] < x[i]:
            k += 1
        truth += terms.profitability[i] * together - lost - terms.price[i, k] * x[i]
        truth -= terms.fixed[i] + pay[i]
        estimate = top - accuracy_value(accuracy, max(high - x[i], 0.0))
        if x[i] > low - onset:
            estimate = min(estimate, bottom)
        damage = at_within - accuracy_value(accuracy, max(within - x[i], 0.0))
        by_width += held[i] * max(damage - estimate, 0.0)
        by_width += terms.profitability[i] * (top - at_within)
        by_width -= used[i] * steep * (high - within)
    return bound + ROUNDING * size, truth, by_width, omega


def many_bounds(
    begin: int,
    end: int,
    accuracy: Any,
    terms: Any,
    pay: Array,
    states: States,
    guess: Flags,
    interval: Array,
    inside: Flags,
    x: Array,
    margin: Array,
    found: Array,
) -> None:
    """Bound each node; all arrays have a row a node, ``found`` the four results."""
    for s in range(begin, end):
        bound, truth, by_width, omega = node_bound(
            accuracy, terms, pay, states[s], guess[s], interval[s, 0], interval[s, 1],
            inside[s], x[s], margin[s],
        )  # fmt: skip
        found[s, 0], found[s, 1], found[s, 2], found[s, 3] = bound, truth, by_width, omega
