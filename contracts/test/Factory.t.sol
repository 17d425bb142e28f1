// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {ITradeFL} from "../src/ITradeFL.sol";
import {Agreement} from "./support/Agreement.sol";
import {Factory} from "../src/Factory.sol";
import {Linear} from "./support/Linear.sol";
import {Settlement} from "../src/Settlement.sol";
import {Vault} from "../src/Vault.sol";

/// @title A contract whose constructor asks who calls it.
contract Child {
    address public immutable CREATOR;
    uint256 public immutable VALUE;

    error Odd(uint256 value);

    constructor(uint256 value) {
        if (value % 2 == 1) revert Odd(value);
        (CREATOR, VALUE) = (msg.sender, value);
    }
}

/// @title The factory: addresses follow from what is deployed, whoever deploys it.
contract FactoryTest is Linear {
    Factory private factory;

    function test_TheAddressFollowsFromSaltAndCode() public {
        bytes memory code = child(4);
        address expected = place("salt", code);
        assertEq(expected.code.length, 0);
        assertEq(make("salt", code), expected);
        assertEq(Child(expected).VALUE(), 4);
        assertEq(Child(expected).CREATOR(), address(factory));
        assertNotEq(make("pepper", code), expected);
        assertNotEq(make("salt", child(6)), expected);
    }

    function test_WhoDeploysItDoesNotMatter() public {
        bytes memory code = child(4);
        vm.prank(stranger);
        address made = make("salt", code);
        assertEq(made, place("salt", code));
    }

    function test_DeployingAgainReturnsTheAddressAndCostsLittle() public {
        bytes memory code = abi.encodePacked(vm.getCode("Vault.sol:Vault"), abi.encode(address(0)));
        address made = make("salt", code);
        uint64 nonce = vm.getNonce(address(factory));
        uint256 gas = gasleft();
        assertEq(factory.deploy("salt", code), made);
        assertLt(gas - gasleft(), 60_000);
        assertEq(vm.getNonce(address(factory)), nonce);
    }

    function test_AFailingConstructorSpeaksForItself() public {
        setFactory();
        bytes memory code = child(5);
        vm.expectRevert(abi.encodeWithSelector(Child.Odd.selector, 5));
        factory.deploy("salt", code);
        agreed.closingBlocks = 0;
        code = settlementCode();
        vm.expectRevert(abi.encodeWithSelector(ITradeFL.TermOutOfRange.selector, "closingBlocks", 0));
        factory.deploy("salt", code);
    }

    function test_AConstructorThatFailsSilentlyFails() public {
        setFactory();
        vm.expectRevert(Errors.FailedDeployment.selector);
        factory.deploy("salt", hex"fe");
        vm.expectRevert(Create2.Create2EmptyBytecode.selector);
        factory.deploy("salt", "");
    }

    function test_NoEtherIsTaken() public {
        setFactory();
        vm.deal(address(this), 1 ether);
        (bool done,) = address(factory).call{value: 1}(abi.encodeCall(Factory.deploy, ("salt", child(4))));
        assertFalse(done);
        (done,) = address(factory).call{value: 1}("");
        assertFalse(done);
    }

    /// @dev As the package does it: the vault by its series, the settlement by hash, round and attempt.
    function test_ASettlementAndItsVaultAreDeployedAndUsed() public {
        bytes32 series = keccak256("series");
        bytes memory vaultCode = abi.encodePacked(vm.getCode("Vault.sol:Vault"), abi.encode(address(0)));
        vault = Vault(make(series, vaultCode));
        bytes memory code = settlementCode();
        bytes32 salt = keccak256(abi.encode(agreementHash(), uint64(0), uint64(0)));
        settlement = Settlement(make(salt, code));
        assertEq(address(settlement), place(salt, code));
        assertEq(settlement.vault(), address(vault));
        assertEq(settlement.agreementHash(), agreementHash());
        toCancelled();

        salt = keccak256(abi.encode(agreementHash(), uint64(0), uint64(1)));
        Settlement next = Settlement(make(salt, code));
        assertNotEq(address(next), address(settlement));
        assertEq(next.agreementHash(), settlement.agreementHash());
        uint256 before = account(0).balance;
        withdraw(0);
        assertGt(account(0).balance, before);
        settlement = next;
        toSettled();
        for (uint256 i = 0; i < agreed.size; ++i) {
            withdraw(i);
        }
        assertEq(address(vault).balance, 0);
    }

    function setFactory() private {
        if (address(factory) == address(0)) factory = Factory(vm.deployCode("Factory.sol:Factory"));
    }

    function make(bytes32 salt, bytes memory code) private returns (address) {
        setFactory();
        return factory.deploy(salt, code);
    }

    function place(bytes32 salt, bytes memory code) private returns (address) {
        setFactory();
        return vm.computeCreate2Address(salt, keccak256(code), address(factory));
    }

    function child(uint256 value) private pure returns (bytes memory) {
        return abi.encodePacked(type(Child).creationCode, abi.encode(value));
    }

    function settlementCode() private returns (bytes memory) {
        return abi.encodePacked(
            vm.getCode(contractName()),
            abi.encode(vault, agreed, Agreement.hashes(organizationBlocks()), Agreement.hashes(pairBlocks()))
        );
    }
}
