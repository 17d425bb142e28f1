"""``tradefl/scorecard/1``: what became of each claim of the paper."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tradefl.documents.base import Count, Document, Part


class Claim(Part):
    """A claim of a figure, our number, the verdict, and the command that computes it again."""

    figure: str
    claim: str
    paper: str
    ours: str
    verdict: str
    correction: str
    remark: str
    command: str


class ScorecardDocument(Document):
    """What ``tradefl reproduce`` prints."""

    NAME: ClassVar[str] = "tradefl/scorecard/1"

    document: Literal["tradefl/scorecard/1"] = Field(alias="schema")
    verdicts: dict[str, Count]
    claims: list[Claim]
