"""The report for those who decide: its first section, audiences, and PDF."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save

import tradefl
from tradefl.comparison import compare
from tradefl.game import alone
from tradefl.report import report

EXAMPLES = Path(__file__).parents[1] / "examples"


def text_of(page: str, anchor: str) -> str:
    start = page.index(f'<section id="{anchor}"')
    found = page[start : page.index("</section>", start)]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", found)).split())


def test_a_board_reads_money_gains_and_assumptions_first() -> None:
    consortium = tradefl.load(EXAMPLES / "wind_operators.toml")
    solution = tradefl.solve(consortium)
    page = report(consortium, solution, comparison=compare(consortium.game))
    assert page.index('<section id="decision"') < page.index('<section id="consortium"')
    text = text_of(page, "decision")
    gain = 1000.0 * (solution.payoffs - alone(consortium.game))
    assert f"Together they gain {gain.sum():,.0f} EUR over training alone." in text
    for i, name in enumerate(consortium.names):
        amount = 1000.0 * solution.terms.redistribution[i]
        assert re.search(rf"{name} ?[0-9.]+ % ?{solution.binds[i]} ?{amount:,.0f}", text)
        assert f"{gain[i]:,.0f}" in text
    assert "Proven, given the figures: nobody gains" in text
    assert "0.1 (conduct)" in text
    assert "the efficient rule, equal-gain: welfare" in text
    assert re.search(r"γ\* = [^:]+: welfare [0-9,]+ EUR; \w+ loses", text)


def opening_of(page: str) -> str:
    """Return the first sentences: below the title and the line that says what was read."""
    return page.split("</h1>")[1].split("</p>")[1]


def test_the_page_opens_in_plain_words() -> None:
    game = tradefl.load(EXAMPLES / "drug_discovery.toml").game
    opening = opening_of(report(game, audience="board"))
    assert "nobody gains by contributing more or less than this" in opening
    assert "Eq." not in opening
    stopped = tradefl.solve(game, "dbr", max_moves=1)
    opening = opening_of(report(game, stopped, audience="board"))
    assert "Do not sign this" in opening


def test_who_would_rather_not_join_is_named(tmp_path: Path) -> None:
    path = save(tmp_path, document({"organization.1.joining_cost": 1e5}))
    consortium = tradefl.load(path)
    solution = tradefl.solve(consortium)
    worse = np.flatnonzero(solution.payoffs < alone(consortium.game))
    assert worse.tolist() == [1]
    text = text_of(report(consortium, solution), "decision")
    assert "Beta does worse than alone: of 3, 1 would rather not join." in text
    opening = opening_of(report(consortium, solution))
    assert "do not hold: 1 of 3 would rather train alone." in opening
    chinese = report(consortium, solution, audience="board", language="zh")
    assert "3 个组织中有 1 个宁愿单独训练" in opening_of(chinese)
    nobody = {f"organization.{i}.joining_cost": 1e5 for i in range(3)}
    refused = tradefl.load(save(tmp_path, document(nobody)))
    opening = opening_of(report(refused))
    assert "do not hold: each of them would rather train alone." in opening
    short = float(alone(consortium.game).sum() - solution.social_welfare)
    assert f"Together they lose {short:,.0f} units of payoff against training alone." in text


def test_every_figure_of_the_first_page_leads_to_its_line(tmp_path: Path) -> None:
    """Facts, cells and sentences with amounts, in the report of every audience."""
    consortium = tradefl.load(save(tmp_path, document({"currency": "EUR"})))
    solution = tradefl.solve(consortium)
    stays = tradefl.stability(consortium)
    for audience in ("board", "engineer"):
        page = report(
            *(consortium, solution),
            comparison=compare(consortium),
            stability=stays,
            audience=audience,
        )
        first = page[page.index("<body") : page.index("<section", page.index('id="decision"') + 1)]
        values = re.findall(r'<span class="value">(.*?)</span>', first)
        cells = re.findall(r'<td class="number">(.*?)</td>', first)
        assert len(values) == 9
        assert len(cells) == 4 * 5  # three rows and their sum; its share is empty
        untraced = [cell for cell in (*values, *cells) if cell and "<a " not in cell]
        assert untraced == []
        for words in ("Together they gain", "Would they stay?", ": welfare "):
            at = first.index(words)
            assert first.rfind("<a ", 0, at) > first.rfind("</a>", 0, at), words
        ids = set(re.findall(r'id="([^"]+)"', page))
        assert set(re.findall(r'href="#([^"]+)"', page)) <= ids


@pytest.mark.parametrize(
    ("audience", "there", "left_out"),
    [
        (
            "board",
            {"decision", "contributions", "payoffs", "payments", "stability"},
            {"statements", "certificate", "competition"},
        ),
        ("auditor", {"decision", "certificate", "statements"}, {"competition", "payoffs"}),
        ("engineer", {"decision", "certificate", "statements", "competition", "payoffs"}, set()),
    ],
)
def test_each_audience_gets_its_sections(
    tmp_path: Path, audience: str, there: set[str], left_out: set[str]
) -> None:
    path, page = save(tmp_path, document()), tmp_path / "report.html"
    ran = run("report", path, "-o", page, "--audience", audience, "--no-tune", "--no-compare")
    assert ran.code == 0, ran.err
    sections = set(re.findall(r'<section id="([a-z]+)" aria', page.read_text(encoding="utf-8")))
    assert there <= sections
    assert not left_out & sections
    assert "equations" in sections  # every reference leads somewhere


def test_another_audience_is_refused(tmp_path: Path) -> None:
    ran = run("report", save(tmp_path, document()), "--audience", "bored")
    assert ran.code == 2
    assert "board" in ran.err


def browser(folder: Path, text: str) -> None:
    program = folder / "chromium"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def test_a_browser_prints_the_pdf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser(
        tmp_path,
        'for one in "$@"; do\n'
        "case $one in --print-to-pdf=*) out=${one#--print-to-pdf=};; esac; done\n"
        "printf '%%PDF-1.7 test' > $out",
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    path, pdf = save(tmp_path, document()), tmp_path / "report.pdf"
    ran = run("report", path, "-o", tmp_path / "r.html", "--pdf", pdf, "--no-tune", "--no-compare")
    assert ran.code == 0, ran.err
    assert pdf.read_bytes() == b"%PDF-1.7 test"


@pytest.mark.parametrize("broken", [None, "echo no display >&2; exit 3"])
def test_without_a_browser_that_prints_the_message_is_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str | None
) -> None:
    if broken is not None:
        browser(tmp_path, broken)
    monkeypatch.setenv("PATH", str(tmp_path))
    path, pdf = save(tmp_path, document()), tmp_path / "report.pdf"
    ran = run("report", path, "-o", tmp_path / "r.html", "--pdf", pdf, "--no-tune", "--no-compare")
    assert ran.code == 2
    assert "--pdf: no browser found" in ran.err or "did not print" in ran.err
    assert "Traceback" not in ran.err
    assert not pdf.exists()
