"""``tradefl/run/1``: a solution, the training with it, and the settlement of what was measured."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tradefl.documents.base import Document
from tradefl.documents.settlement import SettlementDocument
from tradefl.documents.solution import SolutionDocument
from tradefl.documents.training import TrainingDocument


class RunDocument(Document):
    """What ``tradefl run`` prints."""

    NAME: ClassVar[str] = "tradefl/run/1"

    document: Literal["tradefl/run/1"] = Field(alias="schema")
    consortium: str
    solution: SolutionDocument
    training: TrainingDocument
    settlement: SettlementDocument | None  # null where the training was worth nothing
