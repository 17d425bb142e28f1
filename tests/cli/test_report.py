"""``tradefl report``: what it writes, what it reads, and what it refuses."""

from __future__ import annotations

import json

import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save

import tradefl
from tradefl.charts import drawing
from tradefl.incentives.misreports import incentives
from tradefl.report import report
from tradefl.stability.verdict import stability_of


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Leave the charts empty: drawing is what takes the time, and has tests of its own."""
    monkeypatch.setattr(drawing, "svg", lambda _: '<svg xmlns="http://www.w3.org/2000/svg"></svg>')


@pytest.fixture
def file(tmp_path):
    return save(tmp_path, document())


def test_it_writes_the_report_of_the_library(file, tmp_path):
    page = tmp_path / "page.html"
    ran = run("report", file, "--no-tune", "--no-compare", "--method", "dbr", "-o", page)
    assert (ran.code, ran.out, ran.err) == (0, "", f"note: wrote {page}\n")
    consortium = tradefl.load(file)
    solution = tradefl.solve(consortium, "dbr")
    lies = incentives(consortium, 0.1, points=2, all_rules=False)
    expected = report(consortium, solution, stability=stability_of(solution), incentives=lies)
    assert page.read_text("utf-8") == expected
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_without_a_name_it_writes_report_html_with_the_curve_and_the_rules(
    file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    ran = run("report", file, "-m", "dbr")
    assert (ran.code, ran.err) == (0, "note: wrote report.html\n")
    text = (tmp_path / "report.html").read_text("utf-8")
    assert 'id="gamma"' in text
    assert 'id="rules"' in text


def test_it_reports_the_contributions_of_a_document(file, tmp_path):
    solution = tradefl.solve(tradefl.load(file), "dbr").to_dict()
    for organization in solution["organizations"]:
        organization["data_fraction"] = 0.0625
    profile = tmp_path / "solution.json"
    profile.write_text(json.dumps(solution), "utf-8")
    page = tmp_path / "page.html"
    assert (
        run("report", file, "--profile", profile, "--no-tune", "--no-compare", "-o", page).code == 0
    )
    text = page.read_text("utf-8")
    assert text.count("0.062500") == 3
    assert "somebody would gain by changing alone" in text


def test_it_reads_what_train_and_settle_write(file, tmp_path):
    training, settlement, page = (tmp_path / name for name in ("t.json", "s.json", "page.html"))
    assert run("train", file, "--rounds", 1, "-o", training).code == 0
    assert run("settle", file, "-o", settlement).code == 0
    ran = run(
        "report",
        file,
        *("--no-tune", "--no-compare", "--training", training),
        *("--settlement", settlement, "-o", page),
    )
    assert ran.code == 0, ran.err
    text = page.read_text("utf-8")
    settled = json.loads(settlement.read_text("utf-8"))
    assert settled["contract"] in text
    for transaction in settled["transactions"]:
        assert transaction["hash"] in text
    assert "agrees with the chain in all of" in text
    assert f"{json.loads(training.read_text('utf-8'))['accuracy'][0]:.6g}" in text


def test_a_settlement_of_other_terms_is_refused(file, tmp_path):
    settlement, page = tmp_path / "s.json", tmp_path / "page.html"
    assert run("settle", file, "-o", settlement).code == 0
    other = save(tmp_path, document({"mechanism.incentive_intensity": 6e-9}))
    ran = run("report", other, "--no-tune", "--no-compare", "--settlement", settlement, "-o", page)
    assert ran.code == 2
    assert f"error: {settlement}: agreement_hash: expected that of" in ran.err
    assert "other terms were settled" in ran.words
    assert not page.exists()


@pytest.mark.parametrize("option", ["--training", "--settlement", "--profile"])
def test_a_document_of_something_else_is_refused_and_nothing_is_written(file, tmp_path, option):
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"schema": "tradefl/tune/1"}', "utf-8")
    page = tmp_path / "page.html"
    page.write_text("as it was", "utf-8")
    ran = run("report", file, option, wrong, "--no-tune", "--no-compare", "-o", page)
    assert ran.code == 2
    assert all(line.startswith(f"error: {wrong}") for line in ran.err.splitlines())
    assert page.read_text("utf-8") == "as it was"


def test_a_place_that_cannot_be_written_is_refused(file, tmp_path):
    ran = run("report", file, "-o", tmp_path / "no" / "page.html")
    assert ran.code == 2
    assert "cannot be written: there is no such folder" in ran.err
    ran = run("report", file, "-o", tmp_path)
    assert (ran.code, ran.err.count("it is a folder")) == (2, 1)


def test_what_is_read_is_not_overwritten(file):
    before = file.read_bytes()
    ran = run("report", file, "-o", file)
    assert ran.code == 2
    assert "is the place of FILE too" in ran.err
    assert file.read_bytes() == before


def test_a_bad_file_is_told_as_everywhere(tmp_path):
    ran = run("report", tmp_path / "none.toml", "-o", tmp_path / "page.html")
    assert ran.code == 2
    assert "none.toml: no such file" in ran.err
    assert not (tmp_path / "page.html").exists()
