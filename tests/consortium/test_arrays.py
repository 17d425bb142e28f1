"""Consortia of games and of data frames: the same figures, and they can be written."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from tests.support import random_game

import tradefl
from tradefl import Consortium, CoopetitionGame, Empirical, InputError, PowerLaw, SqrtLoss
from tradefl.consortium.schema import Settlement
from tradefl.game import DenseCompetition, SectorCompetition

ACCURACY = SqrtLoss(epochs=5, untrained_loss=0.79)
LEVELS = [[1e9, 2e9, np.nan], [1e9, 1.5e9, 2e9], [2e9, np.nan, np.nan]]
RHO = [[0.0, 0.1, 0.05], [0.1, 0.0, 0.08], [0.05, 0.08, 0.0]]


def game(**changes):
    figures = {
        "profitability": [1200.0, 900.0, 700.0],
        "data_bits": [4e9, 3e9, 2e9],
        "cycles_per_bit": [2.0, 3.0, 2.5],
        "cpu_levels_hz": LEVELS,
        "competition": RHO,
        "accuracy": ACCURACY,
        "data_units": [40.0, 30.0, 20.0],
        "download_seconds": [1.0, 2.0, 3.0],
        "upload_seconds": 0.5,
        "incentive_intensity": 5e-9,
        "compute_weight": 1.6,
        "overhead_weight": 1e-4,
        "min_data_fraction": 0.02,
        "deadline_seconds": 40.0,
        "capacitance": 2e-27,
        "download_watts": 3.0,
        "upload_watts": 4.0,
        "data_cost": [1.0, 2.0, 0.0],
        "joining_cost": 0.5,
        "names": ["Alpha", "Beta", "Gamma"],
        "title": "three",
    }
    return CoopetitionGame(**figures | changes)


def assert_same(one, other):
    """The same game: every field, the competition as a matrix, the accuracy as a function."""
    for field in dataclasses.fields(CoopetitionGame):
        mine, its = getattr(one, field.name), getattr(other, field.name)
        if field.name == "competition":
            for k in range(one.size):
                unit = np.eye(one.size)[k]
                np.testing.assert_allclose(mine.dot(unit), its.dot(unit), rtol=1e-15)
        elif field.name == "accuracy":
            omega = np.linspace(0.0, 2.0 * one.data_units.sum(), 50)
            np.testing.assert_allclose(mine.value(omega), its.value(omega), rtol=1e-12)
        elif field.name == "compensation":
            assert (mine is None) == (its is None)
        elif isinstance(mine, np.ndarray | float):
            np.testing.assert_allclose(mine, its, rtol=1e-12, err_msg=field.name)
        else:
            assert tuple(mine or ()) == tuple(its or ()), field.name


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data_units": None},
        {"data_units": [0.5, 1.25, 7.0]},
        {"quality": [1.0, 0.5, 2.0]},
        {"capacitance": [1e-27, 2e-27, 3e-27]},
        {"accuracy": PowerLaw(0.9, 3.0, 0.4, 0.1)},
        {"accuracy": Empirical([0.0, 10.0, 50.0], [0.0, 0.3, 0.5])},
        {"competition": csr_array(np.array(RHO))},
        {"competition": DenseCompetition(np.array(RHO))},
        {"competition": SectorCompetition([0, 1, 0], 0.1, 0.02)},
        {"competition": SectorCompetition([4, 4, 9], 0.1, 0.0, ([0], [1], [0.07]))},
    ],
    ids=lambda changes: next(iter(changes), "plain"),
)
def test_the_consortium_of_a_game_plays_that_game_written_too(changes, tmp_path):
    given = game(**changes)
    consortium = Consortium.from_game(given)
    assert_same(consortium.game, given)
    path = tmp_path / "three.toml"
    tradefl.write(consortium, path)
    again = tradefl.load(path)
    assert again == consortium
    assert_same(again.game, given)


@pytest.mark.parametrize("seed", range(8))
def test_random_games(seed, tmp_path):
    kind = ("sqrt-loss", "power-law", "empirical")[seed % 3]
    given = random_game(seed, 6, accuracy=kind)
    consortium = Consortium.from_game(given, name=f"draw {seed}")
    path = tmp_path / "draw.toml"
    tradefl.write(consortium, path)
    np.testing.assert_allclose(
        tradefl.solve(tradefl.load(path)).payoffs, tradefl.solve(given).payoffs, rtol=1e-9
    )


def test_the_efficient_rule_goes_along(tmp_path):
    found = tradefl.design(game(), random_starts=0)
    given = game().with_compensation(found.rule)
    consortium = Consortium.from_game(given)
    assert consortium.mechanism.rule == "efficient"
    path = tmp_path / "designed.toml"
    tradefl.write(consortium, path)
    np.testing.assert_allclose(
        tradefl.solve(tradefl.load(path)).payoffs, tradefl.solve(given).payoffs, rtol=1e-9
    )


def test_without_a_deadline_everybody_meets_it():
    given = game(deadline_seconds=np.inf)
    consortium = Consortium.from_game(given)
    assert np.isfinite(consortium.mechanism.deadline_seconds)
    assert consortium.game.max_data_fraction(given.cpu_levels_hz[:, 0]).tolist() == [1.0] * 3
    np.testing.assert_array_equal(tradefl.solve(consortium).payoffs, tradefl.solve(given).payoffs)


def test_samples_sectors_addresses_and_sections_are_kept():
    address = "0x" + "1" * 40
    consortium = Consortium.from_game(
        game(),
        name="named",
        samples=np.array([400, 300, 200]),
        sectors=["a", None, "b"],
        addresses=[address, None, None],
        settlement=Settlement(wei_per_payoff=10**12),
    )
    assert consortium.name == consortium.game.title == "named"
    assert consortium.organizations.samples.tolist() == [400, 300, 200]
    assert consortium.organizations.sectors == ("a", None, "b")
    assert consortium.organizations.addresses == (address, None, None)
    assert consortium.settlement.wei_per_payoff == 10**12
    assert consortium.accuracy.measure == "samples"


def test_units_that_are_whole_numbers_are_the_samples():
    assert Consortium.from_game(game()).organizations.samples.tolist() == [40, 30, 20]
    assert Consortium.from_game(game(data_units=None)).organizations.samples.max() == 4_000_000_000


class Own:
    def value(self, omega):
        return 1.0 - 1.0 / (1.0 + omega)

    def derivative(self, omega):
        return 1.0 / (1.0 + omega) ** 2


@pytest.mark.parametrize(
    ("changes", "parameters", "message"),
    [
        ({"accuracy": Own()}, {}, "accuracy: a consortium can state SqrtLoss, .* got Own"),
        ({"names": ["A", "A", "B"]}, {}, "organizations: name 'A' occurs 2 times"),
        ({"names": ["Alpha", "Аlpha", "B"]}, {}, "look alike"),
        ({"names": ["A\u202e", "B", "C"]}, {}, "organization 'A.*': name: "),
        ({}, {"name": ""}, "name: "),
        ({}, {"samples": [1, 2]}, "samples: expected 3 numbers, got 2"),
        ({}, {"samples": [1, 0, 2]}, "organization 'Beta': samples: expected a number >= 1, got 0"),
        ({}, {"addresses": ["0x1", None, None]}, "organization 'Alpha': address: expected an add"),
    ],
)
def test_what_no_file_may_have(changes, parameters, message):
    with pytest.raises(InputError, match=message):
        Consortium.from_game(game(**changes), **parameters)


# --- frames --------------------------------------------------------------------------------------


def frame(**changes):
    columns = {
        "name": ["Alpha", "Beta", "Gamma"],
        "profitability": [1200.0, 900.0, 700.0],
        "data_bits": [4e9, 3e9, 2e9],
        "samples": [400, 300, 200],
        "cycles_per_bit": [2.0, 3.0, 2.5],
        "cpu_levels_hz": [[1e9, 2e9], np.array([1e9, 2e9]), "1e9;2e9"],
        "download_seconds": [1.0, 2.0, 3.0],
        "upload_seconds": [0.5, 0.5, 0.5],
    }
    return pd.DataFrame(columns | changes)


def of_frame(table, **changes):
    terms = {"name": "of a frame", "accuracy": ACCURACY, "competition": RHO}
    return Consortium.from_frame(table, **terms | {"measure": "samples", "unit": 10.0} | changes)


def test_a_frame_is_a_consortium(tmp_path):
    consortium = of_frame(frame(), incentive_intensity=5e-9, deadline_seconds=60.0)
    assert consortium.names == ("Alpha", "Beta", "Gamma")
    assert consortium.game.data_units.tolist() == [40.0, 30.0, 20.0]
    path = tmp_path / "frame.toml"
    tradefl.write(consortium, path)
    assert tradefl.load(path) == consortium
    assert tradefl.settle(consortium).audit.agrees


def test_a_table_that_pandas_reads_is_the_table_that_a_file_names(tmp_path):
    table = tmp_path / "organizations.csv"
    frame(cpu_levels_hz=["1e9;2e9"] * 3).to_csv(table, index=False)
    read = of_frame(pd.read_csv(table))
    assert read.organizations == of_frame(frame()).organizations


def test_names_may_be_the_index_and_optional_columns_may_have_holes():
    table = frame(data_cost=[1.0, np.nan, 2.0], sector=["a", np.nan, "b"]).set_index("name")
    consortium = of_frame(table)
    assert consortium.names == ("Alpha", "Beta", "Gamma")
    assert consortium.organizations.data_cost.tolist() == [1.0, 0.0, 2.0]
    assert consortium.organizations.sectors == ("a", None, "b")


@pytest.mark.parametrize(
    ("table", "changes", "message"),
    [
        (frame().drop(columns="samples"), {}, "column 'samples': is missing"),
        (frame(smaples=[1, 2, 3]), {}, r"column 'smaples': unknown column \(did you mean 'samp"),
        (frame(profitability=[1.0, -2.0, 3.0]), {}, "row 1: profitability: expected a number > 0"),
        (frame(profitability=[1.0, np.nan, 3.0]), {}, "row 1: profitability: expected a finite"),
        (frame(cpu_levels_hz=["fast"] * 3), {}, "row 0: cpu_levels_hz: expected a list"),
        (frame(cpu_levels_hz=[[2e9, 1e9]] * 3), {}, "row 0: cpu_levels_hz: expected ascending"),
        (frame(samples=[1.5, 2.0, 3.0]), {}, "row 0: samples: expected a whole number"),
        (frame().iloc[:0], {}, "frame: expected at least one organization"),
        (frame(), {"unit": 0.0}, "unit: expected a number > 0"),
        (
            frame(),
            {"competition": np.full((3, 3), 0.9) * (1 - np.eye(3))},
            "row .*: competition: z",
        ),
        (frame(), {"competition": [[0, 2, 0], [2, 0, 0], [0, 0, 0]]}, r"competition\[0, 1\]: "),
    ],
)
def test_what_is_wrong_in_a_frame_is_named_by_row_and_column(table, changes, message):
    with pytest.raises(InputError, match=message):
        of_frame(table, **changes)
