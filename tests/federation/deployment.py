"""A SuperLink and SuperNodes as processes of this machine, started with the commands of the page.

``docs/how-to/deployment.md`` says how to run a federation; what it says is what runs here, with
other host names, ports and paths.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import tomli_w

ROOT = Path(__file__).parents[2]
APPS = Path(__file__).parent / "apps"
PAGE = (ROOT / "docs" / "how-to" / "deployment.md").read_text("utf-8")
HOST = "127.0.0.1"
PAGE_HOST = "server.example.org"
SCRIPTS = Path(sysconfig.get_path("scripts"))

# --- what the page says ---------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    """Return the page's fenced blocks of a language."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", PAGE)


def block(language: str, start: str) -> str:
    """Return the one block that starts so."""
    [found] = [block for block in blocks(language) if block.startswith(start)]
    return str(found)


def exported() -> dict[str, str]:
    """Return the environment that the page asks for."""
    lines = block("sh", "export ").splitlines()
    return dict(line.removeprefix("export ").split("=") for line in lines)


def commands() -> list[list[str]]:
    """Return every command of the page that starts something of Flower's or of this package."""
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    programs = ("flower-superlink ", "flower-supernode ", "flwr ", "tradefl ")
    return [shlex.split(line) for line in lines if line.startswith(programs)]


def command(start: str, **options: str) -> list[str]:
    """Return a command of the page with other values of some options: ``ssl_keyfile="..."``."""
    [words] = [command for command in commands() if " ".join(command).startswith(start)]
    for name, value in options.items():
        at = words.index(f"--{name.replace('_', '-')}")
        words[at + 1] = value
    return words


def run_config() -> dict[str, Any]:
    """Return the run config of the page."""
    return tomllib.loads(block("toml", "consortium = "))


def make_certificates(folder: Path) -> None:
    """Write ``ca.crt``, ``server.pem`` and ``server.key`` as the page does."""
    _shell(block("sh", "openssl ").replace(PAGE_HOST, "localhost"), folder)


def make_key(folder: Path, name: str) -> None:
    """Write the key pair ``name`` and ``name.pub`` as the page does."""
    _shell(block("sh", "ssh-keygen ").replace("Alpha", shlex.quote(name)), folder)


def _shell(script: str, folder: Path) -> None:
    done = subprocess.run(
        ["sh", "-euc", script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"


# --- processes ------------------------------------------------------------------------------------


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, its group and its children, of which a SuperLink detaches some."""
    family = descendants(process.pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(10)


def processes() -> dict[int, int]:
    """Return the parent of every process that runs; who has ended and waits for it does not."""
    done = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in done.stdout.splitlines()]
    return {int(row[0]): int(row[1]) for row in rows if not row[2].startswith("Z")}


def descendants(pid: int) -> list[int]:
    """Return the processes below a process."""
    parents = processes()
    found = [pid]
    for log_ in found:
        found += [child for child, parent in parents.items() if parent == log_]
    return found[1:]


def until(what: str, condition: Any, seconds: float, every: float = 0.1) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(every)


@dataclasses.dataclass
class Process:
    """A running command and its log."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        """What it has printed."""
        return self.log.read_text("utf-8", errors="replace")


class Deployment:
    """A SuperLink and its SuperNodes; a context manager that leaves no process behind.

    Attributes
    ----------
    folder
        Holds everything: certificates, keys, logs. Its ``keys`` has the public ones.
    attempts
        The file in which every process writes down what it asks of the network beyond this
        machine; it does not exist as long as nobody does.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.attempts = folder / "attempts"
        self.port = free_port()
        self._started: list[Process] = []
        self.home = folder / "flwr-home"
        self.home.mkdir()
        (folder / "keys").mkdir()
        make_certificates(folder)
        # No proxies and no settings of Flower's; but the arithmetic of this process.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in ("HOME", "LANG") or name.startswith(("MKL_", "OPENBLAS_"))
        }
        # Of the package under test, wherever this interpreter has it from.
        packages = [str(APPS), str(ROOT / "src")]
        self.environment = {
            **inherited,
            **exported(),
            "PATH": os.pathsep.join([str(SCRIPTS), os.environ.get("PATH", os.defpath)]),
            "PYTHONPATH": os.pathsep.join(packages),
            "FLWR_HOME": str(self.home),
            "NETWORK_ATTEMPTS": str(self.attempts),
            # Short waits and no competition among four nodes for two cores.
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.05",
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
            "COLUMNS": "200",
            **(environment or {}),
        }
        connection = tomllib.loads(block("toml", "[superlink]"))
        [name] = [key for key in connection["superlink"] if key != "default"]
        connection["superlink"][name] = {
            "address": f"localhost:{self.port}",
            "root-certificates": str(folder / "ca.crt"),
        }
        (self.home / "config.toml").write_text(tomli_w.dumps(connection), "utf-8")

    def __enter__(self) -> Self:
        return self

    def running(self) -> set[int]:
        """Return every process that was started here, and those that these have started."""
        own = {entry.popen.pid for entry in self._started if entry.popen.poll() is None}
        return own.union(*(descendants(pid) for pid in own))

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            kill_tree(process.popen)

    def logs(self, lines: int = 25) -> str:
        """Return the ends of all logs, for whoever has to find out what went wrong."""
        ends = []
        for path in sorted(self.folder.glob("*.log")):
            text = path.read_text("utf-8", errors="replace").splitlines()[-lines:]
            ends.append(f"--- {path.name}\n" + "\n".join(text))
        return "\n".join(ends)

    def spawn(self, name: str, words: list[str], **environment: str) -> Process:
        """Start a command as the leader of a process group, with its output in a log."""
        count = sum(entry.log.name.startswith(f"{name}-") for entry in self._started)
        log = self.folder / f"{name}-{count + 1}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [str(SCRIPTS / words[0]), *words[1:]],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment | environment,
                cwd=self.folder,
                start_new_session=True,
            )
        self._started.append(Process(popen, log))
        return self._started[-1]

    def start_superlink(self) -> Process:
        """Start the SuperLink, and wait until it listens."""
        words = command("flower-superlink", host=HOST, port=str(self.port))
        superlink = self.spawn("superlink", words)

        def listens() -> bool:
            assert superlink.popen.poll() is None, superlink.text
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 0.2):
                return True
            return False

        until("the SuperLink listens", listens, 60)
        return superlink

    def start_node(
        self, name: str, organization: str | None = None, data_dir: Path | None = None
    ) -> Process:
        """Start the SuperNode with the key ``name``, that says it is the organization."""
        config = {"organization": organization or name} | (
            {"data-dir": str(data_dir)} if data_dir else {}
        )
        words = command(
            "flower-supernode",
            superlink=f"localhost:{self.port}",
            auth_supernode_private_key=name,
            node_config=" ".join(f"{key}={json.dumps(value)}" for key, value in config.items()),
        )
        home = self.folder / f"home-{name}"
        home.mkdir(exist_ok=True)
        # Several on one machine: a port each.
        return self.spawn(name, [*words, "--port", str(free_port())], FLWR_HOME=str(home))

    def await_node(self, node: Process, seconds: float = 120.0) -> None:
        """Wait until the SuperLink has taken a node in."""

        def connected() -> bool:
            if "SuperNode ID:" in node.text:
                return True
            assert node.popen.poll() is None, f"it has ended\n{node.text}"
            return False

        until(f"{node.log.stem} is connected", connected, seconds)

    def flwr(self, *words: str, timeout: float = 240.0) -> Any:
        """Run ``flwr ... --format json`` and return the document."""
        done = subprocess.run(
            [str(SCRIPTS / "flwr"), *words, "--format", "json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.folder,
            timeout=timeout,
            check=False,
        )
        start = done.stdout.find("{")  # lines for people can precede the document
        assert done.returncode == 0, f"{words}: {done}"
        assert start >= 0, f"{words}: {done}"
        answer = json.loads(done.stdout[start:])
        assert answer.get("success", True), f"{words}: {answer}"
        return answer

    def register(self, name: str) -> None:
        """Register the public key of a node."""
        words = command("flwr supernode register")
        assert words[3:] == ["keys/Alpha.pub", "--name", "Alpha"]
        self.flwr(*words[1:3], f"keys/{name}.pub", "--name", name)

    def run(self, app: Path, config: Mapping[str, Any]) -> int:
        """Submit an app with a run config, as the page does; return the run's id."""
        path = self.folder / "run.toml"
        path.write_text(tomli_w.dumps(config), "utf-8")
        words = command("flwr run", run_config=str(path))
        assert words[2] == "examples/federation"
        words[2] = str(app)
        return int(self.flwr(*words[1:])["run-id"])

    def status(self, run: int) -> dict[str, Any]:
        """Return what ``flwr list`` says about a run."""
        words = command("flwr list", run_id=str(run))
        [one] = self.flwr(*words[1:])["runs"]
        return dict(one)

    def log_of(self, run: int) -> str:
        """Return the log of a run's ServerApp."""
        words = [str(run) if word == "$RUN" else word for word in command("flwr log")]
        done = subprocess.run(
            [str(SCRIPTS / words[0]), *words[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=60,
            check=True,
        )
        return done.stdout

    def finish(self, run: int, output: Path, seconds: float) -> dict[str, Any]:
        """Wait until a run is over, and return the document that it has written."""

        def completed() -> bool:
            status = self.status(run)
            assert status["status"] not in ("finished:failed", "finished:stopped"), status
            return bool(status["status"] == "finished:completed")

        end = time.monotonic() + seconds
        # The file is written at the very end. To ask Flower costs a process that imports it.
        while not output.exists() and time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                until("the output is there", output.exists, 20.0)
            if not output.exists():
                completed()
        until(f"run {run} is completed", completed, 60.0, every=1.0)
        document = json.loads(output.read_text("utf-8"))
        assert isinstance(document, dict)
        return document


def app_folder(folder: Path, client: str, server: str = "") -> Path:
    """Write the app of ``examples/federation`` with other apps of ours; return its folder."""
    text = (ROOT / "examples" / "federation" / "pyproject.toml").read_text("utf-8")
    ours = 'clientapp = "tradefl.federation.client:app"'
    assert ours in text
    text = text.replace(ours, f'clientapp = "{client}"')
    if server:
        ours = 'serverapp = "tradefl.federation.server_app:app"'
        assert ours in text
        text = text.replace(ours, f'serverapp = "{server}"')
    folder.mkdir()
    (folder / "pyproject.toml").write_text(text, "utf-8")
    return folder


def tradefl(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the command line of the package."""
    return subprocess.run(
        [sys.executable, "-m", "tradefl", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "PYTHONPATH": str(ROOT / "src")},
        timeout=120,
        check=False,
    )
