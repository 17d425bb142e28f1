"""Starting and ending the console."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.command import assert_refused, run
from tests.dashboard.console import EXAMPLE
from tests.dashboard.served import PATIENCE, free_port, serving


def test_errors_of_the_file_are_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(
        EXAMPLE.read_text(encoding="utf-8").replace("epochs = 5", "epochs = -5")
    )
    expected = {"bad.toml: accuracy.epochs": "expected a number > 0, got -5"}
    assert_refused(tmp_path, expected, "dashboard", tmp_path / "bad.toml", "--no-browser")


def test_a_training_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("{}")
    ran = run("dashboard", EXAMPLE, "--training", tmp_path / "training.json", "--no-browser")
    assert (ran.code, ran.out) == (2, "")
    assert f"{tmp_path / 'training.json'}: schema: is missing" in ran.err


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ran = run("dashboard", EXAMPLE, "--port", port, "--no-browser")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: --port: {port} is taken; choose another\n"


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    ran = run("dashboard", EXAMPLE, "--host", host, "--port", free_port(), "--no-browser")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: --host: expected an address of this machine, got {host!r}\n"


def test_without_streamlit_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['streamlit'] = None\n"
        f"sys.argv = ['tradefl', 'dashboard', {str(EXAMPLE)!r}]\n"
        "from tradefl.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr == ("error: tradefl dashboard: needs an extra: pip install 'tradefl[ui]'\n")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_this_machine_alone_and_ends_when_told(ending: signal.Signals) -> None:
    with serving(EXAMPLE) as console:
        assert console.url.startswith("http://127.0.0.1:")
        port = int(console.url.rpartition(":")[2])
        listening = _listening(console.process.pid, port)
        assert listening == {"127.0.0.1"}
        console.process.send_signal(ending)
        assert console.process.wait(PATIENCE) == 0
        out, err = console.printed()
    assert "Traceback" not in out + err


def _listening(pid: int, port: int) -> set[str]:
    """The addresses on which a port is served, by the kernel's own list."""
    found = set()
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        if not path.exists():
            pytest.skip("this system has no /proc")
        for line in path.read_text().splitlines()[1:]:
            address, number = line.split()[1].split(":")
            if int(number, 16) == port and line.split()[3] == "0A":
                raw = bytes.fromhex(address)
                found.add(socket.inet_ntoa(raw[::-1]) if table == "tcp" else raw.hex())
    return found


def test_nothing_but_this_is_told_to_the_terminal() -> None:
    assert "STREAMLIT_SERVER_PORT" not in os.environ  # it would win over nothing: flags come first
    with serving(EXAMPLE) as console:
        console.process.send_signal(signal.SIGINT)
        console.process.wait(PATIENCE)
        out, err = console.printed()
    assert err == f"note: drug-discovery on {console.url}; Ctrl-C ends it\n"
    assert out.split() in ([], ["Stopping..."])
