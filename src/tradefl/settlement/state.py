"""The state of a settlement, as its contract reports it."""

from __future__ import annotations

import dataclasses
from typing import Any

from tradefl.settlement.chains import Chain
from tradefl.settlement.contract import Phase
from tradefl.settlement.ethereum import ZERO_ADDRESS
from tradefl.settlement.rules import Report


@dataclasses.dataclass(frozen=True)
class Place:
    """One organization in the contract: ``ITradeFL.Account``, as far as steps depend on it."""

    account: str
    cap: int
    bond: int
    joined: bool
    deposit: int
    reported: bool
    report: Report
    serial: int
    score: int
    disputed: bool
    disputed_by: str | None
    ruled: bool
    redistribution: int
    stakes: int
    consented: bool
    withdrawn: bool


@dataclasses.dataclass(frozen=True)
class State:
    """The state of a settlement.

    ``published`` and ``calculated`` hold one bit for each block of the pairs. ``block`` is the
    latest block, ``now`` the time of the next one. The deadlines are 0 while they are not known;
    ``closed_at`` is the block in which the window of this phase was closed, 0 if it was not: the
    window stays open for the agreement's ``closing_blocks`` more.
    """

    phase: Phase
    now: int
    block: int
    join_deadline: int
    report_deadline: int
    dispute_deadline: int
    ruling_deadline: int
    annex_is_published: bool
    listed: int
    joined: int
    reported: int
    published: int
    open_disputes: int
    calculated: int
    closed_at: int
    consents: int
    ruling_begun: bool
    proposals: int
    places: tuple[Place, ...]


def read_phase(chain: Chain, contract: str) -> Phase:
    """Return the phase of a settlement."""
    return Phase(chain.read(contract, "phase"))


def read_state(chain: Chain, contract: str, size: int) -> State:
    """Return the state of a settlement of so many organizations."""
    now = chain.now()  # of the next block, if the chain knows it
    with chain.pinned():
        block = chain.height()
        return _state(chain, contract, size, max(now, chain.now()), block)


def _state(chain: Chain, contract: str, size: int, now: int, block: int) -> State:
    progress = chain.read(contract, "progress")
    deadlines = chain.read(contract, "deadlines")
    return State(
        phase=read_phase(chain, contract),
        now=now,
        block=block,
        join_deadline=deadlines["join"],
        report_deadline=deadlines["report"],
        dispute_deadline=deadlines["dispute"],
        ruling_deadline=deadlines["ruling"],
        annex_is_published=progress["annexIsPublished"],
        listed=progress["listed"],
        joined=progress["joined"],
        reported=progress["reported"],
        published=progress["published"],
        open_disputes=progress["openDisputes"],
        calculated=progress["calculated"],
        closed_at=progress["closedAt"],
        consents=progress["consents"],
        ruling_begun=progress["rulingBegun"],
        proposals=progress["proposals"],
        places=tuple(_place(chain.read(contract, "organization", i)) for i in range(size)),
    )


def _place(account: dict[str, Any]) -> Place:
    return Place(
        account=account["account"],
        cap=account["cap"],
        bond=account["bond"],
        joined=account["joined"],
        deposit=account["deposit"],
        reported=account["reported"],
        report=Report(data_ppb=account["dataPpb"], cpu_hz=account["cpuHz"]),
        serial=account["serial"],
        score=account["score"],
        disputed=account["disputed"],
        disputed_by=None if account["disputedBy"] == ZERO_ADDRESS else account["disputedBy"],
        ruled=account["ruled"],
        redistribution=account["redistribution"],
        stakes=account["stakes"],
        consented=account["consented"],
        withdrawn=account["withdrawn"],
    )
