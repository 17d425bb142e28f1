"""Figures of organizations, written by a command, are for the owner alone, unless it says more."""

import os
import stat

import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save

# The command behind the file, and what it writes.
WRITERS = {
    "solve": (["--output", "x.json", "--trace", "x.csv", "--method", "dbr"], ["x.json", "x.csv"]),
    "compare": (["--chart", "x.svg"], ["x.svg"]),
    "design": (["--output", "x.toml"], ["x.toml"]),
    "report": (["--output", "x.html", "--no-tune", "--no-compare"], ["x.html"]),
    "negotiate": (["--output", "x.json"], ["x.json"]),
    "settle": (["--output", "x.json", "--quiet"], ["x.json"]),
    "train": (["--output", "x.json", "--rounds", 1, "--quiet", "--overwrite"], ["x.json"]),
    "init": ([], ["new.toml"]),
}


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A consortium, in a process that gives everybody everything."""
    monkeypatch.chdir(tmp_path)
    before = os.umask(0)
    yield save(tmp_path, document())
    os.umask(before)


@pytest.mark.parametrize("command", WRITERS)
def test_new_private_and_replaced_as_it_was(file, tmp_path, command):
    options, written = WRITERS[command]
    given = tmp_path / "new.toml" if command == "init" else file
    for expected in (0o600, 0o640):
        again = ["--force"] if command == "init" and expected == 0o640 else []
        ran = run(command, given, *options, *again)
        assert ran.code == 0, ran
        for name in written:
            path = tmp_path / name
            assert stat.S_IMODE(path.stat().st_mode) == expected, name
            path.chmod(0o640)
