"""Ranges of several things below each other: a point and its 90 % band for each name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import altair as alt
import pandas as pd

from tradefl.charts.theme import colours, sized


def ranges(
    summary: pd.DataFrame,
    x: Mapping[str, Any],
    *,
    names: str,
    series: str,
    title: str = "",
) -> alt.LayerChart:
    """Return a point and its band, columns ``low`` and ``high``, for each name on the y axis.

    Names stay in their order of appearance; each series has a colour and a place of its own within
    a name's row. For many long names, which an x axis has no room for.
    """
    base = alt.Chart(summary).encode(
        y=alt.Y(f"{names}:N", title=None, sort=None, axis=alt.Axis(labelLimit=260)),
        yOffset=alt.YOffset(f"{series}:N", sort=None),
        color=alt.Color(f"{series}:N", scale=colours(summary[series]), title=None, sort=None),
    )
    band = base.mark_rule().encode(
        x=alt.X("low:Q", title=x["title"], scale=x["scale"]), x2="high:Q"
    )
    shown = alt.Tooltip(str(x["shorthand"]), format=",.5g")
    point = base.mark_point(filled=True, size=60, opacity=1.0).encode(
        x=alt.X(**x), tooltip=[f"{names}:N", f"{series}:N", shown]
    )
    return sized(cast(alt.LayerChart, alt.layer(band, point)), title)
