"""What was measured: one entry for each organization and round, and what follows from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from tradefl.documents.entries import (
    CREDITED,
    OUTCOMES,
    Confidence,
    Entry,
    Evidence,
    Flag,
    FlagKind,
    Outcome,
    Verdict,
    suspicious,
)
from tradefl.federation.terms import Terms

__all__ = [
    "CREDITED",
    "OUTCOMES",
    "Confidence",
    "Entry",
    "Evidence",
    "Flag",
    "FlagKind",
    "Ledger",
    "Measured",
    "Outcome",
    "Verdict",
    "suspicious",
]


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
