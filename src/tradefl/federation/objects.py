"""Data sets and models that are objects: they get a name for as long as a training lasts.

Everything that travels between server and organizations names data and model. In one process an
object can be looked up under a name that nothing else has; other processes cannot know it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tradefl.errors import InputError, Parameter

if TYPE_CHECKING:
    from tradefl.federation.datasets import Dataset
    from tradefl.federation.models import Factory, Model
    from tradefl.federation.plan import Plan

MARK = "@"
_held: dict[str, Any] = {}
_numbers = itertools.count(1)


def held(name: str) -> Any:
    """Return the object of a name; ``None`` if it is not the name of one."""
    return _held.get(name)


def plain(name: str) -> str:
    """Return what the object of a name is called in documents."""
    return name.partition(MARK)[0]


@contextmanager
def named(
    plan: Plan, dataset: Dataset | None, model: Model | Factory | None, backend: str
) -> Iterator[Plan]:
    """Yield the plan with the names under which these objects can be looked up meanwhile.

    Raises
    ------
    InputError
        The organizations are in other processes.
    """
    changes: dict[str, Any] = {}
    for parameter, given in (("data", dataset), ("model", model)):
        if given is None:
            continue
        if backend != "in-process":
            what = "an object cannot travel to workers; publish it under an entry point, by name"
            place = "dataset" if parameter == "data" else parameter
            raise InputError.at(Parameter(place), what)
        title = getattr(given, "name", None) or getattr(given, "__name__", type(given).__name__)
        changes[parameter] = f"{plain(str(title))}{MARK}{next(_numbers)}"
        _held[changes[parameter]] = given
    try:
        yield dataclasses.replace(plan, **changes) if changes else plan
    finally:
        for name in changes.values():
            del _held[name]
