"""``tradefl/check/1``: what each organization may do."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tradefl.documents.base import Document, Part
from tradefl.documents.self_enforcing import SelfEnforcing


class FeasibleLevel(Part):
    """A CPU level that meets the deadline, and the most data that can be trained at it."""

    cpu_hz: float
    max_data_fraction: float


class CheckedOrganization(Part):
    """One organization: its weight z, its levels and its data."""

    name: str
    profitability: float
    competitors_profitability: float
    z: float
    levels: int
    feasible_levels: list[FeasibleLevel]
    max_data_fraction: float
    data_units: float
    alone: float | None = None


class CheckDocument(Document):
    """What ``tradefl check`` prints."""

    NAME: ClassVar[str] = "tradefl/check/1"

    document: Literal["tradefl/check/1"] = Field(alias="schema")
    consortium: str
    rule: str
    competition_factor: float
    min_data_fraction: float
    min_omega: float
    max_omega: float
    min_performance: float
    max_performance: float
    onset_units: float | None
    min_z_share: float
    self_enforcing: SelfEnforcing | None
    organizations: list[CheckedOrganization]
