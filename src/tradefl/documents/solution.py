"""``tradefl/solution/1``: contributions, payoffs and their certificate."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tradefl.documents.base import Document, Part


class Transfer(Part):
    """What one organization pays another, payoff units, > 0."""

    payer: str = Field(alias="from")
    receiver: str = Field(alias="to")
    amount: float


class SolvedOrganization(Part):
    """One organization: its contribution, the terms of its payoff (Eq. 11), and its regret."""

    name: str
    data_fraction: float
    cpu_hz: float
    contribution_bits: float
    resource_bit_equivalents: float
    score: float
    revenue: float
    overhead: float
    data_cost: float
    joining_cost: float
    damage: float
    redistribution: float
    payoff: float
    alone: float | None = None
    gain_over_alone: float | None = None
    regret: float
    binds: str


class PaidOut(Part):
    """What the rule's payee receives: an account that contributes nothing."""

    name: str
    redistribution: float


class SolutionDocument(Document):
    """A solution: what ``tradefl solve`` and ``tradefl negotiate`` print."""

    NAME: ClassVar[str] = "tradefl/solution/1"

    document: Literal["tradefl/solution/1"] = Field(alias="schema")
    consortium: str
    rule: str
    method: str
    status: str
    iterations: int
    runtime_seconds: float
    potential: float | None
    upper_bound: float | None
    social_welfare: float
    social_welfare_upper_bound: float | None
    performance: float
    total_data_fraction: float
    max_regret: float
    budget_imbalance: float
    individually_rational: bool
    better_than_alone: bool | None = None
    remarks: list[str]
    organizations: list[SolvedOrganization]
    transfers: list[Transfer] | None
    payee: PaidOut | None = None
    currency: str | None = None
    payoff_unit: float | None = None
