"""``tradefl elicit``: from business figures to a consortium file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import click

from tradefl.cli.declaring import Argument, Option
from tradefl.cli.options import Json
from tradefl.cli.output import (
    note,
    print_facts,
    print_json,
    print_table,
    progress,
    require_distinct,
    require_writable,
    say,
)
from tradefl.errors import InputError

if TYPE_CHECKING:
    from tradefl.consortium.tables import Sheet
    from tradefl.elicitation import Business, Elicited

DEFAULT = Path("consortium.toml")


def elicit(
    tables: Annotated[
        list[Path] | None,
        Argument(
            help="The organizations' figures, and the table of market segments; CSV, TSV, XLSX or "
            "Parquet, in any order. Without any, the figures are asked for.",
            show_default=False,
        ),
    ] = None,
    organizations: Annotated[
        Path | None,
        Option("--organizations", help="The table of the organizations' figures."),
    ] = None,
    segments: Annotated[
        Path | None,
        Option("--segments", help="The table of market segments: revenue, customers, cases."),
    ] = None,
    output: Annotated[
        Path,
        Option("--output", "-o", help="Where to write the consortium file."),
    ] = DEFAULT,
    columns: Annotated[
        list[str] | None,
        Option("--map", help="COLUMN=FIELD: what a column means; may be given again."),
    ] = None,
    name: Annotated[
        str | None,
        Option("--name", help="The consortium's name; default: that of the output file."),
    ] = None,
    currency: Annotated[
        str | None,
        Option("--currency", help="Three letters; default: what the headings say."),
    ] = None,
    payoff_unit: Annotated[
        float,
        Option("--payoff-unit", help="Amount of currency in a unit of payoff."),
    ] = 1000.0,
    conduct: Annotated[
        float | None,
        Option(
            "--conduct",
            help="How much of an improvement's gain comes from a rival where markets coincide, in "
            "(0, 1]; default: the largest at which every z_i >= p_i / 2.",
        ),
    ] = None,
    accuracy: Annotated[
        list[str] | None,
        Option(
            "--accuracy",
            help="SAMPLES=ACCURACY, twice: two published accuracies, such as 5000=0.8; default: "
            "0.8 with 5,000 and 0.9 with 50,000 samples.",
        ),
    ] = None,
    headings: Annotated[
        bool, Option("--headings", help="List the fields and the headings that are known.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Turn business figures into a commented consortium file.

    Example: tradefl elicit organizations.csv case_volumes_by_region.csv -o hospitals.toml
    """
    from tradefl import elicitation

    if headings:
        _print_headings()
        return
    given = [*(tables or ())]
    if not given and organizations is None:
        business, market = _asked(elicitation, output)
    else:
        renamed = elicitation.mapping(columns or [])
        business, market = _read(elicitation, given, organizations, segments, renamed)
    require_writable(output)
    if output == DEFAULT and output.exists():
        raise InputError.at(output, "already exists; name another file with -o")
    read = {f"table {k}": table for k, table in enumerate(given, 1)}
    require_distinct({**read, "--output": output})
    if currency is not None and not (
        len(currency) == 3 and currency.isascii() and currency.isupper()
    ):
        what = f"expected a currency of three capital letters, such as EUR, got {currency!r}"
        raise InputError.at("--currency", what)
    with progress("working out the consortium"):
        found = elicitation.elicit(
            business,
            market,
            name=name or output.stem,
            currency=currency,
            payoff_unit=payoff_unit,
            conduct=conduct,
            accuracies=None if not accuracy else [_point(point) for point in accuracy],
            source=output,
        )
        made = elicitation.write_elicited(found, output)
    for heading in found.ignored:
        note(f"column {heading!r} is not used; --map COLUMN=FIELD says what it means")
    if as_json:
        print_json(_document(found, output))
    else:
        _print(found)
    note(f"wrote {output} ({len(made):,} organizations); try: tradefl report {quote(str(output))}")


def _read(
    elicitation: Any,
    given: list[Path],
    organizations: Path | None,
    segments: Path | None,
    renamed: Mapping[str, str],
) -> tuple[Business, Sheet | None]:
    """Return the figures, and the table of segments where there is one.

    Of tables that are not named by an option, the one with the most known headings is that of the
    organizations.
    """
    found = [(path, *elicitation.known_headings(path, renamed)) for path in given]
    if organizations is not None:
        main = elicitation.known_headings(organizations, renamed)[0]
    else:
        found.sort(key=lambda match: -match[2])
        path, main, known = found.pop(0)
        if known < 2:
            what = (
                f"{known} of its headings are known; expected the organizations' figures; "
                "`tradefl elicit --headings` lists known headings, --map COLUMN=FIELD names others"
            )
            raise InputError.at(path, what)
    market = None
    if segments is not None:
        market = elicitation.known_headings(segments, {})[0]
    elif found:
        market = found.pop(0)[1]
    if found:
        what = "expected a table of organizations and one of market segments; leave this one out"
        raise InputError.at(found[0][0], what)
    return elicitation.read_business(main, renamed), market


def _point(text: str) -> tuple[float, float]:
    samples, _, value = text.partition("=")
    try:
        number = float(value.strip().removesuffix("%"))
        return float(samples), number / 100.0 if value.strip().endswith("%") else number
    except ValueError:
        what = f"expected SAMPLES=ACCURACY, such as 5000=0.8, got {text!r}"
        raise InputError.at("--accuracy", what) from None


def _asked(elicitation: Any, output: Path) -> tuple[Business, Sheet | None]:
    """Ask for the figures of each organization, one after the other."""
    from tradefl.consortium.tables import Sheet

    if sys.stdin is None or not sys.stdin.isatty():
        what = (
            "expected a table of the organizations' figures, or a terminal to ask in; name the "
            "table: tradefl elicit organizations.csv segments.csv -o FILE"
        )
        raise InputError.at("TABLES", what)
    count = click.prompt("How many organizations", type=click.IntRange(1, 100), err=True)
    code = click.prompt("Currency of all amounts", default="EUR", err=True)
    fields = (
        ("name", None),
        ("cases_per_year", None),
        ("benefit_per_case_and_point", None),
        ("samples", None),
        ("megabytes_per_sample", None),
        ("gpu", "A100"),
        ("gpus", "1"),
        ("electricity_per_kwh", "0.25"),
        ("preparation_per_sample", "0"),
        ("joining_cost", "0"),
    )
    by_name = {field.name: field for field in elicitation.FIELDS}
    amounts = {name for name, _ in fields if by_name[name].kind == "amount"}
    rows: list[list[Any]] = [[f"{name} {code}" if name in amounts else name for name, _ in fields]]
    for k in range(count):
        click.echo(f"Organization {k + 1} of {count}", err=True)
        rows.append(
            [
                click.prompt(f"  {by_name[name].meaning}", default=default, type=str, err=True)
                for name, default in fields
            ]
        )
    market = None
    if click.confirm("Enter what each sells in each market segment", default=False, err=True):
        segments = click.prompt("Segments, with commas between", type=str, err=True).split(",")
        table: list[list[Any]] = [["organization", *(segment.strip() for segment in segments)]]
        for name in (row[0] for row in rows[1:]):
            sold = (
                click.prompt(f"  {name} in {segment.strip()}", default="0", type=str, err=True)
                for segment in segments
            )
            table += [[name, *sold]]
        market = Sheet(output, table, range(1, len(table) + 1), "answer")
    sheet = Sheet(output, rows, range(1, len(rows) + 1), "answer")
    return elicitation.read_business(sheet, {}), market


def _print_headings() -> None:
    from tradefl.elicitation import FIELDS

    print_table(
        ["field", "what it is", "English", "German"],
        [[field.name, field.meaning, *field.examples] for field in FIELDS],
        left=(0, 1, 2, 3),
    )


def _document(found: Elicited, output: Path) -> dict[str, Any]:
    from tradefl.documents.elicitation import (
        AssumedFigure,
        ConductRange,
        ElicitationDocument,
        ElicitedOrganization,
    )

    made, z = found.consortium, found.consortium.game.potential_weights.tolist()
    conduct = None
    if found.conduct_range is not None:
        low, high = found.conduct_range
        chosen = made.competition.conduct or high
        conduct = ConductRange(low=low, high=high, chosen=chosen)
    return ElicitationDocument(
        document="tradefl/elicitation/1",
        consortium=made.name,
        file=str(output),
        currency=made.currency,
        payoff_unit=made.payoff_unit,
        conduct=conduct,
        incentive_intensity=made.mechanism.incentive_intensity,
        assumptions=[
            AssumedFigure(what=assumption.what, value=assumption.value, reason=assumption.reason)
            for assumption in found.assumptions
        ],
        organizations=[
            ElicitedOrganization.of(**made.organizations.entry(i), z=z[i]) for i in range(len(made))
        ],
        ignored_columns=list(found.ignored),
    ).to_dict()


def _print(found: Elicited) -> None:
    made, game = found.consortium, found.consortium.game
    who, code = made.organizations, made.currency or "money"
    unit = made.payoff_unit
    say(f"{made.name}: {len(made):,} organizations from business figures\n")
    print_table(
        [
            *("organization", f"a percentage point, {code} a year", "data Gbit", "hours"),
            *(f"all data, {code}", f"joining, {code}", "z / p"),
        ],
        [
            [
                made.names[i],
                f"{who.profitability[i] * unit / 100.0:,.0f}",
                f"{who.data_bits[i] / 1e9:,.0f}",
                f"{_hours(game, i):.3g}",
                f"{who.data_cost[i] * unit:,.0f}",
                f"{who.joining_cost[i] * unit:,.0f}",
                f"{game.potential_weights[i] / who.profitability[i]:.3f}",
            ]
            for i in range(len(made))
        ],
    )
    say("Assumed, because no table says it\n")
    print_facts(
        [
            (assumption.what, f"{assumption.value} ({assumption.reason})")
            for assumption in found.assumptions
        ]
    )


def _hours(game: Any, i: int) -> float:
    """Return how long training on all of its data takes at the highest clock."""
    fastest = max(f for f in game.cpu_levels_hz[i].tolist() if f == f)
    return float(game.cycles_per_bit[i] * game.data_bits[i] / fastest / 3600.0)
