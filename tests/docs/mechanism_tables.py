"""The tables of the page on mechanisms; ``python -m tests.docs.mechanism_tables`` writes them."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from tradefl.experiments.compensation import KINDS
from tradefl.experiments.mechanisms import NAMES, PANELS, summary

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "mechanisms.md"
STUDY = ROOT / "docs" / "mechanisms" / "mechanisms.csv"
HEAD = "| mechanism | welfare (%) | data | outside money (%) | losers | stable (%) | lying (%) |"


def study() -> pd.DataFrame:
    """Return the stored rows."""
    return pd.read_csv(STUDY)


def tables(rows: pd.DataFrame) -> dict[str, str]:
    """Return a table for each kind of consortia: medians, with bands where there are any."""
    summed = summary(rows)
    found = {}
    for kind in KINDS:
        lines = [HEAD, "|---|---|---|---|---|---|---|"]
        for name in NAMES:
            cells = []
            for column, *_ in PANELS:
                some = summed[
                    (summed["kind"] == kind)
                    & (summed["mechanism"] == name)
                    & (summed["measure"] == column)
                ]
                cells.append("-" if some.empty else _cell(some.iloc[0], column))
            lines.append(f"| `{name}` | {' | '.join(cells)} |")
        found[kind] = "\n".join(lines)
    return found


def _cell(row: pd.Series, column: str) -> str:
    digits = {"welfare": 2, "data": 2, "deficit": 2, "losers": 0, "stability": 0, "lying": 2}[
        column
    ]
    value, low, high = (f"{row[name] + 0.0:.{digits}f}" for name in ("value", "low", "high"))
    return value if low == high else f"{value} ({low} to {high})"


def rewritten(text: str, rows: pd.DataFrame) -> str:
    """Return the page with the tables and the number of consortia of a study."""
    found = tables(rows)
    count = rows["seed"].nunique()
    text = re.sub(r"(?<=--seeds )\d+", str(count), text)
    text = re.sub(r"\d+ consortia of each kind", f"{count} consortia of each kind", text)
    for kind, heading in zip(KINDS, ("Table II", "Heterogeneous"), strict=True):
        pattern = rf"(?s)(?<=## {heading}\n\n).*?(?=\n\n## )"
        text = re.sub(pattern, lambda _, table=found[kind]: table, text)
    return text


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text("utf-8"), study()), "utf-8")
