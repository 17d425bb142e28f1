"""Draws and misreports on other processes: the same to the last bit as in one."""

import numpy as np
import pytest
from tests.cli.command import run
from tests.golden.cases import EXAMPLES

import tradefl
from tradefl.errors import InputError
from tradefl.incentives.sharing import packed, unpacked


@pytest.mark.parametrize("name", ["hospitals_ranges", "insurers", "banks_fraud"])
def test_a_consortium_travels_as_the_texts_of_its_files(name):
    consortium = tradefl.load(EXAMPLES / f"{name}.toml")
    assert unpacked(packed(consortium)) == consortium


@pytest.mark.parametrize("redesign", [False, True])
def test_draws_do_not_depend_on_the_processes(redesign):
    consortium = tradefl.load(EXAMPLES / "hospitals_ranges.toml")
    alone = tradefl.sensitivity(consortium, 300, seed=4, redesign=redesign)
    shared = tradefl.sensitivity(consortium, 300, seed=4, redesign=redesign, workers=2)
    assert shared.to_dict() == alone.to_dict()
    for name in ("data_fraction", "payment", "payoff", "alone", "welfare", "better"):
        np.testing.assert_array_equal(getattr(shared, name), getattr(alone, name))


def test_misreports_do_not_depend_on_the_processes():
    consortium = tradefl.load(EXAMPLES / "hospitals.toml")
    options = {"figures": ("profitability", "competition"), "points": 2, "all_rules": False}
    alone = tradefl.incentives(consortium, 0.1, **options)
    shared = tradefl.incentives(consortium, 0.1, workers=2, **options)
    assert shared.to_dict() == alone.to_dict()


def test_a_number_of_workers_is_checked():
    consortium = tradefl.load(EXAMPLES / "hospitals_ranges.toml")
    with pytest.raises(InputError, match="workers: expected an integer >= 1, got 0"):
        tradefl.sensitivity(consortium, 10, workers=0)
    ran = run("sensitivity", EXAMPLES / "hospitals_ranges.toml", "--workers", 0)
    assert ran.code == 2
    assert "--workers" in ran.err
