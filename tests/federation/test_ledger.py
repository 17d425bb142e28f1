"""What was measured: fractions, rounds, weights, by hand."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.federation.messages import NAMES, make_terms
from tests.support import examples

from tradefl.federation import Entry, Ledger
from tradefl.federation.ledger import CREDITED, OUTCOMES, Evidence, Flag


def entry(number, name, outcome="aggregated", used=0, **fields):
    # The weight in a round of one; what matters to the ledger is that there is one.
    weight = 1.0 if outcome == "aggregated" else None
    return Entry(
        number, name, outcome, samples_used=used, cpu_hz=2e9, **({"weight": weight} | fields)
    )


def test_who_misses_one_of_five_rounds_has_contributed_four_fifths():
    ledger = Ledger(make_terms([10, 10], [0.5, 1.0]))
    for number in range(1, 6):
        missed = number == 3
        ledger.add(
            [
                entry(number, "Alpha", "absent" if missed else "aggregated", 0 if missed else 5),
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


@pytest.mark.parametrize("outcome", ["absent", "late", "rejected"])
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
    assert [organization.weight for organization in ledger.measured()] == [0.0, 0.0]
    assert [organization.measured_fraction for organization in ledger.measured()] == [0.0, 0.0]
    assert [organization.cpu_hz for organization in ledger.measured()] == [2e9, 2e9]
    ledger.add([entry(1, "Alpha", "idle"), entry(1, "Beta", "absent")])
    assert [organization.rounds_asked for organization in ledger.measured()] == [0, 1]
    assert [organization.measured_fraction for organization in ledger.measured()] == [0.0, 0.0]


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
            used = data.draw(st.integers(1, held[i])) if outcome in CREDITED else 0
            row.append(entry(number, NAMES[i], outcome, used))
        ledger.add(row)
    measured = ledger.measured()
    assert [organization.name for organization in measured] == list(NAMES[:n])
    any_present = any(entry.outcome == "aggregated" for entry in ledger.entries)
    assert sum(organization.weight for organization in measured) == pytest.approx(
        float(any_present), abs=1e-12
    )
    for i, element in enumerate(measured):
        own = [e for e in ledger.entries if e.organization == NAMES[i]]
        assert 0.0 <= element.measured_fraction <= 1.0
        assert element.rounds_present <= element.rounds_asked <= rounds
        assert element.rounds_asked == sum(e.outcome != "idle" for e in own)
        assert element.rounds_present == sum(e.outcome == "aggregated" for e in own)
        assert element.rounds_credited == sum(e.outcome in CREDITED for e in own)
        assert (element.measured_fraction > 0.0) == (element.rounds_credited > 0)
        assert (element.weight > 0.0) == (element.rounds_present > 0)


def test_a_ledger_survives_json_to_the_last_bit():
    terms = make_terms([10, 10])
    ledger = Ledger(
        terms,
        [
            entry(1, "Alpha", used=3, samples_claimed=3, seconds=0.1 + 0.2, update_sha256="ab"),
            entry(
                1,
                "Beta",
                "rejected",
                reason="its app failed: Ä\n\x00",
                norm=0.1 + 0.2,
                cosine=-1 / 3,
                flags=(Flag("outlier", "certain", "1e9"), Flag("copied", "likely", "of 'Alpha'")),
                verdict="attributed",
                evidence=Evidence(2.3, None, 1 / 3, None, 0.5, 1e9, None),
            ),
        ],
    )
    back = Ledger.from_list(terms, json.loads(json.dumps(ledger.to_list(), allow_nan=False)))
    assert back.entries == ledger.entries
    assert back.measured() == ledger.measured()


def test_what_was_delivered_is_credited_whatever_became_of_it():
    ledger = Ledger(
        make_terms([10]),
        [
            entry(1, "Alpha", used=10),
            entry(2, "Alpha", "excluded", used=10),
            entry(3, "Alpha", "rolled back", used=10),
            entry(4, "Alpha", "rejected"),
        ],
    )
    (alpha,) = ledger.measured()
    assert (alpha.rounds_asked, alpha.rounds_present, alpha.rounds_credited) == (4, 1, 3)
    assert alpha.measured_fraction == 0.75
    assert alpha.weight == 1.0


def test_without_a_weighted_mean_nobody_has_a_weight():
    ledger = Ledger(make_terms([10, 10]), [entry(1, "Alpha", used=3, weight=None)])
    assert [organization.weight for organization in ledger.measured()] == [None, None]
    assert [organization.measured_fraction for organization in ledger.measured()] == [0.3, 0.0]


@pytest.mark.parametrize(
    ("earlier", "now"), [("present", "aggregated"), ("failed", "rejected"), ("empty", "rejected")]
)
def test_the_words_of_earlier_versions_are_read(earlier, now):
    written = {
        "round": 1,
        "organization": "Alpha",
        "outcome": earlier,
        "samples_claimed": 3,
        "samples_used": 3 if now == "aggregated" else 0,
        "seconds": 0.5,
        "modelled_seconds": 20.0,
        "cpu_hz": 2e9,
        "update_sha256": "ab",
        "reason": "",
    }
    read = Entry.from_dict(written)
    assert (read.outcome, read.samples_used) == (now, written["samples_used"])
    assert (read.flags, read.verdict, read.evidence) == ((), "", None)


@pytest.mark.parametrize(
    "change",
    [
        {"round": 0},
        {"round": -5},
        {"round": "1"},
        {"round": 1.5},
        {"organization": 7},
        {"outcome": "praised"},
        {"samples_used": -1},
        {"samples_claimed": -1},
        {"samples_used": 3, "outcome": "absent"},
        {"seconds": float("nan")},
        {"flags": ["outlier"]},
        {"flags": [{"kind": "ugly", "confidence": "certain", "detail": ""}]},
        {"verdict": "guilty"},
        {"evidence": {"loss_before": 1.0}},
        {"__class__": "Entry"},
    ],
    ids=repr,
)
def test_what_is_no_entry_is_refused(change):
    good = entry(1, "Alpha", used=3).to_dict()
    assert Entry.from_dict(good) == entry(1, "Alpha", used=3)
    with pytest.raises(ValueError, match=r"."):
        Entry.from_dict(good | change)


def test_an_entry_tells_its_story():
    flag = Flag("outlier", "likely", "40 times as long as is usual")
    plain, flagged = entry(1, "Alpha", used=3), entry(1, "Alpha", used=3, flags=(flag,))
    assert (plain.incident, plain.story) == (False, "")
    assert (flagged.incident, flagged.reason) == (True, "")
    assert flagged.story == "outlier (likely): 40 times as long as is usual"
    both = dataclasses.replace(flagged, reason="used 3 samples but pledged 4")
    assert both.story == "used 3 samples but pledged 4; " + flagged.story


def test_a_ledger_of_strangers_is_refused():
    with pytest.raises(ValueError, match="no organization 'Beta'"):
        Ledger.from_list(make_terms([10]), [entry(1, "Beta", used=3).to_dict()])


def test_a_ledger_does_not_share_the_list_that_it_is_made_of():
    entries = [entry(1, "Alpha", used=3)]
    ledger = Ledger(make_terms([10]), entries)
    ledger.add([entry(2, "Alpha", used=3)])
    assert len(entries) == 1
