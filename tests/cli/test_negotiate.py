"""``tradefl negotiate``: in one process, and with a process for each organization."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.command import PLAIN, SOURCE, run, run_process, strict_json
from tests.negotiation.processes import EXAMPLES, three_hospitals
from tests.settlement.nodes import ANVIL, node, require_anvil, shared_node

import tradefl

__all__ = ["node", "shared_node"]
HOSPITALS = EXAMPLES / "hospitals.toml"


def assert_same(document, consortium) -> None:
    """The document is where dbr ends: shares to 1e-9, the same levels."""
    solution = tradefl.solve(consortium, "dbr")
    assert document["method"] == "negotiation"
    assert document["status"] == "equilibrium"
    rows = document["organizations"]
    assert [one["name"] for one in rows] == list(consortium.names)
    for one, d, f in zip(
        rows, solution.profile.data_fraction, solution.profile.cpu_hz, strict=True
    ):
        assert abs(one["data_fraction"] - d) <= 1e-9
        assert one["cpu_hz"] == f


def environment(folder: Path) -> dict[str, str]:
    """With anvil on PATH, and a folder of its own for what is temporary."""
    folder.mkdir(exist_ok=True)
    path = f"{ANVIL.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, **PLAIN, "PYTHONPATH": str(SOURCE), "PATH": path, "TMPDIR": str(folder)}


def processes_with(mark: str) -> list[str]:
    """The command lines of all processes whose environment has this mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return [one for one in found if one]  # without those that have ended


def assert_nothing_is_left(folder: Path) -> None:
    until = time.monotonic() + 10.0
    while (left := processes_with(f"TMPDIR={folder}")) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == []
    assert [one.name for one in folder.iterdir() if one.name.startswith("tradefl-")] == []


def test_in_one_process_it_ends_where_dbr_ends(tmp_path):
    ran = run("negotiate", HOSPITALS, "--json", "-o", tmp_path / "out.json")
    assert ran.code == 0
    assert_same(ran.json, tradefl.load(HOSPITALS))
    assert strict_json((tmp_path / "out.json").read_text()) == ran.json


def test_six_processes_and_then_the_settlement(tmp_path):
    require_anvil()
    temporary = tmp_path / "tmp"
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tradefl", "negotiate", str(HOSPITALS), "--processes", "--json",
         "-o", str(tmp_path / "out.json")],
        env=environment(temporary), capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    print(f"\nsix processes: {time.monotonic() - started:.1f} s")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert_same(strict_json(done.stdout), tradefl.load(HOSPITALS))
    assert_nothing_is_left(temporary)
    settled = run_process("settle", HOSPITALS, "--profile", tmp_path / "out.json", "--json")
    assert settled.code == 0, settled.err
    document = json.loads((tmp_path / "out.json").read_text())
    for one, stands in zip(document["organizations"], settled.json["organizations"], strict=True):
        assert stands["data_ppb"] == round(one["data_fraction"] * 10**9)


def test_on_a_node_that_is_given(node, tmp_path):
    three = three_hospitals(tmp_path / "three.toml")
    temporary = tmp_path / "tmp"
    done = subprocess.run(
        [sys.executable, "-m", "tradefl", "negotiate", str(three.source), "--processes", "--json",
         "--rpc", node.url],
        env=environment(temporary), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_same(strict_json(done.stdout), three)
    assert node.url in done.stderr
    assert node.height > 10
    assert_nothing_is_left(temporary)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_it_leaves_nothing(tmp_path, sign):
    require_anvil()
    three, temporary = three_hospitals(tmp_path / "three.toml"), tmp_path / "tmp"
    own = environment(temporary)
    with (tmp_path / "err").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tradefl", "negotiate", str(three.source), "--processes"],
            env=own, stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
    try:
        until = time.monotonic() + 60.0
        while sum(" node" in one.replace("\0", " ") for one in
                  processes_with(f"TMPDIR={temporary}")) < 3:  # fmt: skip
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.1)
        time.sleep(1.0)
        process.send_signal(sign)
        code = process.wait(timeout=40)
        assert_nothing_is_left(temporary)
    finally:
        process.kill()
        process.wait()
        end(temporary)
    assert code in (128 + sign, -sign)
    assert "Traceback" not in (tmp_path / "err").read_text()


def end(folder: Path) -> None:
    """End what a failed test leaves: the processes whose environment names its folder."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if f"TMPDIR={folder}".encode() in (entry / "environ").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue


def refused(*arguments) -> str:
    ran = run("negotiate", *arguments)
    assert (ran.code, ran.out) == (2, ""), ran
    assert "Traceback" not in ran.err
    return ran.err


def test_without_anvil_it_says_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys.modules["tradefl.cli.negotiate"], "CHECKOUT", tmp_path)
    err = refused(HOSPITALS.resolve(), "--processes")
    assert err.startswith("error: --processes: needs anvil")
    assert "npm ci" in err
    assert "--rpc" in err


def test_the_checkout_s_anvil_is_found_from_any_folder(tmp_path, monkeypatch):
    require_anvil()
    monkeypatch.chdir(tmp_path)
    assert Path(sys.modules["tradefl.cli.negotiate"]._own_anvil()).samefile(ANVIL)


def test_a_node_without_processes_is_refused():
    err = refused(HOSPITALS, "--rpc", "http://127.0.0.1:1")
    assert err == "error: --rpc: needs --processes\n"


def test_a_node_that_is_not_there_is_named():
    err = refused(HOSPITALS, "--processes", "--rpc", "http://127.0.0.1:1")
    assert "http://127.0.0.1:1: no answer from the node" in err


def test_where_nothing_can_be_written_is_refused_before_the_work(tmp_path):
    missing = tmp_path / "no" / "such" / "out.json"
    assert refused(HOSPITALS, "-o", missing).startswith(f"error: {missing}: cannot be written")
    assert refused(HOSPITALS, "-o", tmp_path).startswith(f"error: {tmp_path}: cannot be written")


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert str(tmp_path / "no.toml") in refused(tmp_path / "no.toml")


def test_the_table_puts_what_did_not_count_to_whoever_proposed_it(tmp_path):
    from tradefl.cli.negotiate import _rows
    from tradefl.negotiation.in_process import START
    from tradefl.negotiation.protocol import Proposal, initial_reports, replay
    from tradefl.settlement.agreement import Agreement
    from tradefl.settlement.stand_ins import addresses_or_stand_ins

    three = three_hospitals(tmp_path / "three.toml")
    agreement = Agreement.of(three, addresses_or_stand_ins([None] * 3))
    # The third speaks in the first one's turn; the first has not said anything.
    early = Proposal(1, 0, START + 1, agreement.addresses[2], initial_reports(agreement)[2])
    rows = _rows(agreement, replay(agreement, START, [early]))
    assert rows[0][3] == ""
    assert "rejected" in rows[2][3]


def test_an_agent_that_fails_says_why(tmp_path, node):
    """Its own last line is told; its folder with the rest is gone."""
    three = three_hospitals(tmp_path / "three.toml")
    command = tmp_path / "sitecustomize"
    command.mkdir()
    # Every agent refuses its password.
    (command / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'node' in sys.orig_argv: os.environ['TRADEFL_KEYSTORE_PASSWORD'] = 'wrong'\n"
    )
    own = environment(tmp_path / "tmp")
    own["PYTHONPATH"] = f"{command}{os.pathsep}{SOURCE}"
    done = subprocess.run(
        [sys.executable, "-m", "tradefl", "negotiate", str(three.source), "--processes",
         "--rpc", node.url],
        env=own, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--processes: the agent of" in done.stderr
    assert "the password is wrong" in done.stderr
