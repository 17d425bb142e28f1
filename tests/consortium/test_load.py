"""What a sound file means: the sample, the same consortium in every form, rescaling, units."""

import csv
import io
import itertools
import tomllib

import numpy as np
import pytest
import tomli_w
from tests.consortium.documents import (
    EMPIRICAL,
    NAMES,
    POINTS,
    POWER_LAW,
    document,
    organization,
    parquet_table,
    save,
    save_csv,
    save_parquet,
    with_table,
)

import tradefl
from tradefl.consortium import load, sample
from tradefl.game import StrategyProfile, payoffs


def load_at(folder, *arguments, **tables):
    folder.mkdir()
    return load(save(folder, *arguments, **tables))


def payoffs_of(consortium):
    """Payoffs where everybody plays its slowest level and a share of data of its own."""
    game = consortium.game
    profile = StrategyProfile(
        np.linspace(0.02, 0.2, len(consortium)), game.cpu_levels_hz[:, 0].copy()
    )
    assert game.is_feasible(profile).all()
    return payoffs(game, profile).payoff


def assert_same_game(consortia, relative=0.0):
    first, *others = consortia
    for other in others:
        assert other.names == first.names
        np.testing.assert_allclose(payoffs_of(other), payoffs_of(first), rtol=relative, atol=0.0)
        np.testing.assert_allclose(
            other.game.potential_weights, first.game.potential_weights, rtol=relative, atol=0.0
        )


# --- the sample ---------------------------------------------------------------------------------


def test_the_sample_loads_and_has_an_equilibrium_that_everybody_likes(tmp_path):
    path = tmp_path / "sample.toml"
    path.write_text(sample())
    consortium = load(str(path))  # text and Path are both accepted
    assert consortium == load(path)
    assert consortium.names == ("Alpha", "Beta", "Gamma")
    solution = tradefl.solve(consortium)
    assert solution.status == "optimal"
    assert solution.certificate.individually_rational
    assert (solution.payoffs > 0.0).all()


def test_the_sample_explains_every_key_it_sets():
    lines = sample().splitlines()
    section = [line for line in lines if " = " in line and not line.startswith("#")]
    before_beta = itertools.takewhile(lambda line: line != 'name = "Beta"', section)
    uncommented = {line.split(" = ")[0] for line in before_beta if "#" not in line}
    # Those two are explained in the lines above them.
    assert uncommented <= {"name", "model", "pairs"}


def test_the_sample_is_data_and_no_code_of_its_own():
    assert tomllib.loads(sample())["name"] == "sample"


# --- the file's figures are the game's ----------------------------------------------------------


def test_every_figure_arrives_where_the_game_needs_it(tmp_path):
    game = load(save(tmp_path, document())).game
    assert game.title == "three"
    assert list(game.names) == list(NAMES)
    assert game.profitability.tolist() == [1500.0, 1600.0, 1700.0]
    assert game.data_bits.tolist() == [2.0e10, 2.1e10, 2.2e10]
    assert game.data_units.tolist() == pytest.approx([20.0, 21.0, 22.0], rel=1e-15)
    assert game.cycles_per_bit.tolist() == [2.0, 2.5, 3.0]
    assert game.download_seconds.tolist() == [1.0, 1.0, 1.0]
    assert game.upload_seconds.tolist() == [1.5, 1.5, 1.5]
    np.testing.assert_array_equal(
        game.cpu_levels_hz, [[1e9, 2e9, 3e9], [1e9, 2e9, np.nan], [1e9, np.nan, np.nan]]
    )
    numbers = {
        "incentive_intensity": 5.12e-9,
        "compute_weight": 1.6,
        "overhead_weight": 0.185,
        "min_data_fraction": 0.01,
        "deadline_seconds": 20.0,
        "capacitance": 1e-27,
        "download_watts": 0.1,
        "upload_watts": 0.2,
    }
    assert {name: getattr(game, name) for name in numbers} == numbers
    rho = np.array([[0.0, 0.06, 0.0], [0.06, 0.0, 0.05], [0.0, 0.05, 0.0]])
    assert game.competition.dot(np.eye(3)[0]).tolist() == rho[0].tolist()
    assert np.array([game.competition.dot(unit) for unit in np.eye(3)]).tolist() == rho.tolist()


def test_numbers_may_be_written_without_a_point(tmp_path):
    whole = {
        "mechanism.deadline_seconds": 20,
        "accuracy.epochs": 5,
        "accuracy.unit": 10**9,
        "organization.0.data_bits": 20_000_000_000,
        "organization.0.cpu_levels_hz": [10**9, 2 * 10**9, 3 * 10**9],
    }
    same = [load_at(tmp_path / "a", document()), load_at(tmp_path / "b", document(whole))]
    assert same[0] == same[1]


@pytest.mark.parametrize(("measure", "column"), [("bits", "data_bits"), ("samples", "samples")])
def test_omega_counts_what_the_measure_says(tmp_path, measure, column):
    consortium = load(
        save(tmp_path, document({"accuracy.measure": measure, "accuracy.unit": 100.0}))
    )
    expected = [entry[column] / 100.0 for entry in document()["organization"]]
    assert consortium.game.data_units.tolist() == expected
    # A unit of Omega changes; the bits that redistribution counts do not.
    assert consortium.game.data_bits.tolist() == [2.0e10, 2.1e10, 2.2e10]


def loss_of_sqrt(omega):
    return 1.0 / np.sqrt(omega * 5.0) + 1.0 / 5.0


def loss_of_power_law(omega):
    return 0.7 * omega**-0.4 + 0.05


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, lambda omega: max(0.79 - loss_of_sqrt(omega), 0.0)),
        ({"accuracy": POWER_LAW}, lambda omega: max(0.9 - loss_of_power_law(omega), 0.0)),
    ],
    ids=["sqrt-loss", "power-law"],
)
def test_the_accuracy_models_are_the_documented_formulas(tmp_path, changes, expected):
    model = load(save(tmp_path, document(changes))).accuracy_model
    for omega in (1e-3, 0.3, 0.5, 1.0, 7.0, 1e3):
        assert model.value(omega) == pytest.approx(expected(omega), rel=1e-14, abs=1e-15)


def test_the_empirical_model_goes_through_concave_points(tmp_path):
    path = save(tmp_path, document({"accuracy": EMPIRICAL}), points=POINTS)
    model = load(path).accuracy_model
    assert model.value(np.array([0.0, 1.0, 10.0, 60.0, 500.0])) == pytest.approx(
        [0.0, 0.2, 0.4, 0.6, 0.6], abs=1e-12
    )
    # P counts from the accuracy of the untrained model.
    path = save(tmp_path, document({"accuracy": {**EMPIRICAL, "untrained_accuracy": 0.1}}))
    assert load(path).accuracy_model.value(60.0) == pytest.approx(0.5, abs=1e-12)


# --- one consortium, many files -----------------------------------------------------------------


def test_inline_csv_and_parquet_are_the_same_consortium(tmp_path):
    entries = [
        organization("Alpha", sector="banks, large", address="0x" + "1" * 40),
        organization("Beta"),
        organization("Gamma", sector='the "others"'),
    ]
    inline = document({"organization": entries})
    save_csv(tmp_path / "o.csv", entries)
    save_parquet(tmp_path / "o.parquet", parquet_table(entries))
    consortia = [
        load(save(tmp_path, given))
        for given in (inline, with_table(inline, "o.csv"), with_table(inline, "o.parquet"))
    ]
    assert consortia[0] == consortia[1] == consortia[2]
    assert consortia[2].organizations.sectors == ("banks, large", None, 'the "others"')
    assert_same_game(consortia)


def test_a_relative_path_starts_at_the_file_and_not_at_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "tables").mkdir()
    save_csv(tmp_path / "tables" / "o.csv", document()["organization"])
    path = save(tmp_path, with_table(document(), "tables/o.csv"))
    monkeypatch.chdir("/")
    assert load(path).names == NAMES


RHO = {("Alpha", "Beta"): 0.2, ("Alpha", "Gamma"): 0.03, ("Beta", "Gamma"): 0.03}


def matrix_text(names, labels=False):
    both = RHO | {(j, i): rho for (i, j), rho in RHO.items()}
    rows = [[both.get((i, j), 0.0) for j in names] for i in names]
    if labels:
        rows = [["", *names], *([name, *row] for name, row in zip(names, rows, strict=True))]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def test_pairs_matrix_and_sectors_are_the_same_game(tmp_path):
    sectors = {"organization.0.sector": "x", "organization.1.sector": "x"}
    sectors["organization.2.sector"] = "y"
    pairs = [[*names, rho] for names, rho in RHO.items()]
    turned = [[second, first, rho] for first, second, rho in reversed(pairs)]
    forms = {
        "pairs": {"pairs": pairs},
        "turned": {"pairs": turned},
        "default": {"default": 0.03, "pairs": pairs[:1]},
        "sectors": {"within_sector": 0.2, "across_sectors": 0.03},
        "exceptions": {"within_sector": 0.9, "across_sectors": 0.03, "pairs": pairs[:1]},
        "within": {"within_sector": 0.2, "pairs": pairs[1:]},
    }
    consortia = [
        load_at(tmp_path / form, document({**sectors, "competition": competition}))
        for form, competition in forms.items()
    ]
    by_matrix = document({"competition": {"matrix_file": "rho.csv"}})
    for form, text in {
        "plain": matrix_text(NAMES),
        "labelled": matrix_text(NAMES, labels=True),
        "permuted": matrix_text(("Gamma", "Alpha", "Beta"), labels=True),
    }.items():
        consortia.append(load_at(tmp_path / form, by_matrix, rho=text))
    assert_same_game(consortia, relative=1e-12)
    # The test would see a difference: another intensity is another game.
    other = load_at(tmp_path / "other", document({"competition": {"default": 0.03}}))
    assert not np.allclose(payoffs_of(other), payoffs_of(consortia[0]), rtol=1e-6)


@pytest.mark.parametrize("across", [0.0, 0.0001])
def test_a_large_consortium_by_sectors_with_exceptions_is_the_one_by_pairs(tmp_path, across):
    """Above 1,000 organizations rho is no matrix any more; the game must not notice."""
    n = 1002
    rng = np.random.default_rng(1)
    sectors = rng.integers(0, 300, n)
    entries = [
        organization(f"O{i}", profitability=float(p), sector=f"s{sector}", cpu_levels_hz=[2e9])
        for i, (p, sector) in enumerate(zip(rng.uniform(500, 900, n), sectors, strict=True))
    ]
    save_csv(tmp_path / "o.csv", entries)
    exceptions = [["O0", "O1", 0.05], ["O7", "O3", 0.0], ["O1001", "O0", 0.02]]
    competition = {"within_sector": 0.01, "across_sectors": across, "pairs": exceptions}
    large = load(save(tmp_path, with_table(document({"competition": competition}), "o.csv")))
    rho = np.where(sectors[:, None] == sectors[None, :], 0.01, across)
    np.fill_diagonal(rho, 0.0)
    for first, second, own in exceptions:
        i, j = int(first[1:]), int(second[1:])
        rho[i, j] = rho[j, i] = own
    vector = rng.uniform(0.0, 1.0, n)
    np.testing.assert_allclose(large.rho.dot(vector), rho @ vector, rtol=1e-12)
    np.testing.assert_allclose(large.rho.row_sums(), rho.sum(axis=1), rtol=1e-12)


# --- rescaling ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "competition",
    [
        {"pairs": [["Alpha", "Beta", 0.9], ["Beta", "Gamma", 0.8]]},
        {"default": 0.7},
        {"within_sector": 1.0},
        {"within_sector": 0.5, "across_sectors": 1.0, "pairs": [["Alpha", "Beta", 1.0]]},
        {"matrix_file": "rho.csv"},
    ],
    ids=["pairs", "default", "sector", "exceptions", "matrix"],
)
def test_rescaling_makes_every_weight_positive_and_says_by_how_much(tmp_path, competition):
    sectors = {f"organization.{k}.sector": "x" for k in range(3)}
    given = document({**sectors, "competition": competition})
    rho = "0,0.9,0.4\n0.9,0,0.8\n0.4,0.8,0\n"
    with pytest.raises(tradefl.InputError, match="must be > 0"):
        load(save(tmp_path, given, rho=rho))

    given["competition"]["rescale"] = True
    consortium = load(save(tmp_path, given, rho=rho))
    factor, game = consortium.competition_factor, consortium.game
    assert 0.0 < factor < 1.0
    assert (game.potential_weights > 0.0).all()
    np.testing.assert_allclose(
        game.potential_weights, game.profitability - factor * consortium.rho.dot(game.profitability)
    )
    # No more than needed: the tightest weight is the documented hundredth of its p.
    assert (game.potential_weights / game.profitability).min() == pytest.approx(0.01, rel=1e-9)


def test_rescaling_is_not_misled_by_who_hardly_competes(tmp_path):
    # p / sum_j rho_ij p_j of Gamma is beyond the largest double: no warning, and no matter.
    pairs = [["Alpha", "Beta", 1.0], ["Beta", "Gamma", 5e-324]]
    consortium = load(save(tmp_path, document({"competition": {"pairs": pairs, "rescale": True}})))
    assert consortium.competition_factor == pytest.approx(0.99 * 1500 / 1600, rel=1e-12)


def test_rescaling_leaves_alone_what_needs_none(tmp_path):
    plain = load_at(tmp_path / "a", document())
    rescaled = load_at(tmp_path / "b", document({"competition.rescale": True}))
    assert rescaled.competition_factor == plain.competition_factor == 1.0
    assert_same_game([plain, rescaled])
    assert plain != rescaled  # the key is part of the file


# --- equality -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "four"},
        {"mechanism.deadline_seconds": 20.000001},
        {"energy.upload_watts": 0.1},
        {"accuracy.unit": 1.0000001e9},
        {"competition.pairs": [["Alpha", "Beta", 0.06]]},
        {"competition.default": 0.0},
        {"settlement.wei_per_payoff": 10**15},
        {"organization.1.name": "beta", "competition.pairs": []},
        {"organization.1.profitability": 1600.0000001},
        {"organization.1.samples": 1801},
        {"organization.1.cpu_levels_hz": [1e9]},
        {"organization.1.sector": "banks"},
        {"organization.1.address": "0x" + "2" * 40},
    ],
)
def test_consortia_that_differ_are_not_equal(tmp_path, changes):
    assert load_at(tmp_path / "a", document()) != load_at(tmp_path / "b", document(changes))


def test_a_consortium_equals_no_other_kind_of_thing(tmp_path):
    assert load(save(tmp_path, document())) != "three"


def test_other_points_and_another_matrix_are_other_consortia(tmp_path):
    given = document({"accuracy": EMPIRICAL, "competition": {"matrix_file": "rho.csv"}})
    rho, points = matrix_text(NAMES), POINTS
    first = load_at(tmp_path / "a", given, rho=rho, points=points)
    assert first == load_at(tmp_path / "b", given, rho=rho, points=points)
    assert first != load_at(tmp_path / "c", given, rho=rho.replace("0.03", "0.04"), points=points)
    assert first != load_at(tmp_path / "d", given, rho=rho, points=points.replace("0.55", "0.54"))


def test_the_name_of_a_table_does_not_matter(tmp_path):
    entries = document()["organization"]
    consortia = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        save_csv(folder / f"{name}.csv", entries)
        path = folder / "consortium.toml"
        path.write_text(tomli_w.dumps(with_table(document(), f"{name}.csv")))
        consortia.append(load(path))
    assert consortia[0] == consortia[1]
