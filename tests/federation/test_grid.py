"""The runtime in this process, held to what Flower's other runtimes do."""

import copy
import io
import logging
import threading

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.logger import console_handler
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.supercore.task_identity import TaskIdentity
from tests.federation.messages import make_terms, record

from tradefl.federation import ContributingApp, TradeFL, pledge_of
from tradefl.federation import grid as module
from tradefl.federation.aggregations import make_strategy
from tradefl.federation.grid import InProcessGrid, run_in_process

IDENTITY = ("_run_id", "_node_id", "_task_id")


def identity():
    return [getattr(TaskIdentity, name) for name in IDENTITY]


def in_process(main, client=None, nodes=2, run_config=None, **settings):
    """Run a function of the grid and the context as a ServerApp's main."""
    server = ServerApp()
    server.main()(main)
    configs = [{"partition-id": k} for k in range(nodes)]
    run_in_process(server, client or echo(), configs, run_config or {}, **settings)


def echo():
    """Return an app that answers with what it was asked, and counts in its state."""
    app = ClientApp()

    @app.train()
    def train(message, context):
        seen = context.state.get("seen", ConfigRecord({"times": 0}))
        context.state["seen"] = ConfigRecord({"times": seen["times"] + 1})
        answer = {
            "partition": context.node_config["partition-id"],
            "node": context.node_id,
            "times": context.state["seen"]["times"],
            "said": str(message.content["ask"]["say"]),
            "run": str(context.run_config.get("what", "")),
        }
        return Message(RecordDict({"answer": ConfigRecord(answer)}), reply_to=message)

    @app.query()
    def query(message, context):
        raise LookupError("nobody\nknows")

    return app


def question(node, say="hello", kind="train"):
    return Message(RecordDict({"ask": ConfigRecord({"say": say})}), node, kind)


# --- the identity of a run ----------------------------------------------------------------------


def test_flower_still_keeps_the_identity_where_we_set_it():
    # If this fails, Flower has moved it: `task_identity` has to follow, and so has pyproject.toml.
    assert [name for name in IDENTITY if name not in vars(TaskIdentity)] == []
    assert [k for k in vars(TaskIdentity) if k.startswith("_") and k[1].isalpha()] == [
        "_task_id",
        "_run_id",
        "_node_id",
    ]
    assert identity() == [None, None, None]
    with pytest.raises(RuntimeError, match="is not set"):
        question(5)
    with module.task_identity():
        message = question(5)
        assert message.metadata.run_id == module.RUN_ID
        assert message.metadata.src_node_id == module.SERVER_NODE_ID
    with pytest.raises(RuntimeError, match="is not set"):
        question(5)


def test_messages_can_be_made_inside_and_the_identity_is_restored():
    inside = []

    def main(grid, context):
        inside.append((identity(), question(100).metadata.dst_node_id))

    in_process(main)
    assert inside == [([module.RUN_ID, module.SERVER_NODE_ID, 1], 100)]
    assert identity() == [None, None, None]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_the_identity_is_restored_whatever_happens(error):
    def main(grid, context):
        raise error

    with pytest.raises(type(error)):
        in_process(main)
    assert identity() == [None, None, None]


def test_an_identity_that_there_was_is_put_back(monkeypatch):
    for name, value in zip(IDENTITY, (11, 12, 13), strict=True):
        monkeypatch.setattr(TaskIdentity, name, value)
    in_process(lambda *_: None)
    assert identity() == [11, 12, 13]


def test_a_run_within_a_run_leaves_the_outer_one_as_it_was():
    def outer(grid, context):
        before = identity()
        in_process(lambda *_: None)
        assert identity() == before
        question(100)

    in_process(outer)


# --- the grid -----------------------------------------------------------------------------------


def test_the_grid_is_flowers_and_has_the_nodes_that_it_was_given():
    def main(grid, context):
        assert isinstance(grid, Grid)
        ids = list(grid.get_node_ids())
        assert len(set(ids)) == 4
        assert [node.node_id for node in grid.get_nodes()] == ids
        assert module.SERVER_NODE_ID not in ids
        assert isinstance(context, Context)
        assert context.run_config == {"what": "ever"}
        with pytest.raises(NotImplementedError, match="no SuperLink"):
            _ = grid.run
        grid.set_run(None)

    in_process(main, nodes=4, run_config={"what": "ever"})


def test_a_reply_comes_from_the_node_that_was_asked():
    def main(grid, context):
        ids = list(grid.get_node_ids())
        replies = list(grid.send_and_receive(question(node) for node in reversed(ids)))
        assert sorted(reply.metadata.src_node_id for reply in replies) == ids
        for reply in replies:
            node = reply.metadata.src_node_id
            assert reply.metadata.dst_node_id == module.SERVER_NODE_ID
            assert reply.metadata.message_type == "train"
            assert dict(reply.content["answer"]) == {
                "partition": ids.index(node),
                "node": node,
                "times": 1,
                "said": "hello",
                "run": "ever",
            }

    in_process(main, nodes=3, run_config={"what": "ever"})


def test_each_node_keeps_its_own_state_between_messages():
    def main(grid, context):
        a, b = grid.get_node_ids()
        times = []
        for node in (a, a, b, a, b):
            (reply,) = grid.send_and_receive([question(node)])
            times.append(reply.content["answer"]["times"])
        assert times == [1, 2, 1, 3, 2]

    in_process(main)


def test_push_then_pull_once():
    def main(grid, context):
        a, b = grid.get_node_ids()
        message = grid.create_message(
            RecordDict({"ask": ConfigRecord({"say": "first"})}), "train", a, "7", ttl=60.0
        )
        assert (message.metadata.dst_node_id, message.metadata.message_type) == (a, "train")
        assert (message.metadata.group_id, message.metadata.ttl) == ("7", 60.0)
        ids = list(grid.push_messages([message, question(b, "second")]))
        assert len(set(ids)) == 2
        assert all(isinstance(id_, str) for id_ in ids)
        more = list(grid.push_messages([question(a, "third")]))
        assert not set(more) & set(ids)
        said = [reply.content["answer"]["said"] for reply in grid.pull_messages(ids[::-1])]
        assert said == ["second", "first"]
        assert list(grid.pull_messages(ids)) == []
        assert list(grid.pull_messages(["nothing"])) == []
        (last,) = grid.pull_messages(more)
        assert last.content["answer"]["said"] == "third"
        assert last.metadata.group_id == ""

    in_process(main)


def test_what_an_app_raises_is_an_error_reply_of_that_node_alone():
    def main(grid, context):
        a, b = grid.get_node_ids()
        replies = grid.send_and_receive([question(a, kind="query"), question(b)])
        failed, fine = sorted(replies, key=lambda reply: reply.metadata.src_node_id)
        assert failed.has_error()
        assert failed.error.code == 2  # Flower's CLIENT_APP_RAISED_EXCEPTION
        assert "LookupError: nobody" in failed.error.reason
        assert (failed.metadata.src_node_id, fine.metadata.src_node_id) == (a, b)
        assert not fine.has_error()

    in_process(main)


def test_an_app_without_a_handler_is_an_error_reply():
    def main(grid, context):
        (reply,) = grid.send_and_receive([question(100, kind="evaluate")])
        assert reply.has_error()

    in_process(main)


def test_the_user_can_interrupt():
    app = ClientApp()

    @app.train()
    def train(message, context):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_process(lambda grid, _: grid.send_and_receive([question(100)]), app)
    assert identity() == [None, None, None]


@pytest.mark.parametrize(
    ("timeout", "arrive"), [(None, [100, 101]), (5.0, [100, 101]), (4.9, [100]), (0.5, [])]
)
def test_who_takes_longer_than_the_timeout_is_not_heard(monkeypatch, timeout, arrive):
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    app = ClientApp()

    @app.train()
    def train(message, context):
        clock[0] += 1.0 if context.node_config["partition-id"] == 0 else 5.0
        return Message(RecordDict(), reply_to=message)

    heard = []

    def main(grid, context):
        replies = grid.send_and_receive([question(100), question(101)], timeout=timeout)
        heard.extend(reply.metadata.src_node_id for reply in replies)

    in_process(main, app)
    assert heard == arrive


def test_a_node_cannot_change_what_the_server_and_the_others_have():
    # On every other runtime a message is a copy.
    app = ClientApp()
    seen = []

    @app.train()
    def train(message, context):
        seen.append((message.content["config"]["rate"], list(message.content["arrays"])))
        message.content["config"]["rate"] = 9.0
        message.content["arrays"]["w2"] = message.content["arrays"].pop("w")
        message.content["mine"] = ConfigRecord({"left": "behind"})
        return Message(RecordDict(), reply_to=message)

    def main(grid, context):
        shared = RecordDict(
            {"config": ConfigRecord({"rate": 0.5}), "arrays": record({"w": np.zeros(2)})}
        )
        grid.send_and_receive([Message(shared, node, "train") for node in grid.get_node_ids()])
        assert set(shared) == {"config", "arrays"}
        assert shared["config"]["rate"] == 0.5
        assert list(shared["arrays"]) == ["w"]
        ids = grid.push_messages([Message(shared, node, "train") for node in grid.get_node_ids()])
        assert len(list(grid.pull_messages(ids))) == 2
        assert shared["config"]["rate"] == 0.5

    in_process(main, app)
    assert seen == [(0.5, ["w"])] * 4


def test_the_configurations_that_were_given_are_not_shared():
    app = ClientApp()

    @app.train()
    def train(message, context):
        assert context.run_config == {"a": 1}
        context.run_config["a"] = context.node_config["partition-id"] = 7
        return Message(RecordDict(), reply_to=message)

    server, configs, run_config = ServerApp(), [{"partition-id": 0}, {"partition-id": 1}], {"a": 1}

    @server.main()
    def main(grid, context):
        for reply in grid.send_and_receive([question(100), question(101)]):
            assert not reply.has_error()
        assert context.run_config == {"a": 1}

    kept = copy.deepcopy((configs, run_config))
    run_in_process(server, app, configs, run_config)
    assert (configs, run_config) == kept


def test_another_grid_can_take_its_place():
    made = []

    class Counting(InProcessGrid):
        def __init__(self, *args):
            made.append(args)
            super().__init__(*args)

    app = echo()
    in_process(lambda grid, _: made.append(type(grid)), app, nodes=1, grid=Counting)
    assert made == [(app, [{"partition-id": 0}], {}), Counting]


def test_an_app_of_two_lines_trains_on_it():
    terms = make_terms([8, 8, 10], [0.5, 0.25, 1.0])
    app = ContributingApp()
    rounds = []

    @app.train()
    def train(message, context):
        assert pledge_of(message).organization == terms.names[context.node_config["partition-id"]]
        w = message.content["arrays"]["w"].numpy() + np.float32(context.node_config["partition-id"])
        metrics = MetricRecord({"num-examples": pledge_of(message).samples_owed})
        return Message(RecordDict({"arrays": record({"w": w}), "m": metrics}), reply_to=message)

    def main(grid, context):
        strategy = TradeFL(strategy=FedAvg(fraction_evaluate=0.0), terms=terms)
        result = strategy.start(
            grid,
            record({"w": np.zeros(2, np.float32)}),
            num_rounds=2,
            evaluate_fn=lambda _, arrays: rounds.append(arrays["w"].numpy().tolist()),
        )
        rounds.append(result.arrays["w"].numpy().tolist())
        entries = strategy.ledger.entries
        assert [entry.outcome for entry in entries] == ["aggregated"] * 6
        assert all(entry.seconds > 0.0 for entry in entries)
        assert len({entry.update_sha256 for entry in entries}) == 6

    in_process(main, app, nodes=3)
    # (2 x 1 + 10 x 2) / 16 each round, exact in float32.
    assert rounds == [[0.0, 0.0], [1.375, 1.375], [2.75, 2.75], [2.75, 2.75]]


# --- several at once ----------------------------------------------------------------------------


def test_threads_that_overlap_leave_flower_as_it_was():
    """The first one in is the first one out, while the second is still inside."""
    inside, leave = threading.Event(), threading.Event()

    def second():
        with module.task_identity(), module.quiet():
            inside.set()
            assert leave.wait(10.0)
            assert question(5).metadata.run_id == module.RUN_ID

    logger = logging.getLogger("flwr")
    before = (logger.level, list(console_handler.filters), console_handler.level)
    thread = threading.Thread(target=second)
    with module.task_identity(), module.quiet():
        thread.start()
        assert inside.wait(10.0)
    assert identity() != [None, None, None]  # the second still needs it
    leave.set()
    thread.join()
    assert identity() == [None, None, None]
    assert (logger.level, list(console_handler.filters), console_handler.level) == before


def test_flower_is_quiet_on_its_own_handler_alone(caplog):
    stream = io.StringIO()
    console = logging.StreamHandler(stream)
    console.addFilter(lambda record: all(keep(record) for keep in console_handler.filters))
    logger = logging.getLogger("flwr")
    logger.addHandler(console)
    try:
        with module.quiet():
            logger.info("a step")
            logger.error("a fault")
    finally:
        logger.removeHandler(console)
    assert stream.getvalue() == "a fault\n"
    assert "a step" in caplog.text  # what the host asked for


def test_a_host_that_has_set_flowers_level_sees_what_it_asked_for(monkeypatch):
    logger = logging.getLogger("flwr")
    monkeypatch.setattr(logger, "level", logging.INFO)
    with module.quiet():
        assert not console_handler.filters


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_flower_has_no_colours_where_there_is_no_terminal(monkeypatch, level):
    stream = io.StringIO()
    monkeypatch.setattr(console_handler, "stream", stream)
    monkeypatch.setattr(logging.getLogger("flwr"), "level", level)
    with module.quiet():
        logging.getLogger("flwr").error("a fault")
    assert "a fault" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert console_handler.colored


@pytest.mark.parametrize("name", ["fedavg", "fedadam", "fedprox", "fedmedian", "krum"])
def test_making_a_strategy_prints_nothing(monkeypatch, name):
    stream = io.StringIO()
    monkeypatch.setattr(console_handler, "stream", stream)
    make_strategy(name, 10)
    assert stream.getvalue() == ""
