"""rho in its three forms: the same answers, and every rejection names its place."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array, csc_matrix, csr_array, csr_matrix
from tests.support import COMPETITIONS, dense_rho, examples, random_competition, seeds

from tradefl.game import (
    Competition,
    DenseCompetition,
    InvalidCompetitionError,
    SectorCompetition,
    SparseCompetition,
    as_competition,
)


def drawn(kind, seed, size):
    rng = np.random.default_rng(seed)
    return random_competition(rng, kind, np.exp(rng.normal(0.0, 1.0, size)))


@pytest.mark.parametrize("kind", COMPETITIONS)
@examples(60)
@given(seed=seeds(), size=st.integers(1, 9))
def test_every_form_answers_as_its_dense_matrix(kind, seed, size):
    competition = drawn(kind, seed, size)
    rho, vector = dense_rho(competition), np.random.default_rng(seed).normal(size=size)
    assert isinstance(competition, Competition)
    assert competition.size == size
    np.testing.assert_allclose(competition.row_sums(), rho.sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(competition.dot(vector), rho @ vector, atol=1e-12)
    assert competition.row_sums().shape == competition.dot(vector).shape == (size,)
    for i in range(size):
        competitors, intensities = competition.row(i)
        np.testing.assert_array_equal(competitors, np.flatnonzero(rho[i]))
        np.testing.assert_array_equal(intensities, rho[i, competitors])


@pytest.mark.parametrize("kind", COMPETITIONS)
@examples(30)
@given(seed=seeds(), factor=st.sampled_from([0.0, 0.25, 0.7, 1.0]))
def test_scaling_scales_every_intensity(kind, seed, factor):
    competition = drawn(kind, seed, 6)
    scaled = competition.scaled(factor)
    assert type(scaled) is type(competition)
    np.testing.assert_allclose(dense_rho(scaled), factor * dense_rho(competition), rtol=1e-15)


def test_sectors_by_hand():
    # Organizations 0 and 2 share a sector (named 7), 1 and 3 another; the pair 0-3 is special,
    # and 1-3 do not compete although they share one.
    competition = SectorCompetition(
        np.array([7, -2, 7, -2]), 0.5, 0.1, (np.array([3, 1]), np.array([0, 3]), [0.9, 0.0])
    )
    rho = np.array([[0, 0.1, 0.5, 0.9], [0.1, 0, 0.1, 0.0], [0.5, 0.1, 0, 0.1], [0.9, 0.0, 0.1, 0]])
    np.testing.assert_allclose(competition.row_sums(), rho.sum(axis=1))
    np.testing.assert_allclose(competition.dot(np.array([1.0, 10.0, 100.0, 1e3])),
                               rho @ [1.0, 10.0, 100.0, 1e3])  # fmt: skip
    competitors, intensities = competition.row(3)
    np.testing.assert_array_equal(competitors, [0, 2])
    np.testing.assert_allclose(intensities, [0.9, 0.1])


def test_sector_names_are_labels_only():
    one = SectorCompetition(np.array([0, 1, 1]), 0.4, 0.2)
    other = SectorCompetition(np.array([10**9, -3, -3]), 0.4, 0.2)
    np.testing.assert_array_equal(one.row_sums(), other.row_sums())


def test_a_form_keeps_its_own_copy():
    matrix = np.array([[0.0, 0.2], [0.2, 0.0]])
    dense, stored = DenseCompetition(matrix), csr_array(matrix)
    sparse = SparseCompetition(stored)
    matrix[0, 1] = stored.data[0] = 0.9
    np.testing.assert_array_equal(dense.row_sums(), [0.2, 0.2])
    np.testing.assert_array_equal(sparse.row_sums(), [0.2, 0.2])


def test_any_scipy_sparse_format_is_sparse_and_any_array_dense():
    matrix = np.array([[0.0, 0.2], [0.2, 0.0]])
    for form in (csr_array, csr_matrix, csc_matrix, coo_array):
        assert isinstance(as_competition(form(matrix)), SparseCompetition)
    for form in (matrix, matrix.tolist(), [[0, 1], [1, 0]]):
        assert isinstance(as_competition(form), DenseCompetition)
    competition = SectorCompetition(np.array([0, 1]), 0.4)
    assert as_competition(competition) is competition


def test_duplicates_add_up_and_stored_zeros_are_no_competitors():
    rows, columns = [0, 0, 1, 1, 0, 2], [1, 1, 0, 0, 2, 0]
    stored = coo_array(([0.1, 0.2, 0.1, 0.2, 0.0, 0.0], (rows, columns)), shape=(3, 3))
    competition = SparseCompetition(stored)
    np.testing.assert_allclose(competition.row_sums(), [0.3, 0.3, 0.0])
    np.testing.assert_array_equal(competition.row(0)[0], [1])
    assert competition.row(2)[0].size == 0


def spoilt(i, j, value, *, both=False):
    matrix = np.full((3, 3), 0.5) - 0.5 * np.eye(3)
    matrix[i, j] = value
    if both:
        matrix[j, i] = value
    return matrix


@pytest.mark.parametrize("form", [DenseCompetition, lambda m: SparseCompetition(csr_array(m))])
@pytest.mark.parametrize(
    ("matrix", "places", "message"),
    [
        (spoilt(0, 2, 1.5, both=True), {(0, 2), (2, 0)}, r"rho\[0, 2\].*\[0, 1\], got 1.5"),
        (spoilt(0, 1, -0.25, both=True), {(0, 1), (1, 0)}, r"rho\[1, 0\].*got -0.25"),
        (spoilt(1, 2, math.nan, both=True), {(1, 2), (2, 1)}, r"rho\[1, 2\].*got nan"),
        (spoilt(1, 1, 0.5), {(1, 1)}, r"rho\[1, 1\]: expected 0 on the diagonal, got 0.5"),
        (spoilt(2, 0, 0.3), {(0, 2)}, r"rho\[0, 2\]: expected a symmetric matrix"),
        (spoilt(0, 2, 0.3), {(0, 2)}, r"rho\[0, 2\]: expected a symmetric matrix"),
        (spoilt(2, 0, 0.0), {(0, 2)}, r"rho\[0, 2\]: expected a symmetric matrix"),
    ],
)
def test_every_bad_entry_is_named(form, matrix, places, message):
    with pytest.raises(InvalidCompetitionError, match=message) as raised:
        form(matrix)
    assert {(i, j) for i, j, _ in raised.value.problems} == places


def test_all_bad_entries_are_kept_and_twenty_are_shown():
    matrix = np.full((6, 6), 2.0)
    with pytest.raises(InvalidCompetitionError, match=r"rho\[0, 0\].*and 22 more$") as raised:
        DenseCompetition(matrix)
    assert len(raised.value.problems) == 36 + 6  # out of range everywhere, and the diagonal
    assert str(raised.value).count("rho[") == 20


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), np.zeros(4), np.zeros((2, 2, 2))])
def test_a_dense_matrix_must_be_square(matrix):
    with pytest.raises(ValueError, match="expected a square matrix"):
        DenseCompetition(matrix)


def test_a_sparse_matrix_must_be_square():
    with pytest.raises(ValueError, match=r"expected a square matrix, got shape \(2, 3\)"):
        SparseCompetition(csr_array(np.zeros((2, 3))))


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
@pytest.mark.parametrize("field", ["within", "across"])
def test_sector_intensities_outside_the_range_are_named(field, bad):
    with pytest.raises(ValueError, match=f"^{field}: expected an intensity in"):
        SectorCompetition(np.array([0, 1]), **{"within": 0.5, field: bad})


@pytest.mark.parametrize(
    "sectors", [np.array([0.0, 1.0]), np.array([[0, 1]]), np.array(["a", "b"])]
)
def test_sectors_must_be_integers_one_for_each(sectors):
    with pytest.raises(ValueError, match="one integer for each"):
        SectorCompetition(sectors, 0.5)


@pytest.mark.parametrize(
    ("exceptions", "message"),
    [
        (([0, 1], [1], [0.5, 0.5]), "equally long"),
        (([0, 1, 0], [1, 2], [0.5, 0.5, 0.5]), "equally long"),
        (([0], [1], [0.5, 0.5]), "equally long"),
        (([[0]], [[1]], [[0.5]]), "equally long"),
        (([0], [0], [0.5]), "pairs of different organizations"),
        (([-1], [1], [0.5]), "pairs of different organizations"),
        (([0], [3], [0.5]), "pairs of different organizations"),
        (([0, 1], [1, 0], [0.5, 0.5]), "each pair once"),
        (([0], [2], [1.5]), r"rho\[0, 2\]: expected an intensity in \[0, 1\], got 1.5"),
        (([2], [0], [math.nan]), r"rho\[0, 2\]: expected an intensity in \[0, 1\], got nan"),
    ],
)
def test_bad_exceptions_are_rejected(exceptions, message):
    with pytest.raises(ValueError, match=message):
        SectorCompetition(np.array([0, 1, 1]), 0.5, 0.1, exceptions)


def test_no_exceptions_may_be_an_empty_list():
    competition = SectorCompetition(np.array([0, 0]), 0.5, 0.0, ([], [], []))
    np.testing.assert_array_equal(competition.row_sums(), [0.5, 0.5])
