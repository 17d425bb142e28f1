// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Credible settlement of the compensation between rivals that train one model together.
/// @author The TradeFL developers
/// @notice One contract settles one agreement once. `depositSubmit`, `contributionSubmit`, `payoffCalculate`,
/// `payoffTransfer` and `profileRecord` are the functions of Table I of the paper; the rest is what they need to be
/// credible. What is computed here is the redistribution R_i, Eq. (10). Revenue, overhead and damage, the other
/// terms of the payoff, Eq. (11), come from private figures and never reach the chain.
///
/// Two rules of payment share this interface. Each turns a report into a score, and the scores of two organizations
/// into what one pays the other: the paper's linear rule (`TradeFL`), with the contribution X_i for a score, and the
/// efficient rule (`TradeFLEfficient`), with the value of i's schedule at d_i.
///
/// Units: money in wei, data in bits, frequency in Hz, shares in parts per billion (ppb: 1e9 is one), time in seconds.
interface ITradeFL {
    /// @notice Where a settlement stands.
    /// @dev Drafting: the agreement's parts are published, and the contract sizes the bonds.
    /// Joining: deposits. Open: reports. Recorded: the profile is frozen; disputes, then the calculation.
    /// Calculated: every R_i stands. Settled, Cancelled: final; only `withdraw` remains.
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
        /// @dev Who signs measured contributions; zero: reports are taken as they come.
        address verifier;
        /// @dev Who rules on disputes; zero: there are none, and no dispute window.
        address arbiter;
        /// @dev From deployment until all must have joined.
        uint32 joinSeconds;
        /// @dev From the last deposit until all must have reported.
        uint32 reportSeconds;
        /// @dev From the recording until the last dispute may be raised.
        uint32 disputeSeconds;
        /// @dev From then until the last ruling.
        uint32 rulingSeconds;
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
        /// @dev The least deposit: the most it could owe, wei.
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
        /// @dev The score of its report; until then, and for silence, the least of all. Linear: X_i, ppb of a bit,
        /// 0 for silence. Efficient: its schedule at d_i, wei; at 0 for silence.
        int128 score;
        /// @dev Its report has been disputed.
        bool disputed;
        /// @dev The arbiter has ruled on it.
        bool ruled;
        /// @dev R_i so far, wei; final from Calculated on.
        int128 redistribution;
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
    /// @param joinDeadline the last second to join
    event JoiningOpened(uint256 joinDeadline);

    /// @notice An organization posted its bond.
    /// @param account who
    /// @param amount wei
    event DepositSubmitted(address indexed account, uint256 amount);

    /// @notice All have joined; reports may come.
    /// @param reportDeadline the last second to report
    event ReportingOpened(uint256 reportDeadline);

    /// @notice An organization said what it would contribute: the negotiation's bulletin board, binding nobody.
    /// @param account who
    /// @param dataPpb d_i, ppb
    /// @param cpuHz f_i, Hz
    event Proposed(address indexed account, uint32 dataPpb, uint64 cpuHz);

    /// @notice An organization reported what it contributed.
    /// @param account who
    /// @param dataPpb d_i, ppb
    /// @param cpuHz f_i, Hz
    /// @param score what it counts for: X_i, ppb of a bit, or the value of its schedule, wei
    /// @param statement digest of its statement off the chain, which it may be held to; zero if it gave none
    event ContributionSubmitted(
        address indexed account, uint32 dataPpb, uint64 cpuHz, int128 score, bytes32 statement
    );

    /// @notice The profile is frozen; who was silent stands with zeros.
    /// @param dataPpb d of every organization in the order of the list, ppb
    /// @param cpuHz f of every organization in the order of the list, Hz
    /// @param disputeDeadline the last second to raise a dispute
    /// @param rulingDeadline the last second to rule
    event ProfileRecorded(uint32[] dataPpb, uint64[] cpuHz, uint256 disputeDeadline, uint256 rulingDeadline);

    /// @notice A report was disputed.
    /// @param by who disputes
    /// @param accused whose report
    event DisputeRaised(address indexed by, address indexed accused);

    /// @notice The arbiter settled a dispute.
    /// @param accused whose report
    /// @param dataPpb d_i from now on, ppb
    /// @param cpuHz f_i from now on, Hz
    /// @param score what it counts for from now on
    event DisputeRuled(address indexed accused, uint32 dataPpb, uint64 cpuHz, int128 score);

    /// @notice The payments of one block of pairs were computed, Eq. (9).
    /// @param blockIndex which block
    event PayoffCalculated(uint256 indexed blockIndex);

    /// @notice An organization was credited, Eq. (10).
    /// @param account who
    /// @param deposit what it had deposited, wei
    /// @param redistribution R_i, wei; negative: it compensates others
    /// @param credit deposit + R_i, wei: what it may withdraw
    event PayoffTransferred(address indexed account, uint256 deposit, int256 redistribution, uint256 credit);

    /// @notice The settlement ended: everybody is credited.
    event SettlementCompleted();

    /// @notice The settlement ended before it began: every deposit may be withdrawn.
    event SettlementCancelled();

    /// @notice An organization took its money.
    /// @param account who
    /// @param amount wei
    event Withdrawn(address indexed account, uint256 amount);

    /// @notice A term is out of its range.
    /// @param term its name
    /// @param value what was given
    error TermOutOfRange(string term, uint256 value);
    /// @notice The call belongs to another phase.
    /// @param current where the settlement stands
    error WrongPhase(Phase current);
    /// @notice The time for this call is over.
    /// @param deadline the last second at which it was possible
    error DeadlinePassed(uint256 deadline);
    /// @notice The time for this call has not come.
    /// @param notBefore the last second at which it is not possible
    error TooEarly(uint256 notBefore);
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
    /// @param bond the least, wei
    /// @param amount what was sent, wei
    error DepositBelowBond(uint256 bond, uint256 amount);
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
    /// @notice The frequency is none of the organization's levels.
    /// @param cpuHz what was given, Hz
    error UnknownLevel(uint64 cpuHz);
    /// @notice The signature is not the verifier's for this organization, these figures, this contract and chain.
    error InvalidAttestation();
    /// @notice The report has been disputed before.
    /// @param accused whose
    error AlreadyDisputed(address accused);
    /// @notice The agreement names no arbiter.
    error NoArbiter();
    /// @notice The caller is not the arbiter.
    /// @param caller who
    error NotArbiter(address caller);
    /// @notice The report is not in dispute.
    /// @param accused whose
    error NotDisputed(address accused);
    /// @notice The credits do not add up to the deposits. It cannot happen; if it did, no money would move.
    /// @param deposits wei
    /// @param credits wei
    error NotConserved(uint256 deposits, uint256 credits);
    /// @notice The organization has withdrawn before, or has nothing here.
    /// @param account who
    error NothingToWithdraw(address account);

    /// @notice Publishes the annex. Anyone, once, in Drafting.
    /// @param annex the bytes behind `annexHash`
    function annexPublish(bytes calldata annex) external;

    /// @notice Publishes the next block of the list of organizations. Anyone, in Drafting, block by block in order.
    /// @param blockIndex which block: BLOCK_ORGANIZATIONS each, only the last may hold fewer
    /// @param data the entries, packed: account (20 bytes), s_i (8), number of levels (1), each level (8). Efficient,
    /// after that: number of breakpoints of the schedule (1), and for each the share (4), ppb, and the value (16), wei
    function organizationsPublish(uint256 blockIndex, bytes calldata data) external;

    /// @notice Publishes a block of what the rule knows of each pair; the bonds follow it. Anyone, in Drafting, after
    /// the whole list; each block once, in any order.
    /// @param blockIndex which block. Linear: 8,192 pairs each; efficient: 4,096. Only the last may hold fewer
    /// @param data for each pair i < j, row by row. Linear: rho_ij, a big-endian uint32, ppb. Efficient: k_ij, a
    /// big-endian int128, wei
    function pairsPublish(uint256 blockIndex, bytes calldata data) external;

    /// @notice Ends a settlement that not all have joined in time. Anyone, once the join deadline has passed.
    function cancel() external;

    /// @notice Posts the caller's bond. A listed organization, once, in Joining. Whoever sends more gets it back.
    /// @param expectedHash the agreement hash that the caller computed from its own file
    function depositSubmit(bytes32 expectedHash) external payable;

    /// @notice Says what the caller would contribute. A listed organization, in Joining or Open, as often as it likes.
    /// @param dataPpb d_i, ppb, in [D_min, 1]
    /// @param cpuHz f_i, Hz, one of its levels
    function propose(uint32 dataPpb, uint64 cpuHz) external;

    /// @notice Reports what the caller contributed. A listed organization, once, in Open, before the deadline.
    /// @param dataPpb d_i, ppb, in [D_min, 1]
    /// @param cpuHz f_i, Hz, one of its levels
    /// @param statement digest of its statement off the chain; zero for none
    /// @param attestation with a verifier in the agreement, its EIP-712 signature over {attestationDigest}; otherwise
    /// not looked at
    function contributionSubmit(uint32 dataPpb, uint64 cpuHz, bytes32 statement, bytes calldata attestation)
        external;

    /// @notice Freezes the profile. Anyone, in Open, when all have reported or the deadline has passed. Who was silent
    /// stands with the least score and owes full compensation; it has deposited that much.
    function profileRecord() external;

    /// @notice Disputes a report. A listed organization, in Recorded, in the dispute window; each report once.
    /// @param accused whose report
    function disputeRaise(address accused) external;

    /// @notice Settles a dispute: upholds a report by repeating it, corrects it, or strikes it with two zeros. The
    /// arbiter, between the dispute deadline and the ruling deadline: by then everybody has had the time to dispute.
    /// Without a ruling in time the report stands.
    /// @param accused whose report
    /// @param dataPpb d_i, ppb, in [D_min, 1], or 0 with 0
    /// @param cpuHz f_i, Hz, one of its levels, or 0 with 0
    function rule(address accused, uint32 dataPpb, uint64 cpuHz) external;

    /// @notice Computes the payments of one block of pairs, Eq. (9), and adds them up, Eq. (10). Anyone, in Recorded,
    /// after the dispute window and every ruling or its deadline. Blocks in any order; repeating one changes nothing.
    /// @param blockIndex which block
    /// @param data its bytes, as published
    function payoffCalculate(uint256 blockIndex, bytes calldata data) external;

    /// @notice Credits deposit + R_i to every organization. Anyone, in Calculated.
    function payoffTransfer() external;

    /// @notice Sends the caller what it is owed: its credit when settled, its deposit when cancelled. Once.
    function withdraw() external;

    /// @notice Returns the hash of terms, organizationBlocks and pairBlocks; each rule has its own.
    /// @return the hash that every organization checks against its own file
    function agreementHash() external view returns (bytes32);

    /// @notice Returns the terms.
    /// @return what was agreed
    function terms() external view returns (Terms memory);

    /// @notice Returns where the settlement stands.
    /// @return the phase
    function phase() external view returns (Phase);

    /// @notice Returns the last second of each window; zero while it is not known.
    /// @return join to join
    /// @return report to report
    /// @return dispute to raise a dispute
    /// @return ruling to rule
    function deadlines() external view returns (uint256 join, uint256 report, uint256 dispute, uint256 ruling);

    /// @notice Returns how far the settlement is within its phase.
    /// @return annexIsPublished whether the annex is there
    /// @return listed how many organizations are
    /// @return published bit b: block b of the pairs is published
    /// @return joined how many organizations have deposited
    /// @return reported how many have reported
    /// @return openDisputes how many disputes wait for a ruling
    /// @return calculated bit b: block b is calculated
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
            uint256 calculated
        );

    /// @notice Returns an organization's place in the settlement.
    /// @param index its place in the list, from 0
    /// @return all that the contract knows of it
    function organization(uint256 index) external view returns (Account memory);

    /// @notice Returns an organization's place in the list.
    /// @param account who; reverts with NotListed
    /// @return from 0
    function indexOf(address account) external view returns (uint256);

    /// @notice Returns what an organization may withdraw now.
    /// @param account who; reverts with NotListed
    /// @return wei
    function creditOf(address account) external view returns (uint256);

    /// @notice Returns what a verifier signs: EIP-712 `Contribution(address organization,uint32 dataPpb,uint64 cpuHz)`
    /// in the domain ("TradeFL", "1", this chain, this contract).
    /// @param account the organization
    /// @param dataPpb d_i, ppb
    /// @param cpuHz f_i, Hz
    /// @return the digest
    function attestationDigest(address account, uint32 dataPpb, uint64 cpuHz) external view returns (bytes32);
}
