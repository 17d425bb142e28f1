"""The page Equilibrium: what each contributes and earns, the proof, other methods, the moves."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from tradefl import charts
from tradefl.charts import SCHEMES, axis
from tradefl.dashboard import state
from tradefl.dashboard.parts import (
    amount_columns,
    aside,
    csv_of,
    offer,
    plain,
    show_chart,
    show_facts,
    show_section,
)
from tradefl.report import frames
from tradefl.report.blocks import amounts, digits_of
from tradefl.report.proof import STATUS, certificate_section
from tradefl.solvers import METHODS, Solution

WATERFALLS = 12
AMOUNTS = ("revenue", "overhead", "damage", "redistribution", "payoff")
# The table to download keeps the names of the frame.
CONTRIBUTIONS = {
    name: st.column_config.NumberColumn(label, format=shape)
    for name, label, shape in (
        ("data_fraction", "share d of its data", "percent"),
        ("cpu_hz", "frequency f (Hz)", "localized"),
        ("contribution_bits", "data d s (bit)", "localized"),
        ("resource_bits", "resource x (bit)", "localized"),
        ("training_seconds", "training time (s)", "localized"),
    )
}
WIDTH_OF_METHODS = 720  # their names are next to each other
# Methods that answer at once for many organizations.
FAST = ("exact", "dbr")
LARGE = 100
TABS = ("Contributions", "Payoffs", "Proof", "Methods", "Move by move")
TAB, MOVE, PLAY = "tab", "move", "play"
SECONDS_A_MOVE = 0.7
MOVES_MARKED = 50  # the points of more would hide the lines


def page() -> None:
    """Draw the page."""
    view = state.view()
    solution = view.shown
    st.title("Equilibrium")
    if solution.game.currency is not None:
        aside(f"Amounts in {solution.game.currency}.")
    _summary(solution)
    who = frames.chosen(solution)
    if len(who) < solution.game.size:
        aside(
            f"Of {solution.game.size:,} organizations {len(who)} are drawn: those that receive "
            "most, pay most, contribute most and have the lowest payoff. The tables have all."
        )
    # Only the tab that is open is worked out.
    contributions, payoffs, proof, methods, moves = st.tabs(TABS, key=TAB, on_change="rerun")
    if contributions.open:
        with contributions:
            _contributions(solution, who)
    if payoffs.open:
        with payoffs:
            _payoffs(solution, who)
    if proof.open:
        with proof:
            show_section(certificate_section(solution))
    if methods.open:
        with methods:
            _methods(view)
    if moves.open:
        with moves:
            _moves(view)


def _summary(solution: Solution) -> None:
    fractions, game = solution.profile.data_fraction, solution.game
    st.write(STATUS[solution.status])
    share = float(fractions @ game.data_bits / game.data_bits.sum())
    show_facts(
        [
            ("Social welfare", amounts([solution.social_welfare])[0], "Eq. (11)", "all payoffs"),
            ("Performance P", f"{solution.terms.performance:.6f}", "Eq. (4)", ""),
            ("Share of all data", f"{share:.2%}", "Eq. (13)", ""),
            ("Lowest payoff", amounts([solution.payoffs.min()])[0], "Eq. (11)", ""),
        ]
    )


def _contributions(solution: Solution, who: list[int]) -> None:
    given = frames.contributions(solution, who)
    most = given.sort_values("resource_bits", ascending=False, kind="stable").iloc[0]
    show_chart(
        charts.contributions(given),
        f"Three bars for each of {len(given)} organizations: its share of data d, its frequency "
        f"f, and both as x. The largest x is that of {most['organization']}.",
        key="contributions",
    )
    everybody = frames.contributions(solution, range(solution.game.size))
    st.dataframe(everybody, hide_index=True, column_config=CONTRIBUTIONS)
    offer("Contributions, CSV", csv_of(everybody, "contributions.csv"), key="csv-contributions")


def _payoffs(solution: Solution, who: list[int]) -> None:
    drawn = who[:WATERFALLS]
    from_revenue = st.toggle("Leave the revenue out: it can hide the other steps", value=True)
    steps = frames.payoff_steps(solution, drawn, from_revenue=from_revenue)
    title = "against the revenue" if from_revenue else "payoff"
    show_chart(
        charts.payoff_waterfall(steps, y_title=title),
        f"The steps from revenue to payoff of {len(drawn)} organizations. The table below has "
        "the numbers.",
        key="waterfall",
    )
    terms = solution.terms
    table = pd.DataFrame(
        {
            "organization": [solution.game.name_of(i) for i in range(solution.game.size)],
            "revenue": terms.revenue,
            "overhead": terms.overhead,
            "damage": terms.damage,
            "redistribution": terms.redistribution,
            "payoff": terms.payoff,
            "regret": solution.certificate.regret,
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            **amount_columns(table, AMOUNTS),
            "regret": st.column_config.NumberColumn(format="%.3g"),
        },
    )
    offer("Payoffs, CSV", csv_of(table, "payoffs.csv"), key="csv-payoffs")


def _methods(view: state.View) -> None:
    size = view.solution.game.size
    first = list(FAST) if size > LARGE else list(METHODS)
    # The tags of a multiselect are white on the theme's colour: too pale to read on a dark page.
    wanted = st.pills("Methods to compare", METHODS, selection_mode="multi", default=first)
    rows, refused = [], []
    for method in wanted:
        try:
            found = state.solved(view.key, method, view.consortium)
        except ValueError as error:
            refused.append(f"{method}: {error}")
            continue
        rows.append(
            {
                "method": method.upper() if method.upper() in SCHEMES else method,
                "status": found.status,
                "welfare": found.social_welfare,
                "potential": found.potential,
                "performance": found.terms.performance,
                "sum of d": float(found.profile.data_fraction.sum()),
                "largest regret": found.certificate.max_regret,
                "individually rational": found.certificate.individually_rational,
                "better than alone": found.better_than_alone,
                "iterations": found.iterations,
                "seconds": found.runtime_seconds,
            }
        )
    for reason in refused:
        st.warning(plain(reason))
    if not rows:
        st.write("Choose a method above.")
        return
    table = pd.DataFrame(rows)
    digits = digits_of(table["welfare"])
    show_chart(
        charts.dots(
            table.assign(low=table["welfare"], high=table["welfare"]),
            axis("method", "method"),
            axis("welfare", "social welfare"),
        ).properties(width=WIDTH_OF_METHODS),
        "Social welfare by method: "
        + ", ".join(f"{row['method']} {row['welfare']:,.{digits}f}" for row in rows),
        key="methods",
    )
    shown = st.column_config.NumberColumn(format="%.3g")
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "method": st.column_config.TextColumn(width="medium"),
            "largest regret": shown,
            "seconds": shown,
        },
    )
    offer("Methods, CSV", csv_of(table, "methods.csv"), key="csv-methods")


def _moves(view: state.View) -> None:
    st.write(
        "Distributed best response: one organization after another moves to its best answer to "
        "the others, until nobody wants to move. Every move raises the potential U (Fig. 4); "
        "what it does to each payoff is below it (Fig. 5)."
    )
    found = state.moves(view.key, view.consortium)
    if len(found.drawn) < 2:
        st.write("Nobody moves: the start is an equilibrium, or the moves were not kept.")
        return
    playing = st.toggle("Play", key=PLAY)
    st.fragment(_played, run_every=SECONDS_A_MOVE if playing else None)(found, playing)


def _played(found: state.Moves, playing: bool) -> None:
    last = found.drawn[-1]
    if st.session_state.get(MOVE) not in found.drawn:
        st.session_state[MOVE] = 0 if playing else last
    if playing:
        at = found.drawn.index(st.session_state[MOVE])
        st.session_state[MOVE] = found.drawn[(at + 1) % len(found.drawn)]
    at_move = st.select_slider("Move", found.drawn, key=MOVE)
    st.write(plain(found.said[at_move]))
    x = axis("move", "single moves", zero=True)
    few = len(found.drawn) <= MOVES_MARKED
    potential = found.potential[found.potential["move"] <= at_move]
    payoffs = found.payoffs[found.payoffs["move"] <= at_move]
    show_chart(
        charts.panels(
            [
                charts.lines(
                    potential,
                    x,
                    axis("potential", "potential U"),
                    series="scheme",
                    title="Potential (Fig. 4)",
                    points=few,
                ),
                charts.lines(
                    payoffs,
                    x,
                    axis("payoff", "payoff"),
                    series="organization",
                    title="Payoffs (Fig. 5)",
                    points=few,
                ),
            ],
            columns=1,
        ),
        f"The potential and the payoffs up to move {at_move:,}. " + found.said[at_move],
        key="moves",
    )


if __name__ == "__main__":
    page()
