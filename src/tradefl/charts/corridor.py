"""The chart of participation: where each payoff is between leaving and being worth its pay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import altair as alt

from tradefl.charts.theme import FAINT, INK, PALETTE, WIDTH

if TYPE_CHECKING:
    import pandas as pd

LABEL_PIXELS = 140
# Column, what the legend says, colour and shape.
MARKS = (
    ("alone", "alone", PALETTE[1], "triangle-right"),
    ("marginal", "what it brings", PALETTE[2], "triangle-left"),
    ("least_core", "least core", INK, "diamond"),
    ("payoff", "payoff", PALETTE[0], "circle"),
)


def corridor(rows: pd.DataFrame, *, x_title: str = "payoff", title: str = "") -> alt.LayerChart:
    """Return a bar for each organization from what it has alone to what it brings, with its payoff.

    Parameters
    ----------
    rows
        With the columns ``organization``, ``alone``, ``marginal``, ``least_core`` and ``payoff``.
    x_title, title
        Texts.
    """
    names = list(rows["organization"])
    y = alt.Y("organization:N", sort=names, title=None, axis=alt.Axis(labelLimit=LABEL_PIXELS))
    scale = alt.Scale(zero=False)
    bars = (
        alt.Chart(rows)
        .mark_bar(color=FAINT, height=10, aria=False)
        .encode(y=y, x=alt.X("alone:Q", title=x_title, scale=scale), x2="marginal:Q")
    )
    points: list[dict[str, Any]] = [
        {"organization": row["organization"], "what": said, "amount": float(row[column])}
        for row in rows.to_dict("records")
        for column, said, _, _ in MARKS
    ]
    said = [mark[1] for mark in MARKS]
    marks = (
        alt.Chart(alt.InlineData(values=points))
        .mark_point(filled=True, size=70, opacity=0.9)
        .encode(
            y=y,
            x=alt.X("amount:Q", title=x_title, scale=scale),
            color=alt.Color(
                "what:N",
                title=None,
                sort=said,
                scale=alt.Scale(domain=said, range=[mark[2] for mark in MARKS]),
            ),
            shape=alt.Shape(
                "what:N",
                title=None,
                sort=said,
                scale=alt.Scale(domain=said, range=[mark[3] for mark in MARKS]),
            ),
            tooltip=["organization:N", "what:N", alt.Tooltip("amount:Q", format=",.6g")],
        )
    )
    chart = cast(alt.LayerChart, alt.layer(bars, marks))
    return chart.properties(width=WIDTH, height=alt.Step(22), title=title)
