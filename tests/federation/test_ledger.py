"""What was measured: fractions, rounds, weights, by hand."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.federation.messages import NAMES, make_terms
from tests.support import examples

from tradefl.federation import Entry, Ledger

OUTCOMES = ("present", "absent", "failed", "late", "rejected", "empty", "idle")


def entry(number, name, outcome="present", used=0, **fields):
    return Entry(number, name, outcome, samples_used=used, cpu_hz=2e9, **fields)


def test_who_misses_one_of_five_rounds_has_contributed_four_fifths():
    ledger = Ledger(make_terms([10, 10], [0.5, 1.0]))
    for number in range(1, 6):
        missed = number == 3
        ledger.add(
            [
                entry(number, "Alpha", "absent" if missed else "present", 0 if missed else 5),
                entry(number, "Beta", used=10),
            ]
        )
    alpha, beta = ledger.measured()
    assert (alpha.rounds_asked, alpha.rounds_present) == (5, 4)
    assert alpha.measured_fraction == 0.4  # 4/5 of 0.5
    assert alpha.pledged_fraction == 0.5
    assert alpha.samples_used == 5
    assert alpha.weight == 20 / 70
    assert (beta.measured_fraction, beta.weight) == (1.0, 50 / 70)


@pytest.mark.parametrize("outcome", ["absent", "failed", "late", "rejected", "empty"])
def test_a_round_without_its_update_counts_as_asked(outcome):
    ledger = Ledger(make_terms([10]), [entry(1, "Alpha", used=10), entry(2, "Alpha", outcome)])
    (alpha,) = ledger.measured()
    assert (alpha.rounds_asked, alpha.rounds_present, alpha.measured_fraction) == (2, 1, 0.5)


def test_an_idle_round_does_not_count_at_all():
    ledger = Ledger(make_terms([10]), [entry(1, "Alpha", used=10), entry(2, "Alpha", "idle")])
    (alpha,) = ledger.measured()
    assert (alpha.rounds_asked, alpha.rounds_present, alpha.measured_fraction) == (1, 1, 1.0)


def test_nobody_and_nothing_divide_by_zero():
    ledger = Ledger(make_terms([10, 10]))
    assert [one.weight for one in ledger.measured()] == [0.0, 0.0]
    assert [one.measured_fraction for one in ledger.measured()] == [0.0, 0.0]
    assert [one.cpu_hz for one in ledger.measured()] == [2e9, 2e9]
    ledger.add([entry(1, "Alpha", "idle"), entry(1, "Beta", "absent")])
    assert [one.rounds_asked for one in ledger.measured()] == [0, 1]
    assert [one.measured_fraction for one in ledger.measured()] == [0.0, 0.0]


def test_times_levels_and_samples_over_rounds():
    ledger = Ledger(
        make_terms([10]),
        [
            entry(1, "Alpha", used=4, seconds=1.5, modelled_seconds=20.0),
            dataclasses.replace(
                entry(2, "Alpha", used=7, seconds=2.0, modelled_seconds=30.0), cpu_hz=1e9
            ),
            dataclasses.replace(
                entry(3, "Alpha", "late", seconds=4.0, modelled_seconds=90.0), cpu_hz=0.5e9
            ),
        ],
    )
    (alpha,) = ledger.measured()
    assert alpha.samples_used == 7  # the most in one round
    assert alpha.seconds == 7.5
    assert alpha.modelled_seconds == 90.0
    assert alpha.cpu_hz == 1e9  # of the rounds in which it was present
    assert alpha.samples_held == 10


def test_incidents_are_what_has_a_reason_and_rounds_are_kept_apart():
    one = entry(1, "Alpha", "absent", reason="no reply in time")
    two = entry(1, "Beta", used=3)
    three = entry(2, "Beta", used=2, reason="used 2 samples, its pledge is 3")
    ledger = Ledger(make_terms([10, 10]), [one, two, three])
    assert ledger.incidents == [one, three]
    assert ledger.of_round(1) == [one, two]
    assert ledger.of_round(2) == [three]
    assert ledger.of_round(3) == []


@examples(100)
@given(data=st.data(), n=st.integers(1, 8), rounds=st.integers(0, 6))
def test_weights_sum_to_one_and_nobody_measures_more_than_all(data, n, rounds):
    held = data.draw(st.lists(st.integers(1, 10**9), min_size=n, max_size=n))
    ledger = Ledger(make_terms(held))
    for number in range(1, rounds + 1):
        row = []
        for i in range(n):
            outcome = data.draw(st.sampled_from(OUTCOMES))
            used = data.draw(st.integers(1, held[i])) if outcome == "present" else 0
            row.append(entry(number, NAMES[i], outcome, used))
        ledger.add(row)
    measured = ledger.measured()
    assert [one.name for one in measured] == list(NAMES[:n])
    any_present = any(one.outcome == "present" for one in ledger.entries)
    assert sum(one.weight for one in measured) == pytest.approx(float(any_present), abs=1e-12)
    for i, one in enumerate(measured):
        own = [e for e in ledger.entries if e.organization == NAMES[i]]
        assert 0.0 <= one.measured_fraction <= 1.0
        assert one.rounds_present <= one.rounds_asked <= rounds
        assert one.rounds_asked == sum(e.outcome != "idle" for e in own)
        assert one.rounds_present == sum(e.outcome == "present" for e in own)
        assert (one.weight > 0.0) == (one.rounds_present > 0)


def test_a_ledger_survives_json_to_the_last_bit():
    terms = make_terms([10, 10])
    ledger = Ledger(
        terms,
        [
            entry(1, "Alpha", used=3, samples_claimed=3, seconds=0.1 + 0.2, update_sha256="ab"),
            entry(1, "Beta", "failed", reason="its app failed: Ä\n\x00"),
        ],
    )
    back = Ledger.from_list(terms, json.loads(json.dumps(ledger.to_list(), allow_nan=False)))
    assert back.entries == ledger.entries
    assert back.measured() == ledger.measured()


def test_a_ledger_does_not_share_the_list_that_it_is_made_of():
    entries = [entry(1, "Alpha", used=3)]
    ledger = Ledger(make_terms([10]), entries)
    ledger.add([entry(2, "Alpha", used=3)])
    assert len(entries) == 1
