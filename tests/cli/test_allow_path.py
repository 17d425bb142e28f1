"""Tables outside the consortium file's folder: refused, unless the user allows their folder."""

import os

import pytest
from tests.cli.command import assert_refused, run
from tests.consortium.documents import (
    EMPIRICAL,
    FILE,
    NAMES,
    POINTS,
    document,
    organization,
    save,
    save_csv,
    with_table,
)

from tradefl.consortium import load
from tradefl.errors import InputError

OUTSIDE = "is not in the folder of this file"


@pytest.fixture
def folders(tmp_path):
    """A consortium's folder, and next to it one with a sound table."""
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    save_csv(other / "orgs.csv", [organization(name) for name in NAMES])
    (other / "points.csv").write_text(POINTS)
    (other / "rho.csv").write_text("0,0,0\n0,0,0\n0,0,0\n")
    return own, other


def with_file(key, name):
    return {
        "organizations_file": lambda: with_table(document(), name),
        "accuracy.points_file": lambda: document({"accuracy": {**EMPIRICAL, "points_file": name}}),
        "competition.matrix_file": lambda: document({"competition": {"matrix_file": name}}),
    }[key]()


TABLES = {
    "organizations_file": "orgs.csv",
    "accuracy.points_file": "points.csv",
    "competition.matrix_file": "rho.csv",
}


@pytest.mark.parametrize("key", TABLES)
@pytest.mark.parametrize("way", ["above", "absolute", "link", "linked folder"])
def test_a_sound_table_outside_the_folder_is_refused_until_it_is_allowed(folders, key, way):
    own, other = folders
    table = TABLES[key]
    name = {"above": f"../other/{table}", "absolute": f"{other / table}"}.get(way, table)
    if way == "link":
        (own / table).symlink_to(other / table)
    if way == "linked folder":
        (own / "sub").symlink_to(other)
        name = f"sub/{table}"
    path = save(own, with_file(key, name))
    ran = assert_refused(own, {f"{FILE}: {key}": OUTSIDE})
    assert "--allow-path" in ran.err
    with pytest.raises(InputError, match="as `allow`"):
        load(path)
    assert run("check", path, "--allow-path", other).code == 0
    assert load(path, allow=[other]).names == NAMES
    assert "TRADEFL_ALLOW_PATH" not in os.environ


def test_the_folder_is_allowed_for_every_command_with_a_file(folders):
    own, other = folders
    path = save(own, with_file("organizations_file", "../other/orgs.csv"))
    for command in ("check", "solve", "explain", "agreement", "tune", "compare"):
        assert run(command, path, "--allow-path", other, "-q").code == 0, command
    for command in (
        *("check", "solve", "explain", "tune", "design", "compare", "fit-accuracy", "train"),
        *("agreement", "attest", "settle", "audit", "run", "negotiate", "report", "dashboard"),
    ):
        assert "--allow-path" in run(command, "--help").out, command
    assert "--allow-path" not in run("init", "--help").out


def test_several_folders_and_the_environment(folders, monkeypatch, tmp_path):
    own, other = folders
    path = save(own, with_file("organizations_file", "../other/orgs.csv"))
    monkeypatch.setenv("TRADEFL_ALLOW_PATH", os.pathsep.join([str(tmp_path / "x"), str(other)]))
    assert load(path).names == NAMES
    monkeypatch.setenv("TRADEFL_ALLOW_PATH", str(tmp_path / "x"))
    assert run("check", path).code == 2
    more = ("--allow-path", own, "--allow-path", other)
    assert run("check", path, *more).code == 0
    assert os.environ["TRADEFL_ALLOW_PATH"] == str(tmp_path / "x")


def test_a_file_that_is_reached_through_a_link_has_its_tables_next_to_the_link(folders):
    own, other = folders
    path = save(own, with_file("organizations_file", "orgs.csv"))
    (other / "link.toml").symlink_to(path)
    assert load(other / "link.toml").names == NAMES
    (own / "folder").symlink_to(other)
    assert load(own / "folder" / "link.toml").names == NAMES


def test_an_allowed_folder_exists(folders, tmp_path):
    path = save(folders[0], document())
    ran = run("check", path, "--allow-path", tmp_path / "none")
    assert (ran.code, ran.out) == (2, "")
    assert (
        ran.err
        == f"error: --allow-path: {tmp_path / 'none'} is not a folder; name one that exists\n"
    )


@pytest.mark.parametrize("key", TABLES)
@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../secret.txt", "/dev/zero", "secret", "a.CSV.txt", "\x1b[2J.txt", ".csv/x"],
)
def test_what_is_not_a_table_is_not_opened(tmp_path, key, name):
    (tmp_path / "secret").write_text("the secret\n")
    save(tmp_path, with_file(key, name))
    ran = assert_refused(tmp_path, {f"{FILE}: {key}": "is not a table; expected a .csv, .tsv,"})
    assert "root:" not in ran.err
    assert ran.err.rstrip("\n").isprintable()


@pytest.mark.parametrize("key", TABLES)
def test_nothing_of_a_file_that_is_no_table_of_ours_is_printed(tmp_path, key):
    content = "hunter2 is the password\ndaemon:x:1:1\nname,hunter2\n"
    (tmp_path / "secret.csv").write_text(content)
    save(tmp_path, with_file(key, "secret.csv"))
    ran = run("check", tmp_path / FILE)
    assert (ran.code, ran.out) == (2, "")
    for word in ("hunter2", "password", "daemon"):
        assert word not in ran.err


def test_a_cell_is_shown_escaped_and_cut(tmp_path):
    hostile = "\x1b[2J" + "x" * 1000
    entry = {**organization("Alpha"), "profitability": hostile}
    save_csv(tmp_path / "orgs.csv", [entry])
    save(tmp_path, with_table(document({"competition": {}}), "orgs.csv"))
    ran = assert_refused(
        tmp_path, {"orgs.csv: line 2, profitability": r"expected a number, got '\x1b[2Jxxx"}
    )
    assert len(ran.err.rpartition("got ")[2]) <= 45
