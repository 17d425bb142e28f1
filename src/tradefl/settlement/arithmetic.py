r"""The arithmetic of the contracts, in integers.

Eq. (9) and (10) are ``contracts/src/TradeMath.sol``, the efficient rule is ``ScheduleMath.sol``.
Every function here has its twin of the same meaning there, and tests hold the two to each
other to the wei. Shares, rho and lambda are in parts per billion (ppb: 10^9 is one), gamma in
wei per bit times 10^18, a contribution in ppb of a bit, money in wei.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

PPB = 10**9
GAMMA_SCALE = 10**18
UINT32, UINT64, UINT96, UINT128 = 2**32, 2**64, 2**96, 2**128
SCALE = 10**36  # gamma by 10^18, rho by 10^9, X by 10^9
MAX_PAIR_BLOCKS = 256
MAX_BREAKPOINTS = 32
LIMIT = 2**95  # what the magnitude of a schedule's value or a constant stays below, wei
MAX_SIZE = 1024
MAX_LEVELS = 32
MAX_DEPOSIT = 2**112 - 1


def contribution(data_ppb: int, data_bits: int, lambda_ppb: int, cpu_hz: int) -> int:
    """Return ``X = d s + lambda f``, ppb of a bit; exact, nothing is divided."""
    return data_ppb * data_bits + lambda_ppb * cpu_hz


def compensation(gamma: int, rho_ppb: int, x_i: int, x_j: int) -> int:
    """Return ``t_ij = gamma rho_ij (X_i - X_j) / 10^36``, wei: what j pays i, Eq. (9).

    The division truncates toward zero, as Solidity's does; Python's ``//`` would floor.
    """
    product = gamma * rho_ppb * abs(x_i - x_j)
    wei = product // SCALE
    return wei if x_i >= x_j else -wei


def bond(gamma: int, weight: int) -> int:
    """Return the most an organization can owe, wei, rounded up.

    Parameters
    ----------
    gamma
        wei per bit, times 10^18.
    weight
        ``sum_j rho_ij Xmax_j``, ppb times ppb of a bit: :func:`weights`.
    """
    return -(-gamma * weight // SCALE)


def pairs(size: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs ``i < j`` of so many organizations, row by row."""
    for i in range(size):
        for j in range(i + 1, size):
            yield i, j


def weights(caps: Sequence[int], rho_ppb: Sequence[int]) -> list[int]:
    """Return ``sum_j rho_ij Xmax_j`` of every organization; rho is the upper triangle."""
    sums = [0] * len(caps)
    for (i, j), rho in zip(pairs(len(caps)), rho_ppb, strict=True):
        sums[i] += rho * caps[j]
        sums[j] += rho * caps[i]
    return sums


def redistribution(gamma: int, rho_ppb: Sequence[int], x: Sequence[int]) -> list[int]:
    """Return ``R_i``, wei, Eq. (10): each pair computed once, so the sum is exactly zero."""
    return _added_up(
        len(x),
        (
            compensation(gamma, rho, x[i], x[j])
            for (i, j), rho in zip(pairs(len(x)), rho_ppb, strict=True)
        ),
    )


def _added_up(size: int, payments: Iterable[int]) -> list[int]:
    """Return what each receives of payments, one for each pair: j pays i."""
    received = [0] * size
    for (i, j), wei in zip(pairs(size), payments, strict=True):
        received[i] += wei
        received[j] -= wei
    return received


# --- the efficient rule ---------------------------------------------------------------------------

Schedule = Sequence[tuple[int, int]]  # breakpoints: share, ppb, and value, wei


def is_schedule(points: Schedule) -> bool:
    """Return whether these are a schedule, as far as the contract knows."""
    if not 2 <= len(points) <= MAX_BREAKPOINTS:
        return False
    shares, values = zip(*points, strict=True)
    return (
        (shares[0], shares[-1]) == (0, PPB)
        and all(b < c for b, c in pairwise(shares))
        and all(v <= w for v, w in pairwise(values))
        and values[0] > -LIMIT
        and values[-1] < LIMIT
    )


def value_at(points: Schedule, data_ppb: int) -> int:
    """Return ``phi(d)``, wei: on the straight line between two breakpoints, rounded down."""
    k = max(bisect_left(points, data_ppb, key=lambda point: point[0]), 1)
    (left, low), (right, high) = points[k - 1], points[k]
    return low + (high - low) * (data_ppb - left) // (right - left)


def efficient_compensation(rivals: int, phi_i: int, phi_j: int, constant: int) -> int:
    """Return ``t_ij = (phi_i - phi_j) / (N - 1) + k_ij``, wei: what j pays i.

    The division truncates toward zero, as Solidity's does.
    """
    wei = abs(phi_i - phi_j) // rivals
    return (wei if phi_i >= phi_j else -wei) + constant


def efficient_redistribution(constants: Sequence[int], phi: Sequence[int]) -> list[int]:
    """Return ``R_i``, wei: each pair computed once, so the sum is exactly zero."""
    n = len(phi)
    return _added_up(
        n,
        (
            efficient_compensation(n - 1, phi[i], phi[j], constant)
            for (i, j), constant in zip(pairs(n), constants, strict=True)
        ),
    )


def efficient_bonds(
    constants: Sequence[int], least: Sequence[int], most: Sequence[int]
) -> list[int]:
    """Return what each owes with its own schedule at its least and all others at their most, wei.

    No rounding is in it: every payment grows with the own value and falls with the other's. Who
    receives even then owes nothing.
    """
    n = len(least)
    worst = [0] * n
    for (i, j), constant in zip(pairs(n), constants, strict=True):
        worst[i] += efficient_compensation(n - 1, least[i], most[j], constant)
        worst[j] += efficient_compensation(n - 1, least[j], most[i], -constant)
    return [max(0, -wei) for wei in worst]


# --- numbers of a file as integers ----------------------------------------------------------------


@lru_cache(maxsize=1 << 16)
def rounded(value: float, factor: int = 1) -> int:
    """Return ``value * factor`` rounded to the nearest integer, ties to even.

    The value is the decimal number that the file shows, not the binary double next to it: 5.12e-9
    times 10^18 is 5120000000.
    """
    return round(Fraction(repr(float(value))) * factor)


def size_of(whole: int, digits: int = 6) -> str:
    """Return an integer for a message: short, whatever its size."""
    small = abs(whole) < 10**300
    return f"{whole:.{digits}g}" if small else f"about 10^{math.log10(abs(whole)):.0f}"
