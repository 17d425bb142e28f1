"""``tradefl negotiate``: in one process, and with a process for each organization."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.command import PLAIN, SOURCE, run, run_process, strict_json
from tests.negotiation.processes import EXAMPLES, Recorder, three_hospitals
from tests.settlement.nodes import ANVIL, node, require_anvil, shared_node

import tradefl
from tradefl.negotiation import processes

__all__ = ["node", "shared_node"]
HOSPITALS = EXAMPLES / "hospitals.toml"
PATIENCE = 300.0  # seconds, for a machine that does much else


def assert_same(document, consortium) -> None:
    """The document is where dbr ends: shares to 1e-9, the same levels."""
    solution = tradefl.solve(consortium, "dbr")
    assert document["method"] == "negotiation"
    assert document["status"] == "equilibrium"
    rows = document["organizations"]
    assert [row["name"] for row in rows] == list(consortium.names)
    for row, d, f in zip(
        rows, solution.profile.data_fraction, solution.profile.cpu_hz, strict=True
    ):
        assert abs(row["data_fraction"] - d) <= 1e-9
        assert row["cpu_hz"] == f


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
    return [log_ for log_ in found if log_]  # without those that have ended


def assert_nothing_is_left(folder: Path) -> None:
    until = time.monotonic() + PATIENCE
    while (left := processes_with(f"TMPDIR={folder}")) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == []
    assert [path.name for path in folder.iterdir() if path.name.startswith("tradefl-")] == []


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
        env=environment(temporary), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    print(f"\nsix processes: {time.monotonic() - started:.1f} s")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert_same(strict_json(done.stdout), tradefl.load(HOSPITALS))
    assert_nothing_is_left(temporary)
    settled = run_process("settle", HOSPITALS, "--profile", tmp_path / "out.json", "--json")
    assert settled.code == 0, settled.err
    document = json.loads((tmp_path / "out.json").read_text())
    for organization, stands in zip(
        document["organizations"], settled.json["organizations"], strict=True
    ):
        assert stands["data_ppb"] == round(organization["data_fraction"] * 10**9)


def test_processes_and_the_settlement_of_an_agreement_with_a_payee(node, tmp_path):
    """The payee has no agent; it joins, reports and receives all the same."""
    three_hospitals(tmp_path / "three.toml")
    file, found = tmp_path / "t.toml", tmp_path / "out.json"
    payee = "0x00000000000000000000000000000000000000AA"
    ran = run(
        *("design", tmp_path / "three.toml", "--truthful", 0.05, "--payee", payee),
        *("--starts", 0, "-o", file),
    )
    assert ran.code == 0, ran.err
    temporary = tmp_path / "tmp"
    done = subprocess.run(
        [sys.executable, "-m", "tradefl", "negotiate", str(file), "--processes", "--json",
         "--rpc", node.url, "-o", str(found)],
        env=environment(temporary), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_same(strict_json(done.stdout), tradefl.load(file))
    assert len(json.loads(found.read_text())["organizations"]) == 3
    assert_nothing_is_left(temporary)
    settled = run_process("settle", file, "--profile", found, "--json")
    assert settled.code == 0, settled.err
    assert settled.json["audit"]["agrees"]
    rows = {row["name"]: int(row["redistribution_wei"]) for row in settled.json["organizations"]}
    assert len(rows) == 4
    assert rows["payee"] > 0
    assert sum(rows.values()) == 0


def test_on_a_node_that_is_given(node, tmp_path):
    three = three_hospitals(tmp_path / "three.toml")
    temporary = tmp_path / "tmp"
    done = subprocess.run(
        [sys.executable, "-m", "tradefl", "negotiate", str(three.source), "--processes", "--json",
         "--rpc", node.url],
        env=environment(temporary), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_same(strict_json(done.stdout), three)
    assert node.url in done.stderr
    assert node.height > 10
    assert_nothing_is_left(temporary)


@contextlib.contextmanager
def under_way(folder: Path, agents: int = 3) -> Iterator[subprocess.Popen[bytes]]:
    """A negotiation of three hospitals whose agents have started."""
    require_anvil()
    three, temporary = three_hospitals(folder / "three.toml"), folder / "tmp"
    own = environment(temporary)
    with (folder / "err").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tradefl", "negotiate", str(three.source), "--processes"],
            env=own, stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
    try:
        until = time.monotonic() + PATIENCE
        # Each has its folder before it starts, and opens its log when it has joined.
        while len(list(temporary.glob("tradefl-*/*/log.jsonl"))) < agents:
            assert time.monotonic() < until
            assert process.poll() is None, (folder / "err").read_text()
            time.sleep(0.05)
        yield process
        assert_nothing_is_left(temporary)
    finally:
        process.kill()
        process.wait()
        end(temporary)


# SIGHUP is a closed terminal; nothing can be done about SIGKILL, as when memory runs out.
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_ended_in_the_middle_it_leaves_neither_processes_nor_keys(tmp_path, sign):
    with under_way(tmp_path) as process:
        assert list((tmp_path / "tmp").glob("tradefl-*/*/key.json"))
        process.send_signal(sign)
        code = process.wait(timeout=PATIENCE)
    assert code in (128 + sign, -sign)
    assert "Traceback" not in (tmp_path / "err").read_text()


def test_killed_before_the_agents_start_it_leaves_nothing(tmp_path):
    with under_way(tmp_path, agents=0) as process:
        until = time.monotonic() + PATIENCE
        while not list((tmp_path / "tmp").glob("tradefl-*")):
            assert time.monotonic() < until
            time.sleep(0.01)
        process.kill()
        process.wait(timeout=PATIENCE)


def test_under_nohup_a_closed_terminal_ends_nothing(tmp_path):
    require_anvil()
    three = three_hospitals(tmp_path / "three.toml")
    process = subprocess.Popen(
        [sys.executable, "-c",
         "import os, signal, sys\n"
         "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
         "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])",
         "-m", "tradefl", "negotiate", str(three.source), "--processes", "--json"],
        env=environment(tmp_path / "tmp"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    until = time.monotonic() + PATIENCE
    while not list((tmp_path / "tmp").glob("tradefl-*/*/log.jsonl")):
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert_same(strict_json(out), three)


def test_no_process_shows_the_address_of_the_node(tmp_path, node):
    """Command lines are for every user of a machine to read; a node's address may hold a key."""
    three, temporary = three_hospitals(tmp_path / "three.toml"), tmp_path / "tmp"
    key, provider = "k3y-of-the-provider", Recorder(node)
    process = subprocess.Popen(
        [sys.executable, "-c",
         "import sys; from tradefl.cli import main; "
         f"sys.argv = ['tradefl', 'negotiate', {str(three.source)!r}, '--processes', '--rpc', "
         "sys.stdin.readline().strip()]; main()"],
        env=environment(temporary), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(f"{provider.url}/v3/{key}?token={key}\n")
    process.stdin.flush()
    seen: set[str] = set()
    try:
        while process.poll() is None:
            seen.update(processes_with(f"TMPDIR={temporary}"))
            time.sleep(0.05)
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        end(temporary)
        provider.close()
    assert process.returncode == 0, err
    assert sum("attached.py" in reply for reply in seen) >= 1
    assert not [reply for reply in seen if key in reply]
    assert key not in err
    assert f"{provider.url}/***" in err
    assert len(provider.requests) > 10


def test_errors_hide_what_is_secret_in_an_address(tmp_path):
    three = three_hospitals(tmp_path / "three.toml")
    address = "http://user:pa55word@127.0.0.1:1/v3/k3y?token=t0ken"
    err = refused(three.source, "--processes", "--rpc", address)
    for secret in ("user", "pa55word", "k3y", "t0ken"):
        assert secret not in err


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(tmp_path, monkeypatch):
    """A dead proxy: what went through it would fail."""
    require_anvil()
    three = three_hospitals(tmp_path / "three.toml")
    own = environment(tmp_path / "tmp")
    own |= dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    own |= {"NO_PROXY": "example.org", "no_proxy": ""}
    done = subprocess.run(
        [sys.executable, "-m", "tradefl", "negotiate", str(three.source), "--processes", "--json"],
        env=own, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_same(strict_json(done.stdout), three)


def in_a_hurry(document):
    document["settlement"] = {"turn_seconds": 1, "report_seconds": 2, "join_seconds": 1}


@pytest.mark.parametrize("options", [(), ("--processes",)])
def test_no_clock_decides_a_negotiation_on_one_machine(tmp_path, options):
    """Starting the agents takes longer than these limits; nobody is skipped for that."""
    require_anvil()
    hurried = three_hospitals(tmp_path / "three.toml", in_a_hurry)
    done = subprocess.run(
        [sys.executable, "-m", "tradefl", "negotiate", str(hurried.source), "--json", *options],
        env=environment(tmp_path / "tmp"), capture_output=True, text=True, timeout=PATIENCE,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_same(strict_json(done.stdout), hurried)


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
    monkeypatch.setattr(processes, "CHECKOUT", tmp_path)
    err = refused(HOSPITALS.resolve(), "--processes")
    assert err.startswith("error: --processes: needs anvil")
    assert "npm ci" in err
    assert "--rpc" in err


def test_the_checkout_s_anvil_is_found_from_any_folder(tmp_path, monkeypatch):
    require_anvil()
    monkeypatch.chdir(tmp_path)
    found = processes.own_anvil()
    assert found is not None
    assert Path(found).samefile(ANVIL)


def test_a_node_without_processes_is_refused():
    err = refused(HOSPITALS, "--rpc", "http://127.0.0.1:1")
    assert err == "error: --rpc: needs --processes\n"
    several = ["--rpc", "http://127.0.0.1:1", "--rpc", "http://127.0.0.1:2"]
    err = refused(HOSPITALS, "--processes", *several)
    assert err.startswith("error: --rpc: expected one development node, got 2")


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
    from tradefl.negotiation.protocol import BlockTimes, Proposal, initial_reports, replay
    from tradefl.settlement.agreement import Agreement
    from tradefl.settlement.stand_ins import addresses_or_stand_ins

    three = three_hospitals(tmp_path / "three.toml")
    agreement = Agreement.of(three, addresses_or_stand_ins([None] * 3))
    # The third speaks in the first one's turn; the first has not said anything.
    early = Proposal(1, 0, START + 1, agreement.addresses[2], initial_reports(agreement)[2])
    blocks = BlockTimes(1, lambda block: START + block)
    rows = _rows(agreement, replay(agreement, START, [early], blocks=blocks))
    assert rows[0][3] == ""
    assert "rejected" in rows[2][3]


def test_an_agent_that_fails_says_why(tmp_path, node):
    """Its last line is printed; its folder with the rest is gone."""
    three = three_hospitals(tmp_path / "three.toml")
    command = tmp_path / "sitecustomize"
    command.mkdir()
    # Every agent refuses its password.
    (command / "sitecustomize.py").write_text(
        "import os, sys\n"
        "from collections.abc import MutableMapping\n"
        "class Wrong(type(os.environ)):\n"
        "    def get(self, name, default=None):\n"
        "        found = super().get(name, default)\n"
        "        return 'wrong' if name == 'TRADEFL_KEYSTORE_PASSWORD' else found\n"
        "if any('attached' in one for one in sys.orig_argv): os.environ.__class__ = Wrong\n"
    )
    own = environment(tmp_path / "tmp")
    own["PYTHONPATH"] = f"{command}{os.pathsep}{SOURCE}"
    done = subprocess.run(
        [sys.executable, "-m", "tradefl", "negotiate", str(three.source), "--processes",
         "--rpc", node.url],
        env=own, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "error: agent of" in done.stderr
    assert "the password is wrong" in done.stderr
