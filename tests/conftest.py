"""What holds for every test."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from tests.optional import UNREADABLE, missing_module

ROOT = Path(__file__).parents[1]


def pytest_configure() -> None:
    """Let the programs that tests start heed signals.

    A process inherits which signals are ignored, and nohup and a shell's ``&`` ignore some. A
    handled one is reset to its default in a new program: a handler that does nothing suffices.
    """
    for ignored in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(ignored) is signal.SIG_IGN:
            signal.signal(ignored, lambda *_: None)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skip a file that needs an optional module which is not installed."""
    report = yield
    call = getattr(report, "call", None)
    cause = call.excinfo.value if call is not None and call.excinfo is not None else None
    name = missing_module(cause)
    if report.outcome == "failed" and name is not None:
        UNREADABLE.add(".".join(collector.path.relative_to(ROOT).with_suffix("").parts))
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"Skipped: needs {name}")
    return report


@contextlib.contextmanager
def skipping(item: pytest.Item) -> Iterator[None]:
    """Skip a test that runs into an optional module which is not installed."""
    try:
        yield
    except Exception as error:
        name = missing_module(error)
        if name is None:
            raise
        pytest.skip(f"{item.name} needs {name}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Skip a test whose fixtures need what is not installed."""
    with skipping(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Skip a test that itself needs what is not installed."""
    with skipping(item):
        return (yield)


@pytest.fixture(autouse=True)
def own_state_folder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Journals of signed transactions stay out of the user's state folder, and apart."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder
