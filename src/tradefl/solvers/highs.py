"""HiGHS, through SciPy, without what it prints."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def milp(*arguments: Any, **options: Any) -> Any:
    """Return what :func:`scipy.optimize.milp` returns, and keep standard output clean."""
    from scipy.optimize import milp as solve

    with _output_to_errors():
        return solve(*arguments, **options)


class _Diversion:
    """Standard output sent to standard error; the first one in diverts, the last one out ends it.

    The descriptors are the process's own: were each thread to keep what it found, it might find
    what another one has diverted, and leave it so.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._kept: int | None = None

    def begin(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside > 1:
                return
            try:
                self._kept = os.dup(1)
            except OSError:  # standard output is closed: nothing can be printed to it
                return
            sys.stdout.flush()
            os.dup2(2, 1)

    def end(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside or self._kept is None:
                return
            os.dup2(self._kept, 1)
            os.close(self._kept)
            self._kept = None


_diversion = _Diversion()


@contextmanager
def _output_to_errors() -> Iterator[None]:
    """Send what the process writes to standard output to standard error meanwhile.

    HiGHS 1.8 to 1.12 print a line of their own when they repair a solution, even when told to be
    silent, and ``--json`` promises one document on standard output.
    """
    _diversion.begin()
    try:
        yield
    finally:
        _diversion.end()
