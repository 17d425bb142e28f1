"""One deposit for an account and an agreement, whatever fails, lies or is killed."""

import contextlib
import json
import os
import stat

import pytest
from filelock import FileLock
from tests.settlement.chains.fake import (
    CALL,
    CONTRACT,
    DATA,
    KEY,
    OTHER,
    Cut,
    Error,
    FakeChain,
    Wire,
    connect,
)

from tradefl.errors import InputError
from tradefl.settlement.chains import Journal, NodeSigner, StateChangedError
from tradefl.settlement.contract import ChainError

BOND = 7
AGREEMENT = "0x" + "aa" * 32
THIEF = "0x" + "66" * 20


class Killed(BaseException):
    """The process ends here."""


def deposit(chain, to=CONTRACT, value=BOND, who=KEY.address, agreement=AGREEMENT):
    return chain.deposit(
        who, to=to, data=DATA, value=value, call="depositSubmit", agreement=agreement
    )


def again(chain, **options):
    """Deposit; read again when told so."""
    for _ in range(5):
        with contextlib.suppress(StateChangedError):
            return deposit(chain, **options)
    raise AssertionError("it did not end")


def signed_deposits(wire):
    """The nonces of all deposits that were ever shown to the node."""
    from eth_account.typed_transactions import TypedTransaction
    from hexbytes import HexBytes

    found = set()
    for method, params in wire.asked:
        if method == "eth_sendRawTransaction":
            fields = TypedTransaction.from_bytes(HexBytes(params[0])).as_dict()
            if fields["value"]:
                found.add((int(fields["nonce"]), bytes(HexBytes(fields["to"])).hex()))
    return found


# --- killed -------------------------------------------------------------------------------------


def test_killed_at_any_request_the_next_run_uses_the_same_nonce(monkeypatch, tmp_path):
    """Before the request, and after the node has done what was asked."""
    deposited = 0
    for late in (False, True):
        for point in range(40):
            wire = Wire(FakeChain())
            folder = tmp_path / f"{late} {point}"
            left = point

            def rule(method, params, forward, late=late):
                nonlocal left
                left -= 1
                if left == 0:
                    if late:
                        forward()
                    raise Killed
                return forward()

            chain = connect(monkeypatch, wire, journal=Journal.open(folder))
            wire.rule = rule
            try:
                deposit(chain)
            except Killed:
                pass
            else:
                deposited += 1
            wire.rule = lambda _method, _params, forward: forward()
            chain = connect(monkeypatch, wire, journal=Journal.open(folder))
            # Another call comes first, as it may in a settlement.
            with contextlib.suppress(StateChangedError):
                chain.transact(KEY.address, to=CONTRACT, data=DATA, call=CALL)
            assert again(chain).succeeded
            assert len(signed_deposits(wire)) == 1
            paid = [
                transaction
                for transaction in wire.chain.transactions.values()
                if transaction["value"]
            ]
            assert len(paid) == 1
    assert 2 <= deposited < 60  # some points lie after the end; most do not


def test_killed_while_it_writes_nothing_is_sent_that_is_not_recorded(monkeypatch, tmp_path):
    real = os.fsync
    for point in range(1, 5):
        wire = Wire(FakeChain())
        folder = tmp_path / str(point)
        chain = connect(monkeypatch, wire, journal=Journal.open(folder))
        left = point

        def fsync(handle):
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            real(handle)

        monkeypatch.setattr(os, "fsync", fsync)
        with contextlib.suppress(Killed):
            deposit(chain)
        monkeypatch.setattr(os, "fsync", real)
        chain = connect(monkeypatch, wire, journal=Journal.open(folder))
        assert again(chain).succeeded
        assert len(signed_deposits(wire)) == 1
        left_over = [path.name for path in (folder / "journal" / "4242").iterdir()]
        assert sorted(left_over) == [f"{KEY.address}.json", f"{KEY.address}.lock"]


def test_a_full_disk_sends_nothing(monkeypatch, tmp_path):
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire, journal=Journal.open(tmp_path))

    def fsync(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(ChainError, match="No space left"):
        deposit(chain)
    assert not signed_deposits(wire)


# --- lies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("remembered", [True, False])
def test_no_other_deposit_is_signed_for_an_agreement(monkeypatch, tmp_path, remembered):
    """In one run, or in the next one."""
    wire = Wire(FakeChain(holds=True))
    folder = tmp_path if remembered else None
    chain = connect(monkeypatch, wire, journal=Journal.open(folder) if folder else None)
    with pytest.raises(ChainError, match="no block took the transaction"):
        deposit(chain)
    if remembered:
        chain = connect(monkeypatch, wire, journal=Journal.open(folder))
    for options in ({"to": THIEF}, {"value": BOND + 1}):
        with pytest.raises(ChainError, match="has signed its deposit for this agreement already"):
            deposit(chain, **options)
    assert len(signed_deposits(wire)) == 1
    wire.chain.holds = False
    wire.chain.mine()
    assert again(chain).succeeded
    assert len(signed_deposits(wire)) == 1


@pytest.mark.parametrize("lie", ["no receipt", "no balance moved", "a lower count", "reverted"])
def test_a_node_that_denies_a_deposit_gets_no_second_one(monkeypatch, tmp_path, lie):
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire, journal=Journal.open(tmp_path))
    deposit(chain)

    def rule(method, _params, forward):
        if lie == "no receipt" and method == "eth_getTransactionReceipt":
            return None
        if lie == "a lower count" and method == "eth_getTransactionCount":
            return "0x0"
        return forward()

    wire.rule = rule
    for _ in range(3):  # as many runs
        chain = connect(monkeypatch, wire, journal=Journal.open(tmp_path))
        for _ in range(6):
            with contextlib.suppress(ChainError, StateChangedError):
                deposit(chain)
    assert len(signed_deposits(wire)) == 1


def test_a_node_that_shows_a_deposit_and_none_contradicts_itself(monkeypatch):
    """As it does whose receipts are right and whose views are invented."""
    chain = connect(monkeypatch, Wire(FakeChain()))
    for _ in range(4):
        deposit(chain)
    with pytest.raises(ChainError, match="and also that it has not"):
        deposit(chain)


def test_a_deposit_that_reverts_in_its_block_may_be_made_again(monkeypatch, tmp_path):
    wire = Wire(FakeChain(reverts=True))
    chain = connect(monkeypatch, wire, journal=Journal.open(tmp_path))
    assert not deposit(chain).succeeded
    wire.chain.reverts = False
    assert again(chain).succeeded
    assert {nonce for nonce, _ in signed_deposits(wire)} == {0, 1}


def test_a_deposit_that_is_back_makes_room_in_the_next_run(monkeypatch, tmp_path):
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire, journal=Journal.open(tmp_path))
    deposit(chain)
    chain.returned(KEY.address, AGREEMENT)
    with pytest.raises(ChainError, match="has deposited once in this run"):
        deposit(chain)
    chain = connect(monkeypatch, wire, journal=Journal.open(tmp_path))
    assert deposit(chain).succeeded
    assert len(signed_deposits(wire)) == 2


def test_two_nodes_that_agree_may_say_that_a_deposit_is_back(monkeypatch, tmp_path):
    fake = FakeChain()
    chain = connect(monkeypatch, Wire(fake), Wire(fake), journal=Journal.open(tmp_path))
    deposit(chain)
    chain.returned(KEY.address, AGREEMENT)
    assert deposit(chain).succeeded


def test_another_agreement_has_a_deposit_of_its_own(monkeypatch, tmp_path):
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire, journal=Journal.open(tmp_path))
    deposit(chain)
    assert deposit(chain, agreement="0x" + "bb" * 32).succeeded
    assert len(signed_deposits(wire)) == 2


def test_an_address_without_code_is_not_paid(monkeypatch):
    wire = Wire(FakeChain(code=b""))
    with pytest.raises(ChainError, match="there is no contract"):
        deposit(connect(monkeypatch, wire))
    assert not signed_deposits(wire)


def test_money_without_a_name_is_one_deposit_for_its_call(monkeypatch):
    wire = Wire(FakeChain(holds=True))
    chain = connect(monkeypatch, wire)
    for to in (CONTRACT, THIEF, THIEF):
        with contextlib.suppress(ChainError, StateChangedError):
            chain.transact(KEY.address, to=to, data=DATA, value=BOND, call=CALL)
    assert signed_deposits(wire) == {(0, CONTRACT[2:])}


def test_an_account_of_the_node_deposits_once_too(monkeypatch):
    """The hash is lost with the answer, and the node does not show the deposit."""
    wire = Wire(FakeChain())
    wire.rule = lambda method, _params, forward: (
        (forward(), Cut())[1] if method == "eth_sendTransaction" else forward()
    )
    chain = connect(monkeypatch, wire)
    chain.signers[OTHER.address] = NodeSigner(OTHER.address)
    for _ in range(5):
        with contextlib.suppress(ChainError, StateChangedError):
            deposit(chain, who=OTHER.address)
    assert sum(transaction["value"] for transaction in wire.chain.transactions.values()) == BOND


# --- the file -----------------------------------------------------------------------------------


def test_the_journal_is_its_owners_alone(monkeypatch, tmp_path):
    chain = connect(monkeypatch, Wire(FakeChain()), journal=Journal.open(tmp_path / "state"))
    deposit(chain)
    folder = tmp_path / "state" / "journal"
    path = folder / "4242" / f"{KEY.address}.json"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = json.loads(path.read_text())
    assert document["schema"] == "tradefl/journal/1"
    assert KEY.key.key.hex() not in path.read_text()


def test_where_nothing_can_be_recorded_nothing_is_signed(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="folder of your own as `state`") as caught:
        Journal.open(tmp_path / "file" / "state")
    assert caught.value.problems[0].place == "state"


def test_the_default_is_the_users_state_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert Journal.open().folder == tmp_path / "tradefl" / "journal"


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"schema": "tradefl/journal/2"}', "null", '{"schema": 5', "\x00" * 100],
)
def test_a_broken_journal_is_an_error_and_signs_nothing(monkeypatch, tmp_path, content):
    wire = Wire(FakeChain())
    deposit(connect(monkeypatch, wire, journal=Journal.open(tmp_path)))
    path = tmp_path / "journal" / "4242" / f"{KEY.address}.json"
    path.write_text(content)
    with pytest.raises(ChainError, match="restore the file"):
        deposit(connect(monkeypatch, wire, journal=Journal.open(tmp_path)))
    assert len(signed_deposits(wire)) == 1


@pytest.mark.parametrize("where", ["nonce", "raw", "most", "returned"])
def test_a_field_of_the_wrong_type_is_an_error(monkeypatch, tmp_path, where):
    wire = Wire(FakeChain())
    deposit(connect(monkeypatch, wire, journal=Journal.open(tmp_path)))
    path = tmp_path / "journal" / "4242" / f"{KEY.address}.json"
    document = json.loads(path.read_text())
    entry = document["deposits"][AGREEMENT]
    {
        "nonce": lambda: entry["sending"].update(nonce="7"),
        "raw": lambda: entry["sending"]["signed"][0].pop("raw"),
        "most": lambda: entry["sending"]["signed"][0]["offer"].update(most=-1),
        "returned": lambda: entry.pop("returned"),
    }[where]()
    path.write_text(json.dumps(document))
    with pytest.raises(ChainError, match="restore the file"):
        deposit(connect(monkeypatch, wire, journal=Journal.open(tmp_path)))


def test_two_processes_do_not_use_one_account_at_once(monkeypatch, tmp_path):
    chain = connect(monkeypatch, Wire(FakeChain()), journal=Journal.open(tmp_path), timeout=0.1)
    deposit(chain)
    with (
        FileLock(tmp_path / "journal" / "4242" / f"{KEY.address}.lock"),
        pytest.raises(ChainError, match="another process uses this account"),
    ):
        deposit(chain)


# --- which chain --------------------------------------------------------------------------------


def test_another_first_block_does_not_make_the_journal_forget(monkeypatch, tmp_path):
    deposit(connect(monkeypatch, Wire(FakeChain()), journal=Journal.open(tmp_path)))
    wire = Wire(FakeChain(salt="another"))
    wire.chain.nonces[KEY.address.lower()] = 1
    with pytest.raises(ChainError, match=r"shows another chain 4242 .*`state`"):
        deposit(connect(monkeypatch, wire, journal=Journal.open(tmp_path)))
    assert not signed_deposits(wire)


def test_a_development_chain_that_begins_anew_has_a_journal_of_its_own(monkeypatch, tmp_path):
    for salt in ("one", "two"):
        wire = Wire(FakeChain(chain_id=31337, salt=salt))
        assert deposit(connect(monkeypatch, wire, journal=Journal.open(tmp_path))).succeeded


def test_a_reorganization_sends_the_same_deposit_again(monkeypatch, tmp_path):
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire, journal=Journal.open(tmp_path))
    first = deposit(chain)
    fake = wire.chain
    fake.blocks[1] = fake.blocks[1] | {"hash": "0x" + "99" * 32, "transactions": []}
    fake.receipts.clear()
    fake.nonces.clear()
    second = again(chain)
    assert second.hash == first.hash
    assert len(signed_deposits(wire)) == 1


def test_what_waited_in_front_is_finished_first(monkeypatch, tmp_path):
    """A call of an earlier run holds the nonce before the deposit's."""
    wire = Wire(FakeChain(holds=True))
    chain = connect(monkeypatch, wire, journal=Journal.open(tmp_path))
    with pytest.raises(ChainError):
        chain.transact(KEY.address, to=CONTRACT, data=DATA, call=CALL)
    wire.chain.holds = False
    wire.chain.waiting.clear()  # and the node has forgotten it
    chain = connect(monkeypatch, wire, journal=Journal.open(tmp_path))
    assert again(chain).succeeded
    assert [transaction["value"] for transaction in wire.chain.transactions.values()] == [0, BOND]


def test_a_call_that_the_node_takes_no_more_does_not_block_the_account(monkeypatch, tmp_path):
    wire = Wire(FakeChain(holds=True))
    chain = connect(monkeypatch, wire, journal=Journal.open(tmp_path))
    with pytest.raises(ChainError):
        chain.transact(KEY.address, to=CONTRACT, data=DATA, call=CALL)
    wire.chain.holds = False
    wire.chain.waiting.clear()
    old = {params[0] for method, params in wire.asked if method == "eth_sendRawTransaction"}
    wire.rule = lambda method, params, forward: (
        Error(-32000, "invalid transaction")
        if method == "eth_sendRawTransaction" and params[0] in old
        else forward()
    )
    chain = connect(monkeypatch, wire, journal=Journal.open(tmp_path))
    assert again(chain).succeeded
