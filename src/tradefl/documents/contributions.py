"""What ``tradefl settle --profile`` reads: a solution, a training, or a file written by hand.

Only the keys that a settlement uses; both documents have them. A file without ``schema`` may be
written by hand.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from tradefl.documents.base import Part

MOST = 2**64


def _amount(value: object) -> float:
    """Return a number of the document; large integers may be written as text."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST:
        raise PydanticCustomError("amount", "a number >= 0")
    return float(value)


Amount = Annotated[
    float,
    BeforeValidator(_amount),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": "^[0-9]{1,20}$"},
            ]
        }
    ),
]


class Contribution(Part):
    """What one organization contributes: as measured, otherwise as solved."""

    # Whatever it is, it is compared with the names of the consortium.
    name: Annotated[Any, WithJsonSchema({"type": "string"})] = None
    data_fraction: Amount | None = None
    measured_fraction: Amount | None = None
    cpu_hz: Amount | None = None


class ContributionsDocument(Part):
    """The contributions of a consortium, to be settled."""

    document: Literal["tradefl/solution/1", "tradefl/training/1"] | None = Field(
        default=None, alias="schema"
    )
    consortium: str | None = None
    status: str | None = None
    organizations: list[Contribution]
