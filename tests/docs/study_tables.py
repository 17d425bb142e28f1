"""``python -m tests.docs.study_tables``: put the tables of the study on its page.

The tables of ``docs/explanation/efficient-compensation.md`` stand between comments; each is made
here from ``docs/compensation/study.csv``. Read the difference before you commit it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from tradefl.experiments import COMPENSATION, figure
from tradefl.experiments.compensation import HETEROGENEOUS, KINDS, by_organization
from tradefl.experiments.figure import share, spread

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "explanation" / "efficient-compensation.md"
STUDY = DOCS / "compensation" / "study.csv"
THIRDS = ("low", "middle", "high")


def study() -> pd.DataFrame:
    """Return the rows of the study, one for each consortium."""
    return pd.read_csv(STUDY)


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def rules(rows: pd.DataFrame) -> str:
    """Return what each kind of consortium has, as medians and 90 % bands."""

    def percent(column: str) -> Callable[[pd.DataFrame], str]:
        return lambda entry: f"{spread(100.0 * entry[column].dropna(), 4)} %"

    def lost(one: pd.DataFrame) -> str:
        losses = one.loc[one["losers_tuned"] > 0, "largest_loss_tuned"]
        return f"{spread(100.0 * losses, 2)} %, at most {100.0 * losses.max():.2g} %"

    def gained(one: pd.DataFrame) -> str:
        each = by_organization(one)
        gain = 100.0 * each["efficient"] / each["without"].abs()
        return f"{spread(gain, 3)} %, at least {gain.min():.2g} %"

    def at_most(column: str, digits: int = 2) -> Callable[[pd.DataFrame], str]:
        return lambda entry: f"{entry[column].max():.{digits}g}"

    described: dict[str, Callable[[pd.DataFrame], str]] = {
        "welfare without compensation, of the optimum's": lambda entry: (
            f"{spread(100.0 / entry['price_of_anarchy'])} %"
        ),
        "data without compensation, sum of d": lambda entry: spread(entry["data_none"], 3),
        "data at the optimum, sum of d": lambda entry: spread(entry["data_optimum"], 3),
        "share of the gap that γ* closes": percent("gap_closed_tuned"),
        "γ* closes all of it": lambda entry: share(entry["gap_closed_tuned"] >= 1.0 - 1e-6),
        "share of the gap that the paper's γ closes": percent("gap_closed_linear"),
        "less welfare than without any, at the paper's γ": lambda entry: share(
            entry["gap_closed_linear"] < 0.0
        ),
        "consortia in which somebody loses at γ*": lambda entry: share(entry["losers_tuned"] > 0),
        "organizations that lose at γ*": lambda entry: (
            f"{int(entry['losers_tuned'].sum())} of {10 * len(entry)}"
        ),
        "largest loss at γ*, of the loser's payoff": lost,
        "organizations that lose under the efficient rule": lambda entry: (
            f"{int(entry['below_none'].sum())} of {10 * len(entry)}"
        ),
        "gain under the efficient rule, of its payoff": gained,
        "organizations that gain more at γ*": lambda entry: _preferring(entry),
        "payments at γ*, of welfare": percent("payments_tuned"),
        "payments under the efficient rule, of welfare": percent("payments_agreed"),
        "largest regret of π*, exact schedules": at_most("regret_exact"),
        "largest regret of π*, as settled": at_most("regret_settled"),
        "starts from which best responses reach π*": lambda entry: (
            f"{int(entry['starts_that_reach'].sum())} of {int(entry['starts'].sum())}"
        ),
    }
    kinds = [rows[rows["kind"] == kind] for kind in KINDS]
    return _markdown(
        ["", *KINDS],
        [[name, *(describe(kind) for kind in kinds)] for name, describe in described.items()],
    )


def _preferring(rows: pd.DataFrame) -> str:
    each = by_organization(rows).dropna()
    return share(each["tuned"] > each["efficient"] + 1e-9 * each["without"].abs())


def thirds(rows: pd.DataFrame) -> str:
    """Return what depends on heterogeneity and rivalry, in thirds of the heterogeneous."""
    unequal = rows[rows["kind"] == HETEROGENEOUS]
    lines = []
    for column in ("heterogeneity", "rivalry"):
        third = pd.qcut(unequal[column], 3, labels=THIRDS)
        for name in THIRDS:
            some = unequal[third == name]
            each = by_organization(some)
            gain = 100.0 * each["efficient"] / each["without"].abs()
            lines.append(
                [
                    f"{name} {column}, {some[column].min():.2f} to {some[column].max():.2f}",
                    spread(100.0 * (some["price_of_anarchy"] - 1.0), 3),
                    spread(100.0 * some["gap_closed_tuned"].dropna(), 3),
                    spread(100.0 * some["gap_closed_linear"], 3),
                    f"{int(some['losers_tuned'].sum())} of {10 * len(some)}",
                    spread(gain, 3),
                ]
            )
    return _markdown(
        [
            *("heterogeneous consortia", "optimum above no compensation, %"),
            *("closed by γ*, %", "by the paper's γ, %", "losers at γ*"),
            "gain under the efficient rule, %",
        ],
        lines,
    )


def promises(rows: pd.DataFrame) -> str:
    """Return what the figures say of every claim, ours and earlier ones."""
    lines = [
        [
            finding.claim,
            finding.paper,
            finding.ours + (f" ({finding.remark})" if finding.remark else ""),
            finding.verdict,
        ]
        for name in COMPENSATION
        for finding in figure(name).findings(rows)
    ]
    return "\n".join(
        "| " + " | ".join(line) + " |"
        for line in [["claim", "expected", "measured", "verdict"], ["---"] * 4, *lines]
    )


def phrases(rows: pd.DataFrame) -> list[str]:
    """Return what the text of the page says in numbers, besides its tables."""
    unequal = rows[rows["kind"] == HETEROGENEOUS]
    data = (rows["data_none"] / rows["data_optimum"]).groupby(rows["kind"]).median()

    def together(column: str, other: str) -> str:
        return f"{unequal[column].corr(unequal[other], method='spearman'):.2f}"

    each = by_organization(unequal)
    place = each.groupby("seed")["without"].rank()
    loses = each["tuned"] < -1e-6
    corners = (unequal["at_deadline"] + unequal["all_their_data"] == 10).sum()
    lost = unequal.loc[unequal["losers_tuned"] > 0, "largest_loss_tuned"]
    anarchy, closed, losers = "price_of_anarchy", "gap_closed_linear", "losers_tuned"
    apart, rivalry = "heterogeneity", "rivalry"
    return [
        f"{100.0 * data[KINDS[0]]:.0f} % of the optimum's data in Table II's consortia",
        f"{100.0 * data[KINDS[1]]:.0f} % in heterogeneous ones",
        f"grows with rivalry (rank correlation {together(anarchy, rivalry)})",
        f"hardly with heterogeneity ({together(anarchy, apart)})",
        f"In {corners} of {len(unequal)} heterogeneous consortia everybody is at such a corner",
        f"what it closes falls with heterogeneity ({together(closed, apart)})",
        f"grows with heterogeneity (rank correlation {together(losers, apart)})",
        f"not with rivalry ({together(losers, rivalry)})",
        f"{100.0 * loses[place == 1].mean():.0f} % of the poorest of each consortium lose at γ*",
        f"and {loses[place >= 8].sum()} of the three richest",
        f"the largest loss is {100.0 * lost.median():.1f} % of a payoff",
        f"the worst hit loses {100.0 * lost.max():.0f} % of its payoff",
        f"{100.0 * loses.mean():.1f} % of the organizations",
        f"{_preferring(unequal)} heterogeneous ones",
    ]


TABLES = {"rules": rules, "thirds": thirds, "promises": promises}


def on_page(text: str) -> dict[str, str]:
    """Return the tables of a page by their names."""
    return dict(re.findall(r"(?ms)^<!-- table: (\w+) -->\n(.*?)\n<!-- end -->$", text))


def main() -> None:
    """Put the tables on the page."""
    text, rows = PAGE.read_text("utf-8"), study()
    for name, old in on_page(text).items():
        text = text.replace(f"<!-- table: {name} -->\n{old}\n", _block(name, rows))
    PAGE.write_text(text, "utf-8")
    sys.stdout.write(f"refreshed {PAGE}\n")


def _block(name: str, rows: pd.DataFrame) -> str:
    return f"<!-- table: {name} -->\n{TABLES[name](rows)}\n"


if __name__ == "__main__":
    main()
