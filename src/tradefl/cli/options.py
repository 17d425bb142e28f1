"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import click
import typer

from tradefl.solvers import METHODS

File = Annotated[Path, typer.Argument(help="The consortium file (TOML).", show_default=False)]
Method = Annotated[
    str,
    typer.Option("--method", "-m", help="The solver.", click_type=click.Choice(METHODS)),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
