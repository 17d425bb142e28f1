// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ScheduleMath} from "../../src/ScheduleMath.sol";
import {TradeMath} from "../../src/TradeMath.sol";

/// Proofs about one payment of the efficient rule, about a schedule's value and about the bond, for every value of
/// every argument: the counterpart of Arithmetic.sol, and run in the same way.
contract EfficientArithmetic {
    function antisymmetric(uint16 rivals, int96 phiI, int96 phiJ, int96 k) external pure {
        require(rivals >= 1);
        int256 n = int256(uint256(rivals));
        assert(
            ScheduleMath.compensation(n, phiI, phiJ, k)
                == -ScheduleMath.compensation(n, phiJ, phiI, -int256(k))
        );
    }

    function bounded(uint16 rivals, int96 phiI, int96 phiJ, int96 k) external pure {
        require(rivals >= 1);
        int256 t = ScheduleMath.compensation(int256(uint256(rivals)), phiI, phiJ, k);
        assert(t < 2 ** 97 && t > -(2 ** 97));
    }

    /// A payment grows with the own value, rounded as it is.
    function growsWithTheOwn(uint16 rivals, int96 low, int96 high, int96 phiJ, int96 k) external pure {
        require(rivals >= 1 && low <= high);
        int256 n = int256(uint256(rivals));
        assert(ScheduleMath.compensation(n, low, phiJ, k) <= ScheduleMath.compensation(n, high, phiJ, k));
    }

    /// And falls with the other's.
    function fallsWithTheOther(uint16 rivals, int96 phiI, int96 low, int96 high, int96 k) external pure {
        require(rivals >= 1 && low <= high);
        int256 n = int256(uint256(rivals));
        assert(ScheduleMath.compensation(n, phiI, high, k) <= ScheduleMath.compensation(n, phiI, low, k));
    }

    /// An organization with one rival never owes more than its bond: at its least against the rival's most.
    function bondCoversOne(int96 least, int96 phiI, int96 phiJ, int96 most, int96 k) external pure {
        require(least <= phiI && phiJ <= most);
        int256 worst = ScheduleMath.compensation(1, least, most, k);
        int256 t = ScheduleMath.compensation(1, phiI, phiJ, k);
        assert(t >= worst);
        assert(t + int256(ScheduleMath.bond(worst)) >= 0);
    }

    /// With two rivals.
    function bondCoversTwo(
        int96 least,
        int96 phiI,
        int96 phi0,
        int96 most0,
        int96 phi1,
        int96 most1,
        int96 k0,
        int96 k1
    ) external pure {
        require(least <= phiI && phi0 <= most0 && phi1 <= most1);
        int256 t0 = ScheduleMath.compensation(2, phiI, phi0, k0);
        int256 t1 = ScheduleMath.compensation(2, phiI, phi1, k1);
        int256 worst0 = ScheduleMath.compensation(2, least, most0, k0);
        int256 worst1 = ScheduleMath.compensation(2, least, most1, k1);
        // Steps for the solver: each is proven before it is used.
        assert(t0 >= worst0);
        assert(t1 >= worst1);
        assert(t0 + t1 + int256(ScheduleMath.bond(worst0 + worst1)) >= 0);
    }

    /// A schedule's value lies between its neighbours' and at a breakpoint is its own; nothing overflows.
    function interpolates(uint32 left, uint32 right, int96 low, int96 high, uint32 d) external pure {
        require(left <= d && d <= right && left < right && right <= TradeMath.PPB && low <= high);
        uint256 width = uint256(right) - left;
        uint256 rise = uint256(int256(high) - low);
        uint256 product = rise * (uint256(d) - left);
        // Steps for the solver.
        assert(product <= rise * width);
        assert(product / width <= rise);
        int256 value = ScheduleMath.interpolate(left, right, low, high, d);
        assert(value >= low && value <= high);
        if (d == left) assert(value == low);
        if (d == right) assert(value == high);
    }
}
