"""The page Payments: who pays whom, and the itemized statement of one organization."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from tradefl import charts
from tradefl.dashboard import state
from tradefl.dashboard.parts import (
    amount_columns,
    aside,
    csv_of,
    offer,
    plain,
    show_chart,
    show_facts,
)
from tradefl.report import frames
from tradefl.report.blocks import amounts, digits_of
from tradefl.report.rule_words import WORDS
from tradefl.solvers import Solution
from tradefl.statement import money

ORGANIZATION = "organization"


def page() -> None:
    """Draw the page."""
    solution = state.view().shown
    if solution.game.currency is not None:
        st.caption(f"Amounts in {solution.game.currency}.")
    st.title("Payments")
    st.write(WORDS[solution.game.rule.name].payments)
    _network(solution)
    _statement(solution)


def _network(solution: Solution) -> None:
    paid, complete = frames.payments(solution)
    received = solution.terms.redistribution
    turnover = float(received[received > 0.0].sum())
    if not len(paid):
        st.write("Nobody pays anybody.")
        return
    payer, receiver, largest = paid.iloc[0]
    digits = digits_of(paid["amount"])
    show_facts(
        [
            ("Changes hands, net", amounts([turnover])[0], "Eq. (10)", "received less paid"),
            (
                "Payments",
                f"{len(paid):,}" if complete else f"more than {len(paid):,}",
                solution.game.rule.equation,
                "pairs of which one pays the other",
            ),
            (
                "Largest payment",
                money(float(largest), digits),
                solution.game.rule.equation,
                f"{payer} pays {receiver}",
            ),
        ]
    )
    top = paid.head(frames.SHOWN_PAYMENTS)
    if len(top) < len(paid):
        aside(f"Drawn are the {len(top)} largest payments; the table has all {len(paid):,}.")
    described = "; ".join(
        f"{payer} pays {other} {money(float(amount), digits)}"
        for payer, other, amount in top.head(5).itertuples(index=False)
    )
    show_chart(
        charts.payment_network(top, frames.net_payments(solution, top)),
        f"Who pays whom, arrows between organizations on a circle. The largest: {described}.",
        key="network",
    )
    st.dataframe(
        paid,
        hide_index=True,
        width="content",
        column_config=amount_columns(paid, ["amount"]),
    )
    offer("Payments, CSV", csv_of(paid, "payments.csv"), key="csv-payments")


def _statement(solution: Solution) -> None:
    st.subheader("Itemized statement")
    names = [solution.game.name_of(i) for i in range(solution.game.size)]
    if st.session_state.get(ORGANIZATION) not in names:
        st.session_state[ORGANIZATION] = names[0]
    name = st.selectbox("Organization", names, key=ORGANIZATION)
    statement = solution.statement(name)
    # As everywhere: amounts follow from the printed factors, and totals are sums of printed lines.
    digits, totals = statement.decimals, statement.printed_totals
    show_facts(
        [
            (term.capitalize(), money(totals[term], digits), equation, "")
            for term, equation in (
                ("revenue", "Eq. (4)"),
                ("overhead", "Eq. (8)"),
                ("damage", "Eq. (6)-(7)"),
                ("redistribution", "Eq. (10)"),
            )
        ]
    )
    st.metric(
        "Payoff: revenue - overhead - damage + redistribution, Eq. (11)".replace("-", "−"),
        money(totals["payoff"], digits),
    )
    lines = pd.DataFrame(
        [
            (
                line.section,
                line.item,
                line.equation,
                line.calculation,
                money(statement.printed(line), digits),
            )
            for line in statement.lines
        ],
        columns=["section", "item", "equation", "calculation", "amount"],
    )
    amount = st.column_config.Column(alignment="right")
    st.dataframe(lines, hide_index=True, column_config={"amount": amount})
    quantities = pd.DataFrame(
        [(symbol, how) for symbol, how, _ in statement.quantities],
        columns=["symbol", "how it is calculated"],
    )
    with st.expander(f"The quantities of {plain(name)}"):
        st.dataframe(quantities, hide_index=True)
    offer("Statement, CSV", csv_of(lines, "statement.csv"), key="csv-statement")


if __name__ == "__main__":
    page()
