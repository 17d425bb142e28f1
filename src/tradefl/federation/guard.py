"""A round that spoils the model is undone, and the update that spoiled it is found.

After every aggregation the server looks at the result. If some updates are outliers against the
round's median, they are taken out, and put back one by one, the least unusual first. An update is
*attributed* if the round is spoiled with it and not without it: the aggregate or the strategy's
state is not finite, the loss on the server's validation part is far higher, or the model is thrown
far away. The figures with and without the update are its evidence. A round that is hopeless, and
that no minority of outliers explains, is rolled back, and nobody is accused.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from flwr.app import ArrayRecord, MetricRecord

from tradefl.federation.aggregations import Snapshot
from tradefl.federation.inspection import Measures
from tradefl.federation.ledger import Evidence

# A loss of so many times the loss before (or of a guess, if that is more) undoes the round, whether
# an update explains it or not. Honest rounds stayed below 1.1 times.
FAR = 10.0
# An outlier spoils a round if with it the loss is higher than without by this part of itself and of
# the loss of a guess, ...
WORSE_PART, WORSE_GUESS = 0.25, 0.1
# ... if the model goes so many times as far as without it, as any organization usually went in this
# training, and as the model is long, and the loss does not fall, ...
FARTHER = 100.0
# ... if it goes so many times as far, whatever the loss: numbers so large swallow what the others
# learned, even where they cancel in the loss, ...
SWALLOWED = 1e6
# ... or if a moment of the strategy becomes so many times as large as it has ever been: it slows
# down all later rounds.
MOMENT = 50.0


@dataclasses.dataclass(frozen=True)
class Attempt:
    """An aggregation that was tried.

    Attributes
    ----------
    members
        The updates in it, as indices.
    arrays, metrics
        The result; ``None`` if the strategy aggregated nothing.
    finite
        Whether the aggregate and the strategy's state are finite.
    loss
        On the server's validation part; 0 without one, NaN if the aggregate is not finite.
    step
        How far the aggregate is from the model that was sent.
    moment
        The largest number that the strategy carries into later rounds.
    used
        Which members the strategy did not leave out.
    state
        The strategy afterwards.
    failure
        Why the strategy aggregated nothing.
    """

    members: tuple[int, ...]
    arrays: ArrayRecord | None
    metrics: MetricRecord | None
    finite: bool
    loss: float
    step: float
    moment: float
    used: frozenset[int]
    state: Snapshot
    failure: str = ""


class Decision(NamedTuple):
    """What a round comes to.

    Attributes
    ----------
    attempt
        The aggregation that counts; ``None`` if the round is rolled back.
    attributed
        The evidence by update.
    reason
        Why it is rolled back.
    """

    attempt: Attempt | None
    attributed: dict[int, Evidence]
    reason: str = ""


def decide(
    aggregate: Callable[[Sequence[int]], Attempt],
    measures: Sequence[Measures],
    *,
    before: float,
    chance: float,
    former: float = 0.0,
    peak: float = 0.0,
) -> Decision:
    """Aggregate the updates of a round, without those that spoil it.

    Parameters
    ----------
    aggregate
        Tries the aggregation of some of the updates, by index, from the same state each time.
    measures
        The figures of all updates.
    before, chance
        The validation loss of the model that was sent, and of a guess; both 0 without validation.
    former
        How far a usual update went in that round of the training in which it went farthest.
    peak
        The largest moment that the strategy has had before this round.

    Notes
    -----
    A training slows down as it converges. An organization that brings what the model lacks, or
    comes back after some rounds, then goes thousands of times as far as the others, and is honest:
    so its step is compared with former rounds and with the model too, and what improves the model
    is accused of nothing short of numbers that no training produces.
    """
    everybody = tuple(range(len(measures)))
    first = aggregate(everybody)
    far = FAR * max(before, chance)

    def hopeless(one: Attempt) -> bool:
        return not one.finite or not one.loss <= far

    def spoiled(one: Attempt, without: Attempt) -> bool:
        base = min(before, without.loss)
        worse = base + WORSE_PART * base + WORSE_GUESS * chance
        better = one.loss < base
        length = statistics.median(measures[k].norm for k in without.members)
        usual = max(without.step, former, length)
        return (
            hopeless(one)
            or not one.loss <= worse
            or (one.step > FARTHER * usual > 0.0 and not better)
            or one.step > SWALLOWED * max(1.0, usual)
            or one.moment > MOMENT * max(without.moment, peak) > 0.0
        )

    if first.arrays is None and first.finite:
        return Decision(None, {}, first.failure or "the strategy aggregated nothing")
    outliers = sorted(
        (k for k in everybody if measures[k].outlier), key=lambda k: measures[k].ratio
    )
    as_it_is = Decision(None, {}, _why(first, before)) if hopeless(first) else Decision(first, {})
    if not outliers or 2 * len(outliers) >= len(everybody):
        return as_it_is
    kept = aggregate([k for k in everybody if k not in outliers])
    if kept.arrays is None or hopeless(kept):
        return as_it_is
    attributed: dict[int, Evidence] = {}
    for k in outliers:
        together = aggregate(sorted((*kept.members, k)))
        if together.arrays is None or spoiled(together, kept):
            attributed[k] = Evidence(
                loss_before=_number(before),
                loss_with=_number(together.loss) if together.finite else None,
                loss_without=_number(kept.loss),
                step_with=_number(together.step) if together.finite else None,
                step_without=_number(kept.step),
                norm_ratio=measures[k].ratio,
                cosine=_number(measures[k].cosine),
            )
        else:
            kept = together
    return Decision(kept, attributed)


def _why(attempt: Attempt, before: float) -> str:
    """Return why a round is undone."""
    if not attempt.finite:
        return "the aggregate is not finite"
    if not math.isfinite(attempt.loss):
        return "the aggregate has no finite validation loss"
    return f"the validation loss rises from {before:.4g} to {attempt.loss:.4g}"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
