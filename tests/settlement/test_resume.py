"""Killed anywhere and run again, a settlement ends where it would have ended."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from tests.cli.command import PLAIN, SOURCE, strict_json
from tests.consortium.documents import document, save
from tests.settlement.nodes import (
    HANGUP,
    anvil,
    deployments,
    node,
    parties_on,
    proxy,
    settle_on,
    settlement_of,
    shared_node,
)

from tradefl.errors import InputError
from tradefl.settlement.chains import NodeSigner
from tradefl.settlement.contract import Phase

__all__ = ["node", "proxy", "shared_node"]
# Of three organizations, those before included: money for the factory, the factory, the vault.
STEPS = 20
BLOCKS = STEPS + 1  # one of them empty: a window stays open for it
CLOSED = 14  # the step that closes the window
LISTED = 17  # that have left an event in the settlement
SHORT = {"settlement": {"closing_blocks": 1}}


class Killed(BaseException):
    """The process ends here."""


def finished(url, path):
    """Run it to the end; return the organizations' part of the document."""
    found = settle_on(url, path)
    assert found["phase"] == "settled"
    return found["organizations"]


@pytest.mark.slow
def test_killed_after_any_step_it_ends_the_same(node, tmp_path):
    path = save(tmp_path, document(SHORT))
    snapshot = node.rpc("evm_snapshot")
    expected, seen = finished(node.url, path), 0
    assert sum(int(wanted["redistribution_wei"]) for wanted in expected) == 0
    assert any(int(wanted["redistribution_wei"]) for wanted in expected)
    for k in range(1, STEPS + 1):
        assert node.rpc("evm_revert", snapshot)
        snapshot = node.rpc("evm_snapshot")
        seen = 0

        def watch(_, k=k):
            nonlocal seen
            seen += 1
            if seen == k:
                raise Killed

        with pytest.raises(Killed):
            settle_on(node.url, path, watch)
        assert finished(node.url, path) == expected, k
        assert deployments(node) == 1, k
        assert node.height == BLOCKS  # nothing was sent twice


def test_killed_at_every_step_of_one_settlement(node, tmp_path):
    """Twenty processes, each of which does one step and dies."""
    path = save(tmp_path, document(SHORT))

    def watch(_):
        raise Killed

    for k in range(STEPS):
        with pytest.raises(Killed):
            settle_on(node.url, path, watch)
        assert node.height == k + 1 + (k >= CLOSED)
    assert finished(node.url, path)
    assert (node.height, deployments(node)) == (BLOCKS, 1)


@pytest.mark.parametrize("k", [1, 5, 11, 13])
def test_killed_between_sending_and_the_receipt(node, proxy, tmp_path, k):
    """The transaction is in the pool, and its sender is gone before a block takes it."""
    path = save(tmp_path, document(SHORT))
    sent = 0

    def rule(method, params, forward):
        nonlocal sent
        if method == "eth_sendTransaction":
            sent += 1
            if sent == k:
                node.rpc("evm_setAutomine", False)
                forward()
                proxy.rule = lambda *_: HANGUP  # this process hears nothing any more
                return HANGUP
        return forward()

    proxy.rule = rule
    with pytest.raises(InputError, match="no answer"):
        settle_on(proxy.url, path, timeout=0.2)
    # The node does not sign for the factory: that one is not counted.
    assert node.height == k - 1 + (k > 1)
    # The next one waits for what the account has sent; a block comes after it has looked.
    looked = 0

    def slow(method, params, forward):
        nonlocal looked
        answer = forward()
        if method == "eth_getTransactionCount" and params[1] == "latest":
            looked += 1
            if looked == 2:
                node.rpc("evm_setAutomine", True)
                node.rpc("evm_mine")
        return answer

    proxy.rule = slow
    found = settle_on(proxy.url, path)
    node.rpc("evm_setAutomine", True)
    assert found["phase"] == "settled"
    assert deployments(node) == 1
    assert len(found["transactions"]) == LISTED


def test_kill_minus_9_at_random_moments(tmp_path):
    """The real process, killed until it gets through; slow blocks leave much in the pool."""
    rng = random.Random(20261122)  # noqa: S311
    path = save(tmp_path, document(SHORT))
    with anvil() as plain:
        expected = finished(plain.url, path)
    command = [sys.executable, "-m", "tradefl", "settle", str(path), "--json", "--rpc"]
    environment = {**os.environ, **PLAIN, "PYTHONPATH": str(SOURCE)}
    kills = 0
    with anvil() as node:
        for _ in range(30):
            process = subprocess.Popen(
                [*command, node.url],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
            )
            # It counts from where the process has begun to ask: starting Python takes longer.
            before, until = node.height, time.monotonic() + 20.0
            while node.height == before and process.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            time.sleep(rng.uniform(0.0, 0.15))
            if kills < 2:
                process.send_signal(signal.SIGKILL)
            out, err = process.communicate(timeout=60)
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, err.decode()
            kills += 1
        assert process.returncode == 0
        assert kills >= 2
        found = strict_json(out.decode())
        assert found["organizations"] == expected
        assert found["audit"]["agrees"]
        assert deployments(node) == 1
        assert len(node.logs()) == len(
            {(log["transactionHash"], log["logIndex"]) for log in node.logs()}
        )


def test_a_finished_settlement_is_found_again(node, tmp_path):
    path = save(tmp_path, document(SHORT))
    first = settle_on(node.url, path)
    height = node.height
    again = settle_on(node.url, path, lambda step: pytest.fail(str(step)))
    assert again == first | {"other_transactions": []}
    assert (node.height, deployments(node)) == (height, 1)


def test_a_cancelled_one_is_no_finished_one(node, tmp_path):
    """Who could not settle for want of a deposit finds what became of it, and its money back."""
    path = save(tmp_path, document(SHORT))
    parties = parties_on(node.url, path)
    settlement = settlement_of(parties)

    def watch(step):
        if step.step.call == "depositSubmit":
            raise Killed

    with pytest.raises(Killed):
        settlement.run(operator=parties.operator, watch=watch)
    node.travel(settlement.state().join_deadline - settlement.state().now + 10)
    first = parties.agreement.addresses[0]
    for _ in range(2):  # closes the window; ends it
        alone = parties_on(node.url, path)
        alone.chain.signers = {first: NodeSigner(first)}
        state = settlement_of(alone).run(operator=first)
        node.mine(2)
    assert state.phase == Phase.CANCELLED
    found = settlement.to_dict()
    assert found["phase"] == "cancelled"
    paid = [int(organization["withdrawn_wei"]) for organization in found["organizations"]]
    assert paid == [int(found["organizations"][0]["bond_wei"]), 0, 0]
