"""``tradefl.sweep``: the same values wherever they are computed, and what is said otherwise."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.optional import skip_without_extra
from tests.sweep import tasks

import tradefl
from tradefl.errors import InputError, MissingExtraError
from tradefl.sweep import SweepError, children, code, identity, parts, pool, sweeping

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


def numbers(count: int, **more: object) -> list[dict[str, object]]:
    return [{"number": number, **more} for number in range(count)]


# --- values ------------------------------------------------------------------------------------


def test_the_verb_keeps_its_name_beside_the_room():
    import tradefl.sweep.pool

    assert callable(tradefl.sweep)
    assert sys.modules["tradefl.sweep"].sweep is tradefl.sweep


def test_values_do_not_depend_on_where_they_are_computed(tmp_path):
    units = numbers(40)
    here = tradefl.sweep(tasks.third, units, workers=1)
    assert here == [{"number": k, "third": k / 3.0, "list": [0, 1]} for k in range(40)]
    assert tradefl.sweep(tasks.third, units, tmp_path, workers=2) == here
    assert tradefl.sweep(tasks.third, units, tmp_path, workers=1) == here


def test_arguments_by_position_and_no_units_at_all():
    assert tradefl.sweep(tasks.third, [[3]], workers=1)[0]["number"] == 3
    assert tradefl.sweep(tasks.third, [], workers=2) == []


def test_what_is_done_is_not_done_again_and_equal_units_once(tmp_path):
    log, seen = tmp_path / "log", []
    more = {"log": str(log)}
    tradefl.sweep(tasks.third, numbers(2, **more), tmp_path / "out", workers=1)
    units = numbers(4, **more) + numbers(3, **more)
    found = tradefl.sweep(tasks.third, units, tmp_path / "out", workers=2, watch=seen.append)
    assert [log_["number"] for log_ in found] == [0, 1, 2, 3, 0, 1, 2]
    assert sorted(log.read_text().split()) == ["0", "1", "2", "3"]
    assert (seen[0].done, seen[0].units) == (2, 4)
    assert (seen[-1].done, seen[-1].units, seen[-1].seconds_left) == (4, 4, 0.0)


def test_a_function_without_a_file_is_computed_here():
    assert tradefl.sweep(lambda x: x + 1, [[1], [2]]) == [2, 3]
    with pytest.raises(InputError, match=r"workers: .* is in no file"):
        tradefl.sweep(lambda x: x, [[1]], workers=2)
    with pytest.raises(InputError, match=r"out: .* is in no file"):
        tradefl.sweep(lambda x: x, [[1]], "out")


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ([3], r"units\[0\]: expected a mapping or a list of arguments, got 3"),
        (["ab"], r"units\[0\]: expected a mapping"),
        ([[1], [float("nan")]], r"units\[1\]: expected numbers"),
        ([{"x": object()}], r"units\[0\]: expected numbers"),
    ],
)
def test_units_that_are_no_plain_values(units, said):
    with pytest.raises(InputError, match=said):
        tradefl.sweep(tasks.third, units, workers=1)


def test_a_place_that_cannot_be_a_folder_and_no_workers(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="cannot be made"):
        tradefl.sweep(tasks.third, numbers(1), tmp_path / "out", workers=1)
    with pytest.raises(InputError, match="workers: expected an integer >= 1, got 0"):
        tradefl.sweep(tasks.third, numbers(1), workers=0)


def test_without_ray_there_is_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr(pool.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"ray: .*tradefl\[sweep\]"):
        tradefl.sweep(tasks.third, numbers(2), ray="local")


def test_what_a_unit_prints_is_not_on_standard_output(capfd):
    assert tradefl.sweep(tasks.loud, numbers(3), workers=2) == [0, 1, 2]
    assert capfd.readouterr().out == ""


def test_workers_have_one_thread_and_the_host_keeps_its_variables():
    before = dict(os.environ)
    found = tradefl.sweep(tasks.variables, [[], {}], workers=2)
    # Equal units are computed once, so one worker was enough; it was another process all the same.
    assert found[0].keys() == found[1].keys()
    assert dict(os.environ) == before
    many = tradefl.sweep(tasks.process, numbers(4), workers=2)
    assert os.getpid() not in many


# --- other code --------------------------------------------------------------------------------


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """Workers that import a copy of the package in which one constant of a solver differs."""
    package = Path(tradefl.__file__).parent
    copy = tmp_path / "foreign" / "tradefl"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / "solvers" / "fip.py").open("a") as stream:
        stream.write("STEP = 0.25\n")
    own = children.search_path
    monkeypatch.setattr(children, "search_path", lambda: [str(copy.parent), *own()])
    return copy


def test_a_worker_with_other_code_is_refused_before_it_computes(foreign, tmp_path):
    log = tmp_path / "log"
    said = rf"workers: .* other code of tradefl {tradefl.__version__} there"
    with pytest.raises(InputError, match=said):
        tradefl.sweep(tasks.third, numbers(4, log=str(log)), tmp_path / "out", workers=2)
    assert not log.exists()
    assert not list((tmp_path / "out").rglob("*.part"))


def test_a_worker_with_another_version_is_refused(foreign):
    version = foreign / "_version.py"
    version.write_text(version.read_text().replace(tradefl.__version__, "9.9.9"))
    with pytest.raises(InputError, match=r"tradefl 9\.9\.9 there") as caught:
        tradefl.sweep(tasks.third, numbers(4), workers=2)
    assert len(caught.value.lines()) == 1


def test_the_key_has_the_libraries_and_the_part_the_whole_digest(tmp_path, monkeypatch):
    log = tmp_path / "log"
    units = numbers(1, log=str(log))
    tradefl.sweep(tasks.third, units, tmp_path / "out", workers=1)
    [segment] = (tmp_path / "out").rglob("*.part")
    assert json.loads(segment.read_text().split("\n")[0])["identity"] == identity.here()
    other = {**identity.here(), "numpy": "0.1"}
    monkeypatch.setattr(sweeping, "here", lambda: other)
    tradefl.sweep(tasks.third, units, tmp_path / "out", workers=1)
    assert log.read_text().split() == ["0", "0"]


SCRIPT = """
import tradefl
from assistant import factor

def times(number):
    return factor() * number

if __name__ == "__main__":
    print(tradefl.sweep(times, [[k] for k in range(4)], "out", workers=2))
"""


def test_a_guarded_script_with_a_helper(tmp_path):
    """The helper is part of the key: after it has changed, everything is computed again."""
    (tmp_path / "script.py").write_text(SCRIPT)
    found = []
    for factor in (2, 2, 3):
        (tmp_path / "assistant.py").write_text(f"def factor():\n    return {factor}\n")
        command = [sys.executable, str(tmp_path / "script.py")]
        done = subprocess.run(
            command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found.append((json.loads(done.stdout), len(list((tmp_path / "out").rglob("*.part")))))
    assert [values for values, _ in found] == [[0, 2, 4, 6], [0, 2, 4, 6], [0, 3, 6, 9]]
    assert found[0][1] == found[1][1] < found[2][1]


def test_the_helper_of_the_driver_is_used_not_the_workers_own(tmp_path, monkeypatch):
    """Were helpers looked up by name, another file of that name would be mixed in."""
    (tmp_path / "tests" / "sweep").mkdir(parents=True)
    (tmp_path / "tests" / "sweep" / "helper.py").write_text("FACTOR = 1000.0\n")
    own = children.search_path
    monkeypatch.setattr(children, "search_path", lambda: [str(tmp_path), *own()])
    assert tradefl.sweep(tasks.third, numbers(2), workers=2)[1]["third"] == 1.0 / 3.0


def test_what_is_installed_beside_site_packages_does_not_travel(tmp_path, monkeypatch):
    """As ``pip install --target`` and the module systems of clusters leave it."""
    for place in (tmp_path / "mine", tmp_path / "target" / "installed_here"):
        place.mkdir(parents=True)
    (tmp_path / "target" / "installed_here" / "__init__.py").write_text("VALUE = 3\n")
    record = tmp_path / "target" / "installed_here-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: installed-here\nVersion: 1.0\n")
    (record / "top_level.txt").write_text("installed_here\n")
    (tmp_path / "mine" / "own_work.py").write_text(
        "import installed_here\n\ndef work():\n    return installed_here.VALUE\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "target"))
    monkeypatch.syspath_prepend(str(tmp_path / "mine"))
    code._recorded.cache_clear()
    own_work = importlib.import_module("own_work")
    found = code.code_of(own_work.work)
    assert found is not None
    assert list(found.sources) == ["own_work"]
    assert tradefl.sweep(own_work.work, [[], []], workers=2) == [3, 3]
    code._recorded.cache_clear()


def test_a_script_without_a_guard_says_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    (tmp_path / "assistant.py").write_text("def factor():\n    return 1\n")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "guard the script's work" in done.stderr


# --- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "cause"), [("raise", "ArithmeticError: no 5"), ("exit", "SystemExit: 3")]
)
def test_a_failing_unit_is_tried_again_then_named_and_all_others_are_done(tmp_path, how, cause):
    marks = tmp_path / "marks"
    marks.mkdir()
    units = numbers(12, bad=5, folder=str(marks), how=how)
    with pytest.raises(SweepError) as caught:
        tradefl.sweep(tasks.fragile, units, tmp_path / "out", workers=2)
    [line] = caught.value.lines()
    assert line.startswith(f"fragile units[5]: {cause}; all other units are done; run again")
    assert len(list(marks.iterdir())) == 2  # tried by two workers
    assert len({mark.name.partition("-")[0] for mark in marks.iterdir()}) == 2
    [failure] = caught.value.failures
    assert failure.unit == "fragile units[5]"
    assert "Traceback" in failure.trace
    done = {entry.name for entry in parts.everything(tmp_path / "out" / "parts" / "tasks.fragile")}
    assert done == {f"fragile units[{k}]" for k in range(12) if k != 5}


def test_in_one_process_a_failure_keeps_its_exception(tmp_path):
    units = numbers(3, bad=1, folder=str(tmp_path))
    with pytest.raises(SweepError, match=r"fragile units\[1\]: ArithmeticError: no 1") as caught:
        tradefl.sweep(tasks.fragile, units, workers=1)
    assert isinstance(caught.value.__cause__, ArithmeticError)


def test_failures_of_one_kind_are_one_line():
    with pytest.raises(SweepError) as caught:
        tradefl.sweep(tasks.strange, numbers(9), workers=1)
    [line] = caught.value.lines()
    assert line.startswith("strange units[0], strange units[1]")
    assert "and 4 more: TypeError: returned a object; expected numbers" in line


def test_a_unit_that_ends_its_process_twice_is_named(tmp_path):
    marks, notes = tmp_path / "marks", []
    marks.mkdir()
    units = numbers(12, bad=5, folder=str(marks), how="kill")
    with pytest.raises(SweepError, match=r"fragile units\[5\]: its process ended \(signal 9\)"):
        tradefl.sweep(tasks.fragile, units, workers=2, notify=notes.append)
    assert len(notes) == 1
    assert notes[0].startswith("lost on the way: ")


def test_lost_workers_change_no_value(tmp_path):
    notes = []
    found = tradefl.sweep(
        tasks.once, numbers(10, folder=str(tmp_path)), workers=2, notify=notes.append
    )
    assert found == [k * k for k in range(10)]
    assert len(notes) == 1


def test_processes_that_never_start_are_reported(monkeypatch, capfd):
    monkeypatch.setattr(children, "PROGRAM", "raise SystemExit(4) # {path!r} {module}")
    with pytest.raises(InputError, match="workers: processes end before they have computed"):
        tradefl.sweep(tasks.third, numbers(4), workers=2)


def test_a_folder_of_an_earlier_version_is_not_read_and_that_is_said(tmp_path):
    folder = tmp_path / "parts" / "tasks.third"
    folder.mkdir(parents=True)
    (folder / "seed-1.0123456789abcdef.csv").write_text("a,b\n")
    notes = []
    tradefl.sweep(tasks.third, numbers(1), tmp_path, workers=1, notify=notes.append)
    assert notes == [f"{folder} has parts of an earlier version; they are not read"]


def test_parts_of_another_kind_of_processor(tmp_path, monkeypatch):
    log, notes = tmp_path / "log", []
    units = numbers(2, log=str(log))
    monkeypatch.setattr(sweeping, "kind", lambda: "another")
    tradefl.sweep(tasks.third, units[:1], tmp_path, workers=1)
    monkeypatch.undo()
    tradefl.sweep(tasks.third, units, tmp_path, workers=1, notify=notes.append)
    assert len(notes) == 1
    assert notes[0].startswith("computed on 2 kinds of processors (another; ")
    assert log.read_text().split() == ["0", "1"]
    tradefl.sweep(tasks.third, units, tmp_path, workers=1, same_bytes=True, notify=notes.append)
    assert log.read_text().split() == ["0", "1", "0"]
    assert len(notes) == 1


# --- bounds ------------------------------------------------------------------------------------


class Silent:
    """A child that only takes note of what it is sent."""

    def __init__(self, *_: object, **__: object) -> None:
        self.capacity, self.batches, self.jobs, self.ready = 2, {}, set(), True
        self.sent = []

    def send(self, what: str, number: int, content: object) -> None:
        if what == "batch":
            self.sent.append((number, content))


def test_a_few_batches_are_under_way_and_short_units_are_joined():
    items = [pool.Item(str(k), str(k), 0, [k]) for k in range(60_000)]
    job = pool.Job(None)  # type: ignore[arg-type]
    done = []
    one = pool.LocalPool(
        2, items, [job], done=lambda values, _: done.extend(values),
        failed=lambda *_: None, sized=lambda _: None,
    )  # fmt: skip
    two = [Silent(), Silent()]
    one.children = two
    batches, largest = 0, 0
    while one._open:
        for child in two:
            one._fill(child)
            assert len(child.batches) <= 2
        for child in two:
            for number, (_, units) in child.sent:
                batches += 1
                largest = max(largest, len(units))
                values = [(k, "0") for k, _ in units]
                one._heed(child, "done", number, values, 1e-4 * len(units), "kind")
            child.sent = []
    assert [number for number, _ in done] == list(range(60_000)) or len(dict(done)) == 60_000
    assert largest > 1000  # a second of them would be 10,000
    assert batches < 200


# --- the ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_and_its_processes(tmp_path, sent, code):
    command = [sys.executable, "-m", "tradefl", "reproduce", "fig6", "--seeds", "5000"]
    command += ["--workers", "2", "--out", str(tmp_path / "out")]
    first = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120.0
    while not list((tmp_path / "out").glob("parts/*/*.part")) and time.monotonic() < until:
        if first.poll() is not None:
            said = first.communicate()[1]
            skip_without_extra(said)
            pytest.fail(f"it ended before it was told to: {said}")
        time.sleep(0.05)
    workers = [
        int(entry.parent.name) for entry in Path("/proc").glob("[0-9]*/stat")
        if _parent_of(entry) == first.pid
    ]  # fmt: skip
    assert len(workers) == 2
    first.send_signal(sent)
    said = first.communicate(timeout=60.0)[1]
    assert first.returncode == code
    assert said.rstrip().endswith("note: stopped; the same command goes on from what is done")
    assert "Traceback" not in said
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def _parent_of(entry: Path) -> int:
    try:
        return int(entry.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1
