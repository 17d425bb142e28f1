"""``tradefl negotiate``: every organization decides for itself."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from tradefl.cli.declaring import Option
from tradefl.cli.options import RPC_VARIABLE, File, Json, from_variable
from tradefl.cli.output import (
    answer,
    live_table,
    note,
    print_json,
    require_writable,
    status,
    warn,
    write_json,
)
from tradefl.cli.solve import print_solution
from tradefl.consortium import Consortium, load
from tradefl.errors import InputError

if TYPE_CHECKING:
    from tradefl.negotiation import Ruling, Standing
    from tradefl.negotiation.session import Negotiation
    from tradefl.settlement.agreement import Agreement


def negotiate(
    file: File,
    processes: Annotated[
        bool,
        Option("--processes", help="A process for each organization, on a real chain."),
    ] = False,
    rpc: Annotated[
        list[str] | None,
        Option(
            "--rpc",
            envvar=RPC_VARIABLE,
            show_envvar=False,
            help="A development node to do it on, or @FILE with its address; default: with "
            "--processes $TRADEFL_RPC, otherwise an anvil of its own.",
        ),
    ] = None,
    as_json: Json = False,
    output: Annotated[
        Path | None,
        Option("--output", "-o", help="Write the JSON document here, for tradefl settle."),
    ] = None,
) -> None:
    """Let each organization answer the others' proposals with what is best for itself.

    Ends in an equilibrium, without anybody who knows all figures: the file is dealt out, each
    agent gets its own part. Without --processes all agents are in this process.

    Example: tradefl negotiate examples/drug_discovery.toml --processes -o solution.json
    """
    if not processes and from_variable("rpc"):
        rpc = None  # it is for what needs a node
    if rpc is not None and not processes:
        raise InputError.at("--rpc", "needs --processes")
    if rpc is not None and len(rpc) > 1:
        what = f"expected one development node, got {len(rpc)}: the accounts are one node's"
        raise InputError.at("--rpc", what)
    if output is not None:
        require_writable(output)
    from tradefl.settlement.ethereum import settlement_extra

    with settlement_extra("tradefl negotiate"):
        from tradefl.negotiation.session import negotiate as negotiated

    consortium = load(file)
    if processes:
        solution = _with_processes(consortium, rpc[0] if rpc else None)
    else:
        with status(f"negotiating {file}"):
            solution = negotiated(consortium)
    document = solution.to_dict()
    if output is not None:
        write_json(document, output, private=True)
    if as_json:
        print_json(document)
    else:
        print_solution(solution)
    if not solution.is_equilibrium:
        answer(solution.shortfall)
        raise click.exceptions.Exit(1)


# --- a process for each ---------------------------------------------------------------------------


def _with_processes(consortium: Consortium, rpc: str | None) -> Negotiation:
    """Negotiate with a process for each organization, and show what happens on the board."""
    from tradefl.negotiation.processes import NoAnvilError
    from tradefl.negotiation.session import negotiate as negotiated

    shown = 0
    show: Callable[[Sequence[Sequence[str]]], None] | None = None
    with _terminable(), contextlib.ExitStack() as displays:
        displays.enter_context(status("deploying"))

        def deployed(contract: str, place: str) -> None:
            nonlocal show
            displays.close()  # a terminal has one display at a time
            note(f"contract {contract} on {place}")
            show = displays.enter_context(
                live_table(["organization", "d", "f (GHz)", "last answer", "turn"])
            )

        def watch(agreement: Agreement, standing: Standing) -> None:
            nonlocal shown
            if show is not None:
                show(_rows(agreement, standing))
            if sys.stderr is not None and not sys.stderr.isatty():
                for ruling in standing.rulings[shown:]:
                    warn(_line(agreement, ruling))
            shown = len(standing.rulings)

        try:
            return negotiated(consortium, processes=True, rpc=rpc, deployed=deployed, watch=watch)
        except NoAnvilError as error:
            (problem,) = error.problems
            what = (
                f"needs {problem.place}: {problem.message}; or name a development node with --rpc"
            )
            raise InputError.at("--processes", what) from None


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end this process as Ctrl-C does: in order."""

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    wanted = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # Under nohup a closed terminal is ignored, and stays so.
    wanted = [signal_ for signal_ in wanted if signal.getsignal(signal_) != signal.SIG_IGN]
    before = {signal_: signal.signal(signal_, leave) for signal_ in wanted}
    try:
        yield
    finally:
        for signal_, handler in before.items():
            signal.signal(signal_, handler)


def _rows(agreement: Agreement, standing: Standing) -> list[list[str]]:
    """Return what the live table shows of each organization."""
    places = {account: i for i, account in enumerate(agreement.addresses)}
    last = {places.get(ruling.proposal.account): ruling for ruling in standing.rulings}
    return [
        [
            name,
            f"{report.data_ppb / 1e9:.9f}",
            f"{report.cpu_hz / 1e9:g}",
            f"round {last[i].turn // agreement.players + 1}: {last[i].kind}" if i in last else "",
            f"round {standing.round}" if i == standing.whose and not standing.over else "",
        ]
        for i, (name, report) in enumerate(zip(agreement.names, standing.reports, strict=False))
    ]


def _line(agreement: Agreement, ruling: Ruling) -> str:
    """Return a proposal in words."""
    report, name = ruling.proposal.report, agreement.names[ruling.turn % agreement.players]
    if ruling.kind == "rejected":
        known = dict(zip(agreement.addresses, agreement.names, strict=True))
        who = known.get(ruling.proposal.account, ruling.proposal.account)
        return f"a proposal of {who} did not count: {ruling.reason}"
    return (
        f"round {ruling.turn // agreement.players + 1}: {name} {ruling.kind}: "
        f"d = {report.data_ppb / 1e9:.9f}, f = {report.cpu_hz / 1e9:g} GHz"
    )
