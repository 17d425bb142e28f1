"""Every hostile input ends with one clear line, exit code 2, below 1 GB and 10 s."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.hostile.inputs import INPUTS
from tests.optional import MISSING, skip_without_extra

ROOT = Path(__file__).parents[2]
GIGABYTE = 10**9
SECONDS = 10.0


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the command line made of each input, all in one process of their own."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("memory is measured on Linux only")
    folder = tmp_path_factory.mktemp("hostile")
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.inputs", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "results.json").read_text("utf-8"))


def test_there_are_at_least_sixty_and_each_has_a_name():
    assert len({input_.name for input_ in INPUTS}) == len(INPUTS) >= 60


@pytest.mark.parametrize("given", INPUTS, ids=lambda given: given.name)
def test_a_hostile_input_ends_with_one_clear_line(results, given):
    found = results[given.name]
    if found.get("missing") in MISSING:
        pytest.skip(f"needs {found['missing']}")
    skip_without_extra(found["err"])
    lines = found["err"].splitlines()
    assert found["code"] == 2, found["err"][:500]
    assert found["out"] == ""
    assert lines
    assert given.says in found["err"]
    for line in lines:
        assert line.startswith(("error: ", "... and "))
        assert line.isprintable()
        assert len(line) < 3_000
    assert len(lines) <= 21
    assert "Traceback" not in found["err"]
    assert "hunter" not in found["err"]
    assert found["peak"] < GIGABYTE
    assert found["cpu"] < SECONDS
