// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TradeMath} from "./TradeMath.sol";

/// @title The arithmetic of the efficient rule, in integers.
/// @author The TradeFL developers
/// @notice Each organization has a schedule phi_i: what its data is worth to the others, as a piecewise linear
/// function of the share d_i that it uses. With N organizations, j pays i
///
///     t_ij = (phi_i(d_i) - phi_j(d_j)) / (N - 1) + k_ij
///
/// where k_ij is a constant that was agreed for the pair. The contract that applies it is TradeFLEfficient. The
/// Python package computes the same integers (`tradefl.settlement.arithmetic`), and tests hold both to each other to
/// the wei.
///
/// | symbol | what                            | integer                       | width           |
/// |--------|---------------------------------|-------------------------------|-----------------|
/// | d_i    | share of its data that i uses   | ppb                           | uint32          |
/// | b_k    | share at a breakpoint           | ppb, from 0 to 1e9, ascending | uint32          |
/// | v_k    | the schedule's value there      | wei, never less than before   | |v_k| < 2^95    |
/// | phi_i  | the schedule's value at d_i     | wei                           | |phi_i| < 2^95  |
/// | k_ij   | constant of a pair, k_ji = -k_ij | wei                          | |k_ij| < 2^95   |
/// | t_ij   | what j pays i                   | wei                           | |t_ij| < 2^97   |
/// | R_i    | sum_j t_ij                      | wei                           | |R_i| < 2^107   |
///
/// Where arithmetic is unchecked the widths alone rule an overflow out: at most 2^10 organizations add up.
///
/// That a schedule is concave is not checked: rounding to wei may break that by a wei, and nothing here rests on it.
/// Bonds and zero sum need only that a schedule does not fall.
library ScheduleMath {
    /// @notice Bytes that hold one k_ij: a big-endian int128.
    uint256 internal constant PAIR_BYTES = 16;

    /// @notice The least number of breakpoints: the ends.
    uint256 internal constant MIN_BREAKPOINTS = 2;

    /// @notice The greatest number of breakpoints.
    uint256 internal constant MAX_BREAKPOINTS = 32;

    /// @notice What the magnitude of a value or a constant stays below.
    uint256 internal constant LIMIT = 1 << 95;

    /// @notice A schedule: the values at ascending shares, straight lines between them.
    struct Schedule {
        /// @dev b_k, ppb.
        uint32[] shares;
        /// @dev v_k, wei.
        int96[] values;
    }

    /// @notice Tells whether these are a schedule: 2 to 32 breakpoints, shares ascending from 0 to 1e9, values that
    /// never fall and stay below 2^95 in magnitude.
    /// @param shares b_k, ppb
    /// @param values v_k, wei, of as many breakpoints
    /// @return whether they are
    function isSchedule(uint256[] memory shares, int256[] memory values) internal pure returns (bool) {
        uint256 count = shares.length;
        if (count < MIN_BREAKPOINTS || count > MAX_BREAKPOINTS) return false;
        if (shares[0] != 0 || shares[count - 1] != TradeMath.PPB) return false;
        for (uint256 k = 1; k < count; ++k) {
            if (shares[k] <= shares[k - 1] || values[k] < values[k - 1]) return false;
        }
        // They never fall, so the ends bound all.
        return values[0] > -int256(LIMIT) && values[count - 1] < int256(LIMIT);
    }

    /// @notice Returns phi(d): the value of a schedule at a share.
    /// @param schedule what {isSchedule} holds of
    /// @param dataPpb d, ppb, at most 1e9
    /// @return wei
    function valueAt(Schedule storage schedule, uint32 dataPpb) internal view returns (int256) {
        uint256 k = 1;
        while (schedule.shares[k] < dataPpb) ++k;
        return interpolate(
            schedule.shares[k - 1], schedule.shares[k], schedule.values[k - 1], schedule.values[k], dataPpb
        );
    }

    /// @notice Returns the value at a share between two breakpoints, on the straight line, rounded down.
    /// @param left the share before, ppb
    /// @param right the share after, ppb; more than left
    /// @param low the value at left, wei
    /// @param high the value at right, wei; at least low
    /// @param dataPpb the share, ppb, from left to right
    /// @return wei, from low to high
    function interpolate(uint256 left, uint256 right, int256 low, int256 high, uint256 dataPpb)
        internal
        pure
        returns (int256)
    {
        uint256 rise = uint256(high - low) * (dataPpb - left) / (right - left);
        return low + int256(rise); // at most high - low, so it fits
    }

    /// @notice Returns t_ij = (phi_i - phi_j) / (N - 1) + k_ij: what j pays i; negative when i pays j.
    /// @dev The one division truncates toward zero, for either sign. So t_ji is exactly -t_ij.
    /// @param rivals N - 1
    /// @param phiI phi_i, wei
    /// @param phiJ phi_j, wei
    /// @param constant_ k_ij, wei
    /// @return wei
    function compensation(int256 rivals, int256 phiI, int256 phiJ, int256 constant_)
        internal
        pure
        returns (int256)
    {
        unchecked {
            return (phiI - phiJ) / rivals + constant_;
        }
    }

    /// @notice Adds the payments of one block of pairs to both sides: r_i += t_ij, r_j -= t_ij.
    /// @dev Each pair is computed once and enters with both signs, so the sum of r is what it was before: zero.
    /// @param phi phi of every organization, wei
    /// @param r R of every organization so far, wei; changed in place
    /// @param firstPair the place of the block's first pair in the upper triangle, counted row by row from 0
    /// @param constants the block: a big-endian int128 for each pair, wei; it must end within the triangle
    function redistribute(int256[] memory phi, int256[] memory r, uint256 firstPair, bytes calldata constants)
        internal
        pure
    {
        (uint256 i, uint256 j) = TradeMath.pairAt(firstPair, phi.length);
        uint256 offset = 0;
        unchecked {
            int256 rivals = int256(phi.length - 1);
            while (offset < constants.length) {
                int256 phiI = phi[i];
                int256 received = 0; // by i, from what the block holds of its row
                for (; j < phi.length && offset < constants.length; ++j) {
                    int256 payment = compensation(rivals, phiI, phi[j], constantAt(constants, offset));
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

    /// @notice Adds one block of pairs to what each organization receives in its worst case, which {bond} takes: with
    /// its own schedule at its least and every rival's at its most. For one pair these are two different cases, so
    /// the payment is computed for each.
    /// @param least the least value of every schedule, wei
    /// @param most the greatest value of every schedule, wei
    /// @param w what every organization receives in its worst case so far, wei; changed in place
    /// @param firstPair the place of the block's first pair in the upper triangle, counted row by row from 0
    /// @param constants the block: a big-endian int128 for each pair, wei; it must end within the triangle
    /// @return largest the largest magnitude of a constant of the block, wei, for the caller to judge
    function weigh(
        int256[] memory least,
        int256[] memory most,
        int256[] memory w,
        uint256 firstPair,
        bytes calldata constants
    ) internal pure returns (uint256 largest) {
        (uint256 i, uint256 j) = TradeMath.pairAt(firstPair, least.length);
        uint256 offset = 0;
        unchecked {
            int256 rivals = int256(least.length - 1);
            while (offset < constants.length) {
                int256 received = 0; // by i, from what the block holds of its row
                for (; j < least.length && offset < constants.length; ++j) {
                    int256 constant_ = constantAt(constants, offset);
                    uint256 magnitude = uint256(constant_ < 0 ? -constant_ : constant_);
                    if (magnitude > largest) largest = magnitude;
                    received += compensation(rivals, least[i], most[j], constant_);
                    w[j] += compensation(rivals, least[j], most[i], -constant_);
                    offset += PAIR_BYTES;
                }
                w[i] += received;
                ++i;
                j = i + 1;
            }
        }
    }

    /// @notice Returns the bond of an organization: what it owes in its worst case, nothing if it receives even then.
    /// @dev No rounding is in it: the worst case is made of the very payments, and each of them grows with phi_i and
    /// falls with phi_j, rounded or not.
    /// @param worst what it receives in its worst case, wei, from {weigh}
    /// @return wei
    function bond(int256 worst) internal pure returns (uint256) {
        unchecked {
            return worst < 0 ? uint256(-worst) : 0;
        }
    }

    /// @notice Returns the constant that starts at a byte of a block.
    /// @dev The caller keeps offset + 16 within the block: a slice would check that again.
    /// @param constants the block
    /// @param offset the byte
    /// @return constant_ k_ij, wei
    function constantAt(bytes calldata constants, uint256 offset) internal pure returns (int256 constant_) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            constant_ := sar(128, calldataload(add(constants.offset, offset)))
        }
    }
}
