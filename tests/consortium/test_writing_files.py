"""Files that are written: whole, and with the mode and owner that they had."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from tradefl.consortium.files import atomic_write
from tradefl.errors import InputError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def test_a_new_file_gets_what_the_umask_leaves_and_a_private_one_less(tmp_path, umask):
    atomic_write(tmp_path / "new", b"1")
    atomic_write(tmp_path / "figures", b"1", private=True)
    atomic_write(tmp_path / "key", b"1", secret=True)
    assert mode_of(tmp_path / "new") == 0o640
    assert mode_of(tmp_path / "figures") == mode_of(tmp_path / "key") == 0o600


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, umask, mode, private):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    atomic_write(path, b"new", private=private)
    assert (path.read_bytes(), mode_of(path)) == (b"new", mode)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_key_narrows_the_file_that_it_replaces(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o644)
    atomic_write(path, b"key", secret=True)
    assert mode_of(path) == 0o600


def test_a_private_file_is_private_while_it_is_written(tmp_path, monkeypatch):
    path, seen = tmp_path / "file", []
    path.write_bytes(b"old")
    path.chmod(0o600)
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append(mode_of(self))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    atomic_write(path, b"new")
    atomic_write(tmp_path / "key", b"new", secret=True)
    assert seen == [0o600, 0o600]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_a_file_that_is_replaced_keeps_its_owner(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    atomic_write(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_a_group_that_cannot_be_kept_gets_nothing(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o660)
    own = path.stat()

    def refuse(*_: object) -> None:
        raise PermissionError

    class Other:
        st_mode, st_uid, st_gid = own.st_mode, own.st_uid, own.st_gid + 1

    monkeypatch.setattr(os, "chown", refuse)
    from tradefl.consortium import files

    files._keep_owner_and_mode(path, Other, secret=False)  # type: ignore[arg-type]
    assert mode_of(path) == 0o600


def test_the_umask_of_the_process_is_not_touched(tmp_path, monkeypatch):
    def touched(_: int) -> int:
        raise AssertionError("another thread would see it")

    monkeypatch.setattr(os, "umask", touched)
    atomic_write(tmp_path / "file", b"1")


def test_no_folder_is_one_clear_error(tmp_path):
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        atomic_write(tmp_path / "nowhere" / "file", b"1")
