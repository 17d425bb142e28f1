"""The section on coalitions: who could leave, and why they do not."""

from __future__ import annotations

from collections.abc import Sequence

from tradefl import charts
from tradefl.game.money import unit_name
from tradefl.report import frames
from tradefl.report.blocks import Block, Column, Figure, Listing, Section, Table, Text, amounts
from tradefl.stability import Stability
from tradefl.stability.words import reasons, sentence, share
from tradefl.statement import decimals


def digits_for(found: Stability) -> int:
    """Return how many decimals the amounts have: those of money as on the first page."""
    if found.game.currency is not None:
        return 0 if max(abs(found.payoff)) >= 100.0 else 2
    return max(min(decimals(found.payoff) - 3, 8), 0)


def described(found: Stability) -> str:
    """Return the chart in a sentence, for readers who cannot see it."""
    below, above = found.below_alone.size, found.more_than_it_brings.size
    inside = found.game.size - below - above
    return (
        "A bar for each organization from what it has alone to what it brings, with its payoff and "
        f"the least core marked: {inside:,} payoffs are within their bars, {below:,} below, "
        f"{above:,} above."
    )


def one_line(found: Stability) -> str:
    """Return the verdict for the first page."""
    return sentence(found, digits_for(found))


def staying_section(found: Stability, who: Sequence[int]) -> Section:
    """Return who could leave and why they do not, with the corridor of each organization."""
    digits = digits_for(found)
    unit = unit_name(found.game)
    blocks: list[Block] = [
        Text(
            "Could some organizations do better among themselves? A group that leaves trains its "
            "own model, and the others do not get it. " + sentence(found, digits),
            strong=found.verdict != "stable",
        ),
        Listing(reasons(found, digits)),
        Figure(
            "corridor",
            charts.inline_svg(
                charts.corridor(frames.corridor(found, who), x_title=unit),
                name="corridor",
                label="Each payoff between leaving and being worth its pay",
                description=described(found),
            ),
            "Below its bar an organization would rather train alone; above it the others would "
            "rather do without it. The diamond is the split that keeps every group furthest from "
            "leaving.",
        ),
        Table(
            "corridor-table",
            f"What each has alone, has now, and brings, {unit}",
            (
                Column("organization", text=True),
                Column("alone"),
                Column("payoff", "Eq. (11)"),
                Column("what it brings"),
                Column("least core"),
            ),
            [
                (
                    found.game.name_of(i),
                    *amounts(
                        (
                            *(found.alone[i], found.payoff[i]),
                            *(found.marginal[i], found.least_core[i]),
                        ),
                        digits,
                    ),
                )
                for i in who
            ],
        ),
        Text(
            "Proven: no group gains more than "
            f"{amounts([found.max_excess_bound], digits)[0]} "
            f"({share(found.max_excess_bound, found.grand_value)} of what all have). "
            "tradefl stability tests other splits, and the market reading."
        ),
    ]
    return Section("stability", "Who could leave, and why they do not", blocks)
