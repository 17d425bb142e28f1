"""``tradefl audit``: what it prints, and what it refuses."""

import contextlib
import json

import pytest
from tests.cli.command import run
from tests.consortium.documents import NAMES, document, save
from tests.settlement.nodes import Proxy, anvil, node, settle_on, shared_node

__all__ = ["node", "shared_node"]
ADDRESS = "0x" + "11" * 20


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "error: --rpc: is needed"),
        (["--contract", ADDRESS], "error: --rpc: is needed"),
        (["--rpc", "http://127.0.0.1:1"], "error: --contract: is needed"),
        (["--rpc", "http://127.0.0.1:1", "--contract", "0x12"], "expected 0x and 40 hexadecimal"),
        (["--rpc", "http://127.0.0.1:1", "--contract", ADDRESS, "--from-block", "-1"], "-1"),
    ],
)
def test_what_is_refused(arguments, what):
    ran = run("audit", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert what in ran.words


def test_a_file_alone_is_a_rehearsal_on_the_embedded_chain(tmp_path):
    path = save(tmp_path, document())
    ran = run("audit", path)
    assert ran.code == 0
    assert "everything agrees to the wei" in ran.out
    settled = run("settle", path, "--json").json
    for organization in settled["organizations"]:
        assert f"{int(organization['redistribution_wei']):,}" in ran.out
    for option in (["--negotiation"], ["--from-block", "3"]):
        refused = run("audit", path, *option)
        assert (refused.code, refused.out) == (2, "")
        assert f"error: {option[0]}: needs --rpc" in refused.err


def test_a_file_that_does_not_load(tmp_path):
    ran = run("audit", tmp_path / "no.toml", "--rpc", "http://127.0.0.1:1", "--contract", ADDRESS)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {tmp_path / 'no.toml'}: " in ran.err


def test_yes_and_no(node, tmp_path):
    path = save(tmp_path, document())
    settled = settle_on(node.url, path)
    where = ["--rpc", node.url, "--contract", settled["contract"]]
    yes = run("audit", path, *where)
    assert yes.code == 0
    for name, organization in zip(NAMES, settled["organizations"], strict=True):
        line = next(line for line in yes.out.splitlines() if line.lstrip().startswith(name))
        assert f"{int(organization['redistribution_wei']):,}" in line
    assert "everything agrees to the wei" in yes.out
    changed = save(tmp_path, document({"mechanism.incentive_intensity": 5.13e-9}))
    no = run("audit", changed, *where)
    assert no.code == 1
    assert f"  {changed}: gamma: expected 5,130,000" in no.out
    assert "checks fail" in no.out
    assert run("audit", *where).code == 0
    assert run("audit", *where, "--json").json["schema"] == "tradefl/audit/1"


def test_who_never_negotiated_is_not_accused_of_leaving_the_result(node, tmp_path):
    path = save(tmp_path, document())
    where = ["--rpc", node.url, "--contract", settle_on(node.url, path)["contract"]]
    ran = run("audit", path, *where, "--negotiation")
    assert ran.code == 1  # there is nothing that could agree
    assert "nobody negotiated: the contract has no proposal" in ran.out
    for name in NAMES:
        assert f"{name} contributed" not in ran.out
    replayed = run("audit", path, *where, "--negotiation", "--json").json["negotiation"]
    assert (replayed["agrees"], len(replayed["findings"])) == (False, 1)
    assert replayed["proposals"] == []


def test_every_node_that_is_named_is_asked(node, tmp_path):
    path = save(tmp_path, document())
    contract = settle_on(node.url, path)["contract"]
    with (
        contextlib.closing(Proxy(node)) as proxy,
        anvil() as empty,
        anvil("--chain-id", 5) as foreign,
    ):

        def both(*urls):
            nodes = [word for url in urls for word in ("--rpc", url)]
            return run("audit", path, "--contract", contract, *nodes)

        assert both(node.url, proxy.url).code == 0
        assert proxy.asked  # the second node, too
        proxy.asked.clear()
        assert both(proxy.url, node.url).code == 0
        assert proxy.asked
        empty.mine(node.height)
        for other in (empty, foreign):
            for urls in ((other.url, node.url), (node.url, other.url)):
                ran = both(*urls)
                assert (ran.code, ran.out) == (2, "")
                assert other.url in ran.err

        # A node with the same blocks that answers one figure otherwise.
        def rule(method, params, forward):
            answer = forward()
            return answer[:-1] if method == "eth_getLogs" else answer

        proxy.rule = rule
        for urls in ((proxy.url, node.url), (node.url, proxy.url)):
            ran = both(*urls)
            assert (ran.code, ran.out) == (2, "")
            assert "differs from" in ran.err
            ran = run("audit", path, "--contract", contract, "--negotiation",
                      *[word for url in urls for word in ("--rpc", url)])  # fmt: skip
            assert (ran.code, ran.out) == (2, "")
            assert "differs from" in ran.err


def test_an_address_without_capitals_is_one_and_wrong_capitals_are_none(node, tmp_path):
    path = save(tmp_path, document())
    contract = settle_on(node.url, path)["contract"]
    for command in ("audit", "settle"):
        ran = run(command, path, "--rpc", node.url, "--contract", contract.lower())
        assert (ran.code, "everything agrees to the wei" in ran.out) == (0, True)
        wrong = "0x" + contract[2:].swapcase()
        ran = run(command, path, "--rpc", node.url, "--contract", wrong)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("error: --contract: its capitals do not fit its digits")


def test_a_report_that_stands_is_not_passed_over(node, tmp_path):
    path = save(tmp_path, document())
    settle_on(node.url, path)
    profile = tmp_path / "profile.json"
    rows = [{"name": name, "data_fraction": 0.0625, "cpu_hz": 1e9} for name in NAMES]
    profile.write_text(json.dumps({"organizations": rows}))
    ran = run("settle", path, "--rpc", node.url, "--profile", profile)
    assert ran.code == 0
    assert f"note: {NAMES[0]}: d = " in ran.err
    assert "is on the chain, not 62,500,000 ppb" in ran.err
