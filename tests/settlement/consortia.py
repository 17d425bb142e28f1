"""Consortia and agreements for the settlement tests, and the contract's arithmetic a second time.

Nothing here is shared with ``tradefl.settlement.arithmetic``: payments are computed over the full
matrix, and the one division is that of absolute values.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from eth_utils import to_checksum_address

import tradefl
from tradefl.consortium import Consortium
from tradefl.consortium import schema as sections
from tradefl.consortium.organizations import Organizations
from tradefl.game import DenseCompetition
from tradefl.settlement import Agreement, Report
from tradefl.settlement.addresses import EMBEDDED_CHAIN_ID, default_factory
from tradefl.settlement.annex import SCHEMA
from tradefl.settlement.artifacts import VAULT, code_hash
from tradefl.settlement.rules import RULES, EfficientTerms, LinearTerms

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))
ZERO = "0x" + 40 * "0"
MOST = 2**112 - 1  # wei that one organization may deposit


def account(number: int) -> str:
    """Return an account: nobody has its key."""
    return str(to_checksum_address(f"0x{0xA0000000 + number:040x}"))


def accounts(size: int) -> list[str]:
    return [account(i) for i in range(size)]


def example(name: str) -> Consortium:
    return tradefl.load(next(path for path in EXAMPLES if path.stem == name))


def organization(name: str, **changes: Any) -> sections.Organization:
    fields = {
        "name": name,
        "profitability": 1000.0,
        "data_bits": 2.0e10,
        "samples": 1500,
        "cycles_per_bit": 2.0,
        "cpu_levels_hz": [1e9, 2e9],
        "download_seconds": 1.0,
        "upload_seconds": 1.0,
    }
    return sections.Organization(**(fields | changes))


def consortium(
    organizations: Sequence[sections.Organization],
    rho: Any = 0.05,
    *,
    settlement: dict[str, Any] | None = None,
    competition: Any = None,
    **mechanism: Any,
) -> Consortium:
    """Return a consortium without a file; rho is a number for every pair, or a matrix."""
    n = len(organizations)
    matrix = np.where(np.eye(n, dtype=bool), 0.0, rho) if np.ndim(rho) == 0 else rho
    agreed = {
        "incentive_intensity": 5.12e-9,
        "compute_weight": 1.6,
        "overhead_weight": 0.1,
        "min_data_fraction": 0.01,
        "deadline_seconds": 1e9,
    }
    return Consortium(
        name="built",
        mechanism=sections.Mechanism(**(agreed | mechanism)),
        energy=sections.Energy(capacitance=1e-27, download_watts=0.1, upload_watts=0.1),
        accuracy=sections.SqrtLossAccuracy(
            model="sqrt-loss", epochs=5.0, untrained_loss=0.79, measure="bits", unit=1e9
        ),
        competition=sections.Competition(),
        organizations=Organizations.of(organizations),
        rho=DenseCompetition(matrix) if competition is None else competition,
        settlement=None if settlement is None else sections.Settlement(**settlement),
        source=Path("built.toml"),
    )


def pair(**changes: Any) -> Consortium:
    """Return Alpha and Beta with addresses; the changes are those of :func:`consortium`."""
    names = ("Alpha", "Beta")
    members = [organization(name, address=account(i)) for i, name in enumerate(names)]
    return consortium(members, **changes)


def agreement(
    data_bits: Sequence[int],
    cpu_levels_hz: Sequence[Sequence[int]],
    rho_ppb: Sequence[int],
    *,
    addresses: Sequence[str] | None = None,
    **terms: Any,
) -> Agreement:
    """Return an agreement of any integers, without a consortium."""
    n = len(data_bits)
    names = tuple(f"o{i}" for i in range(1, n + 1))
    fields: dict[str, Any] = {
        "names": names,
        "addresses": tuple(accounts(n) if addresses is None else addresses),
        "data_bits": tuple(data_bits),
        "cpu_levels_hz": tuple(tuple(levels) for levels in cpu_levels_hz),
        "min_data_ppb": 10_000_000,
        "wei_per_payoff": 10**15,
        "verifier": ZERO,
        "arbiter": ZERO,
        "join_seconds": 1000,
        "report_seconds": 1000,
        "dispute_seconds": 1000,
        "ruling_seconds": 1000,
        "closing_blocks": 2,
        "dispute_stake_wei": 0,
        "organizations_per_block": terms.pop("organizations_per_block", 40),
        "pairs_per_block": terms.pop("pairs_per_block", 4096),
    }
    rule = LinearTerms(
        gamma=terms.pop("gamma", 5_120_000 * 10**18),
        lambda_ppb=terms.pop("lambda_ppb", 1_600_000_000),
        rho_ppb=tuple(rho_ppb),
    )
    fields |= {"rule": rule} | terms
    return Agreement(**({"annex": annex(names, fields["rule"].name)} | fields))


def annex(names: Sequence[str], rule: str = "linear") -> bytes:
    """Return an annex that names a chain and the contracts of this version."""
    contents = {
        "schema": SCHEMA,
        "consortium": "integers",
        "organizations": names,
        "turn_seconds": 60,
        "rule": rule,
        "chain_id": EMBEDDED_CHAIN_ID,
        "factory": default_factory(),
        "settlement_code": code_hash(RULES[rule].contract),
        "vault_code": code_hash(VAULT),
        "series": "0x" + 64 * "5",
    }
    return json.dumps(contents).encode()


def linear(agreed: Agreement) -> LinearTerms:
    """Return the rule of an agreement of which the test knows that it is linear."""
    assert isinstance(agreed.rule, LinearTerms)
    return agreed.rule


def efficient(agreed: Agreement) -> EfficientTerms:
    """Return the rule of an agreement of which the test knows that it is efficient."""
    assert isinstance(agreed.rule, EfficientTerms)
    return agreed.rule


def below(rng: np.random.Generator, limit: int) -> int:
    return int.from_bytes(rng.bytes(24)) % limit


def integer(rng: np.random.Generator, bits: int) -> int:
    """Return a positive integer; every length up to so many bits is as likely."""
    return 1 + below(rng, 2 ** int(rng.integers(1, bits + 1)) - 1)


def random_agreement(rng: np.random.Generator, size: int, **terms: Any) -> Agreement:
    """Return an agreement whose integers reach to the ends of their ranges.

    gamma is anything below 2^128 for which every bond is one that the contract takes, often the
    largest such.
    """
    lambda_ppb = [0, 1, 10**9, integer(rng, 40), integer(rng, 64)][int(rng.integers(5))]
    s = [[2**64 - 1, integer(rng, 64)][int(rng.random() < 0.9)] for _ in range(size)]
    fastest = min(2**64 - 1, (2**96 - 1 - 10**9 * max(s)) // max(lambda_ppb, 1))
    levels = [
        sorted({1 + integer(rng, 64) % fastest for _ in range(int(rng.integers(1, 6)))})
        for _ in range(size)
    ]
    levels[int(rng.integers(size))][-1] = fastest
    rho = [
        [0, 1, 10**9, int(rng.integers(10**9)), int(rng.integers(10**8))][int(rng.integers(5))]
        for _ in range(size * (size - 1) // 2)
    ]
    caps = [10**9 * a + lambda_ppb * b[-1] for a, b in zip(s, levels, strict=True)]
    matrix = full(rho, size)
    heaviest = max(sum(r * cap for r, cap in zip(row, caps, strict=True)) for row in matrix)
    limit = min(2**128 - 1, MOST * 10**36 // max(heaviest, 1))
    gamma = [limit, below(rng, limit + 1), integer(rng, 128) % (limit + 1), 0][
        int(rng.choice(4, p=[0.2, 0.4, 0.35, 0.05]))
    ]
    fields = {
        "gamma": gamma,
        "lambda_ppb": lambda_ppb,
        "min_data_ppb": int(rng.choice([1, 10**7, 10**9])),
    }
    return agreement(s, levels, rho, **(fields | terms))


def random_reports(
    rng: np.random.Generator, agreed: Agreement, silence: float = 0.15
) -> list[Report]:
    """Return a report of everybody: any share and level, the ends, or nothing."""
    reports = []
    for levels in agreed.cpu_levels_hz:
        low = agreed.min_data_ppb
        d = int(
            rng.choice([low, 10**9, rng.integers(low, 10**9 + 1), rng.integers(low, 10**9 + 1)])
        )
        f = levels[int(rng.integers(len(levels)))]
        silent = rng.random() < silence
        reports.append(Report(data_ppb=0, cpu_hz=0) if silent else Report(data_ppb=d, cpu_hz=f))
    return reports


# --- the contract's arithmetic, written a second time --------------------------------------------


def full(rho_ppb: Sequence[int], size: int) -> list[list[int]]:
    """Return the symmetric matrix of an upper triangle."""
    matrix = [[0] * size for _ in range(size)]
    entries = iter(rho_ppb)
    for i in range(size):
        for j in range(i + 1, size):
            matrix[i][j] = matrix[j][i] = next(entries)
    assert next(entries, None) is None
    return matrix


def cut(numerator: int, denominator: int) -> int:
    """Return a quotient cut toward zero."""
    quotient = abs(numerator) // denominator
    return -quotient if numerator < 0 else quotient


def contributions(agreed: Agreement, reports: Sequence[Report]) -> list[int]:
    return [
        report.data_ppb * s + linear(agreed).lambda_ppb * report.cpu_hz
        for report, s in zip(reports, agreed.data_bits, strict=True)
    ]


def judged(agreed: Agreement, reports: Sequence[Report]) -> list[int]:
    """Return every ``R_i``, wei: each pair from both of its sides."""
    x = contributions(agreed, reports)
    rule = linear(agreed)
    rho = full(rule.rho_ppb, len(x))
    return [
        sum(cut(rule.gamma * rho[i][j] * (x[i] - x[j]), 10**36) for j in range(len(x)))
        for i in range(len(x))
    ]


def judged_bonds(agreed: Agreement) -> list[int]:
    """Return every bond, wei: the quotient rounded up."""
    n, rule = len(agreed), linear(agreed)
    caps = [
        10**9 * s + rule.lambda_ppb * max(levels)
        for s, levels in zip(agreed.data_bits, agreed.cpu_levels_hz, strict=True)
    ]
    rho = full(rule.rho_ppb, n)
    owed = [rule.gamma * sum(rho[i][j] * caps[j] for j in range(n)) for i in range(n)]
    return [entry // 10**36 + (entry % 10**36 > 0) for entry in owed]
