"""The methods that the solver benchmark compares, each with one signature."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tradefl import CoopetitionGame, StrategyProfile
from tradefl.game.potential import potential
from tradefl.solvers import cgbd, exact, levels

SCIP_SECONDS = 120.0


class Run(NamedTuple):
    """One run of a method.

    ``seconds`` is what the method needs to find and prove its answer, ``call_seconds`` the
    whole call: for tradefl's own solvers with the regret of every organization, for SCIP with
    building the model. ``potential`` is that of the contributions, in double precision.
    """

    seconds: float
    call_seconds: float
    certified: bool
    status: str
    potential: float
    bound: float | None
    claimed: float | None = None  # SCIP's own objective value, within its tolerances

    @property
    def gap(self) -> float | None:
        """Return the relative distance of the bound from the potential."""
        return None if self.bound is None else (self.bound - self.potential) / abs(self.bound)


def _of_tradefl(solve: Callable[..., Any], **options: Any) -> Callable[[CoopetitionGame], Run]:
    def run(game: CoopetitionGame) -> Run:
        began = time.perf_counter()
        found = solve(game, **options)
        took = time.perf_counter() - began
        optimal = found.status == "optimal"
        return Run(
            found.runtime_seconds, took, optimal, found.status, found.potential, found.upper_bound
        )

    return run


def _scip(game: CoopetitionGame) -> Run:
    from benchmarks import scip

    found = scip.solve(game, SCIP_SECONDS)
    value = potential(game, StrategyProfile(found.data_fraction, found.cpu_hz))
    return Run(
        seconds=found.solve_seconds,
        call_seconds=found.build_seconds + found.solve_seconds,
        certified=found.status == "optimal",
        status=found.status,
        potential=value,
        bound=found.bound,
        claimed=found.objective,
    )


def _brute_force(game: CoopetitionGame) -> Run:
    """Try every combination of levels; for each the potential is concave in the data."""
    began = time.perf_counter()
    best = -np.inf
    for combination in itertools.product(range(game.cpu_levels_hz.shape[1]), repeat=game.size):
        found = levels.primal(game, np.array(combination))
        if isinstance(found, levels.Primal):
            best = max(best, found.potential)
    took = time.perf_counter() - began
    return Run(took, took, True, "enumerated", best, None)


METHODS: dict[str, Callable[[CoopetitionGame], Run]] = {
    "exact": _of_tradefl(exact.solve),
    "cgbd": _of_tradefl(cgbd.solve),
    "cgbd traversal": _of_tradefl(cgbd.solve, master="traversal"),
    "SCIP": _scip,
    "brute force": _brute_force,
}
