"""``tradefl run``: from the file to the audited settlement."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command import run

FILE = Path(__file__).parents[2] / "examples" / "hospitals.toml"


def test_the_whole_way(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    ran = run("run", FILE, "--rounds", 2, "-o", folder)
    assert ran.code == 0, ran.err
    documents = {
        name: json.loads((folder / f"{name}.json").read_text())
        for name in ("solution", "training", "settlement")
    }
    training, settlement = documents["training"], documents["settlement"]
    # Accuracy per round, the statement, the receipts, and the verdict are all printed.
    for accuracy in training["accuracy"]:
        assert f"{accuracy:.4f}" in ran.out
    assert "Payoff statement of University A" in ran.out
    assert "in wei, as the contract computes it" in ran.out
    assert settlement["transactions"][0]["hash"] in ran.out
    assert "everything agrees to the wei" in ran.out
    # The documents are of one run: what was pledged was solved, what was settled was measured.
    for pledged, measured, settled in zip(
        documents["solution"]["organizations"],
        training["organizations"],
        settlement["organizations"],
        strict=True,
    ):
        assert pledged["name"] == measured["name"] == settled["name"]
        assert measured["pledged_fraction"] == pledged["data_fraction"]
        assert settled["data_ppb"] == round(measured["measured_fraction"] * 1e9)
        assert int(settled["cpu_hz"]) == measured["cpu_hz"]
    wei = next(
        line for line in ran.out.splitlines() if line.strip().startswith("R, Eq. (10)")
    ).split()[-1]
    assert wei.replace(",", "") == settlement["organizations"][0]["redistribution_wei"]


def test_json_holds_the_three_documents() -> None:
    document = run("run", FILE, "--rounds", 1, "--json").json
    assert document["schema"] == "tradefl/run/1"
    assert document["solution"]["schema"] == "tradefl/solution/1"
    assert document["training"]["schema"] == "tradefl/training/1"
    assert document["settlement"]["schema"] == "tradefl/settlement/1"
    assert document["settlement"]["audit"]["agrees"]


def test_a_method_that_breaks_the_deadline_cannot_be_settled(tmp_path: Path) -> None:
    ran = run("run", FILE, "--method", "tos", "-o", tmp_path / "results")
    assert (ran.code, ran.out) == (2, "")
    assert "error: --method: tos" in ran.err
    assert not (tmp_path / "results").exists()


def test_bad_input_leaves_nothing_behind(tmp_path: Path) -> None:
    for options, place in (
        (["--data", "digit"], "--data"),
        (["-o", tmp_path / "a" / "b"], str(tmp_path / "a" / "b")),
        (["--rounds", 0], "--rounds"),
    ):
        ran = run("run", FILE, *options)
        assert (ran.code, ran.out) == (2, ""), ran
        assert f"error: {place}: " in ran.err
    assert list(tmp_path.iterdir()) == []
