"""One training: the work of the training figures.

A module of its own: trainings that are kept depend on it, so that what they are chosen for, and how
they are shown, can change without another training.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd

from tradefl.errors import MissingExtraError

# What else the numbers depend on. Contributions are arguments, so the game is not part of it.
SOURCES = tuple(
    f"tradefl.federation.{name}"
    for name in (
        *("client", "datasets", "grid", "judgement", "models", "partition", "pledge"),
        *("strategy", "training", "updates"),
    )
)


def compute(
    model: str,
    data: str,
    data_dir: str,
    device: str,
    width: float,
    rounds: int,
    local_epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    held: list[int],
    fractions: list[float],
) -> pd.DataFrame:
    """Train once, and return a row for each round; round 0 is before training.

    There is no deadline: the contributions of all schemes but TOS meet it, and TOS ignores it.
    """
    from tradefl.federation import Plan, Pledge
    from tradefl.federation.datasets import load_dataset
    from tradefl.federation.training import train_pledges
    from tradefl.training_document.holdings import shares

    plan = Plan(
        consortium="",
        data=data,
        data_dir=data_dir,
        device=device,
        model=model,
        width=width,
        rounds=rounds,
        local_epochs=local_epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=seed,
    )
    dataset = load_dataset(data, plan.folder)
    scaled = shares(held, len(dataset.y_train))
    pledges = [
        Pledge(f"organization-{k}", fraction, 1.0, samples, seed)
        for k, (fraction, samples) in enumerate(zip(fractions, scaled, strict=True))
    ]
    with one_thread():
        reports, ledger = train_pledges(plan, pledges, dataset)
    return pd.DataFrame(
        [
            {
                "model": model,
                "data": data,
                "seed": seed,
                "round": report.number,
                "accuracy": report.accuracy,
                "loss": report.loss,
                "total_data_fraction": sum(fractions),
                "samples_held": sum(scaled),
                "samples_used": sum(entry.samples_used for entry in ledger.of_round(report.number)),
                "test_samples": len(dataset.y_test),
            }
            for report in reports
        ]
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: how many share a sum changes its last bits."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError("training figures", "vision") from None
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
