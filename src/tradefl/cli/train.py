"""``tradefl train``: federated averaging with the contributions that were pledged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from tradefl.cli.attest import signed
from tradefl.cli.declaring import Option
from tradefl.cli.interrupting import interruptible
from tradefl.cli.options import (
    ContractAddress,
    File,
    Json,
    Keystore,
    Nodes,
    OneOf,
    PasswordFile,
)
from tradefl.cli.output import (
    answer,
    note,
    print_facts,
    print_json,
    print_table,
    require_distinct,
    require_writable,
    say,
    warn,
    write_json,
)
from tradefl.cli.training_options import PledgedTrainingOptions
from tradefl.consortium import load
from tradefl.errors import InputError
from tradefl.solvers import DEFAULT_METHOD, METHODS

if TYPE_CHECKING:
    from tradefl.federation import Entry, Training
    from tradefl.federation.training import RoundReport


def train(
    file: File,
    options: PledgedTrainingOptions,
    scheme: Annotated[
        str,
        Option(
            "--scheme",
            "-m",
            help="Whose contributions are pledged: the solver.",
            type=OneOf(METHODS),
        ),
    ] = DEFAULT_METHOD,
    as_json: Json = False,
    output: Annotated[
        Path | None,
        Option("--output", "-o", help="Write the JSON document here, for tradefl settle."),
    ] = None,
    attestations: Annotated[
        Path | None,
        Option(
            "--attestations",
            help="Sign the measured contributions, as the verifier, into this file; needs -o, "
            "--keystore, --contract and --rpc.",
        ),
    ] = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    contract: ContractAddress = None,
    rpc: Nodes = None,
) -> None:
    """Train one model on everybody's pledged data, and measure who contributed what.

    Example: tradefl train examples/drug_discovery.toml --rounds 10 -o training.json
    Example: tradefl train examples/paper.toml --data fashion-mnist --data-dir data --model cnn
    """
    from tradefl.federation import train as federated

    checkpoint = options.checkpoint
    for path in (output, checkpoint, attestations):
        if path is not None:
            require_writable(path)
    if checkpoint is None and output is not None:
        checkpoint = output.with_suffix(".checkpoint")
    require_distinct(
        {
            "FILE": file,
            "--output": output,
            "--checkpoint": checkpoint,
            "--attestations": attestations,
        }
    )
    signing = {
        "--output": output,
        "--keystore": keystore,
        "--contract": contract,
        "--rpc": rpc,
    }
    for option, value in signing.items():
        if attestations is not None and value is None:
            raise InputError.at(option, "is required with --attestations")
        if attestations is None and value is not None and option != "--output":
            raise InputError.at(option, "needs --attestations")
    plan = options.plan(file, scheme=scheme, checkpoint=checkpoint)
    kept = "no round is kept: -o or --checkpoint keeps them"
    with interruptible(lambda: options.kept(checkpoint, kept)):
        training = federated(plan, backend=options.runtime, ray=options.ray or "", watch=show_round)
    for text in training.notices:
        note(text)
    document = training.to_dict()
    if output is not None:
        write_json(document, output, private=True)
    if attestations is not None and output is not None:
        signatures = signed(
            load(file),
            output,
            keystore=keystore,
            password_file=password_file,
            contract=contract,
            rpc=rpc,
        )
        write_json(signatures, attestations)
    if as_json:
        print_json(document)
    else:
        print_training(training)
    if not require_converged(training):  # which says why, on the last line
        raise click.exceptions.Exit(1)


def show_round(report: RoundReport) -> None:
    """Print a line on stderr for a round that is done."""
    if report.number == 0:
        text = f"before training: accuracy {report.accuracy:.4f}, loss {report.loss:.4g}"
    else:
        text = (
            f"round {report.number}/{report.rounds}: accuracy {report.accuracy:.4f}, "
            f"loss {report.loss:.4g}, {report.present} of {report.organizations} organizations"
        )
    warn(f"{text}; rolled back: {report.note}" if report.note else text)


def require_converged(training: Training) -> bool:
    """Tell whether the model is worth something; say so if it is not."""
    if training.diverged:
        answer(f"the training diverged: {training.diverged}")
    return not training.diverged


def _outcome(entry: Entry) -> str:
    """Return what became of an update, and what the server thinks of it."""
    return f"{entry.outcome}, {entry.verdict}" if entry.verdict else entry.outcome


def print_training(training: Training) -> None:
    """Print the accuracy of every round, and what everybody contributed."""
    plan, measured = training.plan, training.ledger.measured()
    say(f"{training.consortium.name}: {plan.model} on {plan.data}, pledges by {plan.scheme}\n")
    entries = training.ledger.of_round
    rows: list[list[Any]] = []
    for number, (accuracy, loss) in enumerate(zip(training.accuracy, training.loss, strict=True)):
        present = [entry for entry in entries(number) if entry.outcome == "aggregated"]
        samples = sum(organization.samples_used for organization in present)
        who = f"{len(present)} of {len(measured)}"
        rows.append(
            [
                str(number),
                f"{accuracy:.4f}",
                f"{loss:.4f}",
                who if number else "",
                f"{samples:,}" if number else "",
            ]
        )
    print_table(["round", "accuracy", "loss", "organizations", "samples"], rows, limit=100)
    print_table(
        [
            "organization",
            "held",
            "used",
            "pledged d",
            "measured d",
            "CPU GHz",
            "weight",
            "rounds",
            "seconds",
        ],
        [
            [
                organization.name,
                f"{organization.samples_held:,}",
                f"{organization.samples_used:,}",
                f"{organization.pledged_fraction:.6f}",
                f"{organization.measured_fraction:.6f}",
                f"{organization.cpu_hz / 1e9:.4g}",
                "none" if organization.weight is None else f"{organization.weight:.6f}",
                f"{organization.rounds_present}/{organization.rounds_asked}",
                f"{organization.seconds:.3g}",
            ]
            for organization in measured
        ],
        footer=[
            "sum",
            f"{sum(organization.samples_held for organization in measured):,}",
            f"{sum(organization.samples_used for organization in measured):,}",
            "",
            "",
            "",
            f"{sum(organization.weight or 0.0 for organization in measured):.6f}"
            if training.ledger.weighted
            else "",
            "",
            f"{sum(organization.seconds for organization in measured):.3g}",
        ],
    )
    incidents = training.ledger.incidents
    if incidents:
        print_table(
            ["round", "organization", "outcome", "what happened"],
            [
                [str(incident.round), incident.organization, _outcome(incident), incident.story]
                for incident in incidents
            ],
            left=(1, 2, 3),
        )
    rounds = len(training.accuracy) - 1
    print_facts(
        [
            ("accuracy", f"{training.accuracy[-1]:.4f} after {rounds} round{'s' * (rounds != 1)}"),
            ("runtime", f"{training.runtime_seconds:.3g} s"),
        ]
    )
