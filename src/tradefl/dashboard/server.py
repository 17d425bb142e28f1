"""Starting the console: Streamlit, on one address, without its statistics and its prompts."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import webbrowser
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from tradefl.dashboard.gate import Gate, allowed_host, hosts_of
from tradefl.dashboard.settings import Settings, use
from tradefl.errors import InputError, MissingExtraError, Parameter

try:
    import streamlit as st
    from starlette.middleware import Middleware
except ImportError:
    raise MissingExtraError("tradefl dashboard", "ui") from None

APP = Path(__file__).with_name("app.py")
UPLOAD_MEGABYTES = 50
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  compared with, not served


def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    allow_hosts: Sequence[str] = (),
    open_browser: bool,
) -> None:
    """Serve the console until the process is asked to end (Ctrl-C, SIGTERM).

    Parameters
    ----------
    settings
        The files to show.
    host, port
        The address to serve.
    allow_hosts
        Names of hosts, in addition to the address's own, under which browsers may ask for the
        console.
    open_browser
        Whether to open a browser on it.

    Raises
    ------
    InputError
        One of ``allow_hosts`` is not the name of a host.
    """
    allowed = frozenset(allowed_host(name) for name in allow_hosts)
    hosts = hosts_of(host, allowed)
    use(settings)
    app = st.App(
        APP,
        middleware=[Middleware(Gate, hosts=hosts, origins=allowed)],
        lifespan=_opening(f"http://{shown_host(host)}:{port}") if open_browser else None,
    )
    # The terminal has the one line of the command; what goes wrong is still reported.
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.levelno >= logging.WARNING)
    # The server ends by itself on these, and sends them again to what was there before.
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: None)
    app.run(config=_options(host, port, hosts))


def _options(host: str, port: int, hosts: frozenset[str]) -> dict[str, Any]:
    """Return Streamlit's options; these win over the user's config.toml and environment."""
    return {
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",  # the terminal has them
        "client.toolbarMode": "viewer",
        "global.developmentMode": False,
        "logger.hideWelcomeMessage": True,
        "logger.level": "error",
        "server.address": host,
        # The gate has checked all of it before; this is for a gate with a hole.
        "server.allowedHosts": sorted(hosts),
        "server.corsAllowedOrigins": [],
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.enableAgentApi": False,
        "server.enableStaticServing": False,
        "server.fileWatcherType": "none",
        "server.headless": True,
        "server.maxUploadSize": UPLOAD_MEGABYTES,
        "server.port": port,
        "server.showEmailPrompt": False,
        # Of Okabe and Ito's palette, as the charts; Streamlit's red is too pale for AA.
        "theme.light.primaryColor": "#0072B2",
        "theme.dark.primaryColor": "#56B4E9",
    }


def _opening(url: str) -> Any:
    """Return a lifespan that opens a browser once the server listens."""

    @contextlib.asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[dict[str, Any]]:
        # It may take its time, and may fail: the address is on the terminal.
        opening = asyncio.create_task(asyncio.to_thread(webbrowser.open, url))
        yield {}
        opening.cancel()

    return lifespan


def shown_host(host: str) -> str:
    """Return an address as a browser takes it."""
    if host in EVERYWHERE:
        return "localhost"
    return f"[{host}]" if ":" in host else host


def require_free(host: str, port: int) -> None:
    """Refuse an address that is not this machine's, or that another program serves.

    Raises
    ------
    InputError
        With the option that is to blame.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise InputError.at(
            Parameter("host"), f"expected an address of this machine, got {host!r}"
        ) from None
    family, kind, protocol, _, address = found[0]
    try:
        with socket.socket(family, kind, protocol) as probe:
            # As the server does: a port that was just left may be taken again. On Windows the
            # option means that a port in use may be shared, and another one forbids that.
            exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
            probe.setsockopt(socket.SOL_SOCKET, exclusive or socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            what = "is taken" if error.errno == errno.EADDRINUSE else "needs more rights"
            raise InputError.at(Parameter("port"), f"{port} {what}; choose another") from None
        raise InputError.at(
            Parameter("host"), f"expected an address of this machine, got {host!r}"
        ) from None
