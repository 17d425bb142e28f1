"""Every method that the client uses, against every fault that a node can answer with."""

import dataclasses
import json
import re
import time
from types import MappingProxyType

import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save
from tests.settlement.chains.fake import (
    CALL,
    CONTRACT,
    DATA,
    KEY,
    OTHER,
    Cut,
    Error,
    FakeChain,
    Http,
    Wire,
    connect,
)

from tradefl.errors import InputError
from tradefl.settlement.chains import NodeSigner, StateChangedError
from tradefl.settlement.chains.answers import Verdict, cut, judge_error
from tradefl.settlement.chains.nodes import Address, Node
from tradefl.settlement.contract import ChainError

METHODS = [
    "eth_chainId",
    "eth_blockNumber",
    "eth_getBlockByNumber",
    "eth_getBlockByHash",
    "eth_getBalance",
    "eth_getCode",
    "eth_call",
    "eth_getLogs",
    "eth_getTransactionCount",
    "eth_getTransactionByHash",
    "eth_getTransactionReceipt",
    "eth_estimateGas",
    "eth_maxPriorityFeePerGas",
    "eth_gasPrice",
    "eth_accounts",
    "eth_sendRawTransaction",
    "eth_sendTransaction",
]

WHOLE = json.dumps({"jsonrpc": "2.0", "id": 1, "result": "0x1"}).encode()
FAULTS = {
    "null": lambda _: None,
    "number": lambda _: 5,
    "text": lambda _: "abc",
    "object": lambda _: {},
    "list": lambda _: [{}],
    "odd digits": lambda _: "0xzz",
    **{
        f"error {status}": lambda _, status=status: Error(-32000, "boom", status)
        for status in (200, 400, 413, 429, 503)
    },
    **{
        f"page {status}": lambda _, status=status: Http(status, b"<html>")
        for status in (400, 413, 429, 502, 503)
    },
    "truncated": lambda _: Http(200, WHOLE[:-4]),
    "empty": lambda _: Http(200, b""),
    "deep": lambda _: Http(200, b'{"result":' + b"[" * 100_000),
    "long number": lambda _: Http(200, b'{"result":' + b"9" * 100_000 + b"}"),
    "cut before": lambda _: Cut(),
    "cut after": lambda ask: (ask(), Cut())[1],
    "rate": lambda _: Error(-32007, "request limit reached"),
    "rate of logs": lambda _: Error(-32005, "request rate limited"),
    "behind": lambda _: Error(-32000, "header not found"),
    "unknown method": lambda _: Error(-32601, "the method does not exist"),
    "garbled revert": lambda _: Error(3, "execution reverted\x1b[2J", data="0x08c379a0ff"),
    "long revert": lambda _: Error(3, "reverted", data="0x08c379a0" + "20" * 100_000),
    "not an object": lambda _: Http(200, b'{"jsonrpc":"2.0","error":"no"}'),
}  # fmt: skip
# What is not asked again: a request that is too large stays too large.
LAST_WORDS = {
    "error 413", "page 400", "page 413", "unknown method", "garbled revert", "long revert"
}  # fmt: skip


def tour(chain):
    """Use every method; whoever is told to read again does so."""
    seen = {}

    def step(name, action):
        for _ in range(30):
            try:
                seen[name] = action()
            except StateChangedError:
                continue
            return
        raise ChainError(name, "was overtaken again and again")

    chain.signers[OTHER.address] = NodeSigner(OTHER.address)
    step("unlocked", chain.unlocked)
    with chain.pinned():
        step("balance", lambda: chain.balance(KEY.address))
        step("code", lambda: chain.code(CONTRACT))
        step("view", lambda: chain.read(CONTRACT, "phase"))
    first = chain.header("latest").hash
    step("time", lambda: chain.block_time(first))
    for who in (KEY, OTHER):
        step(f"by {who.address}", lambda who=who: chain.transact(
            who.address, to=CONTRACT, data=DATA, call=CALL).succeeded)  # fmt: skip
    paid = {"to": CONTRACT, "data": DATA, "value": 7, "call": "deposit", "agreement": "0xaa"}
    step("deposit", lambda: chain.deposit(KEY.address, **paid).succeeded)
    step("events", lambda: len(chain.events(CONTRACT)))
    return seen


def ended(monkeypatch, wire):
    """Return what a tour found, or the error that it ended with."""
    try:
        return tour(connect(monkeypatch, wire)), None
    except ChainError as error:
        return {}, error


def deposits(fake):
    return sum(transaction["value"] == 7 for transaction in fake.transactions.values())


HONEST = {
    "unlocked": [OTHER.address],
    "balance": 10**20,
    "code": b"\x01",
    "view": 4,
    "time": 1_700_000_000,
    f"by {KEY.address}": True,
    f"by {OTHER.address}": True,
    "deposit": True,
    "events": 3,
}


def test_an_honest_node_is_asked_for_everything(monkeypatch):
    wire = Wire(FakeChain())
    assert tour(connect(monkeypatch, wire)) == HONEST
    assert deposits(wire.chain) == 1
    legacy = Wire(FakeChain(base_fee=None))
    assert tour(connect(monkeypatch, legacy)) == HONEST
    asked = {entry for entry, _ in wire.asked + legacy.asked}
    assert asked == set(METHODS) - {"eth_getTransactionByHash"}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", METHODS)
def test_a_fault_that_ends_is_survived(monkeypatch, method, fault):
    """The first two answers are faulty; everything ends as with an honest node."""
    wire = Wire(FakeChain(base_fee=None if method == "eth_gasPrice" else 10**9))
    left = 2

    def rule(asked, params, forward):
        nonlocal left
        if asked == method and left:
            left -= 1
            return FAULTS[fault](forward)
        return forward()

    wire.rule = rule
    found, error = ended(monkeypatch, wire)
    if error is not None:
        assert fault in LAST_WORDS, error
        assert len(error.lines()) == 1
    else:
        found.pop("unlocked")
        if (method, fault) == ("eth_sendTransaction", "cut after"):
            # The hash is lost with the answer. Who reads the state again finds it done.
            assert found.pop("events") == 4
        assert found.items() <= HONEST.items()
        assert len(found) >= 7
    assert deposits(wire.chain) <= 1


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", METHODS)
def test_a_fault_that_does_not_end_is_one_error(monkeypatch, method, fault):
    wire = Wire(FakeChain())
    wire.rule = lambda asked, _params, forward: (
        FAULTS[fault](forward) if asked == method else forward()
    )
    found, error = ended(monkeypatch, wire)
    if error is not None:
        assert len(error.lines()) == 1
        assert len(str(error)) < 600
        assert str(error).isprintable()
    else:  # it can do without
        found.pop("unlocked")
        found.pop("time")
        assert found.items() <= HONEST.items()
    assert deposits(wire.chain) <= 1
    assert (
        sum(transaction["from"] == KEY.address for transaction in wire.chain.transactions.values())
        <= 2
    )


def test_a_page_of_an_old_receipt_is_asked_for(monkeypatch):
    """What was sent is looked up by hash; a reorganization leaves nothing."""
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire)
    receipt = chain.transact(KEY.address, to=CONTRACT, data=DATA, call=CALL)
    assert chain.sent(receipt.hash) == (KEY.address, DATA)
    assert chain.receipt(receipt.hash) == receipt
    assert chain.sent("0x" + "11" * 32) == ("", b"")


# --- less ---------------------------------------------------------------------------------------

TOO_MANY = [
    Error(-32600, "block range of eth_getLogs is limited to 10", 400),
    Error(-32005, "query returned more than 10000 results"),
    Error(-32602 + 0, "eth_getLogs is limited to a 10,000 range", 200),
    Error(-32000, "query exceeds max block range 100"),
    Error(-32614, "eth_getLogs is limited to 10 blocks", 413),
    Error(-32000, "boom", 503),
    Http(413, b"<html>"),
    Http(400, b""),
    Http(504, b"gateway timeout"),
]


@pytest.mark.parametrize("answer", TOO_MANY[:2] + TOO_MANY[3:], ids=repr)
def test_a_search_is_halved_whatever_the_status(monkeypatch, answer):
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire)
    for _ in range(5):
        chain.transact(KEY.address, to=CONTRACT, data=DATA, call=CALL)
        for _ in range(40):
            wire.chain.mine([])

    def rule(method, params, forward):
        if method == "eth_getLogs":
            span = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16)
            if span > 10:
                return answer
        return forward()

    wire.rule = rule
    assert len(chain.events(CONTRACT)) == 5
    before = wire.times("eth_getLogs")
    assert len(chain.events(CONTRACT)) == 5
    assert wire.times("eth_getLogs") - before <= 1 + 206 // 6  # the size is remembered


def test_a_rate_limit_of_logs_is_waited_for_and_nothing_is_halved(monkeypatch):
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire)
    for _ in range(64):
        wire.chain.mine([])
    wire.rule = lambda method, _params, forward: (
        Error(-32005, "request rate limited")
        if method == "eth_getLogs" and wire.times(method) % 2
        else forward()
    )
    assert chain.events(CONTRACT) == []
    assert wire.times("eth_getLogs") == 2


def test_one_block_that_cannot_be_searched_is_an_error(monkeypatch):
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire)
    wire.rule = lambda method, _params, forward: (
        Error(-32000, "boom") if method == "eth_getLogs" else forward()
    )
    with pytest.raises(ChainError, match="refuses: boom"):
        chain.events(CONTRACT)


# --- old nodes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        Error(-32602, "too many arguments, want at most 1"),
        Error(-32000, "pending state is not available"),
        Error(-32602, "invalid argument 1"),
    ],
    ids=repr,
)
def test_a_node_that_estimates_with_one_argument(monkeypatch, said):
    wire = Wire(FakeChain())
    wire.rule = lambda method, params, forward: (
        said if method == "eth_estimateGas" and len(params) == 2 else forward()
    )
    chain = connect(monkeypatch, wire)
    for _ in range(2):
        assert chain.transact(KEY.address, to=CONTRACT, data=DATA, call=CALL).succeeded
    assert [len(params) for entry, params in wire.asked if entry == "eth_estimateGas"] == [2, 1, 1]


def test_a_call_that_an_old_node_only_calls_failing_says_why(monkeypatch):
    """geth 1.9.7 estimates without a reason, and answers a revert as if the call had returned."""
    from tradefl.settlement.contract import RevertedError, _entries, _selector

    wire = Wire(FakeChain(answers_view=_selector(_entries("error")["AlreadyPublished"])))
    said = "gas required exceeds allowance (8000000) or always failing transaction"
    wire.rule = lambda method, _params, forward: (
        Error(-32000, said) if method == "eth_estimateGas" else forward()
    )
    chain = connect(monkeypatch, wire)
    with pytest.raises(RevertedError) as caught:
        chain.transact(KEY.address, to=CONTRACT, data=DATA, call=CALL)
    assert caught.value.name == "AlreadyPublished"


def test_a_view_of_another_contract_is_one_error(monkeypatch):
    wire = Wire(FakeChain(answers_view=b"\xff" * 31))
    chain = connect(monkeypatch, wire)
    with pytest.raises(ChainError, match="cannot return"):
        chain.read(CONTRACT, "phase")


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 32, b"\x7f" + b"\xff" * 63, b"\x00" * 31 + b"\x20"]
)
def test_an_event_with_broken_data_is_dropped(monkeypatch, data):
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire)
    chain.transact(KEY.address, to=CONTRACT, data=DATA, call=CALL)
    chain._own.clear()

    def rule(method, _params, forward):
        if method == "eth_getLogs":
            return [entry | {"data": "0x" + data.hex()} for entry in forward()]
        return forward()

    wire.rule = rule
    assert chain.events(CONTRACT) == []


@pytest.mark.parametrize("seconds", [1_700_000_000_000_000_000, 1 << 40])
def test_a_chain_that_counts_nanoseconds_is_named(monkeypatch, seconds):
    wire = Wire(FakeChain())
    chain = connect(monkeypatch, wire)
    wire.chain.blocks[-1]["timestamp"] = hex(seconds)
    with pytest.raises(ChainError, match="nanoseconds"):
        chain.now()


# --- limits and texts ---------------------------------------------------------------------------


def test_an_error_text_of_any_size_costs_no_time():
    hostile = "/" * 2_000_000 + "\x1b[31m" + "@" * 2_000_000
    started = time.process_time()
    for method in METHODS:
        judged = judge_error(method, {"code": -32000, "message": hostile, "data": hostile})
        assert len(judged.text) <= 300
    assert time.process_time() - started < 5.0
    assert cut("a\x1b[2J\u202eb\n c") == "a\\u001b[2J\\u202eb c"


def test_an_endless_answer_is_not_read_to_its_end(monkeypatch):
    from tradefl.settlement.chains import nodes

    monkeypatch.setattr(nodes, "ANSWER_BYTES", 1 << 16)

    class Response:
        status_code = 200
        headers = MappingProxyType({})

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def iter_content(self, size):
            while True:
                yield b" " * size

    node = Node("http://127.0.0.1:1")
    monkeypatch.setattr(node.transport.session, "post", lambda *_, **__: Response())
    with pytest.raises(ChainError, match="an answer of more than"):
        node.ask("eth_chainId", parse=int)


# --- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("HTTP://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("localhost:8545", "http://localhost:8545"),
        ("node.example:8545/rpc", "http://node.example:8545/..."),
        ("[::1]:8545", "http://[::1]:8545"),
        ("https://user:secret@node.example/v3/0123456789abcdef", "https://node.example/..."),
        ("https://node.example?apikey=0123456789", "https://node.example/..."),
        ("/var/run/geth.ipc", "/var/run/geth.ipc"),
        ("data/geth.ipc", "data/geth.ipc"),
    ],
)
def test_an_address_shows_where_it_is_and_no_secret(text, shown):
    address = Address.parse(text)
    assert address.shown == shown
    assert "secret" not in repr(address)
    assert "0123456789" not in repr(address)


SECRETIVE = "https://user:s3cr3tpass@127.0.0.1:1/v3/0123456789abcdef"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ws://127.0.0.1:1", "--rpc: expected http"),
        (SECRETIVE, "https://127.0.0.1:1/...: no answer from the node: connection refused"),
    ],
)
def test_the_command_line_names_its_flag_and_hides_secrets(tmp_path, url, said):
    ran = run("settle", save(tmp_path, document()), "--rpc", url)
    assert ran.code == 2
    assert ran.err.splitlines()[-1].startswith(f"error: {said}")
    assert not re.search("s3cr3t|0123456789", ran.err + ran.out)


@pytest.mark.parametrize("text", ["", "ws://127.0.0.1:8545", "http://", "http://[::1", "ftp://a:1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ChainError, match="expected http"):
        Address.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "https:/node.example/v3/K3Y", "node.example/v3/K3Y", "localhost:8545?key=K3Y",
        "//node.example/K3Y", "http:127.0.0.1:8545/K3Y", "K3Y@node.example:8545",
        "/v3?key=K3Y", 300 * "K3Y",
    ],
)  # fmt: skip
def test_a_misspelt_address_is_no_socket_and_is_not_shown(text):
    with pytest.raises(ChainError, match=r"expected http.*, got a text that is") as refused:
        Address.parse(text)
    assert "K3Y" not in str(refused.value)


def test_an_address_may_be_in_a_file(tmp_path):
    file = tmp_path / "rpc"
    file.write_text("https://node.example/v3/0123456789abcdef\n")
    address = Address.parse(f"@{file}")
    assert address.url == "https://node.example/v3/0123456789abcdef"
    assert address.shown == "https://node.example/..."
    with pytest.raises(InputError, match="no such file"):
        Address.parse(f"@{tmp_path / 'missing'}")


def test_what_a_node_repeats_of_its_address_is_hidden(monkeypatch):
    node = Node("https://user:s3cr3tpass@127.0.0.1:1/v3/0123456789abcdef?key=other-secret")
    said = "project 0123456789abcdef (key=other-secret) of user s3cr3tpass has no credits"
    wire = Wire(FakeChain())
    wire.rule = lambda *_: Error(-32601, said)
    node.transport = wire
    with pytest.raises(ChainError) as caught:
        node.ask("eth_chainId", parse=int)
    assert not re.search("0123456789|s3cr3t|other-secret", str(caught.value))


def test_this_machine_is_reached_without_the_proxy_of_the_environment(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://user:pass@proxy.example:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for text in ("http://127.0.0.1:1", "localhost:1", "http://[::1]:1", "http://127.1.2.3:1"):
        transport = Node(text).transport
        assert not transport.session.trust_env
        assert transport.proxy == ""
    transport = Node("http://node.example:1").transport
    assert transport.session.trust_env
    assert transport.proxy == "http://proxy.example:3128"
    assert "through the HTTP proxy http://proxy.example:3128" in transport._through()


def test_verdicts_of_known_providers():
    """Words as nodes and providers say them; each costs a settlement if it is misread."""
    rate = "Your app has exceeded its compute units per second capacity"
    daily = "daily request count exceeded, request rate limited"
    size = "Log response size exceeded. up to a 2K block range"
    funds = "insufficient funds for gas * price + value"
    indexing = "transaction indexing is in progress"
    cases = [
        ("eth_call", Error(-32000, "header not found"), Verdict.RETRY),
        ("eth_call", Error(-32001, "block not found with hash"), Verdict.RETRY),
        ("eth_call", Error(3, "execution reverted: no", data="0x08c379a0"), Verdict.FINAL),
        ("eth_call", Error(-32015, "VM execution error.", data="Reverted 0x"), Verdict.FINAL),
        ("eth_getTransactionReceipt", Error(-32000, indexing), Verdict.RETRY),
        ("eth_getLogs", Error(-32005, daily), Verdict.RETRY),
        ("eth_getLogs", Error(-32602, size), Verdict.LESS),
        ("eth_getLogs", Error(-32601, "the method does not exist"), Verdict.FINAL),
        ("eth_blockNumber", Error(429, rate), Verdict.RETRY),
        ("eth_sendRawTransaction", Error(-32000, "nonce too low"), Verdict.FINAL),
        ("eth_sendRawTransaction", Error(-32000, funds), Verdict.FINAL),
        ("eth_gasPrice", Error(-32601, "Method not found"), Verdict.FINAL),
    ]  # fmt: skip
    for method, error, expected in cases:
        document = dataclasses.asdict(error)
        assert judge_error(method, document).verdict is expected, (method, error)
