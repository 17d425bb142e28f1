"""The figures of updates against NumPy's own, at ordinary and extreme sizes."""

import numpy as np
import pytest

from tradefl.federation import inspection
from tradefl.federation.medians import median_of_columns
from tradefl.federation.updates import Update


def updates_of(models):
    return [Update(None, None, model, None, 5, 0.0, None, str(k)) for k, model in enumerate(models)]


def models_of(rng, n=6, scale=1.0, dtype=np.float32):
    shapes = {"a": (7, 9), "b": (5,), "c": ()}
    sent = {key: rng.normal(size=shape).astype(dtype) for key, shape in shapes.items()}
    moved = [
        {key: np.asarray(v + scale * rng.normal(size=v.shape), dtype) for key, v in sent.items()}
        for _ in range(n)
    ]
    return sent, moved


@pytest.mark.parametrize("n", [3, 4, 10])
@pytest.mark.parametrize("scale", [1.0, 1e200, 1e-200])
def test_medians_and_cosines(n, scale):
    steps = np.random.default_rng(n).normal(size=(n, 500))
    middle = np.median(steps, axis=0)
    assert np.allclose(median_of_columns(steps), middle)
    expected = [
        float(step @ middle / np.linalg.norm(step) / np.linalg.norm(middle)) for step in steps
    ]
    assert np.allclose(inspection._cosines(steps * scale), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_medians_are_numpys_to_the_last_bit_by_network_and_by_sorting(dtype):
    rng = np.random.default_rng(3)
    for n in range(1, 41):
        for columns in (5, 64 * n):  # few columns are sorted, many go through the network
            rows = rng.integers(-4, 5, (n, columns)) * rng.normal(size=(n, columns))
            rows = rows.astype(dtype)
            expected = np.median(rows.astype(np.float64), axis=0)
            assert np.array_equal(median_of_columns(rows), expected), (n, columns)


def test_what_is_usual_grows_with_the_samples():
    found = inspection._usual([1.0, 2.0, 3.0, 0.0], [1, 1, 4, 1])
    assert found == pytest.approx([1 / 2, 1.0, 3 / 2 / 4, 0.0])
    assert np.isnan(inspection._usual([0.0, 0.0, 0.0], [1, 1, 1])).all()
    assert np.isnan(inspection._usual([1.0, 2.0], [1, 1])).all()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lengths_do_not_depend_on_how_they_are_computed(dtype, scale, monkeypatch):
    sent, models = models_of(np.random.default_rng(1), scale=scale, dtype=dtype)
    together = inspection.measured(updates_of(models), sent, [5.0] * 6)
    monkeypatch.setattr(inspection, "AT_ONCE", 0)
    alone = inspection.measured(updates_of(models), sent, [5.0] * 6)

    def flat(model):
        return np.concatenate([np.ravel(value).astype(float) for value in model.values()])

    for entry, other, model in zip(together, alone, models, strict=True):
        assert entry.norm == pytest.approx(np.linalg.norm(flat(model)), rel=1e-5)
        moved = np.linalg.norm(flat(model) - flat(sent))
        assert entry.distance == pytest.approx(moved, rel=1e-5)
        assert inspection.distance(model, sent) == pytest.approx(moved, rel=1e-5)
        for name in ("norm", "distance", "cosine", "ratio"):
            assert getattr(entry, name) == pytest.approx(getattr(other, name), rel=1e-5)


def test_copies_are_found_among_updates_of_other_lengths():
    rng = np.random.default_rng(2)
    sent, models = models_of(rng)
    models[4] = {key: value.copy() for key, value in models[1].items()}
    near = {key: np.float32(value * (1 + 1e-6)) for key, value in models[2].items()}
    updates = updates_of([*models, near])
    same = [
        update if k != 4 else updates_of([models[1]] * 2)[1] for k, update in enumerate(updates)
    ]
    found = inspection.measured(same, sent, [5.0] * 7)
    assert (found[1].twin, found[1].exact) == (4, True)
    assert (found[2].twin, found[2].exact) == (6, False)
    assert found[0].twin is None


@pytest.mark.parametrize("n", [2, 3, 10, 25])
def test_every_nearly_equal_pair_is_compared(n):
    rng = np.random.default_rng(n)
    sent = {"w": np.zeros(400)}
    ways = rng.normal(size=(n, 400))
    for k in range(1, n, 2):  # copies of the one before, some within the limit and some not
        noise = rng.normal(size=400)
        part = rng.uniform(0.0, 2.0) * inspection.NEARLY / np.linalg.norm(noise)
        ways[k] = ways[k - 1] + noise * part * np.linalg.norm(ways[k - 1])
    models = [{"w": way} for way in ways]
    found = inspection.measured(updates_of(models), sent, [5.0] * n)
    lengths = np.linalg.norm(ways, axis=1)
    apart = np.linalg.norm(ways[:, None] / lengths[:, None, None] - ways / lengths[:, None], axis=2)
    near = (apart < 0.99 * inspection.NEARLY) & (
        abs(lengths[:, None] / lengths - 1.0) < 0.99 * inspection.NEARLY
    )
    far = apart > 1.01 * inspection.NEARLY
    np.fill_diagonal(near, val=False)
    np.fill_diagonal(far, val=True)
    for k, measure in enumerate(found):
        assert not near[k].any() or measure.twin is not None
        assert not far[k].all() or measure.twin is None


def test_updates_that_differ_in_direction_are_no_candidates():
    assert inspection._alike([0, 1, 2], [1.0, 1.0, 1.0], [0.1, 0.5, 0.102]) == [0, 2]
    assert inspection._alike([0, 1, 2], [1.0, 1.1, 1.001], [0.5, 0.5, 0.5]) == [0, 2]
    assert inspection._alike([0, 2], [1.0, 1.0, 1.0], [np.nan] * 3) == [0, 2]
