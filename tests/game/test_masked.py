"""Masked arrays: what is masked is missing, and never the number that lies under the mask."""

import dataclasses

import numpy as np
import pytest
from tests.support import random_game

import tradefl
from tradefl.game import DenseCompetition, InvalidGameError, StrategyProfile, fit_empirical
from tradefl.game.competition import InvalidCompetitionError, SectorCompetition

FIELDS = (
    *("profitability", "data_bits", "cycles_per_bit", "data_units"),
    *("download_seconds", "upload_seconds"),
)


def second_masked(values):
    return np.ma.masked_array(values, mask=np.arange(np.size(values)) == 1)


@pytest.mark.parametrize("field", FIELDS)
def test_a_masked_figure_is_an_error_that_names_it(field):
    game = random_game(3, 3)
    given = second_masked(getattr(game, field))
    with pytest.raises(InvalidGameError) as error:
        dataclasses.replace(game, **{field: given})
    assert [(i, name) for i, name, _ in error.value.problems] == [(1, field)]
    assert "a masked entry" in str(error.value)


def test_an_array_without_masked_entries_is_an_array():
    game = random_game(3, 3)
    same = dataclasses.replace(game, profitability=np.ma.masked_array(game.profitability))
    np.testing.assert_array_equal(same.profitability, game.profitability)
    assert not isinstance(same.profitability, np.ma.MaskedArray)


def test_masked_levels_are_no_levels():
    game = random_game(3, 3)
    levels = np.tile([1e9, 2e9, 3e9], (3, 1))
    masked = np.ma.masked_array(levels, mask=np.arange(9).reshape(3, 3) == 8)
    padded = np.where(masked.mask, np.nan, levels)
    found = dataclasses.replace(game, cpu_levels_hz=masked)
    np.testing.assert_array_equal(found.cpu_levels_hz, padded)
    assert tradefl.solve(found).profile.cpu_hz[2] <= 2e9
    first = np.ma.masked_array(levels, mask=np.arange(9).reshape(3, 3) == 0)
    with pytest.raises(InvalidGameError, match="ascending frequencies"):
        dataclasses.replace(game, cpu_levels_hz=first)


def test_masked_intensities_sectors_points_and_shares():
    rho = np.ma.masked_array(np.zeros((3, 3)), mask=np.eye(3, k=1) + np.eye(3, k=-1) > 0)
    with pytest.raises(InvalidCompetitionError):
        DenseCompetition(rho)
    with pytest.raises(ValueError, match=r"sectors: .* masked"):
        SectorCompetition(second_masked([0, 1, 0]), within=0.1)
    with pytest.raises(ValueError, match="finite"):
        fit_empirical(second_masked([1.0, 2.0, 3.0]), [0.1, 0.2, 0.3], 0.0)
    profile = StrategyProfile(second_masked([0.5, 0.5]), [1e9, 1e9])
    assert np.isnan(profile.data_fraction[1])
