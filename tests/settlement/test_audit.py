"""The audit says yes when all agrees, and names every single thing that does not."""

import json

import pytest
from tests.cli.command import run
from tests.consortium.documents import NAMES, document, save
from tests.settlement.nodes import (
    node,
    parties_on,
    proxy,
    settle_on,
    settlement_of,
    shared_node,
)

import tradefl
from tradefl.settlement.audit import Audit, audit
from tradefl.settlement.chains import RpcChain
from tradefl.settlement.contract import ChainError, Phase, encoded_call, topic
from tradefl.settlement.state import read_phase

__all__ = ["node", "proxy", "shared_node"]


class Stopped(BaseException):
    pass


@pytest.fixture
def settled(node, tmp_path):
    path = save(tmp_path, document())
    return path, settle_on(node.url, path)


def audited(url, contract, path=None):
    arguments = [] if path is None else [path]
    ran = run("audit", *arguments, "--rpc", url, "--contract", contract, "--json")
    assert "Traceback" not in ran.err
    found = ran.json
    assert found["schema"] == "tradefl/audit/1"
    assert ran.code == (0 if found["agrees"] else 1)
    assert found["agrees"] == (not found["differences"])
    return found


# --- everything agrees --------------------------------------------------------------------------


def test_everything_agrees_with_and_without_the_file(node, settled):
    path, document = settled
    with_file = audited(node.url, document["contract"], path)
    without = audited(node.url, document["contract"])
    assert with_file["agrees"]
    assert without["agrees"]
    assert with_file["checks"] > without["checks"] > 30
    assert with_file["agreement_hash"] == document["agreement_hash"]
    assert (with_file["chain_id"], with_file["contract"]) == (31337, document["contract"])
    for mine, theirs in zip(with_file["organizations"], document["organizations"], strict=True):
        assert mine == {key: theirs[key] for key in mine}
    assert "names no address for 3 organizations" in with_file["notes"][0]


def test_an_audit_sends_nothing_and_needs_no_account(node, proxy, settled):
    _, document = settled
    assert audit(RpcChain(proxy.url), document["contract"]).agrees
    assert not {entry for entry in proxy.asked if "send" in entry or "accounts" in entry}


# --- the file says something else ---------------------------------------------------------------

SHARED = {
    "mechanism.incentive_intensity": (5.13e-9, ["gamma"]),
    "mechanism.compute_weight": (1.7, ["lambda_ppb"]),
    "mechanism.overhead_weight": (0.186, ["annex.overhead_weight"]),
    "mechanism.min_data_fraction": (0.02, ["min_data_ppb"]),
    "mechanism.deadline_seconds": (21.0, ["annex.deadline_seconds"]),
    "energy.capacitance": (1.1e-27, ["annex.energy.capacitance"]),
    "energy.download_watts": (0.11, ["annex.energy.download_watts"]),
    "energy.upload_watts": (0.21, ["annex.energy.upload_watts"]),
    "accuracy.epochs": (6.0, ["annex.accuracy.epochs"]),
    "accuracy.untrained_loss": (0.8, ["annex.accuracy.untrained_loss"]),
    "accuracy.unit": (1.1e9, ["annex.accuracy.unit"]),
    "accuracy.measure": ("samples", ["annex.accuracy.measure"]),
    "name": ("four", ["annex.consortium"]),
    "settlement.wei_per_payoff": (10**15 + 1, ["wei_per_payoff", "gamma"]),
    "settlement.join_seconds": (86401 * 7, ["join_seconds"]),
    "settlement.report_seconds": (86401 * 7, ["report_seconds"]),
    "settlement.dispute_seconds": (86401 * 7, ["dispute_seconds"]),
    "settlement.ruling_seconds": (86401 * 7, ["ruling_seconds"]),
    "settlement.verifier": ("0x" + "ab" * 20, ["verifier"]),
    "settlement.arbiter": ("0x" + "ab" * 20, ["arbiter"]),
    "competition.pairs": (
        [["Alpha", "Beta", 0.060000001], ["Beta", "Gamma", 0.05]],
        ["rho_ppb of Alpha and Beta"],
    ),
    "competition.default": (0.001, ["rho_ppb of Alpha and Gamma"]),
    "organization.0.data_bits": (2.0e10 + 1, ["Alpha: data_bits"]),
    "organization.1.cpu_levels_hz": ([1e9, 2000000001.0], ["Beta: cpu_levels_hz"]),
    "organization.2.samples": (2101, ["annex.samples[2]"]),
    "organization.0.address": ("0x" + "ab" * 20, ["Alpha: address", "annex.series"]),
}


@pytest.fixture(scope="module")
def one_settlement(shared_node, tmp_path_factory):
    path = save(tmp_path_factory.mktemp("settled"), document())
    return settle_on(shared_node.url, path)["contract"]


@pytest.mark.parametrize("key", SHARED)
def test_every_shared_figure_that_differs_is_named(shared_node, one_settlement, tmp_path, key):
    value, places = SHARED[key]
    path = save(tmp_path, document({key: value}))
    found = audited(shared_node.url, one_settlement, path)
    named = [difference["place"] for difference in found["differences"]]
    for place in (*places, "agreement hash"):
        assert f"{path}: {place}" in named
    assert all(difference["expected"] != difference["found"] for difference in found["differences"])
    # and nothing else of the agreement
    own = [entry for entry in named if entry.startswith(f"{path}: ")]
    assert sorted(own) == sorted(f"{path}: {place}" for place in (*places, "agreement hash"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("organization.0.profitability", 100.0),
        ("organization.1.cycles_per_bit", 2.6),
        ("organization.2.upload_seconds", 3.0),
    ],
)
def test_a_private_figure_is_in_no_agreement_but_noted(
    shared_node, one_settlement, tmp_path, key, value
):
    path = save(tmp_path, document({key: value}))
    found = audited(shared_node.url, one_settlement, path)
    assert found["agrees"]
    assert any(
        f"not an equilibrium of {path}" in text or f"not feasible in {path}" in text
        for text in found["notes"]
    )


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 0, 2)])
def test_another_order_of_names_is_a_difference(shared_node, one_settlement, tmp_path, order):
    given = document()
    given["organization"] = [given["organization"][k] for k in order]
    found = audited(shared_node.url, one_settlement, save(tmp_path, given))
    (one,) = found["differences"]
    assert one == {
        "place": "organizations",
        "expected": ", ".join(NAMES[k] for k in order),
        "found": ", ".join(NAMES),
    }


def test_a_partner_more_is_a_difference(shared_node, one_settlement, tmp_path):
    given = document()
    given["organization"].append({**given["organization"][0], "name": "Delta"})
    found = audited(shared_node.url, one_settlement, save(tmp_path, given))
    assert [difference["place"] for difference in found["differences"]] == ["organizations"]


def test_an_address_that_is_anothers_on_the_chain(node, settled, tmp_path):
    _, settlement = settled
    theirs = settlement["organizations"][1]["address"]
    path = save(tmp_path, document({"organization.0.address": theirs}))
    assert not audited(node.url, settlement["contract"], path)["agrees"]


# --- the chain says something else --------------------------------------------------------------


def changed_word(data, k, by=1):
    """Return hex data with a number added to its k-th word."""
    at = 2 + 64 * k
    word = (int(data[at : at + 64], 16) + by) % 2**256
    return data[:at] + f"{word:064x}" + data[at + 64 :]


def tampered_log(name, k, *, by=1, nth=0):
    wanted = "0x" + topic(name).hex()

    def rule(method, params, forward):
        answer = forward()
        if method == "eth_getLogs":
            found = [log for log in answer if log["topics"][0] == wanted]
            if found:  # the search for the contract asks for one kind of event only
                found[nth]["data"] = changed_word(found[nth]["data"], k, by)
        return answer

    return rule


def tampered_call(name, k, *arguments, by=1):
    wanted = encoded_call(name, *arguments).hex()

    def rule(method, params, forward):
        answer = forward()
        call = params[0] if method == "eth_call" else {}
        if (call.get("data") or call.get("input") or "")[2:] == wanted:
            return changed_word(answer, k, by)
        return answer

    return rule


def dropped_log(name, nth=0):
    wanted = "0x" + topic(name).hex()

    def rule(method, params, forward):
        answer = forward()
        if method == "eth_getLogs":
            found = [log for log in answer if log["topics"][0] == wanted]
            return [log for log in answer if not found or log is not found[nth]]
        return answer

    return rule


LIES = {
    "deposit, event": tampered_log("DepositSubmitted", 0),
    "report's share, event": tampered_log("ContributionSubmitted", 0),
    "report's frequency, event": tampered_log("ContributionSubmitted", 1, by=10**9),
    "serial, event": tampered_log("ContributionSubmitted", 2),
    "score, event": tampered_log("ContributionSubmitted", 3),
    "redistribution, event": tampered_log("PayoffTransferred", 1),
    "stakes, event": tampered_log("PayoffTransferred", 2),
    "credit, event": tampered_log("PayoffTransferred", 3),
    "withdrawal, event": tampered_log("Withdrawn", 0),
    "data size, event": tampered_log("OrganizationListed", 0),
    "a level, event": tampered_log("OrganizationListed", 3),
    "rho, event": tampered_log("PairsPublished", 2, by=1 << 224),
    "recorded share, event": tampered_log("ProfileRecorded", 4),
    "cap, storage": tampered_call("organization", 3, 1),
    "bond, storage": tampered_call("organization", 4, 0),
    "deposit, storage": tampered_call("organization", 6, 1),
    "reported, storage": tampered_call("organization", 7, 1, by=-1),
    "share, storage": tampered_call("organization", 8, 2),
    "frequency, storage": tampered_call("organization", 9, 0),
    "score, storage": tampered_call("organization", 11, 1),
    "redistribution, storage": tampered_call("organization", 15, 1),
    "stakes, storage": tampered_call("organization", 16, 1),
    "withdrawn, storage": tampered_call("organization", 18, 1, by=-1),
    "phase, storage": tampered_call("phase", 0, by=-1),
    "deposit of a credit, event": tampered_log("PayoffTransferred", 0),
    "join deadline, event": tampered_log("JoinDeadlineSet", 0),
    "report deadline, event": tampered_log("ReportingOpened", 0),
    "dispute deadline, event": tampered_log("ProfileRecorded", 2),
    "last block of the window, event": tampered_log("WindowClosing", 1, by=100),
    "joined, progress": tampered_call("progress", 3),
    "consents, progress": tampered_call("progress", 8),
    "deadlines, storage": tampered_call("deadlines", 0),
    "vault": tampered_call("vault", 0),
}


def audited_through(node, contract, rule):
    """Audit through a proxy: first honest, then with a rule; return the second verdict."""
    from tests.settlement.nodes import Proxy

    between = Proxy(node)
    try:
        assert audit(RpcChain(between.url), contract).agrees
        between.rule = rule
        return audit(RpcChain(between.url), contract)
    finally:
        between.close()


@pytest.mark.parametrize("lie", LIES)
def test_one_number_changed_on_the_way_is_a_difference(shared_node, one_settlement, lie):
    assert not audited_through(shared_node, one_settlement, LIES[lie]).agrees


@pytest.mark.parametrize(
    "rule", [tampered_log("AgreementDrafted", 1), tampered_call("agreementHash", 0)]
)
def test_terms_that_are_not_those_of_the_hash_are_refused(shared_node, one_settlement, rule):
    with pytest.raises(ChainError, match="does not have the terms of the hash"):
        audited_through(shared_node, one_settlement, rule)


# --- a node that does not keep all logs ---------------------------------------------------------

LOGGED = [
    "AnnexPublished",
    "OrganizationListed",
    "PairsPublished",
    "JoiningOpened",
    "JoinDeadlineSet",
    "DepositSubmitted",
    "ReportingOpened",
    "ContributionSubmitted",
    "WindowClosing",
    "ProfileRecorded",
    "PayoffCalculated",
    "PayoffTransferred",
    "SettlementCompleted",
    "Withdrawn",
]


@pytest.mark.parametrize("event", LOGGED)
def test_a_missing_event_is_the_nodes_fault_and_accuses_nobody(shared_node, one_settlement, event):
    with pytest.raises(ChainError, match=f"does not keep all logs.*no {event}"):
        audited_through(shared_node, one_settlement, dropped_log(event))


def test_an_account_that_logs_and_storage_give_differently_is_the_nodes_fault(
    shared_node, one_settlement
):
    with pytest.raises(ChainError, match="does not keep all logs"):
        audited_through(shared_node, one_settlement, tampered_call("organization", 1, 0))


def test_a_node_without_any_logs_is_named(shared_node, one_settlement, tmp_path):
    from tests.settlement.nodes import Proxy

    between = Proxy(shared_node)
    between.rule = lambda method, _, forward: [] if method == "eth_getLogs" else forward()
    try:
        ran = run("audit", "--rpc", between.url, "--contract", one_settlement)
    finally:
        between.close()
    assert (ran.code, ran.out) == (2, "")
    assert "does not keep its logs" in ran.err
    assert "agrees" not in ran.err


def test_every_block_that_is_left_out_is_seen(shared_node, one_settlement):
    """Whichever one block's logs are missing, the audit neither passes nor accuses."""
    from tests.settlement.nodes import Proxy

    with_logs = sorted(
        {
            int(log["blockNumber"], 16)
            for log in shared_node.logs()
            if log["address"].lower() == one_settlement.lower()
        }
    )
    assert len(with_logs) > 10
    between = Proxy(shared_node)
    try:
        for block in with_logs:

            def rule(method, params, forward, block=block):
                answer = forward()
                if method == "eth_getLogs":
                    return [log for log in answer if int(log["blockNumber"], 16) != block]
                return answer

            between.rule = rule
            with pytest.raises(ChainError, match="logs"):
                audit(RpcChain(between.url), one_settlement)
    finally:
        between.close()


# --- zero checks never agree --------------------------------------------------------------------


def test_no_checks_do_not_agree():
    empty = Audit("0x", 1, Phase.SETTLED, None, "0x", (), (), (), 0, (), ())
    assert not empty.agrees
    assert empty.sentence == "nothing could be checked"


def test_a_contract_with_other_terms_that_is_not_published_yet_differs(node, tmp_path):
    """gamma times ten, deployed and not yet published: nothing else says so."""
    tenfold = document({"mechanism.incentive_intensity": 5.12e-8})
    parties = parties_on(node.url, save(tmp_path, tenfold))
    contract = settlement_of(parties).contract
    (tmp_path / "mine").mkdir()
    mine = save(tmp_path / "mine", document())
    found = audited(node.url, contract, mine)
    assert f"{mine}: gamma" in [difference["place"] for difference in found["differences"]]
    assert found["published"] is False
    own = audited(node.url, contract, parties.consortium.source)
    assert own["agrees"]
    assert own["checks"] > 10
    ran = run("audit", "--rpc", node.url, "--contract", contract)
    assert "could not be checked" in ran.out
    assert "everything agrees" not in ran.out


def test_money_that_is_missing(node, proxy, settled, tmp_path):
    """One wei less than what is not withdrawn yet."""
    path = save(tmp_path, document({"name": "second"}))
    parties = parties_on(node.url, path)
    settlement = settlement_of(parties)

    def watch(step):
        if step.step.call == "payoffTransfer":
            raise Stopped

    with pytest.raises(Stopped):
        settlement.run(operator=parties.operator, watch=watch)
    held = sum(place.deposit for place in settlement.state().places)
    proxy.rule = lambda method, _, forward: (
        hex(held - 1) if method == "eth_getBalance" else forward()
    )
    found = audited(proxy.url, settlement.contract, path)
    assert found["differences"] == [
        {
            "place": "balance of the vault",
            "expected": f"at least {held:,} wei",
            "found": f"{held - 1:,} wei",
        }
    ]


def test_ether_that_was_forced_in_is_no_difference(node, settled):
    path, document = settled
    for contract in (document["contract"], document["vault"]):
        node.rpc("anvil_setBalance", contract, hex(12345))
    assert audited(node.url, document["contract"], path)["agrees"]


def test_a_report_under_an_unlisted_account_accuses_nobody(node, proxy, settled):
    wanted = "0x" + topic("ContributionSubmitted").hex()

    def rule(method, params, forward):
        answer = forward()
        if method == "eth_getLogs":
            for log in [log for log in answer if log["topics"][0] == wanted][:1]:
                log["topics"][1] = "0x" + "00" * 12 + "ab" * 20
        return answer

    proxy.rule = rule
    with pytest.raises(ChainError, match="does not keep all logs"):
        audit(RpcChain(proxy.url), settled[1]["contract"])


def test_an_audit_while_it_goes_on_raises_no_false_alarm(node, proxy, tmp_path):
    path = save(tmp_path, document({"name": "meanwhile"}))
    parties = parties_on(node.url, path)
    settlement = settlement_of(parties)

    def watch(step):
        if step.step.call == "pairsPublish":
            raise Stopped

    with pytest.raises(Stopped):
        settlement.run(operator=parties.operator, watch=watch)
    agreement, done = parties.agreement, []

    def rule(method, params, forward):
        if method == "eth_call" and not done:
            done.append(1)
            hash_ = bytes.fromhex(agreement.hash[2:])
            settlement.call(
                agreement.addresses[0],
                "depositSubmit",
                settlement.contract,
                hash_,
                value=agreement.deposits[0],
            )
        return forward()

    proxy.rule = rule
    verdict = audit(RpcChain(proxy.url), settlement.contract)
    assert done
    assert verdict.agrees, [str(difference) for difference in verdict.differences]


# --- every phase --------------------------------------------------------------------------------


def test_every_phase_agrees(node, tmp_path):
    path = save(tmp_path, document({"name": "phases"}))
    parties = parties_on(node.url, path)
    settlement = settlement_of(parties)
    consortium = tradefl.load(path)
    seen, notes = [], set()

    def look():
        verdict = audit(parties.chain, settlement.contract, consortium)
        assert verdict.agrees, [str(difference) for difference in verdict.differences]
        seen.append(verdict.phase.name.lower())
        notes.update(verdict.notes)
        assert json.loads(json.dumps(verdict.to_dict()))["phase"] == seen[-1]

    look()
    settlement.run(operator=parties.operator, watch=lambda _: look())
    assert list(dict.fromkeys(seen)) == [
        "drafting", "joining", "open", "recorded", "calculated", "settled"
    ]  # fmt: skip
    assert "the agreement is not published completely yet" in notes


@pytest.mark.parametrize("joined", [1, 2])
def test_a_cancelled_one_agrees(node, tmp_path, joined):
    path = save(tmp_path, document({"name": "cancelled"}))
    parties = parties_on(node.url, path)
    settlement = settlement_of(parties)
    count = 0

    def watch(step):
        nonlocal count
        count += step.step.call == "depositSubmit"
        if count == joined and step.step.call in ("pairsPublish", "depositSubmit"):
            raise Stopped

    with pytest.raises(Stopped):
        settlement.run(operator=parties.operator, watch=watch)
    node.travel(settlement.state().join_deadline - settlement.state().now + 10)
    assert audited(node.url, settlement.contract, path)["agrees"]
    settlement.call(parties.operator, "windowClose")
    assert audited(node.url, settlement.contract, path)["agrees"]
    node.mine(parties.agreement.closing_blocks + 1)
    settlement.call(parties.operator, "cancel")
    assert read_phase(parties.chain, settlement.contract).name == "CANCELLED"
    assert audited(node.url, settlement.contract, path)["agrees"]
    settlement.run(operator=parties.operator)
    found = audited(node.url, settlement.contract, path)
    assert (found["agrees"], found["phase"]) == (True, "cancelled")
    assert node.balance(parties.agreement.vault) == 0


def test_one_ended_by_consent_agrees(node, tmp_path):
    path = save(tmp_path, document({"name": "consent"}))
    parties = parties_on(node.url, path)
    settlement = settlement_of(parties)

    def watch(step):
        if step.step.call == "contributionSubmit":
            raise Stopped

    with pytest.raises(Stopped):
        settlement.run(operator=parties.operator, watch=watch)
    for account in parties.agreement.addresses:
        settlement.call(account, "consent")
        assert audited(node.url, settlement.contract, path)["agrees"]
    settlement.run(operator=parties.operator)
    found = audited(node.url, settlement.contract, path)
    assert (found["agrees"], found["phase"]) == (True, "cancelled")
