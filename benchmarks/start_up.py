"""Starting up: what a small consortium pays before anything is computed."""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.measure import alternating, keep, process

SOLVE = [sys.executable, "-m", "tradefl", "solve", "examples/drug_discovery.toml"]


def main() -> dict[str, Any]:
    """Time whole processes against a bare interpreter and against NumPy's own import."""

    def python(code: str) -> None:
        process([sys.executable, "-c", code])

    result = {
        "tradefl solve drug_discovery.toml (first) against importing NumPy (second)": alternating(
            lambda: process(SOLVE), lambda: python("import numpy"), runs=11
        ),
        "import tradefl (first) against a bare interpreter (second)": alternating(
            lambda: python("import tradefl"), lambda: python("pass"), runs=11
        ),
    }
    keep("start_up", result)
    return result
