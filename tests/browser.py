"""A real browser for the tests: Debian's Chromium, driven by Playwright, and axe-core in its pages.

Pages that are opened here may ask no other machine for anything, and nothing waits for long: what
is not there within :data:`PATIENCE` fails.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

AXE = Path(__file__).parents[1] / "contracts" / "node_modules" / "axe-core" / "axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60_000  # ms: for a machine that does much else; nothing takes so long
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
SCHEMES = ("light", "dark")
SERIOUS = ("serious", "critical")
IMPACTS = ("minor", "moderate", *SERIOUS)


def required() -> bool:
    """Whether a browser that is missing is an error, not a reason to skip."""
    return bool(os.environ.get("CI_REQUIRE_BROWSER"))


def _absent(what: str) -> None:
    """End the test: where browsers are required it fails, elsewhere it is skipped."""
    if required():
        pytest.fail(what)
    pytest.skip(what)


def chromium() -> str:
    """Return the path of Chromium; without one the test is skipped, or fails where it must not."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        _absent("needs Chromium: apt-get install chromium")
    return str(found)


@cache
def axe_script() -> str:
    """Return axe-core, which comes with the contract's toolchain."""
    if not AXE.exists():
        _absent("needs axe-core: make contracts/node_modules/.installed")
    return AXE.read_text(encoding="utf-8")


@contextmanager
def browser() -> Iterator[Any]:
    """Start the browser, with a profile that is new and gone afterwards."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    axe_script()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path,
            # As root, which is what containers run as, Chromium has no sandbox.
            args=[*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])],
            timeout=PATIENCE,
        )
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened(
    started: Any, address: str, scheme: str = "light", within: str = "", **options: Any
) -> Iterator[Any]:
    """Open an address in a tab of its own; whatever it loads that is not ``within`` is an error.

    The default of ``within`` is the address itself: a page that stands alone.
    """
    context = started.new_context(
        color_scheme=scheme,
        # A page that animates is never quiet.
        reduced_motion="reduce",
        **{"viewport": {"width": 1400, "height": 1100}, **options},
    )
    context.set_default_timeout(PATIENCE)
    asked: list[str] = []
    context.on("request", lambda entry: asked.append(entry.url))
    try:
        tab = context.new_page()
        tab.goto(address)
        yield tab
    finally:
        context.close()
    own = (within or address, "data:", "blob:")
    assert [figure_ for figure_ in asked if not figure_.startswith(own)] == []


def violations(page: Any, *impacts: str) -> list[dict[str, Any]]:
    """Return what axe finds of these impacts, by default of :data:`SERIOUS`.

    Of each the rule, its help, and the elements.
    """
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(axe_script())
    found = json.loads(
        page.evaluate(
            "async () => JSON.stringify("
            "(await axe.run(document, {resultTypes: ['violations']})).violations)"
        )
    )
    return [
        {
            "rule": log_["id"],
            "help": log_["help"],
            "elements": [node["html"][:160] for node in log_["nodes"]],
        }
        for log_ in found
        if log_["impact"] in (impacts or SERIOUS)
    ]
