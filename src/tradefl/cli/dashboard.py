"""``tradefl dashboard``: the live console in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tradefl.cli.declaring import Option
from tradefl.cli.options import File
from tradefl.cli.output import note, progress
from tradefl.consortium import load
from tradefl.errors import InputError


def dashboard(
    file: File,
    training: Annotated[
        Path | None,
        Option("--training", help="Show the training of this tradefl train document."),
    ] = None,
    host: Annotated[
        str,
        Option("--host", help="The address to serve. Other machines reach any but the default."),
    ] = "127.0.0.1",
    port: Annotated[int, Option("--port", min=1, max=65_535, help="The port.")] = 8501,
    allow_host: Annotated[
        list[str] | None,
        Option(
            "--allow-host",
            help="A name under which browsers may ask for the console; may be given again. "
            "Default: those of --host.",
            show_default=False,
        ),
    ] = None,
    no_browser: Annotated[bool, Option("--no-browser", help="Do not open a browser.")] = False,
) -> None:
    """Show a consortium in the browser: edit it, move gamma, and see who pays whom at once.

    The file stays as it is. Ctrl-C ends the console. Requests for other hosts than those it was
    started for, and from pages of other sites, are refused.

    Example: tradefl dashboard examples/drug_discovery.toml
    """
    from tradefl.dashboard.gate import LOOPBACK, allowed_host, hosts_of
    from tradefl.dashboard.server import require_free, serve, shown_host
    from tradefl.dashboard.settings import Settings

    names = allow_host or []
    try:
        for name in names:
            allowed_host(name)
    except InputError as error:
        (problem,) = error.problems
        raise InputError.at("--allow-host", problem.message) from None
    with progress(f"reading {file}"):
        consortium = load(file)
        if training is not None:
            from tradefl.report import read_training

            read_training(training, consortium)
    require_free(host, port)
    asked = hosts_of(host, map(allowed_host, names))
    note(f"{consortium.name} on http://{shown_host(host)}:{port}; Ctrl-C ends it")
    if not asked <= {*LOOPBACK}:
        note(f"browsers may ask for {', '.join(sorted(asked))}; --allow-host adds a name")
    serve(
        Settings(file.resolve(), training),
        host,
        port,
        allow_hosts=names,
        open_browser=not no_browser,
    )
