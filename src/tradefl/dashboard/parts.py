"""What the pages are made of: charts in the page's colours, and the report's texts and tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from tradefl.charts import FAINT, INK
from tradefl.dashboard.editing import Download
from tradefl.foreign import spreadsheet_cell
from tradefl.report.blocks import Facts, Figure, Listing, Section, Table, Text, digits_of
from tradefl.text import printable

# On a dark page ink is light; black, which is one scheme's colour, too.
DARK = {INK: "#e6e8eb", FAINT: "#3d444d", "#000000": "#ffffff", "black": "#ffffff"}
SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>$~:^&@])")
GROUPED = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d*)?")  # an amount as pages show it
LONGEST_METRIC = 16  # longer ones would be cut
LONGEST_WORD = 42  # an address; words do not break
MOST_PROBLEMS = 5  # a faulty table may have hundreds
Charts = Mapping[str, tuple[Any, str]]


def plain(text: str) -> str:
    """Return text that Markdown shows as it is, with nothing in it that hides or turns words."""
    return SPECIAL.sub(r"\\\1", printable(text, lines=True))


def aside(text: str) -> None:
    """Show a line in small letters; Streamlit's captions are too pale to read (WCAG AA)."""
    st.markdown(f":small[{plain(text)}]")


def show_problems(problems: Sequence[str], heading: str) -> None:
    """Show what is wrong, a line each: the first :data:`MOST_PROBLEMS`, and how many more."""
    if problems:
        shown = [plain(problem) for problem in problems[:MOST_PROBLEMS]]
        if more := len(problems) - len(shown):
            shown.append(f"and {more:,} more, {len(problems):,} in all")
        lines = "\n".join(f"- {line}" for line in shown)
        st.error(f"{heading}\n\n{lines}")


def show_chart(chart: Any, alt: str, *, key: str) -> None:
    """Show a chart in the colours of the page, with a text for those who cannot see it."""
    # What made it is typed, and validating it again takes longer than drawing it.
    spec = chart.to_dict(validate=False)
    words = {"labelColor": INK, "titleColor": INK}
    spec["config"] = {
        "background": "transparent",
        "axis": {**words, "gridColor": FAINT, "domainColor": INK, "tickColor": INK},
        "header": words,
        "legend": words,
        "title": {"color": INK},
        "view": {"stroke": None},
    }
    # Otherwise a legend takes its width from the chart.
    spec["autosize"] = {"type": "pad"}
    text = json.dumps(spec)
    if st.context.theme.type == "dark":
        for light, dark in DARK.items():
            text = text.replace(f'"{light}"', f'"{dark}"')
    # Streamlit's own theme makes words too pale to read, and leaves names out.
    st.vega_lite_chart(spec=json.loads(text), alt=alt, key=key, width="content", theme=None)


def show_section(section: Section, charts: Charts | None = None, *, heading: bool = True) -> None:
    """Show a section of the report; ``charts`` replace its figures, by name, with live ones."""
    if heading:
        st.subheader(plain(section.heading))
    for block in section.blocks:
        match block:
            case Text():
                st.markdown(f"**{plain(block.text)}**" if block.strong else plain(block.text))
            case Listing():
                st.markdown("\n".join(f"- {plain(item)}" for item in block.items))
            case Facts():
                show_facts(
                    [(fact.name, fact.value, fact.equation, fact.meaning) for fact in block.facts]
                )
            case Figure():
                if charts is not None and block.name in charts:
                    chart, alt = charts[block.name]
                    show_chart(chart, alt, key=f"chart-{block.name}")
                aside(block.caption)
            case Table():
                if block.folded:
                    with st.expander(plain(block.caption)):
                        show_table(block)
                else:
                    aside(block.caption)
                    show_table(block)


def show_facts(facts: Sequence[tuple[str, str, str, str]]) -> None:
    """Show numbers next to each other: name, value, equation, meaning; long values as lines."""
    lines = [fact for fact in facts if len(fact[1]) > LONGEST_METRIC]
    facts = [fact for fact in facts if fact not in lines]
    for start in range(0, len(facts), 4):
        row = facts[start : start + 4]
        for column, (name, value, equation, meaning) in zip(st.columns(len(row)), row, strict=True):
            below = ", ".join(part for part in (equation, meaning) if part)
            with column:
                st.metric(plain(name), value)
                if below:
                    aside(below)
    for name, value, *_ in lines:
        st.text(printable(f"{name}: {value}"))


def amount_columns(table: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """Return how columns of amounts are shown: grouped, with as many digits as the report has.

    Numbers stay numbers, so that columns sort by value and are right-aligned.
    """
    digits = digits_of(table[list(names)].to_numpy(dtype=float).ravel())
    shown = st.column_config.NumberColumn(format=f"%,.{digits}f")
    return dict.fromkeys(names, shown)


def show_table(table: Table) -> None:
    """Show a table of the report."""
    headings = [
        f"{column.heading}, {column.equation}" if column.equation else column.heading
        for column in table.columns
    ]
    rows = [*table.rows, *([table.footer] if table.footer else [])]
    # Two columns of the same name would be an error.
    headings = [
        f"{name} ({k})" if name in headings[:k] else name for k, name in enumerate(headings)
    ]
    if any(len(word) > LONGEST_WORD for row in rows for cell in row for word in cell.split()):
        # Such as a hash, which the other kind of table would cut off.
        st.dataframe(safe(pd.DataFrame(rows, columns=headings)), hide_index=True)
        return
    frame = pd.DataFrame(
        [[plain(cell) for cell in row] for row in rows], columns=[plain(name) for name in headings]
    )
    st.table(frame.set_index(frame.columns[0]))


def offer(
    label: str, file: Download | Callable[[], bytes], *, key: str, name: str = "", mime: str = ""
) -> None:
    """Offer a file; one that takes time is made when it is asked for."""
    if isinstance(file, Download):
        st.download_button(label, file.content, file.name, file.mime, key=key, on_click="ignore")
    else:
        st.download_button(label, file, name, mime, key=key, on_click="ignore")


def csv_of(frame: pd.DataFrame, name: str) -> Download:
    """Return a table as a CSV file for spreadsheets; numbers keep all their digits.

    A name from a partner that a spreadsheet would run as a formula is marked as text.
    """
    cells = frame.map(_cell).rename(columns=_cell)
    return Download(name, "text/csv", cells.to_csv(index=False).encode("utf-8-sig"))


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if GROUPED.fullmatch(value):
        return value.replace(",", "")  # a number again, for the spreadsheet
    return spreadsheet_cell(printable(value))


def safe(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts hide no word and turn none."""
    return frame.map(lambda value: printable(value) if isinstance(value, str) else value)
