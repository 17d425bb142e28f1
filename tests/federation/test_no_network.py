"""Training asks nothing of the network beyond this machine.

Two witnesses. One is in every Python process (``apps/sitecustomize.py``): an audit hook that lets
any attempt to leave the machine fail, and writes it down; the deployment's test has it too. The
other is the kernel's: in a network namespace with a loopback alone it counts what has no route,
whoever asked, native code included.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flwr")

from tests.federation.deployment import APPS, ROOT

CONSORTIUM = ROOT / "examples" / "quickstart-flower" / "consortium.toml"
TRAIN = f"""
from tradefl.federation import Plan, train

def main(backend):
    plan = Plan(consortium={str(CONSORTIUM)!r}, rounds=1)
    assert len(train(plan, backend=backend).accuracy) == 2
"""
TELEMETRY = "telemetry.flower.ai"
# Ray asks, whatever its usage statistics are set to, whether it runs in a cloud.
CLOUD_METADATA = {"169.254.169.254", "metadata.google.internal"}

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray")


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment in which nobody has said anything about telemetry."""
    said = ("FLWR_", "RAY_", "PYTHON", "http", "HTTP", "all_", "ALL_", "no_", "NO_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(said)}
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return clean | {
        "FLWR_HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(APPS), str(ROOT / "src")]),
        **more,
    }


def watched(folder: Path, code: str, **more: str) -> set[str]:
    """Run Python code; return the hosts beyond this machine that it or a child has asked for."""
    record = folder / "attempts"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(folder, NETWORK_ATTEMPTS=str(record), **more),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = record.read_text("utf-8").splitlines() if record.exists() else []
    return {line.split()[1] for line in lines}


@pytest.mark.parametrize(
    ("code", "host"),
    [
        ("socket.create_connection(('198.51.100.1', 80), 1)", "198.51.100.1"),
        ("socket.getaddrinfo('example.org', 80)", "example.org"),
        ("socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('198.51.100.1', 9))", "198.51.100.1"),
        ("socket.create_connection(('2001:db8::1', 80), 1)", "2001:db8::1"),
        ("__import__('urllib.request').request.urlopen('http://example.org')", "example.org"),
    ],
)
def test_the_watch_sees_and_stops_an_attempt(tmp_path: Path, code: str, host: str) -> None:
    attempt = f"try:\n    {code}\nexcept OSError:\n    pass\nelse:\n    raise SystemExit(1)"
    assert watched(tmp_path, f"import socket\n{attempt}") == {host}


def test_the_watch_lets_this_machine_be(tmp_path: Path) -> None:
    code = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(("localhost", server.getsockname()[1])).close()
"""
    assert watched(tmp_path, code) == set()


def test_training_in_process_asks_for_nothing(tmp_path: Path) -> None:
    assert watched(tmp_path, f"{TRAIN}\nmain('in-process')") == set()


@needs_ray
def test_training_on_ray_asks_for_the_clouds_metadata_alone(tmp_path: Path) -> None:
    assert watched(tmp_path, f"{TRAIN}\nmain('ray')") <= CLOUD_METADATA


def test_flowers_telemetry_is_off_unless_somebody_turns_it_on(tmp_path: Path) -> None:
    code = """
import tradefl.federation
from flwr.supercore.telemetry import EventType, event
event(EventType.PING).result()
"""
    assert watched(tmp_path, code) == set()
    # The counterpart, which shows that the tests above can fail.
    assert watched(tmp_path, code, FLWR_TELEMETRY_ENABLED="1") == {TELEMETRY}


# --- the kernel's word ----------------------------------------------------------------------------

INSIDE = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
COUNTING = """
import socket

def unroutable():
    for name, values in zip(*[map(str.split, open("/proc/self/net/snmp"))] * 2):
        if name[0] == "Ip:":
            return int(values[name.index("OutNoRoutes")])

def attempt():
    try:
        socket.create_connection(("198.51.100.1", 80), 1)
    except OSError:
        pass
"""


def in_namespace(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code where there is no network but the loopback."""
    return subprocess.run(
        [*INSIDE, sys.executable, "-c", f"{COUNTING}\n{code}"],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.fixture
def namespace(tmp_path: Path) -> Any:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs unshare and ip")
    done = in_namespace(tmp_path, "attempt()\nprint(unroutable())")
    if done.returncode:
        pytest.skip(f"no network namespaces for this user: {done.stderr.strip()[-200:]}")
    if done.stdout.strip() == "0":
        pytest.skip("this kernel does not count what has no route")
    return in_namespace


def test_without_a_network_training_is_as_always(tmp_path: Path, namespace: Any) -> None:
    code = f"""{TRAIN}
main('in-process')
print(unroutable())
attempt()
print(unroutable())
"""
    done = namespace(tmp_path, code)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert before == 0
    assert after > 0


def test_without_a_network_the_whole_way_is_as_always(tmp_path: Path, namespace: Any) -> None:
    command = ["tradefl", "run", str(CONSORTIUM), "--rounds", "1", "--json"]
    code = f"""
import sys
sys.argv = {command!r}
from tradefl.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(unroutable(), file=sys.stderr)
"""
    done = namespace(tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.split()[-1] == "0"
    assert json.loads(done.stdout)["settlement"]
