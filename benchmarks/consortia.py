"""Random consortia of any size, competing by sector."""

from __future__ import annotations

import numpy as np

from tradefl import CoopetitionGame, SectorCompetition, SqrtLoss


def sector_game(organizations: int, levels: int = 8, seed: int = 0) -> CoopetitionGame:
    """Return Table II's ranges for N organizations in sectors of about ten.

    Each data set counts 10 / N of its Gbit, so that Omega stays in the range of the paper's
    ten organizations and the best responses stay interior for any N.
    """
    draw = np.random.default_rng(seed)
    bits = draw.uniform(15e9, 25e9, organizations)
    fastest = draw.uniform(3e9, 5e9, organizations)
    sectors = draw.integers(0, max(1, organizations // 10), organizations)
    return CoopetitionGame(
        profitability=draw.uniform(500.0, 2500.0, organizations),
        data_bits=bits,
        data_units=bits / 1e9 * min(1.0, 10.0 / organizations),
        cycles_per_bit=np.full(organizations, 2.0),
        cpu_levels_hz=fastest[:, None] * np.arange(1, levels + 1) / levels,
        competition=SectorCompetition(sectors, within=0.005),
        accuracy=SqrtLoss(epochs=5, untrained_loss=0.79),
        download_seconds=1.0,
        upload_seconds=1.0,
        incentive_intensity=5.12e-9,
        compute_weight=1.6,
        overhead_weight=0.185,
        deadline_seconds=20.0,
        download_watts=0.1,
        upload_watts=0.1,
    )
