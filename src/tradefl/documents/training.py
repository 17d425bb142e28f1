"""``tradefl/training/1``: what a training came to, and what each organization contributed."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import FailFast, Field

from tradefl.documents.base import Count, Document, Part, Words
from tradefl.documents.entries import Entry

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0)]


class TrainedOrganization(Part):
    """One organization's part in a training."""

    name: str
    samples_held: Count
    samples_used: Count
    rounds_asked: Count
    rounds_present: Count
    rounds_credited: Count = 0
    pledged_fraction: Share
    measured_fraction: Share
    cpu_hz: Annotated[float, Field(ge=0.0)]
    seconds: Seconds = 0.0
    modelled_seconds: Seconds = 0.0


class ValidationPart(Part):
    """The part of the test samples that served the server alone."""

    fraction: Share
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
    initial_accuracy: Share | None
    initial_loss: float | None
    accuracy: Annotated[list[Share | None], FailFast()]
    loss: Annotated[list[float | None], FailFast()]
    organizations: list[TrainedOrganization]
    aggregation_weights: dict[str, float | None] | None = None
    validation: ValidationPart | None = None
    test_samples: Count = 0
    classes: Count = 0
    diverged: str | None = None
    entries: list[Entry] = []
    notices: Annotated[list[Words], FailFast()]
    runtime_seconds: float
