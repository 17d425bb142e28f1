"""Writing: what is written reads back equal, and nothing is ever half-written."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from tests.consortium.documents import (
    EMPIRICAL,
    FILE,
    NAMES,
    POINTS,
    document,
    parquet_table,
    save,
    save_csv,
    save_parquet,
    with_table,
)
from tests.support import examples

from tradefl.consortium import load, sample, write
from tradefl.consortium.files import atomic_write
from tradefl.errors import InputError
from tradefl.foreign import name_problem, normalized, skeleton

# --- any consortium -----------------------------------------------------------------------------

# Quotes, separators of CSV and TOML, Markdown, markup, wide and combining characters, and what
# some functions take for the end of a line.
TEXT = (
    st.text(
        st.one_of(
            st.characters(exclude_categories=("C", "Zl", "Zp")),
            st.sampled_from("\"'\\,;#=+-@[]{}|*_` \u00e9\u4e2d\U0001f600\u0301"),
        ),
        min_size=1,
        max_size=12,
    )
    .map(normalized)
    .filter(lambda text: name_problem(text) is None)
)
ADDRESSES = st.text("0123456789abcdefABCDEF", min_size=40, max_size=40).map(lambda s: f"0x{s}")


def sizes(low, high):
    """Numbers between powers of ten, most of them with all 53 bits in use."""
    return st.builds(
        lambda exponent, mantissa: mantissa * 10.0**exponent,
        st.integers(low, high),
        st.one_of(st.just(1.0), st.floats(1.0, 9.99)),
    )


INTENSITIES = st.one_of(st.sampled_from([0.0, 1e-100, 1.0]), st.floats(1e-9, 1.0))


@st.composite
def organizations(draw):
    names = draw(st.lists(TEXT, min_size=1, max_size=6, unique_by=skeleton))
    addresses = draw(
        st.lists(ADDRESSES, min_size=len(names), max_size=len(names), unique_by=str.lower)
    )
    all_have_sectors = draw(st.booleans())
    entries = []
    for name, address in zip(names, addresses, strict=True):
        ladder = draw(st.lists(sizes(-20, 20), min_size=1, max_size=4, unique=True))
        entry = {
            "name": name,
            "profitability": draw(sizes(-40, 40)),
            "data_bits": draw(sizes(-100, 100)),
            "samples": draw(st.one_of(st.integers(1, 2**53), st.integers(1, 9))),
            "cycles_per_bit": draw(sizes(-50, 50)),
            "cpu_levels_hz": sorted(ladder),
            "download_seconds": draw(st.one_of(st.just(0.0), sizes(-300, 20))),
            "upload_seconds": draw(st.one_of(st.just(0.0), sizes(-300, 20))),
        }
        if all_have_sectors or draw(st.booleans()):
            entry["sector"] = draw(st.sampled_from(["a", "b", "ü,\"'"]))
        if draw(st.booleans()):
            entry["address"] = address
        entries.append(entry)
    return entries


@st.composite
def competitions(draw, entries, tables):
    """Return a [competition]; a matrix goes to ``tables``. rescale keeps every z positive."""
    names = [entry["name"] for entry in entries]
    n = len(names)
    kinds = ["absent", "empty", "pairs", "default", "plain", "labelled"]
    if all("sector" in entry for entry in entries):
        kinds += ["sectors", "exceptions"]
    kind = draw(st.sampled_from(kinds))
    if kind == "absent":
        return None
    section = {}
    if kind in ("pairs", "default", "exceptions") and n > 1:
        couples = [(i, j) for i in range(n) for j in range(n) if i < j]
        chosen = draw(st.lists(st.sampled_from(couples), unique=True))
        turned = draw(st.booleans())
        section["pairs"] = [
            [names[j if turned else i], names[i if turned else j], draw(INTENSITIES)]
            for i, j in chosen
        ]
    if kind == "default":
        section["default"] = draw(INTENSITIES)
    if kind in ("sectors", "exceptions"):
        section["within_sector"] = draw(INTENSITIES)
        if draw(st.booleans()):
            section["across_sectors"] = draw(INTENSITIES)
    if kind in ("plain", "labelled"):
        rho = np.zeros((n, n))
        for i in range(n):
            for j in range(i):
                rho[i, j] = rho[j, i] = draw(INTENSITIES)
        rows = [list(map(repr, row)) for row in rho.tolist()]
        if kind == "labelled":
            quoted = ['"' + name.replace('"', '""') + '"' for name in names]
            rows = [["", *quoted], *([name, *row] for name, row in zip(quoted, rows, strict=True))]
        tables["rho"] = "".join(",".join(row) + "\n" for row in rows)
        section["matrix_file"] = "rho.csv"
    section["rescale"] = True
    return section


@st.composite
def accuracies(draw, tables):
    common = {
        "measure": draw(st.sampled_from(["bits", "samples"])),
        "unit": draw(sizes(-100, 100)),
    }
    model = draw(st.sampled_from(["sqrt-loss", "power-law", "empirical"]))
    if model == "sqrt-loss":
        return {
            "model": model,
            "epochs": draw(sizes(-3, 6)),
            "untrained_loss": draw(sizes(-300, 300)),
            **common,
        }
    if model == "power-law":
        return {
            "model": model,
            "untrained_loss": draw(sizes(-300, 300)),
            "scale": draw(sizes(-300, 300)),
            "exponent": draw(sizes(-300, 300)),
            "floor": draw(st.one_of(st.just(0.0), sizes(-300, 300))),
            **common,
        }
    points = draw(st.lists(st.tuples(sizes(-3, 6), st.floats(0.0, 1.0)), min_size=1, max_size=6))
    tables["points"] = "data,accuracy\n" + "".join(f"{x!r},{y!r}\n" for x, y in points)
    section = {"model": model, "points_file": "points.csv", **common}
    if draw(st.booleans()):
        section["untrained_accuracy"] = draw(st.floats(0.0, 1.0))
    return section


@st.composite
def consortia(draw):
    """Return ``(document, tables, how the organizations are filed)``, always a sound one."""
    tables = {}
    entries = draw(organizations())
    fraction = draw(st.one_of(st.just(1.0), sizes(-20, -1)))
    # Late enough for D_min of everybody's data at its fastest level.
    deadline = max(
        2.0 * (entry["download_seconds"] + entry["upload_seconds"])
        + 2.0 * fraction * entry["cycles_per_bit"] * entry["data_bits"] / entry["cpu_levels_hz"][-1]
        for entry in entries
    )
    given = {
        "name": draw(TEXT),
        "mechanism": {
            "incentive_intensity": draw(st.one_of(st.just(0.0), sizes(-300, 300))),
            "compute_weight": draw(sizes(-300, 300)),
            "overhead_weight": draw(st.one_of(st.just(0.0), sizes(-300, 300))),
            "min_data_fraction": fraction,
            "deadline_seconds": deadline,
        },
        "energy": {
            "capacitance": draw(st.one_of(st.just(0.0), sizes(-300, 300))),
            "download_watts": draw(st.one_of(st.sampled_from([0.0, 5e-324]), sizes(-300, 300))),
            "upload_watts": draw(sizes(-300, 300)),
        },
        "accuracy": draw(accuracies(tables)),
        "organization": entries,
    }
    competition = draw(competitions(entries, tables))
    if competition is not None:
        given["competition"] = competition
    settlement = draw(
        st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {},
                optional={
                    "wei_per_payoff": st.integers(1, 10**30),
                    "verifier": ADDRESSES,
                    "arbiter": ADDRESSES,
                    "join_seconds": st.integers(1, 10**9),
                    "turn_seconds": st.integers(1, 86_400),
                    "report_seconds": st.integers(1, 10**9),
                    "dispute_seconds": st.integers(1, 10**9),
                    "ruling_seconds": st.integers(1, 10**9),
                },
            ),
        )
    )
    if settlement is not None:
        given["settlement"] = settlement
    return given, tables, draw(st.sampled_from(["inline", "csv", "parquet"]))


def saved(folder, given, tables, filed):
    """Write the consortium as a user would have it and return the path of its TOML file."""
    if filed == "csv":
        save_csv(folder / "orgs.csv", given["organization"])
    elif filed == "parquet":
        save_parquet(folder / "orgs.parquet", parquet_table(given["organization"]))
    return save(
        folder, given if filed == "inline" else with_table(given, f"orgs.{filed}"), **tables
    )


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# A failing consortium is short enough to be read as it is; shrinking it would take minutes.
@settings(examples(80), phases=[Phase.explicit, Phase.generate])
@given(consortia())
def test_load_write_load_is_the_identity(drawn):
    given, tables, filed = drawn
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        source = saved(Path(first), given, tables, filed)
        try:
            loaded = load(source)
        except InputError as error:
            # Payoffs of such figures cannot be computed, so there is nothing to write.
            assume("beyond the range of double precision" not in str(error))
            raise
        target = Path(second) / "wünsche.v2.toml"
        write(loaded, target)
        again = load(target)
        assert again == loaded

        # Not only what == looks at: the figures are those that were drawn, to the last bit.
        for consortium in (loaded, again):
            who, entries = consortium.organizations, given["organization"]
            assert consortium.name == given["name"]
            assert consortium.mechanism.model_dump() == {"rule": "linear"} | given["mechanism"]
            assert consortium.energy.model_dump() == given["energy"]
            assert list(who.names) == [entry["name"] for entry in entries]
            for column in ("profitability", "data_bits", "samples", "download_seconds"):
                assert getattr(who, column).tolist() == [entry[column] for entry in entries]
            for i, entry in enumerate(entries):
                assert who.entry(i) == entry
            assert (consortium.settlement is None) == ("settlement" not in given)
            assert (consortium.game.potential_weights > 0.0).all()
        np.testing.assert_array_equal(again.game.data_units, loaded.game.data_units)
        assert again.game.accuracy == loaded.game.accuracy
        units = np.random.default_rng(0).random(len(loaded))
        np.testing.assert_array_equal(
            again.game.competition.dot(units), loaded.game.competition.dot(units)
        )

        # What was read from what was written is written alike.
        written = files_of(Path(second))
        write(again, target)
        assert files_of(Path(second)) == written


# --- where it is written ------------------------------------------------------------------------


def with_all_tables(folder):
    """A consortium whose organizations, matrix and points are files of their own."""
    save_csv(folder / "orgs.csv", document()["organization"])
    given = document({"accuracy": EMPIRICAL, "competition": {"matrix_file": "rho.csv"}})
    rho = "0,0.06,0\n0.06,0,0.05\n0,0.05,0\n"
    return load(save(folder, with_table(given, "orgs.csv"), rho=rho, points=POINTS))


def test_tables_are_written_beside_the_file_and_named_after_it(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    consortium = with_all_tables(tmp_path / "a")
    write(consortium, str(tmp_path / "b" / "x.toml"))
    assert sorted(files_of(tmp_path / "b")) == [
        "x.competition.csv",
        "x.organizations.csv",
        "x.points.csv",
        "x.toml",
    ]
    assert load(tmp_path / "b" / "x.toml") == consortium
    # Nothing refers back to where it came from.
    for path in (tmp_path / "a").iterdir():
        path.unlink()
    assert load(tmp_path / "b" / "x.toml") == consortium


def test_a_consortium_can_be_written_over_itself(tmp_path):
    consortium = with_all_tables(tmp_path)
    write(consortium, tmp_path / FILE)
    first = files_of(tmp_path)
    write(load(tmp_path / FILE), tmp_path / FILE)
    assert files_of(tmp_path) == first
    assert load(tmp_path / FILE) == consortium


def test_an_inline_consortium_is_one_file(tmp_path):
    consortium = load(save(tmp_path, document()))
    (tmp_path / "out").mkdir()
    write(consortium, tmp_path / "out" / "x.toml")
    assert list(files_of(tmp_path / "out")) == ["x.toml"]


def test_a_written_file_may_be_read_by_its_owner_alone(tmp_path):
    """It holds what every organization earns; an existing file keeps its mode."""
    consortium = load(save(tmp_path, document()))
    write(consortium, tmp_path / "x.toml")
    assert (tmp_path / "x.toml").stat().st_mode & 0o777 == 0o600
    (tmp_path / "x.toml").chmod(0o640)
    write(consortium, tmp_path / "x.toml")
    assert (tmp_path / "x.toml").stat().st_mode & 0o777 == 0o640


@pytest.fixture
def read_only(tmp_path):
    """A folder in which nobody may create files; root is made nobody for the while."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o555)
    above = [path for path in folder.parents if path.stat().st_uid == os.getuid()]
    modes = {path: path.stat().st_mode for path in above if path != Path("/")}
    is_root = os.geteuid() == 0
    if is_root:
        for path, mode in modes.items():
            path.chmod(mode | 0o055)
        os.seteuid(65534)
    assert not os.access(folder, os.W_OK, effective_ids=True)
    assert list(folder.iterdir()) == []
    yield folder
    if is_root:
        os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)
    folder.chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no such permissions")
def test_a_read_only_folder_gets_nothing(tmp_path, request):
    consortium = with_all_tables(tmp_path)
    folder = request.getfixturevalue("read_only")
    with pytest.raises(InputError, match="cannot be written: Permission denied") as caught:
        write(consortium, folder / "x.toml")
    assert str(folder) in caught.value.problems[0].place
    assert list(folder.iterdir()) == []


def test_a_missing_folder_is_not_made(tmp_path):
    consortium = with_all_tables(tmp_path)
    before = files_of(tmp_path)
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        write(consortium, tmp_path / "no" / "x.toml")
    assert files_of(tmp_path) == before


def test_a_folder_cannot_be_written_over(tmp_path):
    consortium = load(save(tmp_path, document()))
    (tmp_path / "x.toml").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"x\.toml: cannot be written: Is a directory"):
        write(consortium, tmp_path / "x.toml")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["replace", "chmod"])
def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, error, step):
    path = tmp_path / "x.toml"
    atomic_write(path, b"old")

    def fail(*arguments, **named):
        raise error

    monkeypatch.setattr(Path, step, fail)
    expected = InputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        atomic_write(path, b"new")
    monkeypatch.undo()
    assert files_of(tmp_path) == {"x.toml": b"old"}


def test_the_toml_file_comes_last(tmp_path, monkeypatch):
    """Whoever finds the TOML file finds its tables too."""
    (tmp_path / "out").mkdir()
    consortium = with_all_tables(tmp_path)
    target = tmp_path / "out" / "x.toml"
    replace, missing = Path.replace, []

    def watched(self, to):
        missing.append(not target.exists())
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", watched)
    write(consortium, target)
    assert missing == [True] * 4


def test_the_sample_survives_writing(tmp_path):
    (tmp_path / "a.toml").write_text(sample())
    consortium = load(tmp_path / "a.toml")
    write(consortium, tmp_path / "b.toml")
    assert load(tmp_path / "b.toml") == consortium
    assert consortium.names == NAMES
