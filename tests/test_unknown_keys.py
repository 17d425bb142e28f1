"""Unknown keys: ignored in every JSON document, errors in the file and in a checkpoint."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.command import run

import tradefl
from tradefl.errors import InputError
from tradefl.federation import Plan, train
from tradefl.federation.checkpoint import META

FILE = Path(__file__).parents[1] / "examples" / "drug_discovery.toml"


def with_news(value: Any) -> Any:
    """Return JSON in which each table has a key of a later version."""
    if isinstance(value, dict):
        # Tables by organization are not: their keys are names.
        named = "Alpha" in value
        news = {} if named else {"of_a_later_version": {"measured_fraction": 9}}
        return {key: with_news(part) for key, part in value.items()} | news
    return [with_news(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("command", ["solve", "train"])
def test_profiles(tmp_path: Path, command: str) -> None:
    rounds = ("--rounds", 1) if command == "train" else ()
    document = json.loads(run(command, FILE, *rounds, "--json").out)
    printed = []
    for k, content in enumerate((document, with_news(document))):
        path = tmp_path / f"{k}.json"
        path.write_text(json.dumps(content))
        ran = run("explain", FILE, "--profile", path)
        assert ran.code == 0, ran.err
        printed.append(ran.out)
    assert printed[0] == printed[1]


def test_settlements(tmp_path: Path) -> None:
    settled = run("settle", FILE, "--json")
    assert settled.code == 0, settled.err
    pages = []
    for content in (json.loads(settled.out), with_news(json.loads(settled.out))):
        path, page = tmp_path / "settlement.json", tmp_path / "page.html"
        path.write_text(json.dumps(content))
        ran = run("report", FILE, "--settlement", path, "--no-tune", "-o", page)
        assert ran.code == 0, ran.err
        pages.append(page.read_text())
    assert "of_a_later_version" not in pages[1]
    assert len(pages[0]) == len(pages[1])


def test_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "kept.npz"
    plan = Plan(rounds=1, checkpoint=str(path))
    consortium = tradefl.load(FILE)
    train(consortium, plan=plan)
    with np.load(path) as archive:
        arrays = dict(archive)
    meta = json.loads(arrays[META].tobytes())
    for changed in (
        {**meta, "of_a_later_version": 1},
        {**meta, "entries": with_news(meta["entries"])},
        {**meta, "identity": {**meta["identity"], "of_a_later_version": 1}},
    ):
        arrays[META] = np.frombuffer(json.dumps(changed).encode(), dtype=np.uint8)
        np.savez(path, **arrays)
        with pytest.raises(InputError) as error:
            train(consortium, plan=dataclasses.replace(plan, rounds=2, resume=True))
        assert str(path) in str(error.value)


def test_the_file(tmp_path: Path) -> None:
    path = tmp_path / "later.toml"
    path.write_text(f"{FILE.read_text()}\n[training]\nof_a_later_version = 1\n")
    ran = run("check", path)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {path}: training.of_a_later_version: unknown key" in ran.err
