"""Kernels on threads that end with the call, against numba's own parallel loops and one thread."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from benchmarks.consortia import sector_game
from benchmarks.measure import alternating, in_own_process, keep
from tradefl.solvers import compiled, pricing
from tradefl.solvers.best_response import players

SIZES = (30_000, 300_000, 1_000_000)
# The same in a process of its own: numba's pool of threads would stay.
PARALLEL = """
from benchmarks import kernels
result = kernels.against_parallel({size})
"""


def on_threads(size: int) -> Any:
    """Return a call of the pricing kernel for a game of this size, as the solvers make it."""
    some = players(sector_game(size))
    return lambda: pricing.choose(some, 0.1)


def in_parallel(size: int) -> Any:
    """Return the same call with numba's parallel loop over the organizations."""
    import numba

    some = players(sector_game(size))
    plain, looped = "for i in range(units.size)", "for i in prange(units.size)"
    text = inspect.getsource(pricing._choose_each)
    if text.count(plain) != 1:
        raise AssertionError("the kernel has changed")
    names = {**vars(pricing), "prange": numba.prange, "segment": numba.njit(pricing.segment)}
    exec(text.replace(plain, looped), names)  # noqa: S102 - our own source
    every = numba.njit(error_model="numpy", nogil=True, parallel=True)(names["_choose_each"])

    def call() -> Any:
        code, w, v = np.empty(size, dtype=np.int64), np.empty(size), np.empty(size)
        every(*some, 0.1, code, w, v)
        return code, w, v

    return call


def against_parallel(size: int) -> dict[str, Any]:
    """Time both; they must agree to the last bit."""
    first, second = on_threads(size), in_parallel(size)
    ours, (code, w, _) = first(), second()
    if not (np.array_equal(ours.code, code) and np.array_equal(ours.w, w)):
        raise AssertionError("the kernels differ")
    return alternating(first, second)


def main() -> dict[str, Any]:
    """Compare at each size, and with one thread."""
    result: dict[str, Any] = {}
    for size in SIZES:
        found = in_own_process(PARALLEL.format(size=size))
        call, threads = on_threads(size), compiled.threads

        def alone(call: Any = call, threads: Any = threads) -> None:
            compiled.threads = lambda: 1
            try:
                call()
            finally:
                compiled.threads = threads

        result[f"{size:,} organizations: threads that end (first) against prange (second)"] = found
        result[f"{size:,} organizations: threads that end (first) against one thread (second)"] = (
            alternating(call, alone)
        )
    keep("kernels", result)
    return result
