"""The comparisons of an audit: what was expected, what the chain has, and what differs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from tradefl.foreign import parse_json
from tradefl.incentives.promise import Check
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.rules import Report


@dataclasses.dataclass(frozen=True)
class Difference:
    """A figure that differs from what it must be.

    Attributes
    ----------
    place
        What differs.
    expected
        What it must be: by recomputation, or by the file.
    found
        What the chain has.
    """

    place: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.place}: expected {self.expected}, the chain has {self.found}"


class Checks:
    """Counts comparisons, and keeps those that fail.

    Attributes
    ----------
    count
        How many comparisons were made.
    differences
        Those that failed, in order.
    notes
        What is not a fault but worth knowing.
    """

    def __init__(self) -> None:
        self.count = 0
        self.differences: list[Difference] = []
        self.notes: list[str] = []

    def compare(self, place: str, expected: Any, found: Any) -> None:
        """Compare two values; they agree only if they are equal."""
        self.count += 1
        if expected != found:
            expected, found = _apart(expected, found)
            self.differences.append(Difference(place, shown(expected), shown(found)))

    def at_least(self, place: str, least: int, found: int, unit: str = "") -> None:
        """Check that an amount is not below a bound."""
        self.count += 1
        if found < least:
            self.differences.append(
                Difference(place, f"at least {least:,}{unit}", f"{found:,}{unit}")
            )

    def close(self, place: str, check: Check) -> None:
        """Compare two doubles that may differ by rounding."""
        if check.agrees:
            self.compare(place, True, True)
        else:
            self.compare(place, f"{check.expected:.12g}", f"{check.found:.12g}")


def figures(mine: Agreement, theirs: Agreement) -> Iterator[tuple[str, Any, Any]]:
    """Yield every figure of two agreements of the same organizations: place, mine, theirs."""
    for key in (
        "min_data_ppb",
        "wei_per_payoff",
        "verifier",
        "arbiter",
        "join_seconds",
        "report_seconds",
        "dispute_seconds",
        "ruling_seconds",
        "closing_blocks",
        "dispute_stake_wei",
        "organizations_per_block",
        "pairs_per_block",
    ):
        yield key, getattr(mine, key), getattr(theirs, key)
    for i, name in enumerate(mine.names):
        for key in ("data_bits", "cpu_levels_hz"):
            yield f"{name}: {key}", getattr(mine, key)[i], getattr(theirs, key)[i]
    if mine.rule.name == theirs.rule.name:  # the figures of two rules have nothing in common
        for (place, a), (_, b) in zip(
            mine.rule.figures(mine.names), theirs.rule.figures(theirs.names), strict=True
        ):
            yield place, a, b
    here, there = (parse_json(each.annex, "annex") for each in (mine, theirs))
    yield from _annex_figures(here, there, "annex")


def _annex_figures(mine: Any, theirs: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in sorted(mine.keys() | theirs.keys()):
            yield from _annex_figures(mine.get(key), theirs.get(key), f"{place}.{key}")
    elif isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        for k, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            yield from _annex_figures(a, b, f"{place}[{k}]")
    else:
        yield place, mine, theirs


def _apart(mine: Any, theirs: Any) -> tuple[Any, Any]:
    """Return of two schedules the breakpoints that the other lacks; anything else as it is."""
    if not all(
        isinstance(value, tuple) and all(isinstance(x, str) for x in value)
        for value in (mine, theirs)
    ):
        return mine, theirs
    return tuple(x for x in mine if x not in theirs), tuple(x for x in theirs if x not in mine)


def shown(value: Any) -> str:
    """Return a value as a difference shows it."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Report):
        return f"d = {value.data_ppb:,} ppb, f = {value.cpu_hz:,} Hz"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "nothing"}[value]
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value)) or "nothing"
    return f"{value:,}" if isinstance(value, int) else str(value)
