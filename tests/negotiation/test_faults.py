"""Agents as processes: killed, silent, twice, on a node that is killed; and what leaves them."""

from __future__ import annotations

import random
import signal
import struct
import time

import pytest
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes
from tests.negotiation.processes import (
    Deployed,
    Nodes,
    Recorder,
    deployed,
    driven,
    three_hospitals,
)
from tests.settlement.nodes import HANGUP, RpcError, anvil, node, proxy, shared_node

from tradefl.negotiation import load_private
from tradefl.negotiation.protocol import initial_reports
from tradefl.settlement.contract import Phase, called

__all__ = ["node", "proxy", "shared_node"]


@pytest.fixture
def three(node, tmp_path):
    """Three hospitals that have joined; nobody has proposed."""
    found = deployed(node, three_hospitals(tmp_path / "three.toml"), tmp_path)
    found.join()
    return found


@pytest.fixture
def slow_three(tmp_path):
    """The same on a chain of their own with a block a second: there is time to disturb them."""
    with anvil("--block-time", 1) as own:
        own.rpc("evm_setAutomine", True)
        found = deployed(own, three_hospitals(tmp_path / "three.toml"), tmp_path)
        found.join()
        own.rpc("evm_setIntervalMining", 1)
        yield found


def undisturbed(of: Deployed) -> list[object]:
    return list(of.undisturbed()[0].reports)


# --- killed --------------------------------------------------------------------------------------


def test_agents_that_are_killed_and_started_again_end_where_they_would_have(slow_three):
    rng = random.Random(7)  # noqa: S311
    with slow_three.alone() as nodes:
        nodes.start()
        nodes.until(lambda: nodes.proposals() >= 1)
        kills = 0
        while kills < 5 and not nodes.done():
            time.sleep(rng.uniform(0.0, 1.5))
            victim = rng.randrange(3)
            if nodes.present[victim].code is None:
                nodes.present[victim].kill()
                nodes.start(victim)
                kills += 1
        assert kills >= 3
        nodes.finish()
    assert slow_three.contributions() == undisturbed(slow_three)
    assert not any(ruling.skipped for ruling in slow_three.standing().rulings)


def test_the_node_is_killed_and_started_again_with_its_state(tmp_path):
    """What the agents see may be a second older afterwards than what they had seen."""
    state = tmp_path / "state.json"
    with anvil("--state", state, "--state-interval", 1) as own:
        of = deployed(own, three_hospitals(tmp_path / "three.toml"), tmp_path)
        of.join()
        own.rpc("evm_setAutomine", False)
        own.rpc("evm_setIntervalMining", 1)
        with of.alone() as nodes:
            nodes.start()
            nodes.until(lambda: nodes.proposals() >= 3)
            time.sleep(2.5)  # written once at least
            own.stop(signal.SIGKILL)
            for node_ in nodes.started:  # each says that its node is gone, and goes on asking
                nodes.until(
                    lambda entry=node_: any(e["event"] == "trouble" for e in entry.entries())
                )
            assert [node_.code for node_ in nodes.started] == [None] * 3
            own.start()
            assert of.phase is Phase.OPEN
            nodes.finish(90.0)
        assert of.contributions() == undisturbed(of)


@pytest.mark.parametrize("lost", ["gone from the pool", "undone"])
def test_a_proposal_that_the_chain_loses_is_made_again_in_its_turn(three, node, lost):
    """An agent does not take a turn for answered that the chain says is still its own."""
    agents = three.agents()
    snapshot = node.rpc("evm_snapshot")
    agents[0].step()
    assert three.standing().turn == 1
    if lost == "undone":
        node.reorg(1)
    else:
        assert node.rpc("evm_revert", snapshot)
    assert three.standing().turn == 0
    driven(agents, seconds=20.0)
    assert three.contributions() == undisturbed(three)


@pytest.mark.parametrize("when", ["from the start", "under way"])
@pytest.mark.parametrize(
    ("answer", "told"), [(RpcError("header not found"), "header not found"), (HANGUP, "no answer")]
)
def test_a_node_that_fails_for_a_while_is_asked_again(three, proxy, answer, told, when):
    """A load balancer may lead to a node that does not have the block yet, or to none."""
    until = time.monotonic() + 600.0

    def rule(method, _params, forward):
        if method == "eth_getLogs" and time.monotonic() < until:
            return answer
        return forward()

    with three.alone() as nodes:
        if when == "from the start":
            proxy.rule = rule
        [refused] = nodes.start(0, url=proxy.url)
        if when == "under way":  # the others are not there yet: it waits
            nodes.until(lambda: bool(refused.entries()))
            proxy.rule = rule
        nodes.start(1, 2)
        nodes.until(lambda: any(entry["event"] == "trouble" for entry in refused.entries()))
        until = time.monotonic() + 1.0
        nodes.finish()
    assert any(told in entry.get("what", "") for entry in refused.entries())
    assert three.contributions() == undisturbed(three)


# --- silent --------------------------------------------------------------------------------------


@pytest.fixture
def silent(node, tmp_path):
    """The others wait; then University B joins, and says nothing."""

    def begin(turn_seconds: int) -> Deployed:
        def change(document):
            document["settlement"] = {"turn_seconds": turn_seconds}

        return deployed(node, three_hospitals(tmp_path / "three.toml", change), tmp_path)

    return begin


def without_the_second(of: Deployed, nodes: Nodes) -> None:
    nodes.start(0, 2)
    nodes.until(lambda: all(of.places()[i]["joined"] for i in (0, 2)))
    of.join(1)


def test_who_is_silent_is_skipped_and_comes_back_before_the_end(silent):
    of = silent(10)
    with of.alone() as nodes:
        without_the_second(of, nodes)
        nodes.until(lambda: any(ruling.skipped for ruling in of.standing().rulings))
        assert not of.standing().over
        assert of.standing().reports[1] == initial_reports(of.agreement)[1]
        nodes.start(1)
        nodes.finish()
    standing = of.standing()
    assert of.contributions() == list(standing.reports)
    assert standing.reports[1] != initial_reports(of.agreement)[1]
    of.assert_equilibrium(of.contributions())


def test_who_comes_after_the_end_submits_what_stands_for_it(silent):
    of = silent(2)
    with of.alone() as nodes:
        without_the_second(of, nodes)
        nodes.finish()
        standing = of.standing()
        assert standing.over
        assert standing.moves >= 2
        start = initial_reports(of.agreement)[1]
        assert standing.reports[1] == start
        assert of.contributions() == [standing.reports[0], None, standing.reports[2]]
        # The others have answered each other and what stands for the silent one.
        for i in (0, 2):
            assert of.agents()[i].answer(standing) == standing.reports[i]
        nodes.start(1)
        nodes.finish()
    assert of.contributions() == list(standing.reports)
    assert of.standing().rulings == standing.rulings


# --- twice ---------------------------------------------------------------------------------------


def test_two_agents_with_one_key(three):
    with three.alone() as nodes:
        nodes.start()
        first = nodes.present[0]
        nodes.start(0)
        nodes.finish()
        nodes.until(lambda: first.code == 0)
    assert three.contributions() == undisturbed(three)
    standing = three.standing()
    assert not any(ruling.skipped for ruling in standing.rulings)
    moved = [ruling for ruling in standing.rulings if ruling.kind == "moved"]
    assert len(moved) == three.undisturbed()[0].moves


def test_run_again_after_the_end_it_sends_nothing(three, node):
    """What comes then, the settlement, is another command's."""
    driven(three.agents())
    height = node.height
    with three.alone() as nodes:
        nodes.start(0)
        nodes.finish()
    assert (node.height, three.phase) == (height, Phase.OPEN)


def test_who_waits_for_one_that_never_joins_ends_when_the_time_to_join_has(node, tmp_path):
    """Nothing was negotiated: that is no success, and it says why."""

    def change(document):
        document["settlement"] = {"join_seconds": 1000}

    of = deployed(node, three_hospitals(tmp_path / "three.toml", change), tmp_path)
    with of.alone() as nodes:
        [waiting] = nodes.start(0)
        nodes.until(lambda: of.places()[0]["joined"])
        node.travel(1001)
        nodes.until(lambda: of.chain().read(of.contract, "progress")["closedAt"] > 0)
        node.mine(of.agreement.closing_blocks)  # it would make them itself, one at a time
        code, _, said = waiting.end(60.0)
    assert code != 0
    assert "Traceback" not in said
    assert "cancelled" in said


# --- what leaves a process -----------------------------------------------------------------------

SCALES = (1, 10**3, 10**9, 10**15, 10**18)


def written(value: float) -> list[str]:
    """A number as text, in full and cut, and as eight bytes."""
    texts = [repr(value), f"{value:.6f}", f"{value:.3f}", f"{value:.2f}", f"{value:e}"]
    raw = [struct.pack(order + "d", value).hex() for order in "<>"]
    scaled = [f"{round(value * scale)}" for scale in SCALES[2:]]
    return [*texts, *raw, *scaled, *(f"{int(entry):x}" for entry in scaled)]


def integers(value: float) -> set[int]:
    """A number scaled, rounded either way."""
    return {int(value * scale) + more for scale in SCALES for more in (0, 1)}


def numbers_in(found: object) -> set[int]:
    """Every integer of a JSON value; of hexadecimal text, itself and each of its words."""
    if isinstance(found, dict):
        return set().union(*map(numbers_in, found.values()))
    if isinstance(found, list):
        return set().union(*map(numbers_in, found))
    if isinstance(found, str) and found.startswith("0x") and len(found) > 2:
        data, numbers = found[2:], {int(found, 16)}
        for begin in (0, 8):  # with a selector before, or without
            numbers |= {int(data[k : k + 64], 16) for k in range(begin, len(data), 64)}
        return numbers
    if isinstance(found, int) and not isinstance(found, bool):
        return {found}
    return set()


def test_what_leaves_a_process_are_the_documented_fields_alone(node, tmp_path):
    def change(document):
        own = document["organization"][0]
        own |= {"profitability": 923.4819273, "cycles_per_bit": 812.3917463}
        own |= {"download_seconds": 121.7391846, "upload_seconds": 118.2917364}
        document["organization"][2] |= {"profitability": 517.3918273}
        # A weight in the hundreds: no block number or nonce comes near any of the figures.
        document["competition"]["pairs"][0][2] = 0.4

    of = deployed(node, three_hospitals(tmp_path / "three.toml", change), tmp_path)
    private = load_private(tmp_path / "0" / "private.toml")
    recorder = Recorder(node)
    try:
        of.join(1, 2)
        with of.alone() as nodes:
            nodes.start(0, url=recorder.url)
            driven(of.agents()[1:])
            nodes.finish()
            payoffs = {entry["payoff"] for entry in nodes.present[0].entries() if "payoff" in entry}
            assert len(payoffs) >= 2
    finally:
        recorder.close()
    assert of.contributions() == undisturbed(of)

    # What was signed: these calls, to the contract, from this account, with these arguments.
    calls = []
    for body in recorder.bodies():
        assert set(body) == {"jsonrpc", "id", "method", "params"}
        assert body["method"] not in ("eth_sendTransaction", "eth_sign", "personal_sign")
        if body["method"] != "eth_sendRawTransaction":
            continue
        raw = bytes.fromhex(body["params"][0][2:])
        sender = Account.recover_transaction(raw)
        sent = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        me = of.agreement.addresses[0]
        assert sender == me
        assert not sent.get("accessList")
        if HexBytes(sent["to"]) == HexBytes(me):  # nothing to itself: blocks that a turn waits for
            assert (sent["value"], bytes(sent["data"])) == (0, b"")
            continue
        name, arguments = called(bytes(sent["data"])) or ("", {})
        receiver = of.agreement.vault if name == "depositSubmit" else of.contract
        assert HexBytes(sent["to"]) == HexBytes(receiver)
        calls.append((name, arguments, sent["value"]))
    mine = [
        proposal
        for proposal in of.board().look().proposals
        if proposal.account == of.agreement.addresses[0]
    ]
    assert calls == [
        ("depositSubmit", {
            "settlement": of.contract, "agreementHash": bytes.fromhex(of.agreement.hash[2:]),
        }, of.agreement.deposits[0]),
        *(("propose", {"dataPpb": account.report.data_ppb, "cpuHz": account.report.cpu_hz}, 0)
          for account in mine),
        ("contributionSubmit", {
            "account": of.agreement.addresses[0],
            "dataPpb": mine[-1].report.data_ppb, "cpuHz": mine[-1].report.cpu_hz,
            "serial": 0, "expiry": 0,
            "statement": bytes(32), "attestation": b"",
        }, 0),
    ]  # fmt: skip
    assert len(mine) >= 2

    # And nowhere in what was sent, under whatever name, stands a private figure.
    secret = [private.profitability, private.competitors_weight, private.cycles_per_bit]
    secret += [private.download_seconds, private.upload_seconds, *payoffs]
    everything = b"\n".join(recorder.requests).decode().lower()
    values = set().union(*(numbers_in(body["params"]) for body in recorder.bodies()))
    for value in secret:
        for text in written(value):
            assert text.lower() not in everything, (value, text)
        assert not integers(value) & values, value
    # The search finds what does leave.
    assert f"{mine[0].report.data_ppb:x}" in everything
    assert mine[0].report.data_ppb in values
