"""A whole settlement on the embedded chain: every phase, every kind of agreement, to the wei."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from tests.consortium.documents import document, organization, save
from tests.settlement import nodes  # noqa: F401  web3 with its warnings silenced

import tradefl
from tradefl.errors import InputError
from tradefl.settlement.accounts import embedded
from tradefl.settlement.attestation import attestation
from tradefl.settlement.audit import audit
from tradefl.settlement.chains import KeySigner
from tradefl.settlement.contract import Phase, RevertedError
from tradefl.settlement.profile import read_reports
from tradefl.settlement.rules import Report
from tradefl.settlement.session import established
from tradefl.settlement.state import read_state

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))
ARBITER = "0x" + "ab" * 20


def ready(path, reports=None):
    """Return everybody on a new chain, with the settlement deployed."""
    parties = embedded(tradefl.load(path))
    if reports is None:
        solution = tradefl.solve(parties.consortium)
        reports = parties.agreement.reports(solution.profile)
    by_account = dict(zip(parties.agreement.addresses, reports, strict=True))
    return parties, parties.settlement(by_account)


def run_until(parties, settlement, phase):
    """Do what is due until a phase begins."""

    class ReachedError(Exception):
        pass

    def watch(_):
        if settlement.state().phase == phase:
            raise ReachedError

    with pytest.raises(ReachedError):
        settlement.run(operator=parties.operator, watch=watch)


def settled(path, reports=None):
    parties, settlement = ready(path, reports)
    state = settlement.run(operator=parties.operator)
    verdict = audit(settlement.chain, settlement.contract, parties.consortium)
    assert verdict.agrees, [str(difference) for difference in verdict.differences]
    return parties, settlement, state, verdict


def truncated(gamma, rho, x_i, x_j):
    """t_ij by exact fractions; int() cuts toward zero."""
    return int(Fraction(gamma * rho * (x_i - x_j), 10**36))


def wei_of(agreement, reports):
    """R of everybody, written a second time, from rows instead of pairs."""
    x = [
        r.data_ppb * s + agreement.rule.lambda_ppb * r.cpu_hz
        for r, s in zip(reports, agreement.data_bits, strict=True)
    ]
    n, rule = len(x), agreement.rule
    return [
        sum(truncated(rule.gamma, rule.rho(n, i, j), x[i], x[j]) for j in range(n))
        for i in range(n)
    ]


def assert_money(parties, settlement, state, reports):
    """Everybody got its deposit and its R; nothing is left and nothing is lost."""
    found = settlement.to_dict()
    expected = wei_of(parties.agreement, reports)
    rows = found["organizations"]
    assert [int(row["redistribution_wei"]) for row in rows] == expected
    assert sum(expected) == 0
    for row, r in zip(rows, expected, strict=True):
        assert int(row["withdrawn_wei"]) == int(row["deposit_wei"]) + r >= 0
        assert int(row["deposit_wei"]) == int(row["bond_wei"])
    withdrawn = sum(int(row["withdrawn_wei"]) for row in rows)
    balance = settlement.chain.balance(settlement.agreement.vault)
    assert withdrawn + balance == sum(int(row["deposit_wei"]) for row in rows)
    assert balance == 0
    assert state.phase == Phase.SETTLED


# --- a whole life -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_settles_to_the_wei(path):
    parties, settlement, state, verdict = settled(path)
    solution = tradefl.solve(parties.consortium)
    reports = parties.agreement.reports(solution.profile)
    assert_money(parties, settlement, state, reports)
    assert list(verdict.redistribution) == wei_of(parties.agreement, reports)
    # and it is what the real-valued statement says, but for rounding
    for wei, real in zip(verdict.redistribution, solution.terms.redistribution, strict=True):
        assert wei == pytest.approx(real * parties.agreement.wei_per_payoff, rel=1e-6, abs=1e9)


def test_the_money_really_moves(tmp_path):
    """Balances of the accounts: what they had, less the fees, plus R."""
    parties, settlement = ready(save(tmp_path, document()))
    chain = settlement.chain
    before = [chain.balance(address) for address in parties.agreement.addresses]
    fees = dict.fromkeys(parties.agreement.addresses, 0)

    def watch(step):
        if step.step.sender in fees:
            receipt = chain.web3.eth.get_transaction_receipt(step.receipt.hash)
            fees[step.step.sender] += receipt["gasUsed"] * receipt["effectiveGasPrice"]

    settlement.run(operator=parties.operator, watch=watch)
    assert min(fees.values()) > 0
    r = [int(entry["redistribution_wei"]) for entry in settlement.to_dict()["organizations"]]
    assert [
        chain.balance(account) - had + fees[account]
        for account, had in zip(parties.agreement.addresses, before, strict=True)
    ] == r
    assert any(r)


def test_the_document_is_that_of_the_interface(tmp_path):
    parties, settlement, _, _ = settled(save(tmp_path, document()))
    found = json.loads(json.dumps(settlement.to_dict()))
    assert found["schema"] == "tradefl/settlement/1"
    assert found["chain_id"] == settlement.chain.chain_id
    assert found["contract"] == settlement.contract
    assert found["agreement_hash"] == parties.agreement.hash
    assert found["phase"] == "settled"
    for name, address, entry in zip(
        parties.agreement.names, parties.agreement.addresses, found["organizations"], strict=True
    ):
        assert (entry["name"], entry["address"]) == (name, address)
        assert isinstance(entry["data_ppb"], int)
        for key in ("cpu_hz", "deposit_wei", "redistribution_wei", "withdrawn_wei"):
            assert isinstance(entry[key], str)
            assert str(int(entry[key])) == entry[key]
    steps = found["transactions"]
    assert [step["call"] for step in steps] == [
        "deployment",
        "annexPublish",
        "organizationsPublish",
        "pairsPublish",
        *["depositSubmit"] * 3,
        *["contributionSubmit"] * 3,
        "windowClose",
        "profileRecord",
        "payoffCalculate",
        "payoffTransfer",
        *["withdraw"] * 3,
    ]
    names = list(parties.agreement.names)
    for call in ("depositSubmit", "contributionSubmit", "withdraw"):
        assert [step["organization"] for step in steps if step["call"] == call] == names
    for step in steps:
        receipt = settlement.chain.web3.eth.get_transaction_receipt(step["hash"])
        assert (step["gas"], step["block"]) == (receipt["gasUsed"], receipt["blockNumber"])
    assert found["gas_used"] == sum(step["gas"] for step in steps)


def test_a_finished_settlement_has_nothing_left_to_do(tmp_path):
    parties, settlement, _, _ = settled(save(tmp_path, document()))
    before = settlement.to_dict()
    settlement.run(operator=parties.operator, watch=lambda step: pytest.fail(str(step)))
    assert settlement.to_dict() == before


def test_a_copy_of_what_is_settled_is_left_alone(tmp_path):
    parties, settlement, state, _ = settled(save(tmp_path, document()))
    where = established(parties.chain, parties.agreement, parties.operator)
    assert where == settlement.contract  # what is there is not deployed again
    again = parties.settlement(settlement.reports)
    assert again.contract == settlement.contract
    assert again.run(operator=parties.operator).places == state.places


@pytest.mark.parametrize("n", [41, pytest.param(60, marks=pytest.mark.slow)])
def test_many_organizations_take_two_blocks_of_the_list(tmp_path, n):
    entries = [
        organization(f"Org {k:02}", data_bits=1e9 * (1 + k % 7), samples=100 + k) for k in range(n)
    ]
    pairs = [[f"Org {k:02}", f"Org {(k * 7 + 3) % n:02}", 0.01] for k in range(n)]
    pairs = [
        pair for pair in {tuple(sorted(p[:2])): p for p in pairs}.values() if pair[0] != pair[1]
    ]
    changes = {"organization": entries, "competition": {"pairs": pairs}}
    changes["settlement"] = {"block_gas_limit": 5_500_000}
    path = save(tmp_path, document(changes))
    levels = [1e9, 2e9, 3e9]
    parties = embedded(tradefl.load(path))
    # Each report takes a transaction, so of the smaller number few speak.
    shares = [(k + 1) / (n + 1) if k % 10 == 3 or (n == 60 and k % 10) else 0.0 for k in range(n)]
    reports = [parties.agreement.report(k, d, levels[k % 3]) for k, d in enumerate(shares)]
    assert len(parties.agreement.organization_blocks) == 2
    parties, settlement, state, _ = settled(path, reports)
    calls = [transaction["call"] for transaction in settlement.to_dict()["transactions"]]
    assert calls.count("organizationsPublish") == 2
    assert calls.count("withdraw") == n
    assert_money(parties, settlement, state, reports)


# --- silence ------------------------------------------------------------------------------------


def test_a_silent_organization_compensates_in_full(tmp_path):
    path = save(tmp_path, document())
    agreement = embedded(tradefl.load(path)).agreement
    profile = tmp_path / "profile.json"
    entries = [
        {"name": "Alpha", "data_fraction": 1.0, "cpu_hz": 3e9},
        {"name": "Beta", "data_fraction": 0},
        {"name": "Gamma", "data_fraction": 1.0, "cpu_hz": "1000000000"},
    ]
    profile.write_text(json.dumps({"organizations": entries}))
    reports = read_reports(profile, agreement, lambda: [1e9, 1e9, 1e9])
    assert reports[1].silent
    parties, settlement, state, verdict = settled(path, reports)
    assert_money(parties, settlement, state, reports)
    beta = settlement.to_dict()["organizations"][1]
    # Both rivals gave all that they have, so it owes its whole bond, but for the rounding of pairs.
    assert 0 <= int(beta["bond_wei"]) + int(beta["redistribution_wei"]) <= 2
    assert (beta["data_ppb"], beta["cpu_hz"]) == (0, "0")
    assert state.now > state.report_deadline  # time has travelled
    assert any("Beta reported nothing" in text for text in verdict.notes)
    calls = [transaction["call"] for transaction in settlement.to_dict()["transactions"]]
    assert calls.count("contributionSubmit") == 2


def test_when_all_are_silent_nobody_owes_anything(tmp_path):
    nothing = [Report(data_ppb=0, cpu_hz=0)] * 3
    parties, settlement, state, _ = settled(save(tmp_path, document()), nothing)
    assert_money(parties, settlement, state, nothing)
    assert {entry["redistribution_wei"] for entry in settlement.to_dict()["organizations"]} == {"0"}


def test_who_joins_too_late_cancels_it_and_all_deposits_go_back(tmp_path):
    parties, settlement = ready(save(tmp_path, document()))
    run_until(parties, settlement, Phase.JOINING)
    chain, agreement = settlement.chain, parties.agreement
    settlement.call(
        agreement.addresses[0],
        "depositSubmit",
        settlement.contract,
        bytes.fromhex(agreement.hash[2:]),
        value=agreement.bonds[0] + 7,
    )
    for absent in agreement.addresses[1:]:
        del chain.signers[absent]
    chain.pass_time(settlement.state().join_deadline)
    state = settlement.run(operator=parties.operator)
    assert state.phase == Phase.CANCELLED
    assert state.block > state.closed_at + agreement.closing_blocks
    found = settlement.to_dict()
    assert found["phase"] == "cancelled"
    assert [int(entry["withdrawn_wei"]) for entry in found["organizations"]] == [
        agreement.bonds[0] + 7, 0, 0
    ]  # fmt: skip
    assert chain.balance(settlement.agreement.vault) == 0
    assert audit(chain, settlement.contract, parties.consortium).agrees


# --- profiles -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["data_fraction", "measured_fraction"])
def test_a_solution_and_a_training_document_can_be_settled(tmp_path, key):
    agreement = embedded(tradefl.load(save(tmp_path, document()))).agreement
    entries = [
        {"name": name, key: share, "pledged_fraction": 0.9}
        for name, share in (("Gamma", 0.3), ("Alpha", 0.123456789), ("Beta", 1))
    ]
    path = tmp_path / "profile.json"
    kind = {"data_fraction": "solution", "measured_fraction": "training"}[key]
    path.write_text(json.dumps({"schema": f"tradefl/{kind}/1", "organizations": entries}))
    found = read_reports(path, agreement, lambda: [2e9, 1e9, 1e9])
    assert [(log_.data_ppb, log_.cpu_hz) for log_ in found] == [
        (123456789, 2 * 10**9), (10**9, 10**9), (3 * 10**8, 10**9)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "place", "what"),
    [
        ({"data_fraction": 1.5}, "Alpha: data_fraction", "expected a number in [0.01, 1]"),
        ({"data_fraction": 0.009}, "Alpha: data_fraction", "expected a number in [0.01, 1]"),
        ({"data_fraction": -1}, "Alpha: data_fraction", "expected a number >= 0"),
        ({"data_fraction": True}, "Alpha: data_fraction", "expected a number >= 0"),
        ({"data_fraction": None}, "Alpha: data_fraction", "is missing"),
        ({"cpu_hz": 1.5e9}, "Alpha: cpu_hz", "expected one of 1e+09, 2e+09, 3e+09"),
        ({"cpu_hz": "fast"}, "Alpha: cpu_hz", "expected a number >= 0"),
        ({"name": "Alhpa"}, "organizations[0].name", "did you mean 'Alpha'?"),
        ({"name": "Beta"}, "organizations", "'Beta' occurs twice"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_place(tmp_path, change, place, what):
    agreement = embedded(tradefl.load(save(tmp_path, document()))).agreement
    entries = [
        {"name": name, "data_fraction": 0.5, "cpu_hz": 1e9} for name in ("Alpha", "Beta", "Gamma")
    ]
    entries[0] |= change
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"organizations": entries}))
    with pytest.raises(InputError) as caught:
        read_reports(path, agreement, lambda: [1e9] * 3)
    assert any(
        problem.place == f"{path}: {place}" and what in problem.message
        for problem in caught.value.problems
    ), caught.value.lines()


@pytest.mark.parametrize(
    "text",
    [
        '{"organizations": [{"name": ["Alpha"]}]}',
        '{"organizations": [{"name": {"a": 1}}]}',
        '{"organizations": [{"name": "Alpha", "data_fraction": "' + "9" * 5000 + '"}]}',
        "[]",
        "{",
        '{"organizations": {}}',
        '{"organizations": [1]}',
        '{"organizations": [{"name": "Alpha", "data_fraction": NaN}]}',
        "\x00",
    ],
    ids=["list", "object", "digits", "array", "broken", "no list", "numbers", "NaN", "binary"],
)
def test_no_document_is_a_crash(tmp_path, text):
    agreement = embedded(tradefl.load(save(tmp_path, document()))).agreement
    entries = '{"name": "Beta", "data_fraction": 1}, {"name": "Gamma", "data_fraction": 1}]}'
    path = tmp_path / "profile.json"
    path.write_text(text.removesuffix("]}") + ", " + entries if text.endswith('"}]}') else text)
    with pytest.raises(InputError):
        read_reports(path, agreement, lambda: [1e9] * 3)


# --- verifier and arbiter -----------------------------------------------------------------------


def test_a_stand_in_signs_for_the_verifier(tmp_path):
    path = save(tmp_path, document({"settlement": {"verifier": "0x" + "cd" * 20}}))
    parties, settlement, state, verdict = settled(path)
    assert parties.agreement.verifier == settlement.chain.verifier
    assert any("stand-in signs for the verifier" in text for text in parties.notes)
    assert_money(parties, settlement, state, list(verdict.reports))
    # Each report was held to its signature.
    without = settled(save(tmp_path, document()))[-1]
    assert verdict.checks == without.checks + 3


@pytest.mark.parametrize("wrong", ["figures", "account", "contract", "chain", "signer", "short"])
def test_a_wrong_signature_is_refused(tmp_path, wrong):
    path = save(tmp_path, document({"settlement": {"verifier": "0x" + "cd" * 20}}))
    parties, settlement = ready(path)
    chain, agreement = settlement.chain, parties.agreement
    run_until(parties, settlement, Phase.OPEN)
    verifier, other = chain.signers[chain.verifier], chain.signers[chain.operator]
    assert isinstance(verifier, KeySigner)
    account, report = agreement.addresses[0], Report(data_ppb=5 * 10**8, cpu_hz=10**9)
    given = {
        "chain_id": chain.chain_id,
        "contract": settlement.contract,
        "verifier": verifier,
        "account": account,
        "report": report,
    }
    wrongly = {
        "figures": {"report": Report(data_ppb=5 * 10**8 + 1, cpu_hz=10**9)},
        "account": {"account": agreement.addresses[1]},
        "contract": {"contract": account},
        "chain": {"chain_id": chain.chain_id + 1},
        "signer": {"verifier": other},
        "short": {},
    }[wrong]
    signature = attestation(**(given | wrongly))
    signature = signature[:-1] if wrong == "short" else signature
    figures = (account, report.data_ppb, report.cpu_hz, 1, 0, bytes(32))
    with pytest.raises(RevertedError, match="InvalidAttestation"):
        settlement.call(account, "contributionSubmit", *figures, signature)
    assert not settlement.state().places[0].reported
    settlement.call(account, "contributionSubmit", *figures, attestation(**given))
    assert settlement.state().places[0].report == report


def test_an_arbiter_has_its_windows_and_reports_stand(tmp_path):
    path = save(tmp_path, document({"settlement": {"arbiter": ARBITER, "dispute_seconds": 5000}}))
    parties, settlement, state, verdict = settled(path)
    assert_money(parties, settlement, state, list(verdict.reports))
    assert state.now > state.dispute_deadline


def test_a_dispute_without_a_ruling_holds_it_up_to_the_deadline_and_no_longer(tmp_path):
    parties, settlement = ready(save(tmp_path, document({"settlement": {"arbiter": ARBITER}})))
    run_until(parties, settlement, Phase.RECORDED)
    one, two, _ = parties.agreement.addresses
    settlement.call(one, "disputeRaise", two)
    before = settlement.state()
    assert before.open_disputes == 1
    state = settlement.run(operator=parties.operator)
    assert state.phase == Phase.SETTLED
    assert before.ruling_deadline == 0  # it begins once nobody may dispute any more
    assert state.now > state.ruling_deadline > before.dispute_deadline
    assert state.ruling_begun
    verdict = audit(settlement.chain, settlement.contract, parties.consortium)
    assert verdict.agrees
    assert state.places[1].report == before.places[1].report


@pytest.mark.parametrize("strike", [False, True])
def test_a_ruling_replaces_a_report(tmp_path, strike):
    chain = embedded(tradefl.load(save(tmp_path, document()))).chain
    path = save(tmp_path, document({"settlement": {"arbiter": chain.operator}}))
    parties, settlement = ready(path)
    run_until(parties, settlement, Phase.RECORDED)
    one, two, _ = parties.agreement.addresses
    settlement.call(one, "disputeRaise", two)
    with pytest.raises(RevertedError, match="WindowOpen"):  # others may dispute still
        settlement.call(parties.operator, "rule", two, 0, 0)
    settlement.chain.pass_time(settlement.state().dispute_deadline)
    settlement.call(parties.operator, "windowClose")
    settlement.chain.mine(parties.agreement.closing_blocks, parties.operator)
    ruling = Report(data_ppb=0, cpu_hz=0) if strike else Report(data_ppb=10**7, cpu_hz=10**9)
    settlement.call(parties.operator, "rule", two, ruling.data_ppb, ruling.cpu_hz)
    with pytest.raises(RevertedError, match="NotDisputed"):
        settlement.call(parties.operator, "rule", two, ruling.data_ppb, ruling.cpu_hz)
    state = settlement.run(operator=parties.operator)
    verdict = audit(settlement.chain, settlement.contract, parties.consortium)
    assert verdict.agrees, [str(difference) for difference in verdict.differences]
    reports = [place.report for place in state.places]
    assert reports[1] == ruling == verdict.reports[1]
    assert_money(parties, settlement, state, reports)


def test_a_refusal_has_its_name_and_arguments(tmp_path):
    parties, settlement = ready(save(tmp_path, document()))
    with pytest.raises(RevertedError) as caught:
        settlement.call(parties.operator, "cancel")
    assert (caught.value.name, caught.value.arguments) == ("WrongPhase", {"current": 0})
    with pytest.raises(RevertedError) as caught:  # of the vault, too
        settlement.call(parties.operator, "withdraw", settlement.contract)
    arguments = {"settlement": settlement.contract}
    assert (caught.value.name, caught.value.arguments) == ("SettlementOpen", arguments)


def test_a_view_and_the_state_say_the_same(tmp_path):
    parties, settlement, state, _ = settled(save(tmp_path, document()))
    assert read_state(settlement.chain, settlement.contract, 3) == settlement.state() == state
    terms = settlement.chain.read(settlement.contract, "terms")
    assert tuple(terms.values()) == parties.agreement.terms
