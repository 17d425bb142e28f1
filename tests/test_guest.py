"""A good guest: whatever is called, the host program finds its process as it left it.

Each call is made twice, and the process is compared before and after the second one: what an
import changes for good (Flower's and Ray's telemetry variables, a library's recursion limit) is
paid at the first.
"""

from __future__ import annotations

import concurrent.futures
import decimal
import gc
import json
import locale
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save
from tests.support import random_game
from tests.sweep import tasks

import tradefl
from tradefl.consortium import sample
from tradefl.design import design

ROOT = Path(__file__).parents[1]
DRUGS = ROOT / "examples" / "drug_discovery.toml"


def descriptors() -> dict[int, str]:
    """What the standard streams are, and which descriptors there are at all."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return {}
    gc.collect()
    found = {}
    for path in folder.iterdir():
        try:
            found[int(path.name)] = str(path.readlink())
        except OSError:  # that of the listing itself
            continue
    return {number: place for number, place in found.items() if number <= 2}


def children() -> set[str]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == os.getpid() and words[0] != "Z":
            found.add(stat.parent.name)
    return found


def loggers() -> dict[str, Any]:
    root = logging.getLogger()
    known = {"": root, **logging.Logger.manager.loggerDict}
    return {
        name: (
            entry.level,
            list(entry.handlers),
            list(entry.filters),
            entry.propagate,
            entry.disabled,
        )
        for name, entry in known.items()
        if isinstance(entry, logging.Logger)
    }


def torch_settings() -> Any:
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    return (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_rng_state().numpy().tobytes(),
    )


def flower_settings() -> Any:
    identity = sys.modules.get("flwr.supercore.task_identity")
    logger = sys.modules.get("flwr.supercore.logger")
    return (
        None if identity is None else dict(vars(identity.TaskIdentity)),
        None
        if logger is None
        else (list(logger.console_handler.filters), logger.console_handler.colored),
    )


def process() -> dict[str, Any]:
    """Return what a host program may have set, and expects to find again."""
    numba = sys.modules.get("numba")
    return {
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "path": list(sys.path),
        "meta path": list(sys.meta_path),
        "arguments": list(sys.argv),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "descriptors": descriptors(),
        "hooks": (sys.excepthook, sys.displayhook, threading.excepthook, sys.unraisablehook),
        "recursion": sys.getrecursionlimit(),
        "switch": sys.getswitchinterval(),
        "signals": {signal_: signal.getsignal(signal_) for signal_ in signal.valid_signals()},
        "warnings": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "loggers": loggers(),
        "logging": logging.root.manager.disable,
        "locale": locale.setlocale(locale.LC_ALL),
        "decimal": str(decimal.getcontext()),
        "random": random.getstate(),
        "numpy random": str(np.random.get_state()),  # noqa: NPY002 - the host's, not ours
        "numpy errors": np.geterr(),
        "numpy print": np.get_printoptions(),
        "numba": None if numba is None else numba.config.CACHE_DIR,
        "torch": torch_settings(),
        "flower": flower_settings(),
        "threads": {thread.name for thread in threading.enumerate() if not thread.daemon},
        "processes": children(),
        "collector": (gc.isenabled(), gc.get_threshold()),
    }


def require_unchanged(call: Callable[[], object]) -> None:
    """Check that a call changes nothing in the process; its first call may import."""
    call()
    before = process()
    call()
    after = process()
    for name, value in before.items():
        if name == "loggers":
            # New loggers are nobody's; those that there were are the host's.
            assert {key: after[name].get(key) for key in value} == value, name
        else:
            assert after[name] == value, name


def test_the_comparison_notices():
    for change in (
        lambda: os.environ.__setitem__("TRADEFL_GUEST", os.environ.get("TRADEFL_GUEST", "") + "x"),
        lambda: logging.getLogger("guest").setLevel(logging.getLogger("guest").level + 1),
        lambda: np.random.random(),  # noqa: NPY002
        lambda: warnings.simplefilter("always", type(f"W{len(warnings.filters)}", (Warning,), {})),
    ):
        try:
            with warnings.catch_warnings(), pytest.raises(AssertionError):
                require_unchanged(change)
        finally:
            os.environ.pop("TRADEFL_GUEST", None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "consortium.toml"
    path.write_text(sample())
    return path


@pytest.mark.parametrize("method", tradefl.METHODS)
def test_solving(method):
    game = random_game(3, 4, accuracy="sqrt-loss")
    require_unchanged(lambda: tradefl.solve(game, method))


def test_solving_a_large_game():
    from benchmarks.consortia import sector_game

    game = sector_game(8_000)
    require_unchanged(lambda: tradefl.solve(game))
    require_unchanged(lambda: tradefl.solve(game, "dbr"))


@pytest.mark.parametrize(
    "verb",
    [
        lambda file: tradefl.load(file),
        lambda file: tradefl.solve(tradefl.load(file)).statement("Alpha"),
        lambda file: tradefl.compare(tradefl.load(file).game),
        lambda file: tradefl.tune(tradefl.load(file).game),
        lambda file: design(tradefl.load(file).game),
        lambda _: tradefl.fit_empirical([0.0, 1.0, 2.0, 4.0], [0.1, 0.5, 0.6, 0.65]),
        lambda _: tradefl.sweep(tasks.third, [[k] for k in range(3)], workers=1),
        lambda _: tradefl.sweep(tasks.third, [[k] for k in range(3)], workers=2),
    ],
    ids=["load", "statement", "compare", "tune", "design", "fit", "sweep", "sweep on processes"],
)  # fmt: skip
def test_the_verbs(file, verb):
    require_unchanged(lambda: verb(file))


@pytest.mark.parametrize(
    "command",
    [
        ["solve", "--json"],
        ["agreement"],
        ["train", "--rounds", "1"],
        ["settle"],
        ["negotiate"],
        ["report", "--output", "report.html"],
        ["audit"],
        ["run", "--rounds", "1", "--no-tune", "--output", "results"],
        ["fit-accuracy", "--rounds", "1", "--fractions", "0.1,0.5,1", "--output", "fitted.toml"],
        ["reproduce", "--seeds", "1", "--workers", "1", "--out", "figures"],
    ],
    ids=lambda words: words[0],
)
def test_what_commands_call(file, tmp_path, monkeypatch, command):
    needs = {key: ["flwr"] for key in ("train", "fit-accuracy")}
    needs |= {key: ["web3"] for key in ("settle", "audit", "negotiate")}
    needs |= {"run": ["flwr", "web3", "altair"], "reproduce": ["altair"], "report": ["altair"]}
    for module in needs.get(command[0], []):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    first, *rest = command

    def call() -> None:
        ran = run(first, "fig6" if first == "reproduce" else file, *rest)
        assert ran.code == 0, ran

    require_unchanged(call)


def test_trainings_in_threads_leave_the_process_as_it_was(tmp_path):
    """And each is what it is alone."""
    pytest.importorskip("flwr")
    from tradefl.federation import Plan, train

    plans = [Plan(consortium=str(DRUGS), rounds=1, seed=seed) for seed in range(3)]
    alone = [train(plan).accuracy for plan in plans]

    def together() -> None:
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            found = list(pool.map(lambda plan: train(plan).accuracy, plans))
        assert found == alone

    require_unchanged(together)


def test_four_at_once_get_what_they_get_one_by_one(tmp_path):
    """Solve, train, report and settle: in four threads, and in four forks of a busy process."""
    for module in ("flwr", "web3", "altair"):
        pytest.importorskip(module)
    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    for k in range(4):
        changes = {"mechanism.incentive_intensity": 1e-9 * (k + 1)}
        save(tmp_path, document(changes)).rename(tmp_path / f"{k}.toml")
    done = subprocess.run(
        [sys.executable, "-m", "tests.at_once", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    alone = found["one by one"]
    assert len({json.dumps(value) for value in alone}) == 4  # four different answers
    assert {value["phase"] for value in alone} == {"SETTLED"}
    assert found == {"one by one": alone, "threads": alone, "forks": alone}
