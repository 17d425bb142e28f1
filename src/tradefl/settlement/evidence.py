"""Whether a node's logs hold all that the contract's own state says happened.

A node may keep no logs, or not all: it was pruned, is still indexing, or a provider leaves a block
out. A reader that takes such logs for the whole truth finds a contract that nobody published, or a
partner that reported nothing. The contract's state remembers what happened, so before anything is
compared the logs are held against it at the same block. What is missing is the node's fault and
never a partner's.

Source: the events and views of ``ITradeFL``; each row of :func:`unlogged` is one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tradefl.settlement.chains import MissingLogsError
from tradefl.settlement.contract import Event, Phase
from tradefl.settlement.rules import RULES

if TYPE_CHECKING:
    from tradefl.settlement.state import Place, State

SHOWN = 3


def require_logs(
    place: object, contract: str, state: State, events: Sequence[Event], rule: str
) -> None:
    """Refuse logs that lack an event which the contract's state implies.

    Parameters
    ----------
    place
        The node, for the message.
    contract
        The settlement's address.
    state
        What the contract's views say, at the block up to which ``events`` were read.
    events
        The contract's events, from its deployment on.
    rule
        The name of the rule.

    Raises
    ------
    MissingLogsError
        At least one is missing.
    """
    missing = list(unlogged(state, events, rule))
    if not missing:
        return
    shown = "; ".join(missing[:SHOWN])
    more = f"; and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
    raise MissingLogsError(
        place,
        f"this node does not keep all logs of the settlement {contract}: {shown}{more}. The "
        "contract's state says that these events happened. Nothing follows for any organization; "
        "ask another node, or one that keeps all logs",
    )


def unlogged(state: State, events: Sequence[Event], rule: str) -> Iterator[str]:
    """Yield each event that the state implies and the logs lack, in the order of a settlement."""
    count = Counter(event.name for event in events)

    def keys(name: str, key: str) -> set[Any]:
        return {event.arguments[key] for event in events if event.name == name}

    def once(name: str, happened: bool) -> Iterator[str]:
        if happened and not count[name]:
            yield f"no {name}"

    def each(name: str, key: str, expected: Iterable[Any], what: str) -> Iterator[str]:
        found = keys(name, key)
        for wanted in expected:
            if wanted not in found:
                yield f"no {name} of {what} {wanted}"

    def accounts(name: str, key: str, happened: Iterable[Place]) -> Iterator[str]:
        yield from each(name, key, [place.account for place in happened], "account")

    places, phase = state.places, state.phase
    recorded = phase in (Phase.RECORDED, Phase.CALCULATED, Phase.SETTLED)
    yield from once("AgreementDrafted", True)
    yield from once("AnnexPublished", state.annex_is_published)
    yield from each("OrganizationListed", "index", range(state.listed), "organization")
    for event in RULES[rule].listed_events:
        yield from each(event, "index", range(state.listed), "organization")
    yield from each("PairsPublished", "blockIndex", bits(state.published), "block")
    yield from once("JoiningOpened", phase != Phase.DRAFTING)
    yield from once("JoinDeadlineSet", state.join_deadline > 0)
    yield from accounts("DepositSubmitted", "account", [place for place in places if place.joined])
    yield from once("ReportingOpened", state.report_deadline > 0)
    if count["Proposed"] < state.proposals:
        yield f"{state.proposals - count['Proposed']:,} of {state.proposals:,} Proposed"
    reported = [place for place in places if place.reported]
    yield from accounts("ContributionSubmitted", "account", reported)
    yield from _superseded(reported, events)
    yield from _unclosed(Phase.OPEN, recorded or state.dispute_deadline > 0, events)
    yield from once("ProfileRecorded", recorded or state.dispute_deadline > 0)
    yield from accounts("DisputeRaised", "accused", [place for place in places if place.disputed])
    yield from _unclosed(Phase.RECORDED, state.ruling_deadline > 0, events)
    yield from once("RulingOpened", state.ruling_deadline > 0)
    yield from accounts("DisputeRuled", "accused", [place for place in places if place.ruled])
    yield from accounts("ConsentGiven", "account", [place for place in places if place.consented])
    yield from each("PayoffCalculated", "blockIndex", bits(state.calculated), "block")
    settled = phase == Phase.SETTLED
    yield from accounts("PayoffTransferred", "account", places if settled else ())
    yield from once("SettlementCompleted", settled)
    by_consent = bool(places) and all(place.consented for place in places)
    in_time = phase == Phase.CANCELLED and not by_consent
    yield from _unclosed(Phase.JOINING, in_time, events)
    yield from once("SettlementCancelled", phase == Phase.CANCELLED)
    yield from accounts("Withdrawn", "account", [place for place in places if place.withdrawn])


def _superseded(reported: Iterable[Place], events: Sequence[Event]) -> Iterator[str]:
    """Yield the accounts whose last report, by its serial number, is not in the logs."""
    highest: dict[str, int] = {}
    for event in events:
        if event.name == "ContributionSubmitted":
            account, serial = event.arguments["account"], int(event.arguments["serial"])
            highest[account] = max(serial, highest.get(account, serial))
    for place in reported:
        if place.account in highest and highest[place.account] < place.serial:
            yield f"no ContributionSubmitted of account {place.account} with serial {place.serial}"


def _unclosed(phase: Phase, over: bool, events: Sequence[Event]) -> Iterator[str]:
    """Yield the closing of a window that is over: the contract does not go on without it."""
    closed = {event.arguments["phase"] for event in events if event.name == "WindowClosing"}
    if over and phase not in closed:
        yield f"no WindowClosing of phase {phase.name.lower()}"


def bits(word: int) -> Iterator[int]:
    """Yield the places of the bits that are set, ascending."""
    for place in range(word.bit_length()):
        if word >> place & 1:
            yield place
