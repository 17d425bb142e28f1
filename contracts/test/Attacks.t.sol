// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ISettlement} from "../src/ISettlement.sol";
import {ITradeFL} from "../src/ITradeFL.sol";
import {IVault} from "../src/IVault.sol";
import {Settlement} from "../src/Settlement.sol";
import {Efficient} from "./support/Efficient.sol";
import {Linear} from "./support/Linear.sol";
import {SettlementTest} from "./support/SettlementTest.sol";

/// @title An organization that calls back when it is paid, and keeps what it was answered.
contract ReentrantOrganization {
    address[] public targets;
    bytes[] public calls;
    bytes[] public answers;
    bool public anySucceeded;

    function plan(address target, bytes calldata call_) external {
        targets.push(target);
        calls.push(call_);
    }

    receive() external payable {
        callBack();
    }

    function callBack() private {
        for (uint256 k = 0; k < calls.length; ++k) {
            (bool done, bytes memory answer) = targets[k].call(calls[k]);
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
        organizations[0].account = address(attacker);
        toSettled();
        attacker.plan(address(vault), abi.encodeCall(IVault.withdraw, (address(settlement))));
        attacker.plan(address(vault), abi.encodeCall(IVault.withdrawTo, (address(settlement), stranger)));
        uint256 credit = settlement.creditOf(address(attacker));

        withdraw(0);

        assertFalse(attacker.anySucceeded());
        for (uint256 k = 0; k < 2; ++k) {
            assertEq(
                attacker.answers(k),
                abi.encodeWithSelector(ReentrancyGuard.ReentrancyGuardReentrantCall.selector)
            );
        }
        assertEq(address(attacker).balance, credit);
        assertEq(stranger.balance, 0);
        assertEverybodyElseIsPaid(0);
    }

    function test_ReentrancyIntoEveryOtherCallIsRefused() public {
        ReentrantOrganization attacker = new ReentrantOrganization();
        organizations[0].account = address(attacker);
        toSettled();
        bytes[12] memory calls = [
            abi.encodeCall(ITradeFL.annexPublish, (annex)),
            abi.encodeCall(ITradeFL.organizationsPublish, (0, organizationBlocks()[0])),
            abi.encodeCall(ITradeFL.pairsPublish, (0, pairBlocks()[0])),
            abi.encodeCall(ITradeFL.cancel, ()),
            abi.encodeCall(ITradeFL.consent, ()),
            abi.encodeCall(ITradeFL.propose, (1e9, 1e9)),
            abi.encodeCall(ITradeFL.contributionSubmit, (address(attacker), 1e9, 1e9, 0, 0, 0, "")),
            abi.encodeCall(ITradeFL.profileRecord, ()),
            abi.encodeCall(ITradeFL.disputeRaise, (account(1))),
            abi.encodeCall(ITradeFL.windowClose, ()),
            abi.encodeCall(ITradeFL.payoffCalculate, (0, pairBlocks()[0])),
            abi.encodeCall(ITradeFL.payoffTransfer, ())
        ];
        for (uint256 k = 0; k < calls.length; ++k) {
            attacker.plan(address(settlement), calls[k]);
        }
        attacker.plan(
            address(vault), abi.encodeCall(IVault.depositSubmit, (address(settlement), agreementHash()))
        );
        attacker.plan(
            address(settlement), abi.encodeCall(ISettlement.withdrawalRecord, (account(1), account(1), 0))
        );

        withdraw(0);

        assertFalse(attacker.anySucceeded());
        bytes memory wrongPhase = abi.encodeWithSelector(ITradeFL.WrongPhase.selector, ITradeFL.Phase.Settled);
        for (uint256 k = 0; k < calls.length; ++k) {
            assertEq(attacker.answers(k), wrongPhase, vm.toString(k));
        }
        assertEq(
            attacker.answers(12),
            abi.encodeWithSelector(IVault.SettlementClosed.selector, address(settlement))
        );
        assertEq(attacker.answers(13), abi.encodeWithSelector(ITradeFL.NotVault.selector, attacker));
        assertEverybodyElseIsPaid(0);
    }

    function test_ReentrancyAfterCancellationReturnsTheDepositOnce() public {
        ReentrantOrganization attacker = new ReentrantOrganization();
        organizations[0].account = address(attacker);
        toJoining();
        attacker.plan(address(vault), abi.encodeCall(IVault.withdraw, (address(settlement))));
        uint256[] memory bonds = expectedBonds();
        deposit(0, bonds[0]);
        deposit(1, bonds[1]);
        toCancelled();

        withdraw(0);

        assertFalse(attacker.anySucceeded());
        assertEq(address(attacker).balance, bonds[0]);
        assertEq(address(vault).balance, bonds[1]);
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
        assertEq(address(vault).balance, credit);
        assertEq(settlement.creditOf(address(refusing)), credit);
        uint256 snapshot = vm.snapshotState();
        refusing.behave(true, false);
        withdraw(1);
        assertEq(address(refusing).balance, credit);
        vm.revertToState(snapshot);
        vm.prank(address(refusing)); // or it names another that takes it
        vault.withdrawTo(address(settlement), stranger);
        assertEq(stranger.balance, credit);
    }

    function test_ForcedEtherIsNobodys() public {
        toOpen();
        forceEther(address(vault), 3 ether);
        forceEther(address(settlement), 4 ether);
        vm.deal(address(vault), address(vault).balance + 2 ether); // as a block reward would
        toSettled();
        assertEverybodyElseIsPaid(type(uint256).max);
        assertEq(address(vault).balance, 5 ether);
        assertEq(address(settlement).balance, 4 ether);
    }

    function test_EtherForcedInBeforeJoiningIsNoDeposit() public {
        toJoining();
        forceEther(address(vault), 100 ether);
        uint256 bond = expectedBonds()[0];
        bytes32 hash = agreementHash();
        vm.prank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.DepositBelowBond.selector, bond, 0));
        vault.depositSubmit(address(settlement), hash);
    }

    function test_PlainEtherIsRefused() public {
        toOpen();
        vm.deal(account(0), 1 ether);
        vm.startPrank(account(0));
        address[2] memory both = [address(settlement), address(vault)];
        for (uint256 k = 0; k < 2; ++k) {
            (bool done,) = both[k].call{value: 1}("");
            assertFalse(done);
            (done,) = both[k].call{value: 1}(hex"12345678");
            assertFalse(done);
            (done,) = both[k].call{value: 1}(abi.encodeCall(ITradeFL.propose, (1e9, 1e9)));
            assertFalse(done);
        }
        (bool sent,) = address(settlement).call(abi.encodeCall(ITradeFL.propose, (1e9, 1e9)));
        assertTrue(sent);
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
            vault.depositSubmit{value: bonds[i] - 1}(address(settlement), hash);
        }
        assertEq(address(vault).balance, 0);
    }

    function test_ADepositIsNotTakenTwice() public {
        toJoining();
        uint256 bond = expectedBonds()[0];
        bytes32 hash = agreementHash();
        deposit(0, bond);
        vm.deal(account(0), bond);
        vm.prank(account(0));
        vm.expectRevert(abi.encodeWithSelector(IVault.AlreadyDeposited.selector, account(0)));
        vault.depositSubmit{value: bond}(address(settlement), hash);
        assertEq(address(vault).balance, bond);
    }

    function test_ACreditIsNotPaidTwice() public {
        toSettled();
        uint256 left = address(vault).balance - settlement.creditOf(account(0));
        withdraw(0);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, account(0)));
        withdraw(0);
        assertEq(address(vault).balance, left);
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
        assertEq(address(vault).balance, bond - uint256(bill));
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

    function forceEther(address to, uint256 amount) private {
        // PUSH20 to, SELFDESTRUCT
        bytes memory code = abi.encodePacked(hex"73", to, hex"ff");
        vm.deal(address(this), amount);
        uint256 before = to.balance;
        assembly ("memory-safe") {
            pop(create(amount, add(code, 32), mload(code)))
        }
        assertEq(to.balance, before + amount);
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
        assertEq(address(vault).balance, 0);
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
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.StaleSerial.selector, 0, 0));
        report(0);
    }

    function test_AnOrganizationCannotChangeItsReport() public {
        toOpen();
        report(1);
        reports[1].cpuHz = 3e9; // with a fresh signature, but no later serial number
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.StaleSerial.selector, 0, 0));
        report(1);
    }

    function test_ASignatureIsUsedOnce() public {
        toOpen();
        bytes memory signature = attest(account(1), 1e9, 1e9);
        submit(1, 1e9, 1e9, signature);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.StaleSerial.selector, 0, 0));
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

    function test_AReportCopiedFromTheMempoolCountsForItsOwnerOnly() public {
        toOpen();
        bytes memory signature = attest(account(1), 1e9, 3e9);
        bytes memory before = abi.encode(settlement.organization(0));
        vm.prank(account(0));
        vm.expectRevert(ITradeFL.InvalidAttestation.selector);
        settlement.contributionSubmit(account(0), 1e9, 3e9, 0, 0, 0, signature);

        vm.prank(account(0)); // sent as it is, it is what its owner wanted
        settlement.contributionSubmit(account(1), 1e9, 3e9, 0, 0, 0, signature);
        assertTrue(settlement.organization(1).reported);
        assertEq(settlement.organization(1).dataPpb, 1e9);
        assertEq(abi.encode(settlement.organization(0)), before);
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
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(7, settlement.attestationDigest(account(0), 1e9, 1e9, 0, 0));
        refuse(0, 1e9, 1e9, abi.encodePacked(r, s, v));
    }

    function test_TheMirroredSignatureIsRefused() public {
        toOpen();
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(VERIFIER_KEY, settlement.attestationDigest(account(0), 1e9, 1e9, 0, 0));
        bytes32 mirrored = bytes32(CURVE_ORDER - uint256(s));
        assertEq(
            ecrecover(settlement.attestationDigest(account(0), 1e9, 1e9, 0, 0), 55 - v, r, mirrored), verifier
        );
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
        toOpen();
        refuse(0, 1e9, 1e9, new bytes(65));
        (address recovered,,) =
            ECDSA.tryRecover(settlement.attestationDigest(account(0), 1e9, 1e9, 0, 0), new bytes(65));
        assertEq(recovered, address(0)); // which is what no verifier is written as
    }

    function test_TheCalculationDoesNotComeBeforeTheProfileIsFrozen() public {
        toOpen();
        for (uint256 i = 0; i < 4; ++i) {
            report(i);
        }
        bytes memory matrix = pairBlocks()[0];
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.WrongPhase.selector, ITradeFL.Phase.Open));
        settlement.payoffCalculate(0, matrix);
        endWindow();
        settlement.profileRecord();
        vm.prank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.WrongPhase.selector, ITradeFL.Phase.Recorded));
        settlement.contributionSubmit(account(0), 1e9, 1e9, 0, 0, 0, "");
    }

    function test_TheCalculationDoesNotComeBeforeTheDisputeWindowEnds() public {
        agreed.arbiter = arbiter;
        toRecorded();
        bytes memory matrix = pairBlocks()[0];
        vm.warp(windowDeadline() + 1);
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.payoffCalculate(0, matrix);
        settlement.windowClose();
        vm.roll(progress().closedAt + agreed.closingBlocks);
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.payoffCalculate(0, matrix);
    }

    function test_DisputingEverythingOnlyCostsTheRulingWindow() public {
        (agreed.arbiter, agreed.disputeStakeWei) = (arbiter, 1000);
        toJoining();
        deposit(3, expectedBonds()[3] + 3000);
        toRecorded();
        for (uint256 i = 0; i < 3; ++i) {
            dispute(3, i);
        }
        toFinalReports();
        settlement.payoffCalculate(0, pairBlocks()[0]);
        int256[] memory r = expectedRedistributions();
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(settlement.organization(i).redistribution, r[i]);
            assertEq(settlement.organization(i).stakes, 0);
        }
    }

    function test_ADepositForAnotherAgreementIsRefused() public {
        toJoining();
        bytes32 hash = agreementHash();
        agreed.weiPerPayoff += 1; // its own file says otherwise
        bytes32 own = agreementHash();
        vm.prank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.HashMismatch.selector, hash, own));
        vault.depositSubmit(address(settlement), own);
    }

    function refuse(uint256 i, uint32 d, uint64 f, bytes memory signature) private {
        vm.prank(account(i));
        vm.expectRevert(ITradeFL.InvalidAttestation.selector);
        settlement.contributionSubmit(account(i), d, f, 0, 0, 0, signature);
    }
}

/// @title Attacks on the roles: what a stranger, the deployer, the verifier and the arbiter cannot do.
abstract contract RoleAttacks is SettlementTest {
    int256[4] private stakes; // what each must have won less lost

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
        dispute(0, 1);
        vm.startPrank(arbiter);
        expectNotListed(arbiter);
        settlement.disputeRaise(account(2));
        vm.stopPrank();
        endWindow();
        vm.prank(arbiter);
        settlement.rule(account(1), 0, 0);
        reports[1] = Report(0, 0);
        toSettled();
        uint256 total = address(vault).balance;
        vm.prank(arbiter);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, arbiter));
        vault.withdraw(address(settlement));
        assertEq(address(vault).balance, total);
    }

    function test_TheArbiterRaisesNobodysBillAboveItsBondAndStake() public {
        for (uint256 i = 0; i < 4; ++i) {
            reports[i] = Report(1e9, 3e9);
        }
        reports[0] = Report(1e7, 1e9);
        toRecorded();
        dispute(1, 0);
        endWindow();
        vm.prank(arbiter);
        settlement.rule(account(0), 0, 0);
        toSettled();
        ITradeFL.Account memory one = settlement.organization(0);
        assertLe(-one.redistribution, int256(expectedBonds()[0]));
        assertEq(one.stakes, -int256(uint256(agreed.disputeStakeWei)));
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
            bytes memory signature = attest(account(i), reports[i].dataPpb, reports[i].cpuHz);
            vm.prank(stranger);
            settlement.contributionSubmit(
                account(i), reports[i].dataPpb, reports[i].cpuHz, 0, 0, 0, signature
            );
        }
        vm.startPrank(stranger);
        settlement.windowClose();
        vm.roll(progress().closedAt + agreed.closingBlocks + 1);
        settlement.profileRecord();
        vm.warp(windowDeadline() + 1);
        settlement.windowClose();
        vm.roll(progress().closedAt + agreed.closingBlocks + 1);
        settlement.payoffCalculate(0, pairBlocks()[0]);
        settlement.payoffTransfer();
        vm.stopPrank();

        assertPaidAsExpected();
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
        dispute(2, 0);
        dispute(1, 2);
        endWindow();
        vm.startPrank(arbiter);
        settlement.rule(account(0), 0, 0);
        settlement.rule(arbiter, 1e9, 3e9);
        vm.stopPrank();
        reports[0] = Report(0, 0);
        reports[2] = Report(1e9, 3e9);
        int256 stake = int256(uint256(agreed.disputeStakeWei));
        (stakes[0], stakes[2]) = (-stake, stake);
        toSettled();
        assertPaidAsExpected();
    }

    function test_AnOrganizationIsNotTheArbiterOfItsOwnCase() public {
        reports[0] = Report(0, 0);
        toRecorded();
        dispute(0, 0);
        endWindow();
        vm.prank(account(0));
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
        vault.depositSubmit{value: 10 ether}(address(settlement), hash);
        expectNotListed(who);
        settlement.propose(1e9, 1e9);
        expectNotListed(who);
        settlement.consent();
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.windowClose();
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.cancel();
        expectNotVault(who);
        settlement.depositAccept(account(0), 10 ether, hash);
        vm.stopPrank();

        toOpen();
        bytes memory signature = attest(who, 1e9, 1e9);
        vm.startPrank(who);
        expectNotListed(who);
        settlement.contributionSubmit(who, 1e9, 1e9, 0, 0, 0, signature);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TooEarly.selector, START + 2 days));
        settlement.windowClose();
        vm.expectRevert(ITradeFL.WindowOpen.selector);
        settlement.profileRecord();
        vm.stopPrank();

        toRecorded();
        dispute(0, 1);
        vm.startPrank(who);
        expectNotListed(who);
        settlement.disputeRaise(account(2));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotArbiter.selector, who));
        settlement.rule(account(1), 0, 0);
        vm.stopPrank();

        toSettled();
        vm.startPrank(who);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, who));
        vault.withdraw(address(settlement));
        expectNotVault(who);
        settlement.withdrawalRecord(account(0), who, 0);
        vault.settle(new address[](0), new int256[](0)); // closes what nobody has named
        vm.stopPrank();
        assertEq(who.balance, 10 ether);
        assertPaidAsExpected();
    }

    function expectNotVault(address who) private {
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotVault.selector, who));
    }

    function expectNotListed(address who) private {
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.NotListed.selector, who));
    }

    function assertPaidAsExpected() private {
        int256[] memory r = expectedRedistributions();
        uint256[] memory bonds = expectedBonds();
        for (uint256 i = 0; i < 4; ++i) {
            withdraw(i);
            int256 brought = int256(bonds[i] + agreed.disputeStakeWei);
            assertEq(int256(account(i).balance), brought + r[i] + stakes[i]);
        }
        assertEq(address(vault).balance, 0);
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
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, account(0)));
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

    function test_ABondBeyondTheLargestDepositIsNeverDeposited() public {
        prepare(2);
        prepareLargestCap(0);
        prepareLargestCap(1);
        rho[0] = 1e9;
        agreed.gamma = type(uint128).max >> 10; // a bond that fits into the vault, but not here
        toJoining();
        uint256 bond = settlement.organization(0).bond;
        assertEq(bond, expectedBonds()[0]);
        uint256 limit = type(uint112).max;
        bytes32 hash = agreementHash();
        vm.deal(account(0), bond);
        vm.startPrank(account(0));
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.DepositAboveLimit.selector, limit, bond));
        vault.depositSubmit{value: bond}(address(settlement), hash);
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.DepositBelowBond.selector, bond, limit));
        vault.depositSubmit{value: limit}(address(settlement), hash);
        vm.stopPrank();
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
        assertEq(address(vault).balance, 0);
    }

    /// @dev An account that only receives: one bit, one level, a flat schedule; the others' schedules end at 0.
    function test_APayeeDepositsNothingAndIsPaid() public {
        prepare(3);
        for (uint256 i = 0; i < 3; ++i) {
            delete schedules[i];
            schedules[i].push(Breakpoint(0, i == 2 ? int128(0) : int128(-100)));
            schedules[i].push(Breakpoint(1e9, 0));
        }
        (organizations[2].dataBits, organizations[2].levels) = (1, [uint64(1)]);
        reports[2] = Report(1e9, 1);
        (constants[0], constants[1], constants[2]) = (5, -30, -20);
        toOpen();
        assertEq(settlement.organization(2).bond, 0);
        assertEq(settlement.organization(2).deposit, 0);
        assertTrue(settlement.organization(2).joined);
        assertSettles();
        assertGe(account(2).balance, 50);
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
