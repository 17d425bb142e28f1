"""The solvers: one algorithm a file, and a registry of their names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from tradefl.game.coopetition import CoopetitionGame
from tradefl.solvers.solution import BoundTrace, Solution, Trace

# A new solver is one file with solve(game, **options) -> Solution, and one name here.
METHODS = ("exact", "cgbd", "cgbd-as-printed", "dbr", "fip", "gca", "wpr", "tos", "planner")
DEFAULT_METHOD = "exact"


def solver(method: str) -> Callable[..., Solution]:
    """Return the ``solve(game, **options)`` of a method.

    Raises
    ------
    ValueError
        There is no such method.
    """
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    module = import_module(f"tradefl.solvers.{method.replace('-', '_')}")
    solve: Callable[..., Solution] = module.solve
    return solve


def options_of(method: str) -> tuple[str, ...]:
    """Return the names of the options that a method takes; ``ValueError`` as :func:`solver`."""
    parameters = inspect.signature(solver(method)).parameters
    return tuple(name for name in parameters if name not in ("game", "method"))


def solve(game: CoopetitionGame | Any, method: str = DEFAULT_METHOD, **options: Any) -> Solution:
    """Solve a game, or the game of a consortium, by the named method.

    Parameters
    ----------
    game
        A :class:`~tradefl.game.CoopetitionGame`, or anything with a ``game`` attribute that
        is one, such as a :class:`~tradefl.consortium.Consortium`.
    method
        One of :data:`METHODS`.
    **options
        What that method's own ``solve`` takes.

    Raises
    ------
    ValueError
        There is no such method, or an option is out of range.
    """
    if not isinstance(game, CoopetitionGame):
        game = game.game
    return solver(method)(game, **options)


__all__ = [
    "DEFAULT_METHOD",
    "METHODS",
    "BoundTrace",
    "Solution",
    "Trace",
    "options_of",
    "solve",
    "solver",
]
