"""A time limit for loops that may run compiled, where no clock can be read."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np


class Clock:
    """``clock[0]`` is whether the time is over, by looking.

    Parameters
    ----------
    until
        The time of :func:`time.perf_counter` at which it is.
    """

    def __init__(self, until: float) -> None:
        self.until = until

    def __getitem__(self, _: int) -> bool:
        return time.perf_counter() > self.until


@contextlib.contextmanager
def alarm(until: float) -> Iterator[Any]:
    """Give an array of shape ``(1,)`` that becomes true at a time of :func:`time.perf_counter`.

    Compiled code reads it; a thread sets it, which needs the interpreter while that code runs.
    """
    over = np.zeros(1, dtype=np.bool_)
    left = until - time.perf_counter()
    if left <= 0.0:
        over[0] = True
        yield over
        return
    if left > threading.TIMEOUT_MAX:
        yield over
        return

    def ring() -> None:
        over[0] = True

    timer = threading.Timer(left, ring)
    timer.daemon = True
    timer.start()
    try:
        yield over
    finally:
        timer.cancel()
