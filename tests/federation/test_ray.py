"""Training on Ray: what breaks in the engine costs nobody its credit."""

import os
import signal
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray")

from ray import cloudpickle
from tests.federation.hostile import CONSORTIUM

from tradefl.federation import ContributingApp, Plan, train
from tradefl.federation import training as module
from tradefl.federation.checkpoint import Checkpoint
from tradefl.federation.client import train as train_honestly
from tradefl.federation.grid import EngineError
from tradefl.federation.ray_grid import RayGrid

ROUNDS = 2


@pytest.fixture(autouse=True)
def _travels():
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def plan(**settings):
    return Plan(**{"consortium": str(CONSORTIUM), "rounds": ROUNDS, **settings})


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
        [one.measured_fraction for one in training.ledger.measured()],
    )


def test_a_worker_that_dies_is_replaced_and_everybody_keeps_its_credit(tmp_path, monkeypatch):
    # The third organization's process is killed, twice: an actor serves several of them.
    monkeypatch.setattr(module, "client_app", dying(tmp_path, "Gamma", 2))
    training = train(plan(), backend="ray")
    assert len(list(tmp_path.iterdir())) == 2
    assert figures(training) == figures(train(plan()))
    repairs = [line for line in training.notices if line.startswith("Ray: ")]
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
    assert "1 round is done; the same command with --resume goes on" in str(error.value)
    assert Checkpoint.read(state).rounds_done == 1
    monkeypatch.undo()
    assert figures(train(plan(checkpoint=str(state), resume=True))) == figures(whole)


def test_an_address_where_nothing_answers_is_an_error_soon():
    with pytest.raises(EngineError, match="no Ray cluster answers") as error:
        train(plan(), backend="ray", ray="127.0.0.1:9")
    [problem, *_] = error.value.problems
    assert problem.place == "--ray 127.0.0.1:9"
