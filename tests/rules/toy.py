"""A third redistribution rule, from the equation to the chain: only data counts, compute does not.

    r_ij = gamma rho_ij (d_i s_i - d_j s_j)

Each of the six places that CONTRIBUTING.md lists gets its part here, and nothing else is touched.
The sixth, Solidity, needs no new code: it is ``TradeFL.sol`` with lambda = 0.
"""

from __future__ import annotations

import contextlib
import dataclasses
import decimal
from collections.abc import Iterator
from typing import Any

import numpy as np

from tradefl import statement
from tradefl.consortium import schema
from tradefl.game import DenseCompetition, LinearRule
from tradefl.report import rule_words
from tradefl.settlement import rules
from tradefl.settlement.rules import LinearTerms

NAME = "data"


# --- 1. the game --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class DataRule(LinearRule):
    """The paper's rule with lambda = 0, whatever the game's lambda is."""

    compute_weight: float = 0.0

    name = NAME
    equation = "Eq. (9d)"
    score_name = "d s (bit)"

    def score(self, game: Any, profile: Any) -> Any:
        return np.asarray(profile.data_fraction * game.data_bits)


# --- 2. the agreement: integers, bytes, bounds, back to the game ---------------------------------


@dataclasses.dataclass(frozen=True)
class DataTerms(LinearTerms):
    name = NAME
    equation = "Eq. (9d)"

    @classmethod
    def drafted(cls, rule: Any, draft: Any, wei_per_payoff: int) -> DataTerms:
        return dataclasses.replace(super().drafted(rule, draft, wei_per_payoff), lambda_ppb=0)

    def parameters(self, agreement: Any, competition: Any) -> dict[str, Any]:
        found = super().parameters(agreement, competition)
        return found | {
            "compute_weight": 1.0,  # the game wants one; this rule does not use it
            "compensation": DataRule(found["incentive_intensity"]),
        }

    def annex(self, consortium: Any) -> dict[str, Any]:
        del consortium
        return {"rule": self.name}


# --- 4. the statement ---------------------------------------------------------------------------


def _score(figures: statement.Figures, i: int) -> tuple[str, str]:
    d, s = float(figures.profile.data_fraction[i]), float(figures.game.data_bits[i])
    return "d s", f"{statement.number(d)} * {statement.number(s)}"


def _terms(figures: statement.Figures, i: int) -> statement.Terms:
    game, y = figures.game, figures.scores
    gamma = float(game.incentive_intensity)
    competitors, rho = game.competition.row(i)
    for j, rho_ij in zip(competitors.tolist(), rho.tolist(), strict=True):
        with decimal.localcontext(prec=50):
            difference = statement.exactly(y[i]) - statement.exactly(y[j])
            exact = statement.exactly(gamma) * statement.exactly(rho_ij) * difference
        yield (
            "gamma * rho_ij * (y_i - y_j)",
            {"gamma": gamma, "rho_ij": rho_ij, "y_i": y[i], "y_j": y[j]},
            f"{statement.number(gamma)} * {statement.number(rho_ij)} "
            f"* ({statement.number(y[i])} - {statement.number(y[j])})",
            exact,
        )


# --- 5. the sentences ---------------------------------------------------------------------------

WORDS = rule_words.RuleWords(
    principle="of two rivals, the one that contributes less data pays the other.",
    summary="of two rivals the one that contributes less data pays, Eq. (9d)",
    data=" This toy rule pays for data alone.",
    payments="Toy words: gamma times rho times the difference of data.",
)


@contextlib.contextmanager
def registered() -> Iterator[None]:
    """Register the rule in its places, and take it out again."""
    before = dict(rules.RULES)
    rules.RULES.clear()
    # In front: the code on the chain is that of the paper's rule too.
    rules.RULES.update({NAME: DataTerms, **before})
    # --- 3. the file
    schema.RULES[NAME] = schema.RuleOfFile(
        lambda consortium: DataRule(consortium.mechanism.incentive_intensity)
    )
    statement.RULES[NAME] = statement.RuleLines("y", _score, _terms)
    rule_words.WORDS[NAME] = WORDS
    try:
        yield
    finally:
        rules.RULES.clear()
        rules.RULES.update(before)
        for places in (schema.RULES, statement.RULES, rule_words.WORDS):
            places.pop(NAME)  # type: ignore[attr-defined]


__all__ = ["NAME", "WORDS", "DataRule", "DataTerms", "DenseCompetition", "registered"]
