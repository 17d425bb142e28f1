"""A chain that halts for longer than a window turns nobody silent."""

import pytest
from tests.consortium.documents import NAMES, document, save
from tests.settlement.nodes import node, parties_on, settlement_of, shared_node

import tradefl
from tradefl.settlement.audit import audit
from tradefl.settlement.chains import NodeSigner
from tradefl.settlement.contract import Phase
from tradefl.settlement.settle import Settlement

__all__ = ["node", "shared_node"]
LONG = 10**7  # seconds: longer than any window of the file


class Process:
    """One organization's process: its account, its report and the common rest."""

    def __init__(self, url, path, i, reports=None):
        parties = parties_on(url, path)
        self.account = parties.agreement.addresses[i]
        parties.chain.signers = {self.account: NodeSigner(self.account)}
        common = settlement_of(parties, reports)
        mine = {self.account: common.reports[self.account]}
        self.agreement, self.chain = parties.agreement, parties.chain
        self.settlement = Settlement(parties.chain, parties.agreement, common.contract, mine)

    def step(self):
        return self.settlement.run(operator=self.account)


@pytest.fixture
def everybody(node, tmp_path):
    terms = {"closing_blocks": 6, "report_seconds": 90, "join_seconds": 90}
    path = save(tmp_path, document({"settlement": terms}))
    return node, path, [Process(node.url, path, i) for i in range(3)]


def finished(node, path, everybody):
    for _ in range(6):
        states = [entry.step() for entry in everybody]
        if all(state.phase.final for state in states):
            break
        node.mine(1)
    found = everybody[0].settlement.to_dict()
    parties = parties_on(node.url, path)
    verdict = audit(parties.chain, found["contract"], tradefl.load(path))
    assert verdict.agrees, verdict.differences
    assert not any("reported nothing" in text for text in verdict.notes)
    return found


def payments(found):
    return [int(organization["redistribution_wei"]) for organization in found["organizations"]]


def undisturbed(node, path):
    snapshot = node.rpc("evm_snapshot")
    found = finished(node, path, [Process(node.url, path, i) for i in range(3)])
    assert node.rpc("evm_revert", snapshot)
    assert found["phase"] == "settled"
    return payments(found)


def joined(everybody):
    for entry in everybody:
        state = entry.step()
    return state


@pytest.mark.parametrize("when", ["before a report", "after one report", "while it is closing"])
def test_a_halt_in_the_report_window_turns_nobody_silent(everybody, when):
    node, path, processes = everybody
    expected = undisturbed(node, path)
    assert any(expected)
    first, second, third = processes
    for process in processes:
        process.settlement = Settlement(
            process.chain, process.agreement, process.settlement.contract, {}
        )
    joined(processes)
    parties = parties_on(node.url, path)
    reports = settlement_of(parties).reports
    for process in processes:
        mine = {process.account: reports[process.account]}
        process.settlement = Settlement(
            process.chain, process.agreement, process.settlement.contract, mine
        )
    if when == "after one report":
        first.step()
    if when == "while it is closing":
        node.travel(200)
        state = first.step()
        assert state.closed_at
        assert state.phase == Phase.OPEN
        node.mine(2)
    node.travel(LONG)  # nothing was mined for longer than every window
    assert first.step().phase == Phase.OPEN  # it may close the window, and does not end it
    assert payments(finished(node, path, [third, second, first])) == expected


def test_a_halt_while_joining_excludes_nobody(everybody):
    node, path, processes = everybody
    expected = undisturbed(node, path)
    processes[0].step()
    node.travel(LONG)
    state = processes[0].step()
    assert (state.phase, bool(state.closed_at)) == (Phase.JOINING, True)
    assert payments(finished(node, path, processes)) == expected


def test_nobody_who_stays_silent_for_all_blocks_holds_up_the_others(everybody):
    node, _, processes = everybody
    joined(processes[:1])
    node.travel(LONG)
    state = processes[0].step()
    assert state.phase == Phase.JOINING
    node.mine(processes[0].agreement.closing_blocks + 1)
    assert processes[0].step().phase == Phase.CANCELLED
    assert node.balance(processes[0].agreement.vault) == 0


def test_the_names_are_those_of_the_file(everybody):
    _, _, processes = everybody
    assert processes[0].agreement.names == NAMES
