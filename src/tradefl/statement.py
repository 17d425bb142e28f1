r"""The itemized payoff statement: every line of Eq. (11) with the numbers that went in.

Written for a partner's accountant: each line names its equation, spells the calculation
with its numbers, and a calculator gives the printed amount to its last digit. For that, what is
printed is worked out in decimal arithmetic from the numbers that are printed:

- figures of the file and of the profile are printed whole, as the shortest text that reads back as
  the same double;
- what follows from them (Omega, P, x, phi, times) is rounded to 15 digits, the most that every
  double carries, and enters the lines as it is printed;
- each line's amount is rounded to the statement's decimals, and totals are sums of rounded lines.

The full-precision amounts of :mod:`tradefl.game`, by which the solvers are judged, are kept too.
"""

from __future__ import annotations

import ast
import dataclasses
import decimal
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tradefl.game import (
    CoopetitionGame,
    EfficientRule,
    Mechanism,
    Payoffs,
    StrategyProfile,
    payoffs,
)
from tradefl.game.accuracy import shortest
from tradefl.game.payoff import compute_joules, damage_by_competitor, data_costs
from tradefl.notebook import Shown
from tradefl.text import cell_width, padded

if TYPE_CHECKING:
    from tradefl.documents.statement import OneStatement

# How the terms of Eq. (11) enter the payoff.
SIGNS = {"revenue": 1, "overhead": -1, "damage": -1, "redistribution": 1}
# What the paper's overhead, Eq. (8), does not have.
NOT_IN_THE_PAPER = "added"
# Digits that a double carries whatever its value.
DOUBLE_DIGITS = 15
# Enough for products of five doubles without rounding, and for roots and powers.
_PRECISION = 100


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a statement.

    Attributes
    ----------
    section
        ``revenue``, ``overhead``, ``damage`` or ``redistribution``.
    equation
        Equation of the paper; ``added`` for costs that the paper does not have.
    item
        What the line is for.
    counterparty
        The other organization, for damage and redistribution.
    formula
        The calculation in symbols.
    inputs
        The numbers by symbol, as they enter.
    calculation
        The calculation in numbers, as they are in ``inputs``.
    amount
        What the line adds to the payoff; negative for what it takes away.
    exact
        What the calculation gives in decimal arithmetic; ``amount`` up to rounding.
    """

    section: str
    equation: str
    item: str
    counterparty: str | None
    formula: str
    inputs: dict[str, float]
    calculation: str
    amount: float
    exact: Decimal


@dataclasses.dataclass(frozen=True, repr=False)
class Statement(Shown):
    """One organization's payoff, line by line.

    ``totals`` holds the terms of Eq. (11) as the solution reports them (overhead and damage
    positive, as in the equation); ``lines`` sum to ``payoff`` up to rounding. What is printed, and
    what :meth:`to_dict` returns, is rounded so that the sums hold to the last digit:
    :meth:`printed` and :attr:`printed_totals`.
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

    def _title(self) -> str:
        return f"of {self.organization} in {self.consortium}"

    def _facts(self) -> list[tuple[str, str]]:
        return [("payoff", money(self.payoff, self.decimals))]

    def _records(self) -> list[dict[str, Any]]:
        return [
            {
                "section": line.section,
                "equation": line.equation,
                "item": line.item,
                "counterparty": line.counterparty,
                "calculation": line.calculation,
                "amount": float(self.printed(line)),
            }
            for line in self.lines
        ]

    def section(self, name: str) -> tuple[Line, ...]:
        """Return the lines of one section."""
        return tuple(line for line in self.lines if line.section == name)

    @cached_property
    def decimals(self) -> int:
        """How many decimals amounts have: as :func:`decimals` says, but no more than 15 digits.

        More than 15 digits would not survive in the doubles of a JSON document.
        """
        amounts = [line.amount for line in self.lines]
        return min(
            decimals(self.totals.values()), decimals_of_a_double([*self.totals.values(), *amounts])
        )

    def printed(self, line: Line) -> Decimal:
        """Return the amount of a line, rounded to the statement's decimals."""
        return rounded_to(line.exact, self.decimals)

    def printed_sum(self, lines: Iterable[Line]) -> Decimal:
        """Return the sum of the printed amounts of some lines."""
        return sum(map(self.printed, lines), Decimal(0))

    @cached_property
    def printed_totals(self) -> dict[str, Decimal]:
        """The terms of Eq. (11) as sums of the printed lines; signs as in ``totals``."""
        totals = {name: sign * self.printed_sum(self.section(name)) for name, sign in SIGNS.items()}
        payoff = sum((SIGNS[name] * total for name, total in totals.items()), Decimal(0))
        return {**totals, "payoff": payoff}

    def document(self) -> OneStatement:
        """Return the statement for JSON: amounts as they are printed, and totals unrounded too."""
        from tradefl.documents.statement import OneStatement, Quantity, StatementLine

        return OneStatement.of(
            organization=self.organization,
            quantities=[
                Quantity(symbol=symbol, calculation=calculation, value=value)
                for symbol, calculation, value in self.quantities
            ],
            lines=[
                StatementLine(
                    section=line.section,
                    equation=line.equation,
                    item=line.item,
                    counterparty=line.counterparty,
                    formula=line.formula,
                    inputs=line.inputs,
                    calculation=line.calculation,
                    amount=float(self.printed(line)),
                )
                for line in self.lines
            ],
            **{name: float(total) for name, total in self.printed_totals.items()},
            unrounded=self.totals,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()

    def _sums(self) -> list[tuple[str, str, Decimal]]:
        """Return ``(section, heading, what it adds to the payoff)`` in order."""
        headings = {
            "revenue": "Revenue from the global model",
            "overhead": "Training overhead",
            "damage": "Coopetition damage",
            "redistribution": "Payoff redistribution",
        }
        return [
            (name, heading, SIGNS[name] * self.printed_totals[name])
            for name, heading in headings.items()
        ]

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self, width: int | None = None) -> str:
        """Return the statement as plain text.

        Parameters
        ----------
        width : int, optional
            Characters of a line. Where the table of the terms is wider, each calculation follows
            below its term. The quantities above it are not broken.
        """
        digits = self.decimals
        rows: list[tuple[str, str, str, str]] = []
        for section, heading, total in self._sums():
            rows.append(("", heading, "", money(total, digits)))
            rows += [
                (
                    line.equation,
                    f"  {line.item}",
                    line.calculation,
                    money(self.printed(line), digits),
                )
                for line in self.section(section)
            ]
        rows.append(
            ("Eq. (11)", "Payoff", "sum of the four", money(self.printed_totals["payoff"], digits))
        )
        text = [f"Payoff statement of {self.organization} in {self.consortium}", ""]
        text += [f"  {symbol} = {how}" for symbol, how, _ in self.quantities]
        return "\n".join([*text, "", *aligned(rows, width)])

    def to_markdown(self) -> str:
        """Return the statement as a Markdown section."""
        digits = self.decimals
        name = escaped(self.organization)
        text = [f"## Payoff statement of {name}", ""]
        text += [f"- `{symbol} = {how}`" for symbol, how, _ in self.quantities]
        text += ["", "| equation | item | calculation | amount |", "|---|---|---|---:|"]
        for section, heading, total in self._sums():
            text.append(f"| | **{heading}** | | **{money(total, digits)}** |")
            text += [
                f"| {line.equation} | {escaped(line.item)} | `{line.calculation}` "
                f"| {money(self.printed(line), digits)} |"
                for line in self.section(section)
            ]
        payoff = money(self.printed_totals["payoff"], digits)
        text.append(f"| Eq. (11) | **Payoff** | sum of the four | **{payoff}** |")
        return "\n".join([*text, ""])


def aligned(rows: Sequence[tuple[str, str, str, str]], width: int | None = None) -> list[str]:
    """Return the lines of a table of terms: equation, item, calculation, amount.

    Where a line would be longer than the width, every calculation follows below its item.
    """
    widths = [max(cell_width(row[k]) for row in rows) for k in range(4)]
    if width is None or sum(widths) + 6 <= width:
        return [
            f"{equation:<{widths[0]}}  {padded(item, widths[1])}  {padded(how, widths[2])}  "
            f"{amount:>{widths[3]}}"
            for equation, item, how, amount in rows
        ]
    lines = []
    indent = " " * (widths[0] + 6)
    for equation, item, calculation, amount in rows:
        line = f"{equation:<{widths[0]}}  {item}"
        between = width - cell_width(line) - len(amount)
        if between < 2:  # a long name: the amount has a line of its own
            lines.append(line)
            line, between = "", width - len(amount)
        lines.append(line + " " * between + amount)
        if calculation:
            lines += textwrap.wrap(
                calculation,
                width,
                initial_indent=indent + "= ",
                subsequent_indent=indent + "  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    return lines


def statement(
    game: CoopetitionGame,
    profile: StrategyProfile,
    organization: str | int,
    terms: Payoffs | None = None,
    figures: Figures | None = None,
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
    figures
        The printed figures of that profile, where they are known already.

    Raises
    ------
    KeyError
        There is no organization of that name.
    IndexError
        No organization has that index.
    """
    i = game.index_of(organization) if isinstance(organization, str) else organization
    if not 0 <= i < game.size:
        raise IndexError(f"organization: expected an index 0..{game.size - 1}, got {i}")
    terms = payoffs(game, profile) if terms is None else terms
    figures = Figures(game, profile) if figures is None else figures
    return Statement(
        organization=game.name_of(i),
        consortium=game.title,
        quantities=_quantities(figures, i),
        lines=(
            *_revenue_lines(figures, terms, i),
            *_overhead_lines(game, profile, i),
            *_damage_lines(figures, i),
            *_redistribution_lines(figures, i),
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


def decimals_of_a_double(amounts: Iterable[float]) -> int:
    """Return how many decimals a double carries faithfully, whatever the amounts' digits."""
    size = max((abs(float(amount)) for amount in amounts), default=0.0)
    whole = len(f"{size:.0f}") if size >= 1.0 else 0
    return max(DOUBLE_DIGITS - whole, 0) if whole else 30


def money(amount: float | Decimal, digits: int) -> str:
    """Return an amount with so many decimals; what rounds to zero has no sign."""
    text = f"{amount:,.{digits}f}"
    return text if text.strip("-0.,") else text.lstrip("-")


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, in a table too."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|" else c for c in text)


def number(value: float) -> str:
    """Return the shortest text that reads back as the number, in parentheses when negative."""
    text = shortest(value)
    return f"({text})" if value < 0.0 else text


def rounded_to(value: Decimal, digits: int) -> Decimal:
    """Return a value rounded to so many decimals."""
    with decimal.localcontext(prec=_PRECISION):
        return value.quantize(Decimal(1).scaleb(-digits))


def exactly(value: float) -> Decimal:
    """Return the number that :func:`number` prints for a double."""
    return Decimal(repr(float(value)))


def carried(value: Decimal) -> float:
    """Return a value rounded to the 15 digits that a double carries: it prints as just those."""
    return float(f"{value:.{DOUBLE_DIGITS - 1}e}")


def calculated(calculation: str) -> Decimal | None:
    """Return what a printed calculation gives in decimal arithmetic; ``None`` if it is not one.

    Numbers, ``+ - * / ^``, parentheses and ``sqrt``.
    """
    try:
        tree = ast.parse(calculation.replace("^", "**"), mode="eval")
        with decimal.localcontext(prec=_PRECISION):
            return _value(tree.body)
    except (ArithmeticError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Decimal:
    match node:
        case ast.Constant(value=int() | float() as value):
            return Decimal(repr(value))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument], keywords=[]):
            return _value(argument).sqrt()
        case ast.BinOp(left=left, op=operator, right=right):
            one, other = _value(left), _value(right)
            match operator:
                case ast.Add():
                    return one + other
                case ast.Sub():
                    return one - other
                case ast.Mult():
                    return one * other
                case ast.Div():
                    return one / other
                case ast.Pow():
                    return one**other
    raise ValueError("not a calculation")


class Figures:
    """What follows from a profile and is printed before it enters the lines of statements.

    Everything is rounded to the 15 digits that are printed, so that a reader who starts from the
    printed numbers gets the printed results.

    Parameters
    ----------
    game, profile
        What was played.
    """

    def __init__(self, game: CoopetitionGame, profile: StrategyProfile) -> None:
        self.game = game
        self.profile = profile

    @cached_property
    def units(self) -> list[float]:
        """``d u`` of every organization."""
        shares, units = self.profile.data_fraction.tolist(), self.game.data_units.tolist()
        with decimal.localcontext(prec=_PRECISION):
            return [carried(exactly(d) * exactly(u)) for d, u in zip(shares, units, strict=True)]

    @cached_property
    def omega(self) -> float:
        """``Omega``, the sum of the printed ``d u``."""
        with decimal.localcontext(prec=_PRECISION):
            return carried(sum(map(exactly, self.units), Decimal(0)))

    def omega_without(self, i: int) -> float:
        """Return ``Omega`` without the ``d u`` of organization ``i``."""
        with decimal.localcontext(prec=_PRECISION):
            rest = exactly(self.omega) - exactly(self.units[i])
        return carried(max(rest, Decimal(0)))

    @cached_property
    def performance(self) -> float:
        """``P(Omega)``."""
        return self.performance_at(self.omega)

    def performance_at(self, omega: float) -> float:
        """Return ``P`` as its printed formula gives it."""
        model = self.game.accuracy
        value = calculated(model.formula(omega).partition(", ")[0])
        return carried(exactly(float(model.value(omega))) if value is None else value)

    @cached_property
    def scores(self) -> list[float]:
        """What the rule compares: ``x`` or ``phi`` of every organization."""
        scores = []
        for i, score in enumerate(self.game.mechanism.score(self.game, self.profile).tolist()):
            value = calculated(self.score_calculation(i)[1])
            scores.append(carried(exactly(score) if value is None else value))
        return scores

    def score_calculation(self, i: int) -> tuple[str, str]:
        """Return how the score of organization ``i`` is calculated, in symbols and in numbers."""
        return _lines_of(self.game.mechanism).score(self, i)


def _quantities(figures: Figures, i: int) -> tuple[tuple[str, str, float], ...]:
    """Return what the lines refer to: the contribution, Omega, P, x and the time."""
    game, profile = figures.game, figures.profile
    d, f = float(profile.data_fraction[i]), float(profile.cpu_hz[i])
    u, s = float(game.data_units[i]), float(game.data_bits[i])
    omega, without = figures.omega, figures.omega_without(i)
    t1, t3 = float(game.download_seconds[i]), float(game.upload_seconds[i])
    cycles = float(game.cycles_per_bit[i])
    if f > 0.0:
        time = (
            f"{number(t1)} + {number(cycles)} * {number(d)} * {number(s)} / {number(f)} "
            f"+ {number(t3)}"
        )
        seconds = carried(calculated(time) or Decimal(0))
        time = f"T1 + eta d s / f + T3 = {time}"
    else:  # as settled: who reports nothing has contributed no frequency either
        seconds, time = 0.0, "0, because it contributes nothing"

    def row(symbol: str, calculation: str, value: float) -> tuple[str, str, float]:
        if calculation.startswith("0, "):  # below the onset: the reason, and nothing to add
            return symbol, calculation, value
        shown = number(value)
        return symbol, shown if calculation == "" else f"{calculation} = {shown}", value

    symbols, numbers = figures.score_calculation(i)
    return (
        row("d", "", d),
        row("f", "", f),
        row("d u", f"{number(d)} * {number(u)}", figures.units[i]),
        row("Omega", "sum of d u over all organizations", omega),
        row("Omega without d u", f"{number(omega)} - {number(figures.units[i])}", without),
        row("P(Omega)", game.accuracy.formula(omega), figures.performance),
        row(
            "P(Omega without d u)",
            game.accuracy.formula(without),
            figures.performance_at(without),
        ),
        row(
            _lines_of(game.mechanism).symbol,
            f"{symbols} = {numbers}",
            figures.scores[i],
        ),
        row("training time", time, seconds),
    )


def _product(inputs: dict[str, float], sign: str = "") -> tuple[str, Decimal]:
    """Return ``a * b * c`` in numbers, and what it gives; ``f^2`` holds the base f."""
    factors, value = [], Decimal(-1 if sign else 1)
    with decimal.localcontext(prec=_PRECISION):
        for symbol, given in inputs.items():
            squared = symbol.endswith("^2")
            factors.append(f"{number(given)}^2" if squared else number(given))
            value *= exactly(given) ** 2 if squared else exactly(given)
        return sign + " * ".join(factors), +value


def _revenue_lines(figures: Figures, terms: Payoffs, i: int) -> list[Line]:
    inputs = {"p": float(figures.game.profitability[i]), "P(Omega)": figures.performance}
    amount = float(terms.revenue[i])
    calculation, exact = _product(inputs)
    return [
        Line(
            section="revenue",
            equation="Eq. (4)",
            item="model",
            counterparty=None,
            formula="p * P(Omega)",
            inputs=inputs,
            calculation=calculation,
            amount=amount,
            exact=exact,
        )
    ]


def _overhead_lines(game: CoopetitionGame, profile: StrategyProfile, i: int) -> list[Line]:
    weight = float(game.overhead_weight)
    computing = {
        "varpi_e": weight,
        "kappa": float(game.capacitances[i]),
        "f^2": float(profile.cpu_hz[i]),
        "eta": float(game.cycles_per_bit[i]),
        "d": float(profile.data_fraction[i]),
        "s": float(game.data_bits[i]),
    }
    calculation, exact = _product(computing, "-")
    lines = [
        Line(
            section="overhead",
            equation="Eq. (8)",
            item="computing",
            counterparty=None,
            formula="-varpi_e * kappa * f^2 * eta * d * s",
            inputs=computing,
            calculation=calculation,
            amount=-weight * float(compute_joules(game, profile)[i]),
            exact=exact,
        )
    ]
    for item, symbols, watts, seconds in (
        ("download", ("E_DL", "T1"), game.download_watts, float(game.download_seconds[i])),
        ("upload", ("E_UL", "T3"), game.upload_watts, float(game.upload_seconds[i])),
    ):
        inputs = {"varpi_e": weight, symbols[0]: float(watts), symbols[1]: seconds}
        calculation, exact = _product(inputs, "-")
        lines.append(
            Line(
                section="overhead",
                equation="Eq. (8)",
                item=item,
                counterparty=None,
                formula=f"-varpi_e * {symbols[0]} * {symbols[1]}",
                inputs=inputs,
                calculation=calculation,
                amount=-weight * watts * seconds,
                exact=exact,
            )
        )
    return [*lines, *_cost_lines(game, profile, i)]


def _cost_lines(game: CoopetitionGame, profile: StrategyProfile, i: int) -> Iterator[Line]:
    """Yield a line for each cost beyond Eq. (8) that the organization has."""
    data_cost, joining_cost = float(game.data_cost[i]), float(game.joining_cost[i])
    d = float(profile.data_fraction[i])
    for item, inputs, amount in (
        ("data cost", {"data_cost": data_cost, "d": d}, float(data_costs(game, profile)[i])),
        ("joining cost", {"joining_cost": joining_cost}, joining_cost),
    ):
        if next(iter(inputs.values())) == 0.0:
            continue
        calculation, exact = _product(inputs, "-")
        yield Line(
            section="overhead",
            equation=NOT_IN_THE_PAPER,
            item=item,
            counterparty=None,
            formula="-" + " * ".join(inputs),
            inputs=inputs,
            calculation=calculation,
            amount=-amount,
            exact=exact,
        )


def _damage_lines(figures: Figures, i: int) -> list[Line]:
    game = figures.game
    p_with, p_without = figures.performance, figures.performance_at(figures.omega_without(i))
    competitors, rho = game.competition.row(i)
    _, amounts = damage_by_competitor(game, figures.profile, i)
    with decimal.localcontext(prec=_PRECISION):
        gained = exactly(p_with) - exactly(p_without)
    lines = []
    for j, rho_ij, amount in zip(competitors.tolist(), rho.tolist(), amounts.tolist(), strict=True):
        p_j, rival = float(game.profitability[j]), game.name_of(j)
        with decimal.localcontext(prec=_PRECISION):
            exact = -exactly(rho_ij) * exactly(p_j) * gained
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
                exact=exact,
            )
        )
    return lines


def _redistribution_lines(figures: Figures, i: int) -> list[Line]:
    game = figures.game
    if not game.mechanism.pairwise:
        return [_transfer_line(figures, i)]
    others, amounts = game.rule.received(game, figures.profile, i)
    terms = RULES[game.rule.name].terms
    lines = []
    for (formula, inputs, calculation, exact), j, amount in zip(
        terms(figures, i), others.tolist(), amounts.tolist(), strict=True
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
                exact=exact,
            )
        )
    return lines


def _transfer_line(figures: Figures, i: int) -> Line:
    """Return the one line of a mechanism that does not settle pair by pair: what it transfers."""
    game = figures.game
    amount = float(game.mechanism.redistribution(game, figures.profile)[i])
    return Line(
        section="redistribution",
        equation=game.mechanism.equation,
        item=f"{'from' if amount >= 0.0 else 'to'} the mechanism {game.mechanism.name}",
        counterparty=None,
        formula="t_i(d, f)",
        inputs={"t_i": amount},
        calculation=number(amount),
        amount=amount,
        exact=exactly(amount),
    )


# The formula, the inputs by symbol, the calculation of each r_ij, and what it gives.
Terms = Iterator[tuple[str, dict[str, float], str, Decimal]]


def _linear_terms(figures: Figures, i: int) -> Terms:
    game = figures.game
    x, gamma = figures.scores, float(game.incentive_intensity)
    competitors, rho = game.competition.row(i)
    for j, rho_ij in zip(competitors.tolist(), rho.tolist(), strict=True):
        x_i, x_j = x[i], x[j]
        with decimal.localcontext(prec=_PRECISION):
            exact = exactly(gamma) * exactly(rho_ij) * (exactly(x_i) - exactly(x_j))
        yield (
            "gamma * rho_ij * (x_i - x_j)",
            {"gamma": gamma, "rho_ij": rho_ij, "x_i": x_i, "x_j": x_j},
            f"{number(gamma)} * {number(rho_ij)} * ({number(x_i)} - {number(x_j)})",
            exact,
        )


def _efficient_terms(figures: Figures, i: int) -> Terms:
    game, phi = figures.game, figures.scores
    others, _, constant = game.rule.pair(game, i)
    counted = others.size + 1
    phi = [*phi, *[0.0] * (counted - game.size)]  # a payee's
    for j, k_ij in zip(others.tolist(), constant.tolist(), strict=True):
        phi_i, phi_j = phi[i], phi[j]
        with decimal.localcontext(prec=_PRECISION):
            share = (exactly(phi_i) - exactly(phi_j)) / (counted - 1)
            exact = share + exactly(k_ij)
        yield (
            "(phi_i - phi_j) / (N - 1) + k_ij",
            {"phi_i": phi_i, "phi_j": phi_j, "N": float(counted), "k_ij": k_ij},
            f"({number(phi_i)} - {number(phi_j)}) / ({counted} - 1) + {number(k_ij)}",
            exact,
        )


def _linear_score(figures: Figures, i: int) -> tuple[str, str]:
    game, profile = figures.game, figures.profile
    return (
        "d s + lambda f",
        f"{number(float(profile.data_fraction[i]))} * {number(float(game.data_bits[i]))} "
        f"+ {number(game.compute_weight)} * {number(float(profile.cpu_hz[i]))}",
    )


def _efficient_score(figures: Figures, i: int) -> tuple[str, str]:
    rule, d = figures.game.rule, float(figures.profile.data_fraction[i])
    if not isinstance(rule, EfficientRule):
        raise TypeError(f"rule: expected the efficient rule, got {rule.name}")
    schedule = rule.schedules[i]
    k = int(np.searchsorted(schedule.shares, d, side="right")) - 1
    k = min(max(k, 0), schedule.shares.size - 2)
    b, b_next = schedule.shares[k : k + 2].tolist()
    v, v_next = schedule.values[k : k + 2].tolist()
    return (
        "v + (v' - v) * (d - b) / (b' - b)",
        f"{number(v)} + ({number(v_next)} - {number(v)}) "
        f"* ({number(d)} - {number(b)}) / ({number(b_next)} - {number(b)})",
    )


class RuleLines(NamedTuple):
    """How a statement itemizes a redistribution rule.

    Attributes
    ----------
    symbol
        Of the score.
    score
        Returns how an organization's score is calculated, in symbols and in numbers.
    terms
        Returns each ``r_ij``, in the order of :meth:`tradefl.game.Rule.pair`.
    """

    symbol: str
    score: Callable[[Figures, int], tuple[str, str]]
    terms: Callable[[Figures, int], Terms]


# By the rule's name.
RULES: dict[str, RuleLines] = {
    "linear": RuleLines("x", _linear_score, _linear_terms),
    "efficient": RuleLines("phi(d)", _efficient_score, _efficient_terms),
}


def _data_score(figures: Figures, i: int) -> tuple[str, str]:
    d, u = float(figures.profile.data_fraction[i]), float(figures.game.data_units[i])
    return "d u", f"{number(d)} * {number(u)}"


def _no_terms(figures: Figures, i: int) -> Terms:
    del figures, i
    return iter(())


# Of mechanisms that do not settle pair by pair: their data, and one line of what they transfer.
TRANSFER = RuleLines("data", _data_score, _no_terms)


def _lines_of(mechanism: Mechanism) -> RuleLines:
    return RULES[mechanism.name] if mechanism.pairwise else TRANSFER
