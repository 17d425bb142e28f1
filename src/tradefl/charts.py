"""Every chart of the house: made once, used by the figures, the report and the console.

Altair describes them; vl-convert draws them without a browser. Colours are those of Okabe and Ito,
which colour-blind readers can tell apart, and a scheme has the same one everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from tradefl.consortium.files import atomic_write
from tradefl.errors import MissingExtraError

try:
    import altair as alt
except ImportError:
    raise MissingExtraError("charts", "charts") from None

if TYPE_CHECKING:
    import pandas as pd

# Okabe and Ito's palette, for whatever has no colour of its own.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
SCHEMES: Mapping[str, str] = {
    "CGBD": "#D55E00",
    "DBR": "#0072B2",
    "FIP": "#009E73",
    "GCA": "#E69F00",
    "WPR": "#CC79A7",
    "TOS": "#000000",
    "exact": "#56B4E9",
}
WIDTH, HEIGHT = 460, 300
PNG_SCALE = 2.0

Sized = TypeVar("Sized", "alt.Chart", "alt.LayerChart")


def colours(names: Iterable[str]) -> alt.Scale:
    """Return the colour scale of some names: schemes have their own, others the palette's."""
    names = list(dict.fromkeys(names))
    free = iter(PALETTE * (1 + len(names) // len(PALETTE)))
    return alt.Scale(domain=names, range=[SCHEMES.get(name) or next(free) for name in names])


def axis(
    field: str,
    title: str,
    *,
    log: bool = False,
    zero: bool = False,
    kind: str = "Q",
    **options: Any,
) -> dict[str, Any]:
    """Return the arguments of a position channel: field, title with unit, and scale."""
    scale = alt.Scale(type="log") if log else alt.Scale(zero=zero)
    return {"shorthand": f"{field}:{kind}", "title": title, "scale": scale, **options}


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
        legend=alt.Legend(symbolOpacity=1.0),
    )
    base = alt.Chart(summary).encode(x=alt.X(**x), color=colour)
    dash = alt.StrokeDash(f"{series}:N", sort=None, legend=None)
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
    return _sized(cast(alt.LayerChart, alt.layer(*layers)), title)


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
    return _sized(cast(alt.LayerChart, alt.layer(*layers)), title)


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
    return _sized(cast(alt.LayerChart, alt.layer(line, points)), title)


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
    return _sized(cast(alt.LayerChart, alt.layer(*layers)), title)


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
    return _sized(cast(alt.LayerChart, alt.layer(band, point)), title)


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
    return _sized(cells, title)


def _sized(chart: Sized, title: str) -> Sized:
    return chart.properties(width=WIDTH, height=HEIGHT, title=title)


# --- of one consortium: the report and the console ----------------------------------------------

# What each step of a payoff looks like, wherever it is drawn.
STEPS: Mapping[str, str] = {
    "revenue": "#0072B2",
    "overhead": "#D55E00",
    "damage": "#CC79A7",
    "redistribution": "#009E73",
    "payoff": "#757575",
}
NET = {"receives": "#0072B2", "pays": "#D55E00", "neither": "#757575"}
# A page gives these two the colour of its text, so that a chart fits a light and a dark one.
INK, FAINT = "#1f2328", "#d0d7de"
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
        chart: alt.Chart = (
            alt.Chart(given)
            .mark_bar(color=colour)
            .encode(
                y=alt.Y("organization:N", sort=names, title=None, axis=axis_),
                x=alt.X(f"{field}:Q", title=what, axis=alt.Axis(format="~s", tickCount=5)),
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
        Waterfalls beside each other.
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
    zero = alt.Chart().mark_rule(color=INK).encode(y=alt.datum(0))
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
    import pandas as pd

    count = max(len(net), 1)
    places = {}
    nodes: list[dict[str, Any]] = []
    for k, (name, amount, label) in enumerate(
        zip(net["organization"], net["amount"], net["label"], strict=True)
    ):
        turn = 2.0 * math.pi * k / count
        x, y = math.sin(turn), math.cos(turn)
        places[name] = (x, y)
        side = "middle" if abs(x) < 0.15 else "right" if x > 0.0 else "left"
        role = "receives" if amount > 0.0 else "pays" if amount < 0.0 else "neither"
        nodes.append(
            {"organization": name, "x": x, "y": y, "side": side, "in all it": role}
            | {"text": f"{name} {label}", "tx": 1.09 * x, "ty": 1.09 * y}
        )
    edges = [
        _arrow(places[payer], places[receiver], amount) | {"payer": payer, "receiver": receiver}
        for payer, receiver, amount in zip(
            payments["payer"], payments["receiver"], payments["amount"], strict=True
        )
    ]
    # As many pixels for a unit in both directions, and room for the names on both sides.
    spans = {alt.X: alt.Scale(domain=[-1.6, 1.6]), alt.Y: alt.Scale(domain=[-1.2, 1.2])}

    def at(field: str, channel: Any) -> Any:
        return channel(field, type="quantitative", scale=spans[channel], axis=None)

    layers: list[Any] = []
    if edges:
        drawn = alt.Chart(pd.DataFrame(edges))
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
    points = alt.Chart(pd.DataFrame(nodes))
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
            .encode(x=at("tx", alt.X), y=at("ty", alt.Y), text="text:N")
        )
    chart = cast(alt.LayerChart, alt.layer(*layers))
    return chart.properties(width=640, height=480, title=title)


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
                    legend=alt.Legend(labelLimit=300),
                ),
                strokeDash=alt.StrokeDash("mark:N", sort=None, title=None, legend=None),
            )
        )
    chart = cast(alt.LayerChart, alt.layer(*layers))
    return chart.properties(width=WIDTH + 60, height=HEIGHT, title=title)


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


def inline_svg(chart: Any, *, name: str, label: str, description: str) -> str:
    """Return a chart as SVG for a page: its text alternatives in it, its ink the page's.

    Parameters
    ----------
    chart
        The chart.
    name
        A word that no other chart of the page has: ids are made with it.
    label
        What the chart shows, a line.
    description
        What can be seen in it, in sentences.
    """
    text = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12}
    themed = (
        chart.configure(aria=False, background="transparent")
        .configure_view(stroke=None)
        .configure_axis(**text, gridColor=FAINT, domainColor=INK, tickColor=INK)
        .configure_legend(**text)
        .configure_header(**text)
        .configure_title(color=INK)
    )
    begin, found, rest = svg(themed).partition(">")
    begin = f'<svg role="img" aria-labelledby="{name}-title {name}-desc"' + begin.removeprefix(
        "<svg"
    )
    words = (
        f'<title id="{name}-title">{escape(label)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>'
    )
    # In tags alone: the texts between them are names, which may look like anything.
    rest = re.sub(r"<[^>]*>", lambda tag: _of_page(tag[0], name), rest)
    # The numbers in the ids count all charts that this process has drawn.
    made = dict.fromkeys(re.findall(rf' id="({name}-[a-z_]+[0-9]+)"', rest))
    for k, one in enumerate(made):
        rest = rest.replace(f' id="{one}"', f' id="{name}-part{k}"')
        rest = rest.replace(f"url(#{one})", f"url(#{name}-part{k})")
    return begin + found + words + rest


def _of_page(tag: str, name: str) -> str:
    """Return a tag of a chart with the page's ink, and with ids of its own."""
    # The chart is one image with one text alternative; its parts have no roles of their own.
    tag = re.sub(r' (?:aria-[a-z]+|role)="[^"]*"', "", tag)
    for paint in ("fill", "stroke"):
        tag = tag.replace(f'{paint}="{INK}"', f'{paint}="currentColor"')
        tag = tag.replace(f'{paint}="{FAINT}"', f'{paint}="currentColor" {paint}-opacity="0.2"')
    # Clip paths and gradients have ids, which charts of one page may not share.
    return tag.replace(' id="', f' id="{name}-').replace("url(#", f"url(#{name}-")


def panels(charts: Sequence[Any], *, columns: int = 2) -> alt.ConcatChart:
    """Return several charts beside and below each other."""
    shown: alt.ConcatChart = alt.concat(*charts, columns=columns)
    return cast(alt.ConcatChart, shown.resolve_scale(color="independent"))


def svg(chart: alt.TopLevelMixin) -> str:
    """Return a chart as SVG."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(chart.to_json(), vl_version=_version()))


def png(chart: alt.TopLevelMixin) -> bytes:
    """Return a chart as PNG, at twice its size."""
    import vl_convert

    return bytes(
        vl_convert.vegalite_to_png(chart.to_json(), vl_version=_version(), scale=PNG_SCALE)
    )


def html(chart: alt.TopLevelMixin) -> str:
    """Return a chart as an interactive page that needs no network."""
    import vl_convert

    return str(vl_convert.vegalite_to_html(chart.to_json(), vl_version=_version(), bundle=True))


def save(chart: alt.TopLevelMixin, folder: Path, name: str) -> list[Path]:
    """Write ``name.svg``, ``name.png`` and ``name.html``, each whole or not at all."""
    contents = {"svg": svg(chart).encode(), "png": png(chart), "html": html(chart).encode()}
    for suffix, content in contents.items():
        atomic_write(folder / f"{name}.{suffix}", content)
    return [folder / f"{name}.{suffix}" for suffix in contents]


def _version() -> str:
    return ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
