"""The metrics that a strategy of Flower's aggregates by, which no single reply may spoil.

Most metrics are averaged for the reader alone. Two are read by the aggregation: the loss by which
QFedAvg weighs updates, and the bit from which adaptive clipping learns its threshold. A reply
without one would end the round for everybody, so it is rejected; a loss that is beyond belief is
brought back into the round's range, because a loss that an organization reports cannot be checked.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flwr.app import MetricRecord
from flwr.serverapp.strategy import QFedAvg, Strategy

from tradefl.federation.updates import UnusableUpdateError, Update, shown_briefly

NORM_BIT = "norm_bit"  # Flower's KEY_NORM_BIT
ADAPTIVE = "DifferentialPrivacyClientSideAdaptiveClipping"
# A reported loss counts as at most so many times the round's median, and as that part of it.
CREDIBLE = 10.0


class Range(NamedTuple):
    """What a metric must lie in, and whether updates are weighed by it."""

    low: float
    high: float
    weighs: bool


def metrics_read(strategy: Strategy, inner: Strategy) -> dict[str, Range]:
    """Return the metrics that a strategy and what it wraps aggregate by, besides the weight."""
    read = {}
    if type(strategy).__name__ == ADAPTIVE:
        read[NORM_BIT] = Range(0.0, 1.0, weighs=False)
    if isinstance(inner, QFedAvg):
        read[inner.train_loss_key] = Range(0.0, math.inf, weighs=True)
    return read


def require_metrics(metrics: MetricRecord, read: Mapping[str, Range]) -> None:
    """Refuse a reply without a metric that the strategy aggregates by.

    Raises
    ------
    UnusableUpdateError
        Names the metric, what it must be, and what it is.
    """
    for key, (low, high, _) in read.items():
        value = metrics.get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high or value == math.inf:  # type: ignore[operator]
            what = f"a number >= {low:g}" if high == math.inf else f"{low:g} to {high:g}"
            raise UnusableUpdateError(f"expected {what} as {key!r}, got {shown_briefly(value)}")


def credible(
    updates: Sequence[Update], read: Mapping[str, Range]
) -> tuple[list[Update], dict[int, str]]:
    """Return updates whose weighing metrics are in the round's range, and what was changed."""
    kept, changed = list(updates), {}
    for key in (key for key, metric in read.items() if metric.weighs):
        values = [float(update.metrics[key]) for update in updates]  # type: ignore[arg-type]
        middle = statistics.median(values)
        if len(values) < 3 or middle == 0.0:
            continue
        for k, value in enumerate(values):
            taken = min(max(value, middle / CREDIBLE), middle * CREDIBLE)
            if taken != value:
                metrics = MetricRecord({**kept[k].metrics, key: taken})
                kept[k] = dataclasses.replace(kept[k], metrics=metrics)
                changed[k] = (
                    f"reports {value:.4g} as {key!r}, the median of the round is {middle:.4g}; "
                    f"counts as {taken:.4g}"
                )
    return kept, changed
