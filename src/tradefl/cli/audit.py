"""``tradefl audit``: a settlement recomputed from the chain, to the wei."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from tradefl.cli.declaring import Argument, Option
from tradefl.cli.options import (
    RPC_VARIABLE,
    ContractAddress,
    FromBlock,
    Json,
    Nodes,
    from_variable,
)
from tradefl.cli.output import note, print_facts, print_json, print_table, progress, say
from tradefl.consortium import load
from tradefl.errors import InputError

if TYPE_CHECKING:
    from tradefl.negotiation.verification import Verification
    from tradefl.settlement.audit import Audit

PROPOSALS = 200  # rows of the table; --json has them all


def audit(
    file: Annotated[
        Path | None,
        Argument(help="The consortium file to compare with.", show_default=False),
    ] = None,
    rpc: Nodes = None,
    contract: ContractAddress = None,
    from_block: FromBlock = 0,
    negotiation: Annotated[
        bool,
        Option(
            "--negotiation",
            help="Replay the negotiation too: every turn, every proposal; with the file, every "
            "best response.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Recompute a settlement from the chain's events and compare it to the wei; no key needed.

    Without --rpc and --contract it is a rehearsal: the file is settled on an embedded chain first.

    Example: tradefl audit consortium.toml --rpc http://127.0.0.1:8545 --contract 0x...
    Example: tradefl audit examples/drug_discovery.toml
    """
    rehearsed = rpc is None and contract is None and file is not None
    if not rehearsed and (rpc is None or contract is None):
        missing = "--rpc" if rpc is None else "--contract"
        what = "is needed: an audit reads a chain, or rehearses with a FILE alone"
        if rpc is not None and from_variable("rpc"):
            what += f"; ${RPC_VARIABLE} names a node here, unset it to rehearse"
        raise InputError.at(missing, what)
    if rehearsed and (negotiation or from_block):
        option = "--negotiation" if negotiation else "--from-block"
        raise InputError.at(option, "needs --rpc: the embedded chain is its own world")
    from tradefl.settlement.ethereum import settlement_extra

    with settlement_extra("tradefl audit"):
        from tradefl.settlement.chains import RpcChain
        from tradefl.settlement.settling import audit as audited
    replayed = None
    with progress(f"auditing {contract or file}"):
        consortium = None if file is None else load(file)
        verdict = audited(consortium, rpc=rpc, contract=contract, first_block=from_block)
        if negotiation and rpc is not None:
            from tradefl.negotiation.verification import verify

            replayed = verify(RpcChain(rpc), verdict.contract, consortium, first_block=from_block)
    if as_json:
        part = {} if replayed is None else {"negotiation": replayed.to_dict()}
        print_json(verdict.to_dict() | part)
    else:
        _print(verdict, file)
        if replayed is not None:
            say()
            _print_negotiation(replayed)
    if not verdict.agrees or not (replayed is None or replayed.agrees):
        raise click.exceptions.Exit(1)


def _print(verdict: Audit, file: Path | None) -> None:
    agreement = verdict.agreement
    if agreement is not None:
        say(f"{agreement.consortium}: settlement {verdict.contract}, recomputed\n")
        if verdict.redistribution:
            print_table(
                ["organization", "d (ppb)", "f (Hz)", "bond (wei)", "redistribution (wei)"],
                [
                    [name, f"{report.data_ppb:,}", f"{report.cpu_hz:,}", f"{bond:,}", f"{wei:,}"]
                    for name, report, bond, wei in zip(
                        agreement.names,
                        verdict.reports,
                        agreement.bonds,
                        verdict.redistribution,
                        strict=True,
                    )
                ],
                footer=["sum", "", "", "", f"{sum(verdict.redistribution):,}"],
            )
    print_facts(
        [
            ("chain id", str(verdict.chain_id)),
            ("contract", verdict.contract),
            ("agreement", "not published yet" if agreement is None else agreement.hash),
            ("phase", verdict.phase.name.lower()),
            (
                "compared with",
                "nothing but the chain itself"
                if file is None
                else f"{file}, but for what is private: profitability, cycles_per_bit, "
                "download_seconds, upload_seconds, costs",
            ),
            ("verdict", verdict.sentence),
        ]
    )
    for difference in verdict.differences:
        say(f"  {difference}")
    for text in verdict.notes:
        note(text)


def _print_negotiation(replayed: Verification) -> None:
    """Print every proposal that counts, and what the replay has found."""
    agreement, standing = replayed.agreement, replayed.standing
    say("The negotiation, replayed\n")
    if standing is not None:
        size = agreement.players
        print_table(
            ["round", "organization", "", "d (ppb)", "f (Hz)", "block"],
            [
                [
                    str(ruling.turn // size + 1),
                    agreement.names[ruling.turn % size],
                    ruling.kind,
                    f"{ruling.proposal.report.data_ppb:,}",
                    f"{ruling.proposal.report.cpu_hz:,}",
                    str(ruling.proposal.block),
                ]
                for ruling in standing.rulings
                if ruling.kind != "rejected"
            ],
            left=(1, 2),
            limit=PROPOSALS,
        )
    regret = replayed.max_regret
    print_facts(
        [
            ("max regret", "needs the whole file" if regret is None else f"{regret:.3g}"),
            ("replay", "as it must be" if replayed.agrees else "not as it must be"),
        ]
    )
    for text in replayed.findings:
        say(f"  {text}")
    for text in replayed.notes:
        note(text)
