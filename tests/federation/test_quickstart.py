"""The quickstart as its page has it: a wheel, an environment without this tree, ``flwr run .``."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradefl.federation import Terms

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples" / "quickstart-flower"


def test_flower_has_nothing_to_install_for_the_app():
    """It would fetch that from an index before every run, where a local wheel is not."""
    project = tomllib.loads((QUICKSTART / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == []


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the variables of an environment that has tradefl from a wheel alone."""
    pip = [sys.executable, "-m", "pip"]
    wheels, home = tmp_path / "wheels", tmp_path / "venv"
    isolation = [] if importlib.util.find_spec("hatchling") is None else ["--no-build-isolation"]
    build = [*pip, "wheel", "-q", "--no-deps", *isolation, "-w", str(wheels), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = wheels.glob("tradefl-*.whl")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    install = [*pip, "--python", str(python), "install", "-q", "--no-deps", "--no-index"]
    done = subprocess.run([*install, str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # What tradefl depends on, without what makes this tree importable: that is a .pth file, and
    # a folder named in another is not searched for them.
    base = {"base": str(home), "platbase": str(home)}
    packages = Path(sysconfig.get_path("purelib", vars=base))
    (packages / "rest.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for entry in importlib.metadata.distribution("flwr").entry_points:
        if entry.group == "console_scripts":
            script = home / "bin" / entry.name
            script.write_text(
                f"#!{python}\nimport sys\nfrom {entry.module} import {entry.attr}\n"
                f"sys.exit({entry.attr}())\n"
            )
            script.chmod(0o755)
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables |= {
        "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "FLWR_HOME": str(tmp_path / "flwr"),
        "FLWR_TELEMETRY_ENABLED": "0",
    }
    (tmp_path / "flwr").mkdir()
    yield variables
    # `flwr run` leaves its SuperLink running: ours is the one that this environment's home has.
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            mine = f"FLWR_HOME={tmp_path}".encode() in (entry / "environ").read_bytes()
            if mine and b"flower-superlink" in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGTERM)
        except OSError:
            continue


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_flwr_run_with_a_wheel_in_a_copy(environment: dict[str, str], tmp_path: Path):
    pytest.importorskip("ray")
    app = tmp_path / "app"
    shutil.copytree(QUICKSTART, app, ignore=shutil.ignore_patterns("__pycache__"))
    python = tmp_path / "venv" / "bin" / "python"
    where = [str(python), "-c", "import tradefl; print(tradefl.__file__)"]
    found = subprocess.run(where, env=environment, capture_output=True, text=True, check=True)
    assert str(tmp_path / "venv") in found.stdout  # the wheel, not this tree
    done = subprocess.run(
        ["flwr", "run", ".", "--stream"],
        cwd=app, env=environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result = app / "measured.json"
    assert result.is_file(), done.stdout + done.stderr
    document = json.loads(result.read_text())
    terms = Terms.load(QUICKSTART / "consortium.toml")
    assert document["measured_fraction"] == {
        pledge.organization: pledge.samples_owed / pledge.samples_held for pledge in terms.pledges
    }
    assert len(document["accuracy"]) == 6
    assert document["accuracy"][-1] > 0.8
    assert f"results: {result}" in done.stdout + done.stderr
