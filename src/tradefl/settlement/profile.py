"""The contributions to settle, from a document: a solution, or what training has measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tradefl.consortium.files import read_text
from tradefl.consortium.schema import shown, suggestion
from tradefl.errors import InputError, Problem
from tradefl.settlement.agreement import Agreement, Report

# Where a document says how much of its data an organization used: measured before pledged.
FRACTIONS = ("measured_fraction", "data_fraction")


def read_reports(
    path: Path, agreement: Agreement, levels: Callable[[], Sequence[float]]
) -> list[Report]:
    """Return what everybody reports according to a solution or a training document.

    Parameters
    ----------
    path
        ``tradefl/solution/1`` (``data_fraction``) or ``tradefl/training/1``
        (``measured_fraction``); an organization with the fraction 0 reports nothing.
    agreement
        Whose organizations, levels and D_min the document must fit.
    levels
        Returns the CPU frequencies for organizations whose entry has no ``cpu_hz``.

    Raises
    ------
    InputError
        No such file, not JSON, not these organizations, or an infeasible contribution.
    """
    entries = _entries(path)
    problems = [
        Problem(f"{path}: organizations[{k}].name", _unknown(entry.get("name"), agreement.names))
        for k, entry in enumerate(entries)
        if entry.get("name") not in agreement.names
    ]
    named = {entry.get("name"): entry for entry in entries}
    problems += [
        Problem(f"{path}: organizations", f"{name!r} is missing")
        for name in agreement.names
        if name not in named
    ]
    if len(named) < len(entries):
        problems.append(Problem(f"{path}: organizations", "a name stands twice"))
    if problems:
        raise InputError(problems)

    solved: Sequence[float] | None = None
    reports = []
    for i, name in enumerate(agreement.names):
        entry = named[name]
        key = next((key for key in FRACTIONS if key in entry), FRACTIONS[1])
        fraction = _number(entry.get(key), f"{path}: {name}: {key}", problems)
        if "cpu_hz" in entry:
            cpu_hz = _number(entry["cpu_hz"], f"{path}: {name}: cpu_hz", problems)
        else:
            solved = levels() if solved is None else solved
            cpu_hz = float(solved[i])
        if problems:
            continue
        try:
            reports.append(agreement.report(i, fraction, cpu_hz))
        except InputError as error:
            problems += [Problem(f"{path}: {one.place}", one.message) for one in error.problems]
    if problems:
        raise InputError(problems)
    return reports


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(read_text(path))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError.at(path, f"not valid JSON: {error}") from None
    entries = document.get("organizations") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise InputError.at(path, "expected a solution or training document with organizations")
    return entries


def _unknown(name: object, names: Sequence[str]) -> str:
    return f"no organization {shown(name)} in the consortium{suggestion(str(name), names)}"


def _number(value: object, place: str, problems: list[Problem]) -> float:
    if isinstance(value, str):  # settlement documents hold large integers as text
        value = int(value) if value.isdecimal() else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**64:
        what = "is missing" if value is None else f"expected a number >= 0, got {shown(value)}"
        problems.append(Problem(place, what))
        return 0.0
    return float(value)
