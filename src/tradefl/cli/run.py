"""``tradefl run``: the whole way, from the consortium to the audited settlement and its report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import click

from tradefl.cli.declaring import Option
from tradefl.cli.explain import print_statements, settled_solution
from tradefl.cli.options import (
    Aggregation,
    AssumedHostile,
    BatchSize,
    ClipNorm,
    Data,
    DataDir,
    Device,
    File,
    Json,
    LearningRate,
    LocalEpochs,
    Method,
    ModelName,
    NoTune,
    Rounds,
    Seed,
    Width,
    plan_of,
)
from tradefl.cli.output import (
    note,
    print_facts,
    print_json,
    print_table,
    require_writable,
    say,
    status,
    write_json,
    yes_no,
)
from tradefl.cli.settle import audited, print_settlement, progress_text
from tradefl.cli.solve import print_solution
from tradefl.cli.train import print_training, require_contributions, require_converged, show_round
from tradefl.consortium import Consortium, load
from tradefl.consortium.files import atomic_write
from tradefl.errors import InputError, MissingExtraError
from tradefl.solvers import DEFAULT_METHOD, Solution, solve
from tradefl.statement import decimals, money
from tradefl.training_document import deviations
from tradefl.tuning import tune

SCHEMA = "tradefl/run/1"
REPORT = "report.html"


def run(
    file: File,
    method: Method = DEFAULT_METHOD,
    data: Data = "digits",
    data_dir: DataDir = None,
    model: ModelName = "logistic",
    width: Width = 1.0,
    rounds: Rounds = 5,
    local_epochs: LocalEpochs = 1,
    learning_rate: LearningRate = None,
    batch_size: BatchSize = 32,
    aggregation: Aggregation = None,
    clip_norm: ClipNorm = None,
    assumed_hostile: AssumedHostile = None,
    seed: Seed = 0,
    device: Device = "cpu",
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
    from tradefl.federation import train
    from tradefl.settlement.agreement import settlement_extra

    with settlement_extra("tradefl run"):
        from tradefl.settlement.accounts import embedded
        from tradefl.settlement.profile import reports_of

    reporting = output is not None and _require_folder(output)
    consortium = load(file)
    plan = plan_of(
        consortium=file,
        scheme=method,
        data=data,
        data_dir=data_dir,
        model=model,
        width=width,
        device=device,
        rounds=rounds,
        local_epochs=local_epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        aggregation=aggregation,
        clip_norm=clip_norm,
        assumed_hostile=assumed_hostile,
        seed=seed,
    )
    for key, what in deviations(plan.agreed(consortium.training).identity(), consortium):
        raise InputError.at(f"--{key.replace('_', '-')}", what)
    with status(f"solving {file}"):
        parties = embedded(consortium)  # refuses what cannot be settled before anybody trains
        solution = solve(consortium, method)
    if solution.status in ("iteration_limit", "infeasible"):
        what = f"{method} found no equilibrium that can be settled ({solution.status})"
        raise InputError.at("--method", what)
    training = train(plan, profile=solution.profile, watch=show_round)
    # Nobody pays for a model that is worth nothing before the partners have looked at it.
    if not (require_contributions(training) and require_converged(training)):
        raise click.exceptions.Exit(1)
    trained = training.to_dict()
    with status("settling") as show:
        agreement = parties.agreement
        reports = reports_of(trained, "what training measured", agreement, list, note, consortium)
        settlement = parties.settlement(dict(zip(agreement.addresses, reports, strict=True)))
        settlement.run(operator=parties.operator, watch=lambda step: show(progress_text(step)))
        verdict, settled = audited(settlement, parties)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "consortium": consortium.name,
        "solution": solution.to_dict(),
        "training": trained,
        "settlement": settled,
    }
    for text in (*training.notices, *parties.notes, *verdict.notes):
        note(text)
    if output is not None:
        try:
            output.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError.at(output, f"cannot be made: {error.strerror}") from None
        for part in ("solution", "training", "settlement"):
            write_json(document[part], output / f"{part}.json", private=True)
        if reporting:
            _write_report(output, consortium, solution, None if no_tune else method)
    if as_json:
        print_json(document)
    else:
        print_solution(solution)
        say()
        print_training(training)
        say()
        print_statements(
            consortium, settled_solution(consortium, trained, "what training measured"), [0]
        )
        say()
        print_settlement(settlement, settled, verdict)
        say()
        _print_summary(solution, document)
    if output is not None and reporting:
        note(f"wrote {output / REPORT}")
    if not verdict.agrees:
        raise click.exceptions.Exit(1)


def _require_folder(path: Path) -> bool:
    """Refuse what is no place for a folder; return whether a report can be drawn, say if not."""
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


def _write_report(
    folder: Path, consortium: Consortium, solution: Solution, tuned_by: str | None
) -> None:
    """Write what ``tradefl report`` makes of the documents that lie in the folder."""
    from tradefl.report import read_settlement, read_training, report

    path = folder / REPORT
    tuning = None
    with status(f"drawing {path}") as show:
        if tuned_by is not None:
            show(f"tuning {consortium.source}; --no-tune leaves it out")
            try:
                tuning = tune(consortium.game, method=tuned_by)
            except ValueError as error:  # what was settled does not depend on it
                note(f"{path} has no curve over gamma: {error}")
        show(f"drawing {path}")
        page = report(
            consortium,
            solution,
            tuning=tuning,
            training=read_training(folder / "training.json", consortium),
            settlement=read_settlement(folder / "settlement.json", consortium),
        )
        atomic_write(path, page.encode(), private=True)


def _print_summary(solution: Solution, document: dict[str, Any]) -> None:
    """Print what it has come to for each: pledged, measured, paid."""
    trained, settled = document["training"], document["settlement"]
    digits = min(decimals(solution.payoffs) - 3, 8)
    say(f"Summary of {document['consortium']}\n")
    print_table(
        ["organization", "payoff", "pledged d", "measured d", "redistribution (wei)"],
        [
            [
                one["name"],
                money(payoff, digits),
                f"{one['pledged_fraction']:.6f}",
                f"{one['measured_fraction']:.6f}",
                f"{int(place['redistribution_wei']):,}",
            ]
            for one, payoff, place in zip(
                trained["organizations"],
                solution.payoffs.tolist(),
                settled["organizations"],
                strict=True,
            )
        ],
        footer=[
            "sum",
            money(solution.social_welfare, digits),
            f"{sum(one['pledged_fraction'] for one in trained['organizations']):.6f}",
            f"{sum(one['measured_fraction'] for one in trained['organizations']):.6f}",
            f"{sum(int(one['redistribution_wei']) for one in settled['organizations']):,}",
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
            ("accuracy by round", rounds),
            ("contract", f"{settled['contract']}, {settled['phase']}"),
            ("audit", "agrees to the wei" if settled["audit"]["agrees"] else "does not agree"),
        ]
    )
