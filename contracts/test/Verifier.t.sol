// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ITradeFL} from "../src/ITradeFL.sol";
import {Efficient} from "./support/Efficient.sol";
import {Linear} from "./support/Linear.sol";
import {SettlementTest} from "./support/SettlementTest.sol";

/// @title A verifier that is a contract, with every behaviour: two of three keys, a revert, a wrong answer.
contract Contractor is IERC1271 {
    enum Mood {
        Approve,
        WrongMagic,
        Dirty,
        Short,
        Nothing,
        Revert,
        Burn,
        Flood
    }

    Mood private _mood;
    bytes32 private _digest;
    bytes private _signature;

    function approve(bytes32 digest, bytes calldata signature) external {
        (_digest, _signature) = (digest, signature);
    }

    function behave(Mood mood) external {
        _mood = mood;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        if (_mood == Mood.Revert) revert("no");
        if (_mood == Mood.Burn) burn();
        if (_mood == Mood.WrongMagic) return bytes4(0xffffffff);
        if (_mood != Mood.Approve) answer(_mood);
        bool approved = digest == _digest && keccak256(signature) == keccak256(_signature);
        return approved ? this.isValidSignature.selector : bytes4(0);
    }

    function burn() private pure {
        while (true) {}
    }

    function answer(Mood mood) private pure {
        bytes4 magic = IERC1271.isValidSignature.selector;
        assembly ("memory-safe") {
            mstore(0, magic)
            if eq(mood, 2) { mstore(0, or(magic, 1)) } // Dirty
            if eq(mood, 3) { return(0, 31) } // Short
            if eq(mood, 4) { return(0, 0) } // Nothing
            if eq(mood, 7) { return(0, 1000000) } // Flood: the magic, and much more
            return(0, 32)
        }
    }
}

/// @title Attestations by a contract, EIP-1271.
abstract contract VerifierTests is SettlementTest {
    Contractor private contractor;

    function test_AContractVerifies() public {
        start();
        approve(account(0), 0.5e9, 2e9, 0, 0, "two of three");
        settlement.contributionSubmit(account(0), 0.5e9, 2e9, 0, 0, 0, "two of three");
        assertEq(settlement.organization(0).dataPpb, 0.5e9);
    }

    function test_AContractVerifiesNothingElse() public {
        start();
        approve(account(0), 0.5e9, 2e9, 7, 0, "two of three");
        refuse(account(0), 0.5e9, 2e9, 7, 0, "one of three");
        refuse(account(0), 0.5e9, 2e9, 8, 0, "two of three");
        refuse(account(0), 0.5e9, 2e9, 7, uint64(START), "two of three");
        refuse(account(0), 0.6e9, 2e9, 7, 0, "two of three");
        refuse(account(0), 0.5e9, 1e9, 7, 0, "two of three");
        refuse(account(1), 0.5e9, 2e9, 7, 0, "two of three");
        settlement.contributionSubmit(account(0), 0.5e9, 2e9, 7, 0, 0, "two of three");
    }

    function test_AContractReplacesAReport() public {
        start();
        approve(account(0), 1e9, 2e9, 0, 0, "first");
        settlement.contributionSubmit(account(0), 1e9, 2e9, 0, 0, 0, "first");
        approve(account(0), 0.1e9, 1e9, 1, 0, "second");
        settlement.contributionSubmit(account(0), 0.1e9, 1e9, 1, 0, 0, "second");
        assertEq(settlement.organization(0).dataPpb, 0.1e9);
        assertEq(progress().reported, 1);
    }

    function test_AKeyDoesNotSpeakForAContract() public {
        start();
        bytes memory signature = attest(account(0), 1e9, 1e9);
        refuse(account(0), 1e9, 1e9, 0, 0, signature);
    }

    function test_EveryOtherAnswerIsRefused() public {
        start();
        approve(account(0), 1e9, 1e9, 0, 0, "yes");
        Contractor.Mood[6] memory moods = [
            Contractor.Mood.WrongMagic,
            Contractor.Mood.Dirty,
            Contractor.Mood.Short,
            Contractor.Mood.Nothing,
            Contractor.Mood.Revert,
            Contractor.Mood.Burn
        ];
        for (uint256 k = 0; k < moods.length; ++k) {
            contractor.behave(moods[k]);
            vm.expectRevert(ITradeFL.InvalidAttestation.selector);
            settlement.contributionSubmit{gas: 1e6}(account(0), 1e9, 1e9, 0, 0, 0, "yes");
        }
        contractor.behave(Contractor.Mood.Approve);
        settlement.contributionSubmit(account(0), 1e9, 1e9, 0, 0, 0, "yes");
    }

    /// @dev Without enough gas for the verifier, nothing is recorded, and the next attempt counts.
    function test_ACallWithTooLittleGasIsWorthNothing() public {
        start();
        approve(account(0), 1e9, 1e9, 0, 0, "yes");
        for (uint256 gas = 30_000; gas < 60_000; gas += 1000) {
            uint256 snapshot = vm.snapshotState();
            try settlement.contributionSubmit{gas: gas}(account(0), 1e9, 1e9, 0, 0, 0, "yes") {
                assertTrue(settlement.organization(0).reported);
            } catch {
                assertFalse(settlement.organization(0).reported);
            }
            vm.revertToState(snapshot);
        }
        settlement.contributionSubmit(account(0), 1e9, 1e9, 0, 0, 0, "yes");
    }

    /// @dev An answer of a megabyte costs the verifier's own gas, and is not copied.
    function test_AFloodIsNotCopied() public {
        start();
        contractor.behave(Contractor.Mood.Flood);
        settlement.contributionSubmit{gas: 5e6}(account(0), 1e9, 1e9, 0, 0, 0, "yes");
        assertTrue(settlement.organization(0).reported); // it began with the magic
    }

    /// @dev An address that has no code yet is a key; once it has, its key is worth nothing any more.
    function test_AVerifierThatBecomesAContractSpeaksAsOne() public {
        agreed.verifier = verifier;
        toOpen();
        report(0);
        vm.etch(verifier, address(new Contractor()).code);
        bytes memory signature = attest(account(1), 1e9, 1e9);
        refuse(account(1), 1e9, 1e9, 0, 0, signature);
        contractor = Contractor(verifier);
        approve(account(1), 1e9, 1e9, 0, 0, "yes");
        settlement.contributionSubmit(account(1), 1e9, 1e9, 0, 0, 0, "yes");
    }

    function start() private {
        contractor = new Contractor();
        agreed.verifier = address(contractor);
        toOpen();
    }

    function approve(address who, uint32 d, uint64 f, uint64 serial, uint64 expiry, bytes memory signature)
        private
    {
        contractor.approve(settlement.attestationDigest(who, d, f, serial, expiry), signature);
    }

    function refuse(address who, uint32 d, uint64 f, uint64 serial, uint64 expiry, bytes memory signature)
        private
    {
        vm.expectRevert(ITradeFL.InvalidAttestation.selector);
        settlement.contributionSubmit(who, d, f, serial, expiry, 0, signature);
    }
}

contract VerifierTest is VerifierTests, Linear {}

contract EfficientVerifierTest is VerifierTests, Efficient {}
