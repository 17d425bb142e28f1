// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {TradeMath} from "../../src/TradeMath.sol";

/// Proofs about adding up payments and weights, for 2, 3 and 4 organizations and every gamma, rho and X. Halmos runs
/// what begins with `check_`; `forge test` does not.
///
/// Halmos takes each product and quotient for an unknown of which it knows only that equal operands give equal
/// results. That suffices here: each payment is computed once. What a payment is worth: Arithmetic.sol. There each is
/// shown to be below 2^137, so a sum of them that is zero modulo 2^256 is zero.
contract ZeroSumProofs is Test {
    /// No revert either: --panic-error-codes makes any panic a counterexample.
    /// @custom:halmos --loop 3 --panic-error-codes *
    function check_ZeroSum2(uint128 gamma, uint32 rho, uint96[2] calldata x) external view {
        uint96[] memory xs = new uint96[](2);
        (xs[0], xs[1]) = (x[0], x[1]);
        _checkZeroSum(gamma, abi.encodePacked(rho), xs);
    }

    /// @custom:halmos --loop 5 --panic-error-codes *
    function check_ZeroSum3(uint128 gamma, uint32[3] calldata rho, uint96[3] calldata x) external view {
        uint96[] memory xs = new uint96[](3);
        (xs[0], xs[1], xs[2]) = (x[0], x[1], x[2]);
        _checkZeroSum(gamma, abi.encodePacked(rho[0], rho[1], rho[2]), xs);
    }

    /// @custom:halmos --loop 8 --panic-error-codes *
    function check_ZeroSum4(uint128 gamma, uint32[6] calldata rho, uint96[4] calldata x) external view {
        uint96[] memory xs = new uint96[](4);
        (xs[0], xs[1], xs[2], xs[3]) = (x[0], x[1], x[2], x[3]);
        _checkZeroSum(gamma, abi.encodePacked(rho[0], rho[1], rho[2], rho[3], rho[4], rho[5]), xs);
    }

    /// Whose payment goes where: R_i is the sum of t_ij, so zero sum is not that of a function that does nothing.
    /// The block may begin anywhere: here it is cut in two, and the second part begins within a row.
    /// @custom:halmos --loop 5 --panic-error-codes *
    function check_Rows3(uint128 gamma, uint32[3] calldata rho, uint96[3] calldata x) external view {
        uint96[] memory xs = new uint96[](3);
        (xs[0], xs[1], xs[2]) = (x[0], x[1], x[2]);
        int256[] memory r = new int256[](3);
        r = this.redistribute(gamma, xs, r, 0, abi.encodePacked(rho[0]));
        r = this.redistribute(gamma, xs, r, 1, abi.encodePacked(rho[1], rho[2]));

        int256 t01 = TradeMath.compensation(gamma, rho[0], x[0], x[1]);
        int256 t02 = TradeMath.compensation(gamma, rho[1], x[0], x[2]);
        int256 t12 = TradeMath.compensation(gamma, rho[2], x[1], x[2]);
        unchecked {
            assert(r[0] == t01 + t02);
            assert(r[1] == t12 - t01);
            assert(r[2] == -t02 - t12);
        }
    }

    /// TradeMath reads rho from calldata, which only an external call gives.
    function redistribute(
        uint128 gamma,
        uint96[] memory x,
        int256[] memory r,
        uint256 firstPair,
        bytes calldata rho
    ) external pure returns (int256[] memory) {
        TradeMath.redistribute(gamma, x, r, firstPair, rho);
        return r;
    }

    function _checkZeroSum(uint128 gamma, bytes memory rho, uint96[] memory x) private view {
        int256[] memory r = this.redistribute(gamma, x, new int256[](x.length), 0, rho);
        int256 sum = 0;
        unchecked {
            for (uint256 i = 0; i < r.length; ++i) {
                sum += r[i];
            }
        }
        assert(sum == 0);
    }
}
