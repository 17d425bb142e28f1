"""``tradefl incentives``: what each organization could gain by misreporting."""

from __future__ import annotations

from typing import Annotated

from tradefl.cli.declaring import Option
from tradefl.cli.options import File, Json, RayCluster, Workers
from tradefl.cli.output import amounts_in, note, print_json, print_table, say, status
from tradefl.consortium import load
from tradefl.incentives.misreports import CHECKED_BY, POINTS, Incentives, Misreport
from tradefl.incentives.misreports import incentives as search
from tradefl.statement import decimals, money


def incentives(
    file: File,
    range: Annotated[  # noqa: A002  the option's name
        float,
        Option("--range", help="How far a report may be from the truth: 0.1 is 10 %."),
    ] = 0.1,
    figure: Annotated[
        list[str] | None,
        Option(
            "--figure",
            help="A figure to try, by its key in the file; competition is the row of rho. May be "
            "given again. Default: all that the file states.",
        ),
    ] = None,
    points: Annotated[
        int, Option("--points", min=2, help="Reports to try for each figure.")
    ] = POINTS,
    workers: Workers = None,
    ray: RayCluster = None,
    as_json: Json = False,
) -> None:
    """Search what each organization could gain by misreporting a figure.

    The others are honest. Under the file's rule, under the paper's rule with gamma tuned on
    reports, and under the efficient rule with each target.

    Example: tradefl incentives examples/hospitals.toml --range 0.1
    """
    with status(f"trying misreports of {file}") as show:
        consortium = load(file)
        found = search(
            consortium,
            range,
            figures=figure or (),
            points=points,
            workers=workers,
            ray=ray,
            watch=lambda what: show(f"trying misreports of {file}: {what}"),
        )
    if as_json:
        print_json(found.to_dict())
        return
    print_incentives(found)


def print_incentives(found: Incentives) -> None:
    """Print the misreports under the file's rule, then the largest under each other rule."""
    found = found.in_currency()
    game = found.game
    rules = list(found.rules)
    say(
        f"{game.title}: what a misreport within {found.range:.4g} gains, {rules[0]}"
        f"{amounts_in(game)}\n"
    )
    digits = 3
    gains = [misreport.gain for misreport in found.ranked if misreport.gain > 0.0]
    if game.currency is not None:
        digits = 2
    elif gains:
        digits = max(min(decimals([max(gains)]), 8), 3)
    print_table(
        ["organization", "figure", "report", "gain", "of payoff", "paid by", "checked by", "proof"],
        [_row(found, misreport, digits) for misreport in found.ranked],
        left=(0, 1, 5, 6, 7),
    )
    if len(rules) > 1:
        say("The largest gain of anybody under the other rules\n")
        rows = []
        for name in rules[1:]:
            best = max(found.rules[name], key=lambda misreport: misreport.gain, default=None)
            if best is not None:
                rows.append([name, *_row(found, best, digits)[:5]])
        print_table(
            ["rule", "organization", "figure", "report", "gain", "of payoff"], rows, left=(0, 1, 2)
        )
    say("Claiming all data at the top level, while the others report the truth\n")
    print_table(
        ["organization", "gain", "deterred by spot audits above"],
        [
            [
                game.name_of(report.organization),
                money(report.gain, digits),
                "-" if report.audit_probability is None else f"{report.audit_probability:.2%}",
            ]
            for report in found.over_reporting
        ],
    )
    few = [row.reports_tried for row in found.ranked if row.reports_tried is not None]
    tried = f"{found.points} reports" if not few else f"the {max(few)} ends of the range"
    note(
        f"a gain marked 'search' is the best of {tried}, not a proof; with a verifier nobody can "
        "claim data that it has not trained"
    )


def _row(found: Incentives, one: Misreport, digits: int) -> list[str]:
    game = found.game
    report = "-"
    if one.report is not None:
        factor = one.figure in ("cpu_levels_hz", "competition")
        report = f"x {one.report:.4g}" if factor else f"{one.report:,.6g}"
    return [
        game.name_of(one.organization),
        one.figure,
        report,
        money(one.gain, digits),
        "-" if one.gain_fraction is None else f"{one.gain_fraction:.4%}",
        "-" if one.paid_by is None else game.name_of(one.paid_by),
        CHECKED_BY[one.figure],
        ("certified" if one.certified else "search")
        + (", then deviates" if one.then_deviates else ""),
    ]
