"""What comes over the wire: HTTP and IPC, byte by byte."""

import contextlib
import gzip
import json
import socket
import threading
import time

import pytest
from tests.settlement.nodes import web3  # noqa: F401  web3 with its warnings silenced

from tradefl.settlement.chains import NoAnswerError, nodes
from tradefl.settlement.chains.answers import RefusedError, UnexpectedAnswerError, quantity
from tradefl.settlement.chains.nodes import Node
from tradefl.settlement.contract import ChainError

RIGHT = json.dumps({"jsonrpc": "2.0", "id": 1, "result": "0x2a"}).encode()


def http(body, status="200 OK", length=None, *headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    lines += ["Content-Type: application/json", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextlib.contextmanager
def server(*answers, family=socket.AF_INET, place=("127.0.0.1", 0)):
    """Answer each connection with the next of these bytes, in small pieces; the last stays."""
    asked = []
    with socket.socket(family) as listening:
        listening.bind(place)
        listening.listen()
        listening.settimeout(20.0)
        left = list(answers)

        def serve():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(5.0)
                    request = b""
                    while not request.rstrip().endswith(b"}"):
                        request += connection.recv(1 << 16)
                    asked.append(request)
                    answer = left.pop(0) if len(left) > 1 else left[0]
                    for start in range(0, len(answer), 1 + len(answer) // 5):
                        connection.sendall(answer[start : start + 1 + len(answer) // 5])
                        time.sleep(0.001)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listening.getsockname(), asked
        finally:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
            thread.join(timeout=5.0)


def ask(place, patience=5.0):
    return Node(f"http://127.0.0.1:{place[1]}", patience).ask("eth_chainId", parse=quantity)


BROKEN = {
    "cut short": http(RIGHT[:-5], length=len(RIGHT)),
    "cut in its head": http(RIGHT)[:20],
    "nothing": b"",
    "not HTTP": b"\x00\x01\x02 hello",
    "half an answer": http(RIGHT[:-5]),
    "not gzip": http(RIGHT, "200 OK", None, "Content-Encoding: gzip"),
    "rate limit": http(b"slow down", "429 Too Many Requests", None, "Retry-After: 0"),
    "bad gateway": http(b"<html>", "502 Bad Gateway"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_is_asked_for_again(kind):
    with server(BROKEN[kind], http(RIGHT)) as (place, asked):
        assert ask(place) == 42
    assert len(asked) == 2


@pytest.mark.parametrize("kind", BROKEN)
def test_an_answer_that_stays_broken_is_one_error(kind):
    with server(BROKEN[kind]) as (place, _), pytest.raises(ChainError) as caught:
        ask(place, patience=0.1)
    assert len(caught.value.lines()) == 1
    assert isinstance(caught.value, NoAnswerError | UnexpectedAnswerError)


def test_a_redirect_is_not_followed():
    elsewhere = http(b"", "307 Temporary Redirect", None, "Location: http://127.0.0.1:1/")
    with server(elsewhere) as (place, asked), pytest.raises(RefusedError, match="redirect"):
        ask(place)
    assert len(asked) == 1


def test_an_answer_that_unpacks_to_too_much_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(nodes, "ANSWER_BYTES", 1 << 20)
    bomb = gzip.compress(b" " * (64 << 20))
    with (
        server(http(bomb, "200 OK", None, "Content-Encoding: gzip")) as (place, _),
        pytest.raises(NoAnswerError, match="more than 1 MiB"),
    ):
        ask(place, patience=0.0)


@pytest.mark.parametrize("size", [1, 200_000])
def test_an_ipc_socket_answers_in_pieces(tmp_path, size):
    """Nothing says where an answer ends but the last of its brackets."""
    path = str(tmp_path / "node.ipc")
    answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": "0x2a", "x": ["}"] * size}).encode()
    with server(answer, family=socket.AF_UNIX, place=path) as (_, asked):
        node = Node(path, 5.0)
        try:
            assert node.ask("eth_chainId", parse=quantity) == 42
        finally:
            node.transport._close()
    assert json.loads(asked[0])["method"] == "eth_chainId"


def test_an_ipc_socket_that_closes_is_asked_again(tmp_path):
    path = str(tmp_path / "node.ipc")
    with server(b"", RIGHT, family=socket.AF_UNIX, place=path) as (_, asked):
        node = Node(path, 5.0)
        try:
            assert node.ask("eth_chainId", parse=quantity) == 42
        finally:
            node.transport._close()
    assert len(asked) == 2
