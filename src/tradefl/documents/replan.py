"""``tradefl/replan/1``: what a change of members or figures does to everybody."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tradefl.documents.base import Document, Part


class ReplannedOrganization(Part):
    """One organization before and after, and what it would have to be paid to agree."""

    name: str
    kind: str
    figures: list[str]
    payoff_before: float
    payoff_after: float
    gain: float
    to_agree: float


class ReplanDocument(Document):
    """What ``tradefl replan`` prints."""

    NAME: ClassVar[str] = "tradefl/replan/1"

    document: Literal["tradefl/replan/1"] = Field(alias="schema")
    old: str
    new: str
    target: str
    organizations: list[ReplannedOrganization]
    to_pay: float
    surplus: float
    affordable: bool
