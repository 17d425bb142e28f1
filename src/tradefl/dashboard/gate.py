"""Who may ask the console: browsers that were sent to one of its own addresses, and no other page.

The console has no password, so a page of another site must not reach it through the browser of
somebody who may. Three ways are closed here, before Streamlit sees a request:

- a name of another site that leads to this machine (DNS rebinding): the ``Host`` of a request is
  one of those that the console was started for;
- a page of another site, or of another port of this machine, that sends requests or opens the
  websocket: the ``Origin`` is the host that was asked, or one that was explicitly allowed;
- a frame around the console.

An accepted ``Origin`` is not passed on. For one that it does not know, Streamlit would ask a
service on the internet for this machine's address.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tradefl.consortium.schema import shown
from tradefl.errors import InputError, Parameter

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = (
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
REFUSAL = (
    b"This console was not started for this address, or the request comes from another page.\n"
    b"If the address is yours, allow it when you start the console; its help says how.\n"
)


def hosts_of(address: str, allowed: Iterable[str] = ()) -> frozenset[str]:
    """Return the names under which a console that serves an address may be asked.

    An address of this machine alone has the names of the loopback. One that other machines reach
    has itself and this machine's name. A wildcard address has both, and the addresses of this
    machine on its way to other networks.

    Parameters
    ----------
    address
        What is served.
    allowed
        More names, as :func:`allowed_host` returns them.
    """
    name = _canonical(address)
    try:
        number = ipaddress.ip_address(name)
    except ValueError:
        number = None
    everywhere = number is not None and number.is_unspecified
    here = name == "localhost" or (number is not None and number.is_loopback)
    names = {*allowed} if everywhere else {name, *allowed}
    if here or everywhere:
        names |= set(LOOPBACK)
    if everywhere:
        names |= own_addresses()
    if not here:
        names.add(_canonical(socket.gethostname()))
    return frozenset(names)


def own_addresses() -> set[str]:
    """Return this machine's addresses on its way to other networks; nothing is sent.

    No page of another site has an address of this machine, so none gets in by it.
    """
    found = set()
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        # Datagrams have no connection: this only chooses the way, and with it the own address.
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as way:
            way.connect((elsewhere, 9))
            found.add(_canonical(way.getsockname()[0]))
    return {address for address in found if not ipaddress.ip_address(address).is_unspecified}


def allowed_host(name: str) -> str:
    """Return a name or an address that a user allows, as it is compared.

    Raises
    ------
    InputError
        It has a scheme, a port or a path, or is not a name of a host.
    """
    found = _canonical(name)
    is_name = re.fullmatch(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?", found)
    try:
        if not is_name:
            ipaddress.IPv6Address(found)
    except ValueError:
        what = "expected the name or the address of a host, without scheme, port and path"
        raise InputError.at(Parameter("allow_hosts"), f"{what}, got {shown(name)}") from None
    return found


def _canonical(name: str) -> str:
    """Return a name or an address in the one form in which it is compared."""
    name = name.strip().removeprefix("[").removesuffix("]").lower().rstrip(".")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


class Gate:
    """An ASGI middleware that refuses what does not come from the console's own pages.

    Parameters
    ----------
    app
        What is behind it.
    hosts
        The names under which it may be asked, in any port: proxies and tunnels have their own.
    origins
        Those of them from which pages may ask it under another name: behind a proxy that does not
        pass the name on.
    """

    def __init__(
        self, app: ASGIApp, hosts: frozenset[str], origins: frozenset[str] = frozenset()
    ) -> None:
        self.app, self.hosts, self.origins = app, hosts, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if not self.accepts(scope["headers"]):
            await _refuse(scope, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name != b"origin"]

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        await self.app({**scope, "headers": headers}, receive, guarded)

    def accepts(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Tell whether a request with these headers comes from where it may."""
        found: dict[bytes, list[str]] = {}
        for name, value in headers:
            found.setdefault(name.lower(), []).append(value.decode("latin-1"))
        hosts, origins = found.get(b"host", []), found.get(b"origin", [])
        if len(hosts) != 1 or len(origins) > 1 or _hostname(f"//{hosts[0]}") not in self.hosts:
            return False
        if origins:
            return self._is_own(origins[0], hosts[0])
        # A browser says so even where it sends no origin. Following a link to the console is fine.
        sites = found.get(b"sec-fetch-site", [])
        followed = found.get(b"sec-fetch-mode") == ["navigate"] and (
            found.get(b"sec-fetch-dest") == ["document"]
        )
        return followed or set(sites) <= {"same-origin", "none"}

    def _is_own(self, origin: str, host: str) -> bool:
        scheme, _, rest = origin.partition("://")
        if scheme not in ("http", "https"):
            return False  # "null": a file, a sandbox
        return rest.lower() == host.lower() or _hostname(origin) in self.origins


def _hostname(url: str) -> str | None:
    """Return the host of ``//host[:port]`` and nothing else; ``None`` if there is anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port  # refuses what is no number
    except ValueError:
        return None
    del port
    odd = "@" in parts.netloc or parts.path or parts.query or parts.fragment
    return None if odd or not parts.hostname else _canonical(parts.hostname)


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # before it was accepted: status 403
        return
    headers: list[Any] = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(REFUSAL)).encode()),
        (b"connection", b"close"),
        *HEADERS,
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": REFUSAL})
