"""What became of each update of a round, written into the ledger's entries."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence

from flwr.serverapp.strategy import Strategy

from tradefl.federation.aggregations import innermost, weighs
from tradefl.federation.guard import Decision
from tradefl.federation.inspection import Measures, flags_of
from tradefl.federation.ledger import Entry


def reject_unpaid(
    kinds: Collection[str],
    measures: Sequence[Measures],
    entries: list[Entry],
    counted: Sequence[int],
    fitted: Sequence[bool],
) -> list[int]:
    """Reject what the partners have agreed not to pay; return who is left, if that is news.

    Only a minority: if most updates are alike, the model is at fault, or the learning rate.
    """
    if not kinds:
        return []
    flags = flags_of(measures, [entries[i].organization for i in counted], {}, fitted)
    found = {
        k: flag
        for k, own in enumerate(flags)
        for flag in own
        if flag.kind in kinds and flag.confidence == "certain"
    }
    if not found or 2 * len(found) >= len(counted):
        return []
    for k, flag in found.items():
        one, i = measures[k], counted[k]
        why = f"certainly {flag.kind}, for which the agreement pays nothing"
        entries[i] = dataclasses.replace(
            with_reason(entries[i], why),
            outcome="rejected",
            samples_used=0,
            norm=one.norm,
            distance=one.distance,
            cosine=one.cosine if math.isfinite(one.cosine) else None,
            flags=flags[k],
            verdict="suspicious",
        )
    return [i for k, i in enumerate(counted) if k not in found]


def enter(
    strategy: Strategy,
    decision: Decision,
    entries: list[Entry],
    counted: Sequence[int],
    weights: Sequence[int | float],
) -> None:
    """Write into the entries which updates are in the model, with which weight."""
    attempt = decision.attempt
    used = frozenset() if attempt is None else attempt.used
    total = sum(weights[k] for k in used)
    mean = weighs(strategy)
    for k, i in enumerate(counted):
        entry = entries[i]
        if (evidence := decision.attributed.get(k)) is not None:
            text = (
                f"attributed: with it the model moves by {_shown(evidence.step_with)} to a "
                f"validation loss of {_shown(evidence.loss_with)}, without it by "
                f"{_shown(evidence.step_without)} to {_shown(evidence.loss_without)}"
            )
            entries[i] = dataclasses.replace(
                with_reason(entry, text),
                outcome="rejected",
                samples_used=0,
                verdict="attributed",
                evidence=evidence,
            )
        elif attempt is None:
            why = f"the round was rolled back: {decision.reason}"
            entries[i] = dataclasses.replace(with_reason(entry, why), outcome="rolled back")
        elif k not in used:
            kind = type(innermost(strategy)).__name__
            why = f"{kind} chose the updates of others"
            entries[i] = dataclasses.replace(with_reason(entry, why), outcome="excluded")
        elif mean:
            entries[i] = dataclasses.replace(entry, weight=float(weights[k] / total))


def with_reason(entry: Entry, reason: str) -> Entry:
    """Return an entry with another reason after those that it has."""
    return dataclasses.replace(entry, reason="; ".join(filter(None, (entry.reason, reason))))


def _shown(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"
