"""Starting the console: Streamlit, on one address, without its statistics and its prompts."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from tradefl.dashboard.settings import Settings, use
from tradefl.errors import InputError, MissingExtraError

try:
    from streamlit.web import bootstrap
except ImportError:
    raise MissingExtraError("tradefl dashboard", "ui") from None

APP = Path(__file__).with_name("app.py")
UPLOAD_MEGABYTES = 50


def serve(settings: Settings, host: str, port: int, *, open_browser: bool) -> None:
    """Serve the console until the process is told to end (Ctrl-C, SIGTERM)."""
    use(settings)
    # As flags: these win over whatever config.toml the user has.
    bootstrap.load_config_options(
        {
            "browser.gatherUsageStats": False,
            "client.showErrorDetails": "none",  # the terminal has them
            "client.toolbarMode": "viewer",
            "logger.hideWelcomeMessage": True,
            "logger.level": "error",
            "server.address": host,
            "server.fileWatcherType": "none",
            "server.headless": not open_browser,
            "server.maxUploadSize": UPLOAD_MEGABYTES,
            "server.port": port,
            "server.showEmailPrompt": False,
            # Of Okabe and Ito's palette, as the charts; Streamlit's red is too pale for AA.
            "theme.light.primaryColor": "#0072B2",
            "theme.dark.primaryColor": "#56B4E9",
        }
    )
    bootstrap.run(str(APP), False, [], {})


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
            "--host", f"expected an address of this machine, got {host!r}"
        ) from None
    family, kind, protocol, _, address = found[0]
    try:
        with socket.socket(family, kind, protocol) as probe:
            # As the server does: a port that was just left may be taken again.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            what = "is taken" if error.errno == errno.EADDRINUSE else "needs more rights"
            raise InputError.at("--port", f"{port} {what}; choose another") from None
        raise InputError.at(
            "--host", f"expected an address of this machine, got {host!r}"
        ) from None
