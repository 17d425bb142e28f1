"""The command line: one command a file; parse, call, print."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from tradefl._version import __version__
from tradefl.cli.agreement import agreement
from tradefl.cli.attest import attest
from tradefl.cli.audit import audit
from tradefl.cli.check import check
from tradefl.cli.command import Command
from tradefl.cli.compare import compare
from tradefl.cli.consent import consent
from tradefl.cli.dashboard import dashboard
from tradefl.cli.design import design
from tradefl.cli.dispute import dispute
from tradefl.cli.explain import explain
from tradefl.cli.fit_accuracy import fit_accuracy
from tradefl.cli.init import init
from tradefl.cli.negotiate import negotiate
from tradefl.cli.node import node
from tradefl.cli.report import report
from tradefl.cli.reproduce import reproduce
from tradefl.cli.rule import rule
from tradefl.cli.run import run
from tradefl.cli.settle import settle
from tradefl.cli.solve import solve
from tradefl.cli.train import train
from tradefl.cli.tune import tune
from tradefl.errors import InputError, Problem

app = typer.Typer(
    name="tradefl",
    help="A trading mechanism for cross-silo federated learning between rivals.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
)
for command in (
    *(init, check, solve, explain, tune, design, compare, fit_accuracy, train),
    *(
        agreement,
        attest,
        settle,
        dispute,
        rule,
        consent,
        audit,
        run,
        node,
        negotiate,
        reproduce,
        report,
        dashboard,
    ),
):
    app.command(cls=Command)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tradefl {__version__}")
        raise typer.Exit


# Errors of the library name its parameters: as their place, or quoted in their message.
FLAGS = {
    name: "--" + name.replace("_", "-")
    for name in ("rpc", "state", "max_fee", "max_priority_fee", "max_total_fee")
}


QUOTED = {"`allow`": "--allow-path"}


def _with_flags(error: InputError) -> InputError:
    """Return an error that names the flags of the command line instead of parameters."""
    return InputError(
        Problem(FLAGS.get(problem.place, problem.place), _quoted(problem.message))
        for problem in error.problems
    )


def _quoted(message: str) -> str:
    for parameter, flag in QUOTED.items():
        message = message.replace(parameter, flag)
    return message


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Compute what rivals contribute to a shared model, and who compensates whom."""


def main() -> None:
    """Run the command line; bad input ends with exit code 2 and a message that names it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        _require_folder()
        app(prog_name="tradefl")
    except InputError as error:
        for line in _with_flags(error).lines():
            sys.stderr.write(f"error: {line}\n")
        sys.exit(2)


def _require_folder() -> None:
    try:
        Path.cwd()
    except OSError:
        what = "no longer exists; change to another one with cd, and run the command again"
        raise InputError.at("working directory", what) from None
