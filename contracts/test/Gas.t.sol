// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITradeFL} from "../src/ITradeFL.sol";
import {IVault} from "../src/IVault.sol";
import {Factory} from "../src/Factory.sol";
import {Settlement} from "../src/Settlement.sol";
import {Agreement} from "./support/Agreement.sol";
import {Efficient} from "./support/Efficient.sol";
import {Linear} from "./support/Linear.sol";
import {SettlementTest} from "./support/SettlementTest.sol";

/// @title What each call costs, as a transaction of its own, and that none outgrows what a chain admits.
/// @notice The bytes are as expensive as they come: random, with hardly a zero among them. Figures go to snapshots/.
/// `isolate` makes forge run each call as a transaction: cold storage, and the 21,000 gas and the calldata that a
/// transaction pays for before the contract runs are counted.
abstract contract GasTests is SettlementTest {
    uint256 private constant TRANSACTION_LIMIT = 1 << 24; // EIP-7825

    ITradeFL.Terms private _terms;
    bytes[] private _lists;
    bytes32[] private _blockHashes; // the bytes are drawn again where they are needed: in storage, they slow forge down
    Settlement private _settlement;
    bool private _measured = true;

    // --- every call, at every size ---------------------------------------------------------------------------

    function test_TenOrganizations() public {
        _plain(10, 5, "N10");
    }

    function test_HundredOrganizations() public {
        _plain(100, 5, "N100");
    }

    function test_FiveHundredOrganizations() public {
        _plain(500, 5, "N500");
    }

    function test_LargestSize() public {
        _plain(1024, 1, "N1024");
    }

    function test_TenOrganizationsWithCourt() public {
        _court(10, 5, "N10");
    }

    function test_HundredOrganizationsWithCourt() public {
        _court(100, 5, "N100");
    }

    function test_FiveHundredOrganizationsWithCourt() public {
        _court(500, 5, "N500");
    }

    /// @dev With stakes to read for every one of them.
    function test_LargestSizeWithCourt() public {
        _court(1024, 1, "N1024");
    }

    /// @dev Neither verifier nor arbiter.
    function _plain(uint256 size, uint256 levels, string memory name) private {
        _agree({size: size, levels: levels, court: false});
        _deploy(_named(name, " deployment"));
        _call(
            address(this), abi.encodeCall(ITradeFL.annexPublish, (_annex())), 0, _named(name, " annexPublish")
        );
        _publishLists(_named(name, " organizationsPublish"));
        _publishPairs(_named(name, " pairsPublish"));
        _deposits(name);
        _call(_account(3), abi.encodeCall(ITradeFL.propose, (5e8, _level(0))), 0, _named(name, " propose"));
        _call(_account(1), abi.encodeCall(ITradeFL.consent, ()), 0, _named(name, " consent"));
        _reports(_named(name, " contributionSubmit"));
        _close(_named(name, " windowClose"));
        _call(address(this), abi.encodeCall(ITradeFL.profileRecord, ()), 0, _named(name, " profileRecord"));
        _calculate(_named(name, " payoffCalculate"));
        _call(address(this), abi.encodeCall(ITradeFL.payoffTransfer, ()), 0, _named(name, " payoffTransfer"));
        bytes memory data = abi.encodeCall(IVault.withdraw, (address(_settlement)));
        _callTo(address(vault), _account(3), data, 0, _named(name, " withdraw"));
        data = abi.encodeCall(IVault.withdrawTo, (address(_settlement), address(0xdead)));
        _callTo(address(vault), _account(4), data, 0, _named(name, " withdrawTo, a new account"));
    }

    /// @dev What costs more with a verifier and an arbiter, or is possible with them only.
    function _court(uint256 size, uint256 levels, string memory name) private {
        _agree({size: size, levels: levels, court: true});
        _deploy("");
        _settlement.annexPublish(_annex());
        _publishLists("");
        _publishPairs("");
        _deposits("");
        _reports(_named(name, " contributionSubmit, attested"));
        bytes memory data = _report(1, 1, bytes32(0));
        _call(_account(0), data, 0, _named(name, " contributionSubmit, the first serial"));
        data = _report(1, 2, bytes32(0));
        _call(_account(0), data, 0, _named(name, " contributionSubmit, a later serial"));
        _close("");
        data = abi.encodeCall(ITradeFL.profileRecord, ());
        _call(address(this), data, 0, _named(name, " profileRecord, with court"));
        data = abi.encodeCall(ITradeFL.disputeRaise, (_account(2)));
        _call(_account(1), data, 0, _named(name, " disputeRaise"));
        for (uint256 i = 2; i <= size; ++i) {
            _measure(false);
            data = abi.encodeCall(ITradeFL.disputeRaise, (_account((i + 1) % size)));
            _call(_account(i % size), data, 0, "");
        }
        _measure(true);
        skip(_terms.disputeSeconds + 1);
        _close(_named(name, " windowClose, of disputes"));
        data = abi.encodeCall(ITradeFL.windowClose, ());
        _call(address(this), data, 0, _named(name, " windowClose, to rulings"));
        data = abi.encodeCall(ITradeFL.rule, (_account(2), 1e7, _level(0)));
        _call(_terms.arbiter, data, 0, _named(name, " rule"));
        // Everybody loses or wins a stake, so that the transfer has to read all of them.
        for (uint256 i = 3; i <= size + 1; ++i) {
            _measure(false);
            _call(_terms.arbiter, abi.encodeCall(ITradeFL.rule, (_account(i % size), 0, 0)), 0, "");
        }
        _measure(true);
        _calculate(_named(name, " payoffCalculate, with court"));
        for (uint256 i = 0; i < size; ++i) {
            assertTrue(_settlement.organization(i).ruled);
        }
        data = abi.encodeCall(ITradeFL.payoffTransfer, ());
        _call(address(this), data, 0, _named(name, " payoffTransfer, with court"));
    }

    function test_Cancel() public {
        _agree({size: 10, levels: 5, court: false});
        _deploy("");
        _settlement.annexPublish(_annex());
        _publishLists("");
        _publishPairs("");
        _deposit(0, "");
        skip(_terms.joinSeconds + 1);
        _close("N10 windowClose, of joining");
        _call(address(this), abi.encodeCall(ITradeFL.cancel, ()), 0, "N10 cancel");
    }

    function test_Consent() public {
        _agree({size: 10, levels: 5, court: false});
        _deploy("");
        _settlement.annexPublish(_annex());
        _publishLists("");
        _publishPairs("");
        _deposits("");
        for (uint256 i = 0; i < 10; ++i) {
            _call(_account(i), abi.encodeCall(ITradeFL.consent, ()), 0, i == 9 ? "N10 consent, the last" : "");
        }
    }

    /// @dev What many settlements share, and a settlement that is deployed through it.
    function test_VaultAndFactory() public {
        _create(abi.encodePacked(vm.getCode("Vault.sol:Vault"), abi.encode(address(0))), "Vault deployment");
        address factory = _create(vm.getCode("Factory.sol:Factory"), "Factory deployment");
        _agree({size: 10, levels: 5, court: false});
        bytes memory data = abi.encodeCall(Factory.deploy, (bytes32(0), _creationCode()));
        _callTo(factory, address(this), data, 0, "N10 Factory.deploy");
        _callTo(factory, address(this), data, 0, "N10 Factory.deploy, where it stands already");
    }

    function test_LongestList() public {
        _agree({size: agreed.organizationsPerBlock, levels: 32, court: false});
        _deploy("");
        _publishLists("longest organizationsPublish");
    }

    // --- the agreement -------------------------------------------------------------------------------------------

    function _agree(uint256 size, uint256 levels, bool court) private noGasMetering {
        _terms = ITradeFL.Terms({
            size: uint16(size),
            gamma: 0,
            lambdaPpb: 0,
            minDataPpb: 1e7,
            weiPerPayoff: 1e15,
            token: address(0),
            verifier: court ? vm.addr(VERIFIER_KEY) : address(0),
            arbiter: court ? makeAddr("arbiter") : address(0),
            joinSeconds: 1 days,
            reportSeconds: 2 days,
            disputeSeconds: 3 days,
            rulingSeconds: 4 days,
            closingBlocks: 20,
            disputeStakeWei: court ? 1e15 : 0,
            spotAuditPpb: 0,
            organizationsPerBlock: agreed.organizationsPerBlock,
            pairsPerBlock: agreed.pairsPerBlock,
            annexHash: keccak256(_annex())
        });
        _agreeRule(_terms);
        for (uint256 first = 0; first < size; first += organizationsPerBlock()) {
            uint256 end = first + organizationsPerBlock();
            bytes memory list;
            for (uint256 i = first; i < size && i < end; ++i) {
                Agreement.Organization memory one;
                (one.account, one.dataBits) = (_account(i), uint64(8_123_456_789_123 + 1_234_567 * i));
                one.levels = new uint64[](levels);
                for (uint256 k = 0; k < levels; ++k) {
                    one.levels[k] = _level(k);
                }
                list = bytes.concat(list, Agreement.entry(one), _ruleEntry(i, levels));
            }
            _lists.push(list);
        }
        uint256 blocks = (size * (size - 1) / 2 + pairsPerBlock() - 1) / pairsPerBlock();
        for (uint256 b = 0; b < blocks; ++b) {
            _blockHashes.push(keccak256(_pairs(b)));
        }
    }

    /// @dev A block of the pairs: random, with hardly a zero among its bytes.
    function _pairs(uint256 b) private noGasMetering returns (bytes memory pairs) {
        uint256 count = uint256(_terms.size) * (_terms.size - 1) / 2 - b * pairsPerBlock();
        if (count > pairsPerBlock()) count = pairsPerBlock();
        (uint256 width, uint256 mask) = _pairMask();
        uint256 ones = 0x0101010101010101010101010101010101010101010101010101010101010101 & mask;
        pairs = new bytes(width * count + 32 - width); // room for the last word
        for (uint256 k = 0; k < width * count; k += 32) {
            uint256 word = uint256(keccak256(abi.encode(b, k))) & mask | ones;
            assembly ("memory-safe") {
                mstore(add(add(pairs, 32), k), word)
            }
        }
        assembly ("memory-safe") {
            mstore(pairs, mul(width, count))
        }
    }

    /// @dev Sets the rule's terms.
    function _agreeRule(ITradeFL.Terms storage terms) internal virtual;

    /// @dev What the rule adds to an entry; the more levels, the longer.
    function _ruleEntry(uint256 i, uint256 levels) internal pure virtual returns (bytes memory);

    /// @dev How many bytes a pair takes, and which bits of a word of pairs may be set.
    function _pairMask() internal pure virtual returns (uint256 width, uint256 mask);

    /// @dev Goes before the names of the figures.
    function _prefix() internal pure virtual returns (string memory);

    function _annex() private pure returns (bytes memory) {
        return "a line of an annex; each further byte costs what calldata costs, and 8 gas for the event";
    }

    function _account(uint256 i) private pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("organization", i)))));
    }

    function _level(uint256 k) internal pure returns (uint64) {
        return uint64(1_234_567_891 + 98_765_432 * k);
    }

    // --- its life; a figure is kept under each name that is not empty --------------------------------------------

    function _named(string memory name, string memory call_) private pure returns (string memory) {
        return bytes(name).length == 0 ? "" : string.concat(name, call_);
    }

    function _creationCode() private returns (bytes memory) {
        return abi.encodePacked(
            vm.getCode(contractName()),
            abi.encode(address(vault), _terms, Agreement.hashes(_lists), _blockHashes)
        );
    }

    function _deploy(string memory name) private {
        _settlement = Settlement(_create(_creationCode(), name));
    }

    function _create(bytes memory code, string memory name) private returns (address created) {
        uint256 gas = gasleft();
        // In assembly, so that nothing but the creation is measured: neither the encoding nor the memory it takes.
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
        }
        gas -= gasleft();
        assertTrue(created != address(0), name);
        assertLt(created.code.length, 24_576, "EIP-170");
        assertLt(code.length, 49_152, "EIP-3860");
        (uint256 intrinsic, uint256 floor) = _intrinsic(code);
        assertGt(gas, intrinsic + 200 * created.code.length, "without isolation");
        if (floor > gas) gas = floor;
        assertLt(gas, TRANSACTION_LIMIT, "deployment");
        _keep(name, gas);
    }

    function _publishLists(string memory name) private {
        for (uint256 b = 0; b < _lists.length; ++b) {
            _call(
                address(this),
                abi.encodeCall(ITradeFL.organizationsPublish, (b, _lists[b])),
                0,
                b == 0 ? name : ""
            );
        }
    }

    function _publishPairs(string memory name) private {
        _callBlocks(ITradeFL.pairsPublish.selector, name);
    }

    function _calculate(string memory name) private returns (uint256 dearest) {
        dearest = _callBlocks(ITradeFL.payoffCalculate.selector, name);
        assertEq(uint256(_settlement.phase()), uint256(ITradeFL.Phase.Calculated));
    }

    function _deposits(string memory name) private {
        uint256 size = _terms.size;
        for (uint256 i = 0; i < size; ++i) {
            _measure(i < 2 || i == size - 1 || size <= 100);
            string memory call_ = i == 0
                ? " depositSubmit, the first"
                : i == size - 1 ? " depositSubmit, the last" : " depositSubmit";
            _deposit(i, i < 2 || i == size - 1 ? _named(name, call_) : "");
        }
        _measure(true);
        assertEq(uint256(_settlement.phase()), uint256(ITradeFL.Phase.Open));
    }

    /// @dev Of a thousand calls that are alike only some are measured: all of them would burn more gas than forge
    /// grants a test.
    function _measure(bool measured) private {
        if (measured) vm.resumeGasMetering();
        else vm.pauseGasMetering();
        _measured = measured;
    }

    function _deposit(uint256 i, string memory name) private {
        bytes memory data =
            abi.encodeCall(IVault.depositSubmit, (address(_settlement), _settlement.agreementHash()));
        uint256 least = _settlement.organization(i).bond + _terms.disputeStakeWei;
        vm.deal(_account(i), least);
        _callTo(address(vault), _account(i), data, least, name);
    }

    function _reports(string memory name) private {
        for (uint256 i = 0; i < _terms.size; ++i) {
            _measure(i < 2 || _terms.size <= 100);
            _call(_account(i), _report(i, 0, keccak256("statement")), 0, i == 1 ? name : "");
        }
        _measure(true);
    }

    function _report(uint256 i, uint64 serial, bytes32 statement) private returns (bytes memory) {
        uint32 dataPpb = uint32(1e9 - i * 9e8 / _terms.size);
        bytes memory signature;
        if (_terms.verifier != address(0)) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(
                VERIFIER_KEY, _settlement.attestationDigest(_account(i), dataPpb, _level(0), serial, 0)
            );
            signature = abi.encodePacked(r, s, v);
        }
        return abi.encodeCall(
            ITradeFL.contributionSubmit, (_account(i), dataPpb, _level(0), serial, 0, statement, signature)
        );
    }

    function _close(string memory name) private {
        _call(address(this), abi.encodeCall(ITradeFL.windowClose, ()), 0, name);
        vm.roll(vm.getBlockNumber() + _terms.closingBlocks + 1);
    }

    // --- what a transaction costs --------------------------------------------------------------------------------

    /// @dev Calls with each block of the matrix, and keeps the figure of the dearest. Of all the blocks of the largest
    /// agreement only the first is measured: all of them would burn more gas than forge grants a test. The first
    /// touches every organization, and each later one touches fewer.
    function _callBlocks(bytes4 selector, string memory name) private returns (uint256 dearest) {
        for (uint256 b = 0; b < _blockHashes.length; ++b) {
            bool measured = b == 0 || _terms.size <= 500;
            // Memory is never given back, and its price grows with the square. So each block gets the same piece.
            uint256 free;
            assembly ("memory-safe") {
                free := mload(0x40)
            }
            bytes memory data = abi.encodeWithSelector(selector, b, _pairs(b));
            if (measured) {
                uint256 gas = _call(address(this), data, 0, "");
                if (gas > dearest) dearest = gas;
            } else {
                vm.pauseGasMetering();
                (bool ok,) = address(_settlement).call(data);
                assertTrue(ok, name);
                vm.resumeGasMetering();
            }
            assembly ("memory-safe") {
                mstore(0x40, free)
            }
        }
        _keep(name, dearest);
    }

    function _call(address from, bytes memory data, uint256 value, string memory name)
        private
        returns (uint256 gas)
    {
        return _callTo(address(_settlement), from, data, value, name);
    }

    /// @dev Makes the call, asserts that it fits into a transaction, and keeps its figure.
    function _callTo(address to, address from, bytes memory data, uint256 value, string memory name)
        private
        returns (uint256 gas)
    {
        vm.prank(from);
        (bool ok,) = to.call{value: value}(data);
        assertTrue(ok, name);
        if (!_measured) return 0;
        gas = vm.lastCallGas().gasTotalUsed;
        (uint256 intrinsic, uint256 floor) = _intrinsic(data);
        assertGt(gas, intrinsic, "without isolation");
        if (floor > gas) gas = floor;
        assertLt(gas, TRANSACTION_LIMIT, name);
        _keep(name, gas);
    }

    function _keep(string memory name, uint256 gas) private {
        if (bytes(name).length != 0) vm.snapshotValue("calls", string.concat(_prefix(), name), gas);
    }

    /// @dev What a transaction pays for its bytes, EIP-2028, and the least that it pays in all, EIP-7623.
    function _intrinsic(bytes memory data) private noGasMetering returns (uint256 intrinsic, uint256 floor) {
        uint256 zeros = 0;
        for (uint256 k = 0; k < data.length; ++k) {
            if (data[k] == 0) ++zeros;
        }
        uint256 others = data.length - zeros;
        return (21_000 + 4 * zeros + 16 * others, 21_000 + 10 * zeros + 40 * others);
    }
}

/// forge-config: default.isolate = true
/// forge-config: ci.isolate = true
contract GasTest is GasTests, Linear {
    function _agreeRule(ITradeFL.Terms storage terms) internal override {
        (terms.gamma, terms.lambdaPpb) = (5e27, 123_456_789);
    }

    function _ruleEntry(uint256, uint256) internal pure override returns (bytes memory) {
        return "";
    }

    /// @dev Every rho is below 1e9.
    function _pairMask() internal pure override returns (uint256 width, uint256 mask) {
        return (4, 0x1fffffff1fffffff1fffffff1fffffff1fffffff1fffffff1fffffff1fffffff);
    }

    function _prefix() internal pure override returns (string memory) {
        return "";
    }
}

/// forge-config: default.isolate = true
/// forge-config: ci.isolate = true
contract EfficientGasTest is GasTests, Efficient {
    function _agreeRule(ITradeFL.Terms storage) internal override {}

    /// @dev Of 32 levels goes a schedule of 32 breakpoints; of fewer, two for each, as `tradefl design` writes.
    function _ruleEntry(uint256 i, uint256 levels) internal pure override returns (bytes memory packed) {
        uint256 count = levels > 16 ? 32 : 2 * levels;
        packed = bytes.concat(bytes1(uint8(count)));
        for (uint256 k = 0; k < count; ++k) {
            uint256 share = k == count - 1 ? 1e9 : k * 31_234_567;
            int128 value = (int128(int256(k)) - 20) * (2 ** 89 + 0x1234567890abcdef1234) + int128(int256(i));
            packed = bytes.concat(packed, bytes4(uint32(share)), bytes16(uint128(value)));
        }
    }

    /// @dev Positive constants below 2^95; the four bytes above are zero, as every positive constant's are.
    function _pairMask() internal pure override returns (uint256 width, uint256 mask) {
        return (16, 0x000000007fffffffffffffffffffffff000000007fffffffffffffffffffffff);
    }

    function _prefix() internal pure override returns (string memory) {
        return "efficient ";
    }
}
