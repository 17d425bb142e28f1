"""When a training has come to nothing: judged by its server, and checked by readers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tradefl.documents.entries import CREDITED


def divergence(
    outcomes: Sequence[str],
    accuracy: Sequence[float | None],
    loss: float | None,
    *,
    classes: int,
    test_samples: int,
) -> str:
    """Return why a training's model is worth nothing, in words; empty if it is not so.

    Parameters
    ----------
    outcomes
        Of all entries.
    accuracy
        On the test part, before the first round and after each; ``None`` where it is not finite.
    loss
        Of the final model; ``None`` or not finite if it diverged.
    classes, test_samples
        The number of classes, and of samples that accuracies are of. A model is worse than a guess
        if its accuracy is two standard deviations of a guess's below 1 / classes.
    """
    if outcomes and "aggregated" not in outcomes:
        if any(outcome in CREDITED for outcome in outcomes):
            return "no round could be aggregated; the model is untrained"
        return (
            "no update was ever usable: the model is untrained, and nobody has contributed anything"
        )
    if loss is None or not math.isfinite(loss):
        return "the loss of the final model is not finite"
    chance = 1.0 / classes
    noise = 2.0 * math.sqrt(chance * (1.0 - chance) / test_samples)
    final = accuracy[-1]
    if len(accuracy) > 1 and (final is None or final < chance - noise):
        share = "not finite" if final is None else f"{final:.4f}"
        return f"the final accuracy {share} is below that of a guess among {classes} classes"
    return ""
