"""Finding a Ray head, and noticing that it is gone; without Ray."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tradefl.sweep import bridge


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "LOOK_SECONDS", 0.05)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def listener() -> Iterator[str]:
    """A port where something listens that is not Ray: it takes connections and says nothing."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield f"127.0.0.1:{one.getsockname()[1]}"


def test_something_else_that_listens_is_not_a_head(listener):
    pytest.importorskip("grpc")
    with pytest.raises(ConnectionError, match=f"no Ray cluster answers at '{listener}'"):
        bridge.head_of(listener)


def test_an_address_that_a_dead_cluster_has_left(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(ConnectionError, match="no Ray cluster was started on this machine"):
        bridge.head_of("auto")
    (tmp_path / "ray_current_cluster").write_text("127.0.0.1:9\n")
    with pytest.raises(ConnectionError, match=r"no Ray cluster answers at '127\.0\.0\.1:9'"):
        bridge.head_of("auto")


def test_auto_is_what_the_environment_names(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.7:6379")
    monkeypatch.setattr(bridge, "answers", lambda *_: True)
    assert bridge.head_of("auto") == "10.0.0.7:6379"
    assert bridge.head_of("ray://10.0.0.8:10001") == "ray://10.0.0.8:10001"


@pytest.mark.parametrize("address", ["nonsense", "host:", ":6379", "host:port", "ray://:1"])
def test_what_is_no_address_is_said_at_once(address, monkeypatch):
    monkeypatch.setattr(bridge, "answers", None)  # nobody is asked
    with pytest.raises(ConnectionError, match="expected HOST:PORT"):
        bridge.head_of(address)


def test_a_head_is_lost_after_some_looks_in_a_row(monkeypatch):
    looks = iter([True, False, False, True, *[False] * bridge.LOST_AFTER])
    monkeypatch.setattr(bridge, "answers", lambda *_: next(looks))
    monkeypatch.setattr(bridge.time, "sleep", lambda _: None)
    lost = []
    bridge.watch("head:1", lambda: lost.append(1))
    assert lost == [1]
    assert list(looks) == []
    # It is reported within 30 s: a look and its answer, so many times.
    monkeypatch.undo()
    assert 2 * bridge.LOOK_SECONDS * bridge.LOST_AFTER <= 30.0
