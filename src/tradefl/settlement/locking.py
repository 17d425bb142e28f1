"""What a bond costs its organization: how much is locked, for how long, at which interest."""

from __future__ import annotations

import dataclasses

from tradefl.settlement.agreement import Agreement

YEAR_SECONDS = 365 * 86_400


@dataclasses.dataclass(frozen=True)
class Locking:
    """What the bonds of an agreement cost.

    Attributes
    ----------
    seconds
        How long a bond is locked at most, from the first deposit to the end of all windows,
        without the blocks that close them.
    interest_rate
        A year's interest, as a fraction.
    costs
        Payoff, for each organization: the bond times the rate times that part of a year.
    """

    seconds: int
    interest_rate: float
    costs: tuple[float, ...]


def locking(agreement: Agreement, interest_rate: float) -> Locking:
    """Return what the bonds of an agreement cost at an interest rate.

    Rulings have a window only where the agreement names an arbiter.

    Raises
    ------
    ValueError
        The rate is not a number >= 0.
    """
    if not 0.0 <= interest_rate < float("inf"):
        raise ValueError(f"interest_rate: expected a number >= 0, got {interest_rate!r}")
    seconds = agreement.join_seconds + agreement.report_seconds
    if agreement.has_arbiter:
        seconds += agreement.dispute_seconds + agreement.ruling_seconds
    share = interest_rate * seconds / YEAR_SECONDS
    costs = tuple(share * bond / agreement.wei_per_payoff for bond in agreement.bonds)
    return Locking(seconds, interest_rate, costs)
