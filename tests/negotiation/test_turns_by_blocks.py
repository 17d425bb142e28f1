"""Turns are lost by time and blocks: a chain that stands still makes nobody silent."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.negotiation.test_protocol import by_time

import tradefl
from tradefl.errors import InputError
from tradefl.game import certify
from tradefl.negotiation.agent import profile_of
from tradefl.negotiation.in_process import START, InProcessBoard, agents_of, negotiate
from tradefl.negotiation.protocol import (
    BlockTimes,
    Proposal,
    Standing,
    initial_reports,
    replay,
)
from tradefl.settlement.agreed import agreed_game
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.rules import Report
from tradefl.settlement.stand_ins import addresses_or_stand_ins

CONSORTIUM = tradefl.load(Path(__file__).parents[2] / "examples" / "hospitals.toml")
BY_TIME = by_time(
    Agreement.of(CONSORTIUM, addresses_or_stand_ins(CONSORTIUM.organizations.addresses))
)
WAIT = 3


def counting(agreement: Agreement, blocks: object = WAIT) -> Agreement:
    """The same agreement, with turns that count blocks."""
    annex = json.loads(agreement.annex) | {"turn_blocks": blocks}
    return dataclasses.replace(agreement, annex=json.dumps(annex).encode())


AGREEMENT = counting(BY_TIME)
N, LIMIT = len(AGREEMENT), AGREEMENT.turn_seconds
FIRST = initial_reports(AGREEMENT)


class Log:
    """A chain: a block of a time, with or without a proposal in it."""

    def __init__(self) -> None:
        self.times = [START]
        self.proposals: list[Proposal] = []

    def block(self, seconds: int, who: int | None = None, report: Report | None = None) -> None:
        self.times.append(seconds)
        if who is not None:
            account = AGREEMENT.addresses[who]
            place = len(self.times) - 1
            self.proposals.append(Proposal(place, 0, seconds, account, report or FIRST[who]))

    def standing(self, now: int | None = None, agreement: Agreement = AGREEMENT) -> Standing:
        times = tuple(self.times)
        blocks = BlockTimes(len(times) - 1, times.__getitem__)
        return replay(agreement, START, self.proposals, now=now, blocks=blocks)


def moved(who: int, ppb: int = 500_000_000) -> Report:
    return dataclasses.replace(FIRST[who], data_ppb=ppb)


def test_a_turn_is_lost_some_blocks_behind_its_time() -> None:
    log = Log()
    log.block(START + LIMIT - 1)
    assert not log.standing(now=START + LIMIT - 1).lacks_blocks
    # The next block is behind the time, and none is there that could be waited for.
    waiting = log.standing(now=START + LIMIT)
    assert (waiting.turn, waiting.lacks_blocks) == (0, True)
    for k in range(WAIT):  # the first block behind the time, and all but the last that count
        log.block(START + LIMIT + k)
        expected = (1, START + 9 * LIMIT) if k == WAIT - 1 else (0, START)
        now = log.standing(now=START + 9 * LIMIT)
        assert (now.turn, now.began) == expected
    # With the block itself it is lost for good, and the next turn begins at its time.
    log.block(START + LIMIT + 50)
    lost = log.standing(now=START + LIMIT + 51)
    assert (lost.turn, lost.began, lost.whose, lost.quiet) == (1, START + LIMIT + 50, 1, 1)
    assert lost.skipped == (0,)


@pytest.mark.parametrize("late", range(WAIT + 2))
def test_a_proposal_counts_until_the_turn_is_lost(late: int) -> None:
    log = Log()
    for k in range(late):
        log.block(START + LIMIT + k)
    log.block(START + LIMIT + late, 0, moved(0))
    [ruling] = log.standing().rulings
    if late < WAIT:
        assert (ruling.kind, ruling.skipped) == ("moved", 0)
    else:
        assert (ruling.kind, ruling.skipped) == ("rejected", 1)
        assert f"turn of {AGREEMENT.names[1]}" in ruling.reason


@pytest.mark.parametrize("outage", [LIMIT, 10 * LIMIT, 3 * N * LIMIT, 10**9])
@pytest.mark.parametrize("before", [0, 1, 2, 5])
def test_an_outage_of_any_length_costs_nobody_a_turn(outage: int, before: int) -> None:
    """Each answers with the second block that it sees; the chain stops between any two."""
    log, seconds = Log(), START
    for k in range(2 * N + 1):
        seconds += 1
        log.block(seconds)
        if k == before:
            seconds += outage
        seconds += 1
        moves = moved(k) if k < 1 else None
        log.block(seconds, k % N, moves or (moved(0) if k % N == 0 else None))
    # Half of report_seconds is behind by then in the longest; the turns of before count.
    standing = log.standing()
    assert standing.skipped == ()
    if outage < AGREEMENT.report_seconds // 2 - 100:
        assert {ruling.kind for ruling in standing.rulings} == {"moved", "passed"}
        assert standing.over


def test_by_time_alone_the_same_outage_skips_everybody() -> None:
    """What agreements without turn_blocks are read by, as when they were made."""
    log = Log()
    log.block(START + 1)
    log.block(START + 3 * N * LIMIT, 0, moved(0))
    assert BY_TIME.turn_blocks == 0
    assert log.standing(agreement=BY_TIME).over
    assert log.standing(agreement=BY_TIME).reports == FIRST
    assert log.standing().reports[0] == moved(0)


def test_one_that_stays_silent_is_skipped_and_does_not_hold_up_the_others() -> None:
    log, seconds = Log(), START
    for _ in range(40 * N):
        seconds += 20
        now = log.standing(now=seconds)
        if now.over:
            break
        log.block(seconds, None if now.whose == 2 else now.whose)
    assert now.over
    assert {turn % N for turn in now.skipped} == {2}


def test_the_end_by_time_leaves_blocks_too() -> None:
    end = START + AGREEMENT.report_seconds // 2
    log = Log()
    log.block(end + 10**6, 0, moved(0))  # the first block for a long time
    assert log.standing().reports[0] == moved(0)
    for k in range(WAIT - 1):
        assert not log.standing(now=end + 10**6 + k).out_of_time
        log.block(end + 10**6 + k)
    assert log.standing(now=end + 10**6 + WAIT).out_of_time
    log.block(end + 10**6 + WAIT, 1)
    assert log.standing().rulings[-1].reason == "the negotiation was over"


@given(st.integers(0, 2**32))
def test_order_and_repetition_of_reads_change_nothing(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    log, seconds = Log(), START
    for _ in range(rng.randrange(1, 60)):
        seconds += rng.choice([0, 1, 5, 59, 60, 61, 300, 10_000])
        ppb = rng.choice([AGREEMENT.min_data_ppb, 0, 10**9, 400_000_000])
        who = rng.choice([None, rng.randrange(N)])
        log.block(seconds, who, None if who is None else moved(who, ppb))
    expected = log.standing()
    read = log.proposals + rng.sample(log.proposals, rng.randrange(len(log.proposals) + 1))
    rng.shuffle(read)
    again = Log()
    again.times, again.proposals = log.times, read
    assert again.standing() == expected
    # Rulings that were made stay, however far one reads on.
    part = Log()
    cut = rng.randrange(1, len(log.times) + 1)
    part.times = log.times[:cut]
    part.proposals = [proposal for proposal in log.proposals if proposal.block < cut]
    assert expected.rulings[: len(part.proposals)] == part.standing().rulings
    turns = [ruling.turn for ruling in expected.rulings]
    assert turns == sorted(turns)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 80), st.data())
def test_the_first_block_of_a_time(steps: list[int], seconds: int, data: st.DataObject) -> None:
    times = list(itertools.accumulate(steps))
    wanted = next((k for k, time in enumerate(times) if time >= seconds), None)
    start = data.draw(st.integers(0, len(times) - 1 if wanted is None else wanted))
    assert BlockTimes(len(times) - 1, times.__getitem__).first_at(seconds, start) == wanted


def test_blocks_near_the_start_are_found_with_few_questions() -> None:
    asked = []

    def seconds(block: int) -> int:
        asked.append(block)
        return 5 * block

    blocks = BlockTimes(10_000_000, seconds)
    assert blocks.first_at(5_000_060, 1_000_000) == 1_000_012
    assert len(asked) <= 10
    blocks.first_at(5_000_060, 1_000_000)
    assert len(asked) == len(set(asked))


def test_an_agreement_that_counts_blocks_needs_them() -> None:
    with pytest.raises(ValueError, match="blocks: expected the times of blocks"):
        replay(AGREEMENT, START, [], now=START)


@pytest.mark.parametrize("blocks", [-1, 2.0, "3", True])
def test_a_term_that_is_no_number_of_blocks_is_refused(blocks: object) -> None:
    document = counting(BY_TIME, blocks).to_dict()
    with pytest.raises(InputError, match="turn_blocks: expected a whole number >= 0"):
        Agreement.from_document(document)


def test_agents_on_a_chain_that_makes_blocks_on_demand() -> None:
    """One is away for a while: the others make the blocks that its turns wait for."""
    board = InProcessBoard()
    agents = agents_of(CONSORTIUM, AGREEMENT, board)
    for step in range(1000):
        done = [
            False if i == 3 and step < 30 else agent.step().done for i, agent in enumerate(agents)
        ]
        if all(done):
            break
        board.seconds += 5
    standing = replay(AGREEMENT, START, board.log, now=board.seconds, blocks=board.blocks)
    assert {turn % N for turn in standing.skipped} == {3}
    game = agreed_game(CONSORTIUM, AGREEMENT)
    assert certify(game, profile_of(standing.reports)).is_equilibrium(1e-8)
    assert standing.reports == negotiate(CONSORTIUM, AGREEMENT)[0].reports
