"""A table of payoffs, one for each organization: ``name,payoff``."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tradefl.consortium.schema import suggestion
from tradefl.consortium.tables import Marks, plain, read_columns, text_cell
from tradefl.errors import InputError, Problem
from tradefl.foreign import normalized

Array = npt.NDArray[np.float64]


def read_payoffs(path: Path, names: Sequence[str]) -> Array:
    """Read the payoffs of some organizations, in their order, shape ``(N,)``.

    Parameters
    ----------
    path
        A table with the columns ``name`` and ``payoff``.
    names
        The organizations of the consortium.

    Raises
    ------
    InputError
        With every problem found: the file, its columns, a name that is unknown, missing or there
        twice, a payoff that is not a finite number.
    """
    required = ("name", "payoff")
    columns = read_columns(path, required, required)
    marks = Marks(columns.sheet)
    marks.learn(columns.cells["payoff"], functools.partial(columns.place, name="payoff"))
    mark = marks.decide()
    found: dict[str, float] = {}
    problems = []
    for k, (cell, amount) in enumerate(
        zip(columns.cells["name"], columns.cells["payoff"], strict=True)
    ):
        name = normalized(str(text_cell(cell)))
        if name not in names:
            what = f"no organization {name!r}{suggestion(name, names)}"
            problems.append(Problem(columns.place(k, "name"), what))
            continue
        if name in found:
            problems.append(Problem(columns.place(k, "name"), f"{name!r} occurs twice"))
            continue
        try:
            found[name] = float(plain(amount, mark))
        except (TypeError, ValueError):
            found[name] = np.nan
        if not np.isfinite(found[name]):
            what = f"expected a finite number, got {amount!r}"
            problems.append(Problem(columns.place(k, "payoff"), what))
    problems += [
        Problem(str(path), f"{name!r} is missing; every organization needs a payoff")
        for name in names
        if name not in found
    ]
    if problems:
        raise InputError(problems)
    return np.array([found[name] for name in names])
