"""Running the command line in this process, and as a process of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from tests.optional import missing_extra

from tradefl.cli import main

SOURCE = Path(__file__).parents[2] / "src"
# Wide and colourless, whatever terminal or CI the tests run in.
PLAIN = {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}


@dataclasses.dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout; NaN and infinities are no JSON."""
        return strict_json(self.out)

    @property
    def words(self) -> str:
        """stderr without the line breaks and boxes of usage errors."""
        return " ".join(self.err.replace("│", " ").split())


def strict_json(text: str) -> Any:
    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def run(*arguments: object) -> Ran:
    """Call ``tradefl.cli.main`` as ``tradefl ARGUMENTS``; any exception but an exit escapes."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with (
        patch.object(sys, "argv", ["tradefl", *map(str, arguments)]),
        patch.dict(os.environ, PLAIN),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code
    code = 0 if code is None else code
    assert isinstance(code, int), code
    return _done(Ran(code, out.getvalue(), err.getvalue()))


def _done(ran: Ran) -> Ran:
    """Return what a command left behind; skip the test where an extra it needs is not there."""
    wanted = missing_extra(ran.err) if ran.code == 2 else None
    if wanted is not None:
        pytest.skip(wanted)
    return ran


def run_process(
    *arguments: object,
    stdout: Any = subprocess.PIPE,
    environment: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> Ran:
    """Run ``python -m tradefl ARGUMENTS``; the timeout is for a process that hangs."""
    done = subprocess.run(
        [sys.executable, "-m", "tradefl", *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **PLAIN, "PYTHONPATH": str(SOURCE), **(environment or {})},
        timeout=timeout,
        check=False,
    )
    out = "" if done.stdout is None else done.stdout.decode()
    return _done(Ran(done.returncode, out, done.stderr.decode()))


def assert_refused(folder: Path, expected: Mapping[str, str], *arguments: object) -> Ran:
    """Check that a command refuses its input: exit 2, nothing on stdout, a line for each problem.

    ``expected`` maps each place, such as ``consortium.toml: mechanism.compute_weight``, to what
    its line says; files stand in ``folder``. No other problem may be reported. Without
    arguments, ``tradefl check`` reads ``consortium.toml`` there.
    """
    ran = run(*(arguments or ("check", folder / "consortium.toml")))
    assert (ran.code, ran.out) == (2, ""), ran
    assert "Traceback" not in ran.err
    lines = ran.err.splitlines()
    for place, what in expected.items():
        start = f"error: {folder / place}: "
        found = [line for line in lines if line.startswith(start) and what in line[len(start) :]]
        assert len(found) == 1, f"expected one line {start}... {what}, got\n{ran.err}"
        lines.remove(found[0])
    assert not lines, f"unexpected: {lines}"
    return ran
