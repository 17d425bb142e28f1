"""``tradefl fit-accuracy``: a measured P, and the game on it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from tests.cli.command import run

import tradefl

FILE = Path(__file__).parents[2] / "examples" / "hospitals.toml"
QUICK = ("--rounds", 1, "--seeds", 2, "--fractions", "0.1,0.3,1")


def test_the_game_runs_on_what_was_measured(tmp_path: Path) -> None:
    fitted = tmp_path / "fitted.toml"
    ran = run("fit-accuracy", FILE, *QUICK, "-o", fitted, "--json")
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fitted.points.csv",
        "fitted.toml",
    ]
    document = ran.json
    points = [(point["data"], point["accuracy"]) for point in document["points"]]
    assert len(points) == 6
    consortium = tradefl.load(fitted)
    assert consortium.points is not None
    assert [tuple(row) for row in consortium.points.tolist()] == points
    # The curve of the file is the one that was reported, and it is concave.
    curve = consortium.accuracy_model
    assert curve.knots.tolist() == pytest.approx(document["knots"])
    assert curve.values.tolist() == pytest.approx(document["values"])
    # Nothing else of the consortium has changed.
    assert consortium.organizations == tradefl.load(FILE).organizations
    solved = run("solve", fitted, "--json")
    assert solved.code == 0, solved.err
    assert solved.json["status"] == "optimal"
    omega = sum(
        organization["data_fraction"] * u
        for organization, u in zip(
            solved.json["organizations"], consortium.game.data_units.tolist(), strict=True
        )
    )
    assert solved.json["performance"] == pytest.approx(float(curve.value(omega)), rel=1e-12)


def test_without_a_file_it_prints_a_section_that_loads(tmp_path: Path) -> None:
    points = tmp_path / "points.csv"
    ran = run("fit-accuracy", *QUICK, "--organizations", 4, "--points", points)
    assert ran.code == 0, ran.err
    section = tomllib.loads(ran.out[ran.out.index("[accuracy]") :])["accuracy"]
    assert section["points_file"] == str(points)
    assert (section["measure"], section["unit"]) == ("samples", 1.0)
    rows = points.read_text().splitlines()
    assert rows[0] == "data,accuracy"
    assert len(rows) == 7
    assert "R^2" in ran.out
    # In a consortium file it is read as it stands.
    text = FILE.read_text()
    start = text.index("[accuracy]")
    end = text.index("[competition]")
    new = tmp_path / "new.toml"
    new.write_text(text[:start] + ran.out[ran.out.index("[accuracy]") :] + "\n" + text[end:])
    assert run("check", new).code == 0


@pytest.mark.parametrize(
    ("options", "place", "what"),
    [
        (["--fractions", "0.1,0.5"], "--fractions", "three or more"),
        (["--fractions", "0.1,0.5,1.5"], "--fractions", "(0, 1]"),
        (["--fractions", "0.1,nan,1"], "--fractions", "(0, 1]"),
        (["--fractions", "a,b,c"], "--fractions", "'a,b,c'"),
        (["-o", "fitted.toml"], "--output", "needs a consortium file"),
        (["--organizations", "5000"], "--organizations", "1,438"),
        (["--points", "nowhere/points.csv"], "nowhere/points.csv", "no such folder"),
        (["--data", "nothing"], "--data", "nothing"),
    ],
)
def test_bad_options_are_refused(
    options: list[str], place: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("fit-accuracy", *options)
    assert (ran.code, ran.out) == (2, ""), ran
    assert f"error: {place}: " in ran.err
    assert what in ran.err
    assert list(tmp_path.iterdir()) == []


def test_quality_is_estimated_and_written(tmp_path: Path) -> None:
    fitted = tmp_path / "fitted.toml"
    ran = run("fit-accuracy", FILE, *QUICK, "--quality", "--subsets", 8, "-o", fitted, "--json")
    assert ran.code == 0, ran.err
    before, after = tradefl.load(FILE), tradefl.load(fitted)
    weights = [row["quality"] for row in ran.json["quality"]]
    assert [row["name"] for row in ran.json["quality"]] == list(before.names)
    assert after.organizations.quality.tolist() == pytest.approx(
        (before.organizations.quality * weights).tolist()
    )
    # All data together counts as before, so the measured P still fits.
    assert after.game.data_units.sum() == pytest.approx(before.game.data_units.sum())
    assert all(row["low"] <= row["quality"] <= row["high"] for row in ran.json["quality"])
    printed = run("fit-accuracy", *QUICK, "--organizations", 3, "--quality")
    assert printed.code == 0
    assert "quality: the weight of each organization's data in Omega" in printed.out
    assert "organization-2" in printed.out
    refused = run("fit-accuracy", *QUICK, "--subsets", 4)
    assert (refused.code, "--subsets: requires --quality" in refused.err) == (2, True)
    few = run("fit-accuracy", *QUICK, "--organizations", 3, "--quality", "--subsets", 2)
    assert few.code == 2
    assert "--subsets: expected" in few.err
