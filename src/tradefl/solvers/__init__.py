"""The solvers: one algorithm a file, and a registry of their names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from tradefl.arguments import (
    FIGURES,
    POSITIVE,
    SECONDS,
    SHARE,
    TRUTH,
    WITH_A_GAME,
    accepts,
    choice,
    instance,
    number,
    optional,
    whole,
)
from tradefl.game.coopetition import CoopetitionGame
from tradefl.solvers.solution import BoundTrace, Solution, Trace

if TYPE_CHECKING:
    from tradefl.consortium import Consortium
    from tradefl.game.strategy import StrategyProfile
    from tradefl.solvers.cgbd import Master
    from tradefl.solvers.dbr import Order
    from tradefl.solvers.levels import Levels

# A new solver is one file with solve(game, **options) -> Solution, and one name here.
METHODS = ("exact", "cgbd", "cgbd-as-printed", "dbr", "fip", "gca", "wpr", "tos", "planner")
DEFAULT_METHOD = "exact"
# For mechanisms without a potential, which no file can name; it serves every other one too.
SEARCH = "search"


def solver(method: str) -> Callable[..., Solution]:
    """Return the ``solve(game, **options)`` of a method.

    Raises
    ------
    ValueError
        There is no such method.
    """
    if method not in (*METHODS, SEARCH):
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    module = import_module(f"tradefl.solvers.{method.replace('-', '_')}")
    solve: Callable[..., Solution] = module.solve
    return solve


def options_of(method: str) -> tuple[str, ...]:
    """Return the names of the options that a method takes; ``ValueError`` as :func:`solver`."""
    parameters = inspect.signature(solver(method)).parameters
    return tuple(name for name in parameters if name not in ("game", "method"))


def game_of(given: CoopetitionGame | Consortium) -> CoopetitionGame:
    """Return a game as it is, and the game of a consortium.

    Raises
    ------
    TypeError
        It is neither.
    """
    game = getattr(given, "game", given)
    if not isinstance(game, CoopetitionGame):
        raise TypeError(
            f"game: expected a Consortium or a CoopetitionGame, got {type(given).__name__}"
        )
    return game


@accepts(
    game=WITH_A_GAME,
    method=optional(choice((*METHODS, SEARCH))),
    tolerance=optional(SHARE),
    max_moves=optional(whole()),
    order=optional(choice(("given", "random"))),
    seed=optional(whole()),
    initial=optional(instance("tradefl.game.strategy.StrategyProfile")),
    trace=optional(TRUTH),
    node_limit=optional(whole(1)),
    master=optional(choice(("milp", "traversal"))),
    epsilon=optional(SHARE),
    max_iterations=optional(whole(1)),
    initial_levels=optional(FIGURES),
    time_limit=optional(SECONDS),
    step=optional(number("in [0.01, 1]", lambda step: 0.01 <= step <= 1.0)),
    greedy_hz=optional(POSITIVE),
)
def solve(
    game: CoopetitionGame | Consortium,
    method: str | None = None,
    *,
    tolerance: float | None = None,
    max_moves: int | None = None,
    order: Order | None = None,
    seed: int | None = None,
    initial: StrategyProfile | None = None,
    trace: bool | None = None,
    node_limit: int | None = None,
    master: Master | None = None,
    epsilon: float | None = None,
    max_iterations: int | None = None,
    initial_levels: Levels | None = None,
    time_limit: float | None = None,
    step: float | None = None,
    greedy_hz: float | None = None,
) -> Solution:
    """Solve a game, or the game of a consortium, by the named method.

    Parameters
    ----------
    game
        A game or a consortium.
    method
        One of :data:`METHODS`, or ``search``; default: ``exact``, and ``search`` where the
        mechanism declares no potential. An option that is ``None`` has the method's own default.
    tolerance
        exact, planner: the relative gap to prove; dbr, wpr, fip, gca: the change that counts as a
        move.
    max_moves
        dbr, wpr, fip, gca: the most single moves.
    order, seed
        dbr, wpr: ``"given"`` or ``"random"``, and the seed of random orders.
    initial, trace
        dbr, wpr: where to begin; whether to keep every move.
    node_limit
        exact: the most search nodes.
    master, epsilon, initial_levels
        cgbd: ``"milp"`` or ``"traversal"``; the gap to reach, and where to begin, as in
        cgbd-as-printed.
    max_iterations
        cgbd, cgbd-as-printed, planner: the most iterations.
    time_limit
        exact, planner: seconds after which it stops with the bound it has.
    step
        fip: the grid's step.
    greedy_hz
        gca: k, Hz for all the data.

    Raises
    ------
    ValueError
        There is no such method, it has no such option, or an option is out of range.
    """
    options = {
        name: value
        for name, value in (
            ("tolerance", tolerance),
            ("max_moves", max_moves),
            ("order", order),
            ("seed", seed),
            ("initial", initial),
            ("trace", trace),
            ("node_limit", node_limit),
            ("master", master),
            ("epsilon", epsilon),
            ("max_iterations", max_iterations),
            ("initial_levels", initial_levels),
            ("time_limit", time_limit),
            ("step", step),
            ("greedy_hz", greedy_hz),
        )
        if value is not None
    }
    game = game_of(game)
    if method is None:
        method = DEFAULT_METHOD if game.mechanism.separable else SEARCH
    known = options_of(method)
    for name in options:
        if name not in known:
            raise ValueError(f"{name}: is not an option of method {method}")
    return solver(method)(game, **options)


__all__ = [
    "DEFAULT_METHOD",
    "METHODS",
    "SEARCH",
    "BoundTrace",
    "Solution",
    "Trace",
    "options_of",
    "solve",
    "solver",
]
