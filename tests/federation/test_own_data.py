"""Organizations that bring their own data: some lack classes, and nobody loses credit for it."""

import functools

import numpy as np
import pytest
from tests.federation.hostile import NAMES

from tradefl.federation import Plan, make_server_app
from tradefl.federation.client import app as honest_app
from tradefl.federation.grid import quiet, run_in_process

CLASSES, FEATURES, HELD = 6, 12, 40
SEEDS = 50
FILE = """
name = "own"
[mechanism]
incentive_intensity = 1e-10
compute_weight = 1e-6
overhead_weight = 1e-3
min_data_fraction = 0.01
deadline_seconds = 1e6
[energy]
capacitance = 1e-28
download_watts = 1.0
upload_watts = 1.0
[accuracy]
model = "sqrt-loss"
measure = "samples"
unit = 1.0
epochs = 5
untrained_loss = 0.9
[competition]
default = 0.001
"""
ORGANIZATION = """
[[organization]]
name = "{name}"
profitability = {p}
data_bits = 1e9
samples = {samples}
cycles_per_bit = 1.0
cpu_levels_hz = [1e9, 2e9]
download_seconds = 1.0
upload_seconds = 1.0
"""


def write(folder, x, y, x_test, y_test):
    folder.mkdir(exist_ok=True)
    np.savez(folder / "own.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)


def samples_of(rng, labels):
    centres = np.random.default_rng(1).normal(size=(CLASSES, FEATURES))
    return (centres[labels] + 0.5 * rng.normal(size=(len(labels), FEATURES))).astype(np.float32)


@functools.cache
def consortium(folder, sizes):
    path = folder / "own.toml"
    path.write_text(
        FILE
        + "".join(
            ORGANIZATION.format(name=name, p=500 + 10 * k, samples=size)
            for k, (name, size) in enumerate(zip(NAMES, sizes, strict=True))
        )
    )
    return path


def train(folder, parts, rounds=2, **settings):
    """Train with each organization's own labels; the server has all classes in its test part."""
    rng = np.random.default_rng(3)
    y_test = np.tile(np.arange(CLASSES), 20)
    write(folder / "server", samples_of(rng, y_test), y_test, samples_of(rng, y_test), y_test)
    nodes = []
    for name, y in parts.items():
        x = samples_of(rng, np.minimum(y, CLASSES - 1))
        write(folder / name, x, y, x[:1], y[:1])
        nodes.append({"organization": name, "data-dir": str(folder / name)})
    path = consortium(folder, tuple(len(parts[name]) for name in NAMES))
    given = {"consortium": str(path), "data": "own", "data_dir": str(folder / "server")}
    plan = Plan(**given, partition="own", rounds=rounds, join_seconds=0.0, **settings)
    results = []
    with quiet():
        run_in_process(make_server_app(plan, done=results.append), honest_app, nodes, {})
    return results[0]


def dirichlet(seed):
    """Return labels for each organization, of which each lacks some classes."""
    rng = np.random.default_rng([7, seed])
    parts = {}
    for name in NAMES:
        shares = rng.dirichlet(np.full(CLASSES, 0.1))
        shares[rng.integers(CLASSES)] = 0.0
        shares = shares / shares.sum() if shares.sum() > 0 else np.eye(CLASSES)[0]
        parts[name] = rng.choice(CLASSES, HELD, p=shares)
    return parts


@pytest.mark.parametrize(
    "seed",
    [
        seed if seed % 20 == 0 else pytest.param(seed, marks=pytest.mark.slow)
        for seed in range(SEEDS)
    ],
)
def test_everybody_is_credited_exactly_what_it_used(tmp_path, seed):
    parts = dirichlet(seed)
    assert all(len(set(labels)) < CLASSES for labels in parts.values())
    training = train(tmp_path, parts)
    assert training.notices == ()
    for one, pledge in zip(training.ledger.measured(), training.ledger.terms.pledges, strict=True):
        assert one.measured_fraction == pledge.samples_owed / HELD
        assert (one.rounds_asked, one.rounds_credited) == (2, 2)


def test_an_organization_may_have_a_single_class_or_lack_the_highest(tmp_path):
    parts = {name: np.arange(HELD) % CLASSES for name in NAMES}
    parts["Alpha"] = np.zeros(HELD, int)
    parts["Beta"] = np.arange(HELD) % (CLASSES - 1)
    training = train(tmp_path, parts, rounds=5)
    assert {entry.outcome for entry in training.ledger.entries} == {"aggregated"}
    assert training.accuracy[-1] > 0.9


@pytest.mark.parametrize(
    ("labels", "place"),
    [(np.full(HELD, CLASSES), "the run has 0 .. 5"), (np.full(HELD, 99), "it has the label 99")],
)
def test_a_label_outside_the_range_is_one_line_before_the_first_round(tmp_path, labels, place):
    parts = {name: np.arange(HELD) % CLASSES for name in NAMES} | {"Gamma": labels}
    training = train(tmp_path, parts)
    [line] = [line for line in training.notices if "was refused" in line]
    assert "Gamma: own: y_train: " in line
    assert place in line
    outcomes = {entry.outcome for entry in training.ledger.entries if entry.organization == "Gamma"}
    assert outcomes == {"absent"}
    assert training.accuracy[-1] > 0.5  # the others train on


def test_samples_of_another_shape_are_one_line_before_the_first_round(tmp_path):
    parts = {name: np.arange(HELD) % CLASSES for name in NAMES}
    train(tmp_path, parts)  # writes everybody's data
    x = np.zeros((HELD, FEATURES + 1), np.float32)
    write(tmp_path / "Delta", x, parts["Delta"], x[:1], parts["Delta"][:1])
    path = consortium(tmp_path, (HELD,) * len(NAMES))
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
        consortium=str(consortium(tmp_path, sizes)), data="own",
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
