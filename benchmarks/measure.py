"""Measuring: alternating runs, medians, ratios, and a description of the machine."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "numba": version("numba"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def seconds(run: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def alternating(
    first: Callable[[], object], second: Callable[[], object], runs: int = 5
) -> dict[str, float]:
    """Time two calls in turn, after a warm-up of each; return medians and their ratio."""
    first(), second()
    pairs = [(seconds(first), seconds(second)) for _ in range(runs)]
    return {
        "first_seconds": statistics.median(a for a, _ in pairs),
        "second_seconds": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(a / b for a, b in pairs),
    }


def process(command: Sequence[str]) -> None:
    """Run a whole process; fail if it fails."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def in_own_process(code: str) -> dict[str, Any]:
    """Run Python code that prints one JSON object; add the process's peak memory to it."""
    tail = (
        "\nimport json"
        "\nfrom benchmarks.measure import peak_mb"
        "\nresult['peak_mb'] = peak_mb()"
        "\nprint(json.dumps(result))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + tail], check=True, stdout=subprocess.PIPE, text=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def peak_mb() -> float:
    """Return this process's peak memory, MiB.

    Linux's ``ru_maxrss`` starts with the memory of the parent at the fork, ``VmHWM`` at zero.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    import resource  # not on Windows

    per_mb = 2**20 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / per_mb


def keep(name: str, result: dict[str, Any]) -> None:
    """Write the results of one benchmark, with the machine, to ``results/``."""
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": machine(), **result}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
