"""Solve, train, report and settle four files one after another, in four threads, in four forks.

``python -m tests.at_once FOLDER`` does it in a process of its own and prints the three results as
one JSON document; tests/test_guest.py compares them.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import tradefl
from tradefl.federation import Plan, train
from tradefl.report import report
from tradefl.settlement.accounts import embedded

MANY = 4


def everything(path: str) -> dict[str, Any]:
    """Return what becomes of one file, but for what clocks say."""
    consortium = tradefl.load(path)
    solution = tradefl.solve(consortium)
    trained = train(Plan(consortium=path, rounds=1, seed=len(path)))
    page = report(consortium, solution)
    parties = embedded(consortium)
    reports = parties.agreement.reports(solution.profile)
    settlement = parties.settlement(dict(zip(parties.agreement.addresses, reports, strict=True)))
    state = settlement.run(operator=parties.operator)
    return {
        "payoffs": [value.hex() for value in solution.payoffs.tolist()],
        "accuracy": [value.hex() for value in trained.accuracy],
        "trained": [
            {key: value for key, value in organization.items() if key != "seconds"}
            for organization in trained.to_dict()["organizations"]
        ],
        "page": hashlib.sha256(page.encode()).hexdigest(),
        "phase": state.phase.name,
        "paid": [place.redistribution for place in state.places],
    }


def main(paths: list[str]) -> None:
    """Print the results of all ways."""
    found = {"one by one": [everything(path) for path in paths]}
    with concurrent.futures.ThreadPoolExecutor(MANY) as threads:
        found["threads"] = list(threads.map(everything, paths))
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(MANY, mp_context=context) as forks:
        found["forks"] = list(forks.map(everything, paths))
    print(json.dumps(found))


if __name__ == "__main__":
    main([str(path) for path in sorted(Path(sys.argv[1]).glob("*.toml"))])
