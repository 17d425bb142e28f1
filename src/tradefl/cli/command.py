"""What all commands share: ``--quiet``, for files ``--allow-path``, and importing late."""

from __future__ import annotations

import ast
import os
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import click

from tradefl.cli.declaring import ExplainedCommand, command_of
from tradefl.cli.flags import flags_of, with_flags
from tradefl.cli.output import be_quiet
from tradefl.consortium.reading import ALLOW_PATH
from tradefl.consortium.schema import suggestion
from tradefl.errors import InputError


class Command(ExplainedCommand):
    """A command with ``--quiet``; one that reads a consortium file has ``--allow-path`` too."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.name != "init" and any(parameter.name == "file" for parameter in self.params):
            self.params.append(
                click.Option(
                    ["--allow-path"],
                    multiple=True,
                    type=click.Path(path_type=Path),
                    metavar="DIRECTORY",
                    expose_value=False,
                    callback=_allow,
                    help="Let FILE name tables in this folder too; may be given again.",
                )
            )
        self.params.append(
            click.Option(
                ["--quiet", "-q"],
                is_flag=True,
                expose_value=False,
                callback=_heed,
                help="Only the result and errors: no progress, no notes.",
            )
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; parameters that errors of the library name become flags."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            raise with_flags(error, flags_of(self.params)) from error


class Commands(click.Group):
    """The commands by name; the module of a command is imported when the command is used.

    Parameters
    ----------
    homes
        The module of every command in :mod:`tradefl.cli`; its function has the module's name.
    """

    def __init__(self, homes: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self.homes = {home.replace("_", "-"): home for home in homes}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names, in the order of the help."""
        return list(self.homes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now, or None where there is no such name."""
        home = self.homes.get(cmd_name)
        if home is None:
            return None
        if cmd_name not in self.commands:
            function = getattr(import_module(f"tradefl.cli.{home}"), home)
            self.add_command(command_of(function, Command), cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command and its arguments, or fail with the name that was perhaps meant."""
        if args and not args[0].startswith("-") and args[0] not in self.homes:
            ctx.fail(f"No such command {args[0]!r}.{suggestion(args[0], list(self.homes))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with the whole first paragraph of its help."""
        rows = [(name, _summary(self.homes[name])) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _summary(home: str) -> str:
    """Return the first paragraph of a command's docstring without importing its module.

    Importing all of them takes twice as long as all the rest of ``tradefl --help``.
    """
    source = resources.files("tradefl.cli").joinpath(f"{home}.py").read_text(encoding="utf-8")
    for found in ast.parse(source).body:
        if isinstance(found, ast.FunctionDef) and found.name == home:
            return " ".join((ast.get_docstring(found) or "").split("\n\n")[0].split())
    raise LookupError(f"tradefl.cli.{home} has no function {home!r}")


def _heed(_context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    be_quiet(wanted)


def _allow(context: click.Context, _option: click.Parameter, folders: tuple[Path, ...]) -> None:
    """Allow the folders until the command ends, in the processes that it starts too."""
    if not folders:
        return
    for folder in folders:
        if not folder.is_dir():
            raise InputError.at("--allow-path", f"{folder} is not a folder; name one that exists")
        if os.pathsep in str(folder.resolve()):
            what = f"{folder} has {os.pathsep!r} in its name, which separates folders; rename it"
            raise InputError.at("--allow-path", what)
    before = os.environ.get(ALLOW_PATH)
    named = [str(folder.resolve()) for folder in folders]
    os.environ[ALLOW_PATH] = os.pathsep.join([*named, *([before] if before else [])])

    def forget() -> None:
        if before is None:
            os.environ.pop(ALLOW_PATH, None)
        else:
            os.environ[ALLOW_PATH] = before

    context.call_on_close(forget)
