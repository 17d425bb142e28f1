"""``tradefl/elicitation/1``: what business figures have become."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tradefl.documents.base import Document, Part


class AssumedFigure(Part):
    """A figure that no table gave."""

    what: str
    value: str
    reason: str


class ConductRange(Part):
    """The proposed conduct, the plausible range, and what was chosen."""

    low: float
    high: float
    chosen: float


class ElicitedOrganization(Part):
    """One organization's figures, as in the file, and its ``z``."""

    name: str
    profitability: float
    data_bits: float
    samples: int
    cycles_per_bit: float
    cpu_levels_hz: list[float]
    download_seconds: float
    upload_seconds: float
    data_cost: float = 0.0
    joining_cost: float = 0.0
    capacitance: float | None = None
    quality: float = 1.0
    sector: str | None = None
    z: float


class ElicitationDocument(Document):
    """What ``tradefl elicit --json`` prints."""

    NAME: ClassVar[str] = "tradefl/elicitation/1"

    document: Literal["tradefl/elicitation/1"] = Field(alias="schema")
    consortium: str
    file: str
    currency: str | None
    payoff_unit: float
    conduct: ConductRange | None
    incentive_intensity: float
    assumptions: list[AssumedFigure]
    organizations: list[ElicitedOrganization]
    ignored_columns: list[str]
