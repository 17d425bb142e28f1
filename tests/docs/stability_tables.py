"""``python -m tests.docs.stability_tables``: put the tables of the study of stability on its page.

Each table of ``docs/explanation/stability.md`` is between comments and is made here from
``docs/stability/study.csv``. Read the difference before you commit it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from tests.docs.study_tables import on_page

from tradefl.experiments.compensation import HETEROGENEOUS, KINDS
from tradefl.experiments.figure import share, spread
from tradefl.experiments.stability import NOTHING, SPLITS, by_rivalry, findings, stable

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "explanation" / "stability.md"
STUDY = DOCS / "stability" / "study.csv"


def study() -> pd.DataFrame:
    """Return the rows of the study, one for each consortium."""
    return pd.read_csv(STUDY)


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def splits(rows: pd.DataFrame) -> str:
    """Return in how many consortia each split is stable, the worst of all, and who is below."""
    lines = []
    for name, title in SPLITS.items():
        line = [title]
        for kind in KINDS:
            some = rows[rows["kind"] == kind]
            excess = 100.0 * some[f"excess_{name}"].dropna()
            below = some[f"below_alone_{name}"].dropna()
            line += [
                share(stable(some, name)),
                f"{excess.median():+.2f} ({excess.max():+.2f})",
                f"{int(below.sum()):,}",
            ]
        lines.append(line)
    head = ["split"]
    for kind in KINDS:
        head += [f"{kind}: stable", "largest excess, % of v(N): median (most)", "below alone"]
    return _markdown(head, lines)


def readings(rows: pd.DataFrame) -> str:
    """Return what both readings say of each kind."""

    def percent(column: str) -> list[str]:
        return [f"{spread(100.0 * rows.loc[rows['kind'] == kind, column], 3)} %" for kind in KINDS]

    def counted(column: str) -> list[str]:
        return [share(rows.loc[rows["kind"] == kind, column] >= -NOTHING) for kind in KINDS]

    def most(column: str) -> list[str]:
        return [
            f"{spread(100.0 * some, 3)} %, at most {100.0 * some.max():.3g} %"
            for some in (rows.loc[rows["kind"] == kind, column] for kind in KINDS)
        ]

    ebar = [
        share((some["margin"] - some["excess_ebar"].mul(-1.0)).abs() <= 1e-9)
        for some in (rows[rows["kind"] == kind] for kind in KINDS)
    ]
    lines = [
        ["literal: some split is stable", *counted("margin")],
        ["literal: margin of the least core, of v(N)", *percent("margin")],
        ["literal: M - ebar is the least core", *ebar],
        ["all alone, of v(N)", *percent("alone")],
        ["least surplus of a merge (A1), of v(N)", *percent("least_merger")],
        ["second differences that are negative", *percent("not_convex")],
        ["market: A(N), of v(N)", *percent("market_value")],
        ["market: what the optimum of Eq. (11) earns, of A(N)", *percent("market_at_optimum")],
        ["market: all earn more than any two camps", *counted("least_merger_of_two")],
        ["market, outsiders together: some split is stable", *counted("market_margin_together")],
        ["market, outsiders alone: some split is stable", *counted("market_margin_alone")],
        ["cost of stability, together, of A(N)", *most("market_cost_together")],
        ["cost of stability, alone, of A(N)", *most("market_cost_alone")],
    ]
    return _markdown(["", *KINDS], lines)


def claims(rows: pd.DataFrame) -> str:
    """Return what the study says of every claim."""
    lines = [["claim", "expected", "measured", "verdict"], ["---"] * 4]
    lines += [
        [finding.claim, finding.paper, finding.ours, finding.verdict] for finding in findings(rows)
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def phrases(rows: pd.DataFrame) -> list[str]:
    """Return what the text of the page says in numbers, outside its tables."""
    unequal = rows[rows["kind"] == HETEROGENEOUS]
    blocked = unequal[unequal["excess_equal_gain"] > NOTHING]
    all_but_one = int((blocked["strongest_equal_gain"] == 9).sum())
    gap = float((rows["margin"] - rows["margin_by_search"]).abs().max())
    assert gap <= 1e-7
    return [
        f"in {by_rivalry(unequal)} of the heterogeneous consortia",
        f"In {all_but_one} of the {len(blocked)} consortia that block it",
        f"the largest excess is {100.0 * blocked['excess_equal_gain'].max():.2f} % of v(N)",
        f"{int(np.sum(rows['least_merger'] < 0.0))} of {len(rows)} consortia",
    ]


TABLES = {"splits": splits, "readings": readings, "claims": claims}


def main() -> None:
    """Put the tables on the page."""
    text, rows = PAGE.read_text("utf-8"), study()
    for name, old in on_page(text).items():
        comment = f"<!-- table: {name} -->\n"
        text = text.replace(f"{comment}{old}\n", f"{comment}{TABLES[name](rows)}\n")
    PAGE.write_text(text, "utf-8")
    sys.stdout.write(f"refreshed {PAGE}\n")
    for phrase in phrases(rows):
        if phrase not in " ".join(text.split()):
            sys.stdout.write(f"not on the page: {phrase}\n")


if __name__ == "__main__":
    main()
