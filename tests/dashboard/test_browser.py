"""The console in a real browser: every page is clicked through, in light and in dark."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.dashboard.browser import browser, serving, violations
from tests.dashboard.console import EXAMPLE, PAGES
from tests.dashboard.test_console import solution_of, turnover

from tradefl.consortium import load
from tradefl.dashboard import sidebar
from tradefl.report import frames
from tradefl.report.blocks import amounts, digits_of
from tradefl.solvers import Solution
from tradefl.statement import money

# Not part of the gate yet: they need Chromium, and minutes.
pytestmark = pytest.mark.slow

PATIENCE = 300_000  # ms, for a machine that does much else


@pytest.fixture(scope="module")
def console() -> Iterator[tuple[Any, str]]:
    """A browser, and the address of a console."""
    with browser() as started, serving(EXAMPLE) as (url, _):
        yield started, url


@pytest.fixture(params=["light", "dark"])
def page(console: tuple[Any, str], request: Any) -> Iterator[Any]:
    """A new tab on the console's first page; what is asked of other machines is an error."""
    started, url = console
    context = started.new_context(
        color_scheme=request.param, viewport={"width": 1400, "height": 1100}, accept_downloads=True
    )
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    asked: list[str] = []
    tab.on("request", lambda one: asked.append(one.url))
    tab.goto(url)
    tab.get_by_role("heading", level=1, name="Consortium").wait_for()
    tab.get_by_test_id("stVegaLiteChart").first.wait_for()  # the last thing on the page
    quiet(tab)
    yield tab
    context.close()
    elsewhere = [one for one in asked if not one.startswith((url, "data:", "blob:", "file:"))]
    assert elsewhere == []


def turn(page: Any, name: str) -> None:
    """Click on a page's name, and wait until it is drawn."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    page.get_by_role("heading", level=1, name=name).wait_for()
    quiet(page)


def quiet(page: Any) -> None:
    """Wait until the script has run to its end."""
    page.wait_for_function(
        "() => document.querySelector('[data-testid=stApp]')"
        ".getAttribute('data-test-script-state') === 'notRunning'"
    )


def metric(page: Any, name: str) -> Any:
    return page.get_by_test_id("stMetric").filter(has_text=name).get_by_test_id("stMetricValue")


def shows(page: Any, name: str, value: str) -> None:
    """Wait until a number on the page has a value."""
    metric(page, name).get_by_text(value, exact=True).wait_for()


def test_every_page_is_clicked_through(page: Any) -> None:
    for name in PAGES:
        turn(page, name.capitalize())
        assert page.get_by_test_id("stException").count() == 0
        assert page.get_by_test_id("stAlert").count() == 0
    turn(page, "Equilibrium")
    for tab in ("Payoffs", "Proof", "Methods", "Move by move"):
        page.get_by_role("tab", name=tab, exact=True).click()
        quiet(page)
        assert page.get_by_test_id("stException").count() == 0


def test_every_chart_has_a_text(page: Any) -> None:
    for name, beginning in (
        ("Consortium", "Competition intensity rho"),
        ("Equilibrium", "Three bars"),
        ("Payments", "Who pays whom"),
        ("Incentive", "Social welfare against gamma"),
    ):
        turn(page, name)
        chart = page.get_by_test_id("stVegaLiteChart").first
        chart.wait_for()
        texts = chart.evaluate(
            "one => [one, ...one.querySelectorAll('[aria-label]')]"
            ".map(it => it.getAttribute('aria-label') ?? '')"
        )
        assert any(text.startswith(beginning) for text in texts), texts


def test_gamma_moves_the_payments_at_once(page: Any) -> None:
    """By keyboard; the values are the library's. How long it takes is printed, not judged."""
    turn(page, "Payments")
    shows(page, "Changes hands, net", turnover(solution_of()))
    consortium = load(EXAMPLE)
    places = sidebar.gammas(consortium)
    at = places.index(consortium.mechanism.incentive_intensity)
    slider = page.get_by_role("slider", name="Incentive intensity gamma")
    slider.focus()
    took = []
    for step in range(1, 7):
        expected = solution_of(gamma=places[at + step])
        started = time.monotonic()
        slider.press("ArrowRight")
        page.wait_for_function(CHART_SAYS, arg=largest_payment(expected))
        shows(page, "Changes hands, net", turnover(expected))
        took.append(time.monotonic() - started)
    took.sort()
    print(
        f"\nslider to new payments and chart, 10 organizations: median {took[3]:.2f} s, "
        f"slowest {took[-1]:.2f} s"
    )
    page.get_by_role("button", name="Back to the file's terms").click()
    shows(page, "Changes hands, net", turnover(solution_of()))


def largest_payment(solution: Solution) -> str:
    """What the chart's text says of its thickest arrow."""
    paid, _ = frames.payments(solution)
    payer, receiver, amount = paid.iloc[0]
    return f"{payer} pays {receiver} {money(float(amount), digits_of(paid['amount']))}"


# The chart is described by a text of its own.
CHART_SAYS = """text => [...document.querySelectorAll('[data-testid=stVegaLiteChart] [aria-label], '
    + '[data-testid=stVegaLiteChart][aria-label]')]
    .some(one => one.getAttribute('aria-label').includes(text))"""


def test_a_bad_cell_is_told_below_the_table(page: Any) -> None:
    table = page.get_by_test_id("stDataFrame").first
    table.locator("canvas").first.wait_for()
    box = table.bounding_box()
    # The table is drawn on a canvas: the cell of Gamma's profitability is where it is seen.
    page.mouse.dblclick(box["x"] + 145, box["y"] + 35 * 3 + 17, delay=100)
    cell = page.locator("#portal input:focus")
    cell.wait_for()  # with the old number selected
    for key in "-5":
        cell.press(key, delay=100)
    assert cell.input_value() == "-5"
    cell.press("Enter")
    alert = page.get_by_test_id("stAlert")
    alert.get_by_text("row 3 (Gamma), profitability: expected a number > 0, got -5").wait_for()
    turn(page, "Equilibrium")
    shows(page, "Social welfare", amounts([solution_of().social_welfare])[0])
    turn(page, "Consortium")
    page.get_by_role("button", name="Back to the file's table").click()
    alert.wait_for(state="detached")


def test_what_is_downloaded(page: Any, tmp_path: Path) -> None:
    got = {}
    for button in ("Consortium file", "Organizations, CSV", "Report, HTML"):
        with page.expect_download() as waiting:
            page.get_by_role("button", name=button).click()
        got[button] = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(got[button])
    assert load(got["Consortium file"]) == load(EXAMPLE)
    assert got["Organizations, CSV"].read_text().startswith("name,profitability,")
    report = got["Report, HTML"]
    assert report.name == "drug_discovery.report.html"
    page.goto(report.as_uri())
    page.get_by_role("heading", name=re.compile("Who pays whom")).first.wait_for()
    assert violations(page, "serious", "critical") == []
    page.goto("about:blank")


def test_the_pages_are_accessible(page: Any) -> None:
    """Streamlit's own markup included."""
    found: dict[str, Any] = {}
    for name in PAGES:
        turn(page, name.capitalize())
        for one in violations(page, "serious", "critical"):
            found.setdefault(one["rule"], []).append((name, one["elements"]))
    assert found == {}
