// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ISettlement} from "../src/ISettlement.sol";
import {IVault} from "../src/IVault.sol";
import {Vault} from "../src/Vault.sol";

/// @title A settlement that does as it likes: it accepts or refuses, calls the vault while it is being called, and
/// divides what it is told to.
contract Free is ISettlement {
    error Refused();

    IVault private immutable _VAULT;
    bool private _refuses;
    bytes private _reentry;
    bytes public answer;
    bool public succeeded;
    bytes public lastRecord;

    constructor(IVault vault) {
        _VAULT = vault;
    }

    function behave(bool refuses, bytes calldata reentry) external {
        (_refuses, _reentry) = (refuses, reentry);
    }

    function settle(address[] calldata accounts, int256[] calldata deltas) external {
        _VAULT.settle(accounts, deltas);
    }

    function depositAccept(address account, uint256 amount, bytes32 agreementHash) external override {
        _answer(abi.encode(account, amount, agreementHash));
    }

    function withdrawalRecord(address account, address to, uint256 amount) external override {
        _answer(abi.encode(account, to, amount));
    }

    function _answer(bytes memory record) private {
        if (_refuses) revert Refused();
        lastRecord = record;
        if (_reentry.length != 0) (succeeded, answer) = address(_VAULT).call(_reentry);
    }
}

/// @title Calls the vault when it is paid.
contract Caller {
    address private _target;
    bytes private _payload;
    bytes public answer;
    bool public succeeded;

    function plan(address target, bytes calldata payload) external {
        (_target, _payload) = (target, payload);
    }

    receive() external payable {
        (succeeded, answer) = _target.call(_payload);
    }
}

/// @title The vault on its own: whoever names a settlement trusts it with that deposit, and nobody with another's.
contract VaultTest is Test {
    Vault private vault;
    Free private free;
    Free private other;
    address private alice = makeAddr("alice");
    address private bob = makeAddr("bob");
    address private stranger = makeAddr("stranger");

    function setUp() public {
        vault = Vault(vm.deployCode("Vault.sol:Vault", abi.encode(address(0))));
        free = new Free(vault);
        other = new Free(vault);
        vm.deal(alice, 100 ether);
        vm.deal(bob, 100 ether);
    }

    function test_OneCurrencyIsSupported() public {
        assertEq(vault.token(), address(0));
        vm.expectRevert(abi.encodeWithSelector(IVault.TokenUnsupported.selector, address(7)));
        new Vault(address(7));
    }

    // --- deposits ------------------------------------------------------------------------------------------------

    function test_ADepositIsLockedUnderTheSettlementThatItsOwnerNames() public {
        deposit(alice, free, 5 ether);
        assertEq(free.lastRecord(), abi.encode(alice, 5 ether, bytes32("hash")));
        assertEq(vault.locked(address(free), alice), 5 ether);
        assertEq(vault.locked(address(other), alice), 0);
        assertEq(vault.locked(address(free), bob), 0);
        assertEq(address(vault).balance, 5 ether);
        assertFalse(vault.isClosed(address(free)));
        assertFalse(vault.withdrawn(address(free), alice));
    }

    function test_ADepositThatTheSettlementRefusesStaysWithItsOwner() public {
        free.behave(true, "");
        vm.prank(alice);
        vm.expectRevert(Free.Refused.selector);
        vault.depositSubmit{value: 5 ether}(address(free), "hash");
        assertEq(vault.locked(address(free), alice), 0);
        assertEq(alice.balance, 100 ether);
    }

    function test_ThereIsOneDepositForEachMemberAndSettlement() public {
        deposit(alice, free, 0);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVault.AlreadyDeposited.selector, alice));
        vault.depositSubmit{value: 1}(address(free), "hash");
        deposit(alice, other, 1);
        deposit(bob, free, 1);
    }

    function test_AnAddressWithoutCodeIsNoSettlement() public {
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVault.NoSettlement.selector, stranger));
        vault.depositSubmit{value: 1}(stranger, "hash");
    }

    function test_AContractThatIsNoSettlementTakesNoDeposit() public {
        vm.prank(alice);
        vm.expectRevert();
        vault.depositSubmit{value: 1}(address(vault), "hash");
        assertEq(address(vault).balance, 0);
    }

    function test_AClosedSettlementTakesNoDeposit() public {
        settle(free);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVault.SettlementClosed.selector, address(free)));
        vault.depositSubmit{value: 1}(address(free), "hash");
    }

    function test_ADepositThatDoesNotFitIsRefused() public {
        uint256 most = type(uint128).max;
        vm.deal(alice, most + 1);
        vm.prank(alice);
        vm.expectRevert(
            abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 128, most + 1)
        );
        vault.depositSubmit{value: most + 1}(address(free), "hash");
        deposit(alice, free, most);
    }

    function test_PlainEtherIsRefused() public {
        vm.startPrank(alice);
        (bool done,) = address(vault).call{value: 1}("");
        assertFalse(done);
        (done,) = address(vault).call{value: 1}(abi.encodeCall(IVault.withdraw, (address(free))));
        assertFalse(done);
    }

    // --- settling ------------------------------------------------------------------------------------------------

    function test_ASettlementDividesItsMoneyOnce() public {
        deposit(alice, free, 5 ether);
        deposit(bob, free, 3 ether);
        divide(free, alice, -2 ether, bob, 2 ether);
        assertEq(vault.locked(address(free), alice), 3 ether);
        assertEq(vault.locked(address(free), bob), 5 ether);
        assertTrue(vault.isClosed(address(free)));
        vm.expectRevert(abi.encodeWithSelector(IVault.SettlementClosed.selector, address(free)));
        settle(free);
    }

    function test_EmptyListsReleaseEverythingAsItIs() public {
        deposit(alice, free, 5 ether);
        deposit(bob, free, 3 ether);
        settle(free);
        withdraw(alice, free);
        withdraw(bob, free);
        assertEq(alice.balance, 100 ether);
        assertEq(bob.balance, 100 ether);
    }

    function test_MoneyIsNeitherMadeNorLost() public {
        deposit(alice, free, 5 ether);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotConserved.selector, int256(1)));
        divide(free, alice, 1, bob, 0);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotConserved.selector, -int256(1)));
        divide(free, alice, -1, bob, 0);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotConserved.selector, int256(2 ether)));
        divide(free, alice, -1 ether, bob, 3 ether);
        assertFalse(vault.isClosed(address(free)));
        assertEq(vault.locked(address(free), alice), 5 ether);
    }

    function test_NobodyPaysMoreThanItHas() public {
        deposit(alice, free, 5 ether);
        vm.expectRevert(abi.encodeWithSelector(IVault.Short.selector, alice, 5 ether, -int256(5 ether) - 1));
        divide(free, alice, -int256(5 ether) - 1, bob, int256(5 ether) + 1);
        divide(free, alice, -5 ether, bob, 5 ether);
        assertEq(vault.locked(address(free), alice), 0);
    }

    function test_AnAccountMayComeTwice() public {
        deposit(alice, free, 5 ether);
        vm.expectRevert(abi.encodeWithSelector(IVault.Short.selector, alice, 1 ether, -int256(2 ether)));
        divide3(free, alice, -4 ether, alice, -2 ether, bob, 6 ether);
        divide3(free, alice, -4 ether, alice, 1 ether, bob, 3 ether);
        assertEq(vault.locked(address(free), alice), 2 ether);
        assertEq(vault.locked(address(free), bob), 3 ether);
    }

    function test_ListsAreEquallyLong() public {
        vm.expectRevert(abi.encodeWithSelector(IVault.LengthMismatch.selector, 1, 0));
        free.settle(new address[](1), new int256[](0));
        vm.expectRevert(abi.encodeWithSelector(IVault.LengthMismatch.selector, 1, 2));
        free.settle(new address[](1), new int256[](2));
    }

    function test_SumsThatDoNotFitAreRefused() public {
        deposit(alice, free, 5 ether);
        vm.expectRevert();
        divide(free, alice, type(int256).max, bob, type(int256).max);
        vm.expectRevert();
        divide(free, alice, type(int256).min, bob, type(int256).max);
        int256 much = int256(uint256(type(uint128).max)) + 1;
        vm.expectRevert(
            abi.encodeWithSelector(
                SafeCast.SafeCastOverflowedUintDowncast.selector, 128, uint256(much + 5 ether)
            )
        );
        divide3(free, alice, much, alice, 0, bob, -much);
    }

    function test_WhoeverSettlesNamesOnlyItsOwnMoney() public {
        deposit(alice, free, 5 ether);
        vm.startPrank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IVault.Short.selector, alice, 0, -int256(1)));
        vault.settle(pair(alice, stranger), deltas(-1, 1));
        vault.settle(new address[](0), new int256[](0)); // closes what nobody has named
        vm.stopPrank();
        assertTrue(vault.isClosed(stranger));
        assertFalse(vault.isClosed(address(free)));
        assertEq(vault.locked(address(free), alice), 5 ether);
    }

    function test_ASettlementThatNobodyNamedMovesNothing() public {
        deposit(alice, free, 5 ether);
        vm.expectRevert(abi.encodeWithSelector(IVault.Short.selector, alice, 0, -int256(5 ether)));
        divide(other, alice, -5 ether, stranger, 5 ether);
        settle(other);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, alice));
        vault.withdraw(address(other));
        assertEq(vault.locked(address(free), alice), 5 ether);
    }

    function test_AMaliciousSettlementTakesFromThoseWhoNamedItOnly() public {
        deposit(alice, free, 5 ether);
        deposit(bob, other, 7 ether);
        vm.expectRevert(abi.encodeWithSelector(IVault.Short.selector, bob, 0, -int256(1 ether)));
        divide(free, bob, -1 ether, stranger, 1 ether);
        divide(free, alice, -5 ether, stranger, 5 ether);
        withdraw(stranger, free);
        assertEq(stranger.balance, 5 ether);
        assertEq(vault.locked(address(other), bob), 7 ether);
        settle(other);
        withdraw(bob, other);
        assertEq(bob.balance, 100 ether);
        assertEq(address(vault).balance, 0);
    }

    // --- withdrawing ---------------------------------------------------------------------------------------------

    function test_NothingIsWithdrawnBeforeTheSettlementIsClosed() public {
        deposit(alice, free, 5 ether);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVault.SettlementOpen.selector, address(free)));
        vault.withdraw(address(free));
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVault.SettlementOpen.selector, address(free)));
        vault.withdrawTo(address(free), bob);
    }

    function test_AWithdrawalIsRecordedAndMadeOnce() public {
        deposit(alice, free, 5 ether);
        settle(free);
        withdraw(alice, free);
        assertEq(free.lastRecord(), abi.encode(alice, alice, 5 ether));
        assertEq(alice.balance, 100 ether);
        assertTrue(vault.withdrawn(address(free), alice));
        assertEq(vault.locked(address(free), alice), 0);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, alice));
        vault.withdraw(address(free));
    }

    function test_MoneyGoesWhereItsOwnerSays() public {
        deposit(alice, free, 5 ether);
        settle(free);
        vm.prank(alice);
        vault.withdrawTo(address(free), stranger);
        assertEq(free.lastRecord(), abi.encode(alice, stranger, 5 ether));
        assertEq(stranger.balance, 5 ether);
    }

    function test_MoneyGoesNeitherToZeroNorBack() public {
        deposit(alice, free, 5 ether);
        settle(free);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVault.InvalidRecipient.selector, address(0)));
        vault.withdrawTo(address(free), address(0));
        vm.expectRevert(abi.encodeWithSelector(IVault.InvalidRecipient.selector, address(vault)));
        vault.withdrawTo(address(free), address(vault));
        vm.expectRevert(Errors.FailedCall.selector); // a contract that takes no ether
        vault.withdrawTo(address(free), address(free));
        vault.withdraw(address(free));
    }

    function test_ACreditOfZeroIsWithdrawnOnceByAMember() public {
        deposit(alice, free, 0);
        deposit(bob, free, 5 ether);
        settle(free);
        withdraw(alice, free);
        assertEq(free.lastRecord(), abi.encode(alice, alice, 0));
        assertTrue(vault.withdrawn(address(free), alice));
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, alice));
        vault.withdraw(address(free));
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, stranger));
        vault.withdraw(address(free));
    }

    function test_WhoHasLostEverythingWithdrawsNothingOnce() public {
        deposit(alice, free, 5 ether);
        divide(free, alice, -5 ether, stranger, 5 ether);
        withdraw(alice, free);
        withdraw(stranger, free); // it has never deposited
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, stranger));
        vault.withdraw(address(free));
        assertEq(stranger.balance, 5 ether);
        assertEq(address(vault).balance, 0);
    }

    function test_ASettlementThatRefusesToRecordHoldsItsOwnMembersOnly() public {
        deposit(alice, free, 5 ether);
        deposit(alice, other, 5 ether);
        settle(free);
        settle(other);
        free.behave(true, "");
        vm.prank(alice);
        vm.expectRevert(Free.Refused.selector);
        vault.withdraw(address(free));
        withdraw(alice, other);
        assertEq(alice.balance, 95 ether);
    }

    // --- reentrancy ----------------------------------------------------------------------------------------------

    function test_AReceiverCannotWithdrawTwice() public {
        Caller caller = new Caller();
        vm.deal(address(caller), 10 ether);
        deposit(address(caller), free, 5 ether);
        deposit(address(caller), other, 5 ether);
        deposit(bob, free, 5 ether);
        settle(free);
        settle(other);
        Free[2] memory both = [free, other];
        for (uint256 k = 0; k < 2; ++k) {
            uint256 snapshot = vm.snapshotState();
            caller.plan(address(vault), abi.encodeCall(IVault.withdraw, (address(both[k]))));
            withdraw(address(caller), free);
            assertFalse(caller.succeeded());
            assertEq(
                caller.answer(), abi.encodeWithSelector(ReentrancyGuard.ReentrancyGuardReentrantCall.selector)
            );
            assertEq(address(caller).balance, 5 ether);
            vm.revertToState(snapshot);
        }
    }

    /// @dev A wallet that goes on to its next settlement as soon as it is paid: nothing is wrong with that.
    function test_AReceiverMayDepositElsewhereAtOnce() public {
        Caller caller = new Caller();
        vm.deal(address(caller), 5 ether);
        deposit(address(caller), free, 5 ether);
        settle(free);
        caller.plan(address(vault), abi.encodeCall(IVault.depositSubmit, (address(other), "hash")));
        withdraw(address(caller), free);
        assertTrue(caller.succeeded());
        assertEq(vault.locked(address(other), address(caller)), 0);
    }

    function test_ASettlementThatCallsBackWhileItRecordsTakesNothing() public {
        deposit(alice, free, 5 ether);
        deposit(bob, other, 5 ether);
        settle(free);
        bytes[4] memory calls = [
            abi.encodeCall(IVault.settle, (pair(alice, address(free)), deltas(-5 ether, 5 ether))),
            abi.encodeCall(IVault.withdraw, (address(free))),
            abi.encodeCall(IVault.withdrawTo, (address(other), address(free))),
            abi.encodeCall(IVault.settle, (new address[](0), new int256[](0)))
        ];
        for (uint256 k = 0; k < calls.length; ++k) {
            uint256 snapshot = vm.snapshotState();
            free.behave(false, calls[k]);
            withdraw(alice, free);
            assertFalse(free.succeeded(), vm.toString(k));
            assertEq(alice.balance, 100 ether);
            assertEq(address(vault).balance, 5 ether);
            vm.revertToState(snapshot);
        }
    }

    function test_ASettlementThatSettlesWhileItAcceptsMovesOnlyThatDeposit() public {
        deposit(bob, other, 5 ether);
        free.behave(false, abi.encodeCall(IVault.settle, (pair(alice, stranger), deltas(-5 ether, 5 ether))));
        deposit(alice, free, 5 ether);
        assertTrue(free.succeeded());
        assertEq(vault.locked(address(free), alice), 0);
        assertEq(vault.locked(address(free), stranger), 5 ether);
        assertEq(vault.locked(address(other), bob), 5 ether);
        assertEq(address(vault).balance, 10 ether);
    }

    function testFuzz_WhatIsDividedIsWhatWasDeposited(uint96 a, uint96 b, int128 delta) public {
        vm.deal(alice, a);
        vm.deal(bob, b);
        deposit(alice, free, a);
        deposit(bob, free, b);
        bool fits = delta >= -int256(uint256(a)) && delta <= int256(uint256(b));
        if (!fits) vm.expectPartialRevert(IVault.Short.selector);
        divide(free, alice, delta, bob, -int256(delta));
        if (!fits) settle(free);
        withdraw(alice, free);
        withdraw(bob, free);
        assertEq(alice.balance, fits ? uint256(int256(uint256(a)) + delta) : a);
        assertEq(bob.balance, fits ? uint256(int256(uint256(b)) - delta) : b);
        assertEq(address(vault).balance, 0);
    }

    function deposit(address who, Free settlement, uint256 amount) private {
        vm.prank(who);
        vault.depositSubmit{value: amount}(address(settlement), "hash");
    }

    function withdraw(address who, Free settlement) private {
        vm.prank(who);
        vault.withdraw(address(settlement));
    }

    function settle(Free settlement) private {
        settlement.settle(new address[](0), new int256[](0));
    }

    function divide(Free settlement, address one, int256 a, address two, int256 b) private {
        settlement.settle(pair(one, two), deltas(a, b));
    }

    function divide3(Free settlement, address one, int256 a, address two, int256 b, address three, int256 c)
        private
    {
        address[] memory accounts = new address[](3);
        int256[] memory changes = new int256[](3);
        (accounts[0], accounts[1], accounts[2]) = (one, two, three);
        (changes[0], changes[1], changes[2]) = (a, b, c);
        settlement.settle(accounts, changes);
    }

    function pair(address one, address two) private pure returns (address[] memory accounts) {
        accounts = new address[](2);
        (accounts[0], accounts[1]) = (one, two);
    }

    function deltas(int256 one, int256 two) private pure returns (int256[] memory changes) {
        changes = new int256[](2);
        (changes[0], changes[1]) = (one, two);
    }
}
