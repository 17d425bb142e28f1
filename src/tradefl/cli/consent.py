"""``tradefl consent``: an organization consents to end a settlement without payments."""

from __future__ import annotations

from typing import Annotated

from tradefl.cli.acting import Access, existing_settlement
from tradefl.cli.declaring import Option
from tradefl.cli.options import File
from tradefl.cli.output import note, say


def consent(
    file: File,
    organization: Annotated[
        list[str],
        Option("--organization", help="Who consents; repeat it, or all.", show_default=False),
    ],
    *,
    access: Access,
) -> None:
    """Consent to end a settlement; once all have, every deposit returns. It cannot be taken back.

    Example: tradefl consent consortium.toml --organization Alpha --rpc URL --keystore alpha
    """
    settlement, accounts = existing_settlement(file, access, organization)
    from tradefl.settlement.disputes import consent as consented

    names = dict(zip(settlement.agreement.addresses, settlement.agreement.names, strict=True))
    missing = len(accounts)
    for account in accounts:
        receipt, missing = consented(settlement, account)
        say(f"{names[account]} consents to end the settlement: {receipt.hash}")
    if missing:
        note(f"{missing:,} have not consented; until they have, the settlement goes on")
    else:
        note("everybody has consented: cancelled; tradefl settle withdraws the deposits")
