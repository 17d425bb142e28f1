"""A worker proves what it runs: versions, and one digest of the whole package."""

from __future__ import annotations

import functools
import pickle
import shutil
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from tests.sweep import tasks

import tradefl
from tradefl.sweep import code as travelled
from tradefl.sweep import identity
from tradefl.sweep.code import code_of
from tradefl.sweep.worker import Job, compute_job

PACKAGE = Path(tradefl.__file__).parent


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").write_bytes(b"A = 1\nB = 2\n")
    (folder / "deep" / "data.json").write_bytes(b"{}\n")
    return folder


def test_line_ends_caches_and_hidden_files_do_not_matter(package):
    before = identity.package_digest(package)
    (package / "__init__.py").write_bytes(b"A = 1\r\nB = 2\r\n")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
    (package / "deep" / "y.pyc").write_bytes(b"y")
    (package / ".hidden").write_text("z")
    assert identity.package_digest(package) == before


@pytest.mark.parametrize("file", ["__init__.py", "deep/data.json"])
def test_a_byte_of_any_file_matters_and_so_does_its_name(package, file):
    before = identity.package_digest(package)
    place = package / file
    content = place.read_bytes()
    place.write_bytes(content.replace(b"\n", b" \n", 1))
    changed = identity.package_digest(package)
    place.write_bytes(content)
    assert identity.package_digest(package) == before
    place.rename(place.with_name("other.py"))
    assert len({before, changed, identity.package_digest(package)}) == 3


def test_files_cannot_trade_their_content(package):
    (package / "b.py").write_bytes(b"x")
    (package / "c.py").write_bytes(b"")
    before = identity.package_digest(package)
    (package / "b.py").write_bytes(b"")
    (package / "c.py").write_bytes(b"x")
    assert identity.package_digest(package) != before


def test_the_identity_of_this_process():
    own = identity.here()
    assert own["python"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert own["tradefl"] == tradefl.__version__
    assert own["code"] == identity.package_digest(PACKAGE)
    assert not identity.difference(own, identity.take())


def test_a_difference_is_named():
    own = identity.here()
    for name in (*identity.ENVIRONMENT, "tradefl"):
        assert identity.difference(own, {**own, name: "0.0"}) == (
            f"{name} 0.0 there, {own[name]} here"
        )
    other = identity.difference(own, {**own, "code": "0"})
    assert other == f"other code of tradefl {tradefl.__version__} there"
    assert identity.difference(own, {}) != ""
    absent = {**own, "tradefl": identity.ABSENT, "code": identity.ABSENT}
    assert identity.difference(own, absent) == "tradefl is not installed there"


def test_the_kind_of_processor_matters_only_where_it_is_asked_for():
    own, kind = identity.here(), identity.kind()
    assert kind == identity.kind()
    assert not identity.difference(own, {**own, "kind": "another"})
    assert "another kind" in identity.difference({**own, "kind": kind}, {**own, "kind": "another"})


@pytest.fixture
def fresh_gate(monkeypatch):
    """Run the gate here, and undo what it does to a worker: modules that travelled are loaded."""
    monkeypatch.setattr(sys, identity._KEPT, None, raising=False)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(travelled, "_installed", {})
    with patch.dict(sys.modules):
        yield


def test_a_task_on_ray_is_refused_before_it_computes(fresh_gate, tmp_path):
    log = tmp_path / "log"
    code = code_of(tasks.third)
    assert code is not None
    job = pickle.dumps(functools.partial(compute_job, Job(code)))
    units = [(0, {"number": 1, "log": str(log)})]
    foreign = {**identity.here(), "code": "of another"}
    what, node, differs = identity.gate(foreign, job, units)
    assert (what, differs) == ("refused", f"other code of tradefl {tradefl.__version__} there")
    assert node
    assert not log.exists()
    what, _, outcomes, seconds, kind = identity.gate(identity.here(), job, units)
    assert (what, outcomes[0][0], kind) == ("done", 0, identity.kind())
    assert seconds > 0.0
    assert log.read_text() == "1\n"


def test_another_version_of_a_package_is_seen_without_importing_it(tmp_path, monkeypatch):
    shutil.copytree(PACKAGE, tmp_path / "tradefl_other", ignore=shutil.ignore_patterns("*.pyc"))
    monkeypatch.syspath_prepend(str(tmp_path))
    found = identity.take("tradefl_other")
    assert found["code"] == identity.here()["code"]
    with (tmp_path / "tradefl_other" / "solvers" / "fip.py").open("a") as stream:
        stream.write("\n")
    assert identity.take("tradefl_other")["code"] != identity.here()["code"]
    assert identity.take("tradefl_nowhere")["code"] == identity.ABSENT
    assert "tradefl_other" not in sys.modules
