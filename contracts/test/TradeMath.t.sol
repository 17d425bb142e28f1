// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {stdError} from "forge-std/StdError.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {TradeMath} from "../src/TradeMath.sol";
import {Agreement} from "./support/Agreement.sol";

/// @title Makes the library's internal functions callable, with calldata.
contract TradeMathHarness {
    function contribution(uint32 dataPpb, uint64 dataBits, uint64 lambdaPpb, uint64 cpuHz)
        external
        pure
        returns (uint96)
    {
        return TradeMath.contribution(dataPpb, dataBits, lambdaPpb, cpuHz);
    }

    function compensation(uint128 gamma, uint32 rhoPpb, uint96 xI, uint96 xJ) external pure returns (int256) {
        return TradeMath.compensation(gamma, rhoPpb, xI, xJ);
    }

    function bond(uint128 gamma, uint160 weight) external pure returns (uint256) {
        return TradeMath.bond(gamma, weight);
    }

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

    function weigh(uint96[] memory caps, uint256[] memory w, uint256 firstPair, bytes calldata rho)
        external
        pure
        returns (uint256[] memory, uint32 largest)
    {
        largest = TradeMath.weigh(caps, w, firstPair, rho);
        return (w, largest);
    }

    function pairs(uint256 size) external pure returns (uint256) {
        return TradeMath.pairs(size);
    }

    function pairAt(uint256 place, uint256 size) external pure returns (uint256, uint256) {
        return TradeMath.pairAt(place, size);
    }

    function rhoAt(bytes calldata rho, uint256 offset) external pure returns (uint32) {
        return TradeMath.rhoAt(rho, offset);
    }
}

/// @title Every function of TradeMath, by hand, at its limits and against the plain formula.
contract TradeMathTest is Test {
    uint128 private constant GAMMA_MAX = type(uint128).max;
    uint32 private constant RHO_MAX = 1e9;
    uint96 private constant X_MAX = type(uint96).max;

    TradeMathHarness private math = new TradeMathHarness();

    // --- contribution --------------------------------------------------------------------------------------------

    function test_ContributionAddsDataAndComputation() public view {
        // half of 8 bits, and 3 Hz at 0.25 bit/Hz: 4 + 0.75 bits
        assertEq(math.contribution(0.5e9, 8, 0.25e9, 3), 4.75e9);
    }

    function test_ContributionOfNothingIsZero() public view {
        assertEq(math.contribution(0, type(uint64).max, type(uint64).max, 0), 0);
    }

    function test_ContributionReachesTheTopOfItsWidth() public view {
        // (2^48 - 1)(2^48 + 1) = 2^96 - 1
        assertEq(math.contribution(0, 0, (1 << 48) - 1, (1 << 48) + 1), X_MAX);
    }

    function test_ContributionBeyondItsWidthReverts() public {
        vm.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 96, 1 << 96));
        math.contribution(0, 0, 1 << 48, 1 << 48);
    }

    function test_ContributionOfTheLargestOperandsRevertsInTheCastNotInTheProduct() public {
        uint256 exact = uint256(type(uint32).max) * type(uint64).max + uint256(type(uint64).max) ** 2;
        vm.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 96, exact));
        math.contribution(type(uint32).max, type(uint64).max, type(uint64).max, type(uint64).max);
    }

    function testFuzz_ContributionIsExact(uint32 d, uint64 s, uint32 lambda, uint64 f) public view {
        s = uint64(bound(s, 0, type(uint64).max / 2));
        f = uint64(bound(f, 0, type(uint64).max / 2));
        assertEq(math.contribution(d, s, lambda, f), uint256(d) * s + uint256(lambda) * f);
    }

    // --- compensation --------------------------------------------------------------------------------------------

    function test_CompensationByHand() public view {
        // 2 wei per bit, rho 0.5, 3 bits more than the rival: 3 wei
        assertEq(math.compensation(2e18, 0.5e9, 10e9, 7e9), 3);
        assertEq(math.compensation(2e18, 0.5e9, 7e9, 10e9), -3);
    }

    function test_CompensationTruncatesTowardZero() public view {
        // 1.75 wei either way
        assertEq(math.compensation(1.75e18, 1e9, 2e9, 1e9), 1);
        assertEq(math.compensation(1.75e18, 1e9, 1e9, 2e9), -1);
        // just below one wei either way
        assertEq(math.compensation(1, 1e9, 1e27 - 1, 0), 0);
        assertEq(math.compensation(1, 1e9, 0, 1e27 - 1), 0);
        assertEq(math.compensation(1, 1e9, 1e27, 0), 1);
        assertEq(math.compensation(1, 1e9, 0, 1e27), -1);
    }

    function test_CompensationOfEqualsIsZero() public view {
        assertEq(math.compensation(GAMMA_MAX, RHO_MAX, X_MAX, X_MAX), 0);
    }

    function test_CompensationHoldsTheMaximaOfEveryWidth() public view {
        int256 most = int256(uint256(GAMMA_MAX) * RHO_MAX * X_MAX / 1e36);
        assertEq(math.compensation(GAMMA_MAX, RHO_MAX, X_MAX, 0), most);
        assertEq(math.compensation(GAMMA_MAX, RHO_MAX, 0, X_MAX), -most);
        assertLt(most, 1 << 135);
    }

    function testFuzz_CompensationIsAntisymmetric(uint128 gamma, uint32 rho, uint96 xI, uint96 xJ)
        public
        view
    {
        rho = uint32(bound(rho, 0, RHO_MAX));
        assertEq(math.compensation(gamma, rho, xI, xJ), -math.compensation(gamma, rho, xJ, xI));
    }

    function testFuzz_CompensationIsTheMagnitudeRoundedDown(uint128 gamma, uint32 rho, uint96 xI, uint96 xJ)
        public
        view
    {
        rho = uint32(bound(rho, 0, RHO_MAX));
        uint256 gap = xI > xJ ? xI - xJ : xJ - xI;
        int256 magnitude = int256(uint256(gamma) * rho * gap / 1e36);
        assertEq(math.compensation(gamma, rho, xI, xJ), xI > xJ ? magnitude : -magnitude);
    }

    // --- bond ----------------------------------------------------------------------------------------------------

    function test_BondByHand() public view {
        // 2 wei per bit; rho 0.5 with 10 bits and rho 1 with 4 bits: 2 (5 + 4) = 18 wei
        assertEq(math.bond(2e18, 0.5e9 * 10e9 + 1e9 * 4e9), 18);
    }

    function test_BondRoundsUp() public view {
        assertEq(math.bond(1, 0), 0);
        assertEq(math.bond(0, 1e36), 0);
        assertEq(math.bond(1, 1), 1);
        assertEq(math.bond(1, 1e36), 1);
        assertEq(math.bond(1, 1e36 + 1), 2);
    }

    function test_BondHoldsTheMaximaOfEveryWidth() public view {
        // 1,024 organizations; the product has 264 bits
        uint160 weight = uint160(1023 * uint256(RHO_MAX) * X_MAX);
        uint256 expected = Math.mulDiv(GAMMA_MAX, weight, 1e36, Math.Rounding.Ceil);
        assertEq(math.bond(GAMMA_MAX, weight), expected);
        assertLt(expected, uint256(1) << 145);
    }

    function testFuzz_BondIsTheQuotientRoundedUp(uint128 gamma, uint160 weight) public view {
        assertEq(math.bond(gamma, weight), Math.mulDiv(gamma, weight, 1e36, Math.Rounding.Ceil));
    }

    function testFuzz_BondCoversEverySumOfPayments(
        uint128 gamma,
        uint96 x,
        uint96[6] memory caps,
        uint96[6] memory others,
        uint32[6] memory rho
    ) public view {
        uint256 weight = 0;
        int256 sum = 0;
        for (uint256 k = 0; k < 6; ++k) {
            uint32 rhoPpb = uint32(bound(rho[k], 0, RHO_MAX));
            weight += rhoPpb * uint256(caps[k]);
            sum += math.compensation(gamma, rhoPpb, x, uint96(bound(others[k], 0, caps[k])));
        }
        assertGe(int256(math.bond(gamma, uint160(weight))) + sum, 0);
    }

    function testFuzz_BondIsTightToOneWeiForEachRival(
        uint128 gamma,
        uint96[6] memory caps,
        uint32[6] memory rho
    ) public view {
        uint256 weight = 0;
        int256 sum = 0;
        for (uint256 k = 0; k < 6; ++k) {
            uint32 rhoPpb = uint32(bound(rho[k], 0, RHO_MAX));
            weight += rhoPpb * uint256(caps[k]);
            sum += math.compensation(gamma, rhoPpb, 0, caps[k]);
        }
        assertLe(int256(math.bond(gamma, uint160(weight))) + sum, 6);
    }

    // --- pairs ---------------------------------------------------------------------------------------------------

    function test_PairsByHand() public view {
        assertEq(math.pairs(1), 0);
        assertEq(math.pairs(2), 1);
        assertEq(math.pairs(5), 10);
        assertEq(math.pairs(128), 8128);
        assertEq(math.pairs(1024), 523_776);
    }

    function test_PairAtFollowsTheUpperTriangleRowByRow() public view {
        for (uint256 size = 2; size <= 60; ++size) {
            uint256 place = 0;
            for (uint256 i = 0; i < size; ++i) {
                for (uint256 j = i + 1; j < size; ++j) {
                    assertPair(place, size, i, j);
                    ++place;
                }
            }
            assertEq(place, math.pairs(size));
        }
    }

    function test_PairAtTheEdgesOfTheLargestTriangle() public view {
        assertPair(0, 1024, 0, 1);
        assertPair(1022, 1024, 0, 1023);
        assertPair(1023, 1024, 1, 2);
        assertPair(523_775, 1024, 1022, 1023);
    }

    function testFuzz_PairAtInvertsThePlace(uint256 size, uint256 i, uint256 j) public view {
        size = bound(size, 2, 1024);
        i = bound(i, 0, size - 2);
        j = bound(j, i + 1, size - 1);
        assertPair(Agreement.place(i, j, size), size, i, j);
    }

    function assertPair(uint256 place, uint256 size, uint256 i, uint256 j) private view {
        (uint256 row, uint256 column) = math.pairAt(place, size);
        assertEq(row, i, "row");
        assertEq(column, j, "column");
    }

    // --- rhoAt ---------------------------------------------------------------------------------------------------

    function test_RhoIsBigEndian() public view {
        bytes memory rho = hex"0000000101020304ffffffff";
        assertEq(math.rhoAt(rho, 0), 1);
        assertEq(math.rhoAt(rho, 4), 0x01020304);
        assertEq(math.rhoAt(rho, 8), type(uint32).max);
    }

    // --- redistribute --------------------------------------------------------------------------------------------

    function test_RedistributeByHand() public view {
        // 1 wei per bit; X = 10, 4, 1 bits; rho_01 = 0.5, rho_02 = 1, rho_12 = 0.1 (0.3 wei: nothing)
        uint96[] memory x = new uint96[](3);
        (x[0], x[1], x[2]) = (10e9, 4e9, 1e9);
        int256[] memory r = math.redistribute(1e18, x, new int256[](3), 0, pack3(0.5e9, 1e9, 0.1e9));
        assertEq(r[0], 3 + 9);
        assertEq(r[1], -3);
        assertEq(r[2], -9);
    }

    function test_RedistributeAddsToWhatIsThere() public view {
        uint96[] memory x = new uint96[](3);
        x[0] = 1e9;
        int256[] memory r = new int256[](3);
        (r[0], r[1], r[2]) = (100, -60, -40);
        r = math.redistribute(1e18, x, r, 0, pack3(1e9, 1e9, 1e9));
        assertEq(r[0], 102);
        assertEq(r[1], -61);
        assertEq(r[2], -41);
    }

    function test_RedistributeStartsAtItsFirstPair() public view {
        uint96[] memory x = new uint96[](3);
        (x[0], x[1], x[2]) = (10e9, 4e9, 1e9);
        int256[] memory r = math.redistribute(1e18, x, new int256[](3), 2, abi.encodePacked(uint32(1e9)));
        assertEq(r[0], 0);
        assertEq(r[1], 3);
        assertEq(r[2], -3);
    }

    function test_RedistributeRevertsOnAPairThatDoesNotExist() public {
        vm.expectRevert(stdError.indexOOBError);
        math.redistribute(1, new uint96[](3), new int256[](3), 0, new bytes(16));
    }

    function test_RedistributeHoldsTheMaximaOfEveryWidth() public view {
        // one organization has everything, 127 have nothing, all at the most that each may owe
        uint96[] memory x = new uint96[](128);
        x[0] = X_MAX;
        bytes memory rho = new bytes(8128 * 4);
        for (uint256 k = 0; k < rho.length; k += 4) {
            (rho[k], rho[k + 1], rho[k + 2]) = (0x3b, 0x9a, 0xca); // 0x3b9aca00 is 1e9
        }

        int256[] memory r = math.redistribute(GAMMA_MAX, x, new int256[](128), 0, rho);

        int256 most = math.compensation(GAMMA_MAX, RHO_MAX, X_MAX, 0);
        assertEq(r[0], 127 * most);
        for (uint256 i = 1; i < 128; ++i) {
            assertEq(r[i], -most);
        }
    }

    function testFuzz_RedistributeEqualsTheDoubleLoopAndSumsToZero(uint256 seed, uint128 gamma, uint256 size)
        public
        view
    {
        size = bound(size, 2, 9);
        (uint96[] memory x, uint32[] memory rho) = example(seed, size);

        int256[] memory r = math.redistribute(gamma, x, new int256[](size), 0, pack(rho));

        int256 sum = 0;
        for (uint256 i = 0; i < size; ++i) {
            int256 expected = 0;
            for (uint256 j = 0; j < size; ++j) {
                if (j == i) continue;
                uint256 weight = uint256(gamma) * rho[Agreement.place(i, j, size)];
                expected += x[i] > x[j]
                    ? int256(weight * (x[i] - x[j]) / 1e36)
                    : -int256(weight * (x[j] - x[i]) / 1e36);
            }
            assertEq(r[i], expected);
            sum += r[i];
        }
        assertEq(sum, 0);
    }

    function testFuzz_RedistributeInBlocksEqualsAllAtOnce(
        uint256 seed,
        uint128 gamma,
        uint256 size,
        uint256 first,
        uint256 second
    ) public view {
        size = bound(size, 2, 9);
        (uint96[] memory x, uint32[] memory rho) = example(seed, size);
        first = bound(first, 0, rho.length - 1);
        second = bound(second, first, rho.length - 1);

        // the last block first: the order must not matter
        int256[] memory r = new int256[](size);
        r = math.redistribute(gamma, x, r, second, pack(rho, second, rho.length));
        r = math.redistribute(gamma, x, r, first, pack(rho, first, second));
        r = math.redistribute(gamma, x, r, 0, pack(rho, 0, first));

        assertEq(r, math.redistribute(gamma, x, new int256[](size), 0, pack(rho)));
    }

    // --- weigh ---------------------------------------------------------------------------------------------------

    function test_WeighByHand() public view {
        uint96[] memory caps = new uint96[](3);
        (caps[0], caps[1], caps[2]) = (10, 20, 30);
        (uint256[] memory w, uint256 largest) = math.weigh(caps, new uint256[](3), 0, pack3(2, 3, 5));
        assertEq(w[0], 2 * 20 + 3 * 30);
        assertEq(w[1], 2 * 10 + 5 * 30);
        assertEq(w[2], 3 * 10 + 5 * 20);
        assertEq(largest, 5);
    }

    function test_WeighFindsTheLargestRhoWhereverItStands() public view {
        uint96[] memory caps = new uint96[](3);
        uint32 top = type(uint32).max;
        (, uint256 largest) = math.weigh(caps, new uint256[](3), 0, pack3(top, 1, 2));
        assertEq(largest, top);
        (, largest) = math.weigh(caps, new uint256[](3), 0, pack3(1, top, 2));
        assertEq(largest, top);
        (, largest) = math.weigh(caps, new uint256[](3), 0, pack3(1, 2, top));
        assertEq(largest, top);
    }

    function test_WeighHoldsTheMaximaOfEveryWidth() public view {
        uint96[] memory caps = new uint96[](3);
        (caps[0], caps[1], caps[2]) = (X_MAX, X_MAX, X_MAX);
        uint32 top = type(uint32).max;
        (uint256[] memory w,) = math.weigh(caps, new uint256[](3), 0, pack3(top, top, top));
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(w[i], 2 * uint256(top) * X_MAX);
        }
    }

    function testFuzz_WeighInBlocksEqualsTheDoubleLoop(uint256 seed, uint256 size, uint256 split)
        public
        view
    {
        size = bound(size, 2, 9);
        (uint96[] memory caps, uint32[] memory rho) = example(seed, size);
        split = bound(split, 0, rho.length - 1);

        uint256[] memory w = new uint256[](size);
        (w,) = math.weigh(caps, w, split, pack(rho, split, rho.length));
        (w,) = math.weigh(caps, w, 0, pack(rho, 0, split));

        for (uint256 i = 0; i < size; ++i) {
            uint256 expected = 0;
            for (uint256 j = 0; j < size; ++j) {
                if (j != i) expected += rho[Agreement.place(i, j, size)] * uint256(caps[j]);
            }
            assertEq(w[i], expected);
        }
    }

    // --- inputs --------------------------------------------------------------------------------------------------

    function example(uint256 seed, uint256 size)
        private
        pure
        returns (uint96[] memory x, uint32[] memory rho)
    {
        x = new uint96[](size);
        for (uint256 i = 0; i < size; ++i) {
            x[i] = uint96(uint256(keccak256(abi.encode(seed, "x", i))));
        }
        rho = new uint32[](size * (size - 1) / 2);
        for (uint256 k = 0; k < rho.length; ++k) {
            rho[k] = uint32(uint256(keccak256(abi.encode(seed, "rho", k))) % (RHO_MAX + 1));
        }
    }

    function pack(uint32[] memory rho) private pure returns (bytes memory) {
        return pack(rho, 0, rho.length);
    }

    function pack(uint32[] memory rho, uint256 from, uint256 to) private pure returns (bytes memory packed) {
        for (uint256 k = from; k < to; ++k) {
            packed = abi.encodePacked(packed, rho[k]);
        }
    }

    function pack3(uint32 a, uint32 b, uint32 c) private pure returns (bytes memory) {
        return abi.encodePacked(a, b, c);
    }
}
