// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {ITradeFL} from "../../src/ITradeFL.sol";
import {TradeFL} from "../../src/TradeFL.sol";
import {Vault} from "../../src/Vault.sol";

/// Proofs about stakes, with three organizations. Symbolic: what everybody has deposited, and which of four kinds of
/// ruling the arbiter gives in each of two disputes, if any. Fixed: the agreement, the reports, who disputes whom.
contract StakeProofs is Test {
    address private constant ARBITER = address(0xA4B);
    uint256 private constant STAKE = 1e15 + 1;
    uint64 private constant DATA = 1e9;
    uint64 private constant SLOW = 1e9;
    uint64 private constant FAST = 3e9;
    uint32 private constant LEAST = 1e7;
    bytes private constant ANNEX = "annex";

    address[3] private who = [address(0xA11CE), address(0xB0B), address(0xCAB)];
    Vault private vault;
    TradeFL private settlement;

    uint32 private constant REPORT = 5e8;

    function setUp() public {
        bytes memory list;
        for (uint256 i = 0; i < 3; ++i) {
            list = bytes.concat(list, abi.encodePacked(who[i], DATA, uint8(2), SLOW, FAST));
        }
        bytes memory rho = abi.encodePacked(uint32(7e8), uint32(3e8), uint32(5e8));
        bytes32[] memory organizations = new bytes32[](1);
        bytes32[] memory competition = new bytes32[](1);
        (organizations[0], competition[0]) = (keccak256(list), keccak256(rho));
        vault = new Vault(address(0));
        settlement = new TradeFL(
            address(vault),
            ITradeFL.Terms({
                size: 3,
                gamma: 5e27,
                lambdaPpb: 1e8,
                minDataPpb: LEAST,
                weiPerPayoff: 1,
                token: address(0),
                verifier: address(0),
                arbiter: ARBITER,
                joinSeconds: 1 days,
                reportSeconds: 1 days,
                disputeSeconds: 1 days,
                rulingSeconds: 1 days,
                closingBlocks: 1,
                disputeStakeWei: uint128(STAKE),
                spotAuditPpb: 0,
                organizationsPerBlock: 3,
                pairsPerBlock: 3,
                annexHash: keccak256(ANNEX)
            }),
            organizations,
            competition
        );
        settlement.annexPublish(ANNEX);
        settlement.organizationsPublish(0, list);
        settlement.pairsPublish(0, rho);
    }

    /// A and B dispute each other's report: each may lose as accused and as disputer.
    /// @custom:halmos --loop 4
    function check_StakesOfADuelAddUpToZero(uint112[3] calldata deposits, uint8[2] calldata rulings)
        external
    {
        vm.assume(rulings[0] <= 4 && rulings[1] <= 4);
        _toRuling(deposits, 1, 0, false);
        _rule(0, rulings[0]);
        _rule(1, rulings[1]);
        _check(deposits);
    }

    /// A disputes its own silence, B that of A's rival C.
    /// @custom:halmos --loop 4
    function check_StakesOfAnOwnCaseAddUpToZero(uint112[3] calldata deposits, uint8[2] calldata rulings)
        external
    {
        vm.assume(rulings[0] <= 4 && rulings[1] <= 4);
        _toRuling(deposits, 0, 1, true);
        _rule(0, rulings[0]);
        _rule(2, rulings[1]);
        _check(deposits);
    }

    /// @dev `byFirst` disputes A, `bySecond` disputes B, or C when A was silent.
    function _toRuling(uint112[3] calldata deposits, uint256 byFirst, uint256 bySecond, bool silent) private {
        bytes32 hash = settlement.agreementHash();
        for (uint256 i = 0; i < 3; ++i) {
            vm.assume(deposits[i] >= settlement.organization(i).bond + STAKE);
            vm.deal(who[i], deposits[i]);
            vm.prank(who[i]);
            vault.depositSubmit{value: deposits[i]}(address(settlement), hash);
        }
        for (uint256 i = silent ? 1 : 0; i < 3; ++i) {
            vm.prank(who[i]);
            settlement.contributionSubmit(who[i], REPORT, FAST, 0, 0, 0, "");
        }
        vm.warp(block.timestamp + 2 days);
        settlement.windowClose();
        vm.roll(block.number + 2);
        settlement.profileRecord();
        vm.prank(who[byFirst]);
        settlement.disputeRaise(who[0]);
        vm.prank(who[bySecond]);
        settlement.disputeRaise(who[silent ? 2 : 1]);
        vm.warp(block.timestamp + 2 days);
        settlement.windowClose();
        vm.roll(block.number + 4);
    }

    /// @dev None, struck, upheld (or heard, after silence), lower, higher.
    function _rule(uint256 accused, uint8 kind) private {
        if (kind == 0) return;
        (uint32 dataPpb, uint64 cpuHz) = (0, 0);
        if (kind == 2) (dataPpb, cpuHz) = (REPORT, FAST);
        if (kind == 3) (dataPpb, cpuHz) = (LEAST, SLOW);
        if (kind == 4) (dataPpb, cpuHz) = (1e9, FAST);
        vm.prank(ARBITER);
        settlement.rule(who[accused], dataPpb, cpuHz);
    }

    /// @dev The stakes add up to zero; nobody has lost any of its bond.
    function _check(uint112[3] calldata deposits) private view {
        int256 sum = 0;
        for (uint256 i = 0; i < 3; ++i) {
            ITradeFL.Account memory one = settlement.organization(i);
            sum += one.stakes;
            assert(one.stakes >= -int256(uint256(deposits[i]) - one.bond));
            assert(one.stakes >= -2 * int256(STAKE) && one.stakes <= 2 * int256(STAKE));
        }
        assert(sum == 0);
    }
}
