"""Who may ask the console: raw requests, as a page of another site would have them sent."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.command import SOURCE, run
from tests.dashboard.console import EXAMPLE
from tests.dashboard.served import Served, free_port, serving

from tradefl.dashboard import gate
from tradefl.dashboard.gate import Gate, allowed_host, hosts_of
from tradefl.errors import InputError

# Written into every process of the console: it notes whom the process asks for.
WATCH = """
import os, socket
def noted(what):
    with open(os.environ["ASKED"], "a") as log:
        log.write(str(what) + "\\n")
class Socket(socket.socket):
    def connect(self, address):
        noted(address); return super().connect(address)
    def connect_ex(self, address):
        noted(address); return super().connect_ex(address)
    def sendto(self, data, *rest):
        noted(rest[-1]); return super().sendto(data, *rest)
resolve = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    noted(host); return resolve(host, *rest, **more)
socket.socket, socket.getaddrinfo = Socket, getaddrinfo
"""


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """A console that a proxy serves as console.example, and whom its process has asked for."""
    folder = tmp_path_factory.mktemp("watch")
    (folder / "sitecustomize.py").write_text(WATCH)
    asked = folder / "asked"
    own = {"PYTHONPATH": f"{folder}{os.pathsep}{SOURCE}", "ASKED": str(asked)}
    # What the user has set weakens nothing.
    own |= {"STREAMLIT_SERVER_ENABLE_CORS": "false", "STREAMLIT_SERVER_ALLOWED_HOSTS": "*"}
    own |= {"STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION": "false"}
    with serving(EXAMPLE, "--allow-host", "console.example", environment=own) as served:
        yield served, asked


def port_of(console: tuple[Served, Path]) -> int:
    return int(console[0].url.rpartition(":")[2])


def asked(port: int, path: str = "/", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Send a request with these headers alone; return the status, the headers and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def upgraded(port: int, *headers: str) -> int:
    """Open the websocket over which all figures go; return the status."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ["GET /_stcore/stream HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", *headers, "", ""]
    with socket.create_connection(("127.0.0.1", port), 30.0) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return int(connection.recv(4096).split()[1])


# --- raw requests to a console that runs ---------------------------------------------------------


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_its_own_pages_are_served(console: tuple[Served, Path], name: str) -> None:
    port = port_of(console)
    assert asked(port, Host=f"{name}:{port}")[0] == 200
    own = f"http://{name}:{port}"
    assert upgraded(port, f"Host: {name}:{port}", f"Origin: {own}") == 101


@pytest.mark.parametrize(
    "headers",
    [
        # A name of another site that leads here: the page's own origin is the same.
        ("Host: evil.example:{port}", "Origin: http://evil.example:{port}"),
        ("Host: evil.example:{port}",),
        ("Host: 127.0.0.1.evil.example:{port}",),
        ("Host: localhost.evil.example",),
        ("Host: 127.0.0.1:{port}@evil.example",),
        ("Host: evil.example, 127.0.0.1:{port}",),
        ("Host: ",),
        # A page of another site, or of another program of this machine.
        ("Host: 127.0.0.1:{port}", "Origin: http://evil.example"),
        ("Host: 127.0.0.1:{port}", "Origin: http://localhost:1"),
        ("Host: 127.0.0.1:{port}", "Origin: http://127.0.0.1"),
        ("Host: 127.0.0.1:{port}", "Origin: null"),
        ("Host: 127.0.0.1:{port}", "Origin: file://127.0.0.1:{port}"),
        ("Host: 127.0.0.1:{port}", "Origin: http://127.0.0.1:{port}.evil.example"),
        (
            "Host: 127.0.0.1:{port}",
            "Origin: http://127.0.0.1:{port}",
            "Origin: http://evil.example",
        ),
        ("Host: 127.0.0.1:{port}", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"),
    ],
    ids=" ".join,
)
def test_others_are_refused(console: tuple[Served, Path], headers: tuple[str, ...]) -> None:
    port = port_of(console)
    refused = (403, 400)  # 400: the server itself takes no two of a kind
    assert upgraded(port, *(header.format(port=port) for header in headers)) in refused
    for path in ("/", "/_stcore/health", "/_stcore/host-config", "/_stcore/agent/openapi.json"):
        with socket.create_connection(("127.0.0.1", port), 30.0) as connection:
            lines = [f"GET {path} HTTP/1.1", *(header.format(port=port) for header in headers)]
            connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
            answer = connection.recv(65536).decode("latin-1")
        assert answer.split()[1] == "403", (path, answer)
        assert "evil.example" not in answer


def test_a_name_that_was_allowed_is_served(console: tuple[Served, Path]) -> None:
    """A proxy may pass the name on, or ask under its own."""
    port = port_of(console)
    for host in ("console.example", "console.example:443", "Console.Example.", f"127.0.0.1:{port}"):
        assert asked(port, Host=host)[0] == 200
        assert upgraded(port, f"Host: {host}", "Origin: https://console.example") == 101
    assert upgraded(port, "Host: console.example", "Origin: https://other.example") == 403
    assert upgraded(port, "Host: sub.console.example") == 403


@pytest.mark.parametrize("path", ["/", "/_stcore/health", "/no/such/page", "/favicon.png"])
def test_no_page_may_put_it_into_a_frame(console: tuple[Served, Path], path: str) -> None:
    port = port_of(console)
    for host in (f"127.0.0.1:{port}", "evil.example"):  # a refusal too
        _, headers, _ = asked(port, path, Host=host)
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_link_to_it_may_be_followed(console: tuple[Served, Path]) -> None:
    port = port_of(console)
    followed = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    own = f"127.0.0.1:{port}"
    assert asked(port, Host=own, Sec_Fetch_Dest="document", **followed)[0] == 200
    assert asked(port, Host=own, Sec_Fetch_Dest="iframe", **followed)[0] == 403


def test_no_request_leaves_the_machine(console: tuple[Served, Path]) -> None:
    """For an origin that it does not know, Streamlit asks a service for this machine's address."""
    port = port_of(console)
    assert upgraded(port, f"Host: 127.0.0.1:{port}", "Origin: http://unknown.example") == 403
    assert upgraded(port, "Host: console.example", "Origin: https://console.example") == 101
    assert upgraded(port, f"Host: 127.0.0.1:{port}", "Origin: https://console.example") == 101
    asked_for = set(console[1].read_text().splitlines())
    # The check of the address, before it is served. So the watch is there.
    assert asked_for == {"127.0.0.1"}


# --- what it was started for ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", {"127.0.0.1", "localhost", "::1"}),
        ("localhost", {"127.0.0.1", "localhost", "::1"}),
        ("127.0.0.5", {"127.0.0.5", "127.0.0.1", "localhost", "::1"}),
        ("0:0:0:0:0:0:0:1", {"127.0.0.1", "localhost", "::1"}),
        ("0.0.0.0", {"127.0.0.1", "localhost", "::1", "box", "192.0.2.9"}),  # noqa: S104
        ("::", {"127.0.0.1", "localhost", "::1", "box", "192.0.2.9"}),
        ("192.0.2.7", {"192.0.2.7", "box"}),
        ("Box.Example", {"box.example", "box"}),
    ],
)
def test_the_names_of_an_address(
    address: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Box")
    monkeypatch.setattr(gate, "own_addresses", lambda: {"192.0.2.9"})
    assert hosts_of(address) == expected
    assert hosts_of(address, ["more.example"]) == expected | {"more.example"}


def test_own_addresses_are_addresses_and_a_machine_without_a_network_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for address in gate.own_addresses():
        assert not ipaddress.ip_address(address).is_unspecified

    def unreachable(*_: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(gate.socket, "socket", unreachable)
    assert gate.own_addresses() == set()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Console.Example", "console.example"),
        ("box", "box"),
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:DB8::0001]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_a_name_that_can_be_allowed(name: str, expected: str) -> None:
    assert allowed_host(name) == expected


WRONG = ["", "*", "*.example", "https://console.example", "console.example:443", "a/b", "a b", ".",
         "user@host", "-x"]  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="allow_hosts: expected the name or the address"):
        allowed_host(name)


def test_the_command_names_its_option() -> None:
    ran = run("dashboard", EXAMPLE, "--allow-host", "https://a.example", "--port", free_port(),
              "--no-browser")  # fmt: skip
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: --allow-host: expected the name or the address of a host")


def test_a_request_without_a_host_is_refused() -> None:
    gate = Gate(None, hosts_of("127.0.0.1"))  # type: ignore[arg-type]
    assert not gate.accepts([])
    assert not gate.accepts([(b"host", b"127.0.0.1"), (b"host", b"127.0.0.1")])
    assert not gate.accepts([(b"host", b"127.0.0.1:x")])
    assert not gate.accepts([(b"host", b"\xff")])
    assert gate.accepts([(b"Host", b"127.0.0.1:8501")])
