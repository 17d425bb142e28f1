"""Runs the units of figures on any number of processes, and keeps what is done.

The work is done by :mod:`tradefl.sweep`. A unit's key has a digest of its arguments and of the
code that its rows depend on, so rows of other settings or of other code are never taken for these.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from tradefl._version import __version__
from tradefl.experiments.figure import Figure, Settings
from tradefl.sweep import Notify, Watch
from tradefl.sweep.code import code_of
from tradefl.sweep.parts import make_folder
from tradefl.sweep.sweeping import PARTS, Task, compute

# From 3.1 on pandas reads the digits that it wrote, and deprecates being asked for it.
_RECENT = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
EXACT: dict[str, Any] = {} if _RECENT else {"float_precision": "round_trip"}

__all__ = ["PARTS", "compute_all", "make_folder", "to_csv"]


def compute_all(
    figures: Sequence[Figure],
    settings: Settings,
    out: Path,
    *,
    workers: int | None = None,
    ray_address: str | None = None,
    same_bytes: bool = False,
    watch: Watch = lambda _: None,
    notify: Notify = lambda _: None,
) -> dict[str, pd.DataFrame]:
    """Return the rows of all units of each figure, by the figure's name.

    Parameters
    ----------
    figures, settings
        What to compute.
    out
        The folder of the results; the units are kept in its folder ``parts``.
    workers, ray_address, same_bytes, watch, notify
        As in :func:`tradefl.sweep`; the rows do not depend on them.

    Raises
    ------
    InputError
        As :func:`tradefl.sweep`: the folder cannot be written, units failed, there is no such
        cluster, or a worker runs other code.
    MissingExtraError
        Ray is not installed.
    """
    everything = [
        (figure, _task(figure), unit) for figure in figures for unit in figure.work(settings)
    ]
    values = compute(
        [
            (task, f"{figure_.name} {unit.key}", dict(unit.arguments))
            for figure_, task, unit in everything
        ],
        out=out,
        workers=workers,
        ray=ray_address,
        same_bytes=same_bytes,
        watch=watch,
        notify=notify,
    )
    frames: dict[str, list[pd.DataFrame]] = {figure.name: [] for figure in figures}
    for (figure_, _, unit), value in zip(everything, values, strict=True):
        # Read back what was kept, so that a resumed run has the same digits as any other.
        rows = pd.read_csv(io.StringIO(json.loads(value)), **EXACT)
        for column, (name, label) in enumerate(unit.labels.items()):
            rows.insert(column, name, label)
        frames[figure_.name].append(rows)
    return {name: pd.concat(parts, ignore_index=True) for name, parts in frames.items() if parts}


def _task(figure: Figure) -> Task:
    function = figure.compute
    code = code_of(function)
    # Not the figure's name: figures that compute the same share it.
    folder = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
    return Task(function, code, f"{__name__}:to_text", _digest_of(figure), folder)


def to_text(rows: pd.DataFrame) -> str:
    """Return rows as CSV text; what a worker does with the rows of a unit."""
    return to_csv(rows).decode()


def to_csv(rows: pd.DataFrame) -> bytes:
    """Return rows as CSV: every digit of every number, the same bytes for the same rows."""
    text = io.StringIO()
    rows.to_csv(text, index=False, lineterminator="\n")
    return text.getvalue().encode()


def _digest_of(figure: Figure) -> str:
    """Return a digest of the code that a figure's rows depend on."""
    digest = hashlib.sha256(__version__.encode())
    for name in (figure.compute.__module__, *figure.sources):
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise ValueError(f"{figure.name}: no module {name}")
        origin = Path(spec.origin)
        files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
        for file in files:
            digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()
