"""What an organization owes, which samples these are, and what it sends besides its update."""

import math
from fractions import Fraction

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from hypothesis import given
from hypothesis import strategies as st
from tests.federation.messages import APP_FAILED, in_a_run
from tests.support import examples

from tradefl.federation import (
    ContributingApp,
    Pledge,
    contribution_mod,
    pledge_of,
    pledged_indices,
    profile,
)
from tradefl.federation.client import round_seed
from tradefl.federation.pledge import (
    PROFILE,
    PROFILE_QUERY,
    RECEIPT,
    chosen_samples,
    samples_owed,
)
from tradefl.federation.updates import with_pledge

HELD = st.integers(1, 2**53)
NAMES = st.text(min_size=1, max_size=300).filter(lambda name: name.isprintable())


def pledge(name="Alpha", d=0.5, held=100, seed=0):
    return Pledge(name, d, 2e9, held, seed)


# --- how many -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("d", "held", "owed"),
    [
        (1.0, 7, 7),
        (0.5, 8, 4),
        (0.5, 7, 4),  # 3.5, rounded up: whoever delivers keeps its pledge
        (0.25, 9, 3),
        (0.01, 10, 1),  # 0.1 of a sample is one
        (1e-300, 10, 1),
        (0.1 + 0.2, 10, 3),  # 0.30000000000000004
        (0.07, 100, 7),  # 7.000000000000001 in doubles
        (0.57, 100, 57),  # 56.99999999999999
        (1.0, 1, 1),
    ],
)
def test_samples_owed_by_hand(d, held, owed):
    assert samples_owed(d, held) == owed
    assert pledge(d=d, held=held).samples_owed == owed


@examples(300)
@given(d=st.floats(0.0, 1.0, exclude_min=True), held=HELD)
def test_samples_owed_is_the_share_rounded_up(d, held):
    owed = samples_owed(d, held)
    exact = Fraction(d) * held
    assert 1 <= owed <= held
    # Short of the share by the rounding of doubles at most, beyond it by less than a sample.
    assert owed >= exact * (1 - Fraction(2, 10**12))
    assert owed < exact + 1 or owed == 1


@examples(300)
@given(held=st.integers(1, 10**9), data=st.data())
def test_a_share_of_whole_samples_is_that_many(held, data):
    k = data.draw(st.integers(1, held))
    assert samples_owed(k / held, held) == k
    assert samples_owed(math.nextafter(k / held, 2.0), held) == min(k, held)
    assert samples_owed(math.nextafter(k / held, 0.0), held) == k


@examples(100)
@given(held=HELD)
def test_all_is_all(held):
    assert samples_owed(1.0, held) == held


@examples(100)
@given(ds=st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=2), held=st.integers(1, 10**6))
def test_who_pledges_more_owes_no_less(ds, held):
    low, high = sorted(ds)
    assert samples_owed(low, held) <= samples_owed(high, held)


# --- which --------------------------------------------------------------------------------------


@examples(60)
@given(name=NAMES, seed=st.integers(0, 2**63 - 1), held=st.integers(1, 400), data=st.data())
def test_chosen_samples_are_distinct_sorted_in_range_and_as_many_as_owed(name, seed, held, data):
    d = data.draw(st.floats(0.01, 1.0))
    own = pledge(name, d, held, seed)
    chosen = chosen_samples(own, held)
    assert chosen.dtype == np.int64
    assert len(chosen) == own.samples_owed
    assert np.all(np.diff(chosen) > 0)
    assert chosen[0] >= 0
    assert chosen[-1] < held
    np.testing.assert_array_equal(chosen, chosen_samples(own, held))


def test_the_choice_differs_by_organization_and_by_seed():
    names = ["Alpha", "Alphb", "alpha", "A", "", "Ä" * 40, "Ä" * 41, "日本"]
    choices = {
        (name, seed): tuple(chosen_samples(pledge(name, 0.5, 200, seed), 200))
        for name in names
        for seed in (0, 1, 2**40)
    }
    assert len(set(choices.values())) == len(choices)


def test_the_choice_is_spread_over_all_samples():
    counts = np.zeros(50)
    for seed in range(200):
        counts[chosen_samples(pledge(d=0.2, held=50, seed=seed), 50)] += 1
    # 200 times 10 of 50: each 40 times in the mean, standard deviation 5.7.
    assert counts.sum() == 2000
    assert counts.min() > 15
    assert counts.max() < 65


def test_a_larger_pledge_keeps_the_samples_of_a_smaller():
    small = set(chosen_samples(pledge(d=0.3), 100))
    assert small < set(chosen_samples(pledge(d=0.6), 100))


@pytest.mark.parametrize(
    ("available", "expected"), [(100, 50), (60, 50), (50, 50), (20, 20), (0, 0)]
)
def test_who_has_fewer_samples_than_agreed_owes_the_same_number_of_them(available, expected):
    chosen = chosen_samples(pledge(d=0.5, held=100), available)
    assert len(chosen) == expected
    assert len(set(chosen)) == expected
    assert all(0 <= k < available for k in chosen)


# --- what travels -------------------------------------------------------------------------------


@examples(60)
@given(name=NAMES, d=st.floats(0.01, 1.0), held=HELD, seed=st.integers(0, 2**63 - 1))
def test_a_pledge_survives_its_record(name, d, held, seed):
    own = pledge(name, d, held, seed)
    travelled = ConfigRecord(own.to_record())
    assert Pledge.from_record(travelled) == own
    assert travelled["samples-owed"] == own.samples_owed


@pytest.fixture(autouse=True)
def _in_a_run():
    with in_a_run():
        yield


def message(own=None, kind="train"):
    content = RecordDict({"config": ConfigRecord({"server-round": 4})})
    return Message(content if own is None else with_pledge(content, own.to_record()), 5, kind)


def context(**node_config):
    return Context(7, 5, node_config, RecordDict(), {})


def trained(message, context):
    records = RecordDict({"metrics": MetricRecord({"num-examples": 3})})
    return Message(records, reply_to=message)


def test_the_pledge_of_a_message():
    own = pledge("Beta", 0.25, 40, 3)
    assert pledge_of(message(own)) == own
    with pytest.raises(KeyError):
        pledge_of(message())


def test_pledged_indices_are_the_choice_or_without_a_pledge_everything():
    own = pledge("Beta", 0.25, 40, 3)
    np.testing.assert_array_equal(pledged_indices(message(own), 40), chosen_samples(own, 40))
    np.testing.assert_array_equal(pledged_indices(message(), 4), [0, 1, 2, 3])


def test_the_mod_adds_a_receipt_that_was_measured(monkeypatch):
    from tradefl.federation import client

    clock = iter([100.0, 102.5])
    monkeypatch.setattr(client.time, "perf_counter", lambda: next(clock))
    reply = contribution_mod(message(pledge("Beta")), context(), trained)
    assert dict(reply.content[RECEIPT]) == {
        "organization": "Beta",
        "seconds": 2.5,
        "round": 4,
    }
    assert reply.content["metrics"] == {"num-examples": 3}


@pytest.mark.parametrize("level", [1e9, 1_000_000_000])
def test_the_mod_reports_the_level_of_the_node_config(level):
    reply = contribution_mod(message(pledge()), context(**{"cpu-hz": level}), trained)
    assert reply.content[RECEIPT]["cpu-hz"] == 1e9
    assert type(reply.content[RECEIPT]["cpu-hz"]) is float


def test_a_receipt_of_the_apps_own_does_not_stand():
    def forging(message, context):
        forged = ConfigRecord({"cpu-hz": 4e9, "seconds": 0.0})
        return Message(RecordDict({RECEIPT: forged}), reply_to=message)

    reply = contribution_mod(message(pledge("Beta")), context(), forging)
    assert set(reply.content[RECEIPT]) == {"organization", "seconds", "round"}


def test_the_mod_leaves_errors_and_what_has_no_pledge_alone():
    def failing(message, context):
        return Message(Error(APP_FAILED, "no data"), reply_to=message)

    assert contribution_mod(message(pledge()), context(), failing).has_error()
    assert RECEIPT not in contribution_mod(message(), context(), trained).content


@pytest.mark.parametrize(
    "config",
    [
        {"organization": "Alpha"},
        {"partition-id": 3},
        {"organization": "Alpha", "partition-id": 3},
        {},
    ],
)
def test_the_profile_is_what_the_node_config_says_and_no_more(config):
    answer = profile(message(), context(**config, secret="x", **{"cpu-hz": 1e9}))  # noqa: S106
    assert dict(answer.content[PROFILE]) == config


def test_a_contributing_app_answers_the_query_and_adds_the_receipt():
    calls = []

    def own_mod(message, context, call_next):
        calls.append(RECEIPT)
        reply = call_next(message, context)
        assert RECEIPT not in reply.content  # ours is outside
        return reply

    app = ContributingApp(mods=[own_mod])
    app.train()(trained)
    assert isinstance(app, ClientApp)
    answer = app(message(kind=PROFILE_QUERY), context(organization="Beta"))
    assert dict(answer.content[PROFILE]) == {"organization": "Beta"}
    assert calls == []  # the query is none of the mods' business
    reply = app(message(pledge("Beta")), context())
    assert reply.content[RECEIPT]["organization"] == "Beta"
    assert reply.content[RECEIPT]["seconds"] >= 0.0
    assert calls == [RECEIPT]


def test_the_seed_of_a_round_depends_on_organization_round_and_seed():
    seeds = {
        round_seed(pledge(name, seed=seed), number)
        for name in ("Alpha", "Beta", "Ä")
        for seed in (0, 1, 2**62)
        for number in (1, 2, 3)
    }
    assert len(seeds) == 27
    assert round_seed(pledge(), 1) == round_seed(pledge(d=0.1, held=3), 1)
