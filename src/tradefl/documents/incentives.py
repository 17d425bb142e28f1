"""``tradefl/incentives/1``: what each could gain by misreporting."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tradefl.documents.base import Document, Part


class IncentivesOrganization(Part):
    """The best misreport of one figure of one organization."""

    name: str
    figure: str
    report: float | None
    gain: float
    gain_fraction: float | None
    certified: bool
    then_deviates: bool
    checked_by: str
    deviation_gain: float
    paid_by: str | None
    reports_tried: int | None = None


class OverReport(Part):
    """What claiming all data at the top level gains, and which spot audit deters it."""

    name: str
    gain: float
    audit_probability: float | None


class RuleIncentives(Part):
    """The misreports under a rule that the file does not use."""

    rule: str
    organizations: list[IncentivesOrganization]


class IncentivesDocument(Document):
    """What ``tradefl incentives`` prints."""

    NAME: ClassVar[str] = "tradefl/incentives/1"

    document: Literal["tradefl/incentives/1"] = Field(alias="schema")
    consortium: str
    range: float
    points: int
    rule: str
    organizations: list[IncentivesOrganization]
    over_reporting: list[OverReport]
    rules: list[RuleIncentives]
