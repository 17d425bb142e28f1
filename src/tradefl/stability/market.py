r"""The market reading: outsiders train too, and their models cost the members.

``A(S)`` is what S earns together in the market (:mod:`tradefl.game.participation`). With outsiders
that end up with models of performance ``q_j``,

    e(S) = A(S) - sum_{i in S, j not in S} rho_ij p_j q_j.

Nothing that S does changes ``q_j``: no term of S enters an outsider's marginal. Outsiders stay
*together*, with q at the optimum of their own A, or train each *alone*.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from tradefl.stability.values import Values

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Outsiders = Literal["together", "alone"]

OUTSIDERS: tuple[Outsiders, ...] = get_args(Outsiders)


def market_values(
    values: Values, members: Flags, outsiders: Outsiders = "together"
) -> tuple[Array, Array]:
    """Return ``e(S)`` of each coalition and an upper bound on it, shapes ``(K,)``.

    Parameters
    ----------
    values
        The values of the market reading.
    members
        Shape ``(K, N)``: the coalitions.
    outsiders
        Whether those outside train together or each alone.
    """
    if outsiders not in OUTSIDERS:
        expected = " or ".join(OUTSIDERS)
        raise ValueError(f"outsiders: expected {expected}, got {outsiders!r}")
    worth, bound = values.of(members)
    cost = externalities(values, members, outsiders)
    return worth - cost, bound - cost


def externalities(values: Values, members: Flags, outsiders: Outsiders) -> Array:
    """Return ``sum_{i in S, j not in S} rho_ij p_j q_j`` of each coalition, shape ``(K,)``."""
    members = np.asarray(members, dtype=bool)
    q = np.broadcast_to(values.alone.performance, members.shape)
    if outsiders == "together":
        several = np.flatnonzero((~members).sum(axis=1) > 1)
        theirs = np.zeros(len(members))
        if several.size:
            theirs[several] = values.performance_of(~members[several])
        chosen = np.zeros(len(members), dtype=bool)
        chosen[several] = True
        q = np.where(chosen[:, None], theirs[:, None], q)
    harmful = np.where(members, 0.0, values.game.profitability * q)
    return np.asarray(((harmful @ values.terms.rho) * members).sum(axis=1))
