"""The page Uncertainty: ranges as sliders, what the draws do, and what misreports gain."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from tradefl import charts
from tradefl.consortium import Consortium
from tradefl.consortium.ranges import Uncertain, uncertain
from tradefl.dashboard import state
from tradefl.dashboard.parts import aside, csv_of, offer, plain, safe, show_section
from tradefl.errors import InputError
from tradefl.game.money import unit_name, unit_of
from tradefl.incentives.misreports import CHECKED_BY, Incentives, incentives
from tradefl.incentives.uncertainty import Sensitivity, reworked, sensitivity
from tradefl.report import frames
from tradefl.report.blocks import amounts
from tradefl.report.ranges import ranges_section

SLIDERS = 12  # that a page shows; the draws use all ranges
RANGES = (0.05, 0.1, 0.2)


@st.cache_data(show_spinner="Drawing the uncertain figures", max_entries=8)
def drawn(key: str, _consortium: Consortium) -> Sensitivity:  # noqa: ARG001
    """Return what the ranges do; ``key`` is the consortium's."""
    return sensitivity(_consortium)


@st.cache_data(show_spinner="Trying misreports", max_entries=8)
def searched(key: str, width: float, _consortium: Consortium) -> Incentives:  # noqa: ARG001
    """Return what misreports gain under the rule in force; ``key`` is the consortium's."""
    return incentives(_consortium, width, all_rules=False)


def page() -> None:
    """Draw the page."""
    view = state.view()
    st.title("Uncertainty")
    figures = tuple(uncertain(view.consortium))
    if not figures:
        st.write(
            "No figure of the file has a range. Write one as "
            "`profitability = {low = 1200, mid = 1500, high = 1900}`."
        )
    else:
        _sliders(view, figures)
        _draws(view)
    _misreports(view)


def _sliders(view: state.View, figures: tuple[Uncertain, ...]) -> None:
    """Draw a slider for each range, and whose payment the values move."""
    st.subheader("What if the figures are others?")
    open_ = [figure for figure in figures if figure.low < figure.high]
    values = {figure: figure.mid for figure in figures}
    for start in range(0, min(len(open_), SLIDERS), 3):
        row = open_[start : min(start + 3, SLIDERS)]
        for place, figure in zip(st.columns(3), row, strict=False):
            with place:
                values[figure] = st.slider(
                    plain(str(figure)),
                    figure.low,
                    figure.high,
                    figure.mid,
                    key=f"range {figure}",
                    format="%.4g",
                )
    if len(open_) > SLIDERS:
        aside(f"{len(open_) - SLIDERS:,} more figures have a range; they stay in the middle.")
    middle = reworked(view.consortium, [figure.mid for figure in figures])
    now = reworked(view.consortium, list(values.values()))
    if now is None or middle is None:
        st.warning("With these figures there is no game: some organization could not take part.")
        return
    unit = unit_of(view.solution.game)
    columns = {
        "payment in the middle": middle[0] * unit,
        "payment now": now[0] * unit,
        "moved by": (now[0] - middle[0]) * unit,
        "payoff now": now[1] * unit,
    }
    table = pd.DataFrame(
        {"organization": list(view.consortium.names)}
        | {name: amounts(column.tolist()) for name, column in columns.items()}
    )
    most = int(np.abs(now[0] - middle[0]).argmax())
    who = view.consortium.names[most]
    moved = now[0][most] - middle[0][most]
    aside(
        "No payment moves."
        if abs(moved) <= 1e-9 * max(1.0, float(np.abs(middle[0]).max()))
        else f"The payment of {who} moves most."
    )
    st.table(safe(table).set_index("organization"))
    offer("What if, CSV", csv_of(table, "what-if.csv"), key="csv-what-if")


def _draws(view: state.View) -> None:
    """Draw the bands and the tornado."""
    try:
        found = drawn(view.key, view.consortium).in_currency()
    except InputError as error:
        st.warning(plain(str(error)))
        return
    who = frames.chosen(view.solution)
    unit = unit_name(found.agreed.game)
    bars, bands = frames.tornado(found), frames.payoff_bands(found, who)
    live = {
        "payoff-bands": (
            charts.bands(bands, x="payoff, 5 to 95 % of the draws"),
            "Payoffs over all draws",
        ),
        "tornado": (charts.tornado(bars, unit=unit), "Which figure moves whose payment most"),
    }
    st.subheader("How sure are we?")
    show_section(ranges_section(found, who), live, heading=False)
    offer("Draws, CSV", csv_of(found.to_frame(), "draws.csv"), key="csv-draws")


def _misreports(view: state.View) -> None:
    """Draw what a misreport gains, once asked for."""
    st.subheader("Could somebody game it?")
    width = st.select_slider(
        "How far a report may be from the truth",
        RANGES,
        0.1,
        format_func=lambda share: f"{share:.0%}",
    )
    asked = (view.key, width)
    if st.button("Search misreports") or st.session_state.get("_searched_misreports") == asked:
        st.session_state["_searched_misreports"] = asked
    else:
        aside("Every figure that the file states, each organization alone: takes seconds.")
        return
    found = searched(view.key, float(width), view.consortium).in_currency()
    code = unit_name(found.game)
    table = pd.DataFrame(
        [
            (
                found.game.name_of(misreport.organization),
                misreport.figure,
                amounts([misreport.gain])[0],
                "-" if misreport.paid_by is None else found.game.name_of(misreport.paid_by),
                CHECKED_BY[misreport.figure],
                "certified" if misreport.certified else "search",
            )
            for misreport in found.ranked
        ],
        columns=["organization", "figure", f"gain, {code}", "paid by", "checked by", "proof"],
    )
    st.dataframe(safe(table), hide_index=True, key="misreports")
    offer("Misreports, CSV", csv_of(table, "misreports.csv"), key="csv-misreports")


if __name__ == "__main__":
    page()
