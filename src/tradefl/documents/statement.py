"""``tradefl/statement/1``: payoffs, line by line, in payoff units and in wei."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from tradefl.documents.base import Document, Part, Whole
from tradefl.documents.solution import Transfer


class Quantity(Part):
    """A symbol of the equations, how its value comes about, and the value."""

    symbol: str
    calculation: str
    value: float


class StatementLine(Part):
    """One line: a term of an equation in symbols and in numbers, and what it adds to the payoff."""

    section: str
    equation: str
    item: str
    counterparty: str | None
    formula: str
    inputs: dict[str, float | int]
    calculation: str
    amount: float


class LineInWei(Part):
    """What one rival pays, as the contract computes it; each rule has inputs of its own."""

    model_config = ConfigDict(extra="allow")

    counterparty: str
    rho_ppb: int = 0
    x_i: Whole = ""
    x_j: Whole = ""
    phi_i: Whole = ""
    phi_j: Whole = ""
    constant_wei: Whole = ""
    calculation: str
    wei: Whole


class StatementInWei(Part):
    """One organization's redistribution in wei; each rule has its own keys for the score."""

    model_config = ConfigDict(extra="allow")

    organization: str
    rule: str
    contribution_ppb_bits: Whole = ""
    gamma: Whole = ""
    schedule_wei: Whole = ""
    lines: list[LineInWei]
    redistribution_wei: Whole
    bond_wei: Whole
    quantization_wei: float
    quantization_bound_wei: Whole


class OneStatement(Part):
    """One organization's statement: printed amounts, and the unrounded terms."""

    organization: str
    quantities: list[Quantity]
    lines: list[StatementLine]
    revenue: float
    overhead: float
    damage: float
    redistribution: float
    payoff: float
    alone: float | None = None
    gain_over_alone: float | None = None
    unrounded: dict[str, float]
    wei: StatementInWei | None = None


class StatementDocument(Document):
    """The statements that ``tradefl explain`` prints."""

    NAME: ClassVar[str] = "tradefl/statement/1"

    document: Literal["tradefl/statement/1"] = Field(alias="schema")
    consortium: str
    method: str
    status: str
    max_regret: float
    omega: float
    performance: float
    statements: list[OneStatement]
    transfers: list[Transfer]
    currency: str | None = None
    payoff_unit: float | None = None
