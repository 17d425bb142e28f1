"""The replay of a negotiation on a chain, and what it can and cannot find."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import tradefl
from tradefl.negotiation.agent import OrganizationAgent
from tradefl.negotiation.knowledge import private_figures
from tradefl.negotiation.on_chain import ChainBoard
from tradefl.negotiation.verification import verify
from tradefl.settlement.accounts import embedded
from tradefl.settlement.contract import RevertedError

CONSORTIUM = tradefl.load(Path(__file__).parents[2] / "examples" / "hospitals.toml")
NAMES = CONSORTIUM.names


class Table:
    """Everybody's board on one embedded chain, with all deposits made."""

    def __init__(self, consortium=CONSORTIUM):
        self.parties = embedded(consortium)
        self.consortium = self.parties.consortium
        self.agreement = self.parties.agreement
        settlement = self.parties.settlement({})
        self.contract, self.chain = settlement.contract, settlement.chain
        pass_time = self.chain.pass_time
        self.chain.pass_time = lambda _: False  # nobody lets the windows run out
        settlement.run(operator=self.parties.operator)
        self.chain.pass_time = pass_time

    def board(self, i):
        return ChainBoard(self.chain, self.contract, self.agreement, i)

    def agents(self):
        return [
            OrganizationAgent(self.agreement, private_figures(CONSORTIUM, i), self.board(i))
            for i in range(len(NAMES))
        ]

    def verify(self, *, file=True):
        return verify(self.chain, self.contract, self.consortium if file else None)


def played(agents):
    for _ in range(200):
        done = [agent.step().done for agent in agents]
        if all(done):
            return
    raise AssertionError("it did not end")


@pytest.fixture(scope="module")
def honest():
    table = Table()
    played(table.agents())
    return table


def test_an_honest_negotiation_is_as_it_must_be(honest):
    found = honest.verify()
    assert found.agrees, found.findings
    assert found.notes == ()
    assert found.max_regret < 1e-6
    solution = tradefl.solve(CONSORTIUM, "dbr")
    for report, d, f in zip(
        found.standing.reports,
        solution.profile.data_fraction,
        solution.profile.cpu_hz,
        strict=True,
    ):
        assert abs(report.data_ppb / 1e9 - d) < 1e-9
        assert report.cpu_hz == f
    document = found.to_dict()
    assert document["moves"] == solution.iterations
    assert {proposal["outcome"] for proposal in document["proposals"]} == {"moved", "passed"}


def test_without_the_file_it_says_what_it_cannot_tell(honest):
    found = honest.verify(file=False)
    assert found.agrees
    assert found.max_regret is None
    assert any("private figures" in note for note in found.notes)


class Stubborn(OrganizationAgent):
    """Answers with half of its data, whatever is best."""

    def answer(self, standing):
        mine = standing.reports[self._game.me]
        return dataclasses.replace(mine, data_ppb=500_000_000)


def test_an_answer_that_is_not_best_is_found_with_the_file_only():
    table = Table()
    agents = table.agents()
    agents[2] = Stubborn(table.agreement, private_figures(CONSORTIUM, 2), table.board(2))
    played(agents)
    assert table.verify(file=False).agrees
    found = table.verify()
    assert not found.agrees
    assert any(NAMES[2] in text and "another answer" in text for text in found.findings)
    assert not any(NAMES[1] in text and "another answer" in text for text in found.findings)
    assert any(f"no equilibrium: {NAMES[2]}" in text for text in found.findings)


class Faithless(ChainBoard):
    """Contributes less than it negotiated."""

    def contribute(self, report):
        least = self.agreement.min_data_ppb
        super().contribute(dataclasses.replace(report, data_ppb=least))


def test_a_contribution_that_was_not_negotiated_is_found_from_public_data():
    table = Table()
    agents = table.agents()
    board = Faithless(table.chain, table.contract, table.agreement, 1)
    agents[1] = OrganizationAgent(table.agreement, private_figures(CONSORTIUM, 1), board)
    played(agents)
    found = table.verify(file=False)
    assert [NAMES[1] in text and "negotiated" in text for text in found.findings] == [True]


def test_what_is_out_of_turn_does_not_count_and_is_shown():
    table = Table()
    agents = table.agents()
    report = agents[3].answer(agents[3].board.look().standing(table.agreement))
    table.board(3).propose(report)
    played(agents)
    found = table.verify()
    assert found.agrees, found.findings
    [note] = found.notes
    assert NAMES[3] in note
    assert f"turn of {NAMES[0]}" in note


def test_the_contract_refuses_strangers_and_what_is_not_feasible():
    table = Table()
    board = table.board(0)
    mine = board.agreement.cpu_levels_hz[0][0]
    for ppb, hz in ((0, mine), (10**9 + 1, mine), (10**9, mine + 1)):
        with pytest.raises(RevertedError):
            board._send("propose", ppb, hz)
    assert board.look().proposals == ()


def test_before_the_end_it_says_that_it_is_not_over():
    table = Table()
    agents = table.agents()
    agents[0].step()
    found = table.verify()
    assert any("not over: round 1" in text for text in found.findings)


def test_with_a_verifier_nothing_is_contributed_before_the_training():
    section = tradefl.consortium.schema.Settlement(verifier="0x" + 40 * "1")
    table = Table(dataclasses.replace(CONSORTIUM, settlement=section))
    agents = table.agents()
    played(agents)
    found = table.verify()
    assert found.standing.over
    assert found.agrees, found.findings
    place = table.chain.read(table.contract, "organization", 0)
    assert not place["reported"]
