r"""What is due: the calls that a settlement needs next, read off its state."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tradefl.settlement.agreement import Agreement
from tradefl.settlement.contract import Phase
from tradefl.settlement.rules import Report
from tradefl.settlement.state import State

ANYONE = None


@dataclasses.dataclass(frozen=True)
class Step:
    """A call that is due.

    Attributes
    ----------
    call
        The contract's function.
    arguments
        What it takes.
    sender
        The account that must send it; ``None``: anyone may.
    value
        wei to send along.
    """

    call: str
    arguments: tuple[Any, ...] = ()
    sender: str | None = ANYONE
    value: int = 0


def window_is_open(agreement: Agreement, state: State) -> bool:
    """Return whether the window of the phase is still open in the next block."""
    return not state.closed_at or state.block + 1 <= state.closed_at + agreement.closing_blocks


def closing_until(agreement: Agreement, state: State) -> int | None:
    """Return the last block of a window that is closing; ``None`` if none is."""
    if not state.closed_at or not window_is_open(agreement, state):
        return None
    return state.closed_at + agreement.closing_blocks


def due(
    agreement: Agreement,
    state: State,
    reports: Mapping[str, Report],
    serials: Mapping[str, int] | None = None,
) -> list[Step]:
    """Return the calls that are due now, in order; the chain's time and blocks decide.

    Parameters
    ----------
    agreement
        What is settled.
    state
        Its state.
    reports
        What each account will report, as far as it is known.
    serials
        The serial number of each account's attestation: a higher one replaces a report.
    """
    is_open = window_is_open(agreement, state)
    match state.phase:
        case Phase.DRAFTING:
            return _publications(agreement, state)
        case Phase.JOINING:
            return _deposits(agreement, state) if is_open else [Step("cancel")]
        case Phase.OPEN:
            return _reports(state, reports, serials or {}) if is_open else [Step("profileRecord")]
        case Phase.RECORDED:
            return _after_reports(agreement, state)
        case Phase.CALCULATED:
            return [Step("payoffTransfer")]
        case Phase.SETTLED | Phase.CANCELLED:
            return [
                Step("withdraw", (), place.account)
                for place in state.places
                if place.joined and not place.withdrawn
            ]


def _publications(agreement: Agreement, state: State) -> list[Step]:
    steps = [] if state.annex_is_published else [Step("annexPublish", (agreement.annex,))]
    steps += [
        Step("organizationsPublish", (k, block))
        for k, block in enumerate(agreement.organization_blocks)
        if k * agreement.organizations_per_block >= state.listed
    ]
    steps += [
        Step("pairsPublish", (k, block))
        for k, block in enumerate(agreement.pair_blocks)
        if not state.published >> k & 1
    ]
    return steps


def _deposits(agreement: Agreement, state: State) -> list[Step]:
    steps = [
        Step("depositSubmit", (), place.account, agreement.deposits[i])
        for i, place in enumerate(state.places)
        if not place.joined
    ]
    return steps + _closing(state, state.join_deadline)


def _closing(state: State, deadline: int, *, at_once: bool = False) -> list[Step]:
    """Return the call that closes a window, once its time is over and nobody has made it."""
    over = at_once or 0 < deadline < state.now
    return [Step("windowClose")] if over and not state.closed_at else []


def _reports(state: State, reports: Mapping[str, Report], serials: Mapping[str, int]) -> list[Step]:
    steps = [
        Step("contributionSubmit", (report.data_ppb, report.cpu_hz), place.account)
        for place in state.places
        if (report := reports.get(place.account)) is not None
        and not report.silent
        and (not place.reported or serials.get(place.account, 0) > place.serial)
    ]
    everybody = all(place.reported for place in state.places)
    return steps or _closing(state, state.report_deadline, at_once=everybody)


def _after_reports(agreement: Agreement, state: State) -> list[Step]:
    """Return what is due once the profile is recorded: disputes, rulings, then the calculation."""
    calculation = [
        Step("payoffCalculate", (k, block))
        for k, block in enumerate(agreement.pair_blocks)
        if not state.calculated >> k & 1
    ]
    if not agreement.has_arbiter:
        return calculation
    is_open = window_is_open(agreement, state)
    if state.ruling_begun:
        if state.open_disputes and is_open:
            return _closing(state, state.ruling_deadline)
        return calculation
    if is_open:
        return _closing(state, state.dispute_deadline)
    return [Step("windowClose")] if state.open_disputes else calculation


def deadline(agreement: Agreement, state: State) -> int | None:
    """Return the second after which the phase can end without further action.

    ``None`` if time alone never ends it, or if its window is closing.
    """
    if state.closed_at and window_is_open(agreement, state):
        return None
    match state.phase:
        case Phase.JOINING:
            return state.join_deadline or None
        case Phase.OPEN:
            return state.report_deadline
        case Phase.RECORDED if agreement.has_arbiter:
            return state.ruling_deadline if state.ruling_begun else state.dispute_deadline
    return None
