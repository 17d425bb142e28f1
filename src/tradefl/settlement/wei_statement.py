r"""The redistribution in wei, line by line: what the contract computes, with its numbers.

One line a pair, in the words of the rule's ``compensation``: an auditor recomputes it with any
calculator of whole numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tradefl.settlement.agreement import Agreement
from tradefl.settlement.rules import Report, RuleTerms
from tradefl.statement import aligned, escaped

if TYPE_CHECKING:
    from tradefl.documents.statement import StatementInWei


@dataclasses.dataclass(frozen=True)
class WeiLine:
    """What one rival pays, wei; negative when it is paid.

    ``inputs`` holds the integers by name, ``calculation`` as they enter; the quotient is cut
    toward zero.
    """

    counterparty: str
    inputs: dict[str, int]
    calculation: str
    wei: int


@dataclasses.dataclass(frozen=True)
class WeiStatement:
    """One organization's redistribution, Eq. (10), in wei.

    Attributes
    ----------
    organization
        Whose.
    rule
        The rule, in integers.
    contribution
        How its score came about, as a calculation.
    score
        What it counts for: ``X_i``, ppb of a bit, or ``phi_i``, wei.
    lines
        One for each rival.
    redistribution_wei
        ``R_i``, the sum of the lines, exactly.
    bond_wei
        The most it could have owed.
    exact_wei
        ``R_i`` of the real-valued statement times the exchange rate.
    bound_wei
        The most that the two may differ.
    """

    organization: str
    rule: RuleTerms
    contribution: str
    score: int
    lines: tuple[WeiLine, ...]
    redistribution_wei: int
    bond_wei: int
    exact_wei: float
    bound_wei: int

    @property
    def difference_wei(self) -> float:
        """What the integers add to the real-valued redistribution, wei."""
        return self.redistribution_wei - self.exact_wei

    def document(self) -> StatementInWei:
        """Return the statement for JSON; integers that may exceed 2^53 as text."""
        from tradefl.documents.statement import LineInWei, StatementInWei

        return StatementInWei(
            organization=self.organization,
            rule=self.rule.name,
            **self.rule.score_to_dict(self.score),
            lines=[
                LineInWei(
                    counterparty=line.counterparty,
                    **self.rule.inputs_to_dict(line.inputs),
                    calculation=line.calculation,
                    wei=str(line.wei),
                )
                for line in self.lines
            ],
            redistribution_wei=str(self.redistribution_wei),
            bond_wei=str(self.bond_wei),
            quantization_wei=self.difference_wei,
            quantization_bound_wei=str(self.bound_wei),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()

    def _rows(self) -> list[tuple[str, str, str]]:
        rows = [
            (
                f"{'from' if line.wei > 0 else 'to'} {line.counterparty}",
                line.calculation,
                f"{line.wei:,}",
            )
            for line in self.lines
        ]
        return [*rows, ("R, Eq. (10)", "sum of the lines", f"{self.redistribution_wei:,}")]

    def _facts(self) -> list[str]:
        return self.rule.explanation(self.contribution, self.score)

    def _remark(self) -> str:
        return (
            f"the statement above says {self.exact_wei:,.0f} wei: the integers add "
            f"{self.difference_wei:,.0f} (at most {self.bound_wei:,}); bond {self.bond_wei:,} wei"
        )

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self, width: int | None = None) -> str:
        """Return the statement as plain text; ``width`` as in :meth:`tradefl.Statement.to_text`."""
        text = [f"Redistribution of {self.organization} in wei, as the contract computes it", ""]
        text += [f"  {fact}" for fact in self._facts()]
        *terms, (who, how, wei) = self._rows()
        rows = [(f"{self.rule.equation:<8}", *term) for term in terms] + [("", who, how, wei)]
        return "\n".join([*text, "", *aligned(rows, width), "", f"  {self._remark()}"])

    def to_markdown(self) -> str:
        """Return the statement as a Markdown section."""
        text = [f"## Redistribution of {escaped(self.organization)} in wei", ""]
        text += [f"- `{fact}`" for fact in self._facts()]
        text += ["", "| item | calculation | wei |", "|---|---|---:|"]
        text += [f"| {escaped(who)} | `{how}` | {wei} |" for who, how, wei in self._rows()]
        return "\n".join([*text, "", self._remark() + ".", ""])


def wei_statement(
    agreement: Agreement,
    reports: Sequence[Report],
    i: int,
    redistribution: float,
    bound: int,
) -> WeiStatement:
    """Return organization ``i``'s redistribution in wei, line by line.

    Parameters
    ----------
    agreement, reports
        What the contract computes with.
    i
        The organization, from 0.
    redistribution
        ``R_i`` of the real-valued statement, payoff.
    bound
        The most that both may differ, wei: :func:`~tradefl.settlement.quantization_bounds`.
    """
    scores = [agreement.score(j, report) for j, report in enumerate(reports)]
    lines = []
    for j, rival in enumerate(agreement.names):
        term = None if j == i else agreement.rule.payment(len(agreement), i, j, scores)
        if term is not None:
            lines.append(WeiLine(rival, term.inputs, term.calculation, term.wei))
    return WeiStatement(
        organization=agreement.names[i],
        rule=agreement.rule,
        contribution=agreement.rule.score_calculation(i, agreement.members[i], reports[i]),
        score=scores[i],
        lines=tuple(lines),
        redistribution_wei=sum(line.wei for line in lines),
        bond_wei=agreement.bonds[i],
        exact_wei=redistribution * agreement.wei_per_payoff,
        bound_wei=bound,
    )
