"""Every test that the threat table names is there, under that name, in that file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOLIDITY = ROOT / "contracts" / "test"
TABLE = ROOT / "docs" / "explanation" / "threats.md"


def rows() -> list[tuple[str, str]]:
    """Return the attack and what it is shown by, of every row of the page."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return [(row[0], row[-1]) for row in cells if row[0] != "attack"]


def named(shown_by: str) -> list[tuple[Path, str]]:
    """Return the file and the name of every test in the last column of a row."""
    tests: list[tuple[Path, str]] = []
    path: Path | None = None
    for token in re.findall(r"`([^`]+)`", shown_by):
        if token.endswith(".sol"):
            [path] = SOLIDITY.rglob(token)
        elif token.endswith(".py"):
            path = ROOT / token
        elif re.match(r"test|check_|invariant_", token):
            assert path is not None, f"{token}: no file before it"
            tests.append((path, token))
    return tests


@pytest.mark.parametrize(("attack", "shown_by"), rows())
def test_the_tests_of_a_threat_exist(attack: str, shown_by: str) -> None:
    tests = named(shown_by)
    assert tests, f"{attack}: no test is named"
    for path, name in tests:
        keyword = "function" if path.suffix == ".sol" else "def"
        text = path.read_text(encoding="utf-8")
        assert re.search(rf"\b{keyword} {name}\(", text), f"{name} is not in {path.name}"


def test_the_table_is_read() -> None:
    assert len(rows()) > 30
