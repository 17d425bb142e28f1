"""Several nodes, nodes without logs, and chains with a pace of their own."""

import copy

import pytest
from tests.settlement.chains.fake import (
    CALL,
    CONTRACT,
    DATA,
    KEY,
    Error,
    FakeChain,
    Wire,
    connect,
)

from tradefl.settlement.chains import (
    DisagreementError,
    MissingLogsError,
    StateChangedError,
)
from tradefl.settlement.contract import ChainError, RevertedError, _entries, _selector

REFUSAL = "0x" + _selector(_entries("error")["AlreadyPublished"]).hex()


def send(chain):
    return chain.transact(KEY.address, to=CONTRACT, data=DATA, call=CALL)


def together(monkeypatch, count=2, **options):
    """So many nodes of one chain."""
    fake = FakeChain()
    wires = [Wire(fake) for _ in range(count)]
    return connect(monkeypatch, *wires, **options), wires


def test_nodes_that_agree_are_as_one(monkeypatch):
    chain, wires = together(monkeypatch, 3)
    receipt = send(chain)
    assert receipt.succeeded
    assert chain.code(CONTRACT) == b"\x01"
    assert chain.read(CONTRACT, "phase") == 4
    assert chain.receipt(receipt.hash) == receipt
    assert len(chain.events(CONTRACT)) == 1
    assert len(wires[0].chain.transactions) == 1
    for wire in wires:
        for method in ("eth_getCode", "eth_call", "eth_getLogs", "eth_sendRawTransaction"):
            assert wire.times(method) == 1


LIES = {
    "eth_getCode": ("0x02", lambda chain, _: chain.code(CONTRACT)),
    "eth_call": ("0x" + "00" * 31 + "05", lambda chain, _: chain.read(CONTRACT, "phase")),
    "eth_getLogs": ([], lambda chain, _: chain.events(CONTRACT)),
}


@pytest.mark.parametrize("liar", [0, 1, 2])
@pytest.mark.parametrize("method", LIES)
def test_the_node_that_differs_is_named(monkeypatch, method, liar):
    chain, wires = together(monkeypatch, 3)
    send(chain)
    chain._own.clear()  # with them, a single node would be found out already
    answer, ask = LIES[method]
    wires[liar].rule = lambda asked, _params, forward: answer if asked == method else forward()
    with pytest.raises(DisagreementError, match="differs from the other nodes") as caught:
        ask(chain, None)
    assert caught.value.problems[0].place == f"http://node{liar}:8545"


@pytest.mark.parametrize("method", LIES)
def test_of_two_nodes_both_are_named(monkeypatch, method):
    chain, wires = together(monkeypatch, 2)
    send(chain)
    chain._own.clear()
    answer, ask = LIES[method]
    wires[1].rule = lambda asked, _params, forward: answer if asked == method else forward()
    with pytest.raises(DisagreementError, match="http://node1:8545: differs from http://node0"):
        ask(chain, None)


def test_a_receipt_that_one_node_shows_otherwise(monkeypatch):
    chain, wires = together(monkeypatch, 2)

    def rule(method, _params, forward):
        found = forward()
        if method == "eth_getTransactionReceipt" and found:
            return found | {"status": "0x0"}
        return found

    wires[1].rule = rule
    with pytest.raises(DisagreementError, match="differs from http://node0:8545 in the receipt"):
        send(chain)


def test_nodes_of_two_chains(monkeypatch):
    with pytest.raises(DisagreementError, match="is chain 5, but http://node0:8545 is 4242"):
        connect(monkeypatch, Wire(FakeChain()), Wire(FakeChain(chain_id=5)))


def test_nodes_of_two_forks(monkeypatch):
    chain = connect(monkeypatch, Wire(FakeChain()), Wire(FakeChain(salt="fork")))
    with pytest.raises(DisagreementError, match="the hash of block 0"):
        chain.read(CONTRACT, "phase")


def test_a_node_that_is_a_block_behind_is_waited_for(monkeypatch):
    """What is read is read at a block that both have; own transactions must reach both."""
    fake, late = FakeChain(), FakeChain()
    second = Wire(late)
    second.rule = lambda method, _params, forward: (
        Error(-32000, "no") if method == "eth_sendRawTransaction" else forward()
    )
    chain = connect(monkeypatch, Wire(fake), second)
    clock, sleep = chain.clock, chain.clock.sleep

    def follow(seconds):
        sleep(seconds)
        if clock.now > 1.0:
            late.__dict__.update(copy.deepcopy(fake.__dict__))

    clock.sleep = follow
    assert send(chain).succeeded
    assert clock.now > 1.0
    assert len(chain.events(CONTRACT)) == 1


def test_a_node_that_is_far_behind_is_named(monkeypatch):
    fake = FakeChain()
    late = copy.deepcopy(fake)
    for _ in range(100):
        fake.mine([])
    chain = connect(monkeypatch, Wire(fake), Wire(late))
    with pytest.raises(DisagreementError, match=r"node1:8545: is at block 0, but another .* 100"):
        chain.code(CONTRACT)


# --- logs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [[], [1]])
def test_a_node_that_leaves_out_what_its_receipts_hold(monkeypatch, kept):
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire)
    for _ in range(2):
        send(chain)

    def rule(method, _params, forward):
        found = forward()
        if method == "eth_getLogs":
            return [log_ for log_ in found if int(log_["blockNumber"], 16) in kept]
        return found

    wire.rule = rule
    with pytest.raises(MissingLogsError, match="does not keep these logs"):
        chain.events(CONTRACT)


def test_what_was_not_asked_for_is_dropped_unseen(monkeypatch):
    """800 forged events cost one search and not one receipt."""
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire)
    send(chain)

    def rule(method, _params, forward):
        found = forward()
        if method == "eth_getLogs":
            forged = [
                log_ | {"address": "0x" + "66" * 20, "logIndex": hex(k + 1)}
                for log_ in found
                for k in range(800)
            ]
            return found + forged
        return found

    wire.rule = rule
    before = len(wire.asked)
    assert len(chain.events(CONTRACT)) == 1
    assert len(wire.asked) - before <= 3


# --- refusals at the pending block --------------------------------------------------------------


def test_a_refusal_by_what_waits_is_looked_at_after_the_next_block(monkeypatch):
    """Another's transaction is about to do the same: the state says so one block later."""
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire)
    clock, sleep = chain.clock, chain.clock.sleep
    pending = wire.chain.blocks[-1] | {"transactions": ["0x" + "22" * 32]}

    def rule(method, params, forward):
        if method == "eth_estimateGas":
            return Error(3, "execution reverted", data=REFUSAL)
        if method == "eth_getBlockByNumber" and params[0] == "pending":
            return pending
        return forward()

    def mining(seconds):
        sleep(seconds)
        if clock.now > 2.0 and len(wire.chain.blocks) == 1:
            wire.chain.mine([])

    wire.rule, clock.sleep = rule, mining
    with pytest.raises(StateChangedError):
        send(chain)
    assert len(wire.chain.blocks) == 2


def test_a_refusal_that_the_state_explains_is_one(monkeypatch):
    wire = Wire(FakeChain())
    wire.rule = lambda method, _params, forward: (
        Error(3, "execution reverted", data=REFUSAL)
        if method in ("eth_estimateGas", "eth_call")
        else forward()
    )
    chain = connect(monkeypatch, wire)
    with pytest.raises(RevertedError) as caught:
        send(chain)
    assert caught.value.name == "AlreadyPublished"
    assert chain.clock.now == 0.0  # nothing was waited for


def test_a_transaction_that_comes_second_is_an_outcome(monkeypatch):
    wire = Wire(FakeChain(reverts=True))
    chain = connect(monkeypatch, wire)
    receipt = send(chain)
    assert not receipt.succeeded
    assert receipt.gas == 50_000
    assert receipt.fee > 0


# --- pace ---------------------------------------------------------------------------------------


def test_a_chain_that_mines_on_demand_is_given_empty_transactions(monkeypatch):
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire)
    assert chain.mine(20, KEY.address)
    assert chain.height() == 20
    empty = list(wire.chain.transactions.values())
    assert len(empty) == 20
    assert {(entry["to"].lower(), entry["value"], entry["data"]) for entry in empty} == {
        (KEY.address.lower(), 0, "0x")
    }
    assert chain.clock.now < 10.0  # what it is, is found out once


def test_a_chain_that_makes_blocks_is_left_alone(monkeypatch):
    wire = Wire(FakeChain(holds=True))
    chain = connect(monkeypatch, wire)
    clock, sleep = chain.clock, chain.clock.sleep

    def mining(seconds):
        sleep(seconds)
        while len(wire.chain.blocks) < 1 + clock.now // 2.0:
            wire.chain.mine([])

    clock.sleep = mining
    waited = 0
    while not chain.pass_blocks(20, KEY.address):
        waited += 1
        clock.sleep(1.0)
    assert chain.height() >= 20
    assert waited > 3
    assert not wire.times("eth_sendRawTransaction")


def test_the_embedded_chain_makes_blocks_at_once():
    from tradefl.settlement.chains import EmbeddedChain

    chain = EmbeddedChain(1)
    assert chain.mine(20, chain.operator)
    assert chain.height() == 20
    assert chain.block_gas_limit() > 16_777_216
    assert chain.header(10**6) is None


def test_a_node_that_lags_behind_an_own_transaction_is_waited_for(monkeypatch):
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire)
    send(chain)
    stale = 5

    def rule(method, params, forward):
        nonlocal stale
        if stale and method in ("eth_blockNumber", "eth_getTransactionCount"):
            stale -= 1
            return "0x0"
        return forward()

    wire.rule = rule
    assert chain.height() == 1
    stale = 5
    assert send(chain).succeeded
    assert len(wire.chain.transactions) == 2


def test_no_node_is_an_error(monkeypatch):
    from tradefl.settlement.chains import RpcChain

    for seconds in (float("nan"), float("inf"), 0.0, -1.0):
        with pytest.raises(ChainError, match="timeout: expected seconds above 0"):
            RpcChain("http://127.0.0.1:1", timeout=seconds)
    with pytest.raises(ChainError, match="rpc: expected the address of a node"):
        RpcChain([])
