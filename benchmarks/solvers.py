"""The solvers: exact and CGBD against SCIP, the paper's traversal and brute force.

One instance family: :func:`benchmarks.consortia.sector_game`, three seeds. Each call of a peer
is preceded by five of ``exact``; their median is what the peer is divided by. A method whose
call takes less than a second is called three times. Figures are medians over calls, then seeds.
"""

from __future__ import annotations

import os
import statistics
import time
from importlib.metadata import version
from typing import Any

from benchmarks import scip, solver_page
from benchmarks.consortia import sector_game
from benchmarks.measure import in_own_process, keep, machine
from benchmarks.methods import METHODS, SCIP_SECONDS, Run
from benchmarks.solver_page import find
from tradefl.solvers.traversal import MAX_COMBINATIONS

SEEDS = (0, 1, 2)
AGREEMENT = 1e-7
EXACT_CALLS = 5
# Organizations, levels, and the peers beside exact.
CASES = (
    (5, 8, ("cgbd", "cgbd traversal", "SCIP", "brute force")),
    (8, 5, ("cgbd", "cgbd traversal", "SCIP")),
    (8, 8, ("cgbd", "cgbd traversal", "SCIP")),
    (10, 5, ("cgbd", "cgbd traversal", "SCIP")),
    (10, 8, ("cgbd", "SCIP")),
    (50, 8, ("cgbd", "SCIP")),
    (100, 5, ("cgbd", "SCIP")),
    (200, 5, ("cgbd", "SCIP")),
    (200, 8, ("cgbd", "SCIP")),
    (1000, 8, ("cgbd", "SCIP")),
)
ALONE = (10_000, 100_000, 1_000_000)

MEMORY = """
from benchmarks.consortia import sector_game
from benchmarks.methods import METHODS
METHODS[{method!r}](sector_game({size}, {levels}))
result = {{}}
"""
BARE = """
from benchmarks.consortia import sector_game
import benchmarks.methods
sector_game(5)
result = {}
"""
LARGE = """
import time
from benchmarks.consortia import sector_game
from benchmarks.methods import METHODS
game = sector_game({size})
began = time.perf_counter()
METHODS["exact"](game)
first = time.perf_counter() - began
runs = [METHODS["exact"](game) for _ in range(5)]
result = {{"first_call_seconds": first, "runs": [run._asdict() for run in runs]}}
"""


def main() -> dict[str, Any]:
    """Run everything; write the results, the page and the chart."""
    began, load = time.perf_counter(), os.getloadavg()
    for run in METHODS.values():  # imports and first calls
        run(sector_game(5, 2))
    rows = [row for case in CASES for row in _compare(*case)]
    rows += [_alone(size) for size in ALONE]
    result = {
        "settings": {
            "instances": "benchmarks.consortia.sector_game(N, m, seed): Table II in sectors",
            "seeds": SEEDS,
            "exact_calls": EXACT_CALLS,
            "agreement": AGREEMENT,
            "exact": "tolerance 1e-9",
            "cgbd": f"epsilon 1e-8, HiGHS of scipy {version('scipy')}",
            "cgbd traversal": f"epsilon 1e-8, where m^N <= {MAX_COMBINATIONS:,}",
            "SCIP": {
                "version": scip.scip_version(),
                **scip.SETTINGS,
                "limits/time": SCIP_SECONDS,
                "output": "hidden",
            },
            "brute force": "every combination of levels, the concave rest by levels.primal",
        },
        "load": {"before": load, "after": os.getloadavg()},
        "bare_process_mb": in_own_process(BARE)["peak_mb"],
        "table": rows,
        "targets": _targets(rows),
        "largest_difference_from_exact": {
            method: max(
                (abs(row["difference_from_exact"]) for row in rows if row["method"] == method),
                default=None,
            )
            for method in METHODS
            if method != "exact"
        },
        "benchmark_seconds": time.perf_counter() - began,
    }
    keep("solvers", result)
    solver_page.write({"machine": machine(), **result})
    return result


def _compare(size: int, levels: int, peers: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return a row for exact and one for each peer."""
    pairs: dict[str, list[list[tuple[list[Run], Run]]]] = {peer: [] for peer in peers}
    differences: dict[str, float] = dict.fromkeys(peers, 0.0)
    for seed in SEEDS:
        game = sector_game(size, levels, seed)
        for peer in peers:
            calls: list[tuple[list[Run], Run]] = []
            while not calls or (len(calls) < 3 and calls[0][1].call_seconds < 1.0):
                before = [METHODS["exact"](game) for _ in range(EXACT_CALLS)]
                calls.append((before, METHODS[peer](game)))
            pairs[peer].append(calls)
            difference = _difference(f"{peer}, N = {size}, m = {levels}, seed {seed}", *calls[0])
            differences[peer] = max(differences[peer], difference, key=abs)
    everyone = [
        [run for peer in peers for before, _ in pairs[peer][k] for run in before]
        for k in range(len(SEEDS))
    ]
    rows = [{**_row("exact", size, levels, everyone), "ratio": 1.0, "difference_from_exact": 0.0}]
    for peer in peers:
        row = _row(peer, size, levels, [[run for _, run in calls] for calls in pairs[peer]])
        row["ratio"] = _ratio(pairs[peer], "seconds")
        row["ratio_of_whole_calls"] = _ratio(pairs[peer], "call_seconds")
        row["difference_from_exact"] = differences[peer]
        rows.append(row)
    for row in rows:
        code = MEMORY.format(method=row["method"], size=size, levels=levels)
        row["peak_mb"] = in_own_process(code)["peak_mb"]
    return rows


def _difference(what: str, before: list[Run], peer: Run) -> float:
    """Return by how much exact's potential is above the peer's, relative; fail if it differs."""
    exact = before[0].potential
    difference = (exact - peer.potential) / abs(exact)
    # A peer that was cut off may be lower, never higher.
    if difference < -AGREEMENT or (peer.certified and difference > AGREEMENT):
        raise SystemExit(
            f"{what}: potential {peer.potential!r}, exact {exact!r}: relative {difference:.3g}"
        )
    return difference


def _ratio(calls_by_seed: list[list[tuple[list[Run], Run]]], what: str) -> float:
    return statistics.median(
        statistics.median(
            getattr(peer, what) / statistics.median(getattr(run, what) for run in before)
            for before, peer in calls
        )
        for calls in calls_by_seed
    )


def _row(method: str, size: int, levels: int, runs_by_seed: list[list[Run]]) -> dict[str, Any]:
    def median(what: str) -> float:
        return statistics.median(
            statistics.median(getattr(run, what) for run in runs) for runs in runs_by_seed
        )

    runs = [run for some in runs_by_seed for run in some]
    gaps = [run.gap for run in runs if run.gap is not None]
    claims = [abs(run.claimed / run.potential - 1.0) for run in runs if run.claimed]
    return {
        "method": method,
        "organizations": size,
        "levels": levels,
        "seconds": median("seconds"),
        "slowest_seconds": max(run.seconds for run in runs),
        "call_seconds": median("call_seconds"),
        "calls": len(runs),
        "certified": sum(run.certified for run in runs),
        "statuses": sorted({run.status for run in runs}),
        "largest_gap": max(gaps, key=abs) if gaps else None,
        "largest_error_of_claim": max(claims) if claims else None,
    }


def _alone(size: int) -> dict[str, Any]:
    found = in_own_process(LARGE.format(size=size))
    runs = [Run(**run) for run in found["runs"]]
    return {
        **_row("exact", size, 8, [runs]),
        "first_call_seconds": found["first_call_seconds"],
        "ratio": 1.0,
        "difference_from_exact": 0.0,
        "peak_mb": found["peak_mb"],
    }


def _targets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was asked of the solvers, what was measured, and whether that is enough."""
    scip_row, million = find(rows, "SCIP", 1000, 8), find(rows, "exact", 1_000_000, 8)
    hundred, two_hundred = find(rows, "cgbd", 100, 5), find(rows, "cgbd", 200, 5)

    def target(
        what: str, measured: float, limit: float, unit: str, certified: bool = True
    ) -> dict[str, Any]:
        enough = measured >= limit if unit == "times" else measured <= limit
        return {
            "what": what,
            "measured": measured,
            "limit": limit,
            "unit": unit,
            "holds": bool(certified and enough),
        }

    def proven(row: dict[str, Any]) -> bool:
        return bool(row["certified"] == row["calls"])

    return [
        target("exact against SCIP, N = 1,000, m = 8", scip_row["ratio"], 300.0, "times"),
        target(
            "the same by whole calls: with everybody's regret, with building SCIP's model",
            scip_row["ratio_of_whole_calls"],
            300.0,
            "times",
        ),
        target(
            "exact, N = 1,000,000, m = 8: gap",
            million["largest_gap"],
            1e-9,
            "relative",
            proven(million),
        ),
        target("exact, N = 1,000,000, m = 8: time", million["seconds"], 2.0, "s"),
        target("the same with everybody's regret", million["call_seconds"], 2.0, "s"),
        target("exact, N = 1,000,000, m = 8: memory", million["peak_mb"], 1e9 / 2**20, "MiB"),
        target(
            "cgbd, N = 100, m = 5: every call proven, the slowest",
            hundred["slowest_seconds"],
            2.0,
            "s",
            proven(hundred),
        ),
        target(
            "cgbd, N = 200, m = 5: every call proven, the slowest",
            two_hundred["slowest_seconds"],
            5.0,
            "s",
            proven(two_hundred),
        ),
    ]
