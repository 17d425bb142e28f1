"""The section of the rules: what each would bring for all, and who gains or loses."""

from __future__ import annotations

from collections.abc import Sequence

from tradefl import charts
from tradefl.game.money import unit_name
from tradefl.outcomes import Comparison
from tradefl.report import frames
from tradefl.report.blocks import (
    Block,
    Column,
    Fact,
    Facts,
    Figure,
    Listing,
    Section,
    Table,
    Text,
    amounts,
    counted,
    digits_of,
    signed,
)


def rules_section(comparison: Comparison, who: Sequence[int]) -> Section:
    """Return the rules side by side: welfare, distance from the best, gains and losses."""
    optimum, outcomes = comparison.optimum, comparison.outcomes
    without = outcomes[0]
    unit = unit_name(optimum.game)
    anarchy = without.price_of_anarchy
    welfare = [outcome.solution.social_welfare for outcome in outcomes]
    digits = digits_of([optimum.social_welfare, *welfare])
    missing = optimum.social_welfare - without.solution.social_welfare
    blocks: list[Block] = [
        Text(
            "Payments cancel when all payoffs are added up, so a rule makes all better off only "
            "through what it makes them contribute. The social optimum is the most that they could "
            "have together. Below, each rule's equilibrium is compared with it, and with what "
            "everybody would have without any payments."
        ),
        Facts(
            (
                Fact(
                    "social optimum",
                    amounts([optimum.social_welfare], digits)[0],
                    "Eq. (11)",
                    _bound_words(comparison, digits),
                ),
                Fact(
                    "price of anarchy",
                    "-" if anarchy is None else f"{anarchy:.4f}",
                    "Eq. (11)",
                    "the optimum, over the welfare without payments"
                    + ("" if anarchy is not None else ", where that is positive"),
                ),
                Fact(
                    "missing without payments",
                    amounts([missing], digits)[0],
                    "Eq. (11)",
                    f"{missing / optimum.social_welfare:.2%} of the optimum"
                    if optimum.social_welfare > 0.0
                    else "",
                ),
            )
        ),
        Table(
            "rules",
            "The rules side by side",
            (
                Column("rule", text=True),
                Column("social welfare", "Eq. (11)"),
                Column("of what is missing it brings"),
                Column("data, sum of d"),
                Column("performance P", "Eq. (4)"),
                Column("sum of all payments", outcomes[-1].solution.game.mechanism.equation),
                Column("gain"),
                Column("lose"),
                Column("largest loss"),
            ),
            [
                (
                    outcome.title,
                    amounts([outcome.solution.social_welfare], digits)[0],
                    "-" if outcome.gap_closed is None else f"{outcome.gap_closed:.2%}",
                    f"{outcome.solution.profile.data_fraction.sum():.4f}",
                    f"{outcome.solution.terms.performance:.6f}",
                    amounts([outcome.payments], digits)[0],
                    f"{outcome.gainers:,}",
                    f"{outcome.losers:,}",
                    amounts([max(-float(outcome.gain.min()), 0.0)], digits)[0],
                )
                for outcome in outcomes
            ],
        ),
        gains_figure(comparison, who),
        Table(
            "rule-gains",
            f"What each gains over no payments, {unit}",
            (
                Column("organization", text=True),
                Column("payoff without payments", "Eq. (11)"),
                *(Column(outcome.title) for outcome in outcomes[1:]),
            ),
            [
                (
                    optimum.game.name_of(i),
                    amounts([float(without.solution.payoffs[i])], digits)[0],
                    *(signed(float(outcome.gain[i]), digits) for outcome in outcomes[1:]),
                )
                for i in who
            ],
            folded=len(who) > frames.SHOWN_ORGANIZATIONS,
        ),
        Text(
            "The efficient rule pays each organization what its data is worth to all others, so "
            "that what is best for itself is best for all, and splits what that gains by "
            "constants. It needs everybody's figures to be known; the paper's rule needs gamma, "
            "rho and the contributions only."
        ),
    ]
    if comparison.remarks:
        blocks.append(Listing(list(comparison.remarks)))
    return Section("rules", "How far from the best? The rules side by side", blocks)


def _bound_words(comparison: Comparison, digits: int) -> str:
    bound = comparison.optimum.welfare_bound
    if bound is None or comparison.optimum.status != "optimal":
        return "the best that was found; it is not proven to be the highest"
    return f"proven: nothing above {amounts([bound], digits)[0]} is possible"


def gains_text(comparison: Comparison) -> str:
    """Return what the chart of gains shows, in a sentence for each rule."""
    sentences = []
    for outcome in comparison.outcomes[1:]:
        digits = digits_of(outcome.gain)
        least, most = int(outcome.gain.argmin()), int(outcome.gain.argmax())
        name_of = comparison.optimum.game.name_of
        sentences.append(
            f"{outcome.title}: from {signed(float(outcome.gain[least]), digits)} "
            f"({name_of(least)}) to {signed(float(outcome.gain[most]), digits)} ({name_of(most)}), "
            f"{counted(outcome.losers, 'organization')} lose"
            f"{'s' if outcome.losers == 1 else ''}."
        )
    return "Bars next to each other for each organization. " + " ".join(sentences)


def gains_figure(comparison: Comparison, who: Sequence[int]) -> Figure:
    """Return the chart of what each gains under each rule."""
    return Figure(
        "rule-gains-chart",
        charts.inline_svg(
            charts.rule_gains(frames.rule_gains(comparison, who)),
            name="rule-gains-chart",
            label="What each gains over no payments, by rule",
            description=gains_text(comparison),
        ),
        "What each organization gains or loses under each rule, against no payments at all.",
    )
