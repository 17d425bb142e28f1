r"""The itemized payoff statement: every line of Eq. (11) with the numbers that went in.

Written for a partner's accountant: each line names its equation, spells the calculation
with its numbers, and can be recomputed with a calculator. The amounts come from the very
functions of :mod:`tradefl.game` that the solvers are judged by.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tradefl.game import CoopetitionGame, EfficientRule, Payoffs, StrategyProfile, payoffs
from tradefl.game.payoff import compute_joules, damage_by_competitor, performance_without

SCHEMA = "tradefl/statement/1"


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a statement.

    Attributes
    ----------
    section
        ``revenue``, ``overhead``, ``damage`` or ``redistribution``.
    equation
        Where the calculation stands in the paper.
    item
        What the line is for.
    counterparty
        The other organization, for damage and redistribution.
    formula
        The calculation in symbols.
    inputs
        The numbers by symbol, as they enter.
    calculation
        The calculation in numbers, 12 significant digits each.
    amount
        What the line adds to the payoff; negative for what it takes away.
    """

    section: str
    equation: str
    item: str
    counterparty: str | None
    formula: str
    inputs: dict[str, float]
    calculation: str
    amount: float


@dataclasses.dataclass(frozen=True)
class Statement:
    """One organization's payoff, line by line.

    ``totals`` holds the terms of Eq. (11) as the solution reports them (overhead and damage
    positive, as in the equation); ``lines`` sum to ``payoff`` up to rounding.
    """

    organization: str
    consortium: str
    quantities: tuple[tuple[str, str, float], ...]
    lines: tuple[Line, ...]
    totals: dict[str, float]

    @property
    def payoff(self) -> float:
        """``C_i``, Eq. (11)."""
        return self.totals["payoff"]

    def section(self, name: str) -> tuple[Line, ...]:
        """Return the lines of one section."""
        return tuple(line for line in self.lines if line.section == name)

    def to_dict(self) -> dict[str, Any]:
        """Return the statement for JSON."""
        return {
            "organization": self.organization,
            "quantities": [
                {"symbol": symbol, "calculation": calculation, "value": value}
                for symbol, calculation, value in self.quantities
            ],
            "lines": [dataclasses.asdict(line) for line in self.lines],
            **self.totals,
        }

    def _sums(self) -> list[tuple[str, str, float]]:
        """Return ``(section, heading, what it adds to the payoff)`` in order."""
        return [
            ("revenue", "Revenue from the global model", self.totals["revenue"]),
            ("overhead", "Training overhead", -self.totals["overhead"]),
            ("damage", "Coopetition damage", -self.totals["damage"]),
            ("redistribution", "Payoff redistribution", self.totals["redistribution"]),
        ]

    def __str__(self) -> str:
        digits = decimals(self.totals.values())
        rows: list[tuple[str, str, str, str]] = []
        for section, heading, total in self._sums():
            rows.append(("", heading, "", money(total, digits)))
            rows += [
                (line.equation, f"  {line.item}", line.calculation, money(line.amount, digits))
                for line in self.section(section)
            ]
        rows.append(("Eq. (11)", "Payoff", "sum of the four", money(self.payoff, digits)))
        widths = [max(len(row[k]) for row in rows) for k in range(4)]
        text = [f"Payoff statement of {self.organization} in {self.consortium}", ""]
        text += [f"  {symbol} = {how}" for symbol, how, _ in self.quantities]
        text.append("")
        text += [
            f"{eq:<{widths[0]}}  {item:<{widths[1]}}  {how:<{widths[2]}}  {amount:>{widths[3]}}"
            for eq, item, how, amount in rows
        ]
        return "\n".join(text)

    def to_markdown(self) -> str:
        """Return the statement as a Markdown section."""
        digits = decimals(self.totals.values())
        name = escaped(self.organization)
        text = [f"## Payoff statement of {name}", ""]
        text += [f"- `{symbol} = {how}`" for symbol, how, _ in self.quantities]
        text += ["", "| equation | item | calculation | amount |", "|---|---|---|---:|"]
        for section, heading, total in self._sums():
            text.append(f"| | **{heading}** | | **{money(total, digits)}** |")
            text += [
                f"| {line.equation} | {escaped(line.item)} | `{line.calculation}` "
                f"| {money(line.amount, digits)} |"
                for line in self.section(section)
            ]
        text.append(
            f"| Eq. (11) | **Payoff** | sum of the four | **{money(self.payoff, digits)}** |"
        )
        return "\n".join([*text, ""])


def statement(
    game: CoopetitionGame,
    profile: StrategyProfile,
    organization: str | int,
    terms: Payoffs | None = None,
) -> Statement:
    """Return the itemized statement of one organization.

    Parameters
    ----------
    game
        The game that was played.
    profile
        What everybody contributed.
    organization
        Its name, or its index counted from 0.
    terms
        The payoffs of that profile, where they are known already.

    Raises
    ------
    KeyError
        There is no organization of that name.
    IndexError
        There is none of that index.
    """
    i = game.index_of(organization) if isinstance(organization, str) else organization
    if not 0 <= i < game.size:
        raise IndexError(f"organization: expected an index 0..{game.size - 1}, got {i}")
    terms = payoffs(game, profile) if terms is None else terms
    return Statement(
        organization=game.name_of(i),
        consortium=game.title,
        quantities=_quantities(game, profile, terms, i),
        lines=(
            *_revenue_lines(game, terms, i),
            *_overhead_lines(game, profile, i),
            *_damage_lines(game, profile, terms, i),
            *_redistribution_lines(game, profile, i),
        ),
        totals={
            "revenue": float(terms.revenue[i]),
            "overhead": float(terms.overhead[i]),
            "damage": float(terms.damage[i]),
            "redistribution": float(terms.redistribution[i]),
            "payoff": float(terms.payoff[i]),
        },
    )


def decimals(amounts: Any) -> int:
    """Return how many decimals show the amounts to the millionth of their size, at least 6."""
    size = max((abs(float(amount)) for amount in amounts), default=0.0)
    return 6 if size >= 1.0 or size == 0.0 else min(6 - math.floor(math.log10(size)), 30)


def money(amount: float, digits: int) -> str:
    """Return an amount with so many decimals; what rounds to zero has no sign."""
    text = f"{amount:,.{digits}f}"
    return text if text.strip("-0.,") else text.lstrip("-")


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, in a table too."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|" else c for c in text)


def number(value: float) -> str:
    """Return a number with 12 significant digits, in parentheses when negative."""
    text = f"{value:.12g}"
    return f"({text})" if value < 0.0 else text


def _quantities(
    game: CoopetitionGame, profile: StrategyProfile, terms: Payoffs, i: int
) -> tuple[tuple[str, str, float], ...]:
    """Return what the lines refer to: the contribution, Omega, P, x and the time."""
    d, f = float(profile.data_fraction[i]), float(profile.cpu_hz[i])
    u, s = float(game.data_units[i]), float(game.data_bits[i])
    omega = game.omega(profile)
    without = max(omega - d * u, 0.0)
    p_without = float(performance_without(game, profile)[i])
    t1, t3 = float(game.download_seconds[i]), float(game.upload_seconds[i])
    cycles = float(game.cycles_per_bit[i])
    if f > 0.0:
        seconds = t1 + cycles * d * s / f + t3
        time = (
            f"T1 + eta d s / f + T3 = {number(t1)} + {number(cycles)} * {number(d)} * {number(s)} "
            f"/ {number(f)} + {number(t3)}"
        )
    else:  # as settled: who reports nothing has contributed no frequency either
        seconds, time = 0.0, "0, because it contributes nothing"

    def row(symbol: str, calculation: str, value: float) -> tuple[str, str, float]:
        if calculation.startswith("0, "):  # below the onset: the reason, and nothing to add
            return symbol, calculation, value
        shown = number(value)
        return symbol, shown if calculation == "" else f"{calculation} = {shown}", value

    return (
        row("d", "", d),
        row("f", "", f),
        row("Omega", "sum of d u over all organizations", omega),
        row("Omega without d u", f"{number(omega)} - {number(d)} * {number(u)}", without),
        row("P(Omega)", game.accuracy.formula(omega), terms.performance),
        row("P(Omega without d u)", game.accuracy.formula(without), p_without),
        row(*_score(game, profile, i)),
        row("training time", time, seconds),
    )


def _score(game: CoopetitionGame, profile: StrategyProfile, i: int) -> tuple[str, str, float]:
    """Return the symbol, the calculation and the value of what the rule compares."""
    d, f = float(profile.data_fraction[i]), float(profile.cpu_hz[i])
    score = float(game.rule.score(game, profile)[i])
    if isinstance(game.rule, EfficientRule):
        one = game.rule.schedules[i]
        k = min(max(int(np.searchsorted(one.shares, d, side="right")) - 1, 0), one.shares.size - 2)
        (b, b_next), (v, v_next) = (part[k : k + 2].tolist() for part in (one.shares, one.values))
        return (
            "phi(d)",
            f"v + (v' - v) * (d - b) / (b' - b) = {number(v)} + ({number(v_next)} - {number(v)}) "
            f"* ({number(d)} - {number(b)}) / ({number(b_next)} - {number(b)})",
            score,
        )
    return (
        "x",
        f"d s + lambda f = {number(d)} * {number(float(game.data_bits[i]))} "
        f"+ {number(game.compute_weight)} * {number(f)}",
        score,
    )


def _product(inputs: dict[str, float], sign: str = "") -> str:
    """Return ``a * b * c`` in numbers; an input named ``f^2`` holds the base f."""
    factors = [
        f"{number(value)}^2" if symbol.endswith("^2") else number(value)
        for symbol, value in inputs.items()
    ]
    return sign + " * ".join(factors)


def _revenue_lines(game: CoopetitionGame, terms: Payoffs, i: int) -> list[Line]:
    inputs = {
        "p": float(game.profitability[i]),
        "P(Omega)": terms.performance,
    }
    amount = float(terms.revenue[i])
    return [
        Line("revenue", "Eq. (4)", "model", None, "p * P(Omega)", inputs, _product(inputs), amount)
    ]


def _overhead_lines(game: CoopetitionGame, profile: StrategyProfile, i: int) -> list[Line]:
    weight = game.overhead_weight
    computing = {
        "varpi_e": weight,
        "kappa": game.capacitance,
        "f^2": float(profile.cpu_hz[i]),
        "eta": float(game.cycles_per_bit[i]),
        "d": float(profile.data_fraction[i]),
        "s": float(game.data_bits[i]),
    }
    lines = [
        Line(
            "overhead",
            "Eq. (8)",
            "computing",
            None,
            "-varpi_e * kappa * f^2 * eta * d * s",
            computing,
            _product(computing, "-"),
            -weight * float(compute_joules(game, profile)[i]),
        )
    ]
    for item, symbols, watts, seconds in (
        ("download", ("E_DL", "T1"), game.download_watts, float(game.download_seconds[i])),
        ("upload", ("E_UL", "T3"), game.upload_watts, float(game.upload_seconds[i])),
    ):
        inputs = {"varpi_e": weight, symbols[0]: watts, symbols[1]: seconds}
        lines.append(
            Line(
                "overhead",
                "Eq. (8)",
                item,
                None,
                f"-varpi_e * {symbols[0]} * {symbols[1]}",
                inputs,
                _product(inputs, "-"),
                -weight * watts * seconds,
            )
        )
    return lines


def _damage_lines(
    game: CoopetitionGame, profile: StrategyProfile, terms: Payoffs, i: int
) -> list[Line]:
    p_with = terms.performance
    p_without = float(performance_without(game, profile)[i])
    competitors, rho = game.competition.row(i)
    _, amounts = damage_by_competitor(game, profile, i)
    lines = []
    for j, rho_ij, amount in zip(competitors.tolist(), rho.tolist(), amounts.tolist(), strict=True):
        p_j, rival = float(game.profitability[j]), game.name_of(j)
        lines.append(
            Line(
                section="damage",
                equation="Eq. (6)-(7)",
                item=f"what {rival} gains from d u",
                counterparty=rival,
                formula="-rho_ij * p_j * (P(Omega) - P(Omega without d u))",
                inputs={
                    "rho_ij": rho_ij,
                    "p_j": p_j,
                    "P(Omega)": p_with,
                    "P(Omega without d u)": p_without,
                },
                calculation=f"-{number(rho_ij)} * {number(p_j)} "
                f"* ({number(p_with)} - {number(p_without)})",
                amount=-amount,
            )
        )
    return lines


def _redistribution_lines(game: CoopetitionGame, profile: StrategyProfile, i: int) -> list[Line]:
    others, amounts = game.rule.received(game, profile, i)
    terms = _efficient_terms if isinstance(game.rule, EfficientRule) else _linear_terms
    lines = []
    for (formula, inputs, calculation), j, amount in zip(
        terms(game, profile, i), others.tolist(), amounts.tolist(), strict=True
    ):
        partner = game.name_of(j)
        lines.append(
            Line(
                section="redistribution",
                equation=game.rule.equation,
                item=f"{'from' if amount >= 0.0 else 'to'} {partner}",
                counterparty=partner,
                formula=formula,
                inputs=inputs,
                calculation=calculation,
                amount=amount,
            )
        )
    return lines


# The formula, the inputs by symbol, and the calculation of each r_ij.
Terms = Iterator[tuple[str, dict[str, float], str]]


def _linear_terms(game: CoopetitionGame, profile: StrategyProfile, i: int) -> Terms:
    x, gamma = game.resource(profile), game.incentive_intensity
    competitors, rho = game.competition.row(i)
    for j, rho_ij in zip(competitors.tolist(), rho.tolist(), strict=True):
        x_i, x_j = float(x[i]), float(x[j])
        yield (
            "gamma * rho_ij * (x_i - x_j)",
            {"gamma": gamma, "rho_ij": rho_ij, "x_i": x_i, "x_j": x_j},
            f"{number(gamma)} * {number(rho_ij)} * ({number(x_i)} - {number(x_j)})",
        )


def _efficient_terms(game: CoopetitionGame, profile: StrategyProfile, i: int) -> Terms:
    phi = game.rule.score(game, profile)
    others, _, constant = game.rule.pair(game, i)
    for j, k_ij in zip(others.tolist(), constant.tolist(), strict=True):
        phi_i, phi_j = float(phi[i]), float(phi[j])
        yield (
            "(phi_i - phi_j) / (N - 1) + k_ij",
            {"phi_i": phi_i, "phi_j": phi_j, "N": float(game.size), "k_ij": k_ij},
            f"({number(phi_i)} - {number(phi_j)}) / ({game.size} - 1) + {number(k_ij)}",
        )
