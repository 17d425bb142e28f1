"""The paper's rule, Eq. (9), in integers: what ``TradeFL.sol`` computes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from tradefl.game import DenseCompetition
from tradefl.settlement import arithmetic
from tradefl.settlement.arithmetic import GAMMA_SCALE, PPB, UINT64, UINT96, UINT128, rounded
from tradefl.settlement.rules.base import (
    DOUBLE,
    Array,
    Drafting,
    Gas,
    Member,
    Published,
    Report,
    RuleTerms,
    WeiTerm,
    by_names,
    error_of,
    map_unique,
    place,
    triangle_of,
    upper_rows,
)

if TYPE_CHECKING:
    from tradefl.consortium import Consortium
    from tradefl.game import Competition, Rule
    from tradefl.settlement.agreement import Agreement


@dataclasses.dataclass(frozen=True)
class LinearTerms(RuleTerms):
    """The paper's rule, Eq. (9), in integers.

    Attributes
    ----------
    gamma
        wei per bit, times 10^18.
    lambda_ppb
        ppb of bit/Hz.
    rho_ppb
        ``rho_ij`` for ``i < j``, row by row, ppb.
    """

    gamma: int
    lambda_ppb: int
    rho_ppb: tuple[int, ...]

    name = "linear"
    contract = "TradeFL"
    equation = "Eq. (9)"
    formula = "gamma * rho_ij * (X_i - X_j) / 10^36"
    score_name = "X"
    pair_bytes = 4
    gas = Gas(103_000, 0, 440, 6_600, 580, 9_000)
    score_limit = UINT96

    @classmethod
    def drafted(cls, rule: Rule, draft: Drafting, wei_per_payoff: int) -> LinearTerms:
        """Return gamma, lambda and rho of the file, rounded."""
        del rule
        mechanism = draft.consortium.mechanism
        rho: list[int] = []
        for row in upper_rows(draft.consortium):
            rho += map_unique(lambda value: rounded(value, PPB), row)
        return cls(
            gamma=draft.integer(
                "mechanism.incentive_intensity",
                mechanism.incentive_intensity,
                wei_per_payoff * GAMMA_SCALE,
                0,
                UINT128,
            ),
            lambda_ppb=draft.integer(
                "mechanism.compute_weight", mechanism.compute_weight, PPB, 0, UINT64
            ),
            rho_ppb=tuple(rho),
        )

    @classmethod
    def published(cls, published: Published) -> LinearTerms:
        """Return gamma and lambda of the terms, and rho of the pairs."""
        rho = np.frombuffer(b"".join(published.pair_blocks), dtype=">u4").tolist()
        return cls(gamma=published.terms[1], lambda_ppb=published.terms[2], rho_ppb=tuple(rho))

    def parameters(self, agreement: Agreement, competition: Competition | None) -> dict[str, Any]:
        """Return gamma, lambda and rho; the agreement has all of them."""
        del competition
        n = len(agreement)
        rho = np.zeros((n, n))
        rho[np.triu_indices(n, 1)] = np.array(self.rho_ppb) / PPB
        return {
            "competition": DenseCompetition(rho + rho.T),
            "incentive_intensity": float(
                Fraction(self.gamma, GAMMA_SCALE * agreement.wei_per_payoff)
            ),
            "compute_weight": self.lambda_ppb / PPB,
        }

    def excess(self, cap: int) -> str:
        """Return the message in bit."""
        return (
            f"its largest contribution, s + lambda f, is {cap / PPB:.3g} bit; "
            f"the contract counts up to {UINT96 / PPB:.3g}"
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any], names: Sequence[str]) -> LinearTerms:
        """Return gamma, lambda and every rho of a document."""
        return cls(
            gamma=int(document["gamma"]),
            lambda_ppb=int(document["lambda_ppb"]),
            rho_ppb=triangle_of(document["rho_ppb"], names),
        )

    @property
    def coefficients(self) -> tuple[int, int]:
        """``gamma`` and ``lambda``."""
        return self.gamma, self.lambda_ppb

    def rho(self, size: int, i: int, j: int) -> int:
        """Return ``rho_ij``, ppb."""
        return 0 if i == j else self.rho_ppb[place(min(i, j), max(i, j), size)]

    def score(self, i: int, member: Member, report: Report) -> int:
        """Return ``X_i``, ppb of a bit."""
        del i
        return arithmetic.contribution(
            report.data_ppb, member.data_bits, self.lambda_ppb, report.cpu_hz
        )

    def cap(self, i: int, member: Member) -> int:
        """Return ``Xmax_i``, ppb of a bit: all its data and its fastest level."""
        most = Report(data_ppb=PPB, cpu_hz=member.cpu_levels_hz[-1])
        return self.score(i, member, most)

    def score_calculation(self, i: int, member: Member, report: Report) -> str:
        """Return ``d s + lambda f`` in integers."""
        del i
        return f"{report.data_ppb} * {member.data_bits} + {self.lambda_ppb} * {report.cpu_hz}"

    def bonds(self, members: Sequence[Member]) -> list[int]:
        """Return ``gamma sum_j rho_ij Xmax_j``, rounded up."""
        caps = [self.cap(i, member) for i, member in enumerate(members)]
        return [arithmetic.bond(self.gamma, w) for w in arithmetic.weights(caps, self.rho_ppb)]

    def redistribution(self, scores: Sequence[int]) -> list[int]:
        """Return ``R_i``, wei, Eq. (10)."""
        return arithmetic.redistribution(self.gamma, self.rho_ppb, scores)

    def payment(self, size: int, i: int, j: int, scores: Sequence[int]) -> WeiTerm | None:
        """Return ``t_ij``, Eq. (9); ``None`` where rho is zero."""
        rho, x_i, x_j = self.rho(size, i, j), scores[i], scores[j]
        if rho == 0:
            return None
        return WeiTerm(
            {"rho_ppb": rho, "x_i": x_i, "x_j": x_j},
            f"{self.gamma} * {rho} * ({x_i} - {x_j}) / 10^36",
            arithmetic.compensation(self.gamma, rho, x_i, x_j),
        )

    def explanation(self, calculation: str, score: int) -> list[str]:
        """Return ``X`` and Eq. (9)."""
        return [
            f"X = d s + lambda f = {calculation} = {score} ppb of a bit",
            f"each line: {self.formula}, cut toward zero; gamma = {self.gamma}",
        ]

    def score_to_dict(self, score: int) -> dict[str, Any]:
        """Return ``X`` and gamma."""
        return {"contribution_ppb_bits": str(score), "gamma": str(self.gamma)}

    def inputs_to_dict(self, inputs: dict[str, int]) -> dict[str, Any]:
        """Return rho as a number, ``X_i`` and ``X_j`` as text."""
        return super().inputs_to_dict(inputs) | {"rho_ppb": inputs["rho_ppb"]}

    @property
    def packed_pairs(self) -> bytes:
        """Rho, a big-endian uint32 a pair."""
        return np.array(self.rho_ppb, dtype=">u4").tobytes()

    def figures(self, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Yield gamma, lambda and every rho."""
        yield "gamma", self.gamma
        yield "lambda_ppb", self.lambda_ppb
        for (i, j), rho in zip(arithmetic.pairs(len(names)), self.rho_ppb, strict=True):
            yield f"rho_ppb of {names[i]} and {names[j]}", rho

    def facts(self) -> list[tuple[str, str]]:
        """Return gamma and lambda."""
        return [
            ("gamma", f"{self.gamma:,} (wei per bit, times 10^18)"),
            ("lambda", f"{self.lambda_ppb:,} ppb of bit/Hz"),
        ]

    def pairs(self, names: Sequence[str]) -> tuple[str, str, list[tuple[str, str, int]]]:
        """Return rho."""
        return "Competition intensities, ppb", "rho", by_names(names, self.rho_ppb)

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Return gamma, lambda and the rho that are not zero."""
        return {
            "gamma": str(self.gamma),
            "lambda_ppb": str(self.lambda_ppb),
            "rho_ppb": [list(name) for name in by_names(names, self.rho_ppb)],
        }

    def bounds(self, consortium: Consortium, agreement: Agreement) -> Array:
        """Return the bounds from the rounding of gamma, lambda, rho, shares, data and levels."""
        who, mechanism = consortium.organizations, consortium.mechanism
        n = len(agreement)
        scale = agreement.wei_per_payoff * GAMMA_SCALE
        gamma = float(self.gamma)
        gamma_error = error_of(self.gamma, mechanism.incentive_intensity, scale)
        lambda_error = error_of(self.lambda_ppb, mechanism.compute_weight, PPB)
        caps = np.array(agreement.caps, dtype=float)
        x_error = np.array(
            [
                0.5 * agreement.data_bits[i]  # d, by at most half a ppb
                + PPB * error_of(agreement.data_bits[i], float(who.data_bits[i]), 1)
                + lambda_error * max(who.levels(i))
                + self.lambda_ppb
                * max(
                    error_of(whole, f, 1)
                    for whole, f in zip(agreement.cpu_levels_hz[i], who.levels(i), strict=True)
                )
                for i in range(n)
            ]
        )
        bounds = np.zeros(n)
        start = 0
        for i, row in enumerate(upper_rows(consortium)):
            whole = np.array(self.rho_ppb[start : start + row.size], dtype=float)
            start += row.size
            real = row * PPB
            # The subtraction is of nearly equal numbers; its own rounding is added.
            rho_error = np.abs(whole - real) + 2.0**-52 * real
            difference = np.maximum(caps[i], caps[i + 1 :])
            errors = x_error[i] + x_error[i + 1 :]
            product = (
                gamma * real * errors
                + gamma * rho_error * (difference + errors)
                + gamma_error * (real + rho_error) * (difference + errors)
            ) / arithmetic.SCALE
            gross = gamma * real * (caps[i] + caps[i + 1 :]) / arithmetic.SCALE
            pair = np.where((whole > 0) | (real > 0), product + DOUBLE * gross + 1.0, 0.0)
            bounds[i] += pair.sum()
            bounds[i + 1 :] += pair
        return bounds
