"""``tradefl settle``: the compensation, carried out on a chain."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from tradefl.cli.acting import MaxDeposit, commit
from tradefl.cli.declaring import Option
from tradefl.cli.options import (
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
    password_prompt,
)
from tradefl.cli.output import (
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
from tradefl.consortium import Consortium, load
from tradefl.consortium.files import read_json
from tradefl.errors import InputError
from tradefl.solvers import DEFAULT_METHOD

if TYPE_CHECKING:
    from tradefl.settlement.accounts import Parties
    from tradefl.settlement.agreement import Agreement
    from tradefl.settlement.attestation import Attestation
    from tradefl.settlement.audit import Audit
    from tradefl.settlement.settle import Attest, Progress, Settlement, State

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
    from tradefl.settlement.agreement import settlement_extra

    with settlement_extra("tradefl settle"):
        from tradefl.settlement.accounts import embedded, on_node
        from tradefl.settlement.agreement import parsed_address

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
        raise InputError.at("--profile", "cannot stand beside --no-report")
    if password_file is not None and keystore is None:
        raise InputError.at("--password-file", "needs --keystore")
    if output is not None:
        require_writable(output)
    require_distinct({"FILE": file, "--profile": profile, "--output": output})
    if keystore is not None and accounts is not None:
        raise InputError.at("--accounts", "cannot stand beside --keystore")
    if contract is not None:
        contract = parsed_address("--contract", contract)
    if payout is not None:
        if not re.fullmatch(r"0x[0-9a-fA-F]{40}", payout) or int(payout, 16) == 0:
            what = f"expected 0x and 40 hexadecimal digits, not all zero, got {payout!r}"
            raise InputError.at("--payout", what)
        payout = parsed_address("--payout", payout)
    with status(f"settling {file}") as show:
        consortium = load(file)
        parties: Parties
        if not rpc:
            parties = embedded(consortium)
        else:
            parties = on_node(
                consortium,
                rpc,
                contract=contract,
                keystore=keystore,
                password_file=password_file,
                prompt=lambda: password_prompt(keystore),
                expected_chain_id=chain_id,
                confirmations=confirmations or 0,
                timeout=timeout or 120.0,
                first_block=from_block,
                organizations=organization or (),
                caps=fee_caps(max_fee, max_priority_fee, max_total_fee),
                state=state_folder,
            )
        reports = _reports(consortium, parties.agreement, profile, method) if report else {}
        attest, serials = _attestations(attestations, parties.agreement)
        if rpc:
            commit(parties.chain, parties.agreement, parties.accounts, max_deposit)
        if payout == parties.agreement.vault:
            raise InputError.at("--payout", "expected another address than that of the vault")
        settlement = parties.settlement(
            reports,
            attest,
            watch=lambda step: show(progress_text(step)),
            contract=contract,
            first_block=from_block,
            serials=serials,
            payout=payout,
        )
        if rpc is not None and int(parties.agreement.verifier, 16):
            note(f"contract {settlement.contract}")  # what the verifier signs for
        state = settlement.run(
            operator=parties.operator,
            watch=lambda step: show(progress_text(step)),
            wait=lambda until, state: wait and _wait(settlement, until, state, show),
        )
        verdict, document = audited(settlement, parties, from_block)
    for text in (*parties.notes, *verdict.notes, *_overruled(settlement, state)):
        note(text)
    if output is not None:
        write_json(document, output)
    if as_json:
        print_json(document)
    else:
        print_settlement(settlement, document, verdict)
    if not _finished(settlement, state) or not verdict.agrees:
        raise click.exceptions.Exit(1)


def audited(
    settlement: Settlement, parties: Parties, from_block: int = 0
) -> tuple[Audit, dict[str, Any]]:
    """Audit a settlement; return the verdict, and the settlement's document with it."""
    from tradefl.settlement.audit import audit

    verdict = audit(settlement.chain, settlement.contract, parties.consortium, from_block)
    return verdict, settlement.document(verdict.verdict).to_dict()


def _require_rpc(rpc: Sequence[str] | None, options: dict[str, object]) -> None:
    if not rpc:
        for option, value in options.items():
            if value is not None:
                what = "requires --rpc: an embedded chain exists only within one run"
                raise InputError.at(option, what)


def _reports(
    consortium: Consortium, agreement: Agreement, profile: Path | None, method: str
) -> dict[str, Any]:
    """Return what each account reports: from the document, or solved."""
    from tradefl.settlement.profile import read_reports
    from tradefl.solvers import solve

    def solution() -> Any:
        solved = solve(consortium, method)
        if solved.status == "iteration_limit":
            raise InputError.at(
                "--method", f"{method} found no equilibrium; settle a --profile, or another method"
            )
        return solved.profile

    if profile is None:
        reports = agreement.reports(solution())
    else:
        reports = read_reports(
            profile, agreement, lambda: solution().cpu_hz.tolist(), note, consortium
        )
    return dict(zip(agreement.addresses, reports, strict=True))


def _attestations(path: Path | None, agreement: Agreement) -> tuple[Attest | None, dict[str, int]]:
    """Return who looks up the verifier's attestations, and their serial numbers by account."""
    if path is None:
        return None, {}
    from tradefl.settlement.attestation import read_attestations

    given = read_attestations(read_json(path), path, agreement.names)
    addresses = dict(zip(agreement.names, agreement.addresses, strict=True))
    by_account = {addresses[name]: one for name, one in given.items()}

    def attest(account: str, _: Any) -> Attestation:
        if account not in by_account:
            name = agreement.names[agreement.addresses.index(account)]
            raise InputError.at(path, f"holds no signature for {name!r}")
        return by_account[account]

    return attest, {account: one.serial for account, one in by_account.items()}


def _overruled(settlement: Settlement, state: State) -> list[str]:
    """Return whose report on the chain is another than what was asked for: it stands."""
    return [
        f"{name}: d = {place.report.data_ppb:,} ppb, f = {place.report.cpu_hz:,} Hz stands on the "
        f"chain, not {wanted.data_ppb:,} ppb, {wanted.cpu_hz:,} Hz; a report is made once, or with "
        "a higher serial number of the verifier"
        for name, place in zip(settlement.agreement.names, state.places, strict=True)
        if (wanted := settlement.reports.get(place.account)) is not None
        and place.reported
        and wanted != place.report
    ]


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
    from tradefl.settlement.settle import closing_until

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
    from tradefl.settlement.settle import deadline

    if state.phase == Phase.SETTLED:
        left = settlement.waiting_for(state)
        if left:
            note(f"settled; not yet withdrawn: {', '.join(left)}")
        return True
    if state.phase == Phase.CANCELLED:
        everybody = state.consents == len(settlement.agreement)
        why = "everybody has consented" if everybody else "not everybody joined in time"
        note(f"cancelled: {why}; the deposits go back")
        return False
    note(_waiting(settlement, deadline(settlement.agreement, state), state))
    note("run the same command again: it continues from where the chain stands")
    return False


def print_settlement(settlement: Settlement, document: dict[str, Any], verdict: Audit) -> None:
    """Print who was paid, the receipts, and what the audit found."""
    say(f"{document['consortium']}: settlement on {settlement.chain.place}\n")
    rows = document["organizations"]
    print_table(
        [
            "organization",
            "d (ppb)",
            "f (Hz)",
            "deposit (wei)",
            "redistribution (wei)",
            "withdrawn (wei)",
        ],
        [
            [
                one["name"],
                f"{one['data_ppb']:,}",
                f"{int(one['cpu_hz']):,}",
                *(
                    f"{int(one[key]):,}"
                    for key in ("deposit_wei", "redistribution_wei", "withdrawn_wei")
                ),
            ]
            for one in rows
        ],
        footer=[
            "sum",
            "",
            "",
            *(
                f"{sum(int(one[key]) for one in rows):,}"
                for key in ("deposit_wei", "redistribution_wei", "withdrawn_wei")
            ),
        ],
    )
    say("Receipts")
    print_table(
        ["call", "organization", "transaction", "block", "gas"],
        [
            [
                one["call"],
                one["organization"] or "",
                one["hash"],
                str(one["block"]),
                f"{one['gas']:,}",
            ]
            for one in document["transactions"]
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
    for one in verdict.differences:
        say(f"  {one}")
