// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ITradeFL} from "../src/ITradeFL.sol";
import {Agreement} from "./support/Agreement.sol";
import {Efficient} from "./support/Efficient.sol";
import {Linear} from "./support/Linear.sol";
import {SettlementTest} from "./support/SettlementTest.sol";

/// @title The constructor: what it takes, what it refuses, what it emits.
abstract contract DraftingTests is SettlementTest {
    function test_DraftingEmitsTheAgreementAndItsHash() public {
        bytes32[] memory list = Agreement.hashes(organizationBlocks());
        bytes32[] memory matrix = Agreement.hashes(pairBlocks());
        bytes32 hash = agreementHash();

        vm.expectEmit(vm.computeCreateAddress(address(this), vm.getNonce(address(this))));
        emit ITradeFL.AgreementDrafted(hash, agreed, list, matrix);
        settlement = deploy(agreed, list, matrix);

        assertEq(settlement.agreementHash(), hash);
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Drafting));
    }

    function test_TheHashCoversEveryTermAndEveryBlock() public {
        bytes32 hash = agreementHash();

        agreed.weiPerPayoff += 1;
        assertNotEq(agreementHash(), hash);
        agreed.weiPerPayoff -= 1;
        disturbPair(0);
        assertNotEq(agreementHash(), hash);
        disturbPair(0);
        organizations[0].dataBits += 1;
        assertNotEq(agreementHash(), hash);
        draft();

        assertEq(settlement.agreementHash(), agreementHash());
    }

    function test_TermsComeBackAsTheyWereGiven() public {
        (agreed.verifier, agreed.arbiter) = (verifier, arbiter);
        draft();
        assertEq(abi.encode(settlement.terms()), abi.encode(agreed));
    }

    function test_SizeIsBetweenTwoAnd1024() public {
        refuse("size", 0);
        refuse("size", 1);
        refuse("size", 1025);
        accept(2);
        accept(1024);
    }

    function test_MinDataIsBetweenOnePpbAndOne() public {
        agreed.minDataPpb = 0;
        refuse("minDataPpb", 0);
        agreed.minDataPpb = 1e9 + 1;
        refuse("minDataPpb", 1e9 + 1);
        agreed.minDataPpb = 1;
        draft();
        agreed.minDataPpb = 1e9;
        draft();
    }

    function test_WeiPerPayoffIsNotZero() public {
        agreed.weiPerPayoff = 0;
        refuse("weiPerPayoff", 0);
        agreed.weiPerPayoff = type(uint128).max;
        draft();
    }

    function test_JoinSecondsAreNotZero() public {
        agreed.joinSeconds = 0;
        refuse("joinSeconds", 0);
        agreed.joinSeconds = type(uint32).max;
        draft();
        (uint256 join,,,) = settlement.deadlines();
        assertEq(join, START + type(uint32).max);
    }

    function test_ReportSecondsAreNotZero() public {
        agreed.reportSeconds = 0;
        refuse("reportSeconds", 0);
        agreed.reportSeconds = 1;
        draft();
    }

    function test_DisputeAndRulingSecondsAreAtLeastOne() public {
        agreed.disputeSeconds = 0;
        refuse("disputeSeconds", 0);
        (agreed.disputeSeconds, agreed.rulingSeconds) = (1, 0);
        refuse("rulingSeconds", 0);
        agreed.rulingSeconds = 1;
        draft();
    }

    function test_TheNumberOfBlocksFollowsFromTheSize() public {
        uint16 full = uint16(organizationsPerBlock());
        refuseBlocks(full, 0, 1, "organizationBlocks", 0);
        refuseBlocks(full, 2, 1, "organizationBlocks", 2);
        refuseBlocks(full + 1, 1, 1, "organizationBlocks", 1);
        accept(full);
        accept(full + 1);
        uint16 size = uint16(twoBlocks()) - 1; // the most in one block
        refuseBlocks(size, blocksOf(size), 0, "pairBlocks", 0);
        refuseBlocks(size, blocksOf(size), 2, "pairBlocks", 2);
        refuseBlocks(size + 1, blocksOf(size + 1), 1, "pairBlocks", 1);
        accept(size);
        accept(size + 1);
    }

    /// @dev With exactly as many blocks as it takes.
    function accept(uint16 size) private {
        agreed.size = size;
        uint256 pairs = uint256(size) * (size - 1) / 2;
        uint256 blocks = (pairs + pairsPerBlock() - 1) / pairsPerBlock();
        deploy(agreed, new bytes32[](blocksOf(size)), new bytes32[](blocks));
    }

    function blocksOf(uint16 size) private pure returns (uint256) {
        return (size + organizationsPerBlock() - 1) / organizationsPerBlock();
    }

    function refuse(string memory term, uint256 value) private {
        if (keccak256(bytes(term)) == keccak256("size")) agreed.size = uint16(value);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TermOutOfRange.selector, term, value));
        deploy(agreed, new bytes32[](1), new bytes32[](1));
    }

    function refuseBlocks(uint16 size, uint256 list, uint256 matrix, string memory term, uint256 value)
        private
    {
        agreed.size = size;
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TermOutOfRange.selector, term, value));
        deploy(agreed, new bytes32[](list), new bytes32[](matrix));
    }
}

/// @title Publishing: the annex, the list of organizations, the competition matrix.
abstract contract PublishingTests is SettlementTest {
    function test_TheAnnexIsPublishedOnce() public {
        draft();
        vm.expectEmit(address(settlement));
        emit ITradeFL.AnnexPublished(annex);
        settlement.annexPublish(annex);

        (bool annexIsPublished,,,,,,) = settlement.progress();
        assertTrue(annexIsPublished);
        vm.expectRevert(ITradeFL.AlreadyPublished.selector);
        settlement.annexPublish(annex);
    }

    function test_AnotherAnnexIsRefused() public {
        draft();
        expectHashMismatch(keccak256(annex), keccak256("another"));
        settlement.annexPublish("another");
    }

    function test_AnEmptyAnnexIsPublishedAsAnyOther() public {
        (annex, agreed.annexHash) = ("", keccak256(""));
        toJoining();
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Joining));
    }

    function test_EveryOrganizationIsListed() public {
        organizations[2].levels = [uint64(7)];
        draft();
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectEmit(address(settlement));
            emit ITradeFL.OrganizationListed(
                i, account(i), organizations[i].dataBits, organizations[i].levels
            );
        }
        settlement.organizationsPublish(0, organizationBlocks()[0]);

        (, uint256 listed,,,,,) = settlement.progress();
        assertEq(listed, 4);
        for (uint256 i = 0; i < 4; ++i) {
            ITradeFL.Account memory one = settlement.organization(i);
            assertEq(one.account, account(i));
            assertEq(one.dataBits, organizations[i].dataBits);
            assertEq(one.levels.length, organizations[i].levels.length);
            assertEq(settlement.indexOf(account(i)), i);
        }
        assertEq(settlement.organization(1).levels[0], 1e9);
        assertEq(settlement.organization(1).levels[2], 3e9);
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(settlement.organization(i).cap, expectedCap(i));
            assertEq(settlement.organization(i).score, expectedScore(i, Report(0, 0)));
        }
    }

    function test_AListOtherThanTheAgreedOneIsRefused() public {
        draft();
        bytes memory other = organizationBlocks()[0];
        other[0] = ~other[0];
        expectHashMismatch(keccak256(organizationBlocks()[0]), keccak256(other));
        settlement.organizationsPublish(0, other);
    }

    function test_AListBlockBeyondTheListIsRefused() public {
        draft();
        bytes memory list = organizationBlocks()[0];
        expectUnexpectedBlock(1);
        settlement.organizationsPublish(1, list);
        settlement.organizationsPublish(0, list);
        expectUnexpectedBlock(0);
        settlement.organizationsPublish(0, list);
        expectUnexpectedBlock(1);
        settlement.organizationsPublish(1, list);
    }

    function test_TwoListBlocksComeInOrder() public {
        uint256 full = organizationsPerBlock();
        prepare(full + 5);
        draft();
        bytes[] memory list = organizationBlocks();
        expectUnexpectedBlock(1);
        settlement.organizationsPublish(1, list[1]);
        settlement.organizationsPublish(0, list[0]);
        (, uint256 listed,,,,,) = settlement.progress();
        assertEq(listed, full);
        expectUnexpectedBlock(0);
        settlement.organizationsPublish(0, list[0]);
        settlement.organizationsPublish(1, list[1]);

        (, listed,,,,,) = settlement.progress();
        assertEq(listed, full + 5);
        assertEq(settlement.indexOf(account(full - 1)), full - 1);
        assertEq(settlement.indexOf(account(full)), full);
        assertEq(settlement.indexOf(account(full + 4)), full + 4);
        assertEq(settlement.organization(full + 5).account, address(0));
    }

    function test_AFullBlockEndsAListOfAsMany() public {
        uint256 full = organizationsPerBlock();
        prepare(full);
        toJoining();
        assertEq(settlement.indexOf(account(full - 1)), full - 1);
    }

    function test_AnAccountOfAnotherBlockIsNotListedTwice() public {
        uint256 full = organizationsPerBlock();
        prepare(full + 5);
        organizations[full + 3].account = account(3);
        draft();
        bytes[] memory list = organizationBlocks();
        settlement.organizationsPublish(0, list[0]);
        expectMalformedOrganization(full + 3);
        settlement.organizationsPublish(1, list[1]);
    }

    function test_AZeroAccountIsMalformed() public {
        organizations[3].account = address(0);
        refuseOrganization(3);
    }

    function test_ARepeatedAccountIsMalformed() public {
        organizations[2].account = account(0);
        refuseOrganization(2);
    }

    function test_NoDataIsMalformed() public {
        organizations[1].dataBits = 0;
        refuseOrganization(1);
    }

    function test_NoLevelIsMalformed() public {
        delete organizations[0].levels;
        refuseOrganization(0);
    }

    function test_ALevelOfZeroIsMalformed() public {
        organizations[0].levels = [uint64(0), 1];
        refuseOrganization(0);
    }

    function test_ARepeatedLevelIsMalformed() public {
        organizations[0].levels = [uint64(1), 5, 5];
        refuseOrganization(0);
    }

    function test_DescendingLevelsAreMalformed() public {
        organizations[0].levels = [uint64(5), 4];
        refuseOrganization(0);
    }

    function test_ThirtyTwoLevelsAreTheMost() public {
        delete organizations[1].levels;
        for (uint64 k = 1; k <= 32; ++k) {
            organizations[1].levels.push(k);
        }
        draft();
        settlement.organizationsPublish(0, organizationBlocks()[0]);
        assertEq(settlement.organization(1).levels.length, 32);

        organizations[1].levels.push(33);
        refuseOrganization(1);
    }

    function test_ATruncatedListIsMalformed() public {
        bytes memory list = organizationBlocks()[0];
        uint256 last = list.length - 29 - 24 - ruleEntry(3).length; // where the last entry starts
        refuseListOf(truncated(list, last));
        refuseListOf(truncated(list, last + 19));
        refuseListOf(truncated(list, last + 27));
        refuseListOf(truncated(list, last + 28));
        refuseListOf(truncated(list, last + 29));
        refuseListOf(truncated(list, last + 29 + 23));
        refuseListOf(truncated(list, list.length - 1));
        refuseListOf("");
    }

    function test_ListBytesLeftOverAreMalformed() public {
        refuseListOf(bytes.concat(organizationBlocks()[0], hex"00"));
    }

    function test_ThePairsComeAfterTheWholeList() public {
        prepare(organizationsPerBlock() + 1);
        draft();
        bytes[] memory list = organizationBlocks();
        bytes memory matrix = pairBlocks()[0];
        settlement.organizationsPublish(0, list[0]);
        expectUnexpectedBlock(0);
        settlement.pairsPublish(0, matrix);
        settlement.organizationsPublish(1, list[1]);
        settlement.pairsPublish(0, matrix);
    }

    function test_ThePairsArePublishedOnce() public {
        toListed();
        bytes memory matrix = pairBlocks()[0];
        vm.expectEmit(address(settlement));
        emit ITradeFL.PairsPublished(0, matrix);
        settlement.pairsPublish(0, matrix);

        (,, uint256 published,,,,) = settlement.progress();
        assertEq(published, 1);
        vm.expectRevert(ITradeFL.AlreadyPublished.selector);
        settlement.pairsPublish(0, matrix);
    }

    function test_PairsOtherThanTheAgreedOnesAreRefused() public {
        toListed();
        bytes memory matrix = pairBlocks()[0];
        expectHashMismatch(keccak256(matrix), keccak256(bytes.concat(matrix, hex"00")));
        settlement.pairsPublish(0, bytes.concat(matrix, hex"00"));
    }

    function test_ABlockOfPairsThatDoesNotExistIsRefused() public {
        toListed();
        bytes memory matrix = pairBlocks()[0];
        expectUnexpectedBlock(1);
        settlement.pairsPublish(1, matrix);
        expectUnexpectedBlock(type(uint256).max);
        settlement.pairsPublish(type(uint256).max, matrix);
    }

    function test_PairsOfAnotherLengthAreMalformed() public {
        uint256 length = pairBlocks()[0].length;
        resizePairs(true);
        refusePairs(length / 6 * 7);
        resizePairs(false);
        resizePairs(false);
        refusePairs(length / 6 * 5);
        bytes32[] memory matrix = new bytes32[](1);
        matrix[0] = keccak256(new bytes(length - 1));
        settlement = deploy(agreed, Agreement.hashes(organizationBlocks()), matrix);
        settlement.organizationsPublish(0, organizationBlocks()[0]);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.MalformedBlock.selector, length - 1));
        settlement.pairsPublish(0, new bytes(length - 1));
    }

    function test_BondsFollowFromThePairs() public {
        toListed();
        assertEq(settlement.organization(0).bond, 0);
        settlement.pairsPublish(0, pairBlocks()[0]);
        uint256[] memory bonds = expectedBonds();
        for (uint256 i = 0; i < 4; ++i) {
            assertGt(bonds[i], 0);
            assertEq(settlement.organization(i).bond, bonds[i]);
        }
    }

    function test_TwoBlocksOfPairsComeInAnyOrder() public {
        prepare(twoBlocks());
        toListed();
        settlement.annexPublish(annex);
        bytes[] memory matrix = pairBlocks();
        settlement.pairsPublish(1, matrix[1]);
        (,, uint256 published,,,,) = settlement.progress();
        assertEq(published, 2);
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Drafting));
        settlement.pairsPublish(0, matrix[0]);

        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Joining));
        uint256[] memory bonds = expectedBonds();
        for (uint256 i = 0; i < agreed.size; ++i) {
            assertEq(settlement.organization(i).bond, bonds[i]);
        }
    }

    function test_JoiningOpensWithTheAnnexLast() public {
        toListed();
        settlement.pairsPublish(0, pairBlocks()[0]);
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Drafting));
        vm.expectEmit(address(settlement));
        emit ITradeFL.JoiningOpened(START + 1 days);
        settlement.annexPublish(annex);
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Joining));
    }

    function test_JoiningOpensWithThePairsLast() public {
        toListed();
        settlement.annexPublish(annex);
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Drafting));
        bytes memory matrix = pairBlocks()[0];
        vm.expectEmit(address(settlement));
        emit ITradeFL.JoiningOpened(START + 1 days);
        settlement.pairsPublish(0, matrix);
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Joining));
    }

    function toListed() internal {
        draft();
        bytes[] memory list = organizationBlocks();
        for (uint256 b = 0; b < list.length; ++b) {
            settlement.organizationsPublish(b, list[b]);
        }
    }

    function refuseOrganization(uint256 index) private {
        draft();
        bytes memory list = organizationBlocks()[0];
        expectMalformedOrganization(index);
        settlement.organizationsPublish(0, list);
    }

    function refuseListOf(bytes memory data) private {
        bytes32[] memory list = new bytes32[](1);
        list[0] = keccak256(data);
        settlement = deploy(agreed, list, Agreement.hashes(pairBlocks()));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.MalformedBlock.selector, data.length));
        settlement.organizationsPublish(0, data);
    }

    function refusePairs(uint256 length) private {
        toListed();
        bytes memory matrix = pairBlocks()[0];
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.MalformedBlock.selector, length));
        settlement.pairsPublish(0, matrix);
    }

    function truncated(bytes memory data, uint256 length) private pure returns (bytes memory start) {
        start = new bytes(length);
        for (uint256 k = 0; k < length; ++k) {
            start[k] = data[k];
        }
    }

    function expectMalformedOrganization(uint256 index) private {
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.MalformedOrganization.selector, index));
    }

    function expectUnexpectedBlock(uint256 blockIndex) private {
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.UnexpectedBlock.selector, blockIndex));
    }

    function expectHashMismatch(bytes32 expected, bytes32 actual) private {
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.HashMismatch.selector, expected, actual));
    }
}

/// @title Deposits, proposals, cancellation.
abstract contract JoiningTests is SettlementTest {
    function test_ADepositIsCounted() public {
        toJoining();
        uint256 bond = expectedBonds()[1];
        vm.deal(account(1), bond + 5);
        vm.expectEmit(address(settlement));
        emit ITradeFL.DepositSubmitted(account(1), bond + 5);
        deposit(1, bond + 5);

        ITradeFL.Account memory one = settlement.organization(1);
        assertTrue(one.joined);
        assertEq(one.deposit, bond + 5);
        assertEq(address(settlement).balance, bond + 5);
        (,,, uint256 joined,,,) = settlement.progress();
        assertEq(joined, 1);
        assertEq(settlement.creditOf(account(1)), 0);
    }

    function test_TheLastDepositOpensReporting() public {
        toJoining();
        uint256[] memory bonds = expectedBonds();
        for (uint256 i = 3; i > 0; --i) {
            deposit(i, bonds[i]);
        }
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Joining));
        vm.warp(START + 1 hours);
        vm.expectEmit(address(settlement));
        emit ITradeFL.DepositSubmitted(account(0), bonds[0]);
        vm.expectEmit(address(settlement));
        emit ITradeFL.ReportingOpened(START + 1 hours + 2 days);
        deposit(0, bonds[0]);

        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Open));
        (, uint256 report,,) = settlement.deadlines();
        assertEq(report, START + 1 hours + 2 days);
    }

    function test_ADepositOfTheBondIsEnoughAndOneWeiLessIsNot() public {
        toJoining();
        uint256 bond = expectedBonds()[0];
        expectDepositRevert(
            0, bond - 1, abi.encodeWithSelector(ITradeFL.DepositBelowBond.selector, bond, bond - 1)
        );
        expectDepositRevert(0, 0, abi.encodeWithSelector(ITradeFL.DepositBelowBond.selector, bond, 0));
        deposit(0, bond);
    }

    function test_ADepositOf112BitsIsTheMost() public {
        toJoining();
        uint256 limit = type(uint112).max;
        assertEq(settlement.MAX_DEPOSIT(), limit);
        expectDepositRevert(
            0, limit + 1, abi.encodeWithSelector(ITradeFL.DepositAboveLimit.selector, limit, limit + 1)
        );
        deposit(0, limit);
        assertEq(settlement.organization(0).deposit, limit);
    }

    function test_ADepositForAnotherAgreementIsRefused() public {
        toJoining();
        bytes32 mine = keccak256("my file");
        bytes32 hash = agreementHash();
        vm.deal(account(0), 1 ether);
        vm.prank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.HashMismatch.selector, hash, mine));
        settlement.depositSubmit{value: 1 ether}(mine);
    }

    function test_ADepositIsMadeOnce() public {
        toJoining();
        uint256 bond = expectedBonds()[0];
        deposit(0, bond);
        expectDepositRevert(0, bond, abi.encodeWithSelector(ITradeFL.AlreadyJoined.selector, account(0)));
    }

    function test_AStrangerCannotDeposit() public {
        toJoining();
        organizations[0].account = stranger;
        expectDepositRevert(0, 1 ether, abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
    }

    function test_TheJoinDeadlineIsTheLastSecondToDeposit() public {
        toJoining();
        uint256[] memory bonds = expectedBonds();
        vm.warp(START + 1 days);
        deposit(0, bonds[0]);
        vm.warp(START + 1 days + 1);
        expectDepositRevert(
            1, bonds[1], abi.encodeWithSelector(ITradeFL.DeadlinePassed.selector, START + 1 days)
        );
    }

    function test_CancellingIsPossibleAfterTheJoinDeadlineOnly() public {
        toJoining();
        vm.warp(START + 1 days);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TooEarly.selector, START + 1 days));
        settlement.cancel();
        vm.warp(START + 1 days + 1);
        vm.expectEmit(address(settlement));
        emit ITradeFL.SettlementCancelled();
        settlement.cancel();
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Cancelled));
    }

    function test_CancellingADraftLeavesNothingToWithdraw() public {
        draft();
        settlement.organizationsPublish(0, organizationBlocks()[0]);
        vm.warp(START + 1 days);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TooEarly.selector, START + 1 days));
        settlement.cancel();
        toCancelled();
        assertEq(settlement.creditOf(account(0)), 0);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NothingToWithdraw.selector, account(0)));
        withdraw(0);
    }

    function test_CancellingReturnsEveryDeposit() public {
        toJoining();
        uint256[] memory bonds = expectedBonds();
        deposit(1, bonds[1]);
        deposit(3, bonds[3] + 7);
        toCancelled();

        assertEq(settlement.creditOf(account(1)), bonds[1]);
        assertEq(settlement.creditOf(account(3)), bonds[3] + 7);
        assertEq(settlement.creditOf(account(0)), 0);
        withdraw(1);
        withdraw(3);
        assertEq(account(1).balance, bonds[1]);
        assertEq(account(3).balance, bonds[3] + 7);
        assertEq(address(settlement).balance, 0);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NothingToWithdraw.selector, account(0)));
        withdraw(0);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NothingToWithdraw.selector, account(1)));
        withdraw(1);
    }

    function test_AProposalIsAnnouncedAndChangesNothing() public {
        toJoining();
        bytes memory before = abi.encode(settlement.organization(2));
        for (uint32 d = 1e7; d <= 1e9; d += 99e7) {
            vm.expectEmit(address(settlement));
            emit ITradeFL.Proposed(account(2), d, 3e9);
            vm.prank(account(2));
            settlement.propose(d, 3e9);
        }
        assertEq(abi.encode(settlement.organization(2)), before);
    }

    function test_AProposalIsPossibleInOpenToo() public {
        toOpen();
        vm.expectEmit(address(settlement));
        emit ITradeFL.Proposed(account(0), 1e9, 1e9);
        vm.prank(account(0));
        settlement.propose(1e9, 1e9);
    }

    function test_AProposalIsFeasible() public {
        toJoining();
        vm.startPrank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.DataFractionOutOfRange.selector, 1e7 - 1));
        settlement.propose(1e7 - 1, 1e9);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.UnknownLevel.selector, 5));
        settlement.propose(1e9, 5);
    }

    function test_AStrangerCannotPropose() public {
        toJoining();
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
        settlement.propose(1e9, 1e9);
    }

    function expectDepositRevert(uint256 i, uint256 amount, bytes memory reason) private {
        bytes32 hash = settlement.agreementHash();
        vm.deal(account(i), amount);
        vm.prank(account(i));
        vm.expectRevert(reason);
        settlement.depositSubmit{value: amount}(hash);
    }
}

/// @title Reports, and the recording of the profile.
abstract contract ReportingTests is SettlementTest {
    function test_AReportIsCounted() public {
        toOpen();
        int128 x = int128(expectedScore(1, Report(0.25e9, 2e9)));
        vm.expectEmit(address(settlement));
        emit ITradeFL.ContributionSubmitted(account(1), 0.25e9, 2e9, x, keccak256("statement"));
        vm.prank(account(1));
        settlement.contributionSubmit(0.25e9, 2e9, keccak256("statement"), "not looked at");

        ITradeFL.Account memory one = settlement.organization(1);
        assertTrue(one.reported);
        assertEq(one.dataPpb, 0.25e9);
        assertEq(one.cpuHz, 2e9);
        assertEq(one.score, x);
        assertFalse(settlement.organization(0).reported);
        (,,,, uint256 reported,,) = settlement.progress();
        assertEq(reported, 1);
    }

    function test_AReportIsMadeOnce() public {
        toOpen();
        report(0);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.AlreadyReported.selector, account(0)));
        report(0);
    }

    function test_AStrangerCannotReport() public {
        toOpen();
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
        settlement.contributionSubmit(1e9, 1e9, 0, "");
    }

    function test_TheShareIsBetweenDMinAndOne() public {
        toOpen();
        refuseReport(0, 1e9, abi.encodeWithSelector(ITradeFL.DataFractionOutOfRange.selector, 0));
        refuseReport(1e7 - 1, 1e9, abi.encodeWithSelector(ITradeFL.DataFractionOutOfRange.selector, 1e7 - 1));
        refuseReport(1e9 + 1, 1e9, abi.encodeWithSelector(ITradeFL.DataFractionOutOfRange.selector, 1e9 + 1));
        reports[0].dataPpb = 1e7;
        report(0);
        reports[1].dataPpb = 1e9;
        report(1);
    }

    function test_TheFrequencyIsOneOfTheLevels() public {
        organizations[1].levels = [uint64(4e9)];
        toOpen();
        refuseReport(1e9, 0, abi.encodeWithSelector(ITradeFL.UnknownLevel.selector, 0));
        refuseReport(1e9, 1.5e9, abi.encodeWithSelector(ITradeFL.UnknownLevel.selector, 1.5e9));
        refuseReport(1e9, 4e9, abi.encodeWithSelector(ITradeFL.UnknownLevel.selector, 4e9)); // another's
        reports[0].cpuHz = 1e9;
        report(0);
        reports[2].cpuHz = 2e9;
        report(2);
        reports[3].cpuHz = 3e9;
        report(3);
    }

    function test_TheReportDeadlineIsTheLastSecondToReport() public {
        toOpen();
        vm.warp(START + 2 days);
        report(0);
        vm.warp(START + 2 days + 1);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.DeadlinePassed.selector, START + 2 days));
        report(1);
    }

    function test_ASignedReportIsCounted() public {
        agreed.verifier = verifier;
        toOpen();
        report(2);
        assertTrue(settlement.organization(2).reported);
    }

    function test_AnUnsignedReportIsRefused() public {
        agreed.verifier = verifier;
        toOpen();
        refuseReport(1e9, 1e9, abi.encodeWithSelector(ITradeFL.InvalidAttestation.selector));
    }

    function test_TheDigestIsEip712() public {
        draft();
        assertEq(
            settlement.attestationDigest(account(1), 123, 456),
            Agreement.attestationDigest(block.chainid, address(settlement), account(1), 123, 456)
        );
    }

    function test_AProfileOfAllReportsIsRecordedAtOnce() public {
        agreed.arbiter = arbiter;
        toOpen();
        uint32[] memory d = new uint32[](4);
        uint64[] memory f = new uint64[](4);
        for (uint256 i = 0; i < 4; ++i) {
            (d[i], f[i]) = (reports[i].dataPpb, reports[i].cpuHz);
            report(i);
        }
        vm.warp(START + 1 hours);
        vm.expectEmit(address(settlement));
        emit ITradeFL.ProfileRecorded(d, f, START + 1 hours + 3 days, START + 1 hours + 7 days);
        settlement.profileRecord();

        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Recorded));
        (,, uint256 dispute, uint256 ruling) = settlement.deadlines();
        assertEq(dispute, START + 1 hours + 3 days);
        assertEq(ruling, START + 1 hours + 7 days);
    }

    function test_AProfileWithASilentOrganizationIsRecordedAfterTheDeadline() public {
        toOpen();
        report(0);
        report(1);
        report(3);
        vm.warp(START + 2 days);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TooEarly.selector, START + 2 days));
        settlement.profileRecord();
        vm.warp(START + 2 days + 1);
        settlement.profileRecord();

        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Recorded));
        assertEq(settlement.organization(2).score, expectedScore(2, Report(0, 0)));
        assertFalse(settlement.organization(2).reported);
    }

    function test_WithoutAnArbiterThereAreNoWindows() public {
        toOpen();
        vm.warp(START + 2 days + 1);
        vm.expectEmit(address(settlement));
        emit ITradeFL.ProfileRecorded(
            new uint32[](4), new uint64[](4), START + 2 days + 1, START + 2 days + 1
        );
        settlement.profileRecord();
    }

    function refuseReport(uint32 d, uint64 f, bytes memory reason) private {
        vm.prank(account(0));
        vm.expectRevert(reason);
        settlement.contributionSubmit(d, f, 0, "");
    }
}

/// @title Disputes and rulings.
abstract contract DisputeTests is SettlementTest {
    uint256 private constant DISPUTE = START + 3 days;
    uint256 private constant RULING = START + 7 days;

    constructor() {
        usualArbiter = arbiter;
    }

    function test_ADisputeIsRaisedOnce() public {
        toRecorded();
        vm.expectEmit(address(settlement));
        emit ITradeFL.DisputeRaised(account(0), account(1));
        dispute(0, 1);

        assertTrue(settlement.organization(1).disputed);
        assertFalse(settlement.organization(1).ruled);
        assertEq(openDisputes(), 1);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.AlreadyDisputed.selector, account(1)));
        dispute(2, 1);
    }

    function test_OneMayDisputeItsOwnReport() public {
        toRecorded();
        dispute(1, 1);
        ruleFor(1, 1e9, 3e9);
        assertEq(settlement.organization(1).dataPpb, 1e9);
    }

    function test_AStrangerNeitherDisputesNorIsDisputed() public {
        toRecorded();
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
        settlement.disputeRaise(account(0));
        vm.prank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
        settlement.disputeRaise(stranger);
    }

    function test_WithoutAnArbiterNobodyDisputes() public {
        agreed.arbiter = address(0);
        toRecorded();
        vm.expectRevert(ITradeFL.NoArbiter.selector);
        dispute(0, 1);
    }

    function test_WithoutAnArbiterNobodyRules() public {
        agreed.arbiter = address(0);
        toRecorded();
        vm.prank(arbiter);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotArbiter.selector, arbiter));
        settlement.rule(account(0), 0, 0);
    }

    function test_TheDisputeDeadlineIsTheLastSecondToDispute() public {
        toRecorded();
        vm.warp(DISPUTE);
        dispute(0, 1);
        vm.warp(DISPUTE + 1);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.DeadlinePassed.selector, DISPUTE));
        dispute(0, 2);
    }

    function test_ARulingCorrectsAReport() public {
        toRecorded();
        dispute(0, 1);
        int128 x = int128(expectedScore(1, Report(0.5e9, 1e9)));
        vm.expectEmit(address(settlement));
        emit ITradeFL.DisputeRuled(account(1), 0.5e9, 1e9, x);
        ruleFor(1, 0.5e9, 1e9);

        ITradeFL.Account memory one = settlement.organization(1);
        assertTrue(one.ruled && one.disputed);
        assertEq(one.dataPpb, 0.5e9);
        assertEq(one.cpuHz, 1e9);
        assertEq(one.score, x);
        assertEq(openDisputes(), 0);
        assertSettlesAsExpected();
    }

    function test_ARulingUpholdsAReport() public {
        toRecorded();
        dispute(0, 1);
        ruleFor(1, reports[1].dataPpb, reports[1].cpuHz);
        assertTrue(settlement.organization(1).ruled);
        assertSettlesAsExpected();
    }

    function test_ARulingStrikesAReport() public {
        toRecorded();
        dispute(0, 1);
        int128 silence = int128(expectedScore(1, Report(0, 0)));
        assertNotEq(settlement.organization(1).score, silence);
        vm.expectEmit(address(settlement));
        emit ITradeFL.DisputeRuled(account(1), 0, 0, silence);
        ruleFor(1, 0, 0);
        assertEq(settlement.organization(1).score, silence);
        assertSettlesAsExpected();
    }

    function test_ARulingSpeaksForASilentOrganization() public {
        reports[2].dataPpb = 0;
        reports[2].cpuHz = 0;
        toRecorded();
        dispute(2, 2);
        ruleFor(2, 0.7e9, 2e9);
        assertEq(settlement.organization(2).score, expectedScore(2, Report(0.7e9, 2e9)));
        assertSettlesAsExpected();
    }

    function test_ARulingStaysWithinTheOrganizationsRange() public {
        toRecorded();
        dispute(0, 1);
        vm.warp(DISPUTE + 1);
        vm.startPrank(arbiter);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.DataFractionOutOfRange.selector, 1e9 + 1));
        settlement.rule(account(1), 1e9 + 1, 1e9);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.DataFractionOutOfRange.selector, 0));
        settlement.rule(account(1), 0, 1e9);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.UnknownLevel.selector, 0));
        settlement.rule(account(1), 1e9, 0);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.UnknownLevel.selector, 9));
        settlement.rule(account(1), 1e9, 9);
    }

    function test_OnlyTheArbiterRules() public {
        toRecorded();
        dispute(0, 1);
        vm.prank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotArbiter.selector, account(0)));
        settlement.rule(account(1), 0, 0);
    }

    function test_ARulingNeedsADispute() public {
        toRecorded();
        dispute(0, 1);
        vm.warp(DISPUTE + 1);
        vm.prank(arbiter);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotDisputed.selector, account(2)));
        settlement.rule(account(2), 0, 0);
        vm.prank(arbiter);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
        settlement.rule(stranger, 0, 0);
    }

    function test_ARulingIsFinal() public {
        toRecorded();
        dispute(0, 1);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.AlreadyDisputed.selector, account(1)));
        dispute(0, 1);
        ruleFor(1, 0, 0);
        vm.prank(arbiter);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotDisputed.selector, account(1)));
        settlement.rule(account(1), 1e9, 1e9);
    }

    function test_ARulingWaitsForTheDisputeDeadline() public {
        toRecorded();
        dispute(0, 1);
        vm.warp(DISPUTE);
        vm.prank(arbiter);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TooEarly.selector, DISPUTE));
        settlement.rule(account(1), 0, 0);
        ruleFor(1, 0, 0); // a second later
        assertTrue(settlement.organization(1).ruled);
    }

    function test_TheRulingDeadlineIsTheLastSecondToRule() public {
        toRecorded();
        dispute(0, 1);
        dispute(0, 2);
        vm.warp(RULING);
        ruleFor(1, 0, 0);
        vm.warp(RULING + 1);
        vm.prank(arbiter);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.DeadlinePassed.selector, RULING));
        settlement.rule(account(2), 0, 0);
    }

    function test_WithoutADisputeTheCalculationWaitsForTheDisputeDeadline() public {
        toRecorded();
        vm.warp(DISPUTE);
        expectTooEarlyToCalculate(DISPUTE);
        vm.warp(DISPUTE + 1);
        calculate();
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Calculated));
    }

    function test_AnOpenDisputeHoldsTheCalculationUntilTheRulingDeadline() public {
        toRecorded();
        dispute(0, 1);
        dispute(1, 2);
        ruleFor(2, 0, 0);
        vm.warp(RULING);
        expectTooEarlyToCalculate(RULING);
        vm.warp(RULING + 1);
        calculate();

        // no ruling in time: the report of 1 stands
        (reports[2].dataPpb, reports[2].cpuHz) = (0, 0);
        assertSettlesAsExpected();
    }

    function test_WithEveryDisputeRuledTheCalculationWaitsForNothing() public {
        toRecorded();
        dispute(0, 1);
        dispute(1, 2);
        assertEq(openDisputes(), 2);
        ruleFor(1, 0, 0);
        expectTooEarlyToCalculate(RULING);
        ruleFor(2, 0, 0);
        assertEq(vm.getBlockTimestamp(), DISPUTE + 1);
        calculate();
        assertSettlesAsExpected();
    }

    function test_EveryReportMayBeDisputed() public {
        toRecorded();
        for (uint256 i = 0; i < 4; ++i) {
            dispute(3 - i, i);
        }
        assertEq(openDisputes(), 4);
        for (uint256 i = 0; i < 4; ++i) {
            ruleFor(i, 0, 0);
        }
        assertEq(openDisputes(), 0);
        calculate();
        assertSettlesAsExpected();
    }

    function dispute(uint256 by, uint256 accused) private {
        vm.prank(account(by));
        settlement.disputeRaise(account(accused));
    }

    /// @dev Rules as soon as it is possible, and takes the ruling into what is expected.
    function ruleFor(uint256 accused, uint32 d, uint64 f) private {
        (,, uint256 last,) = settlement.deadlines();
        if (vm.getBlockTimestamp() <= last) vm.warp(last + 1);
        (reports[accused].dataPpb, reports[accused].cpuHz) = (d, f);
        vm.prank(arbiter);
        settlement.rule(account(accused), d, f);
    }

    function openDisputes() private view returns (uint256 open) {
        (,,,,, open,) = settlement.progress();
    }

    function calculate() private {
        settlement.payoffCalculate(0, pairBlocks()[0]);
    }

    function expectTooEarlyToCalculate(uint256 notBefore) private {
        bytes memory matrix = pairBlocks()[0];
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TooEarly.selector, notBefore));
        settlement.payoffCalculate(0, matrix);
    }

    function assertSettlesAsExpected() private {
        toSettled();
        int256[] memory r = expectedRedistributions();
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(settlement.organization(i).redistribution, r[i]);
        }
    }
}

/// @title The calculation, the transfer and the withdrawals.
abstract contract SettlingTests is SettlementTest {
    function test_AWithdrawalIsMadeOnce() public {
        toSettled();
        withdraw(0);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NothingToWithdraw.selector, account(0)));
        withdraw(0);
    }

    function test_AStrangerWithdrawsNothingAndHasNoCredit() public {
        toSettled();
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
        vm.prank(stranger);
        settlement.withdraw();
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
        settlement.creditOf(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
        settlement.indexOf(stranger);
    }

    function test_TheCalculationIsAnnounced() public {
        toRecorded();
        bytes memory matrix = pairBlocks()[0];
        vm.warp(START + 1);
        vm.expectEmit(address(settlement));
        emit ITradeFL.PayoffCalculated(0);
        settlement.payoffCalculate(0, matrix);
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Calculated));
        assertEq(calculated(), 1);
    }

    function test_WithoutAnArbiterTheCalculationWaitsForNothing() public {
        toRecorded();
        settlement.payoffCalculate(0, pairBlocks()[0]);
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Calculated));
    }

    function test_RepeatingTheCalculationChangesNothing() public {
        toCalculated();
        bytes memory before = abi.encode(settlement.organization(0), settlement.organization(3));
        bytes memory matrix = pairBlocks()[0];
        vm.recordLogs();
        settlement.payoffCalculate(0, matrix);
        assertEq(vm.getRecordedLogs().length, 0);
        assertEq(abi.encode(settlement.organization(0), settlement.organization(3)), before);
    }

    function test_TheCalculationTakesTheAgreedBytesOnly() public {
        toRecorded();
        bytes memory matrix = pairBlocks()[0];
        bytes32 expected = keccak256(matrix);
        matrix[matrix.length - 1] = ~matrix[matrix.length - 1];
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.HashMismatch.selector, expected, keccak256(matrix)));
        settlement.payoffCalculate(0, matrix);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.HashMismatch.selector, expected, keccak256("")));
        settlement.payoffCalculate(0, "");
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.UnexpectedBlock.selector, 1));
        settlement.payoffCalculate(1, matrix);
    }

    function test_TwoBlocksAreCalculatedInAnyOrderAndOnce() public {
        prepare(twoBlocks());
        toRecorded();
        bytes[] memory matrix = pairBlocks();
        settlement.payoffCalculate(1, matrix[1]);
        assertEq(calculated(), 2);
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Recorded));
        settlement.payoffCalculate(1, matrix[1]);
        settlement.payoffCalculate(0, matrix[0]);

        assertEq(calculated(), 3);
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Calculated));
        assertRedistributions();
    }

    function test_OneBlockDoesNotStandForTheOther() public {
        prepare(twoBlocks());
        toRecorded();
        bytes[] memory matrix = pairBlocks();
        vm.expectRevert(
            abi.encodeWithSelector(ITradeFL.HashMismatch.selector, keccak256(matrix[1]), keccak256(matrix[0]))
        );
        settlement.payoffCalculate(1, matrix[0]);
    }

    function test_TwoOrganizationsSettle() public {
        prepare(2);
        toSettled();
        assertRedistributions();
    }

    function test_FiveHundredOrganizationsSettleToTheWei() public noGasMetering {
        prepare(500);
        reports[77].dataPpb = 0;
        reports[77].cpuHz = 0;
        toSettled();
        assertRedistributions();
        uint256[] memory bonds = expectedBonds();
        for (uint256 i = 0; i < 500; ++i) {
            withdraw(i);
            assertEq(int256(account(i).balance), int256(bonds[i]) + settlement.organization(i).redistribution);
        }
        assertEq(address(settlement).balance, 0);
    }

    function test_AnUnbalancedLedgerMovesNoMoney() public {
        toCalculated();
        bytes32 slot = moneySlot(0);
        uint256 word = uint256(vm.load(address(settlement), slot));
        vm.store(address(settlement), slot, bytes32(word + (1 << 112))); // R_0 one wei up
        uint256 total = address(settlement).balance;

        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotConserved.selector, total, total + 1));
        settlement.payoffTransfer();
        vm.store(address(settlement), slot, bytes32(word - (1 << 112)));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotConserved.selector, total, total - 1));
        settlement.payoffTransfer();
        vm.store(address(settlement), slot, bytes32(word));
        settlement.payoffTransfer();
    }

    function test_ANegativeCreditMovesNoMoney() public {
        reports[0] = Report(0, 0);
        toCalculated();
        int256 r = settlement.organization(0).redistribution;
        assertLt(r, 0);
        bytes32 slot = moneySlot(0);
        uint256 word = uint256(vm.load(address(settlement), slot));
        uint256 low = uint256(-r) - 1; // a deposit one wei short of the bill
        vm.store(address(settlement), slot, bytes32(word >> 112 << 112 | low));

        vm.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedIntToUint.selector, -1));
        settlement.payoffTransfer();
    }

    /// @dev Where organization i's deposit (112 bits), R (128 bits) and the mark that it has joined are stored.
    function moneySlot(uint256 i) private returns (bytes32) {
        vm.record();
        ITradeFL.Account memory one = settlement.organization(i);
        (bytes32[] memory reads,) = vm.accesses(address(settlement));
        uint256 wanted = 1 << 240 | uint256(uint128(one.redistribution)) << 112 | one.deposit;
        for (uint256 k = 0; k < reads.length; ++k) {
            if (uint256(vm.load(address(settlement), reads[k])) == wanted) return reads[k];
        }
        revert("no slot holds deposit and R");
    }

    function calculated() private view returns (uint256 blocks) {
        (,,,,,, blocks) = settlement.progress();
    }

    function assertRedistributions() private {
        int256[] memory r = expectedRedistributions();
        int256 sum = 0;
        for (uint256 i = 0; i < r.length; ++i) {
            assertEq(settlement.organization(i).redistribution, r[i]);
            sum += r[i];
        }
        assertEq(sum, 0);
    }
}

/// @title Every call in every phase: refused with WrongPhase, or belonging there.
abstract contract PhaseTests is SettlementTest {
    bytes[] private calls;
    uint256[] private belongs; // bit p: the call belongs to phase p

    constructor() {
        usualArbiter = arbiter;
    }

    function addAll() private {
        add(abi.encodeCall(ITradeFL.annexPublish, (annex)), bit(ITradeFL.Phase.Drafting));
        add(
            abi.encodeCall(ITradeFL.organizationsPublish, (0, organizationBlocks()[0])),
            bit(ITradeFL.Phase.Drafting)
        );
        add(abi.encodeCall(ITradeFL.pairsPublish, (0, pairBlocks()[0])), bit(ITradeFL.Phase.Drafting));
        add(abi.encodeCall(ITradeFL.cancel, ()), bit(ITradeFL.Phase.Drafting) | bit(ITradeFL.Phase.Joining));
        add(abi.encodeCall(ITradeFL.depositSubmit, (agreementHash())), bit(ITradeFL.Phase.Joining));
        add(
            abi.encodeCall(ITradeFL.propose, (1e9, 1e9)),
            bit(ITradeFL.Phase.Joining) | bit(ITradeFL.Phase.Open)
        );
        add(abi.encodeCall(ITradeFL.contributionSubmit, (1e9, 1e9, 0, "")), bit(ITradeFL.Phase.Open));
        add(abi.encodeCall(ITradeFL.profileRecord, ()), bit(ITradeFL.Phase.Open));
        add(abi.encodeCall(ITradeFL.disputeRaise, (account(1))), bit(ITradeFL.Phase.Recorded));
        add(abi.encodeCall(ITradeFL.rule, (account(1), 0, 0)), bit(ITradeFL.Phase.Recorded));
        add(
            abi.encodeCall(ITradeFL.payoffCalculate, (0, pairBlocks()[0])),
            bit(ITradeFL.Phase.Recorded) | bit(ITradeFL.Phase.Calculated)
        );
        add(abi.encodeCall(ITradeFL.payoffTransfer, ()), bit(ITradeFL.Phase.Calculated));
        add(
            abi.encodeCall(ITradeFL.withdraw, ()), bit(ITradeFL.Phase.Settled) | bit(ITradeFL.Phase.Cancelled)
        );
    }

    function test_CallsInDrafting() public {
        draft();
        assertCallsIn(ITradeFL.Phase.Drafting);
    }

    function test_CallsInJoining() public {
        toJoining();
        assertCallsIn(ITradeFL.Phase.Joining);
    }

    function test_CallsInOpen() public {
        toOpen();
        assertCallsIn(ITradeFL.Phase.Open);
    }

    function test_CallsInRecorded() public {
        toRecorded();
        assertCallsIn(ITradeFL.Phase.Recorded);
    }

    function test_CallsInCalculated() public {
        toCalculated();
        assertCallsIn(ITradeFL.Phase.Calculated);
    }

    function test_CallsInSettled() public {
        toSettled();
        assertCallsIn(ITradeFL.Phase.Settled);
    }

    function test_CallsInCancelled() public {
        toJoining();
        toCancelled();
        assertCallsIn(ITradeFL.Phase.Cancelled);
    }

    function add(bytes memory call_, uint256 phases) private {
        calls.push(call_);
        belongs.push(phases);
    }

    function bit(ITradeFL.Phase phase) private pure returns (uint256) {
        return 1 << uint8(phase);
    }

    function assertCallsIn(ITradeFL.Phase phase) private {
        assertEq(uint8(settlement.phase()), uint8(phase));
        addAll();
        bytes memory wrongPhase = abi.encodeWithSelector(ITradeFL.WrongPhase.selector, phase);
        uint256 snapshot = vm.snapshotState();
        for (uint256 k = 0; k < calls.length; ++k) {
            vm.prank(account(0));
            (bool done, bytes memory answer) = address(settlement).call(calls[k]);
            if (belongs[k] & bit(phase) != 0) {
                assertNotEq(answer, wrongPhase, vm.toString(k));
            } else {
                assertFalse(done, vm.toString(k));
                assertEq(answer, wrongPhase, vm.toString(k));
            }
            vm.revertToState(snapshot);
        }
    }
}

/// @title What the getters say along the life of a settlement.
abstract contract GetterTests is SettlementTest {
    function test_DeadlinesBecomeKnownOneByOne() public {
        agreed.arbiter = arbiter;
        draft();
        assertDeadlines(START + 1 days, 0, 0, 0);
        toOpen();
        assertDeadlines(START + 1 days, START + 2 days, 0, 0);
        toRecorded();
        assertDeadlines(START + 1 days, START + 2 days, START + 3 days, START + 7 days);
    }

    function test_ProgressStartsAtZeroAndEndsComplete() public {
        draft();
        assertProgress(false, 0, 0, 0, 0, 0);
        toJoining();
        assertProgress(true, 4, 1, 0, 0, 0);
        toOpen();
        assertProgress(true, 4, 1, 4, 0, 0);
        toRecorded();
        assertProgress(true, 4, 1, 4, 4, 0);
        toCalculated();
        assertProgress(true, 4, 1, 4, 4, 1);
    }

    function test_AnOrganizationBeyondTheListIsEmpty() public {
        toJoining();
        ITradeFL.Account memory empty = settlement.organization(4);
        assertEq(empty.account, address(0));
        assertEq(empty.levels.length, 0);
    }

    function test_TheConstantsAreThoseOfTheEncoding() public {
        draft();
        assertEq(settlement.MAX_SIZE(), 1024);
        assertEq(settlement.MAX_LEVELS(), 32);
    }

    function assertDeadlines(uint256 join, uint256 report, uint256 dispute, uint256 ruling) private view {
        (uint256 a, uint256 b, uint256 c, uint256 d) = settlement.deadlines();
        assertEq(abi.encode(a, b, c, d), abi.encode(join, report, dispute, ruling));
    }

    function assertProgress(
        bool annexed,
        uint256 listed,
        uint256 published,
        uint256 joined,
        uint256 reported,
        uint256 done
    ) private view {
        (bool a, uint256 b, uint256 c, uint256 d, uint256 e, uint256 f, uint256 g) = settlement.progress();
        assertEq(
            abi.encode(a, b, c, d, e, f, g), abi.encode(annexed, listed, published, joined, reported, 0, done)
        );
    }
}

/// @dev One contract runs many of the above: compiling takes minutes when each is one of its own.
abstract contract LifeTests is
    DraftingTests,
    PublishingTests,
    JoiningTests,
    ReportingTests,
    SettlingTests,
    GetterTests
{}

contract SettlementLifeTest is LifeTests, Linear {}

contract EfficientSettlementLifeTest is LifeTests, Efficient {}

/// @dev Those with an arbiter.
contract SettlementCourtTest is DisputeTests, PhaseTests, Linear {}

contract EfficientSettlementCourtTest is DisputeTests, PhaseTests, Efficient {}
