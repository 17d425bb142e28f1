"""The replies as the wrapped strategy gets them, and its aggregate in the precision of the run."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from tradefl.federation.updates import Update, all_finite, common_metrics


def rewritten(
    counted: Sequence[tuple[Update, int | float, float]],
    sent: ArrayRecord,
    weight_key: str,
    clip_norm: float,
) -> list[Message]:
    """Return the replies as the wrapped strategy may take them at their word.

    Parameters
    ----------
    counted
        Each update, its weight, and the length of its step.
    sent
        The model that was sent.
    weight_key
        The metric by which the strategy weighs.
    clip_norm
        The longest step that an update may take; 0: any.
    """
    common = common_metrics([update.metrics for update, _, _ in counted])
    messages = []
    for update, weight, length in counted:
        metrics = MetricRecord({key: update.metrics[key] for key in common})
        metrics[weight_key] = weight
        own = copy.copy(update.reply)
        # In the model's order of names, whatever the reply's.
        arrays = ArrayRecord({key: update.arrays[key] for key in sent})
        if 0.0 < clip_norm < length:
            arrays = _clipped(update, sent, clip_norm / length)
        kept = {
            key: record
            for key, record in update.reply.content.items()
            if isinstance(record, ConfigRecord)
        }
        own.content = RecordDict({**kept, "arrays": arrays, "metrics": metrics})
        messages.append(own)
    return messages


def _clipped(update: Update, sent: ArrayRecord, part: float) -> ArrayRecord:
    """Return an update that goes only a part of its way from the model that was sent."""
    clipped = {}
    for key, before in sent.items():
        start = before.numpy()
        if start.dtype.kind == "f":
            # Two products: the difference alone may overflow.
            end = start * (1.0 - part) + update.values[key] * part
            clipped[key] = Array(np.asarray(end.astype(start.dtype)))
        else:
            clipped[key] = update.arrays[key]
    return ArrayRecord(clipped)


def in_precision(arrays: ArrayRecord, sent: ArrayRecord) -> ArrayRecord:
    """Return an aggregate in the precision of the run, whatever the strategy made of it."""
    cast = {}
    for key, array in arrays.items():
        like = sent.get(key)
        kind = None if like is None else np.dtype(like.dtype)
        if kind is not None and kind.kind in "fiu" and np.dtype(array.dtype) != kind:
            with np.errstate(over="ignore", invalid="ignore"):
                array = Array(_as_kind(array.numpy(), kind))
        cast[key] = array
    return ArrayRecord(cast)


def _as_kind(values: npt.NDArray[Any], kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return an average in the precision of the model; counters are whole again."""
    if kind.kind in "iu":  # such as those of batch normalization
        if not all_finite(values):
            return values  # which undoes the round
        most = np.iinfo(kind)
        high = float(most.max)
        high = high if int(high) <= most.max else float(np.nextafter(high, 0.0))
        values = np.clip(np.rint(values), most.min, high)
    return np.asarray(values.astype(kind))
