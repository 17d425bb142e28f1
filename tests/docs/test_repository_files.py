"""The files that a hosting site reads: citation, security, templates, the workflow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import tradefl

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"


def test_the_citation_names_software_and_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == tradefl.__version__
    [paper] = citation["references"]
    assert (paper["type"], paper["year"]) == ("conference-paper", 2023)
    assert len(paper["authors"]) == 8


def test_security_names_a_private_way_and_no_address() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    assert "Report a vulnerability" in text
    assert not re.search(r"[\w.]+@[\w.]+\.\w+", text)


@pytest.mark.parametrize("form", sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")), ids=str)
def test_forms_can_be_read(form: Path) -> None:
    content = yaml.safe_load(form.read_text("utf-8"))
    if form.name != "config.yml":
        assert {"name", "description", "body"} <= content.keys()
        ids = [field["id"] for field in content["body"] if "id" in field]
        assert ids
        assert len(ids) == len(set(ids))


def test_the_workflow_runs_the_gate_and_nothing_else() -> None:
    workflow = yaml.safe_load((GITHUB / "workflows" / "gate.yml").read_text("utf-8"))
    steps = workflow["jobs"]["gate"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    assert len(commands) == 1
    assert commands[0].endswith(".ci/run")
    assert workflow["permissions"] == {"contents": "read"}
