"""The section of uncertain figures: what their ranges do to payments and payoffs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tradefl import charts
from tradefl.game.money import unit_name
from tradefl.incentives.uncertainty import Sensitivity
from tradefl.report import frames
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


def ranges_section(found: Sensitivity, who: Sequence[int]) -> Section:
    """Return the appendix: probabilities, the tornado, and the bands of payoffs."""
    found = found.in_currency()
    code = unit_name(found.agreed.game)
    start = (
        f"{counted(len(found.figures), 'figure')} of the file "
        f"{'has a range' if len(found.figures) == 1 else 'have ranges'}. Everything above is "
        "computed with the middle. Here the agreement stays as it is, and the truth is drawn "
        f"{found.draws:,} times from the ranges."
    )
    if not found.welfare.size:
        reasons = "; ".join(found.without_game)
        return Section(
            "ranges", "How sure are we?", [Text(f"{start} No draw is a game: {reasons}.")]
        )
    digits = digits_of(found.payoff[:, list(who)].ravel().tolist())
    gain = found.payoff - found.alone
    bars = frames.tornado(found)
    bands = frames.payoff_bands(found, who)
    blocks: list[Block] = [
        Text(start),
        Facts(
            (
                Fact(
                    "still an equilibrium",
                    f"{found.equilibrium.mean():.1%}",
                    "Eq. (12)",
                    "of the draws: nobody would rather contribute something else",
                ),
                Fact(
                    "can be delivered",
                    f"{found.deliverable.mean():.1%}",
                    "Eq. (13)",
                    "of the draws: everybody trains what it has pledged before the deadline",
                ),
                Fact(
                    "everybody better off than alone",
                    f"{found.better.all(axis=1).mean():.1%}",
                    "Definition 3",
                    "of the draws",
                ),
            )
        ),
        Figure(
            "payoff-bands",
            charts.inline_svg(
                charts.bands(bands, x="payoff, 5 to 95 % of the draws"),
                name="payoff-bands",
                label="Payoffs over all draws",
                description="A band for each organization from the 5th to the 95th percentile.",
            ),
            "Each organization's payoff, Eq. (11): the band holds 90 % of the draws, the tick is "
            "the median.",
        ),
        Table(
            "payoff-bands-table",
            f"Payoffs over all draws, {code}",
            (
                Column("organization", text=True),
                Column("5 %", "Eq. (11)"),
                Column("median", "Eq. (11)"),
                Column("95 %", "Eq. (11)"),
                Column("median gain over training alone"),
                Column("better off than alone"),
            ),
            [
                (
                    found.consortium.names[i],
                    *amounts(np.percentile(found.payoff[:, i], (5, 50, 95)).tolist(), digits),
                    amounts([float(np.median(gain[:, i]))], digits)[0],
                    f"{found.better[:, i].mean():.1%}",
                )
                for i in who
            ],
        ),
    ]
    if len(bars):
        blocks.append(
            Figure(
                "tornado",
                charts.inline_svg(
                    charts.tornado(bars, unit=code),
                    name="tornado",
                    label="Which figure moves whose payment most",
                    description="A bar for each figure, the widest first: "
                    + str(bars["figure"].iloc[0])
                    + " moves a payment most.",
                ),
                "One figure at a time at the ends of its range, everything worked out again: the "
                "payment that it moves most.",
            )
        )
    return Section("ranges", "How sure are we? What the ranges do", blocks)
