"""What became of an organization's update in a round: an entry of the ledger and of documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, WrapSerializer

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
EARLIER_WORDS = {"present": "aggregated", "failed": "rejected", "empty": "rejected"}

# unchanged: equal to the model that was sent. copied: equal, or nearly, to another update of the
# round. outlier: far longer than the round's median update, or against its direction. no descent:
# the loss rises on every class of the server's validation part.
FlagKind = Literal["unchanged", "copied", "outlier", "no descent"]
Confidence = Literal["certain", "likely", "possible"]
# attributed: aggregating again without the update repaired the round; it does not count.
# suspicious: it carries a flag; it counts, and is reported.
Verdict = Literal["", "attributed", "suspicious"]


# Keys of later versions are ignored, as in all documents. The fields are strict, not the tables:
# JSON has lists for tuples.
_READ = ConfigDict(extra="ignore", allow_inf_nan=False)
_Whole = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
_Real = Annotated[float, Field(strict=True)]
_Positive = Annotated[float, Field(ge=0.0, strict=True)]
_Cosine = Annotated[float, Field(ge=-1.0, le=1.0, strict=True)]
_Part = Annotated[float, Field(ge=0.0, le=1.0, strict=True)]
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{0,64}$")]
# Plain values hold lists where tuples are kept, as JSON does.
_AS_LIST = WrapSerializer(lambda values, inner: list(inner(values)), return_type=list[Any])
_Word = Annotated[Outcome, BeforeValidator(lambda word: _of_today(word))]


def _of_today(word: object) -> object:
    """Return an outcome in the words of this version."""
    return EARLIER_WORDS.get(word, word) if isinstance(word, str) else word


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

    __pydantic_config__: ClassVar[ConfigDict] = _READ

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

    __pydantic_config__: ClassVar[ConfigDict] = _READ

    loss_before: _Real | None
    loss_with: _Real | None
    loss_without: _Real | None
    step_with: _Real | None
    step_without: _Real | None
    norm_ratio: _Positive
    cosine: _Cosine | None


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

    __pydantic_config__: ClassVar[ConfigDict] = _READ

    round: Annotated[int, Field(ge=1, lt=2**63, strict=True)]
    organization: str
    outcome: _Word
    samples_claimed: _Whole | None = None
    samples_used: _Whole = 0
    seconds: _Positive = 0.0
    modelled_seconds: _Positive = 0.0
    cpu_hz: _Positive = 0.0
    update_sha256: _Hash = ""
    reason: str = ""
    weight: _Part | None = None
    norm: _Positive | None = None
    distance: _Positive | None = None
    cosine: _Cosine | None = None
    flags: Annotated[tuple[Flag, ...], _AS_LIST] = ()
    verdict: Verdict = ""
    evidence: Evidence | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the entry for a JSON document."""
        return dataclasses.asdict(self) | {
            "flags": [dataclasses.asdict(flag) for flag in self.flags]
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Entry:
        """Return the entry of a checkpoint, of this version or an earlier one.

        Raises
        ------
        ValueError
            It has other fields, or values of other types or ranges.
        """
        if unknown := sorted(document.keys() - {field.name for field in dataclasses.fields(cls)}):
            raise ValueError(f"unknown fields: {', '.join(unknown)}")
        entry = _ENTRY.validate_python(dict(document))
        if entry.samples_used and not entry.credited:
            raise ValueError(f"expected no samples of an update that is {entry.outcome}")
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
