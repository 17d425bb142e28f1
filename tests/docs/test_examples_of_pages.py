"""What pages show and cannot run where they stand: a package's entry points, a script on Ray."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.docs.test_pages import ROOT, WARNINGS
from tests.optional import skip_without_extra

HOW_TO = ROOT / "docs" / "how-to"


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    text = (HOW_TO / page).read_text("utf-8")
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)


def run(folder: Path, *command: str) -> str:
    """Run Python in a folder; return its stdout."""
    path = os.pathsep.join((str(folder), str(ROOT / "src")))
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    skip_without_extra(done.stderr)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_model_and_the_data_of_the_page_train_by_name(tmp_path: Path) -> None:
    data, package, _ = blocks("own-data-and-model.md", "python")
    (metadata,) = blocks("own-data-and-model.md", "toml")
    (tmp_path / "assays.py").write_text(package, "utf-8")
    # What pip would leave behind.
    project = tomllib.loads(metadata)["project"]
    info = tmp_path / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", "utf-8"
    )
    groups = (
        f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in names.items())
        for group, names in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups), "utf-8")
    run(tmp_path, "-c", data)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (shell,) = (
        block for block in blocks("own-data-and-model.md", "sh") if "pip install ." in block
    )
    (command,) = (line for line in shell.splitlines() if line.startswith("tradefl "))
    printed = run(tmp_path, *WARNINGS, "-m", *command.split(), "--rounds", "2", "--json")
    document = json.loads(printed)
    assert (document["model"], document["data"]) == ("centroids", "assays")
    assert document["accuracy"][-1] > 0.9 > document["initial_accuracy"]


def test_the_sweep_of_the_page_is_the_same_on_ray(tmp_path: Path) -> None:
    if find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install 'tradefl[sweep]'")
    (here,), (there,) = blocks("sweep-on-ray.md", "python"), blocks("sweep-on-ray.md", "py")
    (tmp_path / "sweep.py").write_text(f"{here}{there}", "utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    assert run(tmp_path, "sweep.py").splitlines()[-1] == "same as here: True"
