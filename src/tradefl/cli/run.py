"""``tradefl run``: the whole way, from the consortium to the audited settlement and its report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from tradefl.cli.declaring import Option
from tradefl.cli.explain import print_statements
from tradefl.cli.interrupting import interruptible
from tradefl.cli.options import File, Json, Method, NoTune
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
    yes_no,
)
from tradefl.cli.settle import print_settlement, progress_text
from tradefl.cli.solve import better_than_alone, print_solution
from tradefl.cli.train import print_training, require_converged, show_round
from tradefl.cli.training_options import PledgedTrainingOptions
from tradefl.consortium import load
from tradefl.errors import InputError, MissingExtraError
from tradefl.solvers import DEFAULT_METHOD, Solution
from tradefl.statement import money
from tradefl.tuning import tune

REPORT = "report.html"

if TYPE_CHECKING:
    from tradefl.pipeline import Run


def run(
    file: File,
    options: PledgedTrainingOptions,
    method: Method = DEFAULT_METHOD,
    no_tune: NoTune = False,
    as_json: Json = False,
    output: Annotated[
        Path | None,
        Option(
            "--output",
            "-o",
            help="A folder for solution.json, training.json, settlement.json and report.html; made "
            "if need be.",
        ),
    ] = None,
) -> None:
    """Solve, train, settle what was measured on an embedded chain, audit it, and report.

    Example: tradefl run examples/drug_discovery.toml -o results
    """
    import tradefl.federation  # noqa: F401  says what to install where it is missing
    from tradefl.settlement.ethereum import settlement_extra

    with settlement_extra("tradefl run"):
        from tradefl.pipeline import run as run_all
        from tradefl.settlement.profile import settled_solution

    reporting = output is not None and _require_folder(output)
    consortium = load(file)
    plan = options.plan(file, scheme=method)
    if options.checkpoint is not None:
        require_writable(options.checkpoint)
        require_distinct({"FILE": file, "--checkpoint": options.checkpoint})
    kept = "nothing is written; start again (--checkpoint keeps the rounds)"
    with (
        interruptible(lambda: options.kept(options.checkpoint, kept)),
        contextlib.ExitStack() as display,
    ):
        showing: list[Callable[[str], None]] = []

        def stage(name: str) -> None:
            display.close()  # rounds print lines of their own
            if name != "training":
                what = f"{name} {file}" if name == "solving" else name
                showing[:] = [display.enter_context(status(what))]

        done = run_all(
            consortium,
            plan,
            method=method,
            backend=options.runtime,
            ray=options.ray or "",
            stage=stage,
            watch_round=show_round,
            watch_step=lambda step: showing[0](progress_text(step)),
        )
    solution, training, settled = done.solution, done.training, done.settlement
    # Nobody pays for a model that is worth nothing before the partners have looked at it.
    if not require_converged(training) or settled is None:
        raise click.exceptions.Exit(1)
    document = done.to_dict()
    for text in done.notes:
        note(text)
    if output is not None:
        done.write(output)
        if reporting:
            _write_report(output, done, None if no_tune else method)
    if as_json:
        print_json(document)
    else:
        print_solution(solution)
        say()
        print_training(training)
        say()
        print_statements(consortium, settled_solution(consortium, training), [0])
        say()
        print_settlement(settled.settlement, document["settlement"], settled.audit)
        say()
        _print_summary(solution, document)
    if output is not None and reporting:
        note(f"wrote {output / REPORT}")
    if not done.agrees:
        raise click.exceptions.Exit(1)


def _require_folder(path: Path) -> bool:
    """Refuse a place that cannot be a folder; return whether a report can be drawn."""
    if path.exists() and not path.is_dir():
        raise InputError.at(path, "expected a folder")
    if not path.exists():
        require_writable(path)
    try:
        import tradefl.report  # noqa: F401
    except MissingExtraError as error:
        note(f"no {path / REPORT}: {error}")
        return False
    return True


def _write_report(folder: Path, done: Run, tuned_by: str | None) -> None:
    """Write what ``tradefl report`` draws of the documents in the folder."""
    path, tuning = folder / REPORT, None
    with status(f"drawing {path}") as show:
        if tuned_by is not None:
            show(f"tuning {done.consortium.source}; --no-tune leaves it out")
            try:
                tuning = tune(done.consortium, method=tuned_by)
            except ValueError as error:  # what was settled does not depend on it
                note(f"{path} has no curve over gamma: {error}")
        show(f"drawing {path}")
        done.write_report(folder, tuning)


def _print_summary(solution: Solution, document: dict[str, Any]) -> None:
    """Print what it has come to for each: pledged, measured, paid."""
    trained, settled = document["training"], document["settlement"]
    solution = solution.in_currency()
    digits = shown_digits(solution.payoffs, solution.game)
    say(f"Summary of {document['consortium']}{amounts_in(solution.game)}\n")
    print_table(
        ["organization", "payoff", "pledged d", "measured d", "redistribution (wei)"],
        [
            [
                organization["name"],
                money(payoff, digits),
                f"{organization['pledged_fraction']:.6f}",
                f"{organization['measured_fraction']:.6f}",
                f"{int(place['redistribution_wei']):,}",
            ]
            for organization, payoff, place in zip(
                trained["organizations"],
                solution.payoffs.tolist(),
                settled["organizations"],
                strict=True,
            )
        ],
        footer=[
            "sum",
            money(solution.social_welfare, digits),
            f"{sum(place['pledged_fraction'] for place in trained['organizations']):.6f}",
            f"{sum(place['measured_fraction'] for place in trained['organizations']):.6f}",
            f"{sum(int(place['redistribution_wei']) for place in settled['organizations']):,}",
        ],
    )
    certificate = solution.certificate
    rounds = " -> ".join(
        "diverged" if value is None else f"{value:.4f}"
        for value in (trained["initial_accuracy"], *trained["accuracy"])
    )
    print_facts(
        [
            ("equilibrium", f"{solution.status}, max regret {certificate.max_regret:.3g}"),
            ("individually rational", yes_no(certificate.individually_rational)),
            ("better than alone", better_than_alone(solution)),
            ("accuracy by round", rounds),
            ("contract", f"{settled['contract']}, {settled['phase']}"),
            ("audit", "agrees to the wei" if settled["audit"]["agrees"] else "does not agree"),
        ]
    )
