"""Flower's mods and wrappers for differential privacy between real processes, and a second Alpha.

One SuperLink and its nodes for all of them, because they take half a minute to start.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flwr")

from tests.federation.deployment import Deployment, app_folder, make_key, until
from tests.federation.test_deployment import CONSORTIUM, NAMES, needs_tools

# server, client: each works with the other.
PAIRS = [
    ("client_adaptive", "adaptive"),
    ("server_fixed", "plain"),
    ("server_adaptive", "plain"),
    ("plain", "local_dp"),
]
# server, client, what the reason says.
MISMATCHES = [
    ("plain", "fixed", "its mod fixedclipping_mod works only with the server's Differ"),
    ("client_adaptive", "plain", "needs adaptiveclipping_mod in the ClientApp's mods"),
]


@pytest.mark.slow
@needs_tools
def test_mods_and_wrappers_and_a_second_alpha_on_a_superlink(tmp_path: Path) -> None:
    faults = tmp_path / "faults"
    faults.mkdir()
    with Deployment(tmp_path, {"FAULTS": str(faults)}) as deployment:
        try:
            start(deployment)
            for server, client in PAIRS:
                works(deployment, server, client)
            for server, client, reason in MISMATCHES:
                refused(deployment, server, client, reason)
            a_second_alpha(deployment, faults)
        except BaseException as error:
            error.add_note(deployment.logs())
            raise


def start(deployment: Deployment) -> None:
    """Start the SuperLink and everybody's node."""
    deployment.start_superlink()
    for name in (*NAMES, "Mallory"):
        make_key(deployment.folder, name)
        public = deployment.folder / f"{name}.pub"
        shutil.move(public, deployment.folder / "keys" / public.name)
        deployment.register(name)
    for node in [deployment.start_node(name) for name in NAMES]:
        deployment.await_node(node)


def run(deployment: Deployment, server: str, client: str, **config: Any) -> tuple[int, Path]:
    """Submit an app; return the run's id, and where its results will be."""
    folder = deployment.folder / f"{server}-{client}-{len(config)}"
    output = folder.with_suffix(".json")
    app = app_folder(
        folder, f"private_apps:client_{client}", server=f"private_apps:server_{server}"
    )
    own = {
        "consortium": str(CONSORTIUM),
        "keys": str(deployment.folder / "keys"),
        "rounds": 2,
        "round-seconds": 120.0,
        "output": str(output),
    }
    return deployment.run(app, own | config), output


def works(deployment: Deployment, server: str, client: str) -> None:
    """Two rounds: everybody's update is in the model, and credited in full."""
    number, output = run(deployment, server, client)
    document = deployment.finish(number, output, 240)
    assert document["refusals"] == []
    assert sorted(entry["organization"] for entry in document["entries"]) == sorted(2 * NAMES)
    for entry in document["entries"]:
        assert (entry["outcome"], entry["reason"]) == ("aggregated", ""), (server, client)
        assert entry["samples_used"] == entry["samples_claimed"] > 0
        assert entry["weight"] > 0.0
        if client == "adaptive" and entry["round"] == 1:
            assert entry["distance"] <= 0.25 * (1 + 1e-5)
    log = deployment.log_of(number)
    assert "Traceback" not in log


def refused(deployment: Deployment, server: str, client: str, reason: str) -> None:
    """Nobody trains: the run fails before its first round, and its log says why."""
    number, output = run(deployment, server, client)

    def over() -> bool:
        return str(deployment.status(number)["status"]).startswith("finished")

    until(f"run {number} is over", over, 120.0, every=1.0)
    assert deployment.status(number)["status"] == "finished:failed"
    assert reason in deployment.log_of(number)
    assert not output.exists()


def a_second_alpha(deployment: Deployment, faults: Path) -> None:
    """Without registered keys a second node may say it is Alpha: the first one stays it."""
    shutil.rmtree(faults / "trained")
    second = deployment.start_node("Mallory", "Alpha")
    deployment.await_node(second)
    options = {"keys": "", "allow-unregistered": True}
    number, output = run(deployment, "plain", "plain", **options)
    document = deployment.finish(number, output, 240)
    trained = {
        name: [node.name for node in (faults / "trained" / name).iterdir()] for name in NAMES
    }
    assert trained == {name: [f"home-{name}"] for name in NAMES}
    [conflict] = document["refusals"]
    assert conflict.endswith("says it is 'Alpha', which another node is; it waits")
    assert "it waits" in deployment.log_of(number)
    assert {entry["outcome"] for entry in document["entries"]} == {"aggregated"}
    assert json.dumps(document["entries"]).count('"Alpha"') == 2
