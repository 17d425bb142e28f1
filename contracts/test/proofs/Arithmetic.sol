// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TradeMath} from "../../src/TradeMath.sol";

/// Proofs about one payment and about the bond, for every value of every argument. `tools/smtcheck.mjs` hands them
/// to the compiler's SMTChecker: it knows multiplication and division of whole numbers, at which halmos, which
/// counts in bits, gives up. How the payments are added up is what halmos proves (ZeroSum.t.sol, Bond.t.sol).
///
/// The products below are checked arithmetic, and the SMTChecker proves that none of them overflows. So the unchecked
/// arithmetic in TradeMath does not either: both give the same.
contract Arithmetic {
    /// The receiver's side: what it gets is the exact quotient, truncated.
    function receives(uint128 gamma, uint32 rho, uint96 xI, uint96 xJ) external pure {
        require(xI >= xJ);
        int256 t = TradeMath.compensation(gamma, rho, xI, xJ);
        assert(t == int256(uint256(gamma) * rho * (xI - xJ) / TradeMath.SCALE));
        assert(t >= 0 && t < 2 ** 137);
    }

    /// The payer's side: the same, with the other sign. Together: equal contributions, no payment.
    function pays(uint128 gamma, uint32 rho, uint96 xI, uint96 xJ) external pure {
        require(xI <= xJ);
        int256 t = TradeMath.compensation(gamma, rho, xI, xJ);
        assert(-t == int256(uint256(gamma) * rho * (xJ - xI) / TradeMath.SCALE));
        assert(t <= 0 && t > -2 ** 137);
    }

    function antisymmetric(uint128 gamma, uint32 rho, uint96 xI, uint96 xJ) external pure {
        assert(TradeMath.compensation(gamma, rho, xI, xJ) == -TradeMath.compensation(gamma, rho, xJ, xI));
    }

    /// An organization with one rival never owes more than its bond: the quotient, rounded up. That TradeMath.bond is
    /// this quotient for every width is what a fuzz test compares with a 512-bit division (TradeMath.t.sol).
    function bondCoversOne(uint128 gamma, uint32 rho, uint96 xI, uint96 xJ, uint96 cap) external pure {
        require(xJ <= cap);
        uint256 bond = (uint256(gamma) * rho * cap + TradeMath.SCALE - 1) / TradeMath.SCALE;
        assert(TradeMath.compensation(gamma, rho, xI, xJ) >= -int256(bond));
    }

    /// With two rivals. rho is at most one here, because the contract requires it.
    function bondCoversTwo(
        uint128 gamma,
        uint32 rho0,
        uint32 rho1,
        uint96 xI,
        uint96 x0,
        uint96 x1,
        uint96 cap0,
        uint96 cap1
    ) external pure {
        require(rho0 <= TradeMath.PPB && rho1 <= TradeMath.PPB && x0 <= cap0 && x1 <= cap1);
        int256 t0 = TradeMath.compensation(gamma, rho0, xI, x0);
        int256 t1 = TradeMath.compensation(gamma, rho1, xI, x1);
        // Steps for the solver: each is proven before it is used.
        assert(-t0 * int256(TradeMath.SCALE) <= int256(uint256(gamma) * rho0 * cap0));
        assert(-t1 * int256(TradeMath.SCALE) <= int256(uint256(gamma) * rho1 * cap1));
        uint256 most = gamma * (uint256(rho0) * cap0 + uint256(rho1) * cap1);
        assert(most == uint256(gamma) * rho0 * cap0 + uint256(gamma) * rho1 * cap1);
        uint256 bond = (most + TradeMath.SCALE - 1) / TradeMath.SCALE;
        assert(t0 + t1 >= -int256(bond));
    }
}
