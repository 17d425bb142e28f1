// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {stdError} from "forge-std/StdError.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ScheduleMath} from "../src/ScheduleMath.sol";
import {Agreement} from "./support/Agreement.sol";

/// @title Makes the library's internal functions callable, with calldata and storage.
contract ScheduleMathHarness {
    ScheduleMath.Schedule private _schedule;

    function set(uint32[] calldata shares, int96[] calldata values) external {
        (_schedule.shares, _schedule.values) = (shares, values);
    }

    function valueAt(uint32 dataPpb) external view returns (int256) {
        return ScheduleMath.valueAt(_schedule, dataPpb);
    }

    function isSchedule(uint256[] calldata shares, int256[] calldata values) external pure returns (bool) {
        return ScheduleMath.isSchedule(shares, values);
    }

    function compensation(int256 rivals, int256 phiI, int256 phiJ, int256 constant_)
        external
        pure
        returns (int256)
    {
        return ScheduleMath.compensation(rivals, phiI, phiJ, constant_);
    }

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
    ) external pure returns (int256[] memory, uint256 largest) {
        largest = ScheduleMath.weigh(least, most, w, firstPair, constants);
        return (w, largest);
    }

    function bond(int256 worst) external pure returns (uint256) {
        return ScheduleMath.bond(worst);
    }

    function constantAt(bytes calldata constants, uint256 offset) external pure returns (int256) {
        return ScheduleMath.constantAt(constants, offset);
    }
}

/// @title Every function of ScheduleMath, by hand, at its limits and against the plain formula.
contract ScheduleMathTest is Test {
    int256 private constant MOST = (1 << 95) - 1;
    uint32 private constant ONE = 1e9;

    ScheduleMathHarness private math = new ScheduleMathHarness();

    // --- what is a schedule --------------------------------------------------------------------------------------

    function test_TwoBreakpointsAreTheLeast() public view {
        assertTrue(isSchedule([uint256(0), ONE, 0], [int256(-5), 5, 0], 2));
        assertFalse(isSchedule([uint256(0), ONE, 0], [int256(-5), 5, 0], 1));
        assertFalse(isSchedule([uint256(0), ONE, 0], [int256(-5), 5, 0], 0));
    }

    function test_ThirtyTwoBreakpointsAreTheMost() public view {
        assertTrue(math.isSchedule(ladder(32), new int256[](32)));
        assertFalse(math.isSchedule(ladder(33), new int256[](33)));
    }

    function test_SharesAscendFromZeroToOne() public view {
        int256[3] memory flat;
        assertTrue(isSchedule([uint256(0), 1, ONE], flat, 3));
        assertFalse(isSchedule([uint256(1), 2, ONE], flat, 3));
        assertFalse(isSchedule([uint256(0), 1, ONE - 1], flat, 3));
        assertFalse(isSchedule([uint256(0), 1, ONE + 1], flat, 3));
        assertFalse(isSchedule([uint256(0), 0, ONE], flat, 3));
        assertFalse(isSchedule([uint256(0), ONE, ONE], flat, 3));
        assertFalse(isSchedule([uint256(0), ONE + 1, ONE], flat, 3));
    }

    function test_ValuesDoNotFall() public view {
        uint256[3] memory shares = [uint256(0), 1, ONE];
        assertTrue(isSchedule(shares, [int256(-7), -7, 9], 3));
        assertFalse(isSchedule(shares, [int256(-7), -8, 9], 3));
        assertFalse(isSchedule(shares, [int256(-7), 9, 8], 3));
    }

    function test_ValuesStayBelow95Bits() public view {
        uint256[3] memory shares = [uint256(0), 1, ONE];
        assertTrue(isSchedule(shares, [-MOST, 0, MOST], 3));
        assertFalse(isSchedule(shares, [-MOST - 1, 0, MOST], 3));
        assertFalse(isSchedule(shares, [-MOST, 0, MOST + 1], 3));
        assertFalse(isSchedule(shares, [int256(type(int128).min), 0, 0], 3));
        assertFalse(isSchedule(shares, [int256(0), 0, type(int128).max], 3));
    }

    // --- the value at a share ------------------------------------------------------------------------------------

    function test_ValueByHand() public {
        set([uint32(0), 4, ONE], [int96(-10), 0, 999_999_996]);
        assertEq(math.valueAt(0), -10);
        assertEq(math.valueAt(1), -8); // -7.5, rounded down
        assertEq(math.valueAt(2), -5);
        assertEq(math.valueAt(3), -3); // -2.5, rounded down
        assertEq(math.valueAt(4), 0);
        assertEq(math.valueAt(5), 1);
        assertEq(math.valueAt(ONE - 1), 999_999_995);
        assertEq(math.valueAt(ONE), 999_999_996);
    }

    function test_ValueHoldsTheMaximaOfEveryWidth() public {
        set([uint32(0), 1, ONE], [int96(-MOST), int96(-MOST), int96(MOST)]);
        assertEq(math.valueAt(0), -MOST);
        assertEq(math.valueAt(1), -MOST);
        assertEq(math.valueAt(ONE), MOST);
        int256 step = int256(2 * uint256(MOST) * (ONE - 2) / (ONE - 1));
        assertEq(math.valueAt(ONE - 1), -MOST + step);
    }

    function testFuzz_ValueIsTheQuotientRoundedDown(uint256 seed, uint32 d) public {
        d = uint32(bound(d, 0, ONE));
        (uint32[] memory shares, int96[] memory values) = example(seed);
        math.set(shares, values);
        int256 value = math.valueAt(d);
        uint256 k = 0;
        while (k + 2 < shares.length && shares[k + 1] <= d) ++k;
        uint256 rise = uint256(int256(values[k + 1]) - values[k]);
        assertEq(value, values[k] + int256(Math.mulDiv(rise, d - shares[k], shares[k + 1] - shares[k])));
    }

    function testFuzz_ValueDoesNotFall(uint256 seed, uint32 a, uint32 b) public {
        (uint32[] memory shares, int96[] memory values) = example(seed);
        math.set(shares, values);
        a = uint32(bound(a, 0, ONE));
        b = uint32(bound(b, a, ONE));
        assertLe(math.valueAt(a), math.valueAt(b));
        assertGe(math.valueAt(a), values[0]);
        assertLe(math.valueAt(b), values[values.length - 1]);
    }

    function testFuzz_ValueAtABreakpointIsItsOwn(uint256 seed) public {
        (uint32[] memory shares, int96[] memory values) = example(seed);
        math.set(shares, values);
        for (uint256 k = 0; k < shares.length; ++k) {
            assertEq(math.valueAt(shares[k]), values[k]);
        }
    }

    // --- compensation --------------------------------------------------------------------------------------------

    function test_CompensationByHand() public view {
        assertEq(math.compensation(3, 10, 1, 0), 3);
        assertEq(math.compensation(3, 1, 10, 0), -3);
        assertEq(math.compensation(3, 1, 10, -5), -8);
        assertEq(math.compensation(1, 4, 4, 7), 7);
    }

    function test_CompensationTruncatesTowardZero() public view {
        assertEq(math.compensation(4, 7, 0, 0), 1); // 1.75
        assertEq(math.compensation(4, 0, 7, 0), -1);
        assertEq(math.compensation(4, 3, 0, 0), 0);
        assertEq(math.compensation(4, 0, 3, 0), 0);
    }

    function test_CompensationHoldsTheMaximaOfEveryWidth() public view {
        assertEq(math.compensation(1, MOST, -MOST, MOST), 3 * MOST);
        assertEq(math.compensation(1, -MOST, MOST, -MOST), -3 * MOST);
    }

    function testFuzz_CompensationIsAntisymmetric(uint16 rivals, int96 phiI, int96 phiJ, int96 k)
        public
        view
    {
        rivals = uint16(bound(rivals, 1, 1023));
        assertEq(
            math.compensation(int256(uint256(rivals)), phiI, phiJ, k),
            -math.compensation(int256(uint256(rivals)), phiJ, phiI, -int256(k))
        );
    }

    function testFuzz_CompensationGrowsWithTheOwnAndFallsWithTheOther(
        uint16 rivals,
        int96 low,
        int96 high,
        int96 other
    ) public view {
        int256 n = int256(bound(rivals, 1, 1023));
        if (low > high) (low, high) = (high, low);
        assertLe(math.compensation(n, low, other, 0), math.compensation(n, high, other, 0));
        assertGe(math.compensation(n, other, low, 0), math.compensation(n, other, high, 0));
    }

    // --- bond ----------------------------------------------------------------------------------------------------

    function test_BondIsWhatIsOwedInTheWorstCase() public view {
        assertEq(math.bond(-7), 7);
        assertEq(math.bond(0), 0);
        assertEq(math.bond(7), 0);
    }

    function testFuzz_BondCoversEveryProfile(uint256 seed, uint256 size) public view {
        size = bound(size, 2, 8);
        int256[] memory least = new int256[](size);
        int256[] memory most = new int256[](size);
        int256[] memory phi = new int256[](size);
        for (uint256 i = 0; i < size; ++i) {
            (least[i], most[i]) = (draw(seed, "a", i), draw(seed, "b", i));
            if (least[i] > most[i]) (least[i], most[i]) = (most[i], least[i]);
            phi[i] = bound(draw(seed, "c", i), least[i], most[i]);
        }
        bytes memory constants = drawn(seed, size * (size - 1) / 2);
        (int256[] memory w,) = math.weigh(least, most, new int256[](size), 0, constants);
        int256[] memory r = math.redistribute(phi, new int256[](size), 0, constants);
        for (uint256 i = 0; i < size; ++i) {
            assertGe(int256(math.bond(w[i])) + r[i], 0);
        }
    }

    // --- constantAt ----------------------------------------------------------------------------------------------

    function test_ConstantsAreBigEndianAndSigned() public view {
        bytes memory constants = abi.encodePacked(int128(1), int128(-1), type(int128).min, int128(258));
        assertEq(math.constantAt(constants, 0), 1);
        assertEq(math.constantAt(constants, 16), -1);
        assertEq(math.constantAt(constants, 32), type(int128).min);
        assertEq(math.constantAt(constants, 48), 258);
    }

    // --- redistribute and weigh ----------------------------------------------------------------------------------

    function test_RedistributeByHand() public view {
        // phi = 10, 3, 0; two rivals: (10 - 3) / 2 = 3, 10 / 2 = 5, 3 / 2 = 1
        int256[] memory phi = new int256[](3);
        (phi[0], phi[1]) = (10, 3);
        int256[] memory r =
            math.redistribute(phi, new int256[](3), 0, abi.encodePacked(int128(100), int128(-20), int128(7)));
        assertEq(r[0], 3 + 100 + 5 - 20);
        assertEq(r[1], -103 + 1 + 7);
        assertEq(r[2], 15 - 8);
    }

    function test_RedistributeStartsAtItsFirstPairAndAddsToWhatIsThere() public view {
        int256[] memory r = new int256[](3);
        (r[0], r[1], r[2]) = (50, -20, -30);
        r = math.redistribute(new int256[](3), r, 2, abi.encodePacked(int128(4)));
        assertEq(r[0], 50);
        assertEq(r[1], -16);
        assertEq(r[2], -34);
    }

    function test_RedistributeRevertsOnAPairThatDoesNotExist() public {
        vm.expectRevert(stdError.indexOOBError);
        math.redistribute(new int256[](3), new int256[](3), 0, new bytes(64));
    }

    function test_WeighByHand() public view {
        // least -10, -20; most 5, 3; one rival: -10 - 3 + 4 and -20 - 5 - 4
        int256[] memory least = new int256[](2);
        int256[] memory most = new int256[](2);
        (least[0], least[1], most[0], most[1]) = (-10, -20, 5, 3);
        (int256[] memory w, uint256 largest) =
            math.weigh(least, most, new int256[](2), 0, abi.encodePacked(int128(4)));
        assertEq(w[0], -9);
        assertEq(w[1], -29);
        assertEq(largest, 4);
    }

    function test_WeighFindsTheLargestMagnitudeWhereverItStands() public view {
        int256[] memory zero = new int256[](3);
        uint256 top = 1 << 127;
        (, uint256 largest) = math.weigh(
            zero, zero, new int256[](3), 0, abi.encodePacked(type(int128).min, int128(1), int128(2))
        );
        assertEq(largest, top);
        (, largest) =
            math.weigh(zero, zero, new int256[](3), 0, abi.encodePacked(int128(1), int128(-9), int128(2)));
        assertEq(largest, 9);
        (, largest) =
            math.weigh(zero, zero, new int256[](3), 0, abi.encodePacked(int128(1), int128(-9), int128(20)));
        assertEq(largest, 20);
    }

    function testFuzz_InBlocksEqualsTheDoubleLoopAndSumsToZero(uint256 seed, uint256 size, uint256 split)
        public
        view
    {
        size = bound(size, 2, 9);
        uint256 pairs = size * (size - 1) / 2;
        split = bound(split, 0, pairs - 1);
        int256[] memory phi = new int256[](size);
        int256[] memory most = new int256[](size);
        for (uint256 i = 0; i < size; ++i) {
            (phi[i], most[i]) = (draw(seed, "phi", i), draw(seed, "most", i));
        }
        bytes memory constants = drawn(seed, pairs);
        bytes memory first = part(constants, 0, split);
        bytes memory second = part(constants, split, pairs);

        // the last block first: the order must not matter
        int256[] memory r = math.redistribute(phi, new int256[](size), split, second);
        r = math.redistribute(phi, r, 0, first);
        (int256[] memory w,) = math.weigh(phi, most, new int256[](size), split, second);
        (w,) = math.weigh(phi, most, w, 0, first);

        int256 sum = 0;
        for (uint256 i = 0; i < size; ++i) {
            assertEq(r[i], naive(phi, phi, constants, i));
            assertEq(w[i], naive(phi, most, constants, i));
            sum += r[i];
        }
        assertEq(sum, 0);
    }

    /// @dev What i receives with its own value against the others'.
    function naive(int256[] memory own, int256[] memory others, bytes memory constants, uint256 i)
        private
        view
        returns (int256 sum)
    {
        for (uint256 j = 0; j < own.length; ++j) {
            if (j == i) continue;
            int256 k = math.constantAt(constants, 16 * Agreement.place(i, j, own.length));
            sum += (own[i] - others[j]) / int256(own.length - 1) + (j < i ? -k : k);
        }
    }

    function testFuzz_WeighFindsTheLargestMagnitude(int128[6] memory k) public view {
        int256[] memory zero = new int256[](4);
        (, uint256 largest) =
            math.weigh(zero, zero, new int256[](4), 0, abi.encodePacked(k[0], k[1], k[2], k[3], k[4], k[5]));
        uint256 expected = 0;
        for (uint256 n = 0; n < 6; ++n) {
            uint256 magnitude = uint256(k[n] < 0 ? -int256(k[n]) : int256(k[n]));
            if (magnitude > expected) expected = magnitude;
        }
        assertEq(largest, expected);
    }

    // --- inputs --------------------------------------------------------------------------------------------------

    function isSchedule(uint256[3] memory shares, int256[3] memory values, uint256 count)
        private
        view
        returns (bool)
    {
        uint256[] memory s = new uint256[](count);
        int256[] memory v = new int256[](count);
        for (uint256 k = 0; k < count; ++k) {
            (s[k], v[k]) = (shares[k], values[k]);
        }
        return math.isSchedule(s, v);
    }

    function ladder(uint256 count) private pure returns (uint256[] memory shares) {
        shares = new uint256[](count);
        for (uint256 k = 0; k < count; ++k) {
            shares[k] = k == count - 1 ? ONE : k;
        }
    }

    function set(uint32[3] memory shares, int96[3] memory values) private {
        uint32[] memory s = new uint32[](3);
        int96[] memory v = new int96[](3);
        for (uint256 k = 0; k < 3; ++k) {
            (s[k], v[k]) = (shares[k], values[k]);
        }
        math.set(s, v);
    }

    /// @dev A schedule of 2 to 32 breakpoints.
    function example(uint256 seed) private pure returns (uint32[] memory shares, int96[] memory values) {
        uint256 count = 2 + seed % 31;
        shares = new uint32[](count);
        values = new int96[](count);
        uint256 share = 0;
        int256 value = draw(seed, "first", 0);
        for (uint256 k = 0; k < count; ++k) {
            (shares[k], values[k]) = (uint32(share), int96(value));
            uint256 random = uint256(keccak256(abi.encode(seed, k)));
            if (k + 2 < count) share += 1 + random % ((ONE - share) / (count - k));
            else share = ONE;
            value += int256((random >> 64) % uint256(MOST - value + 1))
            / (random % 4 == 0 ? int256(1) : int256(9));
        }
    }

    function draw(uint256 seed, string memory what, uint256 i) private pure returns (int256) {
        return int256(uint256(keccak256(abi.encode(seed, what, i))) % uint256(2 * MOST + 1)) - MOST;
    }

    function drawn(uint256 seed, uint256 pairs) private pure returns (bytes memory packed) {
        for (uint256 k = 0; k < pairs; ++k) {
            packed = abi.encodePacked(packed, int128(draw(seed, "k", k)));
        }
    }

    function part(bytes memory packed, uint256 from, uint256 to) private pure returns (bytes memory some) {
        some = new bytes(16 * (to - from));
        for (uint256 n = 0; n < some.length; ++n) {
            some[n] = packed[16 * from + n];
        }
    }
}
