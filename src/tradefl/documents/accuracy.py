"""``tradefl/accuracy/1``: accuracy measured against data, and the curve through it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from tradefl.documents.base import Count, Document, Part


class AccuracyPoint(Part):
    """One training: how much data took part, and how accurate the model became."""

    fraction: float
    data: float
    samples: Count
    seed: int
    accuracy: float


class SqrtLossFit(Part):
    """The paper's form, footnote 7, with the best G and A(0)."""

    epochs: float
    untrained_loss: float
    r_squared: float


class AccuracySection(Part):
    """The section ``[accuracy]`` for a consortium file."""

    model: str
    points_file: str
    untrained_accuracy: float
    measure: str
    unit: float


class DataQuality(Part):
    """The weight of an organization's data in Omega, and two standard errors around it."""

    name: str
    quality: float
    low: float
    high: float


class AccuracyDocument(Document):
    """What ``tradefl fit-accuracy`` prints; null where there is no consortium or repetition."""

    NAME: ClassVar[str] = "tradefl/accuracy/1"

    document: Literal["tradefl/accuracy/1"] = Field(alias="schema")
    consortium: str | None
    settings: dict[str, Any]
    points: list[AccuracyPoint]
    untrained_accuracy: float
    r_squared: float
    residuals: list[float]
    satisfies_eq_5: bool
    largest_decrease: float
    largest_convexity: float
    standard_error: float | None
    knots: list[float]
    values: list[float]
    sqrt_loss: SqrtLossFit
    accuracy: AccuracySection
    quality: list[DataQuality] | None = None
