"""What a SuperLink answers for a node that is gone: an error under its own id, not the node's."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("flwr")

from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from flwr.server.superlink.linkstate.utils import (
    MESSAGE_UNAVAILABLE_ERROR_REASON,
    NODE_UNAVAILABLE_ERROR_REASON,
    REPLY_MESSAGE_UNAVAILABLE_ERROR_REASON,
)
from tests.federation.messages import FakeGrid, Federation, in_a_run, make_terms, node_of

from tradefl.federation import judgement

SUPERLINK = 1


@pytest.fixture(autouse=True)
def _run() -> Any:
    with in_a_run():
        yield


def asked(organizations: int = 3) -> Federation:
    """Return a federation in its first round, with the ids that sending gives to messages."""
    fed = Federation(make_terms([8] * organizations))
    for i, message in fed.ask().items():
        message.metadata.__dict__["_message_id"] = f"message-{i}"
    return fed


def from_superlink(fed: Federation, i: int, code: int, reason: str) -> Message:
    """Return the SuperLink's error in reply to the message to an organization."""
    reply = fed.answer(i, Error(code, reason))
    reply.metadata.__dict__["_src_node_id"] = SUPERLINK
    return reply


def w(a: float) -> dict[str, list[float]]:
    return {"w": [a, a]}


@pytest.mark.parametrize(
    ("code", "reason", "outcome", "expected"),
    [
        (
            ErrorCode.NODE_UNAVAILABLE,
            NODE_UNAVAILABLE_ERROR_REASON,
            "absent",
            "node unavailable: The destination node failed to report a heartbeat",
        ),
        (ErrorCode.NODE_UNAVAILABLE, "gone", "absent", "node unavailable: gone"),
        (
            ErrorCode.MESSAGE_UNAVAILABLE,
            MESSAGE_UNAVAILABLE_ERROR_REASON,
            "absent",
            "no reply in time: Error: Message Unavailable",
        ),
        (
            ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
            REPLY_MESSAGE_UNAVAILABLE_ERROR_REASON,
            "absent",
            "no reply in time: Error: Reply Message Unavailable",
        ),
        (
            ErrorCode.CLIENT_APP_CRASHED,
            "ClientApp stopped responding.",
            "rejected",
            "its app failed: ClientApp stopped responding.",
        ),
    ],
)
@pytest.mark.parametrize("sender", [SUPERLINK, node_of(1)])
def test_the_ledger_says_why(code, reason, outcome, expected, sender):
    fed = asked()
    reply = from_superlink(fed, 1, code, reason)
    reply.metadata.__dict__["_src_node_id"] = sender
    replies = [fed.reply(0, w(1.0), 8), reply, fed.reply(2, w(3.0), 8)]
    assert fed.end(replies)["w"].tolist() == [2.0, 2.0]
    entry = fed.entry(1)
    assert entry.outcome == outcome
    assert entry.reason.startswith(expected)
    assert [fed.entry(i).outcome for i in (0, 2)] == ["aggregated", "aggregated"]


def test_the_codes_are_flowers():
    assert judgement.CLIENT_APP_FAILED == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    assert judgement.MESSAGE_UNAVAILABLE == ErrorCode.MESSAGE_UNAVAILABLE
    assert judgement.REPLY_UNAVAILABLE == ErrorCode.REPLY_MESSAGE_UNAVAILABLE
    assert judgement.NODE_UNAVAILABLE == ErrorCode.NODE_UNAVAILABLE


def test_several_lost_nodes_are_told_apart():
    fed = asked(4)
    lost = [from_superlink(fed, i, 5, f"node {i}") for i in (2, 0)]
    fed.end([*lost, fed.reply(1, w(1.0), 8)])
    assert [fed.entry(i).reason for i in range(4)] == [
        "node unavailable: node 0",
        "",
        "node unavailable: node 2",
        "no reply in time",
    ]


@pytest.mark.parametrize("reply_to", ["", "message-7"])
def test_an_error_about_no_message_of_this_round_is_nobodys(reply_to):
    fed = asked()
    stray = from_superlink(fed, 1, 5, "gone")
    stray.metadata.__dict__["_reply_to_message_id"] = reply_to
    fed.end([stray, fed.reply(0, w(1.0), 8), fed.reply(2, w(3.0), 8)])
    assert fed.entry(1).reason == "no reply in time"


def test_a_model_from_nobody_is_nobodys_whatever_it_replies_to():
    # Only an error is attributed by the message: content counts under the node's own id alone.
    fed = asked()
    forged = fed.reply(1, w(9.0), 8)
    forged.metadata.__dict__["_src_node_id"] = SUPERLINK
    assert fed.end([fed.reply(0, w(1.0), 8), forged])["w"].tolist() == [1.0, 1.0]
    assert fed.entry(1).outcome == "absent"


def test_a_node_cannot_blame_another():
    fed = asked()
    error = fed.answer(1, Error(5, "gone"))
    error.metadata.__dict__["_src_node_id"] = node_of(2)
    fed.end([fed.reply(0, w(1.0), 8), error])
    assert fed.entry(1).reason == "no reply in time"
    assert fed.entry(2).reason == "node unavailable: gone"


def test_without_ids_an_error_of_a_node_is_its_own():
    # In process, messages have no ids.
    fed = Federation(make_terms([8, 8]))
    fed.ask()
    assert {message.metadata.message_id for message in fed.messages.values()} == {""}
    fed.end([fed.reply(0, w(1.0), 8), fed.answer(1, Error(2, "no data"))])
    assert (fed.entry(1).outcome, fed.entry(1).reason) == ("rejected", "its app failed: no data")


def test_a_node_that_is_lost_while_it_is_asked_who_it_is_is_asked_again():
    grid = FakeGrid(2)
    ready = grid.answers[node_of(1)]

    def lost(message: Message) -> Message:
        reply = Message(Error(5, NODE_UNAVAILABLE_ERROR_REASON), reply_to=message)
        reply.metadata.__dict__["_src_node_id"] = SUPERLINK
        return reply

    grid.answers[node_of(1)] = lost
    fed = Federation(make_terms([8, 8]), grid=grid)
    assert set(fed.ask()) == {0}
    fed.end([fed.reply(0, w(1.0), 8)])
    grid.answers[node_of(1)] = ready
    assert set(fed.ask()) == {0, 1}
