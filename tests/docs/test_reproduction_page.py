"""What is stored of the reproduction is what the code gives, and the page shows all of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from tradefl.experiments import FIGURES, Settings, figure
from tradefl.experiments.runner import compute_all
from tradefl.experiments.scorecard import VERDICTS

DOCS = Path(__file__).parents[2] / "docs"
STORED = DOCS / "reproduction"
PAGE = (DOCS / "explanation" / "reproduction.md").read_text("utf-8")
SCORECARD = json.loads((STORED / "scorecard.json").read_text("utf-8"))


def claims_of(name: str) -> list[dict[str, str]]:
    return [claim for claim in SCORECARD["claims"] if claim["figure"] == name]


def test_the_scorecard_has_every_figure():
    assert SCORECARD["schema"] == "tradefl/scorecard/1"
    assert {claim["figure"] for claim in SCORECARD["claims"]} == set(FIGURES)
    assert {claim["verdict"] for claim in SCORECARD["claims"]} <= set(VERDICTS)
    text = (STORED / "scorecard.md").read_text("utf-8")
    assert all(f"## {name}: " in text for name in FIGURES)
    assert text.count("\n| ") - 2 * len(FIGURES) + len(FIGURES) == len(SCORECARD["claims"])


@pytest.mark.parametrize("name", FIGURES)
def test_every_picture_is_shown_with_a_text_for_who_cannot_see_it(name):
    assert (STORED / f"{name}.svg").read_text("utf-8").startswith("<svg")
    [text] = re.findall(rf"!\[([^\]]*)\]\(\.\./reproduction/{name}\.svg\)", PAGE)
    assert len(text) > 15


@pytest.mark.parametrize("name", ["fig5", "fig6"])
def test_what_is_stored_is_what_the_code_gives(name, tmp_path):
    """Two quick figures stand for all: whoever changes results makes all of them again."""
    one = figure(name)
    rows = compute_all([one], Settings(seeds=50), tmp_path, workers=1)[name]
    found = [(finding.claim, finding.ours, finding.verdict) for finding in one.findings(rows)]
    assert found == [(c["claim"], c["ours"], c["verdict"]) for c in claims_of(name)]
    # Another processor may round the last digits of a sum otherwise.
    stored = pd.read_csv(STORED / f"{name}.summary.csv")
    pd.testing.assert_frame_equal(one.summary(rows), stored, check_dtype=False, rtol=1e-9)


@pytest.mark.parametrize("name", ["fig2", "fig12-accuracy", "fig13", "fig14", "fig15"])
def test_the_findings_on_trainings_are_those_of_the_stored_rounds(name):
    rows = pd.read_csv(STORED / f"{name}.csv")
    found = figure(name).findings(rows)
    assert [(log_.claim, log_.ours, log_.verdict) for log_ in found] == [
        (c["claim"], c["ours"], c["verdict"]) for c in claims_of(name)
    ]
