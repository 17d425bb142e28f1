"""From the names of figures to their files: rows, picture, scorecard."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from tradefl.charts import save, save_for_paper
from tradefl.consortium.files import atomic_write
from tradefl.errors import InputError, Parameter
from tradefl.experiments import figure
from tradefl.experiments.figure import Figure, Settings
from tradefl.experiments.runner import compute_all, make_folder, to_csv
from tradefl.experiments.scorecard import ENOUGH_DRAWS, Scorecard
from tradefl.sweep import Notify, Watch

# How figures are drawn: for a page, or for print too.
Style = Literal["screen", "paper"]


def reproduce(
    names: Sequence[str],
    settings: Settings,
    out: Path,
    *,
    workers: int | None = None,
    ray_address: str | None = None,
    same_bytes: bool = False,
    style: Style = "screen",
    command: Callable[[Figure, Settings], str] | None = None,
    watch: Watch = lambda _: None,
    notify: Notify = lambda _: None,
) -> Scorecard:
    """Make figures and their scorecard again.

    Writes for each figure ``<name>.csv`` (every row of every draw), ``<name>.summary.csv`` (what
    the picture shows), ``<name>.svg``, ``.png`` and ``.html``, and in the end ``scorecard.md`` and
    ``scorecard.json``. The same names and settings give the same bytes of the tables and the
    scorecard, however many workers there are.

    Parameters
    ----------
    names
        Of the figures, as in :data:`tradefl.experiments.FIGURES`. A figure of other pairs of model
        and data set than those asked for is left out.
    settings, out, workers, ray_address, same_bytes, watch, notify
        As in :func:`tradefl.experiments.runner.compute_all`.
    style
        ``paper``: also ``<name>.pdf``, and ``<name>.tex`` with ``<name>-graphic.pdf``, whose labels
        LaTeX typesets (:mod:`tradefl.charts.paper`).
    command
        Returns the command that makes a figure with these settings, for the scorecard; default:
        ``tradefl reproduce`` and the figure's name.

    Raises
    ------
    ValueError
        There is no figure of a name.
    InputError
        None is left, a figure lacks a parameter or its value is bad, or as
        :func:`~tradefl.experiments.runner.compute_all`.
    """
    asked = [figure(name) for name in dict.fromkeys(names)]
    figures = [figure_ for figure_ in asked if figure_.work(settings)]
    if not figures:
        what = f"no training of {', '.join(figure_.name for figure_ in asked)} is of these pairs"
        raise InputError.at(Parameter("pairs"), what)
    make_folder(out)
    frames = compute_all(
        figures,
        settings,
        out,
        workers=workers,
        ray_address=ray_address,
        same_bytes=same_bytes,
        watch=watch,
        notify=notify,
    )
    findings = {}
    for figure_ in figures:
        rows = frames[figure_.name]
        summary = figure_.summary(rows)
        atomic_write(out / f"{figure_.name}.csv", to_csv(rows))
        atomic_write(out / f"{figure_.name}.summary.csv", to_csv(summary))
        chart = figure_.chart(summary)
        save(chart, out, figure_.name)
        if style == "paper":
            save_for_paper(chart, out, figure_.name)
        findings[figure_.name] = tuple(figure_.findings(rows))
    scorecard = Scorecard(
        findings=findings,
        titles={figure_.name: figure_.title for figure_ in figures},
        commands={figure_.name: (command or _by_name)(figure_, settings) for figure_ in figures},
        draws=settings.seeds
        if any(figure_.group != "training" for figure_ in figures)
        else ENOUGH_DRAWS,
    )
    document = json.dumps(scorecard.to_dict(), ensure_ascii=False, allow_nan=False, indent=2)
    atomic_write(out / "scorecard.json", (document + "\n").encode())
    atomic_write(out / "scorecard.md", scorecard.to_markdown().encode())
    return scorecard


def _by_name(drawn: Figure, _settings: Settings) -> str:
    return f"tradefl reproduce {drawn.name}"
