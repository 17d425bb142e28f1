"""HiGHS, through SciPy, without what it prints."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import IO, Any

# HiGHS 1.8 to 1.12 print this when they repair a solution, even when asked to be silent.
CHATTER = re.compile(rb"^HighsMipSolverData::.*\n?", re.MULTILINE)


def milp(*arguments: Any, **options: Any) -> Any:
    """Return what :func:`scipy.optimize.milp` returns, and keep standard output clean."""
    from scipy.optimize import milp as solve

    with _without_chatter():
        return solve(*arguments, **options)


class _Diversion:
    """Standard output sent to a file; the first one in diverts, the last one out ends it.

    The descriptors are the process's own: were each thread to keep what it found, it might find
    what another one has diverted, and leave it so.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._kept: int | None = None
        self._written: IO[bytes] | None = None

    def begin(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside > 1:
                return
            try:
                kept = os.dup(1)
            except OSError:  # standard output is closed: nothing can be printed to it
                return
            try:
                written = tempfile.TemporaryFile()  # noqa: SIM115 - end() closes it
            except OSError:  # nowhere to keep it: a line too many does less harm than no answer
                os.close(kept)
                return
            _flush()
            self._kept, self._written = kept, written
            os.dup2(written.fileno(), 1)

    def end(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside or self._kept is None or self._written is None:
                return
            os.dup2(self._kept, 1)
            os.close(self._kept)
            self._kept = None
            with self._written as file:
                file.seek(0)
                text = CHATTER.sub(b"", file.read())
            # What other threads have printed meanwhile is late, but not lost.
            with os.fdopen(os.dup(1), "wb") as output:
                output.write(text)

    def after_fork(self) -> None:
        """In a child, whose other threads are gone: give it its own standard output back."""
        self._lock = threading.Lock()
        self._inside = 0
        if self._kept is not None:
            os.dup2(self._kept, 1)
            os.close(self._kept)
        self._kept = self._written = None


def _flush() -> None:
    """Write out what Python has buffered, if standard output is a stream that can be flushed.

    Under pythonw and some services it is ``None``; notebooks and tests replace it.
    """
    with contextlib.suppress(Exception):
        sys.stdout.flush()


_diversion = _Diversion()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_diversion.after_fork)


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep what HiGHS prints off standard output: ``--json`` promises one document."""
    _diversion.begin()
    try:
        yield
    finally:
        _diversion.end()
