"""Charts for print: a PDF, and a graphic whose labels are LaTeX, each where it was."""

from __future__ import annotations

import re
import shutil
import subprocess
from xml.etree import ElementTree as ET

import altair as alt
import numpy as np
import pandas as pd
import pytest

from tradefl import charts
from tradefl.charts.paper import to_latex

NODE = re.compile(
    r"\\node\[anchor=(base(?: west| east)?),inner sep=0pt,"
    r"font=\\figurefont(?:,rotate=([-0-9.]+))?\] "
    r"at \(([-0-9.]+),([-0-9.]+)\) \{(.*)\};"
)


def lined(title="A title"):
    rows = pd.DataFrame(
        {
            "gamma": [1e-9, 1e-8, 1e-7] * 2,
            "welfare": [1.0, 3.0, 2.0, 1.5, 2.5, 1.0],
            "scheme": ["DBR"] * 3 + ["50 % & $5_#"] * 3,
        }
    )
    return charts.lines(
        rows,
        charts.axis("gamma", "γ (payoff/bit)", log=True),
        charts.axis("welfare", "Σ dᵢ"),
        series="scheme",
        title=title,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("50 % & $5_#", r"50 \% \& \$5\_\#"),
        ("γ*", r"$\gamma ^{*}$"),
        ("ϖₑ of Ω", r"$\varpi _{e}$ of $\Omega $"),
        ("payoff Cᵢ (payoff)", "payoff $C_{i}$ (payoff)"),
        ("1e-9", "$10^{-9}$"),
        ("2.5e+3 bits", r"$2.5\times 10^{3}$ bits"),
        ("the1e5x", "the1e5x"),
        ("−3 ≤ λ", r"$-$3 $\le $ $\lambda $"),
        ("a\\b{c}", r"a\textbackslash{}b\{c\}"),
        ("3*4", "3*4"),
    ],
)
def test_labels_become_latex(text, expected):
    assert to_latex(text) == expected


def test_every_label_is_where_vega_draws_it():
    chart = charts.for_paper(lined())
    found = charts.latex(chart, "x.pdf")
    picture = ET.fromstring(charts.svg(chart))  # noqa: S314 - our own
    height = float(picture.attrib["height"])
    # A second way to the places: the movements added up, turns aside.
    expected = []

    def walk(element, x, y, turned):
        for kind, inside in re.findall(r"([a-z]+)\(([^)]*)\)", element.attrib.get("transform", "")):
            numbers = [float(number) for number in re.split("[ ,]+", inside)]
            if kind == "rotate":
                assert numbers[0] == -90.0
                turned = True
            elif turned:  # to the right is up, down is to the right
                x, y = x + numbers[1], y - numbers[0]
            else:
                x, y = x + numbers[0], y + numbers[1]
        if element.tag.endswith("text") and (element.text or "").strip():
            expected.append((element.text, x, height - y, turned))
        for child in element:
            walk(child, x, y, turned)

    walk(picture, 0.0, 0.0, False)
    nodes = [match.groups() for match in map(NODE.search, found.tex.splitlines()) if match]
    assert len(nodes) == len(expected) > 10
    for (_, angle, x, y, words), (text, right, up, turned) in zip(nodes, expected, strict=True):
        assert words == to_latex(text)
        np.testing.assert_allclose([float(x), float(y)], [right, up], atol=0.01)
        assert (angle == "90") == turned
    assert {"$\\gamma $ (payoff/bit)", "$\\textstyle\\sum $ $d_{i}$"} <= {node[4] for node in nodes}
    assert "A title" not in found.tex


def test_what_is_written(tmp_path):
    paths = charts.save_for_paper(lined(), tmp_path, "fig")
    assert [path.name for path in paths] == ["fig.pdf", "fig-graphic.pdf", "fig.tex"]
    for path in paths[:2]:
        content = path.read_bytes()
        assert content.startswith(b"%PDF-")
        assert b"/Subtype /Image" not in content  # vectors, no pixels
        assert (b"/Font" in content) == (path.name == "fig.pdf")  # the graphic has no labels
    assert r"\includegraphics[width=\figurewidth]{fig-graphic.pdf}" in paths[2].read_text()


def test_panels_are_below_each_other_and_keep_their_titles():
    both = charts.for_paper(charts.panels([lined("One"), lined("Two")]))
    assert both.to_dict()["columns"] == 1
    tex = charts.latex(both, "x.pdf").tex
    assert "{One}" in tex
    assert "{Two}" in tex


def test_the_chart_itself_stays_as_it_was():
    chart = lined()
    before = chart.to_dict()
    charts.for_paper(chart)
    assert chart.to_dict() == before
    assert isinstance(chart, alt.LayerChart)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex and tikz")
def test_latex_accepts_it(tmp_path):
    charts.save_for_paper(lined(), tmp_path, "fig")
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{graphicx,tikz}\\begin{document}"
        "\\begin{figure}\\input{fig}\\caption{It.}\\end{figure}\\end{document}"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
