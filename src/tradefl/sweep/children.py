"""Processes that compute for a driver, and the pipes to them.

Not ``concurrent.futures``: its pool breaks as a whole when one process dies, does not say which
unit that process had, and imports the driver's main module in every worker; and Ray, which takes
over signals, loggers and the way the interpreter ends, must not run in the driver at all.
"""

from __future__ import annotations

import contextlib
import multiprocessing.spawn
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

# Workers would otherwise each start a thread for every CPU.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PATIENCE_SECONDS = 10.0
PROGRAM = "import sys; sys.path[:] = {path!r}; from tradefl.sweep.{module} import main; main()"

# Which child, and what it sent; an empty message: it has ended.
Event = tuple["Child", tuple[Any, ...]]


def search_path() -> list[str]:
    """Return where children import from: the driver's own path."""
    return [place or os.getcwd() for place in sys.path]  # noqa: PTH109 - relative to the driver


class Child:
    """A process that computes; what it sends arrives in a queue.

    Parameters
    ----------
    module
        The module of this package whose ``main`` it runs.
    events
        Where its messages go, each with this child.
    capacity
        How many batches it may have at a time: one to work on, one that waits.
    arguments
        What ``main`` finds in ``sys.argv[1:]``.
    environment
        Variables in addition to the driver's.
    keep_errors
        Keep what it prints on stderr, for :meth:`last_words`, instead of showing it.
    """

    def __init__(
        self,
        module: str,
        events: queue.SimpleQueue[Event],
        capacity: int = 2,
        *,
        arguments: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        keep_errors: bool = False,
    ) -> None:
        self.capacity = capacity
        self.batches: dict[int, Any] = {}  # by number, the oldest first: that is being computed
        self.jobs: set[int] = set()
        self.ready = False
        self._errors = tempfile.TemporaryFile() if keep_errors else None  # noqa: SIM115
        executable = os.fsdecode(multiprocessing.spawn.get_executable() or sys.executable)
        program = PROGRAM.format(path=search_path(), module=module)
        self.process = subprocess.Popen(  # noqa: S603 - this interpreter
            [executable, "-c", program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **dict.fromkeys(THREADS, "1"), **(environment or {})},
            start_new_session=True,  # Ctrl-C is for the driver, which stops its children
        )
        self._listener = threading.Thread(target=self._listen, args=(events,), daemon=True)
        self._listener.start()

    def _listen(self, events: queue.SimpleQueue[Event]) -> None:
        source: Any = self.process.stdout
        with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                events.put((self, pickle.load(source)))  # noqa: S301 - of our own child
        events.put((self, ()))

    def send(self, *message: Any) -> None:
        """Send a message; a child that has ended is reported through the queue, not here."""
        sink: Any = self.process.stdin
        with contextlib.suppress(OSError, ValueError):
            pickle.dump(message, sink, protocol=pickle.HIGHEST_PROTOCOL)
            sink.flush()

    def close(self) -> None:
        """Tell it to end, by closing the pipe."""
        sink: Any = self.process.stdin
        with contextlib.suppress(OSError):
            sink.close()

    def kill(self) -> None:
        """End it at once, with the processes of its session."""
        self.close()
        if hasattr(os, "killpg"):
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self.process.kill()

    def wait(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until it has ended; end it when it does not."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()
        self._listener.join(PATIENCE_SECONDS)
        if not self._listener.is_alive():  # a process that it started may hold the pipe open
            source: Any = self.process.stdout
            source.close()
        if self._errors is not None:
            self._errors.close()

    def last_words(self) -> str:
        """Return the last line that it printed on stderr."""
        if self._errors is None or self._errors.closed:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
