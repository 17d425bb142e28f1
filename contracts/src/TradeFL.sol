// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ITradeFL} from "./ITradeFL.sol";
import {TradeMath} from "./TradeMath.sol";

/// @title The settlement of one agreement.
/// @author The TradeFL developers
/// @notice The life of a settlement, one function after the other:
///
///   Drafting ── published ──> Joining ── all deposits in ──> Open ── all reported, or deadline ──> Recorded
///       └── deadline ──> Cancelled <── deadline ──┘                                                    │
///                            withdraw                 withdraw <── Settled <── Calculated <── dispute window
///
/// Who is trusted for what
/// - the deployer: nothing. It has no rights; the agreement is fixed by its hash, and whoever deposits names that hash.
/// - a stranger: nothing. Calls that anyone may make only carry on what is due, with bytes that the agreement fixes.
/// - the verifier (optional): that the contributions it signs were made, and that it signs those that were: who gets no
///   signature counts as silent. Without a verifier, reports are taken as they come.
/// - the arbiter (optional): its rulings on disputed reports, within the organization's own range. It can raise
///   nobody's bill above the bond and touch no money. Without one, reports stand.
/// - block producers: block time to within seconds, and that nobody is kept out for a whole window.
///
/// What holds whatever anybody does
/// - the R_i add up to exactly zero, because each pair is computed once and enters with both signs;
/// - a deposit covers the worst case, so nobody can be short: bonds are computed here, from the agreement itself;
/// - nobody who is silent or refuses a call can stop the others: every phase ends by a deadline or by a call that
///   anyone can make;
/// - money leaves by `withdraw` alone, to the one it belongs to.
///
/// Known limits: whoever reports late has seen the earlier reports (a verifier takes the use out of that); deadlines
/// follow block time; an account that cannot receive ether leaves its own credit here for good; ether that is forced
/// in is nobody's and stays.
contract TradeFL is ITradeFL, ReentrancyGuard {
    using SafeCast for uint256;
    using SafeCast for int256;

    /// @dev One organization. Four slots and its levels; the first is all that a phase change needs to read.
    struct Slot {
        address account;
        uint64 dataBits;
        bool joined;
        bool reported;
        bool disputed;
        bool ruled;
        uint96 cap; // Xmax, ppb of a bit
        uint160 weight; // sum_j rho_ij Xmax_j; below 2^30 2^96 2^10
        uint128 deposit; // wei
        int128 redistribution; // R, wei; |R| < 2^10 2^112
        uint96 contribution; // X, ppb of a bit
        uint64 cpuHz;
        uint32 dataPpb;
        bool withdrawn;
        uint64[] levels;
    }

    /// @notice The most organizations that one contract settles: what profileRecord and payoffTransfer can do in one
    /// transaction.
    uint256 public constant MAX_SIZE = 1024;

    /// @notice Organizations in one block of the list; only the last block may hold fewer.
    uint256 public constant BLOCK_ORGANIZATIONS = 40;

    /// @notice The most CPU levels of one organization.
    uint256 public constant MAX_LEVELS = 32;

    /// @notice The most that one organization may deposit, wei: 1,024 of them fit into an int128 with room to spare.
    uint256 public constant MAX_DEPOSIT = type(uint112).max;

    // EIP-712 by hand: OpenZeppelin's needs an EVM of Cancun or later, and this contract runs on older chains too.
    bytes32 private constant _DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant _NAME_HASH = keccak256("TradeFL");
    bytes32 private constant _VERSION_HASH = keccak256("1");
    bytes32 private constant _CONTRIBUTION_TYPEHASH =
        keccak256("Contribution(address organization,uint32 dataPpb,uint64 cpuHz)");

    bytes32 private immutable _AGREEMENT_HASH;
    bytes32 private immutable _ANNEX_HASH;
    uint256 private immutable _SIZE;
    uint128 private immutable _GAMMA;
    uint64 private immutable _LAMBDA_PPB;
    uint32 private immutable _MIN_DATA_PPB;
    uint128 private immutable _WEI_PER_PAYOFF;
    address private immutable _VERIFIER;
    address private immutable _ARBITER;
    uint32 private immutable _JOIN_SECONDS;
    uint40 private immutable _JOIN_DEADLINE;
    uint32 private immutable _REPORT_SECONDS;
    uint32 private immutable _DISPUTE_SECONDS;
    uint32 private immutable _RULING_SECONDS;

    // One slot: where the settlement stands.
    Phase private _phase;
    bool private _annexIsPublished;
    uint16 private _listed;
    uint16 private _joined;
    uint16 private _reported;
    uint16 private _openDisputes;
    uint40 private _reportDeadline;
    uint40 private _disputeDeadline;
    uint40 private _rulingDeadline;

    /// @dev Bit b: block b of the competition matrix. 1,024 organizations make 64 blocks.
    uint256 private _published;
    uint256 private _calculated;

    bytes32[] private _organizationBlocks;
    bytes32[] private _competitionBlocks;
    mapping(uint256 index => Slot slot) private _slots;
    mapping(address account => uint256 place) private _places; // index + 1; 0: not listed

    modifier onlyIn(Phase wanted) {
        _requirePhase(wanted);
        _;
    }

    /// @notice Drafts a settlement; the lists are published afterwards, by anyone who has them.
    /// @param terms_ what is agreed
    /// @param organizationBlocks keccak256 of each block of the list of organizations
    /// @param competitionBlocks keccak256 of each block of the competition matrix
    constructor(
        Terms memory terms_,
        bytes32[] memory organizationBlocks,
        bytes32[] memory competitionBlocks
    ) {
        _requireRange("size", terms_.size, 2, MAX_SIZE);
        _requireRange("minDataPpb", terms_.minDataPpb, 1, TradeMath.PPB);
        _requireRange("weiPerPayoff", terms_.weiPerPayoff, 1, type(uint128).max);
        _requireRange("joinSeconds", terms_.joinSeconds, 1, type(uint32).max);
        _requireRange("reportSeconds", terms_.reportSeconds, 1, type(uint32).max);
        _requireRange("disputeSeconds", terms_.disputeSeconds, 1, type(uint32).max);
        _requireRange("rulingSeconds", terms_.rulingSeconds, 1, type(uint32).max);
        uint256 blocks = Math.ceilDiv(terms_.size, BLOCK_ORGANIZATIONS);
        _requireRange("organizationBlocks", organizationBlocks.length, blocks, blocks);
        blocks = Math.ceilDiv(TradeMath.pairs(terms_.size), TradeMath.BLOCK_PAIRS);
        _requireRange("competitionBlocks", competitionBlocks.length, blocks, blocks);

        _AGREEMENT_HASH = keccak256(abi.encode(terms_, organizationBlocks, competitionBlocks));
        _ANNEX_HASH = terms_.annexHash;
        _SIZE = terms_.size;
        _GAMMA = terms_.gamma;
        _LAMBDA_PPB = terms_.lambdaPpb;
        _MIN_DATA_PPB = terms_.minDataPpb;
        _WEI_PER_PAYOFF = terms_.weiPerPayoff;
        _VERIFIER = terms_.verifier;
        _ARBITER = terms_.arbiter;
        _JOIN_SECONDS = terms_.joinSeconds;
        _REPORT_SECONDS = terms_.reportSeconds;
        _DISPUTE_SECONDS = terms_.disputeSeconds;
        _RULING_SECONDS = terms_.rulingSeconds;
        _organizationBlocks = organizationBlocks;
        _competitionBlocks = competitionBlocks;
        _JOIN_DEADLINE = _secondsFromNow(terms_.joinSeconds);
        emit AgreementDrafted(_AGREEMENT_HASH, terms_, organizationBlocks, competitionBlocks);
    }

    // --- Drafting ------------------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function annexPublish(bytes calldata annex) external onlyIn(Phase.Drafting) {
        if (_annexIsPublished) revert AlreadyPublished();
        _requireHash(_ANNEX_HASH, annex);
        _annexIsPublished = true;
        emit AnnexPublished(annex);
        _openJoiningWhenPublished();
    }

    /// @inheritdoc ITradeFL
    function organizationsPublish(uint256 blockIndex, bytes calldata data) external onlyIn(Phase.Drafting) {
        uint256 index = _listed;
        if (index == _SIZE || blockIndex != index / BLOCK_ORGANIZATIONS) revert UnexpectedBlock(blockIndex);
        _requireHash(_organizationBlocks[blockIndex], data);
        uint256 end = Math.min(index + BLOCK_ORGANIZATIONS, _SIZE);
        _listed = end.toUint16();
        uint256 offset = 0;
        for (; index < end; ++index) {
            offset = _list(index, data, offset);
        }
        if (offset != data.length) revert MalformedBlock(data.length);
    }

    /// @inheritdoc ITradeFL
    function competitionPublish(uint256 blockIndex, bytes calldata rho) external onlyIn(Phase.Drafting) {
        if (_listed != _SIZE) revert UnexpectedBlock(blockIndex);
        uint256 bit = _requireBlock(blockIndex, rho);
        if (_published & bit != 0) revert AlreadyPublished();
        uint256 first = blockIndex * TradeMath.BLOCK_PAIRS;
        uint256 pairs = Math.min(TradeMath.pairs(_SIZE) - first, TradeMath.BLOCK_PAIRS);
        if (rho.length != pairs * TradeMath.PAIR_BYTES) revert MalformedBlock(rho.length);
        _published |= bit;

        uint96[] memory caps = new uint96[](_SIZE);
        uint256[] memory weights = new uint256[](_SIZE);
        for (uint256 i = 0; i < _SIZE; ++i) {
            (caps[i], weights[i]) = (_slots[i].cap, _slots[i].weight);
        }
        uint256 largest = TradeMath.weigh(caps, weights, first, rho);
        if (largest > TradeMath.PPB) revert TermOutOfRange("rho", largest);
        for (uint256 i = 0; i < _SIZE; ++i) {
            _slots[i].weight = weights[i].toUint160();
        }
        emit CompetitionPublished(blockIndex, rho);
        _openJoiningWhenPublished();
    }

    // --- Joining -------------------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function cancel() external {
        if (_phase != Phase.Drafting && _phase != Phase.Joining) revert WrongPhase(_phase);
        _requireAfter(_JOIN_DEADLINE);
        _phase = Phase.Cancelled;
        emit SettlementCancelled();
    }

    /// @inheritdoc ITradeFL
    function depositSubmit(bytes32 expectedHash) external payable onlyIn(Phase.Joining) {
        _requireNotAfter(_JOIN_DEADLINE);
        if (expectedHash != _AGREEMENT_HASH) revert HashMismatch(_AGREEMENT_HASH, expectedHash);
        Slot storage slot = _slots[_indexOf(msg.sender)];
        if (slot.joined) revert AlreadyJoined(msg.sender);
        uint256 bond = TradeMath.bond(_GAMMA, slot.weight);
        if (msg.value < bond) revert DepositBelowBond(bond, msg.value);
        if (msg.value > MAX_DEPOSIT) revert DepositAboveLimit(MAX_DEPOSIT, msg.value);
        slot.joined = true;
        slot.deposit = msg.value.toUint128();
        ++_joined;
        emit DepositSubmitted(msg.sender, msg.value);
        if (_joined == _SIZE) {
            _phase = Phase.Open;
            _reportDeadline = _secondsFromNow(_REPORT_SECONDS);
            emit ReportingOpened(_reportDeadline);
        }
    }

    /// @inheritdoc ITradeFL
    function propose(uint32 dataPpb, uint64 cpuHz) external {
        if (_phase != Phase.Joining && _phase != Phase.Open) revert WrongPhase(_phase);
        _contribution(_slots[_indexOf(msg.sender)], dataPpb, cpuHz); // reverts unless it is feasible
        emit Proposed(msg.sender, dataPpb, cpuHz);
    }

    // --- Open ----------------------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function contributionSubmit(uint32 dataPpb, uint64 cpuHz, bytes32 statement, bytes calldata attestation)
        external
        onlyIn(Phase.Open)
    {
        _requireNotAfter(_reportDeadline);
        Slot storage slot = _slots[_indexOf(msg.sender)];
        if (slot.reported) revert AlreadyReported(msg.sender);
        uint96 x = _contribution(slot, dataPpb, cpuHz);
        if (_VERIFIER != address(0)) {
            // The third value only describes a malformed signature, which is refused whatever it is.
            // slither-disable-next-line unused-return
            (address signer, ECDSA.RecoverError malformed,) =
                ECDSA.tryRecover(attestationDigest(msg.sender, dataPpb, cpuHz), attestation);
            if (malformed != ECDSA.RecoverError.NoError || signer != _VERIFIER) revert InvalidAttestation();
        }
        slot.reported = true;
        (slot.dataPpb, slot.cpuHz, slot.contribution) = (dataPpb, cpuHz, x);
        ++_reported;
        emit ContributionSubmitted(msg.sender, dataPpb, cpuHz, x, statement);
    }

    /// @inheritdoc ITradeFL
    function profileRecord() external onlyIn(Phase.Open) {
        if (_reported != _SIZE) _requireAfter(_reportDeadline);
        _phase = Phase.Recorded;
        // Without an arbiter nobody could rule, so nobody waits for it.
        _disputeDeadline = _secondsFromNow(_ARBITER == address(0) ? 0 : _DISPUTE_SECONDS);
        _rulingDeadline = _ARBITER == address(0) ? _disputeDeadline : _disputeDeadline + _RULING_SECONDS;

        uint32[] memory dataPpb = new uint32[](_SIZE);
        uint64[] memory cpuHz = new uint64[](_SIZE);
        for (uint256 i = 0; i < _SIZE; ++i) {
            (dataPpb[i], cpuHz[i]) = (_slots[i].dataPpb, _slots[i].cpuHz);
        }
        emit ProfileRecorded(dataPpb, cpuHz, _disputeDeadline, _rulingDeadline);
    }

    // --- Recorded ------------------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function disputeRaise(address accused) external onlyIn(Phase.Recorded) {
        if (_ARBITER == address(0)) revert NoArbiter();
        _requireNotAfter(_disputeDeadline);
        _indexOf(msg.sender); // reverts unless the caller is listed
        Slot storage slot = _slots[_indexOf(accused)];
        if (slot.disputed) revert AlreadyDisputed(accused);
        slot.disputed = true;
        ++_openDisputes;
        emit DisputeRaised(msg.sender, accused);
    }

    /// @inheritdoc ITradeFL
    function rule(address accused, uint32 dataPpb, uint64 cpuHz) external onlyIn(Phase.Recorded) {
        if (msg.sender != _ARBITER) revert NotArbiter(msg.sender);
        // Not before everybody has had the time to dispute: a ruling ends what can be said about a report.
        _requireAfter(_disputeDeadline);
        _requireNotAfter(_rulingDeadline);
        Slot storage slot = _slots[_indexOf(accused)];
        if (!slot.disputed || slot.ruled) revert NotDisputed(accused);
        uint96 x = dataPpb == 0 && cpuHz == 0 ? 0 : _contribution(slot, dataPpb, cpuHz);
        slot.ruled = true;
        (slot.dataPpb, slot.cpuHz, slot.contribution) = (dataPpb, cpuHz, x);
        --_openDisputes;
        emit DisputeRuled(accused, dataPpb, cpuHz, x);
    }

    /// @inheritdoc ITradeFL
    function payoffCalculate(uint256 blockIndex, bytes calldata rho) external {
        // Whoever comes late finds the block done, and that is no error.
        if (_phase != Phase.Recorded && _phase != Phase.Calculated) revert WrongPhase(_phase);
        uint256 bit = _requireBlock(blockIndex, rho);
        if (_calculated & bit != 0) return;
        if (_ARBITER != address(0)) _requireAfter(_openDisputes == 0 ? _disputeDeadline : _rulingDeadline);
        _calculated |= bit;

        uint96[] memory x = new uint96[](_SIZE);
        int256[] memory r = new int256[](_SIZE);
        for (uint256 i = 0; i < _SIZE; ++i) {
            x[i] = _slots[i].contribution;
        }
        TradeMath.redistribute(_GAMMA, x, r, blockIndex * TradeMath.BLOCK_PAIRS, rho);
        for (uint256 i = 0; i < _SIZE; ++i) {
            if (r[i] != 0) _slots[i].redistribution += r[i].toInt128();
        }
        emit PayoffCalculated(blockIndex);
        if (_calculated == _allBlocks()) _phase = Phase.Calculated;
    }

    // --- Calculated ----------------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function payoffTransfer() external onlyIn(Phase.Calculated) {
        _phase = Phase.Settled;
        uint256 deposits = 0;
        uint256 credits = 0;
        for (uint256 i = 0; i < _SIZE; ++i) {
            Slot storage slot = _slots[i];
            uint256 credit = _credited(slot);
            deposits += slot.deposit;
            credits += credit;
            emit PayoffTransferred(slot.account, slot.deposit, slot.redistribution, credit);
        }
        if (credits != deposits) revert NotConserved(deposits, credits);
        emit SettlementCompleted();
    }

    // --- Settled or Cancelled ------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function withdraw() external nonReentrant {
        if (_phase != Phase.Settled && _phase != Phase.Cancelled) revert WrongPhase(_phase);
        Slot storage slot = _slots[_indexOf(msg.sender)];
        if (!slot.joined || slot.withdrawn) revert NothingToWithdraw(msg.sender);
        uint256 amount = _owed(slot);
        slot.withdrawn = true;
        emit Withdrawn(msg.sender, amount);
        Address.sendValue(payable(msg.sender), amount);
    }

    // --- what anyone may read ------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function agreementHash() external view returns (bytes32) {
        return _AGREEMENT_HASH;
    }

    /// @inheritdoc ITradeFL
    function terms() external view returns (Terms memory) {
        return Terms({
            size: _SIZE.toUint16(),
            gamma: _GAMMA,
            lambdaPpb: _LAMBDA_PPB,
            minDataPpb: _MIN_DATA_PPB,
            weiPerPayoff: _WEI_PER_PAYOFF,
            verifier: _VERIFIER,
            arbiter: _ARBITER,
            joinSeconds: _JOIN_SECONDS,
            reportSeconds: _REPORT_SECONDS,
            disputeSeconds: _DISPUTE_SECONDS,
            rulingSeconds: _RULING_SECONDS,
            annexHash: _ANNEX_HASH
        });
    }

    /// @inheritdoc ITradeFL
    function phase() external view returns (Phase) {
        return _phase;
    }

    /// @inheritdoc ITradeFL
    function deadlines()
        external
        view
        returns (uint256 join, uint256 report, uint256 dispute, uint256 ruling)
    {
        return (_JOIN_DEADLINE, _reportDeadline, _disputeDeadline, _rulingDeadline);
    }

    /// @inheritdoc ITradeFL
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
        )
    {
        return (_annexIsPublished, _listed, _published, _joined, _reported, _openDisputes, _calculated);
    }

    /// @inheritdoc ITradeFL
    function organization(uint256 index) external view returns (Account memory) {
        Slot storage slot = _slots[index];
        return Account({
            account: slot.account,
            dataBits: slot.dataBits,
            cap: slot.cap,
            bond: TradeMath.bond(_GAMMA, slot.weight),
            joined: slot.joined,
            deposit: slot.deposit,
            reported: slot.reported,
            dataPpb: slot.dataPpb,
            cpuHz: slot.cpuHz,
            contribution: slot.contribution,
            disputed: slot.disputed,
            ruled: slot.ruled,
            redistribution: slot.redistribution,
            withdrawn: slot.withdrawn,
            levels: slot.levels
        });
    }

    /// @inheritdoc ITradeFL
    function indexOf(address account) external view returns (uint256) {
        return _indexOf(account);
    }

    /// @inheritdoc ITradeFL
    function creditOf(address account) external view returns (uint256) {
        Slot storage slot = _slots[_indexOf(account)];
        return slot.withdrawn ? 0 : _owed(slot);
    }

    /// @inheritdoc ITradeFL
    function attestationDigest(address account, uint32 dataPpb, uint64 cpuHz) public view returns (bytes32) {
        // The chain id is read at each call: a signature for one branch of a fork is worth nothing on the other.
        bytes32 domain =
            keccak256(abi.encode(_DOMAIN_TYPEHASH, _NAME_HASH, _VERSION_HASH, block.chainid, address(this)));
        bytes32 contents = keccak256(abi.encode(_CONTRIBUTION_TYPEHASH, account, dataPpb, cpuHz));
        return keccak256(abi.encodePacked(hex"1901", domain, contents));
    }

    // --- steps ---------------------------------------------------------------------------------------------------

    /// @dev Reads one entry of the list and returns where the next one starts.
    function _list(uint256 index, bytes calldata data, uint256 offset) private returns (uint256) {
        Slot storage slot = _slots[index];
        address account = address(uint160(_read(data, offset, 20)));
        slot.account = account;
        slot.dataBits = uint64(_read(data, offset + 20, 8));
        uint256 levels = _read(data, offset + 28, 1);
        offset += 29;
        if (
            account == address(0) || _places[account] != 0 || slot.dataBits == 0 || levels == 0
                || levels > MAX_LEVELS
        ) revert MalformedOrganization(index);
        _places[account] = index + 1;
        uint64 level = 0;
        for (uint256 k = 0; k < levels; ++k) {
            uint64 next = uint64(_read(data, offset, 8));
            if (next <= level) revert MalformedOrganization(index);
            slot.levels.push(next);
            level = next;
            offset += 8;
        }
        slot.cap = TradeMath.contribution(uint32(TradeMath.PPB), slot.dataBits, _LAMBDA_PPB, level);
        emit OrganizationListed(index, account, slot.dataBits, slot.levels);
        return offset;
    }

    function _openJoiningWhenPublished() private {
        if (_annexIsPublished && _published == _allBlocks()) {
            _phase = Phase.Joining;
            emit JoiningOpened(_JOIN_DEADLINE);
        }
    }

    // --- what the steps ask --------------------------------------------------------------------------------------

    function _requirePhase(Phase wanted) private view {
        if (_phase != wanted) revert WrongPhase(_phase);
    }

    function _requireAfter(uint256 deadline) private view {
        if (block.timestamp <= deadline) revert TooEarly(deadline);
    }

    function _requireNotAfter(uint256 deadline) private view {
        if (block.timestamp > deadline) revert DeadlinePassed(deadline);
    }

    /// @dev Reverts unless these are the bytes of that block of the competition matrix; returns the block's bit.
    function _requireBlock(uint256 blockIndex, bytes calldata rho) private view returns (uint256 bit) {
        if (blockIndex >= _competitionBlocks.length) revert UnexpectedBlock(blockIndex);
        _requireHash(_competitionBlocks[blockIndex], rho);
        return 1 << blockIndex;
    }

    /// @dev Returns X of a feasible contribution: d in [D_min, 1], f one of the organization's levels.
    function _contribution(Slot storage slot, uint32 dataPpb, uint64 cpuHz) private view returns (uint96) {
        if (dataPpb < _MIN_DATA_PPB || dataPpb > TradeMath.PPB) revert DataFractionOutOfRange(dataPpb);
        uint256 count = slot.levels.length;
        uint256 k = 0;
        while (k < count && slot.levels[k] != cpuHz) ++k;
        if (k == count) revert UnknownLevel(cpuHz);
        return TradeMath.contribution(dataPpb, slot.dataBits, _LAMBDA_PPB, cpuHz);
    }

    /// @dev Reverts unless the account is listed.
    function _indexOf(address account) private view returns (uint256) {
        uint256 place = _places[account];
        if (place == 0) revert NotListed(account);
        return place - 1;
    }

    /// @dev What an organization that has not withdrawn is owed in this phase.
    function _owed(Slot storage slot) private view returns (uint256) {
        if (_phase == Phase.Settled) return _credited(slot);
        return _phase == Phase.Cancelled ? slot.deposit : 0;
    }

    /// @dev deposit + R; reverts if it were negative, which the bond rules out.
    function _credited(Slot storage slot) private view returns (uint256) {
        return (int256(uint256(slot.deposit)) + slot.redistribution).toUint256();
    }

    /// @dev A bit for every block of the competition matrix.
    function _allBlocks() private view returns (uint256) {
        return (1 << _competitionBlocks.length) - 1;
    }

    function _secondsFromNow(uint256 duration) private view returns (uint40) {
        return (block.timestamp + duration).toUint40();
    }

    function _requireHash(bytes32 expected, bytes calldata data) private pure {
        bytes32 actual = keccak256(data);
        if (actual != expected) revert HashMismatch(expected, actual);
    }

    function _requireRange(string memory term, uint256 value, uint256 least, uint256 most) private pure {
        if (value < least || value > most) revert TermOutOfRange(term, value);
    }

    /// @dev Returns a big-endian number of `length` bytes.
    function _read(bytes calldata data, uint256 offset, uint256 length) private pure returns (uint256) {
        if (offset + length > data.length) revert MalformedBlock(data.length);
        return uint256(bytes32(data[offset:offset + length])) >> (256 - 8 * length);
    }
}
