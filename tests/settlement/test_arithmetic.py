"""The contract's arithmetic in Python: by hand, and what must hold of it for every integer."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.settlement.consortia import cut, full
from tests.support import examples

from tradefl.settlement import arithmetic

PPB = 10**9
gammas = st.integers(0, 2**128 - 1) | st.sampled_from([0, 1, 10**18, 2**128 - 1])
shares = st.integers(0, PPB) | st.sampled_from([0, 1, PPB])
amounts = st.integers(0, 2**96 - 1) | st.sampled_from([0, 1, 2**96 - 1])


@st.composite
def games_in_integers(draw, most=6):
    """gamma, the upper triangle of rho, and the caps of a few organizations."""
    n = draw(st.integers(2, most))
    rho = draw(st.lists(shares, min_size=n * (n - 1) // 2, max_size=n * (n - 1) // 2))
    return draw(gammas), rho, draw(st.lists(amounts, min_size=n, max_size=n))


def test_a_contribution_by_hand():
    # 42 % of 20 Gbit and 1.6 bit/Hz at 2 GHz: 8.4e9 + 3.2e9 = 11.6e9 bit.
    assert arithmetic.contribution(420_000_000, 20 * 10**9, 1_600_000_000, 2 * 10**9) == (
        11_600_000_000 * PPB
    )
    assert arithmetic.contribution(0, 20 * 10**9, 1_600_000_000, 0) == 0
    assert arithmetic.contribution(1, 1, 0, 5) == 1  # a billionth of a bit still counts


def test_a_payment_by_hand():
    # 5.12e-9 payoff a bit at 1e15 wei, rho 0.06, 3e9 bit more: 0.9216 payoff, 921.6e12 wei.
    gamma = 5_120_000 * 10**18
    assert arithmetic.compensation(gamma, 60_000_000, 8 * 10**18, 5 * 10**18) == 921_600_000_000_000
    assert (
        arithmetic.compensation(gamma, 60_000_000, 5 * 10**18, 8 * 10**18) == -921_600_000_000_000
    )
    assert arithmetic.compensation(gamma, 60_000_000, 5 * 10**18, 5 * 10**18) == 0
    assert arithmetic.compensation(gamma, 0, 5 * 10**18, 0) == 0


@pytest.mark.parametrize(
    ("tenths", "wei"),
    [(0, 0), (1, 0), (9, 0), (10, 1), (11, 1), (19, 1), (20, 2), (29, 2)],
)
def test_payments_are_cut_toward_zero_for_either_sign(tenths, wei):
    # gamma 10^8 and rho 1 make a wei of 10^19 ppb of a bit, and a tenth of one of 10^18.
    gamma, x = 10**8, tenths * 10**18
    assert arithmetic.compensation(gamma, PPB, x, 0) == wei
    assert arithmetic.compensation(gamma, PPB, 0, x) == -wei
    assert arithmetic.compensation(gamma, PPB, x + 7, 7) == wei


def test_one_less_than_a_wei_is_nothing():
    assert arithmetic.compensation(1, 1, 10**36 - 1, 0) == 0
    assert arithmetic.compensation(1, 1, 0, 10**36 - 1) == 0
    assert arithmetic.compensation(1, 1, 0, 10**36) == -1


def test_a_bond_by_hand_is_rounded_up():
    assert arithmetic.bond(0, 10**30) == 0
    assert arithmetic.bond(1, 1) == 1
    assert arithmetic.bond(1, 10**36) == 1
    assert arithmetic.bond(1, 10**36 + 1) == 2
    assert arithmetic.bond(2**128 - 1, 2**122) == -((1 - 2**128) * 2**122 // 10**36)


def test_pairs_are_counted_row_by_row():
    assert list(arithmetic.pairs(4)) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert list(arithmetic.pairs(1)) == []


def test_weights_by_hand():
    # rho_01 = 2, rho_02 = 3, rho_12 = 5; caps 10, 100, 1000.
    assert arithmetic.weights([10, 100, 1000], [2, 3, 5]) == [200 + 3000, 20 + 5000, 30 + 500]


def test_redistribution_by_hand():
    # With gamma 10^18 and rho in halves a wei is 10^9 ppb of a bit: X in bits is 8, 5, 14.
    gamma, half = 10**18, PPB // 2
    x = [8 * PPB, 5 * PPB, 14 * PPB]
    # t_01 = 3/2 -> 1; t_02 = -6/2 = -3; t_12 = -9/2 -> -4.
    assert arithmetic.redistribution(gamma, [half, half, half], x) == [1 - 3, -1 - 4, 3 + 4]


@pytest.mark.parametrize("missing", [[2, 3], [2, 3, 5, 7], []])
def test_a_triangle_of_the_wrong_length_is_refused(missing):
    with pytest.raises(ValueError, match="zip"):
        arithmetic.weights([10, 100, 1000], missing)
    with pytest.raises(ValueError, match="zip"):
        arithmetic.redistribution(1, missing, [10, 100, 1000])


@examples(300)
@given(gammas, shares, amounts, amounts)
def test_what_j_pays_i_is_what_i_receives_from_j(gamma, rho, x_i, x_j):
    paid = arithmetic.compensation(gamma, rho, x_i, x_j)
    assert arithmetic.compensation(gamma, rho, x_j, x_i) == -paid
    exact = gamma * rho * (x_i - x_j)
    assert paid == cut(exact, 10**36)
    assert abs(paid) * 10**36 <= abs(exact) < (abs(paid) + 1) * 10**36
    assert paid * (x_i - x_j) >= 0
    assert abs(paid) < 2**137


@examples(200)
@given(games_in_integers())
def test_redistributions_sum_to_exactly_zero_and_are_the_matrix_cut_entry_by_entry(game):
    gamma, rho, x = game
    received = arithmetic.redistribution(gamma, rho, x)
    assert sum(received) == 0
    matrix, n = full(rho, len(x)), len(x)
    assert received == [
        sum(cut(gamma * matrix[i][j] * (x[i] - x[j]), 10**36) for j in range(n)) for i in range(n)
    ]


@examples(150)
@given(games_in_integers(), st.data())
def test_a_bond_covers_every_profile(game, data):
    gamma, rho, caps = game
    bonds = [arithmetic.bond(gamma, weight) for weight in arithmetic.weights(caps, rho)]
    x = [data.draw(st.integers(0, cap)) for cap in caps]
    received = arithmetic.redistribution(gamma, rho, x)
    assert all(bond + wei >= 0 for bond, wei in zip(bonds, received, strict=True))


@examples(40)
@given(games_in_integers(most=5))
def test_a_bond_is_what_the_worst_corner_costs(game):
    gamma, rho, caps = game
    bonds = [arithmetic.bond(gamma, weight) for weight in arithmetic.weights(caps, rho)]
    worst = [0] * len(caps)
    for corner in itertools.product(*((0, cap) for cap in caps)):
        received = arithmetic.redistribution(gamma, rho, corner)
        worst = [min(before, wei) for before, wei in zip(worst, received, strict=True)]
    # Every rival's payment is cut by less than a wei, and the bond is rounded up by less than one.
    for bond, wei in zip(bonds, worst, strict=True):
        assert -wei <= bond <= -wei + len(caps) - 1


def test_a_bond_is_not_a_wei_too_large_for_two():
    # One rival only, so nothing is cut where the quotient is whole.
    assert arithmetic.bond(10**18, PPB * 7 * PPB) == 7
    assert arithmetic.redistribution(10**18, [PPB], [0, 7 * PPB]) == [-7, 7]
