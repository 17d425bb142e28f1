"""Sweeps on a Ray cluster of two nodes on this machine: what it does when something is lost.

A minute each, so they are slow tests; the rules themselves are tested without Ray.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tradefl

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]

ROOT = Path(__file__).parents[2]
RAY = Path(sys.executable).with_name("ray")
PORT = 6411
WAIT = 300.0  # patience, not a measurement: a busy machine starts Ray in minutes


def until(condition: Callable[[], object], seconds: float = WAIT) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.1)


def found(mark: str, words: str = "") -> list[int]:
    """The processes that carry a mark in their environment, and words in their command line."""
    result = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if mark.encode() in (entry / "environ").read_bytes() and words in line:
                result.append(int(entry.name))
        except OSError:
            continue
    return result


class Cluster:
    """A head and nodes, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.address = folder, f"127.0.0.1:{PORT}"
        # The path of a socket has at most 107 characters.
        self.temporary = Path(f"/tmp/tfl-{os.getpid()}")  # noqa: S108
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(self.temporary),
            "SWEEP_MARK": str(folder),
        }
        self.temporary.mkdir()
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str, path: Path | None = None) -> subprocess.Popen[bytes]:
        environment = dict(self.environment)
        if path is not None:
            environment["PYTHONPATH"] = str(path)
        common = ["--num-cpus=1", "--object-store-memory=100000000", "--block"]
        log = (self.folder / f"ray-{len(self.started)}.log").open("wb")
        one = subprocess.Popen(
            [str(RAY), "start", *words, *common], env=environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        log.close()
        self.started.append(one)
        return one

    def head(self) -> None:
        self.start("--head", f"--port={PORT}", "--include-dashboard=false",
                   "--node-ip-address=127.0.0.1")  # fmt: skip
        until(lambda: found(str(self.folder), "raylet/raylet"))
        time.sleep(5.0)

    def node(self, path: Path | None = None) -> None:
        before = len(found(str(self.folder), "raylet/raylet "))
        self.start(f"--address={self.address}", "--node-ip-address=127.0.0.2", path=path)
        until(lambda: len(found(str(self.folder), "raylet/raylet ")) > before)
        time.sleep(5.0)

    def stop(self) -> None:
        for pid in found(str(self.folder)):
            if pid != os.getpid():
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    continue
        for entry in self.started:
            entry.wait()
        shutil.rmtree(self.temporary, ignore_errors=True)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    pytest.importorskip("ray")
    one = Cluster(tmp_path)
    try:
        one.head()
        yield one
    finally:
        one.stop()


def reproduce(cluster: Cluster, out: str, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tradefl", "reproduce", "fig6", "--out"]
    return subprocess.Popen(
        [*command, str(cluster.folder / out), *words],
        env=cluster.environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def parts_in(cluster: Cluster, out: str) -> int:
    return len(list((cluster.folder / out).rglob("*.part")))


def rows_of(cluster: Cluster, out: str) -> bytes:
    return (cluster.folder / out / "fig6.csv").read_bytes()


def finish(process: subprocess.Popen[str], code: int) -> str:
    said = process.communicate(timeout=WAIT)[1]
    assert process.returncode == code, said
    assert "Traceback" not in said
    return said


SEEDS = ("--seeds", "150")


@pytest.fixture
def expected(cluster: Cluster) -> bytes:
    finish(reproduce(cluster, "here", *SEEDS, "--workers", "1"), 0)
    return rows_of(cluster, "here")


def test_a_node_with_other_code_is_refused(cluster: Cluster):
    package = Path(tradefl.__file__).parent
    other = cluster.folder / "other"
    shutil.copytree(package, other / "tradefl", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "tradefl" / "game" / "payoff.py").open("a") as stream:
        stream.write("#\n")
    cluster.node(other)
    said = finish(reproduce(cluster, "out", *SEEDS, "--ray", cluster.address), 2)
    [line] = [line for line in said.splitlines() if line.startswith("error")]
    assert line.startswith("error: --ray: node ")
    assert f"other code of tradefl {tradefl.__version__} there" in line
    assert parts_in(cluster, "out") == 0


def test_lost_workers_and_a_lost_node_change_no_byte(cluster: Cluster, expected: bytes):
    cluster.node()
    running = reproduce(cluster, "out", *SEEDS, "--ray", cluster.address)
    until(lambda: parts_in(cluster, "out"))
    os.kill(found(str(cluster.folder), "ray::")[0], signal.SIGKILL)
    said = finish(running, 0)
    assert "lost on the way: 1 worker" in said
    assert rows_of(cluster, "out") == expected
    running = reproduce(cluster, "again", *SEEDS, "--ray", cluster.address)
    until(lambda: parts_in(cluster, "again"))
    os.killpg(cluster.started[1].pid, signal.SIGKILL)
    for _ in range(5):
        said = running.communicate(timeout=WAIT)[1]
        assert "Traceback" not in said
        if running.returncode == 0:
            break
        # On one machine the command may join the lost node, until the head has noticed its loss.
        assert running.returncode == 2
        assert len([line for line in said.splitlines() if line.startswith("error: --ray")]) == 1
        running = reproduce(cluster, "again", *SEEDS, "--ray", cluster.address)
    assert running.returncode == 0
    assert rows_of(cluster, "again") == expected


def test_a_lost_head_is_reported_and_the_same_command_goes_on(cluster: Cluster, expected: bytes):
    running = reproduce(cluster, "out", "--seeds", "150", "--ray", cluster.address)
    until(lambda: parts_in(cluster, "out"))
    [head] = found(str(cluster.folder), "gcs/gcs_server")
    os.kill(head, signal.SIGKILL)
    said = finish(running, 2)
    assert len([line for line in said.splitlines() if line.startswith("error: --ray: ")]) == 1
    finish(reproduce(cluster, "out", *SEEDS, "--workers", "1"), 0)
    assert rows_of(cluster, "out") == expected


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_ray_of_its_own_ends_with_the_command(tmp_path: Path, sent: int, code: int):
    pytest.importorskip("ray")
    cluster = Cluster(tmp_path)
    try:
        running = reproduce(cluster, "out", "--seeds", "5000", "--ray", "local", "--workers", "2")
        until(lambda: parts_in(cluster, "out"))
        assert len(found(str(tmp_path), "raylet/raylet")) == 1
        running.send_signal(sent)
        said = finish(running, code)
        assert code < 0 or "stopped; the same command goes on" in said
        until(lambda: not found(str(tmp_path)))
    finally:
        cluster.stop()


def test_an_address_that_a_dead_cluster_has_left(cluster: Cluster):
    cluster.temporary.joinpath("ray").mkdir(exist_ok=True)
    for entry in cluster.started:
        os.killpg(entry.pid, signal.SIGKILL)
    for pid in found(str(cluster.folder)):
        os.kill(pid, signal.SIGKILL)
    said = finish(reproduce(cluster, "out", *SEEDS, "--ray", "auto"), 2)
    assert "error: --ray: no Ray cluster" in said
