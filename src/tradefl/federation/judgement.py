"""What a reply comes to: whether it counts, for how much, and if not, why."""

from __future__ import annotations

import math
from typing import NamedTuple

from flwr.app import ArrayRecord, Message

from tradefl.federation.ledger import Entry, Outcome
from tradefl.federation.terms import Deadline, Terms
from tradefl.federation.updates import UnusableUpdateError, Update, checked_update

# Flower's codes of errors: the ClientApp raised an exception; and those with which the SuperLink
# answers for a node: its message or its reply has expired or got lost, or the node is gone.
CLIENT_APP_FAILED = 2
MESSAGE_UNAVAILABLE = 3
REPLY_UNAVAILABLE = 4
NODE_UNAVAILABLE = 5


class Judgement(NamedTuple):
    """An entry of the ledger, and if the reply counts, its update and the weight of it."""

    entry: Entry
    update: Update | None = None
    weight: int | float = 0

    @classmethod
    def out(cls, terms: Terms, i: int, number: int, outcome: Outcome, reason: str) -> Judgement:
        """Return the judgement on an organization of which nothing counts, or came."""
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
    """
    if reply is None:
        return Judgement.out(terms, i, number, "absent", "no reply in time")
    if reply.has_error():
        return Judgement.out(terms, i, number, *_failure(reply))
    try:
        update = checked_update(reply, sent, weight_key)
        cpu_hz = _level(terms, i, update)
    except UnusableUpdateError as error:
        return Judgement.out(terms, i, number, "rejected", str(error))
    pledge, claim = terms.pledges[i], update.claimed
    # Samples are whole; a claim that is keeps its type, so that weights are Flower's to the bit.
    weight = min(claim, pledge.samples_owed)
    used = math.floor(weight)
    modelled = terms.modelled_seconds(i, used, cpu_hz)
    reasons = []
    if claim > pledge.samples_owed:
        holds = f" and {pledge.samples_held:,} that it holds" * (claim > pledge.samples_held)
        owed = f"{pledge.samples_owed:,} that its pledge is"
        reasons.append(f"claims {claim:,} samples, of {owed}{holds}; capped")
    if cpu_hz < pledge.cpu_hz:
        reasons.append(f"ran at {cpu_hz:g} Hz, pledged {pledge.cpu_hz:g} Hz")
    outcome: Outcome = "present"
    if used == 0:
        outcome, reasons = "empty", ["trained on no sample"]
    elif deadline == "model" and not terms.in_time(i, used, cpu_hz):
        outcome = "late"
        tau = terms.deadline_seconds
        reasons.append(f"needs {modelled:,.6g} s by Eq. (2), the deadline is {tau:,.6g} s")
    elif used < pledge.samples_owed:
        reasons.append(f"used {used:,} samples, its pledge is {pledge.samples_owed:,}")
    entry = Entry(
        round=number,
        organization=pledge.organization,
        outcome=outcome,
        samples_claimed=math.floor(claim),
        samples_used=used if outcome == "present" else 0,
        seconds=update.seconds,
        modelled_seconds=modelled,
        cpu_hz=cpu_hz,
        update_sha256=update.sha256,
        reason="; ".join(reasons),
    )
    if outcome != "present":
        return Judgement(entry)
    return Judgement(entry, update, weight if weight == used else used)


def _level(terms: Terms, i: int, update: Update) -> float:
    """Return the CPU level that counts: the pledged one, or a lower one that the node admits."""
    pledged = terms.pledges[i].cpu_hz
    if update.cpu_hz is None or update.cpu_hz >= pledged:
        return pledged
    if update.cpu_hz not in terms.cpu_levels_hz[i]:
        raise UnusableUpdateError(f"reports {update.cpu_hz:g} Hz, which is none of its levels")
    return update.cpu_hz


def _failure(reply: Message) -> tuple[Outcome, str]:
    """Return what an error reply means: the node is gone, or its app has failed."""
    why = short(reply.error.reason)
    if reply.error.code == NODE_UNAVAILABLE:
        return "absent", f"node unavailable: {why.rpartition('Node Unavailable — ')[2]}"
    if reply.error.code in (MESSAGE_UNAVAILABLE, REPLY_UNAVAILABLE):
        return "absent", f"no reply in time: {why}"
    return "failed", f"its app failed: {why}"


def short(text: str | None) -> str:
    """Return the last line of what may be a traceback."""
    lines = [line.strip() for line in (text or "").strip().splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no reason given"
