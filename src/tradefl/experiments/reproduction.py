"""From the names of figures to their files: rows, picture, scorecard."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tradefl.charts import save
from tradefl.consortium.files import atomic_write
from tradefl.errors import InputError, Parameter
from tradefl.experiments import figure
from tradefl.experiments.figure import Figure, Settings
from tradefl.experiments.runner import compute_all, make_folder, to_csv
from tradefl.experiments.scorecard import ENOUGH_DRAWS, Scorecard
from tradefl.sweep import Notify, Watch


def reproduce(
    names: Sequence[str],
    settings: Settings,
    out: Path,
    *,
    workers: int | None = None,
    ray_address: str | None = None,
    same_bytes: bool = False,
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

    command
        Returns the command that makes a figure with these settings, for the scorecard; default:
        ``tradefl reproduce`` and the figure's name.

    Raises
    ------
    ValueError
        There is no figure of a name.
    InputError
        None is left, or as :func:`~tradefl.experiments.runner.compute_all`.
    """
    asked = [figure(name) for name in dict.fromkeys(names)]
    figures = [one for one in asked if one.units(settings)]
    if not figures:
        what = f"no training of {', '.join(one.name for one in asked)} is of these pairs"
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
    for one in figures:
        rows = frames[one.name]
        summary = one.summary(rows)
        atomic_write(out / f"{one.name}.csv", to_csv(rows))
        atomic_write(out / f"{one.name}.summary.csv", to_csv(summary))
        save(one.chart(summary), out, one.name)
        findings[one.name] = tuple(one.findings(rows))
    scorecard = Scorecard(
        findings=findings,
        titles={one.name: one.title for one in figures},
        commands={one.name: (command or _by_name)(one, settings) for one in figures},
        draws=settings.seeds if any(one.group != "training" for one in figures) else ENOUGH_DRAWS,
    )
    document = json.dumps(scorecard.to_dict(), ensure_ascii=False, allow_nan=False, indent=2)
    atomic_write(out / "scorecard.json", (document + "\n").encode())
    atomic_write(out / "scorecard.md", scorecard.to_markdown().encode())
    return scorecard


def _by_name(drawn: Figure, _settings: Settings) -> str:
    return f"tradefl reproduce {drawn.name}"
