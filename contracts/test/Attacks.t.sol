// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ITradeFL} from "../src/ITradeFL.sol";
import {Settlement} from "../src/Settlement.sol";
import {Efficient} from "./support/Efficient.sol";
import {Linear} from "./support/Linear.sol";
import {SettlementTest} from "./support/SettlementTest.sol";

/// @title An organization that calls back when it is paid, and keeps what it was answered.
contract ReentrantOrganization {
    bytes[] public calls;
    bytes[] public answers;
    bool public anySucceeded;

    function plan(bytes calldata call_) external {
        calls.push(call_);
    }

    receive() external payable {
        callBack();
    }

    function callBack() private {
        for (uint256 k = 0; k < calls.length; ++k) {
            (bool done, bytes memory answer) = msg.sender.call(calls[k]);
            anySucceeded = anySucceeded || done;
            answers.push(answer);
        }
    }
}

/// @title An organization that does not take ether, until it changes its mind.
contract RefusingOrganization {
    error NotToday();

    bool public willing;
    bool public silent;

    function behave(bool willing_, bool silent_) external {
        (willing, silent) = (willing_, silent_);
    }

    receive() external payable {
        if (!willing) refuse();
    }

    function refuse() private view {
        if (silent) revert();
        revert NotToday();
    }
}

/// @title Attacks on the money: who is paid, how often, and by whom.
abstract contract MoneyAttacks is SettlementTest {
    function test_ReentrancyIntoWithdrawPaysOnce() public {
        ReentrantOrganization attacker = new ReentrantOrganization();
        attacker.plan(abi.encodeCall(ITradeFL.withdraw, ()));
        organizations[0].account = address(attacker);
        toSettled();
        uint256 credit = settlement.creditOf(address(attacker));

        withdraw(0);

        assertFalse(attacker.anySucceeded());
        assertEq(
            attacker.answers(0), abi.encodeWithSelector(ReentrancyGuard.ReentrancyGuardReentrantCall.selector)
        );
        assertEq(address(attacker).balance, credit);
        assertEverybodyElseIsPaid(0);
    }

    function test_ReentrancyIntoEveryOtherCallIsRefused() public {
        ReentrantOrganization attacker = new ReentrantOrganization();
        organizations[0].account = address(attacker);
        attacker.plan(abi.encodeCall(ITradeFL.annexPublish, (annex)));
        attacker.plan(abi.encodeCall(ITradeFL.organizationsPublish, (0, organizationBlocks()[0])));
        attacker.plan(abi.encodeCall(ITradeFL.pairsPublish, (0, pairBlocks()[0])));
        attacker.plan(abi.encodeCall(ITradeFL.cancel, ()));
        attacker.plan(abi.encodeCall(ITradeFL.depositSubmit, (agreementHash())));
        attacker.plan(abi.encodeCall(ITradeFL.propose, (1e9, 1e9)));
        attacker.plan(abi.encodeCall(ITradeFL.contributionSubmit, (1e9, 1e9, 0, "")));
        attacker.plan(abi.encodeCall(ITradeFL.profileRecord, ()));
        attacker.plan(abi.encodeCall(ITradeFL.disputeRaise, (account(1))));
        attacker.plan(abi.encodeCall(ITradeFL.rule, (account(1), 0, 0)));
        attacker.plan(abi.encodeCall(ITradeFL.payoffCalculate, (0, pairBlocks()[0])));
        attacker.plan(abi.encodeCall(ITradeFL.payoffTransfer, ()));
        toSettled();

        withdraw(0);

        assertFalse(attacker.anySucceeded());
        bytes memory wrongPhase = abi.encodeWithSelector(ITradeFL.WrongPhase.selector, ITradeFL.Phase.Settled);
        for (uint256 k = 0; k < 12; ++k) {
            assertEq(attacker.answers(k), wrongPhase, vm.toString(k));
        }
        assertEverybodyElseIsPaid(0);
    }

    function test_ReentrancyAfterCancellationReturnsTheDepositOnce() public {
        ReentrantOrganization attacker = new ReentrantOrganization();
        attacker.plan(abi.encodeCall(ITradeFL.withdraw, ()));
        organizations[0].account = address(attacker);
        toJoining();
        uint256[] memory bonds = expectedBonds();
        deposit(0, bonds[0]);
        deposit(1, bonds[1]);
        toCancelled();

        withdraw(0);

        assertFalse(attacker.anySucceeded());
        assertEq(address(attacker).balance, bonds[0]);
        assertEq(address(settlement).balance, bonds[1]);
    }

    function test_AnOrganizationThatRefusesEtherHurtsOnlyItself() public {
        RefusingOrganization refusing = new RefusingOrganization();
        organizations[1].account = address(refusing);
        toSettled();
        uint256 credit = settlement.creditOf(address(refusing));

        vm.expectRevert(RefusingOrganization.NotToday.selector);
        withdraw(1);
        refusing.behave(false, true);
        vm.expectRevert(Errors.FailedCall.selector);
        withdraw(1);

        assertEverybodyElseIsPaid(1);
        assertEq(address(settlement).balance, credit);
        assertEq(settlement.creditOf(address(refusing)), credit);
        refusing.behave(true, false);
        withdraw(1);
        assertEq(address(refusing).balance, credit);
    }

    function test_ForcedEtherIsNobodys() public {
        toOpen();
        forceEther(3 ether);
        vm.deal(address(settlement), address(settlement).balance + 2 ether); // as a block reward would
        toSettled();
        assertEverybodyElseIsPaid(type(uint256).max);
        assertEq(address(settlement).balance, 5 ether);
    }

    function test_EtherForcedInBeforeJoiningIsNoDeposit() public {
        toJoining();
        forceEther(100 ether);
        uint256 bond = expectedBonds()[0];
        bytes32 hash = agreementHash();
        vm.prank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.DepositBelowBond.selector, bond, 0));
        settlement.depositSubmit(hash);
    }

    function test_PlainEtherIsRefused() public {
        toOpen();
        vm.deal(account(0), 1 ether);
        vm.startPrank(account(0));
        (bool done,) = address(settlement).call{value: 1}("");
        assertFalse(done);
        (done,) = address(settlement).call{value: 1}(hex"12345678");
        assertFalse(done);
        (done,) = address(settlement).call{value: 1}(abi.encodeCall(ITradeFL.propose, (1e9, 1e9)));
        assertFalse(done);
        (done,) = address(settlement).call(abi.encodeCall(ITradeFL.propose, (1e9, 1e9)));
        assertTrue(done);
    }

    function test_ADepositOneWeiShortOfTheBondIsRefused() public {
        toJoining();
        uint256[] memory bonds = expectedBonds();
        bytes32 hash = agreementHash();
        for (uint256 i = 0; i < 4; ++i) {
            vm.deal(account(i), bonds[i]);
            vm.prank(account(i));
            vm.expectRevert(
                abi.encodeWithSelector(ITradeFL.DepositBelowBond.selector, bonds[i], bonds[i] - 1)
            );
            settlement.depositSubmit{value: bonds[i] - 1}(hash);
        }
        assertEq(address(settlement).balance, 0);
    }

    function test_ADepositIsNotTakenTwice() public {
        toJoining();
        uint256 bond = expectedBonds()[0];
        bytes32 hash = agreementHash();
        deposit(0, bond);
        vm.deal(account(0), bond);
        vm.prank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.AlreadyJoined.selector, account(0)));
        settlement.depositSubmit{value: bond}(hash);
        assertEq(address(settlement).balance, bond);
    }

    function test_ACreditIsNotPaidTwice() public {
        toSettled();
        uint256 left = address(settlement).balance - settlement.creditOf(account(0));
        withdraw(0);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NothingToWithdraw.selector, account(0)));
        withdraw(0);
        assertEq(address(settlement).balance, left);
    }

    function test_ASilentOrganizationPaysInFullAndBlocksNothing() public {
        for (uint256 i = 0; i < 4; ++i) {
            reports[i] = i == 3 ? Report(0, 0) : Report(1e9, 3e9); // all that each has
        }
        toSettled();
        uint256 bond = expectedBonds()[3];
        int256 bill = -settlement.organization(3).redistribution;
        assertGt(bill, 0);
        // the whole bond, but for what is lost to rounding
        assertLe(bill, int256(bond));
        assertGe(bill, int256(bond) - int256(bondSlack()));
        assertEverybodyElseIsPaid(3);
        assertEq(address(settlement).balance, bond - uint256(bill));
    }

    function test_SilenceOfEverybodySettlesAsAnyProfile() public {
        for (uint256 i = 0; i < 4; ++i) {
            reports[i] = Report(0, 0);
        }
        assertSettles();
    }

    function test_AnOrganizationThatNeverJoinsHoldsNobodysDeposit() public {
        toJoining();
        uint256[] memory bonds = expectedBonds();
        for (uint256 i = 1; i < 4; ++i) {
            deposit(i, bonds[i]);
        }
        toCancelled();
        for (uint256 i = 1; i < 4; ++i) {
            withdraw(i);
            assertEq(account(i).balance, bonds[i]);
        }
    }

    function forceEther(uint256 amount) private {
        // PUSH20 settlement, SELFDESTRUCT
        bytes memory code = abi.encodePacked(hex"73", address(settlement), hex"ff");
        vm.deal(address(this), amount);
        uint256 before = address(settlement).balance;
        assembly ("memory-safe") {
            pop(create(amount, add(code, 32), mload(code)))
        }
        assertEq(address(settlement).balance, before + amount);
    }

    /// @dev Everybody but one withdraws, and has deposit + R, to the wei of the plain double loop.
    function assertEverybodyElseIsPaid(uint256 but) internal {
        int256[] memory r = expectedRedistributions();
        for (uint256 i = 0; i < agreed.size; ++i) {
            if (i == but) continue;
            withdraw(i);
            assertEq(int256(account(i).balance), int256(uint256(settlement.organization(i).deposit)) + r[i]);
        }
    }

    function assertSettles() internal {
        toSettled();
        assertEverybodyElseIsPaid(type(uint256).max);
        assertEq(address(settlement).balance, 0);
    }
}

/// @title Attacks on the reports: whose they are, who signed them, and when.
abstract contract ReportAttacks is SettlementTest {
    uint256 private constant CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    constructor() {
        usualVerifier = verifier;
    }

    function test_ARivalCannotOverwriteAReport() public {
        toOpen();
        report(1);
        bytes memory before = abi.encode(settlement.organization(1));
        report(0);
        assertEq(abi.encode(settlement.organization(1)), before);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.AlreadyReported.selector, account(0)));
        report(0);
    }

    function test_AnOrganizationCannotChangeItsReport() public {
        toOpen();
        report(1);
        reports[1].cpuHz = 3e9; // with a fresh signature
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.AlreadyReported.selector, account(1)));
        report(1);
    }

    function test_ASignatureIsUsedOnce() public {
        toOpen();
        bytes memory signature = attest(account(1), 1e9, 1e9);
        submit(1, 1e9, 1e9, signature);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.AlreadyReported.selector, account(1)));
        submit(1, 1e9, 1e9, signature);
    }

    function test_ASignatureForAnotherOrganizationIsRefused() public {
        toOpen();
        refuse(0, 1e9, 1e9, attest(account(1), 1e9, 1e9));
    }

    function test_ASignatureForOtherFiguresIsRefused() public {
        toOpen();
        bytes memory signature = attest(account(0), 0.5e9, 1e9);
        refuse(0, 1e9, 1e9, signature);
        refuse(0, 0.5e9, 2e9, signature);
        submit(0, 0.5e9, 1e9, signature);
    }

    function test_AReportCopiedFromTheMempoolIsWorthNothing() public {
        toOpen();
        bytes memory signature = attest(account(1), 1e9, 3e9);
        bytes memory copied = abi.encodeCall(ITradeFL.contributionSubmit, (1e9, 3e9, 0, signature));

        vm.prank(stranger);
        (bool done, bytes memory answer) = address(settlement).call(copied);
        assertFalse(done);
        assertEq(answer, abi.encodeWithSelector(ITradeFL.NotListed.selector, stranger));
        vm.prank(account(0));
        (done, answer) = address(settlement).call(copied);
        assertFalse(done);
        assertEq(answer, abi.encodeWithSelector(ITradeFL.InvalidAttestation.selector));

        submit(1, 1e9, 3e9, signature);
        assertTrue(settlement.organization(1).reported);
    }

    function test_ASignatureOfAnotherChainIsRefused() public {
        toOpen();
        bytes memory signature = attest(account(0), 1e9, 1e9);
        vm.chainId(block.chainid + 1);
        refuse(0, 1e9, 1e9, signature);
        submit(0, 1e9, 1e9, attest(account(0), 1e9, 1e9));
    }

    function test_ASignatureForAnotherContractIsRefused() public {
        toOpen();
        bytes memory signature = attest(account(0), 1e9, 1e9);
        Settlement first = settlement;
        delete settlement;
        toOpen();
        assertEq(settlement.agreementHash(), first.agreementHash());
        refuse(0, 1e9, 1e9, signature);
    }

    function test_AnotherSignerIsRefused() public {
        toOpen();
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(7, settlement.attestationDigest(account(0), 1e9, 1e9));
        refuse(0, 1e9, 1e9, abi.encodePacked(r, s, v));
    }

    function test_TheMirroredSignatureIsRefused() public {
        toOpen();
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(VERIFIER_KEY, settlement.attestationDigest(account(0), 1e9, 1e9));
        bytes32 mirrored = bytes32(CURVE_ORDER - uint256(s));
        assertEq(ecrecover(settlement.attestationDigest(account(0), 1e9, 1e9), 55 - v, r, mirrored), verifier);
        refuse(0, 1e9, 1e9, abi.encodePacked(r, mirrored, 55 - v));
    }

    function test_MalformedSignaturesAreRefused() public {
        toOpen();
        bytes memory signature = attest(account(0), 1e9, 1e9);
        refuse(0, 1e9, 1e9, "");
        refuse(0, 1e9, 1e9, bytes.concat(signature, hex"00"));
        refuse(0, 1e9, 1e9, new bytes(64));
        refuse(0, 1e9, 1e9, new bytes(65)); // recovers to the zero address
        signature[64] = bytes1(uint8(signature[64]) - 27);
        refuse(0, 1e9, 1e9, signature);
    }

    function test_TheZeroAddressIsNoVerifier() public {
        agreed.verifier = address(0);
        toOpen();
        submit(0, 1e9, 1e9, new bytes(65)); // no verifier: taken as it comes, not because zero signed it
        agreed.verifier = verifier;
        delete settlement;
        toOpen();
        refuse(0, 1e9, 1e9, new bytes(65));
    }

    function test_TheCalculationDoesNotComeBeforeTheProfileIsFrozen() public {
        toOpen();
        for (uint256 i = 0; i < 4; ++i) {
            report(i);
        }
        bytes memory matrix = pairBlocks()[0];
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.WrongPhase.selector, ITradeFL.Phase.Open));
        settlement.payoffCalculate(0, matrix);
        settlement.profileRecord();
        vm.prank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.WrongPhase.selector, ITradeFL.Phase.Recorded));
        settlement.contributionSubmit(1e9, 1e9, 0, "");
    }

    function test_TheCalculationDoesNotComeBeforeTheDisputeWindowEnds() public {
        agreed.arbiter = arbiter;
        toRecorded();
        (,, uint256 deadline,) = settlement.deadlines();
        bytes memory matrix = pairBlocks()[0];
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TooEarly.selector, deadline));
        settlement.payoffCalculate(0, matrix);
    }

    function test_DisputingEverythingOnlyCostsTheRulingWindow() public {
        agreed.arbiter = arbiter;
        toRecorded();
        (,, uint256 deadline, uint256 last) = settlement.deadlines();
        vm.warp(deadline);
        vm.startPrank(account(3));
        for (uint256 i = 0; i < 4; ++i) {
            settlement.disputeRaise(account(i));
        }
        vm.stopPrank();
        vm.warp(last + 1);
        settlement.payoffCalculate(0, pairBlocks()[0]);
        int256[] memory r = expectedRedistributions();
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(settlement.organization(i).redistribution, r[i]);
        }
    }

    function test_ADepositForAnotherAgreementIsRefused() public {
        toJoining();
        bytes32 hash = agreementHash();
        agreed.weiPerPayoff += 1; // its own file says otherwise
        bytes32 own = agreementHash();
        vm.prank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.HashMismatch.selector, hash, own));
        settlement.depositSubmit(own);
    }

    function submit(uint256 i, uint32 d, uint64 f, bytes memory signature) private {
        vm.prank(account(i));
        settlement.contributionSubmit(d, f, 0, signature);
    }

    function refuse(uint256 i, uint32 d, uint64 f, bytes memory signature) private {
        vm.prank(account(i));
        vm.expectRevert(ITradeFL.InvalidAttestation.selector);
        settlement.contributionSubmit(d, f, 0, signature);
    }
}

/// @title Attacks on the roles: what a stranger, the deployer, the verifier and the arbiter cannot do.
abstract contract RoleAttacks is SettlementTest {
    constructor() {
        (usualVerifier, usualArbiter) = (verifier, arbiter);
    }

    function test_AStrangerCanDoNothingOfItsOwn() public {
        assertPowerlessThroughoutALife(stranger);
    }

    function test_TheDeployerHasNoPrivilege() public {
        assertPowerlessThroughoutALife(address(this));
    }

    function test_TheVerifierOnlySigns() public {
        assertPowerlessThroughoutALife(verifier);
    }

    function test_TheArbiterTouchesNoMoney() public {
        toRecorded();
        vm.prank(account(0));
        settlement.disputeRaise(account(1));
        vm.startPrank(arbiter);
        expectNotListed(arbiter);
        settlement.disputeRaise(account(2));
        skip(agreed.disputeSeconds + 1);
        settlement.rule(account(1), 0, 0);
        reports[1] = Report(0, 0);
        vm.stopPrank();
        toSettled();
        uint256 total = address(settlement).balance;
        vm.prank(arbiter);
        expectNotListed(arbiter);
        settlement.withdraw();
        assertEq(address(settlement).balance, total);
    }

    function test_TheArbiterRaisesNobodysBillAboveItsBond() public {
        for (uint256 i = 0; i < 4; ++i) {
            reports[i] = Report(1e9, 3e9);
        }
        reports[0] = Report(1e7, 1e9);
        toRecorded();
        vm.prank(account(1));
        settlement.disputeRaise(account(0));
        skip(agreed.disputeSeconds + 1);
        vm.prank(arbiter);
        settlement.rule(account(0), 0, 0);
        toSettled();
        assertLe(-settlement.organization(0).redistribution, int256(expectedBonds()[0]));
    }

    function test_AStrangerMayCarryOnButChangesNothing() public {
        vm.deal(stranger, 1 ether);
        draft();
        vm.startPrank(stranger);
        settlement.annexPublish(annex);
        settlement.organizationsPublish(0, organizationBlocks()[0]);
        settlement.pairsPublish(0, pairBlocks()[0]);
        vm.stopPrank();
        toOpen();
        for (uint256 i = 0; i < 4; ++i) {
            report(i);
        }
        vm.prank(stranger);
        settlement.profileRecord();
        (,, uint256 deadline,) = settlement.deadlines();
        vm.warp(deadline + 1);
        vm.startPrank(stranger);
        settlement.payoffCalculate(0, pairBlocks()[0]);
        settlement.payoffTransfer();
        vm.stopPrank();

        int256[] memory r = expectedRedistributions();
        uint256[] memory bonds = expectedBonds();
        for (uint256 i = 0; i < 4; ++i) {
            withdraw(i);
            assertEq(int256(account(i).balance), int256(bonds[i]) + r[i]);
        }
        assertEq(stranger.balance, 1 ether);
    }

    function test_AStrangerCannotCancelWhatIsUnderWay() public {
        toOpen();
        vm.warp(START + 365 days);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.WrongPhase.selector, ITradeFL.Phase.Open));
        settlement.cancel();
    }

    function test_AnOrganizationMayBeTheVerifier() public {
        organizations[2].account = verifier;
        toSettled();
        assertPaidAsExpected();
    }

    function test_AnOrganizationMayBeTheArbiter() public {
        organizations[2].account = arbiter;
        toRecorded();
        vm.startPrank(arbiter);
        settlement.disputeRaise(account(0));
        settlement.disputeRaise(arbiter);
        skip(agreed.disputeSeconds + 1);
        settlement.rule(account(0), 0, 0);
        settlement.rule(arbiter, 1e9, 3e9);
        vm.stopPrank();
        reports[0] = Report(0, 0);
        reports[2] = Report(1e9, 3e9);
        toSettled();
        assertPaidAsExpected();
    }

    function test_AnOrganizationIsNotTheArbiterOfItsOwnCase() public {
        toRecorded();
        vm.startPrank(account(0));
        settlement.disputeRaise(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotArbiter.selector, account(0)));
        settlement.rule(account(0), 1e9, 3e9);
    }

    /// @dev In the phase where each belongs, every call that needs a role is refused.
    function assertPowerlessThroughoutALife(address who) private {
        toJoining();
        bytes32 hash = agreementHash();
        vm.deal(who, 10 ether);
        vm.startPrank(who);
        expectNotListed(who);
        settlement.depositSubmit{value: 10 ether}(hash);
        expectNotListed(who);
        settlement.propose(1e9, 1e9);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TooEarly.selector, START + 1 days));
        settlement.cancel();
        vm.stopPrank();

        toOpen();
        bytes memory signature = attest(who, 1e9, 1e9);
        vm.startPrank(who);
        expectNotListed(who);
        settlement.contributionSubmit(1e9, 1e9, 0, signature);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TooEarly.selector, START + 2 days));
        settlement.profileRecord();
        vm.stopPrank();

        toRecorded();
        vm.prank(account(0));
        settlement.disputeRaise(account(1));
        vm.startPrank(who);
        expectNotListed(who);
        settlement.disputeRaise(account(2));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotArbiter.selector, who));
        settlement.rule(account(1), 0, 0);
        vm.stopPrank();

        toSettled();
        vm.prank(who);
        expectNotListed(who);
        settlement.withdraw();
        assertEq(who.balance, 10 ether);
        assertPaidAsExpected();
    }

    function expectNotListed(address who) private {
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, who));
    }

    function assertPaidAsExpected() private {
        int256[] memory r = expectedRedistributions();
        uint256[] memory bonds = expectedBonds();
        for (uint256 i = 0; i < 4; ++i) {
            withdraw(i);
            assertEq(int256(account(i).balance), int256(bonds[i]) + r[i]);
        }
        assertEq(address(settlement).balance, 0);
    }
}

contract MoneyAttacksTest is MoneyAttacks, Linear {
    function test_SilenceOfEverybodyReturnsEveryDeposit() public {
        for (uint256 i = 0; i < 4; ++i) {
            reports[i] = Report(0, 0);
        }
        toSettled();
        uint256[] memory bonds = expectedBonds();
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(settlement.creditOf(account(i)), bonds[i]);
        }
    }

    function test_ZeroGammaMovesNoMoney() public {
        agreed.gamma = 0;
        toJoining();
        deposit(0, 0);
        deposit(1, 5);
        deposit(2, 0);
        deposit(3, 7);
        toSettled();
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(settlement.organization(i).redistribution, 0);
            withdraw(i);
        }
        assertEq(account(0).balance, 0);
        assertEq(account(1).balance, 5);
        assertEq(account(3).balance, 7);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NothingToWithdraw.selector, account(0)));
        withdraw(0);
    }

    function test_TheLargestContributionsAndDepositsSettle() public {
        // X up to within 1e9 of 2^96, and the gamma that makes the bond reach the largest deposit
        prepare(2);
        prepareLargestCap(0);
        prepareLargestCap(1);
        rho[0] = 1e9;
        agreed.gamma = uint128(uint256(type(uint112).max) * 1e27 / largestCap());
        reports[0] = Report(1e9, (1 << 48) - 1);
        reports[1] = Report(0, 0);
        toJoining();
        assertGt(expectedBonds()[0], type(uint112).max - 1e5);
        deposit(0, type(uint112).max);
        deposit(1, type(uint112).max);
        assertSettles();
        assertLt(account(1).balance, 1e5);
    }

    function test_TheLargestGammaSettles() public {
        prepare(3);
        agreed.gamma = type(uint128).max;
        for (uint256 k = 0; k < 3; ++k) {
            rho[k] = 1e9;
            // two such rivals reach the largest deposit
            organizations[k].dataBits = uint64(uint256(type(uint112).max) * 1e18 / type(uint128).max / 2);
            organizations[k].levels = [uint64(1)];
        }
        agreed.lambdaPpb = 0;
        reports[0] = Report(1e9, 1);
        reports[1] = Report(1e7, 1);
        reports[2] = Report(0, 0);
        toJoining();
        for (uint256 i = 0; i < 3; ++i) {
            assertGt(expectedBonds()[i], type(uint112).max / 10 * 9);
            deposit(i, type(uint112).max);
        }
        assertSettles();
    }

    function test_OneOrganizationTakesTheLargestDepositOfEveryOther() public {
        uint256 size = 100;
        prepare(size);
        agreed.lambdaPpb = 1 << 48;
        prepareLargestCap(0);
        agreed.gamma = uint128(uint256(type(uint112).max) * 1e27 / largestCap());
        for (uint256 k = 0; k < rho.length; ++k) {
            rho[k] = k < size - 1 ? 1e9 : 0;
        }
        reports[0] = Report(1e9, (1 << 48) - 1);
        for (uint256 i = 1; i < size; ++i) {
            organizations[i].dataBits = 1;
            organizations[i].levels = [uint64(1)];
            reports[i] = Report(0, 0);
        }
        toJoining();
        for (uint256 i = 0; i < size; ++i) {
            deposit(i, type(uint112).max);
        }
        assertSettles();
        assertGt(account(0).balance, uint256(type(uint112).max) * 99);
    }

    function test_ABondBeyondTheLargestDepositEndsInCancellation() public {
        prepare(2);
        prepareLargestCap(0);
        prepareLargestCap(1);
        rho[0] = 1e9;
        agreed.gamma = type(uint128).max;
        toJoining();
        uint256 bond = settlement.organization(0).bond;
        assertEq(bond, expectedBonds()[0]);
        uint256 limit = type(uint112).max;
        bytes32 hash = agreementHash();
        vm.deal(account(0), bond);
        vm.startPrank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.DepositAboveLimit.selector, limit, bond));
        settlement.depositSubmit{value: bond}(hash);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.DepositBelowBond.selector, bond, limit));
        settlement.depositSubmit{value: limit}(hash);
        vm.stopPrank();
        toCancelled();
    }

    function prepareLargestCap(uint256 i) private {
        agreed.lambdaPpb = 1 << 48;
        organizations[i].dataBits = 281_474; // 1e9 of it, and 2^48 (2^48 - 1): within 1e9 of 2^96
        organizations[i].levels = [uint64((1 << 48) - 1)];
    }

    function largestCap() private pure returns (uint256) {
        return 281_474e9 + (1 << 48) * ((1 << 48) - 1);
    }
}

contract EfficientMoneyAttacksTest is MoneyAttacks, Efficient {
    function test_SilenceOfEverybodyIsNotFree() public {
        // Who would be missed more gets less: silence counts as phi(0), whoever else is silent.
        prepare(2);
        delete schedules[0];
        delete schedules[1];
        schedules[0].push(Breakpoint(0, -100));
        schedules[0].push(Breakpoint(1e9, 0));
        schedules[1].push(Breakpoint(0, -40));
        schedules[1].push(Breakpoint(1e9, 0));
        constants[0] = 7;
        (reports[0], reports[1]) = (Report(0, 0), Report(0, 0));
        toSettled();
        assertEq(settlement.organization(0).redistribution, -60 + 7);
        assertEverybodyElseIsPaid(type(uint256).max);
    }

    function test_ConstantsAloneMoveMoney() public {
        prepare(3);
        for (uint256 i = 0; i < 3; ++i) {
            delete schedules[i];
            schedules[i].push(Breakpoint(0, 0));
            schedules[i].push(Breakpoint(1e9, 0));
        }
        (constants[0], constants[1], constants[2]) = (5, -3, 11);
        toSettled();
        assertEq(settlement.organization(0).redistribution, 5 - 3);
        assertEq(settlement.organization(1).redistribution, -5 + 11);
        assertEq(settlement.organization(2).redistribution, 3 - 11);
        assertEq(settlement.organization(0).bond, 0); // it receives in any case
        assertEq(settlement.organization(2).bond, 8);
        assertEverybodyElseIsPaid(type(uint256).max);
        assertEq(address(settlement).balance, 0);
    }

    function test_TheLargestSchedulesAndConstantsSettle() public {
        uint256 size = 20;
        int128 most = int128((1 << 95) - 1);
        prepare(size);
        for (uint256 i = 0; i < size; ++i) {
            delete schedules[i];
            schedules[i].push(Breakpoint(0, -most));
            schedules[i].push(Breakpoint(1, -most));
            schedules[i].push(Breakpoint(1e9, most));
            reports[i] = i == 0 ? Report(1e9, 3e9) : Report(0, 0);
        }
        for (uint256 k = 0; k < constants.length; ++k) {
            constants[k] = most;
        }
        toJoining();
        // the last one owes every rival its constant, and the whole range of a schedule to the first
        uint256 worst = 2 * uint256(int256(most)) / (size - 1);
        assertEq(settlement.organization(size - 1).bond, (size - 1) * (uint256(int256(most)) + worst));
        assertSettles();
        assertLt(account(size - 1).balance, (size - 1) * worst);
    }
}

contract ReportAttacksTest is ReportAttacks, Linear {}

contract EfficientReportAttacksTest is ReportAttacks, Efficient {}

contract RoleAttacksTest is RoleAttacks, Linear {}

contract EfficientRoleAttacksTest is RoleAttacks, Efficient {}
