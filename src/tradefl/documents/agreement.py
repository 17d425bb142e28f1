"""``tradefl/agreement/1``: what the contract computes with, in integers."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from tradefl.documents.base import Count, Document, Hz, Part, Whole


class AgreedOrganization(Part):
    """One organization's terms; ``schedule`` (``[ppb, wei]`` points) only in the efficient rule."""

    model_config = ConfigDict(extra="allow")

    name: str
    address: str
    data_bits: Whole
    cpu_levels_hz: list[Hz]
    bond_wei: Whole
    schedule: list[list[int | str]] = []
    quantization_bound_wei: Whole = ""


class LargestCall(Part):
    """The most expensive call of the settlement."""

    call: str
    gas: Count


class LargestTransaction(Part):
    """The longest transaction of the settlement."""

    call: str
    size: Count = Field(alias="bytes")


class AgreedTraining(Part):
    """How updates become a model, and what each outcome of an update pays.

    ``signed``: the annex has it, because the file has a section ``[training]``.
    """

    aggregation: str
    proximal_mu: float
    clip_norm: float
    assumed_hostile: int | None
    unpaid_flags: list[str]
    deadline: str | None = None
    validation_fraction: float | None = None
    pays: dict[str, str]
    signed: bool


class AgreementDocument(Document):
    """An agreement; a rule adds keys of its own.

    The linear rule has ``gamma``, ``lambda_ppb`` and ``rho_ppb``, the efficient rule
    ``constants_wei``. The last three keys are there where the document is printed by
    ``tradefl agreement``.
    """

    model_config = ConfigDict(extra="allow")

    NAME: ClassVar[str] = "tradefl/agreement/1"

    document: Literal["tradefl/agreement/1"] = Field(alias="schema")
    consortium: str
    hash: str
    rule: str
    min_data_ppb: Count
    wei_per_payoff: Whole
    verifier: str | None
    arbiter: str | None
    join_seconds: Count
    report_seconds: Count
    dispute_seconds: Count
    ruling_seconds: Count
    closing_blocks: Count
    dispute_stake_wei: Whole
    organizations_per_block: Count
    pairs_per_block: Count
    chain_id: Count
    factory: str
    series: str
    vault: str
    settlement: str
    organizations: list[AgreedOrganization]
    gamma: Whole = ""
    lambda_ppb: Whole = ""
    rho_ppb: list[list[str | int]] = []
    constants_wei: list[list[str]] = []
    annex: str
    largest_call: LargestCall | None = None
    largest_transaction: LargestTransaction | None = None
    training: AgreedTraining | None = None
    currency: str | None = None
    payoff_unit: float | None = None
