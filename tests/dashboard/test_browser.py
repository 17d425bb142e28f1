"""The console in a real browser: every page is clicked through, in light and in dark."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.browser import SCHEMES, browser, opened, violations
from tests.dashboard.console import EXAMPLE, PAGES
from tests.dashboard.served import serving
from tests.dashboard.test_console import solution_of, turnover

from tradefl.consortium import load
from tradefl.dashboard import sidebar
from tradefl.dashboard.equilibrium import TABS
from tradefl.report import frames
from tradefl.report.blocks import amounts, digits_of
from tradefl.solvers import Solution, solve
from tradefl.statement import money

# How the text of a chart begins, on the pages and in the tabs that have one.
CHARTS = {
    "decision": "Gain over training alone",
    "consortium": "Competition intensity rho",
    "equilibrium": "Three bars",
    "payments": "Who pays whom",
    "incentive": "Social welfare against gamma",
}
TAB_CHARTS = {
    "Contributions": CHARTS["equilibrium"],
    "Payoffs": "The steps from revenue to payoff",
    "Methods": "Social welfare by method",
    "Move by move": "The potential and the payoffs",
}


@pytest.fixture(scope="module")
def console() -> Iterator[tuple[Any, str]]:
    """A browser, and the address of a console."""
    with browser() as started, serving(EXAMPLE) as served:
        yield started, served.url


@contextmanager
def first_page(console: tuple[Any, str], scheme: str = "light") -> Iterator[Any]:
    """Open the console in a new tab and wait until its first page is drawn."""
    started, url = console
    with opened(started, url, scheme) as page:
        arrive(page, PAGES[0])
        turn(page, "consortium")
        yield page


def turn(page: Any, name: str) -> None:
    """Click on a page's name, and wait until it is drawn."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name.capitalize()).click()
    arrive(page, name)


def arrive(page: Any, name: str) -> None:
    page.get_by_role("heading", level=1, name=name.capitalize()).wait_for()
    if name in CHARTS:
        page.wait_for_function(CHART_SAYS, arg=CHARTS[name])
    quiet(page)


def quiet(page: Any) -> None:
    """Wait until the script has run to its end."""
    page.wait_for_function(
        "() => document.querySelector('[data-testid=stApp]')"
        ".getAttribute('data-test-script-state') === 'notRunning'"
    )


def shows(page: Any, name: str, value: str) -> None:
    """Wait until a number on the page has a value."""
    metric = page.get_by_test_id("stMetric").filter(has_text=name)
    metric.get_by_test_id("stMetricValue").get_by_text(value, exact=True).wait_for()


# A chart that is drawn has a text of its own.
CHART_SAYS = """text => [...document.querySelectorAll('[data-testid=stVegaLiteChart]')]
    .some(chart => chart.querySelector('canvas, svg') && [chart, ...chart.querySelectorAll('*')]
        .some(one => (one.getAttribute('aria-label') ?? '').includes(text)))"""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_page_is_drawn_and_accessible(console: tuple[Any, str], scheme: str) -> None:
    """Streamlit's own markup included; and every chart is told in words."""
    found: dict[str, Any] = {}

    def check(place: str) -> None:
        assert page.get_by_test_id("stException").count() == 0, place
        assert page.get_by_test_id("stAlert").count() == 0, place
        for violation in violations(page):
            found.setdefault(violation["rule"], []).append((place, violation["elements"]))

    with first_page(console, scheme) as page:
        for name in PAGES:
            if name != "consortium":
                turn(page, name)
            check(name)
            if name == "equilibrium":
                for tab in TABS[1:]:
                    page.get_by_role("tab", name=tab, exact=True).click()
                    if tab in TAB_CHARTS:
                        page.wait_for_function(CHART_SAYS, arg=TAB_CHARTS[tab])
                    else:
                        page.get_by_role("tabpanel", name=tab).get_by_role("table").wait_for()
                    quiet(page)
                    check(tab)
    assert found == {}


def test_gamma_moves_the_payments_at_once(console: tuple[Any, str]) -> None:
    """By keyboard; the values are the library's. How long it takes is printed, not judged."""
    consortium = load(EXAMPLE)
    places = sidebar.gammas(consortium)
    at = places.index(consortium.mechanism.incentive_intensity)
    steps = [solution_of(gamma=places[at + step]) for step in range(1, 7)]
    took = []
    with first_page(console) as page:
        turn(page, "payments")
        shows(page, "Changes hands, net", turnover(solution_of()))
        slider = page.get_by_role("slider", name="Incentive intensity gamma")
        slider.focus()
        for expected in steps:
            started = time.monotonic()
            slider.press("ArrowRight")
            page.wait_for_function(CHART_SAYS, arg=largest_payment(expected))
            shows(page, "Changes hands, net", turnover(expected))
            took.append(time.monotonic() - started)
        page.get_by_role("button", name="Back to the file's terms").click()
        shows(page, "Changes hands, net", turnover(solution_of()))
    took.sort()
    print(
        f"\nslider to new payments and chart, 10 organizations: median {took[3]:.2f} s, "
        f"slowest {took[-1]:.2f} s"
    )


def largest_payment(solution: Solution) -> str:
    """What the chart's text says of its thickest arrow."""
    paid, _ = frames.payments(solution)
    payer, receiver, amount = paid.iloc[0]
    return f"{payer} pays {receiver} {money(float(amount), digits_of(paid['amount']))}"


def change_the_cell_of_gamma(page: Any, text: str) -> None:
    """The table is drawn on a canvas: the cell of Gamma's profitability is where it is seen."""
    from playwright.sync_api import TimeoutError as TooLong

    # A table that has just come is measured once more: it forgets which cell was chosen, and
    # closes one that was opened.
    cell = page.locator("#portal input")
    for _ in range(10):
        quiet(page)
        table = page.get_by_test_id("stDataFrame").filter(has_text="profitability").first
        table.locator("canvas").first.wait_for()
        table.click(position={"x": 145, "y": 35 * 3 + 17})
        page.keyboard.press("Enter")
        try:
            cell.wait_for(timeout=5000)
            cell.fill(text, timeout=5000)
            cell.press("Enter", timeout=5000)
            return
        except TooLong:
            page.keyboard.press("Escape")
    raise AssertionError(f"no cell took {text!r}")


def test_a_bad_cell_is_told_beside_it_and_below_the_table(console: tuple[Any, str]) -> None:
    from playwright.sync_api import expect

    what = "profitability: expected a number > 0, got -5.0"
    with first_page(console) as page:
        alert = page.get_by_test_id("stAlert")
        # What the canvas shows, for who cannot see it: the third row is Gamma's.
        beside = page.get_by_test_id("stDataFrame").get_by_text(what, exact=True)
        change_the_cell_of_gamma(page, "-5")
        alert.get_by_text(f"row 3 (Gamma), {what}").wait_for()
        beside.wait_for(state="attached")
        assert beside.get_attribute("data-testid") == "glide-cell-0-2"
        turn(page, "equilibrium")
        shows(page, "Social welfare", amounts([solution_of().social_welfare])[0])
        turn(page, "consortium")
        beside.wait_for(state="attached")
        change_the_cell_of_gamma(page, "1900")
        alert.wait_for(state="detached")
        beside.wait_for(state="detached")
        change_the_cell_of_gamma(page, "-5")
        alert.wait_for()
        back = page.get_by_role("button", name="Back to the file's table")
        back.click()
        alert.wait_for(state="detached")
        beside.wait_for(state="detached")
        # Back it stays, whatever is moved next.
        gamma = page.get_by_test_id("stDataFrame").first.get_by_test_id("glide-cell-2-2")
        expect(gamma).to_have_text("1900")
        page.get_by_role("slider", name="Incentive intensity gamma").press("ArrowRight")
        page.get_by_role("button", name="Back to the file's terms").click()
        quiet(page)
        expect(gamma).to_have_text("1900")
        expect(back).to_be_disabled()


def test_a_page_that_is_open_follows_the_file(console: tuple[Any, str], tmp_path: Path) -> None:
    """Nobody clicks on anything."""
    file = tmp_path / "own.toml"
    text = EXAMPLE.read_text("utf-8")
    file.write_text(text, "utf-8")
    with serving(file) as served, opened(console[0], served.url) as page:
        arrive(page, PAGES[0])
        turn(page, "equilibrium")
        shows(page, "Social welfare", amounts([solution_of().social_welfare])[0])
        file.write_text("name = 7", "utf-8")
        alert = page.get_by_test_id("stAlert")
        alert.get_by_text("The consortium file is not valid now").wait_for()
        shows(page, "Social welfare", amounts([solution_of().social_welfare])[0])
        file.write_text(text.replace("profitability = 1900", "profitability = 1100"), "utf-8")
        alert.wait_for(state="detached")
        shows(page, "Social welfare", amounts([solve(load(file)).social_welfare])[0])


def test_what_is_downloaded(console: tuple[Any, str], tmp_path: Path) -> None:
    got = {}
    with first_page(console) as page:
        for button in ("Consortium file", "Organizations, CSV", "Report, HTML"):
            with page.expect_download() as waiting:
                page.get_by_role("button", name=button).click()
            got[button] = tmp_path / waiting.value.suggested_filename
            waiting.value.save_as(got[button])
    assert load(got["Consortium file"]) == load(EXAMPLE)
    assert got["Organizations, CSV"].read_text().startswith("name,profitability,")
    report = got["Report, HTML"]
    assert report.name == "drug_discovery.report.html"
    with opened(console[0], report.as_uri()) as page:
        page.get_by_role("heading", name="Who pays whom").first.wait_for()
