"""The section on misreports: who gains most by which figure, who pays for it, who can check it."""

from __future__ import annotations

from collections.abc import Sequence

from tradefl.consortium import Consortium
from tradefl.game.money import unit_name
from tradefl.incentives.misreports import CHECKED_BY, Incentives, Misreport
from tradefl.incentives.promise import words
from tradefl.report.blocks import Block, Column, Listing, Section, Table, Text, amounts, digits_of

FIGURES = {
    "profitability": "profitability p",
    "cycles_per_bit": "effort eta",
    "cpu_levels_hz": "levels F",
    "download_seconds": "download time",
    "upload_seconds": "upload time",
    "data_bits": "size of its data s",
    "samples": "number of its samples",
    "quality": "quality of its data",
    "data_cost": "cost of data",
    "joining_cost": "cost of joining",
    "capacitance": "capacitance kappa",
    "competition": "its rivals, rho",
}
RULES = {"linear": "the paper's rule", "tuned": "the paper's rule, gamma tuned on the reports"}
CHECKS = {
    "nobody": "nobody",
    "server": "the server of the training",
    "invoice": "an auditor, by invoices",
    "market data": "anybody, by market data",
}


def rule_name(name: str) -> str:
    """Return a rule of :attr:`Incentives.rules` in words."""
    return RULES.get(name, f"the efficient rule, {name.removeprefix('efficient: ')}")


def honesty_section(found: Incentives, consortium: Consortium) -> Section:
    """Return who could gain by misreporting what, under the file's rule and under others.

    Parameters
    ----------
    found
        The misreports.
    consortium
        Whose.
    """
    found = found.in_currency()
    code = unit_name(found.game)
    best = {name: _most(rows) for name, rows in found.rules.items()}
    digits = digits_of([row.gain for row in best.values() if row is not None])
    first = next(iter(best))

    def cells(row: Misreport) -> tuple[str, ...]:
        gains = row.gain > 0.0
        return (
            found.game.name_of(row.organization) if gains else "nobody",
            FIGURES[row.figure] if gains or row.certified else "any figure",
            amounts([row.gain], digits)[0],
            "-" if row.gain_fraction is None else f"{row.gain_fraction:.3%}",
            "-" if row.paid_by is None else found.game.name_of(row.paid_by),
            CHECKS[CHECKED_BY[row.figure]] if gains else "-",
            "certified" if row.certified else "search",
        )

    heads = (
        Column("who gains most", text=True),
        Column("by misreporting", text=True),
        Column(f"gain, {code}"),
        Column("of its payoff"),
        Column("who pays most of it", text=True),
        Column("who can check it", text=True),
        Column("proof", text=True),
    )
    blocks: list[Block] = [
        Text(_lead(found, best[first], digits, code)),
        Table(
            "misreports",
            f"The misreport that gains most under each rule, reports within {found.range:.4g} of "
            "the truth",
            (Column("rule", text=True), *heads),
            [(rule_name(name), *cells(row)) for name, row in best.items() if row is not None],
        ),
        Text(
            f"'search' is the best of {found.points} reports of each figure, so more may be "
            "possible; 'certified' is proven: the rule does not ask for the figure, or pays so "
            "that no report of it gains."
        ),
        Table(
            "misreports-by-figure",
            f"Each figure under {rule_name(first)}: the misreport that gains most",
            heads,
            [
                cells(row)
                for figure in dict.fromkeys(row.figure for row in found.ranked)
                if (row := _most([other for other in found.ranked if other.figure == figure]))
                is not None
            ],
            folded=True,
        ),
        Text(_claims(found, digits, code)),
    ]
    section = consortium.compensation
    promise = None if section is None else section.truthful
    if promise is not None:
        blocks.append(Text("The rule of this file promises honesty:"))
        blocks.append(Listing(words(promise, found.game.mechanism.payee)))
    else:
        blocks.append(
            Text(
                "A truthful design makes a rule under which no report of the figures that it asks "
                "for gains, proven for every report in agreed menus. Figures that can be checked "
                "are better checked."
            )
        )
    return Section("honesty", "Could somebody game it?", blocks)


def _most(rows: Sequence[Misreport]) -> Misreport | None:
    """Return the misreport that gains most; of none that gains, one that is only searched."""
    return max(rows, key=lambda row: (row.gain, not row.certified), default=None)


def _lead(found: Incentives, best: Misreport | None, digits: int, code: str) -> str:
    start = (
        "Each organization could misstate each figure that the file states about it, by up to "
        f"{found.range:.4g} of the figure, while the others are honest."
    )
    if best is None or best.gain <= 0.0:
        return f"{start} No report that was tried gains anything under the rule of the file."
    share = "" if best.gain_fraction is None else f", {best.gain_fraction:.3%} of its payoff"
    payer = (
        ""
        if best.paid_by is None
        else f" {found.game.name_of(best.paid_by)} would pay most of that."
    )
    check = CHECKED_BY[best.figure]
    can = "Nobody can check it." if check == "nobody" else f"Who can check it: {CHECKS[check]}."
    return (
        f"{start} Under the rule of the file, {found.game.name_of(best.organization)} would gain "
        f"most, by misreporting: {FIGURES[best.figure]}. It would gain "
        f"{amounts([best.gain], digits)[0]} {code}{share}.{payer} {can}"
    )


def _claims(found: Incentives, digits: int, code: str) -> str:
    """Return what claiming data that was not trained on gains, and what deters it."""
    most = max(found.over_reporting, key=lambda row: row.gain)
    if most.gain <= 0.0:
        return "Claiming more data than was trained on gains nobody anything."
    deterred = [
        row.audit_probability
        for row in found.over_reporting
        if row.gain > 0.0 and row.audit_probability is not None
    ]
    text = (
        "Claiming all data at the top level, without training on it, gains up to "
        f"{amounts([most.gain], digits)[0]} {code} "
        f"({found.game.name_of(most.organization)}); with a verifier of reports it is impossible."
    )
    if len(deterred) == sum(row.gain > 0.0 for row in found.over_reporting):
        text += f" Spot audits of more than {max(deterred):.1%} of the reports deter it."
    return text
