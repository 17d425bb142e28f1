"""A training document against itself: its tables, its entries, and what follows from them.

Payment follows ``measured_fraction``. Whatever reads the document (settle, attest, explain, report)
computes it again from the entries, round by round, and refuses a document that contradicts itself.
Documents of earlier versions have other words for outcomes and fewer fields; they are read too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from tradefl.consortium.schema import described, shown
from tradefl.documents.base import placed
from tradefl.documents.entries import CREDITED as CREDITED_NOW
from tradefl.documents.entries import EARLIER_WORDS
from tradefl.documents.entries import OUTCOMES as OUTCOMES_NOW
from tradefl.documents.training import TrainingDocument
from tradefl.errors import InputError, Problem
from tradefl.training_document.contradictions import (
    contradictory_entries,
    contradictory_outcome,
    since_0_2,
)
from tradefl.training_document.terms import SCHEMA

# present, failed and empty are words of versions before 0.2.0.
INSIDE = frozenset({"aggregated", "present"})
CREDITED = INSIDE | CREDITED_NOW
OUTCOMES = set(OUTCOMES_NOW) | set(EARLIER_WORDS)
TOLERANCE = 1e-9
LARGEST = 2**63
FLAG = ("kind", "confidence", "detail")


def require_consistent(document: Any, place: object) -> None:
    """Refuse a training document that contradicts itself.

    Raises
    ------
    InputError
        With every contradiction: fractions against entries, rounds against outcomes, weights
        against samples. A document without entries has nothing to contradict.
    """
    problems = list(_contradictions(document, str(place)))
    if problems:
        raise InputError(problems)


def _contradictions(document: Any, place: str) -> Iterator[Problem]:
    if not isinstance(document, Mapping):
        return
    organizations, entries = document.get("organizations"), document.get("entries")
    if since_0_2(document):
        for key in ("terms_sha256", "entries", "rounds"):
            if document.get(key) is None:
                yield Problem(f"{place}: {key}", "is missing: every training since 0.2.0 has it")
    if not isinstance(organizations, list) or entries is None:
        yield from _mistyped(document, place)
        return
    for k, organization in enumerate(organizations):
        if isinstance(organization, Mapping) and not isinstance(organization.get("name"), str):
            what = f"expected a name, got {shown(organization.get('name'))}"
            yield Problem(f"{place}: organizations[{k}].name", what)
            return
    if not isinstance(entries, list):
        yield Problem(f"{place}: entries", f"expected a list, got {shown(entries)}")
        return
    malformed = list(_malformed(entries, f"{place}: entries"))
    places = {str(problem.place) for problem in malformed}
    malformed += [
        problem
        for problem in _mistyped(document, place)
        if not any(str(problem.place).startswith(known) for known in places)
    ]
    yield from malformed
    if malformed:
        return
    if document.get("schema") == SCHEMA:
        yield from contradictory_entries(document, entries, place)
        yield from contradictory_outcome(document, entries, place)
    yield from _rounds(document, organizations, entries, place)
    yield from _weights(entries, f"{place}: entries")
    inside = sum(entry["samples_used"] for entry in entries if entry["outcome"] in INSIDE)
    weights = document.get("aggregation_weights")
    names = {
        organization.get("name")
        for organization in organizations
        if isinstance(organization, Mapping)
    }
    for name in weights if isinstance(weights, Mapping) else ():
        if name not in names:
            yield Problem(f"{place}: aggregation_weights", f"no organization {shown(name)}")
    for k, organization in enumerate(organizations):
        if not isinstance(organization, Mapping) or "measured_fraction" not in organization:
            continue
        where, name = f"{place}: organizations[{k}]", organization.get("name")
        own = [entry for entry in entries if entry["organization"] == name]
        yield from _figures(organization, own, where)
        if isinstance(weights, Mapping):
            used = sum(entry["samples_used"] for entry in own if entry["outcome"] in INSIDE)
            expected = used / inside if inside else 0.0
            if not _equal(weights.get(name), expected):
                what = f"the entries give {expected:.9g}, got {shown(weights.get(name))}"
                yield Problem(f"{place}: aggregation_weights.{name}", what)


def _mistyped(document: Mapping[str, Any], place: str) -> Iterator[Problem]:
    """Yield what has another type or range than in the document's schema.

    Keys may be missing from the document and from its organizations: earlier versions wrote fewer,
    and a record of contributions by other software may hold only what is paid for.
    """
    if document.get("schema") != SCHEMA:
        return  # a solution, or a document that is refused for what it is
    try:
        TrainingDocument.model_validate(document)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            # A whole number may be text, as in other documents: who settles it reads it.
            as_text = fault["loc"][-1] == "cpu_hz" and isinstance(fault["input"], str)
            missing = fault["type"] == "missing" and "entries" not in fault["loc"]
            if not missing and not (as_text and "organizations" in fault["loc"]):
                yield Problem(placed(place, fault["loc"]), described(fault))


def _malformed(entries: list[Any], place: str) -> Iterator[Problem]:
    """Yield each invalid entry; sums need numbers."""
    for k, entry in enumerate(entries):
        where = f"{place}[{k}]"
        if not isinstance(entry, Mapping):
            yield Problem(where, f"expected a table, got {shown(entry)}")
            continue
        for key, least in (("round", 1), ("samples_used", 0)):
            value = entry.get(key)
            if type(value) is not int or not least <= value < LARGEST:
                what = f"expected a whole number >= {least}, below 2^63, got {shown(value)}"
                yield Problem(f"{where}.{key}", what)
        if not isinstance(entry.get("outcome"), str) or entry["outcome"] not in OUTCOMES:
            what = (
                f"expected one of {', '.join(sorted(OUTCOMES))}, got {shown(entry.get('outcome'))}"
            )
            yield Problem(f"{where}.outcome", what)
        elif entry["outcome"] not in CREDITED and entry.get("samples_used") not in (0, None):
            what = f"expected 0 for an update that is {entry['outcome']}"
            yield Problem(f"{where}.samples_used", f"{what}, got {shown(entry['samples_used'])}")
        for key in ("reason", "verdict"):
            if not isinstance(entry.get(key, ""), str):
                yield Problem(f"{where}.{key}", f"expected text, got {shown(entry[key])}")
        flags = entry.get("flags", [])
        if not isinstance(flags, list) or not all(
            isinstance(flag, Mapping) and all(isinstance(flag.get(key), str) for key in FLAG)
            for flag in flags
        ):
            what = f"expected tables with {', '.join(FLAG)}, got {shown(flags)}"
            yield Problem(f"{where}.flags", what)
        if not isinstance(entry.get("organization"), str):
            what = f"expected a name, got {shown(entry.get('organization'))}"
            yield Problem(f"{where}.organization", what)


def _rounds(
    document: Mapping[str, Any], organizations: list[Any], entries: list[Any], place: str
) -> Iterator[Problem]:
    """Yield where the rounds are not all there, each with every organization once."""
    names = {
        organization.get("name")
        for organization in organizations
        if isinstance(organization, Mapping)
    }
    seen: dict[tuple[int, str], int] = {}
    for k, entry in enumerate(entries):
        key = (entry["round"], entry["organization"])
        if key in seen:
            what = f"{key[1]!r} has an entry for round {key[0]} already (entries[{seen[key]}])"
            yield Problem(f"{place}: entries[{k}]", what)
        seen.setdefault(key, k)
        if key[1] not in names:
            yield Problem(f"{place}: entries[{k}].organization", f"no organization {key[1]!r}")
    rounds = document.get("rounds")
    for name in ("accuracy", "loss"):
        series = document.get(name)
        if type(rounds) is int and isinstance(series, list) and len(series) != rounds:
            what = f"expected a number for each of {rounds} rounds, got {len(series)}"
            yield Problem(f"{place}: {name}", what)
    if type(rounds) is int:
        found = {entry["round"] for entry in entries}  # each from 1 on
        if len(found) != rounds or max(found, default=0) != rounds:
            what = f"expected entries for each of {rounds} rounds, got {len(found)}"
            yield Problem(f"{place}: rounds", f"{what} (to round {max(found, default=0)})")


def _weights(entries: list[Any], place: str) -> Iterator[Problem]:
    """Yield the entries whose weight their samples contradict, and verdicts without consequence."""
    totals: dict[int, int] = {}
    for entry in entries:
        if entry["outcome"] in INSIDE:
            totals[entry["round"]] = totals.get(entry["round"], 0) + entry["samples_used"]
    for k, entry in enumerate(entries):
        weight, inside = entry.get("weight"), entry["outcome"] in INSIDE
        if weight is not None:
            expected = entry["samples_used"] / (totals[entry["round"]] or 1) if inside else None
            if expected is None or not _equal(weight, expected):
                said = "none" if expected is None else f"{expected:.9g}"
                what = f"the entries of round {entry['round']} give {said}, got {shown(weight)}"
                yield Problem(f"{place}[{k}].weight", what)
        if entry.get("verdict") == "attributed" and entry["outcome"] != "rejected":
            what = f"expected 'rejected' for an attributed update, got {shown(entry['outcome'])}"
            yield Problem(f"{place}[{k}].outcome", what)


def _figures(one: Mapping[str, Any], own: list[Any], where: str) -> Iterator[Problem]:
    """Yield the figures of an organization that its entries contradict."""
    asked = [entry for entry in own if entry["outcome"] != "idle"]
    credited = [entry for entry in asked if entry["outcome"] in CREDITED]
    held = one.get("samples_held")
    if type(held) is not int or not 1 <= held < LARGEST:
        what = f"expected a whole number >= 1, below 2^63, got {shown(held)}"
        yield Problem(f"{where}.samples_held", what)
        return
    used = [entry["samples_used"] for entry in credited]
    counted = {
        "samples_used": max(used, default=0),
        "rounds_asked": len(asked),
        "rounds_present": sum(entry["outcome"] in INSIDE for entry in asked),
        "rounds_credited": len(credited),
    }
    for key, expected in counted.items():
        if key in one and one[key] != expected:
            yield Problem(f"{where}.{key}", f"the entries give {expected}, got {shown(one[key])}")
    levels = [hz for entry in credited if isinstance(hz := entry.get("cpu_hz"), int | float)]
    if "cpu_hz" in one and levels and str(one["cpu_hz"]) not in _written(min(levels)):
        what = f"the entries give {min(levels):.10g}, their lowest, got {shown(one['cpu_hz'])}"
        yield Problem(f"{where}.cpu_hz", what)
    for key, combined in (("seconds", math.fsum), ("modelled_seconds", max)):
        parts = [part for entry in asked if isinstance(part := entry.get(key), int | float)]
        if key in one and parts and not _equal(one[key], combined(parts)):
            what = f"the entries give {combined(parts):.9g}, got {shown(one[key])}"
            yield Problem(f"{where}.{key}", what)
    fraction = sum(used) / (held * len(asked)) if asked else 0.0
    if not _equal(one["measured_fraction"], fraction):
        what = f"the entries give {fraction:.9g}, got {shown(one['measured_fraction'])}"
        yield Problem(f"{where}.measured_fraction", what)
    most, why = held, "held"
    pledged = one.get("pledged_fraction")
    if not isinstance(pledged, bool) and isinstance(pledged, int | float) and 0 <= pledged < 1:
        most, why = min(held, max(1, math.ceil(pledged * held * (1.0 - TOLERANCE)))), "pledged"
    if max(used, default=0) > most:
        what = f"expected {most:,} at most, as {why}, got {max(used):,}"
        yield Problem(f"{where}.samples_used", what)


def _written(hz: float) -> set[str]:
    """Return the ways to write a CPU frequency in JSON, as a number or as text."""
    return {str(float(hz)), str(int(hz))} if float(hz).is_integer() else {str(hz)}


def _equal(value: Any, expected: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e18 < value < 1e18:
        return False
    return math.isclose(value, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
