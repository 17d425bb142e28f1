"""The notebooks of ``docs/`` run, and print what is stored in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.notebooks import NOTEBOOKS, executed, printed

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")


def test_there_are_two() -> None:
    assert [notebook.stem for notebook in NOTEBOOKS] == ["engineer", "researcher"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints_what_it_shows(notebook: Path) -> None:
    stored = nbformat.read(notebook, as_version=4)
    found = executed(notebook)
    assert printed(found) == printed(stored)
    assert all(printed(stored))  # every cell shows something
