"""``tradefl run``: from the file to the audited settlement."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command import run

import tradefl
from tradefl.charts import drawing
from tradefl.report import read_settlement, read_training, report
from tradefl.tuning import tune

FILE = Path(__file__).parents[2] / "examples" / "hospitals.toml"


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the charts empty: drawing is what takes the time, and has tests of its own."""
    empty = '<svg xmlns="http://www.w3.org/2000/svg"></svg>'
    monkeypatch.setattr(drawing, "svg", lambda _: empty)


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
    # The report is the one that tradefl report makes of these documents.
    assert ran.err.endswith(f"note: wrote {folder / 'report.html'}\n")
    consortium = tradefl.load(FILE)
    page = (folder / "report.html").read_text("utf-8")
    assert page == report(
        consortium,
        tradefl.solve(consortium),
        tuning=tune(consortium.game),
        training=read_training(folder / "training.json", consortium),
        settlement=read_settlement(folder / "settlement.json", consortium),
    )
    assert 'id="figure-training-curves"' in page
    assert all(transaction["hash"] in page for transaction in settlement["transactions"])


def test_without_the_charts_everything_else_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [module for module in sys.modules if module.startswith("tradefl.report")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [module for module in sys.modules if module.startswith("tradefl.charts")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "altair", None)
    folder = tmp_path / "results"
    ran = run("run", FILE, "--rounds", 1, "-o", folder)
    assert ran.code == 0
    assert f"note: no {folder / 'report.html'}: " in ran.err
    assert "pip install 'tradefl[charts]'" in ran.err
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    written = sorted(path.name for path in folder.iterdir())
    assert written == ["settlement.json", "solution.json", "training.json"]


def test_no_curve_over_gamma_where_none_is_asked_for(tmp_path: Path) -> None:
    ran = run("run", FILE, "--rounds", 1, "--no-tune", "-o", tmp_path / "results")
    assert ran.code == 0
    page = (tmp_path / "results" / "report.html").read_text("utf-8")
    assert 'id="gamma"' not in page
    assert 'id="certificate"' in page


def test_a_curve_that_cannot_be_had_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("too many")

    # By its name, tradefl.cli.run is the command.
    monkeypatch.setattr(sys.modules["tradefl.cli.run"], "tune", refuse)
    folder = tmp_path / "results"
    ran = run("run", FILE, "--rounds", 1, "-o", folder)
    assert ran.code == 0
    assert f"note: {folder / 'report.html'} has no curve over gamma: too many\n" in ran.err
    assert 'id="gamma"' not in (folder / "report.html").read_text("utf-8")


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
