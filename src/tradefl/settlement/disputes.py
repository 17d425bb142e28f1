"""Calls that are nobody's routine: to dispute a report, to rule on it, to consent to an end."""

from __future__ import annotations

from datetime import UTC, datetime

from tradefl.settlement.chains import Receipt
from tradefl.settlement.contract import ChainError, Phase
from tradefl.settlement.rules import Report
from tradefl.settlement.settle import Settlement
from tradefl.settlement.state import State
from tradefl.settlement.steps import closing_until, window_is_open


def dispute(settlement: Settlement, account: str, against: str) -> Receipt:
    """Dispute a report, or one's own silence; locks the dispute stake.

    Parameters
    ----------
    settlement
        With the key of the account.
    account
        The organization that disputes.
    against
        The account of the organization whose report is disputed.

    Raises
    ------
    ChainError
        Reports cannot be disputed now, this one cannot, or the contract refuses.
    """
    agreement, state = settlement.agreement, settlement.state()
    names = dict(zip(agreement.addresses, agreement.names, strict=True))
    place = state.places[agreement.addresses.index(against)]
    if not agreement.has_arbiter:
        raise ChainError(agreement.consortium, "the agreement has no arbiter, so reports are final")
    if state.phase < Phase.RECORDED:
        what = f"reports are not recorded yet (phase {state.phase.name.lower()}); dispute then"
        raise ChainError(settlement.contract, what)
    if state.phase != Phase.RECORDED or state.ruling_begun or not window_is_open(agreement, state):
        raise ChainError(settlement.contract, "the time for disputes is over")
    if account == against and place.reported:
        what = "an organization cannot dispute its own report, only its own silence"
        raise ChainError(names[account], what)
    if place.disputed:
        raise ChainError(names[against], "its report is disputed already; one dispute per report")
    return settlement.call(account, "disputeRaise", against)


def rule(settlement: Settlement, account: str, ruling: Report | None) -> tuple[Receipt, Report]:
    """Settle a dispute; only the arbiter can.

    Parameters
    ----------
    settlement
        With the arbiter's key.
    account
        The organization whose report was disputed.
    ruling
        What counts from now on; silent: the report is struck; ``None``: it is upheld.

    Raises
    ------
    ChainError
        The time for disputes is not over, that for rulings is, or there is nothing to rule on.
    """
    agreement = settlement.agreement
    name = agreement.names[agreement.addresses.index(account)]
    state = _disputes_over(settlement)
    place = state.places[agreement.addresses.index(account)]
    if not place.disputed:
        raise ChainError(name, "nobody has disputed its report")
    if place.ruled:
        raise ChainError(name, "was ruled on already; a ruling is final")
    if state.ruling_begun and not window_is_open(agreement, state):
        raise ChainError(settlement.contract, "the time for rulings is over; the report is final")
    upheld = place.report if ruling is None else ruling
    receipt = settlement.call(agreement.arbiter, "rule", account, upheld.data_ppb, upheld.cpu_hz)
    return receipt, upheld


def _disputes_over(settlement: Settlement) -> State:
    """Return the state once nobody can dispute any more; close the window where it is time."""
    agreement = settlement.agreement
    while True:
        state = settlement.state()
        if state.phase != Phase.RECORDED:
            what = f"nothing can be ruled in phase {state.phase.name.lower()}"
            raise ChainError(settlement.contract, what)
        if state.ruling_begun or not window_is_open(agreement, state):
            return state
        last = closing_until(agreement, state)
        if last is None and state.now <= state.dispute_deadline:
            when = f"{datetime.fromtimestamp(state.dispute_deadline, UTC):%F %T} UTC"
            what = f"disputes may be raised until {when}; rule after that"
            raise ChainError(settlement.contract, what)
        if last is None:
            settlement.call(agreement.arbiter, "windowClose")
        elif not settlement.chain.mine(last - state.block, agreement.arbiter):
            raise ChainError(
                settlement.contract,
                f"disputes may be raised up to block {last:,}, and the chain is at "
                f"{state.block:,}; run the command again after that",
            )


def consent(settlement: Settlement, account: str) -> tuple[Receipt, int]:
    """Consent to end a settlement; return the receipt and how many have not consented yet.

    It cannot be taken back. Once everybody has, every deposit can be withdrawn, stakes included.

    Raises
    ------
    ChainError
        It has ended, everything is not published yet, or the organization has consented before.
    """
    agreement, state = settlement.agreement, settlement.state()
    i = agreement.addresses.index(account)
    if state.phase == Phase.DRAFTING:
        what = "is not published yet: nobody has deposited, so there is nothing to end"
        raise ChainError(settlement.contract, what)
    if state.phase.final:
        raise ChainError(settlement.contract, f"has ended: it is {state.phase.name.lower()}")
    if state.places[i].consented:
        raise ChainError(agreement.names[i], "has consented already")
    receipt = settlement.call(account, "consent")
    return receipt, len(agreement) - settlement.state().consents
