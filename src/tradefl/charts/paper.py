r"""Charts for a printed paper: a PDF of vectors, and one whose labels LaTeX typesets.

The second is a picture in two files, as Inkscape exports it: ``NAME-graphic.pdf`` has everything
but the labels, ``NAME.tex`` includes it and puts each label where it was, in PGF/TikZ. So the
labels have the paper's font and size, and symbols are mathematics. A paper needs

    \usepackage{graphicx,tikz}
    ...
    \begin{figure}\centering\input{fig6}\caption{...}\end{figure}

``\figurewidth`` (default ``\linewidth``) and ``\figurefont`` (default ``\scriptsize``; for a narrow
column ``\tiny``) may be defined before.
"""

from __future__ import annotations

import copy
import re
import unicodedata
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import altair as alt
import numpy as np
import numpy.typing as npt

from tradefl.charts.drawing import pdf, pdf_of_svg, svg
from tradefl.consortium.files import atomic_write

SVG = "{http://www.w3.org/2000/svg}"
ANCHORS = {"start": "base west", "middle": "base", "end": "base east"}
# What LaTeX reads as something else.
SPECIAL = {
    **{sign: rf"\{sign}" for sign in "%&#_{}$"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
SIGNS = {
    "−": "-",
    "×": r"\times ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "·": r"\cdot ",
    "Σ": r"\textstyle\sum ",
    "∑": r"\textstyle\sum ",
    "ϖ": r"\varpi ",
    "ε": r"\varepsilon ",
}
SUBSCRIPTS = dict(zip("ᵢⱼₑ₀₁₂₃₄₅₆₇₈₉", "ije0123456789", strict=True))
SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True))
POWER = re.compile(r"([0-9.]*)e([+-]?)([0-9]+)")

Matrix = npt.NDArray[np.float64]


class Latex(NamedTuple):
    """A chart for LaTeX: what is drawn, and the file that includes it and sets the labels."""

    graphic: bytes
    tex: str


def for_paper(chart: Any) -> Any:
    """Return a chart in the form for print: a serif font, black text, no title above.

    The caption of the paper says what the chart shows. Panels keep their titles, and are below
    each other: a column of print is narrow.
    """
    bare = copy.deepcopy(chart)
    bare.title = alt.Undefined
    if isinstance(bare, alt.ConcatChart):
        bare.columns = 1
    text = {"labelColor": "black", "titleColor": "black", "labelFontSize": 12, "titleFontSize": 12}
    return (
        bare.configure(font="serif", background="white")
        .configure_axis(**text, titleFontWeight="normal", gridColor="#e5e5e5")
        .configure_legend(**text, titleFontWeight="normal")
        .configure_title(fontWeight="normal", fontSize=12)
    )


def latex(chart: alt.TopLevelMixin, graphic: str) -> Latex:
    """Return a chart as a graphic without labels, and the LaTeX that adds them.

    Parameters
    ----------
    chart
        The chart.
    graphic
        The name of the file that the graphic will have, as LaTeX finds it.
    """
    root = ET.fromstring(svg(chart))  # noqa: S314 - drawn by vl-convert
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    labels = _taken_out(root, np.eye(3))
    ET.register_namespace("", "http://www.w3.org/2000/svg")
    lines = [
        r"\providecommand{\figurewidth}{\linewidth}",
        r"\providecommand{\figurefont}{\scriptsize}",
        rf"\begin{{tikzpicture}}[x=\figurewidth/{width:g},y=\figurewidth/{width:g}]",
        r"  \node[anchor=south west,inner sep=0pt] at (0,0)",
        rf"    {{\includegraphics[width=\figurewidth]{{{graphic}}}}};",
    ]
    for x, y, angle, anchor, text in labels:
        rotated = f",rotate={-angle:g}" if angle else ""
        lines.append(
            rf"  \node[anchor={anchor},inner sep=0pt,font=\figurefont{rotated}] "
            f"at ({x:.2f},{height - y:.2f}) {{{to_latex(text)}}};"
        )
    lines.append(r"\end{tikzpicture}%")
    return Latex(pdf_of_svg(ET.tostring(root, encoding="unicode")), "\n".join(lines) + "\n")


def save_for_paper(chart: Any, folder: Path, name: str) -> list[Path]:
    """Write ``name.pdf``, and ``name.tex`` with its ``name-graphic.pdf``, for print."""
    printed = for_paper(chart)
    parts = latex(printed, f"{name}-graphic.pdf")
    contents = {
        f"{name}.pdf": pdf(printed),
        f"{name}-graphic.pdf": parts.graphic,
        f"{name}.tex": parts.tex.encode(),
    }
    for file, content in contents.items():
        atomic_write(folder / file, content)
    return [folder / file for file in contents]


def to_latex(text: str) -> str:
    """Return a label as LaTeX: symbols and powers of ten as mathematics, the rest as text."""
    found, end = [], 0
    for power in POWER.finditer(text):
        factor, sign, exponent = power.groups()
        around = text[power.start() - 1 : power.start()] + text[power.end() : power.end() + 1]
        if any(character.isalnum() for character in around):
            continue  # a word, not a number
        found.append(_characters(text[end : power.start()]))
        times = "" if factor in {"", "1"} else rf"{factor}\times "
        minus = "-" if sign == "-" else ""
        found.append(rf"${times}10^{{{minus}{int(exponent)}}}$")
        end = power.end()
    return "".join([*found, _characters(text[end:])])


def _characters(text: str) -> str:
    """Return text whose symbols are mathematics."""
    found: list[str] = []
    for k, character in enumerate(text):
        after_symbol = k > 0 and _symbol(text[k - 1])
        if symbol := _symbol(character):
            found.append(f"${symbol}$")
        elif character in SUBSCRIPTS:
            found.append(f"$_{{{SUBSCRIPTS[character]}}}$")
        elif character in SUPERSCRIPTS:
            found.append(f"$^{{{SUPERSCRIPTS[character]}}}$")
        elif character == "*" and after_symbol:
            found.append("$^{*}$")
        else:
            found.append(SPECIAL.get(character, character))
    joined = "".join(found)
    # A letter with an index is one symbol: C_i, not an upright C with an index.
    return re.sub(r"(?<![A-Za-z])([A-Za-z])\$_", r"$\1$$_", joined).replace("$$", "")


def _symbol(character: str) -> str:
    """Return a symbol's command, or nothing."""
    if character in SIGNS:
        return SIGNS[character]
    name = unicodedata.name(character, "").split()
    if name[:1] != ["GREEK"] or name[2:3] != ["LETTER"] or len(name) != 4:
        return ""
    letter = name[3].lower().replace("lamda", "lambda")
    return f"\\{letter.capitalize() if name[1] == 'CAPITAL' else letter} "


def _taken_out(element: ET.Element, at: Matrix) -> list[tuple[float, float, float, str, str]]:
    """Take the texts out of a picture; return their places, angles (degrees), anchors, words."""
    here = at @ _matrix(element.attrib.get("transform", ""))
    found = []
    for child in list(element):
        if child.tag != f"{SVG}text":
            found += _taken_out(child, here)
            continue
        element.remove(child)
        if child.attrib.get("opacity") == "0":
            continue
        place = here @ _matrix(child.attrib.get("transform", ""))
        anchor = ANCHORS[child.attrib.get("text-anchor", "start")]
        angle = float(np.degrees(np.arctan2(place[1, 0], place[0, 0])))
        parts = [(0.0, child.text or "")]
        down = 0.0
        for line in child:  # a text of several lines
            down += float(line.attrib.get("dy", "0"))
            parts.append((down, line.text or ""))
        for offset, words in parts:
            if words.strip():
                x, y, _ = place @ np.array([0.0, offset, 1.0])
                found.append((float(x), float(y), round(angle, 3) + 0.0, anchor, words))
    return found


def _matrix(transform: str) -> Matrix:
    """Return the matrix of the movements and turns that Vega writes."""
    found = np.eye(3)
    for kind, inside in re.findall(r"([a-z]+)\(([^)]*)\)", transform):
        numbers = [float(text) for text in re.split(r"[ ,]+", inside.strip())]
        step = np.eye(3)
        if kind == "translate":
            step[0, 2], step[1, 2] = numbers[0], numbers[1] if len(numbers) > 1 else 0.0
        elif kind == "rotate":
            turn = np.radians(numbers[0])
            step[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        elif kind == "scale":
            step[0, 0], step[1, 1] = numbers[0], numbers[-1]
        else:
            raise ValueError(f"transform: expected translate, rotate or scale, got {kind!r}")
        found = found @ step
    return found
