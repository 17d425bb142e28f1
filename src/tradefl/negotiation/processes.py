"""A negotiation on one machine, with a process for each organization, on a real chain.

Starts a development chain (anvil) unless one is given, deploys the agreement, and runs ``tradefl
node`` for each organization with its own figures and its own key. Nothing that is started outlives
this process, whatever ends it (:mod:`tradefl.negotiation.attached`): not the chain, not an agent,
not the folder with the keys.

No clock decides the result. The limits of the agreement are set so far away that a slow machine
does not reach them; an agent that fails is noticed by its exit status instead.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from eth_account import Account

from tradefl.consortium import Consortium
from tradefl.consortium.files import atomic_write
from tradefl.consortium.schema import Settlement as Section
from tradefl.errors import InputError, Parameter, Problem
from tradefl.foreign import hidden_secrets
from tradefl.negotiation import attached
from tradefl.negotiation.knowledge import private_figures, write_private
from tradefl.negotiation.on_chain import ChainBoard
from tradefl.negotiation.protocol import Standing
from tradefl.settlement.accounts import PASSWORD_VARIABLE
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.chains import (
    KeySigner,
    NoAnswerError,
    NodeSigner,
    RpcChain,
    StateChangedError,
)
from tradefl.settlement.session import established
from tradefl.settlement.settle import Settlement

AGREEMENT = "agreement.json"
CHECKOUT = Path(__file__).parents[3]
PACKAGES = Path(__file__).parents[2]  # where this package lies
POLL_SECONDS = 0.3
# Of a machine that does much else. A chain that has ended is noticed at once.
PATIENCE_SECONDS = 600.0
DAY = 86_400
# Enough for some thousand transactions at the fees of a development chain.
AGREEMENT = "agreement.json"
GAS_MONEY = 10**18
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Deployed = Callable[[str, str], None]
Watch = Callable[[Agreement, Standing], None]


class NoAnvilError(InputError):
    """There is no anvil to start."""


def negotiate(
    consortium: Consortium,
    rpc: str | None = None,
    *,
    deployed: Deployed = lambda _contract, _place: None,
    watch: Watch = lambda _agreement, _standing: None,
) -> tuple[Standing, Agreement]:
    """Let a process for each organization negotiate; return where it ended, and the agreement.

    Parameters
    ----------
    consortium
        The whole file: it is dealt out, and each process gets its own figures.
    rpc
        A development node, which signs for an account with money; default: an anvil, started
        and ended here.
    deployed
        Called with the contract's address and the node's, without what is secret in it.
    watch
        Called repeatedly with the agreement and the state of the negotiation.

    Raises
    ------
    NoAnvilError
        No node is given, and there is no anvil.
    InputError
        The node does not answer or signs for no account, or an agent fails.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(private_folder())
        own = None if rpc is not None else stack.enter_context(_anvil(folder))
        url = rpc if rpc is not None else own.url if own is not None else ""
        stack.enter_context(loopback_without_proxy(url))
        stack.enter_context(_secrets_hidden(url))
        chain = _chain(url, own)
        agreement, contract, password = _deploy(consortium, chain, folder)
        deployed(contract, hidden_secrets(url))
        agents = [
            stack.enter_context(_agent(folder, i, url, contract, password))
            for i in range(agreement.players)
        ]
        return _watched(chain, contract, agreement, agents, folder, own, watch), agreement


def unhurried(consortium: Consortium) -> Consortium:
    """Return the consortium with limits that no load of one machine reaches.

    For negotiations whose agents all belong to one process: silence has another cause then, and
    the process knows it.
    """
    section = consortium.settlement or Section()
    limits = {"turn_seconds": DAY, "report_seconds": 365 * DAY, "join_seconds": 365 * DAY}
    return dataclasses.replace(consortium, settlement=section.model_copy(update=limits))


# --- children ------------------------------------------------------------------------------------


@contextlib.contextmanager
def child(
    task: dict[str, Any], *, output: IO[bytes] | int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that does a task and ends with this one; see :mod:`attached`."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", attached.__file__],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    assert process.stdin is not None  # noqa: S101  it is a pipe
    try:
        with contextlib.suppress(BrokenPipeError):  # it has ended: its exit status says so
            process.stdin.write(json.dumps(task).encode() + b"\n")
            process.stdin.flush()
        yield process
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()  # as the end of this process would
        try:
            process.wait(timeout=2 * attached.GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            # Only now: the number of one that has ended may be another's already.
            attached.end_group(process)
            process.wait()


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a new folder for this user alone, which is removed even if this process is killed."""
    folder = Path(tempfile.gettempdir()) / f"tradefl-{secrets.token_hex(8)}"
    try:
        # The process that removes the folder starts before the folder exists.
        with child({"folder": str(folder)}):
            folder.mkdir(mode=0o700)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class _Anvil:
    """An anvil that was started here."""

    url: str
    process: subprocess.Popen[bytes]

    def require_alive(self) -> None:
        if self.process.poll() is not None:
            raise InputError.at(self.url, "the chain that was started for this run has ended")


@contextlib.contextmanager
def _anvil(folder: Path) -> Iterator[_Anvil]:
    """Run anvil on a port that the system chooses, so that it is nobody else's."""
    command = shutil.which("anvil") or own_anvil()
    if command is None:
        raise NoAnvilError(
            [
                Problem(
                    "anvil",
                    "not found; expected on PATH, or in contracts/ of a checkout after `npm ci`",
                )
            ]
        )
    log = folder / "anvil.log"
    with (
        log.open("wb") as output,
        child({"program": [command, "--port", "0"]}, output=output) as process,
    ):
        while (port := re.search(r"(?m)^Listening on 127\.0\.0\.1:(\d+)", _text(log))) is None:
            if process.poll() is not None:
                said = _text(log).split("\n")
                last = next((line for line in reversed(said) if line.strip()), "no reason given")
                raise InputError.at(command, f"did not start: {last.strip()}")
            time.sleep(0.05)
        yield _Anvil(f"http://127.0.0.1:{port[1]}", process)


def _text(path: Path) -> str:
    return path.read_text(errors="replace")


def own_anvil() -> str | None:
    """Return the anvil that ``npm ci`` has put into the checkout: here, or where this code is."""
    for root in (Path.cwd(), CHECKOUT):
        contracts = root / "contracts"
        if (contracts / "node_modules" / "@foundry-rs").is_dir():
            return str(contracts / "tools" / "anvil")
    return None


@contextlib.contextmanager
def _agent(
    folder: Path, i: int, url: str, contract: str, password: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one organization's agent, with its own folder and nothing else."""
    own = folder / str(i)
    arguments = ["node", "--organization", str(own / "private.toml"), "--keystore", str(own)]
    arguments += ["--agreement", str(folder / AGREEMENT), "--state", str(own / "state")]
    arguments += ["--rpc", url, "--contract", contract, "--log", str(own / "log.jsonl")]
    task = {
        "module": "tradefl",
        "arguments": arguments,  # on no command line: the node's address may hold a key
        "environment": {PASSWORD_VARIABLE: password},
        "root": str(PACKAGES),
    }
    with (own / "err").open("wb") as errors, child(task, output=errors) as process:
        yield process


# --- the chain -----------------------------------------------------------------------------------


def _chain(url: str, own: _Anvil | None) -> RpcChain:
    if own is None:
        return RpcChain(url)
    # It is here and answers, however long that takes.
    return RpcChain(url, timeout=float(DAY), patience=PATIENCE_SECONDS)


def _deploy(consortium: Consortium, chain: RpcChain, folder: Path) -> tuple[Agreement, str, str]:
    """Give each organization a key and money, deploy, publish; write each one's own folder.

    Returns the agreement, the contract, and the password of the keys.
    """
    unlocked = chain.unlocked()
    if not unlocked:
        raise InputError.at(
            Parameter("rpc"), "the node signs for no account; expected a development node"
        )
    operator = unlocked[0]
    chain.signers = {operator: NodeSigner(operator)}
    keys = [Account.create() for _ in consortium.settling]
    accounts = [key.address for key in keys]
    agreement = Agreement.of(unhurried(consortium), accounts, chain_id=chain.chain_id)
    password = secrets.token_urlsafe(16)
    for i, key in enumerate(keys):
        chain.transact(
            operator,
            to=key.address,
            data=b"",
            value=agreement.deposits[i] + GAS_MONEY,
            call="funding",
        )
        if i == agreement.players:  # a payee has no agent; this process does its part
            chain.signers[key.address] = KeySigner(key)
            continue
        own = folder / str(i)
        own.mkdir(mode=0o700)
        # Keys of a demonstration: an hour's secret needs no slow derivation.
        content = Account.encrypt(key.key, password, kdf="pbkdf2", iterations=1000)
        atomic_write(own / "key.json", json.dumps(content).encode(), secret=True)
        write_private(private_figures(consortium, i), own / "private.toml")
    atomic_write(folder / AGREEMENT, json.dumps(agreement.to_dict()).encode())
    contract = established(chain, agreement, operator)
    Settlement(chain, agreement, contract, {}).run(operator=operator)  # publishes the agreement
    return agreement, contract, password


def _watched(
    chain: RpcChain,
    contract: str,
    agreement: Agreement,
    agents: Sequence[subprocess.Popen[bytes]],
    folder: Path,
    own: _Anvil | None,
    watch: Watch,
) -> Standing:
    """Look at the board until every agent is done."""
    board = ChainBoard(chain, contract, agreement)
    while True:
        codes = [process.poll() for process in agents]
        failed = [i for i, code in enumerate(codes) if code not in (None, 0)]
        if failed:
            raise InputError(
                Problem(f"agent of {agreement.names[i]}", _last_line(folder, i)) for i in failed
            )
        if own is not None:
            own.require_alive()
        try:
            standing = board.look().standing(agreement)
        except StateChangedError:
            continue  # look again
        except NoAnswerError:
            if own is None:
                raise
            continue
        if standing is not None:
            watch(agreement, standing)
            if standing.over and all(code == 0 for code in codes):
                if agreement.payee is not None:
                    payee = ChainBoard(chain, contract, agreement, agreement.players)
                    payee.contribute(agreement.with_payee(standing.reports)[-1])
                return standing
        time.sleep(POLL_SECONDS)


def _last_line(folder: Path, i: int) -> str:
    """Return what an agent said last."""
    said = [line for line in _text(folder / str(i) / "err").split("\n") if line.strip()]
    return f"failed: {said[-1]}" if said else "failed without a message"


# --- addresses -----------------------------------------------------------------------------------


@contextlib.contextmanager
def _secrets_hidden(url: str) -> Iterator[None]:
    """Keep the secret parts of an address out of the errors of what is done meanwhile."""
    try:
        yield
    except InputError as error:
        hidden = [
            problem.rewritten(lambda text: hidden_secrets(text, url)) for problem in error.problems
        ]
        if hidden == list(error.problems):
            raise
        raise InputError(hidden) from None


@contextlib.contextmanager
def loopback_without_proxy(url: str) -> Iterator[None]:
    """Reach this machine's own addresses directly, whatever proxy the environment names.

    Processes that are started meanwhile do so too. Afterwards the environment is as before.
    """
    names = ("no_proxy", "NO_PROXY")
    if not _is_loopback(url) or not any(
        variable.lower().endswith("_proxy") for variable in os.environ
    ):
        yield
        return
    before = {name: os.environ.get(name) for name in names}
    known = [host.strip() for value in before.values() for host in (value or "").split(",")]
    host = urlsplit(url).hostname or ""
    direct = ",".join(dict.fromkeys([*filter(None, known), *LOOPBACK, host]))
    os.environ.update(dict.fromkeys(names, direct))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
