"""Reports of mechanisms without a contract: they say so, and nothing else settles them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.command import run

import tradefl
from tradefl.mechanisms import make_mechanism

FILE = Path(__file__).parents[1] / "examples" / "drug_discovery.toml"


@pytest.fixture(scope="module")
def game():
    bare = tradefl.load(FILE).game
    return bare.with_compensation(make_mechanism("by-data-profile", bare))


def test_the_report_of_a_game_under_it(game):
    solution = tradefl.solve(game)
    page = tradefl.report(game, solution)
    assert "cannot be settled" in page
    assert "by-data-profile" in page
    assert tradefl.report(tradefl.load(FILE), solution).count("cannot be settled") == 1
    assert "cannot be settled" not in tradefl.report(tradefl.load(FILE))


@pytest.mark.parametrize("verb", ["settle", "negotiate", "incentives"])
def test_what_needs_a_contract_says_why(game, verb):
    with pytest.raises(tradefl.InputError, match="'by-data-profile' is on no contract"):
        getattr(tradefl, verb)(game)


def test_the_command(tmp_path):
    page = tmp_path / "report.html"
    options = ("--no-tune", "--no-compare", "-o", page)
    ran = run("report", FILE, "--mechanism", "equal-split", *options)
    assert ran.code == 0, ran.err
    assert "cannot be settled" in page.read_text()
    for extra, what in (
        (("--mechanism", "nothing"), "--mechanism: expected one of linear"),
        (("--mechanism", "vcg", "--profile", FILE), "cannot be combined with --profile"),
    ):
        refused = run("report", FILE, *extra, *options)
        assert (refused.code, what in refused.words) == (2, True), refused.err


@pytest.mark.parametrize("command", ["settle", "design", "agreement"])
def test_a_file_cannot_name_it(tmp_path, command):
    text = FILE.read_text()
    place = tmp_path / "file.toml"
    place.write_text(text.replace("[mechanism]\n", '[mechanism]\nrule = "vcg"\n'))
    ran = run(command, place)
    assert ran.code == 2
    assert "another mechanism cannot be settled" in ran.words
