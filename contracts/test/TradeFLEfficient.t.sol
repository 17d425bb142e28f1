// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITradeFL} from "../src/ITradeFL.sol";
import {ITradeFLEfficient} from "../src/ITradeFLEfficient.sol";
import {Settlement} from "../src/Settlement.sol";
import {TradeFLEfficient} from "../src/TradeFLEfficient.sol";
import {Agreement} from "./support/Agreement.sol";
import {Efficient} from "./support/Efficient.sol";

/// @title What is particular to the efficient rule; the life of a settlement is Settlement.t.sol.
contract TradeFLEfficientTest is Efficient {
    function test_GammaAndLambdaAreZero() public {
        agreed.gamma = 1;
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TermOutOfRange.selector, "gamma", 1));
        this.draftAnew();
        (agreed.gamma, agreed.lambdaPpb) = (0, 1);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TermOutOfRange.selector, "lambdaPpb", 1));
        this.draftAnew();
        agreed.lambdaPpb = 0;
        this.draftAnew();
    }

    function draftAnew() external {
        new TradeFLEfficient(
            address(vault), agreed, Agreement.hashes(organizationBlocks()), Agreement.hashes(pairBlocks())
        );
    }

    /// @dev The same terms and the same hashes of blocks, as far as the linear rule could have them.
    function test_TheRuleIsPartOfTheHash() public {
        agreed.size = 2;
        bytes32[] memory one = new bytes32[](1);
        Settlement here = new TradeFLEfficient(address(vault), agreed, one, one);
        Settlement there =
            Settlement(vm.deployCode("TradeFL.sol:TradeFL", abi.encode(vault, agreed, one, one)));
        assertEq(abi.encode(here.terms()), abi.encode(there.terms()));
        assertEq(there.agreementHash(), keccak256(abi.encode(agreed, one, one)));
        assertEq(here.agreementHash(), keccak256(abi.encode(bytes32("efficient"), agreed, one, one)));
        assertNotEq(here.agreementHash(), there.agreementHash());
    }

    function test_SchedulesAreListed() public {
        draft();
        for (uint256 i = 0; i < 4; ++i) {
            (uint32[] memory shares, int96[] memory values) = columns(i);
            vm.expectEmit(address(settlement));
            emit ITradeFLEfficient.ScheduleListed(i, shares, values);
        }
        settlement.organizationsPublish(0, organizationBlocks()[0]);
        for (uint256 i = 0; i < 4; ++i) {
            (uint32[] memory shares, int96[] memory values) = efficient().schedule(i);
            (uint32[] memory shares_, int96[] memory values_) = columns(i);
            assertEq(abi.encode(shares, values), abi.encode(shares_, values_));
        }
        (uint32[] memory none,) = efficient().schedule(4);
        assertEq(none.length, 0);
    }

    function test_ThirtyTwoBreakpointsAreTheMost() public {
        ladder(1, 32);
        draft();
        settlement.organizationsPublish(0, organizationBlocks()[0]);
        (uint32[] memory shares, int96[] memory values) = efficient().schedule(1);
        assertEq(shares.length, 32);
        assertEq(values[31], 31);
        ladder(1, 33);
        refuse(1);
    }

    function test_OneBreakpointIsNoSchedule() public {
        schedules[2].pop();
        while (schedules[2].length > 1) schedules[2].pop();
        refuse(2);
        schedules[2].pop();
        refuse(2);
    }

    function test_SharesFromZeroToOneOnly() public {
        schedules[0][0].share = 1;
        refuse(0);
        schedules[0][0].share = 0;
        schedules[3][schedules[3].length - 1].share = 1e9 - 1;
        refuse(3);
        schedules[3][schedules[3].length - 1].share = 1e9 + 1;
        refuse(3);
    }

    function test_FallingValuesAreNoSchedule() public {
        schedules[3][1].value = schedules[3][0].value - 1;
        refuse(3);
    }

    function test_ValuesOf95BitsAreTheMost() public {
        int128 most = int128((1 << 95) - 1);
        setLine(0, -most, most);
        draft();
        settlement.organizationsPublish(0, organizationBlocks()[0]);
        assertEq(settlement.organization(0).cap, most);
        assertEq(settlement.organization(0).score, -most);
        setLine(0, -most - 1, most);
        refuse(0);
        setLine(0, -most, most + 1);
        refuse(0);
        setLine(0, type(int128).min, 0);
        refuse(0);
    }

    function test_ConstantsOf95BitsAreTheMost() public {
        int128 most = int128((1 << 95) - 1);
        for (uint256 k = 0; k < 6; ++k) {
            for (uint256 sign = 0; sign < 2; ++sign) {
                prepare(4);
                constants[k] = sign == 0 ? most : -most;
                toJoining();
                assertEq(uint256(settlement.phase()), uint256(ITradeFL.Phase.Joining));

                delete settlement;
                constants[k] = sign == 0 ? most + 1 : -most - 1;
                draft();
                settlement.organizationsPublish(0, organizationBlocks()[0]);
                bytes memory block_ = pairBlocks()[0];
                vm.expectRevert(abi.encodeWithSelector(ITradeFL.TermOutOfRange.selector, "constant", 1 << 95));
                settlement.pairsPublish(0, block_);
            }
        }
    }

    // --- by hand -------------------------------------------------------------------------------------------------

    /// @dev phi from -100 over 0 at 0.5 to 50, from -60 to 0, and from -9 to 3. Constants 7, -2, 4.
    function prepareByHand() private {
        prepare(3);
        delete schedules[0];
        schedules[0].push(Breakpoint(0, -100));
        schedules[0].push(Breakpoint(0.5e9, 0));
        schedules[0].push(Breakpoint(1e9, 50));
        setLine(1, -60, 0);
        setLine(2, -9, 3);
        (constants[0], constants[1], constants[2]) = (7, -2, 4);
        reports[0] = Report(0.75e9, 1e9); // 25
        reports[1] = Report(0.5e9, 2e9); // -30
        reports[2] = Report(0, 0); // silent: -9
    }

    function test_ScoresByHand() public {
        prepareByHand();
        toRecorded();
        assertEq(settlement.organization(0).score, 25);
        assertEq(settlement.organization(1).score, -30);
        assertEq(settlement.organization(2).score, -9);
    }

    function test_BondsByHand() public {
        prepareByHand();
        toJoining();
        // (-100 - 0) / 2 + 7, (-100 - 3) / 2 - 2
        assertEq(settlement.organization(0).bond, 43 + 53);
        // (-60 - 50) / 2 - 7, (-60 - 3) / 2 + 4
        assertEq(settlement.organization(1).bond, 62 + 27);
        // (-9 - 50) / 2 + 2, (-9 - 0) / 2 - 4
        assertEq(settlement.organization(2).bond, 27 + 8);
    }

    function test_RedistributionsByHand() public {
        prepareByHand();
        toCalculated();
        // t_01 = 55 / 2 + 7, t_02 = 34 / 2 - 2, t_12 = -21 / 2 + 4
        assertEq(settlement.organization(0).redistribution, 34 + 15);
        assertEq(settlement.organization(1).redistribution, -34 - 6);
        assertEq(settlement.organization(2).redistribution, -15 + 6);
    }

    function test_AtTheAgreedProfileTheConstantsAreAllThatIsPaid() public {
        prepareByHand();
        reports[0] = Report(0.5e9, 3e9);
        reports[1] = Report(1e9, 1e9);
        reports[2] = Report(0.75e9, 1e9);
        toSettled();
        assertEq(settlement.organization(0).redistribution, 7 - 2);
        assertEq(settlement.organization(1).redistribution, -7 + 4);
        assertEq(settlement.organization(2).redistribution, 2 - 4);
    }

    function test_TheFrequencyDoesNotCount() public {
        prepareByHand();
        toOpen();
        uint256 snapshot = vm.snapshotState();
        report(0);
        int128 slow = settlement.organization(0).score;
        vm.revertToState(snapshot);
        reports[0].cpuHz = 3e9;
        report(0);
        assertEq(settlement.organization(0).score, slow);
    }

    // --- inputs --------------------------------------------------------------------------------------------------

    function columns(uint256 i) private view returns (uint32[] memory shares, int96[] memory values) {
        shares = new uint32[](schedules[i].length);
        values = new int96[](schedules[i].length);
        for (uint256 k = 0; k < shares.length; ++k) {
            (shares[k], values[k]) = (schedules[i][k].share, int96(schedules[i][k].value));
        }
    }

    function setLine(uint256 i, int128 least, int128 most) private {
        delete schedules[i];
        schedules[i].push(Breakpoint(0, least));
        schedules[i].push(Breakpoint(1e9, most));
    }

    function ladder(uint256 i, uint256 count) private {
        delete schedules[i];
        for (uint256 k = 0; k < count; ++k) {
            schedules[i].push(Breakpoint(k == count - 1 ? 1e9 : uint32(k), int128(int256(k))));
        }
    }

    function refuse(uint256 index) private {
        draft();
        bytes memory list = organizationBlocks()[0];
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.MalformedOrganization.selector, index));
        settlement.organizationsPublish(0, list);
    }
}
