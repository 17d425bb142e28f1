"""Running the console without a browser, and consortia to show in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest

import tradefl.dashboard
from tradefl.dashboard import settings

EXAMPLE = Path(__file__).parents[2] / "examples" / "drug_discovery.toml"
APP = Path(tradefl.dashboard.__file__).with_name("app.py")
PAGES = (
    *("decision", "consortium", "equilibrium", "payments", "incentive", "stability", "uncertainty"),
    *("settlement", "training"),
)


def opened(page: str = "consortium", file: Path = EXAMPLE, **files: Any) -> AppTest:
    """Open the console on a page."""
    settings.use(settings.Settings(file, **files))
    app = AppTest.from_file(str(APP), default_timeout=600)
    app.run()
    return turned(app, page) if page != PAGES[0] else checked(app)


def turned(app: AppTest, page: str) -> AppTest:
    """Turn to a page."""
    app.switch_page(f"{page}.py")
    return checked(app.run())


def checked(app: AppTest) -> AppTest:
    """Check that the page was drawn to its end."""
    assert not app.exception, [entry.value for entry in app.exception]
    return app


def metrics(app: AppTest) -> dict[str, str]:
    """The numbers on the page by name."""
    return {entry.label.replace("\\", ""): entry.value for entry in app.metric}


def errors(app: AppTest) -> str:
    """The error messages on the page as one text, without Markdown's backslashes."""
    return "\n".join(entry.value for entry in app.error).replace("\\", "")


def large_consortium(folder: Path, size: int) -> Path:
    """Write a consortium of so many organizations in ten sectors, with a table of its own."""
    random = np.random.default_rng(7)
    rows = [
        "name,profitability,data_bits,samples,cycles_per_bit,cpu_levels_hz,"
        "download_seconds,upload_seconds,sector"
    ]
    for k in range(size):
        p, s = random.uniform(800.0, 2400.0), random.uniform(5e9, 3e10)
        rows.append(
            f"Org{k},{p!r},{s!r},{round(s / 64)},2000.0,8e8;1.6e9;2.4e9,600.0,300.0,s{k % 10}"
        )
    (folder / "members.csv").write_text("\n".join([*rows, ""]), encoding="utf-8")
    own = EXAMPLE.read_text(encoding="utf-8")
    start = own.index("[mechanism]")
    end = own.index("[competition]")
    (folder / "large.toml").write_text(
        'name = "large"\norganizations_file = "members.csv"\n'
        + own[start:end].replace("unit = 1e7", f"unit = {1e7 * size / 10!r}")
        + "[competition]\nwithin_sector = 0.003\nacross_sectors = 0.0002\n",
        encoding="utf-8",
    )
    return folder / "large.toml"
