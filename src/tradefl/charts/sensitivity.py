"""The charts of uncertain figures: which moves whose payment most, and how wide the bands are."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import altair as alt

from tradefl.charts.theme import INK, PALETTE, sized

if TYPE_CHECKING:
    import pandas as pd


def tornado(rows: pd.DataFrame, *, unit: str = "payoff units", title: str = "") -> alt.LayerChart:
    """Return a bar for each figure, from the payment at its low end to that at its high end.

    Parameters
    ----------
    rows
        Columns ``figure``, ``payment_of``, ``low``, ``high`` and ``at`` (what the payment is at
        the middle), the widest bar first.
    unit
        What payments are in.
    title
        Of the chart.
    """
    order = rows["figure"].tolist()
    base = alt.Chart(rows).encode(y=alt.Y("figure:N", sort=order, title=None))
    tooltip = ["figure:N", "payment_of:N", "low:Q", "high:Q"]
    bars = base.mark_bar(color=PALETTE[0], opacity=0.7).encode(
        x=alt.X("low:Q", title=f"payment that it moves most, {unit}"),
        x2="high:Q",
        tooltip=tooltip,
    )
    names = base.mark_text(align="left", dx=5, color=INK).encode(x="right:Q", text="payment_of:N")
    return sized(cast(alt.LayerChart, alt.layer(bars, names)), title)


def gains(rows: pd.DataFrame, *, x: str = "gain over training alone") -> alt.LayerChart:
    """Return what each organization gains over training alone, as bars with their amounts.

    Parameters
    ----------
    rows
        Columns ``organization``, ``gain`` and ``label``.
    x
        The title of the axis.
    """
    order = rows["organization"].tolist()
    base = alt.Chart(rows).encode(y=alt.Y("organization:N", sort=order, title=None))
    bars = base.mark_bar(height=14).encode(
        x=alt.X("gain:Q", title=x),
        color=alt.condition("datum.gain >= 0", alt.value(PALETTE[0]), alt.value(PALETTE[1])),
        tooltip=["organization:N", "gain:Q"],
    )
    words = base.mark_text(align="left", dx=5, color=INK).encode(x=alt.X("gain:Q"), text="label:N")
    return sized(cast(alt.LayerChart, alt.layer(bars, words)), "")


def bands(rows: pd.DataFrame, *, x: str, title: str = "") -> alt.LayerChart:
    """Return for each organization the 5 to 95 % band of the draws and its median.

    Parameters
    ----------
    rows
        Columns ``organization``, ``p5``, ``p50`` and ``p95``.
    x
        The title of the axis.
    title
        Of the chart.
    """
    order = rows["organization"].tolist()
    base = alt.Chart(rows).encode(y=alt.Y("organization:N", sort=order, title=None))
    span = base.mark_bar(color=PALETTE[0], opacity=0.5, height=8).encode(
        x=alt.X("p5:Q", title=x, scale=alt.Scale(zero=False)),
        x2="p95:Q",
        tooltip=["organization:N", "p5:Q", "p50:Q", "p95:Q"],
    )
    middle = base.mark_tick(color=INK, thickness=2, height=14).encode(x="p50:Q")
    return sized(cast(alt.LayerChart, alt.layer(span, middle)), title)
