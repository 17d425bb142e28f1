"""The rules of payments as the contracts know them: one file each, and this registry.

A rule is a class of :class:`~tradefl.settlement.rules.base.RuleTerms`: its integers and bytes, how
they are drafted from a file and read from a contract, the game they mean, the bound on what
rounding changes, and what an audit should say. All else in ``settlement/`` asks the rule.
"""

from __future__ import annotations

from tradefl.settlement.rules.base import (
    Member,
    Published,
    Report,
    RuleTerms,
    WeiTerm,
)
from tradefl.settlement.rules.efficient import EfficientTerms
from tradefl.settlement.rules.linear import LinearTerms

# By the name that a consortium file, an agreement and an annex have for the rule.
RULES: dict[str, type[RuleTerms]] = {
    LinearTerms.name: LinearTerms,
    EfficientTerms.name: EfficientTerms,
}

__all__ = [
    "RULES",
    "EfficientTerms",
    "LinearTerms",
    "Member",
    "Published",
    "Report",
    "RuleTerms",
    "WeiTerm",
]
