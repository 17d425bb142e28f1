r"""The arithmetic of the contract, Eq. (9) and (10) in integers: ``contracts/src/TradeMath.sol``.

Every function here has its twin of the same meaning there, and tests hold the two to each
other to the wei. Shares, rho and lambda are in parts per billion (ppb: 10^9 is one), gamma in
wei per bit times 10^18, a contribution in ppb of a bit, money in wei.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

PPB = 10**9
SCALE = 10**36  # gamma by 10^18, rho by 10^9, X by 10^9
BLOCK_PAIRS = 8192
BLOCK_ORGANIZATIONS = 40
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
    received = [0] * len(x)
    for (i, j), rho in zip(pairs(len(x)), rho_ppb, strict=True):
        wei = compensation(gamma, rho, x[i], x[j])
        received[i] += wei
        received[j] -= wei
    return received
