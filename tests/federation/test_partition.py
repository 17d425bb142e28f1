"""Who holds what: counts in proportion, indices that nobody shares, the same for the same seed."""

import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tradefl.errors import InputError, MissingExtraError
from tradefl.federation.partition import partition, permutation, stratified_split
from tradefl.training_document.holdings import shares

SAMPLES = st.lists(st.integers(1, 10_000), min_size=1, max_size=12)
LABELS = np.arange(600) % 10
FIRST_EIGHT = [3, 2, 1, 6, 0, 7, 4, 5]


def dirichlet(held, y=LABELS, *, alpha=0.5, seed=0):
    return partition(y, held, scheme="dirichlet", alpha=alpha, seed=seed)


def iid(held, y=LABELS, *, seed=0):
    return partition(y, held, scheme="iid", alpha=0.5, seed=seed)


# --- shares -----------------------------------------------------------------------------------


def test_what_fits_is_held_as_said():
    assert shares([10, 20, 30], 60) == [10, 20, 30]
    assert shares([10, 20, 30], 1000) == [10, 20, 30]


def test_by_hand():
    # 14.29, 28.57, 57.14 of 100.
    assert shares([100, 200, 400], 100) == [14, 29, 57]
    # 3.33 each: the earlier one is rounded up.
    assert shares([5, 5, 5], 10) == [4, 3, 3]
    # 0.1, 4.95, 4.95: the first gets one, and the other two 4.5 each of what is left.
    assert shares([2, 99, 99], 10) == [1, 5, 4]


def test_minimum_that_takes_others_below_one():
    assert shares([1, 1, 1, 1, 60], 5) == [1, 1, 1, 1, 1]
    assert shares([1, 1, 1, 1, 60], 6) == [1, 1, 1, 1, 2]
    # 0.09, 1.01, 9.9 of 11: the first takes one, which leaves 0.93 and 9.07 of 10.
    assert shares([9, 101, 990], 11) == [1, 1, 9]
    # 0.33, 1, 1.67, 5 of 8: once the first has one, 0.91 of 7 is left to the second; then 1.5
    # and 4.5 of 6 to the others.
    assert shares([1, 3, 5, 15], 8) == [1, 1, 2, 4]


def test_whole_numbers_beyond_floats():
    huge = 2**53
    assert shares([huge, huge, huge - 1], 3 * huge - 4) == [huge - 1, huge - 1, huge - 2]


@given(SAMPLES, st.integers(1, 30_000))
def test_shares_add_up(samples, available):
    assume(available >= len(samples))
    result = shares(samples, available)
    assert sum(result) == min(sum(samples), available)
    assert all(1 <= share <= held for share, held in zip(result, samples, strict=True))


@given(SAMPLES, st.integers(1, 30_000))
def test_shares_are_in_proportion(samples, available):
    assume(len(samples) <= available < sum(samples))
    result = shares(samples, available)
    # What each would get if samples could be cut: t of what it says, and one at least. That is
    # `available` in all for a single t, between breakpoints where somebody comes above one.
    for minimal in range(len(samples)):
        smallest = sorted(range(len(samples)), key=lambda i: samples[i])[:minimal]
        rest = sum(samples) - sum(samples[i] for i in smallest)
        t = Fraction(available - minimal, rest)
        exact = [max(Fraction(1), t * held) for held in samples]
        if sum(exact) == available:
            break
    assert sum(exact) == available
    assert all(abs(share - level) < 1 for share, level in zip(result, exact, strict=True))


@given(SAMPLES, st.integers(1, 30_000))
def test_who_has_more_holds_no_less(samples, available):
    assume(available >= len(samples))
    result = shares(samples, available)
    pairs = sorted(zip(samples, result, strict=True))
    assert [share for _, share in pairs] == sorted(result)


@given(SAMPLES, st.integers(1, 30_000), st.randoms(use_true_random=False))
def test_order_matters_between_equals_only(samples, available, random):
    assume(available >= len(samples) == len(set(samples)))
    quotas = {held * available % sum(samples) for held in samples}
    assume(len(quotas) == len(samples) and all(n * available >= sum(samples) for n in samples))
    shuffled = random.sample(samples, len(samples))
    before = dict(zip(samples, shares(samples, available), strict=True))
    assert dict(zip(shuffled, shares(shuffled, available), strict=True)) == before


def test_fewer_samples_than_organizations():
    with pytest.raises(InputError, match=r"^data: expected at least 3 training samples.*got 2"):
        shares([5, 5, 5], 2)


def test_nobody_holds_nothing():
    with pytest.raises(ValueError, match=">= 1"):
        shares([5, 0], 100)


# --- permutation and split --------------------------------------------------------------------


def test_order_never_changes():
    # What everybody agrees on must not move with a release of NumPy.
    assert permutation(8, 0).tolist() == FIRST_EIGHT
    assert permutation(8, 1).tolist() != FIRST_EIGHT


@given(st.integers(0, 300), st.integers(0, 2**32))
def test_permutation(n, seed):
    order = permutation(n, seed)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))


@given(st.lists(st.integers(2, 60), min_size=1, max_size=6))
def test_every_class_is_split(counts):
    y = np.repeat(np.arange(len(counts)), counts)
    train, test = stratified_split(y)
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(y)))
    assert len(test) == max(round(0.2 * len(y)), len(counts))
    for count, tested in zip(counts, np.bincount(y[test], minlength=len(counts)), strict=True):
        assert 1 <= tested <= max(1.0, 0.2 * count + 1.5)
    again = stratified_split(y)
    assert np.array_equal(again[0], train)
    assert np.array_equal(again[1], test)


# --- partition --------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 2**32))
def test_iid_sizes_and_no_overlap(held, seed):
    parts = iid(held, seed=seed)
    assert [len(part) for part in parts] == held
    together = np.concatenate(parts)
    assert together.dtype == np.int64
    assert len(np.unique(together)) == len(together)
    # However it is cut, one seed is one order.
    assert np.array_equal(together, iid([sum(held)], seed=seed)[0])
    for part, same in zip(parts, iid(held, seed=seed), strict=True):
        assert np.array_equal(part, same)


def test_iid_depends_on_the_seed_and_not_on_labels():
    assert not np.array_equal(iid([300], seed=1)[0], iid([300], seed=2)[0])
    assert np.array_equal(iid([300], seed=1)[0], iid([300], LABELS[::-1], seed=1)[0])


def test_iid_needs_no_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setitem(sys.modules, "flwr_datasets", None)
    assert [len(part) for part in iid([1, 2])] == [1, 2]


def test_iid_is_the_size_partitioner_of_flower():
    datasets = pytest.importorskip("datasets")
    partitioners = pytest.importorskip("flwr_datasets.partitioner")
    held = [100, 1, 250, 249]
    theirs = partitioners.SizePartitioner(held)
    theirs.dataset = datasets.Dataset.from_dict({"index": permutation(600, 7)})
    for k, part in enumerate(iid(held, seed=7)):
        assert part.tolist() == theirs.load_partition(k)["index"][:]


def test_dirichlet_is_that_of_flower():
    datasets = pytest.importorskip("datasets")
    partitioners = pytest.importorskip("flwr_datasets.partitioner")
    theirs = partitioners.DirichletPartitioner(
        3, "label", 0.5, min_partition_size=1, self_balancing=False, seed=4
    )
    theirs.dataset = datasets.Dataset.from_dict({"label": LABELS, "index": np.arange(600)})
    for k, part in enumerate(dirichlet([200, 300, 100], seed=4)):
        assert part.tolist() == theirs.load_partition(k)["index"][:]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(40, 120), min_size=2, max_size=5),
    st.floats(0.3, 100.0),
    st.integers(0, 2**32),
)
def test_dirichlet_no_overlap(held, alpha, seed):
    parts = dirichlet(held, alpha=alpha, seed=seed)
    assert len(parts) == len(held)
    assert all(len(part) >= 1 and part.dtype == np.int64 for part in parts)
    together = np.concatenate(parts)
    # As many in all, and the same ones as with iid.
    assert np.array_equal(np.sort(together), np.sort(np.concatenate(iid(held, seed=seed))))
    for part, same in zip(parts, dirichlet(held, alpha=alpha, seed=seed), strict=True):
        assert np.array_equal(part, same)


def test_a_few_samples_are_enough():
    # Flower's own minimum is ten, and draws again for it.
    assert min(len(part) for part in dirichlet([60] * 10, alpha=0.2)) == 3


def test_drawn_sizes_give_the_same_draw():
    parts = dirichlet([100, 200, 250])
    for part, same in zip(parts, dirichlet([len(part) for part in parts]), strict=True):
        assert np.array_equal(part, same)


def test_small_alpha_concentrates_classes():
    def largest_class(alpha):
        parts = dirichlet([200, 200, 200], alpha=alpha)
        return np.mean(
            [np.bincount(LABELS[part], minlength=10).max() / len(part) for part in parts]
        )

    assert largest_class(0.1) > 1.5 * largest_class(100.0)


def test_dirichlet_says_nothing(capfd):
    with pytest.raises(InputError):
        dirichlet([20] * 20, alpha=0.001)
    dirichlet([200, 200, 200])
    assert capfd.readouterr() == ("", "")


def test_alpha_that_starves_somebody():
    with pytest.raises(InputError, match=r"^alpha: with 0.001, every draw left one of 20"):
        dirichlet([20] * 20, alpha=0.001)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), float("inf")])
def test_alpha_out_of_range(alpha):
    with pytest.raises(InputError, match=r"^alpha: expected a finite number > 0, got"):
        dirichlet([100, 100], alpha=alpha)


def test_without_flwr_datasets(monkeypatch):
    monkeypatch.setitem(sys.modules, "flwr_datasets.partitioner", None)
    with pytest.raises(MissingExtraError, match=r"^partition dirichlet: .*tradefl\[vision\]"):
        dirichlet([100, 100])


def test_unknown_scheme():
    with pytest.raises(InputError, match=r"^partition: expected iid or dirichlet, got 'by-hand'"):
        partition(LABELS, [1], scheme="by-hand", alpha=1.0, seed=0)


@pytest.mark.parametrize("held", [[601], [300, 301], [10, 0]])
def test_more_than_there_is(held):
    with pytest.raises(ValueError, match="samples_held"):
        iid(held)
