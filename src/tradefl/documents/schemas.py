"""Every document, and its JSON Schema."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from tradefl.documents.accuracy import AccuracyDocument
from tradefl.documents.agreement import AgreementDocument
from tradefl.documents.attestations import AttestationsDocument
from tradefl.documents.audit import AuditDocument
from tradefl.documents.base import Document
from tradefl.documents.check import CheckDocument
from tradefl.documents.comparison import CompareDocument
from tradefl.documents.contributions import ContributionsDocument
from tradefl.documents.design import DesignDocument
from tradefl.documents.elicitation import ElicitationDocument
from tradefl.documents.incentives import IncentivesDocument
from tradefl.documents.replan import ReplanDocument
from tradefl.documents.run import RunDocument
from tradefl.documents.scorecard import ScorecardDocument
from tradefl.documents.sensitivity import SensitivityDocument
from tradefl.documents.settlement import SettlementDocument
from tradefl.documents.solution import SolutionDocument
from tradefl.documents.stability import StabilityDocument
from tradefl.documents.statement import StatementDocument
from tradefl.documents.training import TrainingDocument
from tradefl.documents.tuning import TuneDocument

# Every document that a command prints, in the order of docs/reference/json.md.
DOCUMENTS: tuple[type[Document], ...] = (
    SolutionDocument,
    StatementDocument,
    CheckDocument,
    TuneDocument,
    DesignDocument,
    CompareDocument,
    IncentivesDocument,
    SensitivityDocument,
    StabilityDocument,
    ReplanDocument,
    AgreementDocument,
    SettlementDocument,
    AuditDocument,
    TrainingDocument,
    AccuracyDocument,
    RunDocument,
    ScorecardDocument,
    ElicitationDocument,
)


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of every document by the name of its file, without ``.json``.

    The schema of ``tradefl/solution/1`` is called ``solution-1``. Keys that only some documents
    hold are not required; a document of a later version may hold more keys.
    """
    kinds: dict[str, type[BaseModel]] = {
        kind.NAME.removeprefix("tradefl/").replace("/", "-"): kind for kind in DOCUMENTS
    }
    kinds["attestations"] = AttestationsDocument
    kinds["contributions"] = ContributionsDocument
    return {name: _schema(name, kind) for name, kind in kinds.items()}


def _schema(name: str, kind: type[BaseModel]) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{name}.json",
        **kind.model_json_schema(by_alias=True, mode="serialization"),
    }
