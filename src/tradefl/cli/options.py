"""Arguments and options that several commands share."""

from __future__ import annotations

import re
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
Rpc = Annotated[
    str | None,
    typer.Option("--rpc", help="An Ethereum JSON-RPC node: http(s)://..., or an IPC path."),
]
FromBlock = Annotated[
    int, typer.Option("--from-block", min=0, help="The first block to search for the contract.")
]


def _address(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"0x[0-9a-fA-F]{40}", value):
        raise typer.BadParameter(f"expected 0x and 40 hexadecimal digits, got {value!r}.")
    return value


ContractAddress = Annotated[
    str | None,
    typer.Option("--contract", help="The settlement's address on the chain.", callback=_address),
]
