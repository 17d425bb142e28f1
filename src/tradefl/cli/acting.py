"""Who acts on a chain, and what it commits to: options and printing that several commands share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tradefl.cli.declaring import Option
from tradefl.cli.options import (
    ChainId,
    ContractAddress,
    Keystore,
    MaxFee,
    MaxPriorityFee,
    MaxTotalFee,
    Nodes,
    PasswordFile,
    StateFolder,
    fee_caps,
    password_prompt,
)
from tradefl.cli.output import note, warn
from tradefl.consortium import load
from tradefl.consortium.schema import suggestion
from tradefl.errors import InputError

if TYPE_CHECKING:
    from tradefl.settlement.agreement import Agreement
    from tradefl.settlement.chains.fees import FeeCaps
    from tradefl.settlement.settle import Settlement

MaxDeposit = Annotated[
    int | None,
    Option(
        "--max-deposit",
        min=0,
        help="The most that an organization deposits, wei; default: bond and dispute stake.",
        show_default=False,
    ),
]


def print_signed(facts: Sequence[tuple[str, str]]) -> None:
    """Print what first deposits commit to."""
    warn("what a deposit signs:")
    width = max(len(label) for label, _ in facts)
    for label, text in facts:
        warn(f"  {label:<{width}}  {text}")


@dataclasses.dataclass(frozen=True)
class Access:
    """Where a settlement is, and with which keys and caps a command acts on it."""

    rpc: Nodes = None
    keystore: Keystore = None
    password_file: PasswordFile = None
    contract: ContractAddress = None
    chain_id: ChainId = None
    max_fee: MaxFee = None
    max_priority_fee: MaxPriorityFee = None
    max_total_fee: MaxTotalFee = None
    state: StateFolder = None

    @property
    def caps(self) -> FeeCaps:
        """The most to spend on fees, in wei."""
        return fee_caps(self.max_fee, self.max_priority_fee, self.max_total_fee)


def existing_settlement(
    file: Path, access: Access, organizations: Sequence[str], *, arbiter: bool = False
) -> tuple[Settlement, tuple[str, ...]]:
    """Return the settlement of a file that is on a node's chain, and the accounts that act."""
    from tradefl.settlement.ethereum import settlement_extra

    with settlement_extra("a settlement's calls"):
        from tradefl.settlement.accounts import on_node
        from tradefl.settlement.ethereum import parsed_address

    if not access.rpc:
        raise InputError.at("--rpc", "is needed (or $TRADEFL_RPC): the settlement is on a chain")
    contract = access.contract
    if contract is not None:
        contract = parsed_address("--contract", contract)
    parties = on_node(
        load(file),
        access.rpc,
        contract=contract,
        keystore=access.keystore,
        password_file=access.password_file,
        prompt=lambda: password_prompt(access.keystore),
        expected_chain_id=access.chain_id,
        organizations=organizations,
        arbiter=arbiter,
        caps=access.caps,
        state=access.state,
    )
    settlement = parties.existing(contract)
    note(f"contract {settlement.contract} on {settlement.chain.place}")
    return settlement, parties.accounts


def place_of(agreement: Agreement, option: str, name: str) -> str:
    """Return the account of an organization that an option names."""
    if name not in agreement.names:
        what = f"no organization {name!r} in the agreement{suggestion(name, agreement.names)}"
        raise InputError.at(option, what)
    return agreement.addresses[agreement.names.index(name)]
