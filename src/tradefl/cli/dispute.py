"""``tradefl dispute``: one organization disputes a report."""

from __future__ import annotations

from typing import Annotated

import typer

from tradefl.cli.acting import ChainId, existing_settlement, place_of
from tradefl.cli.options import ContractAddress, File, Keystore, PasswordFile, Rpc
from tradefl.cli.output import say


def dispute(
    file: File,
    organization: Annotated[
        str, typer.Option("--organization", help="Who disputes.", show_default=False)
    ],
    against: Annotated[
        str, typer.Option("--against", help="Whose report, by name.", show_default=False)
    ],
    rpc: Rpc = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    contract: ContractAddress = None,
    chain_id: ChainId = None,
) -> None:
    """Dispute a report, or your own silence: the arbiter rules on it.

    It locks the dispute stake, which is lost if the arbiter upholds the report.

    Example: tradefl dispute consortium.toml --organization Alpha --against Beta --rpc URL
    --keystore alpha
    """
    settlement, [account] = existing_settlement(
        file, rpc, keystore, password_file, contract, chain_id, [organization]
    )
    from tradefl.settlement.disputes import dispute as disputed

    receipt = disputed(settlement, account, place_of(settlement.agreement, "--against", against))
    stake = settlement.agreement.dispute_stake_wei
    say(f"{organization} disputes the report of {against}: stake {stake:,} wei, {receipt.hash}")
