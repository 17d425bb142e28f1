"""The page Decision: what a board must know, in plain words and money."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable

import pandas as pd
import streamlit as st

from tradefl import charts
from tradefl.dashboard import state
from tradefl.dashboard.changes import what_if
from tradefl.dashboard.editing import Download
from tradefl.dashboard.parts import csv_of, offer, safe, show_section
from tradefl.report import frames
from tradefl.report import report as html_report
from tradefl.report.blocks import Section, Table
from tradefl.report.decision import chart_words, decision_section
from tradefl.report.pdf import BROWSERS, pdf_of
from tradefl.solvers.cautions import cautions
from tradefl.stability import Stability

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def page() -> None:
    """Draw the page."""
    view = state.view()
    solution, consortium = view.solution.in_currency(), view.consortium.in_currency()
    who = frames.chosen(solution)
    notes = [f"Note: {text}." for text in cautions(view.solution)]
    section = decision_section(consortium, solution, who, None, notes, _stays(view))
    st.title("Decision")
    gains = frames.gains_over_alone(solution, who)
    live = {"gains": (charts.gains(gains), chart_words(gains))}
    show_section(section, live, heading=False)
    _downloads(section, view)
    what_if(view)


def _stays(view: state.View) -> Stability | None:
    """Return whether they would stay, for one line; where that takes long, its page is asked."""
    if not 2 <= len(view.consortium) < state.ASK_FROM:
        return None
    try:
        return state.stays(view.key, view.solution.method, view.solution).in_currency()
    except ValueError:  # the page Stability says why
        return None


def _downloads(section: Section, view: state.View) -> None:
    stem = view.consortium.source.stem
    table = frame_of(section)
    first, second, third = st.columns(3)
    with first:
        offer("The table, CSV", csv_of(table, f"{stem}.decision.csv"), key="csv-decision")
    with second:
        sheet = _sheet(table)
        if sheet is not None:
            file = Download(f"{stem}.decision.xlsx", XLSX, sheet)
            offer("The table, XLSX", file, key="xlsx-decision")
    with third:
        if any(map(shutil.which, BROWSERS)):
            offer(
                "Board report, PDF",
                _printed(view),
                name=f"{stem}.board.pdf",
                mime="application/pdf",
                key="pdf-decision",
            )


def _printed(view: state.View) -> Callable[[], bytes]:
    return lambda: pdf_of(html_report(view.consortium, view.solution, audience="board"))


def frame_of(section: Section) -> pd.DataFrame:
    """Return the table of the section as a data frame, without its sums."""
    table = next(block for block in section.blocks if isinstance(block, Table))
    return pd.DataFrame(table.rows, columns=[column.heading for column in table.columns])


def _sheet(table: pd.DataFrame) -> bytes | None:
    """Return the table as an XLSX file; ``None`` without openpyxl."""
    stream = io.BytesIO()
    try:
        safe(table).to_excel(stream, index=False, sheet_name="decision", engine="openpyxl")
    except ImportError:
        return None
    return stream.getvalue()


if __name__ == "__main__":
    page()
