"""Every organization is its own process with its own key; nobody can act for another."""

import dataclasses
import json
import os
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from eth_account import Account
from tests.cli.command import run, run_process
from tests.consortium.documents import NAMES, document, save
from tests.settlement.nodes import CHAIN_ID, anvil, deployments, node, shared_node

import tradefl
from tradefl.consortium import write
from tradefl.errors import InputError
from tradefl.settlement.accounts import (
    PASSWORD_VARIABLE,
    embedded,
    keystore_accounts,
    open_keystore,
)
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.attestation import Attestation, attestation, attested_by
from tradefl.settlement.audit import audit
from tradefl.settlement.chains import KeySigner, RpcChain
from tradefl.settlement.commitment import commitment, plain
from tradefl.settlement.stand_ins import stand_in_key

__all__ = ["node", "shared_node"]
PASSWORD = "correct horse battery"  # noqa: S105
KEYS = {name: Account.from_key(stand_in_key(100 + k)) for k, name in enumerate(NAMES)}
VERIFIER, ARBITER = (Account.from_key(stand_in_key(200 + k)) for k in range(2))
SOLVED = {"Alpha": (875000000, 2 * 10**9)}


def key_file(folder, name, key, password=PASSWORD):
    folder.mkdir(exist_ok=True)
    content = Account.encrypt(key.key, password, kdf="pbkdf2", iterations=2)
    (folder / f"{name}.json").write_text(json.dumps(content))


@pytest.fixture
def consortium(node, tmp_path):
    """The file with everybody's address, and a keystore folder for each."""
    for key in (*KEYS.values(), VERIFIER, ARBITER):
        node.rpc("anvil_setBalance", key.address, hex(10**20))

    def make(**settlement):
        changes = {f"organization.{k}.address": KEYS[name].address for k, name in enumerate(NAMES)}
        changes["settlement"] = {"closing_blocks": 2, "chain_id": CHAIN_ID} | settlement
        path = save(tmp_path, document(changes))
        for name, key in KEYS.items():
            key_file(tmp_path / f"keys-{name}", name.lower(), key)
        (tmp_path / "password").write_text(PASSWORD + "\n")
        return path

    return make


ALL = ("--organization", "all")


def settle(node, path, name, *options, process=False):
    folder = path.parent
    return (run_process if process else run)(
        "settle", path, "--rpc", node.url, "--keystore", folder / f"keys-{name}",
        "--password-file", folder / "password", "--json", *options,
    )  # fmt: skip


def test_with_no_report_everything_but_the_reports_is_done(node, consortium):
    """The agents of a negotiation report; whoever settles beside them must not be faster."""
    path = consortium()
    for _ in range(2):
        for name in NAMES:
            found = settle(node, path, name, "--no-report")
            assert found.code == 1
    assert found.json["phase"] == "open"
    calls = {transaction["call"] for transaction in found.json["transactions"]}
    assert "depositSubmit" in calls
    assert "contributionSubmit" not in calls
    ran = settle(node, path, "Alpha", "--no-report", "--profile", path.parent / "any.json")
    assert ran.code == 2
    assert "cannot be combined with --no-report" in ran.err


def senders(node, document):
    """Who sent what, by the node."""
    return [
        (
            transaction["call"],
            node.rpc("eth_getTransactionByHash", transaction["hash"])["from"].lower(),
        )
        for transaction in document["transactions"]
    ]


# --- one after the other ------------------------------------------------------------------------


def test_each_does_its_own_part_until_it_is_settled(node, consortium):
    path = consortium()
    first = settle(node, path, "Alpha")
    assert first.code == 1
    assert first.json["phase"] == "joining"
    assert "no keys here for Beta, Gamma: they do their own part" in first.err
    assert "phase joining: waiting for Beta, Gamma, until " in first.err
    assert "run the same command again" in first.err
    codes = []
    for _ in range(3):
        for name in NAMES:
            ran = settle(node, path, name)
            assert ran.code in (0, 1)
            codes.append(ran.code)
    assert codes[-3:] == [0, 0, 0]
    assert ran.json["phase"] == "settled"
    assert deployments(node) == 1
    address = {name: key.address.lower() for name, key in KEYS.items()}
    for name in NAMES:
        own = [call for call, who in senders(node, ran.json) if who == address[name]]
        assert {"depositSubmit", "contributionSubmit", "withdraw"} <= set(own)
    by_whom = {transaction["call"]: [] for transaction in ran.json["transactions"]}
    for transaction in ran.json["transactions"]:
        by_whom[transaction["call"]].append(transaction["organization"])
    for call in ("depositSubmit", "contributionSubmit", "withdraw"):
        assert sorted(by_whom[call]) == sorted(NAMES)


def test_one_process_with_two_keys_waits_for_the_third(node, consortium):
    path = consortium()
    key_file(path.parent / "keys-Alpha", "beta", KEYS["Beta"])
    ran = settle(node, path, "Alpha", *ALL)
    assert ran.code == 1
    assert "waiting for Gamma, until " in ran.err
    assert settle(node, path, "Gamma").code == 1
    assert settle(node, path, "Alpha", *ALL).code == 0


def test_several_keys_act_only_when_named(node, consortium):
    """A partner's file may list another account of this keystore as an organization."""
    path = consortium()
    key_file(path.parent / "keys-Alpha", "beta", KEYS["Beta"])
    ran = settle(node, path, "Alpha")
    assert (ran.code, ran.out) == (2, "")
    assert "--organization: expected a name: the keystore has keys of Alpha, Beta" in ran.err
    assert node.height == 0
    ran = settle(node, path, "Alpha", "--organization", "Alpha")
    deposits = [
        transaction
        for transaction in ran.json["transactions"]
        if transaction["call"] == "depositSubmit"
    ]
    assert [deposit["organization"] for deposit in deposits] == ["Alpha"]
    for name, what in (
        ("Alhpa", "no organization 'Alhpa' in the agreement (did you mean 'Alpha'?)"),
        ("Gamma", "no key of Gamma's account"),
    ):
        ran = settle(node, path, "Alpha", "--organization", name)
        assert ran.code == 2
        assert what in ran.err


def test_who_has_no_part_sends_only_what_anyone_may(node, consortium):
    path = consortium()
    key_file(path.parent / "keys-stranger", "stranger", VERIFIER)
    ran = settle(node, path, "stranger")
    assert (ran.code, ran.json["phase"]) == (1, "joining")
    assert "waiting for Alpha, Beta, Gamma" in ran.err
    assert {call for call, _ in senders(node, ran.json)} == {
        "deployment", "annexPublish", "organizationsPublish", "pairsPublish"
    }  # fmt: skip


# --- all at once --------------------------------------------------------------------------------


def all_at_once(node, path, who, *more):
    with ThreadPoolExecutor(len(who)) as pool:
        options = ("--wait", "--timeout", "60", *more)
        return list(pool.map(lambda name: settle(node, path, name, *options, process=True), who))


def test_three_processes_at_once_settle_one_contract(node, consortium):
    path = consortium()
    for ran in all_at_once(node, path, NAMES):
        assert ran.code == 0, (ran.err, ran.json["audit"])
        assert ran.json["phase"] == "settled"
        assert "Traceback" not in ran.err
    assert (
        len({entry["contract"] for entry in [settle(node, path, name).json for name in NAMES]}) == 1
    )


@pytest.mark.slow
def test_two_processes_with_the_same_keys_at_once(node, consortium):
    path = consortium()
    for name in NAMES[1:]:
        key_file(path.parent / "keys-Alpha", name, KEYS[name])
    for ran in all_at_once(node, path, ["Alpha", "Alpha"], *ALL):
        assert ran.code == 0, ran.err
        assert ran.json["phase"] == "settled"


def test_an_organization_whose_name_is_all(node, consortium):
    """Then the word does not say who acts: everybody, or it."""
    path = consortium()
    path.write_text(path.read_text().replace('"Beta"', '"all"'))
    key_file(path.parent / "keys-Alpha", "beta", KEYS["Beta"])
    ran = settle(node, path, "Alpha", *ALL)
    assert (ran.code, ran.out) == (2, "")
    assert "--organization: an organization has the name 'all'" in ran.err
    assert node.height == 0
    assert settle(node, path, "Beta").code == 1  # its key alone says who acts


# --- passwords ----------------------------------------------------------------------------------


def refused(*arguments):
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, ""), ran
    assert PASSWORD not in ran.err
    return ran.err


@pytest.mark.parametrize("source", ["file", "environment"])
def test_a_wrong_password_names_the_files_and_shows_nothing(node, consortium, monkeypatch, source):
    path = consortium()
    key_file(path.parent / "keys-Alpha", "beta", KEYS["Beta"], "another")
    options = ["settle", path, "--rpc", node.url, "--keystore", path.parent / "keys-Alpha", *ALL]
    if source == "file":
        options += ["--password-file", path.parent / "password"]
    else:
        monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    err = refused(*options)
    file = path.parent / "keys-Alpha" / "beta.json"
    assert err == f"error: {file}: the password is wrong\n"
    assert node.height == 0


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_right_password_from_a_file_shows_nowhere(node, consortium, end):
    path = consortium()
    (path.parent / "password").write_bytes((PASSWORD + end).encode())
    ran = settle(node, path, "Alpha")
    assert ran.code == 1
    assert PASSWORD not in ran.out + ran.err
    assert KEYS["Alpha"].key.hex().removeprefix("0x") not in ran.out + ran.err


def test_the_password_from_the_environment(node, consortium, monkeypatch):
    path = consortium()
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    ran = run("settle", path, "--rpc", node.url, "--keystore", path.parent / "keys-Alpha")
    assert ran.code == 1
    assert PASSWORD not in ran.out + ran.err


def test_a_signer_does_not_show_its_key():
    assert KEYS["Alpha"].key.hex().removeprefix("0x") not in repr(KeySigner(KEYS["Alpha"]))


@pytest.mark.parametrize(
    "change",
    [
        {"address": "xyz"},
        {"address": 5},
        {"version": None},
        {"crypto": {}},
        {"crypto": []},
        {"crypto": {"kdf": "none"}},
    ],
    ids=str,
)
def test_a_broken_key_file_is_named(node, consortium, change):
    path = consortium()
    folder = path.parent / "keys-Alpha"
    content = json.loads((path.parent / "keys-Beta" / "beta.json").read_text())
    (folder / "broken.json").write_text(json.dumps(content | change))
    err = refused(
        "settle", path, "--rpc", node.url, "--keystore", folder,
        *ALL, "--password-file", path.parent / "password",
    )  # fmt: skip
    assert err.startswith(f"error: {folder / 'broken.json'}: ")


def test_a_folder_without_keys(node, consortium):
    path = consortium()
    (path.parent / "empty").mkdir()
    (path.parent / "empty" / "notes.txt").write_text("{}")
    err = refused("settle", path, "--rpc", node.url, "--keystore", path.parent / "empty")
    assert "holds no keystore file" in err
    err = refused("settle", path, "--rpc", node.url, "--keystore", path.parent / "none")
    assert "expected a folder" in err


def test_a_key_file_that_claims_another_account(node, consortium):
    path = consortium()
    file = path.parent / "keys-Alpha" / "alpha.json"
    content = json.loads(file.read_text()) | {"address": KEYS["Beta"].address}
    file.write_text(json.dumps(content))
    err = refused(
        "settle", path, "--rpc", node.url, "--keystore", file.parent,
        "--password-file", path.parent / "password",
    )  # fmt: skip
    assert f"{file}: says {KEYS['Beta'].address}, but its key is another account's" in err


# --- verifier -----------------------------------------------------------------------------------


def contract_in_phase_open(node, path):
    for name in NAMES:
        ran = settle(node, path, name, "--attestations", no_signatures(path))
    return ran


def no_signatures(path):
    file = path.parent / "none.json"
    file.write_text("{}")
    return file


def reports(path):
    loaded = tradefl.load(path)
    return dict(
        zip(NAMES, Agreement.of(loaded).reports(tradefl.solve(loaded).profile), strict=True)
    )


def signatures(contract, path, verifier=VERIFIER, **changes):
    solved = reports(path) | changes
    signer = KeySigner(verifier)
    return {
        name: Attestation(
            attestation(CHAIN_ID, contract, signer, KEYS[name].address, solved[name])
        ).to_dict()
        for name in NAMES
    }


def test_signatures_by_file(node, consortium):
    path = consortium(verifier=VERIFIER.address)
    ran = contract_in_phase_open(node, path)
    assert ran.code == 2
    assert "none.json: holds no signature for 'Gamma'" in ran.err
    contract = RpcChain(node.url)
    address = Agreement.of(tradefl.load(path)).settlement_address()
    file = path.parent / "signatures.json"
    wrong = signatures(address, path, verifier=ARBITER)
    file.write_text(json.dumps(wrong))
    ran = settle(node, path, "Alpha", "--attestations", file)
    assert ran.code == 2
    assert "InvalidAttestation" in ran.err
    right = signatures(address, path)
    for name in NAMES:  # each is what EIP-712 makes of it
        given = bytes.fromhex(right[name]["signature"][2:])
        account = KEYS[name].address
        assert attested_by(31337, address, account, reports(path)[name], given) == VERIFIER.address
    file.write_text(json.dumps(right))
    for _ in range(2):
        codes = [settle(node, path, name, "--attestations", file).code for name in NAMES]
    assert codes == [0, 0, 0]
    assert audit(contract, address, tradefl.load(path)).agrees


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "{",
        '{"Gamma": "0x12"}',
        '{"Gamma": {"signature": "0xzz", "serial": 1, "expiry": 0}}',
        '{"Gamma": {"signature": "0x12", "serial": -1, "expiry": 0}}',
    ],
)
def test_broken_signatures_are_refused(node, consortium, text):
    path = consortium(verifier=VERIFIER.address)
    file = path.parent / "signatures.json"
    file.write_text(text)
    for name in NAMES:
        ran = settle(node, path, name, "--attestations", file)
    assert ran.code == 2
    assert f"error: {file}: " in ran.err


def test_the_verifiers_key_in_the_keystore_signs(node, consortium):
    path = consortium(verifier=VERIFIER.address)
    folder = path.parent / "keys-Alpha"
    for name in NAMES[1:]:
        key_file(folder, name.lower(), KEYS[name])
    ran = settle(node, path, "Alpha", *ALL)
    assert ran.code == 2
    assert VERIFIER.address in ran.err
    assert "--attestations" in ran.err
    key_file(folder, "verifier", VERIFIER)
    ran = settle(node, path, "Alpha", *ALL)
    assert ran.code == 0
    assert ran.json["audit"]["agrees"]


# --- arbiter ------------------------------------------------------------------------------------


def act(node, path, command, keys, *options):
    return run(
        command, path, "--rpc", node.url, "--keystore", path.parent / f"keys-{keys}",
        "--password-file", path.parent / "password", *options,
    )  # fmt: skip


def recorded(node, consortium, **settlement):
    """A settlement whose reports wait for disputes; everybody's key is Alpha's, too."""
    terms = {"dispute_seconds": 600, "ruling_seconds": 900, "dispute_stake_wei": 7000} | settlement
    path = consortium(arbiter=ARBITER.address, **terms)
    for name in NAMES[1:]:
        key_file(path.parent / "keys-Alpha", name.lower(), KEYS[name])
    key_file(path.parent / "keys-arbiter", "arbiter", ARBITER)
    ran = settle(node, path, "Alpha", *ALL)
    assert (ran.code, ran.json["phase"]) == (1, "recorded")
    return path


def test_a_dispute_and_a_ruling(node, consortium):
    path = recorded(node, consortium)
    early = act(node, path, "rule", "arbiter", "--report", "Beta", "--strike")
    assert early.code == 2
    assert "disputes may be raised until " in early.err
    named = ("--organization", "Alpha", "--against", "Beta")
    ran = act(node, path, "dispute", "Alpha", *named)
    assert ran.code == 0, ran.err
    assert "Alpha disputes the report of Beta: stake 7,000 wei, 0x" in ran.out
    ran = act(node, path, "dispute", "Alpha", *named)
    assert (ran.code, ran.out) == (2, "")
    assert "Beta: its report is disputed already" in ran.err
    ran = act(node, path, "dispute", "Beta", "--organization", "Beta", "--against", "Beta")
    assert ran.code == 2
    assert "cannot dispute its own report" in ran.err
    node.travel(601)  # once nobody may dispute any more
    node.mine(9)
    ran = act(node, path, "rule", "arbiter", "--report", "Beta", "--data", 0.01, "--hz", 1e9)
    assert ran.code == 0, ran.err
    assert "the report of Beta is now d = 10,000,000 ppb, f = 1,000,000,000 Hz" in ran.out
    ran = act(node, path, "rule", "arbiter", "--report", "Beta", "--uphold")
    assert ran.code == 2
    assert "was ruled on already" in ran.err
    ran = settle(node, path, "Alpha", *ALL)
    assert (ran.code, ran.json["phase"]) == (0, "settled")
    alpha, beta, gamma = ran.json["organizations"]
    assert (beta["data_ppb"], beta["cpu_hz"]) == (10**7, str(10**9))
    assert [int(entry["stakes_wei"]) for entry in (alpha, beta, gamma)] == [7000, -7000, 0]
    assert ran.json["audit"]["agrees"], ran.json["audit"]
    assert (
        sum(int(organization["redistribution_wei"]) for organization in ran.json["organizations"])
        == 0
    )


def test_a_report_that_is_upheld_costs_the_one_who_disputed_it(node, consortium):
    path = recorded(node, consortium)
    named = ("--organization", "Gamma", "--against", "Alpha")
    assert act(node, path, "dispute", "Gamma", *named).code == 0
    node.travel(601)
    node.mine(9)
    ran = act(node, path, "rule", "arbiter", "--report", "Alpha", "--uphold")
    assert ran.code == 0, ran.err
    ran = settle(node, path, "Alpha", *ALL)
    assert (ran.code, ran.json["phase"]) == (0, "settled")
    stakes = [int(organization["stakes_wei"]) for organization in ran.json["organizations"]]
    assert stakes == [7000, 0, -7000]
    assert ran.json["audit"]["agrees"], ran.json["audit"]
    paid = [
        int(place["withdrawn_wei"]) - int(place["deposit_wei"]) - int(place["redistribution_wei"])
        for place in ran.json["organizations"]
    ]
    assert paid == stakes


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ((), "--uphold: expected exactly one of"),
        (("--uphold", "--strike"), "--uphold: expected exactly one of"),
        (("--data", 0.5), "--uphold: expected exactly one of"),
        (("--data", 0, "--hz", 1e9), "--data: expected a share above 0"),
        (("--data", 0.5, "--hz", 7), "cpu_hz: expected one of"),
    ],
)
def test_a_ruling_that_is_none(node, consortium, options, what):
    path = recorded(node, consortium)
    ran = act(node, path, "rule", "arbiter", "--report", "Beta", *options)
    assert (ran.code, ran.out) == (2, "")
    assert what in ran.err


def test_only_the_arbiter_rules(node, consortium):
    path = recorded(node, consortium)
    ran = act(node, path, "rule", "Alpha", "--report", "Beta", "--strike")
    assert (ran.code, ran.out) == (2, "")
    assert f"no key of the arbiter {ARBITER.address} here" in ran.err


# --- consent ------------------------------------------------------------------------------------


def test_everybody_consents_and_every_deposit_returns(node, consortium):
    path = consortium()
    for name in NAMES:
        ran = settle(node, path, name, "--no-report")
    assert ran.json["phase"] == "open"
    for k, name in enumerate(NAMES):
        ran = act(node, path, "consent", name, "--organization", name)
        assert ran.code == 0, ran.err
        assert f"{name} consents to end the settlement: 0x" in ran.out
        missing = f"{2 - k} have not consented" if k < 2 else "everybody has consented"
        assert missing in ran.err
    ran = act(node, path, "consent", "Alpha", "--organization", "Alpha")
    assert ran.code == 2
    assert "has ended: it is cancelled" in ran.err
    for name in NAMES:
        ran = settle(node, path, name)
        assert ran.code == 1
        assert "cancelled: everybody has consented" in ran.err
    found = ran.json
    assert found["phase"] == "cancelled"
    assert [organization["withdrawn_wei"] for organization in found["organizations"]] == [
        organization["deposit_wei"] for organization in found["organizations"]
    ]
    assert node.balance(found["vault"]) == 0


def test_the_next_attempt_follows_a_cancelled_one(node, consortium):
    path = consortium()
    for name in NAMES:
        settle(node, path, name, "--no-report")
        act(node, path, "consent", name, "--organization", name)
    for name in NAMES:
        act(node, path, "consent", name, "--organization", name)
    for name in NAMES:
        first = settle(node, path, name).json
    assert first["phase"] == "cancelled"
    for _ in range(3):
        codes = [settle(node, path, name).code for name in NAMES]
    assert codes == [0, 0, 0]
    again = settle(node, path, "Alpha").json
    agreed = Agreement.of(tradefl.load(path))
    assert [first["contract"], again["contract"]] == [
        agreed.settlement_address(0), agreed.settlement_address(1)
    ]  # fmt: skip
    assert again["audit"]["agrees"], again["audit"]


# --- what a deposit signs -----------------------------------------------------------------------


def test_what_a_deposit_signs_is_printed_before_it_is_sent(node, consortium):
    path = consortium()
    agreed = Agreement.of(tradefl.load(path))
    ran = settle(node, path, "Alpha")
    for words in (
        agreed.hash,
        f"{agreed.bonds[0]:,} wei",
        f"{agreed.wei_per_payoff:,} wei for one unit of payoff",
        "largest call",
        "at most 200 gwei per gas",
        f"(a block holds {30_000_000:,})",
        agreed.vault,
    ):
        assert words in ran.err, words
    assert "deposit of Beta" not in ran.err
    assert "what a deposit signs" not in settle(node, path, "Alpha").err


def test_every_amount_of_what_a_deposit_signs_has_its_unit_and_the_file_s_currency(
    node, consortium, monkeypatch
):
    stake = 25 * 10**14
    path = consortium(arbiter=ARBITER.address, dispute_stake_wei=stake)
    path.write_text('currency = "EUR"\npayoff_unit = 1000.0\n' + path.read_text())
    loaded = tradefl.load(path)
    agreed = Agreement.of(loaded)
    bond = agreed.bonds[0]
    assert (agreed.wei_per_payoff, agreed.dispute_stake_wei) == (10**15, stake)
    payoff = Decimal(bond) / 10**15
    ran = settle(node, path, "Alpha")
    assert (
        f"deposit of Alpha  {bond + stake:,} wei: bond {bond:,} wei "
        f"({plain(payoff)} units of payoff, {plain(1000 * payoff, 2)} EUR), "
    ) in ran.err
    assert f"dispute stake {stake:,} wei (2.5 units of payoff, 2,500.00 EUR)" in ran.err
    assert "1,000,000,000,000,000 wei for one unit of payoff, which is 1,000.00 EUR" in ran.err
    assert "200 gwei per gas, of it 30 gwei as priority fee, and 1 ether in this run" in ran.err
    facts = dict(commitment(embedded(loaded).chain, agreed, agreed.addresses[:1]))
    assert "EUR" not in " ".join(facts.values())  # an agreement alone names no currency


@pytest.mark.parametrize(
    ("value", "cents", "text"),
    [
        ("0", 2, "0.00"),
        ("0", 0, "0"),
        ("1234567.891", 0, "1,234,568"),
        ("1234567.891", 2, "1,234,567.89"),
        ("0.0000123", 0, "0.0000123"),
        ("399.36", 0, "399.36"),
        ("5", 2, "5.00"),
        ("100", 0, "100"),
        ("99999999999999999999999", 2, "99,999,999,999,999,999,999,999.00"),
    ],
)
def test_an_amount_has_digits_that_count_and_no_exponent(value, cents, text):
    assert plain(Decimal(value), cents) == text


def test_the_node_s_address_may_be_in_a_variable_or_a_file(node, consortium, monkeypatch):
    """Arguments are for every user of the machine to read; every command reads both."""
    path = consortium(arbiter=ARBITER.address, dispute_stake_wei=1)
    folder = path.parent
    (folder / "address").write_text(f"{node.url}\n")
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    signing = ("--keystore", folder / "keys-Alpha")
    commands = {
        "settle": (path, *signing, "--json"),
        "audit": ("--contract", Agreement.of(tradefl.load(path)).settlement_address()),
        "dispute": (path, *signing, "--organization", "Alpha", "--against", "Beta"),
        "rule": (path, *signing, "--report", "Beta", "--uphold"),
        "consent": (path, *signing, "--organization", "Alpha"),
        "attest": (path, folder / "none.json", *signing, "--contract", "0x" + 40 * "1"),
        "node": ("--organization", folder / "none.toml", *signing, "--agreement", path),
    }
    for name, given in commands.items():
        ran = run(name, *given, "--rpc", f"@{folder / 'address'}")
        assert "no answer" not in ran.err
        monkeypatch.setenv("TRADEFL_RPC", node.url)
        again = run(name, *given)
        if name == "settle":  # the first one did what was to be done
            assert "note: $TRADEFL_RPC names the node; without it this would be on" in again.err
            assert again.json["contract"] == ran.json["contract"]
        elif name != "consent":  # of which each has a transaction
            assert (again.code, again.out, again.err) == (ran.code, ran.out, ran.err)
        monkeypatch.setenv("TRADEFL_RPC", "http://127.0.0.1:1")  # nothing listens there
        if name != "node":  # it reads its private file first; tests/cli/test_node.py has it
            assert "http://127.0.0.1:1: no answer from the node" in run(name, *given).err
        monkeypatch.delenv("TRADEFL_RPC")
        if name not in ("node", "settle", "attest"):  # the last two may do without
            assert "--rpc: is needed" in run(name, *given).err


def test_a_variable_with_a_node_turns_no_rehearsal_into_a_question(consortium, monkeypatch):
    path = consortium()
    monkeypatch.setenv("TRADEFL_RPC", "http://127.0.0.1:1")
    ran = run("audit", path)
    assert (ran.code, ran.out) == (2, "")
    assert "--contract: is needed" in ran.err
    assert "$TRADEFL_RPC names a node here, unset it to rehearse" in ran.err
    assert run("negotiate", path).code == 0  # without --processes it needs no node


def test_a_deposit_above_the_cap_is_not_made(node, consortium):
    path = consortium()
    bond = Agreement.of(tradefl.load(path)).bonds[0]
    ran = settle(node, path, "Alpha", "--max-deposit", bond - 1)
    assert (ran.code, ran.out) == (2, "")
    assert f"--max-deposit: Alpha would deposit {bond:,} wei" in ran.err
    assert node.height == 0
    assert settle(node, path, "Alpha", "--max-deposit", bond).json["phase"] == "joining"


def test_money_goes_where_its_owner_says(node, consortium):
    path = consortium()
    folder = path.parent / "keys-Alpha"
    for name in NAMES[1:]:
        key_file(folder, name.lower(), KEYS[name])
    elsewhere = "0x" + "77" * 20
    for wrong in ("0x12", "0x" + 40 * "0"):
        ran = settle(node, path, "Alpha", *ALL, "--payout", wrong)
        assert ran.code == 2
        assert "--payout: expected 0x and 40" in ran.err
    ran = settle(node, path, "Alpha", *ALL, "--payout", elsewhere)
    assert ran.code == 0, ran.err
    assert node.balance(elsewhere) == sum(
        int(organization["deposit_wei"]) for organization in ran.json["organizations"]
    )


def test_a_fresh_node_of_its_own_chain_id(consortium):
    """The signature's chain is the node's."""
    path = consortium(verifier=VERIFIER.address, chain_id=4242)
    folder = path.parent / "keys-Alpha"
    for name, key in {**{n: KEYS[n] for n in NAMES[1:]}, "verifier": VERIFIER}.items():
        key_file(folder, name.lower(), key)
    with anvil("--chain-id", 4242) as other:
        for key in KEYS.values():
            other.rpc("anvil_setBalance", key.address, hex(10**20))
        ran = settle(other, path, "Alpha", "--chain-id", 4242, *ALL)
        assert (ran.code, ran.json["chain_id"]) == (0, 4242)


# --- attest ---------------------------------------------------------------------------------------


def trained(path, **fractions):
    """Write a training document with these measured fractions, the solution's by default."""
    solution = tradefl.solve(tradefl.load(path)).to_dict()
    entries = [
        {
            "name": organization["name"],
            "cpu_hz": organization["cpu_hz"],
            "measured_fraction": fractions.get(organization["name"], organization["data_fraction"]),
        }
        for organization in solution["organizations"]
    ]
    file = path.parent / "training.json"
    file.write_text(json.dumps({"schema": "tradefl/training/1", "organizations": entries}))
    return file


def attest(path, document, *options):
    folder = path.parent / "keys-verifier"
    folder.mkdir(exist_ok=True)
    key_file(folder, "verifier", VERIFIER)
    return run(
        "attest", path, document, "--keystore", folder,
        "--password-file", path.parent / "password", *options,
    )  # fmt: skip


def deployed(node, path):
    contract_in_phase_open(node, path)
    return Agreement.of(tradefl.load(path)).settlement_address()


def test_measured_contributions_are_signed_and_settled(node, consortium):
    path = consortium(verifier=VERIFIER.address)
    contract = deployed(node, path)
    least = tradefl.load(path).mechanism.min_data_fraction
    measured = trained(path, Alpha=least, Beta=0.0)
    file = path.parent / "attestations.json"
    ran = attest(path, measured, "--rpc", node.url, "--contract", contract, "-o", file)
    assert ran.code == 0, ran.err
    assert set(json.loads(file.read_text())) == {"Alpha", "Gamma"}  # silence needs no signature
    # The same signatures without a node.
    for options in (
        ("--chain-id", CHAIN_ID, "--contract", contract),
        ("--rpc", node.url, "--chain-id", CHAIN_ID),
        (),
    ):
        assert attest(path, measured, *options).json == json.loads(file.read_text()), options
    later = attest(path, measured, "--serial", 2, "--expiry", 10**10).json
    assert {entry["serial"] for entry in later.values()} == {2}
    assert {entry["expiry"] for entry in later.values()} == {10**10}
    # Alpha cannot report what was not measured.
    ran = settle(node, path, "Alpha", "--attestations", file)
    assert ran.code == 2
    assert "InvalidAttestation" in ran.err
    for name in ("Alpha", "Gamma"):
        settle(node, path, name, "--profile", measured, "--attestations", file)
    node.travel(10**9)
    settle(node, path, "Alpha", "--profile", measured, "--attestations", file)  # closes it
    node.mine(9)
    for _ in range(2):
        codes = [
            settle(node, path, name, "--profile", measured, "--attestations", file).code
            for name in NAMES
        ]
    assert codes == [0, 0, 0]
    verdict = audit(RpcChain(node.url), contract, tradefl.load(path))
    assert verdict.agrees
    assert [report.data_ppb for report in verdict.reports] == [
        round(least * 1e9),
        0,
        reports(path)["Gamma"].data_ppb,
    ]


def test_the_verifier_sees_what_it_signs(consortium):
    pytest.importorskip("flwr")
    path = consortium(verifier=VERIFIER.address)
    measured = path.parent / "training.json"
    assert run("train", path, "--rounds", 2, "-o", measured).code == 0
    document = json.loads(measured.read_text())
    flag = {"kind": "unchanged", "confidence": "certain", "detail": "equal to the model"}
    document["entries"][0] |= {"flags": [flag], "verdict": "suspicious"}
    measured.write_text(json.dumps(document))
    without = attest(path, measured, "--chain-id", CHAIN_ID)
    assert set(without.json) == set(NAMES)  # one document on stdout
    written = attest(path, measured, "--chain-id", CHAIN_ID, "-o", path.parent / "signed.json")
    for text in (without.err, written.out):
        [alpha] = [line.split() for line in text.splitlines() if line.startswith(" Alpha ")]
        assert alpha == ["Alpha", "2", *"00000", "suspicious", "(1),", "unchanged", "(1)"]
        assert "aggregated, suspicious   unchanged (certain): equal to the model" in text


def test_what_cannot_be_signed(node, consortium):
    path = consortium(verifier=VERIFIER.address)
    document = trained(path)
    contract = VERIFIER.address  # no contract
    here = ("--rpc", node.url)
    for options, what in (
        (("--contract", contract), "is not the settlement of the agreement"),
        ((*here, "--chain-id", 1), "is chain 31337, expected 1"),
        (("--chain-id", 1), "settlement.chain_id: the file is for chain 31337, not 1"),
        ((*here, "--contract", contract), "there is no contract at this address"),
    ):
        ran = attest(path, document, *options)
        assert (ran.code, ran.out) == (2, "")
        assert what in ran.err
    nobody = consortium()
    ran = attest(nobody, document)
    assert ran.code == 2
    assert "settlement.verifier: is missing" in ran.err
    other = consortium(verifier=ARBITER.address)
    ran = attest(other, document)
    assert ran.code == 2
    assert f"holds no key of the verifier {ARBITER.address}" in ran.err


def test_another_agreement_is_not_signed_for(node, consortium):
    path = consortium(verifier=VERIFIER.address)
    contract = deployed(node, path)
    changed = path.parent / "changed.toml"
    loaded = tradefl.load(path)
    mechanism = loaded.mechanism.model_copy(
        update={"incentive_intensity": 2 * loaded.mechanism.incentive_intensity}
    )
    write(dataclasses.replace(loaded, mechanism=mechanism), changed)
    ran = attest(changed, trained(path), "--rpc", node.url, "--contract", contract)
    assert ran.code == 2
    assert "settles the agreement 0x" in ran.err


def test_a_pipe_or_an_endless_file_among_the_keys_is_none_of_them(tmp_path):
    key_file(tmp_path, "alpha", KEYS["Alpha"])
    os.mkfifo(tmp_path / "beta.json")
    (tmp_path / "gamma.json").symlink_to("/dev/zero")
    (tmp_path / "delta.json").write_bytes(b"[" * 2**21)
    assert list(keystore_accounts(tmp_path)) == [KEYS["Alpha"].address]


@pytest.mark.parametrize(
    "parameters", [{"n": 2**40, "r": 8, "p": 1}, {"c": 10**12}, {"n": "many"}, {"n": 2, "p": 10**9}]
)
def test_a_key_file_that_asks_for_endless_work_is_refused_at_once(tmp_path, parameters):
    content = Account.encrypt(KEYS["Alpha"].key, PASSWORD, kdf="pbkdf2", iterations=2)
    content["crypto"]["kdfparams"] |= parameters
    path = tmp_path / "alpha.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"alpha.json: asks for more memory or time"):
        open_keystore(keystore_accounts(tmp_path), lambda: PASSWORD)


# --- a verifier that is a contract ---------------------------------------------------------------


def owned_verifier(owner):
    """Return the creation code of an EIP-1271 contract that accepts what its owner has signed."""
    code = bytes.fromhex(
        "600435600052"  # the digest, to memory 0
        "60a43560001a602052"  # v, the signature's last byte
        "606435604052608435606052"  # r and s
        "60206000608060006001" "5afa50"  # ecrecover
        f"60005173{owner.removeprefix('0x')}14"  # is it the owner?
        "631626ba7e0260e01b60005260206000f3"  # then the magic value, else 0
    )  # fmt: skip
    return bytes([0x60, len(code), 0x80]) + bytes.fromhex("600b6000396000f3") + code


def test_a_verifier_that_is_a_contract(node, consortium):
    """Its owner signs, the contract is asked, and what it accepts is settled and audited."""
    [deployer, *_] = node.rpc("eth_accounts")
    creation = {"from": deployer, "data": "0x" + owned_verifier(VERIFIER.address).hex()}
    sent = node.rpc("eth_sendTransaction", creation)
    verifier = node.receipt(sent)["contractAddress"]
    path = consortium(verifier=verifier)
    contract = deployed(node, path)
    measured, file = trained(path), path.parent / "attestations.json"
    here = ("--rpc", node.url, "--contract", contract)
    ran = attest(path, measured, *here, "-o", file)
    assert ran.code == 0, ran.err
    assert set(json.loads(file.read_text())) == set(NAMES)
    for name in NAMES:
        settle(node, path, name, "--profile", measured, "--attestations", file)
    node.mine(9)
    for _ in range(2):
        codes = [
            settle(node, path, name, "--profile", measured, "--attestations", file).code
            for name in NAMES
        ]
    assert codes == [0, 0, 0]
    verdict = audit(RpcChain(node.url), contract, tradefl.load(path))
    assert verdict.agrees
    assert any("EIP-1271" in note for note in verdict.notes)
    assert [report.data_ppb for report in verdict.reports] == [
        reports(path)[name].data_ppb for name in NAMES
    ]

    # Whoever the contract does not know signs in vain, and no file is written.
    stranger = path.parent / "keys-Alpha"
    options = ("--keystore", stranger, "--password-file", path.parent / "password")
    ran = run("attest", path, measured, *options, *here)
    assert (ran.code, ran.out) == (2, "")
    assert "does not accept the signature for 'Alpha' (EIP-1271)" in ran.err
    ran = attest(path, measured, *here, "--signer", ARBITER.address)
    assert ran.code == 2
    assert f"holds no key of {ARBITER.address}" in ran.err
    ran = attest(path, measured, "--signer", VERIFIER.address)
    assert ran.code == 2
    assert "--signer: needs --rpc" in ran.err
    key_file(path.parent / "keys-verifier", "another", ARBITER)
    ran = attest(path, measured, *here)
    assert ran.code == 2
    assert "holds 2 keys; name those" in ran.err
    assert attest(path, measured, *here, "--signer", VERIFIER.address).code == 0
