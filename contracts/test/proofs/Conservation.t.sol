// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {ISettlement} from "../../src/ISettlement.sol";
import {Vault} from "../../src/Vault.sol";

/// @dev A settlement that accepts everything, and divides as requested.
contract Anything is ISettlement {
    function settle(Vault vault, address[] calldata accounts, int256[] calldata deltas) external {
        vault.settle(accounts, deltas);
    }

    function depositAccept(address, uint256, bytes32) external override {}

    function withdrawalRecord(address, address, uint256) external override {}
}

/// Proofs about dividing money in the vault, for every deposit and every three changes of different accounts.
contract VaultProofs is Test {
    address private constant A = address(0xA11CE);
    address private constant B = address(0xB0B);
    address private constant C = address(0xCAB);

    Vault private vault;
    Anything private mine;
    Anything private theirs;

    function setUp() public {
        vault = new Vault(address(0));
        mine = new Anything();
        theirs = new Anything();
    }

    /// What a settlement has is divided, neither more nor less, and another's stays as it is.
    /// @custom:halmos --loop 4
    function check_SettleConserves(uint96[3] calldata paid, int128[3] calldata deltas) external {
        int256[3] memory changes;
        (changes[0], changes[1], changes[2]) = (deltas[0], deltas[1], deltas[2]);
        _checkConserves(paid, changes, [A, B, C]);
    }

    function _checkConserves(uint96[3] calldata paid, int256[3] memory deltas, address[3] memory who)
        private
    {
        _deposit(A, mine, paid[0]);
        _deposit(B, mine, paid[1]);
        _deposit(C, theirs, paid[2]);
        address[] memory accounts = new address[](3);
        int256[] memory changes = new int256[](3);
        for (uint256 k = 0; k < 3; ++k) {
            (accounts[k], changes[k]) = (who[k], deltas[k]);
        }
        bool done;
        try mine.settle(vault, accounts, changes) {
            done = true;
        } catch {}
        uint256 a = vault.locked(address(mine), A);
        uint256 b = vault.locked(address(mine), B);
        unchecked {
            // each is below 2^128
            assert(a + b + vault.locked(address(mine), C) == uint256(paid[0]) + paid[1]);
        }
        assert(vault.locked(address(theirs), C) == paid[2]);
        assert(vault.isClosed(address(mine)) == done);
        assert(!vault.isClosed(address(theirs)));
        if (!done) assert(a == paid[0] && b == paid[1]);
    }

    /// Two changes that fit are made, exactly.
    /// @custom:halmos --loop 4
    function check_SettlePaysWhatItSays(uint96[2] calldata paid, int128 delta) external {
        _deposit(A, mine, paid[0]);
        _deposit(B, mine, paid[1]);
        address[] memory accounts = new address[](2);
        int256[] memory changes = new int256[](2);
        (accounts[0], accounts[1]) = (A, B);
        (changes[0], changes[1]) = (delta, -int256(delta));
        bool fits = delta >= -int256(uint256(paid[0])) && delta <= int256(uint256(paid[1]));
        try mine.settle(vault, accounts, changes) {
            assert(fits);
            assert(vault.locked(address(mine), A) == uint256(int256(uint256(paid[0])) + delta));
            assert(vault.locked(address(mine), B) == uint256(int256(uint256(paid[1])) - delta));
        } catch {
            assert(!fits);
        }
    }

    /// Each gets back what it has, once.
    /// @custom:halmos --loop 4
    function check_WithdrawalsEmptyTheVault(uint96[3] calldata paid, address to) external {
        vm.assume(to != address(0) && to != address(vault) && to != A && to != B && to != address(this));
        vm.assume(to.code.length == 0);
        _deposit(A, mine, paid[0]);
        _deposit(B, mine, paid[1]);
        _deposit(C, theirs, paid[2]);
        mine.settle(vault, new address[](0), new int256[](0));
        uint256 before = to.balance;
        vm.prank(A);
        vault.withdrawTo(address(mine), to);
        vm.prank(B);
        vault.withdraw(address(mine));
        assert(to.balance == before + paid[0]);
        assert(B.balance == paid[1]);
        assert(address(vault).balance == paid[2]);
        vm.prank(A);
        try vault.withdraw(address(mine)) {
            assert(false);
        } catch {}
    }

    function _deposit(address who, Anything settlement, uint256 amount) private {
        vm.deal(who, amount);
        vm.prank(who);
        vault.depositSubmit{value: amount}(address(settlement), 0);
    }
}
