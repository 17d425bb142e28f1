"""Refuse and write down every attempt to reach another machine, in each Python process with this.

A process of the tests has this folder on PYTHONPATH and names a file in ``$NETWORK_ATTEMPTS``.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from typing import Any

RECORD = os.environ.get("NETWORK_ATTEMPTS", "")
CONNECTING = ("socket.connect", "socket.sendto", "socket.sendmsg")
RESOLVING = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")


def is_local(host: Any) -> bool:
    """Return whether a host is this machine; ``None`` and empty names are addresses to bind to."""
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified or _is_own(address)


def _is_own(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Return whether an interface of this machine has the address: only then it can be bound."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Write down a connection or a look-up that leaves this machine, and let it fail."""
    if event in CONNECTING:
        address = arguments[1]
        # The address of a Unix socket is a path, and a connected socket is sent to without one.
        host = address[0] if isinstance(address, tuple) else None
    elif event in RESOLVING:
        host = arguments[0]
    else:
        return
    if not is_local(host):
        with open(RECORD, "a", encoding="utf-8") as file:  # noqa: PTH123 (pathlib is not there yet)
            file.write(f"{event} {host} by {' '.join(sys.argv[:2])}\n")
        raise OSError(errno.ENETUNREACH, f"{event} {host}: this process may not leave its machine")


if RECORD:
    sys.addaudithook(watch)
