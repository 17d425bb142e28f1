// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ITradeFL} from "../../src/ITradeFL.sol";
import {TradeFL} from "../../src/TradeFL.sol";
import {Agreement} from "./Agreement.sol";

/// @title Drafts a settlement, walks it to any phase, and computes on its own what must come out.
/// @notice `setUp` prepares an agreement of four organizations. Change `agreed`, `organizations`, `rho`, `annex`
/// and `reports` as a test needs, or `prepare(size)` anew; then call one of the `to...` functions. Each of them
/// does only what is still missing.
abstract contract SettlementTest is Test {
    /// @notice What an organization will report in {toRecorded}; dataPpb 0: it stays silent.
    struct Report {
        uint32 dataPpb;
        uint64 cpuHz;
    }

    uint256 internal constant START = 1_700_000_000;
    uint256 internal constant VERIFIER_KEY = uint256(keccak256("verifier"));
    uint32 internal constant ONE = 1e9;

    address internal verifier = vm.addr(VERIFIER_KEY);
    address internal arbiter = makeAddr("arbiter");
    address internal stranger = makeAddr("stranger");

    ITradeFL.Terms internal agreed;
    Agreement.Organization[] internal organizations;
    uint32[] internal rho; // the upper triangle i < j, row by row, ppb
    bytes internal annex;
    Report[] internal reports;
    TradeFL internal settlement;

    function setUp() public virtual {
        vm.warp(START);
        prepare(4);
    }

    // --- the agreement -------------------------------------------------------------------------------------------

    /// @dev Fills in an agreement of `size` organizations without verifier and arbiter, and what they will report.
    function prepare(uint256 size) internal noGasMetering {
        annex = "names and the accuracy model";
        agreed = ITradeFL.Terms({
            size: uint16(size),
            gamma: 5e27,
            lambdaPpb: 1e8,
            minDataPpb: 1e7,
            weiPerPayoff: 1e15,
            verifier: address(0),
            arbiter: address(0),
            joinSeconds: 1 days,
            reportSeconds: 2 days,
            disputeSeconds: 3 days,
            rulingSeconds: 4 days,
            annexHash: keccak256(annex)
        });
        delete organizations;
        delete reports;
        for (uint256 i = 0; i < size; ++i) {
            Agreement.Organization storage one = organizations.push();
            one.account = address(uint160(0x0123456789abcdef0000 + i));
            one.dataBits = uint64(1e9 + i * 1e7);
            one.levels = [uint64(1e9), 2e9, 3e9];
            reports.push(Report(uint32(1e9 - (i % 10) * 9e7), one.levels[i % 3]));
        }
        uint32[] memory values = new uint32[](size * (size - 1) / 2);
        for (uint256 k = 0; k < values.length; ++k) {
            values[k] = uint32(uint256(keccak256(abi.encode(k))) % (1e9 + 1));
        }
        rho = values;
        delete settlement;
    }

    function setRho(uint256 i, uint256 j, uint32 value) internal {
        rho[Agreement.place(i, j, agreed.size)] = value;
    }

    function account(uint256 i) internal view returns (address) {
        return organizations[i].account;
    }

    function organizationBlocks() internal noGasMetering returns (bytes[] memory) {
        return Agreement.organizationBlocks(organizations);
    }

    function competitionBlocks() internal noGasMetering returns (bytes[] memory) {
        return Agreement.competitionBlocks(rho);
    }

    function agreementHash() internal noGasMetering returns (bytes32) {
        return Agreement.hash(agreed, organizationBlocks(), competitionBlocks());
    }

    // --- the life of a settlement --------------------------------------------------------------------------------

    function draft() internal {
        settlement = new TradeFL(
            agreed, Agreement.hashes(organizationBlocks()), Agreement.hashes(competitionBlocks())
        );
    }

    function toJoining() internal {
        if (address(settlement) == address(0)) draft();
        if (settlement.phase() != ITradeFL.Phase.Drafting) return;
        (bool annexIsPublished, uint256 listed, uint256 published,,,,) = settlement.progress();
        if (!annexIsPublished) settlement.annexPublish(annex);
        if (listed < agreed.size) {
            bytes[] memory list = organizationBlocks();
            for (uint256 b = listed / Agreement.ORGANIZATIONS_PER_BLOCK; b < list.length; ++b) {
                settlement.organizationsPublish(b, list[b]);
            }
        }
        bytes[] memory blocks = competitionBlocks();
        for (uint256 b = 0; b < blocks.length; ++b) {
            if (published >> b & 1 == 0) settlement.competitionPublish(b, blocks[b]);
        }
    }

    /// @dev Every organization deposits exactly its bond.
    function toOpen() internal {
        toJoining();
        if (settlement.phase() != ITradeFL.Phase.Joining) return;
        uint256[] memory bonds = expectedBonds();
        for (uint256 i = 0; i < agreed.size; ++i) {
            if (!settlement.organization(i).joined) deposit(i, bonds[i]);
        }
    }

    function toRecorded() internal {
        toOpen();
        if (settlement.phase() != ITradeFL.Phase.Open) return;
        bool all = true;
        for (uint256 i = 0; i < agreed.size; ++i) {
            if (reports[i].dataPpb == 0) all = false;
            else if (!settlement.organization(i).reported) report(i);
        }
        (, uint256 deadline,,) = settlement.deadlines();
        if (!all) vm.warp(deadline + 1);
        settlement.profileRecord();
    }

    /// @dev Past every window, so a ruling must have come before.
    function toCalculated() internal {
        toRecorded();
        if (settlement.phase() != ITradeFL.Phase.Recorded) return;
        (,,, uint256 deadline) = settlement.deadlines();
        vm.warp(deadline + 1);
        bytes[] memory blocks = competitionBlocks();
        for (uint256 b = 0; b < blocks.length; ++b) {
            settlement.payoffCalculate(b, blocks[b]);
        }
    }

    function toSettled() internal {
        toCalculated();
        if (settlement.phase() == ITradeFL.Phase.Calculated) settlement.payoffTransfer();
    }

    function toCancelled() internal {
        if (address(settlement) == address(0)) draft();
        (uint256 deadline,,,) = settlement.deadlines();
        vm.warp(deadline + 1);
        settlement.cancel();
    }

    // --- single steps --------------------------------------------------------------------------------------------

    /// @dev Organization i deposits; it is given the ether first.
    function deposit(uint256 i, uint256 amount) internal {
        vm.deal(account(i), account(i).balance + amount);
        bytes32 hash = settlement.agreementHash();
        vm.prank(account(i));
        settlement.depositSubmit{value: amount}(hash);
    }

    /// @dev Organization i reports `reports[i]`, signed when there is a verifier.
    function report(uint256 i) internal {
        bytes memory signature = agreed.verifier == address(0)
            ? bytes("")
            : attest(account(i), reports[i].dataPpb, reports[i].cpuHz);
        vm.prank(account(i));
        settlement.contributionSubmit(reports[i].dataPpb, reports[i].cpuHz, bytes32(0), signature);
    }

    /// @dev The verifier's signature for this settlement.
    function attest(address organization, uint32 dataPpb, uint64 cpuHz) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(
            VERIFIER_KEY,
            Agreement.attestationDigest(block.chainid, address(settlement), organization, dataPpb, cpuHz)
        );
        return abi.encodePacked(r, s, v);
    }

    function withdraw(uint256 i) internal {
        vm.prank(account(i));
        settlement.withdraw();
    }

    // --- what must come out --------------------------------------------------------------------------------------

    /// @dev X of every organization by `reports`; a test that has the arbiter rule changes `reports` first.
    function expectedContributions() internal noGasMetering returns (uint256[] memory x) {
        x = new uint256[](agreed.size);
        for (uint256 i = 0; i < x.length; ++i) {
            x[i] = uint256(reports[i].dataPpb) * organizations[i].dataBits + uint256(agreed.lambdaPpb)
                * reports[i].cpuHz;
        }
    }

    /// @dev R of every organization, Eq. (9) and (10): each row on its own, every pair computed from both sides.
    function expectedRedistributions() internal noGasMetering returns (int256[] memory r) {
        uint256[] memory x = expectedContributions();
        uint32[] memory values = rho;
        r = new int256[](x.length);
        for (uint256 i = 0; i < x.length; ++i) {
            for (uint256 j = 0; j < x.length; ++j) {
                if (i == j) continue;
                int256 weight =
                    int256(uint256(agreed.gamma)) * int256(uint256(values[Agreement.place(i, j, x.length)]));
                r[i] += weight * (int256(x[i]) - int256(x[j])) / 1e36;
            }
        }
    }

    /// @dev The most that each could owe, rounded up: gamma sum_j rho_ij Xmax_j / 1e36.
    function expectedBonds() internal noGasMetering returns (uint256[] memory bonds) {
        uint256 size = agreed.size;
        uint32[] memory values = rho;
        uint256[] memory caps = new uint256[](size);
        for (uint256 i = 0; i < size; ++i) {
            uint64[] memory levels = organizations[i].levels;
            caps[i] = 1e9 * uint256(organizations[i].dataBits) + uint256(agreed.lambdaPpb)
                * levels[levels.length - 1];
        }
        bonds = new uint256[](size);
        for (uint256 i = 0; i < size; ++i) {
            uint256 weight = 0;
            for (uint256 j = 0; j < size; ++j) {
                if (i != j) weight += values[Agreement.place(i, j, size)] * caps[j];
            }
            bonds[i] = Math.mulDiv(agreed.gamma, weight, 1e36, Math.Rounding.Ceil);
        }
    }
}
