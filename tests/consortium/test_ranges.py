"""Figures with a range: what they mean, where they may be, and what is refused."""

import dataclasses

import numpy as np
import pytest
from tests.consortium.documents import document, save

from tradefl.consortium import load, write
from tradefl.consortium.ranges import uncertain
from tradefl.errors import InputError


def between(low, mid, high):
    return {"low": low, "mid": mid, "high": high}


GOOD = {
    "organization.0.profitability": between(1200.0, 1500.0, 1900.0),
    "organization.1.cycles_per_bit": between(1.5, 2.0, 2.5),
    "organization.2.data_cost": between(0.0, 2.0, 9.0),
    "mechanism.overhead_weight": between(0.1, 0.185, 0.4),
    "competition.pairs": [["Alpha", "Beta", between(0.0, 0.06, 0.1)], ["Beta", "Gamma", 0.05]],
}


def refused(path):
    with pytest.raises(InputError) as caught:
        load(path)
    return str(caught.value)


def test_commands_compute_with_the_middle(tmp_path):
    found = load(save(tmp_path, document(GOOD)))
    plain = load(
        save(
            tmp_path,
            document(
                {
                    "organization.0.profitability": 1500.0,
                    "organization.1.cycles_per_bit": 2.0,
                    "organization.2.data_cost": 2.0,
                    "mechanism.overhead_weight": 0.185,
                    "competition.pairs": [["Alpha", "Beta", 0.06], ["Beta", "Gamma", 0.05]],
                }
            ),
        )
    )
    for name in ("profitability", "cycles_per_bit", "data_cost", "potential_weights"):
        np.testing.assert_array_equal(getattr(found.game, name), getattr(plain.game, name))
    assert found.game.overhead_weight == plain.game.overhead_weight
    assert found != plain
    assert [(str(entry), entry.low, entry.mid, entry.high) for entry in uncertain(found)] == [
        ("mechanism.overhead_weight", 0.1, 0.185, 0.4),
        ("rho of Alpha and Beta", 0.0, 0.06, 0.1),
        ("Alpha: profitability", 1200.0, 1500.0, 1900.0),
        ("Beta: cycles_per_bit", 1.5, 2.0, 2.5),
        ("Gamma: data_cost", 0.0, 2.0, 9.0),
    ]
    assert list(uncertain(plain)) == []


def test_it_is_written_back_inline_and_as_a_table(tmp_path):
    menu = {"organization.1.profitability_menu": [1400.0, 1600.0, 1700.0]}
    found = load(save(tmp_path, document({**GOOD, **menu})))
    write(found, tmp_path / "again.toml")
    assert load(tmp_path / "again.toml") == found
    table = dataclasses.replace(found, organizations_file="any.csv")
    write(table, tmp_path / "table.toml")
    assert load(tmp_path / "table.toml") == found
    header = (tmp_path / "table.organizations.csv").read_text().splitlines()[0]
    assert "profitability_low,profitability_high" in header
    assert "profitability_menu" in header


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"organization.0.profitability": between(1600.0, 1500.0, 1900.0)},
            "organization[0].profitability: expected low <= mid <= high, got 1600.0, 1500.0",
        ),
        (
            {"organization.0.profitability": between(1200.0, 1500.0, 1400.0)},
            "organization[0].profitability: expected low <= mid <= high",
        ),
        (
            {"organization.0.profitability": between(-1.0, 1500.0, 1900.0)},
            "organization[0].profitability.low: expected a number > 0, got -1.0",
        ),
        (
            {"organization.0.profitability": between(1200.0, 1500.0, float("inf"))},
            "organization[0].profitability.high: expected a finite number",
        ),
        (
            {"organization.0.profitability": between("a", 1500.0, 1900.0)},
            "organization[0].profitability.low: expected a number",
        ),
        (
            {"organization.0.profitability": {"low": 1.0, "high": 2.0}},
            "organization[0].profitability.mid: is missing; a range has low, mid and high",
        ),
        (
            {"organization.0.profitability": between(1.0, 2.0, 3.0) | {"best": 2.0}},
            "organization[0].profitability.best: unknown key",
        ),
        (
            {"organization.0.data_bits": between(1e9, 2e10, 3e10)},
            "organization[0].data_bits: must be exact",
        ),
        ({"organization.0.samples": between(1, 2, 3)}, "organization[0].samples: must be exact"),
        (
            {"mechanism.incentive_intensity": between(0.0, 1e-9, 1e-8)},
            "mechanism.incentive_intensity: must be exact",
        ),
        ({"accuracy.unit": between(1e8, 1e9, 1e10)}, "accuracy.unit: must be exact"),
        (
            {"settlement": {"wei_per_payoff": between(1, 2, 3)}},
            "settlement.wei_per_payoff: must be exact",
        ),
        (
            {"competition.pairs": [["Alpha", "Beta", between(0.0, 0.06, 1.5)]]},
            "competition.pairs[0].high: expected a number <= 1",
        ),
        # z_Alpha = 100 - 0.06 * 1600 at the mid, less at the ends.
        (
            {"organization.0.profitability": between(50.0, 100.0, 200.0)},
            "the ranges allow z = p - sum_j rho_ij p_j = -46",
        ),
        (
            {"competition.pairs": [["Alpha", "Beta", between(0.0, 0.06, 1.0)]]},
            "organization 'Alpha': competition: the ranges allow z",
        ),
        # Two organizations state one pair differently.
        (
            {"competition.pairs": [["Alpha", "Beta", 0.06], ["Beta", "Alpha", 0.07]]},
            "'Beta' and 'Alpha' are listed twice, with 0.06 and 0.07; agree on one of them",
        ),
        (
            {"organization.0.profitability_menu": [1400.0, 1600.0]},
            "profitability: expected one of its menu [1400.0, 1600.0], got 1500",
        ),
        (
            {"organization.0.profitability_menu": [1500.0, 1400.0]},
            "profitability_menu: expected ascending numbers",
        ),
        ({"organization.0.profitability_menu": [1500.0]}, "profitability_menu: "),
        ({"organization.0.profitability_menu": 1500.0}, "profitability_menu: expected a list"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, message):
    assert message in refused(save(tmp_path, document(changes)))


def test_where_there_is_no_game_any_more_is_stated(tmp_path):
    text = refused(
        save(tmp_path, document({"organization.0.profitability": between(50.0, 100.0, 200.0)}))
    )
    # z = 4 at the mid and -46 at the low end: 4 / 50 of the way.
    assert "from 0.08 of the way" in text


TABLE = """name,profitability,data_bits,samples,cycles_per_bit,cpu_levels_hz,\
download_seconds,upload_seconds,{head}
Alpha,1500,2e10,1500,2,1e9;2e9,1,1,{alpha}
Beta,1600,2e10,1500,2,1e9;2e9,1,1,{beta}
"""


@pytest.mark.parametrize(
    ("head", "alpha", "beta", "message"),
    [
        ("profitability_low,profitability_high", "1200,1900", ",", None),
        ("profitability_low,profitability_high", "1200,", ",", "profitability_high: is empty"),
        ("profitability_low", "1200", "", "line 2, profitability_high: is empty"),
        ("profitability_low,profitability_high", "1700,1900", ",", "expected low <= mid <= high"),
        ("profitability_low,profitability_high", "-5,1900", ",", "profitability_low: expected"),
        ("data_bits_low,data_bits_high", "1,2", ",", "unknown column 'data_bits_low'"),
        ("profitability_menu", "1400;1500", "1600;1700", None),
        ("profitability_menu", "1400;1450", "", "expected one of its menu"),
    ],
)
def test_tables_have_columns_for_the_ends(tmp_path, head, alpha, beta, message):
    (tmp_path / "orgs.csv").write_text(TABLE.format(head=head, alpha=alpha, beta=beta))
    changes = {"organizations_file": "orgs.csv", "competition": {}}
    content = document(changes)
    del content["organization"]
    path = save(tmp_path, content)
    if message is None:
        found = load(path)
        if "menu" in head:
            assert found.organizations.menus["profitability_menu"][0] == (1400.0, 1500.0)
        else:
            (one,) = uncertain(found)
            assert (one.organization, one.low, one.mid, one.high) == ("Alpha", 1200, 1500, 1900)
    else:
        assert message in refused(path)
