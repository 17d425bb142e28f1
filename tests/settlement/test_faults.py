"""A node that fails, forgets, lies or is not there; accounts without money; forged contracts."""

import dataclasses
import json
import signal
import threading
import time
from itertools import pairwise

import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save
from tests.settlement.nodes import (
    CHAIN_ID,
    HANGUP,
    Proxy,
    Raw,
    RpcError,
    Status,
    anvil,
    deployed_plainly,
    deployments,
    failing_every,
    free_port,
    honest,
    losing_answers_to,
    node,
    parties_on,
    proxy,
    settle_on,
    settlement_of,
    shared_node,
)

import tradefl
from tradefl.errors import InputError
from tradefl.settlement.accounts import Parties
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.audit import audit
from tradefl.settlement.chains import KeySigner, NodeSigner, RpcChain
from tradefl.settlement.contract import ChainError, topic
from tradefl.settlement.ethereum import checksum
from tradefl.settlement.session import established
from tradefl.settlement.settle import Settlement
from tradefl.settlement.stand_ins import stand_in_key

__all__ = ["node", "proxy", "shared_node"]


ZERO_VAULT = "0x" + 40 * "0"


def refused(*arguments):
    """Run the command; it must end with code 2, one error and no traceback."""
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, ""), ran
    assert "Traceback" not in ran.err
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, ran.err
    return errors[0]


def with_keys(node, url, path, **options):
    """Everybody by key instead of unlocked account."""
    from eth_account import Account

    keys = [KeySigner(Account.from_key(stand_in_key(i))) for i in range(3)]
    for key in keys:
        node.rpc("anvil_setBalance", key.address, hex(10**21))
    consortium = tradefl.load(path)
    addresses = [key.address for key in keys]
    agreement = Agreement.of(consortium, addresses, chain_id=CHAIN_ID)
    chain = RpcChain(url, keys, **options)
    return Parties(chain, agreement, keys[0].address, consortium, (), tuple(addresses))


def finish(parties):
    settlement = settlement_of(parties)
    settlement.run(operator=parties.operator)
    found = settlement.to_dict()
    assert found["phase"] == "settled"
    assert audit(parties.chain, settlement.contract).agrees
    return found


# --- a flaky way to the node --------------------------------------------------------------------

FLAKY = {
    "503": lambda: failing_every(5, Status(503)),
    "429": lambda: failing_every(5, Status(429)),
    "hangup": lambda: failing_every(5, HANGUP),
    "lost answers": lambda: failing_every(5, HANGUP, after_forward=True),
    "502 afterwards": lambda: failing_every(7, Status(502), after_forward=True),
    "every send lost": lambda: losing_answers_to({"eth_sendTransaction", "eth_sendRawTransaction"}),
}


QUICK = [("503", "keys"), ("lost answers", "unlocked"), ("every send lost", "keys"),
         ("every send lost", "unlocked")]  # fmt: skip
REST = [(kind, how) for kind in FLAKY for how in ("keys", "unlocked") if (kind, how) not in QUICK]


@pytest.mark.parametrize(
    ("kind", "signing"), [*QUICK, *(pytest.param(*entry, marks=pytest.mark.slow) for entry in REST)]
)
def test_a_flaky_node_is_survived(node, proxy, tmp_path, kind, signing):
    path = save(tmp_path, document())
    by_key = signing == "keys"
    parties = with_keys(node, proxy.url, path) if by_key else parties_on(proxy.url, path)
    parties.chain.patience = 20.0
    proxy.rule = FLAKY[kind]()
    found = finish(parties)
    assert len(found["transactions"]) == 17
    assert deployments(node) == 1


def test_a_timeout_is_survived(node, proxy, tmp_path):
    path = save(tmp_path, document())
    parties = parties_on(proxy.url, path)
    parties.chain.node.transport.timeout = 0.5
    count = 0

    def rule(method, params, forward):
        nonlocal count
        if method == "eth_sendTransaction":
            count += 1
            if count in (1, 6):
                forward()
                time.sleep(0.8)
                return HANGUP
        return forward()

    proxy.rule = rule
    finish(parties)
    assert deployments(node) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404])
def test_what_will_not_get_better_is_not_asked_again(node, proxy, tmp_path, code):
    asked = []

    def rule(method, _params, _forward):
        asked.append(method)
        return Status(code)

    proxy.rule = rule
    line = refused("settle", save(tmp_path, document()), "--rpc", proxy.url)
    assert str(code) in line
    assert len(asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"[]",
        b"null",
        b'{"jsonrpc":"2.0","id":1,"result":null}',
        b'{"jsonrpc":"2.0","id":1,"result":"abc"}',
        b'{"jsonrpc":"2.0","id":1,"result":{}}',
    ],
)
def test_what_is_no_node_is_refused(node, proxy, tmp_path, body):
    proxy.rule = lambda *_: Raw(body)
    assert proxy.url in refused("settle", save(tmp_path, document()), "--rpc", proxy.url)


def test_an_outage_ends_with_the_timeout(node, proxy, tmp_path):
    """No multiple of it, although a search for events could be split."""
    node.mine(1000)
    asked = 0

    def rule(method, _params, forward):
        nonlocal asked
        if method != "eth_getLogs":
            return forward()
        asked += 1
        return HANGUP

    proxy.rule = rule
    line = refused("settle", save(tmp_path, document()), "--rpc", proxy.url, "--timeout", 1)
    assert "no answer from the node" in line
    # With pauses of 0.05, 0.1, 0.2, 0.4 and 0.8 s between them. Each part of a search would add so
    # many, and 1,000 blocks have many parts.
    assert 1 <= asked <= 6


def test_a_node_that_limits_the_search_is_asked_in_parts(node, proxy, tmp_path):
    node.mine(100)

    def rule(method, params, forward):
        if method == "eth_getLogs":
            span = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16)
            if span > 20:
                return RpcError("query exceeds max block range 20", -32005)
        return forward()

    proxy.rule = rule
    assert settle_on(proxy.url, save(tmp_path, document()))["phase"] == "settled"


# --- the node stops -----------------------------------------------------------------------------


def test_a_node_that_is_not_there(tmp_path):
    url = f"http://127.0.0.1:{free_port()}"
    line = refused("settle", save(tmp_path, document()), "--rpc", url)
    assert line == f"error: {url}: no answer from the node: connection refused; is it running?"
    line = refused("audit", "--rpc", url, "--contract", "0x" + "11" * 20)
    assert line == f"error: {url}: no answer from the node: connection refused; is it running?"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # web3's socket
def test_a_socket_that_is_not_there(tmp_path):
    line = refused("settle", save(tmp_path, document()), "--rpc", tmp_path / "anvil.ipc")
    assert line.endswith("no such socket; is it running?")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_node_is_stopped_and_started_again(tmp_path, how):
    path = save(tmp_path, document())
    state = tmp_path / "state.json"
    with anvil("--state", state, "--state-interval", 1) as node:
        steps = 0

        def restart():
            time.sleep(0.4)
            node.start()

        def watch(_):
            nonlocal steps
            steps += 1
            if steps == 6:
                time.sleep(1.5)  # the state is saved once a second
                node.stop(how)
                threading.Thread(target=restart).start()

        found = settle_on(node.url, path, watch)
        assert found["phase"] == "settled"
        assert deployments(node) == 1
        assert steps >= 16


def test_a_node_that_has_lost_the_contract(node, tmp_path):
    path = save(tmp_path, document())
    parties = parties_on(node.url, path)
    settlement = settlement_of(parties)
    node.reorg(1)
    with pytest.raises(InputError, match="no contract"):
        settlement.run(operator=parties.operator)


# --- reorganizations ----------------------------------------------------------------------------


@pytest.mark.parametrize("step", [3, 6, 12, 15])
def test_a_reorganization_in_the_middle(node, tmp_path, step):
    path = save(tmp_path, document())
    steps, undone = 0, False

    def watch(_):
        nonlocal steps, undone
        steps += 1
        if steps == step and not undone:
            undone = True
            node.reorg(2)

    found = settle_on(node.url, path, watch)
    assert undone
    assert found["phase"] == "settled"
    assert deployments(node) == 1
    # (1 + the two that were undone; anvil may put them into its new blocks again)
    assert steps >= 16
    assert audit(RpcChain(node.url), found["contract"]).agrees


def test_a_reorganization_after_the_end(node, tmp_path):
    path = save(tmp_path, document())
    first = settle_on(node.url, path)
    node.reorg(4)
    again = settle_on(node.url, path)
    assert again["organizations"] == first["organizations"]
    assert (again["phase"], deployments(node)) == ("settled", 1)


def test_confirmations_wait_for_blocks_and_survive_a_reorganization(tmp_path):
    path = save(tmp_path, document())
    undone = False
    with anvil() as node:
        stop = threading.Event()

        def miner():
            while not stop.is_set():
                node.rpc("evm_mine")
                stop.wait(0.1)

        thread = threading.Thread(target=miner)
        thread.start()
        try:
            parties = parties_on(node.url, path, confirmations=2)
            inner = parties.chain._confirmed
            calls = 0

            def confirmed(receipt):
                nonlocal undone, calls
                calls += 1
                if calls == 5 and not undone:
                    undone = True
                    node.reorg(node.height - receipt.block + 1)
                found = inner(receipt)
                assert node.height >= found.block + 2
                return found

            parties.chain._confirmed = confirmed
            found = finish(parties)
        finally:
            stop.set()
            thread.join()
        assert undone
        assert found["phase"] == "settled"
        assert deployments(node) == 1


def test_a_receipt_that_is_gone_for_a_moment_is_asked_for_again(node, proxy, tmp_path):
    """As behind a load balancer: its block is still there, so no reorganization dropped it."""
    seen = {}

    def rule(method, params, forward):
        answer = forward()
        if method == "eth_getTransactionReceipt" and answer is not None:
            seen[params[0]] = seen.get(params[0], 0) + 1
            if seen[params[0]] == 2 and len(seen) in (4, 7):
                return None
        return answer

    proxy.rule = rule
    done = []
    parties = parties_on(proxy.url, save(tmp_path, document()))
    settlement = settlement_of(parties)
    settlement.run(operator=parties.operator, watch=lambda entry: done.append(entry.receipt))
    proxy.rule = honest
    assert (settlement.to_dict()["phase"], deployments(node)) == ("settled", 1)
    assert len(done) == 16
    assert None not in done


def test_confirmations_that_do_not_come(node, tmp_path):
    line = refused(
        "settle", save(tmp_path, document()), "--rpc", node.url, "--confirmations", 2,
        "--timeout", 0.5,
    )  # fmt: skip
    assert "no 2 blocks on top of 0x" in line
    assert "--confirmations" in line


# --- no loop that spends money ------------------------------------------------------------------


def bounded(proxy, most):
    """Refuse deployments beyond so many; return how many there were."""
    count = [0]

    def rule(method, params, forward):
        if method == "eth_sendTransaction" and not params[0].get("to"):
            count[0] += 1
            if count[0] > most:
                return RpcError("enough")
        return forward()

    proxy.rule = rule
    return count


def test_a_search_that_begins_after_the_head_deploys_once(node, proxy, tmp_path):
    count = bounded(proxy, 3)
    run("settle", save(tmp_path, document()), "--rpc", proxy.url, "--from-block", 99999)
    assert count[0] <= 1


def test_a_node_that_forgets_transactions_gets_one_deployment(node, proxy, tmp_path):
    """As geth does with --history.transactions, or a node behind the one that was asked first."""
    count = bounded(proxy, 3)
    inner = proxy.rule
    proxy.rule = lambda method, params, forward: (
        None if method == "eth_getTransactionByHash" else inner(method, params, forward)
    )
    run("settle", save(tmp_path, document()), "--rpc", proxy.url)
    assert count[0] <= 1


# --- money and fees -----------------------------------------------------------------------------


def test_no_funds_for_the_deployment(node, tmp_path):
    account = checksum(node.accounts[0])
    node.rpc("anvil_setBalance", account, "0x0")
    line = refused("settle", save(tmp_path, document()), "--rpc", node.url)
    assert line.startswith(f"error: {account}: funding needs up to ")
    assert line.endswith("the account has 0")


def test_no_funds_for_the_bond(node, tmp_path):
    path = save(tmp_path, document())
    account = checksum(node.accounts[1])
    node.rpc("anvil_setBalance", account, hex(10**15))
    bond = parties_on(node.url, path).agreement.bonds[1]
    line = refused("settle", path, "--rpc", node.url)
    assert line.startswith(f"error: {account}: depositSubmit needs up to ")
    assert f"({bond:,} and the fee), the account has 1,000,000,000,000,000" in line
    node.rpc("anvil_setBalance", account, hex(10**20))
    assert settle_on(node.url, path)["phase"] == "settled"


def test_a_stuck_transaction_gets_a_higher_fee(node, tmp_path):
    path = save(tmp_path, document())
    parties = with_keys(node, node.url, path, bump_after=0.3, timeout=30.0)
    node.rpc("evm_setAutomine", False)
    fees = []
    inner = parties.chain._broadcast

    def broadcast(sender, sending, book):
        offered = sending.signed[-1].offer
        fees.append((sending.nonce, offered.most, offered.priority))
        if len(fees) == 3:
            node.rpc("evm_setAutomine", True)
            inner(sender, sending, book)
            node.rpc("evm_mine")
        else:
            inner(sender, sending, book)

    parties.chain._broadcast = broadcast
    try:
        deployed_plainly(parties.chain, parties.agreement, parties.operator)
    finally:
        node.rpc("evm_setAutomine", True)
    assert len({nonce for nonce, *_ in fees}) == 1
    assert len(fees) >= 3
    for (_, low, low_tip), (_, high, high_tip) in pairwise(fees):
        assert high > 1.1 * low
        assert high_tip > 1.1 * low_tip
    assert deployments(node) == 1


def test_a_transaction_that_no_block_takes(node, tmp_path):
    path = save(tmp_path, document())
    node.rpc("evm_setAutomine", False)
    try:
        line = refused("settle", path, "--rpc", node.url, "--timeout", 0.5)
        assert "no block took the transaction 0x" in line
        assert "run the command again" in line
        line = refused("settle", path, "--rpc", node.url, "--timeout", 0.5)
        assert "has transactions that no block takes" in line
    finally:
        node.rpc("evm_mine")
        node.rpc("evm_setAutomine", True)
    assert settle_on(node.url, path)["phase"] == "settled"
    assert deployments(node) == 1


# --- time ---------------------------------------------------------------------------------------


def test_a_deadline_passes_on_a_chain_without_new_blocks(node, tmp_path):
    """anvil, or a geth with period 0, makes a block when there is a transaction, and not before."""
    path = save(tmp_path, document({"settlement": {"report_seconds": 6}}))
    profile = tmp_path / "profile.json"
    rows = [{"name": name, "data_fraction": 0.5, "cpu_hz": 1e9} for name in ("Alpha", "Beta")]
    rows.append({"name": "Gamma", "data_fraction": 0, "cpu_hz": 1e9})
    profile.write_text(json.dumps({"organizations": rows}))
    assert run("settle", path, "--rpc", node.url, "--profile", profile).code == 1
    time.sleep(7.5)
    assert run("settle", path, "--rpc", node.url, "--profile", profile).code == 0


# --- the wrong place ----------------------------------------------------------------------------


def test_the_wrong_chain(node, tmp_path):
    line = refused("settle", save(tmp_path, document()), "--rpc", node.url, "--chain-id", 1)
    assert line == f"error: {node.url}: is chain 31337, expected 1"
    assert node.height == 0


def test_too_few_unlocked_accounts(tmp_path):
    with anvil("--accounts", 2) as node:
        line = refused("settle", save(tmp_path, document()), "--rpc", node.url)
        assert "consortium.toml: Gamma: has no address" in line
        assert "an unlocked account" in line
        assert node.height == 0


@pytest.mark.parametrize(
    "url",
    ["ws://user:geheim@127.0.0.1:1", "ftp://user:geheim@127.0.0.1", "http://user:geheim@127.0.0.1:1",
     "http://user:ge@heim@127.0.0.1:1"],
)  # fmt: skip
def test_a_password_in_the_url_is_never_shown(tmp_path, url):
    for arguments in (
        ["settle", save(tmp_path, document())],
        ["audit", "--contract", "0x" + "11" * 20],
    ):
        line = refused(*arguments, "--rpc", url)
        assert "geheim" not in line
        assert "heim" not in line


def test_a_password_in_a_url_that_works_is_not_shown_either(node, proxy, tmp_path):
    url = proxy.url.replace("//", "//user:geheim@")
    path = save(tmp_path, document())
    ran = run("settle", path, "--rpc", url)
    assert ran.code == 0
    assert "geheim" not in ran.out + ran.err
    assert f"settlement on {proxy.url}\n" in ran.out
    for answer in (Status(401), RpcError(f"no entry to {url}"), HANGUP):
        proxy.rule = lambda *_, answer=answer: answer
        assert "geheim" not in refused("settle", path, "--rpc", url, "--timeout", 0.2)


# --- the wrong contract -------------------------------------------------------------------------


def push(data):
    return bytes([0x5F + len(data)]) + data


def returning(runtime):
    """Creation code that leaves these bytes as the code."""
    size = len(runtime).to_bytes(2, "big")
    # codecopy(0, 14, size); return(0, size)
    head = b"\x61" + size + b"\x80\x60\x0d\x60\x00\x39\x60\x00\xf3\x00"
    return head + runtime


def emitting(topics, data=b""):
    """Creation code that emits a log, with data, and leaves one byte of code."""
    code = b""
    for k in range(0, len(data), 32):
        code += push(data[k : k + 32].ljust(32, b"\0")) + push(k.to_bytes(2, "big")) + b"\x52"
    for entry in reversed(topics):
        code += push(entry)
    code += push(len(data).to_bytes(2, "big")) + push(b"\0") + bytes([0xA0 + len(topics)])
    return code + push(b"\x01") + push(b"\0") + b"\xf3"


def create(node, code):
    sender = node.accounts[9]
    body = {"from": sender, "data": "0x" + code.hex(), "gas": hex(8_000_000)}
    receipt = node.receipt(node.rpc("eth_sendTransaction", body))
    assert receipt["status"] == "0x1"
    return checksum(receipt["contractAddress"])


def test_no_contract_at_the_address(node, tmp_path):
    address = "0x" + "11" * 20
    for arguments in (["settle", save(tmp_path, document())], ["audit"]):
        line = refused(*arguments, "--rpc", node.url, "--contract", address)
        assert line == f"error: {address}: there is no contract at this address on {node.url}"


def forgeries(node, path):
    agreement = parties_on(node.url, path).agreement
    ours = bytes.fromhex(agreement.hash[2:])
    chain = RpcChain(node.url, [NodeSigner(checksum(node.accounts[9]))])
    real = established(chain, agreement, checksum(node.accounts[9]))
    event = node.logs("0x" + topic("AgreementDrafted").hex())[-1]
    data = bytes.fromhex(event["data"][2:])
    runtime = chain.code(real)
    return {
        "another contract": returning(b"\x00" * 40),
        "an event with our hash": emitting([topic("AgreementDrafted"), ours], data),
        "our code, created otherwise": returning(runtime)[:13] + runtime,
    }


@pytest.mark.parametrize(
    "kind", ["another contract", "an event with our hash", "our code, created otherwise"]
)
def test_a_forged_contract_is_refused_and_not_found(node, tmp_path, kind):
    path = save(tmp_path, document())
    snapshot = node.rpc("evm_snapshot")
    code = forgeries(node, path)[kind]
    assert node.rpc("evm_revert", snapshot)
    forged = create(node, code)
    for arguments in (["settle", path], ["audit", path], ["audit"]):
        line = refused(*arguments, "--rpc", node.url, "--contract", forged)
        otherwise = kind == "our code, created otherwise"
        what = "has our code, but " if otherwise else "is not a TradeFL settlement"
        assert line.startswith(f"error: {forged}: {what}")
    found = settle_on(node.url, path)
    assert found["contract"] != forged
    assert found["phase"] == "settled"


def test_an_event_with_our_hash_and_broken_data_stops_nobody(node, tmp_path):
    path = save(tmp_path, document())
    ours = bytes.fromhex(parties_on(node.url, path).agreement.hash[2:])
    create(node, emitting([topic("AgreementDrafted"), ours]))
    assert settle_on(node.url, path)["phase"] == "settled"


def test_the_contract_of_another_agreement(node, tmp_path):
    path = save(tmp_path, document())
    agreement = parties_on(node.url, path).agreement
    other = dataclasses.replace(agreement, wei_per_payoff=agreement.wei_per_payoff + 1)
    chain = RpcChain(node.url, [NodeSigner(checksum(node.accounts[9]))])
    contract = established(chain, other, checksum(node.accounts[9]))
    assert chain.code(contract)  # our code, other arguments
    line = refused("settle", path, "--rpc", node.url, "--contract", contract)
    assert line.startswith(f"error: {contract}: is not the settlement of the agreement ")
    assert agreement.hash in line
    assert settle_on(node.url, path)["contract"] != contract


BROKEN_ANNEX = [
    b"hello",
    b"[]",
    b"\xff",
    b'{"organizations":["a"]}',
    b'{"organizations":["Alpha","Beta","Gamma"]}',
]


@pytest.mark.parametrize("annex", BROKEN_ANNEX, ids=repr)
def test_whoever_deploys_writes_the_annex(node, tmp_path, annex):
    """Its hash fits, its content is no annex: that is a finding, not a crash."""
    path = save(tmp_path, document())
    agreement = dataclasses.replace(parties_on(node.url, path).agreement, annex=annex)
    sender = checksum(node.accounts[9])
    chain = RpcChain(node.url, [NodeSigner(sender)])
    contract = deployed_plainly(chain, agreement, sender, vault=ZERO_VAULT)
    settlement = Settlement(chain, agreement, contract, {})
    settlement.call(sender, "annexPublish", annex)
    settlement.call(sender, "organizationsPublish", 0, agreement.organization_blocks[0])
    settlement.call(sender, "pairsPublish", 0, agreement.pair_blocks[0])
    for arguments in (["audit"], ["audit", path], ["settle", path]):
        assert run(*arguments, "--rpc", node.url, "--contract", contract).code in (1, 2)


def test_reading_needs_no_account(node, tmp_path):
    """And what was read says who it is."""
    found = settle_on(node.url, save(tmp_path, document()))
    proxy = Proxy(node)
    try:
        assert audit(RpcChain(proxy.url), found["contract"]).agrees
        assert not {entry for entry in proxy.asked if "send" in entry.lower()}
    finally:
        proxy.close()
    with pytest.raises(ChainError):
        RpcChain(f"http://127.0.0.1:{free_port()}")
