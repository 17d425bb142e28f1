"""``tradefl/stability/1``: whether a coalition could do better on its own."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tradefl.documents.base import Document, Part


class Coalition(Part):
    """The strongest coalition: its value, its excess, and an equal share of that."""

    members: list[str]
    value: float
    excess: float
    gain_each: float


class StableOrganization(Part):
    """One organization: alone, under the split, what it brings, and a point of the least core."""

    name: str
    alone: float
    payoff: float
    marginal: float
    least_core: float
    half_width: float = 0.0


class StabilityDocument(Document):
    """What ``tradefl stability`` prints."""

    NAME: ClassVar[str] = "tradefl/stability/1"

    document: Literal["tradefl/stability/1"] = Field(alias="schema")
    consortium: str
    reading: str
    outside: str
    split: str
    verdict: str
    grand_coalition_value: float
    grand_coalition_bound: float
    max_excess: float
    max_excess_bound: float
    strongest_coalition: Coalition | None
    margin: float
    margin_certified: bool
    cost_of_stability: float | None
    organizations: list[StableOrganization]
    coalitions_examined: int
    nodes: int
    runtime_seconds: float
    outsiders: str | None = None
    shortfall: float = 0.0
    blocking_coalitions: int | None = None
    remarks: list[str] = []
