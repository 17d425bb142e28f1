"""What every command has besides its own options: ``--quiet``."""

from __future__ import annotations

from typing import Any

import click
from typer.core import TyperCommand

from tradefl.cli.output import be_quiet


class Command(TyperCommand):
    """A command with ``--quiet``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
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
