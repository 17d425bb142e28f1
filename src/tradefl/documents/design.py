"""``tradefl/design/1``: the efficient rule, and what was verified of it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tradefl.consortium.schema import Truthful
from tradefl.documents.base import Document, Part
from tradefl.documents.self_enforcing import SelfEnforcing


class DesignedOrganization(Part):
    """One organization's contribution, payoffs, and schedule: ``[share, payoff]`` points."""

    name: str
    data_fraction: float
    cpu_hz: float
    payoff_without: float
    payoff: float
    gain: float
    alone: float | None = None
    gain_over_alone: float | None = None
    redistribution: float
    bond: float
    schedule: list[list[float]]


class StartOfDynamics(Part):
    """Where best responses led from one start."""

    name: str
    reached: bool
    moves: int
    social_welfare: float
    settled: bool


class DesignedPayee(Part):
    """An account that contributes nothing and receives what the organizations leave."""

    name: str
    address: str | None = None
    redistribution: float
    bond: float


class DesignDocument(Document):
    """What ``tradefl design`` prints."""

    NAME: ClassVar[str] = "tradefl/design/1"

    document: Literal["tradefl/design/1"] = Field(alias="schema")
    consortium: str
    target: str
    social_welfare: float
    social_welfare_upper_bound: float | None
    social_welfare_without: float
    price_of_anarchy: float | None
    payments: float
    budget_imbalance: float
    better_than_alone: bool | None = None
    margin: float | None = None
    margin_certified: bool | None = None
    max_regret_exact: float
    max_regret_exact_relative: float
    max_regret_settled: float
    max_regret_settled_relative: float
    organizations: list[DesignedOrganization]
    robust: float
    self_enforcing: SelfEnforcing
    bonds: float
    bonds_without_robust: float
    starts: list[StartOfDynamics]
    starts_that_reach_the_optimum: int
    truthful: Truthful | None = None
    payee: DesignedPayee | None = None
    currency: str | None = None
    payoff_unit: float | None = None
