"""DBR: against a plain NumPy loop, and alone for a million organizations."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from benchmarks.consortia import sector_game
from benchmarks.measure import alternating, in_own_process, keep
from benchmarks.plain_dbr import plain_dbr
from tradefl.solvers import dbr

ALONE = """
from benchmarks.consortia import sector_game
from benchmarks.measure import seconds
from tradefl.solvers import dbr
dbr.solve(sector_game(20_000))
game = sector_game({size})
solution = dbr.solve(game)
result = {{
    "organizations": game.size,
    "status": solution.status,
    "moves": solution.iterations,
    "dynamics_seconds": solution.runtime_seconds,
    "with_certificate_seconds": seconds(lambda: dbr.solve(game)),
}}
"""


def main() -> dict[str, Any]:
    """Run both comparisons; return the results."""
    game = sector_game(10_000)
    compiled = dbr.solve(game)
    d, f = plain_dbr(game)
    agreement = float(np.abs(compiled.profile.data_fraction - d).max())
    if agreement > 1e-9 or not np.array_equal(compiled.profile.cpu_hz, f):
        raise SystemExit(f"the plain loop ends elsewhere: d differs by {agreement:.3g}")
    against_plain = alternating(lambda: plain_dbr(game), lambda: dbr.solve(game), runs=5)
    dynamics = statistics.median(dbr.solve(game).runtime_seconds for _ in range(5))
    against_plain["ratio_without_certificate"] = against_plain["first_seconds"] / dynamics
    alone = [in_own_process(ALONE.format(size=size)) for size in (10_000, 100_000, 1_000_000)]
    result = {
        "plain NumPy loop (first) against dbr with its certificate (second), N = 10,000, m = 8": {
            **against_plain,
            "largest_difference_in_d": agreement,
        },
        "dbr alone, sector competition, m = 8": alone,
    }
    keep("best_responses", result)
    return result
