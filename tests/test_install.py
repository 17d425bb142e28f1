"""Installing: constraints that pip takes, and the page's table of extras."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.optional import MISSING, missing_extra, missing_module

from tradefl.errors import EXTRAS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CONSTRAINTS = ROOT / "constraints.txt"
LINES = [line for line in CONSTRAINTS.read_text("utf-8").splitlines() if not line.startswith("#")]


def test_constraints_hold_versions_and_nothing_else():
    """pip refuses extras in constraints; an address would tie them to one index."""
    assert len(LINES) > 100
    for line in LINES:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[^\s;@\[]+( ; .+)?", line), line
        assert "://" not in line
        assert "@" not in line


def test_every_direct_dependency_is_constrained():
    pinned = {line.partition("==")[0] for line in LINES}
    extras = PROJECT["optional-dependencies"].values()
    wanted = {
        re.split(r"[\[<>=!~; ]", dependency)[0].lower().replace("_", "-")
        for dependency in (*PROJECT["dependencies"], *(name for extra in extras for name in extra))
    }
    assert wanted - {"tradefl"} <= pinned


def test_torch_is_the_version_of_the_tests():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(r"(?m)^TORCH := (torch==\S+)$", makefile)[1] in LINES  # type: ignore[index]


def test_pip_takes_the_constraints():
    """Without an index: what is asked for is installed already."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("this environment has no pip")
    options = ["install", "--dry-run", "--no-index", "--no-deps", "--quiet"]
    done = subprocess.run(
        [*pip, *options, "--constraint", str(CONSTRAINTS), "tomli-w"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_nothing_caps_the_core_but_majors():
    for dependency in PROJECT["dependencies"]:
        cap = re.search(r"<([\d.]+)", dependency)
        assert cap is None or "." not in cap[1], dependency


def test_the_page_lists_every_extra():
    page = (ROOT / "docs" / "how-to" / "install.md").read_text("utf-8")
    listed = set(re.findall(r"(?m)^\| `(\w+)` \|", page))
    assert listed == set(PROJECT["optional-dependencies"]) - {"dev", "docs"}


def test_only_what_is_not_installed_turns_an_error_into_a_skip():
    assert missing_module(ModuleNotFoundError("no", name="numpy")) is None
    assert missing_module(ModuleNotFoundError("no", name="no_such_module")) is None
    assert missing_module(ValueError("needs an extra: pip install")) is None
    there = next((name for name in EXTRAS if not MISSING.intersection(EXTRAS[name])), "none")
    asked = f"x: needs an extra: pip install 'tradefl[{there}]'"
    assert missing_extra(asked) is None
    assert missing_module(ImportError(asked)) is None
    for name in MISSING:
        assert missing_module(ModuleNotFoundError("no", name=f"{name}.part")) == name


def test_the_oldest_releases_are_tested_with_tools_that_the_tests_run_with():
    """Without a bound, lowest-direct takes the first release of pytest that there was."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (tools,) = re.findall(r"--editable \. ('pytest.*) \\$", makefile, re.MULTILINE)
    named = re.findall(r"'([^']+)'", tools)
    assert len(named) == 3
    assert set(named) <= set(PROJECT["optional-dependencies"]["dev"])
