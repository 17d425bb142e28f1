"""The charts of a study of many consortia: how values are distributed, and what they depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import altair as alt

from tradefl.charts.theme import INK, colours, sized

if TYPE_CHECKING:
    import pandas as pd


def histogram(
    rows: pd.DataFrame,
    x: Mapping[str, Any],
    *,
    series: str,
    names: Sequence[str] | None = None,
    count: str,
    step: float,
    title: str = "",
    legend: str | None = None,
) -> alt.LayerChart:
    """Return how many rows have a value in each bin, the kinds in a column one over the other.

    Parameters
    ----------
    rows
        With the columns of ``x`` and ``series``; a missing value is not counted.
    x
        As :func:`axis` makes it.
    series
        The column whose names have a colour each.
    names
        All names, in the order of the colours; default: those that are there.
    count
        What is counted: the title of the other axis.
    step
        Width of a bin.
    title, legend
        Texts; the legend's default is the column's name.
    """
    known = colours(rows[series] if names is None else names)
    colour = alt.Color(f"{series}:N", scale=known, title=legend or series, sort=None)
    base = alt.Chart(rows.dropna(subset=_field(x))).encode(
        x=alt.X(x["shorthand"], title=x["title"], bin=alt.Bin(step=step)), color=colour
    )
    y = alt.Y("count():Q", title=count, stack=None)
    filled = base.mark_bar(opacity=0.45, binSpacing=0).encode(
        y=y, tooltip=[f"{series}:N", alt.Tooltip("count():Q", title=count)]
    )
    # Where two colours lie over each other, the edges tell them apart.
    edges = base.mark_bar(filled=False, strokeWidth=1.5, binSpacing=0).encode(y=y)
    return sized(cast(alt.LayerChart, alt.layer(filled, edges)), title)


def scatter(
    rows: pd.DataFrame,
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    *,
    series: str,
    title: str = "",
    legend: str | None = None,
    diagonal: bool = False,
) -> alt.LayerChart:
    """Return a point for each row, in the colour and shape of its kind.

    Parameters
    ----------
    rows
        With the columns of both axes and ``series``; a row with a missing value has no point.
    x, y
        As :func:`axis` makes them.
    series
        The column whose names have a colour and a shape each.
    title, legend
        Texts; the legend's default is the column's name.
    diagonal
        Draw the line on which both values are the same.
    """
    import pandas as pd

    shown = rows.dropna(subset=[_field(x), _field(y)])
    names = list(dict.fromkeys(shown[series]))
    name = legend or series
    points = (
        alt.Chart(shown)
        .mark_point(size=26, opacity=0.6)
        .encode(
            x=alt.X(**x),
            y=alt.Y(**y),
            color=alt.Color(f"{series}:N", scale=colours(names), title=name, sort=None),
            shape=alt.Shape(
                f"{series}:N",
                scale=alt.Scale(domain=names, range=[SHAPES[k % 4] for k in range(len(names))]),
                title=name,
                sort=None,
            ),
            tooltip=[
                f"{series}:N",
                *(alt.Tooltip(axis["shorthand"], format=",.5g") for axis in (x, y)),
            ],
        )
    )
    layers: list[Any] = []
    if diagonal and len(shown):
        both = shown[[_field(x), _field(y)]].to_numpy()
        ends = pd.DataFrame({"same": [both.min(), both.max()]})
        layers.append(
            alt.Chart(ends)
            .mark_line(color=INK, strokeDash=[4, 4], strokeWidth=1)
            .encode(
                x=alt.X("same:Q", title=x["title"], scale=x["scale"]),
                y=alt.Y("same:Q", title=y["title"], scale=y["scale"]),
            )
        )
    return sized(cast(alt.LayerChart, alt.layer(*layers, points)), title)


def marked(
    chart: alt.LayerChart, values: Mapping[float, str], *, axis: str = "x"
) -> alt.LayerChart:
    """Return a chart with named values of an axis marked by a line across it.

    Parameters
    ----------
    chart
        The chart.
    values
        A name for each value, shown at the end of the line.
    axis
        ``x`` or ``y``.
    """
    import pandas as pd

    lines = pd.DataFrame({"at": list(values), "name": list(values.values())})
    base = alt.Chart(lines)
    at = {axis: alt.X("at:Q") if axis == "x" else alt.Y("at:Q")}
    rule = base.mark_rule(color=INK, strokeDash=[2, 3]).encode(**at)
    place: dict[str, Any] = {"y": alt.value(4)} if axis == "x" else {"x": alt.value(4)}
    text = base.mark_text(
        color=INK, align="left", baseline="top" if axis == "x" else "bottom", dx=4, fontSize=10
    ).encode(text="name:N", **at, **place)
    return cast(
        alt.LayerChart,
        alt.layer(chart, rule, text).properties(
            title=chart.title, width=chart.width, height=chart.height
        ),
    )


SHAPES: Sequence[str] = ("circle", "triangle-up", "square", "diamond")


def _field(channel: Mapping[str, Any]) -> str:
    return str(channel["shorthand"]).partition(":")[0]
