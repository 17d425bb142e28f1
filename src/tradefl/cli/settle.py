"""``tradefl settle``: the compensation, carried out on a chain."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from tradefl.cli.acting import MaxDeposit, print_signed
from tradefl.cli.declaring import Option
from tradefl.cli.options import (
    RPC_VARIABLE,
    ChainId,
    ContractAddress,
    File,
    FromBlock,
    Json,
    Keystore,
    MaxFee,
    MaxPriorityFee,
    MaxTotalFee,
    Method,
    Nodes,
    OneOf,
    Organizations,
    PasswordFile,
    StateFolder,
    fee_caps,
    from_variable,
    password_prompt,
)
from tradefl.cli.output import (
    answer,
    note,
    print_facts,
    print_json,
    print_table,
    require_distinct,
    require_writable,
    say,
    status,
    write_json,
)
from tradefl.consortium import load
from tradefl.errors import InputError
from tradefl.solvers import DEFAULT_METHOD
from tradefl.statement import money

if TYPE_CHECKING:
    from tradefl.settlement.audit import Audit
    from tradefl.settlement.settle import Progress, Settlement
    from tradefl.settlement.state import State

POLL_SECONDS = 2.0
RECEIPTS = 100  # rows of the table; --json has them all


def settle(
    file: File,
    profile: Annotated[
        Path | None,
        Option(
            "--profile",
            help="Settle the contributions of this solution or training document; default: solve.",
        ),
    ] = None,
    method: Method = DEFAULT_METHOD,
    rpc: Nodes = None,
    contract: ContractAddress = None,
    accounts: Annotated[
        str | None,
        Option(
            "--accounts",
            help="unlocked: the accounts that a development node signs for; the default.",
            type=OneOf(["unlocked"]),
        ),
    ] = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    attestations: Annotated[
        Path | None,
        Option("--attestations", help="JSON: the verifier's signature by organization."),
    ] = None,
    chain_id: ChainId = None,
    max_fee: MaxFee = None,
    max_priority_fee: MaxPriorityFee = None,
    max_total_fee: MaxTotalFee = None,
    state_folder: StateFolder = None,
    confirmations: Annotated[
        int | None,
        Option("--confirmations", min=0, help="Blocks on top before a step counts; 0."),
    ] = None,
    timeout: Annotated[
        float | None,
        Option(
            "--timeout",
            type=click.FloatRange(0.0, 86_400.0, min_open=True),
            help="Seconds to wait for the node, and for each transaction; 120.",
        ),
    ] = None,
    organization: Organizations = None,
    max_deposit: MaxDeposit = None,
    payout: Annotated[
        str | None,
        Option("--payout", help="Withdraw to this address.", show_default=False),
    ] = None,
    wait: Annotated[
        bool, Option("--wait", help="Stay until the others have done their part.")
    ] = False,
    report: Annotated[
        bool,
        Option(
            "--report/--no-report",
            help="Report the contributions, or leave that to the agents of a negotiation.",
            show_default=False,
        ),
    ] = True,
    from_block: FromBlock = 0,
    as_json: Json = False,
    output: Annotated[
        Path | None, Option("--output", "-o", help="Write the JSON document here too.")
    ] = None,
) -> None:
    """Deploy or find the contract, and do every step that is due; cut off, it continues.

    Without --rpc all of it happens on an embedded chain. The settlement is audited at the end.

    Example: tradefl settle examples/drug_discovery.toml
    Example: tradefl settle consortium.toml --rpc http://127.0.0.1:8545 --keystore keys/
    """
    from tradefl.settlement.ethereum import settlement_extra

    with settlement_extra("tradefl settle"):
        from tradefl.settlement.ethereum import parsed_address
        from tradefl.settlement.settling import settle as settled

    _require_rpc(
        rpc,
        {
            "--contract": contract,
            "--accounts": accounts,
            "--keystore": keystore,
            "--password-file": password_file,
            "--attestations": attestations,
            "--chain-id": chain_id,
            "--confirmations": confirmations,
            "--timeout": timeout,
            "--wait": wait or None,
            "--no-report": None if report else True,
            "--from-block": from_block or None,
            "--organization": organization or None,
            "--max-deposit": max_deposit,
            "--payout": payout,
            "--max-fee": max_fee,
            "--max-priority-fee": max_priority_fee,
            "--max-total-fee": max_total_fee,
            "--state": state_folder,
        },
    )
    if profile is not None and not report:
        raise InputError.at("--profile", "cannot be combined with --no-report")
    if password_file is not None and keystore is None:
        raise InputError.at("--password-file", "needs --keystore")
    if output is not None:
        require_writable(output)
    require_distinct({"FILE": file, "--profile": profile, "--output": output})
    if keystore is not None and accounts is not None:
        raise InputError.at("--accounts", "cannot be combined with --keystore")
    if contract is not None:
        contract = parsed_address("--contract", contract)
    if rpc and from_variable("rpc"):
        note(f"${RPC_VARIABLE} names the node; without it this would be on an embedded chain")
    with status(f"settling {file}") as show:
        done = settled(
            load(file),
            profile,
            method=method,
            report=report,
            rpc=rpc,
            contract=contract,
            keystore=keystore,
            password_file=password_file,
            password=lambda: password_prompt(keystore),
            organizations=organization or (),
            attestations=attestations,
            max_deposit=max_deposit,
            payout=payout,
            chain_id=chain_id,
            caps=fee_caps(max_fee, max_priority_fee, max_total_fee) if rpc else None,
            state=state_folder,
            confirmations=confirmations or 0,
            timeout=timeout or 120.0,
            first_block=from_block,
            sign=print_signed,
            started=_print_contract if rpc else lambda _: None,
            watch=lambda step: show(progress_text(step)),
            wait=lambda settlement, until, state: wait and _wait(settlement, until, state, show),
        )
    for text in done.notes:
        note(text)
    document, settlement = done.to_dict(), done.settlement
    if output is not None:
        write_json(document, output, private=True)
    if as_json:
        print_json(document)
    else:
        print_settlement(settlement, document, done.audit)
    if not _finished(settlement, done.state) or not done.audit.agrees:
        raise click.exceptions.Exit(1)


def _print_contract(settlement: Settlement) -> None:
    """Print the contract that a verifier signs for."""
    if settlement.agreement.has_verifier:
        note(f"contract {settlement.contract}")


def _require_rpc(rpc: Sequence[str] | None, options: dict[str, object]) -> None:
    if not rpc:
        for option, value in options.items():
            if value is not None:
                what = "requires --rpc: an embedded chain exists only within one run"
                raise InputError.at(option, what)


def progress_text(progress: Progress) -> str:
    """Say which step was done, and by whom."""
    who = f" by {progress.organization}" if progress.organization else ""
    return f"{progress.step.call}{who}"


def _wait(settlement: Settlement, until: int | None, state: State, show: Any) -> bool:
    if state.phase.final:
        return False
    show(_waiting(settlement, until, state))
    time.sleep(POLL_SECONDS)
    return True


def _waiting(settlement: Settlement, until: int | None, state: State) -> str:
    from tradefl.settlement.steps import closing_until

    names = settlement.waiting_for(state)
    who = f" for {', '.join(names)}" if names else ""
    last = closing_until(settlement.agreement, state)
    when = (
        "" if until is None else f", until {datetime.fromtimestamp(until, UTC):%F %T} UTC at most"
    )
    if last is not None:
        when = f", up to block {last:,}; the chain is at {state.block:,}"
    return f"phase {state.phase.name.lower()}: waiting{who}{when}"


def _finished(settlement: Settlement, state: State) -> bool:
    """Tell whether it is settled and everybody here has its money; say what is missing."""
    from tradefl.settlement.contract import Phase
    from tradefl.settlement.steps import deadline

    if state.phase == Phase.SETTLED:
        left = settlement.waiting_for(state)
        if left:
            note(f"settled; not yet withdrawn: {', '.join(left)}")
        return True
    if state.phase == Phase.CANCELLED:
        everybody = state.consents == len(settlement.agreement)
        why = "everybody has consented" if everybody else "not everybody joined in time"
        answer(f"cancelled: {why}; the deposits go back")
        return False
    answer(_waiting(settlement, deadline(settlement.agreement, state), state))
    answer("run the same command again: it continues from the state of the chain")
    return False


def print_settlement(settlement: Settlement, document: dict[str, Any], verdict: Audit) -> None:
    """Print who was paid, in money where there is a currency; the receipts; and the audit."""
    code = document.get("currency")
    unit = Fraction(document["payoff_unit"]) if code else Fraction(0)

    def amounts(values: list[int]) -> list[str]:
        cells = []
        for value in values:
            if code:
                amount = Fraction(value, settlement.agreement.wei_per_payoff) * unit
                cells.append(money(float(amount), 2))
            cells.append(f"{value:,}")
        return cells

    keys = ("deposit_wei", "redistribution_wei", "withdrawn_wei")
    headings = []
    for key in keys:
        name = key.removesuffix("_wei")
        headings += ([f"{name} ({code})"] if code else []) + [f"{name} (wei)"]
    say(f"{document['consortium']}: settlement on {settlement.chain.place}\n")
    rows = document["organizations"]
    print_table(
        [
            "organization",
            "d (ppb)",
            "f (Hz)",
            *headings,
        ],
        [
            [
                row["name"],
                f"{row['data_ppb']:,}",
                f"{int(row['cpu_hz']):,}",
                *amounts([int(row[key]) for key in keys]),
            ]
            for row in rows
        ],
        footer=[
            "sum",
            "",
            "",
            *amounts([sum(int(row[key]) for row in rows) for key in keys]),
        ],
    )
    say("Receipts")
    print_table(
        ["call", "organization", "transaction", "block", "gas"],
        [
            [
                transaction["call"],
                transaction["organization"] or "",
                transaction["hash"],
                str(transaction["block"]),
                f"{transaction['gas']:,}",
            ]
            for transaction in document["transactions"]
        ],
        footer=["sum", "", "", "", f"{document['gas_used']:,}"],
        left=(0, 1, 2),
        limit=RECEIPTS,
    )
    print_facts(
        [
            ("chain id", str(document["chain_id"])),
            ("contract", document["contract"]),
            ("agreement", document["agreement_hash"]),
            ("phase", document["phase"]),
            ("audit", verdict.sentence),
        ]
    )
    for difference in verdict.differences:
        say(f"  {difference}")
