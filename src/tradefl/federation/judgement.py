"""What a reply comes to: whether it counts, for how much, and if not, why."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from flwr.app import ArrayRecord, Message

from tradefl.federation.ledger import Entry, Outcome
from tradefl.federation.metrics import Range, require_metrics
from tradefl.federation.terms import Deadline, Terms
from tradefl.federation.updates import (
    NotFiniteError,
    UnusableUpdateError,
    Update,
    checked_update,
)

# Flower's codes of errors: the ClientApp raised an exception; and those with which the SuperLink
# answers for a node: its message or its reply has expired or got lost, or the node is gone.
CLIENT_APP_FAILED = 2
MESSAGE_UNAVAILABLE = 3
REPLY_UNAVAILABLE = 4
NODE_UNAVAILABLE = 5
# A mod of the ClientApp, such as one for differential privacy, cannot use the message.
MOD_FAILED = 6


class Judgement(NamedTuple):
    """What a reply comes to.

    Attributes
    ----------
    entry
        For the ledger.
    update, weight
        If it counts: the update, and the number of samples that it weighs.
    excused
        For an update that is not finite: the entry if the model that was sent is at fault.
    """

    entry: Entry
    update: Update | None = None
    weight: int | float = 0
    excused: Entry | None = None

    @classmethod
    def out(cls, terms: Terms, i: int, number: int, outcome: Outcome, reason: str) -> Judgement:
        """Return the judgement on an organization whose reply does not count, or did not come."""
        pledge = terms.pledges[i]
        return cls(Entry(number, pledge.organization, outcome, cpu_hz=pledge.cpu_hz, reason=reason))


def judged(
    terms: Terms,
    i: int,
    number: int,
    reply: Message | None,
    *,
    sent: ArrayRecord,
    weight_key: str,
    deadline: Deadline,
    read: Mapping[str, Range] | None = None,
) -> Judgement:
    """Judge the reply of an organization that was asked to train.

    Parameters
    ----------
    terms, i
        What it pledged, and the deadline.
    number
        The round.
    reply
        Its reply; ``None`` if none came.
    sent
        The model that it was to train.
    weight_key
        The metric that says how many samples it trained on.
    deadline
        Whether the time of Eq. (2) is enforced.
    read
        The metrics that the strategy aggregates by.
    """
    if reply is None:
        return Judgement.out(terms, i, number, "absent", "no reply in time")
    if reply.has_error():
        return Judgement.out(terms, i, number, *_failure(reply))
    fault = ""
    try:
        try:
            update = checked_update(reply, sent, weight_key, number)
        except NotFiniteError as error:  # the rest of it decides what it counts if it is excused
            update, fault = error.update, str(error)
        require_metrics(update.metrics, read or {})
        cpu_hz = _level(terms, i, update)
    except UnusableUpdateError as error:
        return Judgement.out(terms, i, number, "rejected", str(error))
    pledge, claim = terms.pledges[i], update.claimed
    # Samples are whole; a claim that is keeps its type, so that weights are Flower's to the bit.
    weight = min(claim, pledge.samples_owed)
    used = math.floor(weight)
    modelled = terms.modelled_seconds(i, used, cpu_hz)
    reasons = [update.remark] if update.remark else []
    if claim > pledge.samples_owed:
        held = f" and holds {pledge.samples_held:,}" * (claim > pledge.samples_held)
        owed = f"{pledge.samples_owed:,}"
        reasons.append(f"claims {claim:,} samples but pledged {owed}{held}; capped at {owed}")
    if cpu_hz < pledge.cpu_hz:
        reasons.append(f"ran at {cpu_hz:g} Hz, pledged {pledge.cpu_hz:g} Hz")
    outcome: Outcome = "aggregated"
    if used == 0:
        outcome, reasons = "rejected", ["trained on no sample"]
    elif deadline == "model" and not terms.in_time(i, used, cpu_hz):
        outcome = "late"
        tau = terms.deadline_seconds
        reasons.append(f"needs {modelled:,.6g} s by Eq. (2), the deadline is {tau:,.6g} s")
    elif used < pledge.samples_owed:
        reasons.append(f"used {used:,} samples but pledged {pledge.samples_owed:,}")
    entry = Entry(
        round=number,
        organization=pledge.organization,
        outcome=outcome,
        samples_claimed=math.floor(claim),
        samples_used=used if outcome == "aggregated" else 0,
        seconds=update.seconds,
        modelled_seconds=modelled,
        cpu_hz=cpu_hz,
        update_sha256=update.sha256,
        reason="; ".join(reasons),
    )
    if outcome != "aggregated":
        return Judgement(entry)
    if fault:
        rejected = dataclasses.replace(entry, outcome="rejected", samples_used=0, reason=fault)
        excused = dataclasses.replace(entry, outcome="rolled back", reason=fault)
        return Judgement(rejected, excused=excused)
    return Judgement(entry, update, weight if weight == used else used)


def _level(terms: Terms, i: int, update: Update) -> float:
    """Return the CPU level that counts: the pledged one, or a lower one that the node admits."""
    pledged = terms.pledges[i].cpu_hz
    if update.cpu_hz is None or update.cpu_hz >= pledged:
        return pledged
    if update.cpu_hz not in terms.cpu_levels_hz[i]:
        raise UnusableUpdateError(f"reports {update.cpu_hz:g} Hz, which is not one of its levels")
    return update.cpu_hz


def _failure(reply: Message) -> tuple[Outcome, str]:
    """Return what an error reply means: the node is gone, or its app has failed."""
    why = short(reply.error.reason)
    if reply.error.code == NODE_UNAVAILABLE:
        return "absent", f"node unavailable: {why.rpartition('Node Unavailable — ')[2]}"
    if reply.error.code in (MESSAGE_UNAVAILABLE, REPLY_UNAVAILABLE):
        return "absent", f"no reply in time: {why}"
    if reply.error.code == MOD_FAILED:
        return "rejected", f"a mod refused: {why}"
    return "rejected", f"its app failed: {why}"


def short(text: str | None) -> str:
    """Return in one line what may be a traceback: its exception, with all lines of its message."""
    lines = [line for line in (text or "").strip().splitlines() if line.strip()]
    if lines and lines[0].startswith("Traceback ("):
        # The exception follows the last line of code; code is indented.
        code = max((k for k, line in enumerate(lines) if line.startswith("  ")), default=0)
        lines = lines[code + 1 :] or lines[-1:]
    elif lines and not _EXCEPTION.match(lines[0]):
        lines = lines[-1:]
    return " ".join(line.strip() for line in lines)[:200] if lines else "no reason given"


_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*: ")
