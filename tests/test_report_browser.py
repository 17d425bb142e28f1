"""The report in a real browser: from disk, in light and dark, by keyboard, and on paper."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser import IMPACTS, SCHEMES, browser, opened, violations
from tests.cli.command import run
from tests.dashboard.console import large_consortium

import tradefl
from tradefl import load
from tradefl.consortium.writing import fingerprint as hash_of

EXAMPLE = Path(__file__).parents[1] / "examples" / "drug_discovery.toml"
PAPERS = ("A4", "Letter")
DAY = dt.date(2026, 1, 31)
A4 = {"width": 680, "height": 1000}  # 180 mm at 96 pixels an inch: A4 within its margins


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def report(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report with every section; without a browser nobody waits for it."""
    folder = tmp_path_factory.mktemp("run") / "results"
    ran = run("run", EXAMPLE, "--rounds", 2, "--output", folder)
    assert ran.code == 0, ran.err
    return (folder / "report.html").as_uri()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_is_accessible(chromium: Any, report: str, scheme: str) -> None:
    with opened(chromium, report, scheme) as page:
        background = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")
        assert page.locator("#statements details[open]").count() == 0  # an annex, folded
        for entry in page.locator("summary").all():
            entry.click()
        assert page.locator("details:not([open])").count() == 0
        assert violations(page, *IMPACTS) == []


def test_every_chart_is_told_in_words(chromium: Any, report: str) -> None:
    with opened(chromium, report) as page:
        names = {entry.get_attribute("id") for entry in page.locator("figure").all()}
        assert {
            "figure-competition",
            "figure-contributions",
            "figure-waterfall",
            "figure-network",
            "figure-gamma-curve",
            "figure-training-curves",
        } <= names
        charts = page.get_by_role("img")
        assert charts.count() == len(names)
        for chart in charts.all():
            title, description = (chart.locator(tag).first for tag in ("title", "desc"))
            assert len(title.text_content()) > 10
            assert len(description.text_content()) > 40
            box = chart.bounding_box()
            assert box["width"] > 200
            assert box["height"] > 100


def test_it_can_be_read_by_keyboard(chromium: Any, report: str) -> None:
    def focused() -> str:
        return str(page.evaluate("() => document.activeElement.textContent.trim()"))

    with opened(chromium, report, viewport={"width": 500, "height": 800}) as page:
        page.keyboard.press("Tab")
        assert focused() == "Skip to the report"
        assert page.locator(":focus").bounding_box()["x"] >= 0.0  # now it is seen
        page.keyboard.press("Enter")
        assert page.evaluate("() => document.activeElement.id") == "main"
        # What is folded opens, and what is wide scrolls.
        page.locator("summary").first.focus()
        page.keyboard.press("Enter")
        assert page.locator("details").first.get_attribute("open") is not None
        wide = page.locator("#table-certificate").locator("..")
        wide.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("one => one.scrollLeft > 0", arg=wide.element_handle())


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_the_page_itself_never_scrolls_sideways(chromium: Any, report: str, width: int) -> None:
    with opened(chromium, report, viewport={"width": width, "height": 900}) as page:
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_it_prints_whole(chromium: Any, report: str) -> None:
    """Nothing is wider than the paper, nothing stays folded, and black stands on white."""
    with opened(chromium, report, "dark", viewport=A4) as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert page.get_by_role("navigation").count() == 1  # the contents
        assert page.evaluate("() => getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert page.evaluate(WIDER) == []
        assert page.evaluate(HIDDEN) == []
        assert page.evaluate(BROKEN) == []
        # A sum is the last row; as the foot it would be on every page of its table.
        foot = "one => getComputedStyle(one).display"
        feet = {entry.evaluate(foot) for entry in page.locator("tfoot").all()}
        assert feet == {"table-row-group"}
        # Ten organizations, training and settlement included.
        assert 2 <= max(pages(page, paper) for paper in PAPERS) <= 12


def test_a_hundred_organizations_fit_on_25_pages(chromium: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    consortium = load(large_consortium(tmp_path, 100))
    file.write_text(tradefl.report(consortium, date=DAY), encoding="utf-8")
    with opened(chromium, file.as_uri(), viewport=A4) as page:
        assert 2 <= max(pages(page, paper) for paper in PAPERS) <= 25


def test_the_head_of_a_printed_page_cannot_be_left_by_a_name(chromium: Any, tmp_path: Path) -> None:
    """Name, day, version and the hash of the input, from which a reader knows what was printed."""
    name = '"; } </style><b id="out">\\ </b>'
    example = dataclasses.replace(load(EXAMPLE), name=name)
    text = tradefl.report(example, date=DAY)
    assert text == tradefl.report(example, date=DAY)
    file = tmp_path / "report.html"
    file.write_text(text, encoding="utf-8")
    with opened(chromium, file.as_uri()) as page:
        assert page.locator("#out").count() == 0
        assert page.get_by_role("heading", level=1).text_content() == name
        source = page.locator(".source").text_content()
        assert source == f"2026-01-31 · tradefl {tradefl.__version__} · sha256 {hash_of(example)}"
        boxes = page.evaluate(MARGINS)
        assert '"; } </style><b id=' in boxes.replace("\\", "")
        assert "counter(page)" in boxes
        assert hash_of(example) in boxes


ODD = {
    "Alpha": "Forty-letters-without-any-place-to-break",
    "Beta": "日本製薬ホールディングス株式会社中央研究所",
    "Gamma": "شركة الأدوية المتحدة للأبحاث",
    "Delta": "חברת התרופות המאוחדת",
}


def test_names_of_any_writing_fit_a_narrow_page(chromium: Any, tmp_path: Path) -> None:
    text = EXAMPLE.read_text("utf-8")
    for name, other in ODD.items():
        text = text.replace(f'"{name}"', f'"{other}"')
    source, file = tmp_path / "odd.toml", tmp_path / "report.html"
    source.write_text(text, encoding="utf-8")
    file.write_text(tradefl.report(load(source), date=DAY), encoding="utf-8")
    with opened(chromium, file.as_uri(), viewport={"width": 360, "height": 800}) as page:
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
        for name in ODD.values():
            assert page.get_by_role("rowheader", name=name).count() > 0
    with opened(chromium, file.as_uri(), viewport=A4) as page:
        page.emulate_media(media="print")
        assert page.evaluate(WIDER) == []
        assert page.evaluate(BROKEN) == []


def test_without_scripts_it_reads_and_opens(chromium: Any, report: str) -> None:
    """The page has no scripts; what is folded opens, also for a link that leads into it."""
    with opened(chromium, report, java_script_enabled=False) as page:
        assert page.locator("#table-decision").is_visible()
        line = page.locator("#statement-1-payoff")
        assert not line.is_visible()
        page.locator("#table-decision a[href='#statement-1-payoff']").first.click()
        line.wait_for(state="visible")


def test_every_figure_of_the_first_table_leads_to_its_line(chromium: Any, report: str) -> None:
    with opened(chromium, report) as page:
        cells = page.locator("#table-decision td.number")
        links = page.locator("#table-decision td.number a.line")
        # Ten organizations and their sum, which has no share of data.
        assert links.count() == cells.count() - 1 == 5 * 11 - 1
        for link in links.all():
            place = str(link.get_attribute("href"))
            assert page.locator(place).count() == 1
        # An organization's payoff is the last line of its statement, with the same amount.
        row = page.locator("#table-decision tbody tr").first
        shown = row.locator("td.number").nth(2)
        amount = float(str(shown.text_content()).replace(",", ""))
        target = page.locator(str(shown.locator("a").get_attribute("href")))
        line = float(str(target.locator("td").last.text_content()).replace(",", ""))
        assert abs(amount - line) <= 0.5


def test_symbols_are_those_of_the_paper(chromium: Any, report: str) -> None:
    with opened(chromium, report) as page:
        text = page.locator("main").text_content()
        assert "ϖₑ" in text
        assert "Dₘᵢₙ" in text
        formula = page.locator("#eq-9 math").first
        assert formula.get_attribute("aria-label") == "rᵢⱼ = γ ρᵢⱼ (xᵢ - xⱼ)"
        assert formula.locator("msub").count() == 4
        rows = page.locator("#table-equation-list tbody tr")
        assert rows.count() == rows.filter(has=page.locator("math[alttext]")).count() > 10
        assert "varpi" not in text
        assert "Omega" not in text


def pages(page: Any, paper: str) -> int:
    """How many pages a report has on paper."""
    printed = page.pdf(format=paper, prefer_css_page_size=True)
    return len(re.findall(rb"/Type\s*/Page\b", printed))


# Numbers that go on in a second line.
BROKEN = """() => [...document.querySelectorAll('td.number')].filter(one => {
        const range = document.createRange(); range.selectNodeContents(one);
        return new Set([...range.getClientRects()].map(box => Math.round(box.top / 4))).size > 1;
    }).map(one => one.textContent.trim())"""
MARGINS = """() => [...document.styleSheets].flatMap(sheet => [...sheet.cssRules])
    .filter(rule => rule instanceof CSSPageRule).map(rule => rule.cssText).join(' ')"""
WIDER = """() => [...document.querySelectorAll('table, figure, svg, p, dl, h1, h2, h3')]
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
    .map(one => one.id || one.textContent.slice(0, 80))"""
HIDDEN = """() => [...document.querySelectorAll('details table')]
    .filter(one => one.getBoundingClientRect().height === 0).map(one => one.id)"""
