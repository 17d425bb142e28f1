"""The planner against SCIP on the same MINLP; alone up to a million; equal and nearly equal firms.

Times are processor seconds of one thread, so that other jobs on the machine disturb less.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import scip
from benchmarks.consortia import sector_game
from benchmarks.measure import in_own_process, keep, machine
from tradefl import CoopetitionGame, StrategyProfile
from tradefl.game.welfare import social_welfare
from tradefl.solvers import planner

SEEDS = (0, 1, 2)
CALLS = 7
SIZES = (10, 50, 100, 200)
ALONE = (1_000, 100_000, 1_000_000)
SCIP_SECONDS = 120.0
REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
TEMPLATE = Path(__file__).with_name("planner_page.md")
# What was asked: organizations, processor seconds.
ASKED = {10: 0.001, 200: 0.002, 1_000: 0.030, 100_000: 1.0, 1_000_000: 8.0}

LARGE = """
import time
from benchmarks.consortia import sector_game
from benchmarks.planner import solved
game = sector_game({size})
solved(game)
result = {{"runs": [solved(game) for _ in range({calls})]}}
"""


def main() -> dict[str, Any]:
    """Run everything; write the results, the page and the chart."""
    load = os.getloadavg()
    began = time.perf_counter()
    solved(sector_game(5))
    rows = [_against_scip(size) for size in SIZES] + [_alone(size) for size in ALONE]
    result = {
        "settings": {
            "instances": "benchmarks.consortia.sector_game(N, 8, seed)",
            "seeds": SEEDS,
            "calls": CALLS,
            "SCIP": {"version": scip.scip_version(), **scip.SETTINGS, "limits/time": SCIP_SECONDS},
        },
        "load": {"before": load, "after": os.getloadavg()},
        "table": rows,
        "alike": [_alike(50, spread) for spread in (0.0, 1e-9, 1e-6, 1e-3, 1e-2)],
        "benchmark_seconds": time.perf_counter() - began,
    }
    keep("planner", result)
    _write({"machine": machine(), **result})
    return result


def solved(game: CoopetitionGame) -> dict[str, Any]:
    """Solve a game once; return the time, the gap and the nodes."""
    began = time.process_time()
    best = planner.optimum(game)
    took = time.process_time() - began
    return {
        "seconds": took,
        "welfare": best.welfare,
        "gap": (best.bound - best.welfare) / abs(best.bound),
        "proven": best.proven,
        "nodes": best.nodes,
    }


def _repeated(solve: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    runs = [solve() for _ in range(CALLS)]
    return {**runs[0], "seconds": statistics.median(run["seconds"] for run in runs)}


def _against_scip(size: int) -> dict[str, Any]:
    own, peers, ratios, differences = [], [], [], []
    for seed in SEEDS:
        game = sector_game(size, 8, seed)
        run = _repeated(lambda game=game: solved(game))  # type: ignore[misc]
        began = time.process_time()
        peer = scip.solve_welfare(game, SCIP_SECONDS)
        took = time.process_time() - began
        welfare = social_welfare(game, StrategyProfile(peer.data_fraction, peer.cpu_hz))
        difference = (run["welfare"] - welfare) / abs(welfare)
        if difference < -1e-7:
            raise RuntimeError(f"SCIP found more at N = {size}, seed {seed}: {difference:.3g}")
        own.append(run)
        peers.append(took)
        ratios.append(took / run["seconds"])
        differences.append(difference)
    return {
        "organizations": size,
        "seconds": statistics.median(run["seconds"] for run in own),
        "gap": max(run["gap"] for run in own),
        "proven": all(run["proven"] for run in own),
        "nodes": max(run["nodes"] for run in own),
        "scip_seconds": statistics.median(peers),
        "ratio": statistics.median(ratios),
        "above_scip": max(differences),
    }


def _alone(size: int) -> dict[str, Any]:
    calls = CALLS if size <= 100_000 else 1
    found = in_own_process(LARGE.format(size=size, calls=calls))
    runs = found["runs"]
    return {
        "organizations": size,
        "seconds": statistics.median(run["seconds"] for run in runs),
        "gap": max(run["gap"] for run in runs),
        "proven": all(run["proven"] for run in runs),
        "nodes": max(run["nodes"] for run in runs),
        "peak_mb": found["peak_mb"],
    }


def _alike(size: int, spread: float) -> dict[str, Any]:
    """Organizations that differ by about ``spread`` in everything; 0 for equal ones."""
    draw = np.random.default_rng(0)

    def about(value: Any) -> Any:
        return value * (1.0 + spread * draw.standard_normal(size))

    base = sector_game(size)
    game = dataclasses.replace(
        base,
        profitability=about(1500.0),
        data_bits=about(2e10),
        data_units=about(200.0 / size),
        cpu_levels_hz=about(4e9)[:, None] * np.arange(1, 9) / 8,
        competition=np.full((size, size), 0.6 / size) * (1.0 - np.eye(size)),
        overhead_weight=1.3,
        deadline_seconds=22.6,
    )
    return {"organizations": size, "spread": spread, **solved(game)}


def _write(result: dict[str, Any]) -> None:
    """Write the page and the chart from the results alone."""
    rows = result["table"]
    lines = [
        "| N | time | gap | search nodes | SCIP | SCIP / planner | memory |",
        "|" + " --- |" * 7,
    ]
    for row in rows:
        peer = f"{row['scip_seconds']:.3g} s" if "scip_seconds" in row else ""
        ratio = f"{row['ratio']:,.0f}" if "ratio" in row else ""
        memory = f"{row['peak_mb']:,.0f} MiB" if "peak_mb" in row else ""
        lines.append(
            f"| {row['organizations']:,} | {1e3 * row['seconds']:,.3g} ms | {row['gap']:.1e} | "
            f"{row['nodes']} | {peer} | {ratio} | {memory} |"
        )
    asked = ["| N | asked | measured | holds |", "| --- | --- | --- | --- |"]
    for row in rows:
        wanted = ASKED.get(row["organizations"])
        if wanted is not None:
            holds = "yes" if row["seconds"] <= wanted else "no"
            asked.append(
                f"| {row['organizations']:,} | {1e3 * wanted:,.3g} ms | "
                f"{1e3 * row['seconds']:,.3g} ms | {holds} |"
            )
    alike = ["| spread | time | gap | search nodes | proven |", "| --- | --- | --- | --- | --- |"]
    alike += [
        f"| {row['spread']:g} | {1e3 * row['seconds']:,.3g} ms | {row['gap']:.1e} | "
        f"{row['nodes']} | {'yes' if row['proven'] else 'no'} |"
        for row in result["alike"]
    ]
    page = TEMPLATE.read_text(encoding="utf-8").format(
        **result["machine"],
        minutes=f"{result['benchmark_seconds'] / 60:.1f}",
        load_before=f"{result['load']['before'][0]:.1f}",
        load_after=f"{result['load']['after'][0]:.1f}",
        version=result["settings"]["SCIP"]["version"],
        table="\n".join(lines),
        asked="\n".join(asked),
        alike="\n".join(alike),
    )
    (REFERENCE / "planner-benchmark.md").write_text(page, encoding="utf-8")
    _draw(rows)


def _draw(rows: list[dict[str, Any]]) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "planner", "font.size": 11, "font.family": "DejaVu Sans"})
    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    peers = [row for row in rows if "scip_seconds" in row]
    for label, key, some, style in (
        ("planner", "seconds", rows, {"marker": "o", "color": "#0072B2"}),
        ("SCIP", "scip_seconds", peers, {"marker": "D", "color": "#000000"}),
    ):
        axes.loglog(
            [r["organizations"] for r in some], [r[key] for r in some], label=label, **style
        )
    axes.set_xlabel("organizations")
    axes.set_ylabel("processor time, s")
    axes.legend(frameon=False)
    figure.savefig(REFERENCE / "planner-benchmark.svg", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
