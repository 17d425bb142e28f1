"""What becomes of a chart: a picture, a page of its own, or a part of one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
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
    for k, id_ in enumerate(made):
        rest = rest.replace(f' id="{id_}"', f' id="{name}-part{k}"')
        rest = rest.replace(f"url(#{id_})", f"url(#{name}-part{k})")
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
    return _converted(chart, "svg").decode()


def png(chart: alt.TopLevelMixin) -> bytes:
    """Return a chart as PNG, at twice its size."""
    return _converted(chart, "png", scale=PNG_SCALE)


def pdf(chart: alt.TopLevelMixin) -> bytes:
    """Return a chart as a PDF page of its size: vectors and text, no pixels."""
    return _converted(chart, "pdf")


def pdf_of_svg(picture: str) -> bytes:
    """Return an SVG picture as a PDF page of its size."""
    return _called("svg_to_pdf", picture, {})


def html(chart: alt.TopLevelMixin) -> str:
    """Return a chart as an interactive page that needs no network."""
    return _converted(chart, "html", bundle=True).decode()


def save(chart: alt.TopLevelMixin, folder: Path, name: str) -> list[Path]:
    """Write ``name.svg``, ``name.png`` and ``name.html``, each whole or not at all."""
    contents = {"svg": svg(chart).encode(), "png": png(chart), "html": html(chart).encode()}
    for suffix, content in contents.items():
        atomic_write(folder / f"{name}.{suffix}", content)
    return [folder / f"{name}.{suffix}" for suffix in contents]


# Draws in an interpreter of its own what it reads from stdin.
_ELSEWHERE = """
import json, sys, vl_convert
task = json.load(sys.stdin)
found = getattr(vl_convert, task["function"])(task["given"], **task["options"])
sys.stdout.buffer.write(found if isinstance(found, bytes) else found.encode())
"""
# The process that has drawn first, of this one and those it was forked from; 0: none has.
_drawn_by = 0


def _converted(chart: alt.TopLevelMixin, kind: str, **options: Any) -> bytes:
    """Return a chart as vl-convert draws it."""
    options |= {"vl_version": _version()}
    return _called(f"vegalite_to_{kind}", chart.to_json(validate=False), options)


def _called(function: str, given: str, options: dict[str, Any]) -> bytes:
    """Return what a function of vl-convert makes of a text.

    It draws in a thread of its own, which a fork does not copy: in a child whose parent has drawn,
    it would wait for that thread for good. There another interpreter draws.

    Raises
    ------
    RuntimeError
        The other interpreter fails.
    """
    global _drawn_by
    if _drawn_by in (0, os.getpid()):
        import vl_convert

        _drawn_by = os.getpid()
        found = getattr(vl_convert, function)(given, **options)
        return found if isinstance(found, bytes) else str(found).encode()
    task = {"function": function, "given": given, "options": options}
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-P", "-c", _ELSEWHERE],
        input=json.dumps(task).encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise RuntimeError(f"the chart could not be drawn after a fork: {said}")
    return done.stdout


def _version() -> str:
    return ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
