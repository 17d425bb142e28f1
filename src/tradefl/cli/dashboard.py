"""``tradefl dashboard``: the live console in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tradefl.cli.options import File
from tradefl.cli.output import note, progress
from tradefl.consortium import load


def dashboard(
    file: File,
    training: Annotated[
        Path | None,
        typer.Option("--training", help="Show the training of this tradefl train document."),
    ] = None,
    host: Annotated[
        str,
        typer.Option("--host", help="The address to serve; others than this machine's see it too."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="The port.")] = 8501,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Do not open a browser.")
    ] = False,
) -> None:
    """Show a consortium in the browser: edit it, move gamma, and see who pays whom at once.

    The file stays as it is. Ctrl-C ends the console.

    Example: tradefl dashboard examples/drug_discovery.toml
    """
    from tradefl.dashboard.server import require_free, serve
    from tradefl.dashboard.settings import Settings

    with progress(f"reading {file}"):
        consortium = load(file)
        if training is not None:
            from tradefl.report import read_training

            read_training(training, consortium)
    require_free(host, port)
    address = f"[{host}]" if ":" in host else host
    note(f"{consortium.name} on http://{address}:{port}; Ctrl-C ends it")
    serve(Settings(file.resolve(), training), host, port, open_browser=not no_browser)
