"""``tradefl dispute``: one organization disputes a report."""

from __future__ import annotations

from typing import Annotated

from tradefl.cli.acting import Access, existing_settlement, place_of
from tradefl.cli.declaring import Option
from tradefl.cli.options import File
from tradefl.cli.output import say


def dispute(
    file: File,
    organization: Annotated[
        str, Option("--organization", help="Who disputes.", show_default=False)
    ],
    against: Annotated[str, Option("--against", help="Whose report, by name.", show_default=False)],
    *,
    access: Access,
) -> None:
    """Dispute a report, or your own silence: the arbiter rules on it.

    It locks the dispute stake, which is lost if the arbiter upholds the report.

    Example: tradefl dispute consortium.toml --organization Alpha --against Beta --rpc URL
    --keystore alpha
    """
    settlement, [account] = existing_settlement(file, access, [organization])
    from tradefl.settlement.disputes import dispute as disputed

    receipt = disputed(settlement, account, place_of(settlement.agreement, "--against", against))
    stake = settlement.agreement.dispute_stake_wei
    say(f"{organization} disputes the report of {against}: stake {stake:,} wei, {receipt.hash}")
