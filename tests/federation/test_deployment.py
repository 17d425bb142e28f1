"""A federation of real processes, as the page on it says, with everything that can go wrong.

One test, because a deployment takes half a minute to start: a SuperLink with TLS, four SuperNodes
with registered keys, one with a registered key that pretends to be another, and a stranger.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr")

from tests.federation.deployment import (
    APPS,
    PAGE,
    ROOT,
    SCRIPTS,
    Deployment,
    Process,
    app_folder,
    block,
    command,
    commands,
    descendants,
    exported,
    make_certificates,
    make_key,
    processes,
    run_config,
    tradefl,
    until,
)

from tradefl.federation import Plan, Training, make_server_app
from tradefl.federation.checkpoint import Checkpoint
from tradefl.federation.client import app as client_app
from tradefl.federation.datasets import load_dataset
from tradefl.federation.grid import quiet, run_in_process
from tradefl.federation.keys import public_keys

CONSORTIUM = ROOT / "examples" / "quickstart-flower" / "consortium.toml"
NAMES = ("Alpha", "Beta", "Gamma", "Delta")
APP = ROOT / "examples" / "federation"
SAMPLES_OF_THE_SERVER = 10  # its train part is not used

needs_tools = pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("ssh-keygen")),
    reason="openssl and ssh-keygen make the certificates and keys",
)


@needs_tools
def test_a_federation_of_processes(tmp_path: Path) -> None:
    faults = tmp_path / "faults"
    faults.mkdir()
    data = write_data(tmp_path / "data")
    with Deployment(tmp_path, {"FAULTS": str(faults)}) as deployment:
        try:
            nodes = start(deployment, data)
            plain_training(deployment, data)
            private_training(deployment)
            document = training_with_faults(deployment, nodes, faults)
        except BaseException as error:
            error.add_note(deployment.logs())
            raise
        assert not deployment.attempts.exists(), deployment.attempts.read_text("utf-8")
        running = deployment.running()
    assert len(running) >= 12, "SuperLink, five SuperNodes, and a SuperExec of each"
    until("all processes have ended", lambda: running.isdisjoint(processes()), 10)
    settlement(document, tmp_path / "faulty.json")


# --- its steps ------------------------------------------------------------------------------------


def write_data(folder: Path) -> dict[str, Path]:
    """Write everybody's own data, and the server's; return their folders by name."""
    digits = load_dataset("digits")
    rows = {name: slice(k, None, len(NAMES)) for k, name in enumerate(NAMES)}
    rows["server"] = slice(SAMPLES_OF_THE_SERVER)
    folders = {}
    for name, own in rows.items():
        folders[name] = folder / name
        folders[name].mkdir(parents=True)
        np.savez(
            folders[name] / "assays.npz",
            x_train=digits.x_train[own],
            y_train=digits.y_train[own],
            x_test=digits.x_test,
            y_test=digits.y_test,
        )
    return folders


def start(deployment: Deployment, data: dict[str, Path]) -> dict[str, Process]:
    """Start the SuperLink and all nodes; the stranger does not get in."""
    deployment.start_superlink()
    for name in (*NAMES, "Mallory", "Stranger"):
        make_key(deployment.folder, name)
        public = deployment.folder / f"{name}.pub"
        shutil.move(public, deployment.folder / "keys" / public.name)
    for name in (*NAMES, "Mallory"):
        deployment.register(name)
    nodes = {name: deployment.start_node(name, data_dir=data[name]) for name in NAMES}
    nodes["Mallory"] = deployment.start_node("Mallory", "Alpha", data["Alpha"])
    stranger = deployment.start_node("Stranger", "Beta", data["Beta"])
    for node in nodes.values():
        deployment.await_node(node)
    assert_refused(stranger)
    return nodes


def assert_refused(node: Process) -> None:
    """Check that the SuperLink does not take a node in, which says so and ends."""
    until("the node ends", lambda: node.popen.poll() is not None, 60)
    assert node.popen.returncode == 1
    assert "Failed to activate SuperNode" in node.text
    assert "SuperNode ID:" not in node.text


def plain_training(deployment: Deployment, data: dict[str, Path]) -> None:
    """Train as the page says, everybody on its own data: the same bits as in one process."""
    output = deployment.folder / "plain.json"
    config = run_config() | {
        "consortium": str(CONSORTIUM),
        "keys": str(deployment.folder / "keys"),
        "data-dir": str(data["server"]),
        "rounds": 2,
        "checkpoint": str(deployment.folder / "plain.checkpoint"),
        "output": str(output),
    }
    run = deployment.run(APP, config)
    document = deployment.finish(run, output, 240)
    assert "is refused: it says it is 'Alpha', but its key is another" in deployment.log_of(run)
    [notice] = document["notices"]  # Mallory, and nobody else
    assert notice.endswith("was refused: it says it is 'Alpha', but its key is another")
    assert [entry["reason"] for entry in document["entries"]] == [""] * 8
    assert {entry["outcome"] for entry in document["entries"]} == {"aggregated"}

    result: list[Training] = []
    plan = Plan.from_run_config(config | {"checkpoint": "", "output": "", "keys": ""})
    configs = [{"organization": name, "data-dir": str(data[name])} for name in NAMES]
    with quiet():
        server = make_server_app(plan, done=result.append)
        run_in_process(server, client_app, configs, plan.to_run_config())
    here = result[0].to_dict()
    assert document["accuracy"] == here["accuracy"]
    assert document["loss"] == here["loss"]
    assert document["organizations"][0].keys() == here["organizations"][0].keys()
    hashes = [
        [entry["update_sha256"] for entry in element["entries"]] for element in (document, here)
    ]
    assert hashes[0] == hashes[1]


def private_training(deployment: Deployment) -> None:
    """Train a round with Flower's mod and wrapper for differential privacy, held to pledges."""
    output = deployment.folder / "private.json"
    apps = app_folder(
        deployment.folder / "private",
        "private_apps:client_fixed",
        server="private_apps:server_client_fixed",
    )
    run = deployment.run(
        apps,
        {
            "consortium": str(CONSORTIUM),
            "keys": str(deployment.folder / "keys"),
            "rounds": 1,
            "round-seconds": 120.0,
            "output": str(output),
        },
    )
    document = deployment.finish(run, output, 240)
    assert {entry["outcome"] for entry in document["entries"]} == {"aggregated"}
    assert {entry["organization"] for entry in document["entries"]} == set(NAMES)
    for entry in document["entries"]:  # what the mod has clipped, and nothing was lost on the way
        assert 0.0 < entry["distance"] <= 0.25 * (1 + 1e-5)
        assert entry["samples_used"] == entry["samples_claimed"] > 0
    [refusal] = document["refusals"]  # Mallory
    assert "its key is another" in refusal


def training_with_faults(
    deployment: Deployment, nodes: dict[str, Process], faults: Path
) -> dict[str, Any]:
    """Four rounds: Beta is killed in the second, and back for the fourth; Gamma lies in all."""
    output, checkpoint = deployment.folder / "faulty.json", deployment.folder / "faulty.checkpoint"
    app = app_folder(deployment.folder / "app", "faulty_client:app")
    run = deployment.run(
        app,
        {
            "consortium": str(CONSORTIUM),
            "keys": str(deployment.folder / "keys"),
            "rounds": 4,
            "local-epochs": 5,
            "join-seconds": 60.0,
            "round-seconds": 120.0,
            "checkpoint": str(checkpoint),
            "output": str(output),
        },
    )
    until("Beta trains in round 2", (faults / "training").exists, 180)
    # The SuperNode alone: its app, which sleeps, must not outlive it.
    family = set(descendants(nodes["Beta"].popen.pid))
    assert family
    nodes["Beta"].popen.kill()
    nodes["Beta"].popen.wait()
    until("Beta's processes have ended", lambda: family.isdisjoint(processes()), 60)
    # The SuperLink believes for up to a minute that it is there, and takes no second one.
    assert_refused(deployment.start_node("Beta"))

    until("round 2 is over", lambda: rounds_done(checkpoint) >= 2, 180)
    supervise(deployment, "Beta")
    (faults / "go-on").touch()
    document = deployment.finish(run, output, 240)

    assert_what_was_measured(document)
    return document


def rounds_done(checkpoint: Path) -> int:
    """Return how many rounds a training has behind it."""
    return Checkpoint.read(checkpoint).rounds_done if checkpoint.exists() else 0


def supervise(deployment: Deployment, name: str, seconds: float = 90.0) -> None:
    """Start a node again until it is taken in, as a service manager does."""
    end = time.monotonic() + seconds
    while True:
        node = deployment.start_node(name)
        try:
            deployment.await_node(node)
        except AssertionError:
            if time.monotonic() > end:
                raise
        else:
            return


def assert_what_was_measured(document: dict[str, Any]) -> None:
    """Check that the ledger says what happened, and that the figures follow."""
    entries = {
        name: [entry for entry in document["entries"] if entry["organization"] == name]
        for name in NAMES
    }
    measured = {organization["name"]: organization for organization in document["organizations"]}
    held = {name: entry["samples_held"] for name, entry in measured.items()}
    owed = {
        name: int(np.ceil(entry["pledged_fraction"] * held[name] * (1.0 - 1e-12)))
        for name, entry in measured.items()
    }

    assert document["rounds"] == len(document["accuracy"]) == 4
    assert document["accuracy"][-1] > 0.8 > document["initial_accuracy"]

    beta = entries["Beta"]
    assert [entry["outcome"] for entry in beta] == ["aggregated", "absent", "absent", "aggregated"]
    assert beta[1]["reason"].startswith("node unavailable: ")
    assert "heartbeat" in beta[1]["reason"]
    assert beta[2]["reason"] == "not connected"
    assert [entry["samples_used"] for entry in beta] == [owed["Beta"], 0, 0, owed["Beta"]]
    assert (measured["Beta"]["rounds_present"], measured["Beta"]["rounds_asked"]) == (2, 4)
    assert measured["Beta"]["measured_fraction"] == owed["Beta"] / held["Beta"] / 2

    claim = 10 * held["Gamma"]
    assert claim > owed["Gamma"]
    for entry in entries["Gamma"]:
        assert (entry["outcome"], entry["samples_claimed"]) == ("aggregated", claim)
        assert entry["samples_used"] == owed["Gamma"]
        assert entry["reason"] == (
            f"claims {claim:,} samples but pledged {owed['Gamma']:,} and holds "
            f"{held['Gamma']:,}; capped at {owed['Gamma']:,}"
        )

    for name in ("Alpha", "Delta"):
        assert [entry["reason"] for entry in entries[name]] == [""] * 4
    for name in ("Alpha", "Gamma", "Delta"):
        assert measured[name]["rounds_present"] == 4
        assert measured[name]["measured_fraction"] == owed[name] / held[name]

    used = {name: owed[name] * measured[name]["rounds_present"] for name in NAMES}
    total = sum(used.values())
    assert document["aggregation_weights"] == {name: used[name] / total for name in NAMES}


def settlement(document: dict[str, Any], path: Path) -> None:
    """Settle what was measured, on the embedded chain."""
    done = tradefl("settle", CONSORTIUM, "--profile", path, "--json")
    assert done.returncode == 0, done.stderr
    settled = json.loads(done.stdout)
    measured = {
        organization["name"]: organization["measured_fraction"]
        for organization in document["organizations"]
    }
    reported = {
        organization["name"]: organization["data_ppb"] for organization in settled["organizations"]
    }
    assert reported == {name: pytest.approx(1e9 * d, abs=1.0) for name, d in measured.items()}


# --- the page -------------------------------------------------------------------------------------


def test_the_page_is_read() -> None:
    assert exported()["FLWR_TELEMETRY_ENABLED"] == "0"
    assert command("flower-superlink", port="1")[:5] == [
        *("flower-superlink", "--host", "0.0.0.0"),  # noqa: S104
        *("--port", "1"),
    ]
    with pytest.raises(ValueError, match="not in list"):
        command("flower-superlink", no_such_option="1")
    assert len(commands()) == 8


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words[:3]))
def test_what_is_installed_knows_every_option_of_the_page(words: list[str]) -> None:
    # What names the command, up to its first argument.
    name = [words[0], *itertools.takewhile(str.isalpha, words[1:])]
    text = subprocess.run(
        [str(SCRIPTS / name[0]), *name[1:], "--help"],
        capture_output=True,
        text=True,
        env=exported() | {"COLUMNS": "200", "NO_COLOR": "1", "HOME": str(Path.home())},
        timeout=60,
        check=True,
    ).stdout
    used = {word for word in words if word.startswith("--")}
    known = set(re.findall(r"--[a-z][a-z-]+", text))
    assert used <= known


def test_the_run_config_of_the_page_is_a_plan() -> None:
    plan = Plan.from_run_config(run_config())
    assert plan.partition == "own"
    app = tomllib.loads((APP / "pyproject.toml").read_text("utf-8"))["tool"]["flwr"]["app"]
    defaults = Plan(consortium="x").to_run_config() | {"consortium": ""}
    assert app["config"] == defaults, "the app lists every setting with its default"
    assert run_config().keys() <= defaults.keys()


def test_the_unit_of_the_page_starts_what_the_page_starts() -> None:
    unit = block("ini", "[Unit]").replace("\\\n", " ")
    [line] = re.findall(r"(?m)^ExecStart=(.*)$", unit)
    words = shlex.split(line)
    assert [Path(words[0]).name, *words[1:]] == command("flower-supernode")


@needs_tools
def test_the_certificates_and_keys_of_the_page(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    verified = subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.crt"),
            *("-verify_ip", "127.0.0.1", "-verify_hostname", "localhost", "server.pem"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    for secret in ("ca.key", "server.key"):
        assert (tmp_path / secret).stat().st_mode & 0o077 == 0
    make_key(tmp_path, "Alpha")
    assert (tmp_path / "Alpha").stat().st_mode & 0o077 == 0
    key = public_keys(tmp_path, ["Alpha"])["Alpha"]
    assert key.startswith(b"-----BEGIN PUBLIC KEY-----")


def test_the_page_names_the_tests() -> None:
    for name in re.findall(r"`(tests/[^`]+)`", PAGE):
        assert (ROOT / name).exists()
    assert (APPS / "sitecustomize.py").exists()
