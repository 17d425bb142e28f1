"""A JSON-RPC node: one address, asked until it answers or until it is clear that it will not."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import itertools
import json
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import requests
import requests.utils

from tradefl.errors import InputError, Parameter
from tradefl.foreign import Limits, parse_json, read_bytes
from tradefl.settlement.chains.answers import (
    AskLessError,
    BehindError,
    Judgement,
    NoAnswerError,
    Parse,
    Reason,
    RefusedError,
    RevertedAnswer,
    UnexpectedAnswerError,
    Verdict,
    cut,
    judge_error,
    judge_status,
)
from tradefl.settlement.contract import ChainError

T = TypeVar("T")

REQUEST_SECONDS = 30.0
ANSWER_BYTES = 64 << 20  # the logs of the largest agreement take a tenth of it
# What the user allows files of partners is not allowed to nodes.
BOUNDS = Limits(bytes=ANSWER_BYTES)
BEHIND_SECONDS = 15.0  # how long a node may lag behind what other answers have shown
DOUBTS = 3  # how often an answer that nobody knows is asked for
FIRST_PAUSE, LAST_PAUSE = 0.05, 2.0


@dataclasses.dataclass(frozen=True)
class Address:
    """The address of a node, and what of it may be shown.

    An address may carry a password or an API key: in front of the host, in the path, in the
    query. Only scheme, host and port are ever shown.
    """

    url: str = dataclasses.field(repr=False)
    shown: str
    is_socket: bool
    is_loopback: bool
    secrets: tuple[str, ...] = dataclasses.field(repr=False, default=())

    @classmethod
    def parse(cls, text: str, place: str = Parameter("rpc")) -> Address:
        """Return the address of a text: ``http(s)://...``, ``host:port``, or the path of a socket.

        ``@FILE`` stands for the text of a file: an address that holds a key stays out of arguments,
        which every user of a machine can read.

        Raises
        ------
        ChainError
            The text is neither. It may be a misspelt address with a key, so it is not shown.
        InputError
            The file cannot be read.
        """
        text = text.strip()
        if text.startswith("@"):
            text = read_bytes(text[1:], limit=MOST_ADDRESS_BYTES).decode(errors="replace").strip()
        if "://" not in text and _HOST_AND_PORT.fullmatch(text):
            text = "http://" + text
        scheme, separator, rest = text.partition("://")
        if not separator:
            if _is_path(text):
                return cls(text, cut(text), is_socket=True, is_loopback=True)
            got = "a text that is neither" if text else "an empty text"
            raise ChainError(place, f"expected {_EXPECTED}, got {got}")
        if scheme.lower() not in ("http", "https"):
            raise ChainError(place, f"expected {_EXPECTED}, got {cut(scheme)[:20]}://")
        try:
            parts = urlsplit(f"{scheme.lower()}://{rest}")
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ChainError(
                place, f"expected {_EXPECTED}, got an address that is not one"
            ) from None
        if not host:
            raise ChainError(place, f"expected {_EXPECTED}, got no host")
        return cls(
            parts.geturl(),
            _shown(parts),
            is_socket=False,
            is_loopback=_is_loopback(host),
            secrets=_secrets(parts),
        )

    def hide(self, text: str) -> str:
        """Return a text without what the address keeps secret."""
        for secret in self.secrets:
            text = text.replace(secret, "...")
        return text


MOST_ADDRESS_BYTES = 4096
_EXPECTED = "http://host:port, https://... or the path of an IPC socket"
_HOST_AND_PORT = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9a-fA-F:.]{2,45}\]):\d{1,5}(/.*)?"
)


def _is_path(text: str) -> bool:
    """Tell whether a text is the path of a socket, and not an address that lacks something."""
    if not text or "\0" in text:
        return False
    with contextlib.suppress(OSError):  # a name that is too long
        if Path(text).exists():
            return True
    # A node that is not running has no socket yet.
    begins = text.startswith(("/", "./", "../", "\\\\.\\pipe\\")) and not text.startswith("//")
    return (begins or text.endswith(".ipc")) and not set("?@#").intersection(text)


def _shown(parts: SplitResult) -> str:
    host = parts.hostname or ""
    place = f"[{host}]" if ":" in host else host
    port = "" if parts.port is None else f":{parts.port}"
    more = "/..." if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{cut(place)}{port}{more}"


def _secrets(parts: SplitResult) -> tuple[str, ...]:
    """Return what must not be shown, longest first; short words would hide half of a sentence."""
    values = [parts.username or "", parts.password or "", parts.query]
    values += [
        value for parameter in parts.query.split("&") for value in parameter.partition("=")[::2]
    ]
    values += [parts.path, *parts.path.split("/")]
    found = {form for value in values for form in (value, unquote(value)) if len(form) >= 4}
    return tuple(sorted(found, key=len, reverse=True))


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class NothingError(Exception):
    """Nothing came back that could be judged."""

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused  # nobody listens there


class Transport:
    """How bytes get to a node and back."""

    def exchange(self, content: bytes) -> tuple[int, bytes, float]:
        """Send a request; return the HTTP status, the body, and how long the node wants a pause."""
        raise NotImplementedError


class HttpTransport(Transport):
    """HTTP, through the proxy of the environment unless the node is on this machine."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.timeout = REQUEST_SECONDS
        self.session = requests.Session()
        self.proxy = ""
        if address.is_loopback:
            self.session.trust_env = False
        else:
            proxies = requests.utils.get_environ_proxies(address.url)
            chosen = requests.utils.select_proxy(address.url, proxies)
            if chosen:
                with contextlib.suppress(ChainError):
                    self.proxy = Address.parse(chosen).shown

    def exchange(self, content: bytes) -> tuple[int, bytes, float]:
        """Send a request; return the HTTP status, the body, and how long the node wants a pause."""
        until = time.monotonic() + 2 * self.timeout
        try:
            with self.session.post(
                self.address.url,
                data=content,
                headers={"Content-Type": "application/json"},
                timeout=self.timeout,
                stream=True,
                allow_redirects=False,
            ) as response:
                body = bytearray()
                for part in response.iter_content(1 << 16):
                    body += part
                    if len(body) > ANSWER_BYTES:
                        raise NothingError(f"an answer of more than {ANSWER_BYTES >> 20} MiB")
                    if time.monotonic() > until:
                        raise NothingError("timed out")
                return response.status_code, bytes(body), _pause(response)
        except (requests.RequestException, OSError, ValueError) as error:
            text, refused = _outage(error)
            raise NothingError(text + self._through(), refused=refused) from None

    def _through(self) -> str:
        return f" (through the HTTP proxy {self.proxy})" if self.proxy else ""


def _pause(response: requests.Response) -> float:
    """Return the seconds of a Retry-After header; 0 without one."""
    given = response.headers.get("Retry-After", "")
    return float(given) if re.fullmatch(r"\d{1,4}", given) else 0.0


class SocketTransport(Transport):
    """The IPC socket of a node on this machine."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.timeout = REQUEST_SECONDS
        self._socket: socket.socket | None = None

    def exchange(self, content: bytes) -> tuple[int, bytes, float]:
        """Send a request; return status 200, the body, and no pause."""
        try:
            return 200, self._exchange(content), 0.0
        except (OSError, ValueError) as error:
            self._close()
            text, refused = _outage(error)
            raise NothingError(text, refused=refused) from None
        except NothingError:
            self._close()
            raise

    def _exchange(self, content: bytes) -> bytes:
        if self._socket is None:
            if not hasattr(socket, "AF_UNIX"):
                raise NothingError("this system has no IPC sockets; use http://", refused=True)
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(self.timeout)
            self._socket.connect(self.address.url)
        self._socket.sendall(content + b"\n")
        body = bytearray()
        until = time.monotonic() + 2 * self.timeout
        while True:
            part = self._socket.recv(1 << 16)
            if not part:
                raise NothingError("the connection was closed")
            body += part
            if len(body) > ANSWER_BYTES:
                raise NothingError(f"an answer of more than {ANSWER_BYTES >> 20} MiB")
            if time.monotonic() > until:
                raise NothingError("timed out")
            # Nothing says where an answer ends but its last bracket.
            if part.rstrip().endswith((b"}", b"]")) and _is_json(bytes(body)):
                return bytes(body)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None


def _is_json(body: bytes) -> bool:
    try:
        parse_json(body, "answer", BOUNDS)
    except InputError:
        return False
    return True


def _outage(error: BaseException) -> tuple[str, bool]:
    """Return why nothing came back, and whether nobody listens.

    The words of the libraries are not repeated: they quote the whole address.
    """
    text = str(error)[:2_000].lower()
    if isinstance(error, requests.exceptions.ProxyError):
        return "the HTTP proxy cannot be reached or refuses", True
    if isinstance(error, requests.exceptions.SSLError):
        return "the TLS certificate is not valid or the node does not use TLS", True
    for words, meaning in (
        ("connection refused", "connection refused; is it running?"),
        ("no such file", "no such socket; is it running?"),
        ("not known", "there is no such host"),
        ("no address associated", "there is no such host"),
        ("temporary failure in name resolution", "its name cannot be resolved"),
        ("permission denied", "permission denied"),
    ):
        if words in text:
            return meaning, True
    if isinstance(error, requests.Timeout | TimeoutError) or "timed out" in text:
        return "timed out", False
    return "the connection broke", False


class Node:
    """One JSON-RPC node.

    Parameters
    ----------
    address
        Where it is; see :meth:`Address.parse`.
    patience
        How long an outage may last before it is an error, seconds. Before the node's first answer
        nobody waits for one that does not listen.

    Attributes
    ----------
    place
        Its address as it may be shown.
    """

    def __init__(
        self, address: str | Address, patience: float = 0.0, transport: Transport | None = None
    ) -> None:
        self.address = address if isinstance(address, Address) else Address.parse(address)
        self.place = self.address.shown
        self.patience = patience
        if transport is None:
            kind = SocketTransport if self.address.is_socket else HttpTransport
            transport = kind(self.address)
        self.transport = transport
        self.has_answered = False
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()  # a connection carries one question at a time

    def ask(
        self, method: str, *parameters: Any, parse: Parse[T], patience: float | None = None
    ) -> T:
        """Return a node's answer.

        Parameters
        ----------
        method, parameters
            The JSON-RPC call.
        parse
            Turns the answer into its type; raises ``TypeError`` with the expected type.
        patience
            How long an outage may last, seconds; default: the node's own.

        Raises
        ------
        NoAnswerError
            The node does not answer in time, or only that it cannot yet.
        RevertedAnswer
            The contract reverts.
        AskLessError
            The answer would be too large.
        RefusedError
            The node answers with any other error.
        UnexpectedAnswerError
            The answer has another type.
        """
        found = self._ask(method, parameters, parse, nullable=False, patience=patience)
        assert found is not None  # noqa: S101  null was asked for again
        return found

    def ask_for(self, method: str, *parameters: Any, parse: Parse[T | None]) -> T | None:
        """Return a node's answer; ``None``: there is no such thing. Raises as :meth:`ask`."""
        return self._ask(method, parameters, parse, nullable=True, patience=None)

    def _ask(
        self,
        method: str,
        parameters: tuple[Any, ...],
        parse: Parse[T],
        *,
        nullable: bool,
        patience: float | None,
    ) -> T | None:
        limit = self.patience if patience is None else patience
        started, pause, doubts = time.monotonic(), FIRST_PAUSE, 0
        pending = "pending" in parameters
        while True:
            wanted_pause = 0.0
            try:
                status, body, wanted_pause = self._exchange(method, parameters)
                found, judged = _judged(method, status, body, pending=pending)
            except NothingError as error:
                never = error.refused and not self.has_answered
                judged = Judgement(Verdict.RETRY, str(error), Reason.OUTAGE)
                if never:
                    raise self._no_answer(judged) from None
            if judged is None:
                if found is None and nullable:
                    self.has_answered = True
                    return None
                if found is None:
                    judged = Judgement(
                        Verdict.RETRY,
                        f"{method} answers null, as a node does that is still syncing",
                        Reason.BEHIND if self.has_answered else Reason.SHAPE,
                    )
                else:
                    try:
                        value = parse(found)
                    except TypeError as error:
                        judged = Judgement(
                            Verdict.RETRY, f"{method}: expected {error}", Reason.SHAPE
                        )
                    else:
                        self.has_answered = True
                        return value
            if judged.verdict is not Verdict.RETRY:
                raise self._error(judged)
            if judged.reason in (Reason.DOUBT, Reason.SHAPE):
                doubts += 1
                if doubts >= DOUBTS:
                    raise self._error(judged)
            else:
                until = min(limit, BEHIND_SECONDS) if judged.reason is Reason.BEHIND else limit
                if time.monotonic() - started >= until:
                    raise self._no_answer(judged)
            time.sleep(max(pause, min(wanted_pause, limit)))
            pause = min(2.0 * pause, LAST_PAUSE)

    def _exchange(self, method: str, parameters: tuple[Any, ...]) -> tuple[int, bytes, float]:
        request = {
            "jsonrpc": "2.0",
            "id": next(self._numbers),
            "method": method,
            "params": list(parameters),
        }
        with self._lock:
            return self.transport.exchange(json.dumps(request).encode())

    def _no_answer(self, judged: Judgement) -> NoAnswerError:
        text = self.address.hide(judged.text)
        kind = BehindError if judged.reason is Reason.BEHIND else NoAnswerError
        return kind(self.place, f"no answer from the node: {text}")

    def _error(self, judged: Judgement) -> ChainError:
        text = self.address.hide(judged.text)
        if judged.revert is not None:
            return RevertedAnswer(self.place, f"the node refuses: {text}", judged.revert)
        if judged.verdict is Verdict.LESS:
            return AskLessError(self.place, f"the node refuses: {text}")
        if judged.reason is Reason.SHAPE:
            return UnexpectedAnswerError(self.place, f"unexpected answer: {text}")
        return RefusedError(self.place, f"the node refuses: {text}")


def _judged(
    method: str, status: int, body: bytes, *, pending: bool
) -> tuple[Any, Judgement | None]:
    """Return the result in an answer, or what an answer without one means."""
    try:
        document = parse_json(body, method, BOUNDS)
    except InputError:
        document = None
    is_object = isinstance(document, dict)
    if is_object and document.get("error") is not None:
        return None, judge_error(method, document["error"], status, pending=pending)
    if status != 200:
        return None, judge_status(method, status)
    if is_object and "result" in document:
        return document["result"], None
    text = f"{method}: expected a JSON-RPC answer"
    return None, Judgement(Verdict.RETRY, text, Reason.SHAPE)
