"""Both rules against Eq. (9)-(11) written a second time, and what makes them rules at all."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import (
    ACCURACIES,
    Eq11,
    efficient_games,
    examples,
    games,
    random_game,
    random_profile,
    random_rule,
    seeds,
)

from tradefl.game import (
    CoopetitionGame,
    EfficientRule,
    Empirical,
    InvalidGameError,
    InvalidScheduleError,
    LinearRule,
    Schedule,
    StrategyProfile,
    payoffs,
    potential,
    regret,
)
from tradefl.game.payoff import redistribution
from tradefl.game.rules import MAX_BREAKPOINTS
from tradefl.solvers.solution import Solution

both_rules = given(st.one_of(efficient_games(), games(min_organizations=2)), seeds())


def received(game, profile):
    """Every r_ij, ``(N, N)``, from the rule itself."""
    matrix = np.zeros((game.size, game.size))
    for i in range(game.size):
        others, amounts = game.rule.received(game, profile, i)
        assert i not in others
        matrix[i, others] = amounts
    return matrix


def sizes(game, profile):
    judge = Eq11(game)
    return np.array([judge.scale(profile, i) for i in range(game.size)])


# --- what everybody receives --------------------------------------------------------------------


@examples(80)
@both_rules
def test_what_one_receives_the_other_pays(game, seed):
    profile = random_profile(game, seed)
    r = received(game, profile)
    gross = game.rule.gross_redistribution(game, profile)
    # Subtraction is exact in its sign: not even rounding breaks the symmetry of a pair by more.
    np.testing.assert_allclose(r, -r.T, rtol=0.0, atol=1e-15 * gross.max())
    assert abs(math.fsum(redistribution(game, profile))) <= 1e-13 * gross.sum()


@examples(80)
@both_rules
def test_every_way_to_ask_gives_the_same(game, seed):
    profile, rule = random_profile(game, seed), game.rule
    judge, r = Eq11(game), received(game, profile)
    gross = rule.gross_redistribution(game, profile)
    for i in range(game.size):
        d, f = profile.data_fraction[i], profile.cpu_hz[i]
        plain = np.array(judge.received(profile, i, d, f), dtype=float)
        np.testing.assert_allclose(r[i], plain, rtol=0.0, atol=1e-13 * abs(gross[i]))
        others, weight, constant = rule.pair(game, i)
        score = rule.score(game, profile)
        again = weight * (score[i] - score[others]) + constant
        np.testing.assert_array_equal(r[i, others], again)
        rounding = 1e-12 * gross.max() + 1e-9  # a sector's exceptions are taken away again
        assert np.abs(plain).sum() <= gross[i] + rounding
    net = rule.redistribution(game, profile)
    np.testing.assert_allclose(net, r.sum(axis=1), rtol=0.0, atol=1e-13 * gross.max())
    some = (np.random.default_rng(seed).random(game.size) < 0.5).astype(float)
    found = rule.received_from(game, profile, some)
    np.testing.assert_allclose(found, r @ some, rtol=0.0, atol=1e-13 * gross.max())


@examples(60)
@both_rules
def test_the_transfers_are_what_is_received(game, seed):
    profile = random_profile(game, seed)
    solution = Solution.certified(
        game, profile, finished=True, method="none", iterations=0, runtime_seconds=0.0
    )
    r = np.zeros((game.size, game.size))
    for payer, receiver, amount in solution.transfers():
        assert amount > 0.0
        assert r[receiver, payer] == 0.0
        r[receiver, payer], r[payer, receiver] = amount, -amount
    gross = game.rule.gross_redistribution(game, profile)
    np.testing.assert_allclose(r, received(game, profile), rtol=0.0, atol=1e-11 * gross.max())
    for i in range(game.size):
        assert sorted(solution.transfers(i)) == sorted(
            transfer for transfer in solution.transfers() if i in transfer[:2]
        )


@examples(60)
@given(efficient_games(), seeds())
def test_payoffs_under_the_efficient_rule_are_those_of_the_formulas(game, seed):
    profile = random_profile(game, seed)
    scale = sizes(game, profile)
    difference = np.abs(payoffs(game, profile).payoff - Eq11(game).payoffs(profile))
    assert np.all(difference <= 1e-12 * scale)


# --- what one's own strategy adds ---------------------------------------------------------------


@examples(80)
@both_rules
def test_own_is_what_a_deviation_changes(game, seed):
    here, there = random_profile(game, seed), random_profile(game, seed + 1)
    rule = game.rule
    now = rule.redistribution(game, here)
    for i in range(game.size):
        d, f = there.data_fraction[[i]], there.cpu_hz[[i]]
        moved = here.replaced(i, float(d[0]), float(f[0]))
        who = np.array([i])
        expected = rule.redistribution(game, moved)[i] - now[i]
        own = rule.own(game, who, d, f) - rule.own(
            game, who, here.data_fraction[[i]], here.cpu_hz[[i]]
        )
        gross = sum(rule.gross_redistribution(game, entry)[i] for entry in (here, moved))
        assert own[0] == pytest.approx(expected, rel=0.0, abs=1e-13 * gross)


@examples(80)
@both_rules
def test_the_pieces_are_own(game, seed):
    profile = random_profile(game, seed)
    everyone, d, f = np.arange(game.size), profile.data_fraction, profile.cpu_hz
    pieces = game.rule.pieces(game)
    assert np.all(pieces.low[:, 0] == 0.0)
    assert np.all(pieces.high[:, -1] == 1.0)
    np.testing.assert_array_equal(pieces.low[:, 1:], pieces.high[:, :-1])
    own = game.rule.own(game, everyone, d, f)
    for i in everyone:
        inside = np.flatnonzero((pieces.low[i] <= d[i]) & (d[i] <= pieces.high[i]))
        assert inside.size
        for k in inside:
            line = pieces.constant[i, k] + pieces.gain[i, k] * d[i] + pieces.per_hz[i] * f[i]
            size = abs(pieces.constant[i, k]) + abs(pieces.gain[i, k]) + abs(own[i])
            assert line == pytest.approx(own[i], rel=0.0, abs=1e-14 * size)


@examples(60)
@given(efficient_games(), seeds())
def test_slopes_are_those_beside_d_and_corners_where_they_jump(game, seed):
    rng = np.random.default_rng(seed)
    rule, everyone = game.rule, np.arange(game.size)
    corners = rule.corners(game, everyone)
    for i in everyone:
        schedule = rule.schedules[i]
        assert set(corners[i]) == set(schedule.shares)
        d = np.append(rng.random(5), schedule.shares[1:-1])
        left, right = rule.slopes(game, np.full(d.size, i), d)
        slopes = np.diff(schedule.values) / np.diff(schedule.shares)
        at = np.searchsorted(schedule.shares, d, side="left") - 1
        np.testing.assert_array_equal(left, slopes[at])
        np.testing.assert_array_equal(
            right, slopes[np.searchsorted(schedule.shares, d, side="right") - 1]
        )
        assert np.all(left >= right * (1.0 - 1e-12))


def test_the_slopes_of_the_papers_rule_are_one_and_it_has_no_corners():
    game = random_game(3, 4, gamma=1.0, competition="dense")
    everyone, d = np.arange(4), np.full(4, 0.5)
    left, right = game.rule.slopes(game, everyone, d)
    np.testing.assert_array_equal(left, right)
    np.testing.assert_allclose(
        left, game.incentive_intensity * Eq11(game).rho.sum(axis=1) * game.data_bits, rtol=1e-13
    )
    assert game.rule.corners(game, everyone).shape == (4, 0)


# --- a weighted potential -----------------------------------------------------------------------


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_the_potential_is_exact_under_the_efficient_rule(accuracy):
    @examples(40)
    @given(efficient_games(accuracy=accuracy), seeds())
    def check(game, seed):
        judge, here = Eq11(game), random_profile(game, seed)
        there = random_profile(game, seed + 1)
        for i in range(game.size):
            d, f = float(there.data_fraction[i]), float(there.cpu_hz[i])
            gain = float(judge.payoff(here, i, d, f)) - float(judge.payoff(here, i))
            rise = potential(game, here.replaced(i, d, f)) - potential(game, here)
            scale = judge.scale(here, i) + judge.scale(here, i, d, f)
            assert gain == pytest.approx(
                game.potential_weights[i] * rise,
                rel=0.0,
                abs=1e-12 * scale + lost(game, here, i),
            )

    check()


def lost(game, profile, i):
    """What U's rounding costs when z_i is weighed against everybody's terms."""
    judge, z = Eq11(game), game.potential_weights
    return 1e-13 * z[i] * sum(judge.scale(profile, j) / z[j] for j in range(game.size))


# --- what is refused ----------------------------------------------------------------------------

REFUSED = {
    "as many values": (([0.0, 1.0], [0.0, 1.0, 2.0]), "expected as many values as shares"),
    "a row": (([[0.0, 1.0]], [[0.0, 1.0]]), "expected as many values as shares"),
    "too few": (([0.0], [0.0]), "expected 2 to 32 breakpoints, got 1"),
    "too many": (
        (np.round(np.linspace(0.0, 1.0, 33), 9), np.linspace(0.0, 1.0, 33)),
        "expected 2 to 32 breakpoints, got 33",
    ),
    "not finite": (([0.0, 1.0], [0.0, np.inf]), "expected finite numbers"),
    "nan": (([0.0, np.nan, 1.0], [0.0, 1.0, 2.0]), "expected finite numbers"),
    "does not begin at 0": (([0.1, 1.0], [0.0, 1.0]), "expected shares that ascend from 0 to 1"),
    "does not end at 1": (([0.0, 0.9], [0.0, 1.0]), "expected shares that ascend from 0 to 1"),
    "stands still": (
        ([0.0, 0.5, 0.5, 1.0], [0.0, 1.0, 1.0, 2.0]),
        "expected shares that ascend from 0 to 1",
    ),
    "ten decimals": (
        ([0.0, 0.1234567891, 1.0], [0.0, 1.0, 2.0]),
        "expected shares of at most nine decimals",
    ),
    "falls": (([0.0, 0.5, 1.0], [0.0, 1.0, 0.9]), "expected values that do not fall"),
    "convex": (
        ([0.0, 0.5, 1.0], [0.0, 1.0, 3.0]),
        "expected a concave schedule: its slope must not rise",
    ),
    "convex from a level start": (
        ([0.0, 0.5, 1.0], [0.0, 0.0, 1e-9]),
        "expected a concave schedule: its slope must not rise",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_schedule_is_refused(kind):
    arguments, message = REFUSED[kind]
    with pytest.raises(InvalidScheduleError) as refused:
        Schedule(*arguments)
    assert str(refused.value) == message


def test_a_schedule_may_have_thirty_two_breakpoints_and_go_straight_on():
    shares = np.round(np.linspace(0.0, 1.0, MAX_BREAKPOINTS), 9)
    assert Schedule(shares, 3.0 * shares - 1.0).shares.size == 32
    assert Schedule([0.0, 1.0], [2.0, 2.0]) == Schedule([0.0, 1.0], [2.0, 2.0])
    assert Schedule([0.0, 1.0], [2.0, 2.0]) != Schedule([0.0, 1.0], [2.0, 2.5])
    assert Schedule([0.0, 1.0], [2.0, 2.0]) != "a schedule"


def test_a_schedule_keeps_its_numbers_to_itself():
    shares, values = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    schedule = Schedule(shares, values)
    shares[1] = values[1] = 7.0
    np.testing.assert_array_equal(schedule.shares, [0.0, 1.0])
    with pytest.raises(ValueError, match="read-only"):
        schedule.values[0] = 1.0


STRAIGHT = Schedule([0.0, 1.0], [0.0, 1.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((), []), "schedules: expected at least two organizations"),
        (((STRAIGHT,), [0.0]), "schedules: expected at least two organizations"),
        (((STRAIGHT,) * 2, [0.0]), "constants: expected 2 finite numbers"),
        (((STRAIGHT,) * 2, [0.0, np.nan]), "constants: expected 2 finite numbers"),
        (((STRAIGHT,) * 2, [0.0, 0.0], ((0, 2, 1.0),)), "extra: expected two organizations"),
        (((STRAIGHT,) * 2, [0.0, 0.0], ((0, 0, 1.0),)), "extra: expected two organizations"),
        (((STRAIGHT,) * 2, [0.0, 0.0], ((0, 1, np.inf),)), "extra: expected two organizations"),
        (
            ((STRAIGHT,) * 2, [0.0, 0.0], ((0, 1, 1.0), (1, 0, 1.0))),
            r"extra: the pair \(1, 0\) occurs twice",
        ),
    ],
)
def test_what_is_no_efficient_rule_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        EfficientRule(*arguments)


def test_a_rule_of_another_size_does_not_fit_the_game():
    game = random_game(1, 3)
    with pytest.raises(InvalidGameError, match="compensation: expected 3 organizations, got 2"):
        game.with_compensation(EfficientRule((STRAIGHT,) * 2, [0.0, 0.0]))


# --- the game under a rule ----------------------------------------------------------------------


def test_the_rule_of_a_game_is_the_papers_unless_it_is_compensated():
    game = random_game(2, 3, gamma=1.0)
    assert game.rule == LinearRule(game.incentive_intensity, game.compute_weight)
    rule = random_rule(game, 1)
    designed = game.with_compensation(rule)
    assert designed.rule is rule
    assert designed.with_incentive_intensity(0.5).rule == LinearRule(0.5, game.compute_weight)


def test_constants_and_extra_payments_by_hand():
    rule = EfficientRule((STRAIGHT,) * 3, [3.0, 0.0, -3.0], ((2, 0, 5.0),))
    assert rule.constant(0, 1) == 1.0
    assert rule.constant(0, 2) == 2.0 - 5.0
    assert rule.constant(2, 0) == -2.0 + 5.0
    np.testing.assert_array_equal(rule.net_constants, [3.0 - 5.0, 0.0, -3.0 + 5.0])
    game = random_game(4, 3, accuracy="sqrt-loss", deadline="loose").with_compensation(rule)
    d = np.array([0.5, 1.0, 0.25])
    profile = StrategyProfile(d, np.nanmax(game.cpu_levels_hz, axis=1))
    # phi(d) = d: what i gives above the mean of the two others.
    expected = d - (d.sum() - d) / 2.0 + [-2.0, 0.0, 2.0]
    np.testing.assert_allclose(redistribution(game, profile), expected, atol=1e-14)


@examples(40)
@given(efficient_games(equal=False), seeds())
def test_schedules_of_different_length_do_not_disturb_each_other(game, seed):
    rng = np.random.default_rng(seed)
    rule, who = game.rule, rng.integers(0, game.size, 20)
    d = np.where(rng.random(20) < 0.2, 1.0, rng.random(20))
    expected = [
        np.interp(at, rule.schedules[i].shares, rule.schedules[i].values)
        for i, at in zip(who, d, strict=True)
    ]
    size = max(np.abs(schedule.values).max() for schedule in rule.schedules)
    np.testing.assert_allclose(rule.phi(who, d), expected, rtol=0.0, atol=1e-14 * size)


# --- a schedule that is concave to rounding only ------------------------------------------------


def test_regret_sees_what_a_schedule_gains_by_not_being_quite_concave():
    """Rounded to wei, or typed by hand, a slope may rise by a millionth of the first one.

    P has nothing left to give, and the first piece pays exactly what training costs: whoever
    only looks at it stays, but the second piece pays a millionth more.
    """
    game = CoopetitionGame(
        profitability=[1.0, 1.0],
        data_bits=[1.0, 1.0],
        cycles_per_bit=1.0,
        cpu_levels_hz=[1.0],
        competition=[[0.0, 0.1], [0.1, 0.0]],
        accuracy=Empirical([0.0, 0.1], [0.0, 1.0]),
        overhead_weight=1.0,
        capacitance=1.0,
        min_data_fraction=0.1,
        compensation=EfficientRule(
            (Schedule([0.0, 0.5, 1.0], [0.0, 0.5, 1.0 + 4e-7]),) * 2, [0.0, 0.0]
        ),
    )
    assert not game.rule.concave
    profile = StrategyProfile(np.full(2, 0.1), np.ones(2))
    judge = Eq11(game)
    for i in range(2):
        best, _ = judge.best_gain(profile, i)
        assert best == pytest.approx(4e-7, rel=1e-6)
        assert regret(game, profile)[i] == pytest.approx(best, rel=1e-6)


def test_a_schedule_whose_slopes_fall_is_concave():
    falling = Schedule([0.0, 0.5, 1.0], [0.0, 2.0, 3.0])
    short = Schedule([0.0, 1.0], [-1.0, 0.0])
    assert EfficientRule((falling, short), [0.0, 0.0]).concave
