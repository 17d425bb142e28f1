"""The strategy, with hand-made messages: weights, deadlines, replies that are not in order."""

import hashlib
import io
import itertools
import json
import logging
import math
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAdam, FedAvg, FedAvgM, FedMedian, FedProx, Result
from tests.federation.messages import (
    APP_FAILED,
    NAMES,
    NODE_UNAVAILABLE,
    FakeGrid,
    Federation,
    content,
    in_a_run,
    make_terms,
    node_of,
    raw,
    record,
    same,
    unchecked,
)

from tradefl.federation import Terms, TradeFL, pledge_of
from tradefl.federation import members as module
from tradefl.federation.members import NobodyTakesPartError
from tradefl.federation.pledge import PLEDGE, PROFILE, RECEIPT, own_code


@pytest.fixture(autouse=True)
def _in_a_run():
    with in_a_run():
        yield


@pytest.fixture
def logged(caplog):
    """What Flower's logger is told, as text."""
    caplog.set_level(logging.INFO, logger="flwr")
    return lambda: [entry.getMessage() for entry in caplog.records if entry.name == "flwr"]


def w(*values):
    return {"w": np.array(values, np.float32)}


def three(**settings):
    """Alpha owes 4 of 8, Beta 2 of 8, Gamma 10 of 10: weights in sixteenths, exact in binary."""
    return Federation(make_terms([8, 8, 10], [0.5, 0.25, 1.0]), **settings)


# --- weights: Eq. (3) with E7 -------------------------------------------------------------------


def test_weights_are_the_samples_used_over_their_sum():
    fed = three()
    fed.ask()
    replies = [
        fed.reply(0, w(16.0, 0.0), 4, loss=1.0),
        fed.reply(1, w(0.0, 16.0), 2, loss=2.0),
        fed.reply(2, w(16.0, 32.0), 10, loss=4.0),
    ]
    # 4/16, 2/16 and 10/16: (4 + 0 + 10, 0 + 2 + 20), and 0.25 + 0.25 + 2.5.
    assert fed.end(replies)["w"].tolist() == [14.0, 22.0]
    assert fed.metrics == {"loss": 3.0}
    measured = fed.strategy.ledger.measured()
    assert [organization.weight for organization in measured] == [4 / 16, 2 / 16, 10 / 16]
    assert [organization.measured_fraction for organization in measured] == [0.5, 0.25, 1.0]
    assert all(entry.reason == "" for entry in fed.strategy.ledger.entries)


def test_who_used_less_weighs_less_and_is_reported():
    fed = three()
    fed.ask()
    model = fed.end([fed.reply(0, w(8.0, 0.0), 4), fed.reply(2, w(0.0, 8.0), 4)])
    assert model["w"].tolist() == [4.0, 4.0]  # 4 each, not 4 and 10
    assert fed.entry(2).outcome == "aggregated"
    assert fed.entry(2).samples_used == 4
    assert fed.entry(2).reason == "used 4 samples but pledged 10"
    assert fed.entry(0).reason == ""


def test_nobody_can_claim_more_than_it_pledged():
    fed = three()
    fed.ask()
    replies = [
        fed.reply(0, w(16.0, 0.0), 8),  # all that it holds, not what it pledged
        fed.reply(1, w(0.0, 16.0), 9),  # more than it holds
        fed.reply(2, w(16.0, 32.0), 10),
    ]
    assert fed.end(replies)["w"].tolist() == [14.0, 22.0]  # as if they had kept to 4 and 2
    assert [fed.entry(i).samples_used for i in range(3)] == [4, 2, 10]
    assert [fed.entry(i).samples_claimed for i in range(3)] == [8, 9, 10]
    assert fed.entry(0).reason == "claims 8 samples but pledged 4; capped at 4"
    assert "claims 9 samples but pledged 2 and holds 8; capped at 2" in fed.entry(1).reason
    assert fed.entry(2).reason == ""
    assert [entry.organization for entry in fed.strategy.ledger.incidents] == ["Alpha", "Beta"]


@pytest.mark.parametrize("claim", [1e300, 2**62, 10**400], ids=["1e300", "2^62", "10^400"])
def test_a_claim_beyond_all_bounds_is_capped_or_refused_and_harms_nobody(claim):
    fed = three()
    fed.ask()
    lie = fed.answer(1, content(w(0.0, 16.0), unchecked({"num-examples": claim})))
    model = fed.end([fed.reply(0, w(16.0, 0.0), 4), lie, fed.reply(2, w(16.0, 32.0), 10)])
    assert fed.entry(1).samples_used <= 2
    assert fed.entry(1).reason != ""
    capped, refused = [14.0, 22.0], [16.0, np.float32(320 / 14)]
    assert model["w"].tolist() == (capped if fed.entry(1).outcome == "aggregated" else refused)


def test_the_metric_that_the_wrapped_strategy_weighs_by_is_the_one_that_is_held_to_account():
    fed = three(inner=FedAvg(weighted_by_key="n", min_train_nodes=1, min_available_nodes=1))
    fed.ask()
    replies = [
        fed.reply(0, w(16.0, 0.0), 7, n=400),
        fed.reply(1, w(0.0, 16.0), 7, n=2),
        fed.reply(2, w(16.0, 32.0), 7, n=10),
    ]
    assert fed.end(replies)["w"].tolist() == [14.0, 22.0]
    assert fed.entry(0).samples_claimed == 400


def test_the_order_of_replies_does_not_show_in_the_last_bit():
    rng = np.random.default_rng(1)
    updates = [{"w": rng.normal(size=(7, 3)).astype(np.float32)} for _ in range(4)]
    terms = make_terms([97, 13, 61, 5], [0.3, 0.9, 0.7, 1.0])
    results, ledgers = [], []
    for order in itertools.permutations(range(4)):
        fed = Federation(terms, model={"w": np.zeros((7, 3), np.float32)})
        fed.ask()
        owed = [pledge.samples_owed for pledge in terms.pledges]
        model = fed.end([fed.reply(i, updates[i], owed[i], loss=0.1 * (i + 1)) for i in order])
        results.append((model["w"].tobytes(), fed.metrics["loss"]))
        ledgers.append(fed.strategy.ledger.to_list())
    assert len(set(results)) == 1
    assert all(ledger == ledgers[0] for ledger in ledgers)
    # It would show if nobody had sorted them: the test can fail.
    plain = FedAvg()
    fed = Federation(terms, model={"w": np.zeros((7, 3), np.float32)})
    fed.ask()
    replies = [fed.reply(i, updates[i], terms.pledges[i].samples_owed) for i in range(4)]
    assert (
        len(
            {
                plain.aggregate_train(1, order)[0]["w"].data
                for order in itertools.permutations(replies)
            }
        )
        > 1
    )


# --- with all d_i = 1: Flower's own, to the last bit --------------------------------------------

STRATEGIES = {
    "fedavg": lambda: FedAvg(min_train_nodes=1, min_available_nodes=1),
    "fedprox": lambda: FedProx(min_train_nodes=1, min_available_nodes=1, proximal_mu=0.3),
    "fedadam": lambda: FedAdam(min_train_nodes=1, min_available_nodes=1, eta=0.03),
}


def in_precision_of(model, theirs):
    """Return Flower's aggregate in the precision of the run: FedAdam makes doubles.

    Counters stay whole, where Flower averages them to fractions.
    """
    kinds = {key: np.asarray(value).dtype for key, value in model.items()}
    arrays = {key: value.numpy() for key, value in theirs.items()}
    return {
        key: (np.rint(value) if kinds[key].kind in "iu" else value).astype(kinds[key])
        for key, value in arrays.items()
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", STRATEGIES)
def test_with_all_data_pledged_it_is_flowers_own_bit_for_bit(name, dtype):
    rng = np.random.default_rng(7)
    held = [1037, 411, 2203, 17, 960]

    def arrays():
        return {
            "conv.weight": rng.normal(size=(6, 3, 3, 3)).astype(dtype),
            "bn.running_var": rng.uniform(0.5, 2.0, 6).astype(dtype),
            "scale": np.asarray(rng.normal(), dtype),  # shape ()
            "steps": np.asarray(rng.integers(0, 1000), np.int64),
            "fc.bias": 1e-4 * rng.normal(size=10).astype(dtype),
        }

    ours, plain = STRATEGIES[name](), STRATEGIES[name]()
    fed = Federation(make_terms(held), ours, model=arrays())
    for number in (1, 2, 3):
        messages = fed.ask()
        plain.configure_train(number, record(fed.model), ConfigRecord(), fed.grid)
        assert sorted(messages) == list(range(5))
        replies = [
            fed.reply(i, arrays(), held[i], receipt={"seconds": 0.1}, loss=float(rng.normal()))
            for i in range(5)
        ]
        theirs, metrics = plain.aggregate_train(number, list(replies))
        rng.shuffle(replies)
        model = fed.end(replies)
        assert same(model, in_precision_of(fed.model, theirs))
        assert fed.metrics == metrics
        assert fed.metrics["loss"] == metrics["loss"]
        fed.model = model
    for key in ("m_t", "v_t"):
        if name == "fedadam":
            assert same(getattr(ours, key), getattr(plain, key))
            assert any(np.any(value) for value in getattr(ours, key).values())


def test_fedprox_tells_its_mu_and_every_message_the_round():
    fed = Federation(make_terms([4, 4]), STRATEGIES["fedprox"]())
    for number in (1, 2):
        for message in fed.ask().values():
            assert message.content["config"]["proximal-mu"] == 0.3
            assert message.content["config"]["server-round"] == number


def test_a_training_that_continues_counts_its_rounds_on():
    seen = []
    fed = Federation(make_terms([4, 4]), STRATEGIES["fedadam"](), rounds_done=3)
    message = fed.ask()[0]
    assert message.content["config"]["server-round"] == 4
    model = fed.end([fed.reply(0, w(1.0, 2.0), 4), fed.reply(1, w(3.0, 2.0), 4)])
    assert {entry.round for entry in fed.strategy.ledger.entries} == {4}
    # FedAdam's rate depends on the round: it must be the fourth, not the first.
    plain = STRATEGIES["fedadam"]()
    plain.configure_train(4, record(fed.model), ConfigRecord(), fed.grid)
    replies = [fed.reply(0, w(1.0, 2.0), 4), fed.reply(1, w(3.0, 2.0), 4)]
    assert same(model, in_precision_of(fed.model, plain.aggregate_train(4, replies)[0]))
    fed.strategy.start(
        fed.grid,
        record(fed.model),
        num_rounds=0,
        evaluate_fn=lambda number, _: seen.append(number),
    )
    assert seen == [3]


# --- what is told to each node ------------------------------------------------------------------


def test_each_node_is_told_its_own_pledge_and_the_shared_content_is_left_alone():
    terms = make_terms([8, 10, 7], [0.5, 1.0, 0.3], seed=11)
    shared = []

    class Watched(FedAvg):
        def configure_train(self, *args):
            shared.extend(super().configure_train(*args))
            return iter(shared)  # an iterable is all that Flower's interface promises

    fed = Federation(terms, Watched(min_train_nodes=1, min_available_nodes=1))
    messages = fed.strategy.configure_train(1, record(fed.model), ConfigRecord(), fed.grid)
    assert isinstance(messages, list)  # a SuperLink takes no generator
    assert [m.metadata.dst_node_id for m in messages] == [node_of(i) for i in range(3)]
    for i, message in enumerate(messages):
        config = message.content["config"]
        assert config["server-round"] == 1
        assert {k.removeprefix(f"{PLEDGE}."): v for k, v in config.items() if PLEDGE in k} == {
            "organization": NAMES[i],
            "data-fraction": terms.pledges[i].data_fraction,
            "cpu-hz": 2e9,
            "samples-held": terms.pledges[i].samples_held,
            "samples-owed": [4, 10, 3][i],  # 0.3 x 7 = 2.1, rounded up
            "seed": 11,
        }
        assert set(message.content) == {"arrays", "config"}  # one of each: Flower's mods want it so
    assert len(shared) == 3
    for message in shared:
        assert set(message.content["config"]) == {"server-round"}


def test_replies_are_not_changed():
    fed = three()
    fed.ask()
    replies = [
        fed.reply(0, w(1.0, 2.0), 999, receipt={"seconds": 1.0}, only_mine=1.0),
        fed.reply(1, w(3.0, 4.0), 2, loss=1.0),
        fed.reply(2, w(np.nan, 4.0), 10),
    ]
    before = [RecordDict({k: v.copy() for k, v in reply.content.items()}) for reply in replies]
    identities = [id(reply.content) for reply in replies]
    fed.end(replies)
    for reply, old, identity in zip(replies, before, identities, strict=True):
        assert id(reply.content) == identity
        assert list(reply.content) == list(old)
        for key in ("metrics", RECEIPT):
            if key in old:
                assert dict(reply.content[key]) == dict(old[key])
        assert reply.content["arrays"]["w"].data == old["arrays"]["w"].data
    assert fed.entry(0).outcome == "aggregated"  # it was capped, in a message of ours


def test_who_is_not_sampled_is_idle_and_not_punished():
    fed = three(inner=FedAvg(fraction_train=0.4, min_train_nodes=1, min_available_nodes=1))
    asked_once = set()
    for _ in range(12):
        messages = fed.ask()
        assert len(messages) == 1  # int(3 x 0.4)
        (i,) = messages
        asked_once.add(i)
        owed = fed.terms.pledges[i].samples_owed
        assert fed.end([fed.reply(i, w(1.0, 2.0), owed)])["w"].tolist() == [1.0, 2.0]
        for j in range(3):
            entry = fed.entry(j)
            assert entry.outcome == ("aggregated" if j == i else "idle")
            assert entry.reason == ""
    measured = fed.strategy.ledger.measured()
    assert sum(organization.rounds_asked for organization in measured) == 12
    for i, element in enumerate(measured):
        assert element.rounds_present == element.rounds_asked
        if i in asked_once:
            assert element.measured_fraction == pytest.approx(element.pledged_fraction, rel=1e-15)
    assert fed.strategy.ledger.incidents == []


# --- the deadline: Eq. (2) ----------------------------------------------------------------------


def test_the_time_of_eq_2_by_hand():
    # T1 + T3 = 10 s, eta s = 8e10 cycles; d = 0.5 at 2 GHz: 10 + 8e10 x 0.5 / 2e9 = 30 s.
    terms = make_terms([8], [0.5])
    assert terms.modelled_seconds(0, 4, 2e9) == 30.0
    assert terms.modelled_seconds(0, 2, 2e9) == 20.0  # half of what it owes
    assert terms.modelled_seconds(0, 4, 1e9) == 50.0
    assert terms.modelled_seconds(0, 4, 4e9) == 20.0
    # d = 0.3 of 7 samples is 2.1: who uses the 3 that it owes has used d = 0.3, no more.
    rounded = make_terms([7], [0.3])
    assert rounded.modelled_seconds(0, 3, 2e9) == pytest.approx(10.0 + 12.0, rel=1e-15)


@pytest.mark.parametrize(
    ("deadline", "outcome"),
    [
        (30.0, "aggregated"),  # exactly at the deadline
        (30.0 * (1 - 2.0**-52), "aggregated"),  # the last bit of an equilibrium that uses it up
        (30.0 * (1 - 2.0**-45), "late"),
        (29.0, "late"),
        (31.0, "aggregated"),
    ],
)
def test_the_deadline_counts_to_the_last_bits(deadline, outcome):
    fed = Federation(make_terms([8, 8], [0.5, 0.25], deadline=deadline))
    fed.ask()
    model = fed.end([fed.reply(0, w(8.0, 8.0), 4), fed.reply(1, w(2.0, 2.0), 2)])
    assert fed.entry(0).outcome == outcome
    assert fed.entry(0).modelled_seconds == 30.0
    assert fed.entry(1).outcome == "aggregated"  # 20 s
    assert model["w"].tolist() == ([6.0, 6.0] if outcome == "aggregated" else [2.0, 2.0])


def test_a_straggler_is_left_out_recorded_and_contributes_nothing(logged):
    fed = Federation(make_terms([8, 8], [0.5, 0.25], deadline=25.0))
    fed.ask()
    fed.end([fed.reply(0, w(8.0, 8.0), 4, receipt={"seconds": 1.5}), fed.reply(1, w(2, 2), 2)])
    entry = fed.entry(0)
    assert (entry.outcome, entry.samples_used, entry.samples_claimed) == ("late", 0, 4)
    assert entry.seconds == 1.5
    assert len(entry.update_sha256) == 64
    assert entry.reason == "needs 30 s by Eq. (2), the deadline is 25 s"
    assert f"Alpha, round 1: {entry.reason}" in logged()
    alpha, beta = fed.strategy.ledger.measured()
    assert (alpha.rounds_asked, alpha.rounds_present) == (1, 0)
    assert (alpha.measured_fraction, alpha.weight) == (0.0, 0.0)
    assert (beta.measured_fraction, beta.weight) == (0.25, 1.0)


def test_who_uses_less_data_is_in_time():
    fed = Federation(make_terms([8, 8], [0.5, 0.25], deadline=25.0))
    fed.ask()
    fed.end([fed.reply(0, w(8.0, 8.0), 3), fed.reply(1, w(2, 2), 2)])
    assert (fed.entry(0).outcome, fed.entry(0).modelled_seconds) == ("aggregated", 25.0)


def test_a_claim_beyond_the_pledge_makes_nobody_late():
    fed = Federation(make_terms([8], [0.5], deadline=30.0))
    fed.ask()
    fed.end([fed.reply(0, w(8.0, 8.0), 8)])  # d = 1 would take 50 s, but 0.5 counts
    assert (fed.entry(0).outcome, fed.entry(0).samples_used) == ("aggregated", 4)


def test_a_lower_cpu_level_is_recorded_and_makes_late():
    for deadline, outcome in ((50.0, "aggregated"), (49.0, "late")):
        fed = Federation(make_terms([8], [0.5], deadline=deadline))
        fed.ask()
        fed.end([fed.reply(0, w(8.0, 8.0), 4, receipt={"cpu-hz": 1e9})])
        entry = fed.entry(0)
        assert (entry.outcome, entry.cpu_hz, entry.modelled_seconds) == (outcome, 1e9, 50.0)
        assert entry.reason.startswith("ran at 1e+09 Hz, pledged 2e+09 Hz")
        assert ("the deadline is 49 s" in entry.reason) == (outcome == "late")
    assert fed.strategy.ledger.measured()[0].cpu_hz == 2e9  # it was never present
    fed = Federation(make_terms([8], [0.5]))
    for level in (None, 1e9, None):
        fed.ask()
        receipt = {} if level is None else {"cpu-hz": level}
        fed.end([fed.reply(0, w(8.0, 8.0), 4, receipt=receipt)])
    assert [entry.cpu_hz for entry in fed.strategy.ledger.entries] == [2e9, 1e9, 2e9]
    assert fed.strategy.ledger.measured()[0].cpu_hz == 1e9


@pytest.mark.parametrize("level", [1.5e9, 0.0, 5e-324, math.nextafter(2e9, 0.0)])
def test_a_level_that_it_does_not_have_is_rejected(level):
    fed = three()
    fed.ask()
    liar = fed.reply(0, w(99.0, 99.0), 4, receipt={"cpu-hz": level})
    model = fed.end([liar, fed.reply(1, w(1.0, 1.0), 2)])
    assert fed.entry(0).outcome == "rejected"
    assert "not one of its levels" in fed.entry(0).reason
    assert fed.entry(0).samples_used == 0
    assert model["w"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("level", [4e9, 2e9, 1e300, math.nan, math.inf, "fast", True, -1e9])
def test_no_level_makes_anybody_faster_than_its_pledge(level):
    fed = Federation(make_terms([8], [0.5], deadline=29.0))
    fed.ask()
    fed.end([fed.reply(0, w(8.0, 8.0), 4, receipt={"cpu-hz": level})])
    entry = fed.entry(0)
    assert entry.outcome in ("late", "rejected")
    assert entry.cpu_hz == 2e9


def test_without_a_deadline_nobody_is_late():
    fed = Federation(make_terms([8], [0.5], deadline=1.0), deadline="off")
    fed.ask()
    fed.end([fed.reply(0, w(8.0, 8.0), 4, receipt={"cpu-hz": 1e9})])
    assert (fed.entry(0).outcome, fed.entry(0).modelled_seconds) == ("aggregated", 50.0)


@pytest.mark.parametrize(
    ("deadline", "tau", "timeout", "expected"),
    [
        ("wall", 25.0, 3600.0, 25.0),
        ("wall", 25.0, 9.0, 9.0),
        ("model", 25.0, 3600.0, 3600.0),
        ("off", 25.0, 3600.0, 3600.0),
    ],
)
def test_the_deadline_in_real_time_is_the_grids_timeout(deadline, tau, timeout, expected):
    fed = Federation(make_terms([8, 8], deadline=tau), deadline=deadline)

    def trained(message):
        if PROFILE in message.content:
            answer = RecordDict({PROFILE: ConfigRecord({"organization": "Alpha"})})
            return Message(answer, reply_to=message)
        return Message(content(w(1.0, 1.0), {"num-examples": 8}), reply_to=message)

    fed.grid.answers = {900: trained}
    fed.strategy.start(fed.grid, record(fed.model), num_rounds=1, timeout=timeout)
    timeouts = [
        timeout
        for messages, timeout in fed.grid.asked
        if messages and messages[0].metadata.message_type == "train"
    ]
    assert timeouts == [expected]
    # 50 s by Eq. (2): by the clock its reply was in time, by the model it was not.
    (alpha, beta) = fed.strategy.ledger.entries
    assert alpha.outcome == ("late" if deadline == "model" else "aggregated")
    assert (beta.outcome, beta.reason) == ("absent", "not connected")


# --- replies that are not as they should --------------------------------------------------------


def with_two_good(fed, replies):
    """End a round with Alpha's and Gamma's good updates besides; the model of those two alone."""
    model = fed.end([fed.reply(2, w(14.0, 28.0), 10), *replies, fed.reply(0, w(28.0, 0.0), 4)])
    expected = np.float32([28, 0]) * (4 / 14) + np.float32([14, 28]) * (10 / 14)
    assert model["w"].tobytes() == expected.astype(np.float32).tobytes()
    assert [fed.entry(i).outcome for i in (0, 2)] == ["aggregated", "aggregated"]
    assert [fed.entry(i).reason for i in (0, 2)] == ["", ""]


def test_who_does_not_answer_is_absent():
    fed = three()
    fed.ask()
    with_two_good(fed, [])
    entry = fed.entry(1)
    assert (entry.outcome, entry.reason) == ("absent", "no reply in time")
    assert (entry.samples_claimed, entry.samples_used, entry.update_sha256) == (None, 0, "")
    assert fed.strategy.ledger.measured()[1].rounds_asked == 1


def test_an_error_is_recorded_by_its_last_line(logged):
    fed = three()
    fed.ask()
    text = "Traceback (most recent call last):\n  File ...\nValueError: no data\n\n"
    with_two_good(fed, [fed.answer(1, Error(APP_FAILED, text))])
    assert fed.entry(1).outcome == "rejected"
    assert fed.entry(1).reason == "its app failed: ValueError: no data"
    assert "Beta, round 1: its app failed: ValueError: no data" in logged()


@pytest.mark.parametrize("reason", [None, "", "  \n "])
def test_an_error_without_words_has_some_in_the_ledger(reason):
    fed = three()
    fed.ask()
    with_two_good(fed, [fed.answer(1, Error(APP_FAILED, reason))])
    assert fed.entry(1).reason == "its app failed: no reason given"


def test_an_error_cannot_flood_the_ledger():
    fed = three()
    fed.ask()
    with_two_good(fed, [fed.answer(1, Error(APP_FAILED, "x" * 100_000))])
    assert len(fed.entry(1).reason) < 300


def test_no_reply_at_all_leaves_the_model_as_it_is():
    fed = three()
    fed.ask()
    assert fed.end([]) is None
    assert fed.metrics is None
    assert {entry.outcome for entry in fed.strategy.ledger.entries} == {"absent"}
    assert [entry.weight for entry in fed.strategy.ledger.measured()] == [0.0, 0.0, 0.0]


def test_an_empty_contribution_is_no_contribution():
    fed = three()
    fed.ask()
    with_two_good(fed, [fed.reply(1, w(99.0, 99.0), 0)])
    assert (fed.entry(1).outcome, fed.entry(1).reason) == ("rejected", "trained on no sample")
    assert fed.entry(1).samples_claimed == 0


@pytest.mark.parametrize("claim", [0, 0.0, -0.0, 0.5, 5e-324])
def test_if_all_are_empty_the_model_stays(claim):
    fed = three()
    fed.ask()
    assert fed.end([fed.reply(i, w(9.0, 9.0), claim) for i in range(3)]) is None
    assert {entry.outcome for entry in fed.strategy.ledger.entries} == {"rejected"}


@pytest.mark.parametrize(
    "claim",
    [-1, -0.5, -(2**62), math.nan, math.inf, -math.inf, True, False, "4", None, [2], [], b"2"],
    ids=repr,
)
def test_a_number_of_samples_that_is_none_is_rejected(claim, logged):
    fed = three()
    fed.ask()
    lie = fed.answer(1, content(w(99.0, 99.0), unchecked({"num-examples": claim})))
    with_two_good(fed, [lie])
    entry = fed.entry(1)
    assert (entry.outcome, entry.samples_claimed, entry.samples_used) == ("rejected", None, 0)
    assert entry.reason == f"expected a number of samples >= 0 as 'num-examples', got {claim!r}"
    assert f"Beta, round 1: {entry.reason}" in logged()


def test_a_missing_number_of_samples_is_rejected():
    fed = three()
    fed.ask()
    with_two_good(fed, [fed.answer(1, content(w(99.0, 99.0), {"samples": 2}))])
    assert fed.entry(1).outcome == "rejected"
    assert "'num-examples', got None" in fed.entry(1).reason


def test_a_second_reply_of_a_node_does_not_count():
    fed = three()
    fed.ask()
    replies = [fed.reply(0, w(16.0, 0.0), 4), fed.reply(1, w(0.0, 16.0), 2)]
    again = fed.reply(1, w(0.0, 99.0), 2)
    model = fed.end([*replies, again, fed.reply(2, w(16.0, 32.0), 10)])
    assert model["w"].tolist() == [14.0, 22.0]
    assert len(fed.strategy.ledger.entries) == 3
    assert fed.strategy.ledger.measured()[1].rounds_asked == 1


def test_a_reply_that_nobody_asked_for_does_not_count():
    fed = three(inner=FedAvg(fraction_train=0.7, min_train_nodes=1, min_available_nodes=1))
    messages = fed.ask()
    (idle,) = {0, 1, 2} - set(messages)
    stranger = Message(content(w(99.0, 99.0), {"num-examples": 10}), 1, "train")
    stranger.metadata.__dict__["_src_node_id"] = 12345
    unasked = Message(content(w(99.0, 99.0), {"num-examples": 2}), 1, "train")
    unasked.metadata.__dict__["_src_node_id"] = node_of(idle)
    assert (stranger.metadata.src_node_id, unasked.metadata.src_node_id) == (12345, node_of(idle))
    replies = [fed.reply(i, w(1.0, 2.0), fed.terms.pledges[i].samples_owed) for i in messages]
    model = fed.end([stranger, unasked, *replies])
    np.testing.assert_array_equal(model["w"], np.float32([1.0, 2.0]))
    assert fed.entry(idle).outcome == "idle"
    assert fed.entry(idle).samples_claimed is None


def npy(array, **settings):
    stream = io.BytesIO()
    np.save(stream, array, **settings)
    return stream.getvalue()


def npz():
    stream = io.BytesIO()
    np.savez(stream, w=np.ones(2, np.float32))
    return stream.getvalue()


def npy_header(text):
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


GOOD = npy(np.ones(2, np.float32))
WRONG_ARRAYS = {
    "nan": ({"w": np.float32([1, np.nan])}, "array 'w' holds a number that is not finite"),
    "inf": ({"w": np.float32([np.inf, 1])}, "array 'w' holds a number that is not finite"),
    "-inf": ({"w": np.float64([-np.inf, 1])}, "array 'w' holds a number that is not finite"),
    "longer": ({"w": np.ones(3, np.float32)}, r"array 'w' has shape \(3,\), expected \(2,\)"),
    "shorter": ({"w": np.ones(1, np.float32)}, r"array 'w' has shape \(1,\), expected \(2,\)"),
    "scalar": ({"w": np.float32(1)}, r"array 'w' has shape \(\), expected \(2,\)"),
    "a column": ({"w": np.ones((2, 1), np.float32)}, r"shape \(2, 1\), expected \(2,\)"),
    "other name": ({"v": np.ones(2, np.float32)}, "other names than the model's"),
    "none": ({}, "other names than the model's"),
    "one more": ({**w(1, 1), "v": np.ones(2)}, "other names than the model's"),
    "text": ({"w": np.array(["1", "2"])}, "array 'w'"),
    "bool": ({"w": np.array([True, False])}, "array 'w'"),
    "complex": ({"w": np.array([1.0, 1.0j])}, "array 'w'"),
    "durations": ({"w": np.array([1, 2], "timedelta64[s]")}, "array 'w'"),
    "dates": ({"w": np.array([1, 2], "datetime64[s]")}, "array 'w'"),
    "records": ({"w": np.zeros(2, [("a", np.float32)])}, "array 'w'"),
    "shape that lies": (
        {"w": raw(npy(np.ones(5, np.float32)), (2,))},
        r"array 'w' has shape \(5,\), expected \(2,\)",
    ),
    "nothing": ({"w": raw(b"", (2,))}, "array 'w' cannot be read"),
    "noise": ({"w": raw(b"\x00\xff" * 99, (2,))}, "array 'w' cannot be read"),
    "cut off": ({"w": raw(GOOD[:-3], (2,))}, "array 'w' cannot be read"),
    "cut off in the header": ({"w": raw(GOOD[:20], (2,))}, "array 'w' cannot be read"),
    "an archive": ({"w": raw(npz(), (2,))}, "array 'w'"),
    "a broken archive": ({"w": raw(b"PK\x03\x04" + b"\x00" * 60, (2,))}, "array 'w'"),
    "a header without end": ({"w": raw(npy_header(b"{'descr': '<f4'"), (2,))}, "array 'w'"),
    "a header that nests": (
        {"w": raw(npy_header(b"(" * 9000 + b"\n"), (2,))},
        "array 'w'",
    ),
    "a header with an open bracket": ({"w": raw(npy_header(b"{'descr': (\n"), (2,))}, "array 'w'"),
    "more than there is memory": (
        {
            "w": raw(
                npy_header(
                    b"{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000000000,), }\n"
                ),
                (2,),
            )
        },
        "array 'w'",
    ),
    "serialized otherwise": (
        {"w": Array("float32", (2,), "torch.Tensor", GOOD)},
        "array 'w' cannot be read",
    ),
}


@pytest.mark.parametrize("what", WRONG_ARRAYS)
def test_an_update_that_does_not_fit_is_rejected_and_the_others_count(what, logged):
    arrays, reason = WRONG_ARRAYS[what]
    fed = three()
    fed.ask()
    with_two_good(fed, [fed.reply(1, arrays, 2)])
    entry = fed.entry(1)
    assert (entry.organization, entry.outcome, entry.samples_used) == ("Beta", "rejected", 0)
    assert re.search(reason, entry.reason)
    assert len(entry.reason) < 1000
    assert f"Beta, round 1: {entry.reason}" in logged()
    json.dumps(fed.strategy.ledger.to_list(), allow_nan=False)
    assert fed.strategy.ledger.measured()[1].measured_fraction == 0.0


class Trap:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("kind", ["pickle", "object array"])
def test_nothing_is_ever_unpickled(kind, tmp_path):
    sprung = tmp_path / "sprung"
    pickle.loads(pickle.dumps(Trap(sprung)))  # noqa: S301
    sprung.rmdir()  # the trap works
    if kind == "pickle":
        data = pickle.dumps(Trap(sprung))
    else:
        data = npy(np.array([Trap(sprung), 1], dtype=object), allow_pickle=True)
    fed = three()
    for dtype in ("float32", "object"):
        fed.ask()
        with_two_good(fed, [fed.reply(1, {"w": raw(data, (2,), dtype)}, 2)])
        assert fed.entry(1).outcome == "rejected"
        assert "array 'w' cannot be read" in fed.entry(1).reason
    assert not sprung.exists()


@pytest.mark.parametrize("records", [(0, 1), (2, 1), (1, 0), (1, 2), (0, 0)])
def test_one_record_of_arrays_and_one_of_metrics_is_what_counts(records):
    fed = three()
    fed.ask()
    arrays, metrics = records
    odd = RecordDict(
        {f"a{k}": record(w(99.0, 99.0)) for k in range(arrays)}
        | {f"m{k}": MetricRecord({"num-examples": 2}) for k in range(metrics)}
    )
    with_two_good(fed, [fed.answer(1, odd)])
    assert fed.entry(1).outcome == "rejected"
    assert f"got {arrays} and {metrics}" in fed.entry(1).reason


def test_records_and_arrays_may_have_names_and_an_order_of_their_own():
    model = {"a": np.zeros(2, np.float32), "b": np.zeros((), np.float32)}
    fed = Federation(make_terms([4, 12]), model=model)
    fed.ask()
    one = RecordDict(
        {
            "weights": record({"b": np.float32(4), "a": np.float32([4, 8])}),
            "arrays": MetricRecord({"num-examples": 4, "loss": 1.0}),
            "metrics": ConfigRecord({"anything": "else"}),
        }
    )
    two = content({"a": np.float32([8, 4]), "b": np.float32(8)}, {"loss": 2.0, "num-examples": 12})
    result = fed.end([fed.answer(0, one), fed.answer(1, two)])
    assert list(result) == ["a", "b"]
    assert result["a"].tolist() == [7.0, 5.0]
    assert result["b"].tolist() == 7.0
    assert fed.metrics == {"loss": 1.75}


def test_metrics_that_differ_spoil_nothing():
    fed = three()
    fed.ask()
    replies = [
        fed.reply(0, w(16.0, 0.0), 4, loss=1.0, mine=3.0, curve=[1.0, 2.0], form=1.0, same=[4, 8]),
        fed.reply(1, w(0.0, 16.0), 2, loss=2.0, curve=[1.0], form=[1.0], same=[8, 16]),
        fed.reply(2, w(16.0, 32.0), 10, loss=4.0, curve=[1.0, 2.0], form=2.0, same=[16, 0]),
    ]
    assert fed.end(replies)["w"].tolist() == [14.0, 22.0]
    assert dict(fed.metrics) == {"loss": 3.0, "same": [12.0, 4.0]}


def test_whole_numbers_are_averaged_as_flower_does():
    model = {"steps": np.asarray(0, np.int64), "table": np.zeros(2, np.int32)}
    fed = Federation(make_terms([4, 12]), model=model)
    fed.ask()
    result = fed.end(
        [
            fed.reply(0, {"steps": np.int64(8), "table": np.int32([4, 0])}, 4),
            fed.reply(1, {"steps": np.int64(16), "table": np.int32([0, 4])}, 12),
        ]
    )
    assert result["steps"].tolist() == 14.0
    assert result["table"].tolist() == [1.0, 3.0]


def test_the_hash_is_of_the_arrays_that_were_sent():
    model = {"b": np.zeros(1, np.float32), "a": np.zeros((40, 50), np.float32)}
    fed = Federation(make_terms([4, 4, 4]), model=model)
    fed.ask()
    a = np.arange(2000, dtype=np.float32).reshape(40, 50)
    sent, other = {"a": a, "b": np.float32([3])}, {"a": a.copy(), "b": np.float32([3])}
    other["a"][-1, -1] = np.nextafter(a[-1, -1], np.float32(0))  # the last bit of the last number
    fed.end([fed.reply(0, sent, 4), fed.reply(1, other, 4), fed.reply(2, sent, 2, loss=9.0)])
    expected = hashlib.sha256(npy(sent["b"]) + npy(sent["a"])).hexdigest()  # in the model's order
    assert [fed.entry(i).update_sha256 == expected for i in range(3)] == [True, False, True]


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0, "long", True, [1.0]])
def test_a_time_that_is_none_does_not_get_into_the_ledger(seconds):
    fed = three()
    fed.ask()
    fed.end([fed.reply(0, w(1.0, 1.0), 4, receipt={"seconds": seconds})])
    assert (fed.entry(0).outcome, fed.entry(0).seconds) == ("aggregated", 0.0)
    json.dumps(fed.strategy.ledger.to_list(), allow_nan=False)


# --- who is who ---------------------------------------------------------------------------------


def asked(fed):
    """Begin a round; return which node stands for which organization."""
    return {
        pledge_of(message).organization: message.metadata.dst_node_id
        for message in fed.ask().values()
    }


def federation_of(n, **settings):
    grid = FakeGrid()
    return Federation(make_terms([4] * n), grid=grid, **settings), grid


def test_a_node_says_who_it_is_by_name_or_by_partition():
    fed, grid = federation_of(3)
    grid.join(5, **{"partition-id": 2})
    grid.join(6, organization="Alpha")
    grid.join(7, organization="Beta", **{"partition-id": 0})  # the name is what counts
    assert asked(fed) == {"Gamma": 5, "Alpha": 6, "Beta": 7}
    assert grid.queries == [[5, 6, 7]]
    assert asked(fed) == {"Gamma": 5, "Alpha": 6, "Beta": 7}
    assert grid.queries == [[5, 6, 7]]  # nobody is asked twice


@pytest.mark.parametrize(
    "profile",
    [
        {"organization": "Omega"},
        {"organization": "alpha"},
        {"organization": ""},
        {"organization": "Omega", "partition-id": 0},
        {"organization": 0},
        {"organization": ["Alpha"]},
        {"partition-id": 2},
        {"partition-id": -1},
        {"partition-id": True},
        {"partition-id": "0"},
        {"partition-id": 0.0},
        {},
    ],
    ids=repr,
)
def test_a_node_that_is_nobody_is_left_out(profile, logged):
    fed, grid = federation_of(2)
    grid.join(5, organization="Beta")
    grid.join(6, **profile)
    assert asked(fed) == {"Beta": 5}
    assert any("node 6 is refused" in line for line in logged())
    fed.end([])
    assert fed.entry(0).outcome == "absent"
    assert fed.entry(0).reason == "not connected"


def test_of_two_nodes_that_claim_one_organization_the_first_is_it(logged):
    fed, grid = federation_of(2)
    grid.join(9, organization="Alpha")
    grid.join(4, organization="Alpha")
    grid.join(7, organization="Beta")
    assert asked(fed) == {"Alpha": 4, "Beta": 7}  # of those who come together, by node id
    assert any("node 9 says it is 'Alpha'" in line and "it waits" in line for line in logged())
    grid.join(3, organization="Beta")
    assert asked(fed) == {"Alpha": 4, "Beta": 7}  # later, who was there first


def test_a_node_without_the_query_is_left_out_with_the_reason(logged):
    fed, grid = federation_of(2)
    grid.join(5, organization="Beta")
    grid.join_failing(6, reason="ValueError: No query function registered")
    assert asked(fed) == {"Beta": 5}
    (line,) = [line for line in logged() if "node 6 is refused" in line]
    assert "No query function registered" in line
    assert "ContributingApp" in line
    asked(fed)
    assert grid.queries == [[5, 6]]


def test_if_nobody_can_be_identified_the_error_says_why():
    fed, grid = federation_of(2)
    with pytest.raises(
        NobodyTakesPartError, match="no organization takes part: no node is connected"
    ):
        fed.ask()
    grid.join_failing(6, reason="no such handler")
    grid.join(7, organization="Omega")
    with pytest.raises(NobodyTakesPartError, match=r"no organization takes part") as error:
        fed.ask()
    assert "ContributingApp" in str(error.value)
    assert "'Omega'" in str(error.value)
    grid.join(8, organization="Beta")  # one is enough
    assert asked(fed) == {"Beta": 8}


def test_if_nodes_are_connected_and_silent_the_error_does_not_say_that_there_are_none():
    fed, grid = federation_of(2)
    grid.join_silent(6)
    with pytest.raises(RuntimeError) as error:
        fed.ask()
    assert "no node is connected" not in str(error.value)


def test_a_silent_node_is_asked_again():
    fed, grid = federation_of(2)
    grid.join(5, organization="Beta")
    grid.join_silent(6)
    assert asked(fed) == {"Beta": 5}
    grid.join(6, organization="Alpha")
    assert asked(fed) == {"Alpha": 6, "Beta": 5}
    assert grid.queries == [[5, 6], [6]]


def test_a_node_whose_connection_failed_is_asked_again():
    # It says nothing about the app: the node went away with the question.
    fed, grid = federation_of(2)
    grid.join(5, organization="Beta")
    grid.join_failing(6, code=NODE_UNAVAILABLE, reason="Node Unavailable")
    assert asked(fed) == {"Beta": 5}
    grid.join(6, organization="Alpha")
    assert asked(fed) == {"Alpha": 6, "Beta": 5}


def test_a_node_that_restarts_under_another_id_takes_its_place_back():
    fed, grid = federation_of(2)
    grid.join(5, organization="Alpha")
    grid.join(6, organization="Beta")
    assert asked(fed) == {"Alpha": 5, "Beta": 6}
    late = fed.reply(5, w(9.0, 9.0), 4)
    grid.leave(5)
    fed.end([])
    grid.join(7, organization="Alpha")
    assert asked(fed) == {"Alpha": 7, "Beta": 6}
    # What the old node still says does not count: it speaks for nobody any more.
    assert fed.end([late, fed.reply(6, w(1.0, 1.0), 4)])["w"].tolist() == [1.0, 1.0]
    assert fed.entry(0).outcome == "absent"


def test_a_restarted_node_that_is_refused_for_its_own_ghost_is_let_in_when_the_ghost_is_gone():
    # A SuperLink shows a node that was killed as online until its heartbeat is overdue.
    fed, grid = federation_of(2)
    grid.join(5, organization="Alpha")
    grid.join(6, organization="Beta")
    asked(fed)
    fed.end([])
    grid.join(7, organization="Alpha")
    assert asked(fed) == {"Alpha": 5, "Beta": 6}
    fed.end([])
    grid.leave(5)
    assert asked(fed) == {"Alpha": 7, "Beta": 6}


def test_who_disconnects_is_absent_and_who_comes_back_takes_part():
    fed, grid = federation_of(2)
    grid.join(5, organization="Alpha")
    grid.join(6, organization="Beta")
    asked(fed)
    fed.end([])
    grid.leave(5)
    assert asked(fed) == {"Beta": 6}
    fed.end([fed.reply(6, w(1.0, 1.0), 4)])
    assert (fed.entry(0).outcome, fed.entry(0).reason) == ("absent", "not connected")
    grid.join(5, organization="Alpha")
    assert asked(fed) == {"Alpha": 5, "Beta": 6}
    fed.end([fed.reply(5, w(1.0, 1.0), 4), fed.reply(6, w(1.0, 1.0), 4)])
    alpha, beta = fed.strategy.ledger.measured()
    assert (alpha.rounds_asked, alpha.rounds_present, alpha.measured_fraction) == (3, 1, 1 / 3)
    assert (beta.rounds_asked, beta.rounds_present, beta.measured_fraction) == (3, 2, 2 / 3)


def test_with_keys_no_other_node_can_speak_for_an_organization(logged):
    keys = {"Alpha": b"key of Alpha", "Beta": b"key of Beta"}
    fed, grid = federation_of(2, public_keys=keys)
    grid.join(4, organization="Alpha", key=b"key of Beta")
    grid.join(5, organization="Alpha", key=b"")
    grid.join(6, organization="Alpha", key=b"key of Alpha")
    grid.join(7, organization="Beta", key=b"key of Beta")
    assert asked(fed) == {"Alpha": 6, "Beta": 7}
    refused = [line for line in logged() if "its key is another" in line]
    assert len(refused) == 2
    assert "'Alpha'" in refused[0]


def test_with_keys_an_organization_without_one_is_spoken_for_by_nobody():
    fed, grid = federation_of(2, public_keys={"Beta": b"key of Beta"})
    grid.join(6, organization="Alpha", key=b"")
    grid.join(7, organization="Beta", key=b"key of Beta")
    assert asked(fed) == {"Beta": 7}


def test_the_first_round_waits_until_everybody_is_there(monkeypatch, logged):
    fed, grid = federation_of(3, join_seconds=10.0)
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])

    def sleep(seconds):
        assert seconds > 0.0
        clock[0] += seconds
        waited.append(clock[0])
        if len(waited) == 2:
            grid.join(4, organization="Gamma")
        if len(waited) == 4:
            grid.join(5, organization="Beta")

    waited = []
    monkeypatch.setattr(module.time, "sleep", sleep)
    grid.join(6, organization="Alpha")
    assert asked(fed) == {"Alpha": 6, "Beta": 5, "Gamma": 4}
    assert len(waited) == 4
    assert grid.queries == [[6], [4], [5]]
    assert not any("not connected" in line for line in logged())


def test_the_first_round_does_not_wait_for_ever_and_later_ones_not_at_all(monkeypatch, logged):
    fed, grid = federation_of(3, join_seconds=10.0)
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(
        module.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    )
    grid.join(6, organization="Beta")
    assert asked(fed) == {"Beta": 6}
    assert 110.0 <= clock[0] < 112.0
    assert "not connected: Alpha, Gamma" in logged()
    before = clock[0]
    grid.join(4, organization="Gamma")
    assert asked(fed) == {"Beta": 6, "Gamma": 4}  # who comes late takes part from then on
    assert clock[0] == before


# --- the wrapper as a strategy ------------------------------------------------------------------


def test_evaluation_is_the_wrapped_strategys():
    fed = three(inner=FedAvg())
    fed.ask()
    messages = fed.strategy.configure_evaluate(1, record(fed.model), ConfigRecord(), fed.grid)
    assert {message.metadata.message_type for message in messages} == {"evaluate"}
    replies = [
        Message(
            RecordDict({"metrics": MetricRecord({"num-examples": n, "acc": a})}), reply_to=message
        )
        for message, n, a in zip(messages, (1, 1, 2), (1.0, 2.0, 4.0), strict=True)
    ]
    assert fed.strategy.aggregate_evaluate(1, replies) == {"acc": 2.75}


def test_start_trains_and_summarizes(logged):
    terms = make_terms([4, 12])
    grid = FakeGrid()

    def node(i):
        def answer(message):
            if PROFILE in message.content:
                who = RecordDict({PROFILE: ConfigRecord({"partition-id": i})})
                return Message(who, reply_to=message)
            before = message.content["arrays"]["w"].numpy()
            update = {"w": before + np.float32([4 * i, 4])}
            owed = pledge_of(message).samples_owed
            return Message(content(update, {"num-examples": owed}), reply_to=message)

        return answer

    grid.answers = {700 - i: node(i) for i in range(2)}
    inner = FedAvg(min_train_nodes=1, min_available_nodes=1, fraction_evaluate=0.0)
    strategy = TradeFL(strategy=inner, terms=terms, join_seconds=0.0)
    seen = []
    result = strategy.start(
        grid,
        record(w(0, 0)),
        num_rounds=3,
        evaluate_fn=lambda number, arrays: seen.append((number, arrays["w"].numpy().tolist())),
    )
    assert isinstance(result, Result)
    assert result.arrays["w"].numpy().tolist() == [9.0, 12.0]
    assert seen == [(0, [0, 0]), (1, [3, 4]), (2, [6, 8]), (3, [9, 12])]
    assert len(strategy.ledger.entries) == 6
    assert any("Organizations: 2" in line for line in logged())
    assert any("Fraction: train" in line for line in logged())  # the wrapped one's own


def test_two_lines_are_enough():
    path = Path(__file__).parents[2] / "examples" / "drug_discovery.toml"
    strategy = TradeFL(strategy=FedAvg(), terms=Terms.load(path))
    assert len(strategy.terms) == 10
    # An equilibrium keeps its own deadline.
    for i, pledge in enumerate(strategy.terms.pledges):
        assert strategy.terms.in_time(i, pledge.samples_owed, pledge.cpu_hz)
        assert pledge.cpu_hz in strategy.terms.cpu_levels_hz[i]
        assert 0.01 <= pledge.data_fraction <= 1.0


def test_the_model_never_becomes_what_is_no_finite_number():
    # Each update is finite, and their weighted sum is not, by the rounding of the weights.
    largest = np.finfo(np.float32).max
    fed = Federation(make_terms([1, 2, 3, 4, 5, 6, 7]))
    fed.ask()
    model = fed.end([fed.reply(i, w(largest, 1.0), i + 1) for i in range(7)])
    assert model is None or np.all(np.isfinite(model["w"]))


# --- precision, rounds, duplicates ---------------------------------------------------------------


@pytest.mark.parametrize("sent", [np.float32, np.float64])
@pytest.mark.parametrize("returned", [np.float16, np.float32, np.float64, np.longdouble, np.int64])
def test_nobody_but_the_server_sets_the_precision(sent, returned):
    fed = Federation(make_terms([4, 12]), model={"w": np.zeros(2, sent)})
    fed.ask()
    # Alpha is first: its precision was everybody's.
    replies = [
        fed.reply(0, {"w": np.array([8, 4]).astype(returned)}, 4),
        fed.reply(1, {"w": np.array([4, 8]).astype(sent)}, 12),
    ]
    model = fed.end(replies)
    assert model["w"].dtype == sent
    assert model["w"].tolist() == [5.0, 7.0]
    assert [fed.entry(i).outcome for i in range(2)] == ["aggregated"] * 2


def test_what_the_precision_of_the_run_cannot_hold_is_rejected_with_its_place():
    fed = three()
    fed.ask()
    with_two_good(fed, [fed.reply(1, {"w": np.array([1e300, 1.0])}, 2)])
    assert fed.entry(1).outcome == "rejected"
    assert fed.entry(1).reason == "array 'w' holds numbers beyond float32"


def test_a_reply_for_another_round_is_rejected():
    fed = three()
    fed.ask()
    with_two_good(fed, [fed.reply(1, w(99.0, 99.0), 2, receipt={"round": 7})])
    assert (fed.entry(1).outcome, fed.entry(1).samples_used) == ("rejected", 0)
    assert fed.entry(1).reason == "it answers round 7, this is round 1"


def test_two_replies_of_one_organization_are_told():
    fed = three()
    fed.ask()
    replies = [fed.reply(0, w(16.0, 0.0), 4), fed.reply(1, w(0.0, 16.0), 2)]
    fed.end([*replies, fed.reply(1, w(0.0, 99.0), 2), fed.reply(2, w(16.0, 32.0), 10)])
    assert fed.entry(1).outcome == "aggregated"
    assert fed.entry(1).reason == "sent more than one reply; the first counts"


def test_renamed_parameters_are_named():
    fed = three()
    fed.ask()
    with_two_good(fed, [fed.reply(1, {"weight": np.ones(2, np.float32)}, 2)])
    assert fed.entry(1).reason == (
        "its arrays have other names than the model's: missing 'w'; unknown 'weight'"
    )


# --- the server's own look -----------------------------------------------------------------------


class Judge:
    """A validation whose answers a test decides: the loss is the first number of the model."""

    chance = 1.0

    def __init__(self, *, trains=True):
        self.finite = trains

    def loss(self, arrays):
        return float(abs(arrays["w"].ravel()[0]))

    def by_class(self, arrays):
        return arrays["w"][:1].astype(float)

    def learned(self, arrays):
        return (self.by_class(arrays) < 1e-4).astype(float)

    def trains(self, _):
        return self.finite


def five(**settings):
    fed = Federation(make_terms([4] * 5), model=w(1.0, 0.0), **settings)
    fed.ask()
    return fed


def test_a_round_that_is_hopeless_is_rolled_back_and_nobody_is_charged():
    fed = five(validation=Judge())
    # Everybody alike: no minority explains it.
    assert fed.end([fed.reply(i, w(50.0 + i, 1.0), 4) for i in range(5)]) is None
    for i in range(5):
        entry = fed.entry(i)
        assert (entry.outcome, entry.samples_used, entry.verdict) == ("rolled back", 4, "")
        assert "the validation loss rises from 1 to 52" in entry.reason
    assert fed.strategy.rolled_back == {1: "the validation loss rises from 1 to 52"}
    assert fed.strategy.notices == [
        "round 1 was rolled back: the validation loss rises from 1 to 52; nobody loses credit"
    ]


def test_what_is_not_finite_in_a_round_that_is_undone_is_charged_to_nobody():
    fed = five(validation=Judge())
    bad = fed.reply(4, w(np.inf, 1.0), 4)
    assert fed.end([bad, *(fed.reply(i, w(50.0 + i, 1.0), 4) for i in range(4))]) is None
    for i in range(5):
        assert (fed.entry(i).outcome, fed.entry(i).samples_used) == ("rolled back", 4)
    assert fed.entry(4).reason.startswith("array 'w' holds a number that is not finite; the")


def test_a_round_that_is_a_little_worse_stands():
    fed = five(validation=Judge())
    assert fed.end([fed.reply(i, w(9.0, 1.0), 4) for i in range(5)])["w"].tolist() == [9.0, 1.0]
    assert {fed.entry(i).outcome for i in range(5)} == {"aggregated"}


def test_the_update_that_spoils_a_round_is_attributed_with_its_evidence():
    fed = five(validation=Judge())
    good = [fed.reply(i, w(0.5 - i / 100, 1.0), 4) for i in range(4)]
    model = fed.end([fed.reply(4, w(1e6, 1.0), 4), *good])
    assert model["w"][0] == pytest.approx(0.485)
    entry = fed.entry(4)
    assert (entry.outcome, entry.samples_used, entry.verdict) == ("rejected", 0, "attributed")
    assert entry.evidence.loss_before == 1.0
    assert entry.evidence.loss_without == pytest.approx(0.485)
    assert entry.evidence.loss_with == pytest.approx(2e5, rel=0.01)
    assert entry.evidence.norm_ratio > 1e5
    assert [fed.entry(i).outcome for i in range(4)] == ["aggregated"] * 4
    assert [fed.entry(i).weight for i in range(4)] == [0.25] * 4


def test_half_of_the_updates_are_no_minority():
    fed = Federation(make_terms([4] * 4), model=w(1.0, 0.0), validation=Judge())
    fed.ask()
    replies = [fed.reply(i, w(0.5, 1.0 + i), 4) for i in range(2)]
    assert fed.end([*replies, *(fed.reply(i, w(1e6, 1.0 + i), 4) for i in (2, 3))]) is None
    assert {fed.entry(i).outcome for i in range(4)} == {"rolled back"}
    assert {fed.entry(i).verdict for i in range(4)} <= {"", "suspicious"}


def test_an_outlier_that_does_no_harm_counts_and_is_reported():
    fed = five(validation=Judge(), inner=FedMedian(min_train_nodes=1, min_available_nodes=1))
    good = [fed.reply(i, w(0.5 - i / 100, 1.0), 4) for i in range(4)]
    fed.end([fed.reply(4, w(1e6, 1.0), 4), *good])
    entry = fed.entry(4)
    assert (entry.outcome, entry.samples_used, entry.verdict) == ("aggregated", 4, "suspicious")
    assert [flag.kind for flag in entry.flags] == ["outlier", "no descent"]
    assert entry.flags[0].confidence == "certain"
    assert entry.weight is None


def test_if_a_correct_client_fails_too_nobody_is_charged_for_what_is_not_finite():
    for trains, outcome, used in ((False, "rolled back", 4), (True, "rejected", 0)):
        fed = five(validation=Judge(trains=trains))
        good = [fed.reply(i, w(0.5 - i / 100, 1.0), 4) for i in range(4)]
        fed.end([fed.reply(4, w(np.nan, 1.0), 4), *good])
        entry = fed.entry(4)
        assert (entry.outcome, entry.samples_used) == (outcome, used)
        assert ("so does the server's own training" in entry.reason) == (not trains)
        assert [fed.entry(i).outcome for i in range(4)] == ["aggregated"] * 4


def test_most_updates_that_are_not_finite_are_nobodys_fault():
    fed = five()
    fed.end([fed.reply(i, w(np.nan if i < 3 else 1.0, 1.0), 4) for i in range(5)])
    assert [fed.entry(i).outcome for i in range(5)] == ["rolled back"] * 3 + ["aggregated"] * 2
    assert [fed.entry(i).samples_used for i in range(5)] == [4] * 5


def test_a_late_update_that_is_not_finite_is_late():
    fed = Federation(make_terms([8] * 3, deadline=25.0))
    fed.ask()
    fed.end([fed.reply(i, w(np.nan, 1.0), 8) for i in range(3)])
    assert {fed.entry(i).outcome for i in range(3)} == {"late"}


def test_without_validation_an_aggregate_that_is_not_finite_is_repaired():
    largest = np.finfo(np.float32).max
    fed = five(inner=FedAvgM(min_train_nodes=1, min_available_nodes=1, server_learning_rate=2.0))
    good = [fed.reply(i, w(0.5 - i / 100, 1.0), 4) for i in range(4)]
    model = fed.end([fed.reply(4, w(-largest, largest), 4), *good])
    assert np.isfinite(model["w"]).all()
    assert fed.entry(4).verdict == "attributed"
    assert {fed.entry(i).outcome for i in range(4)} == {"aggregated"}


def free_riding(riders, **settings):
    """Five organizations, of which some send the model back."""
    fed = five(**settings)
    sent = dict(fed.model)
    replies = [fed.reply(i, sent if i in riders else w(0.5 - i / 100, 1.0), 4) for i in range(5)]
    return fed, fed.end(replies)


def test_flags_change_no_payment_unless_the_agreement_says_so():
    fed, _ = free_riding({2})
    assert (fed.entry(2).outcome, fed.entry(2).samples_used) == ("aggregated", 4)
    fed, model = free_riding({2}, unpaid_flags=["unchanged"])
    rider = fed.entry(2)
    assert (rider.outcome, rider.samples_used, rider.verdict) == ("rejected", 0, "suspicious")
    assert [flag.kind for flag in rider.flags] == ["unchanged"]
    assert "the agreement pays nothing" in rider.reason
    assert {fed.entry(i).outcome for i in (0, 1, 3, 4)} == {"aggregated"}
    assert {fed.entry(i).weight for i in (0, 1, 3, 4)} == {0.25}
    assert model["w"][0] == pytest.approx(np.mean([0.5, 0.49, 0.47, 0.46]))
    assert [entry.measured_fraction > 0 for entry in fed.strategy.ledger.measured()] == [
        *(True, True, False, True, True)
    ]


def test_what_most_do_is_nobodys_fault():
    fed, _ = free_riding({0, 1, 2}, unpaid_flags=["unchanged", "outlier"])
    assert {fed.entry(i).outcome for i in range(5)} == {"aggregated"}


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_a_clipping_norm_is_a_number(value):
    with pytest.raises(ValueError, match="clip_norm"):
        TradeFL(FedAvg(), make_terms([4]), clip_norm=value)


# --- which code a node runs ----------------------------------------------------------------------


def test_a_node_with_other_code_is_refused_or_allowed():
    digest = own_code()["package-digest"]
    for same_code, expected in ((True, {"Beta": 6}), (False, {"Alpha": 5, "Beta": 6})):
        fed, grid = federation_of(2, same_code=same_code)
        grid.join(5, organization="Alpha", **{"package-digest": "ab", "package-version": "0.0.1"})
        grid.join(6, organization="Beta", **{"package-digest": digest})
        assert asked(fed) == expected
        [line] = fed.strategy.refusals
        assert "Alpha: it runs other code of tradefl (version 0.0.1, digest ab; here " in line
        assert ("was refused" in line) == same_code
        assert line.endswith("it takes part, because other code is allowed") != same_code


def test_a_node_that_does_not_confirm_the_run_is_refused_with_its_reason():
    fed, grid = federation_of(2)
    grid.join(5, organization="Alpha", refusal="its samples have the shape 8x8")
    grid.join(6, organization="Beta")
    assert asked(fed) == {"Beta": 6}
    assert fed.strategy.refusals == ["node 5 was refused: Alpha: its samples have the shape 8x8"]


# --- federations in the open ---------------------------------------------------------------------


def test_nodes_on_other_machines_need_keys_or_an_explicit_setting():
    class Open(FakeGrid):
        """As if it were Flower's to a SuperLink."""

    Open.__module__ = "flwr.serverapp.grid"
    for settings, refused in (
        ({}, True),
        ({"allow_unregistered": True}, False),
        ({"public_keys": {"Alpha": b"a", "Beta": b"b"}}, False),
    ):
        grid = Open()
        grid.join(5, organization="Alpha", key=b"a")
        grid.join(6, organization="Beta", key=b"b")
        fed = Federation(make_terms([4, 4]), grid=grid, **settings)
        if refused:
            with pytest.raises(ValueError, match="public_keys: expected the organizations'"):
                fed.ask()
        else:
            assert set(asked(fed)) == {"Alpha", "Beta"}


def test_a_place_belongs_to_the_first_that_was_active_whatever_its_id(monkeypatch):
    fed, grid = federation_of(2)
    grid.join(4, organization="Alpha")
    grid.join(9, organization="Alpha")
    grid.join(7, organization="Beta")
    since = {4: "2026-01-01T10:00:05", 9: "2026-01-01T10:00:01", 7: "2026-01-01T10:00:02"}
    plain = grid.get_nodes

    def nodes():
        for node in plain():
            node.last_activated_at = since[node.node_id]
            yield node

    monkeypatch.setattr(grid, "get_nodes", nodes)
    assert asked(fed) == {"Alpha": 9, "Beta": 7}
    waits = "node 4 says it is 'Alpha', which another node is; it waits"
    assert fed.strategy.refusals == [waits]
    grid.leave(9)  # and the place goes to the one that waits; that is told too
    assert asked(fed) == {"Alpha": 4, "Beta": 7}
    assert fed.strategy.refusals == [waits, "node 4 takes the place of 'Alpha': the other is gone"]
