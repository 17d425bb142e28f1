"""What becomes of a chart: a picture, a page of its own, or a part of one."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

import altair as alt

from tradefl.charts.theme import FAINT, INK
from tradefl.consortium.files import atomic_write

PNG_SCALE = 2.0


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
