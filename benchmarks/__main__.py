"""``python -m benchmarks [NAME ...]``: run the benchmarks and print their results."""

from __future__ import annotations

import json
import sys
from importlib import import_module

NAMES = (
    *(
        "start_up",
        "best_responses",
        "kernels",
        "solvers",
        "planner",
        "many",
        "sweeps",
        "federation_overhead",
    ),
    "negotiation",
    "incentives",
    "stability",
)


def main() -> None:
    """Run the named benchmarks, or all."""
    for name in sys.argv[1:] or NAMES:
        if name not in NAMES:
            sys.exit(f"no benchmark {name!r}; there are {', '.join(NAMES)}")
        print(json.dumps({name: import_module(f"benchmarks.{name}").main()}, indent=2))


if __name__ == "__main__":
    main()
