"""What the code refers to exists in this repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for folder in (
        "src",
        "tests",
        "benchmarks",
        "contracts/src",
        "contracts/test",
        "contracts/tools",
    )
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".sol", ".mjs", ".toml", ".md") and path != Path(__file__)
)
PAGE = re.compile(r"\bdocs/(?:[\w-]+/)*[\w-]+\.md\b")


def test_there_are_files_to_look_at() -> None:
    assert len(FILES) > 300


@pytest.mark.parametrize("folder", ["src", "benchmarks", "contracts"])
def test_pages_that_are_named_exist(folder: str) -> None:
    missing = [
        f"{file.relative_to(ROOT)}: {page}"
        for file in FILES
        if file.is_relative_to(ROOT / folder)
        for page in PAGE.findall(file.read_text("utf-8", errors="replace"))
        if not (ROOT / page).exists()
    ]
    assert missing == []


def test_no_page_of_another_place_is_named() -> None:
    """Design notes that are not in the repository help nobody who reads it."""
    notes = re.compile(r"\b(THEORY|INTERFACE|STABILITY|CONTRACT|FEDERATION|ARCHITECTURE)\.md\b")
    named = [
        str(file.relative_to(ROOT))
        for file in FILES
        if notes.search(file.read_text("utf-8", errors="replace"))
    ]
    assert named == []
