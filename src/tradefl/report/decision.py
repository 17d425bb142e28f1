"""The first section, for those who decide: contributions, payments and gains in plain words."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tradefl import charts
from tradefl.consortium import Consortium
from tradefl.game import alone
from tradefl.outcomes import Comparison, Outcome
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
    amount_of,
    counted,
)
from tradefl.report.staying import one_line
from tradefl.solvers import Solution
from tradefl.stability import Stability
from tradefl.statement import money


def decision_section(
    consortium: Consortium,
    solution: Solution,
    who: Sequence[int],
    comparison: Comparison | None,
    notes: Sequence[str],
    stability: Stability | None = None,
) -> Section:
    """Return what a board must know: contributions, payments, gains, risks, and what is assumed."""
    game, terms = solution.game, solution.terms
    code = game.currency or "units of payoff"
    outside = alone(game)
    gain = solution.payoffs - outside
    worse = solution.below_alone
    received = terms.redistribution
    moved = float(received[received > 0.0].sum())
    blocks: list[Block] = [
        Text(
            f"{counted(game.size, 'organization')} train one model together instead of one each. "
            + (
                f"Together they gain {amount_of(float(gain.sum()), code)} over training alone. "
                if gain.sum() >= 0.0
                else f"Together they lose {amount_of(-float(gain.sum()), code)} against training "
                "alone. "
            )
            + _who_is_worse(game.size, [game.name_of(int(i)) for i in worse]),
            link="table-payoffs payoffs",
        ),
        Facts(
            (
                Fact(
                    "gain over training alone",
                    amount_of(float(gain.sum()), code),
                    "Eq. (11)",
                    link="table-payoffs",
                ),
                Fact(
                    "money that changes hands",
                    amount_of(moved, code),
                    "Eq. (10)",
                    link="table-transfers payments",
                ),
                Fact(
                    "costs of data and of joining",
                    amount_of(
                        float((game.data_cost * solution.profile.data_fraction).sum())
                        + float(game.joining_cost.sum()),
                        code,
                    ),
                    "added",
                    link="statements payoffs",
                ),
            )
        ),
        Table(
            "decision",
            f"What each contributes, pays and gains, {code}",
            (
                Column("organization", text=True),
                Column("share of its data", "Eq. (13)"),
                Column("what binds", text=True),
                Column("receives (+), pays (-)", "Eq. (10)"),
                Column("payoff", "Eq. (11)"),
                Column("alone"),
                Column("gain over alone"),
            ),
            [
                (
                    game.name_of(i),
                    f"{100.0 * solution.profile.data_fraction[i]:.1f} %",
                    solution.binds[i],
                    *(
                        money(float(amount), _digits(game.currency))
                        for amount in (received[i], solution.payoffs[i], outside[i], gain[i])
                    ),
                )
                for i in who
            ],
            footer=(
                "all",
                "",
                "",
                *(
                    money(float(amounts.sum()), _digits(game.currency))
                    for amounts in (received, solution.payoffs, outside, gain)
                ),
            ),
            links=[*map(_lines_of, who), ("", "", "", "payments", "payoffs", "payoffs", "payoffs")],
        ),
    ]
    gains = frames.gains_over_alone(solution, who)
    words = chart_words(gains)
    blocks.append(
        Figure(
            "gains",
            charts.inline_svg(
                charts.gains(gains, x=f"gain over training alone, {code}"),
                name="gains",
                label="What each gains over training alone",
                description=words,
            ),
            f"What each organization gains over training alone, {code}.",
        )
    )
    if stability is not None:
        blocks.append(Text(f"Would they stay? {one_line(stability)}", link="stability"))
    if comparison is not None:
        blocks.append(Text("Under the alternatives, against no compensation:"))
        blocks.append(Listing([_alternative(outcome) for outcome in comparison.outcomes], "rules"))
    blocks.append(Text("What is proven, and what is assumed:"))
    blocks.append(Listing([*_proven(solution), *_assumed(consortium), *notes]))
    return Section("decision", "The decision", blocks)


def chart_words(gains: pd.DataFrame) -> str:
    """Return the chart of gains as a text."""
    rows = zip(gains["organization"], gains["label"], strict=True)
    return "Gain over training alone: " + ", ".join(f"{who} {label}" for who, label in rows) + "."


def _lines_of(i: int) -> tuple[str, ...]:
    """Return where each figure of an organization's row is worked out: the first that is there."""
    statement = f"statement-{i + 1}"
    row = f"payoff-{i + 1}"
    return (
        f"{statement} {row}",
        f"contributed-{i + 1} contributions",
        f"contributed-{i + 1} contributions",
        f"{statement}-redistribution {row}",
        f"{statement}-payoff {row}",
        row,
        row,
    )


def _digits(currency: str | None) -> int:
    return 3 if currency is None else 0


def _who_is_worse(size: int, names: list[str]) -> str:
    if not names:
        return "Each of them does at least as well as alone."
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
    verb = "does" if len(names) == 1 else "do"
    return f"{shown} {verb} worse than alone: of {size:,}, {len(names):,} would rather not join."


def _alternative(outcome: Outcome) -> str:
    solution = outcome.solution
    code = solution.game.currency or "units of payoff"
    losers = [solution.game.name_of(int(i)) for i in outcome.losing]
    who = "nobody loses" if not losers else f"{', '.join(losers[:5])} lose"
    if len(losers) == 1:
        who = f"{losers[0]} loses"
    if len(losers) > 5:
        who = f"{len(losers):,} organizations lose"
    title = outcome.title
    return f"{title}: welfare {amount_of(solution.social_welfare, code)}; {who}"


def _proven(solution: Solution) -> list[str]:
    found = []
    if solution.status in ("optimal", "equilibrium") and solution.method != "planner":
        found.append(
            "Proven, given the figures: nobody gains by contributing otherwise while the others "
            "contribute as shown."
        )
    if solution.certificate.budget_imbalance <= 1e-9 * float(
        solution.certificate.payoff_scale.sum()
    ):
        found.append("Proven: what some pay others receive, so nobody has to put money in.")
    return found


def _assumed(consortium: Consortium) -> list[str]:
    return [
        "Assumed: the figures of the file, such as what a better model earns each organization, "
        "and the curve that says how accuracy grows with data.",
        f"Assumed: {consortium.accuracy.model} as the data-accuracy function.",
    ]
