// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ITradeFL} from "../src/ITradeFL.sol";
import {Linear} from "./support/Linear.sol";

/// @title What is particular to the linear rule; the life of a settlement is Settlement.t.sol.
contract TradeFLTest is Linear {
    function test_CapsAndScoresByHand() public {
        organizations[2].levels = [uint64(7)];
        toOpen();
        // all its data, and 0.1 bit/Hz at its fastest level, 7 Hz
        assertEq(settlement.organization(2).cap, 1.02e18 + 0.7e9);
        assertEq(settlement.organization(1).score, 0);
        submit(1, 0.25e9, 2e9, "");
        // 0.25 of 1.01e9 bits, and 0.1 bit/Hz at 2 GHz
        assertEq(settlement.organization(1).score, 0.25 * 1.01e18 + 0.2e18);
    }

    function test_ACapOf96BitsIsRefused() public {
        (agreed.lambdaPpb, organizations[1].dataBits) = ((1 << 48) - 1, 1);
        organizations[1].levels = [uint64((1 << 48) + 1)]; // 2^96 - 1, and 1e9 for the data
        uint256 cap = (1 << 96) - 1 + 1e9;
        draft();
        bytes memory list = organizationBlocks()[0];
        vm.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 96, cap));
        settlement.organizationsPublish(0, list);
    }

    function test_RhoIsAtMostOne() public {
        rho[5] = 1e9;
        toListed();
        settlement.pairsPublish(0, pairBlocks()[0]);

        rho[5] = 1e9 + 1;
        toListed();
        bytes memory matrix = pairBlocks()[0];
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TermOutOfRange.selector, "rho", 1e9 + 1));
        settlement.pairsPublish(0, matrix);
    }

    /// @dev 1 wei per bit, 1 bit per Hz; 1,000 bits each; X = 1,010, 520, and 0 bits of the silent one.
    function prepareByHand() private {
        prepare(3);
        (agreed.gamma, agreed.lambdaPpb) = (1e18, 1e9);
        for (uint256 i = 0; i < 3; ++i) {
            organizations[i].dataBits = 1000;
            organizations[i].levels = [uint64(10), 20];
        }
        rho = [uint32(0.5e9), 1e9, 0.1e9];
        reports[0] = Report(1e9, 10);
        reports[1] = Report(0.5e9, 20);
        reports[2] = Report(0, 0);
    }

    function test_BondsByHand() public {
        prepareByHand();
        toJoining();
        // each could put in 1,020 bits
        assertEq(settlement.organization(0).bond, 510 + 1020);
        assertEq(settlement.organization(1).bond, 510 + 102);
        assertEq(settlement.organization(2).bond, 1020 + 102);
    }

    function test_RedistributionsByHand() public {
        prepareByHand();
        toCalculated();
        // t_01 = 0.5 (1,010 - 520), t_02 = 1,010, t_12 = 0.1 520
        assertEq(settlement.organization(0).redistribution, 245 + 1010);
        assertEq(settlement.organization(1).redistribution, -245 + 52);
        assertEq(settlement.organization(2).redistribution, -1010 - 52);
    }

    function test_CreditsByHand() public {
        prepareByHand();
        toCalculated();
        uint256[3] memory deposits = [uint256(1530), 612, 1122];
        int256[3] memory r = [int256(1255), -193, -1062];
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(settlement.creditOf(account(i)), 0);
            vm.expectEmit(address(settlement));
            emit ITradeFL.PayoffTransferred(
                account(i), deposits[i], r[i], 0, uint256(int256(deposits[i]) + r[i])
            );
        }
        vm.expectEmit(address(settlement));
        emit ITradeFL.SettlementCompleted();
        settlement.payoffTransfer();

        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Settled));
        assertEq(settlement.creditOf(account(0)), 2785);
        assertEq(settlement.creditOf(account(1)), 419);
        assertEq(settlement.creditOf(account(2)), 60);
    }

    function test_WithdrawalsByHand() public {
        prepareByHand();
        toSettled();
        vm.expectEmit(address(settlement));
        emit ITradeFL.Withdrawn(account(2), account(2), 60);
        withdraw(2);
        assertEq(account(2).balance, 60);
        assertTrue(settlement.organization(2).withdrawn);
        assertEq(settlement.creditOf(account(2)), 0);
        assertFalse(settlement.organization(0).withdrawn);

        withdraw(0);
        withdraw(1);
        assertEq(account(0).balance, 2785);
        assertEq(account(1).balance, 419);
        assertEq(address(vault).balance, 0);
    }

    function testFuzz_EveryAgreementSettlesToTheWei(uint128 gamma, uint256 seed) public {
        prepare(2 + seed % 5);
        agreed.gamma = uint128(bound(gamma, 0, 1e33));
        for (uint256 i = 0; i < agreed.size; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            organizations[i].dataBits = uint64(random % 1e12) + 1;
            reports[i].dataPpb = uint32(bound(random >> 64, 1e7, 1e9));
            reports[i].cpuHz = organizations[i].levels[(random >> 128) % 3];
            if (random >> 160 & 3 == 0) (reports[i].dataPpb, reports[i].cpuHz) = (0, 0);
        }
        for (uint256 k = 0; k < rho.length; ++k) {
            rho[k] = uint32(uint256(keccak256(abi.encode(seed, "rho", k))) % (1e9 + 1));
        }
        uint256[] memory bonds = expectedBonds();

        toSettled();

        int256[] memory r = expectedRedistributions();
        for (uint256 i = 0; i < agreed.size; ++i) {
            withdraw(i);
            assertEq(int256(account(i).balance), int256(bonds[i]) + r[i]);
        }
        assertEq(address(vault).balance, 0);
    }

    function toListed() private {
        draft();
        settlement.organizationsPublish(0, organizationBlocks()[0]);
    }
}
