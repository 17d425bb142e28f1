"""A training document against the consortium that it is settled for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tradefl.consortium import Consortium
from tradefl.consortium.schema import shown
from tradefl.errors import InputError, Problem
from tradefl.training_document.holdings import shares
from tradefl.training_document.terms import deviations, terms_sha256


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
    problems = [*_holdings(document, consortium, place), *_levels(document, consortium, place)]
    if problems:
        raise InputError(problems)


def _holdings(
    document: Mapping[str, Any], consortium: Consortium, place: object
) -> Iterator[Problem]:
    """Yield samples held that do not follow from the consortium's and the data set's."""
    settings, members = document.get("settings"), document.get("organizations")
    scheme = settings.get("partition") if isinstance(settings, Mapping) else None
    if scheme not in ("iid", "own") or not isinstance(members, list):
        return  # another's app, or drawn: then the data set decides
    held = {member.get("name"): member.get("samples_held") for member in members}
    if set(held) != set(consortium.names) or not all(
        type(number) is int for number in held.values()
    ):
        return  # refused by others, each with its own words
    agreed = consortium.organizations.samples.tolist()
    total = sum(held.values())
    expected = agreed if scheme == "own" else shares(agreed, max(total, len(agreed)))
    for k, member in enumerate(members):
        due = expected[consortium.names.index(member["name"])]
        if member["samples_held"] != due:
            what = f"expected {due:,}, as samples in {consortium.source} say"
            where = f"{place}: organizations[{k}].samples_held"
            yield Problem(where, f"{what}, got {member['samples_held']:,}")


def _levels(
    document: Mapping[str, Any], consortium: Consortium, place: object
) -> Iterator[Problem]:
    """Yield CPU frequencies of credited updates that are not one of the organization's levels."""
    who = consortium.organizations
    levels = {name: set(who.levels(i)) for i, name in enumerate(consortium.names)}
    for k, entry in enumerate(document.get("entries") or ()):
        known, found = levels.get(entry["organization"]), entry.get("cpu_hz")
        if known is not None and found is not None and entry["samples_used"] and found not in known:
            what = f"expected a level of {entry['organization']}, got {found:.10g}"
            yield Problem(f"{place}: entries[{k}].cpu_hz", what)
