"""The examples: a Flower app of one's own, and the app for a SuperLink."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tradefl.federation import Plan, Terms

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples" / "quickstart-flower"
RUN = """
import sys
sys.path.insert(0, {folder!r})
import client_app, server_app
from tradefl.federation.grid import run_in_process
nodes = [{{"partition-id": k}} for k in range(4)]
config = {{"num-server-rounds": 3, "output": {output!r}}}
run_in_process(server_app.app, client_app.app, nodes, config)
"""


def quickstart(folder: Path, output: Path) -> dict[str, object]:
    """Run the apps of a folder in a process of their own; return what the server wrote."""
    script = RUN.format(folder=str(folder), output=str(output))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    document: dict[str, object] = json.loads(output.read_text())
    return document


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    return quickstart(QUICKSTART, tmp_path_factory.mktemp("quickstart") / "measured.json")


def test_the_quickstart_measures_what_was_pledged(measured: dict[str, object]) -> None:
    terms = Terms.load(QUICKSTART / "consortium.toml")
    expected = {
        pledge.organization: pledge.samples_owed / pledge.samples_held for pledge in terms.pledges
    }
    assert measured["measured_fraction"] == expected
    assert any(0.0 < fraction < 1.0 for fraction in expected.values())


def test_the_quickstart_learns(measured: dict[str, object]) -> None:
    accuracy = measured["accuracy"]
    assert isinstance(accuracy, list)
    assert len(accuracy) == 4
    assert accuracy[-1] > 0.7 > 0.2 > accuracy[0]


def test_the_quickstart_without_its_marked_lines_is_plain_flower(
    measured: dict[str, object], tmp_path: Path
) -> None:
    """Two lines are two lines: without them the app runs, and nothing is measured."""
    for file in QUICKSTART.glob("*"):
        if file.suffix in (".py", ".toml"):
            (tmp_path / file.name).write_text(file.read_text())
    server = tmp_path / "server_app.py"
    lines = server.read_text().splitlines()
    marked = [line for line in lines if "TradeFL, line 1" in line]
    assert len(marked) == 1
    kept = [line for line in lines if line not in marked and "tradefl.federation" not in line]
    text = "\n".join(kept).replace("strategy.ledger.measured()", "()")
    server.write_text(text)
    client = tmp_path / "client_app.py"
    text = client.read_text()
    assert text.count("ContributingApp()") == 1
    text = text.replace("ContributingApp()", "ClientApp()")
    text = text.replace(
        "from tradefl.federation import ContributingApp, pledged_indices",
        "from flwr.clientapp import ClientApp",
    )
    client.write_text(text.replace("pledged_indices(message, len(y))", "range(len(y))"))
    assert "tradefl" not in server.read_text().replace("TradeFL", "")
    plain = quickstart(tmp_path, tmp_path / "plain.json")
    assert plain["measured_fraction"] == {}
    assert plain["accuracy"][0] == measured["accuracy"][0]  # type: ignore[index]
    assert plain["accuracy"] != measured["accuracy"]


def test_the_deployment_app_has_every_setting_with_its_default() -> None:
    app = tomllib.loads((ROOT / "examples" / "federation" / "pyproject.toml").read_text())["tool"]
    plan = Plan(consortium="x")
    expected = plan.to_run_config() | {"consortium": ""}
    assert app["flwr"]["app"]["config"] == expected
    assert set(expected) == {field.name.replace("_", "-") for field in dataclasses.fields(Plan)}
    assert app["flwr"]["app"]["components"] == {
        "serverapp": "tradefl.federation.server_app:app",
        "clientapp": "tradefl.federation.client:app",
    }
