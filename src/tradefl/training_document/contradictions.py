"""What the entries of a training document of this version imply, and the rest of it must say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tradefl.consortium.schema import shown
from tradefl.documents.entries import CREDITED, EARLIER_WORDS, Flag, suspicious
from tradefl.errors import Problem
from tradefl.training_document.divergence import divergence

# What trainings write since 0.2.0: then the terms' hash and the entries are there too.
SINCE_0_2 = ("validation", "test_samples", "classes", "diverged")
ENTRIES_SINCE_0_2 = ("norm", "distance", "cosine", "evidence")
# Aggregations whose model is a weighted mean, and those that have no weights.
MEANS = frozenset({"fedavg", "fedprox", "fedadam", "krum"})
WEIGHTLESS = frozenset({"fedmedian", "trimmed-mean", "bulyan"})


def since_0_2(document: Mapping[str, Any]) -> bool:
    """Tell whether a document is of version 0.2.0 or later, by what it holds anywhere."""
    settings, entries = document.get("settings"), document.get("entries")
    return (
        any(key in document for key in SINCE_0_2)
        or (isinstance(settings, Mapping) and "validation_fraction" in settings)
        or (
            isinstance(entries, list)
            and any(
                isinstance(entry, Mapping) and any(key in entry for key in ENTRIES_SINCE_0_2)
                for entry in entries
            )
        )
    )


def contradictory_entries(
    document: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], place: str
) -> Iterator[Problem]:
    """Yield entries whose fields contradict each other, or the settings of the training."""
    settings = document.get("settings")
    aggregation = settings.get("aggregation") if isinstance(settings, Mapping) else None
    for k, entry in enumerate(entries):
        where, outcome = f"{place}: entries[{k}]", _outcome(entry)
        claimed, used = entry.get("samples_claimed"), entry["samples_used"]
        if claimed is not None and claimed < used:
            what = f"expected {used:,} or more, as samples_used says, got {claimed:,}"
            yield Problem(f"{where}.samples_claimed", what)
        if outcome in CREDITED and entry.get("update_sha256") == "":
            yield Problem(f"{where}.update_sha256", f"is missing for an update that is {outcome}")
        yield from _verdict(entry, where)
        if outcome == "idle" and isinstance(settings, Mapping) and "aggregation" in settings:
            what = "expected another outcome: a training by this package asks everybody"
            yield Problem(f"{where}.outcome", f"{what}, got 'idle'")
        if outcome == "aggregated" and "weight" in entry:
            if aggregation in MEANS and entry["weight"] is None:
                yield Problem(f"{where}.weight", f"is missing: {aggregation} is a weighted mean")
            if aggregation in WEIGHTLESS and entry["weight"] is not None:
                what = f"expected null: {aggregation} has no weights, got {shown(entry['weight'])}"
                yield Problem(f"{where}.weight", what)


def _verdict(one: Mapping[str, Any], where: str) -> Iterator[Problem]:
    """Yield a verdict without its reason, and a reason without its verdict."""
    verdict, flags = one.get("verdict", ""), one.get("flags") or ()
    if (verdict == "attributed") != (one.get("evidence") is not None):
        what = "expected evidence for an attributed update, and for no other"
        yield Problem(f"{where}.evidence", f"{what}, got {shown(one.get('evidence'))}")
    found = suspicious([Flag(flag["kind"], flag["confidence"], flag["detail"]) for flag in flags])
    if "verdict" in one and verdict != "attributed" and (verdict == "suspicious") != found:
        expected = "'suspicious'" if found else "no verdict"
        what = f"expected {expected}, as its flags say, got {shown(verdict)}"
        yield Problem(f"{where}.verdict", what)


def contradictory_outcome(
    document: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], place: str
) -> Iterator[Problem]:
    """Yield where the training as a whole says other than its entries and curves."""
    inside = [entry for entry in entries if _outcome(entry) == "aggregated" and "weight" in entry]
    if inside and "aggregation_weights" in document:
        weighted = all(entry["weight"] is not None for entry in inside)
        if not weighted and document["aggregation_weights"] is not None:
            got = shown(document["aggregation_weights"])
            what = f"expected null, as not all entries have a weight, got {got}"
            yield Problem(f"{place}: aggregation_weights", what)
        if weighted and document["aggregation_weights"] is None:
            what = "expected each organization's share, as every entry has a weight, got null"
            yield Problem(f"{place}: aggregation_weights", what)
    needed = ("diverged", "classes", "test_samples", "accuracy", "loss")
    if not all(document.get(key) not in (None, [], 0) for key in needed[1:]):
        return
    if "diverged" not in document:
        return
    expected = divergence(
        [_outcome(entry) for entry in entries],
        [document.get("initial_accuracy"), *document["accuracy"]],
        document["loss"][-1],
        classes=document["classes"],
        test_samples=document["test_samples"],
    )
    if bool(expected) != bool(document["diverged"]):
        what = f"the entries and curves give {shown(expected or None)}"
        yield Problem(f"{place}: diverged", f"{what}, got {shown(document['diverged'])}")


def _outcome(one: Mapping[str, Any]) -> str:
    """Return an entry's outcome in the words of this version."""
    return EARLIER_WORDS.get(one["outcome"], str(one["outcome"]))
