"""``tradefl reproduce``: names, groups, what is printed and what is written."""

from __future__ import annotations

import json

import pytest
from tests.cli.command import run


def test_one_figure_from_the_name_to_the_scorecard(tmp_path):
    ran = run("reproduce", "fig6", "--seeds", "2", "--workers", "1", "--out", tmp_path / "out")
    assert ran.code == 0
    assert "CGBD reaches at least the welfare of DBR" in ran.out
    assert f"scorecard  {tmp_path / 'out' / 'scorecard.md'}" in ran.out
    assert "reproducing: 2 of 2" in ran.err
    assert "Fewer than 20 draws" in ran.err
    document = json.loads((tmp_path / "out" / "scorecard.json").read_text())
    assert document["schema"] == "tradefl/scorecard/1"
    assert {claim["figure"] for claim in document["claims"]} == {"fig6"}
    assert {claim["command"] for claim in document["claims"]} == {
        "tradefl reproduce fig6 --seeds 2"
    }
    assert sum(document["verdicts"].values()) == len(document["claims"])
    again = run(
        "reproduce", "fig6", "--seeds", "2", "--workers", "1", "--out", tmp_path / "out", "--json"
    )
    assert again.json == document


def test_a_parameter_is_set_and_named_in_the_command(tmp_path):
    options = ("--seeds", "2", "--workers", "1", "--set", "mu=0.02", "--set", "n=3", "--json")
    options += ("--style", "paper")
    ran = run("reproduce", "fig6", *options, "--out", tmp_path / "out")
    assert ran.code == 0
    assert {claim["command"] for claim in ran.json["claims"]} == {
        "tradefl reproduce fig6 --seeds 2 --set mu=0.02 --set n=3"
    }
    for name in ("fig6.pdf", "fig6.tex", "fig6-graphic.pdf", "fig6.svg"):
        assert (tmp_path / "out" / name).stat().st_size > 500


@pytest.mark.parametrize(
    ("options", "place"),
    [
        (["fig3"], "FIGURES: expected of fig4"),
        (["fig44"], "(did you mean 'fig4'?)"),
        (["training", "--pair", "resnet"], "--pair: expected of resnet18-cifar10"),
        (["fig6", "--seeds", "0"], "--seeds"),
        (["fig6", "--workers", "0"], "--workers"),
        (["fig13", "--profile", "big"], "--profile"),
        (["fig13", "--data-dir", "/nowhere"], "--data-dir: there is no folder /nowhere"),
        (["fig6", "--ray", "localhost:1"], "no Ray cluster"),
        (["fig6", "--set", "mus=0.1"], "--set: fig6 has no parameter 'mus' (did you mean 'mu'?)"),
        (["fig6", "--set", "mu=high"], "--set: mu: expected a number >= 0 and <= 1, got 'high'"),
        (["fig6", "--style", "poster"], "--style"),
        (["fig6", "--set", "mu"], "--set: expected NAME=VALUE, got 'mu'"),
        (["fig6", "fig10", "--set", "mu=0.02"], "--set: fig10 has no parameter 'mu'"),
        (["fig6", "--seeds", "1", "--set", "mu=0.9"], "no draw has every z_i > 0 at mu = 0.9"),
    ],
)
def test_what_is_refused(tmp_path, options, place):
    if "--ray" in options:
        pytest.importorskip("ray")
    ran = run("reproduce", *options, "--out", tmp_path / "out")
    assert (ran.code, ran.out) == (2, "")
    assert place in ran.words
    assert not (tmp_path / "out" / "scorecard.json").exists()


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("mine")
    ran = run("reproduce", "fig6", "--seeds", "1", "--out", tmp_path / "out")
    assert ran.code == 2
    assert "cannot be made" in ran.err
    assert (tmp_path / "out").read_text() == "mine"
