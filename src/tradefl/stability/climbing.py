r"""The strongest coalition that local search finds: membership, level and data at once.

Each organization in turn takes the better of "out" and its best data inside, given the others. What
it ends at is a coalition with an excess that is at least what it says; nothing is proven about the
others. It is where branch and bound (:mod:`tradefl.stability.separation`) starts from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.stability.ascent import ascend, best_data, value_at, weights

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

ROUNDS = 60


def climb(
    accuracy: Any, terms: Any, pay: Array, inside: Flags, x: Array, w: Array, market: bool
) -> float:
    """Change the coalition and its data in place while that helps; return the excess.

    At least two organizations stay inside and one outside.
    """
    n = inside.size
    together = weights(terms, inside, market, w)
    excess = ascend(accuracy, terms, inside, x, w, together)
    count = 0
    for i in range(n):
        if inside[i]:
            count += 1
            excess -= pay[i]
    for _ in range(ROUNDS):
        moved = False
        for i in range(n):
            if inside[i]:
                if count <= 2:
                    continue
                inside[i] = False
                together = weights(terms, inside, market, w)
                other = value_at(accuracy, terms, inside, x, w, together)
                for j in range(n):
                    if inside[j]:
                        other -= pay[j]
                step, to = -1, x[i]
            else:
                if count >= n - 1:
                    continue
                inside[i] = True
                together = weights(terms, inside, market, w)
                _, to = best_data(accuracy, terms, inside, x, w, together, i)
                before = x[i]
                x[i] = to
                other = value_at(accuracy, terms, inside, x, w, together)
                x[i] = before
                for j in range(n):
                    if inside[j]:
                        other -= pay[j]
                step = 1
            if other > excess + 1e-13 * abs(excess):
                excess, count, moved = other, count + step, True
                x[i] = to
            else:
                inside[i] = not inside[i]
        together = weights(terms, inside, market, w)
        after = ascend(accuracy, terms, inside, x, w, together)
        for j in range(n):
            if inside[j]:
                after -= pay[j]
        if not moved:
            return max(after, excess)
        excess = max(after, excess)
    return excess


def many_climbs(
    begin: int,
    end: int,
    accuracy: Any,
    terms: Any,
    pay: Array,
    market: bool,
    members: Flags,
    start: Array,
    excess: Array,
) -> None:
    """Climb from each coalition; ``members``, shape ``(K, N)``, become what is reached."""
    n = members.shape[1]
    w, x = np.empty(n), np.empty(n)
    for s in range(begin, end):
        for i in range(n):
            x[i] = start[i]
        excess[s] = climb(accuracy, terms, pay, members[s], x, w, market)
