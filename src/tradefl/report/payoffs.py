"""The sections of money: what each earns, who pays whom, and the itemized statements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tradefl import charts
from tradefl.report import frames
from tradefl.report.agreed import chosen_words
from tradefl.report.blocks import (
    Block,
    Column,
    Fact,
    Facts,
    Figure,
    Section,
    Table,
    Text,
    amounts,
    counted,
    digits_of,
)
from tradefl.report.rule_words import words_of
from tradefl.solvers import Solution
from tradefl.statement import SIGNS, Line, Statement, money

TERMS = {
    "revenue": "Eq. (4)",
    "overhead": "Eq. (8)",
    "damage": "Eq. (6)-(7)",
    "redistribution": "Eq. (10)",
    "payoff": "Eq. (11)",
}
# Waterfalls next to each other, and lines of a statement, before the rest is added up.
WATERFALLS = 12
LINES = 20
STATEMENTS_OF_MANY = 3


def payoffs_section(solution: Solution, who: Sequence[int]) -> Section:
    """Return what each earns, as a waterfall and as a table."""
    game, terms = solution.game, solution.terms
    blocks: list[Block] = [
        Text(
            "Four steps lead from the model to the payoff. Revenue: what the better model earns. "
            "Overhead: the energy that training takes. Damage: what rivals earn, at one's "
            "expense, because one's own data improved their model. Redistribution: what rivals "
            "pay for that, or what one pays them. All amounts are in "
            + (game.currency or "the consortium's own unit of payoff")
            + "."
        ),
        Facts(
            (
                Fact(
                    "social welfare",
                    amounts([solution.social_welfare])[0],
                    "Eq. (11)",
                    "all payoffs together; redistribution cancels from it",
                ),
            )
        ),
        _waterfall(
            "welfare",
            frames.total_steps(solution),
            "From revenue to payoff, all organizations together, Eq. (11).",
            "payoff",
        ),
    ]
    drawn = list(who)[:WATERFALLS]
    left_out = len(who) - len(drawn)
    rest = f" The first {len(drawn)} of those shown; the table has the others." if left_out else ""
    if len(who) < game.size:
        blocks.append(_spread(solution))
        blocks.append(Text(chosen_words(solution, who)))
    blocks += [
        _waterfall(
            "waterfall",
            frames.payoff_steps(solution, drawn, from_revenue=False),
            "From revenue to payoff, one waterfall for each organization, Eq. (11)." + rest,
            "payoff",
        ),
        Text(
            "Next to the revenue the other steps can be too small to see. The next figure leaves "
            "the revenue out: zero is the revenue, and the last bar ends at the payoff "
            "against it."
        ),
        _waterfall(
            "steps",
            frames.payoff_steps(solution, drawn, from_revenue=True),
            "What is taken from the revenue and added to it, Eq. (6)-(10)." + rest,
            "against the revenue",
        ),
    ]
    columns = [getattr(terms, name) for name in TERMS]
    columns += [solution.alone, solution.gain_over_alone]
    chosen = np.asarray(who, dtype=np.intp)
    # Four digits of the smallest term, seven of the largest.
    digits = max(
        digits_of(np.concatenate([column[chosen] for column in columns])),
        *(digits_of(column[chosen]) - 3 for column in columns),
    )
    total = f"all {game.size:,}" if len(who) < game.size else "sum"
    blocks.append(
        Table(
            "payoffs",
            "Every payoff, term by term: revenue - overhead - damage + redistribution; and what "
            "training alone would earn",
            (
                Column("organization", text=True),
                *(Column(name, equation) for name, equation in TERMS.items()),
                Column("alone"),
                Column("gain over alone"),
            ),
            [
                (game.name_of(i), *amounts((float(column[i]) for column in columns), digits))
                for i in who
            ],
            footer=(total, *amounts((float(column.sum()) for column in columns), digits)),
            anchors=[f"payoff-{i + 1}" for i in who],
        )
    )
    return Section("payoffs", "What each earns", blocks)


def _waterfall(name: str, steps: pd.DataFrame, caption: str, y_title: str) -> Figure:
    parts = [
        f"{organization}: "
        + ", ".join(f"{step} {label}" for step, label in rows[["step", "label"]].values.tolist())
        for organization, rows in steps.groupby("organization", sort=False)
    ]
    return Figure(
        name,
        charts.inline_svg(
            charts.payoff_waterfall(steps, y_title=y_title),
            name=name,
            label=caption,
            description=". ".join(parts) + ".",
        ),
        caption,
    )


def _spread(solution: Solution) -> Table:
    """Return how each term is spread over a large consortium."""
    columns = {name: getattr(solution.terms, name) for name in TERMS}
    return Table(
        "spread",
        f"How each term is spread over all {solution.game.size:,} organizations",
        (
            Column("term", text=True),
            *(
                Column(heading)
                for heading in ("lowest", "a tenth below", "median", "a tenth above", "highest")
            ),
        ),
        [
            (f"{name}, {TERMS[name]}", *amounts(np.quantile(column, [0.0, 0.1, 0.5, 0.9, 1.0])))
            for name, column in columns.items()
        ],
    )


def payments_section(solution: Solution, sectors: Sequence[str | None]) -> Section:
    """Return who pays whom, and how much."""
    heading, anchor, rule = "Who pays whom", "payments", solution.game.mechanism
    blocks: list[Block] = [Text(words_of(rule).payments)]
    paid, complete = frames.payments(solution)
    if not len(paid):
        blocks.append(Text("Nobody pays anybody.", strong=True))
        return Section(anchor, heading, blocks)
    top = frames.drawn_payments(paid)
    net = frames.net_payments(solution, top)
    payer, receiver, largest = paid.iloc[0]
    received = solution.terms.redistribution
    digits = digits_of(paid["amount"])
    changes_hands = float(received[received > 0.0].sum())
    blocks.append(
        Facts(
            (
                Fact(
                    "money that changes hands, net",
                    amounts([changes_hands])[0],
                    "Eq. (10)",
                    "received by those who receive more than they pay",
                ),
                Fact(
                    "payments",
                    f"{len(paid):,}" if complete else f"more than {len(paid):,}",
                    rule.equation,
                    "pairs of which one pays the other",
                ),
                Fact(
                    "largest payment",
                    money(float(largest), digits),
                    rule.equation,
                    f"{payer} pays {receiver}",
                ),
            )
        )
    )
    if not complete:
        blocks.append(
            Text(
                f"With {solution.game.size:,} organizations the pairs are too many to list: below "
                "are those in which the organizations take part that this report shows."
            )
        )
    caption = (
        f"Who pays whom, {rule.equation}: an arrow points to the receiver, a thicker one is more."
    )
    if len(top) < len(paid):
        share = float(top["amount"].sum() / paid["amount"].sum())
        caption += (
            f" The {len(top)} largest of {counted(len(paid), 'payment')}, {share:.1%} of their sum."
        )
    if solution.game.size > frames.SHOWN_ORGANIZATIONS:
        blocks += _between_sectors(solution, sectors)
    blocks += [
        _network("network", top, net, "Who pays whom", caption),
        Table(
            "transfers",
            "Who pays whom, the largest first"
            + (f" ({len(top)} of {len(paid):,})" if len(top) < len(paid) else ""),
            (
                Column("from", text=True),
                Column("to", text=True),
                Column("amount", rule.equation),
            ),
            [
                (payer, other, money(float(amount), digits))
                for payer, other, amount in top.itertuples(index=False)
            ],
        ),
    ]
    if len(top) < len(paid):
        blocks.append(Text("tradefl explain lists every payment of an organization."))
    return Section(anchor, heading, blocks)


def _network(name: str, paid: pd.DataFrame, net: pd.DataFrame, label: str, caption: str) -> Figure:
    digits = digits_of(paid["amount"])
    described = "; ".join(
        f"{payer} pays {other} {money(float(amount), digits)}"
        for payer, other, amount in paid.head(10).itertuples(index=False)
    )
    return Figure(
        name,
        charts.inline_svg(
            charts.payment_network(paid, net),
            name=name,
            label=label,
            description=f"Arrows between {counted(len(net), 'name')} on a circle. "
            f"The largest: {described}.",
        ),
        caption + " Behind each name: what it receives less what it pays, Eq. (10).",
    )


def _between_sectors(solution: Solution, sectors: Sequence[str | None]) -> list[Block]:
    """Return the payments of a large consortium added up by sector, where there are some."""
    found = frames.payments_of_sectors(solution, sectors)
    if found is None or not len(found[0]):
        return []
    paid, net = found
    digits = digits_of(paid["amount"])
    equation = solution.game.mechanism.equation
    caption = f"What sectors pay each other, all their organizations together, sums of {equation}."
    return [
        _network("sectors", paid, net, "What sectors pay each other", caption),
        Table(
            "sector-transfers",
            "What sectors pay each other",
            (Column("from", text=True), Column("to", text=True), Column("amount", equation)),
            [
                (payer, other, money(float(amount), digits))
                for payer, other, amount in paid.itertuples(index=False)
            ],
            folded=True,
        ),
    ]


def statements_section(solution: Solution, who: Sequence[int]) -> Section:
    """Return the itemized statements: of all, or of the few of a large consortium to begin with."""
    received, payoff = solution.terms.redistribution, solution.payoffs
    words = (
        "Each statement recomputes one payoff from its numbers: every line names its equation and "
        "can be checked with a calculator. Amounts that are added have no sign."
    )
    if len(who) < solution.game.size:
        ends = (int(received.argmax()), int(received.argmin()), int(payoff.argmin()))
        who = list(dict.fromkeys(ends))[:STATEMENTS_OF_MANY]
        words += (
            " Here are those of the organization that receives most, of the one that pays most "
            "and of the one with the lowest payoff. tradefl explain prints that of any other."
        )
    return Section(
        "statements",
        "The itemized statements",
        (Text(words),),
        [_statement(solution.statement(i), f"statement-{i + 1}") for i in who],
    )


def _statement(statement: Statement, anchor: str) -> Section:
    digits = statement.decimals
    rows: list[tuple[str, str, str, str]] = []
    anchors: list[str] = []
    for section, equation in TERMS.items():
        if section == "payoff":
            continue
        lines = statement.section(section)
        shown, left_out = _largest(lines)
        rows += [
            (
                f"{section}: {line.item}",
                line.equation,
                line.calculation,
                money(statement.printed(line), digits),
            )
            for line in shown
        ]
        if left_out:
            rest = statement.printed_sum(left_out)
            item = f"{section}: {counted(len(left_out), 'smaller line')}"
            rows.append((item, equation, "together", money(rest, digits)))
        total = SIGNS[section] * statement.printed_totals[section]
        rows.append((f"{section}, all lines", equation, "", money(total, digits)))
        anchors += [""] * (len(rows) - len(anchors) - 1) + [f"{anchor}-{section}"]
    return Section(
        anchor,
        statement.organization,
        (
            Table(
                f"{anchor}-quantities",
                f"The quantities of {statement.organization}",
                (
                    Column("symbol", text=True),
                    Column("how it is calculated", text=True),
                ),
                [(symbol, how) for symbol, how, _ in statement.quantities],
            ),
            Table(
                f"{anchor}-lines",
                f"The payoff of {statement.organization}, line by line",
                (
                    Column("line", text=True),
                    Column("equation", text=True),
                    Column("calculation", text=True),
                    Column("amount"),
                ),
                rows,
                footer=(
                    "payoff",
                    "Eq. (11)",
                    "the four sums",
                    money(statement.printed_totals["payoff"], digits),
                ),
                anchors=[*anchors, f"{anchor}-payoff"],
            ),
        ),
    )


def _largest(lines: Sequence[Line]) -> tuple[list[Line], list[Line]]:
    """Return the largest lines in their order, and those that are left out."""
    if len(lines) <= LINES:
        return list(lines), []
    ranked = sorted(range(len(lines)), key=lambda k: -abs(lines[k].amount))
    kept = set(ranked[:LINES])
    return (
        [line for k, line in enumerate(lines) if k in kept],
        [line for k, line in enumerate(lines) if k not in kept],
    )
