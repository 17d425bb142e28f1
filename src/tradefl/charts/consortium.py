"""The charts of one consortium: the report draws them, and the console."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import altair as alt
import numpy as np

from tradefl.charts.theme import FAINT, HEIGHT, INK, LINES, PALETTE, WIDTH, dashes

if TYPE_CHECKING:
    import pandas as pd

# What each step of a payoff looks like, wherever it is drawn.
STEPS: Mapping[str, str] = {
    "revenue": "#0072B2",
    "overhead": "#D55E00",
    "damage": "#CC79A7",
    "redistribution": "#009E73",
    "payoff": "#757575",
}
NET = {"receives": "#0072B2", "pays": "#D55E00", "neither": "#757575"}
UPRIGHT_NAMES = 16  # around a circle; more would overlap
LABEL_PIXELS = 140  # of a name; a longer one ends in an ellipsis


def competition_map(pairs: pd.DataFrame, *, title: str = "") -> alt.LayerChart:
    """Return the competition intensities as coloured cells, with the numbers where they fit.

    Parameters
    ----------
    pairs
        With the columns ``first``, ``second`` (names) and ``intensity``, both orders of a pair.
    title
        Text above.
    """
    names = list(dict.fromkeys(pairs["first"]))
    size = max(14.0, min(34.0, 480.0 / max(len(names), 1)))
    axis_ = alt.Axis(labelLimit=LABEL_PIXELS)
    base = alt.Chart(pairs).encode(
        x=alt.X("second:N", sort=names, title=None, axis=axis_),
        y=alt.Y("first:N", sort=names, title=None, axis=axis_),
    )
    # Nobody competes at all: a scale from 0 to 0 would have no direction.
    largest = float(pairs["intensity"].max()) if len(pairs) else 0.0
    scale = alt.Scale(scheme="viridis", reverse=True, domain=[0.0, largest or 1.0])
    layers: list[Any] = [
        base.mark_rect(stroke=FAINT, strokeWidth=0.5).encode(
            color=alt.Color("intensity:Q", title="rho", scale=scale),
            tooltip=["first:N", "second:N", alt.Tooltip("intensity:Q", format=".4~g")],
        )
    ]
    if size >= 24.0:
        dark = alt.datum.intensity > 0.4 * largest
        layers.append(
            base.mark_text(fontSize=10).encode(
                text=alt.Text("intensity:Q", format=".2~g"),
                color=alt.when(dark).then(alt.value("#ffffff")).otherwise(alt.value("#000000")),
            )
        )
    chart = cast(alt.LayerChart, alt.layer(*layers))
    return chart.properties(width=alt.Step(size), height=alt.Step(size), title=title)


def contributions(given: pd.DataFrame, *, title: str = "") -> alt.HConcatChart:
    """Return what everybody contributes, three bars for each: d, f and x.

    Parameters
    ----------
    given
        With the columns ``organization``, ``data_fraction``, ``cpu_hz`` and ``resource_bits``.
    title
        Text above.
    """
    names = list(given["organization"])

    def part(field: str, what: str, colour: str, first: bool) -> alt.Chart:
        axis_ = alt.Axis(labelLimit=LABEL_PIXELS) if first else None
        # A share is read against all data, not in thousandths.
        share = field == "data_fraction"
        scale = alt.Scale(domain=[0.0, 1.0]) if share else alt.Scale()
        ticks = alt.Axis(format="~g" if share else "~s", tickCount=5)
        chart: alt.Chart = (
            alt.Chart(given)
            .mark_bar(color=colour)
            .encode(
                y=alt.Y("organization:N", sort=names, title=None, axis=axis_),
                x=alt.X(f"{field}:Q", title=what, scale=scale, axis=ticks),
                tooltip=["organization:N", alt.Tooltip(f"{field}:Q", format=",.6g")],
            )
            .properties(width=180, height=alt.Step(18))
        )
        return chart

    parts = (
        part("data_fraction", "d, share of its data", PALETTE[0], True),
        part("cpu_hz", "f, Hz", PALETTE[1], False),
        part("resource_bits", "x, bit", PALETTE[2], False),
    )
    return alt.hconcat(*parts, spacing=18).properties(title=title)


def payoff_waterfall(
    steps: pd.DataFrame, *, columns: int = 3, y_title: str = "payoff", title: str = ""
) -> alt.FacetChart:
    """Return a waterfall for each organization: every bar begins where the one before ended.

    Parameters
    ----------
    steps
        With the columns ``organization``, ``step`` (in order; a name of :data:`STEPS`),
        ``start``, ``end`` and ``label`` (the text at the bar's end).
    columns
        Waterfalls next to each other.
    y_title, title
        Texts.
    """
    order = list(dict.fromkeys(steps["step"]))
    scale = alt.Scale(domain=list(STEPS), range=list(STEPS.values()))
    base = alt.Chart().encode(
        x=alt.X("step:N", sort=order, title=None, axis=alt.Axis(labelAngle=-35))
    )
    bars_ = base.mark_bar().encode(
        y=alt.Y("start:Q", title=y_title),
        y2="end:Q",
        color=alt.Color("step:N", scale=scale, legend=None),
        tooltip=["organization:N", "step:N", "label:N"],
    )
    zero = alt.Chart().mark_rule(color=INK, aria=False).encode(y=alt.datum(0))
    texts = base.mark_text(color=INK, fontSize=10, baseline="bottom", dy=-2).encode(
        y=alt.Y("top:Q"), text="label:N"
    )
    data = steps.assign(top=steps[["start", "end"]].max(axis=1))
    names = list(dict.fromkeys(steps["organization"]))
    header = alt.Header(title=None, labelLimit=220, labelFontSize=12, labelFontWeight="bold")
    drawn = alt.layer(bars_, zero, texts, data=data).properties(width=230, height=150)
    faceted = drawn.facet(
        facet=alt.Facet("organization:N", sort=names, header=header), columns=columns
    )
    return cast(alt.FacetChart, faceted.properties(title=title))


def payment_network(
    payments: pd.DataFrame, net: pd.DataFrame, *, title: str = ""
) -> alt.LayerChart:
    """Return who pays whom: organizations on a circle, an arrow from each payer to its receiver.

    Parameters
    ----------
    payments
        With the columns ``payer``, ``receiver`` and ``amount`` > 0.
    net
        With the columns ``organization``, ``amount`` (received less paid, over all its pairs)
        and ``label`` (that amount as text); in the order around the circle.
    title
        Text above.
    """
    count = max(len(net), 1)
    # Then names are set like the spokes of a wheel, which needs room above and below.
    crowded = count > UPRIGHT_NAMES
    places = {}
    nodes: list[dict[str, Any]] = []
    for k, (name, amount, label) in enumerate(
        zip(net["organization"], net["amount"], net["label"], strict=True)
    ):
        turn = 2.0 * math.pi * k / count
        x, y = math.sin(turn), math.cos(turn)
        places[name] = (x, y)
        side = "middle" if abs(x) < 0.15 and not crowded else "right" if x >= 0.0 else "left"
        role = "receives" if amount > 0.0 else "pays" if amount < 0.0 else "neither"
        nodes.append(
            {"organization": name, "x": x, "y": y, "side": side, "in all it": role}
            | {"text": f"{name} {label}", "tx": 1.09 * x, "ty": 1.09 * y}
            | {"tilt": math.degrees(turn) + (-90.0 if x >= 0.0 else 90.0) if crowded else 0.0}
        )
    edges = [
        _arrow(places[payer], places[receiver], amount) | {"payer": payer, "receiver": receiver}
        for payer, receiver, amount in zip(
            payments["payer"], payments["receiver"], payments["amount"], strict=True
        )
    ]
    # As many pixels for a unit in both directions, and room for the names on both sides.
    reach = 1.8 if crowded else 1.2
    spans = {alt.X: alt.Scale(domain=[-1.6, 1.6]), alt.Y: alt.Scale(domain=[-reach, reach])}

    def at(field: str, channel: Any) -> Any:
        return channel(field, type="quantitative", scale=spans[channel], axis=None)

    layers: list[Any] = []
    if edges:
        drawn = alt.Chart(alt.InlineData(values=edges))
        width = alt.Scale(domain=[0.0, max(edge["amount"] for edge in edges)], range=[0.6, 5.0])
        tooltip = ["payer:N", "receiver:N", alt.Tooltip("amount:Q", format=",.5g")]
        layers.append(
            drawn.mark_rule(color="#757575", opacity=0.65).encode(
                x=at("x", alt.X),
                y=at("y", alt.Y),
                x2="x2:Q",
                y2="y2:Q",
                strokeWidth=alt.StrokeWidth("amount:Q", scale=width, legend=None),
                tooltip=tooltip,
            )
        )
        layers.append(
            drawn.mark_point(shape="triangle-up", filled=True, color="#757575", opacity=1).encode(
                x=at("hx", alt.X),
                y=at("hy", alt.Y),
                angle=alt.Angle("angle:Q", scale=alt.Scale(domain=[0, 360], range=[0, 360])),
                size=alt.Size(
                    "amount:Q",
                    scale=alt.Scale(domain=width.domain, range=[40, 160]),
                    legend=None,
                ),
                tooltip=tooltip,
            )
        )
    # Not a data frame: Altair would look through it again for every layer, which takes longer than
    # all the rest.
    points = alt.Chart(alt.InlineData(values=nodes))
    layers.append(
        points.mark_point(filled=True, size=160, opacity=1).encode(
            x=at("x", alt.X),
            y=at("y", alt.Y),
            color=alt.Color(
                "in all it:N", scale=alt.Scale(domain=list(NET), range=list(NET.values()))
            ),
            shape=alt.Shape(
                "in all it:N",
                scale=alt.Scale(domain=list(NET), range=["circle", "square", "diamond"]),
            ),
            tooltip=["text:N"],
        )
    )
    for side, align in (("right", "left"), ("left", "right"), ("middle", "center")):
        layers.append(
            points.transform_filter(alt.datum.side == side)
            .mark_text(color=INK, align=cast(Any, align), limit=LABEL_PIXELS + 40)
            .encode(
                x=at("tx", alt.X),
                y=at("ty", alt.Y),
                text="text:N",
                **({"angle": alt.Angle("tilt:Q", scale=None)} if crowded else {}),
            )
        )
    chart = cast(alt.LayerChart, alt.layer(*layers))
    return chart.properties(width=640, height=400.0 * reach, title=title)


def _arrow(start: tuple[float, float], end: tuple[float, float], amount: float) -> dict[str, Any]:
    """Return where an arrow begins and ends, short of the two places, and where it points."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy) or 1.0
    ux, uy = dx / length, dy / length
    return {
        "amount": amount,
        "x": start[0] + 0.05 * ux,
        "y": start[1] + 0.05 * uy,
        "x2": end[0] - 0.10 * ux,
        "y2": end[1] - 0.10 * uy,
        "hx": end[0] - 0.09 * ux,
        "hy": end[1] - 0.09 * uy,
        "angle": math.degrees(math.atan2(ux, uy)) % 360.0,
    }


def gamma_curve(
    curve: pd.DataFrame, marks: pd.DataFrame, *, negative: str, title: str = ""
) -> alt.LayerChart:
    """Return welfare against gamma, with the gammas that matter marked.

    Parameters
    ----------
    curve
        With the columns ``gamma`` > 0, ``welfare`` and ``rational`` (whether nobody's payoff
        is negative there).
    marks
        With the columns ``gamma`` > 0 and ``mark``, a name for each.
    negative
        What the legend calls the points where somebody's payoff is negative.
    title
        Text above.
    """
    decades = np.log10([curve["gamma"].min(), curve["gamma"].max()])
    ticks = 10.0 ** np.arange(math.floor(decades[0]), math.ceil(decades[1]) + 1)
    x = alt.X(
        "gamma:Q",
        title="gamma, payoff per bit",
        scale=alt.Scale(type="log"),
        axis=alt.Axis(format=".0e", values=ticks.tolist()),
    )
    base = alt.Chart(curve).encode(x=x)
    y = alt.Y("welfare:Q", title="social welfare", scale=alt.Scale(zero=False))
    layers: list[Any] = [base.mark_line(color=PALETTE[0]).encode(y=y)]
    if not curve["rational"].all():
        losing = curve[~curve["rational"].astype(bool)].assign(kind=negative)
        layers.append(
            alt.Chart(losing)
            .mark_point(shape="cross", color=PALETTE[1], size=40, filled=True, opacity=1)
            .encode(
                x=x,
                y=y,
                shape=alt.Shape(
                    "kind:N",
                    title=None,
                    scale=alt.Scale(range=["cross"]),
                    legend=alt.Legend(symbolFillColor=PALETTE[1], labelLimit=300),
                ),
            )
        )
    if len(marks):
        rules = alt.Chart(marks).encode(x=x)
        layers.append(
            rules.mark_rule(strokeWidth=2).encode(
                color=alt.Color(
                    "mark:N",
                    title=None,
                    sort=None,
                    scale=alt.Scale(domain=list(marks["mark"]), range=list(PALETTE[2:4])),
                    legend=LINES,
                ),
                strokeDash=alt.StrokeDash(
                    "mark:N", sort=None, title=None, scale=dashes(marks["mark"]), legend=LINES
                ),
            )
        )
    chart = cast(alt.LayerChart, alt.layer(*layers))
    return chart.properties(width=WIDTH + 60, height=HEIGHT, title=title)


def rule_gains(gains: pd.DataFrame, *, title: str = "") -> alt.LayerChart:
    """Return what each organization gains under each rule, bars side by side around zero.

    Parameters
    ----------
    gains
        With the columns ``organization``, ``rule`` and ``gain``.
    title
        Text above.
    """
    names = list(dict.fromkeys(gains["organization"]))
    rules = list(dict.fromkeys(gains["rule"]))
    colour = alt.Scale(domain=rules, range=list(PALETTE[: len(rules)]))
    bars_ = (
        alt.Chart(gains)
        .mark_bar()
        .encode(
            y=alt.Y(
                "organization:N", sort=names, title=None, axis=alt.Axis(labelLimit=LABEL_PIXELS)
            ),
            yOffset=alt.YOffset("rule:N", sort=rules),
            x=alt.X("gain:Q", title="gain over no payments, payoff"),
            color=alt.Color(
                "rule:N",
                title=None,
                sort=rules,
                scale=colour,
                legend=alt.Legend(orient="bottom", direction="vertical", labelLimit=400),
            ),
            tooltip=["organization:N", "rule:N", alt.Tooltip("gain:Q", format=",.6g")],
        )
    )
    zero = alt.Chart(gains).mark_rule(color=INK, aria=False).encode(x=alt.datum(0))
    chart = cast(alt.LayerChart, alt.layer(bars_, zero))
    return chart.properties(width=WIDTH, height=alt.Step(12), title=title)


def training_curves(rounds: pd.DataFrame, *, title: str = "") -> alt.HConcatChart:
    """Return accuracy and loss against the round, side by side.

    Parameters
    ----------
    rounds
        With the columns ``round`` (0: before the first), ``accuracy`` and ``loss``; a missing
        value leaves a gap.
    title
        Text above.
    """

    def part(field: str, colour: str) -> alt.Chart:
        chart: alt.Chart = (
            alt.Chart(rounds)
            .mark_line(point=True, color=colour)
            .encode(
                x=alt.X("round:Q", title="round", axis=alt.Axis(tickMinStep=1, format="d")),
                y=alt.Y(f"{field}:Q", title=field, scale=alt.Scale(zero=False)),
                tooltip=["round:Q", alt.Tooltip(f"{field}:Q", format=".5g")],
            )
            .properties(width=300, height=HEIGHT - 80)
        )
        return chart

    parts = (part("accuracy", PALETTE[0]), part("loss", PALETTE[1]))
    return alt.hconcat(*parts, spacing=24).properties(title=title)
