"""Events that are read again and again: each block once, and right after a reorganization."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.settlement.chains.fake import CALL, CONTRACT, DATA, KEY, FakeChain, Wire, connect

from tradefl.settlement.chains import EventReader
from tradefl.settlement.chains.increments import OVERLAP


def send(chain):
    return chain.transact(KEY.address, to=CONTRACT, data=DATA, call=CALL)


def test_only_new_blocks_are_read(monkeypatch):
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire)
    reader = EventReader(chain, CONTRACT)
    for _ in range(30):
        send(chain)
        assert reader.read() == chain.events(CONTRACT)
    spans = [
        int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16)
        for method, params in wire.asked
        if method == "eth_getLogs"
    ]
    assert max(spans[::2]) <= OVERLAP
    assert max(spans[1::2]) == 30


def test_an_event_that_a_node_shows_late_is_read(monkeypatch):
    """It knows the block, and only a block later what is in it."""
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire)
    reader = EventReader(chain, CONTRACT)
    send(chain)
    chain._own.clear()
    wire.rule = lambda method, _params, forward: [] if method == "eth_getLogs" else forward()
    assert reader.read() == []
    wire.rule = lambda _method, _params, forward: forward()
    wire.chain.mine([])
    assert len(reader.read()) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.just(0), st.integers(1, 12)), min_size=1, max_size=25))
def test_after_any_reorganizations_it_reads_what_is_there(acts):
    """0 adds an event; k > 0 replaces the last k blocks by empty ones."""
    with pytest.MonkeyPatch.context() as patch:
        wire = Wire(FakeChain())
        chain = connect(patch, wire)
        reader = EventReader(chain, CONTRACT, 1)
        for number, act in enumerate(acts):
            fake = wire.chain
            if act == 0:
                sender = KEY.address.lower()
                one = {"hash": "0x" + f"{number + 1:064x}", "from": sender, "nonce": number}
                fake.mine([one | {"to": CONTRACT, "value": 0, "data": "0x", "most": 1}])
            else:
                fake.salt = f"fork {number}"
                gone = fake.blocks[max(1, len(fake.blocks) - act) :]
                del fake.blocks[max(1, len(fake.blocks) - act) :]
                for block in gone:
                    for hash_ in block["transactions"]:
                        del fake.receipts[hash_]
                    fake.mine([])
            assert reader.read() == chain.events(CONTRACT, 1)
