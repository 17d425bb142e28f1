"""Statements of consortium files, in a currency of any size: each printed line recomputes."""

from __future__ import annotations

import random

import pytest
from tests.cli.command import run
from tests.consortium.documents import POWER_LAW, document, organization, save
from tests.test_statement import assert_recomputes

import tradefl
from tradefl.statement import Figures, statement

SCALES = (1.0, 1e3, 1e6)


def random_file(folder, seed, scale):
    """A file as people write it: figures of few or many digits; payoffs ``scale`` times larger."""
    draw = random.Random(seed)  # noqa: S311

    def figure(low, high):
        return round(draw.uniform(low, high), draw.choice([0, 1, 2, 6, 15])) or low

    names = [f"Org {k}" for k in range(draw.randint(2, 6))]
    entries = [
        organization(
            name,
            profitability=figure(900.0, 2500.0) * scale,
            data_bits=figure(1e10, 4e10),
            samples=draw.randint(100, 5000),
            cycles_per_bit=figure(0.5, 3.0),
            cpu_levels_hz=sorted({figure(1e9, 2e9), figure(2e9, 4e9)}),
            download_seconds=figure(0.1, 2.0),
            upload_seconds=figure(0.1, 2.0),
            **({"data_cost": figure(0.1, 9.0) * scale} if draw.random() < 0.3 else {}),
            **({"joining_cost": figure(0.1, 9.0) * scale} if draw.random() < 0.3 else {}),
        )
        for name in names
    ]
    pairs = [
        [name, other, round(draw.uniform(0.001, 0.09), draw.choice([2, 3, 6, 15]))]
        for k, name in enumerate(names)
        for other in names[k + 1 :]
    ]
    changes = {
        "organization": entries,
        "competition": {"pairs": [pair for pair in pairs if pair[2] > 0.0]},
        "mechanism.incentive_intensity": figure(1.0, 9.0) * 1e-9 * scale,
        "mechanism.overhead_weight": figure(0.1, 1.0) * scale,
    }
    if draw.random() < 0.5:
        changes["accuracy"] = POWER_LAW
    return save(folder, document(changes))


def recompute_files(folder, count):
    for seed in range(count):
        for scale in SCALES:
            solution = tradefl.solve(tradefl.load(random_file(folder, seed, scale)), "dbr")
            figures = Figures(solution.game, solution.profile)
            for i in range(solution.game.size):
                one = statement(solution.game, solution.profile, i, figures=figures)
                assert any(line.amount != 0.0 for line in one.lines)
                assert_recomputes(one)


def test_statements_of_random_files_recompute_at_every_scale(tmp_path):
    recompute_files(tmp_path, 10)


@pytest.mark.slow
def test_statements_of_200_random_files_recompute_at_every_scale(tmp_path):
    recompute_files(tmp_path, 200)


def test_the_command_prints_what_was_recomputed(tmp_path):
    path = random_file(tmp_path, 4, 1e6)
    solution = tradefl.solve(tradefl.load(path))
    one = solution.statement(0)
    assert_recomputes(one)
    ran = run("explain", path, "--organization", one.organization, "--markdown")
    assert ran.code == 0
    assert one.to_markdown().strip() in ran.out
