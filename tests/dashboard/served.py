"""The console served, in a process of its own."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.cli.command import PLAIN, SOURCE

PATIENCE = 60.0  # seconds, for Streamlit to start or to end on a machine that does much else


@dataclasses.dataclass(frozen=True)
class Served:
    """A console that runs: its address, its process, and what it prints."""

    url: str
    process: subprocess.Popen[str]
    out: IO[str]
    err: IO[str]

    def end(self) -> None:
        """End it the hard way if it does not end when it is told."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise

    def printed(self) -> tuple[str, str]:
        """Return what it has printed so far, on stdout and on stderr."""
        texts = []
        for stream in (self.out, self.err):
            stream.seek(0)
            texts.append(stream.read())
        return texts[0], texts[1]


def free_port() -> int:
    """Return a port that nobody serves now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    file: Path, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Serve the console, and yield it when it answers."""
    port = free_port()
    # Files and not pipes: nobody reads while the console runs, and a full pipe would stop it.
    with tempfile.TemporaryFile("a+") as out, tempfile.TemporaryFile("a+") as err:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tradefl", "dashboard", str(file)),
                *("--no-browser", "--port", str(port), *options),
            ],
            stdout=out,
            stderr=err,
            text=True,
            env={**os.environ, **PLAIN, "PYTHONPATH": str(SOURCE), **(environment or {})},
        )
        served = Served(f"http://127.0.0.1:{port}", process, out, err)
        try:
            _wait_for(served)
            yield served
        finally:
            served.end()


def _wait_for(served: Served) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if served.process.poll() is not None:
            raise AssertionError(served.printed())
        try:
            with urllib.request.urlopen(f"{served.url}/_stcore/health", timeout=5) as answer:  # noqa: S310
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{served.url} does not answer", *served.printed())
