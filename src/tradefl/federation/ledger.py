"""What was measured: one entry for each organization and round, and what follows from them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, get_args

from pydantic import ConfigDict, TypeAdapter

from tradefl.federation.terms import Terms
from tradefl.training_document import EARLIER_WORDS

# What became of an update. aggregated: it is in the round's model. excluded: a robust strategy
# left it out. rolled back: the whole round was undone, or could not be aggregated. rejected: it
# could not be used, or spoiled the round. late: it missed the deadline. absent: none arrived.
# idle is no outcome of an update: the organization was connected and not asked in this round.
Outcome = Literal["aggregated", "excluded", "rolled back", "rejected", "late", "absent", "idle"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
# The outcomes that count as delivered: the organization trained and answered with a usable update.
# What the strategy or the server did with it afterwards is not the organization's doing.
CREDITED: frozenset[Outcome] = frozenset({"aggregated", "excluded", "rolled back"})
# The words of documents and checkpoints before 0.2.0.
EARLIER = EARLIER_WORDS

# unchanged: equal to the model that was sent. copied: equal, or nearly, to another update of the
# round. outlier: far longer than the round's median update, or against its direction. no descent:
# the loss rises on every class of the server's validation part.
FlagKind = Literal["unchanged", "copied", "outlier", "no descent"]
Confidence = Literal["certain", "likely", "possible"]
# attributed: aggregating again without the update repaired the round; it does not count.
# suspicious: it carries a flag; it counts, and is reported.
Verdict = Literal["", "attributed", "suspicious"]


# What documents from outside may hold.
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclasses.dataclass(frozen=True)
class Flag:
    """Something about an update that a reader should know.

    Attributes
    ----------
    kind
        What was found.
    confidence
        How sure the finding is: ``"certain"`` for equality to the last bit.
    detail
        The measured value, the threshold, and what the finding does not show.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    kind: FlagKind
    confidence: Confidence
    detail: str


def suspicious(flags: Iterable[Flag]) -> bool:
    """Tell whether a reader should look at an update: not for what honest training explains."""
    return any(flag.kind != "unchanged" or flag.confidence != "possible" for flag in flags)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Why an update was attributed: losses on the server's validation part.

    Attributes
    ----------
    loss_before
        Of the model that was sent.
    loss_with, loss_without
        Of the round's aggregate with the update, and of the same aggregate without it; ``None``
        where the loss or the aggregate is not finite.
    step_with, step_without
        How far that aggregate is from the model that was sent.
    norm_ratio
        The update's length over the length that is usual for its number of samples.
    cosine
        Of the angle with the median direction of the round's updates; ``None`` without a median.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    loss_before: float | None
    loss_with: float | None
    loss_without: float | None
    step_with: float | None
    step_without: float | None
    norm_ratio: float
    cosine: float | None


@dataclasses.dataclass(frozen=True)
class Entry:
    """One organization in one round.

    Attributes
    ----------
    round
        From 1.
    organization
        Its name.
    outcome
        What became of its update.
    samples_claimed
        The number of samples that it says it trained on; ``None`` if it says nothing usable.
    samples_used
        The samples that it is credited with: at most what it owes, 0 unless the outcome is in
        ``CREDITED``.
    seconds
        Wall time of its training, by its own clock.
    modelled_seconds
        The time by Eq. (2) of what it used; 0 if nothing arrived.
    cpu_hz
        The CPU level at which it says it ran; the pledged one if it says nothing.
    update_sha256
        The hash of the arrays that it sent, empty if none arrived.
    reason
        What was not as it should be, in words; empty if nothing was.
    weight
        The weight of its update in the round's mean; ``None`` if it is not in the model, or the
        strategy is not a weighted mean.
    norm
        The Euclidean length of the parameters that it sent; ``None`` if they are not usable.
    distance
        The Euclidean distance from the model that was sent to it.
    cosine
        The cosine between its step and the coordinate-wise median of the round's steps.
    flags
        What the server noticed about the update. Flags change no credit.
    verdict
        ``"attributed"``, ``"suspicious"`` or empty.
    evidence
        For an attributed update.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    round: int
    organization: str
    outcome: Outcome
    samples_claimed: int | None = None
    samples_used: int = 0
    seconds: float = 0.0
    modelled_seconds: float = 0.0
    cpu_hz: float = 0.0
    update_sha256: str = ""
    reason: str = ""
    weight: float | None = None
    norm: float | None = None
    distance: float | None = None
    cosine: float | None = None
    flags: tuple[Flag, ...] = ()
    verdict: Verdict = ""
    evidence: Evidence | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the entry for a JSON document."""
        return dataclasses.asdict(self) | {"flags": [dataclasses.asdict(one) for one in self.flags]}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Entry:
        """Return the entry of a JSON document, of this version or an earlier one.

        Raises
        ------
        ValueError
            It has other fields, or values of other types or ranges.
        """
        fields = dict(document)
        fields["outcome"] = EARLIER.get(str(fields.get("outcome")), fields.get("outcome"))
        entry = _ENTRY.validate_json(json.dumps(fields), strict=True)
        if entry.round < 1 or entry.samples_used < 0 or (entry.samples_claimed or 0) < 0:
            raise ValueError("expected rounds from 1 and numbers of samples from 0")
        if entry.samples_used > 0 and not entry.credited:
            raise ValueError(f"an update that is {entry.outcome!r} has no samples used")
        return entry

    @property
    def credited(self) -> bool:
        """Whether the organization delivered: its samples count."""
        return self.outcome in CREDITED

    @property
    def incident(self) -> bool:
        """Whether something was not as it should be."""
        return bool(self.reason or self.flags)

    @property
    def story(self) -> str:
        """What happened, in words: the reason, then the flags."""
        flags = [f"{flag.kind} ({flag.confidence}): {flag.detail}" for flag in self.flags]
        return "; ".join([self.reason, *flags] if self.reason else flags)


_ENTRY = TypeAdapter(Entry)


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one organization contributed over all rounds.

    Attributes
    ----------
    name
        The organization.
    samples_held
        By the agreement.
    samples_used
        The most that it used in one round.
    rounds_asked, rounds_present, rounds_credited
        The rounds in which it was to train, those in which its update was aggregated, and those in
        which it delivered, whatever became of its update.
    pledged_fraction
        ``d_i``.
    measured_fraction
        The mean over the rounds asked of ``samples used / samples held``: an organization that
        misses one of five rounds has contributed four fifths.
    cpu_hz
        The lowest level at which it says it ran, the pledged one if it never delivered.
    seconds
        Wall time of its training in all, as its own clock says.
    modelled_seconds
        The longest round by Eq. (2).
    weight
        Its share of all samples in the model, ``d_i |S_i| / sum_k d_k |S_k|`` if nobody missed
        anything; ``None`` if the strategy is not a weighted mean.
    """

    name: str
    samples_held: int
    samples_used: int
    rounds_asked: int
    rounds_present: int
    rounds_credited: int
    pledged_fraction: float
    measured_fraction: float
    cpu_hz: float
    seconds: float
    modelled_seconds: float
    weight: float | None


class Ledger:
    """All entries of a training, in order of round and organization."""

    def __init__(self, terms: Terms, entries: Iterable[Entry] = ()) -> None:
        self.terms = terms
        self.entries: list[Entry] = list(entries)

    def add(self, entries: Iterable[Entry]) -> None:
        """Add a round."""
        self.entries += entries

    def of_round(self, number: int) -> list[Entry]:
        """Return the entries of a round."""
        return [entry for entry in self.entries if entry.round == number]

    @property
    def incidents(self) -> list[Entry]:
        """The entries in which something was not as it should be."""
        return [entry for entry in self.entries if entry.incident]

    @property
    def weighted(self) -> bool:
        """Whether every model was a weighted mean, so that everybody has a weight."""
        return all(
            entry.weight is not None for entry in self.entries if entry.outcome == "aggregated"
        )

    def measured(self) -> list[Measured]:
        """Return what each organization contributed, in the order of the consortium."""
        aggregated = [entry for entry in self.entries if entry.outcome == "aggregated"]
        total = sum(entry.samples_used for entry in aggregated)
        return [self._measured(i, total) for i in range(len(self.terms))]

    def _measured(self, i: int, total: int) -> Measured:
        pledge = self.terms.pledges[i]
        own = [
            entry
            for entry in self.entries
            if entry.organization == pledge.organization and entry.outcome != "idle"
        ]
        credited = [entry for entry in own if entry.credited]
        aggregated = [entry for entry in own if entry.outcome == "aggregated"]
        used = sum(entry.samples_used for entry in credited)
        inside = sum(entry.samples_used for entry in aggregated)
        asked = len(own)
        weight = inside / total if total else 0.0
        return Measured(
            name=pledge.organization,
            samples_held=pledge.samples_held,
            samples_used=max((entry.samples_used for entry in credited), default=0),
            rounds_asked=asked,
            rounds_present=len(aggregated),
            rounds_credited=len(credited),
            pledged_fraction=pledge.data_fraction,
            measured_fraction=used / (pledge.samples_held * asked) if asked else 0.0,
            cpu_hz=min((entry.cpu_hz for entry in credited), default=pledge.cpu_hz),
            seconds=sum(entry.seconds for entry in own),
            modelled_seconds=max((entry.modelled_seconds for entry in own), default=0.0),
            weight=weight if self.weighted else None,
        )

    def to_list(self) -> list[dict[str, Any]]:
        """Return the entries for a JSON document or a checkpoint."""
        return [entry.to_dict() for entry in self.entries]

    @classmethod
    def from_list(cls, terms: Terms, entries: Iterable[Mapping[str, Any]]) -> Ledger:
        """Return the ledger of a checkpoint.

        Raises
        ------
        ValueError
            An entry is not one, or names an organization that is not in the terms.
        """
        ledger = cls(terms, [Entry.from_dict(entry) for entry in entries])
        for entry in ledger.entries:
            if entry.organization not in terms.names:
                raise ValueError(f"no organization {entry.organization!r} in the terms")
        return ledger
