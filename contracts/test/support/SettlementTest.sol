// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {ITradeFL} from "../../src/ITradeFL.sol";
import {Settlement} from "../../src/Settlement.sol";
import {Agreement} from "./Agreement.sol";

/// @title Drafts a settlement, walks it to any phase, and computes on its own what must come out.
/// @notice `setUp` prepares an agreement of four organizations. Change `agreed`, `organizations`, `annex`, `reports`
/// and the rule's own figures as a test needs, or `prepare(size)` anew; then call one of the `to...` functions. Each
/// of them does only what is still missing.
/// @dev A test says under which rule it runs by inheriting from {Linear} or {Efficient}, which provide the functions
/// at the end.
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

    // Who takes part in what {prepare} fills in; a test contract sets them in its constructor.
    address internal usualVerifier;
    address internal usualArbiter;

    ITradeFL.Terms internal agreed;
    Agreement.Organization[] internal organizations;
    bytes internal annex;
    Report[] internal reports;
    Settlement internal settlement;

    function setUp() public {
        vm.warp(START);
        prepare(4);
    }

    // --- the agreement -------------------------------------------------------------------------------------------

    /// @dev Fills in an agreement of `size` organizations, and what they will report.
    function prepare(uint256 size) internal noGasMetering {
        annex = "names and the accuracy model";
        agreed = ITradeFL.Terms({
            size: uint16(size),
            gamma: 0,
            lambdaPpb: 0,
            minDataPpb: 1e7,
            weiPerPayoff: 1e15,
            verifier: usualVerifier,
            arbiter: usualArbiter,
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
        prepareRule(size);
        delete settlement;
    }

    /// @dev The least size whose pairs fill more than one block.
    function twoBlocks() internal pure returns (uint256 size) {
        while (size * (size + 1) / 2 <= pairsPerBlock()) ++size;
        ++size;
    }

    function account(uint256 i) internal view returns (address) {
        return organizations[i].account;
    }

    function organizationBlocks() internal noGasMetering returns (bytes[] memory) {
        bytes[] memory entries = new bytes[](organizations.length);
        for (uint256 i = 0; i < entries.length; ++i) {
            entries[i] = bytes.concat(Agreement.entry(organizations[i]), ruleEntry(i));
        }
        return Agreement.listBlocks(entries, organizationsPerBlock());
    }

    function agreementHash() internal noGasMetering returns (bytes32) {
        return hashOf(agreed, Agreement.hashes(organizationBlocks()), Agreement.hashes(pairBlocks()));
    }

    // --- the life of a settlement --------------------------------------------------------------------------------

    function draft() internal {
        settlement = deploy(agreed, Agreement.hashes(organizationBlocks()), Agreement.hashes(pairBlocks()));
    }

    function toJoining() internal {
        if (address(settlement) == address(0)) draft();
        if (settlement.phase() != ITradeFL.Phase.Drafting) return;
        (bool annexIsPublished, uint256 listed, uint256 published,,,,) = settlement.progress();
        if (!annexIsPublished) settlement.annexPublish(annex);
        if (listed < agreed.size) {
            bytes[] memory list = organizationBlocks();
            for (uint256 b = listed / organizationsPerBlock(); b < list.length; ++b) {
                settlement.organizationsPublish(b, list[b]);
            }
        }
        bytes[] memory blocks = pairBlocks();
        for (uint256 b = 0; b < blocks.length; ++b) {
            if (published >> b & 1 == 0) settlement.pairsPublish(b, blocks[b]);
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
        bytes[] memory blocks = pairBlocks();
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

    /// @dev R of every organization, Eq. (10), by `reports`; a test that has the arbiter rule changes `reports` first.
    function expectedRedistributions() internal returns (int256[] memory) {
        return expectedRedistributionsOf(type(uint256).max);
    }

    // --- what a rule provides ------------------------------------------------------------------------------------

    /// @dev Fills in the rule's figures for so many organizations.
    function prepareRule(uint256 size) internal virtual;

    function deploy(
        ITradeFL.Terms memory terms,
        bytes32[] memory organizationHashes,
        bytes32[] memory pairHashes
    ) internal virtual returns (Settlement);

    /// @dev Where the creation code of the rule's contract is.
    function creationCode() internal view virtual returns (bytes memory);

    function organizationsPerBlock() internal pure virtual returns (uint256);

    function pairsPerBlock() internal pure virtual returns (uint256);

    /// @dev What the rule adds to an organization's entry.
    function ruleEntry(uint256 i) internal virtual returns (bytes memory);

    function pairBlocks() internal virtual returns (bytes[] memory);

    /// @dev Changes what is agreed of one pair.
    function disturbPair(uint256 place) internal virtual;

    /// @dev Makes the pairs one too many, or takes the last away.
    function resizePairs(bool more) internal virtual;

    function hashOf(
        ITradeFL.Terms memory terms,
        bytes32[] memory organizationHashes,
        bytes32[] memory pairHashes
    ) internal pure virtual returns (bytes32);

    /// @dev The score that this report of organization i has; {0, 0}: silence.
    function expectedScore(uint256 i, Report memory said) internal virtual returns (int256);

    /// @dev The most that organization i's score can be.
    function expectedCap(uint256 i) internal virtual returns (int256);

    /// @dev R of every organization over the blocks of pairs in `mask`: each row on its own, every pair computed from
    /// both sides.
    function expectedRedistributionsOf(uint256 mask) internal virtual returns (int256[] memory);

    /// @dev The most that each could owe.
    function expectedBonds() internal virtual returns (uint256[] memory);

    /// @dev How much more than the worst case a bond may be, wei: what rounding leaves.
    function bondSlack() internal view virtual returns (uint256);
}
