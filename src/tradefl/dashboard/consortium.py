"""The page Consortium: who takes part, as a table that can be edited, and who competes."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from tradefl import charts
from tradefl.consortium.organizations import COLUMNS, NUMBERS, organizations_csv
from tradefl.dashboard import state
from tradefl.dashboard.editing import LEVELS, ROW, Download, consortium_file, edited
from tradefl.dashboard.parts import offer, show_chart, show_problems
from tradefl.errors import InputError
from tradefl.report import frames
from tradefl.report import report as html_report

EDITOR, INPUT = "organizations", "_editor_input"
HELP = {
    "profitability": "p, payoff per unit of performance, Eq. (4)",
    "data_bits": "s, Eq. (2)",
    "samples": "|S|, whole",
    "cycles_per_bit": "eta, Eq. (2)",
    LEVELS: "F, Hz, ascending, with semicolons between",
    "download_seconds": "T1, Eq. (13)",
    "upload_seconds": "T3, Eq. (13)",
}


def page() -> None:
    """Draw the page."""
    st.title("Consortium")
    st.write(
        "Change any cell, add rows at the end, or mark rows on the left to delete them. "
        "What is shown everywhere follows at once; the file itself stays as it is."
    )
    _editor()
    show_problems(state.table_problems(), "The table is not valid; shown is its last valid state.")
    if st.button("Back to the file's table", disabled=not _changed()):
        state.forget_edits()
        for key in (EDITOR, INPUT):
            st.session_state.pop(key, None)
        st.rerun()
    _downloads()
    _competition()


def _changed() -> bool:
    return state.EDITED in st.session_state or bool(state.table_problems())


def _editor() -> None:
    # The editor forgets its changes when it gets another table, so it gets the same one
    # for as long as the page is shown, and when the page is opened again what was edited.
    if EDITOR not in st.session_state or INPUT not in st.session_state:
        st.session_state[INPUT] = state.table()
    found = st.data_editor(
        st.session_state[INPUT],
        key=EDITOR,
        num_rows="dynamic",
        hide_index=True,
        column_order=COLUMNS,
        column_config={
            ROW: None,
            LEVELS: st.column_config.TextColumn(help=HELP[LEVELS]),
            "samples": st.column_config.NumberColumn(help=HELP["samples"], step=1),
            **{
                name: st.column_config.NumberColumn(help=HELP[name], format="%.6g")
                for name in NUMBERS
            },
        },
    )
    if _same(found, state.table()):
        return
    try:
        made = edited(state.original(), found)
    except InputError as error:
        state.keep_table(found, None, error.lines())
    else:
        state.keep_table(found, made, ())
    st.rerun()  # the sidebar and the solution come before the page


def _same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return bool(one.reset_index(drop=True).equals(other.reset_index(drop=True)))


def _downloads() -> None:
    view = state.view()
    stem = view.consortium.source.stem
    st.subheader("Take it away")
    first, second, third = st.columns(3)
    with first:
        offer("Consortium file", consortium_file(view.consortium), key="download-toml")
    with second:
        table = organizations_csv(view.consortium.organizations)
        offer(
            "Organizations, CSV",
            Download(f"{stem}.organizations.csv", "text/csv", table),
            key="download-organizations",
        )
    with third:
        offer(
            "Report, HTML",
            lambda: html_report(view.consortium, view.solution).encode(),
            name=f"{stem}.report.html",
            mime="text/html",
            key="download-report",
        )


def _competition() -> None:
    view = state.view()
    st.subheader("Who competes with whom")
    who = frames.chosen(view.solution)
    by_sector = None
    if len(who) < len(view.consortium):
        by_sector = frames.competition_of_sectors(
            view.solution.game, view.consortium.organizations.sectors
        )
    pairs = frames.competition_pairs(view.solution.game, who) if by_sector is None else by_sector
    what = "organizations" if by_sector is None else "sectors, on average"
    strongest = pairs.sort_values("intensity", ascending=False, kind="stable").head(1)
    first, second, rho = strongest.iloc[0]
    show_chart(
        charts.competition_map(pairs),
        f"Competition intensity rho between {what}; the strongest is {rho:.4g}, between {first} "
        f"and {second}.",
        key="competition",
    )
    with st.expander("The same in numbers"):
        st.dataframe(pairs, hide_index=True)


if __name__ == "__main__":
    page()
