"""``tradefl/training/1``: what a training came to, and what each organization contributed."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import FailFast, Field

from tradefl.documents.base import Count, Document, Part, Words


class TrainedOrganization(Part):
    """One organization's part in a training."""

    name: str
    samples_held: Count
    samples_used: Count
    rounds_asked: Count
    rounds_present: Count
    rounds_credited: Count = 0
    pledged_fraction: float
    measured_fraction: float
    cpu_hz: float
    seconds: float = 0.0
    modelled_seconds: float = 0.0


class UpdateFlag(Part):
    """Something unusual about an update."""

    kind: str
    confidence: str
    detail: str


class UpdateEvidence(Part):
    """Why an update was attributed: losses on the server's validation part."""

    loss_before: float | None
    loss_with: float | None
    loss_without: float | None
    step_with: float | None
    step_without: float | None
    norm_ratio: float
    cosine: float | None


class TrainingEntry(Part):
    """What became of an organization's update in a round."""

    round: Count
    organization: str
    outcome: str
    samples_claimed: int | None = None
    samples_used: Count = 0
    seconds: float = 0.0
    modelled_seconds: float = 0.0
    cpu_hz: float = 0.0
    update_sha256: str = ""
    reason: str = ""
    weight: float | None = None
    norm: float | None = None
    distance: float | None = None
    cosine: float | None = None
    flags: list[UpdateFlag] = []
    verdict: str = ""
    evidence: UpdateEvidence | None = None


class ValidationPart(Part):
    """The part of the test samples that served the server alone."""

    fraction: float
    samples: Count


class TrainingDocument(Document):
    """What ``tradefl train`` prints; versions before 0.2.0 wrote fewer keys."""

    NAME: ClassVar[str] = "tradefl/training/1"

    document: Literal["tradefl/training/1"] = Field(alias="schema")
    consortium: str
    terms_sha256: str = ""
    engine: str = "flower"
    scheme: Words
    rounds: Count
    model: Words
    data: Words
    settings: dict[str, Any] = {}
    initial_accuracy: float | None
    initial_loss: float | None
    accuracy: Annotated[list[float | None], FailFast()]
    loss: Annotated[list[float | None], FailFast()]
    organizations: list[TrainedOrganization]
    aggregation_weights: dict[str, float | None] | None = None
    validation: ValidationPart | None = None
    test_samples: Count = 0
    classes: Count = 0
    diverged: str | None = None
    entries: list[TrainingEntry] = []
    notices: Annotated[list[Words], FailFast()]
    runtime_seconds: float
