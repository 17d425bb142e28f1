"""The command line as a process of its own: pipes, encodings, exit codes, what it loads."""

import json
import os
import subprocess
import sys

import pytest
from tests.cli.command import PLAIN, SOURCE, run_process
from tests.consortium.documents import document, organization, save


def test_the_module_runs_and_exits_0_1_and_2(tmp_path):
    path = save(tmp_path, document())
    solved = run_process("solve", path, "--json")
    assert (solved.code, solved.err) == (0, "")
    assert solved.json["status"] == "optimal"
    assert run_process("solve", path, "-m", "dbr", "--max-moves", 0).code == 1
    path.write_text("name = [")
    refused = run_process("solve", path, "--json")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith(f"error: {path}: not valid TOML")
    assert "Traceback" not in refused.err


@pytest.mark.parametrize(
    "command",
    [["check"], ["solve"], ["solve", "--json"], ["explain"], ["explain", "--markdown"]],
    ids=" ".join,
)
def test_a_reader_that_has_gone_leaves_no_traceback(tmp_path, command):
    path = save(tmp_path, document())
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ran = run_process(command[0], path, *command[1:], "--quiet", stdout=writer)
    finally:
        os.close(writer)
    assert ran.err == ""
    assert ran.code != 2


def test_head_of_a_long_document(tmp_path):
    """The reader leaves in the middle: far more is printed than a pipe holds."""
    entries = [organization(f"Org {k}") for k in range(900)]
    path = save(tmp_path, document({"organization": entries, "competition": {}}))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tradefl",
            "solve",
            str(path),
            "--json",
            "-m",
            "dbr",
            "--max-moves",
            "0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **PLAIN, "PYTHONPATH": str(SOURCE)},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"{\n"
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=60) != 2
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_names_beyond_the_terminals_encoding_are_no_traceback(tmp_path, encoding):
    changes = {"organization.0.name": "Zürich 中文", "competition": {}}
    path = save(tmp_path, document(changes))
    environment = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for arguments in (["solve", path, "--json"], ["solve", path]):
        done = subprocess.run(
            [sys.executable, "-m", "tradefl", *map(str, arguments)],
            capture_output=True,
            env={**os.environ, **PLAIN, "PYTHONPATH": str(SOURCE), **environment},
            check=False,
        )
        assert b"Traceback" not in done.stderr
        assert done.returncode == 0
        assert b"\\u2500" not in done.stdout  # the rule under the headings
    if encoding == "utf-8":
        assert "Zürich 中文" in done.stdout.decode()


def test_solving_a_small_file_does_not_load_numba(tmp_path):
    path = save(tmp_path, document())
    program = (
        "import sys\n"
        "from tradefl.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    import json\n"
        "    sys.stderr.write(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "solve", str(path), "--json"],
        capture_output=True,
        env={**os.environ, **PLAIN, "PYTHONPATH": str(SOURCE)},
        check=True,
    )
    assert json.loads(done.stdout)["status"] == "optimal"
    loaded = set(json.loads(done.stderr))
    assert "tradefl.solvers.dbr" in loaded
    assert not {"numba", "llvmlite"} & loaded


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("arguments", ["check {}", "solve {}", "chek {}", "solve", "check {}x"])
def test_without_streams_the_exit_code_still_tells(tmp_path, closed, arguments):
    """1 would say that the answer is no."""
    path = save(tmp_path, document())
    line = f"'{sys.executable}' -m tradefl {arguments.format(path)} {closed}"
    environment = {**os.environ, **PLAIN, "PYTHONPATH": str(SOURCE)}
    ran = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
