"""``tradefl/compare/1``: rules side by side."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tradefl.documents.base import Document, Part


class ComparedOrganization(Part):
    """One organization's payoff under a rule, and its gain against no compensation."""

    name: str
    payoff: float
    gain: float
    alone: float | None = None
    gain_over_alone: float | None = None
    half_width: float | None = None


class ComparedRule(Part):
    """The equilibrium under one rule."""

    rule: str
    title: str
    incentive_intensity: float | None
    status: str
    max_regret: float
    social_welfare: float
    price_of_anarchy: float | None
    gap_closed: float | None
    total_data_fraction: float
    performance: float
    payments: float
    individually_rational: bool
    below_alone: int | None = None
    stable: str | None = None
    deficit: float | None = None
    gainers: int
    losers: int
    largest_gain: float
    largest_loss: float
    organizations: list[ComparedOrganization]


class CompareDocument(Document):
    """What ``tradefl compare`` prints."""

    NAME: ClassVar[str] = "tradefl/compare/1"

    document: Literal["tradefl/compare/1"] = Field(alias="schema")
    consortium: str
    social_welfare_optimum: float
    social_welfare_upper_bound: float | None
    remarks: list[str]
    rules: list[ComparedRule]
    currency: str | None = None
    payoff_unit: float | None = None
