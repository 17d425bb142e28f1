"""The charts of the paper's figures: values with their bands, one line or bar for each scheme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import altair as alt

from tradefl.charts.theme import LINES, colours, dashes, sized

if TYPE_CHECKING:
    import pandas as pd


def lines(
    summary: pd.DataFrame,
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    *,
    series: str,
    title: str = "",
    legend: str | None = None,
    points: bool = False,
) -> alt.LayerChart:
    """Return lines with their 90 % bands, one for each name in a column.

    Parameters
    ----------
    summary
        With the columns of both axes, ``series``, and ``low`` and ``high`` where there is a band.
    x, y
        As :func:`axis` makes them.
    series
        The column whose names are the lines.
    title, legend
        Texts; the legend's default is the column's name.
    points
        Mark the points.
    """
    colour = alt.Color(
        f"{series}:N",
        scale=colours(summary[series]),
        title=legend or series,
        sort=None,
        legend=LINES,
    )
    base = alt.Chart(summary).encode(x=alt.X(**x), color=colour)
    dash = alt.StrokeDash(
        f"{series}:N",
        scale=dashes(summary[series]),
        title=legend or series,
        sort=None,
        legend=LINES,
    )
    layers: list[Any] = []
    if {"low", "high"} <= set(summary.columns):
        layers.append(
            base.mark_area(opacity=0.15).encode(
                y=alt.Y("low:Q", title=y["title"], scale=y["scale"]), y2="high:Q"
            )
        )
    layers.append(
        base.mark_line(point=points).encode(
            y=alt.Y(**y),
            strokeDash=dash,
            tooltip=[f"{series}:N", x["shorthand"], alt.Tooltip(y["shorthand"], format=",.5g")],
        )
    )
    return sized(cast(alt.LayerChart, alt.layer(*layers)), title)


def bars(
    summary: pd.DataFrame,
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    *,
    title: str = "",
) -> alt.LayerChart:
    """Return a bar with its 90 % band for each name on the x axis, in the colour of its scheme."""
    field = str(x["shorthand"]).partition(":")[0]
    base = alt.Chart(summary).encode(
        x=alt.X(f"{field}:N", title=x["title"], sort=None, axis=alt.Axis(labelAngle=0))
    )
    layers: list[Any] = [
        base.mark_bar().encode(
            y=alt.Y(**y),
            color=alt.Color(f"{field}:N", scale=colours(summary[field]), legend=None),
            tooltip=[f"{field}:N", alt.Tooltip(y["shorthand"], format=",.5g")],
        )
    ]
    if {"low", "high"} <= set(summary.columns):
        layers.append(
            base.mark_rule(color="black").encode(
                y=alt.Y("low:Q", title=y["title"], scale=y["scale"]), y2="high:Q"
            )
        )
    return sized(cast(alt.LayerChart, alt.layer(*layers)), title)


def fitted(
    summary: pd.DataFrame,
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    *,
    fit: str,
    series: str,
    title: str = "",
    legend: str | None = None,
) -> alt.LayerChart:
    """Return measured points, and the fitted curve of the column ``fit`` for each name."""
    colour = alt.Color(
        f"{series}:N", scale=colours(summary[series]), title=legend or series, sort=None
    )
    base = alt.Chart(summary).encode(x=alt.X(**x), color=colour)
    line = base.mark_line().encode(y=alt.Y(f"{fit}:Q", title=y["title"], scale=y["scale"]))
    points = base.mark_point(filled=True, size=45).encode(
        y=alt.Y(**y),
        tooltip=[f"{series}:N", x["shorthand"], alt.Tooltip(y["shorthand"], format=",.5g")],
    )
    return sized(cast(alt.LayerChart, alt.layer(line, points)), title)


def grouped_bars(
    summary: pd.DataFrame,
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    *,
    series: str,
    title: str = "",
    legend: str | None = None,
) -> alt.LayerChart:
    """Return bars side by side, one for each name in ``series``, over each name on the x axis."""
    field = str(x["shorthand"]).partition(":")[0]
    offset = alt.XOffset(f"{series}:N", sort=None)
    base = alt.Chart(summary).encode(
        x=alt.X(f"{field}:N", title=x["title"], sort=None, axis=alt.Axis(labelAngle=0)),
        xOffset=offset,
    )
    layers: list[Any] = [
        base.mark_bar().encode(
            y=alt.Y(**y),
            color=alt.Color(
                f"{series}:N", scale=colours(summary[series]), title=legend or series, sort=None
            ),
            tooltip=[f"{field}:N", f"{series}:N", alt.Tooltip(y["shorthand"], format=",.5g")],
        )
    ]
    if {"low", "high"} <= set(summary.columns):
        layers.append(
            base.mark_rule(color="black").encode(
                y=alt.Y("low:Q", title=y["title"], scale=y["scale"]), y2="high:Q"
            )
        )
    return sized(cast(alt.LayerChart, alt.layer(*layers)), title)


def dots(
    summary: pd.DataFrame,
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    *,
    title: str = "",
) -> alt.LayerChart:
    """Return a point with its 90 % band for each name on the x axis, in the colour of its scheme.

    For differences that a bar from zero would hide.
    """
    field = str(x["shorthand"]).partition(":")[0]
    base = alt.Chart(summary).encode(
        x=alt.X(f"{field}:N", title=x["title"], sort=None, axis=alt.Axis(labelAngle=0)),
        color=alt.Color(f"{field}:N", scale=colours(summary[field]), legend=None),
    )
    band = base.mark_rule().encode(
        y=alt.Y("low:Q", title=y["title"], scale=y["scale"]), y2="high:Q"
    )
    point = base.mark_point(filled=True, size=80, opacity=1.0).encode(
        y=alt.Y(**y), tooltip=[f"{field}:N", alt.Tooltip(y["shorthand"], format=",.5g")]
    )
    return sized(cast(alt.LayerChart, alt.layer(band, point)), title)


def heat_map(
    summary: pd.DataFrame,
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    *,
    value: str,
    legend: str,
    title: str = "",
) -> alt.Chart:
    """Return a value over two others as coloured cells; x and y are taken as categories."""
    first, second = (str(channel["shorthand"]).partition(":")[0] for channel in (x, y))
    ticks = alt.Axis(format=".3~g")
    cells: alt.Chart = (
        alt.Chart(summary)
        .mark_rect()
        .encode(
            x=alt.X(f"{first}:O", title=x["title"], axis=ticks),
            y=alt.Y(f"{second}:O", title=y["title"], sort="descending", axis=ticks),
            color=alt.Color(f"{value}:Q", title=legend, scale=alt.Scale(scheme="viridis")),
            tooltip=[f"{first}:Q", f"{second}:Q", alt.Tooltip(f"{value}:Q", format=",.5g")],
        )
    )
    return sized(cells, title)


def panels(charts: Sequence[Any], *, columns: int = 2) -> alt.ConcatChart:
    """Return several charts next to and below each other."""
    shown: alt.ConcatChart = alt.concat(*charts, columns=columns)
    own: Any = dict.fromkeys(("color", "shape", "strokeDash"), "independent")
    return cast(alt.ConcatChart, shown.resolve_scale(**own))
