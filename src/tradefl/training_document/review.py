"""A training document in words: what a verifier should see before it signs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tradefl.documents.entries import EARLIER_WORDS
from tradefl.training_document.consistency import require_consistent
from tradefl.training_document.terms import SCHEMA


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
    names = [organization["name"] for organization in document.get("organizations") or ()]
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


def warnings_of(document: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know before a training is paid for; nothing of other documents."""
    if document.get("schema") != SCHEMA:
        return []
    found = []
    if why := document.get("diverged"):
        found.append(f"this training came to nothing: {why}; what it measured is paid all the same")
    if document.get("terms_sha256") in (None, ""):
        found.append(
            "written by a version before 0.2.0, or by other software: it does not say under which "
            "terms it was trained, so they cannot be checked"
        )
    return found
