"""Ctrl-C and SIGTERM: what a command says, and its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from tradefl.cli.interrupting import interruptible

FILE = Path(__file__).parents[2] / "examples" / "hospitals.toml"
PATIENCE = 120.0


def work(sent: int) -> None:
    with interruptible(lambda: "two of nine"):
        os.kill(os.getpid(), sent)
        time.sleep(PATIENCE)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_work_and_says_what_is_left(sent, code, capsys):
    before = signal.getsignal(signal.SIGTERM)
    own = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(click.exceptions.Exit) as ended:
            work(sent)
    finally:
        signal.signal(signal.SIGINT, own)
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == "note: stopped; two of nine\n"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("command", "sent", "code"),
    [
        (["fit-accuracy", "--fractions", "0.1,0.2,1", "--seeds", "900"], signal.SIGTERM, 143),
        (["run", str(FILE), "--rounds", "9000"], signal.SIGINT, 130),
    ],
)
def test_commands_that_train_end_in_order(command, sent, code):
    pytest.importorskip("flwr")
    with subprocess.Popen(
        [sys.executable, "-m", "tradefl", *command, "--data", "digits"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        lines = []
        for line in process.stderr:  # until something is trained
            lines.append(line)
            if "accuracy" in line:
                break
        process.send_signal(sent)
        rest = process.stderr.read()
        assert process.wait(PATIENCE) == code, [*lines, rest]
    assert rest.splitlines()[-1].startswith("note: stopped; ")
    assert "Traceback" not in rest
