"""The paper's figures, made again: one file a figure, many draws, a verdict on every claim.

``tradefl reproduce`` runs them (:mod:`.runner`), and sums up what became of each claim
(:mod:`.scorecard`). A new figure is one file with a ``FIGURE``, and its name here. The figures of
:mod:`.compensation` and :mod:`.stability` go beyond the paper.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from tradefl.errors import MissingExtraError, require_docstrings

if TYPE_CHECKING:
    from pandas import DataFrame

if any(find_spec(name) is None for name in ("altair", "pandas", "vl_convert")):
    raise MissingExtraError("tradefl.experiments", "charts")
else:
    require_docstrings("tradefl.experiments")

from tradefl.experiments.figure import Figure, Finding, Settings, Unit
from tradefl.experiments.parameters import FigureParameter, checked

SIMULATION: tuple[str, ...] = (
    *("fig4", "fig5", "fig6", "fig7", "fig8", "fig9", "fig10", "fig11", "fig12"),
    "sensitivity",
)
TRAINING = ("fig2", "fig12-accuracy", "fig13", "fig14", "fig15")
# What takes minutes and belongs to no figure.
FURTHER = ("calibration",)
# The paper's figures, and what judges them.
FIGURES = (*SIMULATION, *TRAINING, *FURTHER)
# Beyond the paper: the study of the efficient rule.
COMPENSATION = ("price-of-anarchy", "gap-closed", "losers", "gains")
# And that of mechanisms.
MECHANISMS = ("mechanisms",)
# Beyond the paper too: which splits no coalition would leave.
STABILITY = ("stability",)
# Weights of data, against retraining without it.
QUALITY = ("quality",)
KNOWN = (*FIGURES, *COMPENSATION, *MECHANISMS, *STABILITY, *QUALITY)
GROUPS = {
    "simulation": SIMULATION,
    "training": TRAINING,
    "compensation": COMPENSATION,
    "mechanisms": MECHANISMS,
    "all": FIGURES,
}


def figure(name: str) -> Figure:
    """Return the figure of a name.

    Raises
    ------
    ValueError
        There is none.
    """
    if name not in KNOWN:
        raise ValueError(f"figure: expected one of {', '.join(KNOWN)}, got {name!r}")
    found: Figure = import_module(f"tradefl.experiments.{name.replace('-', '_')}").FIGURE
    return found


def frames(
    name: str, settings: Settings | None = None, **parameters: float | Sequence[float]
) -> Frames:
    """Return the data of a figure as tidy frames, computed in this process.

    ``figure(name).chart(frames(name).summary)`` is the chart; any other library can draw the same
    frames.

    Parameters
    ----------
    name
        The figure's name.
    settings
        How many consortia, and which trainings; default: 50 consortia.
    **parameters
        Values of the figure's parameters (``figure(name).parameters``), such as ``mu=0.08``; they
        replace those of the settings.

    Raises
    ------
    ValueError
        There is no such figure, it has no such parameter, a value is bad, or the settings ask for
        nothing of it.

    Examples
    --------
    >>> from tradefl.experiments import Settings, frames
    >>> found = frames("fig6", Settings(seeds=1), mu=0.08)
    >>> list(found.rows["scheme"])
    ['CGBD', 'DBR', 'FIP', 'GCA', 'WPR']
    """
    import pandas as pd

    drawn = figure(name)
    asked = Settings() if settings is None else settings
    values = checked(drawn, {**asked.parameters, **parameters})
    parts = []
    for unit in drawn.work(dataclasses.replace(asked, parameters=values)):
        rows = drawn.compute(**unit.arguments)
        for column, (label, value) in enumerate(unit.labels.items()):
            rows.insert(column, label, value)
        parts.append(rows)
    if not parts:
        raise ValueError(f"settings: nothing of {name} is asked for")
    found = pd.concat(parts, ignore_index=True)
    return Frames(found, drawn.summary(found))


class Frames(NamedTuple):
    """A figure's data: a row for each draw and case, and what its chart shows."""

    rows: DataFrame
    summary: DataFrame


__all__ = [
    "COMPENSATION",
    "FIGURES",
    "GROUPS",
    "KNOWN",
    "MECHANISMS",
    "SIMULATION",
    "STABILITY",
    "TRAINING",
    "Figure",
    "FigureParameter",
    "Finding",
    "Frames",
    "Settings",
    "Unit",
    "figure",
    "frames",
]
