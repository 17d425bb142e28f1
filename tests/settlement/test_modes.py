"""Settlements through nodes that answer as real nodes and providers do."""

import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save
from tests.settlement.modes import REFUSE, SETTLE, empty_logs
from tests.settlement.nodes import (
    deployments,
    honest,
    node,
    parties_on,
    proxy,
    settlement_of,
    shared_node,
)
from tests.settlement.test_faults import finish, with_keys

__all__ = ["node", "proxy", "shared_node"]

# The other way of signing differs only in the call that sends.
QUICK = {"rate_200": "unlocked", "stale": "keys", "indexing": "unlocked", "lost_send": "keys"}
CASES = [
    pytest.param(mode, how, marks=() if QUICK.get(mode, "keys") == how else pytest.mark.slow)
    for mode in SETTLE
    for how in ("keys", "unlocked")
]


@pytest.mark.parametrize(("mode", "how"), CASES)
def test_what_ends_is_settled_and_audited(node, proxy, tmp_path, mode, how):
    path = save(tmp_path, document())
    proxy.rule = SETTLE[mode](proxy)
    finish(with_keys(node, proxy.url, path) if how == "keys" else parties_on(proxy.url, path))
    assert deployments(node) == 1


ENDLESS = [
    pytest.param(mode, command, marks=pytest.mark.slow)
    if command == "audit" and mode.startswith("null")  # a short while for every run
    else (mode, command)
    for mode in REFUSE
    for command in ("settle", "audit")
]


@pytest.mark.parametrize(("mode", "command"), ENDLESS)
def test_what_does_not_end_is_one_error(node, proxy, tmp_path, mode, command):
    """Or it works without: never a traceback, and never a second deployment."""
    path = save(tmp_path, document())
    options = ["--rpc", proxy.url]
    if command == "settle":
        options += ["--timeout", 2]
    else:
        parties = parties_on(node.url, path)
        settlement = settlement_of(parties)
        settlement.run(operator=parties.operator)
        options += ["--contract", settlement.contract]
    before = deployments(node)
    proxy.rule = REFUSE[mode](proxy)
    for _ in range(2):
        ran = run(command, path, *options)
        assert ran.code in (0, 2), ran
        assert "Traceback" not in ran.err
        if ran.code == 2:
            errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
            assert len(errors) == 1, ran.err
            assert ran.out == ""
    assert deployments(node) <= max(1, before)


def test_a_node_that_keeps_no_logs_is_named(node, proxy, tmp_path):
    """Its own receipts hold what its logs leave out."""
    path = save(tmp_path, document())
    proxy.rule = empty_logs()
    line = run("settle", path, "--rpc", proxy.url).err.splitlines()[-1]
    assert "does not keep these logs" in line
    assert deployments(node) == 1


def test_the_client_asks_only_what_every_node_knows(node, proxy, tmp_path):
    """Old nodes and providers have these; each is in the matrix of faults, too."""
    from tests.settlement.chains.test_answers import METHODS

    proxy.rule = honest
    finish(parties_on(proxy.url, save(tmp_path, document())))
    assert set(proxy.asked) <= set(METHODS)
