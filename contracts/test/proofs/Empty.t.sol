// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {ITradeFL} from "../../src/ITradeFL.sol";
import {TradeFL} from "../../src/TradeFL.sol";
import {TradeMath} from "../../src/TradeMath.sol";
import {Vault} from "../../src/Vault.sol";

/// @dev Halmos answers at this address; the rest of its interface is not needed here.
interface IHalmos {
    function createCalldata(string calldata contractName) external returns (bytes memory);
}

/// Proofs about the whole contract with two organizations. Symbolic, that is, proven for every value: both deposits,
/// who is silent, both shares of data, both frequencies. Fixed: what the agreement says, with no verifier and no
/// arbiter.
contract EmptyProofs is Test {
    IHalmos private constant HALMOS = IHalmos(address(uint160(uint256(keccak256("svm cheat code")))));

    address private constant A = address(0xA11CE);
    address private constant B = address(0xB0B);
    uint64 private constant DATA_A = 1e9;
    uint64 private constant DATA_B = 2e9;
    uint64 private constant SLOW = 1e9;
    uint64 private constant FAST = 3e9;
    uint128 private constant GAMMA = 5e27;
    uint64 private constant LAMBDA = 1e8;
    uint32 private constant RHO = 7e8;
    uint32 private constant LEAST = 1e7;
    uint32 private constant CLOSING = 20;
    bytes private constant ANNEX = "annex";

    Vault private vault;
    TradeFL private settlement;

    /// @dev One organization's choices.
    struct Choice {
        uint112 deposit;
        bool silent;
        uint32 dataPpb;
        bool fast;
    }

    function setUp() public {
        bytes memory list = abi.encodePacked(A, DATA_A, uint8(2), SLOW, FAST, B, DATA_B, uint8(2), SLOW, FAST);
        bytes32[] memory organizations = new bytes32[](1);
        bytes32[] memory competition = new bytes32[](1);
        organizations[0] = keccak256(list);
        competition[0] = keccak256(abi.encodePacked(RHO));
        vault = new Vault(address(0));
        settlement = new TradeFL(
            address(vault),
            ITradeFL.Terms({
                size: 2,
                gamma: GAMMA,
                lambdaPpb: LAMBDA,
                minDataPpb: LEAST,
                weiPerPayoff: 1,
                token: address(0),
                verifier: address(0),
                arbiter: address(0),
                joinSeconds: 1 days,
                reportSeconds: 1 days,
                disputeSeconds: 1,
                rulingSeconds: 1,
                closingBlocks: CLOSING,
                disputeStakeWei: 0,
                spotAuditPpb: 0,
                organizationsPerBlock: 2,
                pairsPerBlock: 1,
                annexHash: keccak256(ANNEX)
            }),
            organizations,
            competition
        );
        settlement.annexPublish(ANNEX);
        settlement.organizationsPublish(0, list);
        settlement.pairsPublish(0, abi.encodePacked(RHO));
    }

    /// Nobody can get stuck, everybody gets deposit + R, R_A = -R_B, and the contract ends empty.
    /// @custom:halmos --loop 4
    function check_EverybodyIsPaidAndNothingIsLeft(Choice calldata a, Choice calldata b) external {
        uint256 bondA = settlement.organization(0).bond;
        uint256 bondB = settlement.organization(1).bond;
        vm.assume(a.deposit >= bondA && b.deposit >= bondB);
        vm.assume(a.dataPpb >= LEAST && a.dataPpb <= 1e9 && b.dataPpb >= LEAST && b.dataPpb <= 1e9);
        // Proven in Arithmetic.sol (bondCoversOne); halmos cannot compare quotients.
        int256 payment =
            TradeMath.compensation(GAMMA, RHO, _contribution(DATA_A, a), _contribution(DATA_B, b));
        vm.assume(payment >= -int256(bondA) && payment <= int256(bondB));

        // Halmos passes over a call that reverts; here a revert is a failure.
        try this.live(a, b) returns (int256 rA, int256 rB) {
            assert(rA == payment && rB == -payment);
            assert(A.balance == uint256(int256(uint256(a.deposit)) + rA));
            assert(B.balance == uint256(int256(uint256(b.deposit)) + rB));
            assert(address(vault).balance == 0);
        } catch {
            assert(false);
        }
    }

    /// While reports are awaited, no call of an address outside the agreement changes anything, the vault aside: any
    /// function that is no view, any arguments (bytes arguments of 0, 65 and 1,024 bytes), any ether sent along.
    // Without the time for branches (default 1 ms) a busy machine leaves branches undecided, and halmos unrolls the
    // loops of those that cannot happen.
    /// @custom:halmos --loop 300 --solver-timeout-branching 60s
    function check_StrangerChangesNothing(address stranger, uint96 value) external {
        // The vault is no stranger: what it reports are its members' deposits and withdrawals.
        vm.assume(
            stranger != A && stranger != B && stranger != address(settlement) && stranger != address(vault)
                && stranger != address(this)
        );
        _deposit(A, settlement.organization(0).bond);
        _deposit(B, settlement.organization(1).bond);
        bytes32 before = _state();
        uint256 balance = address(vault).balance;

        vm.deal(stranger, value);
        vm.prank(stranger);
        (bool done,) = address(settlement).call{value: value}(HALMOS.createCalldata("TradeFL"));
        done; // whether it reverted does not matter
        assert(_state() == before);
        assert(address(vault).balance == balance);
    }

    function live(Choice calldata a, Choice calldata b) external returns (int256 rA, int256 rB) {
        _deposit(A, a.deposit);
        _deposit(B, b.deposit);
        if (!a.silent) _report(A, a);
        if (!b.silent) _report(B, b);
        if (a.silent || b.silent) vm.warp(block.timestamp + 1 days + 1);
        settlement.windowClose();
        vm.roll(block.number + CLOSING + 1);
        settlement.profileRecord();
        settlement.payoffCalculate(0, abi.encodePacked(RHO));
        settlement.payoffTransfer();
        vm.prank(A);
        vault.withdraw(address(settlement));
        vm.prank(B);
        vault.withdraw(address(settlement));
        return (settlement.organization(0).redistribution, settlement.organization(1).redistribution);
    }

    function _deposit(address who, uint256 amount) private {
        bytes32 hash = settlement.agreementHash();
        vm.deal(who, amount);
        vm.prank(who);
        vault.depositSubmit{value: amount}(address(settlement), hash);
    }

    function _report(address who, Choice calldata choice) private {
        vm.prank(who);
        settlement.contributionSubmit(who, choice.dataPpb, choice.fast ? FAST : SLOW, 0, 0, bytes32(0), "");
    }

    function _contribution(uint64 data, Choice calldata choice) private pure returns (uint96) {
        if (choice.silent) return 0;
        return TradeMath.contribution(choice.dataPpb, data, LAMBDA, choice.fast ? FAST : SLOW);
    }

    /// @dev Everything that the contract knows, in one word.
    function _state() private view returns (bytes32) {
        (bool done, bytes memory progress) =
            address(settlement).staticcall(abi.encodeCall(ITradeFL.progress, ()));
        assert(done);
        return keccak256(
            abi.encode(settlement.phase(), progress, settlement.organization(0), settlement.organization(1))
        );
    }
}
