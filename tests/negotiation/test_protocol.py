"""The rules: whose turn it is, what counts, when it is over; from the log alone."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tradefl
from tradefl.negotiation.protocol import Proposal, initial_reports, replay
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.rules import Report
from tradefl.settlement.stand_ins import addresses_or_stand_ins

ROOT = Path(__file__).parents[2]
CONSORTIUM = tradefl.load(ROOT / "examples" / "hospitals.toml")


def by_time(agreement: Agreement) -> Agreement:
    """The same agreement, with turns that end by time alone."""
    annex = json.loads(agreement.annex)
    annex.pop("turn_blocks", None)
    return dataclasses.replace(agreement, annex=json.dumps(annex).encode())


AGREEMENT = by_time(
    Agreement.of(CONSORTIUM, addresses_or_stand_ins(CONSORTIUM.organizations.addresses))
)
N = len(AGREEMENT)
START, LIMIT = 1000, AGREEMENT.turn_seconds
FIRST = initial_reports(AGREEMENT)


def proposal(block: int, who: int, seconds: int, report: Report | None = None) -> Proposal:
    return Proposal(block, 0, seconds, AGREEMENT.addresses[who], report or FIRST[who])


def moved(who: int, ppb: int = 500_000_000) -> Report:
    return dataclasses.replace(FIRST[who], data_ppb=ppb)


def with_turns(agreement: Agreement, seconds: int) -> Agreement:
    """The same agreement with another limit for turns."""
    annex = json.loads(agreement.annex) | {"turn_seconds": seconds}
    return dataclasses.replace(agreement, annex=json.dumps(annex).encode())


def standing(*proposals: Proposal, now: int | None = None):
    return replay(AGREEMENT, START, proposals, now=now)


def test_it_starts_with_the_first_at_the_least_data_and_the_fastest_level() -> None:
    first = standing()
    assert (first.turn, first.round, first.whose, first.over) == (0, 1, 0, False)
    for report, levels in zip(first.reports, AGREEMENT.cpu_levels_hz, strict=True):
        assert report == Report(data_ppb=AGREEMENT.min_data_ppb, cpu_hz=max(levels))


def test_a_move_counts_and_hands_the_token_on() -> None:
    after = standing(proposal(1, 0, START + 5, moved(0)))
    assert (after.turn, after.whose, after.quiet, after.moves) == (1, 1, 0, 1)
    assert after.reports[0] == moved(0)
    assert after.began == START + 5
    assert [ruling.kind for ruling in after.rulings] == ["moved"]


def test_proposing_what_stands_is_a_pass() -> None:
    after = standing(proposal(1, 0, START + 5))
    assert (after.turn, after.quiet, after.moves) == (1, 1, 0)
    assert [ruling.kind for ruling in after.rulings] == ["passed"]


def test_out_of_turn_does_not_count_and_says_whose_turn_it_was() -> None:
    after = standing(proposal(1, 2, START + 5, moved(2)))
    assert (after.turn, after.reports) == (0, FIRST)
    [ruling] = after.rulings
    assert ruling.kind == "rejected"
    assert AGREEMENT.names[0] in ruling.reason


def test_a_second_proposal_in_the_same_turn_does_not_count() -> None:
    after = standing(
        proposal(1, 0, START + 5, moved(0)), proposal(2, 0, START + 6, moved(0, 600_000_000))
    )
    assert after.turn == 1
    assert after.reports[0] == moved(0)
    assert [ruling.kind for ruling in after.rulings] == ["moved", "rejected"]


def test_a_stranger_does_not_count() -> None:
    stranger = Proposal(1, 0, START + 5, "0x" + 40 * "9", moved(0))
    after = standing(stranger)
    assert (after.turn, after.reports) == (0, FIRST)
    assert "not an organization" in after.rulings[0].reason


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (Report(data_ppb=AGREEMENT.min_data_ppb - 1, cpu_hz=FIRST[0].cpu_hz), "is not in"),
        (Report(data_ppb=0, cpu_hz=FIRST[0].cpu_hz), "is not in"),
        (Report(data_ppb=10**9 + 1, cpu_hz=FIRST[0].cpu_hz), "is not in"),
        (Report(data_ppb=10**9, cpu_hz=FIRST[0].cpu_hz + 1), "not one of its levels"),
        (Report(data_ppb=10**9, cpu_hz=0), "not one of its levels"),
    ],
)
def test_outside_the_feasible_set_does_not_count(report: Report, reason: str) -> None:
    after = standing(proposal(1, 0, START + 5, report))
    assert (after.turn, after.reports) == (0, FIRST)
    assert reason in after.rulings[0].reason
    # The turn is still its own: a feasible one counts.
    again = standing(proposal(1, 0, START + 5, report), proposal(2, 0, START + 9, moved(0)))
    assert (again.turn, again.reports[0]) == (1, moved(0))


def test_who_is_silent_past_the_limit_is_skipped() -> None:
    in_time = standing(now=START + LIMIT - 1)
    assert (in_time.turn, in_time.quiet) == (0, 0)
    late = standing(now=START + LIMIT)
    assert (late.turn, late.whose, late.quiet, late.began) == (1, 1, 1, START + LIMIT)
    # The next one's proposal says so too, without a clock.
    after = standing(proposal(1, 1, START + LIMIT, moved(1)))
    assert (after.turn, after.reports[1]) == (2, moved(1))
    assert after.rulings[0].skipped == 1
    assert after.rulings[0].turn == 1


def test_who_comes_after_its_turn_has_missed_it_and_may_rejoin() -> None:
    missed = standing(proposal(1, 0, START + LIMIT, moved(0)))
    assert missed.reports == FIRST
    assert missed.rulings[0].kind == "rejected"
    back = START + N * LIMIT  # everybody was silent for a round: its turn again
    rejoined = standing(proposal(1, 0, START + LIMIT, moved(0)), proposal(2, 0, back, moved(0)))
    assert rejoined.reports[0] == moved(0)
    assert rejoined.turn == N + 1


def quiet_round(first_block: int, begin: int) -> list[Proposal]:
    return [proposal(first_block + k, k, begin + k) for k in range(N)]


def test_two_rounds_without_a_move_end_it() -> None:
    one = quiet_round(1, START + 1)
    assert not standing(*one).over
    two = one + quiet_round(100, START + 50)
    assert standing(*two).over
    assert not standing(*two[:-1]).over


def test_a_move_in_between_begins_the_count_anew() -> None:
    log = quiet_round(1, START + 1)
    log += [proposal(100, 0, START + 40, moved(0))]
    # Everybody passes, the mover too with what it has now: 2N turns in a row are needed.
    passes = [
        proposal(101 + k, i, START + 41 + k, moved(0) if i == 0 else None)
        for k, i in enumerate((k + 1) % N for k in range(2 * N))
    ]
    assert not standing(*log, *passes[:-1]).over
    assert standing(*log, *passes).over


def test_silence_ends_it_too_and_nothing_counts_afterwards() -> None:
    end = START + 2 * N * LIMIT
    assert not standing(now=end - 1).over
    assert standing(now=end).over
    assert standing(now=end + 10**6).turn == 2 * N
    late = standing(proposal(1, 0, end + 1, moved(0)))
    assert late.reports == FIRST
    assert "over" in late.rulings[0].reason


def test_whoever_never_stops_moving_cannot_keep_it_from_ending() -> None:
    end = START + AGREEMENT.report_seconds // 2
    log, seconds, block = [], START, 0
    while seconds < end + 3 * 40_000:
        seconds, block = seconds + 40_000, block + 1
        log.append(proposal(block, 0, seconds, moved(0, 400_000_000 + block % 2)))
    # So long that it is always the first one's turn again.
    patient = with_turns(AGREEMENT, 40_000 // N)
    counted = replay(patient, START, log, now=seconds)
    late = [ruling for ruling in counted.rulings if ruling.proposal.seconds >= end]
    assert len(late) >= 3
    assert {ruling.reason for ruling in late} == {"the negotiation was over"}
    assert not replay(patient, START, log, now=end - 1).out_of_time
    assert replay(patient, START, log, now=end).over
    # What stood at the end stands, however late one looks.
    assert replay(patient, START, log, now=end).reports == counted.reports


def test_before_all_have_joined_nothing_counts_and_nobody_is_skipped() -> None:
    assert standing(now=START - 600).turn == 0
    early = standing(*(proposal(k, k % N, START - 1000 + k, moved(k % N)) for k in range(3 * N)))
    assert (early.turn, early.quiet, early.over, early.reports) == (0, 0, False, FIRST)
    assert {ruling.reason for ruling in early.rulings} == {"not everybody had joined"}
    assert standing(proposal(1, 0, START, moved(0))).reports[0] == moved(0)


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_order_and_repetition_of_reads_change_nothing(seed: int, length: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    log, seconds = [], START
    for block in range(length):
        seconds += rng.choice([0, 1, 5, 59, 60, 61, 300])
        who = rng.randrange(N)
        ppb = rng.choice([AGREEMENT.min_data_ppb, 0, 10**9, 400_000_000])
        log.append(
            Proposal(
                block // 2,
                block % 2,
                seconds,
                AGREEMENT.addresses[who],
                Report(data_ppb=ppb, cpu_hz=FIRST[who].cpu_hz),
            )
        )
    expected = standing(*log)
    read = log + rng.sample(log, rng.randrange(length + 1))
    rng.shuffle(read)
    assert standing(*read) == expected
    # Reading on from any prefix only adds: rulings that were made stand.
    part = standing(*log[: length // 2])
    assert expected.rulings[: len(part.rulings)] == part.rulings
    # Turns never run backwards, and whoever moved did so in its own turn.
    turns = [ruling.turn for ruling in expected.rulings]
    assert turns == sorted(turns)
    for ruling in expected.rulings:
        if ruling.kind != "rejected":
            assert AGREEMENT.addresses[ruling.turn % N] == ruling.proposal.account
