"""The page Stability: who could leave, and why they do not."""

from __future__ import annotations

import streamlit as st

from tradefl import charts
from tradefl.dashboard import state
from tradefl.dashboard.parts import aside, csv_of, offer, plain, show_section
from tradefl.dashboard.state import ASK_FROM
from tradefl.game.money import unit_name
from tradefl.report import frames
from tradefl.report.staying import described, staying_section


def page() -> None:
    """Draw the page."""
    view = state.view()
    st.title("Stability")
    game = view.consortium.game
    if game.currency is not None:
        aside(f"Amounts in {game.currency}.")
    if game.size < 2:
        st.write("There is one organization only: nobody could leave with anybody.")
        return
    if game.size >= ASK_FROM:
        asked = st.session_state.get("_stability") == view.key
        if not (st.button("Look for coalitions") or asked):
            aside(f"The proof covers 2^{game.size} coalitions: it takes seconds.")
            return
        st.session_state["_stability"] = view.key
    try:
        found = state.stays(view.key, view.solution.method, view.solution).in_currency()
    except ValueError as error:
        st.warning(plain(str(error)))
        return
    rows = frames.corridor(found, frames.chosen(view.solution))
    unit = unit_name(found.game)
    live = {"corridor": (charts.corridor(rows, x_title=unit), described(found))}
    show_section(staying_section(found, frames.chosen(view.solution)), live, heading=False)
    offer("Corridor, CSV", csv_of(rows, "stability.csv"), key="csv-stability")


if __name__ == "__main__":
    page()
