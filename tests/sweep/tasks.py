"""Functions that are swept in tests; their helper is a module of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
from tests.sweep import helper


def third(number: int, log: str = "") -> dict[str, Any]:
    if log:
        with Path(log).open("a") as stream:
            stream.write(f"{number}\n")
    return {"number": number, "third": helper.FACTOR * number / 3.0, "list": np.arange(2)}


def fragile(number: int, bad: int, folder: str, how: str = "raise") -> int:
    """Fail for one number; each attempt leaves a file."""
    if number == bad:
        (Path(folder) / f"{os.getpid()}-{len(list(Path(folder).iterdir()))}").touch()
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "exit":
            raise SystemExit(3)
        raise ArithmeticError(f"no {number}")
    return number


def once(number: int, folder: str) -> int:
    """Die at the first attempt of each third number, and only then."""
    mark = Path(folder) / str(number)
    if number % 3 == 0 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def loud(number: int) -> int:
    print("a line on standard output")
    return number


def strange(number: int) -> object:
    return object()


def process(number: int) -> int:
    return os.getpid()


def variables() -> dict[str, str | None]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {name: os.environ.get(name) for name in names}
