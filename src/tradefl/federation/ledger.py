"""What was measured: one entry for each organization and round, and what follows from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from tradefl.federation.terms import Terms

# present: its update was aggregated. Else it was not: absent, it did not answer; failed, it
# answered with an error; late, it missed the deadline; rejected, its update is unusable; empty, it
# trained on nothing. idle: it was connected and not asked, which is no fault of its own.
Outcome = Literal["present", "absent", "failed", "late", "rejected", "empty", "idle"]


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
        Whether its update is in the model; if not, why.
    samples_claimed
        The number of samples that it says it trained on; ``None`` if it says nothing usable.
    samples_used
        What of it counts: 0 if it is not in the model, at most what it owes.
    seconds
        Wall time of its training, as its own clock says.
    modelled_seconds
        The time by Eq. (2) of what it used; 0 if nothing arrived.
    cpu_hz
        The CPU level at which it says it ran; the pledged one if it says nothing.
    update_sha256
        The hash of the arrays that it sent, empty if none arrived.
    reason
        In words, what was not as it should be; empty if all was.
    """

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

    def to_dict(self) -> dict[str, Any]:
        """Return the entry for a JSON document."""
        return dataclasses.asdict(self)


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
    rounds_asked, rounds_present
        The rounds in which it was to train, and those in which its update was aggregated.
    pledged_fraction
        ``d_i``.
    measured_fraction
        The mean over the rounds asked of ``samples used / samples held``: who misses one of five
        rounds has contributed four fifths.
    cpu_hz
        The lowest level at which it says it ran, the pledged one if it was never present.
    seconds
        Wall time of its training in all, as its own clock says.
    modelled_seconds
        The longest round by Eq. (2).
    weight
        Its share of all samples used: ``d_i |S_i| / sum_k d_k |S_k|`` if nobody missed anything.
    """

    name: str
    samples_held: int
    samples_used: int
    rounds_asked: int
    rounds_present: int
    pledged_fraction: float
    measured_fraction: float
    cpu_hz: float
    seconds: float
    modelled_seconds: float
    weight: float


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
        return [entry for entry in self.entries if entry.reason]

    def measured(self) -> list[Measured]:
        """Return what each organization contributed, in the order of the consortium."""
        total = sum(entry.samples_used for entry in self.entries)
        return [self._measured(i, total) for i in range(len(self.terms))]

    def _measured(self, i: int, total: int) -> Measured:
        pledge = self.terms.pledges[i]
        own = [
            entry
            for entry in self.entries
            if entry.organization == pledge.organization and entry.outcome != "idle"
        ]
        present = [entry for entry in own if entry.outcome == "present"]
        used = sum(entry.samples_used for entry in own)
        asked = len(own)
        return Measured(
            name=pledge.organization,
            samples_held=pledge.samples_held,
            samples_used=max((entry.samples_used for entry in own), default=0),
            rounds_asked=asked,
            rounds_present=len(present),
            pledged_fraction=pledge.data_fraction,
            measured_fraction=used / (pledge.samples_held * asked) if asked else 0.0,
            cpu_hz=min((entry.cpu_hz for entry in present), default=pledge.cpu_hz),
            seconds=sum(entry.seconds for entry in own),
            modelled_seconds=max((entry.modelled_seconds for entry in own), default=0.0),
            weight=used / total if total else 0.0,
        )

    def to_list(self) -> list[dict[str, Any]]:
        """Return the entries for a JSON document or a checkpoint."""
        return [entry.to_dict() for entry in self.entries]

    @classmethod
    def from_list(cls, terms: Terms, entries: Iterable[Mapping[str, Any]]) -> Ledger:
        """Return the ledger of a checkpoint."""
        return cls(terms, [Entry(**entry) for entry in entries])
