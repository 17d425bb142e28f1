r"""How far the contract's integers can be from the real-valued redistribution.

Rounding gamma, rho, the data sizes, lambda and the levels is known once the agreement is made;
rounding a data fraction moves it by at most half a ppb; each payment is cut by less than one
wei. With ``g r D`` the exact product of a pair, ``D = |X_i - X_j|``, and ``e`` the error of each
factor, the product is off by at most ``g r e_D + g e_r (D + e_D) + e_g (r + e_r) (D + e_D)``.

Under the efficient rule a value and a constant are each off by at most half a wei and what the
decimal number differs from its double, a value between breakpoints is rounded down to a wei, and
a ppb of data, up to which a share counts as the next breakpoint, moves it by the steepest slope.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from tradefl.settlement import arithmetic
from tradefl.settlement.agreement import GAMMA_SCALE, Agreement
from tradefl.settlement.drafting import upper_rows
from tradefl.settlement.terms import EfficientTerms, LinearTerms

if TYPE_CHECKING:
    import numpy.typing as npt

    from tradefl.consortium import Consortium

# Double precision of the real-valued statement itself: N terms, each rounded a few times.
DOUBLE = 2.0**-50


def quantization_bounds(consortium: Consortium, agreement: Agreement) -> list[int]:
    """Return, for each organization, the most that ``R_i`` can differ from Eq. (10), wei.

    It holds for every feasible profile against Eq. (10) in exact arithmetic, and against the
    statement's lines in double precision. Where competition comes by sectors with exceptions of
    zero, the sum that a solution reports carries a rounding of its own, which is not in it.
    """
    match agreement.rule:
        case EfficientTerms() as efficient:
            bounds = _efficient_bounds(agreement, efficient)
        case LinearTerms() as linear:
            bounds = _linear_bounds(consortium, agreement, linear)
        case other:
            raise TypeError(f"rule: {other.name} has no bound")
    return [math.ceil(bound * (1.0 + 1e-9)) for bound in bounds.tolist()]


def _efficient_bounds(agreement: Agreement, rule: EfficientTerms) -> npt.NDArray[np.float64]:
    n = len(agreement)
    largest, error = np.zeros(n), np.zeros(n)
    for i, points in enumerate(rule.schedules):
        shares, values = (np.array(part, dtype=float) for part in zip(*points, strict=True))
        largest[i] = np.abs(values).max()
        steepest = float((np.diff(values) / np.diff(shares)).max())
        # The share is off by a ppb where it is a breakpoint, and by what a double cannot hold.
        error[i] = 0.5 + 2.0**-52 * largest[i] + 1.0 + steepest * (1.0 + 1e-6)
    bounds = np.zeros(n)
    constants = np.abs(np.array(rule.constants, dtype=float))
    start = 0
    for i in range(n - 1):
        constant = constants[start : start + n - 1 - i]
        start += constant.size
        gross = 2.0 * (largest[i] + largest[i + 1 :]) / (n - 1) + constant
        pair = (
            (error[i] + error[i + 1 :]) / (n - 1)
            + (0.5 + 2.0**-52 * constant)
            + DOUBLE * gross
            + 1.0  # the quotient is cut by less than a wei
        )
        bounds[i] += pair.sum()
        bounds[i + 1 :] += pair
    return bounds


def _linear_bounds(
    consortium: Consortium, agreement: Agreement, rule: LinearTerms
) -> npt.NDArray[np.float64]:
    who, mechanism = consortium.organizations, consortium.mechanism
    n = len(agreement)
    scale = agreement.wei_per_payoff * GAMMA_SCALE
    gamma = float(rule.gamma)
    gamma_error = _error(rule.gamma, mechanism.incentive_intensity, scale)
    lambda_error = _error(rule.lambda_ppb, mechanism.compute_weight, arithmetic.PPB)
    caps = np.array(agreement.caps, dtype=float)
    x_error = np.array(
        [
            0.5 * agreement.data_bits[i]  # d, by at most half a ppb
            + arithmetic.PPB * _error(agreement.data_bits[i], float(who.data_bits[i]), 1)
            + lambda_error * max(who.levels(i))
            + rule.lambda_ppb
            * max(
                _error(whole, f, 1)
                for whole, f in zip(agreement.cpu_levels_hz[i], who.levels(i), strict=True)
            )
            for i in range(n)
        ]
    )
    bounds = np.zeros(n)
    start = 0
    for i, row in enumerate(upper_rows(consortium)):
        whole = np.array(rule.rho_ppb[start : start + row.size], dtype=float)
        start += row.size
        real = row * arithmetic.PPB
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


def _error(whole: int, value: float, factor: int) -> float:
    """Return how far an integer is from the figure that it stands for, scaled."""
    return float(abs(whole - Fraction(value) * factor))
