"""``tradefl/tune/1``: the best incentive intensity, and the curve behind it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tradefl.documents.base import Document, Part


class TunedOrganization(Part):
    """One organization's payoff at gamma = 0 and at gamma*."""

    name: str
    payoff_without_incentive: float
    payoff: float
    gain: float
    alone: float | None = None
    gain_over_alone: float | None = None


class CurvePoint(Part):
    """The equilibrium at one incentive intensity."""

    incentive_intensity: float
    social_welfare: float
    total_data_fraction: float
    performance: float
    damage: float
    individually_rational: bool
    better_than_alone: bool | None = None
    status: str


class TuneDocument(Document):
    """What ``tradefl tune`` prints; null where no gamma qualifies."""

    NAME: ClassVar[str] = "tradefl/tune/1"

    document: Literal["tradefl/tune/1"] = Field(alias="schema")
    consortium: str
    method: str
    individual_rationality: bool
    participation: str | None = None
    incentive_intensity: float | None
    social_welfare: float | None
    social_welfare_without_incentive: float
    individually_rational: bool | None
    better_than_alone: bool | None = None
    largest_individually_rational: float | None
    individually_rational_throughout: bool
    organizations: list[TunedOrganization] | None
    curve: list[CurvePoint]
    currency: str | None = None
    payoff_unit: float | None = None
