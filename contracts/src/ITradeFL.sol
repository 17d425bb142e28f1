// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISettlement} from "./ISettlement.sol";

/// @title Credible settlement of the compensation between rivals that train one model together.
/// @author The TradeFL developers
/// @notice One contract settles one agreement once. `contributionSubmit`, `payoffCalculate`, `payoffTransfer` and
/// `profileRecord`, together with `depositSubmit` of the vault that holds the money, are the functions of Table I of
/// the paper; the rest is what they need to be credible. What is computed here is the redistribution R_i, Eq. (10).
/// Revenue, overhead and damage, the other terms of the payoff, Eq. (11), come from private figures and never reach
/// the chain.
///
/// Two rules of payment share this interface. Each turns a report into a score, and the scores of two organizations
/// into what one pays the other: the paper's linear rule (`TradeFL`), with the contribution X_i for a score, and the
/// efficient rule (`TradeFLEfficient`), with the value of i's schedule at d_i.
///
/// A window, in which organizations may join, report or dispute, or the arbiter may rule, ends in two steps. Once its
/// time is over, anyone calls `windowClose`; then it stays open for `closingBlocks` more blocks, and only after those
/// is it over. Time alone ends nothing: on a chain that stood still for longer than the whole window, everybody still
/// has these blocks.
///
/// Units: money in wei, data in bits, frequency in Hz, shares in parts per billion (ppb: 1e9 is one), time in seconds.
interface ITradeFL is ISettlement {
    /// @notice The phase of a settlement.
    /// @dev Drafting: the agreement's parts are published, and the contract sizes the bonds.
    /// Joining: deposits. Open: reports. Recorded: the profile is frozen; disputes, then the calculation.
    /// Calculated: every R_i is final. Settled, Cancelled: final; what is left is to withdraw from the vault.
    enum Phase {
        Drafting,
        Joining,
        Open,
        Recorded,
        Calculated,
        Settled,
        Cancelled
    }

    /// @notice What is agreed, but for the lists, which are committed to by hashes.
    struct Terms {
        /// @dev N, 2 to 1024.
        uint16 size;
        /// @dev gamma, wei per bit times 1e18, Eq. (9); 0 under the efficient rule.
        uint128 gamma;
        /// @dev lambda, ppb of bit/Hz; 0 under the efficient rule.
        uint64 lambdaPpb;
        /// @dev D_min, the least share of its data that a report may name, ppb; 1 to 1e9.
        uint32 minDataPpb;
        /// @dev The exchange rate behind the amounts, wei for one unit of payoff; not computed with here.
        uint128 weiPerPayoff;
        /// @dev The currency; zero, the chain's own, in this version.
        address token;
        /// @dev Who signs measured contributions, a key or a contract (EIP-1271); zero: reports are taken as they come.
        address verifier;
        /// @dev Who rules on disputes; zero: there are none, and no dispute window.
        address arbiter;
        /// @dev From the first deposit until all must have joined.
        uint32 joinSeconds;
        /// @dev From the last deposit until all must have reported.
        uint32 reportSeconds;
        /// @dev From the recording until the last dispute may be raised.
        uint32 disputeSeconds;
        /// @dev From the end of that window until the last ruling.
        uint32 rulingSeconds;
        /// @dev How many blocks a window stays open once `windowClose` was called; 1 or more.
        uint32 closingBlocks;
        /// @dev What a dispute may cost each side, wei, beyond the bond; 0 without an arbiter.
        uint128 disputeStakeWei;
        /// @dev Which share of reports is audited on the spot, ppb; 0 in this version.
        uint32 spotAuditPpb;
        /// @dev Organizations in one block of the list; only the last block may hold fewer.
        uint16 organizationsPerBlock;
        /// @dev Pairs in one block of what the rule knows of each pair; only the last block may hold fewer. There are
        /// at most 256 blocks.
        uint32 pairsPerBlock;
        /// @dev keccak256 of the annex: the terms that matter off the chain, such as names and the accuracy model.
        bytes32 annexHash;
    }

    /// @notice An organization's place in the settlement, as {organization} returns it.
    struct Account {
        /// @dev Who it is.
        address account;
        /// @dev s_i, bit.
        uint64 dataBits;
        /// @dev The highest score that it can reach. Linear: Xmax_i = 1e9 s_i + lambda max F_i, ppb of a bit.
        /// Efficient: its schedule at d = 1, wei.
        int128 cap;
        /// @dev The most it could owe by the rule, wei; with an arbiter, the least deposit is a stake more.
        uint256 bond;
        /// @dev It has deposited.
        bool joined;
        /// @dev What it has deposited, wei.
        uint128 deposit;
        /// @dev It has reported.
        bool reported;
        /// @dev d_i, ppb; 0 until it reports.
        uint32 dataPpb;
        /// @dev f_i, Hz; 0 until it reports.
        uint64 cpuHz;
        /// @dev The serial number of its report's attestation; 0 without one.
        uint64 serial;
        /// @dev The score of its report; until then, and for silence, the least of all. Linear: X_i, ppb of a bit,
        /// 0 for silence. Efficient: its schedule at d_i, wei; at 0 for silence.
        int128 score;
        /// @dev Its report has been disputed.
        bool disputed;
        /// @dev By whom; zero: nobody.
        address disputedBy;
        /// @dev The arbiter has ruled on it.
        bool ruled;
        /// @dev R_i so far, wei; final from Calculated on.
        int128 redistribution;
        /// @dev What it has won less what it has lost in stakes so far, wei; void when the settlement is cancelled.
        int128 stakes;
        /// @dev It wants the settlement to end and every deposit to be returned.
        bool consented;
        /// @dev It has withdrawn.
        bool withdrawn;
        /// @dev F_i, Hz, ascending.
        uint64[] levels;
    }

    /// @notice The contract was deployed for an agreement.
    /// @param agreementHash the hash of terms, organizationBlocks and pairBlocks; each rule has its own
    /// @param terms what is agreed
    /// @param organizationBlocks keccak256 of each block of the list of organizations
    /// @param pairBlocks keccak256 of each block of what the rule knows of each pair
    event AgreementDrafted(
        bytes32 indexed agreementHash, Terms terms, bytes32[] organizationBlocks, bytes32[] pairBlocks
    );

    /// @notice The annex was published: the bytes behind `annexHash`.
    /// @param annex the bytes
    event AnnexPublished(bytes annex);

    /// @notice An organization was listed.
    /// @param index its place, from 0
    /// @param account who it is
    /// @param dataBits s_i, bit
    /// @param levels F_i, Hz, ascending
    event OrganizationListed(
        uint256 indexed index, address indexed account, uint64 dataBits, uint64[] levels
    );

    /// @notice A block of what the rule knows of each pair was published, and the bonds followed it.
    /// @param blockIndex which block, from 0
    /// @param data its bytes. Linear: rho_ij, a big-endian uint32 for each pair, ppb. Efficient: k_ij, a big-endian
    /// int128 for each pair, wei
    event PairsPublished(uint256 indexed blockIndex, bytes data);

    /// @notice Everything is published; organizations may join.
    event JoiningOpened();

    /// @notice An organization posted its bond.
    /// @param account who
    /// @param amount wei
    event DepositSubmitted(address indexed account, uint256 amount);

    /// @notice The first deposit has come; from now on time runs for the others.
    /// @param joinDeadline the second after which the window may be closed
    event JoinDeadlineSet(uint256 joinDeadline);

    /// @notice All have joined; reports may come.
    /// @param reportDeadline the second after which the window may be closed
    event ReportingOpened(uint256 reportDeadline);

    /// @notice The window of this phase is closing.
    /// @param phase which
    /// @param lastBlock the last block in which it is open
    event WindowClosing(Phase phase, uint256 lastBlock);

    /// @notice An organization said what it would contribute: the negotiation's bulletin board, binding nobody.
    /// @param account who
    /// @param dataPpb d_i, ppb
    /// @param cpuHz f_i, Hz
    event Proposed(address indexed account, uint32 dataPpb, uint64 cpuHz);

    /// @notice An organization reported what it contributed.
    /// @param account who
    /// @param dataPpb d_i, ppb
    /// @param cpuHz f_i, Hz
    /// @param serial the serial number of its attestation; a later event of the account replaces this one
    /// @param score what it counts for: X_i, ppb of a bit, or the value of its schedule, wei
    /// @param statement digest of its statement off the chain, which it may be held to; zero if it gave none
    event ContributionSubmitted(
        address indexed account, uint32 dataPpb, uint64 cpuHz, uint64 serial, int128 score, bytes32 statement
    );

    /// @notice The profile is frozen; a silent organization is listed with zeros.
    /// @param dataPpb d of every organization in the order of the list, ppb
    /// @param cpuHz f of every organization in the order of the list, Hz
    /// @param disputeDeadline the second after which the window for disputes may be closed; 0 without an arbiter
    event ProfileRecorded(uint32[] dataPpb, uint64[] cpuHz, uint256 disputeDeadline);

    /// @notice A report was disputed.
    /// @param by who disputes
    /// @param accused whose report
    event DisputeRaised(address indexed by, address indexed accused);

    /// @notice No dispute may be raised any more; the arbiter rules on those that were.
    /// @param rulingDeadline the second after which the window for rulings may be closed
    event RulingOpened(uint256 rulingDeadline);

    /// @notice The arbiter settled a dispute.
    /// @param accused whose report
    /// @param dataPpb d_i from now on, ppb
    /// @param cpuHz f_i from now on, Hz
    /// @param score what it counts for from now on
    /// @param loser who loses its stake: the accused, who disputed, or zero for nobody
    /// @param forfeit what it loses, wei: to the other side, or, when it had disputed its own silence, to all others
    event DisputeRuled(
        address indexed accused, uint32 dataPpb, uint64 cpuHz, int128 score, address loser, uint256 forfeit
    );

    /// @notice An organization wants the settlement to end and every deposit to be returned.
    /// @param account who
    event ConsentGiven(address indexed account);

    /// @notice The payments of one block of pairs were computed, Eq. (9).
    /// @param blockIndex which block
    event PayoffCalculated(uint256 indexed blockIndex);

    /// @notice An organization was credited, Eq. (10).
    /// @param account who
    /// @param deposit what it had deposited, wei
    /// @param redistribution R_i, wei; negative: it compensates others
    /// @param stakes what it has won less what it has lost in stakes, wei
    /// @param credit deposit + R_i + stakes, wei: what it may withdraw
    event PayoffTransferred(
        address indexed account, uint256 deposit, int256 redistribution, int256 stakes, uint256 credit
    );

    /// @notice The settlement ended: everybody is credited.
    event SettlementCompleted();

    /// @notice The settlement ended without payments: every deposit may be withdrawn.
    event SettlementCancelled();

    /// @notice An organization took its money.
    /// @param account whose it was
    /// @param to where it went
    /// @param amount wei
    event Withdrawn(address indexed account, address indexed to, uint256 amount);

    /// @notice A term is out of its range.
    /// @param term its name
    /// @param value what was given
    error TermOutOfRange(string term, uint256 value);
    /// @notice The call belongs to another phase.
    /// @param current the phase of the settlement
    error WrongPhase(Phase current);
    /// @notice The window of this call is over.
    error WindowOver();
    /// @notice The window before this call is still open.
    error WindowOpen();
    /// @notice The window is closing already.
    error AlreadyClosing();
    /// @notice The window may not be closed yet.
    /// @param notBefore the last second at which it is not possible
    error TooEarly(uint256 notBefore);
    /// @notice The caller is not the vault.
    /// @param caller who
    error NotVault(address caller);
    /// @notice The bytes are not those that the agreement commits to.
    /// @param expected the hash in the agreement
    /// @param actual the hash of what was given
    error HashMismatch(bytes32 expected, bytes32 actual);
    /// @notice There is no such block, or it is not the next one.
    /// @param blockIndex what was given
    error UnexpectedBlock(uint256 blockIndex);
    /// @notice It was published before.
    error AlreadyPublished();
    /// @notice A block does not have the length that its place in the agreement asks for.
    /// @param length bytes given
    error MalformedBlock(uint256 length);
    /// @notice An organization's entry is not valid: a zero or repeated account, no data, levels that do not ascend, or
    /// a schedule that is none.
    /// @param index its place
    error MalformedOrganization(uint256 index);
    /// @notice The caller or the accused is not listed in the agreement.
    /// @param account who
    error NotListed(address account);
    /// @notice The organization has joined before.
    /// @param account who
    error AlreadyJoined(address account);
    /// @notice The deposit is less than the organization could come to owe.
    /// @param least its bond and, with an arbiter, a stake, wei
    /// @param amount what was sent, wei
    error DepositBelowBond(uint256 least, uint256 amount);
    /// @notice The deposit is beyond what the contract can count.
    /// @param limit the most, wei
    /// @param amount what was sent, wei
    error DepositAboveLimit(uint256 limit, uint256 amount);
    /// @notice The organization has reported before.
    /// @param account who
    error AlreadyReported(address account);
    /// @notice The share is outside [D_min, 1].
    /// @param dataPpb what was given, ppb
    error DataFractionOutOfRange(uint32 dataPpb);
    /// @notice The frequency is not one of the organization's levels.
    /// @param cpuHz what was given, Hz
    error UnknownLevel(uint64 cpuHz);
    /// @notice The signature is not the verifier's for this organization, these figures, this contract and chain; or
    /// there is no verifier, and an attestation, a serial number or an expiry was given.
    error InvalidAttestation();
    /// @notice The attestation is no longer valid.
    /// @param expiry the last second at which it was
    error AttestationExpired(uint64 expiry);
    /// @notice The attestation does not come after the one that is recorded.
    /// @param current its serial number
    /// @param given that of the attestation
    error StaleSerial(uint64 current, uint64 given);
    /// @notice Only the organization itself may do this: report without a verifier, or name a statement.
    /// @param caller who tried
    error NotOrganization(address caller);
    /// @notice The report has been disputed before.
    /// @param accused whose
    error AlreadyDisputed(address accused);
    /// @notice Nobody disputes its own report, only its own silence.
    /// @param account who
    error OwnReport(address account);
    /// @notice The caller has less left beyond its bond than a dispute may cost it.
    /// @param stake what it may cost, wei
    /// @param free what is left, wei
    error StakeMissing(uint256 stake, uint256 free);
    /// @notice The agreement names no arbiter.
    error NoArbiter();
    /// @notice The caller is not the arbiter.
    /// @param caller who
    error NotArbiter(address caller);
    /// @notice The report is not in dispute.
    /// @param accused whose
    error NotDisputed(address accused);
    /// @notice The organization has consented before.
    /// @param account who
    error AlreadyConsented(address account);

    /// @notice Publishes the annex. Anyone, once, in Drafting.
    /// @param annex the bytes behind `annexHash`
    function annexPublish(bytes calldata annex) external;

    /// @notice Publishes the next block of the list of organizations. Anyone, in Drafting, block by block in order.
    /// @param blockIndex which block: `organizationsPerBlock` each, only the last may hold fewer
    /// @param data the entries, packed: account (20 bytes), s_i (8), number of levels (1), each level (8). Efficient,
    /// after that: number of breakpoints of the schedule (1), and for each the share (4), ppb, and the value (16), wei
    function organizationsPublish(uint256 blockIndex, bytes calldata data) external;

    /// @notice Publishes a block of what the rule knows of each pair; the bonds follow it. Anyone, in Drafting, after
    /// the whole list; each block once, in any order.
    /// @param blockIndex which block: `pairsPerBlock` each, only the last may hold fewer
    /// @param data for each pair i < j, row by row. Linear: rho_ij, a big-endian uint32, ppb. Efficient: k_ij, a
    /// big-endian int128, wei
    function pairsPublish(uint256 blockIndex, bytes calldata data) external;

    /// @notice Starts to close the window of this phase. Anyone, once its time is over, or once all have reported; the
    /// window is over `closingBlocks` blocks later. When the window for disputes is over and a dispute waits for a
    /// ruling, it opens the window for rulings instead.
    function windowClose() external;

    /// @notice Ends a settlement that not all have joined in time. Anyone, in Joining, when the window is over.
    function cancel() external;

    /// @notice Ends the settlement when all listed organizations have called this: every deposit, stakes included,
    /// may be withdrawn. A listed organization, once, irrevocably, in Joining, Open, Recorded or Calculated.
    function consent() external;

    /// @notice Says what the caller would contribute. A listed organization, in Joining or Open, as often as it likes.
    /// @param dataPpb d_i, ppb, in [D_min, 1]
    /// @param cpuHz f_i, Hz, one of its levels
    function propose(uint32 dataPpb, uint64 cpuHz) external;

    /// @notice Reports what an organization contributed, in Open, while the window is open. Without a verifier: the
    /// organization itself, once. With one: anyone who has its signature; a higher serial number replaces the report.
    /// @param account the organization
    /// @param dataPpb d_i, ppb, in [D_min, 1]
    /// @param cpuHz f_i, Hz, one of its levels
    /// @param serial the attestation's serial number; 0 without a verifier
    /// @param expiry the last second at which the attestation is valid, 0 for ever; 0 without a verifier
    /// @param statement digest of the organization's statement off the chain; zero for none, and from anyone else
    /// @param attestation the verifier's EIP-712 signature over {attestationDigest}; empty without a verifier
    function contributionSubmit(
        address account,
        uint32 dataPpb,
        uint64 cpuHz,
        uint64 serial,
        uint64 expiry,
        bytes32 statement,
        bytes calldata attestation
    ) external;

    /// @notice Freezes the profile. Anyone, in Open, when the window is over. Who was silent stands with the least
    /// score and owes full compensation; it has deposited that much.
    function profileRecord() external;

    /// @notice Disputes a report, or a silence, and puts a stake on it. A listed organization, in Recorded, while the
    /// window for disputes is open; each report once, and never one's own. One's own silence may be disputed.
    /// @param accused whose report
    function disputeRaise(address accused) external;

    /// @notice Settles a dispute: upholds a report by repeating it, corrects it, or strikes it with two zeros. The
    /// arbiter, once the window for disputes is over and until that for rulings is; the first ruling opens the latter,
    /// unless `windowClose` has. Without a ruling in time the report is final and no stake is lost.
    ///
    /// A lower score costs the accused its stake, to the one who disputed; a report that stands costs the one who
    /// disputed its stake, to the accused. When it disputed its own silence, all others share the stake. Otherwise
    /// both stakes return.
    /// @param accused whose report
    /// @param dataPpb d_i, ppb, in [D_min, 1], or 0 with 0
    /// @param cpuHz f_i, Hz, one of its levels, or 0 with 0
    function rule(address accused, uint32 dataPpb, uint64 cpuHz) external;

    /// @notice Computes the payments of one block of pairs, Eq. (9), and adds them up, Eq. (10). Anyone, in Recorded,
    /// when the window for disputes is over and either every dispute is ruled on or the window for rulings is over,
    /// too; at once without an arbiter. Blocks in any order; repeating one changes nothing.
    /// @param blockIndex which block
    /// @param data its bytes, as published
    function payoffCalculate(uint256 blockIndex, bytes calldata data) external;

    /// @notice Credits deposit + R_i + stakes to every organization, in the vault. Anyone, in Calculated.
    function payoffTransfer() external;

    /// @notice Returns the hash of terms, organizationBlocks and pairBlocks; each rule has its own.
    /// @return the hash that every organization checks against its own file
    function agreementHash() external view returns (bytes32);

    /// @notice Returns the vault that holds the money.
    /// @return its address
    function vault() external view returns (address);

    /// @notice Returns the terms.
    /// @return what was agreed
    function terms() external view returns (Terms memory);

    /// @notice Returns the phase of the settlement.
    /// @return the phase
    function phase() external view returns (Phase);

    /// @notice Returns the second after which each window may be closed; zero while it is not known. Time alone closes
    /// none: see `closedAt` of {progress}.
    /// @return join for joining
    /// @return report for reports
    /// @return dispute for disputes
    /// @return ruling for rulings
    function deadlines() external view returns (uint256 join, uint256 report, uint256 dispute, uint256 ruling);

    /// @notice Returns how far the settlement is within its phase.
    /// @return annexIsPublished whether the annex is there
    /// @return listed how many organizations are
    /// @return published bit b: block b of the pairs is published
    /// @return joined how many organizations have deposited
    /// @return reported how many have reported
    /// @return openDisputes how many disputes wait for a ruling
    /// @return calculated bit b: block b is calculated
    /// @return closedAt the block of `windowClose` for the window of this phase; 0: it was not called. The window is
    /// open up to and including block closedAt + closingBlocks
    /// @return consents how many have consented to end it
    /// @return rulingBegun whether the window for rulings was opened
    /// @return proposals how many proposals were made, so that a log of them can be seen to be complete
    function progress()
        external
        view
        returns (
            bool annexIsPublished,
            uint256 listed,
            uint256 published,
            uint256 joined,
            uint256 reported,
            uint256 openDisputes,
            uint256 calculated,
            uint256 closedAt,
            uint256 consents,
            bool rulingBegun,
            uint256 proposals
        );

    /// @notice Returns an organization's place in the settlement.
    /// @param index its place in the list, from 0
    /// @return all that the contract knows of it
    function organization(uint256 index) external view returns (Account memory);

    /// @notice Returns an organization's place in the list.
    /// @param account who; reverts with NotListed
    /// @return from 0
    function indexOf(address account) external view returns (uint256);

    /// @notice Returns what an organization may withdraw from the vault now.
    /// @param account who; reverts with NotListed
    /// @return wei
    function creditOf(address account) external view returns (uint256);

    /// @notice Returns what a verifier signs: EIP-712
    /// `Contribution(address organization,uint32 dataPpb,uint64 cpuHz,uint64 serial,uint64 expiry)` in the domain
    /// ("TradeFL", "1", this chain, this contract).
    /// @param account the organization
    /// @param dataPpb d_i, ppb
    /// @param cpuHz f_i, Hz
    /// @param serial its place among the attestations of this organization; the highest counts
    /// @param expiry the last second at which it may be submitted; 0: for ever
    /// @return the digest
    function attestationDigest(address account, uint32 dataPpb, uint64 cpuHz, uint64 serial, uint64 expiry)
        external
        view
        returns (bytes32);
}
