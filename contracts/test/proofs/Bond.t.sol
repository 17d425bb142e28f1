// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {TradeMath} from "../../src/TradeMath.sol";

/// Proofs that a bond counts every rival, for every rho and Xmax. That such a bond covers the bill of one and of two
/// rivals, rounding included, is Arithmetic.sol; that the bill counts each rival once, ZeroSum.t.sol.
contract BondProofs is Test {
    /// @custom:halmos --loop 5 --panic-error-codes *
    function check_WeightCountsTheRival(uint32 rho, uint96[2] calldata cap) external view {
        uint96[] memory caps = new uint96[](2);
        (caps[0], caps[1]) = (cap[0], cap[1]);
        (uint256[] memory w, uint32 largest) = this.weigh(caps, new uint256[](2), 0, abi.encodePacked(rho));
        unchecked {
            assert(w[0] == uint256(rho) * cap[1]);
            assert(w[1] == uint256(rho) * cap[0]);
        }
        assert(largest == rho);
    }

    /// In two blocks, the second of which begins within a row.
    /// @custom:halmos --loop 5 --panic-error-codes *
    function check_WeightCountsEveryRival(uint32[3] calldata rho, uint96[3] calldata cap) external view {
        uint96[] memory caps = new uint96[](3);
        (caps[0], caps[1], caps[2]) = (cap[0], cap[1], cap[2]);
        uint256[] memory w = new uint256[](3);
        uint32 largest;
        uint32 largestOfRest;
        (w, largest) = this.weigh(caps, w, 0, abi.encodePacked(rho[0]));
        (w, largestOfRest) = this.weigh(caps, w, 1, abi.encodePacked(rho[1], rho[2]));
        unchecked {
            assert(w[0] == uint256(rho[0]) * cap[1] + uint256(rho[1]) * cap[2]);
            assert(w[1] == uint256(rho[0]) * cap[0] + uint256(rho[2]) * cap[2]);
            assert(w[2] == uint256(rho[1]) * cap[0] + uint256(rho[2]) * cap[1]);
        }
        // No rho escapes the contract's judgement that all are at most one.
        assert(largest == rho[0] && largestOfRest >= rho[1] && largestOfRest >= rho[2]);
    }

    /// TradeMath reads rho from calldata, which only an external call gives.
    function weigh(uint96[] memory caps, uint256[] memory w, uint256 firstPair, bytes calldata rho)
        external
        pure
        returns (uint256[] memory, uint32)
    {
        uint32 largest = TradeMath.weigh(caps, w, firstPair, rho);
        return (w, largest);
    }
}
