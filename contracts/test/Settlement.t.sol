// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ISettlement} from "../src/ISettlement.sol";
import {ITradeFL} from "../src/ITradeFL.sol";
import {IVault} from "../src/IVault.sol";
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

        assertEq(settlement.vault(), address(vault));
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
        (agreed.verifier, agreed.arbiter, agreed.disputeStakeWei) = (verifier, arbiter, 123);
        (agreed.organizationsPerBlock, agreed.pairsPerBlock) = (3, 5);
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
        toJoining();
        deposit(0, expectedBonds()[0]);
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

    function test_ClosingBlocksAreNotZero() public {
        agreed.closingBlocks = 0;
        refuse("closingBlocks", 0);
        agreed.closingBlocks = 1;
        draft();
        agreed.closingBlocks = type(uint32).max;
        draft();
    }

    function test_AStakeNeedsAnArbiterAndIsAtMostADeposit() public {
        agreed.disputeStakeWei = 1;
        refuse("disputeStakeWei", 1);
        agreed.arbiter = arbiter;
        draft();
        agreed.disputeStakeWei = 0;
        draft();
        agreed.disputeStakeWei = type(uint112).max;
        draft();
        agreed.disputeStakeWei = uint128(type(uint112).max) + 1;
        refuse("disputeStakeWei", agreed.disputeStakeWei);
    }

    function test_WhatThisVersionDoesNotKnowIsZero() public {
        agreed.token = address(5);
        refuse("token", 5);
        (agreed.token, agreed.spotAuditPpb) = (address(0), 1);
        refuse("spotAuditPpb", 1);
    }

    function test_BlocksHoldAtLeastOne() public {
        agreed.organizationsPerBlock = 0;
        refuse("organizationsPerBlock", 0);
        (agreed.organizationsPerBlock, agreed.pairsPerBlock) = (1, 0);
        refuseBlocks(4, 4, 1, "pairsPerBlock", 0);
        (agreed.organizationsPerBlock, agreed.pairsPerBlock) = (type(uint16).max, type(uint32).max);
        draft();
    }

    function test_ThereAreAtMost256BlocksOfPairs() public {
        (agreed.size, agreed.organizationsPerBlock, agreed.pairsPerBlock) = (24, 24, 1); // 276 pairs
        refuseBlocks(24, 1, 276, "pairsPerBlock", 1);
        agreed.pairsPerBlock = 2;
        deploy(agreed, new bytes32[](1), new bytes32[](138));
        (agreed.size, agreed.pairsPerBlock) = (513, 513); // 131,328 pairs, 256 times 513
        deploy(agreed, new bytes32[](22), new bytes32[](256));
        agreed.pairsPerBlock = 512;
        refuseBlocks(513, 22, 257, "pairsPerBlock", 512);
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

    function blocksOf(uint16 size) private view returns (uint256) {
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

        assertTrue(progress().annexIsPublished);
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

        assertEq(progress().listed, 4);
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
        assertEq(progress().listed, full);
        expectUnexpectedBlock(0);
        settlement.organizationsPublish(0, list[0]);
        settlement.organizationsPublish(1, list[1]);

        assertEq(progress().listed, full + 5);
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

        assertEq(progress().published, 1);
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
        assertEq(progress().published, 2);
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
        emit ITradeFL.JoiningOpened();
        settlement.annexPublish(annex);
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Joining));
    }

    function test_JoiningOpensWithThePairsLast() public {
        toListed();
        settlement.annexPublish(annex);
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Drafting));
        bytes memory matrix = pairBlocks()[0];
        vm.expectEmit(address(settlement));
        emit ITradeFL.JoiningOpened();
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
        vm.expectEmit(address(settlement));
        emit ITradeFL.DepositSubmitted(account(1), bond + 5);
        vm.expectEmit(address(settlement));
        emit ITradeFL.JoinDeadlineSet(START + 1 days);
        deposit(1, bond + 5);

        ITradeFL.Account memory one = settlement.organization(1);
        assertTrue(one.joined);
        assertEq(one.deposit, bond + 5);
        assertEq(address(vault).balance, bond + 5);
        assertEq(vault.locked(address(settlement), account(1)), bond + 5);
        assertEq(address(settlement).balance, 0);
        assertEq(progress().joined, 1);
        assertEq(settlement.creditOf(account(1)), 0);
    }

    function test_OnlyTheVaultBringsDeposits() public {
        toJoining();
        bytes32 hash = settlement.agreementHash();
        vm.prank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotVault.selector, account(0)));
        settlement.depositAccept(account(0), 100 ether, hash);
    }

    function test_OnlyTheVaultRecordsWithdrawals() public {
        toSettled();
        vm.prank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotVault.selector, account(0)));
        settlement.withdrawalRecord(account(1), account(0), 1);
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
        (, uint256 reporting,,) = settlement.deadlines();
        assertEq(reporting, START + 1 hours + 2 days);
    }

    function test_OnlyTheFirstDepositStartsTheTime() public {
        toJoining();
        uint256[] memory bonds = expectedBonds();
        deposit(2, bonds[2]);
        skip(1 hours);
        vm.recordLogs();
        deposit(0, bonds[0]);
        assertEq(vm.getRecordedLogs().length, 1);
        (uint256 join,,,) = settlement.deadlines();
        assertEq(join, START + 1 days);
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

    function test_WithAnArbiterADepositHoldsAStakeToo() public {
        (agreed.arbiter, agreed.disputeStakeWei) = (arbiter, 77);
        toJoining();
        uint256 bond = expectedBonds()[0];
        assertEq(settlement.organization(0).bond, bond);
        expectDepositRevert(
            0, bond + 76, abi.encodeWithSelector(ITradeFL.DepositBelowBond.selector, bond + 77, bond + 76)
        );
        deposit(0, bond + 77);
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
        vault.depositSubmit{value: 1 ether}(address(settlement), mine);
    }

    function test_ADepositIsMadeOnce() public {
        toJoining();
        uint256 bond = expectedBonds()[0];
        deposit(0, bond);
        expectDepositRevert(0, bond, abi.encodeWithSelector(IVault.AlreadyDeposited.selector, account(0)));
        bytes32 hash = settlement.agreementHash();
        vm.prank(address(vault)); // were the vault to forget it
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.AlreadyJoined.selector, account(0)));
        settlement.depositAccept(account(0), bond, hash);
    }

    function test_AStrangerCannotDeposit() public {
        toJoining();
        organizations[0].account = stranger;
        expectDepositRevert(0, 1 ether, abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
    }

    function test_ADepositAfterTheDeadlineCountsWhileTheWindowIsOpen() public {
        toJoining();
        uint256[] memory bonds = expectedBonds();
        deposit(0, bonds[0]);
        vm.warp(START + 365 days); // nobody has closed the window
        deposit(1, bonds[1]);
        settlement.windowClose();
        vm.roll(START_BLOCK + 5);
        deposit(2, bonds[2]);
        vm.roll(START_BLOCK + 6);
        expectDepositRevert(3, bonds[3], abi.encodeWithSelector(ITradeFL.WindowOver.selector));
    }

    function test_CancellingIsPossibleWhenTheWindowIsOverOnly() public {
        toJoining();
        deposit(0, expectedBonds()[0]);
        vm.warp(START + 1 days + 1);
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.cancel();
        settlement.windowClose();
        vm.roll(START_BLOCK + 5);
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.cancel();
        vm.roll(START_BLOCK + 6);
        vm.expectEmit(address(settlement));
        emit ITradeFL.SettlementCancelled();
        settlement.cancel();
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Cancelled));
        assertTrue(vault.isClosed(address(settlement)));
    }

    function test_AClosingWindowOpensReportingWhenAllJoinInTime() public {
        toJoining();
        uint256[] memory bonds = expectedBonds();
        deposit(0, bonds[0]);
        vm.warp(START + 1 days + 1);
        settlement.windowClose();
        vm.roll(START_BLOCK + 5);
        for (uint256 i = 1; i < 4; ++i) {
            deposit(i, bonds[i]);
        }
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Open));
        assertEq(progress().closedAt, 0);
        vm.roll(START_BLOCK + 1000);
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.profileRecord();
    }

    function test_NoTimeRunsBeforeTheFirstDeposit() public {
        toJoining();
        vm.warp(START + 365 days);
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.windowClose();
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.cancel();
    }

    function test_CancellingReturnsEveryDeposit() public {
        toJoining();
        uint256[] memory bonds = expectedBonds();
        deposit(1, bonds[1]);
        deposit(3, bonds[3] + 7);
        vm.expectRevert(abi.encodeWithSelector(IVault.SettlementOpen.selector, address(settlement)));
        withdraw(1);
        toCancelled();

        assertEq(settlement.creditOf(account(1)), bonds[1]);
        assertEq(settlement.creditOf(account(3)), bonds[3] + 7);
        assertEq(settlement.creditOf(account(0)), 0);
        withdraw(1);
        withdraw(3);
        assertEq(account(1).balance, bonds[1]);
        assertEq(account(3).balance, bonds[3] + 7);
        assertEq(address(vault).balance, 0);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, account(0)));
        withdraw(0);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, account(1)));
        withdraw(1);
    }

    function test_ACancelledSettlementTakesNoDeposit() public {
        toCancelled();
        expectDepositRevert(
            1, 1 ether, abi.encodeWithSelector(IVault.SettlementClosed.selector, address(settlement))
        );
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
        vault.depositSubmit{value: amount}(address(settlement), hash);
    }
}

/// @title Reports, and the recording of the profile.
abstract contract ReportingTests is SettlementTest {
    function test_AReportIsCounted() public {
        toOpen();
        int128 x = int128(expectedScore(1, Report(0.25e9, 2e9)));
        vm.expectEmit(address(settlement));
        emit ITradeFL.ContributionSubmitted(account(1), 0.25e9, 2e9, 0, x, keccak256("statement"));
        vm.prank(account(1));
        settlement.contributionSubmit(account(1), 0.25e9, 2e9, 0, 0, keccak256("statement"), "");

        ITradeFL.Account memory one = settlement.organization(1);
        assertTrue(one.reported);
        assertEq(one.dataPpb, 0.25e9);
        assertEq(one.cpuHz, 2e9);
        assertEq(one.score, x);
        assertEq(one.serial, 0);
        assertFalse(settlement.organization(0).reported);
        assertEq(progress().reported, 1);
    }

    function test_AReportIsMadeOnce() public {
        toOpen();
        report(0);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.AlreadyReported.selector, account(0)));
        report(0);
    }

    function test_WithoutAVerifierNobodyReportsForAnother() public {
        toOpen();
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
        settlement.contributionSubmit(stranger, 1e9, 1e9, 0, 0, 0, "");
        vm.prank(account(1));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotOrganization.selector, account(1)));
        settlement.contributionSubmit(account(0), 1e9, 1e9, 0, 0, 0, "");
    }

    function test_WithoutAVerifierThereIsNoAttestation() public {
        toOpen();
        vm.startPrank(account(0));
        vm.expectRevert(ITradeFL.InvalidAttestation.selector);
        settlement.contributionSubmit(account(0), 1e9, 1e9, 1, 0, 0, "");
        vm.expectRevert(ITradeFL.InvalidAttestation.selector);
        settlement.contributionSubmit(account(0), 1e9, 1e9, 0, type(uint64).max, 0, "");
        vm.expectRevert(ITradeFL.InvalidAttestation.selector);
        settlement.contributionSubmit(account(0), 1e9, 1e9, 0, 0, 0, hex"00");
        settlement.contributionSubmit(account(0), 1e9, 1e9, 0, 0, 0, "");
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
            settlement.attestationDigest(account(1), 123, 456, 7, 8),
            Agreement.attestationDigest(block.chainid, address(settlement), account(1), 123, 456, 7, 8)
        );
    }

    function test_AHigherSerialReplacesAReport() public {
        agreed.verifier = verifier;
        toOpen();
        attested(1, 1e9, 3e9, 0, stranger);
        attested(1, 0.5e9, 1e9, 9, stranger); // lower: the organization itself would not send it
        ITradeFL.Account memory one = settlement.organization(1);
        assertEq(abi.encode(one.dataPpb, one.cpuHz, one.serial), abi.encode(0.5e9, 1e9, 9));
        assertEq(one.score, expectedScore(1, Report(0.5e9, 1e9)));
        assertEq(progress().reported, 1);

        refuseSerial(1, 1e9, 3e9, 9, 9);
        refuseSerial(1, 1e9, 3e9, 8, 9);
        refuseSerial(1, 1e9, 3e9, 0, 9);
        attested(1, 1e9, 3e9, type(uint64).max, account(1));
        refuseSerial(1, 1e9, 3e9, type(uint64).max, type(uint64).max);
    }

    function test_AReplacedReportIsTheOneThatSettles() public {
        agreed.verifier = verifier;
        toOpen();
        for (uint256 i = 0; i < 4; ++i) {
            attested(i, 1e9, 3e9, uint64(i), account(i));
        }
        settlement.windowClose();
        reports[2] = Report(0.1e9, 1e9);
        attested(2, 0.1e9, 1e9, 3, stranger); // all have reported, but the window is still open
        for (uint256 i = 0; i < 4; ++i) {
            if (i != 2) reports[i] = Report(1e9, 3e9);
        }
        toSettled();
        int256[] memory r = expectedRedistributions();
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(settlement.organization(i).redistribution, r[i]);
        }
    }

    function test_AFirstReportMayHaveAnySerial() public {
        agreed.verifier = verifier;
        toOpen();
        attested(0, 1e9, 1e9, 0, account(0));
        attested(1, 1e9, 1e9, 5, account(1));
        refuseSerial(1, 1e9, 1e9, 4, 5);
    }

    function test_AnExpiredAttestationIsRefused() public {
        agreed.verifier = verifier;
        toOpen();
        uint64 expiry = uint64(START + 60);
        bytes memory signature = attest(account(0), 1e9, 1e9, 0, expiry);
        vm.warp(expiry + 1);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.AttestationExpired.selector, expiry));
        settlement.contributionSubmit(account(0), 1e9, 1e9, 0, expiry, 0, signature);
        vm.warp(expiry);
        settlement.contributionSubmit(account(0), 1e9, 1e9, 0, expiry, 0, signature);
    }

    function test_SerialAndExpiryAreSigned() public {
        agreed.verifier = verifier;
        toOpen();
        bytes memory signature = attest(account(0), 1e9, 1e9, 3, uint64(START + 60));
        vm.expectRevert(ITradeFL.InvalidAttestation.selector);
        settlement.contributionSubmit(account(0), 1e9, 1e9, 4, uint64(START + 60), 0, signature);
        vm.expectRevert(ITradeFL.InvalidAttestation.selector);
        settlement.contributionSubmit(account(0), 1e9, 1e9, 3, uint64(START + 61), 0, signature);
        vm.expectRevert(ITradeFL.InvalidAttestation.selector);
        settlement.contributionSubmit(account(0), 1e9, 1e9, 3, 0, 0, signature);
    }

    function test_OnlyTheOrganizationNamesAStatement() public {
        agreed.verifier = verifier;
        toOpen();
        bytes memory signature = attest(account(0), 1e9, 1e9);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotOrganization.selector, stranger));
        settlement.contributionSubmit(account(0), 1e9, 1e9, 0, 0, keccak256("forged"), signature);

        int128 x = int128(expectedScore(0, Report(1e9, 1e9)));
        vm.expectEmit(address(settlement));
        emit ITradeFL.ContributionSubmitted(account(0), 1e9, 1e9, 0, x, keccak256("mine"));
        vm.prank(account(0));
        settlement.contributionSubmit(account(0), 1e9, 1e9, 0, 0, keccak256("mine"), signature);
    }

    function test_AProfileOfAllReportsNeedsNoDeadline() public {
        (agreed.arbiter, agreed.verifier) = (arbiter, verifier);
        toOpen();
        uint32[] memory d = new uint32[](4);
        uint64[] memory f = new uint64[](4);
        for (uint256 i = 0; i < 4; ++i) {
            (d[i], f[i]) = (reports[i].dataPpb, reports[i].cpuHz);
            report(i);
        }
        vm.warp(START + 1 hours);
        vm.expectEmit(address(settlement));
        emit ITradeFL.WindowClosing(ITradeFL.Phase.Open, START_BLOCK + 5);
        settlement.windowClose();
        vm.roll(START_BLOCK + 6);
        vm.expectEmit(address(settlement));
        emit ITradeFL.ProfileRecorded(d, f, START + 1 hours + 3 days);
        settlement.profileRecord();

        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Recorded));
        (,, uint256 disputes, uint256 ruling) = settlement.deadlines();
        assertEq(disputes, START + 1 hours + 3 days);
        assertEq(ruling, 0);
    }

    function test_AProfileWithASilentOrganizationWaitsForTheDeadline() public {
        toOpen();
        report(0);
        report(1);
        report(3);
        vm.warp(START + 2 days);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TooEarly.selector, START + 2 days));
        settlement.windowClose();
        vm.warp(START + 2 days + 1);
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.profileRecord();
        endWindow();
        settlement.profileRecord();

        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Recorded));
        assertEq(settlement.organization(2).score, expectedScore(2, Report(0, 0)));
        assertFalse(settlement.organization(2).reported);
    }

    function test_WithoutAnArbiterThereIsNoWindowForDisputes() public {
        toOpen();
        endWindow();
        vm.expectEmit(address(settlement));
        emit ITradeFL.ProfileRecorded(new uint32[](4), new uint64[](4), 0);
        settlement.profileRecord();
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.WrongPhase.selector, ITradeFL.Phase.Recorded));
        settlement.windowClose();
        settlement.payoffCalculate(0, pairBlocks()[0]);
    }

    function attested(uint256 i, uint32 d, uint64 f, uint64 serial, address sender) private {
        bytes memory signature = attest(account(i), d, f, serial, 0);
        vm.prank(sender);
        settlement.contributionSubmit(account(i), d, f, serial, 0, 0, signature);
    }

    function refuseSerial(uint256 i, uint32 d, uint64 f, uint64 serial, uint64 current) private {
        bytes memory signature = attest(account(i), d, f, serial, 0);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.StaleSerial.selector, current, serial));
        settlement.contributionSubmit(account(i), d, f, serial, 0, 0, signature);
    }

    function refuseReport(uint32 d, uint64 f, bytes memory reason) private {
        bytes memory signature;
        if (agreed.verifier != address(0)) signature = new bytes(65);
        vm.prank(account(0));
        vm.expectRevert(reason);
        settlement.contributionSubmit(account(0), d, f, 0, 0, 0, signature);
    }
}

/// @title Windows: a halted chain makes nobody late, at any time and for any duration.
abstract contract WindowTests is SettlementTest {
    uint256 private constant HALT = 10 * 365 days;

    constructor() {
        usualArbiter = arbiter;
    }

    function test_AClosingWindowIsNotClosedAgain() public {
        toOpen();
        vm.warp(START + 2 days + 1);
        settlement.windowClose();
        uint256 closedAt = progress().closedAt;
        assertEq(closedAt, START_BLOCK);
        vm.roll(START_BLOCK + 3);
        vm.expectRevert(ITradeFL.AlreadyClosing.selector);
        settlement.windowClose();
        vm.roll(START_BLOCK + 100);
        vm.expectRevert(ITradeFL.AlreadyClosing.selector);
        settlement.windowClose();
        assertEq(progress().closedAt, closedAt);
    }

    /// @dev The chain halts as soon as the window opens: its time is used up, but nobody has had a block.
    function test_AHaltAtTheStartOfTheReportWindow() public {
        toOpen();
        skip(HALT);
        settlement.windowClose();
        assertAllReportUpTo(START_BLOCK + 5);
    }

    /// @dev The chain halts shortly before the last second.
    function test_AHaltAtTheEndOfTheReportWindow() public {
        toOpen();
        skip(2 days - 1);
        vm.roll(START_BLOCK + 100_000); // a quiet week of blocks, which counts for nothing
        skip(HALT);
        settlement.windowClose();
        assertAllReportUpTo(START_BLOCK + 100_005);
    }

    /// @dev The chain halts between the two steps, and in the middle of the last blocks.
    function test_AHaltBetweenTheTwoSteps() public {
        toOpen();
        skip(2 days + 1);
        settlement.windowClose();
        skip(HALT);
        vm.roll(START_BLOCK + 3);
        skip(HALT);
        assertAllReportUpTo(START_BLOCK + 5);
    }

    function test_WithoutAnybodyToCloseItAWindowStaysOpen() public {
        toOpen();
        skip(HALT);
        vm.roll(START_BLOCK + 1e6);
        report(2);
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.profileRecord();
    }

    function test_AHaltInTheWindowForDisputes() public {
        toRecorded();
        uint256 start = vm.getBlockNumber();
        skip(HALT);
        dispute(0, 1);
        settlement.windowClose();
        skip(HALT);
        vm.roll(start + 5);
        dispute(1, 2); // in the last block
        vm.roll(start + 6);
        vm.expectRevert(ITradeFL.WindowOver.selector);
        dispute(2, 3);
    }

    function test_AHaltInTheWindowForRulings() public {
        toRecorded();
        dispute(0, 1);
        dispute(1, 2);
        endWindow();
        settlement.windowClose();
        uint256 start = vm.getBlockNumber();
        skip(HALT);
        ruling(1, 0, 0);
        settlement.windowClose();
        skip(HALT);
        vm.roll(start + 5);
        ruling(2, 0, 0); // in the last block
        assertEq(progress().openDisputes, 0);
    }

    function test_ARulingAfterItsWindowIsRefused() public {
        toRecorded();
        dispute(0, 1);
        endWindow();
        settlement.windowClose();
        endWindow();
        vm.expectRevert(ITradeFL.WindowOver.selector);
        ruling(1, 0, 0);
    }

    function test_AHaltInJoining() public {
        toJoining();
        uint256[] memory bonds = expectedBonds();
        deposit(0, bonds[0] + agreed.disputeStakeWei);
        skip(HALT);
        settlement.windowClose();
        skip(HALT);
        vm.roll(START_BLOCK + 5);
        for (uint256 i = 1; i < 4; ++i) {
            deposit(i, bonds[i] + agreed.disputeStakeWei);
        }
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Open));
    }

    /// @dev Whatever the number of last blocks: none of them is too late, and the next one is.
    function testFuzz_EveryOneOfTheLastBlocksIsOpen(uint32 blocks, uint32 passed, uint64 halt) public {
        blocks = uint32(bound(blocks, 1, type(uint32).max));
        passed = uint32(bound(passed, 0, blocks));
        agreed.closingBlocks = blocks;
        toOpen();
        skip(uint256(2 days) + 1 + halt % uint64(HALT));
        settlement.windowClose();
        uint256 last = START_BLOCK + uint256(blocks);
        vm.roll(START_BLOCK + passed);
        report(0);
        vm.roll(last);
        report(1);
        vm.roll(last + 1);
        vm.expectRevert(ITradeFL.WindowOver.selector);
        report(2);
        settlement.profileRecord();
    }

    function test_RulingsOpenByWindowCloseOnlyWhenThereIsADispute() public {
        toRecorded();
        endWindow();
        vm.expectRevert(ITradeFL.AlreadyClosing.selector);
        settlement.windowClose();
        settlement.payoffCalculate(0, pairBlocks()[0]);
    }

    function test_WhileItClosesTheWindowForDisputesDoesNotBecomeThatForRulings() public {
        toRecorded();
        dispute(0, 1);
        skip(3 days + 1);
        settlement.windowClose();
        vm.roll(progress().closedAt + 5);
        vm.expectRevert(ITradeFL.AlreadyClosing.selector);
        settlement.windowClose();
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        ruling(1, 0, 0);
        vm.roll(progress().closedAt + 6);
        vm.expectEmit(address(settlement));
        emit ITradeFL.RulingOpened(vm.getBlockTimestamp() + 4 days);
        settlement.windowClose();
        assertTrue(progress().rulingBegun);
        assertEq(progress().closedAt, 0);
        vm.expectRevert(ITradeFL.WindowOver.selector);
        dispute(0, 2);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TooEarly.selector, vm.getBlockTimestamp() + 4 days));
        settlement.windowClose();
    }

    function ruling(uint256 accused, uint32 d, uint64 f) private {
        vm.prank(arbiter);
        settlement.rule(account(accused), d, f);
    }

    function assertAllReportUpTo(uint256 last) private {
        for (uint256 i = 0; i < 3; ++i) {
            report(i);
            vm.expectRevert(ITradeFL.WindowOpen.selector);
            settlement.profileRecord();
        }
        vm.roll(last);
        report(3);
        vm.roll(last + 1);
        settlement.profileRecord();
        for (uint256 i = 0; i < 4; ++i) {
            assertTrue(settlement.organization(i).reported);
        }
        toSettled();
        int256[] memory r = expectedRedistributions();
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(settlement.organization(i).redistribution, r[i]);
        }
    }
}

/// @title Unanimous consent: an exit from every phase that has money in it.
abstract contract ConsentTests is SettlementTest {
    constructor() {
        usualArbiter = arbiter;
    }

    function test_ConsentInJoining() public {
        toJoining();
        assertAllConsent();
    }

    function test_ConsentInJoiningWithSomeDeposits() public {
        toJoining();
        uint256[] memory bonds = expectedBonds();
        deposit(1, bonds[1] + agreed.disputeStakeWei + 5);
        deposit(2, bonds[2] + agreed.disputeStakeWei);
        assertAllConsent();
    }

    function test_ConsentInOpen() public {
        toOpen();
        report(1);
        assertAllConsent();
    }

    function test_ConsentWhileAWindowCloses() public {
        toOpen();
        skip(2 days + 1);
        settlement.windowClose();
        assertAllConsent();
    }

    function test_ConsentInRecordedReturnsStakesToo() public {
        toRecorded();
        dispute(0, 1);
        dispute(1, 2);
        endWindow();
        vm.prank(arbiter);
        settlement.rule(account(1), 0, 0); // would have cost 1 its stake
        assertNotEq(settlement.organization(1).stakes, 0);
        assertAllConsent();
    }

    function test_ConsentInCalculated() public {
        toCalculated();
        assertNotEq(settlement.organization(0).redistribution, 0);
        assertAllConsent();
    }

    function test_ConsentsOfSeveralPhasesAddUp() public {
        toJoining();
        consent(0);
        toOpen();
        consent(3);
        toRecorded();
        consent(1);
        toCalculated();
        assertEq(progress().consents, 3);
        consent(2);
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Cancelled));
    }

    function test_ConsentIsGivenOnceAndNotTakenBack() public {
        toOpen();
        vm.expectEmit(address(settlement));
        emit ITradeFL.ConsentGiven(account(1));
        consent(1);
        assertTrue(settlement.organization(1).consented);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.AlreadyConsented.selector, account(1)));
        consent(1);
        assertEq(progress().consents, 1);
    }

    function test_ThreeOfFourAreNotAll() public {
        toOpen();
        for (uint256 i = 0; i < 3; ++i) {
            consent(i);
        }
        toSettled();
        int256[] memory r = expectedRedistributions();
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(settlement.organization(i).redistribution, r[i]);
            withdraw(i);
        }
    }

    function test_AStrangerDoesNotConsent() public {
        toOpen();
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
        settlement.consent();
        vm.prank(arbiter);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, arbiter));
        settlement.consent();
    }

    function consent(uint256 i) private {
        vm.prank(account(i));
        settlement.consent();
    }

    /// @dev All consent; everybody has what it brought.
    function assertAllConsent() private {
        for (uint256 i = 0; i < 4; ++i) {
            assertNotEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Cancelled));
            if (i == 3) {
                vm.expectEmit(address(settlement));
                emit ITradeFL.ConsentGiven(account(3));
                vm.expectEmit(address(settlement));
                emit ITradeFL.SettlementCancelled();
            }
            consent(i);
        }
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Cancelled));
        for (uint256 i = 0; i < 4; ++i) {
            ITradeFL.Account memory one = settlement.organization(i);
            if (!one.joined) continue;
            assertEq(settlement.creditOf(account(i)), one.deposit);
            withdraw(i);
            assertEq(account(i).balance, one.deposit);
            assertEq(settlement.creditOf(account(i)), 0);
        }
        assertEq(address(vault).balance, 0);
    }
}

/// @title Disputes, rulings and stakes.
abstract contract DisputeTests is SettlementTest {
    uint256 private constant STAKE = 1e15 + 7;

    int256[] private stakes; // what each must have won less lost

    constructor() {
        usualArbiter = arbiter;
        stakes = new int256[](4);
    }

    function test_ADisputeIsRaisedOnce() public {
        toRecorded();
        vm.expectEmit(address(settlement));
        emit ITradeFL.DisputeRaised(account(0), account(1));
        dispute(0, 1);

        assertTrue(settlement.organization(1).disputed);
        assertEq(settlement.organization(1).disputedBy, account(0));
        assertFalse(settlement.organization(1).ruled);
        assertEq(progress().openDisputes, 1);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.AlreadyDisputed.selector, account(1)));
        dispute(2, 1);
    }

    function test_NobodyDisputesItsOwnReport() public {
        toRecorded();
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.OwnReport.selector, account(1)));
        dispute(1, 1);
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
        (agreed.arbiter, agreed.disputeStakeWei) = (address(0), 0);
        toRecorded();
        vm.expectRevert(ITradeFL.NoArbiter.selector);
        dispute(0, 1);
    }

    function test_WithoutAnArbiterNobodyRules() public {
        (agreed.arbiter, agreed.disputeStakeWei) = (address(0), 0);
        toRecorded();
        vm.prank(arbiter);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotArbiter.selector, arbiter));
        settlement.rule(account(0), 0, 0);
    }

    function test_EachDisputeLocksAStake() public {
        toJoining();
        uint256 bond = expectedBonds()[0];
        deposit(0, bond + 2 * STAKE - 1);
        toRecorded();
        dispute(0, 1);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.StakeMissing.selector, STAKE, STAKE - 1));
        dispute(0, 2);
        dispute(1, 0);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.StakeMissing.selector, STAKE, 0));
        dispute(1, 2);
    }

    function test_AnOrganizationDisputesAsOftenAsItHasStakes() public {
        toJoining();
        deposit(0, expectedBonds()[0] + 3 * STAKE);
        toRecorded();
        for (uint256 i = 1; i < 4; ++i) {
            dispute(0, i);
        }
        assertEq(progress().openDisputes, 3);
    }

    // --- every outcome -------------------------------------------------------------------------------------------

    function test_ALowerScoreCostsTheAccusedItsStake() public {
        toRecorded();
        dispute(0, 1);
        int128 x = int128(expectedScore(1, Report(0.5e9, 1e9)));
        assertLt(x, settlement.organization(1).score);
        toRuling();
        vm.expectEmit(address(settlement));
        emit ITradeFL.DisputeRuled(account(1), 0.5e9, 1e9, x, account(1), STAKE);
        ruleFor(1, 0.5e9, 1e9);

        ITradeFL.Account memory one = settlement.organization(1);
        assertTrue(one.ruled && one.disputed);
        assertEq(one.dataPpb, 0.5e9);
        assertEq(one.cpuHz, 1e9);
        assertEq(one.score, x);
        assertEq(progress().openDisputes, 0);
        (stakes[0], stakes[1]) = (int256(STAKE), -int256(STAKE));
        assertSettlesAsExpected();
    }

    function test_AReportThatStandsCostsTheDisputerItsStake() public {
        toRecorded();
        dispute(0, 1);
        toRuling();
        int128 x = settlement.organization(1).score;
        vm.expectEmit(address(settlement));
        emit ITradeFL.DisputeRuled(account(1), reports[1].dataPpb, reports[1].cpuHz, x, account(0), STAKE);
        ruleFor(1, reports[1].dataPpb, reports[1].cpuHz);
        assertTrue(settlement.organization(1).ruled);
        (stakes[0], stakes[1]) = (-int256(STAKE), int256(STAKE));
        assertSettlesAsExpected();
    }

    function test_AStruckReportCostsTheAccusedItsStake() public {
        toRecorded();
        dispute(0, 1);
        int128 silence = int128(expectedScore(1, Report(0, 0)));
        assertLt(silence, settlement.organization(1).score);
        toRuling();
        vm.expectEmit(address(settlement));
        emit ITradeFL.DisputeRuled(account(1), 0, 0, silence, account(1), STAKE);
        ruleFor(1, 0, 0);
        assertEq(settlement.organization(1).score, silence);
        (stakes[0], stakes[1]) = (int256(STAKE), -int256(STAKE));
        assertSettlesAsExpected();
    }

    function test_AHigherScoreCostsNobody() public {
        reports[1] = Report(0.5e9, 1e9);
        toRecorded();
        dispute(0, 1);
        toRuling();
        int128 x = int128(expectedScore(1, Report(1e9, 3e9)));
        vm.expectEmit(address(settlement));
        emit ITradeFL.DisputeRuled(account(1), 1e9, 3e9, x, address(0), 0);
        ruleFor(1, 1e9, 3e9);
        assertSettlesAsExpected();
    }

    function test_ARulingSpeaksForASilentOrganization() public {
        reports[2] = Report(0, 0);
        toRecorded();
        dispute(2, 2);
        toRuling();
        ruleFor(2, 0.7e9, 2e9);
        assertEq(settlement.organization(2).score, expectedScore(2, Report(0.7e9, 2e9)));
        assertSettlesAsExpected();
    }

    function test_OthersMaySpeakForASilentOrganization() public {
        reports[2] = Report(0, 0);
        toRecorded();
        dispute(0, 2);
        toRuling();
        ruleFor(2, 0.7e9, 2e9);
        assertSettlesAsExpected();
    }

    function test_ASilenceThatStandsCostsWhoeverElseDisputedIt() public {
        reports[2] = Report(0, 0);
        toRecorded();
        dispute(0, 2);
        toRuling();
        ruleFor(2, 0, 0);
        (stakes[0], stakes[2]) = (-int256(STAKE), int256(STAKE));
        assertSettlesAsExpected();
    }

    function test_AnOwnSilenceThatStandsIsSharedByAllOthers() public {
        reports[2] = Report(0, 0);
        toRecorded();
        dispute(2, 2);
        toRuling();
        int256 share = int256(STAKE / 3); // a wei remains with the loser
        assertNotEq(STAKE % 3, 0);
        int128 silence = int128(expectedScore(2, Report(0, 0)));
        vm.expectEmit(address(settlement));
        emit ITradeFL.DisputeRuled(account(2), 0, 0, silence, account(2), uint256(3 * share));
        ruleFor(2, 0, 0);
        (stakes[0], stakes[1], stakes[3]) = (share, share, share);
        stakes[2] = -3 * share;
        assertSettlesAsExpected();
    }

    function test_TwoOwnSilencesThatStandAreShared() public {
        (reports[1], reports[2]) = (Report(0, 0), Report(0, 0));
        toRecorded();
        dispute(2, 2);
        dispute(1, 1);
        toRuling();
        ruleFor(2, 0, 0);
        ruleFor(1, 0, 0);
        int256 share = int256(STAKE / 3);
        (stakes[0], stakes[1], stakes[2], stakes[3]) = (2 * share, -2 * share, -2 * share, 2 * share);
        assertSettlesAsExpected();
    }

    function test_WithoutARulingInTimeStakesReturn() public {
        toRecorded();
        dispute(0, 1);
        dispute(1, 2);
        toFinalReports();
        assertSettlesAsExpected();
    }

    function test_ALoserWithoutEnoughPaysWhatItHasBeyondItsBond() public {
        toJoining();
        deposit(1, expectedBonds()[1] + STAKE + 11);
        toRecorded();
        dispute(1, 0); // locks its only stake
        dispute(2, 1);
        toRuling();
        ruleFor(1, 0, 0); // loses it as the accused
        int128 x = settlement.organization(0).score;
        vm.expectEmit(address(settlement));
        emit ITradeFL.DisputeRuled(account(0), reports[0].dataPpb, reports[0].cpuHz, x, account(1), 11);
        ruleFor(0, reports[0].dataPpb, reports[0].cpuHz); // and 11 wei are left for this
        stakes[1] = -int256(STAKE) - 11;
        stakes[2] = int256(STAKE);
        stakes[0] = 11;
        assertSettlesAsExpected();
        assertGe(settlement.creditOf(account(1)), 0);
    }

    function test_ALoserWithNothingLeftPaysNothing() public {
        toRecorded();
        dispute(1, 0);
        dispute(2, 1);
        toRuling();
        ruleFor(1, 0, 0);
        int128 x = settlement.organization(0).score;
        vm.expectEmit(address(settlement));
        emit ITradeFL.DisputeRuled(account(0), reports[0].dataPpb, reports[0].cpuHz, x, account(1), 0);
        ruleFor(0, reports[0].dataPpb, reports[0].cpuHz);
        (stakes[1], stakes[2]) = (-int256(STAKE), int256(STAKE));
        assertSettlesAsExpected();
    }

    function test_WonStakesAreNotAtRisk() public {
        toRecorded();
        dispute(0, 1);
        dispute(2, 0);
        toRuling();
        ruleFor(1, 0, 0); // 0 wins a stake
        ruleFor(0, 0, 0); // and loses its own, no more
        (stakes[0], stakes[1], stakes[2]) = (0, -int256(STAKE), int256(STAKE));
        assertSettlesAsExpected();
    }

    function test_AStakeOfZeroMovesNothing() public {
        agreed.disputeStakeWei = 0;
        toRecorded();
        for (uint256 i = 0; i < 4; ++i) {
            dispute((i + 1) % 4, i);
        }
        toRuling();
        for (uint256 i = 0; i < 4; ++i) {
            ruleFor(i, 0, 0);
        }
        assertSettlesAsExpected();
    }

    function test_TheLargestStakeIsForfeited() public {
        agreed.disputeStakeWei = 1e33;
        toRecorded();
        dispute(0, 1);
        toRuling();
        ruleFor(1, 0, 0);
        (stakes[0], stakes[1]) = (1e33, -1e33);
        assertSettlesAsExpected();
    }

    // --- rulings -------------------------------------------------------------------------------------------------

    function test_ARulingStaysWithinTheOrganizationsRange() public {
        toRecorded();
        dispute(0, 1);
        toRuling();
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
        toRuling();
        vm.prank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotArbiter.selector, account(0)));
        settlement.rule(account(1), 0, 0);
    }

    function test_ARulingNeedsADispute() public {
        toRecorded();
        dispute(0, 1);
        toRuling();
        vm.prank(arbiter);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotDisputed.selector, account(2)));
        settlement.rule(account(2), 0, 0);
        vm.prank(arbiter);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
        settlement.rule(stranger, 0, 0);
        assertFalse(progress().rulingBegun); // what was refused has opened nothing
    }

    function test_ARulingIsFinal() public {
        toRecorded();
        dispute(0, 1);
        dispute(0 + 2, 3);
        toRuling();
        ruleFor(1, 0, 0);
        vm.prank(arbiter);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotDisputed.selector, account(1)));
        settlement.rule(account(1), 1e9, 1e9);
    }

    function test_ARulingWaitsForTheWindowForDisputes() public {
        toRecorded();
        dispute(0, 1);
        vm.startPrank(arbiter);
        skip(30 days);
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.rule(account(1), 0, 0);
        settlement.windowClose();
        vm.roll(progress().closedAt + 5);
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.rule(account(1), 0, 0);
        vm.roll(progress().closedAt + 6);
        vm.expectEmit(address(settlement));
        emit ITradeFL.RulingOpened(vm.getBlockTimestamp() + 4 days);
        settlement.rule(account(1), 0, 0);
        assertTrue(progress().rulingBegun);
    }

    function test_WithoutADisputeTheCalculationWaitsForTheWindow() public {
        toRecorded();
        expectWindowOpenToCalculate();
        skip(30 days);
        expectWindowOpenToCalculate();
        settlement.windowClose();
        vm.roll(progress().closedAt + 5);
        expectWindowOpenToCalculate();
        vm.roll(progress().closedAt + 6);
        calculate();
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Calculated));
    }

    function test_AnOpenDisputeHoldsTheCalculationUntilTheRulingsAreOver() public {
        toRecorded();
        dispute(0, 1);
        dispute(1, 2);
        toRuling();
        expectWindowOpenToCalculate(); // the rulings have not begun
        skip(365 days);
        expectWindowOpenToCalculate();
        ruleFor(2, 0, 0);
        expectWindowOpenToCalculate();
        endWindow();
        vm.roll(progress().closedAt + 5);
        expectWindowOpenToCalculate();
        vm.roll(progress().closedAt + 6);
        calculate();

        // no ruling in time: the report of 1 stands
        (stakes[1], stakes[2]) = (int256(STAKE), -int256(STAKE));
        assertSettlesAsExpected();
    }

    function test_WithEveryDisputeRuledTheCalculationWaitsForNothing() public {
        toRecorded();
        dispute(0, 1);
        dispute(1, 2);
        assertEq(progress().openDisputes, 2);
        toRuling();
        ruleFor(1, 0, 0);
        expectWindowOpenToCalculate();
        ruleFor(2, 0, 0);
        calculate();
        (stakes[0], stakes[1], stakes[2]) = (int256(STAKE), 0, -int256(STAKE));
        assertSettlesAsExpected();
    }

    function test_EveryReportMayBeDisputed() public {
        toRecorded();
        for (uint256 i = 0; i < 4; ++i) {
            dispute(3 - i, i);
        }
        assertEq(progress().openDisputes, 4);
        toRuling();
        for (uint256 i = 0; i < 4; ++i) {
            ruleFor(i, 0, 0);
        }
        assertEq(progress().openDisputes, 0);
        calculate();
        assertSettlesAsExpected(); // each has lost a stake and won one
    }

    /// @dev Until the arbiter may rule.
    function toRuling() private {
        endWindow();
    }

    /// @dev Rules, and takes the ruling into what is expected.
    function ruleFor(uint256 accused, uint32 d, uint64 f) private {
        (reports[accused].dataPpb, reports[accused].cpuHz) = (d, f);
        vm.prank(arbiter);
        settlement.rule(account(accused), d, f);
    }

    function calculate() private {
        settlement.payoffCalculate(0, pairBlocks()[0]);
    }

    function expectWindowOpenToCalculate() private {
        bytes memory matrix = pairBlocks()[0];
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.payoffCalculate(0, matrix);
    }

    /// @dev Everybody is paid deposit + R + stakes, and says so beforehand.
    function assertSettlesAsExpected() private {
        toCalculated();
        int256[] memory r = expectedRedistributions();
        int256 sum = 0;
        for (uint256 i = 0; i < 4; ++i) {
            ITradeFL.Account memory one = settlement.organization(i);
            assertEq(one.redistribution, r[i]);
            assertEq(one.stakes, stakes[i]);
            sum += stakes[i];
            uint256 credit = uint256(int256(uint256(one.deposit)) + r[i] + stakes[i]);
            vm.expectEmit(address(settlement));
            emit ITradeFL.PayoffTransferred(account(i), one.deposit, r[i], stakes[i], credit);
        }
        assertEq(sum, 0);
        settlement.payoffTransfer();
        uint256 left = 0;
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(settlement.creditOf(account(i)), vault.locked(address(settlement), account(i)));
            left += settlement.creditOf(account(i));
        }
        assertEq(address(vault).balance, left);
    }
}

/// @title The calculation, the transfer and the withdrawals.
abstract contract SettlingTests is SettlementTest {
    function test_AWithdrawalIsMadeOnce() public {
        toSettled();
        withdraw(0);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, account(0)));
        withdraw(0);
    }

    function test_AStrangerWithdrawsNothingAndHasNoCredit() public {
        toSettled();
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, stranger));
        vm.prank(stranger);
        vault.withdraw(address(settlement));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
        settlement.creditOf(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
        settlement.indexOf(stranger);
    }

    function test_AWithdrawalGoesWhereItsOwnerSays() public {
        toSettled();
        uint256 credit = settlement.creditOf(account(0));
        vm.expectEmit(address(settlement));
        emit ITradeFL.Withdrawn(account(0), stranger, credit);
        vm.prank(account(0));
        vault.withdrawTo(address(settlement), stranger);
        assertEq(stranger.balance, credit);
        assertTrue(settlement.organization(0).withdrawn);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, account(0)));
        withdraw(0);
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

    function test_255BlocksOfPairsSettle() public {
        prepare(51); // 1,275 pairs
        agreed.pairsPerBlock = 5;
        assertEveryBlockCounts(255);
    }

    /// @dev All bits of a word: the most.
    function test_256BlocksOfPairsSettle() public {
        prepare(72); // 2,556 pairs
        agreed.pairsPerBlock = 10;
        assertEveryBlockCounts(256);
    }

    function assertEveryBlockCounts(uint256 count) private noGasMetering {
        toRecorded();
        bytes[] memory blocks = pairBlocks();
        assertEq(blocks.length, count);
        assertEq(progress().published, type(uint256).max >> (256 - count));
        for (uint256 b = count; b > 0; --b) {
            assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Recorded));
            settlement.payoffCalculate(b - 1, blocks[b - 1]);
        }
        assertEq(progress().calculated, progress().published);
        assertEq(uint8(settlement.phase()), uint8(ITradeFL.Phase.Calculated));
        assertRedistributions();
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
        assertEq(address(vault).balance, 0);
    }

    function test_AnUnbalancedLedgerMovesNoMoney() public {
        toCalculated();
        bytes32 slot = moneySlot(0);
        uint256 word = uint256(vm.load(address(settlement), slot));
        vm.store(address(settlement), slot, bytes32(word + (1 << 112))); // R_0 one wei up

        vm.expectRevert(abi.encodeWithSelector(IVault.NotConserved.selector, int256(1)));
        settlement.payoffTransfer();
        vm.store(address(settlement), slot, bytes32(word - (1 << 112)));
        vm.expectRevert(abi.encodeWithSelector(IVault.NotConserved.selector, int256(-1)));
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
        return progress().calculated;
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
        uint256 joining = bit(ITradeFL.Phase.Joining);
        uint256 open = bit(ITradeFL.Phase.Open);
        uint256 recorded = bit(ITradeFL.Phase.Recorded);
        uint256 calculated = bit(ITradeFL.Phase.Calculated);
        add(abi.encodeCall(ITradeFL.cancel, ()), joining);
        add(abi.encodeCall(ISettlement.depositAccept, (account(0), 1 ether, agreementHash())), joining);
        add(abi.encodeCall(ITradeFL.windowClose, ()), joining | open | recorded);
        add(abi.encodeCall(ITradeFL.consent, ()), joining | open | recorded | calculated);
        add(abi.encodeCall(ITradeFL.propose, (1e9, 1e9)), joining | open);
        add(abi.encodeCall(ITradeFL.contributionSubmit, (account(0), 1e9, 1e9, 0, 0, 0, "")), open);
        add(abi.encodeCall(ITradeFL.profileRecord, ()), open);
        add(abi.encodeCall(ITradeFL.disputeRaise, (account(1))), recorded);
        add(abi.encodeCall(ITradeFL.rule, (account(1), 0, 0)), recorded);
        add(abi.encodeCall(ITradeFL.payoffCalculate, (0, pairBlocks()[0])), recorded | calculated);
        add(abi.encodeCall(ITradeFL.payoffTransfer, ()), calculated);
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
            // What only the vault may call comes from the vault.
            bool vaults = bytes4(calls[k]) == ISettlement.depositAccept.selector;
            vm.prank(vaults ? address(vault) : account(0));
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
        toJoining();
        assertDeadlines(0, 0, 0, 0);
        skip(7 days); // nobody has deposited: no time runs
        deposit(1, expectedBonds()[1]);
        uint256 start = START + 7 days;
        assertDeadlines(start + 1 days, 0, 0, 0);
        skip(1 hours);
        toOpen();
        assertDeadlines(start + 1 days, start + 1 hours + 2 days, 0, 0);
        toRecorded();
        assertDeadlines(start + 1 days, start + 1 hours + 2 days, start + 1 hours + 3 days, 0);
        dispute(0, 1);
        endWindow();
        assertDeadlines(start + 1 days, start + 1 hours + 2 days, start + 1 hours + 3 days, 0);
        settlement.windowClose();
        assertDeadlines(
            start + 1 days,
            start + 1 hours + 2 days,
            start + 1 hours + 3 days,
            vm.getBlockTimestamp() + 4 days
        );
    }

    function test_ProgressStartsAtZeroAndEndsComplete() public {
        draft();
        assertProgress(Progress(false, 0, 0, 0, 0, 0, 0, 0, 0, false));
        toJoining();
        assertProgress(Progress(true, 4, 1, 0, 0, 0, 0, 0, 0, false));
        toOpen();
        assertProgress(Progress(true, 4, 1, 4, 0, 0, 0, 0, 0, false));
        for (uint256 i = 0; i < 4; ++i) {
            report(i);
        }
        settlement.windowClose();
        assertProgress(Progress(true, 4, 1, 4, 4, 0, 0, START_BLOCK, 0, false));
        toRecorded();
        assertProgress(Progress(true, 4, 1, 4, 4, 0, 0, 0, 0, false));
        vm.prank(account(2));
        settlement.consent();
        toCalculated();
        assertProgress(Progress(true, 4, 1, 4, 4, 0, 1, 0, 1, false));
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

    function assertProgress(Progress memory expected) private view {
        assertEq(abi.encode(progress()), abi.encode(expected));
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
contract SettlementCourtTest is DisputeTests, WindowTests, ConsentTests, PhaseTests, Linear {}

contract EfficientSettlementCourtTest is DisputeTests, WindowTests, ConsentTests, PhaseTests, Efficient {}
