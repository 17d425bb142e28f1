"""Trainings without anybody hostile, in full: ``python -m tests.federation.honest`` runs them all.

It writes ``honest_runs.csv`` (200 trainings of different seeds, models, splits and aggregations)
and ``own_runs.csv`` (50 draws in which each organization brings its own data and lacks classes).
The gate computes some of the rows again and reads the others.
"""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tests.federation.hostile import NAMES, attacked

from tradefl.federation import Plan, Training, make_server_app
from tradefl.federation.client import app as honest_app
from tradefl.federation.datasets import load_dataset
from tradefl.federation.grid import quiet, run_in_process

HERE = Path(__file__).parent
HONEST_RUNS, OWN_RUNS = HERE / "honest_runs.csv", HERE / "own_runs.csv"

# --- dealt out ------------------------------------------------------------------------------------

RUNS, ROUNDS = 200, 5
MODELS = (
    ("logistic", 1.0, "digits"),
    ("mlp", 1.0, "digits"),
    ("cnn", 0.25, "digits"),
    ("logistic", 1.0, "breast-cancer"),
)
SPLITS = (("iid", 0.5), ("dirichlet", 0.5), ("dirichlet", 0.1))
# With two classes, draws of less leave an organization without samples.
SMALLEST_OF_TWO = 0.2
AGGREGATIONS = ("fedavg", "fedadam")


def _cases() -> Iterable[dict[str, Any]]:
    for seed in itertools.count():
        for (model, width, data), (split, alpha), aggregation in itertools.product(
            MODELS, SPLITS, AGGREGATIONS
        ):
            yield {
                "model": model,
                "width": width,
                "data": data,
                "partition": split,
                "alpha": max(alpha, SMALLEST_OF_TWO) if data == "breast-cancer" else alpha,
                "aggregation": aggregation,
                "seed": seed,
            }


CASES = list(itertools.islice(_cases(), RUNS))


def honest_row(case: Mapping[str, Any]) -> dict[str, Any]:
    """Train as a case says; return what became of everybody's updates."""
    return {**case, **_counts(attacked("unchanged", (), rounds=ROUNDS, **case))}


def _counts(training: Training) -> dict[str, int]:
    """Return how many updates there were, what was held against them, and who was credited."""
    entries, pledges = training.ledger.entries, training.ledger.terms.pledges
    return {
        "organizations": len(pledges),
        "updates": len(entries),
        "aggregated": sum(entry.outcome == "aggregated" for entry in entries),
        "attributed": sum(entry.verdict == "attributed" for entry in entries),
        "suspicious": sum(entry.verdict == "suspicious" for entry in entries),
        # In every round with exactly the samples that it owes.
        "credited": sum(
            all(
                entry.samples_used == pledge.samples_owed
                for entry in entries
                if entry.organization == pledge.organization
            )
            for pledge in pledges
        ),
    }


# --- their own ------------------------------------------------------------------------------------

CLASSES, FEATURES, HELD = 6, 12, 40
SEEDS, CONCENTRATION = 50, 0.1
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


def write_data(folder: Path, x: Any, y: Any, x_test: Any, y_test: Any) -> None:
    """Write a data set of one's own."""
    folder.mkdir(exist_ok=True)
    np.savez(folder / "own.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)


def samples_of(rng: np.random.Generator, labels: Any) -> Any:
    """Return samples around the centres of their classes."""
    centres = np.random.default_rng(1).normal(size=(CLASSES, FEATURES))
    return (centres[labels] + 0.5 * rng.normal(size=(len(labels), FEATURES))).astype(np.float32)


def write_consortium(folder: Path, sizes: tuple[int, ...]) -> Path:
    """Write the consortium of ten organizations that hold so many samples."""
    path = folder / "own.toml"
    path.write_text(
        FILE
        + "".join(
            ORGANIZATION.format(name=name, p=500 + 10 * k, samples=size)
            for k, (name, size) in enumerate(zip(NAMES, sizes, strict=True))
        )
    )
    return path


def train_own(
    folder: Path, parts: Mapping[str, Any], rounds: int = 2, app: Any = honest_app, **settings: Any
) -> Training:
    """Train with each organization's own labels; the server has all classes in its test part."""
    rng = np.random.default_rng(3)
    y_test = np.tile(np.arange(CLASSES), 20)
    write_data(folder / "server", samples_of(rng, y_test), y_test, samples_of(rng, y_test), y_test)
    nodes = []
    for name, y in parts.items():
        x = samples_of(rng, np.minimum(y, CLASSES - 1))
        write_data(folder / name, x, y, x[:1], y[:1])
        nodes.append({"organization": name, "data-dir": str(folder / name)})
    path = write_consortium(folder, tuple(len(parts[name]) for name in NAMES))
    plan = Plan(
        consortium=str(path), data="own", data_dir=str(folder / "server"), partition="own",
        rounds=rounds, join_seconds=0.0, **settings,
    )  # fmt: skip
    results: list[Training] = []
    load_dataset.cache_clear()
    with quiet():
        run_in_process(make_server_app(plan, done=results.append), app, nodes, {})
    return results[0]


def own_labels(seed: int) -> dict[str, Any]:
    """Return labels for each organization, of which each lacks some classes."""
    rng = np.random.default_rng([7, seed])
    parts = {}
    for name in NAMES:
        shares = rng.dirichlet(np.full(CLASSES, CONCENTRATION))
        shares[rng.integers(CLASSES)] = 0.0
        shares = shares / shares.sum() if shares.sum() > 0 else np.eye(CLASSES)[0]
        parts[name] = rng.choice(CLASSES, HELD, p=shares)
    return parts


def own_row(seed: int, folder: Path) -> dict[str, Any]:
    """Draw, train, and return what became of everybody's updates."""
    parts = own_labels(seed)
    return {
        "seed": seed,
        "model": "logistic",
        "alpha": CONCENTRATION,
        "classes": CLASSES,
        "most_classes_held": max(len(set(labels)) for labels in parts.values()),
        **_counts(train_own(folder, parts)),
    }


# --- all of them ----------------------------------------------------------------------------------


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a committed file."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def as_text(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a row as a file has it."""
    return {key: str(value) for key, value in row.items()}


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    done = []
    for row in rows:
        done.append(row)
        print(f"{path.name}: {len(done)}", file=sys.stderr, end="\r")
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(done[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(done)


def _own_rows() -> Iterable[dict[str, Any]]:
    for seed in range(SEEDS):
        with TemporaryDirectory() as folder:
            yield own_row(seed, Path(folder))


if __name__ == "__main__":
    _write(OWN_RUNS, _own_rows())
    _write(HONEST_RUNS, map(honest_row, CASES))
