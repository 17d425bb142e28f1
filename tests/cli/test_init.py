"""``tradefl init``: writes a sample, once."""

import os
import stat

import pytest
from tests.cli.command import assert_refused, run

from tradefl.consortium import load, sample


def test_it_writes_a_sample_that_check_and_solve_accept(tmp_path):
    path = tmp_path / "mine.toml"
    ran = run("init", path)
    assert (ran.code, ran.out) == (0, "")
    assert str(path) in ran.err
    assert path.read_text() == sample()
    assert run("check", path).code == 0
    assert run("solve", path, "--strict").code == 0


def test_without_a_name_it_writes_consortium_toml_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("init").code == 0
    assert load("consortium.toml").name == "sample"
    assert list(tmp_path.iterdir()) == [tmp_path / "consortium.toml"]


def test_it_refuses_to_overwrite(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("precious")
    assert_refused(tmp_path, {"mine.toml": "already exists; --force replaces it"}, "init", path)
    assert path.read_text() == "precious"


def test_force_overwrites_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("old")
    assert run("init", path, "--force").code == 0
    assert path.read_text() == sample()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("force", [[], ["--force"]], ids=["", "force"])
def test_a_directory_is_never_overwritten(tmp_path, force):
    (tmp_path / "mine").mkdir()
    assert_refused(tmp_path, {"mine": "is a directory"}, "init", tmp_path / "mine", *force)
    assert (tmp_path / "mine").is_dir()


@pytest.mark.parametrize("force", [[], ["--force"]], ids=["", "force"])
def test_a_missing_folder_is_an_error_and_is_not_made(tmp_path, force):
    expected = {"no/mine.toml": "cannot be written: No such file or directory"}
    assert_refused(tmp_path, expected, "init", tmp_path / "no" / "mine.toml", *force)
    assert list(tmp_path.iterdir()) == []


def test_a_dash_prints_the_sample_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = run("init", "-")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.strip() == sample().strip()
    assert list(tmp_path.iterdir()) == []


def test_force_does_not_replace_what_is_no_file(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    ran = run("init", path, "--force")
    assert (ran.code, ran.out) == (2, "")
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert ran.err.startswith(f"error: {path}: ")
    assert "--force replaces it" not in ran.err  # it was given
