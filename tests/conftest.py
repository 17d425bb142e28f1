"""What holds for every test."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from tests.optional import missing_module


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
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"Skipped: needs {name}")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Skip a test that ran into an optional module which is not installed."""
    try:
        return (yield)
    except Exception as error:
        name = missing_module(error)
        if name is None:
            raise
        pytest.skip(f"{item.name} needs {name}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Skip a test whose fixtures need what is not installed."""
    try:
        return (yield)
    except Exception as error:
        name = missing_module(error)
        if name is None:
            raise
        pytest.skip(f"{item.name} needs {name}")


@pytest.fixture(autouse=True)
def own_state_folder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Journals of signed transactions stay out of the user's state folder, and apart."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder
