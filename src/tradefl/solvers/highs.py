"""HiGHS, through SciPy, without what it prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def milp(*arguments: Any, **options: Any) -> Any:
    """Return what :func:`scipy.optimize.milp` returns, and keep standard output clean."""
    from scipy.optimize import milp as solve

    with _output_to_errors():
        return solve(*arguments, **options)


@contextmanager
def _output_to_errors() -> Iterator[None]:
    """Send what the process writes to standard output to standard error meanwhile.

    HiGHS 1.8 to 1.12 print a line of their own when they repair a solution, even when told to be
    silent, and ``--json`` promises one document on standard output.
    """
    try:
        kept = os.dup(1)
    except OSError:  # standard output is closed: nothing can be printed to it
        yield
        return
    try:
        sys.stdout.flush()
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
