"""``tradefl consent``: an organization consents to end a settlement without payments."""

from __future__ import annotations

from typing import Annotated

from tradefl.cli.acting import existing_settlement
from tradefl.cli.declaring import Option
from tradefl.cli.options import (
    ChainId,
    ContractAddress,
    File,
    Keystore,
    MaxFee,
    MaxPriorityFee,
    MaxTotalFee,
    Nodes,
    PasswordFile,
    StateFolder,
    fee_caps,
)
from tradefl.cli.output import note, say


def consent(
    file: File,
    organization: Annotated[
        list[str],
        Option("--organization", help="Who consents; repeat it, or all.", show_default=False),
    ],
    rpc: Nodes = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    contract: ContractAddress = None,
    chain_id: ChainId = None,
    max_fee: MaxFee = None,
    max_priority_fee: MaxPriorityFee = None,
    max_total_fee: MaxTotalFee = None,
    state: StateFolder = None,
) -> None:
    """Consent to end a settlement; once all have, every deposit returns. It cannot be taken back.

    Example: tradefl consent consortium.toml --organization Alpha --rpc URL --keystore alpha
    """
    settlement, accounts = existing_settlement(
        file,
        rpc,
        keystore,
        password_file,
        contract,
        chain_id,
        organization,
        fee_caps(max_fee, max_priority_fee, max_total_fee),
        state,
    )
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
