"""What is offered for a transaction, and what stops it."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.settlement.chains.fake import CALL, CONTRACT, DATA, KEY, Error, FakeChain, Wire, connect

from tradefl.cli.options import fee_caps
from tradefl.errors import InputError
from tradefl.settlement.chains import FeeCapError, FeeCaps, Journal
from tradefl.settlement.chains.fees import (
    ETHER,
    GWEI,
    Ask,
    Offer,
    ether,
    gwei,
    offer,
    replacement,
    wei_of,
)
from tradefl.settlement.contract import ChainError


def send(chain, call=CALL):
    return chain.transact(KEY.address, to=CONTRACT, data=DATA, call=call)


def signed(wire):
    """What every signed transaction offered: nonce, most, priority."""
    from eth_account.typed_transactions import TypedTransaction
    from hexbytes import HexBytes

    found = []
    for method, params in wire.asked:
        if method == "eth_sendRawTransaction":
            one = TypedTransaction.from_bytes(HexBytes(params[0])).as_dict()
            found.append((one["nonce"], one["maxFeePerGas"], one["maxPriorityFeePerGas"]))
    return list(dict.fromkeys(found))


# --- offers -------------------------------------------------------------------------------------

CAPS = FeeCaps(max_fee=200 * GWEI, max_priority_fee=30 * GWEI, max_total_fee=ETHER)
WEI = st.integers(0, 10**13)


@given(st.one_of(st.none(), WEI), WEI, WEI, WEI, st.booleans())
def test_an_offer_stays_within_its_caps(base, suggested, most, priority, pay):
    caps = FeeCaps(max_fee=most, max_priority_fee=priority)
    ask = Ask(base, suggested)
    if base is not None and base > most:
        with pytest.raises(FeeCapError) as caught:
            offer(ask, caps, pay_suggested=pay)
        assert caught.value.parameter == "max_fee"
        return
    found = offer(ask, caps, pay_suggested=pay)
    assert found.most <= most
    if base is None:
        assert found == Offer(min(suggested, most), None)
    else:
        assert found.priority <= min(priority, found.most)
        assert found.most >= base


@given(WEI, WEI, WEI, WEI, st.booleans())
def test_a_replacement_raises_both_fees_by_an_eighth_or_is_stopped(most, tip, base, asked, legacy):
    old = Offer(max(most, tip), None if legacy else tip)
    found, stopped = replacement(old, Ask(None if legacy else base, asked), CAPS)
    if found is None:
        assert stopped in ("max_fee", "max_priority_fee")
        return
    assert stopped == ""
    assert 8 * found.most >= 9 * old.most
    assert found.most <= CAPS.max_fee
    if not legacy:
        assert 8 * found.priority >= 9 * old.priority
        assert found.priority <= CAPS.max_priority_fee


def test_amounts_are_shown_as_they_are():
    assert gwei(1) == "0.000000001"
    assert gwei(120 * GWEI) == "120"
    assert ether(1_500 * ETHER + 1) == "1,500.000000000000000001"
    assert wei_of("0.1", GWEI, "x") == 10**8
    for text in ("", "-1", "nan", "inf", "1e400", "a" * 10_000):
        with pytest.raises(ChainError, match="expected a number >= 0"):
            wei_of(text, GWEI, "x")


def test_the_flags_name_themselves():
    assert fee_caps(None, None, None) == FeeCaps()
    assert fee_caps("5", None, "0.25") == FeeCaps(5 * GWEI, 5 * GWEI, ETHER // 4)
    for arguments, flag in (
        (("x", None, None), "--max-fee"),
        ((None, "-2", None), "--max-priority-fee"),
        (("5", "6", None), "--max-priority-fee"),
        ((None, None, "nan"), "--max-total-fee"),
    ):
        with pytest.raises(InputError) as caught:
            fee_caps(*arguments)
        assert caught.value.problems[0].place == flag
    assert (
        "200 gwei per gas, of it 30 gwei as priority fee, and 1 ether in this run"
        in FeeCaps().sentence
    )


# --- chains that charge nothing -----------------------------------------------------------------


def test_where_nothing_is_charged_exactly_the_bond_is_enough(monkeypatch):
    wire = Wire(FakeChain(base_fee=0, balance=7))
    chain = connect(monkeypatch, wire)
    paid = {"data": DATA, "value": 7, "call": "depositSubmit", "agreement": "0xaa"}
    assert chain.deposit(KEY.address, to=CONTRACT, **paid).succeeded
    assert signed(wire) == [(0, 0, 0)]
    assert chain.spent == 0


@pytest.mark.parametrize(
    "said",
    [
        "transaction underpriced",
        "transaction underpriced: gas tip cap 0, minimum needed 1",
        "Gas price below configured minimum gas price",
        "FeeTooLow, MaxFeePerGas too low",
    ],
)
def test_a_node_that_charges_although_its_base_fee_is_zero_is_paid(monkeypatch, said):
    wire = Wire(FakeChain(base_fee=0))
    wire.rule = lambda method, _params, forward: (
        Error(-32000, said)
        if method == "eth_sendRawTransaction" and len(signed(wire)) == 1
        else forward()
    )
    chain = connect(monkeypatch, wire)
    assert send(chain).succeeded
    assert signed(wire) == [(0, 0, 0), (0, GWEI, GWEI)]
    assert send(chain).succeeded
    assert signed(wire)[-1] == (1, GWEI, GWEI)  # it is known now


def test_a_node_that_always_wants_more_is_one_error(monkeypatch):
    wire = Wire(FakeChain(base_fee=0))
    wire.rule = lambda method, _params, forward: (
        Error(-32000, "transaction underpriced")
        if method == "eth_sendRawTransaction"
        else forward()
    )
    with pytest.raises(ChainError, match=r"underpriced.*`max_fee`"):
        send(connect(monkeypatch, wire))


@pytest.mark.parametrize("price", [None, 5 * GWEI])
def test_a_node_without_the_methods_for_fees(monkeypatch, price):
    wire = Wire(FakeChain())

    def rule(method, _params, forward):
        if method == "eth_maxPriorityFeePerGas" or (method == "eth_gasPrice" and price is None):
            return Error(-32601, f"the method {method} does not exist")
        return hex(price) if method == "eth_gasPrice" else forward()

    wire.rule = rule
    assert send(connect(monkeypatch, wire)).succeeded
    tip = 0 if price is None else 4 * GWEI
    assert signed(wire) == [(0, 2 * GWEI + tip, tip)]


# --- lies and rises -----------------------------------------------------------------------------


def test_a_lying_tip_is_capped(monkeypatch):
    wire = Wire(FakeChain())
    wire.rule = lambda method, _params, forward: (
        hex(10**17) if method == "eth_maxPriorityFeePerGas" else forward()
    )
    assert send(connect(monkeypatch, wire)).succeeded
    assert signed(wire) == [(0, 32 * GWEI, 30 * GWEI)]


def test_a_run_spends_no_more_than_its_total(monkeypatch):
    """Whatever the receipts say that transactions have cost."""
    wire = Wire(FakeChain())
    cost = 62_500 * 3 * GWEI  # of one transaction at most
    caps = FeeCaps(max_total_fee=10 * cost)
    chain = connect(monkeypatch, wire, caps=caps)
    for _ in range(10):
        send(chain)
    with pytest.raises(FeeCapError, match=r"`max_total_fee` is") as caught:
        send(chain)
    assert caught.value.parameter == "max_total_fee"
    assert len(signed(wire)) == 10
    assert chain.spent == 10 * cost


def test_a_replacement_counts_what_it_costs_more(monkeypatch):
    """Only one of the signatures under a transaction is paid for."""
    wire = Wire(FakeChain(holds=True))
    rising(wire, 40)
    most = 62_500 * 200 * GWEI  # no signature costs more
    chain = connect(monkeypatch, wire, timeout=120.0, caps=FeeCaps(max_total_fee=most))
    assert send(chain).succeeded
    assert len(signed(wire)) >= 2
    assert chain.spent == 62_500 * signed(wire)[-1][1] <= most


def test_a_base_fee_above_the_cap_stops_before_anything_is_signed(monkeypatch):
    wire = Wire(FakeChain(base_fee=60 * GWEI))
    with pytest.raises(FeeCapError, match=r"blocks ask 60 gwei per gas .* 20 gwei may be offered"):
        send(connect(monkeypatch, wire, caps=FeeCaps(max_fee=20 * GWEI)))
    assert not signed(wire)


def rising(wire, until):
    """Blocks whose base fee jumps, then rises by an eighth a block; one for each receipt asked."""
    looks = 0

    def rule(method, _params, forward):
        nonlocal looks
        fake = wire.chain
        if method == "eth_getTransactionReceipt":
            looks += 1
            if looks % 4 == 0 and fake.holds:
                fake.base_fee = fake.base_fee * 9 // 8
                fake.mine()
                if len(fake.blocks) > until:
                    fake.holds = False
        if method == "eth_sendRawTransaction" and len(fake.blocks) == 1:
            fake.base_fee = 60 * GWEI  # while it is on its way
        return forward()

    wire.rule = rule


def test_a_base_fee_that_rises_while_a_transaction_waits(monkeypatch):
    wire = Wire(FakeChain(holds=True))
    rising(wire, 40)
    chain = connect(monkeypatch, wire, timeout=120.0)
    receipt = send(chain)
    assert receipt.succeeded
    offers = signed(wire)
    assert {nonce for nonce, *_ in offers} == {0}
    assert 2 <= len(offers) <= 5
    assert all(most <= 200 * GWEI for _, most, _ in offers)


def test_what_a_cap_stops_the_next_run_replaces(monkeypatch, tmp_path):
    """It says what is offered, what blocks ask, and which cap stops it."""
    wire = Wire(FakeChain(holds=True))
    rising(wire, 10**6)
    low = FeeCaps(max_fee=20 * GWEI, max_priority_fee=2 * GWEI)
    chain = connect(monkeypatch, wire, caps=low, journal=Journal.open(tmp_path))
    with pytest.raises(ChainError) as caught:
        send(chain)
    text = str(caught.value)
    assert re.search(r"offers 3 gwei per gas, blocks ask [\d.,]+ gwei", text)
    assert "`max_fee` stops a higher offer" in text
    wire.rule = lambda _method, _params, forward: forward()
    wire.chain.holds = False
    wire.chain.blocks[-1]["baseFeePerGas"] = hex(60 * GWEI)
    wire.chain.base_fee = 60 * GWEI
    chain = connect(monkeypatch, wire, journal=Journal.open(tmp_path))
    assert send(chain).succeeded  # the same call, so it is the one that was waiting
    assert {nonce for nonce, *_ in signed(wire)} == {0}
    assert signed(wire)[-1][1] == 121 * GWEI
    assert len(wire.chain.transactions) == 1


# --- gas ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("needed", "gas"), [(50_000, 62_500), (7_000_000, 8_000_000)])
def test_gas_is_offered_up_to_a_blocks_limit(monkeypatch, needed, gas):
    from eth_account.typed_transactions import TypedTransaction
    from hexbytes import HexBytes

    wire = Wire(FakeChain(gas_limit=8_000_000))
    wire.rule = lambda method, _params, forward: (
        hex(needed) if method == "eth_estimateGas" else forward()
    )
    chain = connect(monkeypatch, wire)
    assert chain.block_gas_limit() == 8_000_000
    send(chain)
    raw = next(params[0] for entry, params in wire.asked if entry == "eth_sendRawTransaction")
    assert TypedTransaction.from_bytes(HexBytes(raw)).as_dict()["gas"] == gas


def test_a_call_that_no_block_can_hold_is_not_sent(monkeypatch):
    wire = Wire(FakeChain(gas_limit=8_000_000))
    wire.rule = lambda method, _params, forward: (
        hex(8_630_000) if method == "eth_estimateGas" else forward()
    )
    with pytest.raises(ChainError, match=r"needs 8,630,000 gas, but a block .* holds 8,000,000"):
        send(connect(monkeypatch, wire))
    assert not signed(wire)


def test_caps_are_whole_numbers_of_wei():
    for value in (-1, 1.5, Decimal(1), 1 << 128):
        with pytest.raises(ChainError, match="max_fee: expected wei"):
            FeeCaps(max_fee=value)
