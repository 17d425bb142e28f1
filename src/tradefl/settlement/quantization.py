r"""How far the contract's integers can be from the real-valued redistribution.

Rounding gamma, rho, the data sizes, lambda and the levels is known once the agreement is made;
rounding a data fraction moves it by at most half a ppb; each payment is cut by less than one
wei. With ``g r D`` the exact product of a pair, ``D = |X_i - X_j|``, and ``e`` the error of each
factor, the product is off by at most ``g r e_D + g e_r (D + e_D) + e_g (r + e_r) (D + e_D)``.

Under the efficient rule a value and a constant are each off by at most half a wei and what the
decimal number differs from its double, a value between breakpoints is rounded down to a wei, and
a ppb of data, up to which a share counts as the next breakpoint, moves it by the steepest slope.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tradefl.settlement.agreement import Agreement

if TYPE_CHECKING:
    from tradefl.consortium import Consortium


def quantization_bounds(consortium: Consortium, agreement: Agreement) -> list[int]:
    """Return, for each organization, the most that ``R_i`` can differ from Eq. (10), wei.

    It holds for every feasible profile against Eq. (10) in exact arithmetic, and against the
    statement's lines in double precision. Where competition comes by sectors with exceptions of
    zero, the sum that a solution reports carries a rounding of its own, which is not in it.
    """
    bounds = agreement.rule.bounds(consortium, agreement)
    return [math.ceil(bound * (1.0 + 1e-9)) for bound in bounds.tolist()]
