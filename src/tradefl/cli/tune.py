"""``tradefl tune``: the incentive intensity with the highest welfare."""

from __future__ import annotations

from typing import Annotated

import click

from tradefl.cli.declaring import Option
from tradefl.cli.options import File, Json, Method, OneOf
from tradefl.cli.output import (
    amounts_in,
    answer,
    note,
    print_facts,
    print_json,
    print_table,
    progress,
    say,
    yes_no,
)
from tradefl.cli.solve import better_than_alone
from tradefl.consortium import load
from tradefl.errors import InputError
from tradefl.game.money import unit_of
from tradefl.solvers import DEFAULT_METHOD
from tradefl.solvers.cautions import buys_little
from tradefl.statement import decimals, money
from tradefl.tuning import PARTICIPATION, Tuning
from tradefl.tuning import tune as tune_game

CURVE_ROWS = 15


def tune(
    file: File,
    method: Method = DEFAULT_METHOD,
    as_json: Json = False,
    no_ir: Annotated[
        bool, Option("--no-ir", help="Allow any payoffs at gamma*, negative ones too.")
    ] = False,
    participation: Annotated[
        str,
        Option(
            "--participation",
            help="What every payoff must be at least: what the organization would earn alone, "
            "or zero.",
            type=OneOf(PARTICIPATION),
        ),
    ] = "alone",
    largest: Annotated[
        float | None,
        Option(
            "--largest",
            type=click.FloatRange(0.0, 1e300, min_open=True),
            help="The largest gamma to try; default: from which everybody contributes all.",
        ),
    ] = None,
) -> None:
    """Find the gamma with the highest welfare at which nobody would earn more alone.

    Example: tradefl tune examples/paper.toml
    """
    with progress(f"tuning {file}"):
        consortium = load(file)
        try:
            tuning = tune_game(
                consortium,
                method=method,
                individual_rationality=not no_ir,
                participation=participation,  # type: ignore[arg-type]  # the option sees to it
                largest=largest,
            )
        except ValueError as error:
            name, _, what = str(error).partition(": ")
            if name == "largest":
                raise InputError.at("--largest", what) from None
            # The method's own options are at their defaults: it cannot serve this consortium.
            raise InputError.at(f"--method {method}", str(error)) from None
    if as_json:
        print_json(tuning.to_dict())
    else:
        _print(tuning)
    if tuning.best is None:
        answer(
            "at every gamma some organization would earn more alone; --participation zero asks "
            "for payoffs of at least 0, --no-ir for nothing"
            if participation == "alone"
            else "no gamma is individually rational; --no-ir lifts that demand"
        )
        raise click.exceptions.Exit(1)
    little = buys_little(tuning.best, tuning.without)
    if little is not None and not as_json:
        note(little)


def _print(tuning: Tuning) -> None:
    """Print the curve and what gamma* means; gammas are the file's, amounts in its currency."""
    gamma_star = None if tuning.best is None else tuning.best.game.incentive_intensity
    unit = unit_of(tuning.without.game)
    tuning = tuning.in_currency()
    without, best = tuning.without, tuning.best
    say(
        f"{without.game.title}: welfare against gamma, method {without.method}"
        f"{amounts_in(without.game)}\n"
    )
    step = max(1, (len(tuning.curve) - 1) // CURVE_ROWS)
    shown = {*tuning.curve[::step], tuning.curve[-1]}
    if best is not None:
        gamma = best.game.incentive_intensity
        shown |= {point for point in tuning.curve if point.incentive_intensity == gamma}
    print_table(
        ["gamma", "social welfare", "sum of d", "performance", "damage", "rational", "over alone"],
        [
            [
                f"{point.incentive_intensity / unit:.6g}",
                f"{point.social_welfare:,.3f}",
                f"{point.total_data_fraction:.4f}",
                f"{point.performance:.6f}",
                f"{point.damage:,.3f}",
                yes_no(point.individually_rational),
                yes_no(point.better_than_alone),
            ]
            for point in sorted(shown, key=lambda point: point.incentive_intensity)
        ],
    )
    largest = tuning.largest_individually_rational
    rational_to = "none" if largest is None else f"{largest / unit:.6g}"
    if largest == float("inf"):
        rational_to = "all that were tried"
    if best is None or tuning.gain is None:
        print_facts([("largest individually rational gamma", rational_to)])
        return
    digits = decimals(best.payoffs)
    rows = zip(
        *(without.payoffs, best.payoffs, tuning.gain, best.alone, best.gain_over_alone),
        strict=True,
    )
    losers = tuning.gain < -1e-12 * abs(without.payoffs)  # more than rounding
    print_table(
        [
            *("organization", "payoff at gamma = 0", "payoff at gamma*", "gain"),
            *("alone", "gain over alone"),
        ],
        [
            [best.game.name_of(i), *(money(float(amount), digits) for amount in row)]
            for i, row in enumerate(rows)
        ],
    )
    print_facts(
        [
            ("gamma*", f"{gamma_star:.6g}"),
            ("social welfare", f"{best.social_welfare:,.3f}"),
            ("  at gamma = 0", f"{without.social_welfare:,.3f}"),
            ("who loses against gamma = 0", f"{int(losers.sum())}"),
            ("individually rational", yes_no(best.certificate.individually_rational)),
            ("better than alone", better_than_alone(best)),
            ("largest individually rational gamma", rational_to),
            ("gammas tried", f"{len(tuning.curve):,}"),
        ]
    )
