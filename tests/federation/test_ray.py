"""Training on Ray: what breaks in the engine costs nobody its credit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray")

from flwr.app import ConfigRecord, Message, RecordDict
from ray import cloudpickle
from tests.federation.hostile import CONSORTIUM
from tests.federation.messages import in_a_run

from tradefl.federation import ContributingApp, Plan, train
from tradefl.federation import training as module
from tradefl.federation.checkpoint import Checkpoint
from tradefl.federation.client import train as train_honestly
from tradefl.federation.grid import FIRST_NODE_ID, EngineError
from tradefl.federation.ray_grid import RayGrid
from tradefl.federation.ray_worker import call
from tradefl.federation.updates import with_pledge
from tradefl.sweep.identity import here

ROUNDS = 2


@pytest.fixture(autouse=True)
def _travels():
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def plan(**settings):
    return Plan(**{"consortium": str(CONSORTIUM), "rounds": ROUNDS, **settings})


def message_of(organization, number):
    """Return the message that asks an organization to train in a round."""
    config = ConfigRecord({"server-round": number})
    content = with_pledge(RecordDict({"config": config}), {"organization": organization})
    with in_a_run():
        return Message(content, FIRST_NODE_ID, "train")


def dying(folder, organization, times):
    """Return an app whose process is killed while an organization trains, so many times."""
    app = ContributingApp()

    @app.train()
    def train_or_die(message, context):
        from tradefl.federation.client import pledge_of

        if pledge_of(message).organization == organization:
            left = times - len(os.listdir(folder))  # noqa: PTH208
            if left > 0:
                Path(folder, str(left)).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return train_honestly(message, context)

    return app


def figures(training):
    return (
        training.accuracy,
        training.loss,
        [entry.update_sha256 for entry in training.ledger.entries],
        [entry.outcome for entry in training.ledger.entries],
        [organization.measured_fraction for organization in training.ledger.measured()],
    )


def test_a_worker_that_dies_is_replaced_and_everybody_keeps_its_credit(tmp_path, monkeypatch):
    # The third organization's process is killed, twice: an actor serves several of them.
    monkeypatch.setattr(module, "client_app", dying(tmp_path, "Gamma", 2))
    training = train(plan(), backend="ray")
    assert len(list(tmp_path.iterdir())) == 2
    assert figures(training) == figures(train(plan()))
    repairs = [line for line in training.notices if line.startswith("Ray: Gamma, round ")]
    assert len(repairs) == 2


def test_a_cluster_that_is_lost_is_started_again(monkeypatch):
    grids = []

    class Watched(RayGrid):
        def __init__(self, *args, **settings):
            super().__init__(*args, **settings)
            grids.append(self)

    def kill(report):
        if report.number == 1:
            os.killpg(grids[0]._process.pid, signal.SIGKILL)

    monkeypatch.setattr("tradefl.federation.ray_grid.RayGrid", Watched)
    training = train(plan(), backend="ray", watch=kill)
    assert figures(training) == figures(train(plan()))
    assert any("Ray was lost and was started again" in line for line in training.notices)
    assert grids[0]._process is None  # nothing is left


def test_what_cannot_be_repaired_ends_the_training_after_the_last_whole_round(
    tmp_path, monkeypatch
):
    folder, state = tmp_path / "killed", tmp_path / "state"
    folder.mkdir()
    whole = train(plan())
    train(plan(rounds=1, checkpoint=str(state)))
    monkeypatch.setattr(module, "client_app", dying(folder, "Gamma", 1_000))
    with pytest.raises(EngineError, match="no organization did") as error:
        train(plan(checkpoint=str(state), resume=True), backend="ray")
    assert "1 round is done; the same with `resume` goes on" in str(error.value)
    assert Checkpoint.read(state).rounds_done == 1
    monkeypatch.undo()
    assert figures(train(plan(checkpoint=str(state), resume=True))) == figures(whole)


class Offline(RayGrid):
    """A grid whose process is another program, which says what a test puts into its answers."""

    def _connect(self):
        self._process = subprocess.Popen(
            ["sleep", "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self.processes = [*getattr(self, "processes", ()), self._process]
        if self._address == "interrupted":
            raise KeyboardInterrupt


@pytest.fixture
def _leave_at_once(monkeypatch):
    monkeypatch.setattr("tradefl.federation.ray_grid.LEAVE_SECONDS", 0.05)


@pytest.mark.usefixtures("_leave_at_once")
def test_ctrl_c_while_ray_starts_leaves_nothing_behind():
    grid = Offline.__new__(Offline)
    with pytest.raises(KeyboardInterrupt):
        grid.__init__(ContributingApp(), [{}], address="interrupted")
    [process] = grid.processes
    assert process.poll() is not None


@pytest.mark.usefixtures("_leave_at_once")
def test_a_lost_head_of_another_s_cluster_is_the_engine_s_failure():
    gone = "the head of the Ray cluster (10.0.0.7:1) does not answer any more"
    grid = Offline(ContributingApp(), [{}], address="10.0.0.7:1")
    grid._answers.put(("gone", gone))
    with pytest.raises(EngineError, match="no organization did: the head") as error:
        list(grid.send_and_receive([message_of("Gamma", 3)]))
    assert error.value.problems[0].place == "ray 10.0.0.7:1"
    grid.close()


@pytest.mark.usefixtures("_leave_at_once")
def test_a_failure_names_whose_round_it_was_and_a_refusal_its_node():
    for answer, expected in (
        (("failed", 1, "OutOfMemoryError: x"), "did: Gamma, round 3: OutOfMemoryError: x"),
        (("refused", 1, "node n: numpy 1 there, 2 here"), "node n: numpy 1 there, 2 here; install"),
    ):
        grid = Offline(ContributingApp(), [{}], address="10.0.0.7:1")
        grid._answers.put(answer)
        with pytest.raises(EngineError, match=expected):
            list(grid.send_and_receive([message_of("Gamma", 3)]))
        grid.close()


def test_an_actor_refuses_other_code_before_it_reads_anything():
    expected = {**here(), "numpy": "0.0"}
    reply, context, seconds, refusal = call(b"no pickle", b"no pickle", expected)
    assert (reply, context, seconds) == (None, None, 0.0)
    assert f"numpy {here()['numpy']} there, 0.0 here" in refusal


def test_an_address_where_nothing_answers_is_an_error_soon():
    with pytest.raises(EngineError, match="no Ray cluster answers") as error:
        train(plan(), backend="ray", ray="127.0.0.1:9")
    [problem, *_] = error.value.problems
    assert problem.place == "ray 127.0.0.1:9"
