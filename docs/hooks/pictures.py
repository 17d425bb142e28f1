"""The site's pictures and notebooks, made as it is built.

* A line ``<!-- picture NAME -->`` of a page becomes the picture of that name, with its text
  alternative. The pictures are the package's own charts of the examples.
* A notebook is executed, and becomes a page with its outputs. One that fails ends the build.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import tradefl
from tradefl import charts
from tradefl.report import frames, plots
from tradefl.report.decision import chart_words

ROOT = Path(__file__).parents[2]
FOLDER = "pictures"
MARK = re.compile(r"^<!-- picture (?P<name>[\w-]+) -->$", re.MULTILINE)
NOTEBOOKS = "notebooks"
SECONDS_A_CELL = 120


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture: its text alternative, and what draws it as SVG."""

    words: Callable[[], str]
    svg: Callable[[], str]


@cache
def _solution(example: str) -> tradefl.Solution:
    return tradefl.solve(tradefl.load(ROOT / "examples" / f"{example}.toml")).in_currency()


def _gains() -> str:
    solution = _solution("hospitals")
    rows = frames.gains_over_alone(solution, frames.chosen(solution))
    code = solution.game.currency or "payoff units"
    return charts.svg(charts.gains(rows, x=f"gain over training alone, {code}"))


def _gains_words() -> str:
    solution = _solution("hospitals")
    return chart_words(frames.gains_over_alone(solution, frames.chosen(solution)))


@cache
def _stability() -> tradefl.Stability:
    return tradefl.stability(tradefl.load(ROOT / "examples" / "banks_fraud.toml"))


@cache
def _sensitivity() -> tradefl.Sensitivity:
    return tradefl.sensitivity(tradefl.load(ROOT / "examples" / "hospitals_ranges.toml"), 500)


PICTURES = {
    "gains": Picture(_gains_words, _gains),
    "payments": Picture(
        lambda: "Arrows from those who pay to those who receive, six hospitals on a circle.",
        lambda: charts.svg(plots.solution(_solution("hospitals"), "payments")),
    ),
    "contributions": Picture(
        lambda: "Three bars for each of ten drug makers: share of data, speed, contribution.",
        lambda: charts.svg(plots.solution(_solution("drug_discovery"), "contributions")),
    ),
    "payoffs": Picture(
        lambda: "A waterfall for each hospital from its revenue to its payoff.",
        lambda: charts.svg(plots.solution(_solution("hospitals"), "payoffs")),
    ),
    "corridor": Picture(
        lambda: "A bar for each bank from what it has alone to what it brings, with its payoff.",
        lambda: charts.svg(plots.stability(_stability())),
    ),
    "tornado": Picture(
        lambda: "A bar for each uncertain figure of six hospitals, the widest first.",
        lambda: charts.svg(charts.tornado(frames.tornado(_sensitivity()))),
    ),
    "bands": Picture(
        lambda: "A band of payoffs for each hospital, with its median.",
        lambda: charts.svg(
            charts.bands(
                frames.payoff_bands(_sensitivity(), range(len(_sensitivity().consortium))),
                x="payoff, 5 to 95 % of the draws",
            )
        ),
    ),
}


def named(markdown: str) -> list[str]:
    """Return the pictures that a page names.

    Raises
    ------
    KeyError
        There is no such picture.
    """
    names = [mark["name"] for mark in MARK.finditer(markdown)]
    for name in names:
        PICTURES[name]
    return names


def shown(markdown: str, page: str) -> str:
    """Return a page with its pictures in place of their marks; ``page`` is its path."""
    folder = posixpath.relpath(FOLDER, posixpath.dirname(page) or ".")

    def picture(mark: re.Match[str]) -> str:
        words = PICTURES[mark["name"]].words().replace("[", "(").replace("]", ")")
        return f"![{words}]({folder}/{mark['name']}.svg)"

    return MARK.sub(picture, markdown)


def run(notebook: Path) -> Any:
    """Return a notebook, executed in the root of the repository.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        A cell fails.
    """
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    content = nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        content,
        config=Config({"KernelManager": {"transport": "ipc"}}),  # no port is opened
        kernel_name="python3",
        timeout=SECONDS_A_CELL,
        record_timing=False,
        resources={"metadata": {"path": str(ROOT)}},
    )
    client.execute()
    return content


def executed(notebook: Path) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown with its outputs, and the pictures that it made."""
    from nbconvert import MarkdownExporter

    text, resources = MarkdownExporter().from_notebook_node(
        run(notebook), resources={"output_files_dir": f"{notebook.stem}_files"}
    )
    return text, dict(resources["outputs"])
