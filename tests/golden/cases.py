"""The examples and methods that have golden files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tradefl
import tradefl.solvers

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "examples"
CASES = [
    (example, method)
    for example in ("banks_fraud", "drug_discovery", "hospitals", "paper")
    for method in tradefl.solvers.METHODS
]


def document(example: str, method: str) -> dict[str, Any]:
    """Return the solution document without what differs from run to run."""
    solution = tradefl.solve(tradefl.load(EXAMPLES / f"{example}.toml"), method)
    found = solution.to_dict()
    del found["runtime_seconds"]
    return found


def golden_file(example: str, method: str) -> Path:
    """Return where the golden document of a case stands."""
    return HERE / f"{example}.{method}.json"
