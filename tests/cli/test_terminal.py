"""What a person sees in a terminal: nothing is wider than it, and no number is broken or lost."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from rich.box import SIMPLE_HEAD
from tests.cli.command import PLAIN, run

from tradefl.cli import main
from tradefl.cli.fitting import table_text
from tradefl.cli.terminal import terminal_width, wrapped
from tradefl.text import cell_width

EXAMPLES = Path(__file__).parents[2] / "examples"
WIDTH = 80
COMMANDS = ["solve", "explain --wei", "check", "compare", "design", "agreement", "stability"]
NUMBER = re.compile(r"(?<![\w.,])-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.,]*\d)")
# Forty characters each, and a name that takes two cells a character.
HASH = "0x" + "a" * 64
LONG = ["The University Hospital of the North A1", "大学病院東京中央医療センター"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def seen(*arguments, width=WIDTH):
    """Return what a command prints on a terminal, stdout and stderr."""
    out, err = Terminal(), Terminal()
    with (
        patch.object(sys, "argv", ["tradefl", *map(str, arguments)]),
        patch.dict(os.environ, {**PLAIN, "COLUMNS": str(width)}),
        patch("tradefl.cli.output._is_watched", lambda: False),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.suppress(SystemExit),
    ):
        main()
    return out.getvalue(), err.getvalue()


def assert_fits(text, width=WIDTH):
    wide = [line for line in text.splitlines() if cell_width(line) > width]
    assert not wide, "\n".join(wide)


@pytest.fixture
def long_names(tmp_path, monkeypatch):
    text = (EXAMPLES / "hospitals.toml").read_text(encoding="utf-8")
    for name, other in zip(["University A", "Children's Hospital"], LONG, strict=True):
        assert name in text
        text = text.replace(f'"{name}"', f'"{other}"')
    monkeypatch.chdir(tmp_path)  # a path is not broken
    Path("long.toml").write_text(text, encoding="utf-8")
    return Path("long.toml")


@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_is_wider_than_the_terminal(command, long_names):
    for path in (long_names, EXAMPLES / "drug_discovery.toml")[: 2 if command == "solve" else 1]:
        out, err = seen(*command.split(), path)
        assert len(out.splitlines()) > 10
        assert_fits(out)
        assert_fits(err)
        plain = run(*command.split(), path)
        times = re.compile(r"in [\d.e-]+ s\b")
        said = sorted(NUMBER.findall(times.sub("", plain.out)))
        # Names are repeated where a table is cut in two; numbers are neither lost nor broken.
        assert set(said) <= set(NUMBER.findall(times.sub("", out)))


def test_other_commands(tmp_path, long_names):
    for command in ("incentives", "settle", "tune"):
        assert_fits("".join(seen(command, long_names)))
    ranges = EXAMPLES / "hospitals_ranges.toml"
    assert_fits("".join(seen("sensitivity", ranges, "--draws", "20")))


def test_errors_and_help_fit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (EXAMPLES / "hospitals.toml").read_text(encoding="utf-8")
    Path("wrong.toml").write_text(text.replace("profitability", "profitabilty"), encoding="utf-8")
    out, err = seen("check", "wrong.toml")
    assert out == ""
    assert err.startswith("error: wrong.toml: ")
    assert len(err.splitlines()) > 6
    assert_fits(err)
    for command in ([], ["solve"], ["settle"], ["train"], ["reproduce"]):
        assert_fits("".join(seen(*command, "--help")))


def test_output_that_is_no_terminal_is_whole(long_names):
    out = run("solve", long_names).out
    (heading,) = [line for line in out.splitlines() if "what binds" in line]
    assert heading.split()[0] == "organization"
    assert cell_width(heading) > WIDTH


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_loses_nothing(width):
    headings = ["organization", "figure", "a long heading", "amount of money", "in words", "hash"]
    rows = [
        [
            f"Org {i}",
            f"figure {j}",
            f"{i}.{j}23456",
            f"{10**j:,}",
            "some words " * 4,
            "0x" + "f" * 30,
        ]
        for i in range(2)
        for j in range(3)
    ]
    text = table_text(headings, rows, footer=None, left={0, 1, 4}, box=SIMPLE_HEAD, width=width)
    assert_fits(text, width)
    for row in rows:
        for k in (2, 3, 5):
            assert text.count(row[k]) >= 1
    assert text.split().count("some") == 4 * len(rows)
    assert "…" not in text


def test_a_value_longer_than_the_terminal_has_its_own_line():
    rows = [["deployment", "0x" + "e" * 64], ["withdraw", "0x" + "d" * 64]]
    text = table_text(["call", "hash"], rows, footer=None, left={0}, box=SIMPLE_HEAD, width=70)
    assert f" deployment\n     0x{'e' * 64}\n withdraw\n" in text


def test_a_line_is_broken_at_spaces_only():
    line = f"  hash  {HASH} and 123,456.789 more"
    assert wrapped(line, 70) == f"  hash\n    {HASH}\n      and 123,456.789 more"
    assert wrapped(line, 40) == f"  hash  {HASH}\n      and 123,456.789 more"
    assert wrapped(line, None) == line


def test_the_width_of_what_is_no_terminal():
    assert terminal_width(None) is None
    assert terminal_width(io.StringIO()) is None
    with patch.dict(os.environ, {"COLUMNS": "3"}):
        assert terminal_width(Terminal()) == 40
    with patch.dict(os.environ, {"COLUMNS": ""}):
        assert terminal_width(Terminal()) == 80
