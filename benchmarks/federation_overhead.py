"""The strategy's overhead: rounds of ``TradeFL(FedAvg)`` against rounds of Flower's plain FedAvg.

Both run the same app on the same data in process, one right after the other. Everybody pledges
everything, so that both train on the same samples. Two views: the rounds alone, with nothing
evaluated and nothing loaded that an overhead could hide in; and whole processes, as a user runs
them. Third, what the records about updates take of a whole training. PyTorch gets one thread: what
is compared is the strategy, not the fight for cores.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, Strategy

from benchmarks.measure import keep, process
from tradefl.federation import (
    ContributingApp,
    Plan,
    Pledge,
    Terms,
    TradeFL,
    pledged_indices,
    strategy,
    train,
    updates,
)
from tradefl.federation.datasets import load_dataset
from tradefl.federation.grid import run_in_process
from tradefl.federation.models import LocalTraining, Model, make_model
from tradefl.federation.partition import partition
from tradefl.training_document.holdings import shares

ORGANIZATIONS, ROUNDS = 10, 5
EXAMPLE = Path(__file__).parents[1] / "examples" / "drug_discovery.toml"
# title: (model, width, learning rate, runs)
CASES: dict[str, tuple[str, float, float, int]] = {
    "digits, logistic": ("logistic", 1.0, 0.5, 41),
    "digits, cnn at width 0.25": ("cnn", 0.25, 0.02, 21),
    "digits, cnn": ("cnn", 1.0, 0.02, 11),
}
PROCESSES = 11
RECORDED_ROUNDS, RECORDED_RUNS = 20, 11


def main() -> dict[str, Any]:
    """Measure the ratio for a small model and for a larger one, and for whole processes."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    scale = f"{ORGANIZATIONS} organizations, {ROUNDS} rounds"
    result = {f"{title}, {scale}: the rounds": rounds(*case) for title, case in CASES.items()}
    result[f"digits, logistic, {scale}: the process"] = processes()
    for title in CASES:
        long = f"{ORGANIZATIONS} organizations, {RECORDED_ROUNDS} rounds"
        result[f"{title}, {long}: the records"] = records(*CASES[title][:3])
    keep("federation_overhead", result)
    return result


def rounds(name: str, width: float, rate: float, runs: int) -> dict[str, float]:
    """Return medians and ratios of a model's training, both ways in turn."""
    samples: dict[str, list[tuple[float, float]]] = {"plain": [], "first": [], "again": []}

    def race(start: Callable[[Strategy], object], terms: Terms) -> None:
        for run in range(runs + 1):
            ours, plain = TradeFL(_fedavg(), terms), _fedavg()
            # They change sides: whatever else the machine does must not favour one of them. The
            # second time our strategy knows the nodes and asks nobody.
            kinds = ["first", "plain", "again"] if run % 2 else ["plain", "first", "again"]
            timings = {kind: _timed(start, plain if kind == "plain" else ours) for kind in kinds}
            _expect_all(ours, 2)
            if run:  # the first is a warm-up
                for kind, timing in timings.items():
                    samples[kind].append(timing)

    _in_process(name, width, rate, race)
    return _summary(samples["plain"], samples["first"]) | {
        f"{key}_without_profile_query": value
        for key, value in _summary(samples["plain"], samples["again"]).items()
        if key.endswith("ratio")
    }


def processes() -> dict[str, float]:
    """Return medians and ratios of whole processes that train the logistic model."""
    samples: dict[str, list[tuple[float, float]]] = {"plain": [], "tradefl": []}
    for run in range(PROCESSES + 1):
        for kind in ("plain", "tradefl") if run % 2 else ("tradefl", "plain"):
            command = [sys.executable, "-m", "benchmarks.federation_overhead", kind]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.perf_counter()
            process(command)
            wall = time.perf_counter() - began
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            if run:  # the first is a warm-up
                samples[kind].append((wall, cpu))
    return _summary(samples["plain"], samples["tradefl"])


def records(name: str, width: float, rate: float) -> dict[str, float]:
    """Return which part of the time of ``tradefl train`` the records of updates take.

    Lengths, directions, copies, flags and hashes of all updates, against everything that a training
    does in this process; CPU time, medians over runs.
    """
    if name != "logistic":
        import torch

        torch.set_num_threads(1)
    plan = Plan(
        consortium=str(EXAMPLE), model=name, width=width, learning_rate=rate, rounds=RECORDED_ROUNDS
    )
    shares = []
    for run in range(RECORDED_RUNS + 1):
        with _recording() as spent:
            began = time.process_time()
            training = train(plan)
            whole = time.process_time() - began
        if not all(entry.norm and entry.update_sha256 for entry in training.ledger.entries):
            raise RuntimeError("expected a record of every update")
        if run:  # the first is a warm-up
            shares.append((sum(spent), whole))
    return {
        "records_cpu_seconds": statistics.median(own for own, _ in shares),
        "training_cpu_seconds": statistics.median(whole for _, whole in shares),
        "records_share": statistics.median(own / whole for own, whole in shares),
    }


@contextlib.contextmanager
def _recording() -> Iterator[list[float]]:
    """Collect the CPU time of everything that is recorded about updates and nothing else."""
    spent: list[float] = []

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            began = time.process_time()
            try:
                return function(*args, **options)
            finally:
                spent.append(time.process_time() - began)

        return call

    patches = [
        mock.patch.object(strategy, "measured", timed(strategy.measured)),
        mock.patch.object(strategy, "flags_of", timed(strategy.flags_of)),
        mock.patch.object(TradeFL, "_rises", timed(TradeFL._rises)),
        mock.patch.object(updates, "_hashed", timed(updates._hashed)),
    ]
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield spent


def _process(kind: str) -> None:
    """Do what a process that is measured does."""
    logging.getLogger("flwr").setLevel(logging.ERROR)

    def run(start: Callable[[Strategy], object], terms: Terms) -> None:
        if kind == "plain":
            start(_fedavg())
            return
        ours = TradeFL(_fedavg(), terms)
        start(ours)
        _expect_all(ours, 1)

    _in_process(*CASES["digits, logistic"][:3], run)


def _in_process(
    name: str,
    width: float,
    rate: float,
    run: Callable[[Callable[[Strategy], object], Terms], None],
) -> None:
    """Call a function with what starts a strategy's rounds, inside a run of ten nodes."""
    if name != "logistic":
        import torch

        torch.set_num_threads(1)
    data = load_dataset("digits")
    model = make_model(name, data.shape, width=width)
    held = shares([520, 410, 360, 310, 270, 230, 190, 150, 110, 80], len(data.y_train))
    parts = partition(data.y_train, held, scheme="iid", alpha=0.5, seed=0)
    app = _app(model, [(data.x_train[part], data.y_train[part]) for part in parts], rate)
    initial = {key: Array(value) for key, value in model.initial(0).items()}
    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:  # noqa: ARG001  (Flower's signature)
        run(
            lambda strategy: strategy.start(grid, ArrayRecord(initial), num_rounds=ROUNDS),
            _terms(held),
        )

    run_in_process(server, app, [{"partition-id": k} for k in range(ORGANIZATIONS)], {})


def _app(model: Model, samples: list[tuple[Any, Any]], rate: float) -> ContributingApp:
    """Return a ClientApp that trains the model, whatever the server's strategy."""
    app = ContributingApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        config = message.content.config_records["config"]
        x, y = samples[int(context.node_config["partition-id"])]
        chosen = pledged_indices(message, len(y))
        how = LocalTraining(1, rate, 32, seed=int(config["server-round"]))  # type: ignore[arg-type]
        sent = next(iter(message.content.array_records.values()))
        parameters, loss = model.train(
            {key: array.numpy() for key, array in sent.items()}, x[chosen], y[chosen], how
        )
        content = RecordDict(
            {
                "arrays": ArrayRecord({key: Array(value) for key, value in parameters.items()}),
                "metrics": MetricRecord({"num-examples": len(chosen), "train-loss": loss}),
            }
        )
        return Message(content, reply_to=message)

    return app


def _terms(held: list[int]) -> Terms:
    """Return terms under which everybody owes everything, and has the time for it."""
    n = len(held)
    return Terms(
        pledges=tuple(Pledge(f"Organization {k}", 1.0, 1e9, held[k], 0) for k in range(n)),
        transfer_seconds=(1.0,) * n,
        cycles=(1e9,) * n,
        cpu_levels_hz=((1e9,),) * n,
        deadline_seconds=10.0,
    )


def _fedavg() -> FedAvg:
    return FedAvg(fraction_evaluate=0.0)


def _expect_all(strategy: TradeFL, trainings: int) -> None:
    """Fail unless every update counted: else the two did not do the same work."""
    outcomes = [entry.outcome for entry in strategy.ledger.entries]
    if outcomes != ["aggregated"] * (trainings * ORGANIZATIONS * ROUNDS):
        raise RuntimeError(f"expected every update to count, got {outcomes}")


def _timed(start: Callable[[Strategy], object], strategy: Strategy) -> tuple[float, float]:
    """Return the wall time and the CPU time of a training."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    start(strategy)
    return time.perf_counter() - wall, time.process_time() - cpu


def _summary(plain: list[tuple[float, float]], ours: list[tuple[float, float]]) -> dict[str, float]:
    """Return medians of pairs of (wall, CPU) times."""
    pairs = list(zip(plain, ours, strict=True))
    return {
        "plain_seconds": statistics.median(wall for wall, _ in plain),
        "plain_cpu_seconds": statistics.median(cpu for _, cpu in plain),
        "extra_cpu_seconds": statistics.median(b[1] - a[1] for a, b in pairs),
        "ratio": statistics.median(b[0] / a[0] for a, b in pairs),
        "cpu_ratio": statistics.median(b[1] / a[1] for a, b in pairs),
    }


if __name__ == "__main__":
    _process(sys.argv[1])
