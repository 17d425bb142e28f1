"""``tradefl negotiate``: every organization decides for itself."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradefl.cli.options import File, Json
from tradefl.cli.output import (
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
from tradefl.errors import InputError, Problem
from tradefl.solvers import Solution

if TYPE_CHECKING:
    from tradefl.negotiation import Ruling, Standing
    from tradefl.settlement.agreement import Agreement
    from tradefl.settlement.chains import RpcChain

METHOD = "negotiation"
AGREEMENT = "agreement.json"
CHECKOUT = Path(__file__).parents[3]
POLL_SECONDS = 0.3
START_SECONDS = 30.0
# Enough for some thousand transactions at the fees of a development chain.
GAS_MONEY = 10**18


def negotiate(
    file: File,
    processes: Annotated[
        bool,
        typer.Option("--processes", help="A process for each organization, on a real chain."),
    ] = False,
    rpc: Annotated[
        str | None,
        typer.Option("--rpc", help="A development node to do it on; default: an anvil of its own."),
    ] = None,
    as_json: Json = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the JSON document here, for tradefl settle."),
    ] = None,
) -> None:
    """Let each organization answer the others' proposals with what is best for itself.

    Ends in an equilibrium, without anybody who knows all figures: the file is dealt out, each
    agent gets its own part. Without --processes all agents are in this process.

    Example: tradefl negotiate examples/drug_discovery.toml --processes -o solution.json
    """
    if rpc is not None and not processes:
        raise InputError.at("--rpc", "needs --processes")
    if output is not None:
        require_writable(output)
    from tradefl.settlement.agreement import settlement_extra

    with settlement_extra("tradefl negotiate"):
        from tradefl.negotiation.in_process import negotiate as in_process
        from tradefl.negotiation.protocol import TOLERANCE
        from tradefl.settlement import Agreement
        from tradefl.settlement.stand_ins import addresses_or_stand_ins

    consortium = load(file)
    began = time.perf_counter()
    if processes:
        standing = _with_processes(consortium, rpc)
    else:
        with status(f"negotiating {file}"):
            addresses = addresses_or_stand_ins(consortium.organizations.addresses)
            standing, _ = in_process(consortium, Agreement.of(consortium, addresses))
    solution = _solution(consortium, standing, time.perf_counter() - began)
    document = solution.to_dict()
    if output is not None:
        write_json(document, output)
    if as_json:
        print_json(document)
    else:
        print_solution(solution)
    if not solution.certificate.is_equilibrium(TOLERANCE):
        note("no equilibrium: an organization was skipped, or answered otherwise than its figures")
        raise typer.Exit(1)


def _solution(consortium: Consortium, standing: Standing, seconds: float) -> Solution:
    """Return where a negotiation has ended, with the certificate of the whole file."""
    from tradefl.negotiation.agent import profile_of

    return Solution.certified(
        consortium.game,
        profile_of(standing.reports),
        finished=standing.over,
        method=METHOD,
        iterations=standing.moves,
        runtime_seconds=seconds,
        remarks=("proposals have nine digits: a regret of that size remains",),
    )


# --- a process for each ---------------------------------------------------------------------------


def _with_processes(consortium: Consortium, rpc: str | None) -> Standing:
    """Start a chain if need be, deploy, start an agent for each, and watch until all are done."""
    from tradefl.settlement.agreement import settlement_extra

    with settlement_extra("tradefl negotiate"):
        from tradefl.settlement.chains import RpcChain

    with contextlib.ExitStack() as stack:
        stack.enter_context(_terminable())
        url = stack.enter_context(_anvil()) if rpc is None else rpc
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tradefl-")))
        chain = RpcChain(url)
        with status("deploying"):
            agreement, contract, password = _deployed(consortium, chain, folder)
        note(f"contract {contract} on {chain.place}")
        agents = [
            stack.enter_context(_agent(folder, i, url, contract, password))
            for i in range(len(agreement))
        ]
        return _watched(chain, contract, agreement, agents, folder)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end this process as Ctrl-C does: what was started is stopped first."""

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _anvil() -> Iterator[str]:
    """Run anvil on a free port; yield its URL."""
    command = shutil.which("anvil") or _own_anvil()
    if command is None:
        raise InputError.at(
            "--processes",
            "needs anvil: on PATH, or by `npm ci` in the checkout's contracts/; or --rpc with a "
            "node of yours",
        )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with _killed_at_the_end(
        subprocess.Popen(  # noqa: S603
            [command, "--silent", "--port", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    ) as process:
        until = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                break
            if process.poll() is not None or time.monotonic() > until:
                raise InputError.at("--processes", f"{command} did not start")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"


def _own_anvil() -> str | None:
    """Return the anvil that ``npm ci`` has put into the checkout: here, or where this code is."""
    for root in (Path.cwd(), CHECKOUT):
        contracts = root / "contracts"
        if (contracts / "node_modules" / "@foundry-rs").is_dir():
            return str(contracts / "tools" / "anvil")
    return None


@contextlib.contextmanager
def _killed_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5.0)
                break


def _deployed(consortium: Consortium, chain: RpcChain, folder: Path) -> tuple[Agreement, str, str]:
    """Give each organization a key and money, deploy, publish; write everybody's own folder."""
    from eth_account import Account

    from tradefl.negotiation.knowledge import private_figures, write_private
    from tradefl.settlement import Agreement
    from tradefl.settlement.chains import NodeSigner
    from tradefl.settlement.session import established
    from tradefl.settlement.settle import Settlement

    unlocked = chain.unlocked()
    if not unlocked:
        raise InputError.at("--rpc", "the node signs for no account; expected a development node")
    operator = unlocked[0]
    chain.signers = {operator: NodeSigner(operator)}
    keys = [Account.create() for _ in consortium.names]
    accounts = [key.address for key in keys]
    agreement = Agreement.of(consortium, accounts, chain_id=chain.chain_id)
    password = secrets.token_urlsafe(16)
    for i, key in enumerate(keys):
        chain.transact(
            operator,
            to=key.address,
            data=b"",
            value=agreement.deposits[i] + GAS_MONEY,
            call="funding",
        )
        own = folder / str(i)
        own.mkdir(mode=0o700)
        # Keys of a demonstration: an hour's secret needs no slow derivation.
        content = Account.encrypt(key.key, password, kdf="pbkdf2", iterations=1000)
        write_json(content, own / "key.json")
        write_private(private_figures(consortium, i), own / "private.toml")
    write_json(agreement.to_dict(), folder / AGREEMENT)
    contract = established(chain, agreement, operator)
    Settlement(chain, agreement, contract, {}).run(operator=operator)  # what is to publish
    return agreement, contract, password


@contextlib.contextmanager
def _agent(
    folder: Path, i: int, url: str, contract: str, password: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one organization's agent, with its own folder and nothing else."""
    from tradefl.settlement.keys import PASSWORD_VARIABLE

    own = folder / str(i)
    command = [sys.executable, "-m", "tradefl", "node"]
    command += ["--organization", str(own / "private.toml"), "--keystore", str(own)]
    command += ["--rpc", url, "--contract", contract, "--agreement", str(folder / AGREEMENT)]
    command += ["--log", str(own / "log.jsonl")]
    with (
        (own / "err").open("wb") as errors,
        _killed_at_the_end(
            subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, PASSWORD_VARIABLE: password},
                start_new_session=True,
            )
        ) as process,
    ):
        yield process


def _watched(
    chain: RpcChain,
    contract: str,
    agreement: Agreement,
    agents: list[subprocess.Popen[bytes]],
    folder: Path,
) -> Standing:
    """Show what happens on the board until every agent is done."""
    from tradefl.negotiation.on_chain import ChainBoard

    board = ChainBoard(chain, contract, agreement)
    shown = 0
    with live_table(["organization", "d", "f (GHz)", "last answer", "turn"]) as show:
        while True:
            codes = [process.poll() for process in agents]
            standing = board.look().standing(agreement)
            if standing is not None:
                show(_rows(agreement, standing))
                if not sys.stderr.isatty():
                    for ruling in standing.rulings[shown:]:
                        warn(_line(agreement, ruling))
                shown = len(standing.rulings)
                if standing.over and all(code == 0 for code in codes):
                    return standing
            failed = [i for i, code in enumerate(codes) if code not in (None, 0)]
            if failed:
                raise InputError(
                    Problem(
                        "--processes", f"the agent of {agreement.names[i]} {_last_line(folder, i)}"
                    )
                    for i in failed
                )
            time.sleep(POLL_SECONDS)


def _rows(agreement: Agreement, standing: Standing) -> list[list[str]]:
    """Return what the live table shows of each organization."""
    places = {account: i for i, account in enumerate(agreement.addresses)}
    last = {places.get(ruling.proposal.account): ruling for ruling in standing.rulings}
    return [
        [
            name,
            f"{report.data_ppb / 1e9:.9f}",
            f"{report.cpu_hz / 1e9:g}",
            f"round {last[i].turn // len(agreement) + 1}: {last[i].kind}" if i in last else "",
            f"round {standing.round}" if i == standing.whose and not standing.over else "",
        ]
        for i, (name, report) in enumerate(zip(agreement.names, standing.reports, strict=True))
    ]


def _line(agreement: Agreement, ruling: Ruling) -> str:
    """Return a proposal in words."""
    report, name = ruling.proposal.report, agreement.names[ruling.turn % len(agreement)]
    if ruling.kind == "rejected":
        known = dict(zip(agreement.addresses, agreement.names, strict=True))
        who = known.get(ruling.proposal.account, ruling.proposal.account)
        return f"a proposal of {who} did not count: {ruling.reason}"
    return (
        f"round {ruling.turn // len(agreement) + 1}: {name} {ruling.kind}: "
        f"d = {report.data_ppb / 1e9:.9f}, f = {report.cpu_hz / 1e9:g} GHz"
    )


def _last_line(folder: Path, i: int) -> str:
    """Return what an agent said last."""
    lines = (folder / str(i) / "err").read_text(errors="replace").split("\n")
    said = [line for line in lines if line.strip()]
    return f"failed: {said[-1]}" if said else "failed without a word"
