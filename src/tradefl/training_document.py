"""A training document checked against itself and against the consortium that it is settled for.

Payment follows ``measured_fraction``. Whoever reads the document (settle, attest, explain, report)
computes it again from the entries, round by round, and refuses a document that contradicts itself.
Documents of earlier versions have other words for outcomes and fewer fields; they are read too.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from tradefl.consortium import Consortium
from tradefl.consortium.schema import shown
from tradefl.errors import InputError, Problem

SCHEMA = "tradefl/training/1"
# present, failed and empty are words of versions before 0.2.0.
INSIDE = frozenset({"aggregated", "present"})
CREDITED = INSIDE | {"excluded", "rolled back"}
EARLIER_WORDS = {"present": "aggregated", "failed": "rejected", "empty": "rejected"}
OUTCOMES = CREDITED | {"rejected", "late", "absent", "idle", "failed", "empty"}
TOLERANCE = 1e-9


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


def require_terms(document: Any, consortium: Consortium, place: object) -> None:
    """Refuse the document of a training under other public terms.

    Raises
    ------
    InputError
        The terms differ. A document without their hash (of an earlier version) passes.
    """
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
    if not isinstance(organizations, list) or entries is None:
        return
    if not isinstance(entries, list):
        yield Problem(f"{place}: entries", f"expected a list, got {shown(entries)}")
        return
    malformed = list(_malformed(entries, f"{place}: entries"))
    yield from malformed
    if malformed:
        return
    yield from _rounds(document, organizations, entries, place)
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
    """Yield what is no entry; what is added up must be numbers."""
    for k, one in enumerate(entries):
        where = f"{place}[{k}]"
        if not isinstance(one, Mapping):
            yield Problem(where, f"expected a table, got {shown(one)}")
            continue
        for key, least in (("round", 1), ("samples_used", 0)):
            value = one.get(key)
            if type(value) is not int or value < least:
                what = f"expected a whole number >= {least}, got {shown(value)}"
                yield Problem(f"{where}.{key}", what)
        if one.get("outcome") not in OUTCOMES:
            what = f"expected one of {', '.join(sorted(OUTCOMES))}, got {shown(one.get('outcome'))}"
            yield Problem(f"{where}.outcome", what)
        elif one["outcome"] not in CREDITED and one.get("samples_used") not in (0, None):
            what = f"expected 0 for an update that is {one['outcome']}"
            yield Problem(f"{where}.samples_used", f"{what}, got {shown(one['samples_used'])}")
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
    if type(rounds) is int:
        found = {one["round"] for one in entries}
        if found != set(range(1, rounds + 1)):
            what = f"expected entries for each of {rounds} rounds, got {len(found)}"
            yield Problem(f"{place}: rounds", f"{what} (to round {max(found, default=0)})")


def _figures(one: Mapping[str, Any], own: list[Any], where: str) -> Iterator[Problem]:
    """Yield the figures of an organization that its entries contradict."""
    asked = [entry for entry in own if entry["outcome"] != "idle"]
    credited = [entry for entry in asked if entry["outcome"] in CREDITED]
    held = one.get("samples_held")
    if type(held) is not int or held < 1:
        yield Problem(f"{where}.samples_held", f"expected a whole number >= 1, got {shown(held)}")
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
    if max(used, default=0) > held:
        yield Problem(f"{where}.samples_used", f"expected {held} at most, got {max(used)}")


def _equal(value: Any, expected: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isclose(value, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
