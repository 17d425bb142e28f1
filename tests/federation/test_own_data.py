"""Organizations that bring their own data: some lack classes, and nobody loses credit for it."""

import numpy as np
import pytest
from tests.federation.honest import (
    CLASSES,
    FEATURES,
    HELD,
    train_own,
    write_consortium,
    write_data,
)
from tests.federation.hostile import NAMES

from tradefl.federation import Plan, make_server_app
from tradefl.federation.client import app as honest_app
from tradefl.federation.grid import quiet, run_in_process


def test_an_organization_may_have_a_single_class_or_lack_the_highest(tmp_path):
    parts = {name: np.arange(HELD) % CLASSES for name in NAMES}
    parts["Alpha"] = np.zeros(HELD, int)
    parts["Beta"] = np.arange(HELD) % (CLASSES - 1)
    training = train_own(tmp_path, parts, rounds=5)
    assert {entry.outcome for entry in training.ledger.entries} == {"aggregated"}
    assert training.accuracy[-1] > 0.9


@pytest.mark.parametrize(
    ("labels", "place"),
    [(np.full(HELD, CLASSES), "the run has 0 .. 5"), (np.full(HELD, 99), "it has the label 99")],
)
def test_a_label_outside_the_range_is_one_line_before_the_first_round(tmp_path, labels, place):
    parts = {name: np.arange(HELD) % CLASSES for name in NAMES} | {"Gamma": labels}
    training = train_own(tmp_path, parts)
    [line] = [line for line in training.notices if "was refused" in line]
    assert "Gamma: own: y_train: " in line
    assert place in line
    outcomes = {entry.outcome for entry in training.ledger.entries if entry.organization == "Gamma"}
    assert outcomes == {"absent"}
    assert training.accuracy[-1] > 0.5  # the others train on


def test_samples_of_another_shape_are_one_line_before_the_first_round(tmp_path):
    parts = {name: np.arange(HELD) % CLASSES for name in NAMES}
    train_own(tmp_path, parts)  # writes everybody's data
    x = np.zeros((HELD, FEATURES + 1), np.float32)
    write_data(tmp_path / "Delta", x, parts["Delta"], x[:1], parts["Delta"][:1])
    path = write_consortium(tmp_path, (HELD,) * len(NAMES))
    plan = Plan(
        consortium=str(path), data="own", data_dir=str(tmp_path / "server"), partition="own",
        rounds=1, join_seconds=0.0,
    )  # fmt: skip
    from tradefl.federation.datasets import load_dataset

    load_dataset.cache_clear()
    nodes = [{"organization": name, "data-dir": str(tmp_path / name)} for name in NAMES]
    results = []
    with quiet():
        run_in_process(make_server_app(plan, done=results.append), honest_app, nodes, {})
    [line] = [line for line in results[0].notices if "was refused" in line]
    assert "Delta: its samples have the shape 13, those of the run 12" in line


def test_classes_with_names_are_matched_by_name(tmp_path):
    image = pytest.importorskip("PIL.Image")

    def images(folder, classes):
        for split in ("train", "test"):
            for name in classes:
                place = folder / "own" / split / name
                place.mkdir(parents=True)
                shade = {"cat": 40, "dog": 120, "owl": 220}[name]
                for k in range(8):
                    image.fromarray(np.full((6, 6), shade + k, np.uint8)).save(place / f"{k}.png")

    images(tmp_path / "server", ("cat", "dog", "owl"))
    nodes = []
    for name in NAMES:
        # Alpha has no cats: its first class is the run's second.
        images(tmp_path / name, ("dog", "owl") if name == "Alpha" else ("cat", "dog", "owl"))
        nodes.append({"organization": name, "data-dir": str(tmp_path / name)})
    sizes = tuple(16 if name == "Alpha" else 24 for name in NAMES)
    seen = {}
    from tradefl.federation import client

    plan = Plan(
        consortium=str(write_consortium(tmp_path, sizes)), data="own",
        data_dir=str(tmp_path / "server"), partition="own", rounds=1, join_seconds=0.0,
    )  # fmt: skip
    original = client._samples

    def watched(pledge, config, context):
        x, y, shape = original(pledge, config, context)
        seen[pledge.organization] = (sorted(set(y.tolist())), shape.classes)
        return x, y, shape

    with pytest.MonkeyPatch.context() as patch, quiet():
        patch.setattr(client, "_samples", watched)
        results = []
        run_in_process(make_server_app(plan, done=results.append), honest_app, nodes, {})
    assert seen["Alpha"] == ([1, 2], 3)
    assert seen["Beta"] == ([0, 1, 2], 3)
    assert {entry.outcome for entry in results[0].ledger.entries} == {"aggregated"}
