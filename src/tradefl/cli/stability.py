"""``tradefl stability``: whether a coalition could do better on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import click

from tradefl.cli.declaring import Option
from tradefl.cli.options import File, Json, OneOf
from tradefl.cli.output import (
    TABLE_ROWS,
    amounts_in,
    note,
    print_facts,
    print_json,
    print_table,
    say,
    shown_digits,
    status,
)
from tradefl.consortium import load
from tradefl.consortium.payoff_table import read_payoffs
from tradefl.errors import InputError
from tradefl.stability import OUTSIDE, READINGS, SPLITS, Stability
from tradefl.stability import stability as judge
from tradefl.stability.market import OUTSIDERS
from tradefl.stability.words import sentence, share, split_name
from tradefl.statement import money

TABLES = (".csv", ".tsv", ".parquet", ".xlsx")


def stability(
    file: File,
    split: Annotated[
        str,
        Option(
            "--split",
            help=f"What is tested: {', '.join(SPLITS)}, or a table (.csv) with the columns name "
            "and payoff.",
        ),
    ] = "file",
    reading: Annotated[
        str,
        Option(
            "--reading",
            help="What a coalition earns: Eq. (11) among its members, or the market, where the "
            "models of outsiders cost it.",
            type=OneOf(READINGS),
        ),
    ] = "literal",
    outside: Annotated[
        str,
        Option(
            "--outside",
            help="What a single organization has: its own model, or nothing.",
            type=OneOf(OUTSIDE),
        ),
    ] = "own-model",
    outsiders: Annotated[
        str | None,
        Option(
            "--outsiders",
            help="Market reading: whether those outside train together (the default) or each "
            "alone.",
            type=OneOf(OUTSIDERS),
        ),
    ] = None,
    method: Annotated[
        str,
        Option(
            "--method",
            help="Branch and bound, or all coalitions one by one for at most 16 organizations.",
            type=OneOf(["search", "enumeration"]),
        ),
    ] = "search",
    time_limit: Annotated[
        float,
        Option(
            "--time-limit",
            type=click.FloatRange(0.0, 1e9, min_open=True),
            help="Seconds after which the search stops and reports its bounds.",
        ),
    ] = 60.0,
    as_json: Json = False,
) -> None:
    """Say whether some organizations could do better among themselves, with a proof.

    Example: tradefl stability examples/banks_fraud.toml
    """
    if outsiders is not None and reading != "market":
        raise InputError.at("--outsiders", "needs --reading market")
    with status(f"testing {file}") as show:
        consortium = load(file)
        tested: Any = split
        if split not in SPLITS:
            if Path(split).suffix not in TABLES:
                what = f"expected one of {', '.join(SPLITS)}, or a table, got {split!r}"
                raise InputError.at("--split", what)
            tested = read_payoffs(Path(split), consortium.names)
        try:
            found = judge(
                consortium,
                tested,
                reading=reading,  # type: ignore[arg-type]  # one of them: the options see to it
                outside=outside,  # type: ignore[arg-type]
                outsiders=outsiders,  # type: ignore[arg-type]
                method=method,  # type: ignore[arg-type]
                time_limit=time_limit,
                watch=lambda what: show(f"testing {file}: {what}"),
            )
        except ValueError as error:
            name, _, what = str(error).partition(": ")
            flags = {"split": split, "method": f"--method {method}", "time_limit": "--time-limit"}
            if name == "split" and split in SPLITS:
                flags["split"] = f"--split {split}"
            raise InputError.at(flags.get(name, f"{file}: {name}"), what) from None
    for remark in found.remarks:
        note(remark)
    if as_json:
        print_json(found.to_dict())
    else:
        print_stability(found)
    if found.verdict != "stable":
        raise click.exceptions.Exit(1)


def print_stability(found: Stability) -> None:
    """Print the verdict in words, then what each has alone, under the split, and brings."""
    found = found.in_currency()
    game = found.game
    digits = shown_digits(found.payoff, game)
    say(f"{game.title}: {split_name(found)}, {found.reading} reading{amounts_in(game)}\n")
    say(f"{sentence(found, digits)}\n")
    rows = []
    for i in range(min(game.size, TABLE_ROWS)):
        words = []
        if i in found.below_alone:
            words.append("less than alone")
        if i in found.more_than_it_brings:
            words.append("more than it brings")
        amounts = (found.alone[i], found.payoff[i], found.marginal[i], found.least_core[i])
        rows.append(
            [
                game.name_of(i),
                *(money(float(amount), digits) for amount in amounts),
                ", ".join(words),
            ]
        )
    columns = (found.alone, found.payoff, found.marginal, found.least_core)
    print_table(
        ["organization", "alone", "payoff", "brings", "least core", ""],
        rows,
        footer=["sum", *(money(float(column.sum()), digits) for column in columns), ""],
        total=game.size,
    )
    total = found.grand_value
    facts = [
        (
            "all together",
            f"{money(total, digits)} (proven: at most {money(found.grand_bound, digits)})",
        ),
        (
            "largest excess",
            f"{money(found.max_excess, digits)} found, proven: at most "
            f"{money(found.max_excess_bound, digits)}",
        ),
        (
            "margin",
            f"{money(found.margin, digits)} ({share(found.margin, total)}) is the most that "
            f"every coalition can be made to lose by leaving"
            + ("" if found.margin_certified else "; not proven"),
        ),
        (
            "examined",
            f"{found.coalitions_examined:,} coalitions, {found.nodes:,} search nodes, "
            f"in {found.runtime_seconds:.3g} s",
        ),
    ]
    if found.shortfall > found.tolerance:
        facts.insert(
            1,
            (
                "left on the table",
                f"{money(found.shortfall, digits)} ({share(found.shortfall, total)}): what is "
                "split is less than all could have",
            ),
        )
    if found.cost_of_stability is not None:
        facts.insert(
            -1,
            (
                "cost of stability",
                f"{money(found.cost_of_stability, digits)} "
                f"({share(found.cost_of_stability, total)}) is the least grant from outside with "
                "which nobody could do better by leaving",
            ),
        )
    if found.split.half_width.any():
        facts.insert(
            -1,
            (
                "sampled",
                "the split is sampled: with 95 % confidence each payoff is within "
                f"{money(float(found.split.half_width.max()), digits)} of the exact one",
            ),
        )
    print_facts(facts)
