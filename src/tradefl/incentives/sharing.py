"""Draws and misreports on many processes, or on a Ray cluster.

A worker gets a consortium as the texts of its files, and returns plain values. What it computes
does not depend on where: results are those of one process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from tradefl.consortium.reading import load
from tradefl.consortium.writing import write
from tradefl.errors import InputError, Parameter
from tradefl.sweep import sweep

if TYPE_CHECKING:
    from tradefl.consortium import Consortium

MAIN = "consortium.toml"
DRAWS_A_UNIT = 250


def shared(workers: int | None, ray: str | None) -> bool:
    """Return whether the work goes to other processes; by default it stays in this one.

    Raises
    ------
    InputError
        The number of workers is not positive.
    """
    if workers is not None and workers < 1:
        raise InputError.at(Parameter("workers"), f"expected an integer >= 1, got {workers!r}")
    return ray is not None or workers not in (None, 1)


def packed(consortium: Consortium) -> dict[str, str]:
    """Return a consortium as the texts of its files by name."""
    with TemporaryDirectory() as folder:
        write(consortium, Path(folder) / MAIN)
        files = sorted(Path(folder).iterdir())
        return {file.name: file.read_text(encoding="utf-8") for file in files}


def unpacked(files: Mapping[str, str]) -> Consortium:
    """Return the consortium of these files."""
    with TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / Path(name).name).write_text(text, encoding="utf-8")
        return load(Path(folder) / MAIN)


# --- draws ----------------------------------------------------------------------------------------


def outcomes(
    of: Callable[..., dict[str, Any]],
    consortium: Consortium,
    values: np.ndarray[Any, np.dtype[np.float64]],
    redesign: bool,
    workers: int | None,
    ray: str | None,
    watch: Callable[[str], None],
) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the outcomes of all draws, computed by ``of`` in parts on other processes."""
    files = packed(consortium)
    units = [
        {
            "files": files,
            "values": values[start : start + DRAWS_A_UNIT].tolist(),
            "redesign": redesign,
        }
        for start in range(0, len(values), DRAWS_A_UNIT)
    ]
    parts = sweep(
        of,
        units,
        workers=workers,
        ray=ray,
        watch=lambda step: watch(f"{step.done:,} of {step.units:,} parts of the draws"),
    )
    reasons: Counter[str] = Counter()
    for part in parts:
        reasons.update(part["without_game"])
    n = len(consortium)
    wide = {"data_fraction", "payment", "payoff", "alone", "better", "bond_covers"}
    flags = {"equilibrium", "deliverable", "better", "bond_covers"}
    found: dict[str, Any] = {}
    for name in parts[0]["outcomes"]:
        pieces = [part["outcomes"][name] for part in parts]
        if any(piece is None for piece in pieces):
            found[name] = None
            continue
        column = np.array([*chain.from_iterable(pieces)], dtype=bool if name in flags else float)
        found[name] = column.reshape(-1, n) if name in wide else column
    return found, dict(reasons)


# --- misreports -----------------------------------------------------------------------------------


def misreports(
    of: Callable[..., dict[str, list[dict[str, Any]]]],
    consortium: Consortium,
    figures: Sequence[str],
    range: float,  # noqa: A002  the command's name for it
    points: int,
    all_rules: bool,
    workers: int | None,
    ray: str | None,
    watch: Callable[[str], None],
) -> dict[str, list[dict[str, Any]]]:
    """Return the misreports under each rule by ``of``, a figure to a unit of work."""
    files = packed(consortium)
    units = [
        {
            "files": files,
            "range": range,
            "figure": figure,
            "points": points,
            "all_rules": all_rules,
        }
        for figure in figures
    ]
    parts = sweep(
        of,
        units,
        workers=workers,
        ray=ray,
        watch=lambda step: watch(f"{step.done:,} of {step.units:,} figures"),
    )
    rules: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        for rule, rows in part.items():
            rules.setdefault(rule, []).extend(rows)
    order = {figure: k for k, figure in enumerate(figures)}
    for rows in rules.values():
        rows.sort(key=lambda row: (row["organization"], order[row["figure"]]))
    return rules
