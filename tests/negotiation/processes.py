"""Consortia whose organizations have keys on a node, and agents as processes of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import tomli_w
from eth_account import Account
from tests.cli.command import PLAIN, SOURCE
from tests.settlement.nodes import CHAIN_ID, Anvil, free_port

import tradefl
from tradefl.consortium import Consortium
from tradefl.game import certify
from tradefl.negotiation.agent import OrganizationAgent, profile_of
from tradefl.negotiation.in_process import InProcessBoard
from tradefl.negotiation.in_process import negotiate as in_process
from tradefl.negotiation.knowledge import private_figures, write_private
from tradefl.negotiation.on_chain import ChainBoard
from tradefl.negotiation.protocol import Proposal, Standing
from tradefl.settlement.accounts import PASSWORD_VARIABLE
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.chains import KeySigner, NodeSigner, RpcChain, StateChangedError
from tradefl.settlement.contract import Phase
from tradefl.settlement.ethereum import checksum
from tradefl.settlement.rules import Report
from tradefl.settlement.session import established
from tradefl.settlement.settle import Settlement
from tradefl.settlement.stand_ins import stand_in_key
from tradefl.settlement.state import read_phase

EXAMPLES = Path(__file__).parents[2] / "examples"
PASSWORD = "correct horse battery"  # noqa: S105


def three_hospitals(
    path: Path, change: Callable[[dict[str, Any]], None] = lambda _: None
) -> Consortium:
    """The first three of examples/hospitals.toml, written to ``path``."""
    document = tomllib.loads((EXAMPLES / "hospitals.toml").read_text("utf-8"))
    document["organization"] = document["organization"][:3]
    names = {entry["name"] for entry in document["organization"]}
    pairs = document["competition"]["pairs"]
    document["competition"]["pairs"] = [pair for pair in pairs if {*pair[:2]} <= names]
    assert document["competition"]["pairs"]
    change(document)
    path.write_bytes(tomli_w.dumps(document).encode())
    return tradefl.load(path)


@dataclasses.dataclass(frozen=True)
class Deployed:
    """A consortium whose agreement is published on a node; nobody has joined."""

    consortium: Consortium
    agreement: Agreement
    contract: str
    url: str
    folder: Path
    keys: tuple[Any, ...]

    def at(self, contract: str) -> Deployed:
        """The same, once the contract is there."""
        return dataclasses.replace(self, contract=contract)

    @property
    def size(self) -> int:
        return len(self.agreement)

    @property
    def names(self) -> tuple[str, ...]:
        return self.agreement.names

    def chain(self, i: int | None = None, url: str | None = None) -> RpcChain:
        """A connection of its own, with the key of organization i."""
        signers = [] if i is None else [KeySigner(self.keys[i])]
        return RpcChain(url or self.url, signers, timeout=20.0)

    def board(self, i: int | None = None, url: str | None = None) -> ChainBoard:
        return ChainBoard(self.chain(i, url), self.contract, self.agreement, i)

    def join(self, *who: int) -> None:
        """Post the bonds of these organizations; of all, if none is named."""
        for i in who or range(self.size):
            settlement = Settlement(self.chain(i), self.agreement, self.contract, {})
            settlement.run(operator=self.agreement.addresses[i])

    def agents(self, url: str | None = None) -> list[OrganizationAgent]:
        """Agents in this process, each with a connection and a key of its own."""
        return [
            OrganizationAgent(
                self.agreement, private_figures(self.consortium, i), self.board(i, url)
            )
            for i in range(self.size)
        ]

    def standing(self) -> Standing:
        """Where it stands now, by the chain."""
        found = self.board().look().standing(self.agreement)
        assert found is not None
        return found

    def places(self) -> list[dict[str, Any]]:
        """What the contract has of everybody."""
        chain = self.chain()
        return [chain.read(self.contract, "organization", i) for i in range(self.size)]

    def contributions(self) -> list[Report | None]:
        """What everybody has submitted, by the contract."""
        return [
            Report(data_ppb=place["dataPpb"], cpu_hz=place["cpuHz"]) if place["reported"] else None
            for place in self.places()
        ]

    @property
    def phase(self) -> Phase:
        return read_phase(self.chain(), self.contract)

    def undisturbed(self) -> tuple[Standing, InProcessBoard]:
        return in_process(self.consortium, self.agreement)

    def assert_equilibrium(self, reports: Sequence[Report | None]) -> None:
        """No organization gains by deviating alone, by the figures of the whole file."""
        assert None not in reports
        certificate = certify(self.consortium.game, profile_of(reports))  # type: ignore[arg-type]
        assert certificate.is_equilibrium(1e-8), certificate

    @contextlib.contextmanager
    def alone(self) -> Iterator[Nodes]:
        """Processes of agents; none is left at the end."""
        nodes = Nodes(self)
        try:
            yield nodes
        finally:
            nodes.end()


def deployed(
    node: Anvil,
    consortium: Consortium,
    folder: Path,
    *,
    url: str | None = None,
    publish: bool = True,
    deploy: bool = True,
) -> Deployed:
    """Deploy and publish the agreement; write everybody's key and private file.

    Without ``deploy`` the chain is empty, and the agents are told no address.
    """
    keys = tuple(Account.from_key(stand_in_key(300 + i)) for i in range(len(consortium)))
    for key in keys:
        node.rpc("anvil_setBalance", key.address, hex(10**21))
    accounts = [key.address for key in keys]
    agreement = Agreement.of(consortium, accounts, chain_id=CHAIN_ID)
    operator = node.accounts[-1]
    chain = RpcChain(node.url, [NodeSigner(checksum(operator))], timeout=20.0)
    operator = next(iter(chain.signers))
    contract = established(chain, agreement, operator) if deploy else ""
    (folder / "agreement.json").write_text(json.dumps(agreement.to_dict()))
    if publish and deploy:
        Settlement(chain, agreement, contract, {}).run(operator=operator)
    for i, key in enumerate(keys):
        own = folder / str(i)
        own.mkdir(parents=True, exist_ok=True)
        content = Account.encrypt(key.key, PASSWORD, kdf="pbkdf2", iterations=2)
        (own / "key.json").write_text(json.dumps(content))
        write_private(private_figures(consortium, i), own / "private.toml")
    return Deployed(consortium, agreement, contract, url or node.url, folder, keys)


def driven(
    agents: Sequence[OrganizationAgent],
    *,
    seconds: float = 60.0,
    every_step: Callable[[], None] = lambda: None,
) -> None:
    """Let agents of this process step until all are done."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done = [stepped(agent) for agent in agents]  # everybody, even those that are done
        if all(done):
            return
        every_step()
    raise AssertionError("it did not end")


def stepped(agent: OrganizationAgent) -> bool:
    """Let an agent step as ``tradefl node`` does; return whether it is done."""
    try:
        return agent.step().done
    except StateChangedError:  # what was read is out of date: the next step reads again
        return False


# --- agents as processes -------------------------------------------------------------------------


class Node:
    """``tradefl node`` of one organization, which can be killed and started again."""

    def __init__(self, of: Deployed, i: int, url: str, log: Path) -> None:
        own = of.folder / str(i)
        self.log = log
        self.err = own / f"err-{time.monotonic_ns()}"
        command = [sys.executable, "-m", "tradefl", "node"]
        command += ["--organization", str(own / "private.toml"), "--keystore", str(own)]
        command += ["--rpc", url, "--state", str(own / "state")]
        command += ["--contract", of.contract] if of.contract else []
        command += ["--agreement", str(of.folder / "agreement.json")]
        command += ["--log", str(log)]
        with self.err.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={
                    **os.environ, **PLAIN, "PYTHONPATH": str(SOURCE), PASSWORD_VARIABLE: PASSWORD
                },
            )  # fmt: skip

    @property
    def code(self) -> int | None:
        return self.process.poll()

    @property
    def said(self) -> str:
        """What stands on stderr so far."""
        return self.err.read_text()

    def kill(self) -> None:
        """As ``kill -9``."""
        self.process.kill()
        self.process.wait(timeout=10)

    def interrupt(self) -> None:
        """As Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self, seconds: float = 60.0) -> tuple[int, str, str]:
        """Wait until it ends; return its code, stdout and stderr."""
        assert self.process.stdout is not None
        try:
            code = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.said[-3000:]}") from None
        return code, self.process.stdout.read().decode(), self.said

    def entries(self) -> list[dict[str, Any]]:
        """The log's lines."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]


class Nodes:
    """All processes of a test."""

    def __init__(self, of: Deployed) -> None:
        self.of = of
        self.started: list[Node] = []
        self.present: dict[int, Node] = {}

    def start(self, *who: int, url: str | None = None) -> list[Node]:
        """Start the agents of these organizations; of all, if none is named."""
        new = []
        for i in who or range(self.of.size):
            log = self.of.folder / str(i) / "log.jsonl"
            node = Node(self.of, i, url or self.of.url, log)
            self.started.append(node)
            self.present[i] = node
            new.append(node)
        return new

    def done(self) -> bool:
        """Whether the present agents have all ended well; one that failed fails the test."""
        for i, node in self.present.items():
            assert node.code in (None, 0), f"{self.of.names[i]}: {node.said[-3000:]}"
        return all(node.code == 0 for node in self.present.values())

    def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait for something, as long as no agent fails."""
        limit = time.monotonic() + seconds
        while not condition():
            self.done()
            said = {self.of.names[i]: entry.said[-500:] for i, entry in self.present.items()}
            assert time.monotonic() < limit, f"it does not come: {said}"
            time.sleep(0.05)

    def finish(self, seconds: float = 60.0) -> None:
        """Wait until all have ended well."""
        self.until(self.done, seconds)
        for node in self.started:
            assert "Traceback" not in node.said

    def proposals(self) -> int:
        """How many proposals the chain has; 0 while it does not answer."""
        return len(self.of.board().look().proposals)

    def end(self) -> None:
        for node in self.started:
            node.kill()
            if node.process.stdout is not None:
                node.process.stdout.close()


class Recorder:
    """Passes requests on to a node, and keeps every byte of them."""

    def __init__(self, node: Anvil) -> None:
        self.requests: list[bytes] = []
        recorder, port = self, node.port

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                recorder.requests.append(str(self.headers).encode() + body)
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                try:
                    connection.request("POST", "/", body, {"Content-Type": "application/json"})
                    answer = connection.getresponse().read()
                finally:
                    connection.close()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request[request.index(b"{") :]) for request in self.requests]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(timeout=5)


def log_of(proposals: Sequence[Proposal]) -> list[tuple[str, Report, int]]:
    """Proposals without where they stand: who, what, when."""
    return [(proposal.account, proposal.report, proposal.seconds) for proposal in sorted(proposals)]
