"""The command line: one command a file; parse, call, print."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import click

from tradefl._version import __version__
from tradefl.cli.command import Commands
from tradefl.cli.terminal import terminal_width, wrapped
from tradefl.errors import MOST_CHARACTERS, InputError
from tradefl.foreign import hidden_secrets
from tradefl.text import printable

# In the order of the help. The module of each has the function of its name.
COMMANDS = (
    *("init", "elicit", "check", "solve", "explain", "tune", "design", "compare"),
    *("stability", "replan", "incentives", "sensitivity", "fit_accuracy", "train"),
    *("agreement", "attest", "settle", "dispute", "rule", "consent", "audit"),
    *("run", "node", "negotiate", "reproduce", "report", "dashboard"),
)
INTERRUPTED = 130  # what a shell reports of a program that SIGINT ended
SHELLS = ("bash", "zsh", "fish")


def _print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"tradefl {__version__}")
        context.exit()


def _print_completion(context: click.Context, _option: click.Parameter, shell: str | None) -> None:
    if shell is None:
        return
    from click.shell_completion import get_completion_class

    completion = get_completion_class(shell)
    if completion is not None:
        click.echo(completion(app, {}, "tradefl", "_TRADEFL_COMPLETE").source())
    context.exit()


app = Commands(
    COMMANDS,
    name="tradefl",
    help="A trading mechanism for cross-silo federated learning between rivals.",
    context_settings={"help_option_names": ["--help", "-h"]},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version.",
        ),
        click.Option(
            ["--show-completion"],
            type=click.Choice(SHELLS),
            is_eager=True,
            expose_value=False,
            callback=_print_completion,
            help="Print a script that completes commands and options in this shell.",
        ),
    ],
)


def main() -> None:
    """Run the command line; bad input ends with exit code 2 and a message that names it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        _require_folder()
        sys.exit(_run(sys.argv[1:]))
    except InputError as error:
        for line in error.lines():
            _complain(f"error: {line}")
        sys.exit(2)
    except KeyboardInterrupt:  # before a command runs, or after it
        sys.exit(INTERRUPTED)


def _run(arguments: list[str]) -> int:
    """Run a command and return its exit code; wrong usage is explained on stderr."""
    if not arguments:
        with click.Context(app, info_name="tradefl", **app.context_settings) as context:
            click.echo(context.get_help(), err=True)
        return 2
    try:
        code: Any = app.main(arguments, prog_name="tradefl", standalone_mode=False)
    except click.UsageError as error:
        if error.ctx is not None:
            _tell(error.ctx.get_usage() + "\n")
            _tell(f"Try '{error.ctx.command_path} --help' for help.\n\n")
        _complain(f"Error: {_refusal(error)}")
        return error.exit_code
    except click.ClickException as error:
        _complain(f"Error: {_refusal(error)}")
        return error.exit_code
    except click.Abort as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            return INTERRUPTED
        _tell("Aborted.\n")
        return 1
    return code if isinstance(code, int) else 0


def _complain(text: str) -> None:
    _tell(wrapped(text, terminal_width(sys.stderr)) + "\n")


def _tell(text: str) -> None:
    if sys.stderr is not None:  # 2>&- closes it; the exit code still tells
        sys.stderr.write(text)


def _refusal(error: click.ClickException) -> str:
    """Return an error of usage in one line.

    It quotes arguments, which may be anything; the address of a node keeps its secrets there, too.
    """
    return printable(hidden_secrets(error.format_message()), MOST_CHARACTERS)


def _require_folder() -> None:
    try:
        Path.cwd()
    except OSError:
        what = "no longer exists; change to another one with cd, and run the command again"
        raise InputError.at("working directory", what) from None
