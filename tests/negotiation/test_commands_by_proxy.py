"""``tradefl node`` and ``tradefl negotiate --processes`` through nodes that answer as real ones do.

What ends ends where an undisturbed negotiation ends, with one deposit of each and one contract;
what does not end is one error. Settle and audit: tests/settlement/test_modes.py.
"""

from __future__ import annotations

import threading

import pytest
from tests.cli.command import run
from tests.cli.test_negotiate import assert_same
from tests.cli.test_node import options
from tests.negotiation.processes import PASSWORD, deployed, driven, three_hospitals
from tests.settlement.modes import REFUSE, SETTLE
from tests.settlement.nodes import deployments, node, proxy, shared_node

from tradefl.negotiation import node as agents
from tradefl.settlement.accounts import PASSWORD_VARIABLE

__all__ = ["node", "proxy", "shared_node"]

# The library's agents meet the others in test_modes.py.
FOR_NODE = {"rate_200", "header_not_found", "stale", "indexing", "lost_send"}
FOR_NEGOTIATE = {"stale", "lost_send"}


def cases(modes, quick):
    return [pytest.param(mode, marks=() if mode in quick else pytest.mark.slow) for mode in modes]


@pytest.mark.parametrize("mode", cases(SETTLE, FOR_NODE))
def test_a_node_ends_where_it_would_have(node, proxy, tmp_path, monkeypatch, mode):
    """One agent by the command, through the proxy; the others beside it, directly."""
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    three = deployed(node, three_hospitals(tmp_path / "three.toml"), tmp_path)
    three.join(1, 2)
    failed: list[BaseException] = []

    def others() -> None:
        try:
            driven(three.agents()[1:], seconds=600.0)
        except BaseException as error:
            failed.append(error)

    beside = threading.Thread(target=others)
    beside.start()
    proxy.rule = SETTLE[mode](proxy)
    ran = run("node", *options(three, rpc=proxy.url, state=tmp_path / "state"))
    beside.join()
    assert not failed
    assert ran.code == 0, ran.err
    assert three.contributions() == list(three.undisturbed()[0].reports)
    assert deployments(node) == 1
    assert node.balance(three.agreement.vault) == sum(three.agreement.deposits)


@pytest.mark.parametrize("mode", cases(SETTLE, FOR_NEGOTIATE))
def test_processes_end_where_they_would_have(node, proxy, tmp_path, mode):
    three = three_hospitals(tmp_path / "three.toml")
    proxy.rule = SETTLE[mode](proxy)
    ran = run("negotiate", three.source, "--processes", "--rpc", proxy.url, "--json")
    assert ran.code == 0, ran.err
    assert_same(ran.json, three)
    assert deployments(node) == 1


@pytest.mark.parametrize("mode", REFUSE)
def test_processes_that_cannot_end_are_one_error(node, proxy, tmp_path, mode):
    """Or it works without what is missing."""
    three = three_hospitals(tmp_path / "three.toml")
    proxy.rule = REFUSE[mode](proxy)
    ran = run("negotiate", three.source, "--processes", "--rpc", proxy.url, "--json")
    assert ran.code in (0, 2), ran
    assert "Traceback" not in ran.err
    if ran.code == 2:
        errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
        assert 1 <= len(errors) <= 3, ran.err  # one of each agent
        assert ran.out == ""
    assert deployments(node) <= 1


@pytest.mark.parametrize("mode", REFUSE)
def test_a_node_that_cannot_end_is_one_error(node, proxy, tmp_path, monkeypatch, mode):
    """An agent waits as long as an outage lasts, but not for what its node says that it lacks."""
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    monkeypatch.setattr(agents, "REFUSAL_SECONDS", 3.0)
    three = deployed(node, three_hospitals(tmp_path / "three.toml"), tmp_path)
    three.join(1, 2)
    proxy.rule = REFUSE[mode](proxy)
    for _ in range(2):
        ran = run("node", *options(three, rpc=proxy.url, state=tmp_path / "state"))
        assert (ran.code, ran.out) == (2, ""), ran
        assert "Traceback" not in ran.err
        errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, ran.err
    assert deployments(node) == 1
    deposits = three.agreement.deposits
    assert node.balance(three.agreement.vault) in (sum(deposits[1:]), sum(deposits))
