"""``tradefl dispute``: one organization disputes a report."""

from __future__ import annotations

from typing import Annotated

from tradefl.cli.acting import existing_settlement, place_of
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
from tradefl.cli.output import say


def dispute(
    file: File,
    organization: Annotated[
        str, Option("--organization", help="Who disputes.", show_default=False)
    ],
    against: Annotated[str, Option("--against", help="Whose report, by name.", show_default=False)],
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
    """Dispute a report, or your own silence: the arbiter rules on it.

    It locks the dispute stake, which is lost if the arbiter upholds the report.

    Example: tradefl dispute consortium.toml --organization Alpha --against Beta --rpc URL
    --keystore alpha
    """
    settlement, [account] = existing_settlement(
        file,
        rpc,
        keystore,
        password_file,
        contract,
        chain_id,
        [organization],
        fee_caps(max_fee, max_priority_fee, max_total_fee),
        state,
    )
    from tradefl.settlement.disputes import dispute as disputed

    receipt = disputed(settlement, account, place_of(settlement.agreement, "--against", against))
    stake = settlement.agreement.dispute_stake_wei
    say(f"{organization} disputes the report of {against}: stake {stake:,} wei, {receipt.hash}")
