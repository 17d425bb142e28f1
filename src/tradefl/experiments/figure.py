"""What a figure of the paper is made of: units of work, a data frame, a chart, and findings.

A figure is one file of this package with a ``FIGURE``. Its work is cut into units that know nothing
of each other (one consortium, or one training), so that any number of processes gives the same
frame, and a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import altair as alt

    from tradefl.experiments.parameters import FigureParameter, Value
    from tradefl.experiments.training import TrainingSettings

Group = Literal["simulation", "training", "compensation", "mechanisms", "quality"]
# Of the paper's claims; the last two of what we say ourselves.
Verdict = Literal[
    "reproduced",
    "reproduced after correction",
    "not reproduced",
    "not determinable",
    "holds",
    "does not hold",
]
# The band that is shown around a median: nine draws of ten lie in it.
LOW, HIGH = 0.05, 0.95


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user asks of a reproduction.

    Attributes
    ----------
    seeds
        How many consortia are drawn for each simulation figure; seeds 0 .. seeds - 1.
    training
        What the training figures are made of; ``None`` if they are not wanted.
    parameters
        Values of the figures' parameters, by name; those left out have their defaults. All figures
        of a reproduction must have them.
    """

    seeds: int = 50
    training: TrainingSettings | None = None
    parameters: Mapping[str, Value] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Unit:
    """A piece of work that depends on nothing but its arguments.

    Attributes
    ----------
    key
        Its name among those of the figure: letters, digits and hyphens.
    arguments
        What ``compute`` is called with: plain values, as JSON has them.
    labels
        Columns that are put before its rows; the work does not depend on them, and units of any
        figures that differ in nothing else are computed once.
    """

    key: str
    arguments: Mapping[str, Any]
    labels: Mapping[str, str | int | float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """What became of one claim of the paper, or of our own.

    Attributes
    ----------
    claim
        The claim, in our words.
    paper
        The paper's figure or number; where the paper has none, what was expected.
    ours
        Our number, with its band.
    verdict
        What that says of the claim.
    correction
        The erratum without which it does not hold; an empty text: none.
    remark
        What a reader must know to judge the verdict.
    """

    claim: str
    paper: str
    ours: str
    verdict: Verdict
    correction: str = ""
    remark: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of the paper, and how it is made.

    Attributes
    ----------
    name
        Its name on the command line, and of its files: ``fig4``.
    title
        What it shows.
    group
        ``simulation`` needs the game alone, ``training`` trains models; ``compensation`` and
        ``mechanisms`` need the game alone and are not figures of the paper; nor is ``quality``,
        which trains.
    units
        The work for given settings.
    compute
        A unit's rows; a function of a module, called with the unit's arguments.
    summary
        What the chart shows, from the rows of all units.
    chart
        The picture, from the summary.
    findings
        What the rows of all units say of the paper's claims.
    sources
        The packages and modules of :mod:`tradefl` that the rows depend on: when one of them
        changes, rows that were kept are computed again.
    parameters
        What can be varied (:mod:`.parameters`); ``compute`` accepts each as a keyword, or
        ``units`` reads it from the settings.
    of_units
        The names of those that ``units`` reads, and ``compute`` does not accept.
    """

    name: str
    title: str
    group: Group
    units: Callable[[Settings], Sequence[Unit]]
    compute: Callable[..., pd.DataFrame]
    summary: Callable[[pd.DataFrame], pd.DataFrame]
    chart: Callable[[pd.DataFrame], alt.TopLevelMixin]
    findings: Callable[[pd.DataFrame], Sequence[Finding]]
    sources: tuple[str, ...]
    parameters: tuple[FigureParameter, ...] = ()
    of_units: tuple[str, ...] = ()

    def work(self, settings: Settings) -> list[Unit]:
        """Return the units for given settings, with the values of the parameters.

        A unit's arguments are what its rows are kept under, so rows of other values are other rows.

        Raises
        ------
        InputError
            The figure has no such parameter, or a value is bad.
        """
        from tradefl.experiments.parameters import checked

        values = checked(self, settings.parameters)
        units = self.units(dataclasses.replace(settings, parameters=values))
        added = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if name not in self.of_units
        }
        if not added:
            return list(units)
        return [dataclasses.replace(unit, arguments={**unit.arguments, **added}) for unit in units]


def seed_units(settings: Settings) -> list[Unit]:
    """Return a unit for each seed: what most simulation figures are made of."""
    return [Unit(f"seed-{seed}", {"seed": seed}) for seed in range(settings.seeds)]


def band(rows: pd.DataFrame, by: Sequence[str], value: str) -> pd.DataFrame:
    """Return median and 90 % band of a column, over the draws, for each combination of others.

    Parameters
    ----------
    rows
        One row a draw and combination.
    by
        The columns that make the combinations; their order of appearance is kept.
    value
        The column.

    Returns
    -------
    The columns ``by``, ``value`` (the median), ``low`` and ``high``.
    """
    groups = rows.groupby(list(by), sort=False)[value]
    columns = {value: groups.median(), "low": groups.quantile(LOW), "high": groups.quantile(HIGH)}
    return pd.DataFrame(columns).reset_index()


def spread(values: Any, digits: int = 4) -> str:
    """Return median and 90 % band of numbers, in words: ``1.64 (1.41 to 1.90)``."""
    low, median, high = np.quantile(np.asarray(values, dtype=float), [LOW, 0.5, HIGH])
    return f"{median:.{digits}g} ({low:.{digits}g} to {high:.{digits}g})"


def share(holds: Any) -> str:
    """Return in how many of all draws something holds: ``48 of 50``."""
    values = np.asarray(holds, dtype=bool)
    return f"{int(values.sum())} of {values.size}"


def verdict_of_share(holds: Any, *, corrected: bool = False, at_least: float = 0.9) -> Verdict:
    """Return the verdict on a claim that holds in some draws: it must in nine of ten."""
    if float(np.mean(np.asarray(holds, dtype=bool))) < at_least:
        return "not reproduced"
    return "reproduced after correction" if corrected else "reproduced"
