"""``tradefl/settlement/1``: a settlement as the chain tells it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import FailFast, Field

from tradefl.documents.base import Count, Document, Hz, Part, Whole, Words


class SettledOrganization(Part):
    """One organization's place in a settlement; amounts are whole wei."""

    name: str
    address: Words
    data_ppb: Count
    cpu_hz: Hz
    bond_wei: Whole
    deposit_wei: Whole
    redistribution_wei: Whole
    stakes_wei: Whole = "0"
    withdrawn_wei: Whole


class Transaction(Part):
    """A transaction with an event of the settlement."""

    call: Words
    organization: Words | None
    hash: Words
    gas: Count
    block: Count


class OtherTransaction(Part):
    """A transaction of this process without an event of the settlement."""

    call: Words
    hash: Words
    gas: Count
    block: Count
    succeeded: bool


class SettlementVerdict(Part):
    """What the audit found."""

    agrees: bool
    checks: Count
    differences: Annotated[list[Words], FailFast()]


class SettlementDocument(Document):
    """What ``tradefl settle`` prints; versions before 0.2.0 wrote fewer keys."""

    NAME: ClassVar[str] = "tradefl/settlement/1"

    document: Literal["tradefl/settlement/1"] = Field(alias="schema")
    consortium: str
    chain_id: Count
    contract: Words
    vault: Words = ""
    agreement_hash: Words
    phase: Words
    organizations: list[SettledOrganization]
    transactions: Annotated[list[Transaction], FailFast()]
    gas_used: Count
    other_transactions: Annotated[list[OtherTransaction], FailFast()] = []
    audit: SettlementVerdict | None = None
    currency: str | None = None
    payoff_unit: float | None = None
