"""A training document checked against itself and against the consortium that it is settled for.

Payment follows ``measured_fraction``. Every reader of the document (settle, attest, explain,
report) computes it again from the entries, round by round, and refuses a document that contradicts
itself. Documents of earlier versions have other words for outcomes and fewer fields; they are read
too.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from tradefl.consortium import Consortium
from tradefl.consortium.schema import Training, shown
from tradefl.errors import InputError, Problem

SCHEMA = "tradefl/training/1"
# What became of an update, and what it is worth to the organization that sent it: the samples that
# it used, of the data that measured_fraction counts, or nothing. The agreement states it.
PAYS = {
    "aggregated": "the samples used",
    "excluded": "the samples used",
    "rolled back": "the samples used",
    "rejected": "nothing",
    "late": "nothing",
    "absent": "nothing",
}
# present, failed and empty are words of versions before 0.2.0.
INSIDE = frozenset({"aggregated", "present"})
CREDITED = INSIDE | {outcome for outcome, worth in PAYS.items() if worth != "nothing"}
EARLIER_WORDS = {"present": "aggregated", "failed": "rejected", "empty": "rejected"}
OUTCOMES = CREDITED | set(PAYS) | {"idle", *EARLIER_WORDS}
TOLERANCE = 1e-9
LARGEST = 2**63
# Keys that documents have since 0.2.0; they then also have the terms' hash and the entries.
SINCE_0_2 = ("validation", "test_samples", "classes", "diverged")
FLAG = ("kind", "confidence", "detail")


def terms_sha256(consortium: Consortium) -> str:
    """Return the hash of the public terms that pledges and contributions are counted by.

    Names, sizes, samples, CPU levels, competition, the mechanism's constants and ``[training]``:
    what all partners have alike. Accounts and windows of the settlement, and private figures, are
    not in it.
    """
    who, mechanism = consortium.organizations, consortium.mechanism
    digest = hashlib.sha256()
    head = [
        consortium.name,
        list(consortium.names),
        who.data_bits.tolist(),
        who.samples.tolist(),
        [list(who.levels(i)) for i in range(len(who))],
        mechanism.incentive_intensity,
        mechanism.compute_weight,
        mechanism.min_data_fraction,
        mechanism.deadline_seconds,
        None if consortium.training is None else consortium.training.model_dump(),
    ]
    digest.update(json.dumps(head, ensure_ascii=False).encode())
    for i in range(len(who)):
        competitors, rho = consortium.rho.row(i)
        pairs = sorted(zip(competitors.tolist(), rho.tolist(), strict=True))
        digest.update(json.dumps([pair for pair in pairs if pair[1] != 0.0]).encode())
    return digest.hexdigest()


def training_terms(consortium: Consortium) -> dict[str, Any]:
    """Return how updates become a model, and what each outcome pays, as everybody signs it."""
    section = consortium.training or Training()
    return {**section.model_dump(), "pays": dict(PAYS)}


def deviations(settings: Mapping[str, Any], consortium: Consortium) -> Iterator[tuple[str, str]]:
    """Yield where a training's settings are not those that the consortium has agreed on.

    Parameters
    ----------
    settings
        Of a training document, or a plan's.
    consortium
        Without ``[training]`` nothing is agreed.

    Yields
    ------
    The key, and what was expected and found.
    """
    if consortium.training is None:
        return
    agreed = consortium.training.model_dump()
    kind = agreed["aggregation"]
    for key, applies in (
        ("aggregation", True),
        ("clip_norm", True),
        ("proximal_mu", kind == "fedprox"),
        ("assumed_hostile", agreed["assumed_hostile"] is not None),
    ):
        if applies and key in settings and settings[key] != agreed[key]:
            what = f"expected {shown(agreed[key])}, as [training] of {consortium.source} says"
            yield key, f"{what}, got {shown(settings[key])}"


def require_terms(document: Any, consortium: Consortium, place: object) -> None:
    """Refuse the document of a training under other public terms.

    Raises
    ------
    InputError
        The terms differ, or updates became a model otherwise than agreed. A document without the
        terms' hash (of an earlier version) passes.
    """
    settings = document.get("settings") if isinstance(document, Mapping) else None
    if isinstance(settings, Mapping):
        found = list(deviations(settings, consortium))
        if found:
            raise InputError(Problem(f"{place}: settings.{key}", what) for key, what in found)
    stated = document.get("terms_sha256") if isinstance(document, Mapping) else None
    if stated is None:
        return
    expected = terms_sha256(consortium)
    if stated != expected:
        what = f"expected that of {consortium.source}, {expected}, got {shown(stated)}"
        raise InputError.at(f"{place}: terms_sha256", f"{what}: trained under other terms")


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
    if any(key in document for key in SINCE_0_2):
        for key in ("terms_sha256", "entries"):
            if document.get(key) is None:
                yield Problem(f"{place}: {key}", "is missing: every training since 0.2.0 has it")
    if not isinstance(organizations, list) or entries is None:
        return
    for k, one in enumerate(organizations):
        if isinstance(one, Mapping) and not isinstance(one.get("name"), str):
            what = f"expected a name, got {shown(one.get('name'))}"
            yield Problem(f"{place}: organizations[{k}].name", what)
            return
    if not isinstance(entries, list):
        yield Problem(f"{place}: entries", f"expected a list, got {shown(entries)}")
        return
    malformed = list(_malformed(entries, f"{place}: entries"))
    yield from malformed
    if malformed:
        return
    yield from _rounds(document, organizations, entries, place)
    yield from _weights(entries, f"{place}: entries")
    inside = sum(one["samples_used"] for one in entries if one["outcome"] in INSIDE)
    weights = document.get("aggregation_weights")
    for k, one in enumerate(organizations):
        if not isinstance(one, Mapping) or "measured_fraction" not in one:
            continue
        where, name = f"{place}: organizations[{k}]", one.get("name")
        own = [entry for entry in entries if entry["organization"] == name]
        yield from _figures(one, own, where)
        if isinstance(weights, Mapping):
            used = sum(entry["samples_used"] for entry in own if entry["outcome"] in INSIDE)
            expected = used / inside if inside else 0.0
            if not _equal(weights.get(name), expected):
                what = f"the entries give {expected:.9g}, got {shown(weights.get(name))}"
                yield Problem(f"{place}: aggregation_weights.{name}", what)


def _malformed(entries: list[Any], place: str) -> Iterator[Problem]:
    """Yield each invalid entry; sums need numbers."""
    for k, one in enumerate(entries):
        where = f"{place}[{k}]"
        if not isinstance(one, Mapping):
            yield Problem(where, f"expected a table, got {shown(one)}")
            continue
        for key, least in (("round", 1), ("samples_used", 0)):
            value = one.get(key)
            if type(value) is not int or not least <= value < LARGEST:
                what = f"expected a whole number >= {least}, below 2^63, got {shown(value)}"
                yield Problem(f"{where}.{key}", what)
        if not isinstance(one.get("outcome"), str) or one["outcome"] not in OUTCOMES:
            what = f"expected one of {', '.join(sorted(OUTCOMES))}, got {shown(one.get('outcome'))}"
            yield Problem(f"{where}.outcome", what)
        elif one["outcome"] not in CREDITED and one.get("samples_used") not in (0, None):
            what = f"expected 0 for an update that is {one['outcome']}"
            yield Problem(f"{where}.samples_used", f"{what}, got {shown(one['samples_used'])}")
        for key in ("reason", "verdict"):
            if not isinstance(one.get(key, ""), str):
                yield Problem(f"{where}.{key}", f"expected text, got {shown(one[key])}")
        flags = one.get("flags", [])
        if not isinstance(flags, list) or not all(
            isinstance(flag, Mapping) and all(isinstance(flag.get(key), str) for key in FLAG)
            for flag in flags
        ):
            what = f"expected tables with {', '.join(FLAG)}, got {shown(flags)}"
            yield Problem(f"{where}.flags", what)
        if not isinstance(one.get("organization"), str):
            what = f"expected a name, got {shown(one.get('organization'))}"
            yield Problem(f"{where}.organization", what)


def _rounds(
    document: Mapping[str, Any], organizations: list[Any], entries: list[Any], place: str
) -> Iterator[Problem]:
    """Yield where the rounds are not all there, each with every organization once."""
    names = {one.get("name") for one in organizations if isinstance(one, Mapping)}
    seen: dict[tuple[int, str], int] = {}
    for k, one in enumerate(entries):
        key = (one["round"], one["organization"])
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
        found = {one["round"] for one in entries}  # each from 1 on
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


def _equal(value: Any, expected: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e9 < value < 1e9:
        return False
    return math.isclose(value, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


# --- in words -------------------------------------------------------------------------------------


def entry_in_words(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Return what became of an update, with the verdict, and why, with its flags."""
    outcome = EARLIER_WORDS.get(entry["outcome"], entry["outcome"])
    flags = [
        f"{flag['kind']} ({flag['confidence']}): {flag['detail']}"
        for flag in entry.get("flags") or ()
    ]
    verdict = entry.get("verdict")
    story = "; ".join(filter(None, (entry.get("reason"), *flags)))
    return f"{outcome}, {verdict}" if verdict else outcome, story


@dataclasses.dataclass(frozen=True)
class Review:
    """What a verifier should see of a training before it signs.

    Attributes
    ----------
    outcomes
        By organization: how often each outcome occurred, ``idle`` left out.
    flags
        By organization: in how many rounds each kind of flag was found; ``suspicious`` and
        ``attributed`` are among them.
    incidents
        Round, organization, outcome and story of every update that was not as it should be.
    """

    outcomes: dict[str, dict[str, int]]
    flags: dict[str, dict[str, int]]
    incidents: list[tuple[int, str, str, str]]


def review(document: Mapping[str, Any], place: object) -> Review:
    """Return what became of everybody's updates, and what was noticed about them.

    Raises
    ------
    InputError
        The document contradicts itself.
    """
    require_consistent(document, place)
    names = [one["name"] for one in document.get("organizations") or ()]
    outcomes: dict[str, dict[str, int]] = {name: {} for name in names}
    flags: dict[str, dict[str, int]] = {name: {} for name in names}
    incidents = []
    for entry in document.get("entries") or ():
        name = str(entry["organization"])
        outcome = EARLIER_WORDS.get(entry["outcome"], str(entry["outcome"]))
        if outcome != "idle":
            outcomes[name][outcome] = outcomes[name].get(outcome, 0) + 1
        found = {flag["kind"] for flag in entry.get("flags") or ()} | {entry.get("verdict") or ""}
        for kind in sorted(found - {""}):
            flags[name][kind] = flags[name].get(kind, 0) + 1
        words, story = entry_in_words(entry)
        if story:
            incidents.append((entry["round"], name, words, story))
    return Review(outcomes, flags, incidents)
