"""The documentation site: all pages are in it, all links lead somewhere, nothing is fetched."""

from __future__ import annotations

import html.parser
import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.browser import SCHEMES, browser, opened, violations
from tests.docs import command_line

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# Results that a page links to, and the Chinese README, which is the repository's.
ATTACHED = DOCS / "reproduction"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if ATTACHED not in page.parents]
LISTS = [page for page in PAGES if page.name == "README.md"]
TEXTS = [*sorted(ROOT.glob("*.md")), *PAGES, ROOT / "contracts" / "README.md"]


def prose(page: Path) -> str:
    """Return the text of a page without its code blocks."""
    return re.sub(r"(?ms)^ *(`{3,})[^`\n]*\n.*?^ *\1$", "", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """Return where a page's links lead, but for those to other sites."""
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page)))
    return [log_ for log_ in found if not re.match(r"[a-z]+:", log_)]


def anchors(page: Path) -> set[str]:
    """Return the names of a page's headings."""
    names = set()
    for heading in re.findall(r"(?m)^#+ (.+)$", prose(page)):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        names.add(re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", words).strip()))
    return names


# --- without MkDocs -----------------------------------------------------------------------------


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        page_of_headings = target.exists() and target.suffix == ".md" and anchor
        if not target.exists() or (page_of_headings and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_every_page_is_in_a_list() -> None:
    listed = {
        (page.parent / link).resolve()
        for page in LISTS
        for link in re.findall(r"(?m)^- \[[^]]+\]\(([^)#]+\.md)\)", page.read_text("utf-8"))
    }
    missing = set(PAGES) - listed - {DOCS / "README.md"}
    assert sorted(entry.relative_to(DOCS).as_posix() for entry in missing) == []


def test_nothing_is_listed_twice() -> None:
    for page in LISTS:
        listed = re.findall(r"(?m)^- \[[^]]+\]\(([^)#]+\.md)\)", page.read_text("utf-8"))
        assert len(listed) == len(set(listed)), page


def test_the_command_line_is_the_one_that_there_is() -> None:
    # python -m tests.docs.command_line writes it
    assert command_line.PAGE.read_text("utf-8") == command_line.page()


def test_the_reference_has_every_public_name() -> None:
    text = "".join(page.read_text("utf-8") for page in (DOCS / "reference" / "api").glob("*.md"))
    shown = {line.rpartition(".")[2] for line in re.findall(r"(?m)^::: (\S+)$", text)}
    names = set()
    for init in sorted((ROOT / "src" / "tradefl").rglob("__init__.py")):
        found = re.search(r"(?s)^__all__ = \[(.*?)\]", init.read_text("utf-8"), flags=re.MULTILINE)
        # The command line has its own page.
        if found and init.parent.name != "cli":
            names |= set(re.findall(r'"(\w+)"', found[1]))
    constants = {name for name in names if name.isupper()}
    assert names - constants - shown == {"__version__"}


# --- with MkDocs ----------------------------------------------------------------------------------


class _Page(html.parser.HTMLParser):
    """What a page makes the browser load, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids.add(values.get("id", ""))
        if tag == "a" and "href" in values:
            self.linked.append(values["href"])
        elif tag == "link" and values.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(values.get("href", ""))
        elif tag in ("script", "img", "iframe", "source") and "src" in values:
            self.loaded.append(values["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as ``make docs`` does; any warning ends the build."""
    needed = ("mkdocs", "material", "mkdocstrings_handlers", "nbclient", "nbconvert")
    absent = [name for name in needed if find_spec(name) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)} not installed: pip install 'tradefl[docs]'")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def built(site: Path) -> Iterator[tuple[str, _Page]]:
    for path in sorted(site.rglob("*.html")):
        yield path.relative_to(site).as_posix(), _Page(path.read_text("utf-8"))


def test_every_page_is_built(site: Path) -> None:
    made = {name for name, _ in built(site)}
    wanted = {
        page.relative_to(DOCS).with_name(
            "index.html" if page.name == "README.md" else f"{page.stem}.html"
        )
        for page in PAGES
    }
    assert {signal_.as_posix() for signal_ in wanted} <= made


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loaded = {entry for _, page in built(site) for entry in page.loaded}
    assert loaded
    assert [entry for entry in loaded if re.match(r"(?:[a-z]+:)?//", entry)] == []
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)\s]+", styles) == []


def test_links_on_the_site_lead_somewhere(site: Path) -> None:
    pages = dict(built(site))
    broken = []
    for name, page in pages.items():
        # The page for a wrong address does not know where it is.
        for link in page.linked if name != "404.html" else []:
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (
                posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
            )
            if target not in pages:
                if not (site / target).is_file():
                    broken.append((name, link))
            elif anchor and anchor not in pages[target].ids:
                broken.append((name, link))
    assert not broken


def test_docstrings_are_on_the_site(site: Path) -> None:
    text = (site / "reference" / "api" / "game.html").read_text("utf-8")
    assert "payoff per bit" in text  # of an attribute in CoopetitionGame's docstring
    assert ":class:" not in text


# --- in a browser ---------------------------------------------------------------------------------

READ = (
    "index.html",
    "gallery.html",
    "notebooks/engineer.html",
    "tutorial/first-settlement.html",
    "how-to/dashboard.html",
    "explanation/payoff.html",
    "explanation/payoff.zh-CN.html",
    "explanation/reproduction.html",
    "reference/command-line.html",
    "reference/api/game.html",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", READ)
def test_a_page_is_accessible(chromium: Any, site: Path, name: str, scheme: str) -> None:
    with opened(chromium, (site / name).as_uri(), scheme, within=site.as_uri()) as page:
        dark = page.locator("body[data-md-color-scheme=slate]").count() == 1
        assert dark == (scheme == "dark")
        assert violations(page) == []
        untold = page.locator("article img:not([alt]), article img[alt='']")
        assert [entry.get_attribute("src") for entry in untold.all()] == []


def test_the_search_works_from_disk(chromium: Any, site: Path) -> None:
    with opened(chromium, (site / "index.html").as_uri(), within=site.as_uri()) as page:
        page.keyboard.press("s")
        page.keyboard.type("conduct")
        found = page.locator(".md-search-result__item a").first
        found.wait_for(timeout=60_000)
        targets = page.locator(".md-search-result__item a").evaluate_all(
            "links => links.map(link => link.getAttribute('href'))"
        )
        assert any("how-to/business-figures.html" in target for target in targets)


def test_pictures_and_notebooks_are_made_by_the_build(site: Path) -> None:
    pages = dict(built(site))
    drawn = [entry for entry in pages["gallery.html"].loaded if entry.startswith("pictures/")]
    assert len(drawn) == 7
    for entry in drawn:
        assert (site / entry).read_text("utf-8").startswith("<svg")
    assert "pictures/gains.svg" in pages["index.html"].loaded
    for name, words in (("researcher", "the efficient rule"), ("engineer", "agrees to the wei")):
        text = (site / "notebooks" / f"{name}.html").read_text("utf-8")
        assert words in text
        assert f"notebooks/{name}.html" in pages["index.html"].linked


def test_the_site_can_be_read_by_keyboard(chromium: Any, site: Path) -> None:
    address = (site / "tutorial" / "first-settlement.html").as_uri()
    with opened(chromium, address, within=site.as_uri()) as page:
        page.keyboard.press("Tab")
        assert page.locator(":focus").get_attribute("class").startswith("md-skip")
        page.keyboard.press("Enter")
        # From there the next link is in the text.
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.closest('article') !== null")
