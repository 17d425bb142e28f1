"""The section of the report on misreports: its figures are those of ``tradefl incentives``."""

from __future__ import annotations

import html
import re

import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save
from tests.golden.cases import EXAMPLES
from tests.incentives.test_payee import with_payee

import tradefl
from tradefl.charts import drawing
from tradefl.incentives.misreports import CHECKED_BY, incentives
from tradefl.report.blocks import Table
from tradefl.report.honesty import FIGURES, honesty_section
from tradefl.tuning import tune


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    monkeypatch.setattr(drawing, "svg", lambda _: '<svg xmlns="http://www.w3.org/2000/svg"></svg>')


def tables(section):
    return {block.name: block for block in section.blocks if isinstance(block, Table)}


def text_of(page, anchor):
    whole = page[page.index(f'<section id="{anchor}"') :]
    return html.unescape(re.sub(r"<[^>]+>", "", whole[: whole.index("</section>")]))


def test_it_names_who_gains_most_by_what_under_each_rule():
    consortium = tradefl.load(EXAMPLES / "hospitals.toml")
    found = incentives(consortium, 0.1, points=2, all_rules=False, tuning=tune(consortium.game))
    assert list(found.rules) == ["linear", "tuned"]
    section = honesty_section(found, consortium)
    rows = tables(section)["misreports"].rows
    best = found.ranked[0]
    assert rows[0][:3] == (
        "the paper's rule",
        found.game.name_of(best.organization),
        "size of its data s",
    )
    unit = 1.0 if consortium.currency is None else consortium.payoff_unit
    assert float(rows[0][3].replace(",", "")) == pytest.approx(best.gain * unit, rel=1e-5)
    assert rows[0][5:] == (found.game.name_of(best.paid_by), "the server of the training", "search")
    assert rows[1][0] == "the paper's rule, gamma tuned on the reports"
    by_figure = tables(section)["misreports-by-figure"].rows
    shown = {row[1]: row for row in by_figure}
    assert shown["profitability p"][0] == "nobody"
    assert shown["profitability p"][-1] == "certified"
    assert set(shown) <= {*FIGURES.values(), "any figure"}
    assert set(FIGURES) == set(CHECKED_BY)


def test_the_report_has_it_as_an_appendix(tmp_path):
    path, page = (
        save(tmp_path, document({"currency": "EUR", "payoff_unit": 1000})),
        tmp_path / "r.html",
    )
    assert run("report", path, "--no-compare", "-o", page).code == 0
    shown = text_of(page.read_text("utf-8"), "honesty")
    assert "Could somebody game it?" in shown
    assert "gain, EUR" in shown
    assert "γ tuned on the reports" in shown
    assert "search" in shown
    assert "certified" in shown
    for options in (("--no-incentives",), ("--audience", "board")):
        assert run("report", path, "--no-compare", "--no-tune", "-o", page, *options).code == 0
        assert 'id="honesty"' not in page.read_text("utf-8")


def test_a_promise_of_honesty_is_stated_and_certified(tmp_path):
    consortium = tradefl.load(save(tmp_path, document()))
    _, _, file = with_payee(consortium)
    found = incentives(file, 0.1, points=2, all_rules=False)
    section = honesty_section(found, file)
    said = " ".join(
        " ".join(block.items) if hasattr(block, "items") else getattr(block, "text", "")
        for block in section.blocks
    )
    assert "No report from the menus gains while the others are honest" in said
    rows = {row[1]: row for row in tables(section)["misreports-by-figure"].rows}
    assert rows["profitability p"][0] == "nobody"
    assert rows["profitability p"][-1] == "certified"
