"""The console notices what becomes of its file, and of the tables that the file names."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.dashboard.console import (
    EXAMPLE,
    checked,
    errors,
    large_consortium,
    metrics,
    opened,
    turned,
)
from tests.dashboard.test_console import edit, training_document

from tradefl.consortium import load
from tradefl.dashboard import sidebar, watching
from tradefl.report.blocks import amounts
from tradefl.solvers import solve

HOSPITALS = EXAMPLE.with_name("hospitals.toml")
Change = Callable[[Path], Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A copy of the example, for this test alone."""
    return Path(shutil.copy(EXAMPLE, tmp_path / "own.toml"))


def welfare(file: Path) -> str:
    return amounts([solve(load(file)).social_welfare])[0]


def shown(app: Any) -> str:
    return metrics(app)["Social welfare"]


def put(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def lower_profit(file: Path) -> None:
    put(file, "profitability = 1900", "profitability = 1100")


# --- new content ---------------------------------------------------------------------------------


def test_new_content_is_shown_at_once(file: Path) -> None:
    app = opened("equilibrium", file)
    before = welfare(file)
    assert shown(app) == before
    lower_profit(file)
    checked(app.run())
    assert shown(app) == welfare(file) != before
    assert [entry.value for entry in app.toast] == [
        "The consortium file has changed; shown is its new content."
    ]
    checked(app.run())
    assert not app.toast


def test_a_session_that_opens_later_shows_what_the_file_holds_then(file: Path) -> None:
    opened("equilibrium", file)
    lower_profit(file)
    later = opened("equilibrium", file)
    assert shown(later) == welfare(file)
    assert not later.toast


def test_content_of_the_same_length_and_time_is_new_too(file: Path) -> None:
    """As some tools write it: with the time of the file before."""
    app = opened("equilibrium", file)
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    lower_profit(file)
    os.utime(file, ns=times)
    checked(app.run())
    assert shown(app) == welfare(file)


def test_sliders_at_the_files_terms_follow_and_others_stay(file: Path) -> None:
    app = opened("equilibrium", file)
    deadline = sidebar.deadlines(load(file))[20]
    checked(app.select_slider(key=sidebar.DEADLINE).set_value(deadline).run())
    own = load(file).mechanism.incentive_intensity
    put(file, "incentive_intensity = ", "incentive_intensity = 2.5e-9 # ")
    checked(app.run())
    assert own != 2.5e-9
    assert app.select_slider(key=sidebar.GAMMA).value == 2.5e-9
    assert app.select_slider(key=sidebar.DEADLINE).value == deadline
    # Where a slider has no place any more, it goes to the file's.
    put(file, "deadline_seconds = ", "deadline_seconds = 4321.0 # ")
    checked(app.run())
    assert app.select_slider(key=sidebar.DEADLINE).value == 4321.0
    assert not errors(app)


def test_a_file_that_is_only_saved_again_changes_nothing(file: Path) -> None:
    app = edit(opened("consortium", file), edited_rows={2: {"profitability": 2500.0}})
    file.write_text(file.read_text("utf-8") + "\n# a remark\n", "utf-8")
    checked(app.run())
    assert not app.warning
    assert app.session_state["_edited"].organizations.profitability[2] == 2500.0


# --- no content ----------------------------------------------------------------------------------


def delete(file: Path) -> None:
    file.unlink()


def as_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def empty(file: Path) -> None:
    file.write_text("")


def half_written(file: Path) -> None:
    file.write_text(file.read_text("utf-8")[:700])


def wrong(file: Path) -> None:
    put(file, "epochs = 5", "epochs = -5")


def without_a_game(file: Path) -> None:
    """Every key is fine, and nobody can meet the deadline."""
    put(file, "deadline_seconds = ", "deadline_seconds = 1.0 # ")


BROKEN: list[tuple[Change, str]] = [
    (delete, "no such file"),
    (as_a_folder, "directory"),
    (empty, "is empty"),
    (half_written, "own.toml"),
    (wrong, "epochs: expected a number > 0, got -5"),
    (without_a_game, "no feasible level"),
]


@pytest.mark.parametrize(("change", "what"), BROKEN, ids=[c.__name__ for c, _ in BROKEN])
def test_of_a_file_that_is_not_valid_the_last_valid_content_stays(
    change: Change, what: str, file: Path
) -> None:
    app = opened("equilibrium", file)
    text, before = file.read_text("utf-8"), shown(app)
    change(file)
    checked(app.run())
    assert "The consortium file is not valid now; shown is its last valid content." in errors(app)
    assert what in errors(app)
    assert shown(app) == before
    # A session that opens now shows the same, and no page ends in an error of the program.
    later = opened("equilibrium", file)
    assert shown(later) == before
    assert what in errors(later)
    if file.is_dir():
        file.rmdir()
    file.write_text(text.replace("profitability = 1900", "profitability = 1100"), "utf-8")
    for session in (app, later):
        checked(session.run())
        assert not errors(session)
        assert shown(session) == welfare(file) != before


def test_a_file_that_never_was_valid_here_is_told(tmp_path: Path) -> None:
    app = opened("consortium", tmp_path / "no.toml")
    assert "The consortium file is not valid now." in errors(app)
    assert "no such file" in errors(app)
    shutil.copy(EXAMPLE, tmp_path / "no.toml")
    checked(app.run())
    assert not errors(app)
    assert app.title[0].value == "Consortium"


# --- edits ---------------------------------------------------------------------------------------


def take(app: Any) -> Any:
    label = "Take the file as it is now, and give up the edits"
    return next(button for button in app.main.button if button.label == label)


def test_edits_are_not_lost_when_the_file_changes(file: Path) -> None:
    app = edit(opened("consortium", file), edited_rows={0: {"profitability": 2500.0}})
    lower_profit(file)
    checked(app.run())
    assert "has changed" in app.warning[0].value
    assert app.session_state["_edited"].organizations.profitability[0] == 2500.0
    checked(take(app).click().run())
    assert not app.warning
    turned(app, "equilibrium")
    assert shown(app) == welfare(file)


def test_edits_that_are_not_valid_are_kept_too(file: Path) -> None:
    app = edit(opened("consortium", file), edited_rows={0: {"profitability": -1.0}})
    lower_profit(file)
    checked(app.run())
    assert "row 1 (Alpha), profitability" in errors(app)
    checked(take(app).click().run())
    assert not errors(app)


# --- what the file names -------------------------------------------------------------------------


def with_a_matrix(folder: Path) -> tuple[Path, Path]:
    file, table = folder / "own.toml", folder / "rho.csv"
    text = EXAMPLE.read_text("utf-8")
    start = text.index("[competition]")
    end = text.index("[[organization]]")
    file.write_text(f'{text[:start]}[competition]\nmatrix_file = "rho.csv"\n\n{text[end:]}')
    matrix = np.full((10, 10), 0.02)
    np.fill_diagonal(matrix, 0.0)
    np.savetxt(table, matrix, delimiter=",")
    return file, table


def with_a_table(folder: Path) -> tuple[Path, Path]:
    return large_consortium(folder, 12), folder / "members.csv"


def other_numbers(table: Path) -> None:
    text = table.read_text("utf-8")
    for old, new in (("2.00", "3.00"), ("2000.0", "1500.0")):
        text = text.replace(old, new)
    table.write_text(text, "utf-8")


@pytest.mark.parametrize("make", [with_a_matrix, with_a_table])
def test_a_table_that_the_file_names_is_watched(
    make: Callable[[Path], tuple[Path, Path]], tmp_path: Path
) -> None:
    file, table = make(tmp_path)
    app = opened("equilibrium", file)
    before = welfare(file)
    assert shown(app) == before
    other_numbers(table)
    checked(app.run())
    assert shown(app) == welfare(file) != before
    before, text = welfare(file), table.read_text("utf-8")
    table.unlink()
    checked(app.run())
    assert f"{table.name}: no such file" in errors(app)
    assert shown(app) == before
    table.write_text(text)
    checked(app.run())
    assert not errors(app)


def test_a_large_table_is_watched_by_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "HASHED_UP_TO", 100)
    file, table = with_a_table(tmp_path)
    first = watching.fingerprint(file)
    assert watching.fingerprint(file) == first
    stamp = table.stat().st_mtime_ns
    os.utime(table, ns=(stamp, stamp + 1))
    assert watching.fingerprint(file) != first


def test_a_table_that_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A pipe that nobody writes to would hold up the console for good."""
    file = tmp_path / "own.toml"
    file.write_text('organizations_file = "pipe.csv"\n')
    os.mkfifo(tmp_path / "pipe.csv")
    found = watching.read(file)
    assert found.consortium is None
    assert found.problems


def test_many_sessions_read_a_file_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(path: Path) -> Any:
        calls.append(path)
        return load(path)

    monkeypatch.setattr(watching, "load", counted)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(watching.read(file))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len({id(log_.consortium) for log_ in found}) == 1


def test_a_file_that_changes_while_it_is_read_is_read_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def changing(path: Path) -> Any:
        found = load(path)
        if not calls:
            lower_profit(file)
        calls.append(path)
        return found

    monkeypatch.setattr(watching, "load", changing)
    found = watching.read(file)
    assert len(calls) == 2
    assert found.consortium == load(file)


# --- the training --------------------------------------------------------------------------------


def test_a_training_document_is_read_again(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    path.write_text(json.dumps(training_document()))
    app = opened("training", file, training=path)
    assert not errors(app)
    path.write_text(json.dumps(training_document(model="another")))
    checked(app.run())
    assert any("another" in text.value for text in app.markdown)
    path.unlink()
    checked(app.run())
    assert "training.json: no such file" in errors(app)
