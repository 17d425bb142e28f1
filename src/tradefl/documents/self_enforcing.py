"""The part ``self_enforcing`` of a document: by how much figures may be off; null for no limit."""

from __future__ import annotations

from tradefl.documents.base import Part


class SelfEnforcingOrganization(Part):
    """How far z may be below and above its figure, and p off as a share of itself."""

    name: str
    z: float
    z_down: float | None
    z_up: float | None
    profitability: float | None


class SelfEnforcing(Part):
    """The range of figures in which the contributions stay an equilibrium."""

    all_profitability: float | None
    weakest: str
    interior: list[str]
    organizations: list[SelfEnforcingOrganization]
    all_profitability_exact_schedules: float | None = None
