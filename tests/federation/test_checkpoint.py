"""Checkpoints: whole or not at all, exact to the last bit, and never of another training."""

import dataclasses
import io
import json
import math
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord
from flwr.serverapp.strategy import FedAdam, FedAvg
from tests.federation.messages import FakeGrid, Federation, in_a_run, make_terms, record, same

from tradefl.errors import InputError
from tradefl.federation import Entry, Ledger
from tradefl.federation.checkpoint import META, Checkpoint, restore_state, strategy_state
from tradefl.federation.models import Shape, make_model
from tradefl.federation.training import require_rounds


def state(**changes):
    rng = np.random.default_rng(3)
    return Checkpoint(
        **{
            "rounds_done": 2,
            "arrays": {
                "fc.weight": rng.normal(size=(3, 2)).astype(np.float32),
                "a/b.0": rng.normal(size=4),
                "steps": np.asarray(7, np.int64),
                "odd": np.asfortranarray(rng.normal(size=(2, 3))),
            },
            "state": {"m_t": {"x": rng.normal(size=2)}, "v_t": {"x": rng.normal(size=2)}},
            "accuracy": [0.1, 0.1 + 0.2, 1 / 3],
            "loss": [2.3, math.nan, math.inf],
            "entries": [{"round": 1, "organization": "Ä", "outcome": "aggregated"}],
            "identity": {"seed": 0, "data": "digits", "pledges": [["Alpha", 0.3, 2e9, 5, 0]]},
        }
        | changes
    )


def equal(a, b):
    return (
        same(a.arrays, b.arrays)
        and list(a.state) == list(b.state)
        and all(same(a.state[key], b.state[key]) for key in a.state)
        and [x.hex() for x in a.accuracy] == [x.hex() for x in b.accuracy]
        and [x.hex() for x in a.loss] == [x.hex() for x in b.loss]
        and (a.rounds_done, a.entries, a.identity) == (b.rounds_done, b.entries, b.identity)
    )


def test_a_checkpoint_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "state"  # no suffix is added
    kept = state()
    kept.write(path)
    assert os.listdir(tmp_path) == ["state"]  # noqa: PTH208
    assert equal(Checkpoint.read(path), kept)
    assert not equal(Checkpoint.read(path), state(accuracy=[0.1, 0.3, 1 / 3]))


def test_an_empty_state_and_an_empty_model_are_read_too(tmp_path):
    path = tmp_path / "state.npz"
    kept = state(arrays={}, state={}, accuracy=[], loss=[], entries=[], identity={}, rounds_done=0)
    kept.write(path)
    assert equal(Checkpoint.read(path), kept)


def test_a_checkpoint_replaces_the_one_before_at_once(tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    state().write(path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", full)
        with pytest.raises(InputError, match="No space left"):
            state(rounds_done=3).write(path)
    assert path.read_bytes() == before
    state(rounds_done=3, accuracy=[0.0] * 4, loss=[0.0] * 4).write(path)
    assert Checkpoint.read(path).rounds_done == 3
    assert os.listdir(tmp_path) == ["state.npz"]  # noqa: PTH208


def test_a_folder_that_is_not_there_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        state().write(tmp_path / "nowhere" / "state.npz")


# --- files that are no checkpoint ---------------------------------------------------------------


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(InputError, match="no such file: there is no checkpoint to resume from"):
        Checkpoint.read(tmp_path / "state.npz")


class Trap:
    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def archive(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def meta(**changes):
    """Return a checkpoint's file with other figures in it."""
    figures = {
        "schema": "tradefl/checkpoint/1",
        "rounds_done": 1,
        "accuracy": ["0x0.0p+0", "0x1.0p-1"],
        "loss": ["0x1.0p+0", "0x1.0p-1"],
        "entries": [],
        "identity": {},
        "names": ["w"],
        "state": {},
    } | changes
    text = json.dumps({key: value for key, value in figures.items() if value is not ...})
    return archive(**{"array.0": np.zeros(2), META: np.frombuffer(text.encode(), np.uint8)})


def test_the_hand_made_checkpoint_is_one(tmp_path):
    path = tmp_path / "state.npz"
    path.write_bytes(meta())
    assert Checkpoint.read(path).accuracy == [0.0, 0.5]


ENTRY = {"round": 1, "organization": "Alpha", "outcome": "aggregated"}
NO_CHECKPOINTS = {
    "nothing": lambda: b"",
    "text": lambda: b"hello",
    "the first bytes of an archive": lambda: b"PK\x03\x04",
    "an archive without files": lambda: b"PK\x05\x06" + b"\x00" * 18,
    "the first bytes of an array": lambda: b"\x93NUMPY",
    "no arrays": archive,
    "other arrays": lambda: archive(weights=np.zeros(3)),
    "no JSON": lambda: archive(meta=np.frombuffer(b"not json", np.uint8)),
    "a list": lambda: archive(meta=np.frombuffer(b"[]", np.uint8)),
    "an empty table": lambda: archive(meta=np.frombuffer(b"{}", np.uint8)),
    "no text": lambda: archive(meta=np.frombuffer(b"\xff\xfe", np.uint8)),
    "lists in lists": lambda: archive(meta=np.frombuffer(b"[" * 100_000, np.uint8)),
    "a later schema": lambda: meta(schema="tradefl/checkpoint/2"),
    "another document": lambda: meta(schema="tradefl/training/1"),
    "no schema": lambda: meta(schema=...),
    "an array too few": lambda: meta(names=["w", "v"]),
    "no names": lambda: meta(names=...),
    "a number of names": lambda: meta(names=5),
    "a state that is not there": lambda: meta(state={"m_t": ["w"]}),
    "a state without arrays": lambda: meta(state=["m_t"]),
    "accuracy in words": lambda: meta(accuracy=["much"]),
    "accuracy in decimals": lambda: meta(accuracy=[0.5]),
    "no accuracy": lambda: meta(accuracy=...),
    "no loss": lambda: meta(loss=None),
    "rounds in words": lambda: meta(rounds_done="two"),
    "no entries": lambda: meta(entries=None),
    "fewer than no rounds": lambda: meta(rounds_done=-5),
    "rounds in fractions": lambda: meta(rounds_done=1.0),
    "a truth for a number": lambda: meta(rounds_done=True),
    "rounds without an accuracy": lambda: meta(rounds_done=7),
    "another accuracy than loss": lambda: meta(loss=["0x1.0p+0"]),
    "another attribute as state": lambda: meta(state={"__class__": []}),
    "a method as state": lambda: meta(state={"aggregate_train": ["w"]}),
    "names that are equal": lambda: meta(names=["w", "w"]),
    "names that are numbers": lambda: meta(names=[1]),
    "an entry in words": lambda: meta(entries=["present"]),
    "an entry with another field": lambda: meta(entries=[ENTRY | {"__class__": "x"}]),
    "an entry of a later round": lambda: meta(entries=[ENTRY | {"round": 2}]),
    "an entry without an outcome": lambda: meta(entries=[{"round": 1, "organization": "A"}]),
    "an identity without names": lambda: meta(identity=[1]),
    "no identity": lambda: meta(identity=None),
}


@pytest.mark.parametrize("what", NO_CHECKPOINTS)
def test_what_is_no_checkpoint_is_an_input_error_that_names_the_file(tmp_path, what):
    path = tmp_path / "state.npz"
    path.write_bytes(NO_CHECKPOINTS[what]())
    with pytest.raises(InputError) as error:
        Checkpoint.read(path)
    (problem,) = error.value.problems
    assert problem.place.startswith(str(path))
    assert "checkpoint" in problem.message


def test_another_array_file_a_folder_and_a_pickle_are_input_errors(tmp_path):
    plain, folder, sprung = tmp_path / "a.npy", tmp_path / "folder", tmp_path / "sprung"
    np.save(plain, np.zeros(3))
    folder.mkdir()
    pickled = tmp_path / "state.npz"
    pickled.write_bytes(pickle.dumps(Trap(sprung)))
    for path in (plain, folder, pickled):
        with pytest.raises(InputError, match=r"is not a (readable )?checkpoint"):
            Checkpoint.read(path)
    # A checkpoint in which an array is a pickled object.
    stream = io.BytesIO()
    np.save(stream, np.array([Trap(sprung)], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(io.BytesIO(meta())) as good, zipfile.ZipFile(pickled, "w") as forged:
        forged.writestr("meta.npy", good.read("meta.npy"))
        forged.writestr("array.0.npy", stream.getvalue())
    with pytest.raises(InputError, match=r"is not a (readable )?checkpoint"):
        Checkpoint.read(pickled)
    assert not sprung.exists()


def test_wherever_a_checkpoint_is_cut_off_it_is_refused(tmp_path):
    path = tmp_path / "state.npz"
    state().write(path)
    whole = path.read_bytes()
    for length in [*range(40), *range(40, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"is not a (readable )?checkpoint"):
            Checkpoint.read(path)


def test_wherever_a_byte_is_broken_it_is_refused_or_does_not_matter(tmp_path):
    path = tmp_path / "state.npz"
    kept = state()
    kept.write(path)
    whole = path.read_bytes()
    refused = 0
    # Every byte of the archive's own structure, and a part of the data.
    end = whole.index(b"PK\x01\x02")
    at = sorted({*range(60), *range(60, end, 13), *range(end, len(whole))})
    for k in at:
        for flip in (0x01, 0xFF):
            path.write_bytes(whole[:k] + bytes([whole[k] ^ flip]) + whole[k + 1 :])
            try:
                read = Checkpoint.read(path)
            except InputError:
                refused += 1
            else:
                assert equal(read, kept)
    assert refused > len(at)


# --- of another training ------------------------------------------------------------------------


def test_every_figure_that_differs_is_named(tmp_path):
    path = tmp_path / "state.npz"
    kept = state(identity={"seed": 0, "data": "digits", "model": "logistic", "old": 1})
    kept.require(path, kept.identity)
    with pytest.raises(InputError) as error:
        kept.require(path, {"seed": 1, "data": "digits", "model": "cnn", "new": [1, 2]})
    told = {problem.place: problem.message for problem in error.value.problems}
    assert told == {
        f"{path}: seed": "the checkpoint is of 0, this training of 1",
        f"{path}: model": 'the checkpoint is of "logistic", this training of "cnn"',
        f"{path}: old": "the checkpoint is of 1, this training of null",
        f"{path}: new": "the checkpoint is of null, this training of [1, 2]",
    }


def test_long_figures_are_shortened_and_tuples_are_lists(tmp_path):
    path = tmp_path / "state.npz"
    kept = state(identity={"pledges": [["Alpha", 0.1 + 0.2]]})
    kept.require(path, {"pledges": [("Alpha", 0.1 + 0.2)]})
    with pytest.raises(InputError) as error:
        kept.require(path, {"pledges": [("Alpha", 0.3)] * 100})
    (problem,) = error.value.problems
    assert problem.place.endswith("pledges")
    assert len(problem.message) < 200


# --- the aggregating strategy's own state -------------------------------------------------------


def test_fedadam_continues_bit_for_bit_from_its_state(tmp_path):
    path = tmp_path / "state.npz"
    rng = np.random.default_rng(5)
    terms, model = make_terms([3, 5, 9]), {"w": np.zeros(6, np.float32), "b": np.float32(0)}
    updates = [
        [{"w": rng.normal(size=6).astype(np.float32), "b": np.float32(k)} for k in range(3)]
        for _ in range(4)
    ]

    def adam():
        return FedAdam(min_train_nodes=1, min_available_nodes=1)

    def run(fed, rounds):
        for arrays in rounds:
            fed.ask()
            fed.model = fed.end(
                [fed.reply(i, arrays[i], terms.pledges[i].samples_owed) for i in range(3)]
            )
        return fed

    with in_a_run():
        whole = run(Federation(terms, adam(), model=model), updates)
        half = run(Federation(terms, adam(), model=model), updates[:2])
        assert set(strategy_state(half.inner)) == {"m_t", "v_t"}
        dataclasses.replace(
            state(),
            arrays=half.model,
            state=strategy_state(half.inner),
            entries=half.strategy.ledger.to_list(),
        ).write(path)
        read = Checkpoint.read(path)

        def continued(inner):
            ledger = Ledger.from_list(terms, read.entries)
            return run(
                Federation(terms, inner, model=read.arrays, rounds_done=2, ledger=ledger),
                updates[2:],
            )

        restored = adam()
        restore_state(restored, read.state)
        second_half = continued(restored)
        assert same(second_half.model, whole.model)
        # The rounds count on from the third (`ask` counts this federation's own).
        assert second_half.strategy.ledger.to_list() == whole.strategy.ledger.to_list()
        # Without its state it would be another model: the test can fail.
        assert not same(continued(adam()).model, whole.model)


def test_only_moments_are_restored():
    adam, before = FedAdam(), vars(FedAdam()).copy()
    restore_state(adam, {"m_t": {"w": np.ones(2)}, "eta": {"w": np.ones(2)}, "__class__": {}})
    assert type(adam) is FedAdam
    assert adam.m_t["w"].tolist() == [1.0, 1.0]
    assert adam.eta == before["eta"]


def test_the_state_of_another_strategy_is_refused():
    with pytest.raises(ValueError, match="the state 'm_t' is not one of FedAvg"):
        restore_state(FedAvg(), {"m_t": {"w": np.ones(2)}})


@pytest.mark.parametrize("accuracy", [math.nan, math.inf, -0.1, 1.5])
def test_an_accuracy_that_is_none_is_no_checkpoint(tmp_path, accuracy):
    path = tmp_path / "state.npz"
    state(accuracy=[0.1, accuracy, 0.3]).write(path)
    with pytest.raises(InputError, match="is not a checkpoint of this version"):
        Checkpoint.read(path)


def test_fedavg_keeps_nothing_and_fedadam_nothing_before_the_first_round():
    assert strategy_state(FedAvg()) == {}
    adam = FedAdam(min_train_nodes=1, min_available_nodes=1)
    assert strategy_state(adam) == {}
    with in_a_run():
        adam.configure_train(1, record({"w": np.zeros(2)}), ConfigRecord(), FakeGrid(2))
    restore_state(adam, {})
    assert adam.m_t is None


def test_a_models_parameters_survive(tmp_path):
    path = tmp_path / "state.npz"
    arrays = make_model("logistic", Shape((8, 8), 10)).initial(0)
    state(arrays=arrays).write(path)
    assert same(Checkpoint.read(path).arrays, arrays)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda entries: entries[:-1], "has no entry for round 2, 'Beta'"),
        (lambda entries: [*entries, entries[0]], "expected 4 entries, got 5"),
        (lambda _: [], "has no entry for round 1, 'Alpha'"),
        (
            lambda entries: [dataclasses.replace(entries[0], samples_used=11), *entries[1:]],
            "round 1, 'Alpha' used 11 samples but pledged 10",
        ),
    ],
)
def test_a_ledger_that_no_training_wrote_is_not_continued(change, problem):
    terms = make_terms([10, 10])
    entries = [
        Entry(number, name, "aggregated", samples_used=10)
        for number in (1, 2)
        for name in ("Alpha", "Beta")
    ]
    require_rounds(Ledger(terms, entries), 2, Path("t.checkpoint"))
    with pytest.raises(InputError, match=f"t.checkpoint: {problem}"):
        require_rounds(Ledger(terms, change(entries)), 2, Path("t.checkpoint"))
