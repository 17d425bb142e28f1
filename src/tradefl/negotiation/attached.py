"""A process that ends with the process that started it, whatever ends that one.

Run as a script whose standard input is a pipe that the starting process holds open. The first line
is a JSON object, the *task*; after it nothing is written. When the starting process ends - by
itself, by Ctrl-C, a closed terminal, ``kill -9`` or the kernel's lack of memory - the system closes
the pipe, and this process ends what it was started for:

``{"module": name, "arguments": [...], "environment": {...}, "root": folder}``
    Runs ``python -m name arguments`` in this process, and ends it. Arguments and environment are
    not seen by other users of the machine, because they are not on the command line.
``{"program": [...]}``
    Runs another program, and ends it with all that it has started.
``{"folder": path}``
    Waits, and removes the folder.

It must not import the package before the pipe is watched, so it needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

GRACE_SECONDS = 5.0
PAUSE_SECONDS = 0.1


def main() -> None:
    """Read the task, and do it until it is done or the starting process has ended."""
    task = json.loads(_line(0))
    pipe = os.dup(0)
    os.set_inheritable(pipe, False)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if "folder" in task:
        _wait_for_the_end(pipe)
        _remove(Path(task["folder"]))
    elif "program" in task:
        _run_program(task["program"], pipe)
    else:
        _run_module(task, pipe)


def _line(descriptor: int) -> bytes:
    """Return the first line, and leave everything behind it unread."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:  # the starting process has ended already
            sys.exit(0)
        line += byte
    return line


def _wait_for_the_end(pipe: int) -> None:
    while os.read(pipe, 4096):
        pass


def _watch(pipe: int, end: Callable[[], None]) -> None:
    def watch() -> None:
        _wait_for_the_end(pipe)
        end()

    threading.Thread(target=watch, daemon=True).start()


def _run_module(task: dict[str, Any], pipe: int) -> None:
    """Run a module of the package in this process; the end comes without a word, as a crash."""
    _watch(pipe, lambda: os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM)))
    os.environ.update(task.get("environment", {}))
    # The code of the starting process, wherever that had it from.
    root = task["root"]
    name = task["module"]
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None or Path(found.origin).parents[1] != Path(root):
        sys.path.insert(0, root)
    sys.argv = [name, *task["arguments"]]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _run_program(program: list[str], pipe: int) -> None:
    """Run a program in this process's group; the end is that of the group."""
    child = subprocess.Popen(program, stdin=subprocess.DEVNULL)  # noqa: S603

    def end() -> None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS)
        child.kill()
        if hasattr(os, "killpg"):  # what it has started, and this process
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    _watch(pipe, end)
    sys.exit(child.wait())


def _remove(folder: Path) -> None:
    """Remove a folder, into which a process that is just ending may still write."""
    until = time.monotonic() + 12 * GRACE_SECONDS
    while folder.exists() and time.monotonic() < until:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(PAUSE_SECONDS)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session of its own, with all that it has started, at once."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


if __name__ == "__main__":
    main()
