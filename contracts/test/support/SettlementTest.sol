// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {ITradeFL} from "../../src/ITradeFL.sol";
import {Settlement} from "../../src/Settlement.sol";
import {Vault} from "../../src/Vault.sol";
import {Agreement} from "./Agreement.sol";

/// @title Drafts a settlement, walks it to any phase, and computes on its own what must come out.
/// @notice `setUp` prepares an agreement of four organizations. Change `agreed`, `organizations`, `annex`, `reports`
/// and the rule's own figures as a test needs, or `prepare(size)` again; then call one of the `to...` functions. Each
/// of them does only what is still missing.
/// @dev A test says under which rule it runs by inheriting from {Linear} or {Efficient}, which provide the functions
/// at the end.
abstract contract SettlementTest is Test {
    /// @notice What an organization will report in {toRecorded}; dataPpb 0: it stays silent.
    struct Report {
        uint32 dataPpb;
        uint64 cpuHz;
    }

    /// @notice What {Settlement.progress} returns.
    struct Progress {
        bool annexIsPublished;
        uint256 listed;
        uint256 published;
        uint256 joined;
        uint256 reported;
        uint256 openDisputes;
        uint256 calculated;
        uint256 closedAt;
        uint256 consents;
        bool rulingBegun;
    }

    uint256 internal constant START = 1_700_000_000;
    uint256 internal constant START_BLOCK = 1000;
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
    Vault internal vault;
    Settlement internal settlement;

    function setUp() public {
        vm.warp(START);
        vm.roll(START_BLOCK);
        vault = deployVault();
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
            token: address(0),
            verifier: usualVerifier,
            arbiter: usualArbiter,
            joinSeconds: 1 days,
            reportSeconds: 2 days,
            disputeSeconds: 3 days,
            rulingSeconds: 4 days,
            closingBlocks: 5,
            disputeStakeWei: usualArbiter == address(0) ? 0 : 1e15 + 7,
            spotAuditPpb: 0,
            organizationsPerBlock: 0,
            pairsPerBlock: 0,
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
    function twoBlocks() internal view returns (uint256 size) {
        while (size * (size + 1) / 2 <= pairsPerBlock()) ++size;
        ++size;
    }

    function organizationsPerBlock() internal view returns (uint256) {
        return agreed.organizationsPerBlock;
    }

    function pairsPerBlock() internal view returns (uint256) {
        return agreed.pairsPerBlock;
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

    /// @dev Not `new`: that would put the contract's code into every test contract, and compiling takes minutes.
    function deploy(
        ITradeFL.Terms memory terms,
        bytes32[] memory organizationHashes,
        bytes32[] memory pairHashes
    ) internal returns (Settlement) {
        return Settlement(
            vm.deployCode(contractName(), abi.encode(vault, terms, organizationHashes, pairHashes))
        );
    }

    function deployVault() internal returns (Vault) {
        return Vault(vm.deployCode("Vault.sol:Vault", abi.encode(address(0))));
    }

    function toJoining() internal {
        if (address(settlement) == address(0)) draft();
        if (settlement.phase() != ITradeFL.Phase.Drafting) return;
        Progress memory now_ = progress();
        if (!now_.annexIsPublished) settlement.annexPublish(annex);
        if (now_.listed < agreed.size) {
            bytes[] memory list = organizationBlocks();
            for (uint256 b = now_.listed / organizationsPerBlock(); b < list.length; ++b) {
                settlement.organizationsPublish(b, list[b]);
            }
        }
        bytes[] memory blocks = pairBlocks();
        for (uint256 b = 0; b < blocks.length; ++b) {
            if (now_.published >> b & 1 == 0) settlement.pairsPublish(b, blocks[b]);
        }
    }

    /// @dev Every organization deposits the least that it may.
    function toOpen() internal {
        toJoining();
        if (settlement.phase() != ITradeFL.Phase.Joining) return;
        uint256[] memory bonds = expectedBonds();
        for (uint256 i = 0; i < agreed.size; ++i) {
            if (!settlement.organization(i).joined) deposit(i, bonds[i] + agreed.disputeStakeWei);
        }
    }

    function toRecorded() internal {
        toOpen();
        if (settlement.phase() != ITradeFL.Phase.Open) return;
        for (uint256 i = 0; i < agreed.size; ++i) {
            if (reports[i].dataPpb != 0 && !settlement.organization(i).reported) report(i);
        }
        endWindow();
        settlement.profileRecord();
    }

    /// @dev Past every window, so a ruling must have come before.
    function toCalculated() internal {
        toRecorded();
        if (settlement.phase() != ITradeFL.Phase.Recorded) return;
        toFinalReports();
        bytes[] memory blocks = pairBlocks();
        for (uint256 b = 0; b < blocks.length; ++b) {
            settlement.payoffCalculate(b, blocks[b]);
        }
    }

    /// @dev In Recorded: until nobody can dispute or rule any more.
    function toFinalReports() internal {
        if (agreed.arbiter == address(0)) return;
        if (!progress().rulingBegun) endWindow();
        if (progress().openDisputes == 0) return;
        if (!progress().rulingBegun) settlement.windowClose();
        endWindow();
    }

    function toSettled() internal {
        toCalculated();
        if (settlement.phase() == ITradeFL.Phase.Calculated) settlement.payoffTransfer();
    }

    /// @dev Somebody has deposited, but not all.
    function toCancelled() internal {
        toJoining();
        if (progress().joined == 0) deposit(0, expectedBonds()[0] + agreed.disputeStakeWei);
        endWindow();
        settlement.cancel();
    }

    /// @dev Ends the window of this phase: its time and its last blocks pass.
    function endWindow() internal {
        if (progress().closedAt == 0) {
            uint256 last = windowDeadline();
            if (vm.getBlockTimestamp() <= last) vm.warp(last + 1);
            settlement.windowClose();
        }
        uint256 end = progress().closedAt + agreed.closingBlocks + 1;
        if (vm.getBlockNumber() < end) vm.roll(end);
    }

    /// @dev The second after which the window of this phase may be closed.
    function windowDeadline() internal view returns (uint256) {
        (uint256 join, uint256 reporting, uint256 disputes, uint256 ruling) = settlement.deadlines();
        if (settlement.phase() == ITradeFL.Phase.Joining) return join;
        if (settlement.phase() == ITradeFL.Phase.Open) {
            return progress().reported == agreed.size ? 0 : reporting;
        }
        return ruling == 0 ? disputes : ruling;
    }

    /// @dev Ten values are too many for Solidity's stack; a struct of them has the same bytes.
    function progress() internal view returns (Progress memory) {
        (bool done, bytes memory answer) =
            address(settlement).staticcall(abi.encodeCall(ITradeFL.progress, ()));
        require(done, "progress");
        return abi.decode(answer, (Progress));
    }

    // --- single steps --------------------------------------------------------------------------------------------

    /// @dev Organization i deposits; it is given the ether first.
    function deposit(uint256 i, uint256 amount) internal {
        vm.deal(account(i), account(i).balance + amount);
        bytes32 hash = settlement.agreementHash();
        vm.prank(account(i));
        vault.depositSubmit{value: amount}(address(settlement), hash);
    }

    /// @dev Organization i reports `reports[i]`, signed when there is a verifier.
    function report(uint256 i) internal {
        bytes memory signature = agreed.verifier == address(0)
            ? bytes("")
            : attest(account(i), reports[i].dataPpb, reports[i].cpuHz);
        submit(i, reports[i].dataPpb, reports[i].cpuHz, signature);
    }

    /// @dev Organization i submits a report of itself, without serial number, expiry or statement.
    function submit(uint256 i, uint32 dataPpb, uint64 cpuHz, bytes memory signature) internal {
        vm.prank(account(i));
        settlement.contributionSubmit(account(i), dataPpb, cpuHz, 0, 0, bytes32(0), signature);
    }

    /// @dev The verifier's signature for this settlement.
    function attest(address organization, uint32 dataPpb, uint64 cpuHz) internal view returns (bytes memory) {
        return attest(organization, dataPpb, cpuHz, 0, 0);
    }

    function attest(address organization, uint32 dataPpb, uint64 cpuHz, uint64 serial, uint64 expiry)
        internal
        view
        returns (bytes memory)
    {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(
            VERIFIER_KEY,
            Agreement.attestationDigest(
                block.chainid, address(settlement), organization, dataPpb, cpuHz, serial, expiry
            )
        );
        return abi.encodePacked(r, s, v);
    }

    function dispute(uint256 by, uint256 accused) internal {
        vm.prank(account(by));
        settlement.disputeRaise(account(accused));
    }

    function withdraw(uint256 i) internal {
        vm.prank(account(i));
        vault.withdraw(address(settlement));
    }

    // --- what must come out --------------------------------------------------------------------------------------

    /// @dev R of every organization, Eq. (10), by `reports`; a test that has the arbiter rule changes `reports` first.
    function expectedRedistributions() internal returns (int256[] memory) {
        return expectedRedistributionsOf(type(uint256).max);
    }

    // --- what a rule provides ------------------------------------------------------------------------------------

    /// @dev Fills in the rule's figures for so many organizations, and how they are cut into blocks.
    function prepareRule(uint256 size) internal virtual;

    /// @dev Where forge finds the rule's contract.
    function contractName() internal pure virtual returns (string memory);

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
