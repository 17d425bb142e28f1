"""``tradefl solve``: contributions, payoffs, certificate."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated

import click
import typer

from tradefl.cli.options import File, Json, Method
from tradefl.cli.output import (
    TABLE_ROWS,
    note,
    print_facts,
    print_json,
    print_table,
    progress,
    say,
    write_json,
    yes_no,
)
from tradefl.consortium import load
from tradefl.consortium.files import atomic_write
from tradefl.errors import InputError
from tradefl.solvers import DEFAULT_METHOD, Solution
from tradefl.solvers import solve as solve_game
from tradefl.statement import decimals


def _open_unit_interval(value: float) -> float:
    if not 0.0 < value < 1.0:  # click's own range lets NaN pass
        raise typer.BadParameter(f"{value} is not in the range 0<x<1.")
    return value


def solve(
    file: File,
    method: Method = DEFAULT_METHOD,
    as_json: Json = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the JSON document here too.")
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option("--trace", help="Write every single move as CSV: who, d, f, U, payoffs."),
    ] = None,
    order: Annotated[
        str,
        typer.Option(
            "--order",
            help="Who moves when: in the file's order, or in a random one each round.",
            click_type=click.Choice(["given", "random"]),
        ),
    ] = "given",
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Seed of random orders.")
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            callback=_open_unit_interval,
            help="The relative change below which a move does not count.",
        ),
    ] = 1e-12,
    max_moves: Annotated[
        int | None,
        typer.Option("--max-moves", min=0, help="Give up after so many single moves."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 unless individually rational.")
    ] = False,
) -> None:
    """Compute the equilibrium: contributions, payoffs, transfers, and the proof.

    Example: tradefl solve examples/drug_discovery.toml --method dbr --json
    """
    with progress(f"solving {file}"):
        consortium = load(file)
        solution = solve_game(
            consortium,
            method,
            order=order,
            seed=seed,
            tolerance=tolerance,
            max_moves=max_moves,
            trace=True if trace is not None else None,
        )
    if consortium.competition_factor != 1.0:
        note(f"competition.rescale multiplied rho by {consortium.competition_factor:.6g}")
    if trace is not None:
        atomic_write(trace, trace_csv(solution))
    document = solution.to_dict() if as_json or output is not None else None
    if output is not None:
        write_json(document, output)
    if as_json:
        print_json(document)
    else:
        print_solution(solution)
    if solution.status == "iteration_limit":
        note(f"no equilibrium within {solution.iterations:,} moves; --max-moves allows more")
        raise typer.Exit(1)
    if strict and not solution.certificate.individually_rational:
        note("not individually rational: some payoff is negative")
        raise typer.Exit(1)


def print_solution(solution: Solution) -> None:
    """Print the contributions and payoffs as a table, and the certificate in words."""
    game, terms, certificate = solution.game, solution.terms, solution.certificate
    columns = [
        solution.profile.data_fraction,
        solution.profile.cpu_hz / 1e9,
        terms.revenue,
        terms.overhead,
        terms.damage,
        terms.redistribution,
        terms.payoff,
        certificate.regret,
    ]
    digits = min(decimals(terms.payoff) - 3, 8)
    formats = [".6f", ".4g", *[f",.{digits}f"] * 5, ".3g"]

    def cells(values: list[float]) -> list[str]:
        return [format(value, how) for value, how in zip(values, formats, strict=True)]

    say(f"{game.title}: {game.size:,} organizations, method {solution.method}\n")
    totals = cells([float(column.sum()) for column in columns])
    totals[1], totals[-1] = "", f"{certificate.max_regret:.3g}"
    print_table(
        [
            "organization",
            "data d",
            "CPU GHz",
            "revenue",
            "overhead",
            "damage",
            "redistribution",
            "payoff",
            "regret",
        ],
        [
            [game.name_of(i), *cells([float(column[i]) for column in columns])]
            for i in range(min(game.size, TABLE_ROWS))
        ],
        footer=["sum (regret: max)", *totals],
        total=game.size,
    )
    bound = "none proven" if solution.upper_bound is None else f"{solution.upper_bound:.12g}"
    print_facts(
        [
            ("status", solution.status),
            ("max regret", f"{certificate.max_regret:.3g}: nobody gains more by deviating alone"),
            ("potential U", f"{solution.potential:.12g} (upper bound: {bound})"),
            ("performance P", f"{terms.performance:.12g}"),
            ("social welfare", f"{terms.social_welfare:,.{digits}f}"),
            ("budget imbalance", f"{certificate.budget_imbalance:.3g}"),
            ("individually rational", yes_no(certificate.individually_rational)),
            ("iterations", f"{solution.iterations:,} in {solution.runtime_seconds:.3g} s"),
        ]
    )


def trace_csv(solution: Solution) -> bytes:
    """Return the moves as CSV: one row before the first move and one after each."""
    trace, game = solution.trace, solution.game
    if trace is None:
        raise InputError.at("--trace", f"method {solution.method} makes no single moves")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [game.name_of(i) for i in range(game.size)]
    writer.writerow(
        ["move", "organization", "data_fraction", "cpu_hz", "potential"]
        + [f"payoff {name}" for name in names]
    )
    moves = [
        ("", "", ""),
        *zip(
            (names[i] for i in trace.organization),
            trace.data_fraction.tolist(),
            trace.cpu_hz.tolist(),
            strict=True,
        ),
    ]
    for k, (move, u, payoff) in enumerate(
        zip(moves, trace.potential.tolist(), trace.payoffs(game).tolist(), strict=True)
    ):
        writer.writerow([k, *move, u, *payoff])
    return text.getvalue().encode()
