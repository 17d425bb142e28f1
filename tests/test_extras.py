"""Optional parts: one line names all that are missing, and importing stays an ImportError."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.cli.command import SOURCE, run
from tests.optional import skip_without_extra

from tradefl import errors
from tradefl.errors import EXTRAS, InputError, MissingExtraError, require_extras

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))


def test_a_missing_extra_is_an_import_error_and_bad_input():
    error = MissingExtraError("this", "charts")
    assert isinstance(error, ImportError)
    assert isinstance(error, InputError)
    assert str(error) == "this: needs an extra: pip install 'tradefl[charts]'"
    assert str(MissingExtraError("this", "charts", "ui")) == (
        "this: needs extras: pip install 'tradefl[charts,ui]'"
    )


def test_every_extra_of_a_feature_is_known():
    assert set(EXTRAS) == set(PROJECT["project"]["optional-dependencies"]) - {"all", "dev", "docs"}


def test_all_that_are_missing_are_named_at_once(monkeypatch):
    monkeypatch.setattr(errors, "_is_there", lambda module: module not in {"altair", "ray"})
    with pytest.raises(MissingExtraError, match=r"x: .*'tradefl\[charts,sweep\]'"):
        require_extras("x", "charts", "federation", "sweep")
    ran = run("reproduce", "fig6", "--ray", "local")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines() == [
        "error: tradefl reproduce: needs extras: pip install 'tradefl[charts,sweep]'"
    ]


def test_what_is_blocked_counts_as_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"tradefl\[sweep\]"):
        require_extras("x", "sweep")


def test_a_core_install_can_be_walked():
    """As documentation tools and test collectors do."""
    blocked = sorted({name for names in EXTRAS.values() for name in names})
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "import pkgutil, tradefl\n"
        "names = [one.name for one in pkgutil.walk_packages(tradefl.__path__, 'tradefl.')]\n"
        "assert 'tradefl.charts' in names and 'tradefl.federation' in names\n"
        "print(len(names))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(SOURCE)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["run", "FILE", "--rounds", "1", "-o", "out"], []),
        (["report", "FILE", "-o", "page.html"], []),
        (["compare", "FILE", "--chart", "gains.svg"], []),
        (["reproduce", "fig6", "--seeds", "1", "--out", "out"], []),
        (["solve", "FILE", "-o", "solution.json"], ["solution.json"]),
    ],
    ids=lambda value: value[0] if value else "nothing",
)
def test_without_docstrings_what_draws_is_refused_before_the_work(tmp_path, arguments, left):
    """``python -OO``: nobody trains and settles to learn at the end that no page can be drawn."""
    file = SOURCE.parent / "examples" / "hospitals.toml"
    done = subprocess.run(
        [
            sys.executable,
            "-OO",
            "-m",
            "tradefl",
            *(str(file) if w == "FILE" else w for w in arguments),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    skip_without_extra(done.stderr)
    assert done.returncode == (0 if left else 2), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == left
    if not left:
        (line,) = done.stderr.splitlines()
        assert "-OO" in line
        assert line.startswith("error: ")
        assert done.stdout == ""
