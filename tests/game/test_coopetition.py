"""The game as arrays: what is rejected and where, what is derived, what is feasible."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from tests.support import Eq11, examples, games, random_profile, seeds

from tradefl.game import (
    CoopetitionGame,
    InvalidCompetitionError,
    InvalidGameError,
    PowerLaw,
    StrategyProfile,
)

VALID = {
    "profitability": [8.0, 4.0, 6.0],
    "data_bits": [10.0, 20.0, 30.0],
    "cycles_per_bit": [1.0, 2.0, 1.0],
    "cpu_levels_hz": [[1.0, 2.0], [1.0, math.nan], [3.0, 4.0]],
    "competition": [[0.0, 0.25, 0.0], [0.25, 0.0, 0.1], [0.0, 0.1, 0.0]],
    "accuracy": PowerLaw(untrained_loss=1.0, scale=1.0, exponent=1.0),
    "min_data_fraction": 0.1,
}


def game(**changes):
    return CoopetitionGame(**(VALID | changes))


def problems_of(**changes):
    with pytest.raises(InvalidGameError) as raised:
        game(**changes)
    return raised.value.problems


# --- rejections ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("field", ["profitability", "data_bits", "cycles_per_bit", "data_units"])
def test_a_number_that_must_be_positive_is_named_with_its_organization(field, bad):
    values = [8.0, bad, 6.0]
    problems = problems_of(**{field: values})
    assert (1, field) in {(i, name) for i, name, _ in problems}
    assert "expected a finite number > 0" in {name: what for _, name, what in problems}[field]


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("field", ["download_seconds", "upload_seconds"])
def test_a_time_must_not_be_negative(field, bad):
    [(i, name, what)] = problems_of(**{field: [0.0, 1.0, bad]})
    assert (i, name) == (2, field)
    assert what.startswith("expected a finite number >= 0, got")


@pytest.mark.parametrize(
    "field",
    ["data_bits", "cycles_per_bit", "data_units", "download_seconds", "upload_seconds"],
)
def test_an_array_of_the_wrong_length_is_named_with_its_shape(field):
    problems = problems_of(**{field: [1.0, 2.0]})
    assert (None, field, "expected shape (3,), got (2,)") in problems


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("incentive_intensity", [-1e-9, math.nan, math.inf]),
        ("compute_weight", [0.0, -1.0, math.nan, math.inf]),
        ("overhead_weight", [-1.0, math.nan, math.inf]),
        ("min_data_fraction", [0.0, -0.1, 1.0001, math.nan]),
        ("deadline_seconds", [0.0, -1.0, math.nan]),
        ("capacitance", [-1e-30, math.nan, math.inf]),
        ("download_watts", [-1.0, math.nan, math.inf]),
        ("upload_watts", [-1.0, math.nan, math.inf]),
    ],
)
def test_a_parameter_out_of_range_is_named(field, bad):
    for value in bad:
        [(i, name, what)] = problems_of(**{field: value})
        assert (i, name) == (None, field)
        assert what.startswith("expected a finite number >")
        assert what.endswith(f", got {value!r}")


def test_parameters_at_the_ends_of_their_ranges_are_accepted():
    game(incentive_intensity=0.0, overhead_weight=0.0, capacitance=0.0, download_watts=0.0)
    game(min_data_fraction=1.0, deadline_seconds=math.inf)


@pytest.mark.parametrize(
    "row",
    [
        [2.0, 1.0],
        [1.0, 1.0],
        [0.0, 1.0],
        [-1.0, 1.0],
        [math.nan, 1.0],
        [math.nan, math.nan],
        [1.0, math.inf],
    ],
)
def test_levels_that_do_not_ascend_are_named_with_their_organization(row):
    [(i, name, what)] = problems_of(cpu_levels_hz=[[1.0, 2.0], [1.0, math.nan], row])
    assert (i, name) == (2, "cpu_levels_hz")
    assert what == "expected ascending frequencies > 0"


def test_padding_may_not_stand_between_levels():
    [(i, name, _)] = problems_of(
        cpu_levels_hz=[[1.0, math.nan, 2.0], [1.0, 2.0, 3.0], [1.0, 2.0, math.nan]]
    )
    assert (i, name) == (0, "cpu_levels_hz")


@pytest.mark.parametrize("levels", [np.ones((2, 2)), np.ones((3, 0)), np.ones((3, 1, 1))])
def test_levels_of_the_wrong_shape_are_rejected(levels):
    [(i, name, what)] = problems_of(cpu_levels_hz=levels)
    assert (i, name) == (None, "cpu_levels_hz")
    assert what == f"expected shape (3, m), got {levels.shape}"


def test_as_many_names_as_organizations():
    assert problems_of(names=["A", "B"]) == [(None, "names", "expected 3 names, got 2")]


def test_as_many_competitors_as_organizations():
    [problem] = problems_of(competition=np.zeros((2, 2)))
    assert problem == (None, "competition", "expected 3 organizations, got 2")


def test_an_asymmetric_competition_is_rejected():
    with pytest.raises(InvalidCompetitionError, match=r"rho\[0, 1\]: expected a symmetric matrix"):
        game(competition=[[0.0, 0.2, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 0.0]])


def test_what_is_no_accuracy_model_is_rejected():
    with pytest.raises(TypeError, match="accuracy"):
        game(accuracy=0.9)


def test_a_weight_that_is_not_positive_names_the_factor_that_rho_must_shrink_by():
    # z_2 = 4 - 0.5*8 - 0.5*6 = -3: rho would have to be 4/7 of its size.
    [(i, name, what)] = problems_of(competition=[[0.0, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.0]])
    assert (i, name) == (1, "competition")
    assert "= -3 must be > 0" in what
    assert "less than 0.571429 times" in what


def test_the_named_factor_is_the_border_of_what_is_accepted():
    rho = np.array([[0.0, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.0]])
    game(competition=4.0 / 7.0 * 0.999999 * rho)
    # At 4/7 itself z is zero up to rounding; a little above, it is negative.
    assert problems_of(competition=4.0 / 7.0 * 1.000001 * rho)


def test_a_weight_of_zero_is_rejected():
    # z_1 = 2 - 0.25*8 = 0.
    [(i, _, what)] = problems_of(profitability=[8.0, 2.0, 6.0], competition=np.array(
        [[0.0, 0.25, 0.0], [0.25, 0.0, 0.0], [0.0, 0.0, 0.0]]))  # fmt: skip
    assert i == 1
    assert "= 0 must be > 0" in what


def test_an_organization_that_misses_the_deadline_at_its_fastest_is_named():
    # tau - T1 - T3 = 10 - 3 - 5 = 2 s: organization 1 trains 2*1/(2*20) = 5% of its data at 1 Hz,
    # below D_min = 10%; 0 trains 40% and 2 trains 8/30.
    [(i, name, what)] = problems_of(deadline_seconds=10.0, download_seconds=3.0, upload_seconds=5.0)
    assert (i, name) == (1, "cpu_levels_hz")
    assert "only 0.05 of the data" in what
    assert "minimum fraction 0.1" in what


def test_a_deadline_shorter_than_the_transfers_is_reported_as_no_data_at_all():
    problems = problems_of(deadline_seconds=1.0, download_seconds=3.0)
    assert [i for i, _, _ in problems] == [0, 1, 2]
    assert all("only 0 of the data" in what for _, _, what in problems)


def test_a_slow_level_may_miss_the_deadline_when_a_faster_one_does_not():
    # 2 s: organization 0 trains 20% at 1 Hz; with D_min = 0.3 only 2 Hz is left.
    rushed = game(deadline_seconds=2.0, min_data_fraction=0.3, cycles_per_bit=[1.0, 0.1, 0.5])
    np.testing.assert_array_equal(
        rushed.level_is_feasible(), [[False, True], [True, False], [True, True]]
    )


def test_a_user_function_that_breaks_eq5_is_rejected():
    class Square:
        def value(self, omega):
            return omega**2

        def derivative(self, omega):
            return 2.0 * omega

    [(i, name, what)] = problems_of(accuracy=Square())
    assert (i, name) == (None, "accuracy")
    assert "not concave" in what


def test_all_problems_are_reported_at_once():
    problems = problems_of(
        data_bits=[0.0, 1.0, -1.0], capacitance=-1.0, names=["A"], cpu_levels_hz=[2.0, 1.0]
    )
    places = {(i, name) for i, name, _ in problems}
    assert {
        (0, "data_bits"), (2, "data_bits"), (None, "capacitance"), (None, "names"),
        (0, "cpu_levels_hz"), (1, "cpu_levels_hz"), (2, "cpu_levels_hz"),
    } <= places  # fmt: skip


def test_twenty_problems_are_shown_and_all_are_kept():
    with pytest.raises(InvalidGameError, match=r"organization 0: profitability.*and 5 more$") as e:
        CoopetitionGame(
            profitability=-np.ones(25),
            data_bits=np.ones(25),
            cycles_per_bit=1.0,
            cpu_levels_hz=[1.0],
            competition=np.zeros((25, 25)),
            accuracy=VALID["accuracy"],
        )
    assert len(e.value.problems) == 25


def test_a_consortium_of_nobody_is_rejected():
    with pytest.raises(InvalidGameError):
        CoopetitionGame(
            profitability=[],
            data_bits=[],
            cycles_per_bit=[],
            cpu_levels_hz=[1.0],
            competition=np.zeros((0, 0)),
            accuracy=VALID["accuracy"],
        )


# --- what is derived ----------------------------------------------------------------------------


def test_derived_arrays_by_hand():
    some = game(deadline_seconds=10.0, download_seconds=1.0, upload_seconds=[1.0, 2.0, 3.0])
    np.testing.assert_allclose(some.competitors_profitability, [1.0, 2.6, 0.4])
    np.testing.assert_allclose(some.potential_weights, [7.0, 1.4, 5.6])
    np.testing.assert_allclose(some.total_intensity, [0.25, 0.35, 0.1])
    np.testing.assert_allclose(some.data_fraction_per_hz, [0.8, 7.0 / 40.0, 0.2])
    np.testing.assert_allclose(
        some.max_data_fraction(some.cpu_levels_hz), [[0.8, 1.0], [0.175, math.nan], [0.6, 0.8]]
    )
    np.testing.assert_allclose(some.max_data_fraction(np.array([1.0, 2.0, 9.0])), [0.8, 0.35, 1.0])
    assert some.size == 3
    assert some.omega(StrategyProfile([0.1, 0.2, 0.5], [1.0, 1.0, 3.0])) == pytest.approx(20.0)


def test_data_counts_in_bits_and_levels_are_shared_unless_said_otherwise():
    some = game(cpu_levels_hz=[1.0, 5.0])
    np.testing.assert_array_equal(some.data_units, some.data_bits)
    np.testing.assert_array_equal(some.cpu_levels_hz, [[1.0, 5.0]] * 3)


def test_the_dynamics_start_at_the_least_data_and_the_fastest_level():
    start = game().initial_profile()
    np.testing.assert_array_equal(start.data_fraction, [0.1, 0.1, 0.1])
    np.testing.assert_array_equal(start.cpu_hz, [2.0, 1.0, 4.0])


@examples(60)
@given(games(), seeds())
def test_random_and_initial_profiles_are_feasible(some, seed):
    assert some.is_feasible(some.initial_profile()).all()
    assert some.is_feasible(random_profile(some, seed)).all()
    for i in range(some.size):
        feasible = some.level_is_feasible()[i]
        levels = Eq11(some).levels(i)
        np.testing.assert_array_equal(some.cpu_levels_hz[i][feasible], [f for f, _ in levels])


def test_feasibility_is_decided_for_each_organization():
    some = game(deadline_seconds=10.0)
    assert some.is_feasible(StrategyProfile([0.1, 0.25, 1.0], [1.0, 1.0, 4.0])).all()
    np.testing.assert_array_equal(
        # too little data; too much for the deadline (0.25); no such level
        some.is_feasible(StrategyProfile([0.099, 0.26, 0.5], [1.0, 1.0, 3.5])),
        [False, False, False],
    )
    np.testing.assert_array_equal(
        some.is_feasible(StrategyProfile([1.01, 0.1, math.nan], [2.0, 1.0, 4.0])),
        [False, True, False],
    )


def test_rounding_of_the_deadline_is_forgiven():
    some = game(deadline_seconds=10.0)
    assert some.is_feasible(StrategyProfile([0.1, 0.25 * (1 + 1e-12), 1.0], [1.0, 1.0, 4.0])).all()


def test_names_are_found_and_default_to_numbers():
    named = game(names=["Alpha", "Beta", "Gamma"])
    assert (named.name_of(1), named.index_of("Gamma")) == ("Beta", 2)
    assert (game().name_of(1), game().index_of("3")) == ("2", 2)
    with pytest.raises(KeyError, match="Delta"):
        named.index_of("Delta")


def test_another_gamma_changes_nothing_else():
    some = game(names=["A", "B", "C"], incentive_intensity=0.3)
    other = some.with_incentive_intensity(0.7)
    assert (some.incentive_intensity, other.incentive_intensity) == (0.3, 0.7)
    for field in dataclasses.fields(CoopetitionGame):
        if field.name != "incentive_intensity":
            one, two = getattr(some, field.name), getattr(other, field.name)
            assert one is two or np.array_equal(one, two, equal_nan=True)
    with pytest.raises(InvalidGameError, match="incentive_intensity"):
        some.with_incentive_intensity(-1.0)


def test_a_game_keeps_its_own_arrays_and_nobody_can_change_them():
    p = np.array([8.0, 4.0, 6.0])
    some = game(profitability=p)
    p[0] = 99.0
    assert some.profitability[0] == 8.0
    for field in ("profitability", "data_bits", "cpu_levels_hz", "data_units", "upload_seconds"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(some, field)[0] = 1.0


# --- strategy profiles --------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "f"), [([0.1], [1.0, 2.0]), (0.1, 1.0), ([[0.1]], [[1.0]])])
def test_a_profile_needs_two_arrays_of_one_length(d, f):
    with pytest.raises(ValueError, match=r"expected two arrays of shape \(N,\)"):
        StrategyProfile(d, f)


def test_a_replaced_strategy_leaves_the_profile_alone():
    before = StrategyProfile([0.1, 0.2], [1.0, 2.0])
    after = before.replaced(1, 0.5, 3.0)
    np.testing.assert_array_equal(after.data_fraction, [0.1, 0.5])
    np.testing.assert_array_equal(after.cpu_hz, [1.0, 3.0])
    np.testing.assert_array_equal(before.data_fraction, [0.1, 0.2])
    with pytest.raises(ValueError, match="read-only"):
        before.data_fraction[0] = 0.9
