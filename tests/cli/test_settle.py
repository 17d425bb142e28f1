"""``tradefl settle``: what it prints, writes and refuses; the chain itself is tested elsewhere."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.command import PLAIN, SOURCE, assert_refused, run, run_process, strict_json
from tests.consortium.documents import NAMES, document, save
from tests.settlement import nodes  # noqa: F401  web3 with its warnings silenced

EXAMPLES = Path(__file__).parents[2] / "examples"
NODE = ["--rpc", "http://127.0.0.1:1"]


def test_ten_organizations_in_a_process_of_their_own(tmp_path):
    started = time.monotonic()
    ran = run_process(
        "settle", EXAMPLES / "drug_discovery.toml", "--json", "-o", tmp_path / "o.json"
    )
    print(f"\nembedded, 10 organizations: {time.monotonic() - started:.1f} s")
    assert ran.code == 0
    found = ran.json
    assert found["audit"]["agrees"]
    assert found["audit"]["differences"] == []
    assert (found["schema"], found["phase"]) == ("tradefl/settlement/1", "settled")
    assert (
        sum(int(organization["redistribution_wei"]) for organization in found["organizations"]) == 0
    )
    assert strict_json((tmp_path / "o.json").read_text()) == found


def test_the_table_and_the_document_say_the_same(tmp_path):
    path = save(tmp_path, document())
    ran, found = run("settle", path), run("settle", path, "--json").json
    assert ran.code == 0
    assert "the embedded chain lives in this process only" in ran.err
    lines = ran.out.splitlines()
    for name, organization in zip(NAMES, found["organizations"], strict=True):
        line = next(line for line in lines if line.lstrip().startswith(name))
        for key in ("data_ppb", "cpu_hz", "deposit_wei", "redistribution_wei", "withdrawn_wei"):
            assert f"{int(organization[key]):,}" in line
    total = sum(int(organization["deposit_wei"]) for organization in found["organizations"])
    line = next(line for line in lines if line.lstrip().startswith("sum"))
    assert line.split() == ["sum", f"{total:,}", "0", f"{total:,}"]
    assert len([line for line in lines if " 0x" in line and "withdraw" in line]) == 3
    assert "everything agrees to the wei" in ran.out


def test_a_solution_can_be_settled(tmp_path):
    path = save(tmp_path, document())
    solution = tmp_path / "solution.json"
    solution.write_text(run("solve", path, "--method", "dbr", "--json").out)
    found = run("settle", path, "--profile", solution, "--json").json
    for organization, solved in zip(
        found["organizations"], json.loads(solution.read_text())["organizations"], strict=True
    ):
        assert organization["data_ppb"] == round(solved["data_fraction"] * 10**9)
        assert int(organization["cpu_hz"]) == solved["cpu_hz"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--contract", "0x" + "11" * 20),
        ("--accounts", "unlocked"),
        ("--keystore", "keys"),
        ("--password-file", "password"),
        ("--attestations", "signatures.json"),
        ("--chain-id", "5"),
        ("--organization", "Alpha"),
        ("--max-deposit", "5"),
        ("--payout", "0x" + "11" * 20),
        ("--max-fee", "5"),
        ("--state", "folder"),
    ],
)
def test_what_needs_a_node(tmp_path, option, value):
    ran = run("settle", save(tmp_path, document()), option, value)
    assert (ran.code, ran.out) == (2, "")
    what = "requires --rpc: an embedded chain exists only within one run"
    assert ran.err == f"error: {option}: {what}\n"


@pytest.mark.parametrize(
    "options",
    [
        [*NODE, "--accounts", "unlocked", "--keystore", "keys"],
        [*NODE, "--accounts", "locked"],
        [*NODE, "--contract", "0x12"],
        [*NODE, "--chain-id", "0"],
        [*NODE, "--confirmations", "-1"],
        [*NODE, "--timeout", "0"],
        [*NODE, "--timeout", "nan"],
        ["--method", "magic"],
        ["--profile", "none.json"],
    ],
    ids=lambda options: " ".join(options[-2:]),
)
def test_what_is_refused(tmp_path, options):
    ran = run("settle", save(tmp_path, document()), *options)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "options",
    [["--wait"], ["--no-report"], ["--confirmations", "2"], ["--timeout", "5"],
     ["--from-block", "3"], [*NODE, "--password-file", "password"]],
    ids=" ".join,
)  # fmt: skip
def test_what_would_be_ignored_is_refused(tmp_path, options):
    ran = run("settle", save(tmp_path, document()), *options)
    assert ran.code == 2
    assert any(
        ran.err.startswith(f"error: {option}") for option in options if option.startswith("--")
    )


def test_no_equilibrium_no_settlement(tmp_path):
    path = save(tmp_path, document({"organization.0.data_bits": 1.0e30}))
    assert_refused_any(run("settle", path))


def assert_refused_any(ran):
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert "Traceback" not in ran.err


def test_a_folder_as_output_is_refused(tmp_path):
    ran = run("settle", save(tmp_path, document()), "-o", tmp_path)
    assert ran.code == 2
    assert f"error: {tmp_path}: cannot be written" in ran.err


@pytest.mark.parametrize("command", ["settle", "audit", "agreement", "explain", "negotiate"])
def test_without_the_extra_there_is_the_line_that_installs_it(tmp_path, command):
    """web3 and all that comes with it cannot be imported."""
    path = save(tmp_path, document())
    options = {
        "settle": [str(path)],
        "audit": [*NODE, "--contract", "0x" + "11" * 20],
        "agreement": [str(path)],
        "explain": [str(path), "--wei"],
        "negotiate": [str(path), "--processes"],
    }[command]
    program = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'web3', 'eth_utils', 'eth_abi', 'eth_keys', "
        "'eth_account', 'eth_tester', 'eth_hash'}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        f"sys.argv = ['tradefl', *{[command, *options]!r}]\n"
        "from tradefl.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, **PLAIN, "PYTHONPATH": str(SOURCE)},
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "pip install 'tradefl[settlement]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_does_not_fit_is_refused_before_the_chain_starts(tmp_path):
    path = save(tmp_path, document({"settlement": {"wei_per_payoff": 10**37}}))
    place = "consortium.toml: mechanism.incentive_intensity"
    assert_refused(tmp_path, {place: "expected a whole number of 0 to"}, "settle", path)
