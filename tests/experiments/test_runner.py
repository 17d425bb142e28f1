"""Units on any number of processes: the same rows, kept as they come, never taken for others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from tests.experiments import toy

from tradefl.errors import InputError, MissingExtraError
from tradefl.experiments import FIGURES, Settings, figure, reproduction, runner
from tradefl.experiments.runner import compute_all, to_csv
from tradefl.sweep import parts

ROOT = Path(__file__).parents[2]


def test_rows_come_in_the_order_of_the_units_with_all_their_digits(tmp_path):
    rows = compute_all([toy.figure()], Settings(seeds=3), tmp_path, workers=1)["toy"]
    expected = pd.concat([toy.compute(seed) for seed in range(3)], ignore_index=True)
    pd.testing.assert_frame_equal(rows, expected, check_exact=True)


def test_processes_do_not_change_a_byte(tmp_path):
    settings = Settings(seeds=5)
    found = [
        to_csv(compute_all([toy.figure()], settings, tmp_path / str(k), workers=k)["toy"])
        for k in (1, 2)
    ]
    assert found[0] == found[1]


def test_ray_does_not_change_a_byte(tmp_path):
    """In a process of its own: Ray leaves much behind in the one that starts it."""
    pytest.importorskip("ray")
    settings = Settings(seeds=4)
    here = compute_all([figure("fig6")], settings, tmp_path / "here", workers=1)["fig6"]
    command = [sys.executable, "-m", "tradefl", "reproduce", "fig6", "--seeds", "4"]
    command += ["--workers", "2", "--ray", "local", "--out", str(tmp_path / "ray")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ray" / "fig6.csv").read_bytes() == to_csv(here)


def test_what_is_done_is_not_done_again(tmp_path):
    log = tmp_path / "log"
    seen = []
    one = toy.figure(log=log)
    compute_all([one], Settings(seeds=2), tmp_path / "out", workers=1)
    compute_all([one], Settings(seeds=4), tmp_path / "out", workers=1, watch=seen.append)
    assert log.read_text().split() == ["0", "1", "2", "3"]
    assert [(step.done, step.units) for step in seen] == [(2, 4), (3, 4), (4, 4)]


def test_figures_share_the_units_that_are_the_same(tmp_path):
    log = tmp_path / "log"
    two = [toy.figure("one", log), toy.figure("two", log)]
    frames = compute_all(two, Settings(seeds=2), tmp_path / "out", workers=1)
    assert log.read_text().split() == ["0", "1"]
    assert frames["one"].equals(frames["two"])


def test_rows_of_other_code_or_settings_are_not_taken_for_these(tmp_path, monkeypatch):
    log = tmp_path / "log"
    one = toy.figure(log=log)
    compute_all([one], Settings(seeds=1), tmp_path / "out", workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(runner, "__version__", "another")
        compute_all([one], Settings(seeds=1), tmp_path / "out", workers=1)
    compute_all([toy.figure(log=log, fatal=77)], Settings(seeds=1), tmp_path / "out", workers=1)
    assert log.read_text().split() == ["0"] * 3


def test_what_was_cut_off_while_it_was_written_is_never_read(tmp_path, monkeypatch):
    class CutError(Exception):
        pass

    def cut(*_: object) -> None:
        raise CutError

    one, out = toy.figure(), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", cut)
        patch.setattr(Path, "replace", cut)
        with pytest.raises(CutError):
            compute_all([one], Settings(seeds=2), out, workers=1)
    assert not list((out / "parts").glob("*/*.part"))
    assert len(compute_all([one], Settings(seeds=2), out, workers=1)["toy"]) == 4


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", None])
def test_a_damaged_part_is_computed_again(tmp_path, damage):
    one, settings = toy.figure(), Settings(seeds=2)
    good = compute_all([one], settings, tmp_path, workers=1)["toy"]
    before = set((tmp_path / "parts").glob("*/*.part"))
    [part] = (path for path in before if b"toy seed-1" in path.read_bytes())
    content = part.read_bytes()
    # Cut off, no text at all, or with another digit somewhere.
    part.write_bytes(content.replace(b"0.6", b"0.7", 1) if damage is None else damage)
    assert part.read_bytes() != content
    pd.testing.assert_frame_equal(compute_all([one], settings, tmp_path, workers=1)["toy"], good)
    assert len(set((tmp_path / "parts").glob("*/*.part")) - before) == 1


def test_a_process_that_dies_is_told_and_the_rest_is_kept(tmp_path):
    notes = []
    with pytest.raises(InputError, match=r"toy seed-3: its process ended \(1\)"):
        compute_all(
            [toy.figure(fatal=3)], Settings(seeds=6), tmp_path, workers=2, notify=notes.append
        )
    kept = {entry.name for entry in parts.everything(tmp_path / "parts" / "toy.compute")}
    assert kept == {f"toy seed-{seed}" for seed in range(6) if seed != 3}
    assert notes == ["lost on the way: 2 workers; computed again: 2 units"]


def test_what_a_unit_raises_arrives(tmp_path):
    broken = toy.figure()
    with pytest.raises(ValueError, match=r"no module tradefl\.nowhere"):
        compute_all(
            [type(broken)(**{**vars(broken), "sources": ("tradefl.nowhere",)})],
            Settings(seeds=1), tmp_path, workers=1,
        )  # fmt: skip


def test_a_place_that_cannot_be_a_folder(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="cannot be made"):
        compute_all([toy.figure()], Settings(seeds=1), tmp_path / "out", workers=1)


def test_without_ray_there_is_the_line_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"tradefl\[sweep\]"):
        compute_all([toy.figure()], Settings(seeds=2), tmp_path, ray_address="local")


def test_every_name_has_its_figure():
    for name in FIGURES:
        found = figure(name)
        assert found.name == name
        assert found.title
    with pytest.raises(ValueError, match="expected one of fig4"):
        figure("fig3")


def test_a_reproduction_writes_everything_and_the_same_bytes_again(tmp_path, monkeypatch):
    monkeypatch.setattr(reproduction, "figure", lambda name: toy.figure(name))
    for folder in ("a", "b"):
        card = reproduction.reproduce(
            ["one", "two", "one"], Settings(seeds=2), tmp_path / folder, workers=1
        )
    assert card.counts()["reproduced"] == 2
    names = {path.name for path in (tmp_path / "a").iterdir() if path.is_file()}
    assert names == {
        *(f"{name}.{kind}" for name in ("one", "two")
          for kind in ("csv", "summary.csv", "svg", "png", "html")),
        "scorecard.md", "scorecard.json",
    }  # fmt: skip
    for name in names - {"one.html", "two.html", "one.png", "two.png"}:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert "`tradefl reproduce one`" in (tmp_path / "a" / "scorecard.md").read_text()


def test_a_run_that_is_killed_goes_on(tmp_path):
    """From the shell: the second run computes what the first one had not, and nothing else."""
    command = [sys.executable, "-m", "tradefl", "reproduce", "fig6", "--seeds", "60"]
    command += ["--workers", "1", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    folder = tmp_path / "out" / "parts"
    first = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 240.0
    while not list(folder.glob("*/*.part")) and time.monotonic() < until:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*/*.part")}
    done = [entry.key for entry in parts.everything(folder / "fig6.compute")]
    assert kept
    assert 0 < len(done) < 60
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert all(path.stat().st_mtime_ns == kept[path] for path in kept)
    everything = [entry.key for entry in parts.everything(folder / "fig6.compute")]
    assert len(set(everything)) == len(everything) == 60
    assert len(pd.read_csv(tmp_path / "out" / "fig6.csv")) == 60 * 5


def test_the_processes_end_with_the_one_that_started_them(tmp_path):
    """Also when it is killed, and has no time to stop them."""
    command = [sys.executable, "-m", "tradefl", "reproduce", "fig6", "--seeds", "5000"]
    command += ["--workers", "2", "--out", str(tmp_path / "out")]
    mark = f"MARK={tmp_path}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "MARK": str(tmp_path)}

    def alive() -> list[int]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    first = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 240.0
    while not list((tmp_path / "out").glob("parts/*/*.part")) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(alive()) > 2
    first.kill()
    first.wait()
    until = time.monotonic() + 20.0
    while alive() and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive()
