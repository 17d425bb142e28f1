"""Proofs of stability over 2^N coalitions, against enumeration and by size.

Compared is branch and bound with the enumeration of all coalitions at ten organizations, which must
find the same margin. Then the least-core split of larger consortia with dense rivalry is proven
stable; times are processor seconds of all threads, because wall time is the machine's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import tradefl
from benchmarks.measure import keep, machine
from tradefl.experiments.draws import draw_heterogeneous
from tradefl.stability import SPLITS, stability

# What was asked: seconds, everything at ten organizations, and the least core at fifty and hundred.
ASKED = {"10": 1.0, "50": 5.0, "100": 20.0}
SIZES = (50, 100)


def _seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    value = run()
    return time.process_time() - started, value


def _split(game: tradefl.CoopetitionGame) -> dict[str, Any]:
    """Prove the least-core split of a game stable, from scratch."""
    first, core = _seconds(lambda: stability(game, "by-profitability", time_limit=600.0))
    proof, found = _seconds(lambda: stability(game, core.least_core, time_limit=600.0))
    if found.verdict != "stable" or not found.margin_certified:
        raise SystemExit(f"N = {game.size}: {found.verdict}, certified: {found.margin_certified}")
    return {
        "seconds": first,
        "seconds_of_the_least_core_again": proof,
        "nodes": found.nodes,
        "margin_share": found.margin / found.grand_value,
    }


def main() -> dict[str, Any]:
    """Measure, and keep the results."""
    ten = draw_heterogeneous(0, spread=1.0, rivalry=0.5)
    stability(ten)  # loads what is compiled
    every, values = _seconds(lambda: [stability(ten, split) for split in SPLITS])
    market, _ = _seconds(lambda: stability(ten, "efficient", reading="market"))
    enumerated, other = _seconds(lambda: stability(ten, "efficient", method="enumeration"))
    if abs(other.margin - values[0].margin) > 1e-7 * abs(other.grand_value):
        raise SystemExit("branch and bound and enumeration find different margins")
    sizes = {
        str(n): _split(draw_heterogeneous(0, spread=1.0, rivalry=0.5, organizations=n))
        for n in SIZES
    }
    results = {
        "machine": machine(),
        "ten_organizations": {
            "seconds_of_every_split": every,
            "seconds_of_the_market_reading": market,
            "search_over_enumeration": every / len(SPLITS) / enumerated,
        },
        "sizes": sizes,
        "asked_seconds": ASKED,
    }
    keep("stability", results)
    return results
