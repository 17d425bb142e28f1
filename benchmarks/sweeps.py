"""Sweeps of short units: processes and Ray against one process, and the driver's memory."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tradefl
from benchmarks.measure import in_own_process, keep, seconds

RUNS = 3
UNITS = 10_000
MEMORY = """
import tempfile
import tradefl
from benchmarks import sweeps

units = [[k] for k in range({units})]
with tempfile.TemporaryDirectory() as folder:
    found = tradefl.sweep(sweeps.short, units, folder, workers=2)
result = {{"values": len(found)}}
"""


def short(number: int) -> float:
    """Return a sum that takes about a tenth of a millisecond."""
    return sum(1.0 / (1.0 + number + k) for k in range(1200))


def main() -> dict[str, Any]:
    """Sweep the same units in one process, in two, and on a Ray of two processors."""
    units = [[number] for number in range(UNITS)]
    ways: dict[str, dict[str, Any]] = {"one process": {"workers": 1}, "two": {"workers": 2}}
    if find_spec("ray") is not None:
        ways["Ray"] = {"workers": 2, "ray": "local"}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(RUNS):
        for name, options in ways.items():
            folder = Path(tempfile.mkdtemp())
            taken[name].append(
                seconds(
                    lambda options=options, folder=folder: tradefl.sweep(
                        short, units, folder, **options
                    )
                )
            )
            shutil.rmtree(folder)
    one = statistics.median(taken["one process"])
    peaks = {
        count: in_own_process(MEMORY.format(units=count))["peak_mb"] for count in (1_000, 60_000)
    }
    result = {
        f"{UNITS:,} units of 0.1 ms, against one process": {
            name: {
                "seconds": statistics.median(each),
                "ratio": statistics.median(each) / one,
            }
            for name, each in taken.items()
        },
        "the driver's peak memory with 60,000 units against 1,000": {
            "peak_mb": peaks[60_000],
            "peak_mb_of_1000": peaks[1_000],
            "difference_mb": peaks[60_000] - peaks[1_000],
        },
    }
    keep("sweeps", result)
    return result
