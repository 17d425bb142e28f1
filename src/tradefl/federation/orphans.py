"""The process of a ClientApp ends with the SuperNode that started it.

Flower's own watch raises SIGINT in a thread, which a training that sleeps, waits or computes in
compiled code does not notice. Its reply would go nowhere, while it keeps processor and memory busy.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from functools import lru_cache
from pathlib import Path

COMMAND = "flwr-clientapp"  # of Flower; in any other process nothing is watched
LOOK_SECONDS = 0.5
# What Flower's own way to end gets.
GRACE_SECONDS = 5.0
ORPHANED = 143


@lru_cache(maxsize=1)
def end_with_supernode() -> bool:
    """Watch the processes that this one works for, if it is Flower's for a ClientApp.

    Returns
    -------
    Whether they are watched: once in a process.
    """
    if os.name != "posix" or Path(sys.argv[0]).stem != COMMAND:
        return False
    # The SuperExec that started it, and whom Flower names, which is gone when the SuperNode is.
    parent, named = os.getppid(), _named(sys.argv)
    threading.Thread(target=_watch, args=(parent, named), daemon=True).start()
    return True


def _named(words: list[str]) -> int | None:
    """Return the process that ``--parent-pid`` names."""
    for word, value in itertools.pairwise(words):
        if word == "--parent-pid" and value.isdigit():
            return int(value)
    return None


def _watch(parent: int, named: int | None) -> None:
    while os.getppid() == parent and (named is None or _runs(named)):
        time.sleep(LOOK_SECONDS)
    time.sleep(GRACE_SECONDS)
    os._exit(ORPHANED)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another's, so it exists
        return True
    return True
