"""What a change of members or figures does to everybody."""

from __future__ import annotations

import pytest
from tests.cli.command import run
from tests.consortium.documents import NAMES, document, save

import tradefl


@pytest.fixture
def files(tmp_path):
    """The sample; and the same without the last one, and with a more profitable first one."""
    old = save(tmp_path, document())
    changed = document()
    changed["name"] = "two"
    changed["organization"] = changed["organization"][:2]
    changed["organization"][0]["profitability"] *= 1.1
    changed["competition"] = {"default": 0.03}
    folder = tmp_path / "new"
    folder.mkdir()
    return old, save(folder, changed)


def test_who_left_and_who_changed(files, tmp_path):
    old, new = files
    out = tmp_path / "designed.toml"
    ran = run("replan", old, new, "--json", "-o", out)
    assert ran.code == 0
    found = {row["name"]: row for row in ran.json["organizations"]}
    assert found[NAMES[2]]["kind"] == "left"
    assert found[NAMES[0]]["kind"] == "changed"
    assert "profitability" in found[NAMES[0]]["figures"]
    before = tradefl.solve(tradefl.load(old)).payoffs
    for i, name in enumerate(NAMES[:2]):
        row = found[name]
        assert row["payoff_before"] == pytest.approx(before[i])
        assert row["to_agree"] == max(row["payoff_before"] - row["payoff_after"], 0.0)
    assert ran.json["to_pay"] == pytest.approx(sum(found[n]["to_agree"] for n in NAMES[:2]))
    designed = tradefl.load(out)
    assert designed.mechanism.rule == "efficient"
    assert designed.names == tuple(NAMES[:2])
    assert "left" in run("replan", old, new).out


def test_nothing_changed_and_who_joined(files):
    old, new = files
    same = run("replan", old, old, "--json").json
    assert {row["kind"] for row in same["organizations"]} == {"unchanged"}
    back = run("replan", new, old, "--json").json
    assert [row["kind"] for row in back["organizations"]].count("joined") == 1


def test_a_designed_file_whose_members_changed_is_designed_again(files, tmp_path):
    old, _ = files
    designed = tmp_path / "designed.toml"
    assert run("design", old, "-o", designed, "--starts", 0).code == 0
    text = designed.read_text().replace(f'"{NAMES[2]}"', '"Newcomer"')
    other = tmp_path / "other.toml"
    other.write_text(text)
    assert run("solve", other).code == 2
    again = tmp_path / "again.toml"
    ran = run("design", other, "-o", again, "--starts", 0)
    assert ran.code == 0
    assert "designed again from the start" in ran.err
    assert "Newcomer" in tradefl.load(again).names


def test_bad_files_are_exit_2(files, tmp_path):
    old, new = files
    assert run("replan", old, tmp_path / "none.toml").code == 2
    ran = run("replan", old, new, "-o", old)
    assert (ran.code, ran.out) == (2, "")


def test_the_verb_returns_what_the_command_prints(files):
    old, new = files
    found = tradefl.replan(tradefl.load(old), tradefl.load(new))
    assert found.to_dict() == run("replan", old, new, "--json").json
    assert "affordable" in repr(found)
    frame = found.to_frame()
    assert frame.index.tolist()[-1] == NAMES[2]
    assert frame.loc[NAMES[2], "kind"] == "left"


def test_consortia_without_a_common_member_are_refused(files, tmp_path):
    old, _ = files
    other = document()
    for k, entry in enumerate(other["organization"]):
        entry["name"] = f"Stranger {k}"
    other["competition"] = {"default": 0.03}
    folder = tmp_path / "strangers"
    folder.mkdir()
    path = save(folder, other)
    ran = run("replan", old, path)
    assert (ran.code, ran.out) == (2, "")
    assert "at least one organization of the old consortium" in ran.err
    assert "Traceback" not in ran.err
