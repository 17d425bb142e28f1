"""``tradefl solve``: contributions, payoffs, certificate."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated, Any

import click

from tradefl.cli.declaring import Option
from tradefl.cli.options import File, Json, Method, OneOf
from tradefl.cli.output import (
    TABLE_ROWS,
    amounts_in,
    answer,
    note,
    print_facts,
    print_json,
    print_table,
    progress,
    say,
    shown_digits,
    write_json,
    yes_no,
)
from tradefl.consortium import Consortium, load
from tradefl.consortium.files import atomic_write
from tradefl.errors import InputError, Problem
from tradefl.foreign import spreadsheet_cell
from tradefl.solvers import DEFAULT_METHOD, BoundTrace, Solution, options_of
from tradefl.solvers import solve as solve_game
from tradefl.solvers.cautions import cautions
from tradefl.statement import money


def _open_unit_interval(value: float | None) -> float | None:
    if value is not None and not 0.0 < value < 1.0:  # click's own range lets NaN pass
        raise click.BadParameter(f"{value} is not in the range 0<x<1.")
    return value


def solve(
    file: File,
    method: Method = DEFAULT_METHOD,
    as_json: Json = False,
    output: Annotated[
        Path | None, Option("--output", "-o", help="Write the JSON document here too.")
    ] = None,
    trace: Annotated[
        Path | None,
        Option("--trace", help="Write the trace as CSV: every move, or LB and UB on -U."),
    ] = None,
    order: Annotated[
        str | None,
        Option(
            "--order",
            help="dbr, wpr: who moves when; given (the file's order) or random in each round.",
            type=OneOf(["given", "random"]),
        ),
    ] = None,
    seed: Annotated[
        int | None, Option("--seed", min=0, help="dbr, wpr: seed of random orders.")
    ] = None,
    tolerance: Annotated[
        float | None,
        Option(
            "--tolerance",
            callback=_open_unit_interval,
            help="exact, planner: the relative gap to prove; dynamics: the change that counts as "
            "a move.",
        ),
    ] = None,
    max_moves: Annotated[
        int | None,
        Option("--max-moves", min=0, help="dbr, wpr, fip, gca: the most single moves."),
    ] = None,
    node_limit: Annotated[
        int | None, Option("--node-limit", min=1, help="exact: the most search nodes.")
    ] = None,
    master: Annotated[
        str | None,
        Option(
            "--master",
            help="cgbd: milp (HiGHS) or traversal (the paper's enumeration).",
            type=OneOf(["milp", "traversal"]),
        ),
    ] = None,
    epsilon: Annotated[
        float | None,
        Option("--epsilon", callback=_open_unit_interval, help="cgbd: the gap UB - LB to reach."),
    ] = None,
    max_iterations: Annotated[
        int | None,
        Option("--max-iterations", min=1, help="cgbd, planner: the most iterations."),
    ] = None,
    time_limit: Annotated[
        float | None,
        Option(
            "--time-limit",
            type=click.FloatRange(0.0, 1e9, min_open=True),
            help="exact, planner: seconds after which it stops with the bound it has.",
        ),
    ] = None,
    step: Annotated[
        float | None,
        Option(
            "--step",
            type=click.FloatRange(0.0, 1.0, min_open=True),
            help="fip: the grid's step e.",
        ),
    ] = None,
    greedy_hz: Annotated[
        float | None,
        Option(
            "--greedy-hz",
            type=click.FloatRange(0.0, min_open=True),
            help="gca: k, Hz for all the data; default each one's fastest level.",
        ),
    ] = None,
    strict: Annotated[
        bool, Option("--strict", help="Exit 1 unless individually rational.")
    ] = False,
) -> None:
    """Compute the equilibrium: contributions, payoffs, transfers, and the proof.

    Example: tradefl solve examples/drug_discovery.toml --method dbr --json
    """
    given = {
        "order": order,
        "seed": seed,
        "tolerance": tolerance,
        "max_moves": max_moves,
        "node_limit": node_limit,
        "master": master,
        "epsilon": epsilon,
        "max_iterations": max_iterations,
        "time_limit": time_limit,
        "step": step,
        "greedy_hz": greedy_hz,
        "trace": True if trace is not None and "trace" in options_of(method) else None,
    }
    with progress(f"solving {file}"):
        consortium = load(file)
        solution = solved(consortium, method, given)
    if consortium.competition_factor != 1.0:
        note(f"competition.rescale multiplied rho by {consortium.competition_factor:.6g}")
    for remark in (*solution.remarks, *(() if as_json else cautions(solution))):
        note(remark)
    if trace is not None:
        atomic_write(trace, trace_csv(solution), private=True)
    document = solution.to_dict() if as_json or output is not None else None
    if output is not None:
        write_json(document, output, private=True)
    if as_json:
        print_json(document)
    else:
        print_solution(solution)
    if solution.status == "iteration_limit":
        unit = "iterations" if isinstance(solution.trace, BoundTrace) else "moves"
        answer(f"no equilibrium within {solution.iterations:,} {unit}; a higher limit may help")
        raise click.exceptions.Exit(1)
    if strict and not solution.certificate.individually_rational:
        answer("not individually rational: some payoff is negative")
        raise click.exceptions.Exit(1)


def solved(consortium: Consortium, method: str, given: dict[str, Any]) -> Solution:
    """Solve with the options that were given; ``None`` is not given.

    Raises
    ------
    InputError
        The method has no such option, or cannot take this value for this consortium.
    """
    options = {name: value for name, value in given.items() if value is not None}
    unknown = [name for name in options if name not in options_of(method)]
    if unknown:
        raise InputError(
            Problem(_option(name), f"is not an option of method {method}") for name in unknown
        )
    # The game is valid by now, so what a solver refuses is an option.
    try:
        return solve_game(consortium, method, **options)
    except ValueError as error:
        name, _, what = str(error).partition(": ")
        raise InputError.at(_option(name), what) from None


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def print_solution(solution: Solution) -> None:
    """Print the contributions and payoffs as a table, and the certificate in words."""
    solution = solution.in_currency()
    game, terms, certificate = solution.game, solution.terms, solution.certificate
    columns = [
        solution.profile.data_fraction,
        solution.profile.cpu_hz / 1e9,
        terms.revenue,
        terms.overhead,
        terms.damage,
        terms.redistribution,
        terms.payoff,
        solution.gain_over_alone,
        certificate.regret,
    ]
    digits = shown_digits(terms.payoff, game)

    def cells(values: list[float]) -> list[str]:
        d, ghz, *amounts, regret = values
        return [f"{d:.6f}", f"{ghz:.4g}", *(money(a, digits) for a in amounts), f"{regret:.3g}"]

    rule = "" if game.compensation is None else f", {game.rule.name} rule"
    say(
        f"{game.title}: {game.size:,} organizations, method {solution.method}{rule}"
        f"{amounts_in(game)}\n"
    )
    sums, payee = [float(column.sum()) for column in columns], []
    if game.rule.payee is not None:
        left = float(terms.paid_out)
        sums[5], sums[6] = sums[5] + left, sums[6] + left
        paid = money(left, digits)
        payee = [[game.rule.payee, *[""] * 5, paid, paid, "", "", "the payee"]]
    totals = cells(sums)
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
            "over alone",
            "regret",
            "what binds",
        ],
        [
            [game.name_of(i), *cells([float(column[i]) for column in columns]), solution.binds[i]]
            for i in range(min(game.size, TABLE_ROWS))
        ]
        + payee,
        footer=["sum (regret: max)", *totals, ""],
        total=game.size + len(payee),
    )
    bound = "none proven"
    if solution.upper_bound is not None:
        gap = solution.upper_bound - solution.potential
        bound = f"{solution.upper_bound:.12g}, gap {gap:.3g}"
    welfare = ""
    if solution.welfare_bound is not None:
        gap = solution.welfare_bound - solution.social_welfare
        welfare = f" (upper bound: {solution.welfare_bound:,.{digits}f}, gap {gap:.3g})"
    print_facts(
        [
            ("status", solution.status),
            (
                "max regret",
                f"{certificate.max_regret:.3g} is the most that deviating alone gains",
            ),
            ("potential U", f"{solution.potential:.12g} (upper bound: {bound})"),
            ("performance P", f"{terms.performance:.12g}"),
            ("social welfare", f"{terms.social_welfare:,.{digits}f}{welfare}"),
            ("budget imbalance", f"{certificate.budget_imbalance:.3g}"),
            ("individually rational", yes_no(certificate.individually_rational)),
            ("better than alone", better_than_alone(solution)),
            ("iterations", f"{solution.iterations:,} in {solution.runtime_seconds:.3g} s"),
        ]
    )


def better_than_alone(solution: Solution) -> str:
    """Return whether anybody would earn more by training alone, and who, in words."""
    below = solution.below_alone
    if not below.size:
        return "yes: everybody earns at least what it would by training alone"
    names = [solution.game.name_of(int(i)) for i in below[:5]]
    more = f" and {below.size - 5:,} more" if below.size > 5 else ""
    return f"no: {', '.join(names)}{more} would earn more by training alone"


def trace_csv(solution: Solution) -> bytes:
    """Return the trace as CSV: the bounds, or a row before the first move and one after each."""
    trace, game = solution.trace, solution.game
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if isinstance(trace, BoundTrace):
        writer.writerow(["iteration", "lower_bound", "upper_bound"])
        rows = zip(trace.lower.tolist(), trace.upper.tolist(), strict=True)
        writer.writerows([k, *row] for k, row in enumerate(rows, 1))
        return text.getvalue().encode()
    if trace is None:
        raise InputError.at("--trace", f"method {solution.method} keeps no trace")
    names = [game.name_of(i) for i in range(game.size)]
    writer.writerow(
        ["move", "organization", "data_fraction", "cpu_hz", "potential"]
        + [f"payoff {name}" for name in names]
    )
    moves = [
        ("", "", ""),
        *zip(
            (spreadsheet_cell(names[i]) for i in trace.organization),
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
