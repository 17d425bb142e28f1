"""Choices at a price: against trying every end, and the same bits as arrays and compiled."""

import numpy as np
import pytest

from tradefl.solvers import pricing
from tradefl.solvers.best_response import Players


def players(n, levels, pieces, seed):
    rng = np.random.default_rng(seed)
    cpu_hz = np.sort(rng.uniform(1e9, 5e9, (n, levels)), axis=1)
    cpu_hz[rng.random((n, levels)) < 0.2] = np.nan
    cpu_hz[:, 0] = 2e9
    low = np.sort(rng.random((n, pieces)), axis=1) * 0.2
    return Players(
        data_units=rng.uniform(1.0, 40.0, n),
        energy_cost=rng.uniform(1e-20, 1e-18, n),
        compute_gain=rng.uniform(0.0, 1e-9, n),
        fraction_per_hz=rng.uniform(1e-10, 5e-10, n),
        low=low,
        high=np.concatenate([low[:, 1:], np.ones((n, 1))], axis=1),
        data_gain=rng.normal(size=(n, pieces)),
        constant=rng.normal(size=(n, pieces)),
        cpu_hz=cpu_hz,
    )


def ends(of, i):
    """Every end of organization i: level, code, w and v, by the definition."""
    pieces = of.low.shape[1]
    levels = [(level, f) for level, f in enumerate(of.cpu_hz[i]) if f == f]  # NaN is padding
    for level, f in levels:
        for piece in range(pieces):
            low, high = of.low[i, piece], min(of.high[i, piece], of.fraction_per_hz[i] * f)
            slope = of.data_gain[i, piece] - of.energy_cost[i] * f * f
            for end, d in enumerate((low, high)):
                if high >= low:
                    v = slope * d + of.constant[i, piece] + of.compute_gain[i] * f
                    yield level, 2 * (pieces * level + piece) + end, of.data_units[i] * d, v


@pytest.mark.parametrize("price", [-0.5, 0.0, 0.03, 2.0])
@pytest.mark.parametrize(("levels", "pieces"), [(1, 1), (4, 1), (3, 3)])
def test_the_choice_is_the_best_of_all_ends(levels, pieces, price):
    of = players(40, levels, pieces, seed=levels)
    chosen = pricing.choose(of, price)
    held = pricing.margins(of, price, chosen)
    for i in range(40):
        every = list(ends(of, i))
        best = max(v + price * w for _, _, w, v in every)
        value = chosen.v[i] + price * chosen.w[i]
        assert value == pytest.approx(best, rel=1e-12)
        own = chosen.code[i] // 2 // pieces
        elsewhere = [v + price * w for level, _, w, v in every if level != own]
        loss = value - max(elsewhere, default=-np.inf)
        assert held.loss[i] == pytest.approx(loss, rel=1e-9, abs=1e-12)
        turns = [
            ((chosen.v[i] - v) / (w - chosen.w[i]), w) for _, _, w, v in every if w != chosen.w[i]
        ]
        rising = [turn for turn, w in turns if w > chosen.w[i]]
        falling = [turn for turn, w in turns if w < chosen.w[i]]
        assert held.up[i] == pytest.approx(min(rising, default=np.inf), rel=1e-9, abs=1e-12)
        assert held.down[i] == pytest.approx(max(falling, default=-np.inf), rel=1e-9, abs=1e-12)


def test_compiled_loops_return_the_same_bits(monkeypatch):
    of = players(300, 4, 2, seed=7)
    plain = pricing.choose(of, 0.1)
    margins = pricing.margins(of, 0.1, plain)
    monkeypatch.setattr(pricing, "COMPILE_FROM", 0)
    fast = pricing.choose(of, 0.1)
    for name in ("code", "w", "v"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(plain, name))
    of_fast = pricing.margins(of, 0.1, fast)
    for name in ("down", "up", "loss"):
        np.testing.assert_array_equal(getattr(of_fast, name), getattr(margins, name))
