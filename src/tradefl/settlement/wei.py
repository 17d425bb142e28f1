r"""The redistribution in wei, line by line: what the contract computes, with its numbers.

One line a pair, in the words of ``TradeMath.compensation``: an auditor recomputes it with any
calculator of whole numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tradefl.settlement import mirror
from tradefl.settlement.agreement import Agreement, Report
from tradefl.statement import escaped


@dataclasses.dataclass(frozen=True)
class WeiLine:
    """What one rival pays, Eq. (9), wei; negative when it is paid.

    ``calculation`` holds the integers as they enter; the quotient is cut toward zero.
    """

    counterparty: str
    rho_ppb: int
    x_i: int
    x_j: int
    calculation: str
    wei: int


@dataclasses.dataclass(frozen=True)
class WeiStatement:
    """One organization's redistribution, Eq. (10), in wei.

    Attributes
    ----------
    organization
        Whose.
    contribution
        How its ``X`` came about, as a calculation.
    x
        ``X_i``, ppb of a bit.
    gamma
        wei per bit, times 10^18.
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
    contribution: str
    x: int
    gamma: int
    lines: tuple[WeiLine, ...]
    redistribution_wei: int
    bond_wei: int
    exact_wei: float
    bound_wei: int

    @property
    def difference_wei(self) -> float:
        """What the integers add to the real-valued redistribution, wei."""
        return self.redistribution_wei - self.exact_wei

    def to_dict(self) -> dict[str, Any]:
        """Return the statement for JSON; integers that may exceed 2^53 as text."""
        return {
            "organization": self.organization,
            "contribution_ppb_bits": str(self.x),
            "gamma": str(self.gamma),
            "lines": [
                {
                    "counterparty": line.counterparty,
                    "rho_ppb": line.rho_ppb,
                    "x_i": str(line.x_i),
                    "x_j": str(line.x_j),
                    "calculation": line.calculation,
                    "wei": str(line.wei),
                }
                for line in self.lines
            ],
            "redistribution_wei": str(self.redistribution_wei),
            "bond_wei": str(self.bond_wei),
            "quantization_wei": self.difference_wei,
            "quantization_bound_wei": str(self.bound_wei),
        }

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
        return [
            f"X = d s + lambda f = {self.contribution} = {self.x} ppb of a bit",
            f"each line: gamma * rho_ij * (X_i - X_j) / 10^36, cut toward zero; "
            f"gamma = {self.gamma}",
        ]

    def _remark(self) -> str:
        return (
            f"the statement above says {self.exact_wei:,.0f} wei: the integers add "
            f"{self.difference_wei:,.0f} (at most {self.bound_wei:,}); bond {self.bond_wei:,} wei"
        )

    def __str__(self) -> str:
        rows = self._rows()
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        text = [f"Redistribution of {self.organization} in wei, as the contract computes it", ""]
        text += [f"  {fact}" for fact in self._facts()]
        text.append("")
        text += [
            f"Eq. (9)   {who:<{widths[0]}}  {how:<{widths[1]}}  {wei:>{widths[2]}}"
            for who, how, wei in rows[:-1]
        ]
        who, how, wei = rows[-1]
        text.append(f"          {who:<{widths[0]}}  {how:<{widths[1]}}  {wei:>{widths[2]}}")
        return "\n".join([*text, "", f"  {self._remark()}"])

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
    x = [agreement.contribution(j, report) for j, report in enumerate(reports)]
    lines = []
    for j, rival in enumerate(agreement.names):
        rho = agreement.rho(i, j)
        if rho == 0:
            continue
        lines.append(
            WeiLine(
                counterparty=rival,
                rho_ppb=rho,
                x_i=x[i],
                x_j=x[j],
                calculation=f"{agreement.gamma} * {rho} * ({x[i]} - {x[j]}) / 10^36",
                wei=mirror.compensation(agreement.gamma, rho, x[i], x[j]),
            )
        )
    report = reports[i]
    return WeiStatement(
        organization=agreement.names[i],
        contribution=(
            f"{report.data_ppb} * {agreement.data_bits[i]} "
            f"+ {agreement.lambda_ppb} * {report.cpu_hz}"
        ),
        x=x[i],
        gamma=agreement.gamma,
        lines=tuple(lines),
        redistribution_wei=sum(line.wei for line in lines),
        bond_wei=agreement.bonds[i],
        exact_wei=redistribution * agreement.wei_per_payoff,
        bound_wei=bound,
    )
