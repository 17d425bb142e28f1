"""A node that lies about addresses and code takes nothing that was not agreed."""

import json
import re

import pytest
from tests.settlement.nodes import node, proxy, shared_node
from tests.settlement.test_accounts import KEYS, NAMES, consortium, settle

import tradefl
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.session import FACTORY_GAS

__all__ = ["consortium", "node", "proxy", "shared_node"]
STRANGER = "0x00000000000000000000000000000000a77ac4e2"
FEES = 10**17  # wei: far above what the gas of these runs costs


def agreed_in(path):
    return Agreement.of(tradefl.load(path))


def assert_at_most_one_bond(node, agreed, runs):
    assert node.balance(STRANGER) == 0
    for ran in runs:
        assert ran.code in (1, 2)
        assert "Traceback" not in ran.err
    spent = 10**20 - node.balance(KEYS["Alpha"].address)
    assert spent <= agreed.bonds[0] + FEES


@pytest.mark.parametrize("what", ["contract", "vault", "factory"])
def test_a_node_that_swaps_an_address_gets_no_money(node, proxy, consortium, what):
    path = consortium()
    agreed = agreed_in(path)
    places = {
        "contract": agreed.settlement_address(), "vault": agreed.vault, "factory": agreed.factory
    }  # fmt: skip
    honest = places[what].removeprefix("0x")

    def rule(method, params, forward):
        if method == "eth_sendRawTransaction":
            return forward()
        answer = json.dumps(forward())
        return json.loads(re.sub(honest, STRANGER[2:], answer, flags=re.IGNORECASE))

    proxy.rule = rule
    runs = [settle(proxy, path, "Alpha") for _ in range(3)]
    assert_at_most_one_bond(node, agreed, runs)
    for ran in runs:  # the deployments were signed before it could be seen
        assert "nothing was signed" not in ran.err or not node.height
    held = node.balance(agreed.vault)
    assert held in (0, agreed.bonds[0])


@pytest.mark.parametrize("what", ["contract", "vault", "factory"])
def test_other_code_at_an_address_of_the_agreement_stops_before_a_signature(
    node, proxy, consortium, what
):
    path = consortium()
    agreed = agreed_in(path)
    settle(node, path, "Gamma", "--no-report")  # what the node has, honestly
    places = {
        "contract": agreed.settlement_address(), "vault": agreed.vault, "factory": agreed.factory
    }  # fmt: skip
    height = node.height

    def rule(method, params, forward):
        if method == "eth_getCode" and params[0].lower() == places[what].lower():
            return "0x6001600055"
        return forward()

    proxy.rule = rule
    ran = settle(proxy, path, "Alpha")
    assert (ran.code, ran.out) == (2, "")
    assert f"at {places[what]}, where the agreement's contract must be" in ran.err
    assert node.height == height


def test_a_node_that_hides_the_factory_gets_little_for_it(node, proxy, consortium):
    """The key that creates it is public: what the account is sent may be taken by anybody."""
    path = consortium()
    agreed = agreed_in(path)

    def rule(method, params, forward):
        if method == "eth_getCode" and params[0].lower() == agreed.factory.lower():
            return "0x"
        return forward()

    proxy.rule = rule
    for _ in range(3):
        ran = settle(proxy, path, "Alpha")
        assert ran.code == 2
    spent = 10**20 - node.balance(KEYS["Alpha"].address)
    assert spent < 2 * FACTORY_GAS * 10**10
    assert NAMES[0] == "Alpha"


def test_fees_that_rise_after_the_factory_was_paid_for(node, proxy, consortium):
    """What its account needs then is sent once more, and what was sent before is not lost."""
    path = consortium()
    sent = []

    def rule(method, params, forward):
        answer = forward()
        if method == "eth_sendRawTransaction":
            sent.append(params[0])
            if len(sent) == 1:  # the first money for the factory
                node.receipt(answer)  # or the fee is that of its own block, which leaves it out
                node.rpc("anvil_setNextBlockBaseFeePerGas", hex(50 * max(int(before, 16), 10**9)))
                node.rpc("evm_mine")
        return answer

    proxy.rule = rule
    before = node.rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"]
    ran = settle(proxy, path, "Alpha", "--no-report")
    node.rpc("anvil_setNextBlockBaseFeePerGas", before)  # other tests share the node
    node.rpc("evm_mine")
    assert ran.code == 1, ran.err
    calls = [transaction["call"] for transaction in ran.json["other_transactions"]]
    assert calls.count("funding of the factory") == 2
    assert node.rpc("eth_getCode", agreed_in(path).factory, "latest") != "0x"


@pytest.mark.parametrize("behind", [0, 2])
@pytest.mark.parametrize("when", [1, 2, 3])
def test_a_factory_that_another_client_creates_meanwhile(node, proxy, consortium, when, behind):
    """It comes between two questions; a node behind a balancer may not show it at once."""
    path = consortium()
    factory = agreed_in(path).factory.lower()
    asked = hidden = 0

    def rule(method, params, forward):
        nonlocal asked, hidden
        answer = forward()
        if method == "eth_getCode" and params[0].lower() == factory:
            asked += 1
            if asked == when:
                assert answer == "0x"
                settle(node, path, "Beta", "--no-report")
            elif asked > when and hidden < behind:
                hidden += 1
                return "0x"
        return answer

    proxy.rule = rule
    ran = settle(proxy, path, "Alpha", "--no-report")
    assert asked > when
    assert ran.code == 1, ran.err  # it waits for the others
    assert "used it up" not in ran.err
    assert node.rpc("eth_getCode", factory, "latest") != "0x"
