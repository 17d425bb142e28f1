"""``tradefl/sensitivity/1``: what the ranges of a file's figures do."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tradefl.documents.base import Count, Document, Part


class Band(Part):
    """The median of the draws, and what 5 % of them are below and above."""

    p5: float
    p50: float
    p95: float


class SensitivityOrganization(Part):
    """One organization over all draws; null where no draw is a game."""

    name: str
    contribution: Band | None
    payment: Band | None
    payoff: Band | None
    gain_over_alone: Band | None
    probability_better_than_alone: float | None
    probability_bond_covers: float | None


class TornadoBar(Part):
    """A figure at its ends, and the payment that it moves most; null where there is no game."""

    figure: str
    organization: str | None
    payment_of: str
    low: float | None
    high: float | None


class SensitivityDocument(Document):
    """What ``tradefl sensitivity`` prints."""

    NAME: ClassVar[str] = "tradefl/sensitivity/1"

    document: Literal["tradefl/sensitivity/1"] = Field(alias="schema")
    consortium: str
    rule: str
    redesign: bool
    split: str | None = None
    remarks: list[str] = []
    draws: Count
    draws_without_game: Count
    without_game: dict[str, int]
    seed: Count
    figures: Count
    social_welfare: Band | None
    probability_equilibrium: float | None
    probability_deliverable: float | None
    probability_bond_covers: float | None
    organizations: list[SensitivityOrganization]
    tornado: list[TornadoBar]
