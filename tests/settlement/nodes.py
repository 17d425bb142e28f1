"""Nodes for the tests: anvil on a port of its own, and a proxy in front of it that misbehaves.

anvil is the native binary that ``npm ci`` in ``contracts/`` installs. Without it the tests that
need a node are skipped, but on a CI machine they fail: there it must be installed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings():
    # web3 imports a part of websockets that is deprecated, whether or not it is used.
    warnings.filterwarnings("ignore", "websockets", DeprecationWarning)
    import web3  # noqa: F401

ANVIL = Path(__file__).parents[2] / "contracts" / "tools" / "anvil"
CHAIN_ID = 31337
# The keys that every anvil has: accounts 0 to 9 of "test test ... junk".
WORDS = "test test test test test test test test test test test junk"


class NodeError(Exception):
    """A node answered with an error."""


@cache
def why_no_anvil() -> str | None:
    """Return why anvil cannot run here; ``None`` if it can."""
    try:
        done = subprocess.run([ANVIL, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{ANVIL}: {error}"
    return None if done.returncode == 0 else done.stderr.strip()


def require_anvil() -> None:
    """Skip the test where anvil is not installed; fail on CI."""
    missing = why_no_anvil()
    if missing is None:
        return
    message = f"these tests need anvil: {missing}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def rpc(url: str, method: str, *params: Any, timeout: float = 20.0) -> Any:
    """Ask a node directly, without any of the code under test."""
    host, port = url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
    try:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if "error" in answer:
        raise NodeError(f"{method}: {answer['error']}")
    return answer["result"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Anvil:
    """A node that can be stopped, killed and started again on the same port."""

    def __init__(self, *options: object, port: int | None = None) -> None:
        self.options = [str(option) for option in options]
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        node = [ANVIL, "--silent", "--port", str(self.port), "--mnemonic", WORDS, *self.options]
        # The shell ends the node when its stdin closes: however this process ends, it does not
        # leave a node behind.
        until_closed = '"$@" & node=$!; read -r _; kill $node; wait $node'
        command = ["sh", "-c", until_closed, "sh", *map(str, node)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + 30.0
        while True:
            try:
                self.rpc("eth_chainId")
            except (OSError, http.client.HTTPException):
                if self.process.poll() is not None or time.monotonic() > until:
                    self.stop()
                    raise AssertionError(f"anvil does not start: {command}") from None
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the node: its wrapper and the binary under it."""
        if self.process is None:
            return
        process, self.process = self.process, None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=10)
        if process.stdin is not None:
            process.stdin.close()
        until = time.monotonic() + 10.0
        while time.monotonic() < until:  # the binary outlives its shell by a moment
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def rpc(self, method: str, *params: Any) -> Any:
        return rpc(self.url, method, *params)

    @property
    def accounts(self) -> list[str]:
        return list(self.rpc("eth_accounts"))

    @property
    def height(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def balance(self, address: str) -> int:
        return int(self.rpc("eth_getBalance", address, "latest"), 16)

    def receipt(self, hash_: str, seconds: float = 20.0) -> dict[str, Any]:
        """Wait for a transaction's receipt: a busy node answers before the block is there."""
        until = time.monotonic() + seconds
        while (receipt := self.rpc("eth_getTransactionReceipt", hash_)) is None:
            assert time.monotonic() < until, f"no receipt of {hash_}"
            time.sleep(0.01)
        return dict(receipt)

    def mine(self, blocks: int = 1, seconds: int = 1) -> None:
        self.rpc("anvil_mine", hex(blocks), hex(seconds))

    def travel(self, seconds: int) -> None:
        """Let time pass, and a block after it."""
        self.rpc("evm_increaseTime", hex(seconds))
        self.rpc("evm_mine")

    def reorg(self, depth: int) -> None:
        """Replace the last blocks by empty ones: what stood in them is gone."""
        self.rpc("anvil_reorg", depth, [])

    def logs(self, topic: str | None = None) -> list[dict[str, Any]]:
        wanted: dict[str, Any] = {"fromBlock": "0x0", "toBlock": "latest"}
        if topic is not None:
            wanted["topics"] = [topic]
        return list(self.rpc("eth_getLogs", wanted))


@contextlib.contextmanager
def anvil(*options: object) -> Iterator[Anvil]:
    require_anvil()
    node = Anvil(*options)
    try:
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="session")
def shared_node() -> Iterator[Anvil]:
    with anvil() as node:
        yield node


@pytest.fixture
def node(shared_node: Anvil) -> Iterator[Anvil]:
    """A fresh chain with ten unlocked accounts; a transaction is in a block at once."""
    snapshot = shared_node.rpc("evm_snapshot")
    yield shared_node
    assert shared_node.rpc("evm_revert", snapshot)


# --- a proxy that misbehaves --------------------------------------------------------------------

Forward = Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Status:
    """An HTTP status instead of an answer."""

    code: int


class Hangup:
    """The connection is closed without an answer."""


@dataclasses.dataclass(frozen=True)
class Raw:
    """These bytes with status 200, whatever was asked."""

    body: bytes


@dataclasses.dataclass(frozen=True)
class RpcError:
    """A JSON-RPC error, with the HTTP status that comes with it."""

    message: str
    code: int = -32000
    status: int = 200


HANGUP = Hangup()
Rule = Callable[[str, list[Any], Forward], Any]


def honest(method: str, params: list[Any], forward: Forward) -> Any:
    return forward()


class Proxy:
    """Passes requests on; ``rule`` may answer something else.

    A rule is called with the method, its parameters, and a function that asks the node and
    returns the result. It returns a result, or Status, Raw, RpcError or HANGUP.
    """

    def __init__(self, node: Anvil) -> None:
        self.node = node
        self.rule: Rule = honest
        self.asked: list[str] = []
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet an answer, or each waits for an acknowledgement
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with proxy._lock:
                    answer = proxy._answer(body["method"], body.get("params") or [])
                if answer is HANGUP:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if isinstance(answer, Status):
                    self._send(answer.code, b"busy")
                    return
                if isinstance(answer, Raw):
                    self._send(200, answer.body)
                    return
                key, value, status = "result", answer, 200
                if isinstance(answer, RpcError):
                    key, value = "error", {"code": answer.code, "message": answer.message}
                    status = answer.status
                elif isinstance(answer, NodeError):
                    key, value = "error", answer.args[0]
                whole = {"jsonrpc": "2.0", "id": body["id"], key: value}
                self._send(status, json.dumps(whole).encode())

            def _send(self, code: int, content: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with contextlib.suppress(OSError):  # the asker may have lost its patience
                    self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _answer(self, method: str, params: list[Any]) -> Any:
        self.asked.append(method)

        def forward() -> Any:
            return self._forward(method, params)

        try:
            return self.rule(method, params, forward)
        except NodeError as error:
            return error
        except Exception as error:  # a broken rule must not look like an outage
            return RpcError(f"the test's rule failed: {error!r}")

    def _forward(self, method: str, params: list[Any]) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=20)
        try:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            connection.request("POST", "/", json.dumps(body), {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer:
            raise NodeError(answer["error"])
        return answer["result"]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(timeout=5)


@pytest.fixture
def proxy(node: Anvil) -> Iterator[Proxy]:
    opened = Proxy(node)
    yield opened
    opened.close()


def failing_every(n: int, answer: Any, *, after_forward: bool = False) -> Rule:
    """Answer every n-th request with something else, or after the node has got it."""
    count = 0

    def rule(method: str, params: list[Any], forward: Forward) -> Any:
        nonlocal count
        count += 1
        if count % n:
            return forward()
        if after_forward:
            with contextlib.suppress(NodeError):
                forward()
        return answer

    return rule


def losing_answers_to(methods: set[str], times: int = 10**9) -> Rule:
    """Lose the answer to these methods, after the node has done what was asked, once each."""
    lost: dict[str, int] = {}

    def rule(method: str, params: list[Any], forward: Forward) -> Any:
        key = json.dumps([method, params])
        if method in methods and key not in lost and len(lost) < times:
            lost[key] = 1
            with contextlib.suppress(NodeError):
                forward()
            return HANGUP
        return forward()

    return rule


# --- settlements on a node ----------------------------------------------------------------------


def parties_on(url: str, path: Path, **options: Any) -> Any:
    """Everybody whose account is unlocked, on a node."""
    from tradefl.consortium import load
    from tradefl.settlement.accounts import on_node

    return on_node(load(path), url, prompt=lambda: pytest.fail("asks for a password"), **options)


def settlement_of(parties: Any, reports: Any = None, **options: Any) -> Any:
    """Deploy or find the settlement; reports are solved where none are given."""
    from tradefl.solvers import solve

    if reports is None:
        solution = solve(parties.consortium, "exact")
        reports = parties.agreement.reports(solution.profile)
    by_account = dict(zip(parties.agreement.addresses, reports, strict=True))
    return parties.settlement(by_account, **options)


def settle_on(url: str, path: Path, watch: Any = lambda _: None, **options: Any) -> Any:
    """Settle from wherever it stands; return the document."""
    parties = parties_on(url, path, **options)
    settlement = settlement_of(parties, watch=watch)
    settlement.run(operator=parties.operator, watch=watch)
    return settlement.to_dict()


def deployed_plainly(chain: Any, agreement: Any, sender: str, vault: str | None = None) -> str:
    """Create a settlement without the factory, where its address follows from nothing."""
    from eth_abi import encode

    from tradefl.settlement.artifacts import creation_bytecode
    from tradefl.settlement.encoding import CONSTRUCTOR

    arguments = [vault or agreement.vault, *agreement.constructor_arguments]
    code = creation_bytecode(agreement.rule.contract) + encode(CONSTRUCTOR, arguments)
    receipt = chain.transact(sender, to=None, data=code, call="deployment")
    return str(receipt.contract)


def deployments(node: Anvil) -> int:
    from tradefl.settlement.contract import topic

    return len(node.logs("0x" + topic("AgreementDrafted").hex()))
