"""``tradefl/audit/1``: a settlement recomputed, and its negotiation replayed."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tradefl.documents.base import Count, Document, Hz, Part, Whole


class AuditDifference(Part):
    """A comparison that failed."""

    place: str
    expected: str
    found: str


class AuditedOrganization(Part):
    """What counts for one organization, and what was recomputed for it, wei."""

    name: str
    data_ppb: Count
    cpu_hz: Hz
    redistribution_wei: Whole
    stakes_wei: Whole


class ReplayedProposal(Part):
    """A proposal, and what the protocol makes of it; null for a stranger."""

    round: Count
    turn: Count
    organization: str | None
    account: str
    data_ppb: Count
    cpu_hz: Hz
    block: Count
    outcome: str
    skipped: Count
    reason: str


class NegotiatedContribution(Part):
    """Where one organization ended."""

    name: str
    data_ppb: Count
    cpu_hz: Hz


class NegotiationReplay(Part):
    """A negotiation replayed; rounds, moves and profile only after everybody has joined."""

    agrees: bool
    findings: list[str]
    notes: list[str]
    max_regret: float | None
    over: bool
    rounds: Count = 0
    moves: Count = 0
    proposals: list[ReplayedProposal]
    profile: list[NegotiatedContribution] = []


class AuditDocument(Document):
    """What ``tradefl audit`` prints."""

    NAME: ClassVar[str] = "tradefl/audit/1"

    document: Literal["tradefl/audit/1"] = Field(alias="schema")
    chain_id: Count
    contract: str
    agreement_hash: str
    published: bool
    phase: str
    agrees: bool
    checks: Count
    differences: list[AuditDifference]
    notes: list[str]
    organizations: list[AuditedOrganization]
    negotiation: NegotiationReplay | None = None
