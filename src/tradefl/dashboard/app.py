"""The script that Streamlit runs: the sidebar and the pages.

Streamlit runs it from the top at every change, so everything slow is cached in ``state``.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from tradefl.dashboard import sidebar, state
from tradefl.dashboard.parts import show_problems

HERE = Path(__file__).parent
PAGES = ("consortium", "equilibrium", "payments", "incentive", "settlement", "training")


def console() -> None:
    """Draw the sidebar, solve, and draw the page that was chosen."""
    title = state.original().name
    st.set_page_config(page_title=f"{title} - TradeFL", layout="wide")
    page = st.navigation(
        [
            st.Page(HERE / f"{name}.py", title=name.capitalize(), default=name == "consortium")
            for name in PAGES
        ]
    )
    view = state.solve_now(sidebar.choices())
    with st.sidebar:
        show_problems(view.problems, "These settings do not work; shown are the last that did.")
    if state.table_problems() and page.title != "Consortium":
        st.warning("The table on the page Consortium has errors: shown is its last valid state.")
    page.run()


if __name__ == "__main__":
    console()
