// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title The arithmetic of the redistribution, Eq. (9) and (10), in integers.
/// @author The TradeFL developers
/// @notice Pure functions; the contract that applies them is TradeFL. The Python package computes the same
/// integers (`tradefl.settlement.arithmetic`), and tests hold both to each other to the wei.
///
/// Units. "ppb" is parts per billion, so 1e9 is one. A contribution is counted in ppb of a bit.
///
/// | symbol | what                           | integer                 | width           |
/// |--------|--------------------------------|-------------------------|-----------------|
/// | d_i    | share of its data that i uses  | ppb                     | uint32          |
/// | s_i    | size of i's data               | bit                     | uint64          |
/// | f_i    | CPU frequency                  | Hz                      | uint64          |
/// | lambda | bits that one hertz stands for | ppb of bit/Hz           | uint64          |
/// | rho_ij | competition intensity          | ppb, at most 1e9        | uint32          |
/// | gamma  | incentive intensity            | wei per bit, times 1e18 | uint128         |
/// | X_i    | d_i s_i + lambda f_i           | ppb of a bit            | below 2^96      |
/// | t_ij   | what j pays i                  | wei                     | |t_ij| < 2^137  |
/// | R_i    | sum_j t_ij                     | wei                     | |R_i| < 2^147   |
///
/// Where arithmetic is unchecked the widths alone rule an overflow out: gamma rho X < 2^128 2^32 2^96 = 2^256, a
/// payment is below 2^256 / 1e36 < 2^137, and at most 2^10 organizations add up.
library TradeMath {
    /// @notice One, in parts per billion.
    uint256 internal constant PPB = 1e9;

    /// @notice What the integers of one payment are scaled by: gamma by 1e18, rho by 1e9, X by 1e9.
    uint256 internal constant SCALE = 1e36;

    /// @notice Bytes that hold one rho_ij: a big-endian uint32.
    uint256 internal constant PAIR_BYTES = 4;

    /// @notice Returns X = d s + lambda f: what an organization puts in, in ppb of a bit. Exact: nothing is divided.
    /// @param dataPpb d, the share of its data, ppb
    /// @param dataBits s, the size of its data, bit
    /// @param lambdaPpb lambda, ppb of bit/Hz
    /// @param cpuHz f, Hz
    /// @return X, ppb of a bit; reverts with SafeCastOverflowedUintDowncast from 2^96 on
    function contribution(uint32 dataPpb, uint64 dataBits, uint64 lambdaPpb, uint64 cpuHz)
        internal
        pure
        returns (uint96)
    {
        return SafeCast.toUint96(uint256(dataPpb) * dataBits + uint256(lambdaPpb) * cpuHz);
    }

    /// @notice Returns t_ij = gamma rho_ij (X_i - X_j) / 1e36: what j pays i, Eq. (9); negative when i pays j.
    /// @dev The one division truncates toward zero, for either sign. So t_ji is exactly -t_ij, and nobody ever pays
    /// more than the exact quotient: rounding cannot push a payer past its bond.
    /// @param gamma wei per bit, times 1e18
    /// @param rhoPpb rho_ij, ppb
    /// @param xI X_i, ppb of a bit
    /// @param xJ X_j, ppb of a bit
    /// @return wei
    function compensation(uint128 gamma, uint32 rhoPpb, uint96 xI, uint96 xJ) internal pure returns (int256) {
        bool iReceives = xI > xJ;
        unchecked {
            uint256 difference = iReceives ? xI - xJ : xJ - xI;
            uint256 payment = uint256(gamma) * rhoPpb * difference / SCALE; // 128 + 32 + 96 bits: it fits
            // forge-lint: disable-next-line(unsafe-typecast)
            return iReceives ? int256(payment) : -int256(payment);
        }
    }

    /// @notice Returns the bond of organization i, gamma sum_j rho_ij Xmax_j / 1e36: the most that it could ever owe.
    /// That is its bill when it reports nothing and every rival reports all it has.
    /// @dev Rounded up, while every payment is rounded toward zero: a bond is never short of the sum of payments.
    /// The weight is split at 1e36 so that no product overflows, and a solver can follow: 128 + 41 and 128 + 120 bits.
    /// @param gamma wei per bit, times 1e18
    /// @param weight sum_j rho_ij Xmax_j, in ppb times ppb of a bit, from {weigh}
    /// @return wei
    function bond(uint128 gamma, uint160 weight) internal pure returns (uint256) {
        unchecked {
            // What this division drops is in the next line, so nothing is lost.
            // slither-disable-next-line divide-before-multiply
            uint256 whole = uint256(gamma) * (weight / SCALE);
            return whole + (uint256(gamma) * (weight % SCALE) + SCALE - 1) / SCALE;
        }
    }

    /// @notice Adds the payments of one block of pairs to both sides, Eq. (10): r_i += t_ij, r_j -= t_ij.
    /// @dev Each pair is computed once and enters with both signs, so the sum of r is what it was before: zero.
    /// @param gamma wei per bit, times 1e18
    /// @param x X of every organization, ppb of a bit
    /// @param r R of every organization so far, wei; changed in place
    /// @param firstPair the place of the block's first pair in the upper triangle, counted row by row from 0
    /// @param rho the block: a big-endian uint32 for each pair, ppb; it must end within the triangle
    function redistribute(
        uint128 gamma,
        uint96[] memory x,
        int256[] memory r,
        uint256 firstPair,
        bytes calldata rho
    ) internal pure {
        (uint256 i, uint256 j) = pairAt(firstPair, x.length);
        uint256 offset = 0;
        unchecked {
            while (offset < rho.length) {
                uint96 xI = x[i];
                int256 received = 0; // by i, from what the block holds of its row
                for (; j < x.length && offset < rho.length; ++j) {
                    int256 payment = compensation(gamma, rhoAt(rho, offset), xI, x[j]);
                    received += payment;
                    r[j] -= payment;
                    offset += PAIR_BYTES;
                }
                r[i] += received;
                ++i;
                j = i + 1;
            }
        }
    }

    /// @notice Adds one block of pairs to the weights that {bond} takes: w_i += rho_ij Xmax_j, w_j += rho_ij Xmax_i.
    /// @param caps Xmax of every organization, ppb of a bit: all its data and its fastest level
    /// @param w weight of every organization so far, ppb times ppb of a bit; changed in place
    /// @param firstPair the place of the block's first pair in the upper triangle, counted row by row from 0
    /// @param rho the block: a big-endian uint32 for each pair, ppb; it must end within the triangle
    /// @return largest the largest rho of the block, ppb, for the caller to judge
    function weigh(uint96[] memory caps, uint256[] memory w, uint256 firstPair, bytes calldata rho)
        internal
        pure
        returns (uint32 largest)
    {
        (uint256 i, uint256 j) = pairAt(firstPair, caps.length);
        uint256 offset = 0;
        unchecked {
            while (offset < rho.length) {
                uint256 capI = caps[i];
                uint256 weight = 0; // of i, from what the block holds of its row
                for (; j < caps.length && offset < rho.length; ++j) {
                    uint32 rhoPpb = rhoAt(rho, offset);
                    if (rhoPpb > largest) largest = rhoPpb;
                    weight += rhoPpb * uint256(caps[j]);
                    w[j] += rhoPpb * capI;
                    offset += PAIR_BYTES;
                }
                w[i] += weight;
                ++i;
                j = i + 1;
            }
        }
    }

    /// @notice Returns how many pairs `size` organizations form.
    /// @param size the number of organizations, N
    /// @return N (N - 1) / 2
    function pairs(uint256 size) internal pure returns (uint256) {
        return size * (size - 1) / 2;
    }

    /// @notice Returns the pair at a place of the upper triangle i < j, counted row by row from 0.
    /// @param place below {pairs}
    /// @param size the number of organizations
    /// @return i the row
    /// @return j the column
    function pairAt(uint256 place, uint256 size) internal pure returns (uint256 i, uint256 j) {
        uint256 row = size - 1; // entries right of the diagonal in row i
        while (place >= row) {
            place -= row;
            --row;
            ++i;
        }
        j = i + 1 + place;
    }

    /// @notice Returns the rho that starts at a byte of a block.
    /// @dev The caller keeps offset + 4 within the block: a slice would check that again, for more than all the rest
    /// of a payment costs.
    /// @param rho the block
    /// @param offset the byte
    /// @return rhoPpb rho_ij, ppb
    function rhoAt(bytes calldata rho, uint256 offset) internal pure returns (uint32 rhoPpb) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            rhoPpb := shr(224, calldataload(add(rho.offset, offset)))
        }
    }
}
