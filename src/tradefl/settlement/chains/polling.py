"""Waiting for a node: pauses that grow, until a time is over."""

from __future__ import annotations

import time

FIRST_POLL, LAST_POLL = 0.02, 0.5  # seconds


class Poll:
    """Pauses that grow, until a time is over."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._pause = FIRST_POLL

    def wait(self) -> bool:
        """Pause, and return whether there is time left."""
        if time.monotonic() >= self._until:
            return False
        time.sleep(self._pause)
        self._pause = min(1.5 * self._pause, LAST_POLL)
        return True
