"""The page Consortium: who takes part, as a table that can be edited, and who competes."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from tradefl import charts
from tradefl.consortium.organizations import KEYS, NUMBERS, OPTIONAL, organizations_csv
from tradefl.dashboard import state
from tradefl.dashboard.editing import LEVELS, ROW, Download, beside, consortium_file, edited
from tradefl.dashboard.parts import offer, show_chart, show_problems
from tradefl.errors import InputError
from tradefl.report import frames
from tradefl.report import report as html_report

EDITOR = "organizations"
# A table of no more rows is shown whole; a longer one scrolls.
WHOLE_ROWS = 20
ROW_HEIGHT, BORDER = 35, 2  # px
# What a person reads, with the unit; messages and files use the names of the file's fields.
HEADINGS = {
    "data_bits": "data_bits: data s (bit)",
    "cycles_per_bit": "cycles_per_bit: eta",
    LEVELS: "cpu_levels_hz: levels F (Hz)",
    "download_seconds": "download_seconds: T1 (s)",
    "upload_seconds": "upload_seconds: T3 (s)",
    "data_cost": "data_cost (payoff)",
    "joining_cost": "joining_cost (payoff)",
    "capacitance": "capacitance: kappa",
}
HELP = {
    "profitability": "p, payoff per unit of performance, Eq. (4)",
    "data_bits": "s, Eq. (2)",
    "samples": "|S|, whole",
    "cycles_per_bit": "eta, Eq. (2)",
    LEVELS: "F, Hz, ascending, with semicolons between",
    "download_seconds": "T1, Eq. (13)",
    "upload_seconds": "T3, Eq. (13)",
    "data_cost": "payoff, to prepare the full dataset",
    "joining_cost": "payoff, once, whatever is contributed",
    "capacitance": "kappa, Eq. (8); empty: that of [energy]",
    "quality": "weight of the data in Omega; 1 for ordinary data",
}


def page() -> None:
    """Draw the page."""
    st.title("Consortium")
    st.write(
        "Change any cell, add rows at the end, or mark rows on the left to delete them. "
        "What is shown everywhere follows at once; the file itself stays as it is."
    )
    _editor()
    told = InputError(state.table_problems()).lines()
    show_problems(told, "The table is not valid; shown is its last valid state.")
    st.button("Back to the file's table", disabled=not _changed(), on_click=state.forget_edits)
    _downloads()
    _competition()


def _changed() -> bool:
    return state.EDITED in st.session_state or bool(state.table_problems())


def _editor() -> None:
    key = f"{EDITOR}-{st.session_state.get(state.EDITORS, 0)}"
    # The editor forgets its changes when it gets another table, so it gets the same one
    # for as long as the page is shown, and when the page is opened again what was edited.
    if key not in st.session_state or state.EDITOR_INPUT not in st.session_state:
        st.session_state[state.EDITOR_INPUT] = state.table()
    shown = st.session_state[state.EDITOR_INPUT]
    notes = beside(state.table(), state.table_problems())
    # The last row of the editor is the one that adds a row, and one may be added in sight.
    rows = min(len(shown), WHOLE_ROWS) + 1
    aside = any(notes) and len(notes) <= rows
    left, *right = st.columns([2, 1] if aside else 1)
    for place in right:
        _aside(place, notes)
    found = left.data_editor(
        shown,
        key=key,
        num_rows="dynamic",
        hide_index=True,
        height=_height(rows + 1),
        row_height=ROW_HEIGHT,
        column_order=KEYS,
        column_config={
            ROW: None,
            LEVELS: st.column_config.TextColumn(HEADINGS[LEVELS], help=HELP[LEVELS]),
            **{
                name: st.column_config.NumberColumn(
                    HEADINGS.get(name, name),
                    help=HELP[name],
                    format="localized" if name == "data_bits" else "%.6g",
                )
                for name in (*NUMBERS, *OPTIONAL)
            },
            "samples": st.column_config.NumberColumn(
                help=HELP["samples"], step=1, format="localized"
            ),
        },
    )
    if _same(found, state.table()):
        return
    try:
        made = edited(state.original(), found)
    except InputError as error:
        state.keep_table(found, None, error.problems)
    else:
        state.keep_table(found, made, ())
    st.rerun()  # the sidebar and the solution come before the page


def _aside(place: DeltaGenerator, notes: list[str]) -> None:
    """Show what is wrong with each row next to it, on the same line."""
    place.dataframe(
        pd.DataFrame({"what is wrong": notes}),
        key="beside",
        hide_index=True,
        height=_height(len(notes)),
        row_height=ROW_HEIGHT,
    )


def _height(rows: int) -> int:
    """Return the height in px of a table of some rows and its header."""
    return (rows + 1) * ROW_HEIGHT + BORDER


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
