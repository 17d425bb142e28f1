"""Many games at once against one after the other, and one thread against all."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.measure import alternating, keep, seconds
from tradefl.experiments.draws import draw
from tradefl.solvers import many, solve
from tradefl.solvers.games import Games

# Of ten organizations and five levels, each with figures and intensities of its own.
DRAWS = 200
GAMES = 100_000
GAMMAS = np.linspace(0.0, 2e-8, 10)


def main() -> dict[str, Any]:
    """Compare; the payoffs must agree to 1e-12 of their terms."""
    drawn = [draw(seed) for seed in range(DRAWS)]
    few = Games.of(drawn).at_intensities(GAMMAS)
    alone = [few.game(k) for k in range(len(few))]
    found = many.solve_many(few)
    for k in range(0, len(few), 97):
        expected = solve(alone[k], "dbr")
        off = np.abs(found.payoffs[k] - expected.payoffs).max()
        if off > 1e-12 * expected.certificate.payoff_scale.max():
            raise AssertionError("a batch differs from the solver")
    every = few.repeated(GAMES // len(few))
    threads = many.threads

    def on_one_thread() -> None:
        many.threads = lambda: 1
        try:
            many.solve_many(every)
        finally:
            many.threads = threads

    result: dict[str, Any] = {
        f"{len(few):,} games one by one (first) against at once (second)": alternating(
            lambda: [solve(game, "dbr") for game in alone], lambda: many.solve_many(few), runs=3
        ),
        f"{GAMES:,} games on one thread (first) against all threads (second)": alternating(
            on_one_thread, lambda: many.solve_many(every), runs=3
        ),
    }
    result["games a second, all threads, on a machine that may be busy"] = GAMES / seconds(
        lambda: many.solve_many(every)
    )
    keep("many", result)
    return result
