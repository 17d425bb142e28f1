// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {ScheduleMath} from "../../src/ScheduleMath.sol";

/// Proofs about the efficient rule's payments and bonds, for 2, 3 and 4 organizations and every schedule and constant:
/// the counterparts of ZeroSum.t.sol and Bond.t.sol. Halmos takes each quotient for an unknown of which it knows only
/// that equal operands give equal results; what a quotient is worth is proven in Arithmetic.sol.
contract EfficientProofs is Test {
    /// @custom:halmos --loop 3 --panic-error-codes *
    function check_EfficientZeroSum2(int96 k, int96[2] calldata phi) external view {
        int256[] memory phis = new int256[](2);
        (phis[0], phis[1]) = (phi[0], phi[1]);
        _checkZeroSum(abi.encodePacked(int128(k)), phis);
    }

    /// @custom:halmos --loop 5 --panic-error-codes *
    function check_EfficientZeroSum3(int96[3] calldata k, int96[3] calldata phi) external view {
        int256[] memory phis = new int256[](3);
        (phis[0], phis[1], phis[2]) = (phi[0], phi[1], phi[2]);
        _checkZeroSum(abi.encodePacked(int128(k[0]), int128(k[1]), int128(k[2])), phis);
    }

    /// @custom:halmos --loop 8 --panic-error-codes *
    function check_EfficientZeroSum4(int96[6] calldata k, int96[4] calldata phi) external view {
        int256[] memory phis = new int256[](4);
        (phis[0], phis[1], phis[2], phis[3]) = (phi[0], phi[1], phi[2], phi[3]);
        _checkZeroSum(
            abi.encodePacked(
                int128(k[0]), int128(k[1]), int128(k[2]), int128(k[3]), int128(k[4]), int128(k[5])
            ),
            phis
        );
    }

    /// Whose payment goes where, in two blocks, the second of which begins within a row.
    /// @custom:halmos --loop 5 --panic-error-codes *
    function check_EfficientRows3(int96[3] calldata k, int96[3] calldata phi) external view {
        int256[] memory phis = new int256[](3);
        (phis[0], phis[1], phis[2]) = (phi[0], phi[1], phi[2]);
        int256[] memory r = new int256[](3);
        r = this.redistribute(phis, r, 0, abi.encodePacked(int128(k[0])));
        r = this.redistribute(phis, r, 1, abi.encodePacked(int128(k[1]), int128(k[2])));

        int256 t01 = ScheduleMath.compensation(2, phi[0], phi[1], k[0]);
        int256 t02 = ScheduleMath.compensation(2, phi[0], phi[2], k[1]);
        int256 t12 = ScheduleMath.compensation(2, phi[1], phi[2], k[2]);
        unchecked {
            assert(r[0] == t01 + t02);
            assert(r[1] == t12 - t01);
            assert(r[2] == -t02 - t12);
        }
    }

    /// The worst case counts every rival, each at its most against the own least.
    /// @custom:halmos --loop 5 --panic-error-codes *
    function check_EfficientWeightCountsEveryRival(
        int96[3] calldata k,
        int96[3] calldata low,
        int96[3] calldata high
    ) external view {
        int256[] memory least = new int256[](3);
        int256[] memory most = new int256[](3);
        (least[0], least[1], least[2]) = (low[0], low[1], low[2]);
        (most[0], most[1], most[2]) = (high[0], high[1], high[2]);
        int256[] memory w = new int256[](3);
        (w,) = this.weigh(least, most, w, 0, abi.encodePacked(int128(k[0])));
        (w,) = this.weigh(least, most, w, 1, abi.encodePacked(int128(k[1]), int128(k[2])));
        unchecked {
            assert(
                w[0]
                    == ScheduleMath.compensation(2, low[0], high[1], k[0])
                        + ScheduleMath.compensation(2, low[0], high[2], k[1])
            );
            assert(
                w[1]
                    == ScheduleMath.compensation(2, low[1], high[0], -int256(k[0]))
                        + ScheduleMath.compensation(2, low[1], high[2], k[2])
            );
            assert(
                w[2]
                    == ScheduleMath.compensation(2, low[2], high[0], -int256(k[1]))
                        + ScheduleMath.compensation(2, low[2], high[1], -int256(k[2]))
            );
        }
    }

    /// A constant does not escape the contract's judgement that it is below 2^95. That the largest of many is found is
    /// what a fuzz test compares (ScheduleMath.t.sol): with three of them the solver gives up.
    /// @custom:halmos --loop 5 --panic-error-codes *
    function check_EfficientMagnitudeIsSeen(int128 k) external view {
        int256[] memory zero = new int256[](2);
        (, uint256 largest) = this.weigh(zero, zero, new int256[](2), 0, abi.encodePacked(k));
        unchecked {
            // Both signs: at least the magnitude, without a branch.
            assert(int256(largest) >= k && int256(largest) >= -int256(k));
        }
    }

    /// ScheduleMath reads constants from calldata, which only an external call gives.
    function redistribute(int256[] memory phi, int256[] memory r, uint256 firstPair, bytes calldata constants)
        external
        pure
        returns (int256[] memory)
    {
        ScheduleMath.redistribute(phi, r, firstPair, constants);
        return r;
    }

    function weigh(
        int256[] memory least,
        int256[] memory most,
        int256[] memory w,
        uint256 firstPair,
        bytes calldata constants
    ) external pure returns (int256[] memory, uint256) {
        uint256 largest = ScheduleMath.weigh(least, most, w, firstPair, constants);
        return (w, largest);
    }

    function _checkZeroSum(bytes memory constants, int256[] memory phi) private view {
        int256[] memory r = this.redistribute(phi, new int256[](phi.length), 0, constants);
        int256 sum = 0;
        unchecked {
            for (uint256 i = 0; i < r.length; ++i) {
                sum += r[i];
            }
        }
        assert(sum == 0);
    }
}
