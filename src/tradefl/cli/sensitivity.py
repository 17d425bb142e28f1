"""``tradefl sensitivity``: what the ranges of a file's figures do."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from tradefl.cli.compare import DRAWN
from tradefl.cli.declaring import Option
from tradefl.cli.options import File, Json, RayCluster, Seed, Workers
from tradefl.cli.output import (
    amounts_in,
    note,
    print_facts,
    print_json,
    print_table,
    require_distinct,
    require_writable,
    say,
    shown_digits,
    status,
)
from tradefl.consortium import load
from tradefl.consortium.files import atomic_write
from tradefl.errors import InputError
from tradefl.foreign import spreadsheet_cell
from tradefl.game.money import unit_name
from tradefl.incentives.uncertainty import DRAWS, Sensitivity
from tradefl.incentives.uncertainty import sensitivity as draw
from tradefl.statement import money

MOST_BARS = 20


def sensitivity(
    file: File,
    draws: Annotated[int, Option("--draws", min=1, help="How many draws of all figures.")] = DRAWS,
    seed: Seed = 0,
    redesign: Annotated[
        bool,
        Option(
            "--redesign",
            help="Work contributions, payments and bonds out again for each draw, instead of "
            "keeping the agreement and drawing the truth.",
        ),
    ] = False,
    table: Annotated[
        Path | None, Option("--csv", help="Where to write the bands of each organization.")
    ] = None,
    chart: Annotated[
        Path | None, Option("--chart", help="Draw the tornado here: .svg, .png or .html.")
    ] = None,
    bands: Annotated[
        Path | None,
        Option("--bands", help="Draw the payoffs over all draws here: .svg, .png or .html."),
    ] = None,
    workers: Workers = None,
    ray: RayCluster = None,
    as_json: Json = False,
) -> None:
    """Draw uncertain figures from their ranges, to see how sure the answers are.

    Figures have a range where the file says so.

    Example: tradefl sensitivity examples/hospitals_ranges.toml --draws 1000
    """
    require_distinct({"FILE": file, "--csv": table, "--chart": chart, "--bands": bands})
    if table is not None:
        require_writable(table)
    for flag, place in {"--chart": chart, "--bands": bands}.items():
        if place is None:
            continue
        if place.suffix not in DRAWN:
            what = f"expected a name that ends in one of {', '.join(DRAWN)}, got {place.name!r}"
            raise InputError.at(flag, what)
        require_writable(place)
        import tradefl.charts  # noqa: F401  says what to install where it is missing
    with status(f"drawing the figures of {file}") as show:
        consortium = load(file)
        found = draw(
            consortium,
            draws,
            seed=seed,
            redesign=redesign,
            workers=workers,
            ray=ray,
            watch=lambda what: show(f"drawing the figures of {file}: {what}"),
        )
    if table is not None:
        atomic_write(table, bands_csv(found), private=True)
        note(f"wrote {table}")
    if chart is not None:
        _draw(chart, "tornado", found)
    if bands is not None:
        _draw(bands, "bands", found)
    if as_json:
        print_json(found.to_dict())
    else:
        print_sensitivity(found)
    for remark in found.remarks:
        note(remark)
    for reason, count in found.without_game.items():
        note(f"{count:,} of {found.draws:,} draws do not give a game: {reason}")


def _draw(place: Path, kind: Literal["tornado", "bands"], found: Sensitivity) -> None:
    from tradefl import charts
    from tradefl.report import frames

    if not found.welfare.size:
        note(f"{place} was not drawn: no draw is a game")
        return
    found = found.in_currency()
    title = f"{found.consortium.name}{amounts_in(found.agreed.game)}"
    if kind == "tornado":
        drawn = charts.tornado(
            frames.tornado(found), unit=unit_name(found.agreed.game), title=title
        )
    else:
        who = frames.chosen(found.agreed)
        rows = frames.payoff_bands(found, who)
        drawn = charts.bands(rows, x="payoff, 5 to 95 % of the draws", title=title)
    content = getattr(charts, place.suffix.removeprefix("."))(drawn)
    whole = content if isinstance(content, bytes) else content.encode()
    atomic_write(place, whole, private=True)
    note(f"wrote {place}")


def bands_csv(found: Sensitivity) -> bytes:
    """Return the bands of each organization as a CSV table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    kinds = ("contribution", "payment", "payoff", "gain_over_alone")
    ends = ("p5", "p50", "p95")
    header = [f"{kind}_{end}" for kind in kinds for end in ends]
    probabilities = ("probability_better_than_alone", "probability_bond_covers")
    writer.writerow(["organization", *header, *probabilities])
    for organization in found.document().organizations:
        cells: list[object] = [spreadsheet_cell(organization.name)]
        for kind in kinds:
            band = getattr(organization, kind)
            cells += [None if band is None else getattr(band, end) for end in ends]
        writer.writerow([*cells, *(getattr(organization, name) for name in probabilities)])
    return text.getvalue().encode()


def print_sensitivity(found: Sensitivity) -> None:
    """Print the bands of each organization, the probabilities and the tornado."""
    kind = "everything worked out again" if found.redesign else "the agreement kept"
    found = found.in_currency()
    game = found.agreed.game
    say(
        f"{found.consortium.name}: {found.draws:,} draws of {len(found.figures)} figures, {kind}"
        f"{amounts_in(game)}\n"
    )
    if not found.welfare.size:
        say("No draw is a game.")
        return
    digits = shown_digits(found.agreed.payoffs, game)

    def band(column: object) -> list[str]:
        low, middle, high = np.percentile(np.asarray(column), (5, 50, 95)).tolist()
        return [money(middle, digits), f"{money(low, digits)} .. {money(high, digits)}"]

    print_table(
        [
            *("organization", "data d", "payment", "5 .. 95 %", "payoff", "5 .. 95 %"),
            *("over alone", "5 .. 95 %", "better than alone"),
        ],
        [
            [
                name,
                f"{np.median(found.data_fraction[:, i]):.4f}",
                *band(found.payment[:, i]),
                *band(found.payoff[:, i]),
                *band(found.payoff[:, i] - found.alone[:, i]),
                f"{found.better[:, i].mean():.1%}",
            ]
            for i, name in enumerate(found.consortium.names)
        ],
    )
    covers = found.bond_covers
    print_facts(
        [
            ("social welfare", " ".join([band(found.welfare)[0], f"({band(found.welfare)[1]})"])),
            ("still an equilibrium", f"{found.equilibrium.mean():.1%} of the draws"),
            ("can be delivered in time", f"{found.deliverable.mean():.1%} of the draws"),
            (
                "everybody better than alone",
                f"{found.better.all(axis=1).mean():.1%} of the draws",
            ),
            *(
                [
                    (
                        "today's bonds cover the draw's",
                        f"{covers.all(axis=1).mean():.1%} of the draws",
                    )
                ]
                if covers is not None
                else []
            ),
        ]
    )
    say("\nOne figure at a time: the payment that it moves most\n")
    print_table(
        ["figure", "moves the payment of", "at its low", "at its high", "by"],
        [
            [
                found.label(bar),
                bar.payment_of,
                "no game" if bar.low is None else money(bar.low, digits),
                "no game" if bar.high is None else money(bar.high, digits),
                money(bar.size, digits),
            ]
            for bar in found.tornado
        ],
        left=(0, 1),
        limit=MOST_BARS,
    )
