"""What ``tradefl attest`` prints: the verifier's signatures by organization."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, RootModel

from tradefl.documents.base import Part

Uint64 = Annotated[int, Field(ge=0, lt=2**64)]


class AttestationEntry(Part):
    """One signature, its place among those of the organization, and its last second."""

    signature: Annotated[str, Field(pattern=r"^0x([0-9a-fA-F]{2})+$")]
    serial: Uint64
    expiry: Uint64


class AttestationsDocument(RootModel[dict[str, AttestationEntry]]):
    """Attestations by the name of the organization; the document has no key ``schema``."""
