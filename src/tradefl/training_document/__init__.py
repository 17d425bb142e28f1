"""A training document checked against itself and against the consortium that it is settled for."""

from tradefl.documents.entries import EARLIER_WORDS
from tradefl.training_document.agreed import require_terms
from tradefl.training_document.consistency import require_consistent
from tradefl.training_document.review import Review, entry_in_words, review, warnings_of
from tradefl.training_document.terms import (
    PAYS,
    SCHEMA,
    deviations,
    terms_sha256,
    training_terms,
)

__all__ = [
    "EARLIER_WORDS",
    "PAYS",
    "SCHEMA",
    "Review",
    "deviations",
    "entry_in_words",
    "require_consistent",
    "require_terms",
    "review",
    "terms_sha256",
    "training_terms",
    "warnings_of",
]
