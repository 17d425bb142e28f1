"""What every command has besides its own options: ``--quiet``, and for files ``--allow-path``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from typer.core import TyperCommand

from tradefl.cli.output import be_quiet
from tradefl.consortium.reading import ALLOW_PATH
from tradefl.errors import InputError


class Command(TyperCommand):
    """A command with ``--quiet``; one that reads a consortium file has ``--allow-path`` too."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.name != "init" and any(one.name == "file" for one in self.params):
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
