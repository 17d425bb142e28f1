"""A report as PDF, printed by a browser that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from tradefl.errors import InputError, Parameter

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
    "brave-browser",
)
SECONDS = 120
Paper = Literal["A4", "Letter"]


def pdf_of(page: str, browser: str | None = None, paper: Paper = "A4") -> bytes:
    """Return a page as PDF.

    Parameters
    ----------
    page
        The HTML of the report.
    browser
        The program; default: the first of :data:`BROWSERS` that is on the path.
    paper
        The size of its pages; the report itself leaves it to the reader.

    Raises
    ------
    InputError
        There is no browser, or it does not print.
    """
    program = browser or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        what = (
            f"no browser found; expected one of {', '.join(BROWSERS)} on the path; install one, or "
            "open the HTML report and print it from any browser"
        )
        raise InputError.at(Parameter("pdf"), what)
    sized = page.replace("</head>", f"<style>@page {{ size: {paper}; }}</style></head>", 1)
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "report.html", Path(folder) / "report.pdf"
        source.write_text(sized, encoding="utf-8")
        command = [
            program,
            "--headless",
            "--disable-gpu",
            "--no-pdf-header-footer",
            f"--user-data-dir={folder}/profile",
            f"--print-to-pdf={target}",
            source.as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:  # its sandbox refuses to serve root
            command.insert(1, "--no-sandbox")
        try:
            done = subprocess.run(  # noqa: S603  a browser on the user's own path
                command, capture_output=True, timeout=SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError.at(Parameter("pdf"), f"{program} did not print: {error}") from None
        if not target.exists():
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            what = f"{program} did not print (exit status {done.returncode}): {' '.join(last)}"
            raise InputError.at(Parameter("pdf"), what)
        return target.read_bytes()
