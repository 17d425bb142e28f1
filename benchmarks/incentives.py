"""Reports and ranges: honesty by menus, misreports, draws, the self-enforcing range.

Reports are solved at once, with payoffs and the equilibrium without compensation; compared is the
planner alone for each of them, which must find the same welfare. Times are processor seconds of one
thread.
"""

from __future__ import annotations

import dataclasses
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import tradefl
from benchmarks.consortia import sector_game
from benchmarks.measure import keep, machine
from tradefl.consortium import write
from tradefl.design import design
from tradefl.incentives.optima import Optima, Reports
from tradefl.incentives.radius import radius
from tradefl.incentives.truthful import menus_around, truthful
from tradefl.solvers.planner import Coalitions

# What was asked: processor seconds.
ASKED = {
    "truthful": 10.0,
    "incentives": 10.0,
    "sensitivity": 2.0,
    "sensitivity_10_process": 2.0,
    "sensitivity_100_process": 10.0,
    "radius": 0.1,
}
REPORTS = 200
EXAMPLE = "examples/drug_discovery.toml"


def _seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    value = run()
    return time.process_time() - started, value


def _process_seconds(organizations: int) -> float:
    """Return what a whole process of ``tradefl sensitivity`` takes, user and system."""
    consortium = tradefl.Consortium.from_game(sector_game(organizations), name="ranges")
    who = consortium.organizations
    ends = [{"profitability": (0.9 * p, 1.1 * p)} for p in who.profitability.tolist()]
    consortium = dataclasses.replace(consortium, organizations=who.with_ranges(ends))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "ranges.toml"
        write(consortium, file)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "tradefl", "sensitivity", str(file), "--json"]
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> dict[str, Any]:
    """Measure, and keep the results."""
    consortium = tradefl.load(EXAMPLE)
    game = consortium.game
    ranges = tradefl.load("examples/hospitals_ranges.toml")
    designed = design(game, random_starts=0)
    menus = menus_around(game, 0, 0.1)
    rng = np.random.default_rng(0)
    rows = np.array(
        [
            [rng.choice(point) if point.size else np.nan for point in menus.points]
            for _ in range(REPORTS)
        ]
    )
    reports = Reports(game, menus.fields)
    Optima(reports)(rows[:2])  # loads what is compiled
    bounded, found = _seconds(lambda: Optima(reports)(rows))
    planned, welfare = _seconds(
        lambda: [Coalitions(reports.of(row)).optimum().welfare for row in rows]
    )
    worst = float(np.abs(found.welfare / np.array(welfare) - 1.0).max())
    if worst > 1e-8:
        raise SystemExit(f"the optima of reports differ from the planner's by {worst:.3g}")
    seconds = {
        "radius": _seconds(lambda: radius(designed.agreed.game, designed.agreed.profile))[0],
        "truthful": _seconds(lambda: truthful(game, 0, width=0.1, random_starts=0))[0],
        "incentives": _seconds(lambda: tradefl.incentives(consortium, 0.1))[0],
        "sensitivity": _seconds(lambda: tradefl.sensitivity(ranges, 1_000))[0],
        "sensitivity_10_process": _process_seconds(10),
        "sensitivity_100_process": _process_seconds(100),
    }
    results = {
        "machine": machine(),
        "organizations": {"sensitivity": len(ranges), "others": game.size},
        "reports": REPORTS,
        "reports_solved_over_planner_alone": bounded / planned,
        "largest_difference": worst,
        "seconds": seconds,
        "asked_seconds": ASKED,
    }
    keep("incentives", results)
    return results
