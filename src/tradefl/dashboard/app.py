"""The script that Streamlit runs: the sidebar and the pages.

Streamlit runs it from the top at every change, so everything slow is cached in ``state``.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from tradefl.dashboard import settings, sidebar, state
from tradefl.dashboard.parts import show_problems

HERE = Path(__file__).parent
# The first is the board's.
PAGES = (
    *("decision", "consortium", "equilibrium", "payments", "incentive", "stability", "uncertainty"),
    *("settlement", "training"),
)


SECONDS_A_LOOK = 2.0


def console() -> None:
    """Draw the sidebar, solve, and draw the page that was chosen."""
    notice = state.refresh()
    title = state.original().name if state.has_original() else settings.current().file.name
    st.set_page_config(page_title=f"{title} - TradeFL", layout="wide")
    st.fragment(_look, run_every=SECONDS_A_LOOK)()
    _tell(notice)
    if not state.has_original():
        st.stop()
    page = st.navigation(
        [
            st.Page(HERE / f"{name}.py", title=name.capitalize(), default=name == PAGES[0])
            for name in PAGES
        ]
    )
    view = state.solve_now(sidebar.choices())
    with st.sidebar:
        show_problems(view.problems, "These settings do not work; shown are the last that did.")
    if state.table_problems() and page.title != "Consortium":
        st.warning("The table on the page Consortium has errors: shown is its last valid state.")
    page.run()


def _look() -> None:
    """Draw everything again when the file has changed."""
    if state.has_changed():
        st.rerun()


def _tell(notice: state.Notice) -> None:
    """Say what has become of the file."""
    kept = "; shown is its last valid content" if state.has_original() else ""
    show_problems(notice.problems, f"The consortium file is not valid now{kept}.")
    if notice.waits:
        st.warning("The consortium file has changed. Your table is an edit of its earlier content.")
        st.button("Take the file as it is now, and give up the edits", on_click=state.forget_edits)
    if notice.taken:
        st.toast("The consortium file has changed; shown is its new content.")


if __name__ == "__main__":
    console()
