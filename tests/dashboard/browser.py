"""A real browser for the tests: Debian's Chromium, driven by Playwright; and the console served."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command import PLAIN, SOURCE

ROOT = Path(__file__).parents[2]
AXE = ROOT / "contracts" / "node_modules" / "axe-core" / "axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome")


def required() -> bool:
    """Whether a browser that is missing is an error, not a reason to skip."""
    return bool(os.environ.get("CI_REQUIRE_BROWSER"))


def chromium() -> str:
    """Return the path of Chromium; without one the test is skipped, or fails where it must not."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        what = "needs Chromium: apt-get install chromium"
        if required():
            pytest.fail(what)
        pytest.skip(what)
    return found


def axe_script() -> str:
    """Return axe-core, which comes with the contract's toolchain."""
    if not AXE.exists():
        what = "needs axe-core: npm ci in contracts/"
        if required():
            pytest.fail(what)
        pytest.skip(what)
    return AXE.read_text(encoding="utf-8")


@contextmanager
def browser() -> Iterator[Any]:
    """Start the browser."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path,
            # As root, which is what containers run as, Chromium has no sandbox.
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        try:
            yield started
        finally:
            started.close()


def violations(page: Any, *impacts: str) -> list[dict[str, Any]]:
    """Return what axe finds of these impacts: the rule, its help, and the elements."""
    page.evaluate(axe_script())
    found = json.loads(
        page.evaluate("async () => JSON.stringify((await axe.run(document)).violations)")
    )
    return [
        {
            "rule": one["id"],
            "help": one["help"],
            "elements": [node["html"][:160] for node in one["nodes"]],
        }
        for one in found
        if one["impact"] in impacts
    ]


def free_port() -> int:
    """Return a port that nobody serves now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def serving(file: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve the console in a process of its own, and yield its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tradefl", "dashboard", str(file)),
            *("--no-browser", "--port", str(port), *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **PLAIN, "PYTHONPATH": str(SOURCE)},
    )
    try:
        _wait_for(url, process)
        yield url, process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def _wait_for(url: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120.0
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(process.communicate())
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5) as answer:  # noqa: S310
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")
