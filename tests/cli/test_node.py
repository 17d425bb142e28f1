"""``tradefl node``: what it refuses, what it shows and logs, and how it stops."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from pathlib import Path

import pytest
from tests.cli.command import run
from tests.negotiation.processes import PASSWORD, Recorder, deployed, driven, three_hospitals
from tests.settlement.nodes import CHAIN_ID, anvil, node, shared_node

from tradefl.errors import InputError
from tradefl.negotiation.knowledge import load_private, write_private
from tradefl.negotiation.node import Watcher
from tradefl.settlement.accounts import PASSWORD_VARIABLE
from tradefl.settlement.chains import NodeSigner, RpcChain
from tradefl.settlement.ethereum import checksum
from tradefl.settlement.session import established
from tradefl.settlement.settle import Settlement

__all__ = ["node", "shared_node"]


@pytest.fixture
def three(node, tmp_path, monkeypatch):
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    return deployed(node, three_hospitals(tmp_path / "three.toml"), tmp_path)


def options(three, i=0, **changes):
    """A complete command; a change of ``None`` takes an option away."""
    own = three.folder / str(i)
    given = {
        "organization": own / "private.toml", "rpc": three.url, "contract": three.contract,
        "keystore": own, "agreement": three.folder / "agreement.json", **changes,
    }  # fmt: skip
    return [x for name, value in given.items() if value is not None for x in (
        "--" + name.replace("_", "-"), value)]  # fmt: skip


def refused(three, node, i=0, **changes) -> str:
    height = node.height
    ran = run("node", *options(three, i, **changes))
    assert (ran.code, ran.out) == (2, ""), ran
    assert "Traceback" not in ran.err
    assert PASSWORD not in ran.err
    assert node.height == height
    return ran.err


@pytest.mark.parametrize("missing", ["organization", "rpc", "agreement", "keystore"])
def test_every_option_that_is_needed_is_named(three, node, missing):
    assert f"--{missing}" in refused(three, node, **{missing: None})


def test_a_private_file_that_is_wrong(three, node, tmp_path):
    path = tmp_path / "own.toml"
    assert str(path) in refused(three, node, organization=path)
    path.write_text("organization = [")
    assert "not valid TOML" in refused(three, node, organization=path)
    good = load_private(tmp_path / "0" / "private.toml")
    for change, what in (
        ({"organization": "University Z"}, "no organization 'University Z' in the agreement"),
        ({"cpu_levels_hz": [1e9]}, "expected the agreement's"),
        ({"competitors_weight": 1e9}, "expected less than profitability"),
        ({"upload_seconds": 1e9}, "no feasible level"),
    ):
        write_private(good.model_copy(update=change), path)
        err = refused(three, node, organization=path)
        assert err.startswith(f"error: {path}: ")
        assert what in err


def test_a_keystore_without_the_account_or_with_a_wrong_password(three, node, tmp_path):
    err = refused(three, node, keystore=tmp_path / "1")
    assert err.startswith(f"error: {tmp_path / '1'}: holds no key of University A's account 0x")
    assert "expected a folder" in refused(three, node, keystore=tmp_path / "no")
    (tmp_path / "word").write_text("wrong")
    err = refused(three, node, password_file=tmp_path / "word")
    assert err == f"error: {tmp_path / '0' / 'key.json'}: the password is wrong\n"


def test_no_contract_another_chain_and_no_node(three, node):
    nowhere = "0x" + 40 * "1"
    assert f"{nowhere}: is not the settlement of the agreement" in refused(
        three, node, contract=nowhere
    )
    assert "expected 0x and 40" in run("node", *options(three, contract="0x12")).words
    assert "no answer from the node" in refused(three, node, rpc="http://127.0.0.1:1")
    with anvil("--chain-id", 77) as other:
        err = refused(three, node, rpc=other.url)
        assert f"{other.url}: is chain 77, and the agreement is for chain 31337" in err
        assert "is chain 77, expected 31337" in refused(
            three, node, rpc=other.url, chain_id=CHAIN_ID
        )


def test_a_log_that_cannot_be_written(three, node, tmp_path):
    assert "cannot be written" in refused(three, node, log=tmp_path / "no" / "log.jsonl")
    assert "cannot be written" in refused(three, node, log=tmp_path)
    # Nobody reads it: to open it for writing would wait for good.
    os.mkfifo(tmp_path / "fifo")
    for log in (tmp_path / "fifo", "/dev/null"):
        assert f"--log: expected a regular file, got {log}" in refused(three, node, log=log)


def test_a_log_that_becomes_a_pipe_hangs_nobody(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for log in (tmp_path / "fifo", "/dev/null"):
        with pytest.raises(InputError, match=f"{log}: the log .* name"):
            Watcher(log=Path(log)).trouble("Alpha", "no answer")


def test_lines_and_log_of_a_whole_negotiation(three, tmp_path):
    """One in this process by the command, the others beside it."""
    three.join(1, 2)
    failed: list[BaseException] = []

    def others() -> None:
        try:
            driven(three.agents()[1:])
        except BaseException as error:
            failed.append(error)

    beside = threading.Thread(target=others)
    beside.start()
    log = tmp_path / "log.jsonl"
    ran = run("node", *options(three, log=log))
    beside.join()
    assert not failed
    assert ran.code == 0, ran.err
    assert log.stat().st_mode & 0o777 == 0o600
    from tests.cli.command import strict_json

    entries = [strict_json(line) for line in log.read_text().splitlines()]
    for entry in entries:
        assert {"seconds", "event", "organization"} <= set(entry)
        assert entry["organization"] == "University A"
        assert abs(entry["seconds"] - time.time()) < 120
    standings = [entry for entry in entries if entry["event"] in ("standing", "done")]
    for entry in standings:
        fields = {"round", "turn", "whose", "data_ppb", "cpu_hz", "payoff", "potential_gain"}
        assert fields <= set(entry)
        assert entry["round"] == entry["turn"] // 3 + 1
    turns = [entry["turn"] for entry in standings]
    assert turns == sorted(turns)
    assert entries[-1]["event"] == "done"
    stands = three.contributions()[0]
    assert (entries[-1]["data_ppb"], entries[-1]["cpu_hz"]) == (stands.data_ppb, stands.cpu_hz)
    assert stands == three.undisturbed()[0].reports[0]
    assert "University A: round 1, turn of" in ran.err
    assert "turn of over" not in ran.err
    for text in (PASSWORD, three.keys[0].key.hex().removeprefix("0x")):
        assert text not in ran.err + ran.out + log.read_text()


def test_a_log_that_others_could_read_is_closed_to_them(three, tmp_path):
    """It may have been there before, with the mode of any file."""
    log = tmp_path / "log.jsonl"
    log.write_text("")
    log.chmod(0o644)
    three.join()
    for i in range(3):
        three.board(i).contribute(three.undisturbed()[0].reports[i])
    assert run("node", *options(three, log=log)).code == 0
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.read_text()


def test_the_node_s_address_may_come_from_the_environment(three, monkeypatch):
    """Arguments are for every user of the machine to read."""
    given = options(three)
    at = given.index("--rpc")
    monkeypatch.setenv("TRADEFL_RPC", given[at + 1])
    three.join()
    for i in range(3):
        three.board(i).contribute(three.undisturbed()[0].reports[i])
    assert run("node", *given[:at], *given[at + 2 :]).code == 0


def test_the_log_is_nobody_elses_from_its_first_byte(three, tmp_path, monkeypatch):
    """Its payoffs are private: not even for a moment may others read it."""
    from pathlib import Path

    modes = []
    original = Path.chmod

    def chmod(self, mode, **more):
        if self.name == "log.jsonl":
            modes.append(self.stat().st_mode & 0o777)
        return original(self, mode, **more)

    monkeypatch.setattr(Path, "chmod", chmod)
    three.join()
    for i in range(3):
        three.board(i).contribute(three.undisturbed()[0].reports[i])
    ran = run("node", *options(three, log=tmp_path / "log.jsonl"))
    assert ran.code == 0
    assert (tmp_path / "log.jsonl").stat().st_mode & 0o777 == 0o600
    assert set(modes) <= {0o600}


@pytest.mark.parametrize("when", ["unpublished", "waiting"])
def test_ctrl_c_ends_it_with_one_line_and_it_goes_on_later(node, tmp_path, when):
    of = deployed(
        node, three_hospitals(tmp_path / "three.toml"), tmp_path, publish=when == "waiting"
    )
    recorder = Recorder(node)
    try:
        with of.alone() as nodes:
            [process] = nodes.start(0, url=recorder.url)
            if when == "waiting":
                nodes.until(lambda: any(entry["event"] == "waiting" for entry in process.entries()))
            else:
                nodes.until(lambda: len(recorder.requests) > 10)
            process.interrupt()
            code, out, said = process.end(20.0)
            assert code == 130
            assert "Traceback" not in said
            lines = [line for line in (out + said).splitlines() if "stopped" in line]
            assert len(lines) == 1
            assert "the same command goes on" in lines[0]
            if when == "waiting":
                of.join(1, 2)
                [again] = nodes.start(0)
                driven(of.agents()[1:])
                nodes.present = {0: again}
                nodes.finish()
                assert of.contributions() == list(of.undisturbed()[0].reports)
    finally:
        recorder.close()


# --- the agreement is pinned ---------------------------------------------------------------------


def rivals(three, node, **terms):
    """A contract of the same organizations under a rival's terms, published for all to see."""
    agreement = dataclasses.replace(three.agreement, **terms)
    chain = RpcChain(node.url, [NodeSigner(checksum(node.accounts[5]))])
    operator = checksum(node.accounts[5])
    contract = established(chain, agreement, operator)
    Settlement(chain, agreement, contract, {}).run(operator=operator)
    return agreement, contract


def spent_nothing(node, three, i=0):
    assert node.balance(three.keys[i].address) == 10**21


@pytest.mark.parametrize("pin", ["document", "hash", "file"])
def test_a_contract_with_other_terms_gets_no_deposit(three, node, pin):
    """5,000 times the exchange rate, and the rival as verifier."""
    rate = 5000 * three.agreement.wei_per_payoff
    verifier = checksum(node.accounts[5])
    other, contract = rivals(three, node, wei_per_payoff=rate, verifier=verifier)
    agreed = {
        "document": three.folder / "agreement.json",
        "hash": three.agreement.hash,
        "file": three.folder / "three.toml",
    }[pin]
    err = refused(three, node, contract=contract, agreement=agreed)
    expected = {
        "document": f"{contract}: is not the settlement of the agreement {three.agreement.hash}",
        "hash": f"{contract}: settles the agreement {other.hash}, and the hash is",
        "file": "address: expected an account for the settlement",
    }[pin]
    assert expected in err
    spent_nothing(node, three)


def test_a_changed_document_is_refused(three, node):
    path = three.folder / "changed.json"
    document = json.loads((three.folder / "agreement.json").read_text())
    path.write_text(json.dumps(document | {"wei_per_payoff": "5000000000000000000"}))
    assert f"{path}: hash: expected 0x" in refused(three, node, agreement=path)
    spent_nothing(node, three)


def test_the_private_file_may_name_the_agreement(three, node):
    path = three.folder / "0" / "private.toml"
    named = load_private(path).model_copy(update={"agreement": three.agreement.hash})
    write_private(named, path)
    err = refused(three, node, agreement=None, contract=None)
    assert "--contract: expected the settlement's address: a hash alone" in err


def test_a_path_in_the_private_file_is_relative_to_its_folder(three, node, monkeypatch, tmp_path):
    path = three.folder / "0" / "private.toml"
    own = load_private(path)
    for named in ("../agreement.json", str(three.folder / "agreement.json")):
        write_private(own.model_copy(update={"agreement": named}), path)
        monkeypatch.chdir(tmp_path / "0")
        err = refused(three, node, agreement=None, max_deposit=0)
        assert "--max-deposit: University A would deposit" in err
    # What the command line names is relative to the working directory, as every path there.
    monkeypatch.chdir(tmp_path)
    assert "--max-deposit" in refused(three, node, agreement="agreement.json", max_deposit=0)


def test_a_hash_as_people_write_it(three, node):
    digits = three.agreement.hash[2:]
    for written in (digits, digits.upper(), "0X" + digits.upper()):
        assert "--max-deposit" in refused(three, node, agreement=written, max_deposit=0)
    assert "--agreement: expected a consortium file" in refused(three, node, agreement="")


def test_a_document_that_reads_otherwise_than_its_hash(three, node):
    """What follows from the hash is what a person looks at."""
    path = three.folder / "reads.json"
    document = json.loads((three.folder / "agreement.json").read_text())
    bonds = [organization | {"bond_wei": "1"} for organization in document["organizations"]]
    for change, where in (
        ({"vault": "0x" + 40 * "5"}, "vault: expected '0x"),
        ({"settlement": "0x" + 40 * "5"}, "settlement: expected '0x"),
        ({"consortium": "another"}, "consortium: expected"),
        ({"organizations": bonds}, "organizations.0.bond_wei: expected"),
    ):
        path.write_text(json.dumps(document | change))
        assert f"{path}: {where}" in refused(three, node, agreement=path)
    small = {key: value for key, value in document.items() if key not in ("vault", "settlement")}
    path.write_text(json.dumps(small | {"remark": "of a later version"}))
    assert "--max-deposit" in refused(three, node, agreement=path, max_deposit=0)
    spent_nothing(node, three)


def test_a_document_that_lacks_a_field(three, node):
    path = three.folder / "less.json"
    document = json.loads((three.folder / "agreement.json").read_text())
    for field, what in (("hash", "got none"), ("annex", "it has no 'annex'")):
        path.write_text(json.dumps({key: document[key] for key in document if key != field}))
        assert what in refused(three, node, agreement=path)


def test_a_deposit_above_the_cap_is_not_made(three, node):
    bond = three.agreement.bonds[0]
    err = refused(three, node, max_deposit=bond - 1)
    assert f"--max-deposit: University A would deposit {bond:,} wei" in err
    spent_nothing(node, three)


ANNEXES = {
    "a key twice": (
        lambda own: b'{"consortium":"other",' + own[1:],
        "annex: not valid JSON: the key 'consortium' occurs twice in one object",
    ),
    "another schema": (
        lambda own: own.replace(b"tradefl/annex/1", b"tradefl/annex/9"),
        "annex: schema: expected 'tradefl/annex/1', got 'tradefl/annex/9'",
    ),
    "a broken promise": (
        lambda own: own[:-1] + b',"truthful":{"claimant":1}}',
        "annex: truthful: ",
    ),
    "a name that controls the terminal": (
        lambda own: own.replace(b"University A", b"University\\u001b"),
        "character 11 is U+001B (a control character), which is invisible or changes what",
    ),
}


@pytest.mark.parametrize("case", ANNEXES)
def test_what_no_audit_reads_no_agent_reads_either(three, node, case):
    """A rival publishes it, and gives the others its hash; both end with the cause."""
    change, what = ANNEXES[case]
    agreement, contract = rivals(three, node, annex=change(three.agreement.annex))
    said = refused(three, node, contract=contract, agreement=agreement.hash)
    assert f"error: {contract}: its agreement cannot be read: " in said
    assert what in said
    ran = run("audit", "--rpc", node.url, "--contract", contract)
    assert (ran.code, ran.out, ran.err) == (2, "", said)
    assert said.replace("\n", "").isprintable()
    spent_nothing(node, three)
